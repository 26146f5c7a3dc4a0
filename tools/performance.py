#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The goals beside the figures of bench/baselines, as docs/performance.md.

    tools/performance.py SOURCE           writes docs/performance.md
    tools/performance.py SOURCE --check   says whether it is what the baselines give (exit 1: no)
"""
import json
import os
import sys

HEAD = """# Goals and figures

Written by `tools/performance.py` from `bench/baselines`; a test compares. Each figure was measured beside its
peer in one run of `./dev bench NAME`; medians, and where a row stands for several measurements the worst of them.

| goal | measured | figure | met |
| --- | --- | --- | --- |
"""
NEVER = "not measured: there is no baseline"


def load(source, name):
    with open(os.path.join(source, "bench", "baselines", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def slope(points):
    """Of the straight line through (GiB, us) with the least squares."""
    x = sum(p[0] for p in points) / len(points)
    y = sum(p[1] for p in points) / len(points)
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def verdict(good, why):
    return "yes" if good else "no: " + why


def span(ns):
    return f"{min(ns) / 1e3:.0f} to {max(ns) / 1e3:.0f} us"


def pvm_pauses(bench):
    rows = bench["rows"]
    remark = ", " + bench["remark"] if "remark" in bench else ""

    def live(strategy):
        mib = sorted({r["live_mib"] for r in rows if r["strategy"] == strategy})
        taken = [r["snapshots"] for r in rows if r["strategy"] == strategy]
        return (f"graphs of {mib[0]} to {mib[-1]} MiB, {min(taken)} to {max(taken)} snapshots each"
                + remark)

    for workers in (1, 2):
        own = [r for r in rows if (r["strategy"], r["workers"]) == ("epoch", workers)]
        name = f"`epoch`, {workers} worker" + "s" * (workers > 1)
        pause = [r["pause_ns"]["p99"] for r in own]
        where = max(own, key=lambda r: r["pause_ns"]["p99"])
        yield ("pause, PVM with `epoch`: p99 <= 100 us beyond the wake-up", f"{name}, {live('epoch')}; the "
               "engine's report, from all parked to resume", f"p99 {span(pause)}, p50 "
               f"{span([r['pause_ns']['p50'] for r in own])}", verdict(max(pause) <= 100e3,
               f"of {where['snapshots']} stops there {where['pauses_slept']} waited for the disk and "
               f"{where['pauses_preempted']} lost their processor"))
        beyond = {p: [r["snapshot"]["gap_ns"][p] - r["busy"]["gap_ns"][p] for r in own]
                  for p in ("p50", "p99")}
        alone = [r["bare"]["gap_ns"]["p99"] for r in own]
        busy = [r["busy"]["gap_ns"]["p99"] for r in own]
        yield ("the same, as the program's threads see it", f"{name}; their longest gap less that of a "
               "stop without a snapshot, with as much computing behind it", f"p99 {span(beyond['p99'])}, "
               f"p50 {span(beyond['p50'])}", verdict(max(*beyond["p99"], *beyond["p50"]) <= 100e3,
               f"gaps of that stop have a p99 of {span(busy)}, of one with nothing behind it {span(alone)}"))
    for strategy in ("cards", "async", "fork"):
        own = [r for r in rows if r["strategy"] == strategy]
        if own:
            yield (f"the same pause with `{strategy}`", f"1 and 2 workers, {live(strategy)}",
                   f"p99 {span([r['pause_ns']['p99'] for r in own])}, p50 "
                   f"{span([r['pause_ns']['p50'] for r in own])}", "beside")


def pauses(source, snapshot):
    rows = snapshot["snapshots"]

    def of(strategy, mode, pages, what):
        return [(r["heap_mib"] / 1024, r["mutators"], what(r)) for r in rows
                if (r["strategy"], r["mode"], r["dirty_pages"]) == (strategy, mode, pages)]

    for strategy in ("async", "async+marks"):
        for pages in (1000, 10000):
            ratios = [v for *_, v in of(strategy, "hot", pages, lambda r: r["pause_ratio_p50"])]
            yield (f"pause, {pages} hot pages: <= 1.5x a bare scan and copy", f"`{strategy}`, "
                   f"{len(ratios)} rows of 64 MiB to 8 GiB, 1 and 2 mutators",
                   f"{min(ratios):.2f} to {max(ratios):.2f}x",
                   verdict(max(ratios) <= 1.5, "see the baseline"))
    for mutators in (1, 2):
        points = [(gib, us) for gib, m, us in of("async+marks", "hot", 1000,
                                                 lambda r: r["pause_ns"]["p50"] / 1e3)
                  if m == mutators]
        us = slope(points)
        bare = slope([(gib, us) for gib, m, us in of("async+marks", "hot", 1000,
                                                     lambda r: r["copy_ns"]["p50"] / 1e3)
                      if m == mutators])
        yield ("the same, slope with page marks: < 50 us/GiB", f"`async+marks`, {mutators} mutator"
               + "s" * (mutators > 1), f"{us:.0f} us/GiB",
               verdict(us < 50, "a stop that only copies as many pages grows, too, "
                       f"by {bare:.0f} us/GiB"))
    for strategy in ("async", "async+marks", "cards"):
        rows_of = of(strategy, "once", 1000, lambda r: r["pause_ns"]["p50"] / 1e3)
        us = [v for *_, v in rows_of]
        region = max(v / (gib * 512) for gib, _, v in rows_of)
        yield ("pause, 1000 pages dirtied once: <= 100 us", f"`{strategy}`",
               f"{min(us):.0f} to {max(us):.0f} us", verdict(max(us) <= 100, "without marks the stop asks the kernel about the whole heap, "
                       f"up to {region:.1f} us for each 2 MiB"))
    yield ("pause of fork() with the same heap (what Redis does)", "64 MiB to 8 GiB", ", ".join(
        f"{f['fork_ns'] / 1e6:.1f}" for f in snapshot["forks"]) + " ms", "beside")
    yield ("frozen time of CRIU after a pre-dump", "64 MiB, 1 GiB; 1000 hot pages",
           snapshot.get("criu", "not in this baseline"), "beside")
    yield from pvm_pauses(load(source, "pvm_pause"))
    for strategy in ("async", "async+marks", "cards"):
        firsts = [r for r in snapshot["first_snapshot"] if r["strategy"] == strategy]
        ratios = [r["ratio"] for r in firsts]
        below = ", ".join(str(r["heap_mib"]) for r in firsts if r["ratio"] < 0.9)
        yield ("bandwidth: >= 90 % of fio's sequential O_DIRECT write", f"`{strategy}`, 64 MiB to 8 GiB",
               f"{min(ratios) * 100:.0f} to {max(ratios) * 100:.0f} %",
               verdict(min(ratios) >= 0.9, f"below it with a heap of {below} MiB"))


def commits(disk, kv):
    one = next(c for c in disk["commits"] if c["pages"] == 1)
    for how in ("commit, io_uring", "commit, pwrite threads"):
        rate = one[how]["least_to_it"]
        yield ("tiny commits: >= 80 % of the device's write+flush rate", f"1 page, {how[8:]}",
               f"{rate * 100:.0f} % of 4 KiB, {one[how]['bare_to_it'] * 100:.0f} % of the same bytes",
               verdict(rate >= 0.8, "three blocks are written, not one"))
    yield "bytes of a one-page commit", "", f"{one['bytes']:.0f}", "printed"
    peers = {1: [("sqlite", 0.8), ("sqlite-shared", 0.8), ("lmdb", 0.8), ("redis", 0.8)],
             16: [("sqlite", 5), ("sqlite-shared", 5), ("lmdb", 5), ("redis", 1)]}
    for clients, against in peers.items():
        for peer, goal in against:
            ours = next(r["ours_over_it"] for r in kv
                        if (r["clients"], r["backend"]) == (clients, peer))
            yield (f"durable single-op commits, {clients} client{'s' * (clients > 1)}: >= {goal}x",
                   peer, f"{ours:.2f}x", verdict(ours >= goal, "see the baseline"))


def overhead(server, loop):
    goals = {1: 0.03, 100: 0.08}
    for row in server:
        rate = row["snapshots_per_s"]
        if rate == 0:
            continue
        goal = f"<= {goals[rate] * 100:.0f} %" if row["server"] != "Redis" else "beside"
        yield (f"cost while running, {rate}/s: {goal}", f"server, {row['server']}, {row['keys']}",
               f"{row['cost'] * 100:.1f} % ({row['operations_per_s_without']:.0f} operations/s, "
               f"{row['snapshots_per_s_reached']:.1f}/s reached)",
               "beside" if row["server"] == "Redis" else
               verdict(row["cost"] <= goals[rate], "server, clients and engine share two cores"))
    for row in loop:
        rate = row["snapshots_per_s"]
        written = row["pages"] * row["snapshots_per_s_reached"] * 4096 / 1e6
        why = ("the floor misses it, too" if row["floor_cost"] > goals[rate] else
               f"{written:.0f} MB/s are written; the floor, which only finds, copies and sums, does not write")
        yield (f"the same, {rate}/s: <= {goals[rate] * 100:.0f} %",
               f"a loop that does nothing else, {row['strategy']}, {row['keys']}",
               f"{row['cost'] * 100:.1f} %, floor {row['floor_cost'] * 100:.1f} % "
               f"({row['operations_per_s_without'] / 1e6:.1f} M operations/s)",
               verdict(row["cost"] <= goals[rate], why))


def others(history, restore, compress):
    life = history["life"]
    worst = max(part["write_amplification"] for part in life)
    yield ("write amplification, >= 1000 pages a commit: <= 1.5", f"{life[-1]['commits']} commits",
           f"{worst:.2f}", verdict(worst <= 1.5, "the cleaner moves pages"))
    part = max(p["retained_bytes"] / p["file_bytes"] for p in life)
    size = max(p["file_to_retained"] for p in life)
    yield ("the same: retained <= 1/3 of the file, file <= 4x retained", "", f"{part:.3f}, {size:.2f}x",
           verdict(part <= 1 / 3 + 0.005 and size <= 4, "the file is smaller or larger than agreed"))
    lines = compress["lines"]["pages_1000"]
    yield ("sparse dirtying (64 B a page): >= 5x fewer bytes with deltas", "1000 pages",
           f"write and flush {lines['full_us']:.0f} us, of lines only {lines['lines_us']:.0f} us",
           "no: deltas are not built (ARCHITECTURE.md says why)")
    for how in ("lazy", "lazy, working set"):
        us = [(l["heap_mib"] / 1024, l["first_page_us"]) for l in restore["lives"] if l["how"] == how]
        yield ("restore: first instruction <= 10 ms at any heap size", f"{how}: "
               + ", ".join(f"{gib:.0f}" for gib, _ in us) + " GiB",
               ", ".join(f"{t / 1e3:.1f}" for _, t in us) + " ms",
               verdict(max(t for _, t in us) <= 10000, "see the baseline"))
    yield "PVM speed", "", "", NEVER


def document(source):
    rows = [*pauses(source, load(source, "snapshot")), *commits(load(source, "commit_disk"), load(source, "kv")),
            *overhead(load(source, "overhead-server"), load(source, "overhead")),
            *others(load(source, "history"), load(source, "restore"), load(source, "compress"))]
    return HEAD + "".join("| " + " | ".join(row) + " |\n" for row in rows)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    path = os.path.join(sys.argv[1], "docs", "performance.md")
    text = document(sys.argv[1])
    if len(sys.argv) == 3:
        with open(path, encoding="utf-8") as file:
            same = file.read() == text
        if not same:
            print("docs/performance.md is not what bench/baselines gives: tools/performance.py .")
        return 0 if same else 1
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
