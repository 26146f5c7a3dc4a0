/* SPDX-License-Identifier: Apache-2.0
 *
 * txn_commit.c - how a transaction becomes a generation.
 *
 * Order inside commit(): copy of a page < its sum < completion of its write < completion of the
 * flush < publish. Nothing is freed or reused before publish.
 */
#include "ph_check.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "txn_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Behind all slots: what is in flight is in the arena, whatever becomes of the store. */
static struct store_record *record_of(const struct snap_txn *txn)
{
    size_t slot = (size_t)txn->capacity + NODE_SLOTS;
    return (struct store_record *)(void *)(txn->arena + slot * SNAP_PAGE_SIZE);
}

/* Somebody may have deleted or truncated the file under us: then nothing more may be acknowledged.
 * Nor when the file system has been shut down (an error in its journal, an administrator): a flush
 * that was under way may then report a success that it was not. XFS does: what waits for the
 * journal finds nothing to wait for once the journal has been thrown away. But it says so to
 * whoever asks.
 */
int txn_check_file(struct snap_store *store, struct phantom_diag *diag)
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
        return txn_settle(txn, 0, diag);
    }
    error = txn_settle(txn, 0, diag);
    if (error != 0) {
        return error;
    }
    error = store_flush(store);
    if (error != 0) {
        store->poison = error;
        return store_poisoned(store, diag);
    }
    return PH_MUTANT(FLUSH_BELIEVED) ? 0 : txn_check_file(store, diag);
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
        return txn_settle(txn, 0, diag);
    }
    if (PH_MUTANT(SEAL_BEFORE_FLUSH)) {
        int error = txn_settle(txn, 0, diag);
        struct store_seal seal = {
            .magic = STORE_SEAL_MAGIC, .generation = txn->number, .record_sum = record->sum};
        store_file_seal_seal(&store->file, &seal);
        memcpy(txn_slot_data(txn, 0), &seal, sizeof seal);
        store_output_put(&txn->output, store->file.seal_block, txn_slot_data(txn, 0));
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
    txn_empty_index(txn);
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
    if (ref->blocks > txn_node_end(txn) - txn->node_slot) {
        int error = txn_empty_arena(txn);
        if (error != 0) {
            return error;
        }
    }
    uint8_t *data = txn_slot_data(txn, txn->node_slot);
    size_t bytes = (size_t)ref->blocks * SNAP_PAGE_SIZE;
    memcpy(data, image, bytes);
    if (file->secret != NULL) {
        store_secret_cipher(file->secret, ref->sum, STORE_SUM_DELTA, ref->generation, data, bytes);
    }
    for (uint32_t i = 0; i < ref->blocks; i++) {
        store_output_put(&txn->output, ref->block + i, txn_slot_data(txn, txn->node_slot++));
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
        error = txn_take_run(txn, (uint64_t)blocks, &block, diag);
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
    return error == -ENOMEM ? txn_no_memory(txn, diag) : error;
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
        txn_enter_staged(txn, page_map_guess_run(&store->map, txn->used + txn->holes.count), diag);
    error = error != 0 ? error : emit_map(txn, diag);
    if (error == 0) {
        error = store_retention_plan(store, commit->time_ns, txn->dead.count,
                                     store->map.live_pages * SNAP_PAGE_SIZE, diag);
    }
    if (error == 0) {
        error = store_catalog_emit(store, txn->number, txn_place_catalog, txn, diag);
    }
    txn_return_run(txn);
    return error;
}

int snap_txn_commit(struct snap_txn *txn, const struct snap_commit *commit,
                    struct snap_generation *out, struct phantom_diag *diag)
{
    txn->diag = diag;
    int error = txn_refuse(txn, diag);
    error = error != 0 ? error : prepare(txn, commit, diag);
    if (!PH_MUTANT(FAILED_FILL_ACKNOWLEDGED)) {
        error =
            error != 0 ? error : txn_refuse(txn, diag); /* new blocks that could not be filled */
    }
    error = error != 0 ? txn_settle(txn, error, diag) : write_durably(txn, commit, diag);
    if (error != 0) {
        snap_txn_abort(txn);
        return error;
    }
    publish(txn, out);
    return 0;
}
