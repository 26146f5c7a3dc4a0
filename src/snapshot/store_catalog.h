/* SPDX-License-Identifier: Apache-2.0
 *
 * store_catalog.h - the catalog: retained generations whose records have left the ring, and tags
 * (docs/formats/store.md, "Catalog").
 *
 * A commit changes it in three steps: changes are noted (a generation is to `enter` or is dropped,
 * a tag comes or goes), store_catalog_emit() writes the new blocks, and store_catalog_apply() or
 * store_catalog_cancel() follows, as the record became durable or not. True between calls: `now`
 * describes the blocks that the current record's catalog consists of; each of its slots in use
 * belongs to exactly one generation (store_generation.slot) or tag.
 */
#ifndef SNAP_STORE_CATALOG_H
#define SNAP_STORE_CATALOG_H

#include "block_space.h"
#include "ph_error.h"
#include "snap_store.h"
#include "store_format.h"

struct store_catalog_place {
    uint64_t block; /* 0: nothing there */
    struct store_sum sum;
};

struct store_catalog_image {
    struct store_catalog_place root;
    struct store_catalog_place node[STORE_CATALOG_NODES];
    struct store_catalog_place leaf[STORE_CATALOG_LEAVES];
    uint64_t used[(STORE_CATALOG_SLOTS + 63) / 64]; /* bit: the slot is in use */
};

enum { STORE_NO_SLOT = 0 }; /* slots are counted from 1 in memory */

struct store_tag {
    struct snap_tag tag;
    uint32_t slot;
    bool add, remove; /* by the commit under way */
};

struct store_catalog {
    struct store_catalog_image *now;                  /* NULL: empty, and nothing was ever in it */
    struct store_catalog_image *next;                 /* of the commit under way, or NULL */
    uint64_t dirty[(STORE_CATALOG_LEAVES + 63) / 64]; /* leaves that `next` writes anew */
    struct block_list replaced;                       /* by `next` */
    struct store_tag *tag;                            /* by name */
    unsigned tag_count, tag_capacity;
    bool damaged; /* read-only handles: it could not be read, its generations are not listed */
};

struct snap_store;

/** Read the catalog that a record names; adds its generations below those of the ring. */
int store_catalog_load(struct snap_store *store, const struct store_record *record,
                       struct phantom_diag *diag);
void store_catalog_finish(struct snap_store *store);

/* ---- catalog_change.c ---- */

/** Does the commit under way change the catalog? */
bool store_catalog_changes(const struct snap_store *store);
/** Blocks that a commit may need beyond pages and map. */
uint64_t store_catalog_allowance(const struct snap_store *store);
/** Writes a copy of a block; says where and what its sum is. kind: as in store_sum.h. */
typedef int (*store_block_putter)(void *context, unsigned kind, uint64_t index, const void *block,
                                  uint64_t *where, struct store_sum *sum);
/**
 * Make the new blocks of the catalog; each is handed to `put`. Nothing happens if nothing changes.
 */
int store_catalog_emit(struct snap_store *store, uint64_t generation, store_block_putter put,
                       void *context, struct phantom_diag *diag);
/** Where the record's catalog is: that of the commit under way. */
struct store_catalog_place store_catalog_root(const struct snap_store *store);
void store_catalog_apply(struct snap_store *store);
void store_catalog_cancel(struct snap_store *store);

/* ---- store_catalog.c ---- */

/** Is this generation in the catalog that `record` names? 1, 0 or an error. For readers beside a
 * writer. */
int store_catalog_has(const struct snap_store *store, const struct store_record *record,
                      const struct snap_generation *generation, uint32_t slot,
                      struct phantom_diag *diag);
/** Visit every block of the catalog; stops at the first that `visit` refuses. */
int store_catalog_each_block(const struct snap_store *store,
                             int (*visit)(void *context, uint64_t block), void *context);
/** Read it all again; `damage` for each bad block. 0 or -ENOMEM. */
int store_catalog_verify(const struct snap_store *store,
                         void (*damage)(void *context, uint64_t block, const char *what),
                         void *context);

/* ---- store_tags.c: noted here, written by the next commit ---- */

bool store_tag_name_is_valid(const char *name);
struct store_tag *store_tag_find(const struct snap_store *store, const char *name);
/** 0, -EEXIST, PHANTOM_EINVALID or -ENOMEM. */
int store_tag_note_add(struct snap_store *store, uint64_t generation, const char *name,
                       struct phantom_diag *diag);
int store_tag_note_remove(struct snap_store *store, const char *name, struct phantom_diag *diag);

/* ---- between store_catalog.c, catalog_change.c and store_tags.c ---- */

/** How many leaves a node of level 1 is over. */
static inline uint32_t store_leaves_below(uint32_t node)
{
    uint32_t left = STORE_CATALOG_LEAVES - node * STORE_CATALOG_FANOUT;
    return left < STORE_CATALOG_FANOUT ? left : STORE_CATALOG_FANOUT;
}

/** The leaf that holds a slot. */
static inline uint32_t store_leaf_of(uint32_t slot)
{
    return (slot - 1) / STORE_CATALOG_LEAF_SLOTS;
}

/** Bit i of a bitmap. */
static inline bool bits_have(const uint64_t *bits, uint32_t i)
{
    return (bits[i / 64] >> i % 64 & 1) != 0;
}

static inline void bits_set(uint64_t *bits, uint32_t i, bool value)
{
    uint64_t mask = UINT64_C(1) << i % 64;
    bits[i / 64] = value ? bits[i / 64] | mask : bits[i / 64] & ~mask;
}

int store_catalog_no_memory(const struct snap_store *store, struct phantom_diag *diag);
/** Room for one more tag. 0 or -ENOMEM. */
int store_tag_reserve(struct snap_store *store, struct phantom_diag *diag);

#endif /* SNAP_STORE_CATALOG_H */
