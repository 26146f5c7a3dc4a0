/* SPDX-License-Identifier: Apache-2.0 - see page_map.h */
#include "page_map.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct map_node {
    struct store_node disk; /* entries of dirty children are stale until page_map_emit() */
    uint64_t block;         /* where it was read from or written to last; 0: nowhere yet */
    bool dirty;
    uint64_t changed[STORE_FANOUT / 64]; /* of a leaf: entries set since the last commit */
    struct map_node *child[]; /* STORE_FANOUT of them above level 0; NULL: not loaded, or a hole */
};

static unsigned entry_of(uint64_t page, uint32_t level)
{
    return (unsigned)(page >> store_level_shift(level)) % STORE_FANOUT;
}

static struct map_node *new_node(uint32_t level, uint64_t index)
{
    size_t children = level != 0 ? STORE_FANOUT : 0;
    struct map_node *node = ph_zalloc(1, sizeof *node + children * sizeof node->child[0]);
    if (node != NULL) {
        node->disk.magic = STORE_NODE_MAGIC;
        node->disk.level = level;
        node->disk.index = index;
    }
    return node;
}

static void free_tree(struct map_node *node)
{
    if (node == NULL) {
        return;
    }
    if (node->disk.level != 0) {
        for (unsigned i = 0; i < STORE_FANOUT; i++) {
            free_tree(node->child[i]);
        }
    }
    ph_free(node);
}

int page_map_init(struct page_map *map, const struct store_file *file)
{
    *map = (struct page_map){
        .file = file, .runs_most = STORE_CHAIN_RUNS, .entries_most = STORE_CHAIN_ENTRIES};
    map->scratch = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    return map->scratch != NULL ? 0 : -ENOMEM;
}

/* Drop what a commit under way has made of the chain. */
static void drop_made(struct page_map *map)
{
    ph_free(map->image);
    map->image = NULL;
    store_overlay_finish(&map->made);
    map->checkpoint = false;
}

static void drop_chain(struct page_map *map)
{
    store_chain_finish(&map->chain);
    map->chain_of = (struct store_delta_ref){0};
    store_overlay_finish(&map->overlay);
    map->overlay_good = map->overlay_applied = false;
}

void page_map_finish(struct page_map *map)
{
    free_tree(map->root);
    drop_made(map);
    drop_chain(map);
    ph_free(map->changed);
    ph_free(map->scratch);
    *map = (struct page_map){0};
}

void page_map_reset(struct page_map *map, const struct store_map *disk, uint64_t live_pages,
                    struct store_sum memory_sum)
{
    free_tree(map->root);
    map->root = NULL;
    drop_made(map);
    if (!store_sum_equal(disk->delta.sum, map->chain_of.sum)) {
        drop_chain(map);
    }
    /* Leaves that were loaded may have had newer runs than the overlay was made from. */
    store_overlay_finish(&map->overlay);
    map->overlay_good = map->overlay_applied = false;
    map->disk = *disk;
    map->live_pages = live_pages;
    map->memory_sum = memory_sum;
    map->dirty_nodes = 0;
    map->changed_count = 0;
    map->changed_pages = 0;
}

static int no_memory(const struct page_map *map, struct phantom_diag *diag)
{
    return ph_fail(diag, -ENOMEM, "%s: no memory for the page map", store_file_name(map->file));
}

int page_map_load_chain(struct page_map *map, struct phantom_diag *diag)
{
    if (map->overlay_good) {
        return 0;
    }
    if (map->chain_of.block == 0 && map->disk.delta.block != 0) {
        int error = store_chain_load(map->file, &map->disk, &map->chain, diag);
        if (error != 0) {
            return error;
        }
        map->chain_of = map->disk.delta;
    }
    if (store_overlay_make(&map->chain, 0, &map->overlay) != 0) {
        return no_memory(map, diag);
    }
    map->overlay_good = true;
    map->overlay_applied = map->overlay.count == 0;
    return 0;
}

