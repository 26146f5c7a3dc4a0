/* SPDX-License-Identifier: Apache-2.0
 *
 * store_read.c - pages of retained generations, verified on the way from the record down.
 *
 * Single pages go through a small cache of verified nodes; whole generations are read in ascending
 * page order, a batch of pages at a time, neighbouring blocks in one request.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* The overlay of a generation, from the two that were used last, or loaded. Valid until the next
 * call. */
static int overlay_of(struct snap_store *store, const struct store_generation *g,
                      const struct store_overlay **out, struct phantom_diag *diag)
{
    static const struct store_overlay nothing = {0};
    struct store_overlay_slot *slot = store->overlay;
    *out = &nothing;
    if (g->map.delta.block == 0) {
        return 0;
    }
    if (!store_sum_equal(slot[0].sum, g->map.delta.sum)) {
        struct store_overlay_slot other = slot[1]; /* the one used last goes first */
        slot[1] = slot[0];
        slot[0] = other;
    }
    if (!store_sum_equal(slot[0].sum, g->map.delta.sum)) {
        store_overlay_finish(&slot[0].overlay);
        slot[0].sum = (struct store_sum){0};
        int error = store_overlay_load(&store->file, &g->map, &slot[0].overlay, diag);
        if (error != 0) {
            return error;
        }
        slot[0].sum = g->map.delta.sum;
    }
    *out = &slot[0].overlay;
    return 0;
}

int store_find_page(struct snap_store *store, uint64_t generation, uint64_t page,
                    struct store_place *out, struct phantom_diag *diag)
{
    const struct store_generation *g = store_find(store, generation);
    if (g == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                       store_file_name(&store->file), generation);
    }
    if (page >= store->file.page_count) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s: no page %" PRIu64,
                       store_file_name(&store->file), page);
    }
    const struct store_overlay *overlay = NULL;
    int error = overlay_of(store, g, &overlay, diag);
    return error != 0
               ? error
               : store_resolve(&store->file, &store->cache, &g->map, overlay, page, out, diag);
}

int snap_store_read_page(struct snap_store *store, uint64_t generation, uint64_t page, void *buffer,
                         struct phantom_diag *diag)
{
    struct store_place place;
    int error = store_find_page(store, generation, page, &place, diag);
    if (error != 0) {
        return error;
    }
    if (place.block == 0) {
        memset(buffer, 0, SNAP_PAGE_SIZE);
        return 0;
    }
    uint8_t *data = store->block; /* aligned, which the caller's buffer need not be */
    error = store_file_read(&store->file, place.block, 1, data, diag);
    error = error != 0 ? error
                       : store_file_check_page(&store->file, generation, page, place.block,
                                               place.sum, data, diag);
    if (error != 0) {
        return error;
    }
    memcpy(buffer, data, SNAP_PAGE_SIZE);
    return 1;
}

/* ---- whole generations --------------------------------------------------------------------- */

enum { BATCH_PAGES = 512, BATCH_RUN_BLOCKS = 64 };

struct store_page {
    uint64_t page, block;
    struct store_sum sum;
};

/* Read pages into `data`, neighbouring blocks in one request, and check their sums. */
static int read_pages(const struct store_file *file, uint64_t generation,
                      const struct store_page *place, size_t count, uint8_t *data,
                      struct phantom_diag *diag)
{
    size_t at = 0;
    while (at < count) {
        struct store_run run[STORE_READ_RUNS];
        unsigned runs = 0;
        for (; at < count; at++) {
            struct store_run *last = runs != 0 ? &run[runs - 1] : NULL;
            if (last != NULL && last->count < BATCH_RUN_BLOCKS &&
                last->block + last->count == place[at].block) {
                last->count++;
                continue;
            }
            if (runs == STORE_READ_RUNS) {
                break;
            }
            run[runs++] = (struct store_run){place[at].block, 1, data + at * SNAP_PAGE_SIZE};
        }
        int error = store_file_read_runs(file, run, runs, diag);
        if (error != 0) {
            return error;
        }
    }
    for (size_t i = 0; i < count; i++) {
        int error = store_file_check_page(file, generation, place[i].page, place[i].block,
                                          place[i].sum, data + i * SNAP_PAGE_SIZE, diag);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

struct batch {
    struct snap_store *store;
    uint64_t generation;
    snap_page_visitor visit;
    void *context;
    struct phantom_diag *diag;
    uint8_t *data; /* BATCH_PAGES pages */
    unsigned count;
    struct store_page place[BATCH_PAGES];
};

/* Read, verify and show what is collected. */
static int show(struct batch *batch)
{
    int error = read_pages(&batch->store->file, batch->generation, batch->place, batch->count,
                           batch->data, batch->diag);
    for (unsigned i = 0; error == 0 && i < batch->count; i++) {
        error = batch->visit(batch->context, batch->place[i].page,
                             batch->data + (size_t)i * SNAP_PAGE_SIZE);
    }
    batch->count = 0;
    return error;
}

static int collect(void *context, const struct store_node *leaf)
{
    struct batch *batch = context;
    int error = 0;
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        if (leaf->block[i] != 0) {
            batch->place[batch->count++] = (struct store_page){
                (leaf->index << STORE_FANOUT_BITS) + i, leaf->block[i], leaf->sum[i]};
            error = batch->count == BATCH_PAGES ? show(batch) : 0;
        }
    }
    return error;
}

int snap_store_for_each_page(struct snap_store *store, uint64_t generation, snap_page_visitor visit,
                             void *context, struct phantom_diag *diag)
{
    const struct store_generation *g = store_find(store, generation);
    if (g == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                       store_file_name(&store->file), generation);
    }
    const struct store_map map = g->map;
    struct store_overlay overlay;
    int error = store_overlay_load(&store->file, &map, &overlay, diag);
    if (error != 0) {
        return error;
    }
    struct batch *batch = ph_zalloc(1, sizeof *batch);
    uint8_t *data = ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)BATCH_PAGES * SNAP_PAGE_SIZE);
    if (batch == NULL || data == NULL) {
        error = ph_fail(diag, -ENOMEM, "%s: no memory to read", store_file_name(&store->file));
        goto out;
    }
    batch->store = store;
    batch->data = data;
    batch->generation = generation;
    batch->visit = visit;
    batch->context = context;
    batch->diag = diag;
    error = store_walk_leaves(&store->file, &map, &overlay, 0, UINT64_MAX, collect, batch, diag);
    error = error != 0 ? error : show(batch);
out:
    ph_free(data);
    ph_free(batch);
    store_overlay_finish(&overlay);
    return error;
}
