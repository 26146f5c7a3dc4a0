/* SPDX-License-Identifier: Apache-2.0
 *
 * page_tracker.h - which pages of a range were written: userfaultfd WP_ASYNC and PAGEMAP_SCAN.
 */
#ifndef PAGE_TRACKER_H
#define PAGE_TRACKER_H

#include "snap_memory.h"

/** What the kernel must allow, in the order in which it is tried. */
enum page_tracker_step {
    PAGE_TRACKER_USERFAULTFD,
    PAGE_TRACKER_WP_ASYNC,
    PAGE_TRACKER_PAGEMAP_SCAN,
    PAGE_TRACKER_STEPS
};

struct page_tracker {
    int userfaultfd; /* closing it drops all protection: kept for life */
    int pagemap;
};

enum page_tracker_filter { PAGE_TRACKER_DIRTY, PAGE_TRACKER_RESIDENT };

/** Track [base, base+size). 0, or -errno with *failed set: nothing is left open. */
int page_tracker_open(struct page_tracker *tracker, void *base, uint64_t size,
                      enum page_tracker_step *failed);
void page_tracker_close(struct page_tracker *tracker);
/** One sentence for the user about a failed step. */
const char *page_tracker_explain(enum page_tracker_step step, int error);

/**
 * The scan of struct snap_memory_ops, on the pagemap of this process. base: address of page 0 of
 * the numbering. PAGE_TRACKER_RESIDENT needs no tracker, only a kernel that knows PAGEMAP_SCAN.
 */
int page_tracker_scan(int pagemap, const uint8_t *base, enum page_tracker_filter filter,
                      bool protect, struct snap_range span, struct snap_range *ranges,
                      size_t capacity, uint64_t *resume);
/** Protect every resident page of the span. 0 or -errno. */
int page_tracker_protect(int pagemap, const uint8_t *base, struct snap_range span);
/** Install `count` pages at page `first`, protected; where one exists already, its content is
 *  replaced. 0 or -errno. */
int page_tracker_install(struct page_tracker *tracker, uint8_t *base, uint64_t first,
                         uint64_t count, const void *data);

/** Registers the span for missing pages, too, for good: a touch of one makes a message on the
 *  userfaultfd. What is protected stays so. 0 or -errno. */
int page_tracker_trap_missing(struct page_tracker *tracker, uint8_t *base, struct snap_range span);
/** Like page_tracker_install(), but pages that exist stay as they are. data NULL: zeros, which
 *  count as holes until they are written. Threads that wait for the pages go on. 0 or -errno. */
int page_tracker_supply(struct page_tracker *tracker, uint8_t *base, uint64_t first, uint64_t count,
                        const void *data);

#endif /* PAGE_TRACKER_H */