/*
 * The node at a place of the tree: `*slot` if it is loaded, else read from `block`, else (a hole)
 * made new if `make`. *slot stays NULL when the hole is to stay.
 */
static int get_node(struct page_map *map, struct map_node **slot, uint32_t level, uint64_t index,
                    uint64_t block, struct store_sum sum, bool make, struct phantom_diag *diag)
{
    if (*slot != NULL || (block == 0 && !make)) {
        return 0;
    }
    if (block != 0) {
        int error = store_file_read_node(map->file, level, index, block, sum, map->scratch, diag);
        if (error != 0) {
            return error;
        }
    }
    struct map_node *node = new_node(level, index);
    if (node == NULL) {
        return no_memory(map, diag);
    }
    if (block != 0) {
        node->disk = *map->scratch;
        node->block = block;
    }
    if (level == 0 && !map->overlay_applied) {
        node->dirty = store_overlay_patch(&map->overlay, &node->disk);
    }
    node->dirty = node->dirty || block == 0;
    map->dirty_nodes += node->dirty;
    *slot = node;
    return 0;
}

/* Do the delta runs say anything about the leaf of a page? */
static bool is_laid_over(const struct page_map *map, uint64_t page)
{
    return !map->overlay_applied &&
           store_overlay_covers(&map->overlay, 0, page >> STORE_FANOUT_BITS);
}

/* Load the path to a page. path[level] is NULL from the level on where a hole was left. */
static int load_path(struct page_map *map, uint64_t page, bool make, struct map_node **path,
                     struct phantom_diag *diag)
{
    uint32_t level = map->file->height - 1;
    struct map_node **slot = &map->root;
    uint64_t block = map->disk.root_block;
    struct store_sum sum = map->disk.root_sum;
    make = make || is_laid_over(map, page);
    for (;;) {
        uint64_t index = page >> store_level_shift(level + 1);
        int error = get_node(map, slot, level, index, block, sum, make, diag);
        path[level] = *slot;
        if (error != 0 || *slot == NULL || level == 0) {
            return error;
        }
        unsigned entry = entry_of(page, level);
        block = (*slot)->disk.block[entry];
        sum = (*slot)->disk.sum[entry];
        slot = &(*slot)->child[entry];
        level--;
    }
}

static void make_dirty(struct page_map *map, struct map_node *const *path)
{
    for (uint32_t level = 0; level < map->file->height; level++) {
        map->dirty_nodes += !path[level]->dirty;
        path[level]->dirty = true;
    }
}

/* Load the path to a page, in memory as the map is now. A leaf that the runs have changed is dirty,
 * and so must its ancestors be. */
static int find_leaf(struct page_map *map, uint64_t page, bool make, struct map_node **path,
                     struct phantom_diag *diag)
{
    int error = load_path(map, page, make, path, diag);
    if (error == 0 && path[0] != NULL && path[0]->dirty) {
        make_dirty(map, path);
    }
    return error;
}

/* Remember that an entry of a leaf was set. 0 or -ENOMEM. */
static int note_changed(struct page_map *map, struct map_node *leaf, unsigned entry)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < STORE_FANOUT / 64; i++) {
        any |= leaf->changed[i];
    }
    if (any == 0) {
        if (map->changed_count == map->changed_capacity) {
            size_t capacity = map->changed_capacity != 0 ? 2 * map->changed_capacity : 64;
            struct map_node **changed = ph_realloc(map->changed, capacity * sizeof *changed);
            if (changed == NULL) {
                return -ENOMEM;
            }
            map->changed = changed;
            map->changed_capacity = capacity;
        }
        map->changed[map->changed_count++] = leaf;
    }
    uint64_t bit = UINT64_C(1) << entry % 64;
    map->changed_pages += (leaf->changed[entry / 64] & bit) == 0;
    leaf->changed[entry / 64] |= bit;
    return 0;
}

