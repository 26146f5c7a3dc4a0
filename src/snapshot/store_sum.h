/* SPDX-License-Identifier: Apache-2.0
 *
 * store_sum.h - the sums of the store: XXH3, 128 bits, keyed by the store's UUID and by what the
 * block is and where in the map (or ring) it belongs. A block of another store, or one that was
 * written to the wrong place, never verifies. XXH3 is no MAC: it detects accidents, not attackers.
 */
#ifndef SNAP_STORE_SUM_H
#define SNAP_STORE_SUM_H

#include "store_format.h"

#include <stdbool.h>
#include <stdint.h>

enum store_sum_kind {
    STORE_SUM_SUPERBLOCK = 1,
    STORE_SUM_SEAL = 2,
    STORE_SUM_RECORD = 3,   /* index: slot */
    STORE_SUM_PAGE = 4,     /* index: page number */
    STORE_SUM_DELTA = 5,    /* index: generation that wrote the run */
    STORE_SUM_WANTED = 6,   /* index: 0 for the first block of the working set */
    STORE_SUM_KEY = 7,      /* over nothing: which key this is; only keyed */
    STORE_SUM_PACK = 8,     /* index: its first block */
    STORE_SUM_NODE = 16,    /* + level; index: node index */
    STORE_SUM_CATALOG = 32, /* + level; index: that of the leaf or node */
};

/** Sum of one block. */
struct store_sum store_sum_block(const uint8_t uuid[16], unsigned kind, uint64_t index,
                                 const void *block);

/** Sum of `count` blocks in a row. */
struct store_sum store_sum_blocks(const uint8_t uuid[16], unsigned kind, uint64_t index,
                                  const void *blocks, uint32_t count);

static inline bool store_sum_equal(struct store_sum a, struct store_sum b)
{
    return a.low == b.low && a.high == b.high;
}

static inline bool store_sum_is_zero(struct store_sum a)
{
    return (a.low | a.high) == 0;
}

/** True if all 4096 bytes are zero. */
bool store_block_is_zero(const void *block);

/** Fill in / check the sum inside a superblock, seal or record. */
void store_superblock_seal(struct store_superblock *superblock);
bool store_superblock_holds(const struct store_superblock *superblock);
void store_seal_seal(const uint8_t uuid[16], struct store_seal *seal);
bool store_seal_holds(const uint8_t uuid[16], const struct store_seal *seal);
/** Also fills in the stamps of all sectors from the first. */
void store_record_seal(const uint8_t uuid[16], uint32_t slot, struct store_record *record);
bool store_record_holds(const uint8_t uuid[16], uint32_t slot, const struct store_record *record);

#endif /* SNAP_STORE_SUM_H */
