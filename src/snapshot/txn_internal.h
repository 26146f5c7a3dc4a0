/* SPDX-License-Identifier: Apache-2.0
 *
 * txn_internal.h - the transaction, as its files see it: snap_txn.c (begin, stage, abort; what is
 * true between calls is written there), txn_blocks.c, txn_write.c, txn_commit.c. Not used outside
 * of them.
 */
#ifndef SNAP_TXN_INTERNAL_H
#define SNAP_TXN_INTERNAL_H

#include "store_internal.h"

/* Arena slots beyond the staging capacity, for map nodes on their way out. */
enum { NODE_SLOTS = 64 };

struct slot {
    uint64_t page;
    uint32_t bucket;
    bool hole;
};

struct snap_txn {
    struct snap_store *store;
    uint64_t number; /* of the generation it will be */
    uint32_t capacity;
    uint32_t used;        /* slots staged and not yet written */
    uint32_t base, limit; /* where slot 0 is; how many may be staged: 0, capacity; else a half */
    uint8_t *arena;
    struct slot *slot;
    uint32_t *bucket; /* open addressing: slot + 1, or 0 */
    uint32_t bucket_mask;
    struct block_list holes;      /* page numbers; applied before the slots */
    struct block_list dead;       /* blocks of the current generation that this one replaces */
    struct block_list superseded; /* blocks taken and given up in this transaction */
    struct block_list slots;      /* places in packs that the map has begun or ceased to name */
    struct store_packer *packer;  /* NULL: no compression */
    struct store_extent *taken;   /* every block taken, as extents */
    size_t taken_count, taken_capacity;
    uint64_t blocks_taken;
    uint64_t pages_written;
    uint64_t run_block, run_left; /* taken and not yet handed out */
    uint32_t node_slot;           /* next arena slot for a map node */
    bool touched;                 /* the map is not that of the current generation any more */
    int error;
    struct store_output output;
    struct phantom_diag *diag; /* of the call under way, for the map's callbacks */
};

static inline uint8_t *txn_slot_data(const struct snap_txn *txn, uint32_t slot)
{
    return txn->arena + ((size_t)txn->base + slot) * SNAP_PAGE_SIZE;
}

/* Behind the last slot that map nodes may take now. */
static inline uint32_t txn_node_end(const struct snap_txn *txn)
{
    return txn->limit == txn->capacity ? txn->capacity + NODE_SLOTS : txn->limit;
}

/* ---- snap_txn.c ---- */
/** Every page staged has been handed out: waits for every write; then the arena is free. 0, or the
 * error of a write. */
int txn_empty_arena(struct snap_txn *txn);
/** Nothing is staged any more. */
void txn_empty_index(struct snap_txn *txn);

/* ---- txn_blocks.c: blocks taken, blocks given up ---- */
int txn_no_memory(const struct snap_txn *txn, struct phantom_diag *diag);
/** See to it that `blocks` blocks are free. An early commit makes the file longer by little; what
 * needs more, or may not, waits for accounting, which knows of the free blocks further down. */
int txn_make_room(struct snap_store *store, uint64_t blocks, struct phantom_diag *diag);
/** The next block to write to. `want`: how many the caller is going to ask for from here on. */
int txn_take_block(struct snap_txn *txn, uint64_t want, uint64_t *block, struct phantom_diag *diag);
/** `blocks` blocks in a row, if there are; *first is 0 if not. */
int txn_take_run(struct snap_txn *txn, uint64_t blocks, uint64_t *first, struct phantom_diag *diag);
/** Give back what the last run holds beyond what was used, so that extents say what was written. */
void txn_return_run(struct snap_txn *txn);
/** Places in packs are named again, or not, as before the transaction. */
void txn_undo_slots(struct snap_txn *txn);
/** page_map callback: a block leaves the map, or a page's place, which may be in a pack. */
int txn_replaced(void *context, uint64_t place);
/** page_map callback: a node gets its block and its sum, and goes out. */
int txn_place_node(void *context, const struct store_node *node, uint64_t *block,
                   struct store_sum *sum);
/** The same for a block of the catalog. */
int txn_place_catalog(void *context, unsigned kind, uint64_t index, const void *content,
                      uint64_t *block, struct store_sum *sum);

/* ---- txn_write.c: from the arena to the output ---- */
/** Enter holes and staged pages into the map and hand the pages to the output. `run`: blocks that
 * will be wanted right behind them. */
int txn_enter_staged(struct snap_txn *txn, uint32_t run, struct phantom_diag *diag);
/** Nothing may be in flight when a call returns. A failed write is final: poison. Returns `error`,
 * or what the writes came to. */
int txn_settle(struct snap_txn *txn, int error, struct phantom_diag *diag);
/** 0, or why the transaction cannot go on: the store is poisoned, or it has failed already. */
int txn_refuse(const struct snap_txn *txn, struct phantom_diag *diag);

/* ---- txn_commit.c ---- */
/** Is the file still there, and as long as it was? Anything else is final. */
int txn_check_file(struct snap_store *store, struct phantom_diag *diag);

#endif /* SNAP_TXN_INTERNAL_H */
