/* SPDX-License-Identifier: Apache-2.0
 *
 * store_delta.h - delta runs: reading and checking a chain of them, and laying one over the map.
 *
 * The map of a generation is the tree of nodes below its root (the *checkpoint*) with the entries
 * of its chain of delta runs laid over it, newer over older. struct store_map says which; a struct
 * store_overlay holds the chain's entries as one array, ascending by page, each page once. Whoever
 * walks a tree carries the overlay along: where it has an entry the tree's own word means nothing,
 * not even that its block is still in use.
 */
#ifndef SNAP_STORE_DELTA_H
#define SNAP_STORE_DELTA_H

#include "store_file.h"

/* What a record says about the map of its generation. */
struct store_map {
    uint64_t root_block; /* 0: all holes, but for the runs */
    struct store_sum root_sum;
    struct store_delta_ref delta; /* the newest run; block 0: none */
};

/* A chain in memory, oldest run first. image[i] is the run, not encrypted. */
struct store_chain {
    unsigned runs;
    struct store_delta_ref ref[STORE_CHAIN_RUNS];
    uint8_t *image[STORE_CHAIN_RUNS];
};

struct store_overlay {
    struct store_delta_entry *entry;
    size_t count;
};

/** The entries of a run in memory. */
static inline const struct store_delta_entry *store_delta_entries(const uint8_t *image)
{
    const struct store_delta_head *head = (const struct store_delta_head *)image;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is an image */
    return (const struct store_delta_entry *)(image + store_delta_offset(head->older));
}

/** Could a run be there, as far as the ref alone tells? */
bool store_delta_ref_is_possible(const struct store_file *file, const struct store_delta_ref *ref);
/** Check a run in memory, as it is in the file, against its ref and the map below it: sum, then
 * every word. It is decrypted in place. */
int store_delta_check(const struct store_file *file, const struct store_map *map,
                      const struct store_delta_ref *ref, uint8_t *image, struct phantom_diag *diag);
/** Read and check all the runs of a map: the newest, then the older ones at once. On failure the
 * chain is empty. */
int store_chain_load(const struct store_file *file, const struct store_map *map,
                     struct store_chain *chain, struct phantom_diag *diag);
void store_chain_finish(struct store_chain *chain);

/** What the newest runs, those from `first` on, say together. 0 or -ENOMEM. */
int store_overlay_make(const struct store_chain *chain, unsigned first,
                       struct store_overlay *overlay);
/** Lay `newer` (ascending, each page once) over `overlay`. 0 or -ENOMEM: nothing changed. */
int store_overlay_add(struct store_overlay *overlay, const struct store_delta_entry *newer,
                      size_t count);
/** The overlay of a map, for readers. On failure it is empty. */
int store_overlay_load(const struct store_file *file, const struct store_map *map,
                       struct store_overlay *overlay, struct phantom_diag *diag);
void store_overlay_finish(struct store_overlay *overlay);
/** Index of the first entry with a page >= `page`. */
size_t store_overlay_find(const struct store_overlay *overlay, uint64_t page);
/** Is there an entry for a page that node `index` of `level` covers? */
bool store_overlay_covers(const struct store_overlay *overlay, uint32_t level, uint64_t index);
/** Do two overlays say the same about what a node covers, with the same blocks? */
bool store_overlay_same(const struct store_overlay *a, const struct store_overlay *b,
                        uint32_t level, uint64_t index);
/** Enter into a leaf what the overlay says about its pages. True if there was anything. */
bool store_overlay_patch(const struct store_overlay *overlay, struct store_node *leaf);

#endif /* SNAP_STORE_DELTA_H */
