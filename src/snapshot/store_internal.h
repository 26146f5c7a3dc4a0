/* SPDX-License-Identifier: Apache-2.0
 *
 * store_internal.h - the open store, as the files of the store see it. Not used outside of them.
 *
 * What is true between calls:
 *  - generation[] holds the retained generations, oldest first; the last is the current one. First
 *    come those of the catalog, then those whose records are in the ring: for a writer exactly the
 *    bits of the current record's retention bitmap.
 *  - A block belongs to an unbroken line of generations: it is born in one and replaced in a later
 *    one. generation[i].dead lists the blocks that generation[i-1] has and generation[i] has not;
 *    so a block of a retained generation is in the current map or in exactly one dead list.
 *    A block that came back by a rollback counts as having been there all the time (`revived`).
 *  - A block is given out again only after a record that no longer retains its generations is
 *    durable (txn_commit.c, publish()).
 *  - While not accounted: generation[] is what was found at open, then what was committed since;
 *    nothing is dropped, the catalog does not change, only blocks from space.known on are taken.
 *  - poison != 0: nothing is written through this handle any more.
 */
#ifndef SNAP_STORE_INTERNAL_H
#define SNAP_STORE_INTERNAL_H

#include "block_space.h"
#include "pack_slots.h"
#include "page_map.h"
#include "snap_store.h"
#include "store_catalog.h"
#include "store_file.h"
#include "store_format.h"
#include "store_pack.h"
#include "store_sum.h"
#include "store_walk.h"

struct store_generation {
    struct snap_generation info;
    struct store_map map;
    struct store_sum memory_sum;
    struct block_list dead;
    bool drop;          /* chosen by retention for the commit under way */
    bool locked;        /* its reader lock is held exclusively meanwhile */
    bool enter;         /* goes from the ring to the catalog with the commit under way */
    uint32_t slot;      /* of the catalog; STORE_NO_SLOT: its record is in the ring */
    uint32_t next_slot; /* if `enter` */
    uint32_t tags;      /* that name it, those that the commit under way adds included */
    int64_t active_ns;  /* see store_retention.c, "age" */
};

/* The overlay of a chain that was read lately; known by the sum of its newest run. */
struct store_overlay_slot {
    struct store_sum sum;
    struct store_overlay overlay;
};

/* A page that is to be read. place 0: a hole, left out. */
struct store_page {
    uint64_t page, place;
    struct store_sum sum;
};

enum { STORE_READ_MOST = 512, STORE_PACK_IMAGES = 256, STORE_PACK_BUCKETS = 1024 };

/* Packs being read together, and the one read last. Within a call: pack[0..count) are the packs
 * that are in memory; each names the last of its pages that are wanted, `next` the one before. */
struct store_packs {
    struct store_unpacker unpacker;
    uint8_t *images; /* STORE_PACK_IMAGES blocks; NULL until first used */
    unsigned count;
    struct store_read_pack {
        uint64_t place; /* store_place_pack() */
        uint32_t at;    /* where in `images`, in blocks */
        uint16_t page;
    } pack[STORE_PACK_IMAGES];
    uint16_t next[STORE_READ_MOST];      /* STORE_READ_MOST: no more */
    uint16_t bucket[STORE_PACK_BUCKETS]; /* open addressing: index in `pack` + 1, or 0 */
};

struct store_walk;

