#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The interface test sees what it is for: each seeded fault in a copy of the headers is reported, for
the row it was made in, and nothing else.

usage: test_interface_checker.py INCLUDE_DIR CC [ARGUMENTS...]
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# header, what is replaced, by what, rows that must be reported
FAULTS = [
    ("ph_string.h", "size_t ph_strlen(const char *string);", "", ["function ph_strlen"]),
    ("ph_string.h", "size_t ph_strlen(const char *string);", "int ph_strlen(const char *string);",
     ["function ph_strlen"]),
    ("ph_string.h", "ssize_t count);", "size_t count);", ["function ph_strncpy"]),
    ("event.h", "#define UI_EVENT_TYPE_GLOBAL 8", "#define UI_EVENT_TYPE_GLOBAL 9",
     ["constant UI_EVENT_TYPE_GLOBAL"]),
    ("svn_version.h", '"0.2"', '"0.3"', ["constant PHANTOM_VERSION_STR"]),
    ("video/rect.h", "    int xsize;", "    long xsize;", ["field rect.xsize"]),
    ("queue.h", "    struct queue_entry *next;", "    void *more;\n    struct queue_entry *next;",
     ["field queue_entry.next"]),
    ("queue.h", "#define queue_last(q)", "#define queue_newest(q)", ["macro queue_last"]),
    ("kernel/pool.h", "typedef int pool_handle_t;", "typedef long pool_handle_t;",
     ["type pool_handle_t"]),
    ("testenv.h", "#define test_check_eq(expr, val)", "#define test_check_eq(expr, val, more)",
     ["macro test_check_eq"]),
    ("test.h", "int do_test_amap(const char *test_parm);", "int do_test_amap(void);",
     ["callback do_test_amap"]),
    ("ph_random.h", "long ph_random(void);", "long ph_random();", ["function ph_random"]),
    ("kernel/pool.h", "pool_t *create_pool(void);", "pool_t *create_pool(int more);",
     ["function create_pool"]),
    ("hal.h", "    long object_vsize;", "    short object_vsize;",
     ["hardware_abstraction_level.object_vsize"]),
    ("misc.h", "#include \"phantom_types.h\"", "#include \"nothing.h\"", ["header misc.h"]),
    ("misc.h", None, None, ["header misc.h"]),
]


def reported(include, header, work, compiler, more=()):
    result = subprocess.run([sys.executable, os.path.join(HERE, "check_interface.py"), "--include", include,
                             "--work", work, "--only", header, *more, "--"] + compiler,
                            capture_output=True, text=True, check=False)
    rows = [line.split(": ")[1].split(" ", 1)[1] for line in result.stdout.splitlines()
            if line.startswith("row ")]
    rows += [line.split(": ")[0].split(" ", 1)[1] for line in result.stdout.splitlines()
             if ": is not " in line]
    return result.returncode, sorted(rows)


def links_with_nothing(include, work, compiler):
    """Rows that are reported when the library is empty."""
    library = os.path.join(work, "libnothing.so")
    subprocess.run(compiler + ["-shared", "-fPIC", "-x", "c", "-o", library, "-"], input="", text=True,
                   check=True)
    return reported(include, "ph_random.h", work, compiler, ["--library", library])


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    include, compiler = sys.argv[1], sys.argv[2:]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        work = os.path.join(folder, "work")
        for header, old, new, expected in FAULTS:
            copy = os.path.join(folder, "include")
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(include, copy)
            path = os.path.join(copy, header)
            if old is None:
                os.remove(path)
            else:
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                if old not in text:
                    print(f"{header} has no such place: {old}")
                    wrong += 1
                    continue
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text.replace(old, new, 1))
            status, rows = reported(copy, header, work, compiler)
            names = [row.split(":")[0] for row in rows]
            if status == 0 or not set(expected) <= set(names) or len(names) > len(expected) + 4:
                print(f"{header}: {old!r} -> {new!r}: expected {expected}, reported {names}")
                wrong += 1
        for header in sorted({fault[0] for fault in FAULTS}):
            status, rows = reported(include, header, work, compiler)
            if status != 0:
                print(f"{header} as it is: {rows}")
                wrong += 1
        status, rows = links_with_nothing(include, work, compiler)
        if status == 0 or rows != ["function ph_random"]:
            print(f"an empty library: reported {rows}")
            wrong += 1
    print(f"{len(FAULTS) + 1} faults, {wrong} not seen as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
