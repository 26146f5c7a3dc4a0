/* SPDX-License-Identifier: Apache-2.0
 *
 * lazy_restore.h - the current generation brought into memory while the world already runs: page by
 * page as it is touched, and the rest in the background.
 *
 * What the engine promises on top of this: a page that is not loaded yet reads as what the
 * generation holds; it is not dirty; a discard of it is final.
 */
#ifndef LAZY_RESTORE_H
#define LAZY_RESTORE_H

#include "page_set.h"
#include "snap_engine.h"

struct lazy_restore;

/** What lazy_restore_start() needs; copied. */
struct lazy_source {
    struct snap_memory *memory; /* empty, with serve() */
    struct snap_store *store;   /* with a generation */
    int (*open_reader)(void *context, struct snap_io **out, struct phantom_diag *diag);
    void *reader_context;
    /** See struct snap_world; called on threads of the memory. May be NULL. */
    void (*damaged)(void *context, int error, const struct phantom_diag *diag, bool waiting);
    void *damaged_context;
    const struct snap_wanted *wanted_first; /* the working set, most wanted first */
    size_t wanted_count;
};

/**
 * Serve the store's current generation in the memory from now on.
 * @return 0, or an error: then nothing is served and the memory is as it was, so that it can be
 *         filled eagerly
 */
int lazy_restore_start(const struct lazy_source *source, struct lazy_restore **out,
                       struct phantom_diag *diag);
/** Ends the threads; what is not loaded never will be. NULL allowed. */
void lazy_restore_stop(struct lazy_restore *lazy);

/** These pages are about to be discarded: what the generation holds of them is forgotten. Call
 *  before the memory gives them back. */
void lazy_restore_forget(struct lazy_restore *lazy, uint64_t first, uint64_t count);

/** Bring these pages in, holes too, so that the kernel can access them. 0, or why it cannot. */
int lazy_restore_load(struct lazy_restore *lazy, uint64_t first, uint64_t count,
                      struct phantom_diag *diag);

/** The same for single pages, many in flight at once; those that are not loaded yet. */
int lazy_restore_load_list(struct lazy_restore *lazy, const uint64_t *pages, size_t count,
                           struct phantom_diag *diag);

/** 0, or the error for which the world had to be given up, with its sentence. Any thread. */
int lazy_restore_failure(struct lazy_restore *lazy, struct phantom_diag *diag);

void lazy_restore_progress(struct lazy_restore *lazy, struct snap_restore_progress *out);

/** Call `visit` for every page below `end` that has data and is not loaded yet, with its content.
 *  For checks: slow, and while it runs nobody's fault is answered. */
int lazy_restore_each_unloaded(struct lazy_restore *lazy, uint64_t end, snap_page_visitor visit,
                               void *context, struct phantom_diag *diag);

/** Add the pages that threads had to wait for to the set. */
void lazy_restore_demanded(struct lazy_restore *lazy, struct page_set *set);

/** A copy of what is not loaded, as if it had been discarded: for a mutant. */
void lazy_restore_mistake(struct lazy_restore *lazy, struct page_set *discarded);

#endif /* LAZY_RESTORE_H */
