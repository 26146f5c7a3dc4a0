#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A store over 100 000 large commits at constant live size, on a simulated disk: write amplification,
# size of the file beside what is retained, length of the writes.
#
#   bench/history.sh BUILD_DIR [option of bench_history]...
#
# Prints a table and writes BUILD_DIR/bench/history.json. Needs 1 GiB of memory and no disk.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_history" --json "$build/bench/history.json" "$@"
echo "figures: $build/bench/history.json"
