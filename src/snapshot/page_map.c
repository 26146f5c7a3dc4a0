/* SPDX-License-Identifier: Apache-2.0 - see page_map.h */
#include "page_map.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "store_sum.h"

#include <errno.h>
#include <string.h>

struct map_node {
    struct store_node disk; /* entries of dirty children are stale until page_map_emit() */
    uint64_t block;         /* 0: dirty, not placed yet */
    bool dirty;
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
    *map = (struct page_map){.file = file};
    map->scratch = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    return map->scratch != NULL ? 0 : -ENOMEM;
}

void page_map_finish(struct page_map *map)
{
    free_tree(map->root);
    ph_free(map->scratch);
    *map = (struct page_map){0};
}

void page_map_reset(struct page_map *map, uint64_t root_block, struct store_sum root_sum,
                    uint64_t live_pages, struct store_sum memory_sum)
{
    free_tree(map->root);
    map->root = NULL;
    map->root_block = root_block;
    map->root_sum = root_sum;
    map->live_pages = live_pages;
    map->memory_sum = memory_sum;
    map->dirty_nodes = 0;
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
        return ph_fail(diag, -ENOMEM, "%s: no memory for the page map", store_file_name(map->file));
    }
    if (block != 0) {
        node->disk = *map->scratch;
        node->block = block;
    } else {
        node->dirty = true;
        map->dirty_nodes++;
    }
    *slot = node;
    return 0;
}

/* Load the path to a page. path[level] is NULL from the level on where a hole was left. */
static int load_path(struct page_map *map, uint64_t page, bool make, struct map_node **path,
                     struct phantom_diag *diag)
{
    uint32_t level = map->file->height - 1;
    struct map_node **slot = &map->root;
    uint64_t block = map->root_block;
    struct store_sum sum = map->root_sum;
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

static int make_dirty(struct page_map *map, struct map_node *node)
{
    if (node->dirty) {
        return 0;
    }
    int error = map->replaced(map->context, node->block);
    if (error == 0) {
        node->block = 0;
        node->dirty = true;
        map->dirty_nodes++;
    }
    return error;
}

int page_map_set(struct page_map *map, uint64_t page, uint64_t block, struct store_sum sum,
                 struct phantom_diag *diag)
{
    struct map_node *path[STORE_LEVELS_MOST] = {NULL};
    PH_CHECK(page < map->file->page_count);
    int error = load_path(map, page, block != 0, path, diag);
    if (error != 0) {
        return error;
    }
    struct map_node *leaf = path[0];
    unsigned entry = entry_of(page, 0);
    if (block == 0 && (leaf == NULL || leaf->disk.block[entry] == 0)) {
        return 0; /* it is a hole already */
    }
    for (uint32_t level = 0; error == 0 && level < map->file->height; level++) {
        error = make_dirty(map, path[level]);
    }
    if (error == 0 && leaf->disk.block[entry] != 0) {
        error = map->replaced(map->context, leaf->disk.block[entry]);
        if (error == 0) {
            map->live_pages--;
            map->memory_sum = store_sum_subtract(map->memory_sum, leaf->disk.sum[entry]);
        }
    }
    if (error != 0) {
        return ph_fail(diag, error, "%s: no memory for the page map", store_file_name(map->file));
    }
    leaf->disk.block[entry] = block;
    leaf->disk.sum[entry] = block != 0 ? sum : (struct store_sum){0};
    if (block != 0) {
        map->live_pages++;
        map->memory_sum = store_sum_add(map->memory_sum, sum);
    }
    return 0;
}

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
        free_tree(node);
        map->dirty_nodes--;
        return 0;
    }
    node->disk.generation = generation;
    error = map->place(map->context, &node->disk, &node->block);
    if (error == 0) {
        node->dirty = false;
        map->dirty_nodes--;
        *block = node->block;
        *sum = store_sum_block(map->file->uuid, STORE_SUM_NODE + node->disk.level, node->disk.index,
                               &node->disk);
    }
    return error;
}

int page_map_emit(struct page_map *map, uint64_t generation)
{
    if (map->root == NULL || !map->root->dirty) {
        return 0;
    }
    return emit(map, &map->root, generation, &map->root_block, &map->root_sum);
}
