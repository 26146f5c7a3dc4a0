#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A static library that shows what its shared sister shows, and nothing else.

usage: static_library.py --names LIBRARY.so [--wrap NAME]... -o LIBRARY.a ROOM.a... -- CC...
In an archive of plain objects every name that one file takes from another is seen by whoever links
it. So the objects of the rooms are joined to one; names that LIBRARY.so does not export become
local to it. --wrap: as the linker's option, for the calls of these rooms only.
"""
import argparse
import os
import subprocess
import sys
import tempfile

# Of the probes, weak and hidden: all objects of a program share it.
SHARED_BY_ALL = ["_.stapsdt.base"]


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                            capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return sorted({row[0].split("@")[0] for row in rows if row[1] != "A"})


def main():
    compiler = sys.argv[sys.argv.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", required=True)
    parser.add_argument("--wrap", action="append", default=[])
    parser.add_argument("--ar", default="ar")
    parser.add_argument("--objcopy", default="objcopy")
    parser.add_argument("-o", required=True, dest="out")
    parser.add_argument("rooms", nargs="+")
    a = parser.parse_args(sys.argv[1:sys.argv.index("--")])
    name = os.path.basename(a.out).removeprefix("lib").removesuffix(".a") + ".o"
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(a.out))) as folder:
        joined, keep = os.path.join(folder, name), os.path.join(folder, "names")
        with open(keep, "w", encoding="utf-8") as file:
            file.write("\n".join(exported(a.names) + SHARED_BY_ALL) + "\n")
        wrapped = [f"-Wl,--wrap={function}" for function in a.wrap]
        subprocess.run(compiler + ["-r", "-nostdlib", *wrapped, "-Wl,--whole-archive", *a.rooms,
                                   "-Wl,--no-whole-archive", "-o", joined], check=True)
        subprocess.run([a.objcopy, f"--keep-global-symbols={keep}", joined], check=True)
        archive = os.path.join(folder, os.path.basename(a.out))
        subprocess.run([a.ar, "crsD", archive, joined], check=True)
        os.replace(archive, a.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
