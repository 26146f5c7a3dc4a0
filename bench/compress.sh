#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What compression saves and costs for heaps of words, of text values and of random bytes, beside
# the same without; and what deltas of 64-byte lines would save and cost.
#
#   bench/compress.sh BUILD_DIR [DIRECTORY_ON_THE_DISK [TEXT FILE]...]
#
# Prints a table and writes BUILD_DIR/bench/compress.json.
. "$(dirname "$0")/begin.inc"
directory=${1:-$build/bench}
[ $# -eq 0 ] || shift
"$build/bench/bench_compress" -d "$directory" -j "$build/bench/compress.json" "$@"
echo "figures: $build/bench/compress.json"
