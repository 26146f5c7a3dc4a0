/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_txn.c - a transaction: its memory, begin, staging, abort. Where its blocks come from is in
 * txn_blocks.c, how pages go out in txn_write.c, how they become a generation in txn_commit.c.
 *
 * Owns the staging arena (kept from one transaction to the next), the index from page to slot, and
 * everything that is undecided until commit: blocks taken, blocks replaced. True between calls:
 *  - a slot whose block has been handed to the output does not change until its write is complete.
 *    Every call waits for that before it returns, but for one: see streaming;
 *  - no block of a retained generation has been written;
 *  - error != 0: the map is in an undefined state, only abort (or a commit that fails) may follow.
 *
 * Streaming. When the arena is full, write() hands all of it to the output and returns as soon as
 * one half is written; stage() gives out slots of that half while the other is on its way, then the
 * halves change places. So a large snapshot is copied, summed and written at the same time, in the
 * same memory. Slots are counted from `base` on; what is not among the first `limit` may be in
 * flight. Whoever needs all of the arena waits (snap_txn_settle(), the map's blocks); a read
 * through the same I/O waits as well (store_file_read_runs()). An error is reported by the next
 * call that can, and the record is not written before all completions are in.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "txn_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { ARENA_ALIGNMENT = 2 << 20 };

/* ---- memory -------------------------------------------------------------------------------- */

void store_txn_free(struct snap_store *store)
{
    struct snap_txn *txn = store->txn;
    if (txn == NULL) {
        return;
    }
    store->txn = NULL;
    block_list_finish(&txn->holes);
    block_list_finish(&txn->dead);
    block_list_finish(&txn->superseded);
    block_list_finish(&txn->slots);
    store_packer_destroy(txn->packer);
    ph_free(txn->taken);
    ph_free(txn->slot);
    ph_free(txn->bucket);
    if (!txn->output.lost || PH_MUTANT(LOST_BUFFERS_FREED)) { /* else the kernel may still read from
                                                                 it: leak rather than corrupt */
        ph_free(txn->arena);
        ph_free(txn);
    }
}

static int make_memory(struct snap_store *store, uint32_t capacity)
{
    if (store->txn != NULL && store->txn->capacity == capacity) {
        return 0;
    }
    store_txn_free(store);
    struct snap_txn *txn = ph_zalloc(1, sizeof *txn);
    if (txn == NULL) {
        return -ENOMEM;
    }
    store->txn = txn;
    uint32_t buckets = 1024;
    while (buckets < 2 * capacity) {
        buckets *= 2;
    }
    txn->store = store;
    txn->capacity = capacity;
    txn->bucket_mask = buckets - 1;
    txn->slot = ph_zalloc(capacity, sizeof *txn->slot);
    txn->bucket = ph_zalloc(buckets, sizeof *txn->bucket);
    size_t bytes = ((size_t)capacity + NODE_SLOTS + 1) * SNAP_PAGE_SIZE; /* and the record */
    txn->arena =
        ph_alloc_aligned(bytes >= ARENA_ALIGNMENT ? ARENA_ALIGNMENT : SNAP_PAGE_SIZE, bytes);
    txn->packer = store->file.has_packs ? store_packer_create() : NULL;
    bool packer_missing = store->file.has_packs && txn->packer == NULL;
    if (txn->slot == NULL || txn->bucket == NULL || txn->arena == NULL || packer_missing) {
        store_txn_free(store);
        return -ENOMEM;
    }
    return 0;
}

int snap_store_staging(struct snap_store *store, uint32_t staging_pages, void **area, size_t *bytes,
                       struct phantom_diag *diag)
{
    uint32_t capacity = staging_pages > SNAP_STAGING_LEAST ? staging_pages : SNAP_STAGING_LEAST;
    if (store->txn_active || make_memory(store, capacity) != 0) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for the staging area",
                       store_file_name(&store->file));
    }
    *area = store->txn->arena;
    *bytes = ((size_t)capacity + NODE_SLOTS) * SNAP_PAGE_SIZE;
    return 0;
}

