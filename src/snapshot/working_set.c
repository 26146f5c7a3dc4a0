/* SPDX-License-Identifier: Apache-2.0
 *
 * working_set.c - see working_set.h. Owns two bitmaps and the list of the run before. Used by the
 * thread that opens, takes snapshots and closes; no locks.
 */
#include "working_set.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOTED_PAGES = 16384, /* in `now` before it becomes `before`: 64 MiB */
    OLDEST = 8           /* openings for which a page is kept that nobody waited for */
};

static int by_age(const void *a, const void *b)
{
    const struct snap_wanted *x = a, *y = b;
    if (x->age != y->age) {
        return x->age < y->age ? -1 : 1;
    }
    return x->first < y->first ? -1 : x->first > y->first;
}

int working_set_open(struct working_set *set, struct snap_store *store, int64_t now_ns)
{
    uint64_t pages = snap_store_params(store)->heap_size / SNAP_PAGE_SIZE;
    set->saved_ns = now_ns;
    set->old = ph_alloc(SNAP_WANTED_MOST * sizeof(*set->old));
    if (set->old == NULL || page_set_init(&set->now, pages) != 0 ||
        page_set_init(&set->before, pages) != 0) {
        return -ENOMEM;
    }
    set->old_count = snap_store_read_wanted(store, set->old, SNAP_WANTED_MOST);
    qsort(set->old, set->old_count, sizeof(*set->old), by_age);
    set->recording = true;
    return 0;
}

void working_set_close(struct working_set *set)
{
    page_set_finish(&set->now);
    page_set_finish(&set->before);
    ph_free(set->old);
    *set = (struct working_set){0};
}

static void add_all(struct page_set *to, const struct page_set *from)
{
    for (uint64_t page = page_set_next(from, 0, UINT64_MAX); page != PAGE_SET_END;
         page = page_set_next(from, page + 1, UINT64_MAX)) {
        page_set_add(to, page);
    }
}

void working_set_note(struct working_set *set, const struct page_set *pages)
{
    if (!set->recording) {
        return;
    }
    add_all(&set->now, pages);
    if (set->now.members > NOTED_PAGES) {
        struct page_set older = set->before;
        set->before = set->now;
        set->now = older;
        page_set_clear(&set->now);
    }
}

/* ---- saving -------------------------------------------------------------------------------- */

struct writing {
    struct snap_wanted *wanted; /* SNAP_WANTED_MOST */
    size_t count;
    bool full; /* something did not fit */
};

/** Append pages [first, end). */
static void put(struct writing *writing, uint64_t first, uint64_t end, unsigned age)
{
    while (first < end) {
        if (writing->count == SNAP_WANTED_MOST) {
            writing->full = true;
            return;
        }
        uint64_t count = end - first < SNAP_WANTED_PAGES ? end - first : SNAP_WANTED_PAGES;
        writing->wanted[writing->count++] =
            (struct snap_wanted){.first = first, .count = (uint32_t)count, .age = (uint8_t)age};
        first += count;
    }
}

/** The members of the set as ranges, gaps of up to `gap` pages included. */
static void put_young(struct writing *writing, const struct page_set *young, uint64_t gap)
{
    uint64_t page = page_set_next(young, 0, UINT64_MAX);
    while (page != PAGE_SET_END && !writing->full) {
        uint64_t first = page, last = page;
        while ((page = page_set_next(young, last + 1, UINT64_MAX)) != PAGE_SET_END &&
               page - last <= gap + 1) {
            last = page;
        }
        put(writing, first, last + 1, 0);
    }
}

/** The parts of an old range that are not young. */
static void put_old(struct writing *writing, const struct snap_wanted *old,
                    const struct page_set *young)
{
    uint64_t end = old->first + old->count;
    for (uint64_t at = old->first; at < end && !writing->full;) {
        uint64_t next = page_set_next(young, at, end);
        uint64_t stop = next != PAGE_SET_END ? next : end;
        put(writing, at, stop, old->age + 1u);
        at = stop + 1;
    }
}

static void make_list(const struct working_set *set, const struct page_set *young,
                      struct writing *writing)
{
    for (uint64_t gap = 0;; gap = gap * 2 + 1) { /* coarser until it fits */
        writing->count = 0;
        writing->full = false;
        put_young(writing, young, gap);
        if (!writing->full || gap > young->page_count) {
            break;
        }
    }
    for (size_t i = 0; i < set->old_count && !writing->full; i++) {
        if (set->old[i].age < OLDEST) {
            put_old(writing, &set->old[i], young);
        }
    }
}

void working_set_save(struct working_set *set, struct snap_store *store,
                      const struct page_set *demanded, int64_t now_ns)
{
    if (!set->recording) {
        return;
    }
    struct page_set young;
    struct writing writing = {.wanted = ph_alloc(SNAP_WANTED_MOST * sizeof(*writing.wanted))};
    if (page_set_init(&young, set->now.page_count) == 0 && writing.wanted != NULL) {
        add_all(&young, &set->now);
        add_all(&young, &set->before);
        if (demanded != NULL) {
            add_all(&young, demanded);
        }
        make_list(set, &young, &writing);
        (void)snap_store_write_wanted(store, writing.wanted, writing.count);
    }
    set->saved_ns = now_ns;
    page_set_finish(&young);
    ph_free(writing.wanted);
}
