#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Long campaigns, in pieces by seed. usage: ./dev soak [PART]... [options]

Parts (default: all but large models):
    states      crash states, --states distinct ones for each of --seeds seeds
    strategies  every strategy against the heap at the cut, --runs for each seed; and SIGKILL where
                each opening of a store has another strategy and other options, --draws for each
    whole       the same over real memory and a real file, everything at random, --wholes for each
    kills       SIGKILL at random moments, --kills per example and seed
    power       power cuts: each case of power_test.py, --cycles for each seed (needs root)
    flips       damaged stores, --flips for each seed
    spaces      SIGKILL while eight threads commit into a space, --space-kills for each seed
    sim         worlds and spaces on the simulated machine, --seeds runs of each; twenty times as
                many of the port's disks under faults and power cuts; and each seeded defect of
                threads, which must be found by them
    models      the models with larger bounds, once

Each piece prints its figures and seed; a failure prints the command that repeats it and ends the run.
What has passed is written to --state (default: soak.json in the build) with its figures, and is not
run again: stop at any time and start again with the same options, or go on with more seeds. --fresh
forgets it. The last lines are the sums over all that has passed, also in earlier runs.
"""
import argparse
import json
import os
import re
import subprocess
import sys

PROGRAMS = ("queens", "ledger", "counter")
POWER_CASES = ("direct", "examples", "mutant", "errors", "ext4", "xfs", "shutdown-ext4",
               "shutdown-xfs")
PARTS = ("states", "strategies", "whole", "kills", "power", "flips", "spaces", "sim", "models")
SIM_SEEDS = 1000  # of one piece
NOT_SUMS = ("seed", "mutants", "models")


class Soak:
    def __init__(self, arguments):
        self.arguments = arguments
        self.path = arguments.state or os.path.join(arguments.build, "soak.json")
        self.done = {}
        if os.path.exists(self.path) and not arguments.fresh:
            with open(self.path, encoding="utf-8") as file:
                self.done = json.load(file)

    def piece(self, part, key, command, variables=None):
        """Run a piece unless it has passed; keep its figures."""
        name = f"{part} {key}"
        if name in self.done:
            return
        shown = " ".join([f"{k}={v}" for k, v in (variables or {}).items()] + command)
        print("+ " + shown, flush=True)
        result = subprocess.run(command, capture_output=True, text=True, check=False,
                                env={**os.environ, **(variables or {})})
        output = (result.stdout + result.stderr).strip().splitlines()
        print("\n".join(output[-12:]), flush=True)
        if result.returncode == 77:
            self.done[name] = {"skipped": 1}
        elif result.returncode != 0:
            self.save()
            print(f"REPRO: {shown}")
            sys.exit(f"soak: failed: {name}")
        else:
            last = [line for line in output if re.match(r"(states|flips|kills|cuts|runs|models)=", line)]
            self.done[name] = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)\b(?!/)",
                                                               last[-1] if last else "")
                               if k not in NOT_SUMS}
            self.done[name]["pieces"] = 1
        self.save()

    def save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.done, file, indent=1)
        os.replace(self.path + ".new", self.path)

    def exe(self, *names):
        return os.path.join(self.arguments.build, *names)

    def run(self, part, seed):
        a = self.arguments
        crash = ("tests", "crash")
        system = ("tests", "system")
        if part == "states":
            self.piece(part, f"seed {seed} x {a.states}",
                       [self.exe(*crash, "crash_explorer"), "--seed", str(seed), "--states-min",
                        str(a.states)])
        elif part == "strategies":
            self.piece(part, f"seed {seed} x {a.runs}",
                       [self.exe(*crash, "strategy_explorer"), "--seed", str(seed), "--runs",
                        str(a.runs)])
            self.piece(part, f"draws seed {seed} x {a.draws}",
                       [sys.executable, "tests/system/strategy_kills.py", "--phantom",
                        self.exe("src/cli/phantom"), "--classes", self.exe("examples"), "--writer",
                        self.exe(*system, "space_writer"), "--kills", str(a.draws), "--seed",
                        str(seed)])
        elif part == "whole":
            self.piece(part, f"seed {seed} x {a.wholes}",
                       [self.exe(*crash, "whole_system"), "--seed", str(seed), "--runs",
                        str(a.wholes)])
        elif part == "flips":
            self.piece(part, f"seed {seed} x {a.flips}",
                       [self.exe(*crash, "bit_flips"), "--seed", str(seed), "--flips",
                        str(a.flips)])
        elif part == "kills":
            for program in PROGRAMS:
                self.piece(part, f"{program} seed {seed} x {a.kills}",
                           [sys.executable, "tests/system/kill_test.py", "--phantom",
                            self.exe("src/cli/phantom"), "--classes", self.exe("examples"),
                            "--program", program, "--kills", str(a.kills), "--seed", str(seed)])
        elif part == "power":
            for case in POWER_CASES:
                self.piece(part, f"{case} seed {seed} x {a.cycles}",
                           [sys.executable, "tests/system/power_test.py", "--writer",
                            self.exe(*system, "power_writer"), "--mutant-writer",
                            self.exe(*system, "power_writer_mutant"), "--phantom",
                            self.exe("src/cli/phantom"), "--classes", self.exe("examples"),
                            "--shim", self.exe(*system, "power_shim"), case, "--cycles",
                            str(a.cycles), "--seed", str(seed)])
        elif part == "spaces":
            self.piece(part, f"seed {seed} x {a.space_kills}",
                       [self.exe("tests", "unit", "space", "test_space_crash"),
                        str(a.space_kills)], {"PH_SEED": str(seed)})
        elif part == "sim" and (seed - a.first_seed) % SIM_SEEDS == 0:
            count = min(SIM_SEEDS, a.first_seed + a.seeds - seed)
            classes = ["--classes", self.exe("tests", "sim")]
            self.piece(part, f"seeds {seed} to {seed + count - 1}",
                       [self.exe("tests", "sim", "sim_soak"), "--seeds", str(count), "--seed-base",
                        str(seed), "--twice", "20"] + classes)
            self.piece(part, f"disks of the port, seeds {seed} to {seed + count - 1}",
                       [self.exe("tests", "unit", "port_hal", "test_port_disk_faults")],
                       {"PH_SEED": str(seed), "PH_SIM_SEEDS": str(20 * count),
                        "PH_CASE": "a_disk_holds*"})
            if seed == a.first_seed:
                self.piece(part, "defects", [self.exe("tests", "sim", "sim_mutants"), "--mutants",
                                             "--seeds", "1000"] + classes)
        elif part == "models" and seed == a.first_seed:
            for model in ("commit", "stop_the_world"):
                self.piece(part, model, [sys.executable, "models/check_model.py", model, "--large"])

    def sums(self, part):
        total = {}
        for name, figures in self.done.items():
            if name.split()[0] == part:
                for figure, value in figures.items():
                    total[figure] = total.get(figure, 0) + value
        return total


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--build", required=True)
    parser.add_argument("--states", type=int, default=1000000)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--wholes", type=int, default=400)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--space-kills", type=int, default=400)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--flips", type=int, default=100000)
    parser.add_argument("--first-seed", "--seed-base", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--state", help="file that remembers what has passed")
    parser.add_argument("--fresh", action="store_true", help="forget what has passed")
    arguments = parser.parse_args()
    for part in arguments.part:
        if part not in PARTS:
            parser.error(f"unknown part '{part}'; there are: {', '.join(PARTS)}")
    parts = arguments.part or [part for part in PARTS if part != "models"]
    soak = Soak(arguments)
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for part in parts:
            soak.run(part, seed)
    for part in parts:
        total = " ".join(f"{name}={value}" for name, value in sorted(soak.sums(part).items()))
        print(f"soak {part}: {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
