#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A store over 100 000 large commits at constant live size, on a simulated disk: write amplification,
# size of the file beside what is retained, length of the writes. Then, on the real disk, a store of
# 10 000 such commits beside a new one: is it still as fast?
#
#   bench/history.sh BUILD_DIR [option of bench_history]...
#
# Prints tables and writes BUILD_DIR/bench/history.json and aged.json. Needs 1 GiB of memory and 2 GiB
# of disk in BUILD_DIR/bench.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_history" --json "$build/bench/history.json" "$@"
"$build/bench/bench_aged" --dir "$build/bench" --json "$build/bench/aged.json"
echo "figures: $build/bench/history.json $build/bench/aged.json"
