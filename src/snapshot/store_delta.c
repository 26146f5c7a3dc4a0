/* SPDX-License-Identifier: Apache-2.0 - see store_delta.h. Owns nothing. */
#include "store_delta.h"

#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- one run ------------------------------------------------------------------------------- */

bool store_delta_ref_is_possible(const struct store_file *file, const struct store_delta_ref *ref)
{
    return ref->generation != 0 && ref->generation < STORE_GENERATION_LIMIT && ref->entries != 0 &&
           ref->entries <= STORE_CHAIN_ENTRIES && !store_sum_is_zero(ref->sum) &&
           ref->blocks >= store_delta_blocks(0, ref->entries) &&
           ref->blocks <= store_delta_blocks(STORE_CHAIN_RUNS - 1, ref->entries) &&
           store_file_has_data_block(file, ref->block) &&
           ref->blocks <= file->block_count - ref->block;
}

static bool is_entry_possible(const struct store_file *file, const struct store_delta_entry *entry)
{
    if (entry->page >= file->page_count) {
        return false;
    }
    return entry->block == 0
               ? store_sum_is_zero(entry->sum)
               : !store_sum_is_zero(entry->sum) && store_file_has_place(file, entry->block);
}

static bool is_possible(const struct store_file *file, const struct store_map *map,
                        const struct store_delta_ref *ref, const uint8_t *image)
{
    const struct store_delta_head *head = (const struct store_delta_head *)image;
    if (head->magic != STORE_DELTA_MAGIC || head->generation != ref->generation ||
        head->entries != ref->entries || head->blocks != ref->blocks ||
        head->older >= STORE_CHAIN_RUNS ||
        head->blocks != store_delta_blocks(head->older, head->entries) ||
        head->root_block != map->root_block || !store_sum_equal(head->root_sum, map->root_sum)) {
        return false;
    }
    const struct store_delta_ref *older = (const struct store_delta_ref *)(head + 1);
    uint64_t entries = head->entries, newest = 0;
    for (uint32_t i = 0; i < head->older; i++) {
        entries += older[i].entries;
        if (!store_delta_ref_is_possible(file, &older[i]) || older[i].generation <= newest ||
            older[i].generation >= head->generation) {
            return false;
        }
        newest = older[i].generation;
    }
    const struct store_delta_entry *entry = store_delta_entries(image);
    for (uint32_t i = 0; i < head->entries; i++) {
        if (!is_entry_possible(file, &entry[i]) || (i != 0 && entry[i].page <= entry[i - 1].page)) {
            return false;
        }
    }
    return entries <= STORE_CHAIN_ENTRIES;
}

int store_delta_check(const struct store_file *file, const struct store_map *map,
                      const struct store_delta_ref *ref, uint8_t *image, struct phantom_diag *diag)
{
    if (!store_decode(file, STORE_SUM_DELTA, ref->generation, ref->sum, image, ref->blocks) &&
        !PH_MUTANT(DELTA_SUM_IGNORED)) {
        char why[STORE_WRONG_SUM_TEXT];
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: delta run of generation %" PRIu64 " in block %" PRIu64 ": %s",
                       store_file_name(file), ref->generation, ref->block,
                       store_wrong_sum(file, STORE_SUM_DELTA, ref->generation, ref->sum, image,
                                       ref->blocks, why));
    }
    if (!is_possible(file, map, ref, image)) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: delta run of generation %" PRIu64 " in block %" PRIu64
                       " has a good sum but impossible content",
                       store_file_name(file), ref->generation, ref->block);
    }
    return 0;
}

/* ---- a chain ------------------------------------------------------------------------------- */

static int no_memory(const struct store_file *file, struct phantom_diag *diag)
{
    return ph_fail(diag, -ENOMEM, "%s: no memory for delta runs", store_file_name(file));
}

void store_chain_finish(struct store_chain *chain)
{
    for (unsigned i = 0; i < chain->runs; i++) {
        ph_free(chain->image[i]);
    }
    *chain = (struct store_chain){0};
}

/* Read the newest run: it names the others. The chain has room for all, and images not yet read are
 * NULL. */
static int load_newest(const struct store_file *file, const struct store_map *map,
                       struct store_chain *chain, struct phantom_diag *diag)
{
    *chain = (struct store_chain){0};
    if (map->delta.block == 0) {
        return 0;
    }
    if (!store_delta_ref_is_possible(file, &map->delta)) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: a record names an impossible delta run in block %" PRIu64,
                       store_file_name(file), map->delta.block);
    }
    uint8_t *image =
        ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)map->delta.blocks * STORE_BLOCK_SIZE);
    if (image == NULL) {
        return no_memory(file, diag);
    }
    int error = store_file_read(file, map->delta.block, map->delta.blocks, image, diag);
    error = error != 0 ? error : store_delta_check(file, map, &map->delta, image, diag);
    if (error != 0) {
        ph_free(image);
        return error;
    }
    const struct store_delta_head *head = (const struct store_delta_head *)image;
    memcpy(chain->ref, head + 1, head->older * sizeof chain->ref[0]);
    chain->ref[head->older] = map->delta;
    chain->image[head->older] = image;
    chain->runs = head->older + 1;
    return 0;
}

