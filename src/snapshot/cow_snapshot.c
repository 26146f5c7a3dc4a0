/* SPDX-License-Identifier: Apache-2.0
 *
 * cow_snapshot.c - see cow_snapshot.h. The stop does next to nothing; drain does the work.
 *
 * Owns the holes: discarded pages that no committed generation has as holes yet. True between
 * snapshots: nothing is frozen (cow_pages.h); holes has what was discarded up to the last cut and
 * is not committed; later discards are in the engine's log.
 *
 * A page that is in the frozen set and in holes was written after its discard, or its discard could
 * not be forgotten: it is data. A discarded page that counts as data reads as zeros, and the store
 * makes a hole of it.
 *
 * Locks: before_discard runs under the engine's discard_lock and may wait for drain to free an
 * image. So drain and retire never take that lock.
 */
#include "cow_snapshot.h"

#include "ph_mutant.h"

#include <errno.h>

static int reopen_range(void *context, struct snap_range range)
{
    struct cow_snapshot *cow = context;
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        if (!page_set_has(&cow->engine->restored, page)) {
            cow_pages_reopen(&cow->pages, page);
        }
    }
    return 0;
}

int cow_snapshot_init(struct cow_snapshot *cow, struct snap_engine *engine,
                      struct phantom_diag *diag)
{
    struct snap_memory *memory = engine->memory;
    cow->engine = engine;
    int rc = cow_pages_init(&cow->pages, memory, engine->options.staging_pages);
    if (rc == 0) {
        rc = page_set_init(&cow->holes, memory->page_count);
    }
    if (rc == 0) {
        rc = snap_engine_each_resident(engine, memory->page_count, reopen_range, cow);
    }
    return rc == 0 ? 0 : ph_fail(diag, rc, "preparing copy on write: %s", phantom_strerror(rc));
}

void cow_snapshot_finish(struct cow_snapshot *cow)
{
    cow_pages_finish(&cow->pages);
    page_set_finish(&cow->holes);
}

/* ---- before and in the stop ---------------------------------------------------------------- */

enum {
    ROUNDS_MOST = 8, /* of making room for what was changed while room was made */
    ROOM_LEAST = 32  /* pages, and a sixteenth of the changed ones */
};

int cow_snapshot_estimate(void *state, uint64_t *pages, uint64_t *holes)
{
    struct cow_snapshot *cow = state;
    pthread_mutex_lock(&cow->engine->discard_lock);
    uint64_t discarded = cow->engine->discarded.members;
    pthread_mutex_unlock(&cow->engine->discard_lock);
    *pages = cow_pages_changed(&cow->pages);
    *holes = cow->holes.members + discarded;
    return 0;
}

int cow_snapshot_nothing(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}

int cow_snapshot_precopy(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct cow_snapshot *cow = state;
    const struct snap_round *round = &cow->engine->round;
    int rc = 0;
    (void)report;
    for (unsigned i = 0; rc == 0 && i < ROUNDS_MOST && !PH_MUTANT(ROOM_ONLY_ONCE); i++) {
        struct phantom_diag own = PHANTOM_DIAG_INIT;
        uint64_t pages = 0, holes = 0;
        (void)cow_snapshot_estimate(cow, &pages, &holes); /* does not fail */
        pages +=
            pages / 16 + ROOM_LEAST; /* what changes until all are parked; less than reserve's */
        if (pages <= round->reserved && holes <= round->reserved_holes) {
            break;
        }
        rc = snap_engine_reserve(cow->engine, txn, pages, holes, &own);
        if (rc == PHANTOM_ENOSPACE) {
            return 0; /* it may fit exactly: the cut will know */
        }
        if (rc != 0) {
            (void)ph_fail(diag, rc, "%s", own.text);
        }
    }
    return rc;
}

int cow_snapshot_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag)
{
    struct cow_snapshot *cow = state;
    struct snap_round *round = &cow->engine->round;
    (void)txn;
    (void)diag;
    cow_pages_freeze(&cow->pages);
    page_set_move(&cow->holes, &cow->engine->discarded);
    /* More than it will be, if pages lie beyond the heap or were written after a discard. */
    round->cut_pages = cow->pages.frozen_left;
    round->cut_room = cow->pages.frozen_left;
    round->cut_holes = cow->holes.members;
    report->pages_stopped = cow->pages.frozen_left;
    return 0;
}

