/* SPDX-License-Identifier: Apache-2.0
 *
 * port_amap.c - <kernel/amap.h>: an interval map as a sorted array. Owns map->ranges. No lock.
 * Between calls: ranges[0].from is map->start, the froms grow, neighbours differ in flags.
 */
#include "kernel/amap.h"

#include "ph_memory.h"

#include <errno.h>
#include <string.h>

void amap_init(amap_t *map, amap_elem_addr_t start, amap_elem_size_t n_elem,
               u_int32_t start_state_flags)
{
    if (start + n_elem < start) { /* the last number is 2^64 - 2, so that there is an end */
        n_elem = UINT64_MAX - start;
    }
    *map = (amap_t){.start = start, .n_elem = n_elem, .start_flags = start_state_flags};
}

void amap_destroy(amap_t *map)
{
    ph_free(map->ranges);
    map->ranges = NULL;
    map->count = 0;
    map->room = 0;
}

static bool is_inside(const amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem)
{
    return from >= map->start && from - map->start <= map->n_elem &&
           n_elem <= map->n_elem - (from - map->start);
}

/* Which range has that number. The map has ranges. */
static size_t find(const amap_t *map, amap_elem_addr_t number)
{
    size_t low = 0;
    size_t high = map->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges[middle].from <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static amap_elem_addr_t end_of(const amap_t *map, size_t index)
{
    return index + 1 < map->count ? map->ranges[index + 1].from : map->start + map->n_elem;
}

/* Room for two more ranges, and a first one. */
static errno_t make_room(amap_t *map)
{
    if (map->count + 2 > map->room) {
        size_t room = map->room == 0 ? 8 : map->room * 2;
        struct amap_range *ranges = ph_realloc(map->ranges, room * sizeof(*ranges));
        if (ranges == NULL) {
            return ENOMEM;
        }
        map->ranges = ranges;
        map->room = room;
    }
    if (map->count == 0) {
        map->ranges[0] = (struct amap_range){.from = map->start, .flags = map->start_flags};
        map->count = 1;
    }
    return 0;
}

/* Put these ranges in the place of those from first up to last. There is room. */
static void replace(amap_t *map, size_t first, size_t last, const struct amap_range *with,
                    size_t count)
{
    memmove(&map->ranges[first + count], &map->ranges[last],
            (map->count - last) * sizeof(*map->ranges));
    memcpy(&map->ranges[first], with, count * sizeof(*with));
    map->count = map->count - (last - first) + count;
}

errno_t amap_modify(amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags)
{
    if (!is_inside(map, from, n_elem)) {
        return EINVAL;
    }
    if (n_elem == 0) {
        return 0;
    }
    if (make_room(map) != 0) {
        return ENOMEM;
    }
    amap_elem_addr_t to = from + n_elem;
    size_t first = find(map, from);
    size_t last = find(map, to - 1);
    struct amap_range with[3];
    size_t count = 0;
    if (map->ranges[first].from < from) { /* what stays of the first range */
        with[count++] = map->ranges[first];
    } else if (first > 0) { /* or the one before, which may become one with ours */
        with[count++] = map->ranges[--first];
    }
    if (count == 0 || with[count - 1].flags != flags) {
        with[count++] = (struct amap_range){.from = from, .flags = flags};
    }
    if (end_of(map, last) > to) { /* what stays of the last one */
        if (map->ranges[last].flags != flags) {
            with[count++] = (struct amap_range){.from = to, .flags = map->ranges[last].flags};
        }
    } else if (last + 1 < map->count && map->ranges[last + 1].flags == flags) {
        last++;
    }
    replace(map, first, last + 1, with, count);
    return 0;
}

errno_t amap_check(amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags)
{
    if (!is_inside(map, from, n_elem)) {
        return EINVAL;
    }
    if (n_elem == 0) {
        return 0;
    }
    if (map->count == 0) {
        return map->start_flags == flags ? 0 : ENOENT;
    }
    size_t index = find(map, from); /* neighbours differ: one range must have it all */
    return map->ranges[index].flags == flags && end_of(map, index) >= from + n_elem ? 0 : ENOENT;
}

errno_t amap_check_modify(amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem,
                          u_int32_t flags, int *modified)
{
    errno_t same = amap_check(map, from, n_elem, flags);
    if (same == EINVAL) {
        return EINVAL;
    }
    errno_t rc = same == 0 ? 0 : amap_modify(map, from, n_elem, flags);
    if (rc == 0) {
        *modified = same != 0;
    }
    return rc;
}

void amap_iterate_all(amap_t *map, void (*f)(amap_elem_addr_t, amap_elem_size_t, u_int32_t, void *),
                      void *arg)
{
    if (map->count == 0 && map->n_elem > 0) {
        f(map->start, map->n_elem, map->start_flags, arg);
    }
    for (size_t i = 0; i < map->count; i++) {
        f(map->ranges[i].from, end_of(map, i) - map->ranges[i].from, map->ranges[i].flags, arg);
    }
}

struct filter {
    void (*f)(amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags, void *arg);
    void *arg;
    u_int32_t flags;
};

static void filter_range(amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags, void *arg)
{
    const struct filter *filter = arg;
    if (flags == filter->flags) {
        filter->f(from, n_elem, flags, filter->arg);
    }
}

void amap_iterate_flags(amap_t *map,
                        void (*f)(amap_elem_addr_t, amap_elem_size_t, u_int32_t, void *), void *arg,
                        u_int32_t flags)
{
    struct filter filter = {.f = f, .arg = arg, .flags = flags};
    amap_iterate_all(map, filter_range, &filter);
}
