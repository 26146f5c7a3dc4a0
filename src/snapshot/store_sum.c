/* SPDX-License-Identifier: Apache-2.0 - see store_sum.h. No state. */
#include "store_sum.h"

#include "ph_mutant.h"

#include <string.h>
#include <xxhash.h>

/* The same function, picked for the CPU at run time: twice as fast where there is AVX2. The shared
 * libxxhash has it, the static one may not; then this is NULL. */
extern XXH128_hash_t XXH3_128bits_withSeed_dispatch(const void *data, size_t size,
                                                    XXH64_hash_t seed)
    __attribute__((weak, visibility("default")));

struct sum_key {
    uint8_t uuid[16];
    uint64_t kind, index;
};
_Static_assert(sizeof(struct sum_key) == 32, "no padding goes into the key");

static uint64_t seed_of(const uint8_t uuid[16], unsigned kind, uint64_t index)
{
    struct sum_key key = {.kind = kind, .index = index};
    memcpy(key.uuid, uuid, sizeof key.uuid);
    if (PH_MUTANT(WRONG_STORE_ACCEPTED) && kind >= STORE_SUM_PAGE) {
        memset(&key, 0, sizeof key);
    }
    return XXH3_64bits(&key, sizeof key);
}

struct store_sum store_sum_block(const uint8_t uuid[16], unsigned kind, uint64_t index,
                                 const void *block)
{
    return store_sum_blocks(uuid, kind, index, block, 1);
}

struct store_sum store_sum_blocks(const uint8_t uuid[16], unsigned kind, uint64_t index,
                                  const void *blocks, uint32_t count)
{
    uint64_t seed = seed_of(uuid, kind, index);
    size_t size = (size_t)count * STORE_BLOCK_SIZE;
    XXH128_hash_t hash = XXH3_128bits_withSeed_dispatch != NULL
                             ? XXH3_128bits_withSeed_dispatch(blocks, size, seed)
                             : XXH3_128bits_withSeed(blocks, size, seed);
    struct store_sum sum = {hash.low64, hash.high64};
    if (store_sum_is_zero(sum)) {
        sum.low = 1; /* zero is the sum of a hole */
    }
    return sum;
}

bool store_block_is_zero(const void *block)
{
    const uint64_t *word = block;
    for (size_t i = 0; i < STORE_BLOCK_SIZE / sizeof *word; i += 8) {
        if ((word[i] | word[i + 1] | word[i + 2] | word[i + 3] | word[i + 4] | word[i + 5] |
             word[i + 6] | word[i + 7]) != 0) {
            return false;
        }
    }
    return true;
}

/* The sum over a block in which the 16 bytes of the sum itself count as zeros. */
static struct store_sum sum_without_itself(const uint8_t uuid[16], unsigned kind, uint64_t index,
                                           const void *block, size_t sum_offset)
{
    _Alignas(64) uint8_t copy[STORE_BLOCK_SIZE];
    memcpy(copy, block, sizeof copy);
    memset(copy + sum_offset, 0, sizeof(struct store_sum));
    return store_sum_block(uuid, kind, index, copy);
}

static const uint8_t no_uuid[16]; /* the superblock tells the UUID, so it cannot be keyed by it */

static struct store_sum superblock_sum(const struct store_superblock *superblock)
{
    return sum_without_itself(no_uuid, STORE_SUM_SUPERBLOCK, 0, superblock,
                              offsetof(struct store_superblock, sum));
}

void store_superblock_seal(struct store_superblock *superblock)
{
    superblock->sum = superblock_sum(superblock);
}

bool store_superblock_holds(const struct store_superblock *superblock)
{
    return superblock->magic == STORE_SUPERBLOCK_MAGIC &&
           store_sum_equal(superblock->sum, superblock_sum(superblock));
}

static struct store_sum seal_sum(const uint8_t uuid[16], const struct store_seal *seal)
{
    return sum_without_itself(uuid, STORE_SUM_SEAL, 0, seal, offsetof(struct store_seal, sum));
}

void store_seal_seal(const uint8_t uuid[16], struct store_seal *seal)
{
    seal->sum = seal_sum(uuid, seal);
}

bool store_seal_holds(const uint8_t uuid[16], const struct store_seal *seal)
{
    return seal->magic == STORE_SEAL_MAGIC && store_sum_equal(seal->sum, seal_sum(uuid, seal));
}

static struct store_sum record_sum(const uint8_t uuid[16], uint32_t slot,
                                   const struct store_record *record)
{
    return sum_without_itself(uuid, STORE_SUM_RECORD, slot, record,
                              offsetof(struct store_record, sum));
}

void store_record_seal(const uint8_t uuid[16], uint32_t slot, struct store_record *record)
{
    record->stamp.magic = STORE_RECORD_MAGIC;
    record->stamp1 = record->stamp;
    for (unsigned i = 0; i < STORE_EXTENT_SECTORS; i++) {
        record->extents[i].stamp = record->stamp;
    }
    record->sum = record_sum(uuid, slot, record);
}

bool store_record_holds(const uint8_t uuid[16], uint32_t slot, const struct store_record *record)
{
    if (PH_MUTANT(NO_RECORD_CHECKSUM)) {
        return record->stamp.magic == STORE_RECORD_MAGIC;
    }
    return record->stamp.magic == STORE_RECORD_MAGIC &&
           store_sum_equal(record->sum, record_sum(uuid, slot, record));
}
