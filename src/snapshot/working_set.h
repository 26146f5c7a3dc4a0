/* SPDX-License-Identifier: Apache-2.0
 *
 * working_set.h - which pages a run used, so that the next one gets them first.
 *
 * Recorded: pages that a thread had to wait for during a lazy restore, and pages that were dirty in
 * the last commits. Pages that were fetched early because the run before wanted them can not be
 * seen to be used; they are kept, a year older at each opening, and dropped when they are too old:
 * should one be needed after all, somebody waits for it once and it is young again.
 */
#ifndef WORKING_SET_H
#define WORKING_SET_H

#include "page_set.h"
#include "snap_store.h"

struct working_set {
    bool recording;
    struct page_set now, before; /* dirty in the last commits; `before` is the older part */
    struct snap_wanted *old;     /* what the store said at opening, youngest first */
    size_t old_count;
    int64_t saved_ns; /* monotonic */
};

/** Read what the store knows and begin to record. 0 or -ENOMEM (then it is safe to close). */
int working_set_open(struct working_set *set, struct snap_store *store, int64_t now_ns);
void working_set_close(struct working_set *set);
/** These pages were part of a commit. */
void working_set_note(struct working_set *set, const struct page_set *pages);
/** Save the set and, if not NULL, the pages waited for. Best effort: only speed depends on it. */
void working_set_save(struct working_set *set, struct snap_store *store,
                      const struct page_set *demanded, int64_t now_ns);

#endif /* WORKING_SET_H */
