/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_internal.h - what the engine and its strategies share. Not used outside this room.
 *
 * Lock order: discard_lock is the only lock of the engine; under it only those of lazy_restore.c.
 * It makes "log the discard and give the pages back" one step against "scan, protect and note what
 * was dirty", and it is held from the cut until the world is resumed, so that no page disappears
 * between the decision and the copy.
 */
#ifndef SNAPSHOT_INTERNAL_H
#define SNAPSHOT_INTERNAL_H

#include "lazy_restore.h"
#include "page_set.h"
#include "page_sums.h"
#include "snap_engine.h"
#include "working_set.h"

#include <pthread.h>
#include <stdatomic.h>

/* Other CPUs see the stores of a thread in program order (x86-64): the page byte of a mark is never
 * seen before the store that it speaks of. Elsewhere marks do not replace asking the memory. */
#if defined(__x86_64__)
enum { SNAP_STORES_IN_ORDER = 1 };
#else
enum { SNAP_STORES_IN_ORDER = 0 };
#endif

/** State of the snapshot that is being taken; zeroed when one begins. */
struct snap_round {
    uint64_t reserved;       /* data pages the store has promised room for */
    uint64_t reserved_holes; /* and so many pages that become holes */
    uint64_t used;           /* of that: versions written, and pages in staging */
    uint64_t staged;         /* pages staged so far, each version counted */
    uint64_t cut_pages;      /* set by cut(): pages of data that capture() will stage */
    uint64_t cut_room;       /* set by cut(): snap_engine_room_for() them */
    uint64_t cut_holes;      /* set by cut(): pages that capture() will make holes */
    uint64_t heap_pages;     /* pages in use at the cut, from the host */
    uint64_t staging_most;   /* most pages in the staging area at a time */
    uint64_t writes_stopped; /* times the staging area was written out in the stop */
    bool stopped;            /* between stop and resume */
};

struct snap_staging {
    uint8_t *area;    /* the store's; slots of one page */
    uint64_t touched; /* the first so many slots are present */
};

/** The heap as it was at the cut, for check_against_heap: sums of all pages that are not zero. */
struct snap_witness {
    struct page_set pages;
    struct page_sums sums;
};

struct snap_engine {
    struct snap_memory *memory;
    struct snap_store *store;
    struct snap_world world;
    struct snap_engine_options options; /* with defaults filled in */
    const struct snap_strategy *strategy;
    void *state; /* the strategy's */

    pthread_mutex_t discard_lock;
    struct page_set discarded; /* under discard_lock: discards not yet seen by a cut */

    struct lazy_restore *lazy; /* NULL: everything was loaded before the world ran */
    struct working_set working;
    struct page_set restored;  /* only while opening: pages that came from the store */
    struct page_set unwritten; /* in the staging area: staging them again takes no more room */
    struct snap_staging staging;
    struct snap_round round;
    struct snap_witness witness; /* only if options.check_against_heap */
    struct snap_marks marks;
    bool live_marks;               /* page bytes may be cleared while writers run */
    atomic_bool unmarked_writer;   /* somebody stored without marking since the last full scan */
    struct snap_counters counters; /* read and written with relaxed atomics: engine_counters.c */
    atomic_bool busy;              /* a snapshot is being taken */
    bool poisoned;                 /* the store has said PHANTOM_EPOISONED */
};

/** Add to a member of engine->counters; any thread. */
static inline void snap_engine_count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}
/** Raise a maximum; only from the thread that takes the snapshot. */
static inline void snap_engine_count_most(uint64_t *counter, uint64_t value)
{
    if (value > __atomic_load_n(counter, __ATOMIC_RELAXED)) {
        __atomic_store_n(counter, value, __ATOMIC_RELAXED);
    }
}
/** A snapshot has ended with `result`: count it, its times and its pages. */
void snap_engine_count_snapshot(struct snap_engine *engine, int result,
                                const struct snap_report *report);

/** Ranges asked of the memory in one call. */
enum { SNAP_RANGES = 512 };

static inline uint8_t *snap_engine_page(const struct snap_engine *engine, uint64_t page)
{
    return engine->memory->base + page * SNAP_PAGE_SIZE;
}

/** Make sure that the store has room for `pages` staged in all, and `holes` pages that become
 *  holes; asks for some more than needed. Never less than was promised before. */
int snap_engine_reserve(struct snap_engine *engine, struct snap_txn *txn, uint64_t pages,
                        uint64_t holes, struct phantom_diag *diag);

/** How much more room it takes to stage the members of `set` below `end`. */
uint64_t snap_engine_room_for(const struct snap_engine *engine, const struct page_set *set,
                              uint64_t end);

/**
 * Copy the page as it is now into the staging area, writing out when that is full. With the world
 * running the page must have been protected before.
 */
int snap_engine_stage(struct snap_engine *engine, struct snap_txn *txn, uint64_t page,
                      struct phantom_diag *diag);

/** Find the staging area and make its beginning present. */
int snap_engine_open_staging(struct snap_engine *engine, struct phantom_diag *diag);

/**
 * About `pages` pages will be staged in the stop: make room in the staging area now, while the
 * world runs, as far as it is large enough.
 */
int snap_engine_expect(struct snap_engine *engine, struct snap_txn *txn, uint64_t pages,
                       struct phantom_diag *diag);

/** The same with content from elsewhere (aligned to 16): a before-image, a frozen copy. */
int snap_engine_stage_from(struct snap_engine *engine, struct snap_txn *txn, uint64_t page,
                           const void *content, struct phantom_diag *diag);
/** Write out what is staged if the staging area is full, so that the next page that is staged does
 *  not have to wait for the disk. World running. */
int snap_engine_make_room(struct snap_engine *engine, struct snap_txn *txn,
                          struct phantom_diag *diag);

/** Call `visit` for all resident ranges in [0, end). Anything but 0 stops and is returned. */
int snap_engine_each_resident(struct snap_engine *engine, uint64_t end,
                              int (*visit)(void *context, struct snap_range range), void *context);

/** Choose engine->strategy by options and conditions (strategy_table.c). */
int snap_strategy_choose(struct snap_engine *engine, struct phantom_diag *diag);

/** Put the current generation into the memory, which must be empty, now or on demand. */
int snap_engine_restore(struct snap_engine *engine, struct phantom_diag *diag);

/** A snapshot was committed: note its pages, and save the working set now and then. */
void snap_engine_note_used(struct snap_engine *engine);
/** The engine ends: save the working set, stop loading. */
void snap_engine_end_restore(struct snap_engine *engine);

/** World stopped: remember the sum of every page in use. Nothing without check_against_heap. */
int snap_witness_take(struct snap_engine *engine, struct phantom_diag *diag);
/** After a commit: a difference is a broken invariant. The generation is durable; only the check
 *  itself can still fail to be made. */
void snap_witness_compare(struct snap_engine *engine);

#endif /* SNAPSHOT_INTERNAL_H */
