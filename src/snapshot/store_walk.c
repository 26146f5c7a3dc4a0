/* SPDX-License-Identifier: Apache-2.0 - see store_walk.h. Owns nothing that outlives a call but the
 * nodes of a cache. */
#include "store_walk.h"

#include "ph_memory.h"
#include "store_sum.h"

#include <errno.h>
#include <string.h>

/* ---- one page ------------------------------------------------------------------------------ */

static int no_memory(const struct store_file *file, struct phantom_diag *diag)
{
    return ph_fail(diag, -ENOMEM, "%s: no memory to read", store_file_name(file));
}

void store_cache_finish(struct store_cache *cache)
{
    ph_free(cache->node);
    *cache = (struct store_cache){0};
}

/* A verified node, from the cache or the file. Valid until the next call. */
/* Levels have places of their own: a leaf never drives out the nodes on its own path, which would
 * be read again for each of its pages. */
static unsigned cache_place(uint32_t level, uint64_t block)
{
    static const struct {
        unsigned first, count;
    } part[] = {{0, 64}, {64, 160}, {224, 28}, {252, 4}};
    unsigned p = level < 3 ? level : 3;
    return part[p].first + (unsigned)((block * UINT64_C(0x9E3779B97F4A7C15)) >> 40) % part[p].count;
}
_Static_assert(STORE_CACHE_NODES == 256, "cache_place() divides them");

static int cached_node(const struct store_file *file, struct store_cache *cache, uint32_t level,
                       uint64_t index, uint64_t block, struct store_sum sum,
                       const struct store_node **out, struct phantom_diag *diag)
{
    if (cache->node == NULL) {
        cache->node =
            ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_CACHE_NODES * sizeof(struct store_node));
        if (cache->node == NULL) {
            return no_memory(file, diag);
        }
    }
    unsigned place = cache_place(level, block);
    struct store_node *node = &cache->node[place];
    bool hit = cache->key[place].block == block && store_sum_equal(cache->key[place].sum, sum) &&
               node->level == level && node->index == index && block != 0;
    if (!hit) {
        cache->key[place].block = 0;
        int error = store_file_read_node(file, level, index, block, sum, node, diag);
        if (error != 0) {
            return error;
        }
        cache->key[place].block = block;
        cache->key[place].sum = sum;
    }
    *out = node;
    return 0;
}

int store_resolve(const struct store_file *file, struct store_cache *cache,
                  const struct store_map *map, const struct store_overlay *overlay, uint64_t page,
                  struct store_place *out, struct phantom_diag *diag)
{
    size_t at = store_overlay_find(overlay, page);
    if (at < overlay->count && overlay->entry[at].page == page) {
        *out = (struct store_place){overlay->entry[at].block, overlay->entry[at].sum, page + 1};
        return 0;
    }
    *out = (struct store_place){.block = map->root_block, .sum = map->root_sum};
    uint32_t level = file->height;
    uint64_t holes = 1; /* entries without data from the last one on */
    for (; level > 0 && out->block != 0; level--) {
        const struct store_node *node = NULL;
        int error = cached_node(file, cache, level - 1, page >> store_level_shift(level),
                                out->block, out->sum, &node, diag);
        if (error != 0) {
            return error;
        }
        unsigned entry = (unsigned)(page >> store_level_shift(level - 1)) % STORE_FANOUT;
        out->block = node->block[entry];
        out->sum = node->sum[entry];
        while (entry + holes < STORE_FANOUT && node->block[entry] == 0 &&
               node->block[entry + holes] == 0) {
            holes++;
        }
    }
    out->hole_end = ((page >> store_level_shift(level)) + holes) << store_level_shift(level);
    if (at < overlay->count && overlay->entry[at].page < out->hole_end) {
        out->hole_end = overlay->entry[at].page;
    }
    return 0;
}

/* ---- all pages ----------------------------------------------------------------------------- */

struct walk {
    const struct store_file *file;
    const struct store_overlay *overlay;
    uint64_t first, end;       /* pages wanted */
    struct store_node *nodes;  /* one for each level */
    struct store_node *leaves; /* the children of one node of level 1 */
    store_leaf_visitor visit;
    void *context;
    struct phantom_diag *diag;
};

static void make_hole(struct store_node *node, uint32_t level, uint64_t index)
{
    memset(node, 0, sizeof *node);
    node->magic = STORE_NODE_MAGIC;
    node->level = level;
    node->index = index;
}

