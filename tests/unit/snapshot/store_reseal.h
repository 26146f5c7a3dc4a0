/* SPDX-License-Identifier: Apache-2.0
 *
 * store_reseal.h - make every sum of a changed store image right again, from the pages up to the
 * superblock. A test that cannot do this tests only the sums; one that can plays the hostile author
 * of a file. Nothing in the image is trusted: it may be as wrong as the caller likes.
 */
#ifndef STORE_RESEAL_H
#define STORE_RESEAL_H

#include "store_format.h"
#include "store_pack.h"
#include "store_sum.h"

#include <stdint.h>
#include <string.h>

struct reseal {
    uint8_t *bytes;
    uint64_t block_count;
    uint8_t uuid[16];
    uint32_t slots;
    unsigned budget; /* of nodes, against cycles */
    struct store_unpacker unpacker;
};

static inline void *reseal_block(struct reseal *r, uint64_t block)
{
    return block < r->block_count ? r->bytes + block * STORE_BLOCK_SIZE : NULL;
}

/* The sum of the page at a place, which for a packed one is that of what comes out; then the pack's
 * own sum is right as well. The old sum if nothing comes out. */
static inline struct store_sum reseal_page(struct reseal *r, uint64_t page, uint64_t place,
                                           struct store_sum old)
{
    uint64_t block = store_place_block(place);
    uint32_t blocks = store_place_blocks(place);
    uint64_t first = (uint64_t)STORE_RING_START + r->slots;
    if (!store_place_is_packed(place)) {
        return place >= first && reseal_block(r, place) != NULL
                   ? store_sum_block(r->uuid, STORE_SUM_PAGE, page, reseal_block(r, place))
                   : old;
    }
    struct store_pack_head *head = reseal_block(r, block);
    if (block < first || head == NULL || blocks > r->block_count - block ||
        store_place_slot(place) >= STORE_PACK_SLOTS) {
        return old;
    }
    struct snap_io io = {.path = "reseal"};
    struct store_file file = {.io = &io};
    struct store_unpacker *unpacker = &r->unpacker;
    const uint8_t *content = NULL;
    memcpy(file.uuid, r->uuid, sizeof file.uuid);
    if (unpacker->pack != store_place_pack(place)) {
        head->sum = (struct store_sum){0};
        head->sum = store_sum_blocks(r->uuid, STORE_SUM_PACK, block, head, blocks);
        (void)store_unpack_page(&file, unpacker, 1, page, place, old, head, &content, NULL);
    }
    if (store_place_slot(place) < unpacker->good) {
        old = store_sum_block(r->uuid, STORE_SUM_PAGE, page,
                              unpacker->pages + store_place_slot(place) * STORE_BLOCK_SIZE);
    }
    return old;
}

/* The sum of the node in `block`, after those below it have been made right. */
static inline struct store_sum reseal_node(struct reseal *r, uint32_t level, uint64_t index,
                                           uint64_t block)
{
    struct store_node *node = reseal_block(r, block);
    struct store_sum none = {1, 1};
    if (node == NULL || r->budget == 0) {
        return none;
    }
    r->budget--;
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        uint64_t below = (index << STORE_FANOUT_BITS) + i;
        if (node->block[i] == 0 || (level != 0 && reseal_block(r, node->block[i]) == NULL)) {
            continue;
        }
        node->sum[i] = level != 0 ? reseal_node(r, level - 1, below, node->block[i])
                                  : reseal_page(r, below, node->block[i], node->sum[i]);
    }
    return store_sum_block(r->uuid, STORE_SUM_NODE + level, index, node);
}

static inline struct store_record *reseal_slot(struct reseal *r, uint64_t number)
{
    return reseal_block(r, STORE_RING_START + number % r->slots);
}

/* The sums of the pages of a run, then its own. */
static inline void reseal_run(struct reseal *r, const struct store_record *record,
                              struct store_delta_ref *ref)
{
    uint8_t *image = reseal_block(r, ref->block);
    struct store_delta_head *head = (struct store_delta_head *)image;
    uint64_t room = image != NULL ? r->block_count - ref->block : 0;
    if (image == NULL || ref->blocks > room || head->older > STORE_CHAIN_RUNS) {
        return;
    }
    const struct store_delta_ref was = *ref; /* it may lie in what is written below */
    head->root_sum = record->root_sum;
    struct store_delta_entry *entry =
        (struct store_delta_entry *)(image + store_delta_offset(head->older));
    uint64_t most = (room * STORE_BLOCK_SIZE - store_delta_offset(head->older)) / sizeof *entry;
    for (uint64_t i = 0; i < head->entries && i < most; i++) {
        if (entry[i].block != 0) {
            entry[i].sum = reseal_page(r, entry[i].page, entry[i].block, entry[i].sum);
        }
    }
    ref->sum = store_sum_blocks(r->uuid, STORE_SUM_DELTA, was.generation, image, was.blocks);
}

