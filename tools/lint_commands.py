#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One compile command for each file of src. usage: lint_commands.py BUILD

Tests compile many files again, with seeded defects or for the simulated machine; clang-tidy would look
at each once for every command, and its analyzer reports variable arguments falsely when it sees more
than one in a run. Writes BUILD/lint/compile_commands.json; prints the files, one a line.
"""
import json
import os
import sys


def main(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    chosen = {}
    for command in commands:
        source = os.path.relpath(os.path.join(command["directory"], command["file"]))
        own = command.get("output", "").startswith(os.path.dirname(source) + "/")
        if source.startswith("src/") and source.endswith(".c") and (own or source not in chosen):
            if own and chosen.get(source, {}).get("own"):
                continue
            chosen[source] = {"command": command, "own": own}
    folder = os.path.join(build, "lint")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump([entry["command"] for entry in chosen.values()], file, indent=1)
    print("\n".join(sorted(chosen)))


if __name__ == "__main__":
    main(sys.argv[1])
