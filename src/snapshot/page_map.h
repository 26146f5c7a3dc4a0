/* SPDX-License-Identifier: Apache-2.0
 *
 * page_map.h - the current page map in memory, as a writer changes it.
 *
 * A radix tree of struct store_node, loaded (and verified) node by node when first needed, changed
 * by copying paths: the first change below a node makes it dirty and gives its old block back
 * through `replaced`; at commit every dirty node gets a new block, children before parents.
 *
 * True between calls: a node is dirty => its ancestors are dirty; a clean node equals its block on
 * disk; live_pages and memory_sum describe the leaves as they are now, dirty ones included.
 * After a failed call the map is in an undefined but safe state: page_map_reset() it.
 */
#ifndef SNAP_PAGE_MAP_H
#define SNAP_PAGE_MAP_H

#include "store_file.h"

struct map_node;

struct page_map {
    const struct store_file *file;
    struct map_node *root; /* NULL: not loaded, or a hole */
    uint64_t root_block;
    struct store_sum root_sum;
    uint64_t live_pages;
    struct store_sum memory_sum;
    uint64_t dirty_nodes;
    struct store_node *scratch; /* one aligned block, for reading */
    /** A block is no longer part of the map. 0 or -ENOMEM. */
    int (*replaced)(void *context, uint64_t block);
    /** Choose a block for a node and write it there. */
    int (*place)(void *context, const struct store_node *node, uint64_t *block);
    void *context;
};

int page_map_init(struct page_map *map, const struct store_file *file);
void page_map_finish(struct page_map *map);
/** Forget everything loaded; the map is now the one below this root. */
void page_map_reset(struct page_map *map, uint64_t root_block, struct store_sum root_sum,
                    uint64_t live_pages, struct store_sum memory_sum);
/** Page `page` is now in `block` with `sum`; block 0: it is a hole. */
int page_map_set(struct page_map *map, uint64_t page, uint64_t block, struct store_sum sum,
                 struct phantom_diag *diag);
/** Place every dirty node; afterwards root_block and root_sum are those of the new map. */
int page_map_emit(struct page_map *map, uint64_t generation);

/** memory_sum of a map with one page more (or less). */
static inline struct store_sum store_sum_add(struct store_sum a, struct store_sum b)
{
    return (struct store_sum){a.low + b.low, a.high + b.high};
}
static inline struct store_sum store_sum_subtract(struct store_sum a, struct store_sum b)
{
    return (struct store_sum){a.low - b.low, a.high - b.high};
}

#endif /* SNAP_PAGE_MAP_H */