int page_map_set(struct page_map *map, uint64_t page, uint64_t block, struct store_sum sum,
                 struct phantom_diag *diag)
{
    struct map_node *path[STORE_LEVELS_MOST] = {NULL};
    PH_CHECK(page < map->file->page_count);
    int error = page_map_load_chain(map, diag);
    error = error != 0 ? error : find_leaf(map, page, block != 0, path, diag);
    if (error != 0) {
        return error;
    }
    struct map_node *leaf = path[0];
    unsigned entry = entry_of(page, 0);
    if (block == 0 && (leaf == NULL || leaf->disk.block[entry] == 0)) {
        return 0; /* it is a hole already */
    }
    make_dirty(map, path);
    error = note_changed(map, leaf, entry);
    if (error == 0 && leaf->disk.block[entry] != 0) {
        error = map->replaced(map->context, leaf->disk.block[entry]);
        if (error == 0) {
            map->live_pages--;
            map->memory_sum = store_sum_subtract(map->memory_sum, leaf->disk.sum[entry]);
        }
    }
    if (error != 0) {
        return error == -ENOMEM ? no_memory(map, diag) : error;
    }
    leaf->disk.block[entry] = block;
    leaf->disk.sum[entry] = block != 0 ? sum : (struct store_sum){0};
    if (block != 0) {
        map->live_pages++;
        map->memory_sum = store_sum_add(map->memory_sum, sum);
    }
    return 0;
}

/* ---- delta runs ---------------------------------------------------------------------------- */

static uint64_t chain_entries(const struct page_map *map, unsigned runs)
{
    uint64_t entries = 0;
    for (unsigned i = 0; i < runs; i++) {
        entries += map->chain.ref[i].entries;
    }
    return entries;
}

uint32_t page_map_guess_run(const struct page_map *map, uint64_t pages)
{
    if (!map->file->has_runs || pages == 0 || pages > map->entries_most / 2) {
        return 0;
    }
    uint64_t entries = pages;
    for (unsigned i = map->chain.runs; i > 0 && map->chain.ref[i - 1].entries <= entries; i--) {
        entries += map->chain.ref[i - 1].entries;
    }
    return (uint32_t)store_delta_blocks(map->chain.runs, entries);
}

static int compare_leaves(const void *a, const void *b)
{
    uint64_t left = (*(struct map_node *const *)a)->disk.index;
    uint64_t right = (*(struct map_node *const *)b)->disk.index;
    return left < right ? -1 : left > right;
}

/* The entries set since the last commit, ascending. 0 or -ENOMEM. */
static int gather_changed(struct page_map *map, struct store_overlay *out)
{
    out->count = 0;
    out->entry = ph_alloc(map->changed_pages * sizeof *out->entry);
    if (out->entry == NULL) {
        return -ENOMEM;
    }
    if (map->changed_count > 1) {
        qsort(map->changed, map->changed_count, sizeof map->changed[0], compare_leaves);
    }
    for (size_t i = 0; i < map->changed_count; i++) {
        const struct map_node *leaf = map->changed[i];
        for (unsigned k = 0; k < STORE_FANOUT; k++) {
            if ((leaf->changed[k / 64] >> k % 64 & 1) != 0) {
                out->entry[out->count++] =
                    (struct store_delta_entry){(leaf->disk.index << STORE_FANOUT_BITS) + k,
                                               leaf->disk.block[k], leaf->disk.sum[k]};
            }
        }
    }
    PH_CHECK(out->count == map->changed_pages);
    return 0;
}

/* `made` = the newest runs from `keep` on with the changes over them. 0 or -ENOMEM. */
static int merge(struct page_map *map, const struct store_overlay *changes, unsigned keep)
{
    store_overlay_finish(&map->made);
    map->keep = keep;
    int error = store_overlay_make(&map->chain, keep, &map->made);
    return error != 0 ? error : store_overlay_add(&map->made, changes->entry, changes->count);
}

/* How many runs stay as they are. A run is taken into the new one if it is no larger than what is
 * there already (so each entry is repeated a few times, and runs grow in size towards the old end),
 * or if that takes no block more. */
