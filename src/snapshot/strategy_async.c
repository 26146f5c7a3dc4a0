/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_async.c - tracking by the memory (userfaultfd WP_ASYNC + PAGEMAP_SCAN), capture by
 * copying: live rounds while mutators run, then a short stop for the residue.
 *
 * A scan that protects *consumes* what it reports: from then on only this file knows that those
 * pages differ from the last committed generation. The sets below are therefore the memory of the
 * strategy; no page may leave them before a generation that holds it is durable.
 *
 *            scan+protect                 copied to staging              commit
 *   memory ----------------> pending ---------------------------> staged -------> (forgotten)
 *      |                        ^                                   |
 *      | discard, not dirty     +-----------------------------------+
 *      | again at the cut                snapshot failed
 *      +----------------------> holes ----------------------------------> commit: forgotten
 *
 * True between snapshots: staged is empty; pending and holes have no page in common; every page
 * whose content differs from the current generation is dirty in the memory, in pending, in holes or
 * in the engine's log of discards.
 *
 * Order in a live round: protect a page, then copy it (see capture.h). A page that is reported
 * again after it was staged is staged again; the store indexes the last version only.
 *
 * Locks: the engine's discard_lock around each scan with its bookkeeping. A discard that is
 * complete before a scan reports the page dirty was followed by a store: the page is data. A
 * discard after the scan is logged again and wins at the cut, unless the page is written once more.
 */
#include "capture.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "snapshot_internal.h"

#include <errno.h>

enum {
    /* Up to a small commit is copied in the stop: a live round would only make the commit later. */
    LIVE_ROUND_PAGES = SNAP_SMALL_COMMIT_PAGES,
    /* Protected and then copied in one go while mutators run: 64 MiB. More would only give them
     * more time to write the pages again. */
    LIVE_CHUNK_PAGES = 16384,
    /* Rounds do not shrink a hot set; a second one pays only after a long first one. */
    LIVE_ROUNDS = 2,
};

struct async_state {
    struct snap_engine *engine;
    struct page_set pending; /* consumed by a scan, not staged since */
    struct page_set staged;  /* staged in the snapshot being taken */
    struct page_set holes;   /* discarded, not committed as hole yet */
    uint64_t estimate;       /* of the snapshot being taken */
    struct snap_range ranges[SNAP_RANGES];
};

static void async_close(void *state)
{
    struct async_state *async = state;
    if (async == NULL) {
        return;
    }
    page_set_finish(&async->pending);
    page_set_finish(&async->staged);
    page_set_finish(&async->holes);
    ph_free(async);
}

static int async_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct async_state *async = ph_zalloc(1, sizeof(*async));
    if (async == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    async->engine = engine;
    uint64_t pages = engine->memory->page_count;
    int rc = page_set_init(&async->pending, pages);
    if (rc == 0) {
        rc = page_set_init(&async->staged, pages);
    }
    if (rc == 0) {
        rc = page_set_init(&async->holes, pages);
    }
    if (rc != 0) {
        async_close(async);
        return ph_fail(diag, rc, "no memory for the page sets of the snapshot engine");
    }
    *state = async;
    return 0;
}

/* ---- scanning ------------------------------------------------------------------------------ */

/** Number of dirty pages in the whole range; changes nothing. */
static int count_dirty(struct async_state *async, uint64_t *pages)
{
    struct snap_memory *memory = async->engine->memory;
    *pages = 0;
    for (uint64_t at = 0; at < memory->page_count;) {
        uint64_t resume = at;
        int n = memory->ops->scan(memory, at, memory->page_count - at, 0, async->ranges,
                                  SNAP_RANGES, &resume);
        if (n < 0) {
            return n;
        }
        for (int i = 0; i < n; i++) {
            *pages += async->ranges[i].count;
        }
        PH_CHECK(resume > at);
        at = resume;
    }
    return 0;
}

/** Note that these pages were dirty and are protected now. Under discard_lock. */
static void consume(struct async_state *async, struct snap_range range)
{
    page_set_add_range(&async->pending, range.first, range.count);
    page_set_remove_range(&async->holes, range.first, range.count);
    page_set_remove_range(&async->engine->discarded, range.first, range.count);
}

/** Scan and protect [first, end); what was dirty becomes pending. Under discard_lock. */
static int scan_and_protect(struct async_state *async, uint64_t first, uint64_t end,
                            struct phantom_diag *diag)
{
    struct snap_memory *memory = async->engine->memory;
    while (first < end) {
        uint64_t resume = first;
        int n = memory->ops->scan(memory, first, end - first, SNAP_SCAN_PROTECT, async->ranges,
                                  SNAP_RANGES, &resume);
        if (n < 0) {
            return ph_fail(diag, n, "scanning the heap for written pages: %s", phantom_strerror(n));
        }
        for (int i = 0; i < n; i++) {
            consume(async, async->ranges[i]);
        }
        PH_CHECK(resume > first);
        first = resume;
    }
    return 0;
}

/** Copy all pending pages of [first, end) to staging. */
static int stage_pending(struct async_state *async, uint64_t first, uint64_t end,
                         struct snap_txn *txn, struct phantom_diag *diag)
{
    for (uint64_t page = page_set_next(&async->pending, first, end); page != PAGE_SET_END;
         page = page_set_next(&async->pending, page + 1, end)) {
        int rc = snap_engine_stage(async->engine, txn, page, diag);
        if (rc != 0) {
            return rc;
        }
        page_set_remove(&async->pending, page);
        page_set_add(&async->staged, page);
    }
    return 0;
}

/* ---- phases -------------------------------------------------------------------------------- */

