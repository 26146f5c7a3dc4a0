#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The seeded defects, and the one test that has to catch each. Used by check_tree.py and
test_summary.py; by itself it prints the table.

The defects are in src/base/ph_mutant_list.h; who catches them is declared in the last table of
docs/hazards.md; a test says so with a line `mutant NAME killed` (tests/support/ph_killed.h).
"""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE = re.compile(r"^mutant ([A-Z0-9_]+):? +killed\b", re.M)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def listed():
    """Names of all defects, in order."""
    return re.findall(r"\bX\(([A-Z0-9_]+),", read("src/base/ph_mutant_list.h"))


def declared():
    """(test, defect) of every declaration."""
    table = read("docs/hazards.md").partition("| test | catches |")[2]
    pairs = []
    for row in re.findall(r"^\| `([^`]+)` \| (.*)\|$", table, re.M):
        pairs += [(row[0], name) for name in re.findall(r"`([^`]+)`", row[1])]
    return pairs


def findings():
    """What is wrong with the declarations: one sentence each."""
    names, where = listed(), [name for _, name in declared()]
    wrong = [f"docs/hazards.md: {name} is declared {where.count(name)} times, not once"
             for name in names if where.count(name) != 1]
    return wrong + [f"docs/hazards.md: no seeded defect is called {name}"
                    for name in where if name not in names]


def judge(outputs, skipped):
    """Who was caught by his own test. outputs: of the tests that passed, skipped: reasons; by test
    name. Returns (caught, not tried, sentences about the others)."""
    caught, untried, wrong = [], [], findings()
    for test, name in declared():
        if name in LINE.findall(outputs.get(test, "")):
            caught.append(name)
        elif test in skipped:
            untried.append(name)
        else:
            wrong.append(f"mutant {name} was not caught by `{test}`")
    return caught, untried, wrong


if __name__ == "__main__":
    for declaration in declared():
        print("\t".join(declaration))
