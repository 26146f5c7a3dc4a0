/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_explore.h - from a log of what a store did to its file, make the images that a power cut
 * may leave, and check the promises P1-P6 and P8 (docs/testing.md) on each with the
 * production open path.
 */
#ifndef CRASH_EXPLORE_H
#define CRASH_EXPLORE_H

#include "crash_world.h"
#include "io_record.h"
#include "io_scratch.h"

/** Which generations a crash may leave: the last acknowledged one, or the one in flight. */
struct crash_expect {
    uint64_t acked;
    uint64_t attempt; /* 0: none in flight */
    bool unborn;      /* creation was not acknowledged: no store at all is right too */
};

/** Counters that are printed. */
struct crash_counts {
    uint64_t states;       /* images made */
    uint64_t distinct;     /* of those, never seen before in this run */
    uint64_t epochs;       /* sets of writes between two flushes */
    uint64_t all_subsets;  /* of those, small enough for every subset */
    uint64_t in_recovery;  /* states of a crash during or after recovery */
    uint64_t in_second;    /* of those, of a crash in the recovery from such a state */
    uint64_t reexecutions; /* recoveries that committed again and were cut at every flush */
    uint64_t kills;        /* process deaths whose writes were still in the page cache */
    uint64_t commits;      /* of workloads, re-executions and lives that went on */
    uint64_t early;        /* of those, before accounting was complete */
    uint64_t incomplete;   /* recoveries that reported a generation as incomplete */
    uint64_t retired;      /* recoveries that retired a record */
};

enum crash_effort {
    CRASH_FULL,
    CRASH_LIGHT,
    CRASH_LAST /* only the end of the log, a handful of states */
};

struct crash_seen; /* hashes of images with what they recovered to */

struct crash_explorer {
    struct io_scratch *disk;
    struct snap_io *io; /* the door of disk */
    struct crash_oracle oracle;
    struct crash_seen *seen;
    struct crash_counts counts;
    struct ph_rng rng;
    uint64_t workload;         /* number of the one that runs, for the seen table */
    uint64_t state;            /* states of this workload so far */
    uint64_t stop_after_state; /* 0: no limit */
    bool verbose;
    bool failed, stopped;
    struct crash_expect expect; /* for the image that is on the disk now */
    unsigned depth; /* 0: the workload's log; 1: a log of recovery; 2: of recovery from that */
    unsigned reexecutions_left, recoveries_left; /* in this epoch */
    unsigned second_left;                        /* recoveries from a state of recovery, likewise */
    uint64_t branch; /* number of the commit that a recovery made; 0: none */
    struct crash_content branch_content;
    unsigned density; /* of 16: share of the torn states that is made */
    char image[160];  /* how the image was made */
    char why[1200];   /* the violation */
};

/** @param capacity bytes that a store file may have */
bool crash_explorer_init(struct crash_explorer *explorer, uint64_t capacity);
void crash_explorer_finish(struct crash_explorer *explorer);

/** Begin a workload: number, random stream and the durable image it starts from. */
void crash_explorer_begin(struct crash_explorer *explorer, uint64_t workload, uint64_t seed,
                          const void *image, uint64_t size);

/**
 * Explore a log that begins at the image on the disk. Afterwards the disk holds the durable image
 * at the end of the log. Returns false when a promise was broken (explorer->why) or the run was
 * stopped at a state.
 */
bool crash_explore_log(struct crash_explorer *explorer, const struct io_log *log,
                       const struct crash_expect *expect, enum crash_effort effort);

/** Check the image on the disk against explorer->expect; counted as a state. */
bool crash_check_state(struct crash_explorer *explorer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* CRASH_EXPLORE_H */
