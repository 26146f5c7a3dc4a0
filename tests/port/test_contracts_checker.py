#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The test of the headers' comments sees what it is for: small headers with one thing missing, and the
real ones without their comments, of which each name must be reported.

usage: test_contracts_checker.py INCLUDE_DIR
"""
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import check_contracts  # noqa: E402

HEAD = "/* SPDX-License-Identifier: Apache-2.0\n *\n * x.h - a header.%s\n */\n#define WIDTH 1\n\n"

# what the head adds, the rest of the header, what is reported
CASES = [
    ("", "int f(void);\n",
     ["f: no comment above it", "f: nothing says @threads", "f: nothing says whether it blocks"]),
    ("", "/** Does f. Never blocks. @threads any */\nint f(void);\n", []),
    ("", "/** Does f. Never blocks. @threads any */\n\nint f(void);\n", ["f: no comment above it"]),
    ("", "/** Does f. Never blocks. @threads any */\nint f(void);\nvoid *g(int (*h)(void *), int a);\n", []),
    ("", "/** Does f. Never blocks. @threads any */\nint f(void);\n\nint g(void);\n",
     ["g: no comment above it", "g: nothing says @threads", "g: nothing says whether it blocks"]),
    ("", "/** Does f. May block. */\nint f(void);\n", ["f: nothing says @threads"]),
    ("", "/** Reads blocks of the disk; each block has a sum. @threads any */\nint f(void);\n",
     ["f: nothing says whether it blocks"]),
    (" @threads any. Never blocks.", "/** Does f. */\nint f(void);\nint g(void) __attribute__((noreturn));\n", []),
    (" @threads any. Never blocks.", "int f(void);\n", ["f: no comment above it"]),
    ("", "/* All: @threads any. Nothing here blocks. */\n\n/** Does f. */\nint f(void);\n\n"
         "/** g. */\nint g(void);\n", []),
    ("", "/** Twice. Never blocks. @threads any */\n#define TWICE(x) \\\n    ((x) + (x))\n#define FOUR 4\n", []),
    ("", "#define TWICE(x) ((x) + (x))\n",
     ["TWICE: no comment above it", "TWICE: nothing says @threads",
      "TWICE: nothing says whether it blocks"]),
    (" @threads any. Never blocks.", "typedef void (*call)(void *arg);\ntypedef int number;\n",
     ["call: no comment above it"]),
    (" @threads any. Never blocks.", "struct s {\n    int a;\n    void (*done)(int a);\n};\nextern int n;\n",
     ["done: no comment above it"]),
    (" @threads any. Never blocks.",
     "struct s {\n    int a;\n    void (*done)(int a); /* when it is */\n};\n", []),
    ("", "/** @threads any */\nint f(void); /* never blocks */\n_Static_assert(sizeof(int) == 4, \"int\");\n", []),
]


def told(findings):
    return [finding.split(": ", 1)[1] for finding in findings]


def check_cases():
    wrong = 0
    for head, rest, expected in CASES:
        findings, _ = check_contracts.check("x.h", HEAD % head + rest)
        if told(findings) != expected:
            print(f"{rest!r}: expected {expected}, reported {told(findings)}")
            wrong += 1
    return wrong


def check_bare(include):
    """Without comments, each name of each real header lacks all three."""
    wrong, names = 0, 0
    for folder, _, files in os.walk(include):
        for name in files:
            if not name.endswith(".h"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            _, count = check_contracts.check(name, text)
            findings, again = check_contracts.check(name, re.sub(r"/\*.*?\*/", "", text, flags=re.S))
            if again != count or len(findings) != 3 * count:
                print(f"{name} without comments: {len(findings)} findings for {count} names")
                wrong += 1
            names += count
    return wrong + (names == 0)


def check_program():
    """The program says where, and its status."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "deep"))
        for text, status, line in [("int f(void);\n", 1, "deep/x.h:7: f: no comment above it"),
                                   ("/** f. Never blocks. @threads any */\nint f(void);\n", 0, "1 headers, 1 "),
                                   ("", 1, "1 headers, 0 ")]:
            with open(os.path.join(folder, "deep", "x.h"), "w", encoding="utf-8") as file:
                file.write(HEAD % "" + text)
            result = subprocess.run([sys.executable, check_contracts.__file__, folder],
                                    capture_output=True, text=True, check=False)
            if result.returncode != status or line not in result.stdout:
                print(f"{text!r}: status {result.returncode}, {result.stdout}")
                wrong += 1
    return wrong


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    wrong = check_cases() + check_bare(sys.argv[1]) + check_program()
    print(f"{len(CASES)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
