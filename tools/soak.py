#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Long campaigns, in pieces by seed. usage: ./dev soak [PART]... [options]

Parts (default: all): kills   SIGKILL at random moments, --kills per example
                      states  crash states, --states distinct ones for each of --seeds seeds
                      flips   damaged stores, --flips for each of --seeds seeds

Each piece prints its figures and seed; a failure prints the command that repeats it and ends the run.
The last lines are the sums.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

PROGRAMS = ("queens", "ledger", "counter")


def piece(command):
    print("+ " + " ".join(command), flush=True)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    tail = (result.stdout + result.stderr).strip().splitlines()[-12:]
    print("\n".join(tail), flush=True)
    if result.returncode != 0:
        sys.exit(f"soak: failed: {' '.join(command)}")
    return result.stdout


def figures(text):
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text)}


def add(sums, text):
    for name, value in figures(text).items():
        if name not in ("seed", "mutants"):
            sums[name] = sums.get(name, 0) + value


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[[], "kills", "states", "flips"])
    parser.add_argument("--build", required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--states", type=int, default=1000000)
    parser.add_argument("--flips", type=int, default=100000)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    parts = arguments.part or ["kills", "states", "flips"]
    build = arguments.build
    sums = {part: {} for part in parts}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        if "kills" in parts:
            for program in PROGRAMS:
                add(sums["kills"], piece([
                    sys.executable, "tests/system/kill_test.py",
                    "--phantom", os.path.join(build, "src/cli/phantom"),
                    "--classes", os.path.join(build, "examples"), "--program", program,
                    "--kills", str(arguments.kills), "--seed", str(seed)]))
        if "states" in parts:
            add(sums["states"], piece([
                glob.glob(os.path.join(build, "tests/crash/crash_explorer"))[0],
                "--seed", str(seed), "--states-min", str(arguments.states)]))
        if "flips" in parts:
            add(sums["flips"], piece([
                glob.glob(os.path.join(build, "tests/crash/bit_flips"))[0],
                "--seed", str(seed), "--flips", str(arguments.flips)]))
    last = arguments.first_seed + arguments.seeds - 1
    for part in parts:
        total = " ".join(f"{name}={value}" for name, value in sums[part].items())
        print(f"soak {part}: seeds {arguments.first_seed} to {last}: {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