/* ---- the world runs again ------------------------------------------------------------------ */

struct drain {
    struct cow_snapshot *cow;
    struct snap_txn *txn;
    struct phantom_diag *diag;
};

static int stage_image(void *context, uint64_t page, const void *image)
{
    struct drain *drain = context;
    struct snap_engine *engine = drain->cow->engine;
    if (page >= engine->round.heap_pages) {
        return 0; /* not part of this generation; it is in the changed set again */
    }
    return snap_engine_stage_from(engine, drain->txn, page, image, drain->diag);
}

/** Images first: threads may be waiting for room. */
static int stage_images(struct drain *drain)
{
    struct cow_pages *pages = &drain->cow->pages;
    return cow_pages_have_images(pages) ? cow_pages_take_images(pages, stage_image, drain) : 0;
}

/** The wrong way, for a mutant: the page of somebody else's claim is read, and wins. */
static int stage_claimed_page(struct drain *drain, uint64_t page)
{
    int rc = stage_images(drain);
    return rc != 0 ? rc : snap_engine_stage(drain->cow->engine, drain->txn, page, drain->diag);
}

static int stage_frozen_page(struct drain *drain, uint64_t page)
{
    struct cow_pages *pages = &drain->cow->pages;
    struct snap_engine *engine = drain->cow->engine;
    if (page >= engine->round.heap_pages) {
        cow_pages_reopen(pages, page);
        return 0;
    }
    if (!cow_pages_unsettled(pages, page)) {
        return PH_MUTANT(CLAIM_IGNORED) ? stage_claimed_page(drain, page) : 0;
    }
    /* A slot before the claim: nobody shall wait for the disk because of one page. */
    int rc = snap_engine_make_room(engine, drain->txn, drain->diag);
    if (rc != 0 || !cow_pages_claim(pages, page)) {
        return rc;
    }
    rc = snap_engine_stage(engine, drain->txn, page, drain->diag);
    cow_pages_release(pages, page, rc == 0);
    return rc;
}

static int stage_holes(struct drain *drain)
{
    struct page_set *holes = &drain->cow->holes;
    const struct atomic_page_set *frozen = cow_pages_frozen(&drain->cow->pages);
    for (uint64_t page = page_set_next(holes, 0, holes->page_count); page != PAGE_SET_END;
         page = page_set_next(holes, page + 1, holes->page_count)) {
        if (atomic_page_set_has(frozen, page)) {
            page_set_remove(holes, page);
            continue;
        }
        int rc = snap_txn_hole(drain->txn, page);
        if (rc != 0) {
            return ph_fail(drain->diag, rc, "recording a discarded page: %s", phantom_strerror(rc));
        }
    }
    return 0;
}

int cow_snapshot_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                       struct phantom_diag *diag)
{
    struct cow_snapshot *cow = state;
    struct drain drain = {.cow = cow, .txn = txn, .diag = diag};
    const struct atomic_page_set *frozen = cow_pages_frozen(&cow->pages);
    (void)report;
    int rc = 0;
    for (uint64_t page = atomic_page_set_next(frozen, 0); rc == 0 && page != UINT64_MAX;
         page = atomic_page_set_next(frozen, page + 1)) {
        rc = stage_images(&drain);
        if (rc == 0) {
            rc = stage_frozen_page(&drain, page);
        }
    }
    while (rc == 0 && cow->pages.frozen_left > 0) {
        cow_pages_await_image(&cow->pages);
        rc = stage_images(&drain);
    }
    return rc != 0 ? rc : stage_holes(&drain);
}

void cow_snapshot_retire(void *state, bool committed)
{
    struct cow_snapshot *cow = state;
    if (committed) {
        page_set_clear(&cow->holes);
    }
    cow_pages_thaw(&cow->pages, committed);
}

void cow_snapshot_before_discard(void *state, uint64_t first, uint64_t count)
{
    struct cow_snapshot *cow = state;
    for (uint64_t page = first; page < first + count; page++) {
        cow_pages_before_discard(&cow->pages, page, cow->stores_are_noticed);
    }
}

void cow_snapshot_before_store(void *state, uint64_t first, uint64_t count)
{
    struct cow_snapshot *cow = state;
    for (uint64_t page = first; page < first + count; page++) {
        cow_pages_before_store(&cow->pages, page);
    }
}
