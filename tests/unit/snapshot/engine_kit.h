/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_kit.h - a small persistent world for tests of the engine: a memory, mutator threads that
 * can be parked, a store on a faulty disk in memory, an engine, and the oracle.
 *
 * The oracle is independent of everything under test: when the engine resumes the world, the kit
 * copies the whole heap before it lets the mutators go. That copy is what the generation must give
 * back if the snapshot succeeds. kit_reopen() throws memory, engine and store away, opens them
 * again and compares.
 */
#ifndef ENGINE_KIT_H
#define ENGINE_KIT_H

#include "io_faulty.h"
#include "ph_rng.h"
#include "snap_engine.h"

#include <pthread.h>
#include <stdatomic.h>

/** A memory for the suite: how to make one and how a mutator writes into it. */
struct kit_memory {
    const char *name;
    /** NULL: not possible here. `pages` is the same at every call of one kit, and so is the base.
     */
    struct snap_memory *(*create)(void **handle, uint64_t pages);
    /** Holes again, at the same address, as after a restart. */
    struct snap_memory *(*restart)(void **handle, uint64_t pages);
    void (*write)(void *handle, uint64_t offset, const void *data, size_t length);
    void (*destroy)(void *handle);
};

extern const struct kit_memory kit_fake_memory;           /* tracks */
extern const struct kit_memory kit_fake_untracked_memory; /* does not: full, cards */
extern const struct kit_memory kit_fake_memory_without_barrier;

extern const struct kit_memory kit_fake_trapping_memory; /* sigbus */
extern const struct kit_memory kit_fake_trapping_blocks; /* mprotect */

/** One row of the conformance suite. */
struct kit_kind {
    const char *name;
    const char *strategy;
    const struct kit_memory *memory;
    bool marked;     /* every store is marked, and the engine is told so */
    bool compressed; /* the store is */
};

enum { KIT_MUTATORS_MOST = 16 };

struct kit_mutator {
    struct kit *kit;
    pthread_t thread;
    struct ph_rng rng;
    uint64_t pages;     /* writes into pages [0, pages) */
    uint64_t hot_pages; /* mostly into the first of them; 0: anywhere */
    unsigned slot;      /* its own word in every line, so that two never write the same bytes */
    /* Pages of its own, which it writes and discards; 0: none. They follow the common ones. */
    uint64_t own_first, own_pages;
};

struct kit {
    const struct kit_kind *kind;
    uint64_t pages;
    void *handle;
    struct snap_memory *memory;
    struct snap_io *disk;   /* memory back end */
    struct snap_io *faulty; /* what the store sees */
    struct snap_store *store;
    struct snap_engine *engine;
    struct snap_engine_options options;
    struct phantom_diag diag;
    struct snap_report report;

    /* the world */
    uint64_t heap_pages;
    uint64_t claimed_pages;               /* what the host says instead, if not 0 */
    int stop_result;                      /* what the next stops return instead of stopping */
    void (*before_stop)(struct kit *kit); /* called first in stop, while mutators run; or NULL */
    /* Called when the oracle has copied the heap and the world is about to run again; or NULL. What
     * it stores, it stores while the snapshot is unfinished. */
    void (*after_cut)(struct kit *kit);
    unsigned stops, resumes;
    pthread_mutex_t lock; /* park handshake; a leaf */
    pthread_cond_t changed;
    bool stopping;   /* under lock */
    unsigned parked; /* under lock */
    atomic_bool please_park;
    atomic_bool quit;
    _Atomic uint64_t stores;
    unsigned mutator_count;
    uint64_t own_pages;
    struct kit_mutator mutators[KIT_MUTATORS_MOST];

    /* the oracle */
    uint8_t *at_cut;    /* the heap at the last cut */
    uint8_t *committed; /* the heap at the cut of the last snapshot that succeeded */
};

/** A new world with an empty store. check_against_heap is on. Fails the test if it cannot. */
void kit_begin(struct kit *kit, const struct kit_kind *kind, uint64_t pages);
/** Like kit_begin(), with options set by the caller before. */
void kit_begin_with(struct kit *kit, const struct kit_kind *kind, uint64_t pages,
                    const struct snap_engine_options *options);
void kit_end(struct kit *kit);

/** Store, and mark if the kind says so. */
void kit_write(struct kit *kit, uint64_t offset, const void *data, size_t length);
/** Store without marking, as a foreign native would. */
void kit_write_unmarked(struct kit *kit, uint64_t offset, const void *data, size_t length);
/** Fill a page with bytes that depend on page and value. */
void kit_fill(struct kit *kit, uint64_t page, uint64_t value);
void kit_fill_range(struct kit *kit, uint64_t first, uint64_t count, uint64_t value);

/** Take a snapshot; on success the oracle moves on. */
int kit_snapshot(struct kit *kit);
/** The same, and it must succeed. */
void kit_snapshot_ok(struct kit *kit);
/** Close everything, open it again, compare the heap with the last committed one. Mutators must not
 *  be running. */
void kit_reopen(struct kit *kit);
/** Close engine, store and memory, and open them again; returns the engine's answer. */
int kit_try_reopen(struct kit *kit);
/** Open the engine only; returns its answer. */
int kit_open_engine(struct kit *kit);
/** The last generation wrote that many pages; with a memory that opens several pages at a time, up
 *  to as many times more. */
void kit_expect_written(struct kit *kit, uint64_t pages);
void kit_expect_heap(struct kit *kit, const uint8_t *expected);

/** PH_SEED or the fallback; printed, so that a failure can be repeated. */
uint64_t kit_seed(uint64_t fallback);

void kit_start_mutators(struct kit *kit, unsigned count, uint64_t pages, uint64_t hot_pages,
                        uint64_t seed);
void kit_stop_mutators(struct kit *kit);
/** From now on each mutator also writes and discards this many pages of its own, behind `pages`.
 * Call before kit_start_mutators(). */
void kit_let_discard(struct kit *kit, uint64_t own_pages);
/** Wait until the mutators have made that many more stores. */
void kit_let_run(struct kit *kit, uint64_t stores);

/** The disk refuses to grow, or no longer does. */
void kit_disk_full(struct kit *kit, bool full);

#endif /* ENGINE_KIT_H */
