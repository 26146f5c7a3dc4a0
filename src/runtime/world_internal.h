/* SPDX-License-Identifier: Apache-2.0
 *
 * world_internal.h - what a world consists of. Used inside the runtime room only.
 */
#ifndef WORLD_INTERNAL_H
#define WORLD_INTERNAL_H

#include <phantom/runtime.h>

#include "hal_posix.h"
#include "heap.h"
#include "pvm.h"
#include "snap_engine.h"
#include "snap_store.h"

#include <hal.h>
#include <stdatomic.h>

/**
 * Everything of one open world. The members from `io` to `pvm` are made in this order and taken
 * down in the reverse one; a world that was not opened completely has NULLs at the end.
 *
 * Locks: `lock` guards the snapshot members and `diag` (calls of several threads may fail at the
 * same time); nothing else is taken while it is held. It is not held
 * while a snapshot is taken: `snapshot_busy` is, so that requests can queue up and share one.
 */
struct phantom_world {
    char *path;
    int64_t owner_process;
    struct phantom_options options; /* with copies of the strings the machine needs later */
    char **class_paths;             /* NULL-terminated, owned */
    struct phantom_diag diag;
    struct snap_recovery recovery;

    struct snap_io *io;
    struct snap_store *store;
    struct snap_memory *memory;
    struct snap_engine *engine;
    struct heap_stores stores; /* of heap and machine, and where they are told to: */
    struct snap_epoch *epoch;  /* `epoch` asks before, and wants no marks */
    const struct snap_marks *marks;
    struct heap *heap;
    struct pvm *pvm;

    bool lock_ready;
    hal_mutex_t lock;
    hal_cond_t changed; /* a snapshot ended, the snapshotter should look up, ... */
    bool snapshot_busy;
    uint64_t snapshots_begun; /* numbers of snapshots; each snapshot has one */
    uint64_t last_done;       /* number of the last one that ended */
    int last_result;          /* and its outcome */
    struct phantom_generation last_generation;
    uint64_t instructions_at_last; /* the machine's count when the last good one was begun */
    bool refusal_reported;         /* of the current row of refused snapshots */

    bool snapshotter_wanted;
    bool snapshotter_running;
    bool has_run; /* since it was opened */
    atomic_bool running;
    atomic_bool poisoned;
    atomic_int damaged; /* the error for which lazy restore gave the world up, or 0 */
};

/** Reserve the heap's range with the tracking that the strategy asked for needs; without such a
 *  wish, the best that this machine allows. */
int world_reserve_memory(struct phantom_world *world, uint64_t base, uint64_t size,
                         struct phantom_diag *diag);

/** Does the strategy that was asked for want to be told of each store? */
bool world_tells_stores(const struct phantom_world *world);
/** Who is to be told, for the heap; NULL: nobody. The engine is open. */
const struct heap_stores *world_stores(struct phantom_world *world);

/** Take a snapshot, or share one that begins after this call. Any thread but a worker. */
int world_snapshot(struct phantom_world *world, struct phantom_generation *out,
                   struct phantom_diag *diag);

/** True when nothing ran since the last good snapshot. Sleeping threads run nothing, but the time
 * they have still to sleep becomes less; if that matters, a world with sleepers is never unchanged.
 */
bool world_is_unchanged(struct phantom_world *world, bool sleepers_matter);

/** Keep the sentence of a call that ended ("": it succeeded) for phantom_message(). */
void world_remember(struct phantom_world *world, const struct phantom_diag *diag);

/** The pvm_host callback that looks for NAME.pc in the class paths. */
int world_load_class(void *context, const char *name, void **bytes, size_t *size, char *file_name,
                     size_t file_name_size, struct phantom_diag *diag);

/** A line for the host's message callback, if there is one. */
void world_message(struct phantom_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* WORLD_INTERNAL_H */
