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

/* A verified node, from the cache or the file. Valid until the next call. */
static int cached_node(struct snap_store *store, uint32_t level, uint64_t index, uint64_t block,
                       struct store_sum sum, const struct store_node **out,
                       struct phantom_diag *diag)
{
    struct store_cache *cache = &store->cache;
    if (cache->node == NULL) {
        cache->node =
            ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_CACHE_NODES * sizeof(struct store_node));
        if (cache->node == NULL) {
            return ph_fail(diag, -ENOMEM, "%s: no memory to read", store_file_name(&store->file));
        }
    }
    unsigned place = (unsigned)((block * UINT64_C(0x9E3779B97F4A7C15)) >> 58) % STORE_CACHE_NODES;
    struct store_node *node = &cache->node[place];
    bool hit = cache->key[place].block == block && store_sum_equal(cache->key[place].sum, sum) &&
               node->level == level && node->index == index && block != 0;
    if (!hit) {
        cache->key[place].block = 0;
        int error = store_file_read_node(&store->file, level, index, block, sum, node, diag);
        if (error != 0) {
            return error;
        }
        cache->key[place].block = block;
        cache->key[place].sum = sum;
    }
    *out = node;
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
    *out = (struct store_place){.block = g->root_block, .sum = g->root_sum};
    uint32_t level = store->file.height;
    for (; level > 0 && out->block != 0; level--) {
        const struct store_node *node = NULL;
        int error = cached_node(store, level - 1, page >> store_level_shift(level), out->block,
                                out->sum, &node, diag);
        if (error != 0) {
            return error;
        }
        unsigned entry = (unsigned)(page >> store_level_shift(level - 1)) % STORE_FANOUT;
        out->block = node->block[entry];
        out->sum = node->sum[entry];
    }
    out->hole_end = ((page >> store_level_shift(level)) + 1) << store_level_shift(level);
    return 0;
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

struct batch {
    struct snap_store *store;
    uint64_t generation;
    snap_page_visitor visit;
    void *context;
    struct phantom_diag *diag;
    struct store_node *nodes; /* one for each level */
    uint8_t *data;            /* BATCH_PAGES pages */
    unsigned count;
    struct {
        uint64_t page, block;
        struct store_sum sum;
    } entry[BATCH_PAGES];
};

/* Read, verify and show what is collected. */
static int show(struct batch *batch)
{
    const struct store_file *file = &batch->store->file;
    unsigned at = 0;
    while (at < batch->count) {
        struct store_run run[STORE_READ_RUNS];
        unsigned runs = 0;
        for (; at < batch->count; at++) {
            struct store_run *last = runs != 0 ? &run[runs - 1] : NULL;
            if (last != NULL && last->count < BATCH_RUN_BLOCKS &&
                last->block + last->count == batch->entry[at].block) {
                last->count++;
                continue;
            }
            if (runs == STORE_READ_RUNS) {
                break;
            }
            run[runs++] = (struct store_run){batch->entry[at].block, 1,
                                             batch->data + (size_t)at * SNAP_PAGE_SIZE};
        }
        int error = store_file_read_runs(file, run, runs, batch->diag);
        if (error != 0) {
            return error;
        }
    }
    for (unsigned i = 0; i < batch->count; i++) {
        const uint8_t *data = batch->data + (size_t)i * SNAP_PAGE_SIZE;
        int error =
            store_file_check_page(file, batch->generation, batch->entry[i].page,
                                  batch->entry[i].block, batch->entry[i].sum, data, batch->diag);
        error = error != 0 ? error : batch->visit(batch->context, batch->entry[i].page, data);
        if (error != 0) {
            return error;
        }
    }
    batch->count = 0;
    return 0;
}

static int collect(struct batch *batch, uint32_t level, uint64_t index, uint64_t block,
                   struct store_sum sum)
{
    struct store_node *node = &batch->nodes[level];
    int error =
        store_file_read_node(&batch->store->file, level, index, block, sum, node, batch->diag);
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t below = (index << STORE_FANOUT_BITS) + i;
        if (node->block[i] == 0) {
            continue;
        }
        if (level != 0) {
            error = collect(batch, level - 1, below, node->block[i], node->sum[i]);
            continue;
        }
        batch->entry[batch->count].page = below;
        batch->entry[batch->count].block = node->block[i];
        batch->entry[batch->count].sum = node->sum[i];
        if (++batch->count == BATCH_PAGES) {
            error = show(batch);
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
    if (g->root_block == 0) {
        return 0;
    }
    struct batch *batch = ph_zalloc(1, sizeof *batch);
    int error = -ENOMEM;
    if (batch != NULL) {
        batch->nodes =
            ph_alloc_aligned(STORE_BLOCK_SIZE, store->file.height * sizeof(struct store_node));
        batch->data = ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)BATCH_PAGES * SNAP_PAGE_SIZE);
    }
    if (batch == NULL || batch->nodes == NULL || batch->data == NULL) {
        ph_fail(diag, error, "%s: no memory to read", store_file_name(&store->file));
        goto out;
    }
    batch->store = store;
    batch->generation = generation;
    batch->visit = visit;
    batch->context = context;
    batch->diag = diag;
    error = collect(batch, store->file.height - 1, 0, g->root_block, g->root_sum);
    error = error != 0 ? error : show(batch);
out:
    if (batch != NULL) {
        ph_free(batch->nodes);
        ph_free(batch->data);
        ph_free(batch);
    }
    return error;
}
