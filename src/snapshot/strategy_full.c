/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_full.c - no tracking: the world is stopped, every resident page is summed and compared
 * with the sum of the last committed version. The oracle for the other strategies, and what is used
 * where the kernel offers no tracking.
 *
 * Owns, in volatile memory, the sums of the current generation's pages (committed, present). They
 * are replaced only in retire(true): until a generation is durable, the comparison goes on against
 * the one before, so a failed snapshot forgets nothing.
 *
 * True between snapshots: present holds exactly the pages of the current generation that are not
 * holes, and committed has their sums; changed, vanished and seen are left over and meaningless.
 *
 * A page of zeros is the same as a hole, in the store and here. The log of discards is not needed:
 * what was discarded is not resident, and what is resident is compared.
 */
#include "capture.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "snapshot_internal.h"

#include <errno.h>

struct full_state {
    struct snap_engine *engine;
    struct page_sums committed; /* of the pages in present */
    struct page_sums next;      /* of the pages in changed */
    struct page_set present;
    struct page_set changed;  /* at the cut: data that differs from the current generation */
    struct page_set vanished; /* at the cut: data in the current generation, zeros now */
    struct page_set seen;     /* at the cut: resident */
    uint8_t *scratch;         /* one page, for looking at pages of a running world */
    uint64_t estimate;
};

static void full_close(void *state)
{
    struct full_state *full = state;
    if (full == NULL) {
        return;
    }
    page_sums_finish(&full->committed);
    page_sums_finish(&full->next);
    page_set_finish(&full->present);
    page_set_finish(&full->changed);
    page_set_finish(&full->vanished);
    page_set_finish(&full->seen);
    ph_free(full->scratch);
    ph_free(full);
}

static int full_allocate(struct full_state *full, uint64_t pages)
{
    struct page_set *sets[] = {&full->present, &full->changed, &full->vanished, &full->seen};
    int rc = page_sums_init(&full->committed, pages);
    if (rc == 0) {
        rc = page_sums_init(&full->next, pages);
    }
    for (unsigned i = 0; rc == 0 && i < sizeof(sets) / sizeof(sets[0]); i++) {
        rc = page_set_init(sets[i], pages);
    }
    if (rc == 0) {
        full->scratch = ph_alloc_aligned(SNAP_PAGE_SIZE, SNAP_PAGE_SIZE);
        rc = full->scratch != NULL ? 0 : -ENOMEM;
    }
    return rc;
}

/** The pages that came from the store are what the current generation holds. */
static int adopt_restored(struct full_state *full)
{
    const struct page_set *restored = &full->engine->restored;
    uint64_t end = restored->page_count;
    for (uint64_t page = page_set_next(restored, 0, end); page != PAGE_SET_END;
         page = page_set_next(restored, page + 1, end)) {
        const void *data = snap_engine_page(full->engine, page);
        if (page_sums_is_zero(data)) {
            continue;
        }
        int rc = page_sums_put(&full->committed, page, page_sums_of(data));
        if (rc != 0) {
            return rc;
        }
        page_set_add(&full->present, page);
    }
    return 0;
}

static int full_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct full_state *full = ph_zalloc(1, sizeof(*full));
    if (full == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    full->engine = engine;
    int rc = full_allocate(full, engine->memory->page_count);
    if (rc == 0) {
        rc = adopt_restored(full);
    }
    if (rc != 0) {
        full_close(full);
        return ph_fail(diag, rc, "no memory for the page sums of the snapshot engine");
    }
    *state = full;
    return 0;
}

static bool differs(const struct full_state *full, uint64_t page, struct snap_sum sum)
{
    return !page_set_has(&full->present, page) ||
           !page_sums_equal(page_sums_get(&full->committed, page), sum);
}

/* ---- looking while the world runs ---------------------------------------------------------- */

/** Count what differs now; make room for the sums, so that the stop need not allocate for them. */
static int estimate_range(void *context, struct snap_range range)
{
    struct full_state *full = context;
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        if (page_sums_prepare(&full->next, page) != 0 ||
            page_sums_prepare(&full->committed, page) != 0) {
            return -ENOMEM;
        }
        capture_copy(full->scratch, snap_engine_page(full->engine, page));
        if (page_sums_is_zero(full->scratch)) {
            full->estimate += page_set_has(&full->present, page);
        } else {
            full->estimate += differs(full, page, page_sums_of(full->scratch));
        }
    }
    return 0;
}

