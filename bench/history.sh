#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A store over 100 000 large commits at constant live size, on a simulated disk: write amplification,
# size of the file beside what is retained, length of the writes.
#
#   bench/history.sh BUILD_DIR [option of bench_history]...
#
# Prints a table and writes BUILD_DIR/bench/history.json. Needs 1 GiB of memory and no disk.
set -eu
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2
    exit 2
fi
build=$1
shift
"$build/bench/bench_history" --json "$build/bench/history.json" "$@"
echo "figures: $build/bench/history.json"