static inline void reseal_chain(struct reseal *r, struct store_record *record)
{
    struct store_delta_head *head = reseal_block(r, record->delta.block);
    if (record->delta.block == 0 || head == NULL) {
        return;
    }
    for (uint32_t i = 0; i < head->older && i < STORE_CHAIN_RUNS; i++) {
        reseal_run(r, record, (struct store_delta_ref *)(head + 1) + i);
    }
    reseal_run(r, record, &record->delta);
}

/* What a catalog says of a generation whose record has left the ring. */
static inline void reseal_entry(struct reseal *r, uint32_t height,
                                struct store_catalog_generation *entry)
{
    if (entry->root_block != 0 && height != 0 && height <= STORE_LEVELS_MOST) {
        entry->root_sum = reseal_node(r, height - 1, 0, entry->root_block);
    }
    struct store_record record = {
        .root_block = entry->root_block, .root_sum = entry->root_sum, .delta = entry->delta};
    reseal_chain(r, &record);
    entry->delta = record.delta;
}

/* The sum of a block of the catalog, after those below it have been made right. */
static inline struct store_sum reseal_catalog_block(struct reseal *r, uint32_t height,
                                                    uint32_t level, uint64_t index, uint64_t block)
{
    struct store_catalog_node *node = reseal_block(r, block);
    struct store_catalog_leaf *leaf = reseal_block(r, block);
    struct store_sum none = {1, 1};
    if (node == NULL || r->budget == 0) {
        return none;
    }
    r->budget--;
    for (unsigned i = 0; level != 0 && i < STORE_CATALOG_FANOUT; i++) {
        if (node->block[i] != 0) {
            node->sum[i] = reseal_catalog_block(r, height, level - 1,
                                                index * STORE_CATALOG_FANOUT + i, node->block[i]);
        }
    }
    for (unsigned i = 0; level == 0 && i < STORE_CATALOG_LEAF_SLOTS; i++) {
        if (leaf->slot[i].kind == STORE_CATALOG_GENERATION) {
            reseal_entry(r, height, &leaf->slot[i].u.entry);
        }
    }
    return store_sum_block(r->uuid, STORE_SUM_CATALOG + level, index, reseal_block(r, block));
}

static inline void reseal_record(struct reseal *r, uint32_t slot)
{
    struct store_record *record = reseal_slot(r, slot);
    if (record == NULL || record->stamp.magic != STORE_RECORD_MAGIC) {
        return;
    }
    if (record->kind == STORE_RECORD_COMMIT) {
        uint32_t height = record->tree_height;
        if (record->root_block != 0 && height != 0 && height <= STORE_LEVELS_MOST) {
            record->root_sum = reseal_node(r, height - 1, 0, record->root_block);
        }
        reseal_chain(r, record);
        if (record->catalog_block != 0) {
            record->catalog_sum =
                reseal_catalog_block(r, height, STORE_CATALOG_LEVEL_ROOT, 0, record->catalog_block);
        }
        struct store_record *parent = reseal_slot(r, record->parent);
        if (record->parent != 0 && parent != NULL) {
            record->parent_sum = parent->sum;
        }
    }
    store_record_seal(r->uuid, slot, record);
}

static inline void reseal_image(uint8_t *bytes, uint64_t size, const uint8_t uuid[16],
                                uint32_t slots)
{
    struct reseal r = {
        .bytes = bytes, .block_count = size / STORE_BLOCK_SIZE, .slots = slots, .budget = 1000};
    memcpy(r.uuid, uuid, sizeof r.uuid);
    for (uint64_t block = 0; block < 2 && block < r.block_count; block++) {
        store_superblock_seal(reseal_block(&r, block));
    }
    for (int pass = 0; pass < 3; pass++) { /* parents may lie in later slots than their children */
        for (uint32_t slot = 0; slot < slots; slot++) {
            reseal_record(&r, slot);
        }
    }
    struct store_seal *seal = reseal_block(&r, STORE_SEAL);
    if (seal != NULL && seal->magic == STORE_SEAL_MAGIC) {
        struct store_record *record = reseal_slot(&r, seal->generation);
        if (record != NULL) {
            seal->record_sum = record->sum;
        }
        store_seal_seal(r.uuid, seal);
    }
    store_unpacker_finish(&r.unpacker);
}

#endif /* STORE_RESEAL_H */
