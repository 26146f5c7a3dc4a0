#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Add up meson test logs and print the closing line `N passed, N failed, N skipped`.

usage: test_summary.py NAME=testlog.json...

Names what was skipped with the reason the test printed, and what failed. Repeats the lines of
figures that tests print (states=, flips=, kills=, cuts=, models=), so that a number that drops is seen,
and adds up those of the crash tests of the first log in one line. Exit status 1 if anything failed
or nothing passed.
"""
import json
import re
import sys

FIGURES = re.compile(r"^(states=|flips=|kills=|mutants=|models=|cuts=).*", re.M)


def crash_line(sums) -> str:
    """The one line about crash certainty; empty when no crash test ran."""
    if "states" not in sums:
        return ""
    number = lambda name: sums.get(name, 0)
    return (f"states={number('states')} distinct={number('distinct')} recovery={number('recovery')} "
            f"mutants={number('caught')}/{number('mutants')} flips={number('flips')} "
            f"kills={number('kills')} cuts={number('cuts')} silent={number('silent')}")


def add_figures(sums, line) -> None:
    """Models have mutants of their own, and the healthy run of the mutants only a few states."""
    if line.startswith("models="):
        return
    pairs = dict(re.findall(r"(\w+)=(\d+(?:/\d+)?)", line))
    if "mutants" in pairs:
        caught, total = pairs["mutants"].split("/")
        pairs = {"caught": caught, "mutants": total}
    for name in ("states", "distinct", "recovery", "caught", "mutants", "flips", "kills", "cuts",
                 "silent"):
        if name in pairs:
            sums[name] = sums.get(name, 0) + int(pairs[name])


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0
    passed = failed = 0
    skipped = []
    sums = {}
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
                # A check that must complain about a seeded fault passes by failing.
                if test["result"] in ("OK", "EXPECTEDFAIL"):
                    passed += 1
                elif test["result"] == "SKIP":
                    text = (output + (test.get("stderr") or "")).strip().splitlines()
                    skipped.append(f"{title}: {text[-1] if text else 'no reason given'}")
                else:
                    failed += 1
                    print(f"FAILED {title}: {test['result']}")
    if crash_line(sums):
        print(crash_line(sums))
    for line in skipped:
        print(f"skipped {line}")
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
