/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_txn.c - a transaction: staging, writing, commit.
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
 *
 * Order inside commit(): copy of a page < its sum < completion of its write < completion of the
 * flush < publish. Nothing is freed or reused before publish.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    NODE_SLOTS = 64, /* arena slots beyond the staging capacity, for map nodes on their way out */
    ARENA_ALIGNMENT = 2 << 20,
    RUN_WANTED = 1024,  /* blocks asked for at a time by large commits */
    RUN_LEAST = 64,     /* shorter runs are not used if there is another way */
    FILE_MOST = 3,      /* times what is in use: so large may the file become to find longer ones */
    EARLY_SEGMENTS = 4, /* most by which the file grows for one early commit */
    EARLY_PARTS = 8,    /* of a segment: by one of them the file grows for an early commit */
};

struct slot {
    uint64_t page;
    uint32_t bucket;
    bool hole;
};

struct snap_txn {
    struct snap_store *store;
    uint64_t number; /* of the generation it will be */
    uint32_t capacity;
    uint32_t used;        /* slots staged and not yet written */
    uint32_t base, limit; /* where slot 0 is; how many may be staged: 0, capacity; else a half */
    uint8_t *arena;
    struct slot *slot;
    uint32_t *bucket; /* open addressing: slot + 1, or 0 */
    uint32_t bucket_mask;
    struct block_list holes;      /* page numbers; applied before the slots */
    struct block_list dead;       /* blocks of the current generation that this one replaces */
    struct block_list superseded; /* blocks taken and given up in this transaction */
    struct block_list slots;      /* places in packs that the map has begun or ceased to name */
    struct store_packer *packer;  /* NULL: no compression */
    struct store_extent *taken;   /* every block taken, as extents */
    size_t taken_count, taken_capacity;
    uint64_t blocks_taken;
    uint64_t pages_written;
    uint64_t run_block, run_left; /* taken and not yet handed out */
    uint32_t node_slot;           /* next arena slot for a map node */
    bool touched;                 /* the map is not that of the current generation any more */
    int error;
    struct store_output output;
    struct phantom_diag *diag; /* of the call under way, for the map's callbacks */
};

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

static uint8_t *slot_data(const struct snap_txn *txn, uint32_t slot)
{
    return txn->arena + ((size_t)txn->base + slot) * SNAP_PAGE_SIZE;
}

/* Behind all slots: what is in flight is in the arena, whatever becomes of the store. */
static struct store_record *record_of(const struct snap_txn *txn)
{
    size_t slot = (size_t)txn->capacity + NODE_SLOTS;
    return (struct store_record *)(void *)(txn->arena + slot * SNAP_PAGE_SIZE);
}

/* Behind the last slot that map nodes may take now. */
static uint32_t node_end(const struct snap_txn *txn)
{
    return txn->limit == txn->capacity ? txn->capacity + NODE_SLOTS : txn->limit;
}

/* Every page staged has been handed out, every write is complete: the arena is free. */
static int empty_arena(struct snap_txn *txn)
{
    int error = store_output_drain(&txn->output);
    txn->node_slot = txn->base = 0;
    txn->limit = txn->capacity;
    return error;
}

static void empty_index(struct snap_txn *txn)
{
    for (uint32_t i = 0; i < txn->used; i++) {
        txn->bucket[txn->slot[i].bucket] = 0;
    }
    txn->used = 0;
    txn->node_slot = 0;
    txn->holes.count = 0;
}

/* ---- blocks -------------------------------------------------------------------------------- */

