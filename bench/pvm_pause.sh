#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How long the threads of a running Phantom program stand still for a snapshot, beside a stop of the
# same threads without one: strategies epoch, cards, async and fork, graphs of 16 MiB, 256 MiB, 1 GiB.
#
#   bench/pvm_pause.sh BUILD_DIR [option of bench_pvm_pause]...      (--quick, --live MIB, --strategy NAME)
#
# Prints a table and writes BUILD_DIR/bench/pvm_pause.json. Needs about 5 GiB in BUILD_DIR and 3 GiB of
# memory; its store is gone afterwards.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_pvm_pause" --classes "$build/bench" --dir "$build/bench" \
    --json "$build/bench/pvm_pause.json" "$@"
echo "figures: $build/bench/pvm_pause.json"
