/* SPDX-License-Identifier: Apache-2.0
 *
 * open_regions.h - regions (2 MiB) so hot that live rounds leave them alone: neither protected nor
 * copied there, only asked about and copied in the stop. Used by strategy `async`.
 *
 * Protecting a page costs the program a fault, when it writes the page again. A page that is
 * written again before the stop is copied there anyway: for it the live round was useless. So a
 * region opens when most of its pages that a live round took were written again before the stop.
 * Its pages keep saying that they were written, whether they are or not, and are copied in every
 * stop: so it closes again after a few snapshots and has to qualify anew, and all open regions
 * together hold no more pages than a bound. Nothing is ever left out: the memory is still asked
 * about every page in every stop.
 *
 * Threads: only the one that takes the snapshot.
 */
#ifndef SNAPSHOT_OPEN_REGIONS_H
#define SNAPSHOT_OPEN_REGIONS_H

#include "page_set.h"

enum {
    OPEN_SNAPSHOTS = 8,    /* so many snapshots a region stays open */
    OPEN_PAGES_LEAST = 64, /* hot pages that make opening worth the while */
    OPEN_PAGES_MOST = 2048 /* pages of all open regions together: up to about a millisecond */
};

struct open_regions {
    struct page_set set; /* of region numbers */
    uint8_t *left;       /* a byte a region: snapshots until it closes */
};

/** 0 or -ENOMEM (then safe to finish). */
int open_regions_init(struct open_regions *open, uint64_t page_count);
void open_regions_finish(struct open_regions *open);

/** First page from `first` on, below `end`, that is in no open region; or `end`. */
uint64_t open_regions_skip(const struct open_regions *open, uint64_t first, uint64_t end);
/** First page from `first` on, below `end`, that is in an open region; or `end`. */
uint64_t open_regions_next(const struct open_regions *open, uint64_t first, uint64_t end);

/** A snapshot with a live round has ended: `taken` are the pages of the round, `hot` those that
 *  the stop met again. */
void open_regions_choose(struct open_regions *open, const struct page_set *taken,
                         const struct page_set *hot);

#endif /* SNAPSHOT_OPEN_REGIONS_H */
