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

/* What reading packed pages needs; made when it is first needed. 0 or -ENOMEM. */
static int make_packs(struct snap_store *store, struct phantom_diag *diag)
{
    if (store->packs == NULL) {
        store->packs = ph_zalloc(1, sizeof *store->packs);
    }
    return store->packs != NULL
               ? 0
               : ph_fail(diag, -ENOMEM, "%s: no memory to read", store_file_name(&store->file));
}

void store_packs_finish(struct snap_store *store)
{
    if (store->packs != NULL) {
        store_unpacker_finish(&store->packs->unpacker);
        ph_free(store->packs->images);
        ph_free(store->packs);
        store->packs = NULL;
    }
}

static int read_packed_page(struct snap_store *store, uint64_t generation, uint64_t page,
                            const struct store_place *place, void *buffer,
                            struct phantom_diag *diag)
{
    const uint8_t *data = NULL;
    int error = make_packs(store, diag);
    error = error != 0 ? error
                       : store_unpack_page(&store->file, &store->packs->unpacker, generation, page,
                                           place->block, place->sum, NULL, &data, diag);
    if (error != 0) {
        return error;
    }
    memcpy(buffer, data, SNAP_PAGE_SIZE);
    return 1;
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
    if (store_place_is_packed(place.block)) {
        return read_packed_page(store, generation, page, &place, buffer, diag);
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

/* ---- many pages ---------------------------------------------------------------------------- */

enum { RUN_BLOCKS = 64 };

/* Requests being gathered: blocks that are neighbours in the file and in memory become one. */
struct gather {
    const struct store_file *file;
    struct store_run run[STORE_READ_RUNS];
    unsigned runs;
};

/* 0, or an error of the requests that had to go first. */
static int gather(struct gather *g, uint64_t block, uint32_t count, uint8_t *to,
                  struct phantom_diag *diag)
{
    struct store_run *last = g->runs != 0 ? &g->run[g->runs - 1] : NULL;
    if (last != NULL && last->count + count <= RUN_BLOCKS && last->block + last->count == block &&
        (uint8_t *)last->buffer + (size_t)last->count * STORE_BLOCK_SIZE == to) {
        last->count += count;
        return 0;
    }
    int error = 0;
    if (g->runs == STORE_READ_RUNS) {
        error = store_file_read_runs(g->file, g->run, g->runs, diag);
        g->runs = 0;
    }
    g->run[g->runs++] = (struct store_run){block, count, to};
    return error;
}

int store_read_raw(const struct store_file *file, const struct store_page *page, unsigned count,
                   uint8_t *data, struct phantom_diag *diag)
{
    struct gather g = {.file = file};
    int error = 0;
    for (unsigned i = 0; error == 0 && i < count; i++) {
        if (page[i].place != 0 && !store_place_is_packed(page[i].place)) {
            error = gather(&g, page[i].place, 1, data + (size_t)i * SNAP_PAGE_SIZE, diag);
        }
    }
    return error != 0 ? error : store_file_read_runs(file, g.run, g.runs, diag);
}

/* Which packs the pages from `first` on are in, as many as fit into the images; reads them.
 * @return the first page that was not looked at any more, or an error */
static int gather_packs(struct snap_store *store, const struct store_page *page, unsigned first,
                        unsigned count, struct phantom_diag *diag)
{
    struct store_packs *packs = store->packs;
    struct gather g = {.file = &store->file};
    uint32_t blocks = 0;
    unsigned i = first;
    packs->count = 0;
    memset(packs->bucket, 0, sizeof packs->bucket);
    for (; i < count; i++) {
        packs->next[i] = STORE_READ_MOST;
        if (!store_place_is_packed(page[i].place)) {
            continue;
        }
        uint64_t pack = store_place_pack(page[i].place);
        uint32_t bucket = (uint32_t)(pack * UINT64_C(0x9E3779B97F4A7C15) >> 40);
        for (bucket %= STORE_PACK_BUCKETS; packs->bucket[bucket] != 0;) {
            if (packs->pack[packs->bucket[bucket] - 1].place == pack) {
                break;
            }
            bucket = (bucket + 1) % STORE_PACK_BUCKETS;
        }
        if (packs->bucket[bucket] != 0) {
            unsigned known = packs->bucket[bucket] - 1U;
            packs->next[i] = packs->pack[known].page;
            packs->pack[known].page = (uint16_t)i;
            continue;
        }
        uint32_t size = store_place_blocks(pack);
        if (size > STORE_PACK_IMAGES - blocks) {
            break;
        }
        int error = gather(&g, store_place_block(pack), size,
                           packs->images + (size_t)blocks * STORE_BLOCK_SIZE, diag);
        if (error != 0) {
            return error;
        }
        packs->pack[packs->count++] = (struct store_read_pack){pack, blocks, (uint16_t)i};
        packs->bucket[bucket] = (uint16_t)packs->count;
        blocks += size;
    }
    int error = store_file_read_runs(&store->file, g.run, g.runs, diag);
    return error != 0 ? error : (int)i;
}

int store_read_packed(struct snap_store *store, uint64_t generation, const struct store_page *page,
                      unsigned count, uint8_t *data, struct phantom_diag *diag)
{
    unsigned at = 0;
    PH_CHECK(count <= STORE_READ_MOST);
    while (at < count && !store_place_is_packed(page[at].place)) {
        at++;
    }
    int error = at < count ? make_packs(store, diag) : 0;
    if (error != 0 || at == count) {
        return error;
    }
    struct store_packs *packs = store->packs;
    if (packs->images == NULL) {
        packs->images =
            ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)STORE_PACK_IMAGES * STORE_BLOCK_SIZE);
    }
    if (packs->images == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to read", store_file_name(&store->file));
    }
    while (error == 0 && at < count) {
        int end = gather_packs(store, page, at, count, diag);
        error = end < 0 ? end : 0;
        for (unsigned i = 0; error == 0 && i < packs->count; i++) {
            const uint8_t *image = packs->images + (size_t)packs->pack[i].at * STORE_BLOCK_SIZE;
            packs->unpacker.pack = 0; /* what it has may be of another time */
            for (unsigned k = packs->pack[i].page; error == 0 && k != STORE_READ_MOST;
                 k = packs->next[k]) {
                const uint8_t *content = NULL;
                error = store_unpack_page(&store->file, &packs->unpacker, generation, page[k].page,
                                          page[k].place, page[k].sum, image, &content, diag);
                if (error == 0) {
                    memcpy(data + (size_t)k * SNAP_PAGE_SIZE, content, SNAP_PAGE_SIZE);
                }
            }
        }
        at = error == 0 ? (unsigned)end : at;
    }
    return error;
}

