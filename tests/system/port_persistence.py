#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two of the port's own tests, on libphantom-port: a program that is killed and started again.

usage: port_persistence.py PROGRAM ci-snaptest|persistence_test|shutdown PASSES [--expect-lost]
ci-snaptest       each pass runs until the console says "Snapshot done", then kills; in turn with
                  several strategies (in the place of the port's kinds of disk) on one store
persistence_test  each pass runs on for a number of snapshots that differs, then kills; the sum and the
                  objects must continue from no earlier than the last snapshot that was reported
shutdown          each pass does steps that nothing saves, and shuts down: the next one must begin with
                  exactly the last of them
  --expect-lost   the store is put back by one pass before the last one (shutdown: the pass before it
                  shuts down without a sync): the loss must be seen
A pass fails when the console says "Panic" or the program ends by itself.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

STRATEGIES = ["full", "fork", None]  # None: what the kernel allows


def one_life(program, store, strategy, snapshots):
    """(step it began with, step of the last snapshot it reported, findings)"""
    began, reported, done, said = None, None, 0, []
    with subprocess.Popen([program, store] + ([strategy] if strategy else []), text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if match := re.search(r"begins (\d+)", line):
                began = int(match.group(1))
            elif match := re.search(r"snapshot (\d+)", line):
                reported = int(match.group(1))
            done += "snapshot done" in line.lower()
            if done >= snapshots and reported is not None or "Panic" in line:
                break
        process.kill()
    panicked = [line for line in said if "Panic" in line]
    if panicked or began is None or reported is None or done < snapshots:
        return began, reported, panicked or [f"ended by itself after {done} snapshots: {said[-3:]}"]
    return began, reported, []


def shut_down(program, store, mode):
    """(step it began with, step it shut down at, findings)"""
    # The process ends with its space open: ThreadSanitizer would take its threads for forgotten ones.
    options = os.environ.get("TSAN_OPTIONS", "") + " report_thread_leaks=0"
    result = subprocess.run([program, store, "-", mode], text=True, errors="replace", check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "TSAN_OPTIONS": options})
    began, ended = (re.search(word + r" (\d+)", result.stdout) for word in ("begins", "shutdown"))
    if result.returncode != 0 or not began or not ended or "Panic" in result.stdout:
        return None, None, [f"status {result.returncode}: {result.stdout[-300:]}"]
    return int(began.group(1)), int(ended.group(1)), []


def shutdowns(program, passes, expect_lost):
    with tempfile.TemporaryDirectory(prefix="phantom-port-") as folder:
        store, last = os.path.join(folder, "s.phantom"), 0
        for number in range(passes):
            without = expect_lost and number == passes - 2
            began, ended, findings = shut_down(program, store, "nosync" if without else "shutdown")
            if findings:
                print("\n".join(findings))
                return 1
            if began != last or ended <= began:
                print(f"pass {number}: begins with step {began} and ends with {ended}; {last} were done before")
                return 0 if expect_lost and number == passes - 1 and began < last else 1
            last = ended
        print(f"{passes} passes, {last} steps")
        return 1 if expect_lost else 0


def main(program, case, passes, expect_lost):
    if case == "shutdown":
        return shutdowns(program, passes, expect_lost)
    with tempfile.TemporaryDirectory(prefix="phantom-port-") as folder:
        store, old = os.path.join(folder, "s.phantom"), os.path.join(folder, "old")
        last, findings, steps = 0, [], []
        for number in range(passes):
            if expect_lost and number == passes - 2:
                shutil.copy(store, old)
            if expect_lost and number == passes - 1:
                os.replace(old, store)
            strategy = STRATEGIES[number % len(STRATEGIES)] if case == "ci-snaptest" else None
            snapshots = 1 if case == "ci-snaptest" else 1 + number * 7 % 11
            began, reported, wrong = one_life(program, store, strategy, snapshots)
            findings += [f"pass {number}: {text}" for text in wrong]
            if not wrong and began < last:
                findings.append(f"pass {number}: begins with step {began}, but {last} were in a snapshot")
            if findings:
                break
            last = reported
            steps.append(began)
        print("\n".join(findings) or f"{passes} passes, begun with steps {steps}")
        if expect_lost:
            return 0 if len(findings) == 1 and "were in a snapshot" in findings[0] else 1
        return 1 if findings or last == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "--expect-lost" in sys.argv[4:]))
