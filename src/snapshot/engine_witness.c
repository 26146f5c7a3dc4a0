/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_witness.c - the committed generation against the heap as it was at the cut
 * (check_against_heap). Owns the sums and the set in engine->witness; they describe the last cut
 * while a snapshot is being committed and nothing at other times.
 */
#include "ph_check.h"
#include "ph_log.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int witness_range(void *context, struct snap_range range)
{
    struct snap_engine *engine = context;
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        const void *data = snap_engine_page(engine, page);
        if (page_sums_is_zero(data)) {
            continue;
        }
        if (page_sums_put(&engine->witness.sums, page, page_sums_of(data)) != 0) {
            return -ENOMEM;
        }
        page_set_add(&engine->witness.pages, page);
    }
    return 0;
}

static int witness_unloaded(void *context, uint64_t page, const void *data)
{
    struct snap_engine *engine = context;
    if (!page_sums_is_zero(data)) {
        page_set_add(&engine->witness.pages, page);
        return page_sums_put(&engine->witness.sums, page, page_sums_of(data));
    }
    return 0;
}

/** World stopped: remember the sum of every page in use. */
int snap_witness_take(struct snap_engine *engine, struct phantom_diag *diag)
{
    if (!engine->options.check_against_heap) {
        return 0;
    }
    page_set_clear(&engine->witness.pages);
    /* First what is not in memory yet: what is loaded in between is then looked at twice. */
    int rc = 0;
    if (engine->lazy != NULL) {
        rc = lazy_restore_each_unloaded(engine->lazy, engine->round.heap_pages, witness_unloaded,
                                        engine, diag);
    }
    rc = rc != 0
             ? rc
             : snap_engine_each_resident(engine, engine->round.heap_pages, witness_range, engine);
    return rc == 0 ? 0
                   : ph_fail(diag, rc, "summing the heap for the check: %s", phantom_strerror(rc));
}

static _Noreturn void witness_mismatch(uint64_t generation, uint64_t page, const char *what)
{
    char text[160];
    snprintf(text, sizeof(text),
             "generation %" PRIu64 " differs from the heap: page %" PRIu64 " %s", generation, page,
             what);
    ph_check_failed(__FILE__, __LINE__, text);
}

static int witness_page(void *context, uint64_t page, const void *data)
{
    struct snap_engine *engine = context;
    uint64_t generation = snap_store_current(engine->store)->number;
    if (page >= engine->round.heap_pages || page_sums_is_zero(data)) {
        return 0;
    }
    if (!page_set_remove(&engine->witness.pages, page)) {
        witness_mismatch(generation, page, "was a hole at the cut");
    }
    if (!page_sums_equal(page_sums_get(&engine->witness.sums, page), page_sums_of(data))) {
        witness_mismatch(generation, page, "has other content");
    }
    return 0;
}

/** After a commit. The generation is durable; only the check itself can still fail to be made. */
void snap_witness_compare(struct snap_engine *engine)
{
    if (!engine->options.check_against_heap) {
        return;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t generation = snap_store_current(engine->store)->number;
    int rc = snap_store_for_each_page(engine->store, generation, witness_page, engine, &diag);
    if (rc == PHANTOM_ECORRUPT) {
        ph_check_failed(__FILE__, __LINE__, diag.text);
    }
    if (rc != 0) {
        ph_log(PH_LOG_WARNING, "generation %" PRIu64 " was not compared with the heap: %s",
               generation, phantom_strerror(rc));
        return;
    }
    uint64_t missing = page_set_next(&engine->witness.pages, 0, UINT64_MAX);
    if (missing != PAGE_SET_END) {
        witness_mismatch(generation, missing, "is missing");
    }
}
