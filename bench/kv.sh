#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Durable single-key commits of 1 and 16 clients: a space beside SQLite, LMDB, Redis and a bare log.
#
#   bench/kv.sh BUILD_DIR [option of bench_kv]...
#
# Prints a table and writes BUILD_DIR/bench/kv.json. The stores are in BUILD_DIR/bench (about 2 GiB
# at a time) and are gone afterwards.
. "$(dirname "$0")/begin.inc"
if [ ! -x "$build/bench/bench_kv" ]; then
    echo "bench_kv was not built: it needs the SQLite, LMDB and hiredis development packages" >&2
    exit 1
fi
command -v redis-server >/dev/null || { echo "redis-server is not installed" >&2; exit 1; }
"$build/bench/bench_kv" --dir "$build/bench" --json "$build/bench/kv.json" "$@"
echo "figures: $build/bench/kv.json"
