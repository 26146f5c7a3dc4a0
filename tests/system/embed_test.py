#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""examples/embed runs a world in several short lives; together they print what one life would.

usage: embed_test.py EMBED CLASS_DIRECTORY
"""
import os
import subprocess
import sys
import tempfile


def main():
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory(prefix="phantom-embed-") as directory:
        store = os.path.join(directory, "embed.phantom")
        result = subprocess.run([sys.argv[1], store, sys.argv[2]], capture_output=True, text=True,
                                timeout=240, check=False)
    lives = [line for line in result.stderr.splitlines() if line.startswith("life ")]
    print(result.stderr, end="")
    if result.returncode != 0:
        print(f"FAILED: exit {result.returncode}")
        return 1
    if result.stdout != "8 queens: 92\n10 queens: 724\n11 queens: 2680\n":
        print(f"FAILED: printed {result.stdout!r}")
        return 1
    if len(lives) < 3:
        print(f"FAILED: only {len(lives)} lives: the world was not closed and opened again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
