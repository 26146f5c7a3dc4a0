/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_counters.c - see snap_counters.h. Owns nothing.
 *
 * Buckets: 0..3 ns have one each. From 4 on, the position of the highest bit and the two bits below
 * it choose the bucket: 4, 5, 6, 7, 8-9, 10-11, 12-13, 14-15, 16-19, ...
 */
#include "snap_counters.h"

enum { SUB_BITS = 2, SUB_BUCKETS = 1 << SUB_BITS };

unsigned snap_pause_bucket(uint64_t ns)
{
    if (ns < SUB_BUCKETS) {
        return (unsigned)ns;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    unsigned bucket = (shift + 1) * SUB_BUCKETS + (unsigned)(ns >> shift) % SUB_BUCKETS;
    return bucket < SNAP_PAUSE_BUCKETS ? bucket : SNAP_PAUSE_BUCKETS - 1;
}

uint64_t snap_pause_bucket_most(unsigned bucket)
{
    if (bucket < SUB_BUCKETS) {
        return bucket;
    }
    if (bucket >= SNAP_PAUSE_BUCKETS - 1) {
        return UINT64_MAX;
    }
    unsigned shift = bucket / SUB_BUCKETS - 1;
    uint64_t top = SUB_BUCKETS + bucket % SUB_BUCKETS;
    return ((top + 1) << shift) - 1;
}

uint64_t snap_counters_pause(const struct snap_counters *counters, double percent)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < SNAP_PAUSE_BUCKETS; i++) {
        total += counters->pause_histogram[i];
    }
    if (total == 0) {
        return 0;
    }
    double wanted = (double)total * percent / 100;
    uint64_t seen = 0;
    unsigned bucket = 0;
    for (; bucket < SNAP_PAUSE_BUCKETS - 1; bucket++) {
        seen += counters->pause_histogram[bucket];
        if (seen != 0 && (double)seen >= wanted) {
            break;
        }
    }
    uint64_t most = snap_pause_bucket_most(bucket);
    return most < counters->pause_most_ns ? most : counters->pause_most_ns;
}
