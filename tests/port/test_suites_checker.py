#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_suites.py --write brings the page up to date, and writes nothing where there are findings.

usage: test_suites_checker.py ROOT
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STRAY = "disk\ttests/unit/port_hal/test_port_disk.c\tthere_is_no_such_case\n"


def run(root, *more):
    result = subprocess.run([sys.executable, os.path.join(HERE, "check_suites.py"), root, *more],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stdout


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def check(condition, text):
    if not condition:
        sys.exit(text)


def main():
    root = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="port-suites-") as copy:
        for folder in ("tests/port", "tests/unit/port_hal", "tests/unit/port_lib"):
            shutil.copytree(os.path.join(root, folder), os.path.join(copy, folder))
        os.mkdir(os.path.join(copy, "docs"))
        page = os.path.join(copy, "docs/hal.md")
        suites = os.path.join(copy, "tests/port/suites.tsv")
        right = read(os.path.join(root, "docs/hal.md"))
        stale = right.replace("| all | ", "| all of them | ")
        with open(page, "w", encoding="utf-8") as file:
            file.write(stale)
        with open(suites, "a", encoding="utf-8") as file:
            file.write(STRAY)
        status, said = run(copy, "--write")
        check(status == 1 and "there_is_no_such_case" in said, f"the finding is not named: {said}")
        check("nothing was written" in said, f"it does not say that nothing was written: {said}")
        check(read(page) == stale, "the page was written although there are findings")
        with open(suites, "w", encoding="utf-8") as file:
            file.write(read(os.path.join(root, "tests/port/suites.tsv")))
        status, said = run(copy)
        check(status == 1 and "not up to date" in said, f"a stale page is not found: {said}")
        status, said = run(copy, "--write")
        check(status == 0 and read(page) == right, f"the page was not brought up to date: {said}")
        check(run(copy)[0] == 0, "there are findings after --write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
