#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which rooms call which groups of the HAL, from the relocations of the built objects.

usage: callgraph.py [--svg FILE] [--picture FILE] [--allowed ROOMS:FILE]... [--expect ROOM:NAME] ROOM=LIBRARY.a...
  --svg      write the picture (callgraph_picture.py)
  --picture  this picture must have the same arrows as the code
  --expect-stale  what must be said of it, and why the exit status is 0 then: proof that a stale one is seen
  --allowed  ROOMS (comma-separated) may need from outside, apart from base, only names of FILE
  --expect   this crossing, and no other, must be found: proof that one is. Then the exit status is 0
ROOM=LIBRARY.a:PART takes of a library only the objects whose names have PART in them; !PART: the others.
Prints each room's calls, then what crosses a border (BORDERS below are those of ARCHITECTURE.md,
"Rooms"). Exit status 1: something does. A call is a relocation: a place in the code that names a
function; a function that is called in a loop counts once for each place.
"""
import argparse
import collections
import re
import subprocess
import sys

from callgraph_picture import draw, stale_arrows

# Room -> rooms whose functions it may name. "hal" stands for what src/hal declares.
BORDERS = {
    "base": set(),
    "bytecode": {"base"},
    "heap": {"base", "hal"},
    "snapshot": {"base"},
    "hal_posix": {"base", "hal"},
    "pvm": {"heap", "bytecode", "base", "hal"},
    "space": {"snapshot", "hal_posix", "base", "hal"},
    "runtime": {"pvm", "snapshot", "heap", "hal_posix", "bytecode", "base", "hal"},
    "compiler": {"bytecode", "base"},
    "hal_sim": {"base", "hal"},
    "testing": {"hal_sim", "base", "hal", "phantom.h"},
    "port_hal": {"port_lib", "hal_posix", "base", "hal"},
    "port_lib": {"port_hal", "base", "hal", "phantom.h"},
}

# What is linked with a room, where that is not all the rooms on hal_posix: names are looked for in
# this order. port_base is what the port's library has of base and hal_posix, compiled once more.
# "phantom.h": the public names of the rooms behind it.
LINKED = {
    "hal_sim": ["hal_sim", "base"],
    "testing": ["testing", "hal_sim", "base", "phantom.h"],
    "port_hal": ["port_hal", "port_lib", "port_base", "phantom.h"],
    "port_lib": ["port_lib", "port_hal", "port_base", "phantom.h"],
}
ON_LINUX = ["base", "bytecode", "heap", "snapshot", "hal_posix", "pvm", "space", "runtime", "compiler"]
MACHINES = ("hal_posix", "hal_sim")  # implement what src/hal declares
BEHIND_PHANTOM_H = ["runtime", "space", "snapshot", "compiler"]

# Groups of the HAL, the first that fits: what src/hal declares, then the doors of hal_posix.
HAL_GROUPS = [
    ("threads", r"hal_start_thread|t_current_\w+|hal_thread_key_\w+|hal_cpu_count|hal_yield"),
    ("mutex, cond, sem", r"hal_(mutex|cond|sem)_\w+"),
    ("futex", r"hal_futex_\w+"),
    ("fence, fork", r"hal_fence_all\w*|hal_fork_flag_\w+"),
    ("time", r"hal_(system_time|sleep_msec|wall_time_ns|monotonic_ns)|fast_time"),
    ("random", r"hal_random"),
]
DOORS = [
    ("files", r"hal_files?_\w+"),
    ("memory", r"hal_(memory|heap|page|tracker|address|frozen|trap)\w*"),
    ("probe", r"hal_probe\w*"),
    ("other doors", r"\w+"),
]
# What the port's HAL is to port_lib, and the simulated machine to the kit.
PORT_GROUPS = [
    ("port: threads", r"hal_start_\w+|hal_exit_kernel_thread|t_\w+|get_current_\w+|thread_block"),
    ("port: spin, atomic", r"hal_(wired_)?spin_\w+|atomic_\w+"),
    ("port: memory", r"hal_(pv|alloc|free|page|copy|object|addr|check)\w*|memcpy_\w+"),
    ("port: disks", r"disk_\w+|pager_io_\w+|phantom_(sync|register)\w+|partGetName"),
    ("port: instance, other", r"\w+"),
]
SIM_GROUPS = [("simulated machine", r"\w+")]

RELOCATION = re.compile(r"^[0-9a-f]+\s+[0-9a-f]+\s+R_X86_64_(\w+)\s+[0-9a-f]+\s+(\S+)")


def of_part(line, part):
    """Is this line of nm or readelf the beginning of an object that counts? None: it begins none."""
    match = re.match(r"(?:File: )?\S+[\[(](\S+)[\])]:?$", line)
    if not match:
        return None
    return not part or (part[1:] not in match.group(1) if part[0] == "!" else part in match.group(1))


def defined_names(library, part=None):
    output = subprocess.run(["nm", "--defined-only", "--extern-only", "--format=posix", library],
                            capture_output=True, text=True, check=True).stdout
    names, counts = set(), True
    for line in output.splitlines():
        begins = of_part(line, part)
        if begins is not None:
            counts = begins
        elif counts and len(line.split()) >= 2:
            names.add(line.split()[0])
    return names


def named_symbols(library, part=None):
    """Symbol -> in how many places the code of the library names it."""
    output = subprocess.run(["readelf", "--relocs", "--wide", library], capture_output=True, text=True,
                            check=True).stdout
    counts, code, counted = collections.Counter(), False, True
    for line in output.splitlines():
        begins = of_part(line, part)
        if begins is not None:
            counted = begins
        if line.startswith("Relocation section"):
            code = ".debug" not in line and ".eh_frame" not in line
        match = RELOCATION.match(line) if code and counted else None
        if match:
            counts[match.group(2).split("@")[0]] += 1
    return counts


def group_of(symbol, groups):
    for name, pattern in groups:
        if re.fullmatch(pattern, symbol):
            return name
    return None


def read_names(path):
    with open(path, encoding="utf-8") as lines:
        return {line.split("#")[0].strip() for line in lines} - {""}


class Graph:
    def __init__(self, libraries):
        parts = {room: (path.split(":", 1) + [None])[:2] for room, path in libraries.items()}
        self.named = {room: named_symbols(*parts[room]) for room in libraries if room in BORDERS}
        self.defined = {room: defined_names(*parts[room]) for room in libraries}
        self.defined["phantom.h"] = {name for room in BEHIND_PHANTOM_H
                                     for name in self.defined.get(room, ())
                                     if name.startswith("phantom_")}

    def target(self, room, symbol):
        """(room, group) in which the symbol lives for that room; None: outside of all rooms."""
        for home in LINKED.get(room, ON_LINUX):
            if symbol not in self.defined.get(home, ()):
                continue
            if home in ("hal_posix", "hal_sim", "port_base"):
                group = group_of(symbol, HAL_GROUPS)
                if group:
                    return ("hal", group)
            if home == "hal_posix":
                return (home, group_of(symbol, DOORS))
            if home == "port_base":
                return ("base", None) if symbol.startswith("ph_") else ("hal_posix", group_of(symbol, DOORS))
            if home == "port_hal":
                return (home, group_of(symbol, PORT_GROUPS))
            return (home, group_of(symbol, SIM_GROUPS) if home == "hal_sim" else None)
        return None

    def calls(self):
        """(room, target room, group) -> places"""
        counts = collections.Counter()
        for room, symbols in self.named.items():
            for symbol, places in symbols.items():
                target = self.target(room, symbol)
                if target and target[0] != room and not (room in MACHINES and target[0] == "hal"):
                    counts[(room, *target)] += places
        return counts

    def crossings(self, allowed):
        found = []
        for room, symbols in self.named.items():
            names = allowed.get(room)
            for symbol in sorted(symbols):
                target = self.target(room, symbol)
                if target and target[0] != room and target[0] not in BORDERS[room]:
                    found.append(f"{room} names {symbol} of {target[0]}, which it may not use")
                elif (names is not None and target and target[0] in ("hal", "hal_posix")
                      and symbol not in names):
                    found.append(f"{room} names {symbol} of {target[0]}, which is not on its list")
        return found


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage:")[1], description=__doc__.split("usage:")[0])
    parser.add_argument("--svg")
    parser.add_argument("--picture")
    parser.add_argument("--expect")
    parser.add_argument("--expect-stale")
    parser.add_argument("--allowed", action="append", default=[])
    parser.add_argument("libraries", nargs="+")
    arguments = parser.parse_args()
    libraries = dict(entry.split("=", 1) for entry in arguments.libraries)
    allowed = {}
    for entry in arguments.allowed:
        rooms, path = entry.split(":", 1)
        for room in rooms.split(","):
            allowed[room] = read_names(path)
    graph = Graph(libraries)
    calls = graph.calls()
    for (room, target, group), places in sorted(calls.items(), key=lambda item: tuple(map(str, item[0]))):
        print(f"{room:10} -> {target}{': ' + group if group else '':24} {places:5}")
    if arguments.svg:
        with open(arguments.svg, "w", encoding="utf-8") as file:
            file.write(draw(calls, [name for name, _ in HAL_GROUPS + DOORS + PORT_GROUPS]))
    stale = []
    if arguments.picture:
        with open(arguments.picture, encoding="utf-8") as file:
            stale = stale_arrows(file.read(), calls)
        for finding in stale:
            print(f"{arguments.picture}: {finding} (make it anew with --svg)")
    if arguments.expect_stale:
        return 0 if arguments.expect_stale in stale else 1
    crossings = graph.crossings(allowed)
    for crossing in crossings:
        print(crossing)
    print(f"{len(calls)} arrows, {sum(calls.values())} places, {len(crossings)} cross a border")
    if arguments.expect:
        room, name = arguments.expect.split(":")
        return 0 if len(crossings) == 1 and crossings[0].startswith(f"{room} names {name} of ") else 1
    return 1 if crossings or stale or not calls else 0


if __name__ == "__main__":
    sys.exit(main())
