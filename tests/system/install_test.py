#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed is enough: hosts are compiled with pkg-config from a staged prefix, and run.

usage: install_test.py MESON BUILD CC...
A host of phantom.h and one of the port's headers are built with nothing but the installed files. The
program of the first one may need only phantom_ names of the library.
"""
import os
import subprocess
import sys
import tempfile

HOST = """#include <phantom/phantom.h>
#include <stdio.h>
int main(void) { printf("%s\\n", phantom_err_name(PHANTOM_EBUSY)); return 0; }
"""
PORT = """#include <hal.h>
#include <threads.h>
#include <kernel/mutex.h>
int main(void)
{
    hal_mutex_t m;
    int rc = hal_mutex_init(&m, "m") + hal_mutex_lock(&m) + hal_mutex_unlock(&m);
    return rc + hal_mutex_destroy(&m) + (get_current_tid() < 0);
}
"""


def run(command, **more):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def main(meson, build, cc):
    with tempfile.TemporaryDirectory() as stage:
        run([meson, "install", "-C", build, "--no-rebuild", "--destdir", stage])
        folders = [path for path, _, files in os.walk(stage) if "phantom.pc" in files]
        assert len(folders) == 1, folders
        library = os.path.dirname(folders[0])
        prefix = next(line.split("=", 1)[1].strip() for line in open(os.path.join(folders[0], "phantom.pc"),
                                                                     encoding="utf-8")
                      if line.startswith("prefix="))
        environment = dict(os.environ, PKG_CONFIG_PATH=folders[0], LD_LIBRARY_PATH=library)
        for name, text in (("phantom", HOST), ("phantom-port", PORT)):
            source, program = os.path.join(stage, name + ".c"), os.path.join(stage, name)
            with open(source, "w", encoding="utf-8") as file:
                file.write(text)
            flags = run(["pkg-config", f"--define-variable=prefix={stage}{prefix}", "--cflags", "--libs", name], env=environment).split()
            assert all(build not in flag for flag in flags), flags
            run(cc + ["-D_GNU_SOURCE", source, "-o", program] + flags + ["-Wl,--allow-shlib-undefined"])
            print(name, run([program], env=environment).strip())
        needed = run(["nm", "-D", "--undefined-only", "--format=posix", os.path.join(stage, "phantom")])
        exported = run(["nm", "-D", "--defined-only", "--format=posix", os.path.join(library, "libphantom.so")])
        strangers = {line.split()[0].split("@")[0] for line in exported.splitlines()}
        strangers = {n for n in strangers if not n.startswith("phantom_") and not n.startswith("PHANTOM_")}
        assert "phantom_err_name" in needed, needed
        assert not strangers, strangers
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]))
