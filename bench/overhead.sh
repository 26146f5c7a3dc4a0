#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What snapshots cost a running key-value workload (80 % reads): none, 1 and 100 a second. First a
# loop in one process that does nothing else, beside the least that a snapshot of it must cost; then
# whole servers over loopback: examples/kvserver beside Redis with snapshots by fork.
#
#   bench/overhead.sh BUILD_DIR [option of both]...       (--quick, --keys N, --turn-s S, --rounds R)
#
# Prints tables and writes BUILD_DIR/bench/overhead.json and overhead-server.json.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_overhead" --dir "$build/bench" --json "$build/bench/overhead.json" "$@"
"$build/bench/bench_server" --kvserver "$build/examples/kvserver" --dir "$build/bench" \
    --json "$build/bench/overhead-server.json" "$@"
echo "figures: $build/bench/overhead.json $build/bench/overhead-server.json"
