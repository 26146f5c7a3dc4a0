#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of docs/hal.md: which groups of the port's interface are tested where.

Rows come from interface.tsv, cases from the sources of the tests, which case is about which group
from suites.tsv, the port's own tests from own_tests.tsv. Fails if the page says anything else, if
a group has no case, or a named case does not exist. --write brings the page up to date, unless
there is something else to find fault with: then it writes nothing.
"""
import argparse
import collections
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from check_interface import group_of, read_rows  # noqa: E402

BEGIN, END = "<!-- made by tests/port/check_suites.py -->\n", "<!-- end -->\n"
DECLARED_ONLY = {"types and errors", "no header", "other"}  # nothing to run: the compiler checks them


def on_sim(root):
    """Files of cmocka tests that are compiled for the simulated machine, too."""
    with open(os.path.join(root, "tests/unit/port_lib/meson.build"), encoding="utf-8") as file:
        loop = re.search(r"foreach subject, seeds : \{([^}]*)\}", file.read())
    return {f"test_port_{subject}.c" for subject in re.findall(r"'(\w+)':", loop.group(1))}


Case = collections.namedtuple("Case", "name reason sim")


def cases_of(root, path):
    """Cases of a file of tests. `reason`: why it does not run on the simulated machine, or None."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    text = text[text.rindex("int main("):]
    texts = dict(re.findall(r'(\w+) = "([^"]*)"', text))
    found = []
    for match in re.finditer(r'(\w*(?:test|TEST)\w*)\(\s*(\w+)\s*(?:,\s*("[^"]*"|\w+))?[^)]*\)\s*,'
                             r'|\.name = "([^"]+)"', text):
        macro, name, reason, literal = match.groups()
        if literal:
            found.append(Case(literal, None, True))
        elif macro in ("port_test", "port_test_seeds", "disk_test", "heap_test", "machine_test"):
            found.append(Case(name, None, True))
        elif macro in ("port_test_posix", "disk_test_posix", "machine_test_posix"):
            found.append(Case(name, texts.get(reason, reason.strip('"')), False))
        else:  # cmocka's, or a macro over it
            found.append(Case(name, None, os.path.basename(path) in on_sim(root)))
    return found


def read_tsv(path, width):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#") and line.strip():
                cells = line.rstrip("\n").split("\t")
                yield (cells + [""] * width)[:width]


def table(root, findings):
    here = os.path.join(root, "tests/port")
    rows = collections.Counter(group_of(row) for row in read_rows(os.path.join(here, "interface.tsv"))
                               if row.layer in ("hal", "persistence", "libc"))
    cases = collections.defaultdict(list)
    files = collections.defaultdict(list)
    all_cases, used = {}, set()
    for group, path, pattern in read_tsv(os.path.join(here, "suites.tsv"), 3):
        all_cases.setdefault(path, cases_of(root, path))
        fitting = [c for c in all_cases[path] if not pattern or re.fullmatch(pattern, c.name)]
        if not fitting:
            findings.append(f"suites.tsv: no case of {path} fits {pattern!r}")
        cases[group] += fitting
        files[group].append(os.path.basename(path)[len("test_"):-len(".c")])
        used.update((path, c.name) for c in fitting)
    for folder in ("tests/unit/port_hal", "tests/unit/port_lib"):
        findings += [f"{folder}/{name} is in no group" for name in sorted(os.listdir(os.path.join(root, folder)))
                     if name.startswith("test_") and f"{folder}/{name}" not in all_cases]
    for path, found in all_cases.items():
        findings += [f"{path}: {c.name} is in no group" for c in found if (path, c.name) not in used]
    lines = ["| group | rows of the list | suites | cases on Linux | of these on the simulated machine |",
             "| --- | --- | --- | --- | --- |"]
    for group in sorted(rows):
        if not cases[group]:
            if group not in DECLARED_ONLY:
                findings.append(f"group {group} has no case")
            lines.append(f"| {group} | {rows[group]} | `port-interface` (declarations only) | - | - |")
            continue
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(files[group]))
        lines.append(f"| {group} | {rows[group]} | {names} | {len(cases[group])} | "
                     f"{sum(c.sim for c in cases[group])} |")
    flat = [c for found in all_cases.values() for c in found]
    lines.append(f"| all | {sum(rows.values())} | | {len(flat)} | {sum(c.sim for c in flat)} |")
    lines += ["", "Only on Linux, because they mean nothing on a simulated machine (skipped there, visibly):", ""]
    lines += [f"- `{c.name}`: {c.reason}" for c in flat if c.reason]
    rest = [os.path.basename(path) for path, found in all_cases.items()
            if found and not any(c.sim or c.reason for c in found)]
    lines += ["", "Not yet compiled for it: " + ", ".join(f"`{name}`" for name in rest) + "."]
    own = list(read_tsv(os.path.join(here, "own_tests.tsv"), 3))
    names = {c.name: c for c in flat}
    both = 0
    without = []
    for test, case, reason in own:
        if case == "-":
            without.append(f"- `{test}`: {reason}")
        elif case not in names:
            findings.append(f"own_tests.tsv: there is no case {case}")
        elif not names[case].sim:
            findings.append(f"own_tests.tsv: {case} does not run on the simulated machine")
        else:
            both += 1
    lines += ["", f"Of the {len(own)} tests that the port has of its own, {both} are cases here, on both machines; the others:", ""]
    lines += without
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    findings = []
    made = table(arguments.root, findings)
    page = os.path.join(arguments.root, "docs/hal.md")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        findings.append("docs/hal.md has no place for the table")
    elif text[begin + len(BEGIN):end] != made:
        if arguments.write and findings:
            findings.append("docs/hal.md: nothing was written")
        elif arguments.write:
            with open(page, "w", encoding="utf-8") as file:
                file.write(text[:begin + len(BEGIN)] + made + text[end:])
        else:
            findings.append("docs/hal.md: the table is not up to date: check_suites.py --write")
    print(made if not findings else "\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
