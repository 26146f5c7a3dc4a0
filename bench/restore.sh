#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Opening heaps of 1, 4 and 16 GiB again: lazily, eagerly, and beside mmap of a flat file.
#
#   bench/restore.sh BUILD_DIR [option of bench_restore]...
#
# Prints a table and writes BUILD_DIR/bench/restore.json. Needs about 3 GiB in BUILD_DIR and 2 GiB of
# memory (--live MIB for less, --quick for a small run); its files are gone afterwards.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_restore" --dir "$build/bench" --json "$build/bench/restore.json" "$@"
echo "figures: $build/bench/restore.json"
