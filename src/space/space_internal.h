/* SPDX-License-Identifier: Apache-2.0
 *
 * space_internal.h - what an open space consists of. Used inside the space room only.
 */
#ifndef SPACE_INTERNAL_H
#define SPACE_INTERNAL_H

#include "hal_posix.h"
#include "snap_engine.h"
#include "snap_epoch.h"
#include "snap_store.h"
#include "space_alloc.h"
#include "space_gate.h"
#include "space_group.h"

/** One thread in one space; made at its first call, freed when the thread or the space ends. */
struct space_thread {
    struct space_gate_slot slot;
    struct space_cache cache;
    struct phantom_space *space;
    struct space_thread *next, *previous;
};

/**
 * Everything of one open space. The members from `io` to `alloc` are made in this order and taken
 * down in the reverse one; what was not made is NULL, or its `..._ready` is false.
 *
 * Locks, in the order in which they may be taken; none is held while a snapshot is written, and
 * callbacks of the host are called without any:
 *   1 roots_lock      the table of roots; inside an operation
 *   2 alloc->lock     (space_blocks.c), then the engine's own leaf lock for discards
 *   3 gate.stopping, gate.registry     (space_gate.c)
 *   4 group.lock, lock                 leaves
 */
struct phantom_space {
    char *path;
    const atomic_bool *forked; /* true in a child: the first thing that every call looks at */
    struct phantom_space_options options; /* without strings */
    char strategy[32];
    struct snap_recovery recovery;

    struct snap_io *io;
    struct snap_store *store;
    struct snap_memory *memory;
    struct snap_engine *engine;
    struct space_alloc *alloc;

    struct space_gate gate;
    struct space_group group;
    hal_thread_key_t key; /* the space_thread of each thread */
    hal_mutex_t roots_lock, lock;
    bool gate_ready, group_ready, key_ready, roots_lock_ready, lock_ready;

    const struct snap_marks *marks; /* NULL: nobody announces */
    struct snap_epoch *epoch;       /* of strategy epoch, else NULL */

    /* The space's own thread (space_helper.c): periodic snapshots, seals, commits for which nobody
     * waits. */
    _Atomic uint32_t helper_word; /* a futex; changes when it shall look up */
    _Atomic uint32_t helper_alive;
    atomic_bool helper_wanted;

    /* Under lock. */
    struct space_thread *threads;
    struct phantom_diag diag;
    struct phantom_generation last_generation;
    struct phantom_space_counters counters;
    struct space_callback *_Atomic callbacks; /* those that run now; read without the lock, too */

    /* The leader's (space_group.h). */
    bool refusal_reported;

    /* Written by the leader, read by all. */
    _Atomic uint64_t operations_at_cut; /* of the last generation */
    atomic_bool unsealed;               /* a generation was committed and not sealed */
    atomic_bool poisoned;
    _Atomic int damaged; /* 0, or why a page cannot be loaded: nothing is committed any more */
};

/** A callback of the host that runs in some thread; lives on that thread's stack. */
struct space_callback {
    const void *thread;
    struct space_callback *next;
};
/** To be called around each callback that gets to see an open space. Without locks. */
void space_callback_begin(struct phantom_space *space, struct space_callback *callback);
void space_callback_end(struct phantom_space *space, struct space_callback *callback);
/** The calling thread is inside a callback, where waiting would be waiting for itself. */
bool space_is_in_callback(struct phantom_space *space);

/** The calling thread in this space, made if need be. NULL: no memory, or a forked child. */
struct space_thread *space_thread_here(struct phantom_space *space);
/** As above, but never made. */
static inline struct space_thread *space_thread_known(const struct phantom_space *space)
{
    return hal_thread_key_get(space->key);
}
/** The calling thread is inside an operation. */
static inline bool space_is_inside(const struct phantom_space *space)
{
    const struct space_thread *thread = space_thread_known(space);
    return thread != NULL && thread->slot.depth != 0;
}
/** hal_thread_key_create()'s callback, and phantom_space_unregister_thread(). */
void space_thread_end(void *thread);
/** Free all; at close. */
void space_threads_free(struct phantom_space *space);

/** Inside an operation: the allocator's view of a store. */
void space_announce(void *context, const void *start, size_t bytes);
void space_announce_before(void *context, const void *start, size_t bytes);

/** The group's commit(): take a snapshot in this thread. */
int space_take_snapshot(void *context);
/** The engine's way to stop and resume, and how many pages are in use. */
int space_stop(void *context, int timeout_ms);
void space_resume(void *context);
uint64_t space_pages(void *context);
/** True when an operation ended since the last generation's cut. */
bool space_changed(struct phantom_space *space);

/** The strategy that is used: what was asked for, or NULL for the engine's choice. */
const char *space_strategy(const struct phantom_space *space);
/** Make space->memory, of the kind that the strategy needs. As hal_memory_reserve(). */
int space_reserve_memory(struct phantom_space *space, uint64_t base, uint64_t size,
                         struct phantom_diag *diag);

int space_helper_start(struct phantom_space *space, struct phantom_diag *diag);
/** Make it look up. Any thread. */
void space_helper_poke(void *space);
void space_helper_stop(struct phantom_space *space);

/** A line for the host's message callback, if there is one. */
void space_message(struct phantom_space *space, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* SPACE_INTERNAL_H */