static unsigned choose_keep(const struct page_map *map, uint64_t entries)
{
    unsigned keep = map->chain.runs;
    while (keep != 0) {
        uint64_t run = map->chain.ref[keep - 1].entries;
        bool fits =
            store_delta_blocks(keep - 1, entries + run) <= store_delta_blocks(keep, entries);
        if (!fits && run > entries) {
            break;
        }
        entries += run;
        keep--;
    }
    return keep;
}

/* Is a chain of `keep` runs and the one in `made` within bounds, and is its run worth it? */
static bool is_worth_it(const struct page_map *map)
{
    return map->keep < map->runs_most &&
           chain_entries(map, map->keep) + map->made.count <= map->entries_most &&
           store_delta_blocks(map->keep, map->made.count) < map->dirty_nodes;
}

int page_map_plan(struct page_map *map, bool checkpoint, struct phantom_diag *diag)
{
    drop_made(map);
    int error = page_map_load_chain(map, diag);
    if (error != 0 || map->changed_pages == 0) {
        return error;
    }
    map->checkpoint = true;
    if (checkpoint || !map->file->has_runs || map->changed_pages > map->entries_most / 2 ||
        store_delta_blocks(0, map->changed_pages) >= map->dirty_nodes) {
        return 0;
    }
    struct store_overlay changes;
    error = gather_changed(map, &changes);
    error = error != 0 ? error : merge(map, &changes, choose_keep(map, map->changed_pages));
    if (error == 0 && !is_worth_it(map)) {
        bool short_enough =
            chain_entries(map, map->chain.runs) + changes.count <= map->entries_most / 2;
        error = short_enough ? merge(map, &changes, 0) : 0;
    }
    store_overlay_finish(&changes);
    if (error != 0) {
        return no_memory(map, diag);
    }
    map->checkpoint = !is_worth_it(map);
    return map->checkpoint ? 0 : (int)store_delta_blocks(map->keep, map->made.count);
}

/* The runs from `first` on leave the map. 0 or -ENOMEM. */
static int replace_runs(struct page_map *map, unsigned first)
{
    int error = 0;
    for (unsigned i = first; error == 0 && i < map->chain.runs; i++) {
        for (uint32_t k = 0; error == 0 && k < map->chain.ref[i].blocks; k++) {
            error = map->replaced(map->context, map->chain.ref[i].block + k);
        }
    }
    return error;
}

int page_map_emit_run(struct page_map *map, uint64_t generation, uint64_t block,
                      const uint8_t **image)
{
    uint32_t blocks = (uint32_t)store_delta_blocks(map->keep, map->made.count);
    size_t bytes = (size_t)blocks * STORE_BLOCK_SIZE;
    map->image = ph_alloc_aligned(STORE_BLOCK_SIZE, bytes);
    int error = map->image != NULL ? replace_runs(map, map->keep) : -ENOMEM;
    if (error != 0) {
        return error;
    }
    memset(map->image, 0, bytes);
    struct store_delta_head *head = (struct store_delta_head *)map->image;
    head->magic = STORE_DELTA_MAGIC;
    head->generation = generation;
    head->entries = (uint32_t)map->made.count;
    head->blocks = blocks;
    head->older = map->keep;
    head->root_block = map->disk.root_block;
    head->root_sum = map->disk.root_sum;
    memcpy(head + 1, map->chain.ref, map->keep * sizeof map->chain.ref[0]);
    memcpy(map->image + store_delta_offset(map->keep), map->made.entry,
           map->made.count * sizeof *map->made.entry);
    map->disk.delta = (struct store_delta_ref){
        .block = block,
        .generation = generation,
        .blocks = blocks,
        .entries = head->entries,
        .sum = store_sum_in_memory(map->file, STORE_SUM_DELTA, generation, map->image, blocks)};
    *image = map->image;
    return 0;
}

