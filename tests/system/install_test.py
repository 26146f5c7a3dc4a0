#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed is enough: hosts are compiled with pkg-config from a staged prefix, and run.

usage: install_test.py [--rooms ROOM.a,... | --expect-clash ROOM.a,...] MESON BUILD CC...
A host of phantom.h and one of the port's headers are built with nothing but the installed files. The
program of the first one may need only phantom_ names of the library.
  --rooms         instead: a host that has a function of its own for each name that the rooms have among
                  themselves (hal_init, panic, ...) is linked with the static libraries, and its data is
                  there after a reopening; none of its functions is called
  --expect-clash  the same host does not link with the rooms' plain archives: proof that names clash
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


# Its store is in the folder argv[1]. What the rooms call by these names must not come here.
STATIC_HOST = """#include <phantom/phantom.h>
#include <phantom/space.h>
#include <stdio.h>
#include <string.h>
static int one_life(const char *path, int life)
{
    struct phantom_space *space;
    if (phantom_space_open(path, NULL, &space, NULL) != 0) { return 1; }
    int *counter = phantom_space_root(space, "counter");
    phantom_space_enter(space);
    if (counter == NULL) {
        counter = phantom_space_malloc(space, sizeof(*counter));
        *counter = 0;
        (void)phantom_space_set_root(space, "counter", counter);
    }
    *counter += 1;
    int now = *counter;
    phantom_space_leave(space);
    int rc = phantom_space_commit(space);
    return phantom_space_close(space) | rc | (now != life);
}
int main(int argc, char **argv)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/store.phantom", argv[argc - 1]);
    for (int life = 1; life <= 3; life++) { if (one_life(path, life) != 0) { return life; } }
    printf("three lives\\n");
    return 0;
}
"""


def run(command, **more):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def install(meson, build, stage):
    """(folder of the libraries, what to ask pkg-config with, environment)"""
    run([meson, "install", "-C", build, "--no-rebuild", "--destdir", stage])
    folders = [path for path, _, files in os.walk(stage) if "phantom.pc" in files]
    assert len(folders) == 1, folders
    library = os.path.dirname(folders[0])
    with open(os.path.join(folders[0], "phantom.pc"), encoding="utf-8") as file:
        prefix = next(line.split("=", 1)[1].strip() for line in file if line.startswith("prefix="))
    ask = ["pkg-config", f"--define-variable=prefix={stage}{prefix}"]
    return library, ask, dict(os.environ, PKG_CONFIG_PATH=folders[0], LD_LIBRARY_PATH=library)


def names_of(rooms):
    """Functions that the rooms have among themselves, and a host may have, too."""
    names = set()
    for room in rooms:
        rows = [line.split() for line in run(["nm", "--extern-only", "--defined-only", "--format=posix", room])
                .splitlines()]
        names |= {row[0] for row in rows if len(row) >= 3 and row[1] == "T"}
    return sorted(name for name in names if not name.startswith(("phantom_", "__wrap_")))


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def functions_of_the_host(names, stage):
    """An object in which each name is a function that ends the program."""
    source = write(os.path.join(stage, "own.c"),
                   "#include <stdlib.h>\n" + "".join(f"void {name}(void); void {name}(void) {{ abort(); }}\n"
                                                     for name in names))
    return ["-w", "-fno-builtin", source]


def static_host(meson, build, cc, rooms):
    """Each library with its shared sister taken away."""
    with tempfile.TemporaryDirectory() as stage:
        library, ask, environment = install(meson, build, stage)
        for path in os.listdir(library):
            if ".so" in path:
                os.remove(os.path.join(library, path))
        names = names_of(rooms)
        assert {"hal_start_thread", "hal_mutex_lock", "panic", "hal_init", "ph_fail"} <= set(names), names
        of_the_port = set(names_of([os.path.join(library, "libphantom-port.a")]))
        for name, text, own in (("phantom", STATIC_HOST, names), ("phantom-testing", HOST, names),
                                ("phantom-port", PORT, [n for n in names if n not in of_the_port])):
            source, program = write(os.path.join(stage, name + ".c"), text), os.path.join(stage, name)
            flags = run(ask + ["--static", "--cflags", "--libs", name], env=environment).split()
            run(cc + ["-D_GNU_SOURCE", *functions_of_the_host(own, stage), source, "-o", program] + flags)
            folder = os.path.join(stage, "store-" + name)
            os.mkdir(folder)
            print(f"{name}: {len(own)} functions of the host,", run([program, folder]).strip())
            dynamic = run(["readelf", "--dynamic", program])
            assert "libphantom" not in dynamic, dynamic
    return 0


def expect_clash(cc, rooms):
    with tempfile.TemporaryDirectory() as stage:
        source = write(os.path.join(stage, "host.c"), "int phantom_open(void); int main(void) { return phantom_open(); }\n")
        result = subprocess.run(cc + [*functions_of_the_host(names_of(rooms), stage), source, "-o",
                                      os.path.join(stage, "host"), "-Wl,--whole-archive", *rooms],
                                capture_output=True, text=True, check=False)
        print(result.stderr.count("multiple definition"), "names clash")
        return 0 if result.returncode != 0 and "multiple definition of `hal_mutex_lock'" in result.stderr else 1


def main(meson, build, cc):
    with tempfile.TemporaryDirectory() as stage:
        library, ask, environment = install(meson, build, stage)
        for name, text in (("phantom", HOST), ("phantom-port", PORT)):
            source, program = os.path.join(stage, name + ".c"), os.path.join(stage, name)
            write(source, text)
            flags = run(ask + ["--cflags", "--libs", name], env=environment).split()
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
    if sys.argv[1] == "--expect-clash":
        sys.exit(expect_clash(sys.argv[5:], sys.argv[2].split(",")))
    if sys.argv[1] == "--rooms":
        sys.exit(static_host(sys.argv[3], os.path.abspath(sys.argv[4]), sys.argv[5:], sys.argv[2].split(",")))
    sys.exit(main(sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]))
