/* SPDX-License-Identifier: Apache-2.0
 *
 * page_map.h - the current page map in memory, as a writer changes it.
 *
 * A radix tree of struct store_node, loaded (and verified) node by node when first needed. In the
 * file the map is a tree, the last checkpoint, and a chain of delta runs over it; a leaf has the
 * runs' entries laid over it when it is loaded, so in memory there is only the map as it is.
 *
 * A commit writes what it changed in one of two ways: as one more delta run, which may take runs
 * at the end of the chain into itself, or as a checkpoint: every node that differs from its block
 * is written anew, children before parents, and the chain is empty. page_map_plan() chooses.
 *
 * True between calls: a node is dirty <=> it or one below it differs from its block in the file; a
 * leaf is on the list `changed` <=> a page of it was set since the last commit; live_pages and
 * memory_sum describe the map as it is now. The chain is that of the last commit: what plan() and
 * emit() prepare is adopted by page_map_published() or dropped by page_map_reset().
 * After a failed call the map is in an undefined but safe state: page_map_reset() it.
 */
#ifndef SNAP_PAGE_MAP_H
#define SNAP_PAGE_MAP_H

#include "store_delta.h"
#include "store_file.h"

struct map_node;

struct page_map {
    const struct store_file *file;
    struct map_node *root; /* NULL: not loaded, or a hole */
    struct store_map disk; /* the last commit's, then the one that plan() and emit() make */
    uint64_t live_pages;
    struct store_sum memory_sum;
    uint64_t dirty_nodes;
    struct store_node *scratch;       /* one aligned block, for reading */
    uint32_t runs_most, entries_most; /* bounds of a chain: the format's; smaller in tests */
    /* The chain of the last commit. */
    struct store_chain chain;
    struct store_delta_ref chain_of; /* newest run of `chain` */
    struct store_overlay overlay;    /* of `chain`; good if overlay_good */
    bool overlay_good;
    bool overlay_applied; /* every page of it is in a loaded leaf */
    /* The leaves changed since the last commit. */
    struct map_node **changed;
    size_t changed_count, changed_capacity;
    uint64_t changed_pages;
    /* What the commit under way makes of the chain. */
    bool checkpoint;
    unsigned keep;             /* runs of the chain that stay */
    uint8_t *image;            /* the new run, NULL: none */
    struct store_overlay made; /* its entries */
    /** A block, or the place of a page, is no longer part of the map. 0, -ENOMEM, or
     * PHANTOM_ECORRUPT with the reason told. */
    int (*replaced)(void *context, uint64_t place);
    /** Choose a block for a node and write it there. */
    int (*place)(void *context, const struct store_node *node, uint64_t *block,
                 struct store_sum *sum);
    void *context;
};

int page_map_init(struct page_map *map, const struct store_file *file);
void page_map_finish(struct page_map *map);
/** Forget everything changed and loaded; the map is now this one. Its runs are read when they are
 * first needed, unless they are in memory already. */
void page_map_reset(struct page_map *map, const struct store_map *disk, uint64_t live_pages,
                    struct store_sum memory_sum);
/** Read the runs now. 0, PHANTOM_ECORRUPT, -EIO or -ENOMEM. */
int page_map_load_chain(struct page_map *map, struct phantom_diag *diag);
/** Page `page` is now in `block`, which may be any place, with `sum`; block 0: it is a hole. */
int page_map_set(struct page_map *map, uint64_t page, uint64_t block, struct store_sum sum,
                 struct phantom_diag *diag);

/** About how many blocks a delta run takes that names `pages` more pages; 0: there will be none. */
uint32_t page_map_guess_run(const struct page_map *map, uint64_t pages);
/**
 * Decide how the changes since the last commit go to the file.
 * @param checkpoint  do not think about a run
 * @return blocks of the delta run that page_map_emit_run() is to be called for; 0: a checkpoint,
 *         or nothing changed: call page_map_emit(); or an error
 */
int page_map_plan(struct page_map *map, bool checkpoint, struct phantom_diag *diag);
/** Make the planned run, to be written to the blocks from `block` on. The image is good until
 * published or reset. 0 or -ENOMEM. */
int page_map_emit_run(struct page_map *map, uint64_t generation, uint64_t block,
                      const uint8_t **image);
/** Place every dirty node, if this is a checkpoint; afterwards `disk` is the new map. */
int page_map_emit(struct page_map *map, uint64_t generation, struct phantom_diag *diag);
/** Bytes of all runs of the map that is emitted. */
uint64_t page_map_delta_bytes(const struct page_map *map);
/** The commit is durable: what was emitted is the last commit's map. Cannot fail. */
void page_map_published(struct page_map *map);

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
