#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Add up meson test logs and print the closing line `N passed, N failed, N skipped`.

usage: test_summary.py NAME=testlog.json...

Names what was skipped with the reason the test printed, and what failed. Repeats the lines of
figures that tests print (states=, flips=, kills=, cuts=, models=), so that a number that drops is seen,
and adds up those of the crash tests of the first log in one line. Where that log is of the build that
runs every suite (gcc), each seeded defect must have been caught by the test that is declared for it
(mutants.py): mutants=N/N counts the whole list; and the line must not fall below FLOORS. Exit status 1
if anything failed, a defect was not caught, a floor was missed, or nothing passed.
"""
import json
import re
import sys

import mutants

FIGURES = re.compile(r"^(states=|flips=|kills=|mutants=|models=|cuts=).*", re.M)

FLOORS = {"distinct": 500000, "kills": 200}  # crash states and SIGKILLs that each change must survive


def crash_line(sums) -> str:
    """The one line about crash certainty; empty when no crash test ran."""
    if "states" not in sums:
        return ""
    number = lambda name: sums.get(name, 0)
    return (f"states={number('states')} distinct={number('distinct')} recovery={number('recovery')} "
            f"mutants={number('caught')}/{len(mutants.listed())} flips={number('flips')} "
            f"kills={number('kills')} cuts={number('cuts')} silent={number('silent')}")


def add_figures(sums, line) -> None:
    """Models have mutants of their own, and the healthy run of the mutants only a few states."""
    if line.startswith("models="):
        return
    pairs = dict(re.findall(r"(\w+)=(\d+(?:/\d+)?)", line))
    if "mutants" in pairs:
        return
    for name in ("states", "distinct", "recovery", "flips", "kills", "cuts", "silent"):
        if name in pairs:
            sums[name] = sums.get(name, 0) + int(pairs[name])


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0
    passed = failed = 0
    skipped = []
    sums = {}
    all_suites = sys.argv[1].startswith("gcc=")
    outputs, reasons = {}, {}
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        with open(path, encoding="utf-8") as log:
            for line in log:
                test = json.loads(line)
                title = f"{name}: {test['name']}"
                output = test.get("stdout") or ""
                for match in FIGURES.finditer(output):
                    print(f"{title}: {match.group(0)}")
                    if argument == sys.argv[1]:
                        add_figures(sums, match.group(0))
                if argument == sys.argv[1]:
                    plain = test["name"].split(" / ")[-1]
                    if test["result"] == "OK":
                        outputs[plain] = output
                    elif test["result"] == "SKIP":
                        reasons[plain] = output
                # A check that must complain about a seeded fault passes by failing.
                if test["result"] in ("OK", "EXPECTEDFAIL"):
                    passed += 1
                elif test["result"] == "SKIP":
                    text = (output + (test.get("stderr") or "")).strip().splitlines()
                    skipped.append(f"{title}: {text[-1] if text else 'no reason given'}")
                else:
                    failed += 1
                    print(f"FAILED {title}: {test['result']}")
    if all_suites:
        caught, untried, wrong = mutants.judge(outputs, reasons)
        sums["caught"] = len(caught)
        for sentence in wrong:
            failed += 1
            print(f"FAILED {sentence}")
        if untried:
            print(f"mutants not tried here, their tests were skipped: {' '.join(untried)}")
        for name, floor in FLOORS.items():
            if sums.get(name, 0) < floor:
                failed += 1
                print(f"FAILED {name}={sums.get(name, 0)}: {floor} are the least")
    if crash_line(sums):
        print(crash_line(sums))
    for line in skipped:
        print(f"skipped {line}")
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