struct snap_store {
    struct snap_io *io;
    bool read_only;
    bool writer_locked;
    int poison; /* the error that poisoned it, or 0 */
    struct store_file file;
    struct snap_store_params params;
    struct store_generation *generation;
    unsigned generation_count, generation_capacity;
    struct store_catalog catalog;
    unsigned catalog_enters, catalog_drops; /* generations, by the commit under way */
    struct snap_retention retention;        /* defaults filled in, but for the budget */
    unsigned drop_first;                    /* lowest index of those to drop; count: none */
    int64_t thinned_ns;                     /* when all were last looked at: active_ns */
    uint64_t history_blocks;                /* in all dead lists */
    struct revived {
        uint64_t block, birth;
    } * revived; /* blocks that a rollback brought back, with the generation that wrote them */
    size_t revived_count, revived_capacity;
    struct snap_generation nothing; /* what current() shows before the first commit */
    uint64_t next_generation;
    uint64_t incarnation;
    uint64_t reader_lock;          /* generation whose byte a read-only handle holds; 0: none */
    uint64_t blocks_used_hint;     /* from the record: for handles that derive nothing */
    uint64_t high_water;           /* of the record chosen at open; 0: it does not say */
    bool accounted;                /* `space` and the dead lists are derived */
    bool early;                    /* commits are possible before that (store_early.c) */
    unsigned opened_count;         /* generations there were at open */
    uint64_t opened_used;          /* blocks in use then, as the record says */
    struct store_walk *accounting; /* deriving, paused; NULL: not begun, or done */
    struct block_space space;      /* writers only */
    struct pack_slots slots;       /* the same; nothing there without compression */
    struct page_map map;           /* writers only */
    struct store_cache cache;
    struct store_overlay_slot overlay[2]; /* for readers, the one used last first */
    struct store_packs *packs;            /* the same; NULL until a packed page is read */
    uint8_t *block;       /* one aligned block: record, seal, tombstone on their way out */
    struct snap_txn *txn; /* memory of transactions, kept from one to the next */
    bool txn_active;
    bool show_what_is_good; /* a read-only open: do without a catalog that is damaged */
    uint64_t newest_seen;   /* the same: number of the newest record, chosen or not */
    struct snap_lost *lost; /* the same: retained, and their records are damaged */
    size_t lost_count;
    bool keep_all;          /* the commit under way drops nothing */
    uint64_t enter_through; /* and moves the ring's generations up to this one to the catalog */
    bool trimming;          /* the commit under way drops all the history it can */
};

static inline struct store_generation *store_current(struct snap_store *store)
{
    return store->generation_count != 0 ? &store->generation[store->generation_count - 1] : NULL;
}

/* Index of the first generation whose record is in the ring. */
unsigned store_ring_first(const struct snap_store *store);
/** Room for `count` generations in all. 0 or -ENOMEM. */
int store_generations_reserve(struct snap_store *store, unsigned count, struct phantom_diag *diag);

static inline uint32_t store_slot_of(const struct store_file *file, uint64_t generation)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): no ring without slots */
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
/** Also fills in UUID and secret of `file`; the caller frees the secret, also on failure. */
int store_superblock_make(const struct snap_store_params *params, struct store_file *file,
                          struct store_superblock *out, struct phantom_diag *diag);
/** Read and judge both copies; fill in file and params. */
int store_superblock_load(struct snap_store *store, const struct snap_key *key,
                          struct phantom_diag *diag);
/** A damaged copy is written again from the other and flushed. 1 mended, 0 both are whole, or
 * -errno.
 */
int store_superblock_mend(struct snap_store *store, struct phantom_diag *diag);

/* ---- store_recovery.c ---- */
int store_recover(struct snap_store *store, struct snap_recovery *recovery,
                  struct phantom_diag *diag);
/** A read-only handle: is its generation still retained by the newest record? 1, 0 or an error.
 *  Notes which generations it had to leave out. */
int store_recheck(struct snap_store *store, struct phantom_diag *diag);
/* Does the newest record in the file still retain this generation, as this handle knows it? 1 yes,
 * 0 no, or an error. */
int store_is_retained(const struct snap_store *store, const struct store_generation *generation,
                      struct phantom_diag *diag);
/** Is the generation that this handle shows the newest in the file? 1, 0 or an error. */
int store_is_newest(const struct snap_store *store, struct phantom_diag *diag);
/** Fill in a tombstone. */
void store_tombstone_make(const struct store_file *file, uint32_t slot, uint64_t number,
                          struct store_record *record);
/** A record whose sum holds was written by a store; this refuses what no store of ours writes. */
bool store_record_is_possible(const struct store_file *file, uint32_t slot,
                              const struct store_record *record);
