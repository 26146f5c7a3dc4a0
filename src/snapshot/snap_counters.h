/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_counters.h - what an engine has done since it was opened, and how long it took.
 *
 * Pauses are kept as a histogram: four buckets to each power of two, so that a percentile is at
 * most a quarter too high and never too low. Times in nanoseconds, sizes as their names say.
 */
#ifndef SNAP_COUNTERS_H
#define SNAP_COUNTERS_H

#include <stdint.h>

enum {
    SNAP_PAUSE_BUCKETS = 160, /* the last one takes everything from half an hour on */
    SNAP_PHASES = 6
};

/** Phases of a snapshot whose time is kept, in this order. */
enum snap_phase {
    SNAP_PHASE_RESERVE,
    SNAP_PHASE_PRECOPY,
    SNAP_PHASE_STOP, /* from the request to stop until the world has been resumed */
    SNAP_PHASE_WRITE,
    SNAP_PHASE_COMMIT,
    SNAP_PHASE_RETIRE,
};

struct snap_counters {
    uint64_t snapshots;       /* committed */
    uint64_t refused_space;   /* no room in the store; the world ran on */
    uint64_t refused_timeout; /* the world did not stop in time */
    uint64_t refused_other;   /* memory, scan, no memory: the next may succeed */
    uint64_t failed;          /* a write or flush failed: the store is poisoned */
    uint64_t coalesced;       /* requests that shared the snapshot of another */
    uint64_t pages_live;      /* copied while the world ran, each version */
    uint64_t pages_stopped;   /* copied in the stop */
    uint64_t pages_written;   /* data pages of committed generations */
    uint64_t bytes_written;   /* everything written by committed generations */
    uint64_t live_rounds;     /* rounds of copying while the world ran */
    uint64_t stops_by_marks;  /* stops that took the set from the marks alone */
    uint64_t stops_by_scan;   /* stops that asked the memory */
    uint64_t pages_left_open; /* of those, left unprotected: no fault when written again */
    uint64_t unmarked_found;  /* pages written without a mark that the memory knew of */
    uint64_t writes_stopped;  /* times the staging area was written out with the world stopped */
    uint64_t staging_most;    /* most pages ever in the staging area */
    uint64_t pause_ns;        /* sum of all pauses */
    uint64_t pause_most_ns;   /* the longest */
    uint64_t stop_wait_ns;    /* sum: request to stop until all were parked */
    uint64_t stop_wait_most_ns;
    uint64_t phase_ns[SNAP_PHASES];
    uint64_t pause_histogram[SNAP_PAUSE_BUCKETS]; /* number of pauses */
};

/** The bucket of a time. */
unsigned snap_pause_bucket(uint64_t ns);
/** The longest time that falls into a bucket. */
uint64_t snap_pause_bucket_most(unsigned bucket);
/**
 * The time that `percent` (0..100) of the pauses did not exceed, rounded up to its bucket's end,
 * but no more than the longest pause. 0 when there was none.
 */
uint64_t snap_counters_pause(const struct snap_counters *counters, double percent);

struct phantom_counters;
/** All of them as the public interface names them; *to is written as a whole, its size included. */
void snap_counters_view(const struct snap_counters *from, struct phantom_counters *to);

#endif /* SNAP_COUNTERS_H */
