/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_marks.c - see snap_marks.h. Owns the three tables. The tables are padded to whole words, so
 * that they can be searched eight bytes at a time; a word read that way may be older than the byte
 * in it, which is what reading it byte by byte would give as well.
 */
#include "snap_marks.h"

#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"

#include <errno.h>
#include <stdbool.h>

enum {
    PAGES = 1 << SNAP_REGION_SHIFT,                        /* of a region */
    REGIONS = 1 << (SNAP_GROUP_SHIFT - SNAP_REGION_SHIFT), /* of a group */
    LINE = 64
};

static uint64_t rounded_up(uint64_t count, uint64_t unit)
{
    return (count + unit - 1) / unit;
}

int snap_marks_init(struct snap_marks *marks, uint64_t page_count)
{
    uint64_t groups = rounded_up(page_count, UINT64_C(1) << SNAP_GROUP_SHIFT);
    *marks = (struct snap_marks){.page_count = page_count};
    marks->page = ph_zalloc(groups * REGIONS, PAGES);
    marks->region = ph_zalloc(groups, REGIONS);
    marks->group = ph_zalloc(rounded_up(groups, sizeof(uint64_t)), sizeof(uint64_t));
    if (marks->page == NULL || marks->region == NULL || marks->group == NULL) {
        snap_marks_finish(marks);
        return -ENOMEM;
    }
    return 0;
}

void snap_marks_finish(struct snap_marks *marks)
{
    ph_free((void *)marks->page);
    ph_free((void *)marks->region);
    ph_free((void *)marks->group);
    *marks = (struct snap_marks){0};
}

/** Nothing is set in the cache line of bytes that begins here. */
static bool line_is_clear(const _Atomic(uint8_t) *line)
{
    const uint64_t *word = (const uint64_t *)(const void *)line;
    uint64_t any = 0;
    for (int i = 0; i < LINE / (int)sizeof(*word); i++) {
        any |= __atomic_load_n(&word[i], __ATOMIC_RELAXED);
    }
    return any == 0;
}

/** Index of the first byte in [from, end) that is set, or end. `table` is padded to words. */
static uint64_t next_set(const _Atomic(uint8_t) *table, uint64_t from, uint64_t end)
{
    while (from < end) {
        if (from % LINE == 0 && end - from >= LINE && line_is_clear(&table[from])) {
            from += LINE;
            continue;
        }
        if (from % sizeof(uint64_t) == 0) {
            const uint64_t *word = (const uint64_t *)(const void *)&table[from];
            if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0) {
                from += sizeof(uint64_t);
                continue;
            }
        }
        if (atomic_load_explicit(&table[from], memory_order_relaxed) != 0) {
            return from;
        }
        from++;
    }
    return end;
}

/** The pages of `region` exist up to here. */
static uint64_t region_end(const struct snap_marks *marks, uint64_t region)
{
    uint64_t end = (region + 1) * PAGES;
    return end < marks->page_count ? end : marks->page_count;
}

/** The marks of a region will be read soon: they are strewn over a table of megabytes. */
static void fetch_region(const struct snap_marks *marks, uint64_t region)
{
    for (uint64_t at = 0; at < PAGES; at += LINE) {
        __builtin_prefetch((const void *)&marks->page[region * PAGES + at]);
    }
}

int snap_marks_each_region(const struct snap_marks *marks,
                           int (*visit)(void *context, uint64_t region), void *context)
{
    uint64_t regions = rounded_up(marks->page_count, PAGES);
    uint64_t groups = rounded_up(regions, REGIONS);
    for (uint64_t group = next_set(marks->group, 0, groups); group < groups;
         group = next_set(marks->group, group + 1, groups)) {
        uint64_t end = (group + 1) * REGIONS < regions ? (group + 1) * REGIONS : regions;
        for (uint64_t region = next_set(marks->region, group * REGIONS, end), next; region < end;
             region = next) {
            next = next_set(marks->region, region + 1, end);
            if (next < end) {
                fetch_region(marks, next);
            }
            int rc = visit(context, region);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

struct taking {
    const struct snap_marks *marks;
    bool keep, parked;
    void (*visit)(void *context, uint64_t page);
    void *context;
};

static int take_region(void *context, uint64_t region)
{
    const struct taking *taking = context;
    const struct snap_marks *marks = taking->marks;
    uint64_t end = region_end(marks, region);
    for (uint64_t page = next_set(marks->page, region * PAGES, end); page < end;
         page = next_set(marks->page, page + 1, end)) {
        if (!taking->keep) {
            atomic_store_explicit(&marks->page[page], 0, memory_order_relaxed);
            PH_POINT("mark cleared");
        }
        taking->visit(taking->context, page);
    }
    if (!taking->keep && (taking->parked || PH_MUTANT(REGION_CLEARED_LIVE))) {
        atomic_store_explicit(&marks->region[region], 0, memory_order_relaxed);
    }
    return 0;
}

void snap_marks_look(const struct snap_marks *marks, void (*visit)(void *context, uint64_t page),
                     void *context)
{
    struct taking looking = {.marks = marks, .keep = true, .visit = visit, .context = context};
    (void)snap_marks_each_region(marks, take_region, &looking);
}

void snap_marks_take(const struct snap_marks *marks, enum snap_marks_state state,
                     void (*visit)(void *context, uint64_t page), void *context)
{
    struct taking taking = {
        .marks = marks, .parked = state == SNAP_WRITERS_PARKED, .visit = visit, .context = context};
    (void)snap_marks_each_region(marks, take_region, &taking);
    if (!taking.parked) {
        return;
    }
    uint64_t groups = rounded_up(marks->page_count, UINT64_C(1) << SNAP_GROUP_SHIFT);
    for (uint64_t group = next_set(marks->group, 0, groups); group < groups;
         group = next_set(marks->group, group + 1, groups)) {
        atomic_store_explicit(&marks->group[group], 0, memory_order_relaxed);
    }
}

void snap_marks_forget(const struct snap_marks *marks, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;
    while (first < end) {
        uint64_t region = first >> SNAP_REGION_SHIFT;
        uint64_t stop = (region + 1) * PAGES < end ? (region + 1) * PAGES : end;
        if (atomic_load_explicit(&marks->region[region], memory_order_relaxed) != 0) {
            for (uint64_t page = next_set(marks->page, first, stop); page < stop;
                 page = next_set(marks->page, page + 1, stop)) {
                atomic_store_explicit(&marks->page[page], 0, memory_order_relaxed);
            }
        }
        first = stop;
    }
}
