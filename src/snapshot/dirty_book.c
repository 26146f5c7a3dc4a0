/* SPDX-License-Identifier: Apache-2.0
 *
 * dirty_book.c - see dirty_book.h. Owns the sets.
 */
#include "dirty_book.h"

#include "ph_mutant.h"
#include "ph_points.h"

int dirty_book_init(struct dirty_book *book, struct snap_engine *engine)
{
    *book = (struct dirty_book){.engine = engine};
    struct page_set *sets[] = {&book->pending, &book->staged, &book->holes, &book->hot,
                               &book->hot_now};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < sizeof(sets) / sizeof(sets[0]); i++) {
        rc = page_set_init(sets[i], engine->memory->page_count);
    }
    return rc;
}

void dirty_book_finish(struct dirty_book *book)
{
    page_set_finish(&book->pending);
    page_set_finish(&book->staged);
    page_set_finish(&book->holes);
    page_set_finish(&book->hot);
    page_set_finish(&book->hot_now);
}

void dirty_book_tell(struct dirty_book *book, struct snap_range range)
{
    page_set_add_range(&book->pending, range.first, range.count);
    page_set_remove_range(&book->holes, range.first, range.count);
    page_set_remove_range(&book->engine->discarded, range.first, range.count);
}

void dirty_book_tell_stopped(struct dirty_book *book, uint64_t page)
{
    page_set_add(&book->pending, page);
    page_set_remove(&book->holes, page);
    page_set_remove(&book->engine->discarded, page);
    if ((book->staged.members != 0 && page_set_has(&book->staged, page)) ||
        (book->hot.members != 0 && page_set_has(&book->hot, page))) {
        page_set_add(&book->hot_now, page);
    }
}

/** Under discard_lock: no store followed these discards, so nothing of the pages is to be staged.
 */
static void drop_discarded(struct page_set *set, const struct page_set *discarded)
{
    if (set->members == 0 || discarded->members == 0) {
        return;
    }
    uint64_t end = discarded->page_count;
    for (uint64_t page = page_set_next(discarded, 0, end); page != PAGE_SET_END;
         page = page_set_next(discarded, page + 1, end)) {
        page_set_remove(set, page);
    }
}

/** Members that have an entry in the map to lose: not those beyond the last generation's heap. */
static uint64_t holes_in(const struct dirty_book *book, const struct page_set *set)
{
    uint64_t end = snap_store_current(book->engine->store)->heap_pages;
    return set->members != 0 ? page_set_count(set, 0, end) : 0;
}

uint64_t dirty_book_size(struct dirty_book *book, uint64_t *holes)
{
    pthread_mutex_lock(&book->engine->discard_lock);
    drop_discarded(&book->pending, &book->engine->discarded);
    uint64_t pages = book->pending.members;
    /* Beyond what the last generation had in use there is nothing to be forgotten. */
    uint64_t end = snap_store_current(book->engine->store)->heap_pages;
    *holes =
        page_set_count(&book->engine->discarded, 0, end) + page_set_count(&book->holes, 0, end);
    pthread_mutex_unlock(&book->engine->discard_lock);
    return pages;
}

static int stage(struct dirty_book *book, uint64_t page, struct snap_txn *txn,
                 struct phantom_diag *diag)
{
    int rc = snap_engine_stage(book->engine, txn, page, diag);
    if (rc == 0) {
        page_set_remove(&book->pending, page);
        page_set_add(&book->staged, page);
    }
    return rc;
}

int dirty_book_stage_live(struct dirty_book *book, uint64_t first, uint64_t end,
                          struct snap_txn *txn, struct phantom_diag *diag)
{
    int rc = 0;
    for (uint64_t page = page_set_next(&book->pending, first, end); rc == 0 && page != PAGE_SET_END;
         page = page_set_next(&book->pending, page + 1, end)) {
        if (!page_set_has(&book->hot, page)) {
            PH_POINT("live page");
            rc = stage(book, page, txn, diag);
        }
    }
    return rc;
}

/** Discards that no store followed: the page is a hole, whatever was pending or staged of it. */
static void take_discards(struct dirty_book *book)
{
    struct page_set *discarded = &book->engine->discarded;
    drop_discarded(&book->pending, discarded);
    drop_discarded(&book->staged, discarded);
    page_set_move(&book->holes, discarded);
}

static int record_hole(struct snap_txn *txn, uint64_t page, struct phantom_diag *diag)
{
    int rc = snap_txn_hole(txn, page);
    return rc == 0 ? 0 : ph_fail(diag, rc, "recording a discarded page: %s", phantom_strerror(rc));
}

/**
 * Pages that a live round staged although they turned out to lie beyond what the heap uses: they
 * are not part of this generation, and stay pending for the one in which they are.
 */
static int drop_beyond_heap(struct dirty_book *book, struct snap_txn *txn,
                            struct phantom_diag *diag)
{
    uint64_t end = book->staged.page_count;
    uint64_t from = book->engine->round.heap_pages;
    for (uint64_t page = page_set_next(&book->staged, from, end); page != PAGE_SET_END;
         page = page_set_next(&book->staged, page + 1, end)) {
        int rc = record_hole(txn, page, diag);
        if (rc != 0) {
            return rc;
        }
        page_set_remove(&book->staged, page);
        page_set_add(&book->pending, page);
    }
    return 0;
}

int dirty_book_cut(struct dirty_book *book, struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_round *round = &book->engine->round;
    struct page_set was_hot = book->hot;
    book->hot = book->hot_now;
    book->hot_now = was_hot;
    page_set_clear(&book->hot_now);
    take_discards(book);
    int rc = drop_beyond_heap(book, txn, diag);
    round->cut_pages = page_set_count(&book->pending, 0, round->heap_pages);
    round->cut_room = snap_engine_room_for(book->engine, &book->pending, round->heap_pages);
    round->cut_holes = holes_in(book, &book->holes);
    return rc;
}

int dirty_book_capture(struct dirty_book *book, struct snap_txn *txn, struct snap_report *report,
                       struct phantom_diag *diag)
{
    const struct snap_engine *engine = book->engine;
    uint64_t heap_end = engine->round.heap_pages;
    report->pages_stopped = engine->round.cut_pages;
    int rc = 0;
    for (uint64_t page = page_set_next(&book->pending, 0, heap_end), next;
         rc == 0 && page != PAGE_SET_END; page = next) {
        next = page_set_next(&book->pending, page + 1, heap_end);
        if (next != PAGE_SET_END) { /* strewn pages: the address translation takes the longest */
            __builtin_prefetch(snap_engine_page(engine, next));
        }
        rc = stage(book, page, txn, diag);
    }
    uint64_t end = book->holes.page_count;
    for (uint64_t page = page_set_next(&book->holes, 0, end); rc == 0 && page != PAGE_SET_END;
         page = page_set_next(&book->holes, page + 1, end)) {
        rc = record_hole(txn, page, diag);
    }
    return rc;
}

void dirty_book_retire(struct dirty_book *book, bool committed)
{
    page_set_clear(&book->hot_now); /* the cut may have failed half way */
    if (committed) {
        page_set_clear(&book->staged);
        page_set_clear(&book->holes);
    } else if (PH_MUTANT(DIRTY_SET_FORGOTTEN)) {
        page_set_clear(&book->staged);
        page_set_clear(&book->pending);
    } else {
        page_set_move(&book->pending, &book->staged);
    }
}

int dirty_book_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}