/* ---- whole generations --------------------------------------------------------------------- */

/* Read pages into `data`, neighbouring blocks in one request, and check their sums. */
static int read_pages(struct snap_store *store, uint64_t generation, const struct store_page *page,
                      unsigned count, uint8_t *data, struct phantom_diag *diag)
{
    int error = store_read_raw(&store->file, page, count, data, diag);
    for (unsigned i = 0; error == 0 && i < count; i++) {
        if (!store_place_is_packed(page[i].place)) {
            error = store_file_check_page(&store->file, generation, page[i].page, page[i].place,
                                          page[i].sum, data + (size_t)i * SNAP_PAGE_SIZE, diag);
        }
    }
    return error != 0 ? error : store_read_packed(store, generation, page, count, data, diag);
}

struct batch {
    struct snap_store *store;
    uint64_t generation;
    snap_page_visitor visit;
    void *context;
    struct phantom_diag *diag;
    uint8_t *data; /* STORE_READ_MOST pages */
    unsigned count;
    struct store_page page[STORE_READ_MOST];
};

/* Read, verify and show what is collected. */
static int show(struct batch *batch)
{
    int error = read_pages(batch->store, batch->generation, batch->page, batch->count, batch->data,
                           batch->diag);
    for (unsigned i = 0; error == 0 && i < batch->count; i++) {
        error = batch->visit(batch->context, batch->page[i].page,
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
            batch->page[batch->count++] = (struct store_page){
                (leaf->index << STORE_FANOUT_BITS) + i, leaf->block[i], leaf->sum[i]};
            error = batch->count == STORE_READ_MOST ? show(batch) : 0;
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
    uint8_t *data = ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)STORE_READ_MOST * SNAP_PAGE_SIZE);
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