/* Every page staged has been handed out, every write is complete: the arena is free. */
int txn_empty_arena(struct snap_txn *txn)
{
    int error = store_output_drain(&txn->output);
    txn->node_slot = txn->base = 0;
    txn->limit = txn->capacity;
    return error;
}

void txn_empty_index(struct snap_txn *txn)
{
    for (uint32_t i = 0; i < txn->used; i++) {
        txn->bucket[txn->slot[i].bucket] = 0;
    }
    txn->used = 0;
    txn->node_slot = 0;
    txn->holes.count = 0;
}

/* ---- begin, reserve, stage ----------------------------------------------------------------- */

uint32_t store_txn_staging(const struct snap_store *store)
{
    return store->txn != NULL ? store->txn->capacity : 0;
}

int store_may_write(struct snap_store *store, struct phantom_diag *diag)
{
    if (store->read_only) {
        return ph_fail(diag, PHANTOM_EREADONLY, "%s: opened read-only",
                       store_file_name(&store->file));
    }
    if (store->poison != 0) {
        return store_poisoned(store, diag);
    }
    if (store->txn_active) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s: a transaction is under way",
                       store_file_name(&store->file));
    }
    return 0;
}

int snap_txn_begin(struct snap_store *store, uint32_t staging_pages, struct snap_txn **out,
                   struct phantom_diag *diag)
{
    int refused = store_may_write(store, diag);
    if (refused != 0) {
        return refused;
    }
    int unable = txn_check_file(store, diag);
    unable = unable != 0 ? unable : store_early_space(store, diag);
    unable = unable != 0 ? unable : store_early_decide(store, diag);
    if (unable != 0) {
        return unable;
    }
    if (staging_pages < SNAP_STAGING_LEAST) {
        staging_pages = SNAP_STAGING_LEAST;
    }
    if (staging_pages > 1U << 28 || make_memory(store, staging_pages) != 0) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for %" PRIu32 " staging pages",
                       store_file_name(&store->file), staging_pages);
    }
    struct snap_txn *txn = store->txn;
    txn->number = store->next_generation;
    txn->dead = (struct block_list){0};
    txn->superseded.count = 0;
    txn->slots.count = 0;
    txn->taken_count = 0;
    txn->blocks_taken = txn->pages_written = txn->run_left = 0;
    txn->error = 0;
    txn->touched = false;
    txn->base = 0;
    txn->limit = txn->capacity;
    store_output_init(&txn->output, store->io);
    store->file.output = &txn->output;
    txn_empty_index(txn);
    store->map.replaced = txn_replaced;
    store->map.place = txn_place_node;
    store->map.context = txn;
    store->txn_active = true;
    *out = txn;
    return 0;
}

/* The heap is taken to have grown by no more than this since the last commit, plus what is written:
 * a wrong guess makes the commit ask for more room later, when a refusal still harms nothing. */
enum { GROWTH_PAGES = 32768 };

/* Blocks that a commit of `pages` pages and `holes` holes needs: the pages, and every node above
 * both, of which there are no more than the heap's used part has. */
static uint64_t blocks_for(const struct snap_store *store, uint64_t pages, uint64_t holes)
{
    const struct store_file *file = &store->file;
    uint64_t in_use = snap_store_current(store)->heap_pages + pages + GROWTH_PAGES;
    uint64_t blocks = PH_MUTANT(HOLES_NEED_BLOCKS) ? pages + holes : pages, entries = pages + holes;
    for (uint32_t level = 0; level < file->height; level++) {
        in_use = (in_use >> STORE_FANOUT_BITS) + 1;
        blocks += in_use < entries ? in_use : entries;
    }
    return blocks + file->height + page_map_guess_run(&store->map, entries) +
           store_catalog_allowance(store);
}

int snap_txn_reserve(struct snap_txn *txn, uint64_t pages, struct phantom_diag *diag)
{
    return snap_txn_reserve_holes(txn, pages, 0, diag);
}

