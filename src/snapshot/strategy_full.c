/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_full.c - no tracking: the world is stopped, every resident page is summed and compared
 * with the sum of the last committed version (page_compare.h). The oracle for the other strategies,
 * and what is used where the kernel offers no tracking.
 *
 * The log of discards is not needed: what was discarded is not resident, and what is resident is
 * compared.
 */
#include "page_compare.h"
#include "ph_memory.h"

#include <errno.h>

static void full_close(void *state)
{
    struct page_compare *compare = state;
    if (compare != NULL) {
        page_compare_finish(compare);
        ph_free(compare);
    }
}

static int full_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct page_compare *compare = ph_zalloc(1, sizeof(*compare));
    if (compare == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    int rc = page_compare_init(compare, engine);
    if (rc != 0) {
        full_close(compare);
        return ph_fail(diag, rc, "no memory for the page sums of the snapshot engine");
    }
    *state = compare;
    return 0;
}

static int full_estimate(void *state, uint64_t *pages, uint64_t *holes)
{
    return page_compare_estimate(state, pages, holes);
}

static int full_nothing(void *state, struct snap_txn *txn, struct snap_report *report,
                        struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}

static int compare_range(void *context, struct snap_range range)
{
    struct page_compare *compare = context;
    page_set_add_range(&compare->seen, range.first, range.count);
    int rc = 0;
    for (uint64_t page = range.first; rc >= 0 && page < range.first + range.count; page++) {
        rc = page_compare_add(compare, page, snap_engine_page(compare->engine, page));
    }
    return rc < 0 ? rc : 0;
}

static int full_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                    struct phantom_diag *diag)
{
    struct page_compare *compare = state;
    struct snap_round *round = &compare->engine->round;
    (void)txn;
    (void)report;
    page_compare_begin(compare);
    page_set_clear(&compare->engine->discarded);
    int rc = snap_engine_each_resident(compare->engine, round->heap_pages, compare_range, compare);
    if (rc != 0) {
        return ph_fail(diag, rc, "comparing the heap with the last generation: %s",
                       phantom_strerror(rc));
    }
    page_compare_end(compare, round->heap_pages);
    round->cut_pages = compare->changed.members;
    round->cut_room = snap_engine_room_for(compare->engine, &compare->changed, round->heap_pages);
    round->cut_holes = compare->vanished.members;
    return 0;
}

static int full_capture(void *state, struct snap_txn *txn, struct snap_report *report,
                        struct phantom_diag *diag)
{
    struct page_compare *compare = state;
    uint64_t end = compare->changed.page_count;
    report->pages_stopped = compare->changed.members;
    for (uint64_t page = page_set_next(&compare->changed, 0, end); page != PAGE_SET_END;
         page = page_set_next(&compare->changed, page + 1, end)) {
        int rc = snap_engine_stage(compare->engine, txn, page, diag);
        if (rc != 0) {
            return rc;
        }
    }
    return page_compare_holes(compare, txn, diag);
}

static void full_retire(void *state, bool committed)
{
    if (committed) { /* else the next cut compares with the same generation again */
        page_compare_committed(state);
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
    .precopy = full_nothing,
    .cut = full_cut,
    .capture = full_capture,
    .drain = full_nothing,
    .retire = full_retire,
};
