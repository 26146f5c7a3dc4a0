/* SPDX-License-Identifier: Apache-2.0 - see store_codec.h. No state. */
#include "store_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct store_sum store_sum_in_memory(const struct store_file *file, unsigned kind, uint64_t index,
                                     const void *blocks, uint32_t count)
{
    return file->secret == NULL ? store_sum_blocks(file->uuid, kind, index, blocks, count)
                                : store_secret_sum(file->secret, kind, index, blocks,
                                                   (size_t)count * STORE_BLOCK_SIZE);
}

static bool same(const struct store_file *file, struct store_sum a, struct store_sum b)
{
    return file->secret == NULL ? store_sum_equal(a, b) : store_secret_equal(a, b);
}

bool store_decode(const struct store_file *file, unsigned kind, uint64_t index,
                  struct store_sum sum, void *blocks, uint32_t count)
{
    if (file->secret != NULL) {
        store_secret_cipher(file->secret, sum, kind, index, blocks,
                            (size_t)count * STORE_BLOCK_SIZE);
    }
    return same(file, store_sum_in_memory(file, kind, index, blocks, count), sum);
}

const char *store_wrong_sum(const struct store_file *file, unsigned kind, uint64_t index,
                            struct store_sum expected, const void *blocks, uint32_t count,
                            char text[STORE_WRONG_SUM_TEXT])
{
    if (file->secret != NULL) {
        snprintf(text, STORE_WRONG_SUM_TEXT,
                 "it does not have the keyed sum %016" PRIx64 "%016" PRIx64, expected.high,
                 expected.low);
        return text;
    }
    struct store_sum actual = store_sum_blocks(file->uuid, kind, index, blocks, count);
    snprintf(text, STORE_WRONG_SUM_TEXT,
             "sum is %016" PRIx64 "%016" PRIx64 ", expected %016" PRIx64 "%016" PRIx64, actual.high,
             actual.low, expected.high, expected.low);
    return text;
}

/* ---- blocks that carry their sum ------------------------------------------------------------- */

/* The keyed sum over a block in which the sum itself counts as zeros. */
static struct store_sum sum_without(const struct store_file *file, unsigned kind, uint64_t index,
                                    const void *block, size_t sum_offset)
{
    _Alignas(64) uint8_t copy[STORE_BLOCK_SIZE];
    memcpy(copy, block, sizeof copy);
    memset(copy + sum_offset, 0, sizeof(struct store_sum));
    return store_secret_sum(file->secret, kind, index, copy, sizeof copy);
}

void store_file_seal_record(const struct store_file *file, uint32_t slot,
                            struct store_record *record)
{
    store_record_seal(file->uuid, slot, record);
    if (file->secret != NULL) {
        record->sum =
            sum_without(file, STORE_SUM_RECORD, slot, record, offsetof(struct store_record, sum));
    }
}

bool store_file_record_holds(const struct store_file *file, uint32_t slot,
                             const struct store_record *record)
{
    if (file->secret == NULL) {
        return store_record_holds(file->uuid, slot, record);
    }
    return record->stamp.magic == STORE_RECORD_MAGIC &&
           store_secret_equal(record->sum, sum_without(file, STORE_SUM_RECORD, slot, record,
                                                       offsetof(struct store_record, sum)));
}

void store_file_seal_seal(const struct store_file *file, struct store_seal *seal)
{
    store_seal_seal(file->uuid, seal);
    if (file->secret != NULL) {
        seal->sum = sum_without(file, STORE_SUM_SEAL, 0, seal, offsetof(struct store_seal, sum));
    }
}

bool store_file_seal_holds(const struct store_file *file, const struct store_seal *seal)
{
    if (file->secret == NULL) {
        return store_seal_holds(file->uuid, seal);
    }
    return seal->magic == STORE_SEAL_MAGIC &&
           store_secret_equal(seal->sum, sum_without(file, STORE_SUM_SEAL, 0, seal,
                                                     offsetof(struct store_seal, sum)));
}

/* ---- superblock ------------------------------------------------------------------------------ */

static struct store_sum key_check(const struct store_file *file)
{
    return store_secret_sum(file->secret, STORE_SUM_KEY, 0, "", 0);
}

/* Neither of the two sums counts in the keyed one. */
static struct store_sum superblock_sum(const struct store_file *file,
                                       const struct store_superblock *superblock)
{
    struct store_superblock copy = *superblock;
    copy.sum = copy.keyed_sum = (struct store_sum){0};
    return store_secret_sum(file->secret, STORE_SUM_SUPERBLOCK, 0, &copy, sizeof copy);
}

void store_file_seal_superblock(const struct store_file *file, struct store_superblock *superblock)
{
    if (file->secret != NULL) {
        superblock->key_check = key_check(file);
        superblock->keyed_sum = superblock_sum(file, superblock);
    }
    store_superblock_seal(superblock);
}

bool store_file_superblock_holds(const struct store_file *file,
                                 const struct store_superblock *superblock)
{
    return store_superblock_holds(superblock) &&
           (file->secret == NULL ||
            store_secret_equal(superblock->keyed_sum, superblock_sum(file, superblock)));
}

bool store_file_has_key_of(const struct store_file *file, const struct store_superblock *superblock)
{
    return store_secret_equal(superblock->key_check, key_check(file));
}

/* ---- working set ----------------------------------------------------------------------------- */

static struct store_sum wanted_sum(const struct store_file *file, uint32_t i,
                                   const struct store_wanted *block)
{
    struct store_wanted copy = *block;
    copy.sum = (struct store_sum){0};
    return store_sum_in_memory(file, STORE_SUM_WANTED, i, &copy, 1);
}

static void cipher_wanted(const struct store_file *file, uint32_t i, struct store_wanted *block)
{
    if (file->secret != NULL) {
        store_secret_cipher(file->secret, block->sum, STORE_SUM_WANTED, i, block->entry,
                            sizeof block->entry);
    }
}

void store_file_seal_wanted(const struct store_file *file, uint32_t i, struct store_wanted *block)
{
    block->sum = wanted_sum(file, i, block);
    cipher_wanted(file, i, block);
}

bool store_file_open_wanted(const struct store_file *file, uint32_t i, struct store_wanted *block)
{
    cipher_wanted(file, i, block);
    return same(file, block->sum, wanted_sum(file, i, block));
}