int snap_txn_reserve_holes(struct snap_txn *txn, uint64_t pages, uint64_t holes,
                           struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    if (store->poison != 0) {
        return store_poisoned(store, diag);
    }
    if (pages > 4 * store->file.page_count) {
        return ph_fail(diag, PHANTOM_ENOSPACE,
                       "%s: %" PRIu64 " pages are more than a commit can be",
                       store_file_name(&store->file), pages);
    }
    uint64_t blocks = blocks_for(store, pages, holes);
    uint64_t used = txn->blocks_taken - txn->run_left;
    blocks = blocks > used ? blocks - used : 0;
    return PH_MUTANT(NOTHING_RESERVED) ? 0 : txn_make_room(store, blocks, diag);
}

/* The bucket of a page: where its slot is entered, or where it would be. */
static uint32_t find_bucket(const struct snap_txn *txn, uint64_t page)
{
    uint32_t bucket = (uint32_t)(page * UINT64_C(0x9E3779B97F4A7C15) >> 32) & txn->bucket_mask;
    while (txn->bucket[bucket] != 0 && txn->slot[txn->bucket[bucket] - 1].page != page) {
        bucket = (bucket + 1) & txn->bucket_mask;
    }
    return bucket;
}

void *snap_txn_stage(struct snap_txn *txn, uint64_t page)
{
    PH_CHECK(page < txn->store->file.page_count);
    uint32_t bucket = find_bucket(txn, page);
    if (txn->bucket[bucket] != 0) {
        uint32_t slot = txn->bucket[bucket] - 1;
        txn->slot[slot].hole = false;
        return txn_slot_data(txn, PH_MUTANT(FIRST_WORD_WINS) ? txn->capacity : slot);
    }
    if (txn->used == txn->limit) {
        return NULL;
    }
    uint32_t slot = txn->used++;
    txn->slot[slot] = (struct slot){.page = page, .bucket = bucket};
    txn->bucket[bucket] = slot + 1;
    return txn_slot_data(txn, slot);
}

int snap_txn_hole(struct snap_txn *txn, uint64_t page)
{
    if (page >= txn->store->file.page_count) {
        return PHANTOM_EINVALID;
    }
    uint32_t bucket = find_bucket(txn, page);
    if (txn->bucket[bucket] != 0) {
        txn->slot[txn->bucket[bucket] - 1].hole = true;
        return 0;
    }
    return block_list_add(&txn->holes, page);
}

void store_txn_touch(struct snap_txn *txn)
{
    txn->touched = true;
}

bool snap_txn_is_empty(const struct snap_txn *txn)
{
    return txn->used == 0 && (txn->holes.count == 0 || PH_MUTANT(UNCHANGED_BUT_HOLES)) &&
           !txn->touched && txn->error == 0;
}

/* ---- abort --------------------------------------------------------------------------------- */

void snap_txn_abort(struct snap_txn *txn)
{
    if (txn == NULL) {
        return;
    }
    struct snap_store *store = txn->store;
    bool untouched = snap_txn_is_empty(txn); /* so is the map: what it has loaded stays */
    (void)txn_settle(txn, 0, NULL);          /* a write that failed poisons also when given up */
    store->file.output = NULL;
    store_retention_cancel(store);
    txn_return_run(txn);
    for (size_t i = 0; i < txn->taken_count; i++) {
        for (uint64_t k = 0; k < txn->taken[i].count; k++) {
            block_space_release(&store->space, txn->taken[i].first + k);
        }
    }
    txn->taken_count = 0;
    txn_undo_slots(txn);
    block_list_finish(&txn->dead);
    txn_empty_index(txn);
    store->txn_active = false;
    if (untouched) {
        return;
    }
    const struct store_generation *current = store_current(store);
    const struct store_map nothing = {0};
    page_map_reset(&store->map, current != NULL ? &current->map : &nothing,
                   current != NULL ? current->info.live_pages : 0,
                   current != NULL ? current->memory_sum : (struct store_sum){0});
}
