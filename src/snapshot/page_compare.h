/* SPDX-License-Identifier: Apache-2.0
 *
 * page_compare.h - which pages differ from the last committed generation, by their sums: what
 * `full` does with the stopped heap and `fork` with a frozen copy of it.
 *
 * True between snapshots: present holds exactly the pages of the current generation that are not
 * holes, and committed has their sums; the other sets are left over and meaningless. The sums are
 * replaced only when a generation is durable: until then the comparison goes on against the one
 * before, so a failed snapshot forgets nothing. A page of zeros is the same as a hole.
 */
#ifndef SNAPSHOT_PAGE_COMPARE_H
#define SNAPSHOT_PAGE_COMPARE_H

#include "snapshot_internal.h"

struct page_compare {
    struct snap_engine *engine;
    struct page_sums committed; /* of the pages in present */
    struct page_sums next;      /* of the pages in changed */
    struct page_set present;
    struct page_set changed;  /* data that differs from the current generation */
    struct page_set vanished; /* data in the current generation, zeros now */
    struct page_set seen;     /* resident at the cut */
    uint8_t *scratch;         /* one page, for looking at pages of a running world */
    uint64_t estimate, estimate_holes;
};

/** What came from the store is what the current generation holds. 0 or -ENOMEM. */
int page_compare_init(struct page_compare *compare, struct snap_engine *engine);
void page_compare_finish(struct page_compare *compare);

/** A new comparison. Nothing is seen. */
void page_compare_begin(struct page_compare *compare);
/** This resident page held `data` at the cut. 1 a change, 0 none, or -ENOMEM. */
int page_compare_add(struct page_compare *compare, uint64_t page, const void *data);
/** All resident pages below `end` are in seen: what was present and is not has vanished. */
void page_compare_end(struct page_compare *compare, uint64_t end);
/** How many pages differ now, more or less; makes room, so that page_compare_add() need not
 * allocate for pages that are resident now. World running. */
int page_compare_estimate(struct page_compare *compare, uint64_t *pages, uint64_t *holes);
/** The vanished pages become holes of the transaction. */
int page_compare_holes(struct page_compare *compare, struct snap_txn *txn,
                       struct phantom_diag *diag);
/** What was noted is the current generation now. Cannot fail. */
void page_compare_committed(struct page_compare *compare);

#endif /* SNAPSHOT_PAGE_COMPARE_H */
