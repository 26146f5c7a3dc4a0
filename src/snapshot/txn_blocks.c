/* SPDX-License-Identifier: Apache-2.0
 *
 * txn_blocks.c - the blocks of a transaction: room in the file, blocks taken in runs, blocks and
 * places in packs that the map ceases to name, and the metadata blocks that go out with them.
 *
 * True between calls: `taken` holds every block given out by the transaction, so that an abort can
 * give it back; nothing that a retained generation has is free before publish.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "txn_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    RUN_WANTED = 1024,  /* blocks asked for at a time by large commits */
    RUN_LEAST = 64,     /* shorter runs are not used if there is another way */
    FILE_MOST = 3,      /* times what is in use: so large may the file become to find longer ones */
    EARLY_SEGMENTS = 4, /* most by which the file grows for one early commit */
    EARLY_PARTS = 8,    /* of a segment: by one of them the file grows for an early commit */
};

int txn_no_memory(const struct snap_txn *txn, struct phantom_diag *diag)
{
    return ph_fail(diag, -ENOMEM, "%s: no memory for the transaction",
                   store_file_name(&txn->store->file));
}

/* Make the file longer so that `blocks` blocks are free: by whole segments (an early commit does
 * with a part of one), or, where the disk is too full for that, by as little as will do. */
static int grow_file(struct snap_store *store, uint64_t blocks, struct phantom_diag *diag)
{
    struct store_file *file = &store->file;
    uint64_t missing = blocks - block_space_free_count(&store->space);
    uint64_t unit = store->accounted ? file->segment_blocks : file->segment_blocks / EARLY_PARTS;
    uint64_t more = (missing + unit - 1) / unit * unit;
    int error = store_file_extend(file, file->block_count, missing, &more);
    if (error != 0) {
        return ph_fail(diag, error == -ENOSPC ? PHANTOM_ENOSPACE : error,
                       "%s: cannot grow to %" PRIu64 " bytes: %s", store_file_name(file),
                       (file->block_count + missing) * STORE_BLOCK_SIZE, store_room_text(error));
    }
    uint64_t first = file->block_count;
    if ((file->has_packs && pack_slots_grow(&store->slots, first + more) != 0) ||
        block_space_grow(&store->space, first + more) != 0) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to use a longer file", store_file_name(file));
    }
    file->block_count = first + more;
    if (more > file->segment_blocks) {
        return 0; /* a bulk load would only write everything twice */
    }
    error = store_file_fill(file, first, more);
    if (error != 0) {
        store->poison = error;
        return store_poisoned(store, diag);
    }
    return 0;
}

/* Is the file so small beside what is in use that it may grow to find longer runs? */
static bool may_grow(const struct snap_store *store)
{
    const struct store_file *file = &store->file;
    uint64_t blocks = file->block_count - file->data_start + file->segment_blocks;
    return blocks <= FILE_MOST * store_blocks_used(store);
}

/* See to it that `blocks` blocks are free. An early commit makes the file longer by little; what
 * needs more, or may not, waits for accounting, which knows of the free blocks further down. */
int txn_make_room(struct snap_store *store, uint64_t blocks, struct phantom_diag *diag)
{
    uint64_t free_blocks = block_space_free_count(&store->space);
    if (blocks > free_blocks && !store->accounted) {
        bool little =
            blocks - free_blocks <= EARLY_SEGMENTS * store->file.segment_blocks && may_grow(store);
        int error = little ? grow_file(store, blocks, NULL) : PHANTOM_ENOSPACE;
        if (error != 0 && store->poison != 0) {
            return store_poisoned(store, diag);
        }
        error = error != 0 ? snap_store_account(store, UINT64_MAX, diag) : 0;
        if (error != 0) {
            return error;
        }
        free_blocks = block_space_free_count(&store->space);
    }
    return blocks <= free_blocks ? 0 : grow_file(store, blocks, diag);
}

