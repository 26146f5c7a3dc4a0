/* SPDX-License-Identifier: Apache-2.0
 *
 * store_wanted.c - the working set on its way into the file and out of it: blocks 8 to 15, written
 * in place without any flush (docs/formats/store.md, "Working set").
 *
 * Nothing depends on it but the order in which a later opening reads pages. So a block that is
 * torn, rotten, older than its neighbours or missing is not counted, and a failed write is no
 * failure of the store.
 */
#include "ph_memory.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <string.h>

enum { FIRST_BITS = 44, COUNT_BITS = 12, COUNT_MOST = 1 << COUNT_BITS, AGE_SHIFT = 56 };

_Static_assert((int)SNAP_WANTED_MOST == (int)STORE_WANTED_BLOCKS * STORE_WANTED_ENTRIES, "fits");
_Static_assert((int)SNAP_WANTED_PAGES == (int)COUNT_MOST, "what fits in one entry");

int snap_store_write_wanted(struct snap_store *store, const struct snap_wanted *wanted,
                            size_t count)
{
    if (store->read_only || store->poison != 0 || count > SNAP_WANTED_MOST) {
        return store->poison != 0 ? PHANTOM_EPOISONED : PHANTOM_EINVALID;
    }
    size_t bytes = (size_t)STORE_WANTED_BLOCKS * STORE_BLOCK_SIZE;
    struct store_wanted *blocks = ph_alloc_aligned(STORE_BLOCK_SIZE, bytes);
    if (blocks == NULL) {
        return -ENOMEM;
    }
    memset(blocks, 0, bytes);
    for (size_t i = 0; i < count; i++) {
        struct store_wanted *block = &blocks[i / STORE_WANTED_ENTRIES];
        block->entry[i % STORE_WANTED_ENTRIES] = wanted[i].first |
                                                 (uint64_t)(wanted[i].count - 1) << FIRST_BITS |
                                                 (uint64_t)wanted[i].age << AGE_SHIFT;
        block->used++;
    }
    for (unsigned i = 0; i < STORE_WANTED_BLOCKS; i++) {
        blocks[i].magic = STORE_WANTED_MAGIC;
        store_file_seal_wanted(&store->file, i, &blocks[i]);
    }
    int error =
        store->io->ops->write(store->io, STORE_WANTED * STORE_BLOCK_SIZE, blocks, (uint32_t)bytes);
    ph_free(blocks);
    return error;
}

/** Entries of one block that make sense. */
static size_t take_block(const struct snap_store *store, unsigned i, struct store_wanted *block,
                         struct snap_wanted *out, size_t room)
{
    if (block->magic != STORE_WANTED_MAGIC || block->used > STORE_WANTED_ENTRIES ||
        !store_file_open_wanted(&store->file, i, block)) {
        return 0;
    }
    size_t count = 0;
    for (uint32_t e = 0; e < block->used && count < room; e++) {
        uint64_t word = block->entry[e];
        struct snap_wanted wanted = {
            .first = word & ((UINT64_C(1) << FIRST_BITS) - 1),
            .count = (uint32_t)(word >> FIRST_BITS & (COUNT_MOST - 1)) + 1,
            .age = (uint8_t)(word >> AGE_SHIFT),
        };
        if (wanted.first < store->file.page_count &&
            wanted.count <= store->file.page_count - wanted.first) {
            out[count++] = wanted;
        }
    }
    return count;
}

size_t snap_store_read_wanted(struct snap_store *store, struct snap_wanted *out, size_t capacity)
{
    size_t bytes = (size_t)STORE_WANTED_BLOCKS * STORE_BLOCK_SIZE;
    struct store_wanted *blocks = ph_alloc_aligned(STORE_BLOCK_SIZE, bytes);
    size_t count = 0;
    if (blocks != NULL && store->io->ops->read(store->io, STORE_WANTED * STORE_BLOCK_SIZE, blocks,
                                               (uint32_t)bytes) == 0) {
        for (unsigned i = 0; i < STORE_WANTED_BLOCKS; i++) {
            count += take_block(store, i, &blocks[i], out + count, capacity - count);
        }
    }
    ph_free(blocks);
    return count;
}
