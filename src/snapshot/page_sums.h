/* SPDX-License-Identifier: Apache-2.0
 *
 * page_sums.h - the 128-bit content sum of some pages of a heap range, in volatile memory. What
 * strategy `full` compares with, and what check_against_heap remembers of the heap at the cut.
 *
 * Sums are kept in chunks that appear when the first page of their part of the range gets a sum, so
 * that a large range with little in it costs little. They are never stored and are not the sums of
 * the store, which are keyed by store and page.
 */
#ifndef SNAPSHOT_PAGE_SUMS_H
#define SNAPSHOT_PAGE_SUMS_H

#include "snap_store.h"

#include <stdbool.h>
#include <stdint.h>

struct page_sums_chunk;

struct page_sums {
    struct page_sums_chunk **chunks;
    uint64_t chunk_count;
};

/** 0 or -ENOMEM (then the table is safe to finish). */
int page_sums_init(struct page_sums *sums, uint64_t page_count);
void page_sums_finish(struct page_sums *sums);
/** Make sure that page_sums_put() of this page will not have to allocate. 0 or -ENOMEM. */
int page_sums_prepare(struct page_sums *sums, uint64_t page);
/** 0 or -ENOMEM; never fails for a page that was prepared or put before. */
int page_sums_put(struct page_sums *sums, uint64_t page, struct snap_sum sum);
/** The sum last put; zeros for a page that has none. */
struct snap_sum page_sums_get(const struct page_sums *sums, uint64_t page);

struct snap_sum page_sums_of(const void *page);
bool page_sums_equal(struct snap_sum a, struct snap_sum b);
/** True if the page holds zeros only: then it is the same as a hole. */
bool page_sums_is_zero(const void *page);

#endif /* SNAPSHOT_PAGE_SUMS_H */
