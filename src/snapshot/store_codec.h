/* SPDX-License-Identifier: Apache-2.0
 *
 * store_codec.h - what happens to a block on its way between memory and file: in a plain store it
 * gets its sum (store_sum.h), in an encrypted one a keyed sum, and is encrypted
 * (store_secret.h). Which of the two, struct store_file says.
 *
 * Blocks are changed in place: give it a copy of what is still needed, never the memory itself.
 */
#ifndef SNAP_STORE_CODEC_H
#define SNAP_STORE_CODEC_H

#include "store_file.h"
#include "store_secret.h"
#include "store_sum.h"

/** The sum of `count` blocks in a row, which are then as they go to the file. */
static inline struct store_sum store_encode(const struct store_file *file, unsigned kind,
                                            uint64_t index, void *blocks, uint32_t count)
{
    if (file->secret == NULL) {
        return store_sum_blocks(file->uuid, kind, index, blocks, count);
    }
    size_t size = (size_t)count * STORE_BLOCK_SIZE;
    struct store_sum sum = store_secret_sum(file->secret, kind, index, blocks, size);
    store_secret_cipher(file->secret, sum, kind, index, blocks, size);
    return sum;
}

/** Make of blocks as they are in the file what was encoded. False: they do not have this sum, and
 * what is in the buffer now means nothing. Once for each reading. */
bool store_decode(const struct store_file *file, unsigned kind, uint64_t index,
                  struct store_sum sum, void *blocks, uint32_t count);
/** The sum that blocks in memory have: not encrypted (any more), or not yet. */
struct store_sum store_sum_in_memory(const struct store_file *file, unsigned kind, uint64_t index,
                                     const void *blocks, uint32_t count);

/** Why store_decode() said no, for a message: what the sum is and what it should be. In an
 * encrypted store it does not say what it is, which would be an oracle for forgers. `blocks` as
 * store_decode() left them. */
enum { STORE_WRONG_SUM_TEXT = 96 };
const char *store_wrong_sum(const struct store_file *file, unsigned kind, uint64_t index,
                            struct store_sum expected, const void *blocks, uint32_t count,
                            char text[STORE_WRONG_SUM_TEXT]);

/* What stays readable without the key; its sum is keyed like the others. */
void store_file_seal_record(const struct store_file *file, uint32_t slot,
                            struct store_record *record);
bool store_file_record_holds(const struct store_file *file, uint32_t slot,
                             const struct store_record *record);
void store_file_seal_seal(const struct store_file *file, struct store_seal *seal);
bool store_file_seal_holds(const struct store_file *file, const struct store_seal *seal);
/** A superblock has both sums: the plain one says that it is whole, so that who has no key can be
 * told so, the keyed one that it is the store's own. */
void store_file_seal_superblock(const struct store_file *file, struct store_superblock *superblock);
bool store_file_superblock_holds(const struct store_file *file,
                                 const struct store_superblock *superblock);
/** Is the key that `file` has the key of this superblock? */
bool store_file_has_key_of(const struct store_file *file,
                           const struct store_superblock *superblock);
/** A block of the working set: its head stays readable, its entries do not. */
void store_file_seal_wanted(const struct store_file *file, uint32_t i, struct store_wanted *block);
/** True if it holds; then it is decrypted. */
bool store_file_open_wanted(const struct store_file *file, uint32_t i, struct store_wanted *block);

#endif /* SNAP_STORE_CODEC_H */
