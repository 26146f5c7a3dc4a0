/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_workload.h - the workloads of the explorer, by number: first all sequences of one to three
 * operations on a new and on an aged store, then for ever random longer ones.
 */
#ifndef CRASH_WORKLOAD_H
#define CRASH_WORKLOAD_H

#include "crash_explore.h"

enum { CRASH_SEQUENCES = CRASH_OP_COUNT * (1 + CRASH_OP_COUNT * (1 + CRASH_OP_COUNT)) };
/** Workloads below this are the short sequences, even ones on a new store, odd ones on an aged. */
#define CRASH_EXHAUSTIVE ((uint64_t)CRASH_SEQUENCES * 2)

/**
 * A store that has lived: its ring has wrapped, generations have been dropped, commits were torn
 * and retired. In three states: closed, without power after its last commit, and with a torn commit
 * on top that no recovery has seen yet.
 */
enum crash_aged_state {
    CRASH_AGED_CLOSED,
    CRASH_AGED_UNSEALED,
    CRASH_AGED_TORN,
    CRASH_AGED_STATES
};

struct crash_aged {
    uint8_t *image[CRASH_AGED_STATES];
    uint64_t size[CRASH_AGED_STATES];
    uint64_t current;
    uint64_t torn; /* number of the torn commit */
    struct crash_oracle oracle;
};

/** Make an aged store from a seed. False with a sentence in `why`. */
bool crash_age(struct crash_aged *aged, uint64_t capacity, uint64_t seed, char *why,
               size_t why_size);
void crash_aged_finish(struct crash_aged *aged);

/** A sentence for people, e.g. "aged: write-few, commit, holes". */
void crash_workload_describe(uint64_t workload, char *text, size_t size);

/**
 * Run a workload on a store of its own, recording, then explore the log. Returns false on a
 * violation (explorer->why) or when the run was stopped at a state.
 */
bool crash_workload_run(struct crash_explorer *explorer, const struct crash_aged *aged,
                        uint64_t workload, uint64_t seed, uint64_t capacity);

#endif /* CRASH_WORKLOAD_H */
