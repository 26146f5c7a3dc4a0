/* SPDX-License-Identifier: Apache-2.0
 *
 * port_pages.c - which pages of a range are in use: first fit from where the last search ended.
 *
 * Owns the map of a physalloc_t. Its mutex is a leaf. Always true: the first page of what was
 * allocated at once holds the number of its pages and the others FOLLOWS, so that it can be given
 * back whole only; where pieces are allowed each page is an allocation of one page.
 */
#include "port_internal.h"

enum { FREE = 0 };
#define FOLLOWS UINT32_MAX
#define NEVER   (UINT32_MAX - 1) /* before the first page */

int port_pages_open(physalloc_t *pages, u_int32_t total, u_int32_t first, bool pieces)
{
    *pages = (physalloc_t){.total_size = total, .last_used = first, .pieces = pieces};
    pages->allocable_size = total > first ? total - first : 0;
    pages->map = ph_zalloc(total, sizeof(*pages->map));
    if (pages->map == NULL || hal_mutex_init(&pages->mutex, "pages") != 0) {
        ph_free(pages->map);
        pages->map = NULL;
        return ENOMEM;
    }
    for (u_int32_t i = 0; i < first && i < total; i++) {
        pages->map[i] = NEVER;
    }
    return 0;
}

void port_pages_close(physalloc_t *pages)
{
    (void)hal_mutex_destroy(&pages->mutex);
    ph_free(pages->map);
    pages->map = NULL;
}

/* The first run of `count` free pages within [from, to), or `to`. */
static u_int32_t find_run(const physalloc_t *pages, u_int32_t from, u_int32_t to, u_int32_t count)
{
    u_int32_t run = 0;
    for (u_int32_t i = from; i < to; i++) {
        run = pages->map[i] == FREE ? run + 1 : 0;
        if (run == count) {
            return i + 1 - count;
        }
    }
    return to;
}

errno_t port_pages_take(physalloc_t *pages, u_int32_t count, u_int32_t *out)
{
    errno_t rc = ENOMEM;
    (void)hal_mutex_lock(&pages->mutex);
    if (count <= pages->allocable_size - pages->n_used_pages) {
        u_int32_t first = find_run(pages, pages->last_used, pages->total_size, count);
        if (first == pages->total_size) {
            first = find_run(pages, 0, pages->total_size, count);
        }
        if (first < pages->total_size) {
            for (u_int32_t i = 0; i < count; i++) {
                pages->map[first + i] = pages->pieces ? 1 : FOLLOWS;
            }
            pages->map[first] = pages->pieces ? 1 : count;
            pages->n_used_pages += count;
            pages->last_used = first + count;
            *out = first;
            rc = 0;
        }
    }
    (void)hal_mutex_unlock(&pages->mutex);
    return rc;
}

/* The lock is held. */
static bool is_allocation(const physalloc_t *pages, u_int32_t first, u_int32_t count)
{
    if (count == 0 || first >= pages->total_size || count > pages->total_size - first) {
        return false;
    }
    if (!pages->pieces && !PH_MUTANT(PIECES_FREED)) {
        return pages->map[first] == count;
    }
    for (u_int32_t i = 0; i < count; i++) {
        if (pages->map[first + i] == FREE || pages->map[first + i] == NEVER) {
            return false;
        }
    }
    return true;
}

errno_t port_pages_give(physalloc_t *pages, u_int32_t first, u_int32_t count)
{
    (void)hal_mutex_lock(&pages->mutex);
    errno_t rc = is_allocation(pages, first, count) ? 0 : EINVAL;
    if (rc == 0) {
        for (u_int32_t i = 0; i < count; i++) {
            pages->map[first + i] = FREE;
        }
        pages->n_used_pages -= count;
    }
    (void)hal_mutex_unlock(&pages->mutex);
    return rc;
}

bool port_pages_used(physalloc_t *pages, u_int32_t first, u_int32_t count)
{
    if (first >= pages->total_size || count > pages->total_size - first) {
        return false;
    }
    bool used = true;
    (void)hal_mutex_lock(&pages->mutex);
    for (u_int32_t i = 0; i < count; i++) {
        used = used && pages->map[first + i] != FREE && pages->map[first + i] != NEVER;
    }
    (void)hal_mutex_unlock(&pages->mutex);
    return used;
}
