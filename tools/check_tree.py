#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the tree that no compiler checks. usage: check_tree.py (in the repository)

- every C, header, script and build file names its licence;
- file names are unique in the whole tree (build files, READMEs and port headers aside);
- only the rooms hal_posix, hal_sim and hal_plain, the tool and the tests include the headers of the operating system;
- docs/hazards.md names only tests, seeded defects and cases that exist, and one test for each defect;
- no message of an error is thrown away: a struct phantom_diag that was only zeroed has no room for one;
- no unowned marker of unfinished work, no commented-out code by #if 0.
"""
import collections
import os
import re
import subprocess
import sys

import mutants

SOURCE = re.compile(r"\.(c|h|py|sh|def|ph)$|^dev$|(^|/)meson\.build$|meson_options\.txt$|(^|/)run$")
OS_HEADERS = re.compile(r'^\s*#\s*include\s*<(liburing|uv|sys/(?!types|cdefs)[\w/]+|fcntl|unistd|poll|'
                        r'signal|pthread|sched|linux/[\w/]+)(\.h)?>', re.M)
OS_ROOMS = ("src/hal_posix/", "src/hal_sim/", "src/hal_plain/", "src/port_hal/", "src/cli/", "tests/", "bench/", "examples/")
# The snapshot room's own leaf lock and clock, the compiler's output file: see ARCHITECTURE.md.
OS_EXCEPTIONS = {"src/snapshot/snapshot_internal.h", "src/base/ph_probe.h", "src/compiler/phc_main.c"}
REPEATED = {"meson.build", "README.md", "run", "fuzz_corpus_main.c"}
NO_ROOM = re.compile(r"struct phantom_diag \w+ = \{0\}")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|^\s*#\s*if\s+0\b", re.M)


def tracked_files():
    output = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    return [path for path in output.splitlines() if os.path.isfile(path)]


def names_that_show(paths):
    """Tests, seeded defects and cases that docs/hazards.md may name."""
    names = set()
    for path in paths:
        if not path.endswith((".c", ".py", ".pml", "meson.build", "ph_mutant_list.h")):
            continue
        if not path.startswith(("tests/", "models/", "src/base/ph_mutant_list.h")):
            continue
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        names.update(re.findall(r"^static (?:void|bool) (\w+)\(", text, re.M))
        names.update(re.findall(r"X\((\w+),", text))
        names.update(re.findall(r"^#if(?:n?def| defined\() ?(\w+)", text, re.M))
        names.update(re.findall(r"test\('([\w -]+)'", text))
        if path == "tests/system/meson.build":
            names.update(re.findall(r"'([a-z-]+)'", text))
            names.update("kill-" + name for name in re.findall(r"'([a-z]+)'", text))
            names.update("power-" + name for name in re.findall(r"'([a-z0-9-]+)'", text))
        if path == "models/meson.build":
            names.update("model " + name for name in re.findall(r"'(\w+)'", text))
    return names


def check_hazards(paths):
    """Findings about docs/hazards.md."""
    if "docs/hazards.md" not in paths:
        return []
    known = names_that_show(paths)
    findings = []
    with open("docs/hazards.md", encoding="utf-8") as file:
        rows = [line for line in file if re.match(r"\| (S\d+ )?", line) and "`" in line]
    for row in rows:
        last = row.rstrip().rstrip("|").rsplit("|", 1)[1]
        for name in re.findall(r"`([^`]+)`", last):
            if name not in known:
                findings.append(f"docs/hazards.md: no test or seeded defect is called {name}")
    numbers = [int(n) for n in re.findall(r"^\| S(\d+) ", "".join(rows), re.M)]
    if numbers != list(range(1, 37)):
        findings.append("docs/hazards.md: S1 to S36 are not all there, each with what shows it")
    return findings


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    findings = []
    names = collections.defaultdict(list)
    for path in tracked_files():
        name = os.path.basename(path)
        if name not in REPEATED and not path.startswith("include/phantom/port/"):
            if "/corpus/" not in path and "/golden/" not in path:
                names[name].append(path)
        if not SOURCE.search(path) or "/corpus/" in path:
            continue
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if path.endswith(".ph"):
            pass
        elif "SPDX-License-Identifier: Apache-2.0" not in text[:400]:
            findings.append(f"{path}: no SPDX line")
        if path != "tools/check_tree.py" and UNFINISHED.search(text):
            findings.append(f"{path}: unfinished work ({UNFINISHED.search(text).group(0).strip()})")
        if path.endswith((".c", ".h")) and NO_ROOM.search(text):
            findings.append(f"{path}: {NO_ROOM.search(text).group(0)} has no room: PHANTOM_DIAG_INIT")
        if (path.endswith((".c", ".h")) and not path.startswith(OS_ROOMS)
                and path not in OS_EXCEPTIONS):
            match = OS_HEADERS.search(text)
            if match:
                findings.append(f"{path}: includes a header of the operating system: "
                                f"{match.group(0).strip()}")
    for name, paths in sorted(names.items()):
        if len(paths) > 1:
            findings.append(f"{name}: {len(paths)} files have this name: {', '.join(paths)}")
    findings += check_hazards(set(tracked_files()))
    findings += mutants.findings()
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