/* Remember that blocks were taken; the memory for one more extent is there already. */
static void note_taken(struct snap_txn *txn, uint64_t first, uint64_t count)
{
    struct store_extent *last = txn->taken_count != 0 ? &txn->taken[txn->taken_count - 1] : NULL;
    if (last != NULL && last->first + last->count == first) {
        last->count += count;
    } else {
        PH_CHECK(txn->taken_count < txn->taken_capacity);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): reserve_taken() came before */
        txn->taken[txn->taken_count++] = (struct store_extent){first, count};
    }
    txn->blocks_taken += count;
}

static int reserve_taken(struct snap_txn *txn, struct phantom_diag *diag)
{
    if (txn->taken_count < txn->taken_capacity) {
        return 0;
    }
    size_t capacity = txn->taken_capacity != 0 ? 2 * txn->taken_capacity : 64;
    struct store_extent *taken = ph_realloc(txn->taken, capacity * sizeof *taken);
    if (taken == NULL) {
        return txn_no_memory(txn, diag);
    }
    txn->taken = taken;
    txn->taken_capacity = capacity;
    return 0;
}

/* A run of up to `want` blocks. Short ones are left to grow longer: rather than to fill them the
 * file grows, up to three times what is in use. 0: full. */
static uint64_t allocate_run(struct snap_txn *txn, uint64_t want, uint64_t *first)
{
    struct snap_store *store = txn->store;
    struct block_space *space = &store->space;
    for (uint64_t least = want < RUN_LEAST ? want : RUN_LEAST;; least = (least + 3) / 4) {
        uint64_t count = block_space_allocate(space, want, least, txn->number, first);
        if (count == 0 && store->accounted && may_grow(store) &&
            grow_file(store, block_space_free_count(space) + want, NULL) == 0) {
            count = block_space_allocate(space, want, least, txn->number, first);
        }
        if (count != 0 || least == 1) {
            return count;
        }
    }
}

/* The next block to write to. `want`: how many the caller is going to ask for from here on. */
int txn_take_block(struct snap_txn *txn, uint64_t want, uint64_t *block, struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    if (txn->run_left == 0) {
        int error = reserve_taken(txn, diag);
        want = want < RUN_WANTED ? want : RUN_WANTED;
        if (error == 0) {
            error = txn_make_room(store, want, diag);
            if (error == PHANTOM_ENOSPACE && block_space_free_count(&store->space) != 0) {
                error = 0; /* what is left may be enough in the end */
            }
        }
        if (error != 0) {
            return error;
        }
        txn->run_left = allocate_run(txn, want, &txn->run_block);
        if (txn->run_left == 0) {
            return ph_fail(diag, PHANTOM_ENOSPACE, "%s: full", store_file_name(&store->file));
        }
        note_taken(txn, txn->run_block, txn->run_left);
    }
    *block = txn->run_block++;
    txn->run_left--;
    return 0;
}

/* Give back what the last run holds beyond what was used, so that extents say what was written. */
void txn_return_run(struct snap_txn *txn)
{
    if (txn->run_left == 0) {
        return;
    }
    for (uint64_t i = 0; i < txn->run_left; i++) {
        block_space_release(&txn->store->space, txn->run_block + i);
    }
    struct store_extent *last = &txn->taken[txn->taken_count - 1];
    last->count -= txn->run_left;
    txn->taken_count -= last->count == 0;
    txn->blocks_taken -= txn->run_left;
    txn->store->space.cursor = txn->run_block;
    txn->run_left = 0;
}

/* Blocks are no longer part of the map. 0 or -ENOMEM. */
static int give_up(struct snap_txn *txn, uint64_t first, uint32_t count)
{
    bool own = txn->store->space.birth[first] == txn->number;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < count; i++) {
        error = block_list_add(own ? &txn->superseded : &txn->dead, first + i);
    }
    return error;
}

/* The map begins or ceases to name a page of a pack; can be undone. 0 or -ENOMEM. */
static int toggle_slot(struct snap_txn *txn, uint64_t place)
{
    int error = block_list_add(&txn->slots, place);
    if (error == 0) {
        pack_slots_toggle(&txn->store->slots, place);
    }
    return error;
}