static int no_memory(const struct snap_txn *txn, struct phantom_diag *diag)
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
static int make_room(struct snap_store *store, uint64_t blocks, struct phantom_diag *diag)
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
        return no_memory(txn, diag);
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
static int take_block(struct snap_txn *txn, uint64_t want, uint64_t *block,
                      struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    if (txn->run_left == 0) {
        int error = reserve_taken(txn, diag);
        want = want < RUN_WANTED ? want : RUN_WANTED;
        if (error == 0) {
            error = make_room(store, want, diag);
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
static void return_run(struct snap_txn *txn)
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

static void undo_slots(struct snap_txn *txn)
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
static int replaced(void *context, uint64_t place)
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

void store_txn_touch(struct snap_txn *txn)
{
    txn->touched = true;
}

int store_txn_enter_slot(struct snap_txn *txn, uint64_t place, struct phantom_diag *diag)
{
    if (pack_slots_has(&txn->store->slots, place)) {
        return wrong_slot(txn, place, "has two owners", diag);
    }
    return toggle_slot(txn, place) == 0 ? 0 : no_memory(txn, diag);
}

/* A block of metadata gets its place and its sum. It goes out from the arena, next to the pages if
 * it can. */
static int put_block(struct snap_txn *txn, uint64_t want, unsigned kind, uint64_t index,
                     const void *content, uint64_t *block, struct store_sum *sum)
{
    int error = txn->node_slot == node_end(txn) ? empty_arena(txn) : 0;
    if (error != 0) {
        return error;
    }
    error = take_block(txn, want, block, txn->diag);
    if (error != 0) {
        return error;
    }
    uint8_t *data = slot_data(txn, txn->node_slot++);
    memcpy(data, content, SNAP_PAGE_SIZE);
    *sum = store_encode(&txn->store->file, kind, index, data, 1);
    store_output_put(&txn->output, *block, data);
    return 0;
}

/* `blocks` blocks in a row, if there are; *first is 0 if not. */
static int take_run(struct snap_txn *txn, uint64_t blocks, uint64_t *first,
                    struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    *first = 0;
    if (txn->run_left >= blocks) {
        *first = txn->run_block;
        txn->run_block += blocks;
        txn->run_left -= blocks;
        return 0;
    }
    return_run(txn);
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
static int place(void *context, const struct store_node *node, uint64_t *block,
                 struct store_sum *sum)
{
    struct snap_txn *txn = context;
    return put_block(txn, txn->store->map.dirty_nodes, STORE_SUM_NODE + node->level, node->index,
                     node, block, sum);
}

/* The same for the catalog. */
static int place_catalog(void *context, unsigned kind, uint64_t index, const void *content,
                         uint64_t *block, struct store_sum *sum)
{
    return put_block(context, 1, kind, index, content, block, sum);
}

/* ---- begin, reserve, stage ----------------------------------------------------------------- */

/* Somebody may have deleted or truncated the file under us: then nothing more may be acknowledged.
 * Nor when the file system has been shut down (an error in its journal, an administrator): a flush
 * that was under way may then report a success that it was not. XFS does: what waits for the
 * journal finds nothing to wait for once the journal has been thrown away. But it says so to
 * whoever asks.
 */
static int check_file(struct snap_store *store, struct phantom_diag *diag)
{
    uint64_t size = 0;
    int error = store->io->ops->size(store->io, &size);
    if ((error == 0 && size >= store->file.block_count * STORE_BLOCK_SIZE) ||
        PH_MUTANT(DELETED_STORE_ACKNOWLEDGED)) {
        return 0;
    }
    store->poison = error != 0 ? error : -ESTALE;
    return ph_fail(diag, PHANTOM_EPOISONED, "%s: %s while it was in use",
                   store_file_name(&store->file),
                   error == 0         ? "became shorter"
                   : error == -ESTALE ? "was deleted"
                                      : "cannot be reached any more");
}

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
    int unable = check_file(store, diag);
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
    empty_index(txn);
    store->map.replaced = replaced;
    store->map.place = place;
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
    return PH_MUTANT(NOTHING_RESERVED) ? 0 : make_room(store, blocks, diag);
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
        return slot_data(txn, PH_MUTANT(FIRST_WORD_WINS) ? txn->capacity : slot);
    }
    if (txn->used == txn->limit) {
        return NULL;
    }
    uint32_t slot = txn->used++;
    txn->slot[slot] = (struct slot){.page = page, .bucket = bucket};
    txn->bucket[bucket] = slot + 1;
    return slot_data(txn, slot);
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

bool snap_txn_is_empty(const struct snap_txn *txn)
{
    return txn->used == 0 && (txn->holes.count == 0 || PH_MUTANT(UNCHANGED_BUT_HOLES)) &&
           !txn->touched && txn->error == 0;
}

/* ---- write --------------------------------------------------------------------------------- */

/* Staged pages on their way out. `left`: those not yet in the map; `run`: blocks that will be
 * wanted right behind the pages. With compression the arena is written anew from its beginning:
 * what goes out is always behind what is still to be read, since no pack has more blocks than
 * pages. */
struct outgoing {
    struct snap_txn *txn;
    uint32_t left, run;
    uint32_t out;                    /* next arena slot */
    uint64_t page[STORE_PACK_SLOTS]; /* of the pack being filled */
    struct store_sum sum[STORE_PACK_SLOTS];
    struct phantom_diag *diag;
};

static int make_hole(const struct outgoing *o, uint64_t page)
{
    return page_map_set(&o->txn->store->map, page, 0, (struct store_sum){0}, o->diag);
}

/* A page goes out as it is. */
static int put_page(struct outgoing *o, uint64_t page, const uint8_t *content)
{
    struct snap_txn *txn = o->txn;
    struct snap_store *store = txn->store;
    uint8_t *data = slot_data(txn, o->out++);
    uint64_t block = 0;
    if (data != content) {
        memmove(data, content, SNAP_PAGE_SIZE);
    }
    int error = take_block(txn, o->run + o->left, &block, o->diag);
    if (error != 0) {
        return error;
    }
    struct store_sum sum = store_encode(&store->file, STORE_SUM_PAGE, page, data, 1);
    store_output_put(&txn->output, block, data);
    txn->pages_written++;
    o->left--;
    return page_map_set(&store->map, page, block, sum, o->diag);
}

/* `blocks` blocks in a row; *first is 0 if there are none. */
static int take_together(struct outgoing *o, uint32_t blocks, uint64_t *first)
{
    struct snap_txn *txn = o->txn;
    if (txn->run_left < blocks) {
        return_run(txn); /* the next one begins there again, if it is long enough */
    }
    int error = take_block(txn, o->run + o->left, first, o->diag);
    if (error == 0 && txn->run_left < blocks - 1) {
        txn->run_block--;
        txn->run_left++;
        *first = 0;
    } else if (error == 0) {
        txn->run_block += blocks - 1;
        txn->run_left -= blocks - 1;
    }
    return error;
}

/* The pack being filled goes out; its pages as they are if nothing would be gained. */
static int put_pack(struct outgoing *o)
{
    struct snap_txn *txn = o->txn;
    struct store_packer *packer = txn->packer;
    uint32_t blocks = store_packer_blocks(packer);
    uint64_t first = 0;
    int error = blocks != 0 ? take_together(o, blocks, &first) : 0;
    if (error == 0 && first == 0) {
        for (uint32_t i = 0; error == 0 && i < packer->count; i++) {
            error = put_page(o, o->page[i], packer->pages + (size_t)i * SNAP_PAGE_SIZE);
        }
        store_packer_empty(packer);
        return error;
    }
    if (error == 0) {
        store_packer_finish(&txn->store->file, packer, first, slot_data(txn, o->out));
    }
    for (uint32_t i = 0; error == 0 && i < blocks; i++) {
        store_output_put(&txn->output, first + i, slot_data(txn, o->out++));
    }
    for (uint32_t i = 0; error == 0 && i < packer->count; i++) {
        uint64_t place = store_place_in_pack(first, blocks, i);
        error = store_txn_enter_slot(txn, place, o->diag);
        error = error != 0 ? error
                           : page_map_set(&txn->store->map, o->page[i], place, o->sum[i], o->diag);
        txn->pages_written++;
        o->left--;
    }
    store_packer_empty(packer);
    return error;
}

static int pack_page(struct outgoing *o, uint64_t page, const uint8_t *content)
{
    struct store_packer *packer = o->txn->packer;
    enum store_packed packed = store_packer_add(packer, content);
    if (packed == STORE_PACK_FULL) {
        int error = put_pack(o);
        if (error != 0) {
            return error;
        }
        packed = store_packer_add(packer, content);
    }
    if (packed != STORE_PACK_ADDED) {
        return put_page(o, page, content);
    }
    o->page[packer->count - 1] = page;
    o->sum[packer->count - 1] =
        store_sum_in_memory(&o->txn->store->file, STORE_SUM_PAGE, page, content, 1);
    return 0;
}

/* Enter holes and staged pages into the map and hand the pages to the output. */
static int enter_staged(struct snap_txn *txn, uint32_t run, struct phantom_diag *diag)
{
    struct outgoing o = {.txn = txn, .run = run, .diag = diag};
    int error = 0;
    txn->touched = txn->touched || txn->holes.count != 0 || txn->used != 0;
    for (size_t i = 0; error == 0 && i < txn->holes.count; i++) {
        error = make_hole(&o, txn->holes.block[i]);
    }
    for (uint32_t i = 0; i < txn->used; i++) {
        txn->slot[i].hole = txn->slot[i].hole || store_block_is_zero(slot_data(txn, i));
        o.left += !txn->slot[i].hole;
    }
    bool pack = txn->packer != NULL && o.left > 1; /* a page alone has nobody to share with */
    for (uint32_t i = 0; error == 0 && i < txn->used; i++) {
        o.out = pack ? o.out : i;
        error = txn->slot[i].hole ? make_hole(&o, txn->slot[i].page)
                : pack            ? pack_page(&o, txn->slot[i].page, slot_data(txn, i))
                                  : put_page(&o, txn->slot[i].page, slot_data(txn, i));
    }
    if (pack) {
        error = error != 0 ? error : put_pack(&o);
        store_packer_empty(txn->packer);
    }
    txn->node_slot = pack ? o.out : txn->used;
    return error;
}

/* Nothing may be in flight when a call returns. A failed write is final: poison. */
static int settle(struct snap_txn *txn, int error, struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    int failed = store_output_drain(&txn->output);
    if (failed != 0) {
        store->poison = store->poison != 0 ? store->poison : failed;
        store->file.lost = store->file.lost || txn->output.lost;
        error = store_poisoned(store, diag);
    }
    txn->error = txn->error != 0 ? txn->error : error;
    return error;
}

static int refuse(const struct snap_txn *txn, struct phantom_diag *diag)
{
    if (txn->store->poison != 0) {
        return store_poisoned(txn->store, diag);
    }
    return txn->error == 0
               ? 0
               : ph_fail(diag, txn->error, "%s: the transaction has failed already: %s",
                         store_file_name(&txn->store->file), phantom_strerror(txn->error));
}

bool snap_txn_is_full(const struct snap_txn *txn)
{
    return txn->used == txn->limit;
}

/* All that was staged is on its way: go on in the half that is, or will be, written first. */
static void change_halves(struct snap_txn *txn)
{
    uint32_t half = txn->capacity / 2;
    bool upper = txn->limit < txn->capacity && txn->base == 0; /* it was full in the lower one */
    txn->base = upper ? half : 0;
    txn->limit = upper ? txn->capacity - half : half;
    if (!PH_MUTANT(STREAM_OVERTAKES)) {
        store_output_leave(&txn->output, slot_data(txn, 0),
                           txn->arena + (size_t)(txn->base + txn->limit) * SNAP_PAGE_SIZE);
    }
}

int snap_txn_write(struct snap_txn *txn, struct phantom_diag *diag)
{
    int error = refuse(txn, diag);
    if (error != 0) {
        return error;
    }
    txn->diag = diag;
    bool full = snap_txn_is_full(txn);
    error = enter_staged(txn, 0, diag);
    return_run(txn);
    empty_index(txn);
    if (full && error == 0) {
        change_halves(txn);
    }
    if (full && error == 0 && txn->output.error == 0) {
        return 0;
    }
    txn->base = 0;
    txn->limit = txn->capacity;
    return settle(txn, error, diag);
}

int snap_txn_settle(struct snap_txn *txn, struct phantom_diag *diag)
{
    int error = refuse(txn, diag);
    if (error == 0) {
        error = settle(txn, 0, diag);
        if (txn->base != 0) {
            memmove(txn->arena, slot_data(txn, 0), (size_t)txn->used * SNAP_PAGE_SIZE);
        }
        txn->base = 0;
        txn->limit = txn->capacity;
    }
    return error;
}

/* ---- commit -------------------------------------------------------------------------------- */

/* A small commit's record goes out with the data, if its extents fit into the record. Not if it
 * changes the catalog: that is rare, and what other generations depend on. */
static bool is_small(const struct snap_txn *txn)
{
    return (!store_catalog_changes(txn->store) || PH_MUTANT(CATALOG_NOT_FLUSHED)) &&
           txn->pages_written <= SNAP_SMALL_COMMIT_PAGES && txn->taken_count <= STORE_EXTENTS &&
           txn->blocks_taken <= STORE_SMALL_BLOCKS;
}

static void retained_bits(const struct snap_store *store, uint64_t number, uint64_t *bits)
{
    uint32_t slot = store_slot_of(&store->file, number);
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
    for (unsigned i = store_ring_first(store); i < store->generation_count; i++) {
        if (!store->generation[i].drop && !store->generation[i].enter) {
            slot = store_slot_of(&store->file, store->generation[i].info.number);
            bits[slot / 64] |= UINT64_C(1) << slot % 64;
        }
    }
}

static void make_record(const struct snap_txn *txn, const struct snap_commit *commit, bool small,
                        struct store_record *record)
{
    struct snap_store *store = txn->store;
    const struct store_generation *parent = store_current(store);
    memset(record, 0, sizeof *record);
    record->stamp.generation = txn->number;
    record->kind = STORE_RECORD_COMMIT;
    record->flags = small ? 0 : STORE_RECORD_FLUSHED_FIRST;
    record->record_version = STORE_FORMAT_VERSION;
    record->tree_height = store->file.height;
    memcpy(record->uuid, store->file.uuid, sizeof record->uuid);
    if (parent != NULL) {
        record->parent = parent->info.number;
        record->parent_sum =
            (struct store_sum){parent->info.record_sum.low, parent->info.record_sum.high};
    }
    record->incarnation = store->incarnation;
    record->time_ns = commit->time_ns;
    record->pause_ns = commit->pause_ns;
    record->heap_pages = commit->heap_pages;
    record->live_pages = store->map.live_pages;
    record->root_block = store->map.disk.root_block;
    record->root_sum = store->map.disk.root_sum;
    record->delta = store->map.disk.delta;
    record->delta_bytes = page_map_delta_bytes(&store->map);
    if (store->file.has_runs) { /* else the store is written as it was made */
        record->high_water = block_space_high_water(&store->space);
    }
    record->memory_sum = store->map.memory_sum;
    record->pages_written = txn->pages_written;
    record->blocks_written = txn->blocks_taken;
    record->blocks_used = store_blocks_used(store);
    record->heap_layout = commit->version.heap_layout;
    record->native_classes = commit->version.native_classes;
    if (small) {
        record->extent_count = (uint32_t)txn->taken_count;
        for (size_t i = 0; i < txn->taken_count; i++) {
            record->extents[i / STORE_EXTENTS_PER_SECTOR].extent[i % STORE_EXTENTS_PER_SECTOR] =
                txn->taken[i];
        }
    }
    struct store_catalog_place catalog = store_catalog_root(store);
    record->catalog_block = catalog.block;
    record->catalog_sum = catalog.sum;
    retained_bits(store, txn->number, record->retained);
    store_file_seal_record(&store->file, store_slot_of(&store->file, txn->number), record);
}

/* Reap, flush, and ask whether the file is still there. Any failure is final. */
static int make_durable(struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    int error = 0;
    if (PH_MUTANT(FLUSH_BEFORE_REAP)) {
        (void)store_flush(store);
        return settle(txn, 0, diag);
    }
    error = settle(txn, 0, diag);
    if (error != 0) {
        return error;
    }
    error = store_flush(store);
    if (error != 0) {
        store->poison = error;
        return store_poisoned(store, diag);
    }
    return PH_MUTANT(FLUSH_BELIEVED) ? 0 : check_file(store, diag);
}

/* Bring data, nodes and record to the disk in the order that makes them a generation. */
static int write_durably(struct snap_txn *txn, const struct snap_commit *commit,
                         struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    bool small = is_small(txn);
    struct store_record *record = record_of(txn);
    if (!small && !PH_MUTANT(LARGE_COMMIT_NOT_FLUSHED)) {
        int error = make_durable(txn, diag);
        if (error != 0) {
            return error;
        }
    }
    make_record(txn, commit, small, record);
    uint64_t block = store->file.ring_start + store_slot_of(&store->file, txn->number);
    store_output_put(&txn->output, block, record);
    if (PH_MUTANT(ACK_BEFORE_FLUSH)) {
        return settle(txn, 0, diag);
    }
    if (PH_MUTANT(SEAL_BEFORE_FLUSH)) {
        int error = settle(txn, 0, diag);
        struct store_seal seal = {
            .magic = STORE_SEAL_MAGIC, .generation = txn->number, .record_sum = record->sum};
        store_file_seal_seal(&store->file, &seal);
        memcpy(slot_data(txn, 0), &seal, sizeof seal);
        store_output_put(&txn->output, store->file.seal_block, slot_data(txn, 0));
        error = error != 0 ? error : make_durable(txn, diag);
        return error;
    }
    return make_durable(txn, diag);
}

/* The generation is durable: it is the current one from here on. Cannot fail. */
static void publish(struct snap_txn *txn, struct snap_generation *out)
{
    struct snap_store *store = txn->store;
    const struct store_record *record = record_of(txn);
    page_map_published(&store->map);
    store_retention_apply(store);
    for (size_t i = 0; i < txn->superseded.count; i++) {
        /* Before accounting nobody knows that no forged map names the same block twice. */
        if (store->accounted || store->space.birth[txn->superseded.block[i]] == txn->number) {
            block_space_release(&store->space, txn->superseded.block[i]);
        }
    }
    if (PH_MUTANT(REUSE_TOO_EARLY)) {
        for (size_t i = 0; i < txn->dead.count; i++) {
            block_space_release(&store->space, txn->dead.block[i]);
        }
        txn->dead.count = 0;
        store->space.cursor = store->space.data_start;
    }
    txn->slots.count = 0;
    PH_CHECK(store->generation_count < store->generation_capacity);
    int64_t active_ns = store_active_ns(store_current(store), record->time_ns);
    store->history_blocks += txn->dead.count;
    store->generation[store->generation_count++] =
        (struct store_generation){.info = store_generation_info(record),
                                  .active_ns = active_ns,
                                  .map = store_map_of(record),
                                  .memory_sum = record->memory_sum,
                                  .dead = txn->dead};
    txn->dead = (struct block_list){0};
    store->blocks_used_hint = record->blocks_used;
    store->next_generation = store_next_number(store, txn->number);
    struct store_generation *parent = store->generation_count > 1 ? store_current(store) - 1 : NULL;
    if (parent != NULL) {
        parent->info.sealed = true;
    }
    if (out != NULL) {
        *out = store_current(store)->info;
    }
    empty_index(txn);
    store->file.output = NULL;
    store->txn_active = false;
}

/* Hand a delta run to the output: behind the pages in the arena, which makes it one request with
 * them where it fits there; in an empty arena it always does. The image itself is still needed. */
static int put_run(struct snap_txn *txn, const uint8_t *image)
{
    const struct store_file *file = &txn->store->file;
    const struct store_delta_ref *ref = &txn->store->map.disk.delta;
    PH_CHECK(ref->blocks <= txn->capacity + NODE_SLOTS);
    if (ref->blocks > node_end(txn) - txn->node_slot) {
        int error = empty_arena(txn);
        if (error != 0) {
            return error;
        }
    }
    uint8_t *data = slot_data(txn, txn->node_slot);
    size_t bytes = (size_t)ref->blocks * SNAP_PAGE_SIZE;
    memcpy(data, image, bytes);
    if (file->secret != NULL) {
        store_secret_cipher(file->secret, ref->sum, STORE_SUM_DELTA, ref->generation, data, bytes);
    }
    for (uint32_t i = 0; i < ref->blocks; i++) {
        store_output_put(&txn->output, ref->block + i, slot_data(txn, txn->node_slot++));
    }
    return 0;
}

/* The map goes out as one more delta run, or as a checkpoint where that is cheaper, or where there
 * is no room for a run in one piece. */
static int emit_map(struct snap_txn *txn, struct phantom_diag *diag)
{
    struct page_map *map = &txn->store->map;
    uint64_t block = 0;
    const uint8_t *image = NULL;
    int blocks = page_map_plan(map, false, diag);
    int error = blocks < 0 ? blocks : 0;
    if (blocks > 0) {
        error = take_run(txn, (uint64_t)blocks, &block, diag);
        if (error == 0 && block == 0) {
            blocks = page_map_plan(map, true, diag);
            error = blocks < 0 ? blocks : 0;
        }
    }
    if (error == 0 && block != 0) {
        error = page_map_emit_run(map, txn->number, block, &image);
        error = error != 0 ? error : put_run(txn, image);
    }
    error = error != 0 ? error : page_map_emit(map, txn->number, diag);
    return error == -ENOMEM ? no_memory(txn, diag) : error;
}

/* Everything up to the point where only I/O can fail. */
static int prepare(struct snap_txn *txn, const struct snap_commit *commit,
                   struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    if (commit->heap_pages > store->file.page_count) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s: more pages in use than the range has",
                       store_file_name(&store->file));
    }
    if (txn->number >= STORE_GENERATION_LIMIT - STORE_RING_SLOTS &&
        !PH_MUTANT(NUMBER_LIMIT_IGNORED)) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s: generation numbers are used up",
                       store_file_name(&store->file));
    }
    txn->output.together = !txn->touched && txn->used <= SNAP_SMALL_COMMIT_PAGES &&
                           txn->holes.count <= SNAP_SMALL_COMMIT_PAGES;
    int error =
        enter_staged(txn, page_map_guess_run(&store->map, txn->used + txn->holes.count), diag);
    error = error != 0 ? error : emit_map(txn, diag);
    if (error == 0) {
        error = store_retention_plan(store, commit->time_ns, txn->dead.count,
                                     store->map.live_pages * SNAP_PAGE_SIZE, diag);
    }
    if (error == 0) {
        error = store_catalog_emit(store, txn->number, place_catalog, txn, diag);
    }
    return_run(txn);
    return error;
}

