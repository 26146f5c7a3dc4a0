#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_pvm_pause, small: what it counts and writes, not how fast anything was.

    check_pvm_pause.py BENCH DIR       DIR: where the classes are and its files go
"""
import json
import os
import subprocess
import sys
import tempfile

ASKED = 5
SERIES = ("count", "p50", "p99", "max")


def check(ok, what):
    if not ok:
        sys.exit("check_pvm_pause: " + what)


def check_series(name, series):
    check(tuple(series) == SERIES, f"{name}: {series}")
    check(series["p50"] <= series["p99"] <= series["max"], f"{name} is not in order: {series}")


def check_row(row):
    name = f"{row['strategy']}, {row['workers']} workers"
    check(row["snapshots_asked"] == ASKED, f"{name}: asked for {row['snapshots_asked']}")
    check(row["snapshots"] + row["refused"] == ASKED, f"{name}: {row['snapshots']} taken")
    check(row["pause_ns"]["count"] == row["pause_cpu_ns"]["count"] == ASKED - row["refused"],
          f"{name}: {row['pause_ns']['count']} pauses")
    check_series(name, row["pause_ns"])
    used = 0
    for kind in ("snapshot", "bare", "busy"):
        for what in ("stop_wait_ns", "gap_ns", "wake_ns"):
            check_series(f"{name}, {kind}, {what}", row[kind][what])
        check(row[kind]["gap_ns"]["max"] >= row[kind]["wake_ns"]["max"],
              f"{name}, {kind}: longer awake than the gap")
        used += row[kind]["gap_ns"]["count"]
    stops = used + row["stops_beside_collections"] + row["stops_unseen"]
    check(stops <= 3 * ASKED, f"{name}: {stops} stops")
    check(stops == 3 * ASKED or row["refused"] or row["stops_refused"], f"{name}: {stops} stops only")
    check(row["pages_written"] > 0 or row["snapshots"] == 0, f"{name}: the world changed nothing")


def main():
    with tempfile.TemporaryDirectory(dir=sys.argv[2], prefix="pvm-pause-") as folder:
        path = os.path.join(folder, "quick.json")
        done = subprocess.run([sys.argv[1], "--quick", "--classes", sys.argv[2], "--dir", folder,
                               "--json", path], check=False)
        check(done.returncode == 0, f"exit {done.returncode}")
        check(os.listdir(folder) == ["quick.json"], f"left behind: {os.listdir(folder)}")
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    check(result["bench"] == "pvm_pause" and result["vm_threads"] == 4, "not its JSON")
    rows = result["rows"]
    ran = [(row["strategy"], row["workers"]) for row in rows]
    check(ran[:2] == [("epoch", 1), ("epoch", 2)], f"epoch works on any kernel, but: {ran}")
    check(len(set(ran)) == len(ran), f"twice: {ran}")
    for row in rows:
        check_row(row)


if __name__ == "__main__":
    main()
