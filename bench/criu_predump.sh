#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How long CRIU freezes a process with a heap of MIB MiB that never stops writing the same 1000 pages:
# one pre-dump (the heap is copied, the process runs on), then the dump that takes what is left.
#
#   bench/criu_predump.sh DIRECTORY [MIB]...        default 64 1024; needs root and the package criu
#
# Prints criu's own frozen time of the dump in microseconds, or what criu says where it does not
# work (exit 77). Images are written below DIRECTORY and removed.
set -eu
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2
    exit 2
fi
directory=$1
shift
[ $# -gt 0 ] || set -- 64 1024
command -v criu >/dev/null || { echo "SKIP: criu is not installed"; exit 77; }
if ! answer=$(criu check 2>&1); then
    # The first line often says only that a helper of criu's ended with an error.
    cause=$(printf '%s\n' "$answer" | grep -i error | grep -v 'exited, status' | head -1)
    echo "SKIP: criu $(criu --version | sed -n "s/^Version: //p") does not work on Linux $(uname -r | cut -d- -f1): $cause"
    exit 77
fi
work=$(mktemp -d "$directory/criu.XXXXXX")
process=
clean() {
    [ -z "$process" ] || kill -9 "$process" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT INT TERM

for mib in "$@"; do
    rm -rf "$work/pre" "$work/dump"
    mkdir "$work/pre" "$work/dump"
    setsid python3 - "$mib" "$work/ready" </dev/null >/dev/null 2>&1 <<'PROGRAM' &
import mmap, random, sys
pages = int(sys.argv[1]) * 256
heap = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
heap.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(pages):
    heap[page * 4096] = page % 251 + 1
hot = random.Random(1).sample(range(pages), 1000)
open(sys.argv[2], "w").close()
value = 0
while True:
    value = (value + 1) % 256
    for page in hot:
        heap[page * 4096 + 8] = value
PROGRAM
    process=$!
    while [ ! -e "$work/ready" ]; do
        kill -0 "$process" || { echo "the process to be dumped did not start"; exit 1; }
        sleep 0.1
    done
    rm "$work/ready"
    if ! criu pre-dump --tree "$process" --images-dir "$work/pre" --track-mem -o log -v1 ||
        ! criu dump --tree "$process" --images-dir "$work/dump" --prev-images-dir ../pre \
            --track-mem --leave-running -o log -v1; then
        echo "SKIP: $(cat "$work"/*/log | grep -i error | head -1)"
        exit 77
    fi
    python3 - "$work/dump/stats-dump" "$mib" <<'PROGRAM'
import sys
# A stats image: two magic words, a size, and a protobuf message whose field 1 (dump) holds
# varints: 1 freezing, 2 frozen, 3 memdump, 4 memwrite time in us, 5 scanned, 6 skipped, 7 written.
data = open(sys.argv[1], "rb").read()[12:]
def fields(data):
    at, out = 0, {}
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint(); out[key >> 3] = data[at:at + size]; at += size
        else:
            out[key >> 3] = varint()
    return out
dump = fields(fields(data)[1])
print(f"{sys.argv[2]} MiB: criu dump after pre-dump: frozen {dump[2]} us, "
      f"pages scanned {dump[5]}, written {dump[7]}")
PROGRAM
    kill -9 "$process"
    wait "$process" 2>/dev/null || true
    process=
done