static int async_estimate(void *state, uint64_t *pages)
{
    struct async_state *async = state;
    uint64_t dirty = 0;
    int rc = count_dirty(async, &dirty);
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&async->engine->discard_lock);
    dirty += async->engine->discarded.members;
    pthread_mutex_unlock(&async->engine->discard_lock);
    async->estimate = dirty + async->pending.members + async->holes.members;
    *pages = async->estimate;
    return 0;
}

/** The wrong order, for a mutant: what mutators write between copy and protection is lost. */
static int copy_before_protect(struct async_state *async, uint64_t first, uint64_t end,
                               struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_memory *memory = async->engine->memory;
    for (uint64_t at = first; at < end;) {
        uint64_t resume = at;
        int n = memory->ops->scan(memory, at, end - at, 0, async->ranges, SNAP_RANGES, &resume);
        if (n < 0) {
            return n;
        }
        for (int i = 0; i < n; i++) {
            consume(async, async->ranges[i]);
        }
        at = resume;
    }
    int rc = stage_pending(async, first, end, txn, diag);
    if (rc == 0) {
        rc = scan_and_protect(async, first, end, diag);
        page_set_remove_range(&async->pending, first, end - first);
    }
    return rc;
}

/** Protect, then copy, one chunk after the other, while mutators run. */
static int live_round(struct async_state *async, struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_engine *engine = async->engine;
    uint64_t pages = engine->memory->page_count;
    for (uint64_t first = 0; first < pages; first += LIVE_CHUNK_PAGES) {
        uint64_t end = first + LIVE_CHUNK_PAGES < pages ? first + LIVE_CHUNK_PAGES : pages;
        int rc;
        if (PH_MUTANT(COPY_BEFORE_PROTECT)) {
            rc = copy_before_protect(async, first, end, txn, diag);
        } else {
            pthread_mutex_lock(&engine->discard_lock);
            rc = scan_and_protect(async, first, end, diag);
            pthread_mutex_unlock(&engine->discard_lock);
            if (rc == 0) {
                rc = stage_pending(async, first, end, txn, diag);
            }
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int async_precopy(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct async_state *async = state;
    uint64_t dirty = async->estimate;
    int rc = 0;
    for (int round = 0; round < LIVE_ROUNDS && dirty > LIVE_ROUND_PAGES; round++) {
        rc = live_round(async, txn, diag);
        if (rc != 0) {
            break;
        }
        uint64_t before = dirty;
        rc = count_dirty(async, &dirty);
        if (rc != 0 || dirty > before / 2) {
            break; /* a hot set: going round again would only copy it once more */
        }
    }
    report->pages_live = async->engine->round.staged;
    return rc;
}

/** Discards that no store followed: the page is a hole, whatever was pending or staged of it. */
static void take_discards(struct async_state *async)
{
    struct page_set *discarded = &async->engine->discarded;
    uint64_t end = discarded->page_count;
    for (uint64_t page = page_set_next(discarded, 0, end); page != PAGE_SET_END;
         page = page_set_next(discarded, page + 1, end)) {
        page_set_remove(&async->pending, page);
        page_set_remove(&async->staged, page);
    }
    page_set_move(&async->holes, discarded);
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
static int drop_beyond_heap(struct async_state *async, struct snap_txn *txn,
                            struct phantom_diag *diag)
{
    uint64_t end = async->staged.page_count;
    uint64_t from = async->engine->round.heap_pages;
    for (uint64_t page = page_set_next(&async->staged, from, end); page != PAGE_SET_END;
         page = page_set_next(&async->staged, page + 1, end)) {
        int rc = record_hole(txn, page, diag);
        if (rc != 0) {
            return rc;
        }
        page_set_remove(&async->staged, page);
        page_set_add(&async->pending, page);
    }
    return 0;
}

static int async_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag)
{
    struct async_state *async = state;
    struct snap_round *round = &async->engine->round;
    (void)report;
    int rc = scan_and_protect(async, 0, round->heap_pages, diag);
    if (rc != 0) {
        return rc;
    }
    take_discards(async);
    rc = drop_beyond_heap(async, txn, diag);
    round->cut_pages = page_set_count(&async->pending, 0, round->heap_pages);
    round->cut_room = snap_engine_room_for(async->engine, &async->pending, round->heap_pages);
    round->cut_holes = async->holes.members;
    return rc;
}

static int async_capture(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct async_state *async = state;
    struct snap_round *round = &async->engine->round;
    report->pages_stopped = round->cut_pages;
    int rc = stage_pending(async, 0, round->heap_pages, txn, diag);
    uint64_t end = async->holes.page_count;
    for (uint64_t page = page_set_next(&async->holes, 0, end); rc == 0 && page != PAGE_SET_END;
         page = page_set_next(&async->holes, page + 1, end)) {
        rc = record_hole(txn, page, diag);
    }
    return rc;
}

/** Nothing: capture has staged the whole set, and a small commit goes out in one piece. */
static int async_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                       struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}

static void async_retire(void *state, bool committed)
{
    struct async_state *async = state;
    if (committed) {
        page_set_clear(&async->staged);
        page_set_clear(&async->holes);
    } else if (PH_MUTANT(DIRTY_SET_FORGOTTEN)) {
        page_set_clear(&async->staged);
        page_set_clear(&async->pending);
    } else {
        page_set_move(&async->pending, &async->staged);
    }
}

static const char *async_why_not(const struct snap_conditions *conditions)
{
    return conditions->tracks ? NULL : "this memory does not track writes";
}

const struct snap_strategy snap_strategy_async = {
    .name = "async",
    .why_not = async_why_not,
    .needs = "a kernel that tracks written pages (Linux 6.7)",
    .open = async_open,
    .close = async_close,
    .estimate = async_estimate,
    .precopy = async_precopy,
    .cut = async_cut,
    .capture = async_capture,
    .drain = async_drain,
    .retire = async_retire,
};
