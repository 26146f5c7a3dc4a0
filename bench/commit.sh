#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the engine costs in a commit of a few pages beyond the I/O (strategy cards, store in memory).
#
#   bench/commit.sh BUILD_DIR
#
# Prints a table and writes BUILD_DIR/bench/commit.json.
set -eu
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2
    exit 2
fi
"$1/bench/bench_commit" "$1/bench/commit.json"
echo "figures: $1/bench/commit.json"
