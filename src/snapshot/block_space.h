/* SPDX-License-Identifier: Apache-2.0
 *
 * block_space.h - which blocks of the data area are in use, and since which generation.
 *
 * Nothing of this is in the file: it is derived by walking the retained generations when a store is
 * opened for writing (store_accounting.c) and kept up to date while it runs. True between calls:
 * bit b of the map is set <=> birth[b] != 0; for b >= known: <=> block b belongs to a retained
 * generation or to the transaction under way. Below `known`, while that is not data_start, a bit
 * that is not set says nothing yet: such blocks are neither given out nor released. `used` counts
 * the bits, `counted` those below `known`; blocks below data_start are never given out.
 */
#ifndef SNAP_BLOCK_SPACE_H
#define SNAP_BLOCK_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block_space {
    uint64_t *bitmap;
    uint64_t *birth; /* generation that wrote the block; 0: free */
    uint64_t block_count;
    uint64_t data_start;
    uint64_t known; /* data_start when all has been counted (store_early.c) */
    uint64_t used, counted;
    uint64_t cursor;  /* next-fit: where the last run ended */
    uint64_t none_of; /* there is no free run of so many blocks, as long as none is released */
    uint64_t high;    /* no block from here on is in use */
};

struct block_list {
    uint64_t *block;
    size_t count, capacity;
};

int block_space_init(struct block_space *space, uint64_t data_start, uint64_t block_count);
void block_space_finish(struct block_space *space);
/** From this block on nothing is in use that is not marked so; below it nobody knows yet. */
void block_space_unknown_below(struct block_space *space, uint64_t known);
/** What was taken below `known` counts for nothing: it will be derived again. */
void block_space_forget(struct block_space *space);
/** All has been counted. */
void block_space_complete(struct block_space *space);
/** The file has grown. 0 or -ENOMEM (nothing changed). */
int block_space_grow(struct block_space *space, uint64_t block_count);

static inline uint64_t block_space_free_count(const struct block_space *space)
{
    return space->block_count - space->known - (space->used - space->counted);
}

static inline bool block_space_is_used(const struct block_space *space, uint64_t block)
{
    return space->birth[block] != 0;
}

/** Take a block by number (when deriving). False if it is taken already. */
bool block_space_take(struct block_space *space, uint64_t block, uint64_t generation);

/**
 * Allocate a contiguous run of at least `least` and at most `want` blocks: the first behind the
 * cursor. Returns the count; 0: there is no such run.
 */
uint64_t block_space_allocate(struct block_space *space, uint64_t want, uint64_t least,
                              uint64_t generation, uint64_t *first);
void block_space_release(struct block_space *space, uint64_t block);

/** The block behind the last one in use. */
uint64_t block_space_high_water(struct block_space *space);

int block_list_reserve(struct block_list *list, size_t capacity);
int block_list_add(struct block_list *list, uint64_t block);
void block_list_finish(struct block_list *list);

#endif /* SNAP_BLOCK_SPACE_H */
