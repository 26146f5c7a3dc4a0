/* SPDX-License-Identifier: Apache-2.0
 *
 * dirty_book.h - which pages differ from the last committed generation, as far as a strategy that
 * copies pages has been told. Used by `async` and `cards`; not outside this room.
 *
 * Whoever says "this page was written" - a scan that protects, a mark that is cleared - says it
 * once. From then on only the book knows, so no page may leave it before a generation that holds
 * it is durable.
 *
 *            told                      copied to staging              commit
 *   memory ----------------> pending ---------------------------> staged -------> (forgotten)
 *      |                        ^                                   |
 *      | discard, not told      +-----------------------------------+
 *      | again at the cut                snapshot failed
 *      +----------------------> holes ----------------------------------> commit: forgotten
 *
 * True between snapshots: staged is empty; pending and holes have no page in common; every page
 * whose content differs from the current generation is still to be told, in pending, in holes or in
 * the engine's log of discards.
 *
 * Hot pages: staged in a live round and told again in the stop. The next live rounds leave them
 * alone, since they would be copied a second time in the stop. A page that is not told again in the
 * stop is not hot any more: so a set that was taken for hot by mistake costs one long stop.
 *
 * Locks: the engine's discard_lock around telling, so that the order of a discard and a store is
 * known: what is told after a discard was logged is data.
 */
#ifndef SNAPSHOT_DIRTY_BOOK_H
#define SNAPSHOT_DIRTY_BOOK_H

#include "snapshot_internal.h"

struct dirty_book {
    struct snap_engine *engine;
    struct page_set pending; /* told, not staged since */
    struct page_set staged;  /* staged in the snapshot being taken */
    struct page_set holes;   /* discarded, not committed as hole yet */
    struct page_set hot;
    struct page_set hot_now; /* during a cut: told in it, and hot */
};

/** Both lead to finish(); 0 or -ENOMEM. */
int dirty_book_init(struct dirty_book *book, struct snap_engine *engine);
void dirty_book_finish(struct dirty_book *book);

/** These pages have been written. Under discard_lock. */
void dirty_book_tell(struct dirty_book *book, struct snap_range range);
/** The same for one page, in the stop: also decides whether it is hot. */
void dirty_book_tell_stopped(struct dirty_book *book, uint64_t page);

/** Pages that the book knows would have to be staged, and those that would become holes. What was
 *  discarded since it was told is not pending any more. Takes discard_lock. */
uint64_t dirty_book_size(struct dirty_book *book, uint64_t *holes);

/** World running: copy the pending pages of [first, end), but the hot ones. */
int dirty_book_stage_live(struct dirty_book *book, uint64_t first, uint64_t end,
                          struct snap_txn *txn, struct phantom_diag *diag);

/** After the last tell of the stop: apply the discards, leave out what lies beyond the heap, say
 *  the size of the set in engine->round. */
int dirty_book_cut(struct dirty_book *book, struct snap_txn *txn, struct phantom_diag *diag);
/** World stopped: stage the set and record the holes. */
int dirty_book_capture(struct dirty_book *book, struct snap_txn *txn, struct snap_report *report,
                       struct phantom_diag *diag);
void dirty_book_retire(struct dirty_book *book, bool committed);

/** A drain() for strategies that have staged everything in the stop: nothing is left to do. */
int dirty_book_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag);

#endif /* SNAPSHOT_DIRTY_BOOK_H */