int snap_txn_commit(struct snap_txn *txn, const struct snap_commit *commit,
                    struct snap_generation *out, struct phantom_diag *diag)
{
    txn->diag = diag;
    int error = refuse(txn, diag);
    error = error != 0 ? error : prepare(txn, commit, diag);
    if (!PH_MUTANT(FAILED_FILL_ACKNOWLEDGED)) {
        error = error != 0 ? error : refuse(txn, diag); /* new blocks that could not be filled */
    }
    error = error != 0 ? settle(txn, error, diag) : write_durably(txn, commit, diag);
    if (error != 0) {
        snap_txn_abort(txn);
        return error;
    }
    publish(txn, out);
    return 0;
}

void snap_txn_abort(struct snap_txn *txn)
{
    if (txn == NULL) {
        return;
    }
    struct snap_store *store = txn->store;
    bool untouched = snap_txn_is_empty(txn); /* so is the map: what it has loaded stays */
    (void)settle(txn, 0, NULL);              /* a write that failed poisons also when given up */
    store->file.output = NULL;
    store_retention_cancel(store);
    return_run(txn);
    for (size_t i = 0; i < txn->taken_count; i++) {
        for (uint64_t k = 0; k < txn->taken[i].count; k++) {
            block_space_release(&store->space, txn->taken[i].first + k);
        }
    }
    txn->taken_count = 0;
    undo_slots(txn);
    block_list_finish(&txn->dead);
    empty_index(txn);
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

/* ---- making room --------------------------------------------------------------------------- */

int snap_store_trim(struct snap_store *store, struct phantom_diag *diag)
{
    if (store->generation_count < 3) {
        return 0; /* the current generation and its parent always stay */
    }
    unsigned before = store->generation_count;
    store->trimming = true;
    int error = store_commit_again(store, NULL, diag);
    store->trimming = false;
    return error != 0 ? error : store->generation_count <= before;
}
