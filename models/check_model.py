#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check a model with spin: all of its states, then each seeded defect, for which spin must find a
counterexample. usage: check_model.py commit|stop_the_world [--large]

Exit status: 0 the model holds and every defect was found, 1 not so, 77 spin or a C compiler is not
installed. The last line is `models=1 model=NAME states=N mutants=N/N`.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SAFE = ["-DSAFETY"]
FAIR = ["-DNFAIR=3"]
# per model: options of the bounded run, of the large one, further healthy runs, defects
MODELS = {
    "commit": {
        "small": ["-DCRASHES=2", "-DCOMMITS=3"], "large": ["-DCRASHES=3", "-DCOMMITS=3"],
        "lively": None,
        "mutants": ["ACK_BEFORE_FLUSH", "NO_RETIRE", "NO_OWN_PAGE_CHECK", "REUSE_TOO_EARLY",
                    "FLUSH_BEFORE_REAP", "FLUSH_RETRIED", "STALE_GENERATION_NUMBER",
                    "LARGE_COMMIT_NOT_FLUSHED", "SEAL_BEFORE_FLUSH", "NO_FLUSH_AT_OPEN",
                    "RETIRE_NOT_FLUSHED"],
        "lively_mutants": []},
    "stop_the_world": {
        "small": ["-DCUTS=2", "-DSTORES=2"], "large": ["-DCUTS=3", "-DSTORES=3"],
        "lively": ["-DFOR_EVER", "-DCUTS=1"],
        "mutants": ["MARK_BEFORE_STORE", "NO_BARRIER", "COPY_BEFORE_CLEAR", "REGION_CLEARED_LIVE",
                    "SIGNAL_WITHOUT_LOCK", "WAIT_ONCE", "NOT_ALL_PARKED", "NO_WAKE_AT_RESUME"],
        "lively_mutants": ["POLL_RESET_BY_WORKER"]},
}
MEMORY_MB = 3000
SECONDS = 300


class Trouble(Exception):
    pass


def search(name, options, lively, directory, optimise):
    """(errors, states, sentence) of one search."""
    model = os.path.join(HERE, name + ".pml")
    made = subprocess.run(["spin", *options, "-a", model], cwd=directory, capture_output=True,
                          text=True, timeout=SECONDS, check=False)
    if made.returncode != 0 or "rror" in made.stdout + made.stderr:
        raise Trouble(f"spin {' '.join(options)}: {made.stdout}{made.stderr}")
    subprocess.run(["cc", optimise, "-w", *(FAIR if lively else SAFE),
                    "-DCOLLAPSE", "-DVECTORSZ=2048", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"],
                   cwd=directory, check=True, timeout=SECONDS)
    ran = subprocess.run(["./pan", "-m1000000", *(["-a", "-f"] if lively else [])], cwd=directory,
                         capture_output=True, text=True, timeout=SECONDS, check=False)
    errors = re.search(r"errors: (\d+)", ran.stdout)
    states = re.search(r"(\d+(?:\.\d+e\+\d+)?) states, stored", ran.stdout)
    if errors is None or states is None or "Search not completed" in ran.stdout \
            and int(errors.group(1)) == 0:
        raise Trouble(f"the search did not end: {ran.stdout[-600:]}{ran.stderr[-300:]}")
    sentence = re.search(r"pan:\d+: (.{0,100})", ran.stdout)
    return int(errors.group(1)), int(float(states.group(1))), sentence.group(1) if sentence else ""


def check(name, size, directory):
    model = MODELS[name]
    runs = [(model[size], False)]
    if model["lively"]:
        runs.append((model["lively"], True))
    states, good = 0, True
    for options, lively in runs:
        errors, count, sentence = search(name, options, lively, directory, "-O2")
        states += count
        good = good and errors == 0
        print(f"{name} {' '.join(options)}: {count} states, "
              f"{'holds' if errors == 0 else 'BROKEN: ' + sentence}", flush=True)
    defects = [(m, model["small"], False) for m in model["mutants"]]
    defects += [(m, model["lively"], True) for m in model["lively_mutants"]]
    caught = 0
    for mutant, options, lively in defects:
        errors, count, sentence = search(name, options + [f"-D{mutant}"], lively, directory, "-O0")
        caught += errors != 0
        print(f"{mutant}: {'caught' if errors else 'SURVIVED'} after {count} states: {sentence}",
              flush=True)
    print(f"models=1 model={name} states={states} mutants={caught}/{len(defects)}")
    return good and caught == len(defects)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--large", action="store_true", help="more crashes, commits, stores, cuts")
    arguments = parser.parse_args()
    for tool in ("spin", "cc"):
        if shutil.which(tool) is None:
            print(f"{tool} is not installed: the models are not checked")
            return 77
    with tempfile.TemporaryDirectory(prefix="phantom-model-") as directory:
        try:
            return 0 if check(arguments.model, "large" if arguments.large else "small",
                              directory) else 1
        except (Trouble, subprocess.SubprocessError) as trouble:
            print(f"{arguments.model}: {trouble}")
            return 1


if __name__ == "__main__":
    sys.exit(main())
