/* SPDX-License-Identifier: Apache-2.0
 *
 * store_compare.c - differences between two generations, as ranges of pages, and single pages.
 *
 * Both generations are held while they are compared, so that a running writer cannot give their
 * blocks out again.
 */
#include "store_view.h"

#include <string.h>

struct ranges {
    int (*visit)(void *context, const struct phantom_page_range *range);
    void *context;
    struct phantom_page_range range; /* count 0: none yet */
};

static int end_range(struct ranges *r)
{
    int result = r->range.count != 0 ? r->visit(r->context, &r->range) : 0;
    r->range.count = 0;
    return result;
}

static int add_page(void *context, uint64_t page, enum snap_change change)
{
    struct ranges *r = context;
    enum phantom_change kind = change == SNAP_PAGE_ADDED     ? PHANTOM_ADDED
                               : change == SNAP_PAGE_REMOVED ? PHANTOM_REMOVED
                                                             : PHANTOM_CHANGED;
    if (r->range.count != 0 && r->range.change == kind && r->range.first + r->range.count == page) {
        r->range.count++;
        return 0;
    }
    int result = end_range(r);
    r->range = (struct phantom_page_range){page, 1, kind};
    return result;
}

int store_hold_both(struct phantom_store *store, uint64_t from, uint64_t to,
                    struct phantom_diag *diag)
{
    int result = snap_store_hold(store->store, from, diag);
    if (result == 0 && to != from) {
        result = snap_store_hold(store->store, to, diag);
        if (result != 0) {
            snap_store_unhold(store->store, from);
        }
    }
    return result;
}

void store_unhold_both(struct phantom_store *store, uint64_t from, uint64_t to)
{
    snap_store_unhold(store->store, from);
    if (to != from) {
        snap_store_unhold(store->store, to);
    }
}

int phantom_store_diff(struct phantom_store *store, uint64_t from, uint64_t to,
                       int (*visit)(void *context, const struct phantom_page_range *range),
                       void *context, struct phantom_diag *diag)
{
    struct ranges ranges = {.visit = visit, .context = context};
    int result = store_hold_both(store, from, to, diag);
    if (result != 0) {
        return result;
    }
    result = snap_store_diff(store->store, from, to, add_page, &ranges, diag);
    if (result == 0) {
        result = end_range(&ranges);
    }
    store_unhold_both(store, from, to);
    return result;
}

int phantom_store_read_page(struct phantom_store *store, uint64_t generation, uint64_t page,
                            void *buffer, struct phantom_diag *diag)
{
    int result = snap_store_hold(store->store, generation, diag);
    if (result == 0) {
        result = snap_store_read_page(store->store, generation, page, buffer, diag);
        snap_store_unhold(store->store, generation);
    }
    return result;
}
