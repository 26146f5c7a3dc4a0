/* SPDX-License-Identifier: Apache-2.0
 *
 * store_internal.h - the open store, as the files of the store see it. Not used outside of them.
 *
 * What is true between calls:
 *  - generation[] holds the retained generations, oldest first; the last is the current one. For a
 *    writer its slots are exactly the bits of the current record's retention bitmap.
 *  - A block belongs to an unbroken line of generations: it is born in one and replaced in a later
 *    one. generation[i].dead lists the blocks that generation[i-1] has and generation[i] has not;
 *    so a block of a retained generation is in the current map or in exactly one dead list.
 *  - A block is given out again only after a record that no longer retains its generations is
 *    durable (snap_txn.c, publish()).
 *  - poison != 0: nothing is written through this handle any more.
 */
#ifndef SNAP_STORE_INTERNAL_H
#define SNAP_STORE_INTERNAL_H

#include "block_space.h"
#include "page_map.h"
#include "snap_store.h"
#include "store_file.h"
#include "store_format.h"
#include "store_sum.h"
#include "store_walk.h"

struct store_generation {
    struct snap_generation info;
    struct store_map map;
    struct store_sum memory_sum;
    struct block_list dead;
    bool drop;   /* chosen by retention for the commit under way */
    bool locked; /* its reader lock is held exclusively meanwhile */
};

/* The overlay of a chain that was read lately; known by the sum of its newest run. */
struct store_overlay_slot {
    struct store_sum sum;
    struct store_overlay overlay;
};

struct snap_store {
    struct snap_io *io;
    bool read_only;
    bool writer_locked;
    int poison; /* the error that poisoned it, or 0 */
    struct store_file file;
    struct snap_store_params params;
    struct store_generation generation[STORE_RING_SLOTS];
    unsigned generation_count;
    struct snap_generation nothing; /* what current() shows before the first commit */
    uint64_t next_generation;
    uint64_t incarnation;
    uint64_t reader_lock;      /* generation whose byte a read-only handle holds; 0: none */
    uint64_t blocks_used_hint; /* from the record: for handles that derive nothing */
    struct block_space space;  /* writers only */
    struct page_map map;       /* writers only */
    struct store_cache cache;
    struct store_overlay_slot overlay[2]; /* for readers, the one used last first */
    uint8_t *block;       /* one aligned block: record, seal, tombstone on their way out */
    struct snap_txn *txn; /* memory of transactions, kept from one to the next */
    bool txn_active;
    bool trimming; /* the commit under way drops all the history it can */
};

static inline struct store_generation *store_current(struct snap_store *store)
{
    return store->generation_count != 0 ? &store->generation[store->generation_count - 1] : NULL;
}

static inline uint32_t store_slot_of(const struct store_file *file, uint64_t generation)
{
    return (uint32_t)(generation % file->ring_slots);
}

/* Most generations that are retained: the rest of the ring's slots are there to be overwritten. */
static inline unsigned store_retained_most(const struct store_file *file)
{
    return file->ring_slots / 4 * 3;
}

/* The map that a record names. */
static inline struct store_map store_map_of(const struct store_record *record)
{
    return (struct store_map){record->root_block, record->root_sum, record->delta};
}

static inline struct snap_sum snap_sum_of(struct store_sum sum)
{
    return (struct snap_sum){sum.low, sum.high};
}

/* The first number after `after` whose slot is not one of a retained generation. */
uint64_t store_next_number(const struct snap_store *store, uint64_t after);

/* ---- store_superblock.c ---- */
int store_superblock_make(const struct snap_store_params *params, struct store_superblock *out,
                          struct phantom_diag *diag);
/** Read and judge both copies; fill in file and params. */
int store_superblock_load(struct snap_store *store, struct phantom_diag *diag);

/* ---- store_recovery.c ---- */
int store_recover(struct snap_store *store, struct snap_recovery *recovery,
                  struct phantom_diag *diag);
/** A read-only handle: is its generation still retained by the newest record? 1, 0 or an error. */
int store_recheck(struct snap_store *store, struct phantom_diag *diag);
/* Does the newest record in the file still retain this generation, as this handle knows it? 1 yes,
 * 0 no, or an error. */
int store_is_retained(const struct snap_store *store, const struct store_generation *generation,
                      struct phantom_diag *diag);
/** Fill in a tombstone. */
void store_tombstone_make(const struct store_file *file, uint32_t slot, uint64_t number,
                          struct store_record *record);
/** A record whose sum holds was written by a store; this refuses what no store of ours writes. */
bool store_record_is_possible(const struct store_file *file, uint32_t slot,
                              const struct store_record *record);
/** Enter a record's generation into generation[], in the order of numbers. There must be room. */
void store_add_generation(struct snap_store *store, const struct store_record *record);
/** What a record says, as the public structure. */
struct snap_generation store_generation_info(const struct store_record *record);

/* ---- store_accounting.c ---- */
/** Derive `space` and the dead lists from the retained generations. */
int store_account(struct snap_store *store, struct phantom_diag *diag);

/* ---- store_retention.c ---- */
/**
 * Choose the generations that the commit under way no longer retains, take their reader locks, and
 * make room in the dead lists so that store_retention_apply() cannot fail.
 */
int store_retention_plan(struct snap_store *store, int64_t now_ns, size_t dead_blocks,
                         uint64_t live_bytes, struct phantom_diag *diag);
/** The record is durable: forget the chosen ones, free what only they had. */
void store_retention_apply(struct snap_store *store);
/** The record was not written: keep them all. */
void store_retention_cancel(struct snap_store *store);

/* ---- store_read.c ---- */
/** Where a page of a retained generation is. 0, PHANTOM_ENOTFOUND, or errors of reading the map. */
int store_find_page(struct snap_store *store, uint64_t generation, uint64_t page,
                    struct store_place *out, struct phantom_diag *diag);

/* ---- snap_txn.c ---- */
void store_txn_free(struct snap_store *store);

/* ---- snap_store.c ---- */
int store_poisoned(const struct snap_store *store, struct phantom_diag *diag);
int store_flush(struct snap_store *store);
struct store_generation *store_find(struct snap_store *store, uint64_t generation);

#endif /* SNAP_STORE_INTERNAL_H */
