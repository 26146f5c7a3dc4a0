/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_fork.c - the stop makes a frozen copy of the whole memory (on Linux a forked process
 * that shares the pages until they change); with the world running, the copy is read page by page
 * and compared with the last committed version (page_compare.h). Independent of every other way of
 * tracking and capturing, so a cross-check for them; its costs grow with the heap, so for small
 * ones.
 *
 * The copy only hands out pages. Sums, I/O and the store stay with this process: a forked child of
 * a process with threads may hardly do anything, and the store's lock and rings are not its own.
 *
 * True between snapshots: no copy exists.
 */
#include "page_compare.h"
#include "ph_memory.h"

#include <errno.h>

enum { READ_PAGES = 64 }; /* asked of the copy at a time */

struct fork_state {
    struct page_compare compare;
    void *frozen;    /* NULL: none */
    uint8_t *buffer; /* READ_PAGES pages */
};

static void fork_close(void *state)
{
    struct fork_state *own = state;
    if (own != NULL) {
        page_compare_finish(&own->compare);
        ph_free(own->buffer);
        ph_free(own);
    }
}

static int fork_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct fork_state *own = ph_zalloc(1, sizeof(*own));
    if (own == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    int rc = page_compare_init(&own->compare, engine);
    if (rc == 0) {
        own->buffer = ph_alloc_aligned(SNAP_PAGE_SIZE, (size_t)READ_PAGES * SNAP_PAGE_SIZE);
        rc = own->buffer != NULL ? 0 : -ENOMEM;
    }
    if (rc != 0) {
        fork_close(own);
        return ph_fail(diag, rc, "no memory for the page sums of the snapshot engine");
    }
    *state = own;
    return 0;
}

static int fork_estimate(void *state, uint64_t *pages, uint64_t *holes)
{
    struct fork_state *own = state;
    return page_compare_estimate(&own->compare, pages, holes);
}

static int fork_nothing(void *state, struct snap_txn *txn, struct snap_report *report,
                        struct phantom_diag *diag)
{
    (void)state;
    (void)txn;
    (void)report;
    (void)diag;
    return 0;
}

static int note_resident(void *context, struct snap_range range)
{
    struct page_compare *compare = context;
    page_set_add_range(&compare->seen, range.first, range.count);
    return 0;
}

static int fork_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                    struct phantom_diag *diag)
{
    struct fork_state *own = state;
    struct page_compare *compare = &own->compare;
    struct snap_engine *engine = compare->engine;
    struct snap_round *round = &engine->round;
    (void)txn;
    (void)report;
    page_compare_begin(compare);
    page_set_clear(&engine->discarded); /* what was discarded is not resident */
    int rc = snap_engine_each_resident(engine, round->heap_pages, note_resident, compare);
    if (rc == 0) {
        rc = engine->memory->ops->freeze(engine->memory, &own->frozen);
    }
    if (rc != 0) {
        own->frozen = NULL;
        return ph_fail(diag, rc, "freezing a copy of the heap: %s", phantom_strerror(rc));
    }
    /* How much has changed is not known yet. Room for the rest is asked for page by page. */
    round->cut_pages = round->cut_room = compare->estimate;
    return 0;
}

static int write_run(struct fork_state *own, struct snap_txn *txn, uint64_t first, uint64_t count,
                     struct phantom_diag *diag)
{
    struct snap_engine *engine = own->compare.engine;
    struct snap_memory *memory = engine->memory;
    int rc = memory->ops->read_frozen(memory, own->frozen, first, count, own->buffer);
    if (rc != 0) {
        return ph_fail(diag, rc, "reading the frozen copy of the heap: %s", phantom_strerror(rc));
    }
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *data = own->buffer + i * SNAP_PAGE_SIZE;
        rc = page_compare_add(&own->compare, first + i, data);
        if (rc < 0) {
            return ph_fail(diag, rc, "comparing the heap with the last generation: %s",
                           phantom_strerror(rc));
        }
        rc = rc == 0 ? 0 : snap_engine_stage_from(engine, txn, first + i, data, diag);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int fork_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                      struct phantom_diag *diag)
{
    struct fork_state *own = state;
    struct page_compare *compare = &own->compare;
    struct snap_round *round = &compare->engine->round;
    uint64_t end = round->heap_pages;
    int rc = 0;
    uint64_t page = page_set_next(&compare->seen, 0, end);
    while (rc == 0 && page != PAGE_SET_END) {
        uint64_t first = page;
        uint64_t count = 1;
        page = page_set_next(&compare->seen, first + 1, end);
        while (page == first + count && count < READ_PAGES) {
            count++;
            page = page_set_next(&compare->seen, first + count, end);
        }
        rc = write_run(own, txn, first, count, diag);
    }
    if (rc != 0) {
        return rc;
    }
    page_compare_end(compare, end);
    report->pages_stopped = compare->changed.members;
    rc = snap_engine_reserve(compare->engine, txn, round->used, compare->vanished.members, diag);
    return rc != 0 ? rc : page_compare_holes(compare, txn, diag);
}

static void fork_retire(void *state, bool committed)
{
    struct fork_state *own = state;
    struct snap_memory *memory = own->compare.engine->memory;
    if (own->frozen != NULL) {
        memory->ops->thaw(memory, own->frozen);
        own->frozen = NULL;
    }
    if (committed) { /* else the next cut compares with the same generation again */
        page_compare_committed(&own->compare);
    }
}

static const char *fork_why_not(const struct snap_conditions *conditions)
{
    return conditions->freezes ? NULL : "no frozen copy of it can be made";
}

const struct snap_strategy snap_strategy_fork = {
    .name = "fork",
    .why_not = fork_why_not,
    .needs = "a second process for each snapshot, which reads the whole heap; small heaps",
    .open = fork_open,
    .close = fork_close,
    .estimate = fork_estimate,
    .precopy = fork_nothing,
    .cut = fork_cut,
    .capture = fork_nothing,
    .drain = fork_drain,
    .retire = fork_retire,
};
