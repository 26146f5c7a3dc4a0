/* SPDX-License-Identifier: Apache-2.0
 *
 * open_regions.c - see open_regions.h. True between calls: left[r] is not 0 if and only if r is a
 * member of the set.
 */
#include "open_regions.h"

#include "ph_memory.h"
#include "snap_marks.h"

#include <errno.h>

enum { PAGES = 1 << SNAP_REGION_SHIFT };

int open_regions_init(struct open_regions *open, uint64_t page_count)
{
    uint64_t regions = (page_count + PAGES - 1) / PAGES;
    int rc = page_set_init(&open->set, regions);
    open->left = ph_zalloc(regions, 1);
    return rc != 0 || open->left == NULL ? -ENOMEM : 0;
}

void open_regions_finish(struct open_regions *open)
{
    page_set_finish(&open->set);
    ph_free(open->left);
    open->left = NULL;
}

uint64_t open_regions_skip(const struct open_regions *open, uint64_t first, uint64_t end)
{
    while (first < end && open->set.members != 0 &&
           page_set_has(&open->set, first >> SNAP_REGION_SHIFT)) {
        first = ((first >> SNAP_REGION_SHIFT) + 1) << SNAP_REGION_SHIFT;
    }
    return first < end ? first : end;
}

uint64_t open_regions_next(const struct open_regions *open, uint64_t first, uint64_t end)
{
    if (first >= end) {
        return end;
    }
    uint64_t region =
        page_set_next(&open->set, first >> SNAP_REGION_SHIFT, ((end - 1) >> SNAP_REGION_SHIFT) + 1);
    if (region == PAGE_SET_END) {
        return end;
    }
    uint64_t page = region << SNAP_REGION_SHIFT;
    return page > first ? page : first;
}

/** All get one snapshot older; those at the end of their time close. */
static void grow_older(struct open_regions *open)
{
    uint64_t end = open->set.page_count;
    for (uint64_t region = page_set_next(&open->set, 0, end); region != PAGE_SET_END;
         region = page_set_next(&open->set, region + 1, end)) {
        if (--open->left[region] == 0) {
            page_set_remove(&open->set, region);
        }
    }
}

void open_regions_choose(struct open_regions *open, const struct page_set *taken,
                         const struct page_set *hot)
{
    uint64_t end = hot->page_count;
    for (uint64_t page = page_set_next(hot, 0, end); page != PAGE_SET_END;) {
        uint64_t region = page >> SNAP_REGION_SHIFT;
        uint64_t first = region << SNAP_REGION_SHIFT;
        uint64_t met = page_set_count(hot, first, first + PAGES);
        uint64_t all = page_set_count(taken, first, first + PAGES);
        bool most = 3 * met >= 2 * all && met >= OPEN_PAGES_LEAST;
        if (most && (open->set.members + 1) * PAGES <= OPEN_PAGES_MOST &&
            page_set_add(&open->set, region)) {
            open->left[region] = OPEN_SNAPSHOTS + 1;
        }
        page = page_set_next(hot, first + PAGES, end);
    }
    grow_older(open); /* what closes now qualifies when it has been protected, not before */
}