/** Enter a record's generation into generation[], in the order of numbers. There must be room
 * (store_generations_reserve()). */
void store_add_generation(struct snap_store *store, const struct store_record *record);
/** What a record says, as the public structure. */
struct snap_generation store_generation_info(const struct store_record *record);

/* ---- store_accounting.c ---- */
/** Give up what snap_store_account() has under way. */
void store_account_finish(struct snap_store *store);

/* ---- store_early.c: commits before accounting is complete ---- */
/** At the end of a writable open. */
void store_early_open(struct snap_store *store);
/** `space`, if it is not there yet: nothing below its `known` is. 0 or -ENOMEM. */
int store_early_space(struct snap_store *store, struct phantom_diag *diag);
/** Accounting now, if the commit that begins or is under way may not do without. 0 or its errors.
 */
int store_early_decide(struct snap_store *store, struct phantom_diag *diag);
/** Blocks in use; before accounting is complete no more than a good guess. */
uint64_t store_blocks_used(const struct snap_store *store);

/* ---- store_retention.c ---- */
/** Has the commit that begins something to choose: is the ring full, the budget exceeded? */
bool store_retention_is_due(const struct snap_store *store);
/** Defaults, and what is derived from the generations: at open, after the accounting. */
void store_retention_init(struct snap_store *store);
/** Its place in the reckoning of age, from the one before it. */
int64_t store_active_ns(const struct store_generation *before, int64_t time_ns);
/**
 * Choose the generations that the commit under way no longer retains, take their reader locks, and
 * make room in the dead lists so that store_retention_apply() cannot fail. Choose also those that
 * go from the ring to the catalog.
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
/** Read those pages that are in blocks of their own, neighbouring blocks in one request: page i of
 * the list to the i-th 4096 bytes of `data`. Not checked. */
int store_read_raw(const struct store_file *file, const struct store_page *page, unsigned count,
                   uint8_t *data, struct phantom_diag *diag);
/** Read those that are packed, each pack once, and check them. At most STORE_READ_MOST pages. */
int store_read_packed(struct snap_store *store, uint64_t generation, const struct store_page *page,
                      unsigned count, uint8_t *data, struct phantom_diag *diag);
void store_packs_finish(struct snap_store *store);

/* ---- store_rollback.c ---- */
/** Commit the content of the current generation once more, with the tags noted. */
int store_commit_again(struct snap_store *store, struct snap_generation *out,
                       struct phantom_diag *diag);
/** Blocks that count as never having been dead. Room for more: 0 or -ENOMEM. */
int store_revived_reserve(struct snap_store *store, size_t more);
void store_revived_add(struct snap_store *store, const uint64_t *block, size_t count);
bool store_is_revived(const struct snap_store *store, uint64_t block);

/* ---- snap_txn.c ---- */
/** 0, PHANTOM_EREADONLY, PHANTOM_EPOISONED, or PHANTOM_EINVALID: a transaction is under way. */
int store_may_write(struct snap_store *store, struct phantom_diag *diag);
/** Capacity of the staging area that is there already. */
uint32_t store_txn_staging(const struct snap_store *store);
/** The map is about to be changed without anything being staged (a rollback): an abort resets it.
 */
void store_txn_touch(struct snap_txn *txn);
void store_txn_free(struct snap_store *store);

/* ---- txn_blocks.c ---- */
/** The map is about to name a page of a pack that is there already (a rollback). 0, -ENOMEM, or
 * PHANTOM_ECORRUPT: it names it already. */
int store_txn_enter_slot(struct snap_txn *txn, uint64_t place, struct phantom_diag *diag);

/* ---- snap_store.c ---- */
int store_poisoned(const struct snap_store *store, struct phantom_diag *diag);
int store_flush(struct snap_store *store);
/** Write the seal of this generation, not flushed; uses store->block. 0 or -errno. */
int store_write_seal(struct snap_store *store, const struct snap_generation *generation);
struct store_generation *store_find(struct snap_store *store, uint64_t generation);

#endif /* SNAP_STORE_INTERNAL_H */