static int full_estimate(void *state, uint64_t *pages)
{
    struct full_state *full = state;
    full->estimate = 0;
    int rc = snap_engine_each_resident(full->engine, full->engine->memory->page_count,
                                       estimate_range, full);
    if (rc == 0) {
        *pages = full->estimate;
    }
    return rc;
}

static int full_precopy(void *state, struct snap_txn *txn, struct snap_report *report,
                        struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}

/* ---- the stop ------------------------------------------------------------------------------ */

static int compare_range(void *context, struct snap_range range)
{
    struct full_state *full = context;
    page_set_add_range(&full->seen, range.first, range.count);
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        const void *data = snap_engine_page(full->engine, page);
        if (page_sums_is_zero(data)) {
            if (page_set_has(&full->present, page)) {
                page_set_add(&full->vanished, page);
            }
            continue;
        }
        struct snap_sum sum = page_sums_of(data);
        if (!differs(full, page, sum)) {
            continue;
        }
        /* Room in both tables now: retire() must not be able to fail. */
        if (page_sums_put(&full->next, page, sum) != 0 ||
            page_sums_prepare(&full->committed, page) != 0) {
            return -ENOMEM;
        }
        page_set_add(&full->changed, page);
    }
    return 0;
}

static int full_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                    struct phantom_diag *diag)
{
    struct full_state *full = state;
    struct snap_round *round = &full->engine->round;
    (void)txn;
    (void)report;
    page_set_clear(&full->changed);
    page_set_clear(&full->vanished);
    page_set_clear(&full->seen);
    page_set_clear(&full->engine->discarded);
    int rc = snap_engine_each_resident(full->engine, round->heap_pages, compare_range, full);
    if (rc != 0) {
        return ph_fail(diag, rc, "comparing the heap with the last generation: %s",
                       phantom_strerror(rc));
    }
    for (uint64_t page = page_set_next(&full->present, 0, round->heap_pages); page != PAGE_SET_END;
         page = page_set_next(&full->present, page + 1, round->heap_pages)) {
        if (!page_set_has(&full->seen, page)) {
            page_set_add(&full->vanished, page);
        }
    }
    round->cut_pages = full->changed.members;
    round->cut_room = snap_engine_room_for(full->engine, &full->changed, round->heap_pages);
    round->cut_holes = full->vanished.members;
    return 0;
}

static int full_capture(void *state, struct snap_txn *txn, struct snap_report *report,
                        struct phantom_diag *diag)
{
    struct full_state *full = state;
    uint64_t end = full->changed.page_count;
    report->pages_stopped = full->changed.members;
    for (uint64_t page = page_set_next(&full->changed, 0, end); page != PAGE_SET_END;
         page = page_set_next(&full->changed, page + 1, end)) {
        int rc = snap_engine_stage(full->engine, txn, page, diag);
        if (rc != 0) {
            return rc;
        }
    }
    for (uint64_t page = page_set_next(&full->vanished, 0, end); page != PAGE_SET_END;
         page = page_set_next(&full->vanished, page + 1, end)) {
        int rc = snap_txn_hole(txn, page);
        if (rc != 0) {
            return ph_fail(diag, rc, "recording a discarded page: %s", phantom_strerror(rc));
        }
    }
    return 0;
}

static int full_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                      struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}

static void full_retire(void *state, bool committed)
{
    struct full_state *full = state;
    uint64_t end = full->changed.page_count;
    if (!committed) {
        return; /* the next cut compares with the same generation again */
    }
    for (uint64_t page = page_set_next(&full->changed, 0, end); page != PAGE_SET_END;
         page = page_set_next(&full->changed, page + 1, end)) {
        int rc = page_sums_put(&full->committed, page, page_sums_get(&full->next, page));
        PH_CHECK(rc == 0);
        page_set_add(&full->present, page);
    }
    for (uint64_t page = page_set_next(&full->vanished, 0, end); page != PAGE_SET_END;
         page = page_set_next(&full->vanished, page + 1, end)) {
        page_set_remove(&full->present, page);
    }
}

static const char *full_why_not(const struct snap_conditions *conditions)
{
    (void)conditions;
    return NULL;
}

const struct snap_strategy snap_strategy_full = {
    .name = "full",
    .why_not = full_why_not,
    .needs = "nothing; every snapshot stops the world and reads the whole heap",
    .open = full_open,
    .close = full_close,
    .estimate = full_estimate,
    .precopy = full_precopy,
    .cut = full_cut,
    .capture = full_capture,
    .drain = full_drain,
    .retire = full_retire,
};
