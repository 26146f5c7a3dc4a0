#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/port-differences.md says is right here has a test, and what it says is missing is missing.

usage: check_claims.py ROOT
The table "is right here" names a file and a function for each fact: the function must be in the file.
The table "not there" names functions and variables: no header of the port may declare one.
"""
import pathlib
import re
import sys


def table(text, heading):
    part = text.split(f"\n### {heading}\n", 1)[1].split("\n### ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return [row for row in rows[1:] if not row[0].startswith("---")]


def main(root):
    root = pathlib.Path(root)
    text = (root / "docs/port-differences.md").read_text(encoding="utf-8")
    claims, findings = table(text, "What was wrong there and is right here"), []
    for fact, place in claims:
        for file, function in re.findall(r"`(\w+)\.c`: `(\w+)`", place):
            found = [path for path in (root / "tests").rglob(f"{file}.c")
                     if re.search(rf"\b{function}\b", path.read_text(encoding="utf-8"))]
            if not found:
                findings.append(f"{fact}: no test {function} in {file}.c")
        if "`" not in place:
            findings.append(f"{fact}: no test is named")
    headers = "".join(path.read_text(encoding="utf-8")
                      for path in (root / "include/phantom/port").rglob("*.h"))
    missing = [name for row in table(text, "Names that are not there") for name in re.findall(r"`(\w+)`", row[0])]
    findings += [f"{name} is there: take it off the table" for name in missing
                 if re.search(rf"\b{name}\s*[(;\[]", headers)]
    print(f"{len(claims)} facts with a test, {len(missing)} names that are not there")
    for finding in findings:
        print(finding)
    return 1 if findings or len(claims) < 10 or not missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
