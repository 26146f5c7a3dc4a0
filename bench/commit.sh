#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the engine costs in a commit of a few pages beyond the I/O (strategy cards, store in memory),
# and what the store's commits of 1, 10 and 100 pages cost beside bare direct writes and flushes.
#
#   bench/commit.sh BUILD_DIR [DIRECTORY_ON_THE_DISK]
#
# Prints tables and writes BUILD_DIR/bench/commit.json and commit_disk.json.
set -eu
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2
    exit 2
fi
"$1/bench/bench_commit" "$1/bench/commit.json"
"$1/bench/bench_commit_disk" -d "${2:-$1/bench}" -j "$1/bench/commit_disk.json"
echo "figures: $1/bench/commit.json $1/bench/commit_disk.json"
