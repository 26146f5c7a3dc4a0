/* SPDX-License-Identifier: Apache-2.0
 *
 * overhead_floor.c - see overhead_floor.h.
 */
#include "overhead_floor.h"

#include "capture.h"
#include "page_tracker.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { PAGE = 4096, COPIES = 16384, RANGES = 512 };

struct overhead_floor {
    const uint8_t *base;
    uint64_t pages, used; /* of the range; taken by blocks */
    int pagemap;
    uint8_t *copies;
    uint64_t next; /* place of the next copy */
    uint64_t sums; /* so that none is optimised away */
};

struct overhead_floor *floor_open(struct phantom_space *space)
{
    struct overhead_floor *least = calloc(1, sizeof(*least));
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    uint8_t *copies = aligned_alloc(PAGE, (size_t)COPIES * PAGE);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (least == NULL || copies == NULL || pagemap < 0 || phantom_space_usage(space, &usage) != 0) {
        perror("bench_overhead: floor");
        exit(1);
    }
    memset(copies, 1, (size_t)COPIES * PAGE);
    *least = (struct overhead_floor){.base = phantom_space_base(space),
                                     .pages = phantom_space_size(space) / PAGE,
                                     .used = usage.reserved_bytes / PAGE,
                                     .pagemap = pagemap,
                                     .copies = copies};
    return least;
}

void floor_close(struct overhead_floor *least)
{
    close(least->pagemap);
    free(least->copies);
    free(least);
}

static void take_page(struct overhead_floor *least, uint64_t page)
{
    uint8_t *copy = least->copies + least->next * PAGE;
    capture_copy(copy, least->base + page * PAGE); /* of a page that is being written, perhaps */
    least->sums += XXH3_128bits(copy, PAGE).low64;
    least->next = (least->next + 1) % COPIES;
}

uint64_t floor_take_written(struct overhead_floor *least)
{
    struct snap_range ranges[RANGES];
    uint64_t taken = 0;
    least->next = 0;
    for (uint64_t at = 0; at < least->pages;) {
        int count =
            page_tracker_scan(least->pagemap, least->base, PAGE_TRACKER_DIRTY, true,
                              (struct snap_range){at, least->pages - at}, ranges, RANGES, &at);
        if (count < 0) {
            fprintf(stderr, "bench_overhead: floor: %s\n", strerror(-count));
            exit(1);
        }
        for (int i = 0; i < count; i++) {
            for (uint64_t k = 0; k < ranges[i].count; k++, taken++) {
                take_page(least, ranges[i].first + k);
            }
        }
    }
    return taken;
}

uint64_t floor_take_pages(struct overhead_floor *least, uint64_t pages)
{
    least->next = 0;
    for (uint64_t i = 0; i < pages; i++) {
        take_page(least, i * least->used / pages);
    }
    return pages;
}