static bool is_wanted(const struct walk *walk, uint32_t level, uint64_t index)
{
    uint64_t from = index << store_level_shift(level + 1);
    uint64_t to = (index + 1) << store_level_shift(level + 1);
    return from < walk->end && to > walk->first;
}

static int show_leaf(struct walk *walk, struct store_node *leaf)
{
    (void)store_overlay_patch(walk->overlay, leaf);
    leaf->used = 0;
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        leaf->used += leaf->block[i] != 0;
    }
    return leaf->used != 0 ? walk->visit(walk->context, leaf) : 0;
}

/* Read the wanted leaves below a node, neighbours together. Unchecked. */
static int read_leaves(struct walk *walk, const struct store_node *node)
{
    struct store_run run[STORE_READ_RUNS];
    unsigned runs = 0;
    int error = 0;
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        if (node->block[i] == 0 || !is_wanted(walk, 0, (node->index << STORE_FANOUT_BITS) + i)) {
            continue;
        }
        struct store_run *last = runs != 0 ? &run[runs - 1] : NULL;
        if (last != NULL && last->block + last->count == node->block[i] &&
            (uint8_t *)last->buffer + (size_t)last->count * STORE_BLOCK_SIZE ==
                (uint8_t *)&walk->leaves[i]) {
            last->count++;
            continue;
        }
        if (runs == STORE_READ_RUNS) {
            error = store_file_read_runs(walk->file, run, runs, walk->diag);
            runs = 0;
        }
        run[runs++] = (struct store_run){node->block[i], 1, &walk->leaves[i]};
    }
    return error != 0 ? error : store_file_read_runs(walk->file, run, runs, walk->diag);
}

/* A node above the leaves; block 0: a hole with something laid over it. */
static int walk_node(struct walk *walk, uint32_t level, uint64_t index, uint64_t block,
                     struct store_sum sum)
{
    struct store_node *node = &walk->nodes[level];
    int error = 0;
    make_hole(node, level, index);
    if (block != 0) {
        error = store_file_read_node(walk->file, level, index, block, sum, node, walk->diag);
    }
    if (error == 0 && level == 1) {
        error = read_leaves(walk, node);
    }
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t child = (index << STORE_FANOUT_BITS) + i;
        if (!is_wanted(walk, level - 1, child) ||
            (node->block[i] == 0 && !store_overlay_covers(walk->overlay, level - 1, child))) {
            continue;
        }
        if (level > 1) {
            error = walk_node(walk, level - 1, child, node->block[i], node->sum[i]);
            continue;
        }
        if (node->block[i] == 0) {
            make_hole(&walk->leaves[i], 0, child);
        } else {
            error = store_file_check_node(walk->file, 0, child, node->block[i], node->sum[i],
                                          &walk->leaves[i], walk->diag);
        }
        error = error != 0 ? error : show_leaf(walk, &walk->leaves[i]);
    }
    return error;
}

int store_walk_leaves(const struct store_file *file, const struct store_map *map,
                      const struct store_overlay *overlay, uint64_t first, uint64_t end,
                      store_leaf_visitor visit, void *context, struct phantom_diag *diag)
{
    struct walk walk = {.file = file,
                        .overlay = overlay,
                        .first = first,
                        .end = end < file->page_count ? end : file->page_count,
                        .visit = visit,
                        .context = context,
                        .diag = diag};
    if ((map->root_block == 0 && overlay->count == 0) || first >= walk.end) {
        return 0;
    }
    walk.nodes = ph_alloc_aligned(STORE_BLOCK_SIZE, file->height * sizeof *walk.nodes);
    walk.leaves = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_FANOUT * sizeof *walk.leaves);
    int error = 0;
    if (walk.nodes == NULL || walk.leaves == NULL) {
        error = no_memory(file, diag);
    } else if (file->height > 1) {
        error = walk_node(&walk, file->height - 1, 0, map->root_block, map->root_sum);
    } else {
        make_hole(walk.leaves, 0, 0);
        if (map->root_block != 0) {
            error =
                store_file_read_node(file, 0, 0, map->root_block, map->root_sum, walk.leaves, diag);
        }
        error = error != 0 ? error : show_leaf(&walk, walk.leaves);
    }
    ph_free(walk.nodes);
    ph_free(walk.leaves);
    return error;
}