int store_chain_load(const struct store_file *file, const struct store_map *map,
                     struct store_chain *chain, struct phantom_diag *diag)
{
    int error = load_newest(file, map, chain, diag);
    struct store_run run[STORE_CHAIN_RUNS];
    unsigned older = chain->runs != 0 ? chain->runs - 1 : 0;
    for (unsigned i = 0; error == 0 && i < older; i++) {
        const struct store_delta_ref *ref = &chain->ref[i];
        chain->image[i] =
            ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)ref->blocks * STORE_BLOCK_SIZE);
        error = chain->image[i] == NULL ? no_memory(file, diag) : 0;
        run[i] = (struct store_run){ref->block, ref->blocks, chain->image[i]};
    }
    if (error == 0 && older != 0) {
        error = store_file_read_runs(file, run, older, diag);
    }
    for (unsigned i = 0; error == 0 && i < older; i++) {
        error = store_delta_check(file, map, &chain->ref[i], chain->image[i], diag);
    }
    if (error != 0) {
        store_chain_finish(chain);
    }
    return error;
}

/* ---- overlays ------------------------------------------------------------------------------ */

int store_overlay_add(struct store_overlay *overlay, const struct store_delta_entry *newer,
                      size_t count)
{
    if (count == 0) {
        return 0;
    }
    struct store_delta_entry *both = ph_alloc((overlay->count + count) * sizeof *both);
    if (both == NULL) {
        return -ENOMEM;
    }
    const struct store_delta_entry *older = overlay->entry;
    size_t i = 0, k = 0, n = 0;
    while (i < overlay->count || k < count) {
        if (k == count || (i < overlay->count && older[i].page < newer[k].page)) {
            both[n++] = older[i++];
            continue;
        }
        i += i < overlay->count && older[i].page == newer[k].page;
        both[n++] = newer[k++];
    }
    ph_free(overlay->entry);
    *overlay = (struct store_overlay){both, n};
    return 0;
}

int store_overlay_make(const struct store_chain *chain, unsigned first,
                       struct store_overlay *overlay)
{
    *overlay = (struct store_overlay){0};
    for (unsigned i = first; i < chain->runs; i++) {
        int error =
            store_overlay_add(overlay, store_delta_entries(chain->image[i]), chain->ref[i].entries);
        if (error != 0) {
            store_overlay_finish(overlay);
            return error;
        }
    }
    return 0;
}

int store_overlay_load(const struct store_file *file, const struct store_map *map,
                       struct store_overlay *overlay, struct phantom_diag *diag)
{
    struct store_chain chain;
    *overlay = (struct store_overlay){0};
    int error = store_chain_load(file, map, &chain, diag);
    if (error == 0 && store_overlay_make(&chain, 0, overlay) != 0) {
        error = no_memory(file, diag);
    }
    store_chain_finish(&chain);
    return error;
}

void store_overlay_finish(struct store_overlay *overlay)
{
    ph_free(overlay->entry);
    *overlay = (struct store_overlay){0};
}

size_t store_overlay_find(const struct store_overlay *overlay, uint64_t page)
{
    size_t low = 0, high = overlay->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (overlay->entry[middle].page < page) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool store_overlay_covers(const struct store_overlay *overlay, uint32_t level, uint64_t index)
{
    size_t at = store_overlay_find(overlay, index << store_level_shift(level + 1));
    return at < overlay->count && overlay->entry[at].page < (index + 1)
                                                                << store_level_shift(level + 1);
}

bool store_overlay_same(const struct store_overlay *a, const struct store_overlay *b,
                        uint32_t level, uint64_t index)
{
    uint64_t from = index << store_level_shift(level + 1);
    uint64_t to = (index + 1) << store_level_shift(level + 1);
    size_t i = store_overlay_find(a, from), k = store_overlay_find(b, from);
    for (;; i++, k++) {
        bool in_a = i < a->count && a->entry[i].page < to;
        bool in_b = k < b->count && b->entry[k].page < to;
        if (!in_a && !in_b) {
            return true;
        }
        if (in_a != in_b || a->entry[i].page != b->entry[k].page ||
            a->entry[i].block != b->entry[k].block) {
            return false;
        }
    }
}

bool store_overlay_patch(const struct store_overlay *overlay, struct store_node *leaf)
{
    uint64_t first = leaf->index << STORE_FANOUT_BITS;
    size_t at = store_overlay_find(overlay, first);
    bool any = false;
    for (; at < overlay->count && overlay->entry[at].page - first < STORE_FANOUT; at++) {
        unsigned i = (unsigned)(overlay->entry[at].page - first);
        leaf->block[i] = overlay->entry[at].block;
        leaf->sum[i] = overlay->entry[at].sum;
        any = true;
    }
    return any;
}
