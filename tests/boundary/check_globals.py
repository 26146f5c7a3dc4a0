#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No global mutable state but what a list names, with the reason.

usage: check_globals.py [--expect FILE:NAME] LIST LIBRARY.a...
Looks at every variable in the objects of the libraries: what lies in a section that can be written
while the program runs (.data, .bss, thread-local ones; not .data.rel.ro, which the loader seals).
LIST has rows FILE<tab>NAME<tab>REASON; a row that no object has is a finding, too.
  --expect   of this file just this variable must be found: proof that a new one is
Exit status 0: nothing was found, or with --expect just that.
"""
import re
import subprocess
import sys

WRITABLE = re.compile(r"\.(data|bss|tdata|tbss)(\.|$)")
SEALED = re.compile(r"\.data\.rel\.ro(\.|$)")
FROM_THE_COMPILER = re.compile(r"__(asan|ubsan|tsan|odr_asan|sancov|sanitizer|gcov|llvm)_|\.L|\$")

SECTION = re.compile(r"^\s*\[\s*(\d+)\]\s+(\S+)\s")
SYMBOL = re.compile(r"^\s*\d+:\s+\S+\s+\S+\s+(OBJECT|TLS)\s+\S+\s+\S+\s+(\S+)\s+(\S+)")
MEMBER = re.compile(r"^File: .*?([A-Za-z0-9_.+-]+)\.o[])]?$")


def variables(library):
    """(object, name) of each variable that can change; the object's name ends with its source's."""
    output = subprocess.run(["readelf", "--sections", "--symbols", "--wide", library],
                            capture_output=True, text=True, check=True).stdout
    found, member, sections = set(), library, {}
    for line in output.splitlines():
        if match := MEMBER.match(line):
            member, sections = match.group(1), {}
        elif match := SECTION.match(line):
            sections[match.group(1)] = match.group(2)
        elif match := SYMBOL.match(line):
            # A static variable of a function: gcc says "name.7", clang "function.name".
            index, name = match.group(2), re.sub(r"\.\d+$", "", match.group(3))
            name = re.sub(r"^[A-Za-z_]\w*\.", "", name)
            section = ".bss" if index == "COM" else sections.get(index, "")
            if (WRITABLE.match(section) and not SEALED.match(section)
                    and not FROM_THE_COMPILER.match(name)):
                found.add((member, name))
    return found


def read_list(path):
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                file, name, reason = line.rstrip("\n").split("\t")
                assert reason, line
                rows.append((file, name))
    return rows


def main(arguments):
    expected = None
    if arguments[0] == "--expect":
        expected = tuple(arguments[1].split(":"))
        arguments = arguments[2:]
    allowed = read_list(arguments[0])
    found = set().union(*(variables(library) for library in arguments[1:]))
    known = {(member, name) for member, name in found
             if any(name == row[1] and member.endswith(row[0]) for row in allowed)}
    strangers = found - known
    for member, name in sorted(strangers):
        print(f"{member}: {name} is global state that is not on {arguments[0]}")
    stale = [row for row in allowed
             if not any(name == row[1] and member.endswith(row[0]) for member, name in found)]
    print(f"{len(found)} variables, {len(known)} of them on the list, {len(strangers)} not")
    if expected:
        hits = [name for member, name in strangers if member.endswith(expected[0])]
        return 0 if hits == [expected[1]] else 1
    for file, name in stale:
        print(f"{file}: {name} is on the list and in no object")
    return 1 if strangers or stale or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