void txn_undo_slots(struct snap_txn *txn)
{
    for (size_t i = 0; i < txn->slots.count; i++) {
        pack_slots_toggle(&txn->store->slots, txn->slots.block[i]);
    }
    txn->slots.count = 0;
}

static int wrong_slot(const struct snap_txn *txn, uint64_t place, const char *what,
                      struct phantom_diag *diag)
{
    return ph_fail(diag, PHANTOM_ECORRUPT, "%s: slot %u of the pack in block %" PRIu64 " %s",
                   store_file_name(&txn->store->file), store_place_slot(place),
                   store_place_block(place), what);
}

/* page_map callback: a block leaves the map, or a page's place, which may be in a pack. */
int txn_replaced(void *context, uint64_t place)
{
    struct snap_txn *txn = context;
    const struct pack_slots *slots = &txn->store->slots;
    if (!store_place_is_packed(place)) {
        return give_up(txn, place, 1);
    }
    if (!pack_slots_has(slots, place)) {
        return wrong_slot(txn, place, "is not in use", txn->diag);
    }
    int error = toggle_slot(txn, place);
    if (error != 0 || (pack_slots_any(slots, place) && !PH_MUTANT(PACK_FREED_EARLY))) {
        return error; /* another page still needs the pack */
    }
    return give_up(txn, store_place_block(place), store_place_blocks(place));
}

int store_txn_enter_slot(struct snap_txn *txn, uint64_t place, struct phantom_diag *diag)
{
    if (pack_slots_has(&txn->store->slots, place)) {
        return wrong_slot(txn, place, "has two owners", diag);
    }
    return toggle_slot(txn, place) == 0 ? 0 : txn_no_memory(txn, diag);
}

/* A block of metadata gets its place and its sum. It goes out from the arena, next to the pages if
 * it can. */
static int put_block(struct snap_txn *txn, uint64_t want, unsigned kind, uint64_t index,
                     const void *content, uint64_t *block, struct store_sum *sum)
{
    int error = txn->node_slot == txn_node_end(txn) ? txn_empty_arena(txn) : 0;
    if (error != 0) {
        return error;
    }
    error = txn_take_block(txn, want, block, txn->diag);
    if (error != 0) {
        return error;
    }
    uint8_t *data = txn_slot_data(txn, txn->node_slot++);
    memcpy(data, content, SNAP_PAGE_SIZE);
    *sum = store_encode(&txn->store->file, kind, index, data, 1);
    store_output_put(&txn->output, *block, data);
    return 0;
}

/* `blocks` blocks in a row, if there are; *first is 0 if not. */
int txn_take_run(struct snap_txn *txn, uint64_t blocks, uint64_t *first, struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    *first = 0;
    if (txn->run_left >= blocks) {
        *first = txn->run_block;
        txn->run_block += blocks;
        txn->run_left -= blocks;
        return 0;
    }
    txn_return_run(txn);
    int error = reserve_taken(txn, diag);
    if (error != 0) {
        return error;
    }
    uint64_t got = block_space_allocate(&store->space, blocks, blocks, txn->number, first);
    if (got == blocks) {
        note_taken(txn, *first, got);
        return 0;
    }
    for (uint64_t i = 0; i < got; i++) {
        block_space_release(&store->space, *first + i);
    }
    *first = 0;
    return 0;
}

/* page_map callback */
int txn_place_node(void *context, const struct store_node *node, uint64_t *block,
                   struct store_sum *sum)
{
    struct snap_txn *txn = context;
    return put_block(txn, txn->store->map.dirty_nodes, STORE_SUM_NODE + node->level, node->index,
                     node, block, sum);
}

/* The same for the catalog. */
int txn_place_catalog(void *context, unsigned kind, uint64_t index, const void *content,
                      uint64_t *block, struct store_sum *sum)
{
    return put_block(context, 1, kind, index, content, block, sum);
}
