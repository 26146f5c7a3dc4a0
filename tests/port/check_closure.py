#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each header of closure.tsv includes those that files of the port expect of it.

usage: check_closure.py INCLUDE_DIR CC [ARGUMENTS...]
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def included(include, compiler, header):
    command = compiler + ["-std=gnu11", "-D_GNU_SOURCE", "-DDEBUG_MSG_PREFIX=\"x\"", f"-I{include}", "-M", "-x",
                          "c", "-"]
    output = subprocess.run(command, input=f"#include <{header}>\n", capture_output=True, text=True,
                            check=True).stdout
    prefix = os.path.realpath(include) + "/"
    paths = {os.path.realpath(word) for word in output.replace("\\\n", " ").split()}
    return {path[len(prefix):] for path in paths if path.startswith(prefix)}


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    checked, missing = 0, []
    with open(os.path.join(HERE, "closure.tsv"), encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")][1:]
    for header, gives in lines:
        found = included(sys.argv[1], sys.argv[2:], header)
        for wanted in gives.split():
            checked += 1
            if wanted not in found:
                missing.append(f"{header} does not give {wanted}")
    for line in missing:
        print(line)
    print(f"{checked} inclusions, {len(missing)} missing")
    return 1 if missing or checked < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
