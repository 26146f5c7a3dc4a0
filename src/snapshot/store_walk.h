/* SPDX-License-Identifier: Apache-2.0
 *
 * store_walk.h - the map of one generation, leaf by leaf, its delta runs laid over it.
 */
#ifndef SNAP_STORE_WALK_H
#define SNAP_STORE_WALK_H

#include "store_delta.h"

/** A leaf with at least one entry, as it counts: the overlay is entered already. `leaf` is good
 * until it returns. 0 goes on, anything else ends the walk and is returned. */
typedef int (*store_leaf_visitor)(void *context, const struct store_node *leaf);

/**
 * Visit the leaves that hold pages of [first, end), ascending; the leaves below one node are read
 * together, neighbouring blocks in one request. Stops at the first damage.
 */
int store_walk_leaves(const struct store_file *file, const struct store_map *map,
                      const struct store_overlay *overlay, uint64_t first, uint64_t end,
                      store_leaf_visitor visit, void *context, struct phantom_diag *diag);

enum { STORE_CACHE_NODES = 256 };

/* Verified nodes for readers; an entry is found by block *and* sum, so a block that was written
 * again never hits. */
struct store_cache {
    struct {
        uint64_t block;
        struct store_sum sum;
    } key[STORE_CACHE_NODES];
    struct store_node *node; /* STORE_CACHE_NODES of them; NULL until first used */
};

void store_cache_finish(struct store_cache *cache);

/* Where a page of a generation is. block 0: a hole, and so is every page up to hole_end. */
struct store_place {
    uint64_t block; /* or slot of a pack: store_format.h, "place" */
    struct store_sum sum;
    uint64_t hole_end;
};

/** Where a page is. 0 or an error. */
int store_resolve(const struct store_file *file, struct store_cache *cache,
                  const struct store_map *map, const struct store_overlay *overlay, uint64_t page,
                  struct store_place *out, struct phantom_diag *diag);

#endif /* SNAP_STORE_WALK_H */
