#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which rooms call which groups of the HAL, from the relocations of the built objects.

usage: callgraph.py [--svg FILE] [--allowed ROOMS:FILE]... ROOM=LIBRARY.a...
  --svg      write the picture
  --allowed  ROOMS (comma-separated) may need from outside, apart from base, only names of FILE
Prints each room's calls, then what crosses a border (BORDERS below are those of ARCHITECTURE.md,
"Rooms"). Exit status 1: something does. A call is a relocation: a place in the code that names a
function; a function that is called in a loop counts once for each place.
"""
import argparse
import collections
import re
import subprocess
import sys

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
}

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

RELOCATION = re.compile(r"^[0-9a-f]+\s+[0-9a-f]+\s+R_X86_64_(\w+)\s+[0-9a-f]+\s+(\S+)")


def defined_names(library):
    output = subprocess.run(["nm", "--defined-only", "--extern-only", "--format=posix", library],
                            capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in output.splitlines() if len(line.split()) >= 2}


def named_symbols(library):
    """Symbol -> in how many places the code of the library names it."""
    output = subprocess.run(["readelf", "--relocs", "--wide", library], capture_output=True, text=True,
                            check=True).stdout
    counts, code = collections.Counter(), False
    for line in output.splitlines():
        if line.startswith("Relocation section"):
            code = ".debug" not in line and ".eh_frame" not in line
        match = RELOCATION.match(line) if code else None
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
        self.libraries = libraries
        self.named = {room: named_symbols(path) for room, path in libraries.items()}
        self.home = {}
        for room, path in libraries.items():
            for name in defined_names(path):
                self.home.setdefault(name, room)

    def target(self, symbol):
        """(room, group) in which the symbol lives; None: outside of all rooms."""
        room = self.home.get(symbol)
        if room == "hal_posix":
            group = group_of(symbol, HAL_GROUPS)
            return ("hal", group) if group else (room, group_of(symbol, DOORS))
        return (room, None) if room else None

    def calls(self):
        """(room, target room, group) -> places"""
        counts = collections.Counter()
        for room, symbols in self.named.items():
            for symbol, places in symbols.items():
                target = self.target(symbol)
                if target and target[0] != room and not (room == "hal_posix" and target[0] == "hal"):
                    counts[(room, *target)] += places
        return counts

    def crossings(self, allowed):
        found = []
        for room, symbols in self.named.items():
            names = allowed.get(room)
            for symbol in sorted(symbols):
                target = self.target(symbol)
                if target and target[0] != room and target[0] not in BORDERS[room]:
                    found.append(f"{room} names {symbol} of {target[0]}, which it may not use")
                elif (names is not None and target and target[0] in ("hal", "hal_posix")
                      and symbol not in names):
                    found.append(f"{room} names {symbol} of {target[0]}, which is not on its list")
        return found


def box(x, y, width, label, colour):
    return (f'<rect x="{x}" y="{y}" width="{width}" height="26" rx="4" fill="{colour}" stroke="#444"/>\n'
            f'<text x="{x + width / 2}" y="{y + 18}" text-anchor="middle">{label}</text>\n')


def draw(calls):
    rooms = [room for room in BORDERS if any(key[0] == room and key[1] in ("hal", "hal_posix")
                                             for key in calls)]
    groups = [("hal", name) for name, _ in HAL_GROUPS] + [("hal_posix", name) for name, _ in DOORS]
    groups = [group for group in groups if any(key[1:] == group for key in calls)]
    step, left, right, width = 46, 30, 470, 150
    height = max(len(rooms), len(groups)) * step + 70
    left_y = {room: 60 + i * step * max(1, len(groups)) // max(1, len(rooms)) for i, room in enumerate(rooms)}
    right_y = {group: 60 + i * step for i, group in enumerate(groups)}
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="650" height="{height}" '
           f'viewBox="0 0 650 {height}" font-family="sans-serif" font-size="13">\n'
           f'<rect width="650" height="{height}" fill="white"/>\n'
           f'<text x="{left}" y="30" font-size="15">rooms</text>\n'
           f'<text x="{right}" y="30" font-size="15">groups of the HAL</text>\n']
    for (room, target, group), places in sorted(calls.items(), key=lambda item: -item[1]):
        if (target, group) in right_y and room in left_y:
            y1, y2 = left_y[room] + 13, right_y[(target, group)] + 13
            thick = 1 + min(7, places ** 0.5 / 2)
            colour = "#4a78b5" if target == "hal" else "#b57a3a"
            out.append(f'<path d="M{left + width},{y1} C{left + 260},{y1} {right - 110},{y2} {right},{y2}" '
                       f'fill="none" stroke="{colour}" stroke-width="{thick:.1f}" stroke-opacity="0.6">'
                       f'<title>{room} to {group}: {places} places</title></path>\n')
    for room in rooms:
        total = sum(places for key, places in calls.items() if key[0] == room and key[1] in ("hal", "hal_posix"))
        out.append(box(left, left_y[room], width, f"{room} ({total})", "#e8eef7"))
    for target, group in groups:
        total = sum(places for key, places in calls.items() if key[1:] == (target, group))
        out.append(box(right, right_y[(target, group)], width, f"{group} ({total})",
                       "#dcebdc" if target == "hal" else "#f5e6d3"))
    out.append(f'<text x="{left}" y="{height - 12}" font-size="11">Blue: what src/hal declares. Brown: doors '
               'of hal_posix, for space and runtime. Numbers: places in the code.</text>\n</svg>\n')
    return "".join(out)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage:")[1], description=__doc__.split("usage:")[0])
    parser.add_argument("--svg")
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
            file.write(draw(calls))
    crossings = graph.crossings(allowed)
    for crossing in crossings:
        print(crossing)
    print(f"{len(calls)} arrows, {sum(calls.values())} places, {len(crossings)} cross a border")
    return 1 if crossings or not calls else 0


if __name__ == "__main__":
    sys.exit(main())