uint64_t page_map_delta_bytes(const struct page_map *map)
{
    uint64_t blocks = 0;
    if (map->image != NULL) {
        blocks = map->disk.delta.blocks;
    }
    unsigned kept = map->image != NULL ? map->keep : map->checkpoint ? 0 : map->chain.runs;
    for (unsigned i = 0; i < kept; i++) {
        blocks += map->chain.ref[i].blocks;
    }
    return blocks * STORE_BLOCK_SIZE;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int emit(struct page_map *map, struct map_node **slot, uint64_t generation, uint64_t *block,
                struct store_sum *sum);

/* Place the dirty children of a node and enter their new blocks and sums. */
static int emit_children(struct page_map *map, struct map_node *node, uint64_t generation)
{
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        if (node->child[i] != NULL && node->child[i]->dirty) {
            int error =
                emit(map, &node->child[i], generation, &node->disk.block[i], &node->disk.sum[i]);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

/* Place a dirty node. A node that became empty disappears: its place is a hole. */
static int emit(struct page_map *map, struct map_node **slot, uint64_t generation, uint64_t *block,
                struct store_sum *sum)
{
    struct map_node *node = *slot;
    int error = node->disk.level != 0 ? emit_children(map, node, generation) : 0;
    if (error != 0) {
        return error;
    }
    node->disk.used = 0;
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        node->disk.used += node->disk.block[i] != 0;
    }
    if (node->disk.used == 0) {
        *block = 0;
        *sum = (struct store_sum){0};
        *slot = NULL;
        error = node->block != 0 ? map->replaced(map->context, node->block) : 0;
        free_tree(node);
        map->dirty_nodes--;
        return error;
    }
    node->disk.generation = generation;
    error = node->block != 0 ? map->replaced(map->context, node->block) : 0;
    error = error != 0 ? error : map->place(map->context, &node->disk, &node->block, sum);
    if (error == 0) {
        node->dirty = false;
        map->dirty_nodes--;
        *block = node->block;
    }
    return error;
}

/* Nothing is to be remembered of what changed. */
static void forget_changed(struct page_map *map)
{
    for (size_t i = 0; i < map->changed_count; i++) {
        memset(map->changed[i]->changed, 0, sizeof map->changed[i]->changed);
    }
    map->changed_count = 0;
    map->changed_pages = 0;
}

/* Load every leaf that the runs have changed: the checkpoint is to have their entries. */
static int apply_overlay(struct page_map *map, struct phantom_diag *diag)
{
    struct map_node *path[STORE_LEVELS_MOST];
    int error = page_map_load_chain(map, diag);
    bool applied = map->overlay_applied || PH_MUTANT(CHECKPOINT_FORGETS);
    for (size_t i = 0; error == 0 && !applied && i < map->overlay.count; i++) {
        error = find_leaf(map, map->overlay.entry[i].page, false, path, diag);
    }
    return error;
}

int page_map_emit(struct page_map *map, uint64_t generation, struct phantom_diag *diag)
{
    if (!map->checkpoint) {
        return 0;
    }
    int error = apply_overlay(map, diag);
    if (error != 0) {
        return error;
    }
    forget_changed(map); /* a leaf that became empty goes away */
    error = replace_runs(map, 0);
    map->disk.delta = (struct store_delta_ref){0};
    if (error == 0 && map->root != NULL && map->root->dirty) {
        error = emit(map, &map->root, generation, &map->disk.root_block, &map->disk.root_sum);
    }
    return error == -ENOMEM ? no_memory(map, diag) : error;
}

void page_map_published(struct page_map *map)
{
    forget_changed(map);
    if (map->checkpoint) {
        drop_chain(map);
    } else if (map->image != NULL) {
        for (unsigned i = map->keep; i < map->chain.runs; i++) {
            ph_free(map->chain.image[i]);
        }
        map->chain.ref[map->keep] = map->disk.delta;
        map->chain.image[map->keep] = map->image;
        map->chain.runs = map->keep + 1;
        map->chain_of = map->disk.delta;
        map->image = NULL;
    }
    drop_made(map);
}
