/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_staging.c - services for the strategies: room in the store, and the staging area, which is
 * bounded, kept from one snapshot to the next, and present before the world is stopped.
 *
 * Back-pressure: a live round that fills the area writes it out and waits (for half of it, and goes
 * on in that half while the other is written; snap_txn.c, "streaming"), mutators run on. Before
 * the stop the strategy says how many pages it expects there (snap_engine_expect), and room is made
 * for them. A set that does not fit all the same is written out with the world stopped, which is
 * slow, right, counted and reported.
 *
 * True between calls: engine->unwritten.members slots hold pages that are not written yet, and they
 * are the first ones of the area unless all of it has been used; the first staging.touched slots
 * are present.
 */
#include "capture.h"
#include "ph_check.h"
#include "ph_mutant.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>

enum { MARGIN_PAGES = 64 }; /* reserved beyond the estimate, plus an eighth of it */

int snap_engine_reserve(struct snap_engine *engine, struct snap_txn *txn, uint64_t pages,
                        uint64_t holes, struct phantom_diag *diag)
{
    struct snap_round *round = &engine->round;
    if (pages <= round->reserved && holes <= round->reserved_holes) {
        return 0;
    }
    /* More holes alone, as after a collection, are no reason for more pages. */
    uint64_t generous =
        pages > round->reserved ? pages + pages / 8 + MARGIN_PAGES : round->reserved;
    pages = pages > round->reserved ? pages : round->reserved;
    holes = holes > round->reserved_holes ? holes : round->reserved_holes;
    int rc = snap_txn_reserve_holes(txn, generous, holes, diag);
    if (rc == PHANTOM_ENOSPACE) {
        generous = pages; /* no room for comfort; is there room for what is needed? */
        rc = snap_txn_reserve_holes(txn, generous, holes, diag);
    }
    if (rc == 0) {
        round->reserved = generous;
        round->reserved_holes = holes;
    }
    return rc;
}

uint64_t snap_engine_room_for(const struct snap_engine *engine, const struct page_set *set,
                              uint64_t end)
{
    uint64_t room = 0;
    for (uint64_t page = page_set_next(set, 0, end); page != PAGE_SET_END;
         page = page_set_next(set, page + 1, end)) {
        room += !page_set_has(&engine->unwritten, page);
    }
    return room;
}

/** The staging area is full: write it out. In the stop that is the last resort. */
static int empty_staging(struct snap_engine *engine, struct snap_txn *txn,
                         struct phantom_diag *diag)
{
    if (snap_txn_is_full(txn)) { /* every slot has held a copy, or it would not be */
        engine->staging.touched = engine->options.staging_pages;
    }
    int rc = snap_txn_write(txn, diag);
    if (rc == 0) {
        page_set_clear(&engine->unwritten);
        engine->round.writes_stopped += engine->round.stopped;
    }
    return rc;
}

int snap_engine_make_room(struct snap_engine *engine, struct snap_txn *txn,
                          struct phantom_diag *diag)
{
    return snap_txn_is_full(txn) ? empty_staging(engine, txn, diag) : 0;
}

int snap_engine_stage(struct snap_engine *engine, struct snap_txn *txn, uint64_t page,
                      struct phantom_diag *diag)
{
    return snap_engine_stage_from(engine, txn, page, snap_engine_page(engine, page), diag);
}

int snap_engine_stage_from(struct snap_engine *engine, struct snap_txn *txn, uint64_t page,
                           const void *content, struct phantom_diag *diag)
{
    struct snap_round *round = &engine->round;
    bool more = !page_set_has(&engine->unwritten, page);
    int rc = snap_engine_reserve(engine, txn, round->used + more, 0, diag);
    if (rc != 0) {
        return rc;
    }
    void *slot = snap_txn_stage(txn, page);
    if (slot == NULL && round->stopped && PH_MUTANT(RESIDUE_DROPPED)) {
        return 0;
    }
    if (slot == NULL) {
        rc = empty_staging(engine, txn, diag);
        if (rc != 0) {
            return rc;
        }
        slot = snap_txn_stage(txn, page);
    }
    if (slot == NULL) {
        return ph_fail(diag, -ENOMEM, "no staging slot for page %" PRIu64, page);
    }
    capture_copy(slot, content);
    round->staged++;
    round->used += page_set_add(&engine->unwritten, page);
    if (engine->unwritten.members > round->staging_most) {
        round->staging_most = engine->unwritten.members;
    }
    return 0;
}

/* ---- the area ------------------------------------------------------------------------------ */

/** Bring in what was never used: a first touch costs far more than the copy, and belongs where the
 *  world runs. Slots are handed out from the beginning of the area on. */
static void touch_slots(struct snap_engine *engine, uint64_t end)
{
    struct snap_staging *staging = &engine->staging;
    if (end > engine->options.staging_pages) {
        end = engine->options.staging_pages;
    }
    for (uint64_t slot = staging->touched; slot < end; slot++) {
        staging->area[slot * SNAP_PAGE_SIZE] = 0;
    }
    if (end > staging->touched) {
        staging->touched = end;
    }
}

int snap_engine_open_staging(struct snap_engine *engine, struct phantom_diag *diag)
{
    struct snap_staging *staging = &engine->staging;
    void *area = NULL;
    size_t bytes = 0;
    int rc = snap_store_staging(engine->store, engine->options.staging_pages, &area, &bytes, diag);
    if (rc != 0) {
        return rc;
    }
    staging->area = area;
    if (engine->memory->ops->prepare_staging != NULL) {
        engine->memory->ops->prepare_staging(engine->memory, area, bytes);
    }
    touch_slots(engine, SNAP_SMALL_COMMIT_PAGES);
    return 0;
}

int snap_engine_expect(struct snap_engine *engine, struct snap_txn *txn, uint64_t pages,
                       struct phantom_diag *diag)
{
    uint64_t used = engine->unwritten.members;
    uint64_t room = engine->options.staging_pages - used;
    int rc = 0;
    if (pages > room && used != 0) {
        rc = empty_staging(engine, txn, diag);
        used = 0;
    }
    rc = rc != 0 ? rc : snap_txn_settle(txn, diag);
    if (rc != 0) {
        return rc;
    }
    if (engine->staging.touched < used) { /* these hold copies: touching would change them */
        engine->staging.touched = used;
    }
    touch_slots(engine, used + pages);
    return 0;
}

/* ---- what is in the memory ----------------------------------------------------------------- */

int snap_engine_each_resident(struct snap_engine *engine, uint64_t end,
                              int (*visit)(void *context, struct snap_range range), void *context)
{
    struct snap_range ranges[SNAP_RANGES];
    struct snap_memory *memory = engine->memory;
    for (uint64_t at = 0; at < end;) {
        uint64_t resume = at;
        int n = memory->ops->resident(memory, at, end - at, ranges, SNAP_RANGES, &resume);
        if (n < 0) {
            return n;
        }
        for (int i = 0; i < n; i++) {
            int rc = visit(context, ranges[i]);
            if (rc != 0) {
                return rc;
            }
        }
        PH_CHECK(resume > at);
        at = resume;
    }
    return 0;
}
