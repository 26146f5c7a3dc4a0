/* SPDX-License-Identifier: Apache-2.0
 *
 * page_compare.c - see page_compare.h. No locks: one thread at a time.
 */
#include "page_compare.h"

#include "capture.h"
#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>

void page_compare_finish(struct page_compare *compare)
{
    page_sums_finish(&compare->committed);
    page_sums_finish(&compare->next);
    page_set_finish(&compare->present);
    page_set_finish(&compare->changed);
    page_set_finish(&compare->vanished);
    page_set_finish(&compare->seen);
    ph_free(compare->scratch);
    compare->scratch = NULL;
}

static int allocate(struct page_compare *compare, uint64_t pages)
{
    struct page_set *sets[] = {&compare->present, &compare->changed, &compare->vanished,
                               &compare->seen};
    int rc = page_sums_init(&compare->committed, pages);
    if (rc == 0) {
        rc = page_sums_init(&compare->next, pages);
    }
    for (unsigned i = 0; rc == 0 && i < sizeof(sets) / sizeof(sets[0]); i++) {
        rc = page_set_init(sets[i], pages);
    }
    if (rc == 0) {
        compare->scratch = ph_alloc_aligned(SNAP_PAGE_SIZE, SNAP_PAGE_SIZE);
        rc = compare->scratch != NULL ? 0 : -ENOMEM;
    }
    return rc;
}

/** The pages that came from the store are what the current generation holds. */
static int adopt_restored(struct page_compare *compare)
{
    const struct page_set *restored = &compare->engine->restored;
    uint64_t end = restored->page_count;
    for (uint64_t page = page_set_next(restored, 0, end); page != PAGE_SET_END;
         page = page_set_next(restored, page + 1, end)) {
        const void *data = snap_engine_page(compare->engine, page);
        if (page_sums_is_zero(data)) {
            continue;
        }
        int rc = page_sums_put(&compare->committed, page, page_sums_of(data));
        if (rc != 0) {
            return rc;
        }
        page_set_add(&compare->present, page);
    }
    return 0;
}

int page_compare_init(struct page_compare *compare, struct snap_engine *engine)
{
    compare->engine = engine;
    int rc = allocate(compare, engine->memory->page_count);
    return rc == 0 ? adopt_restored(compare) : rc;
}

static bool differs(const struct page_compare *compare, uint64_t page, struct snap_sum sum)
{
    return !page_set_has(&compare->present, page) ||
           !page_sums_equal(page_sums_get(&compare->committed, page), sum);
}

/** Count what differs now; make room for the sums, so that the stop need not allocate for them. */
static int estimate_range(void *context, struct snap_range range)
{
    struct page_compare *compare = context;
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        if (page_sums_prepare(&compare->next, page) != 0 ||
            page_sums_prepare(&compare->committed, page) != 0) {
            return -ENOMEM;
        }
        capture_copy(compare->scratch, snap_engine_page(compare->engine, page));
        if (page_sums_is_zero(compare->scratch)) {
            compare->estimate_holes += page_set_has(&compare->present, page);
        } else {
            compare->estimate += differs(compare, page, page_sums_of(compare->scratch));
        }
    }
    return 0;
}

int page_compare_estimate(struct page_compare *compare, uint64_t *pages, uint64_t *holes)
{
    compare->estimate = compare->estimate_holes = 0;
    int rc = snap_engine_each_resident(compare->engine, compare->engine->memory->page_count,
                                       estimate_range, compare);
    if (rc == 0) {
        *pages = compare->estimate;
        *holes = compare->estimate_holes;
    }
    return rc;
}

void page_compare_begin(struct page_compare *compare)
{
    page_set_clear(&compare->changed);
    page_set_clear(&compare->vanished);
    page_set_clear(&compare->seen);
}

int page_compare_add(struct page_compare *compare, uint64_t page, const void *data)
{
    if (page_sums_is_zero(data)) {
        if (page_set_has(&compare->present, page)) {
            page_set_add(&compare->vanished, page);
        }
        return 0;
    }
    struct snap_sum sum = page_sums_of(data);
    if (!differs(compare, page, sum)) {
        return 0;
    }
    /* Room in both tables now: page_compare_committed() must not be able to fail. */
    if (page_sums_put(&compare->next, page, sum) != 0 ||
        page_sums_prepare(&compare->committed, page) != 0) {
        return -ENOMEM;
    }
    page_set_add(&compare->changed, page);
    return 1;
}

void page_compare_end(struct page_compare *compare, uint64_t end)
{
    for (uint64_t page = page_set_next(&compare->present, 0, end); page != PAGE_SET_END;
         page = page_set_next(&compare->present, page + 1, end)) {
        if (!page_set_has(&compare->seen, page)) {
            page_set_add(&compare->vanished, page);
        }
    }
}

int page_compare_holes(struct page_compare *compare, struct snap_txn *txn,
                       struct phantom_diag *diag)
{
    uint64_t end = compare->vanished.page_count;
    for (uint64_t page = page_set_next(&compare->vanished, 0, end); page != PAGE_SET_END;
         page = page_set_next(&compare->vanished, page + 1, end)) {
        int rc = snap_txn_hole(txn, page);
        if (rc != 0) {
            return ph_fail(diag, rc, "recording a discarded page: %s", phantom_strerror(rc));
        }
    }
    return 0;
}

void page_compare_committed(struct page_compare *compare)
{
    uint64_t end = compare->changed.page_count;
    for (uint64_t page = page_set_next(&compare->changed, 0, end); page != PAGE_SET_END;
         page = page_set_next(&compare->changed, page + 1, end)) {
        int rc = page_sums_put(&compare->committed, page, page_sums_get(&compare->next, page));
        PH_CHECK(rc == 0);
        page_set_add(&compare->present, page);
    }
    for (uint64_t page = page_set_next(&compare->vanished, 0, end); page != PAGE_SET_END;
         page = page_set_next(&compare->vanished, page + 1, end)) {
        page_set_remove(&compare->present, page);
    }
}
