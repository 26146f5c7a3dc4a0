/* SPDX-License-Identifier: Apache-2.0
 *
 * cow_snapshot.h - the phases that the copy-on-write strategies share: `epoch`, `sigbus` and
 * `mprotect` differ only in how they learn of a store (cow_pages.h) and in what they do to the
 * memory at a cut.
 */
#ifndef SNAPSHOT_COW_SNAPSHOT_H
#define SNAPSHOT_COW_SNAPSHOT_H

#include "cow_pages.h"
#include "snapshot_internal.h"

struct cow_snapshot {
    struct cow_pages pages; /* first: the barrier hands back its address */
    struct snap_engine *engine;
    struct page_set holes;   /* discarded, not committed as hole yet */
    bool stores_are_noticed; /* after a discard, too: the page may leave the changed set */
};

/** Everything that is in the memory and did not come from the store counts as changed. 0 or a
 *  negative error with diag; then it is safe to finish. */
int cow_snapshot_init(struct cow_snapshot *cow, struct snap_engine *engine,
                      struct phantom_diag *diag);
void cow_snapshot_finish(struct cow_snapshot *cow);

int cow_snapshot_estimate(void *state, uint64_t *pages, uint64_t *holes);
/** The pages are written after the cut, so only: while room was made for what had changed, which
 *  takes long where the file must grow, more was changed. Room for that, too, or the stop has to
 *  make it. */
int cow_snapshot_precopy(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag);
int cow_snapshot_nothing(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag);
/** Nothing: the cut has done it. */
int cow_snapshot_nothing(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag);
/** World stopped: freeze the changed set. */
int cow_snapshot_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag);
/** World running: stage and write the frozen set and the images. */
int cow_snapshot_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                       struct phantom_diag *diag);
void cow_snapshot_retire(void *state, bool committed);
void cow_snapshot_before_discard(void *state, uint64_t first, uint64_t count);
void cow_snapshot_before_store(void *state, uint64_t first, uint64_t count);

#endif /* SNAPSHOT_COW_SNAPSHOT_H */
