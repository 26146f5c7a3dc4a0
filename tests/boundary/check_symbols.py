#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hold the symbols of built libraries against the rules of ARCHITECTURE.md, "Rooms".

usage: check_symbols.py rooms ALLOWED_FILE BASE.a LIBRARY.a...   what the libraries need is in one of
                                 them, in the base room (whose own needs do not count), or allowed
       check_symbols.py exports LIBRARY.so                only phantom_ names are exported
       check_symbols.py apart LIBRARY.so PORT.so          no name of the port is exported by both
       check_symbols.py static [--expect NAME] LIBRARY.so LIBRARY.a...   who links the static libraries
                                 sees just what the shared one exports; --expect: and just this name
"""
import re
import subprocess
import sys

# What a compiler, not a programmer, puts into an object file.
FROM_THE_COMPILER = re.compile(r"^(__asan_|__ubsan_|__tsan_|__lsan_|__sanitizer_|__gcov_|__llvm_|"
                               r"_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__sancov_)")


def symbols(path, flag):
    output = subprocess.run(["nm", flag, "--format=posix", path], capture_output=True, text=True,
                            check=True).stdout
    return {line.split()[0] for line in output.splitlines() if len(line.split()) >= 2}


def check_rooms(allowed_file, libraries):
    with open(allowed_file, encoding="utf-8") as lines:
        allowed = {line.split("#")[0].strip() for line in lines} - {""}
    defined, undefined = symbols(libraries[0], "--defined-only"), {}
    for library in libraries[1:]:
        defined |= symbols(library, "--defined-only")
        for name in symbols(library, "--undefined-only"):
            undefined.setdefault(name, library)
    crossing = {name: library for name, library in undefined.items()
                if name not in defined and name not in allowed
                and not FROM_THE_COMPILER.match(name)}
    for name, library in sorted(crossing.items()):
        print(f"{library} needs {name}, which is neither of the HAL nor on the list {allowed_file}")
    unused = {name for name in allowed if name not in undefined}
    print(f"{len(undefined)} undefined names, {len(defined)} defined, {len(crossing)} cross the "
          f"border; {len(unused)} allowed names are not used")
    return 1 if crossing or not defined else 0


def check_exports(library):
    output = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                            capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].split("@")[0] for line in output.splitlines()}
    names -= {"PHANTOM_0", "PHANTOM_TESTING_0"}
    strangers = {name for name in names if not name.startswith("phantom_")
                 and not FROM_THE_COMPILER.match(name)}
    for name in sorted(strangers):
        print(f"{library} exports {name}")
    print(f"{len(names)} exported names, {len(strangers)} of them are not ours to export")
    return 1 if strangers or "phantom_open" not in names else 0


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                            capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in output.splitlines()}


def check_static(arguments):
    expected = set()
    if arguments[0] == "--expect":
        expected, arguments = {arguments[1]}, arguments[2:]
    shared = {name for name in exported(arguments[0]) if not re.fullmatch(r"PHANTOM_[A-Z0-9_]+", name)}
    seen = set()
    for library in arguments[1:]:
        output = subprocess.run(["nm", "--extern-only", "--defined-only", "--format=posix", library],
                                capture_output=True, text=True, check=True).stdout
        seen |= {line.split()[0] for line in output.splitlines() if len(line.split()) >= 2}
    seen -= {"_.stapsdt.base"}  # of the probes, weak and hidden: all objects of a program share it
    seen = {name for name in seen if not FROM_THE_COMPILER.match(name)}
    for name in sorted(seen - shared):
        print(f"{name} is seen by those who link {' '.join(arguments[1:])}")
    for name in sorted(shared - seen):
        print(f"{name} is exported by {arguments[0]} only")
    print(f"{len(seen)} names, {len(seen - shared)} too many, {len(shared - seen)} too few")
    return 0 if shared and seen - shared == expected and not shared - seen else 1


def check_apart(library, port):
    both = {name for name in exported(library) & exported(port)
            if not FROM_THE_COMPILER.match(name)}
    for name in sorted(both):
        print(f"{name} is exported by {library} and by {port}")
    there = {"panic", "hal_mutex_lock", "disk_enqueue", "set_net_timer"} <= exported(port)
    print(f"{len(exported(port))} names of the port, {len(both)} of them elsewhere, too")
    return 1 if both or not there else 0


def main():
    if len(sys.argv) >= 4 and sys.argv[1] == "rooms":
        return check_rooms(sys.argv[2], sys.argv[3:])
    if len(sys.argv) == 4 and sys.argv[1] == "apart":
        return check_apart(sys.argv[2], sys.argv[3])
    if len(sys.argv) >= 4 and sys.argv[1] == "static":
        return check_static(sys.argv[2:])
    if len(sys.argv) == 3 and sys.argv[1] == "exports":
        return check_exports(sys.argv[2])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
