#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library has the notes by which a tracer finds its probes.

usage: check_probes.py LIBRARY.so       exit status 77: there is no readelf
"""
import re
import shutil
import subprocess
import sys

PROBES = {"snapshot_begin", "cut", "resume", "commit", "refused", "restore_fault"}


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    if shutil.which("readelf") is None:
        print("SKIP: there is no readelf")
        return 77
    notes = subprocess.run(["readelf", "-n", "-W", sys.argv[1]], capture_output=True, text=True,
                           check=True).stdout
    found = set(re.findall(r"Provider: phantom\s+Name: (\w+)", notes))
    if found != PROBES:
        print(f"FAIL: missing {sorted(PROBES - found)}, not documented {sorted(found - PROBES)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
