#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Snapshots of 64 MiB, 1, 4 and 8 GiB heaps, by strategy, beside fio, a bare scan and copy, a stop
# that only copies, fork(), and CRIU after a pre-dump where criu is installed and works. --quick: one small row of each kind.
#
#   bench/snapshot.sh BUILD_DIR [option of bench_snapshot]...
#
# Prints a table and writes BUILD_DIR/bench/snapshot.json. The temporary store is in BUILD_DIR, needs
# up to 20 GiB there and 9 GiB of memory (--heap MIB for less), and is gone afterwards.
. "$(dirname "$0")/begin.inc"
command -v fio >/dev/null || echo "fio is not installed: bandwidth has nothing to stand beside" >&2
"$build/bench/bench_snapshot" --dir "$build/bench" --json "$build/bench/snapshot.json" "$@"
criu=$("$(dirname "$0")/criu_predump.sh" "$build/bench" 2>&1) || true
printf '%s\n' "$criu"
python3 - "$build/bench/snapshot.json" "$criu" <<'PROGRAM'
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    figures = json.load(file)
figures["criu"] = "; ".join(sys.argv[2].splitlines())
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(figures, file, indent=2)
    file.write("\n")
PROGRAM
echo "figures: $build/bench/snapshot.json"
