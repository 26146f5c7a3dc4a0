#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Calls of the port's HAL (libphantom-port) beside the raw facility: pthreads, io_uring, timerfd.
#
#   bench/hal.sh BUILD_DIR [option of bench_hal]...
#
# Prints nanoseconds for one operation, ours and the peer's, and their ratio; writes
# BUILD_DIR/bench/hal.json. Takes half a minute.
. "$(dirname "$0")/begin.inc"
"$build/bench/bench_hal" --dir "$build/bench" --json "$build/bench/hal.json" "$@"
echo "figures: $build/bench/hal.json"
