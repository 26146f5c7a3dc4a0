#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What snapshots cost a running key-value workload (80 % reads): none, 1 and 100 a second.
#
#   bench/overhead.sh BUILD_DIR [option of bench_overhead]...
#
# Prints a table and writes BUILD_DIR/bench/overhead.json.
set -eu
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2
    exit 2
fi
build=$1
shift
"$build/bench/bench_overhead" --dir "$build/bench" --json "$build/bench/overhead.json" "$@"
echo "figures: $build/bench/overhead.json"
