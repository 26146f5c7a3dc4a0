#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the engine costs in a commit of a few pages beyond the I/O (strategy cards, store in memory),
# and what the store's commits of 1, 10 and 100 pages cost beside bare direct writes and flushes.
#
#   bench/commit.sh BUILD_DIR [DIRECTORY_ON_THE_DISK]
#
# Prints tables and writes BUILD_DIR/bench/commit.json and commit_disk.json.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_commit" "$build/bench/commit.json"
"$build/bench/bench_commit_disk" -d "${1:-$build/bench}" -j "$build/bench/commit_disk.json"
echo "figures: $build/bench/commit.json $build/bench/commit_disk.json"
