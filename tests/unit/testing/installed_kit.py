#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The complete example of docs/testing-your-program.md, as a stranger builds it: from an installed
prefix, in an empty folder, with the command that the document gives. Both libraries: shared, and
static with --static. The program is ended when its first campaign has passed; all of it is the test
`example tasks`.

    installed_kit.py --build DIR --source DIR --cc "cc"
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

FIRST_LINE = re.compile(r"^killed at each disk operation: (\d+) points, all is well$")


def command_of(document):
    """The line under "## Building"."""
    with open(document, encoding="utf-8") as file:
        text = file.read().split("## Building", 1)[1]
    return re.search(r"^    (cc tasks\.c .*)$", text, re.M).group(1)


def first_line(folder, library):
    environment = dict(os.environ, LD_LIBRARY_PATH=library)
    with subprocess.Popen(["stdbuf", "-oL", "./a.out"], cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE) as process:
        line = process.stdout.readline().rstrip("\n")
        process.kill()
    return line


def main():
    parser = argparse.ArgumentParser()
    for name in ("build", "source", "cc"):
        parser.add_argument("--" + name, required=True)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="phantom-kit-") as folder:
        root = os.path.join(folder, "root")
        subprocess.run(["meson", "install", "-C", a.build, "--no-rebuild", "--destdir", root],
                       check=True, stdout=subprocess.DEVNULL)
        found = glob.glob(root + "/**/phantom-testing.pc", recursive=True)[0]
        library = os.path.dirname(os.path.dirname(found))
        with open(found, encoding="utf-8") as file:
            prefix = re.search(r"^prefix=(.*)$", file.read(), re.M).group(1)
        words = a.cc.split()
        compiler = " ".join([shutil.which(words[0]), *words[1:]])  # or it would find itself
        # What was installed under DESTDIR is asked for as if it were at its place.
        tools = os.path.join(folder, "bin")
        os.mkdir(tools)
        for name, call in (("pkg-config", f'{shutil.which("pkg-config")} '
                                          f'--define-variable=prefix={root}{prefix} "$@"'),
                           ("cc", f'{compiler} "$@"')):
            with open(os.path.join(tools, name), "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\nexec {call}\n")
            os.chmod(os.path.join(tools, name), 0o755)
        environment = dict(os.environ, PATH=tools + ":" + os.environ["PATH"],
                           PKG_CONFIG_PATH=os.path.dirname(found))
        user = os.path.join(folder, "user")
        os.mkdir(user)
        for name in ("tasks.c", "tasks.h", "tasks_test.c"):
            shutil.copy(os.path.join(a.source, "examples", "testing", name), user)
        command = command_of(os.path.join(a.source, "docs", "testing-your-program.md"))
        build = command.split(" && ")[0]
        for line in (build, build.replace("--libs", "--libs --static")):
            if "--static" in line:
                for shared in glob.glob(library + "/libphantom-testing.so*"):
                    os.remove(shared)
            subprocess.run(["sh", "-ec", line], cwd=user, env=environment, check=True, timeout=120)
            printed = first_line(user, library)
            print(f"{line}\n  {printed}")
            if not FIRST_LINE.match(printed):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
