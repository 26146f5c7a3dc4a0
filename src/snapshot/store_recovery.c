/* SPDX-License-Identifier: Apache-2.0
 *
 * store_recovery.c - what an open finds in the record ring, and which generation it believes.
 *
 * The one idea: at any instant at most one record is being written, and its number - hence its slot
 * - is known from all the others. So a crash can leave exactly one slot torn, the *expected* one.
 * A torn record anywhere else is damage. In order:
 *
 *  1. classify every slot: commit, tombstone, torn;
 *  2. V = the commit with the highest number; expected = the number that the writer of V would have
 *     used next;
 *  3. V is sealed if the seal block names it or if the expected slot is torn (its record is written
 *     only after V is durable). Unsealed and not flushed first: V's own nodes, delta run
 * and pages are verified; if they are not all there V is incomplete and its parent, sealed by V, is
 * chosen instead;
 *  4. anything that cannot come from a crash is PHANTOM_ECORRUPT;
 *  5. writers overwrite every record that is newer than the chosen one, and every torn one, with a
 *     tombstone that keeps its number, and flush, before anything else is written;
 *  6. the next generation's number is above every number seen, valid, torn or tombstone.
 */
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum slot_kind { SLOT_TOMBSTONE, SLOT_COMMIT, SLOT_TORN };

struct ring {
    struct store_record *record; /* ring_slots of them */
    enum slot_kind kind[STORE_RING_SLOTS];
    uint64_t number[STORE_RING_SLOTS]; /* 0: none known */
    int newest;                        /* slot of V, or -1 */
    uint64_t highest_whole;            /* number in any commit or tombstone */
    uint64_t expected;                 /* number of the one record that may be torn */
    bool expected_is_torn;
    int chosen; /* slot, or -1: the empty store */
};

/* ---- records ------------------------------------------------------------------------------- */

void store_tombstone_make(const struct store_file *file, uint32_t slot, uint64_t number,
                          struct store_record *record)
{
    memset(record, 0, sizeof *record);
    record->stamp.generation = number;
    record->kind = STORE_RECORD_TOMBSTONE;
    record->record_version = STORE_FORMAT_VERSION;
    memcpy(record->uuid, file->uuid, sizeof record->uuid);
    store_file_seal_record(file, slot, record);
}

struct snap_generation store_generation_info(const struct store_record *record)
{
    return (struct snap_generation){
        .number = record->stamp.generation,
        .parent = record->parent,
        .heap_pages = record->heap_pages,
        .live_pages = record->live_pages,
        .pages_written = record->pages_written,
        .bytes_written = (record->blocks_written + 1) * STORE_BLOCK_SIZE,
        .time_ns = record->time_ns,
        .pause_ns = record->pause_ns,
        .incarnation = record->incarnation,
        .root_sum = snap_sum_of(record->memory_sum),
        .record_sum = snap_sum_of(record->sum),
        .version = {record->heap_layout, record->native_classes},
    };
}

uint64_t store_next_number(const struct snap_store *store, uint64_t after)
{
    uint64_t number = after + 1;
    for (bool clash = true; clash;) { /* ends: fewer are retained than there are slots */
        clash = false;
        for (unsigned i = store_ring_first(store); i < store->generation_count; i++) {
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): as many as are counted */
            clash = clash || store_slot_of(&store->file, store->generation[i].info.number) ==
                                 store_slot_of(&store->file, number);
        }
        number += clash;
    }
    return number;
}

/* The ref of a delta run is all there or not at all; where it points is looked at when it is
 * followed. */
static bool is_delta_possible(const struct store_record *record)
{
    const struct store_delta_ref *delta = &record->delta;
    if (delta->block == 0) {
        return (delta->generation | delta->blocks | delta->entries | record->delta_bytes) == 0 &&
               store_sum_is_zero(delta->sum);
    }
    return delta->generation != 0 && delta->generation <= record->stamp.generation &&
           delta->entries != 0 && delta->blocks != 0 && !store_sum_is_zero(delta->sum);
}

/* A record whose sum holds was written by a store; this refuses what no store of ours writes. */
bool store_record_is_possible(const struct store_file *file, uint32_t slot,
                              const struct store_record *record)
{
    uint64_t number = record->stamp.generation;
    if (record->record_version != STORE_FORMAT_VERSION || number >= STORE_GENERATION_LIMIT ||
        memcmp(record->uuid, file->uuid, sizeof file->uuid) != 0 ||
        (number != 0 && store_slot_of(file, number) != slot)) {
        return false;
    }
    if (record->kind == STORE_RECORD_TOMBSTONE) {
        return true;
    }
    if (record->kind != STORE_RECORD_COMMIT || number == 0 || record->parent >= number ||
        (record->parent == 0) != store_sum_is_zero(record->parent_sum) ||
        (record->root_block == 0) != store_sum_is_zero(record->root_sum) ||
        !is_delta_possible(record) || record->tree_height != file->height ||
        record->heap_pages > file->page_count || record->live_pages > file->page_count ||
        record->extent_count > STORE_EXTENTS ||
        record->blocks_written >= UINT64_MAX / STORE_BLOCK_SIZE || /* the catalog is to hold it */
        (record->retained[slot / 64] >> slot % 64 & 1) == 0) {
        return false;
    }
    uint64_t own_blocks = 0;
    for (uint32_t i = 0; i < record->extent_count; i++) {
        uint64_t count = store_record_extent(record, i)->count;
        if (count == 0 || count > STORE_SMALL_BLOCKS - own_blocks) {
            return false;
        }
        own_blocks += count;
    }
    unsigned retained = 0;
    for (unsigned i = 0; i < STORE_RING_SLOTS / 64; i++) {
        retained += (unsigned)__builtin_popcountll(record->retained[i]);
    }
    for (unsigned i = file->ring_slots; i < STORE_RING_SLOTS; i++) {
        if ((record->retained[i / 64] >> i % 64 & 1) != 0) {
            return false;
        }
    }
    return retained <= store_retained_most(file);
}

/* The highest number in any sector's stamp that fits this slot; 0: none. */
static uint64_t torn_number(const struct store_file *file, uint32_t slot,
                            const struct store_record *record)
{
    uint64_t highest = 0;
    for (unsigned i = 0; i < STORE_SECTORS; i++) {
        struct store_stamp stamp;
        memcpy(&stamp, (const uint8_t *)record + (size_t)i * STORE_SECTOR_SIZE, sizeof stamp);
        if (stamp.magic == STORE_RECORD_MAGIC && stamp.generation < STORE_GENERATION_LIMIT &&
            store_slot_of(file, stamp.generation) == slot && stamp.generation > highest) {
            highest = stamp.generation;
        }
    }
    return highest;
}

static int classify(const struct store_file *file, struct ring *ring, struct phantom_diag *diag)
{
    ring->newest = -1;
    for (uint32_t slot = 0; slot < file->ring_slots; slot++) {
        const struct store_record *record = &ring->record[slot];
        if (!store_file_record_holds(file, slot, record)) {
            ring->kind[slot] = SLOT_TORN;
            ring->number[slot] = torn_number(file, slot, record);
            continue;
        }
        if (!store_record_is_possible(file, slot, record)) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "%s: the record in slot %" PRIu32
                           " has a good sum but impossible content",
                           store_file_name(file), slot);
        }
        uint64_t number = record->stamp.generation;
        ring->number[slot] = number;
        ring->kind[slot] = record->kind == STORE_RECORD_COMMIT ? SLOT_COMMIT : SLOT_TOMBSTONE;
        ring->highest_whole = number > ring->highest_whole ? number : ring->highest_whole;
        if (ring->kind[slot] == SLOT_COMMIT &&
            (ring->newest < 0 || number > ring->number[ring->newest])) {
            ring->newest = (int)slot;
        }
    }
    return 0;
}

static bool retains(const struct store_record *record, uint32_t slot)
{
    return (record->retained[slot / 64] >> slot % 64 & 1) != 0;
}

/* As store_next_number(), from the bitmap of the newest record. */
static uint64_t expected_number(const struct store_file *file, const struct ring *ring)
{
    uint64_t number = ring->highest_whole + 1;
    while (ring->newest >= 0 && retains(&ring->record[ring->newest], store_slot_of(file, number))) {
        number++;
    }
    return number;
}

/* ---- damage and seals ---------------------------------------------------------------------- */

/* Which torn slots can a crash explain? Only the expected one; others only if nobody needs them. */
static int judge_torn(const struct snap_store *store, struct ring *ring, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    uint64_t newest = ring->newest >= 0 ? ring->number[ring->newest] : 0;
    ring->expected = expected_number(file, ring);
    for (uint32_t slot = 0; slot < file->ring_slots; slot++) {
        if (ring->kind[slot] != SLOT_TORN) {
            continue;
        }
        if (ring->number[slot] > ring->highest_whole + 2 * (uint64_t)file->ring_slots) {
            ring->number[slot] = 0; /* no writer was near it: noise behind a magic that survived */
        }
        if (slot == store_slot_of(file, ring->expected) && ring->number[slot] <= ring->expected) {
            ring->expected_is_torn = true;
            ring->number[slot] = ring->expected;
        } else if (ring->number[slot] > newest || ring->newest < 0) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "%s: the record of a committed generation is damaged (slot %" PRIu32
                           ", number %" PRIu64 ", newest good one %" PRIu64 ")",
                           store_file_name(file), slot, ring->number[slot], newest);
        }
    }
    return 0;
}

/* Does the seal block name the newest commit? A seal of a newer one means that its record is lost.
 */
static int read_seal(const struct snap_store *store, const struct ring *ring, bool *sealed,
                     struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    int error = store_file_read(file, file->seal_block, 1, store->block, diag);
    if (error != 0) {
        return error;
    }
    const struct store_seal *seal = (const struct store_seal *)store->block;
    if (!store_file_seal_holds(file, seal)) {
        return 0; /* torn, or never written */
    }
    uint64_t newest = ring->newest >= 0 ? ring->number[ring->newest] : 0;
    if (seal->generation > newest) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 " was committed and sealed, but the newest record "
                       "is that of %" PRIu64,
                       store_file_name(file), seal->generation, newest);
    }
    if (seal->generation == newest && newest != 0) {
        if (!store_sum_equal(seal->record_sum, ring->record[ring->newest].sum)) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "%s: generation %" PRIu64 " is not the one that was sealed",
                           store_file_name(file), newest);
        }
        *sealed = true;
    }
    return 0;
}

/* ---- the newest commit's own pages --------------------------------------------------------- */

/* The blocks that an unflushed commit wrote, read in a few large requests. */
struct own {
    const struct store_file *file;
    const struct store_record *record;
    uint8_t *data;
    uint64_t count;
    struct store_unpacker unpacker; /* of its packs */
    int error;                      /* -ENOMEM: nothing can be said */
};

/* Where own block `block` is in memory; NULL: it is older than this commit. What is checked is
 * decrypted in place: a commit names each of its blocks once. */
static void *own_block(const struct own *own, uint64_t block)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < own->record->extent_count; i++) {
        const struct store_extent *extent = store_record_extent(own->record, i);
        if (block >= extent->first && block - extent->first < extent->count) {
            return own->data + (before + block - extent->first) * STORE_BLOCK_SIZE;
        }
        before += extent->count;
    }
    return NULL;
}

/* 1 read; 0 they are not all in the file; or an error. */
static int read_own(struct own *own, struct phantom_diag *diag)
{
    const struct store_record *record = own->record;
    for (uint32_t i = 0; i < record->extent_count; i++) {
        const struct store_extent *extent = store_record_extent(record, i);
        if (!store_file_has_data_block(own->file, extent->first) ||
            extent->count > own->file->block_count - extent->first) {
            return 0; /* the file's new length was not durable */
        }
        own->count += extent->count;
    }
    own->data = ph_alloc_aligned(STORE_BLOCK_SIZE, (own->count + 1) * STORE_BLOCK_SIZE);
    if (own->data == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for recovery", store_file_name(own->file));
    }
    uint64_t before = 0;
    for (uint32_t i = 0; i < record->extent_count;) {
        struct store_run run[STORE_READ_RUNS];
        unsigned runs = 0;
        for (; i < record->extent_count && runs < STORE_READ_RUNS; i++, runs++) {
            const struct store_extent *extent = store_record_extent(record, i);
            run[runs] = (struct store_run){extent->first, (uint32_t)extent->count,
                                           own->data + before * STORE_BLOCK_SIZE};
            before += extent->count;
        }
        int error = store_file_read_runs(own->file, run, runs, diag);
        if (error != 0) {
            return error;
        }
    }
    return 1;
}

/* A page at this place of the map, if this commit wrote it: is it there? */
static bool own_page_is_whole(struct own *own, uint64_t page, uint64_t place, struct store_sum sum)
{
    if (!store_place_is_packed(place)) {
        void *data = own_block(own, place);
        return data == NULL || store_decode(own->file, STORE_SUM_PAGE, page, sum, data, 1);
    }
    if (!store_file_has_place(own->file, place)) {
        return false;
    }
    const uint8_t *image = own_block(own, store_place_block(place)), *content = NULL;
    uint32_t blocks = store_place_blocks(place);
    if (image == NULL) {
        return true;
    }
    if (own_block(own, store_place_block(place) + blocks - 1) !=
        image + (size_t)(blocks - 1) * STORE_BLOCK_SIZE) {
        return false;
    }
    int error = store_unpack_page(own->file, &own->unpacker, own->record->stamp.generation, page,
                                  place, sum, image, &content, NULL);
    own->error = error == -ENOMEM ? error : own->error;
    return error == 0;
}

/* Everything below this place of the map that this commit wrote: all there? Old nodes point to old
 * blocks only, so the walk stops at them. */
static bool own_is_whole(struct own *own, uint32_t level, uint64_t index, uint64_t block,
                         struct store_sum sum)
{
    struct store_node *node = own_block(own, block);
    if (node == NULL) {
        return true;
    }
    if (store_file_check_node(own->file, level, index, block, sum, node, NULL) != 0 ||
        node->generation != own->record->stamp.generation) {
        return false;
    }
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        if (node->block[i] == 0) {
            continue;
        }
        uint64_t child = (index << STORE_FANOUT_BITS) + i;
        if (level != 0) {
            if (!own_is_whole(own, level - 1, child, node->block[i], node->sum[i])) {
                return false;
            }
            continue;
        }
        if (!own_page_is_whole(own, child, node->block[i], node->sum[i])) {
            return false;
        }
    }
    return true;
}

/* The delta run that this commit wrote, and the pages that it wrote as the run names them: all
 * there? Entries of the commits before it, which a run may repeat, point to older blocks. */
static bool own_delta_is_whole(struct own *own)
{
    const struct store_file *file = own->file;
    const struct store_map map = store_map_of(own->record);
    const struct store_delta_ref *ref = &map.delta;
    if (ref->generation != own->record->stamp.generation || PH_MUTANT(DELTA_NOT_VERIFIED)) {
        return true; /* the parent's run, durable with it */
    }
    if (!store_delta_ref_is_possible(file, ref)) {
        return false;
    }
    uint8_t *image = own_block(own, ref->block);
    const uint8_t *last = own_block(own, ref->block + ref->blocks - 1);
    if (image == NULL || last != image + (size_t)(ref->blocks - 1) * STORE_BLOCK_SIZE ||
        store_delta_check(file, &map, ref, image, NULL) != 0) {
        return false;
    }
    const struct store_delta_entry *entry = store_delta_entries(image);
    for (uint32_t i = 0; i < ref->entries; i++) {
        if (entry[i].block != 0 &&
            !own_page_is_whole(own, entry[i].page, entry[i].block, entry[i].sum)) {
            return false;
        }
    }
    return true;
}

/* 1 the newest commit is complete, 0 it is not, or an error. */
static int check_own(const struct snap_store *store, const struct store_record *record,
                     struct phantom_diag *diag)
{
    if (PH_MUTANT(NO_OWN_PAGE_CHECK)) {
        return 1;
    }
    struct own own = {.file = &store->file, .record = record};
    int whole = read_own(&own, diag);
    if (whole == 1) {
        whole = own_delta_is_whole(&own) &&
                (record->root_block == 0 || own_is_whole(&own, store->file.height - 1, 0,
                                                         record->root_block, record->root_sum));
    }
    store_unpacker_finish(&own.unpacker);
    ph_free(own.data);
    return own.error == 0 ? whole
                          : ph_fail(diag, own.error, "%s: no memory for recovery",
                                    store_file_name(&store->file));
}

/* ---- choosing ------------------------------------------------------------------------------ */

static int choose_parent(const struct snap_store *store, struct ring *ring,
                         struct phantom_diag *diag)
{
    const struct store_record *child = &ring->record[ring->newest];
    if (child->parent == 0) {
        ring->chosen = -1;
        return 0;
    }
    uint32_t slot = store_slot_of(&store->file, child->parent);
    if (ring->kind[slot] != SLOT_COMMIT || ring->number[slot] != child->parent ||
        (!store_sum_equal(ring->record[slot].sum, child->parent_sum) &&
         !PH_MUTANT(PARENT_NOT_CHECKED))) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64
                       " is incomplete and the record of its parent %" PRIu64 " is damaged",
                       store_file_name(&store->file), child->stamp.generation, child->parent);
    }
    ring->chosen = (int)slot;
    return 0;
}

static int choose(const struct snap_store *store, struct ring *ring, struct snap_recovery *recovery,
                  bool *sealed, struct phantom_diag *diag)
{
    int error = judge_torn(store, ring, diag);
    if (error == 0) {
        error = read_seal(store, ring, sealed, diag);
    }
    ring->chosen = ring->newest;
    if (error != 0 || ring->newest < 0) {
        return error;
    }
    const struct store_record *record = &ring->record[ring->newest];
    *sealed = *sealed || ring->expected_is_torn;
    if ((*sealed && !PH_MUTANT(SEAL_NOT_BELIEVED)) ||
        (record->flags & STORE_RECORD_FLUSHED_FIRST) != 0) {
        return 0;
    }
    int whole = check_own(store, record, diag);
    if (whole != 0) {
        return whole < 0 ? whole : 0;
    }
    recovery->incomplete = record->stamp.generation;
    *sealed = true; /* the parent, by its successor */
    return choose_parent(store, ring, diag);
}

/* ---- the retained generations -------------------------------------------------------------- */

void store_add_generation(struct snap_store *store, const struct store_record *record)
{
    unsigned at = store->generation_count++;
    while (at != 0 && store->generation[at - 1].info.number > record->stamp.generation) {
        store->generation[at] = store->generation[at - 1];
        at--;
    }
    store->generation[at] = (struct store_generation){
        .info = store_generation_info(record),
        .map = store_map_of(record),
        .memory_sum = record->memory_sum,
    };
    store->generation[at].info.sealed = true;
}

/* A read-only handle shows what it can: the generations of the ring. */
static int do_without_catalog(struct snap_store *store)
{
    store_catalog_finish(store);
    store->catalog.damaged = true;
    unsigned kept = 0;
    for (unsigned i = 0; i < store->generation_count; i++) {
        if (store->generation[i].slot == STORE_NO_SLOT) {
            store->generation[kept] = store->generation[i];
            store->generation[kept++].tags = 0;
        }
    }
    store->generation_count = kept;
    return 0;
}

/* Every retained generation must have its record, and name the record before it as its parent. */
static int list_retained(struct snap_store *store, const struct ring *ring,
                         struct phantom_diag *diag)
{
    store->generation_count = 0;
    store_catalog_finish(store);
    if (ring->chosen < 0) {
        return 0;
    }
    int reserved = store_generations_reserve(store, store->file.ring_slots, diag);
    if (reserved != 0) {
        return reserved;
    }
    const struct store_record *chosen = &ring->record[ring->chosen];
    bool parent_found = chosen->parent == 0;
    for (uint32_t slot = 0; slot < store->file.ring_slots; slot++) {
        if (!retains(chosen, slot)) {
            continue;
        }
        const struct store_record *record = &ring->record[slot];
        if (ring->kind[slot] != SLOT_COMMIT || ring->number[slot] > ring->number[ring->chosen]) {
            if (store->read_only) {
                continue; /* it cannot be shown, the others can */
            }
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "%s: the record of a retained generation is damaged (slot %" PRIu32
                           "); the current generation %" PRIu64
                           " itself is not affected, and can be copied",
                           store_file_name(&store->file), slot, ring->number[ring->chosen]);
        }
        if (record->stamp.generation == chosen->parent) {
            parent_found = store_sum_equal(record->sum, chosen->parent_sum);
        }
        store_add_generation(store, record);
    }
    int error = store_catalog_load(store, chosen, diag);
    if (error == PHANTOM_ECORRUPT && store->show_what_is_good) {
        error = do_without_catalog(store);
    }
    if (error != 0) {
        return error;
    }
    if (!parent_found && (chosen->flags & STORE_RECORD_FLUSHED_FIRST) != 0) {
        /* Of a copy: its slot was the parent's, which went to the catalog with the same commit. */
        const struct store_generation *parent = store_find(store, chosen->parent);
        parent_found = parent != NULL && parent->slot != STORE_NO_SLOT &&
                       parent->info.record_sum.low == chosen->parent_sum.low &&
                       parent->info.record_sum.high == chosen->parent_sum.high;
    }
    if (!parent_found && !PH_MUTANT(PARENT_NOT_CHECKED)) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64
                       " does not follow the record of its parent %" PRIu64,
                       store_file_name(&store->file), ring->number[ring->chosen], chosen->parent);
    }
    return 0;
}

/* ---- retiring ------------------------------------------------------------------------------ */

static bool must_retire(const struct ring *ring, uint32_t slot)
{
    uint64_t chosen = ring->chosen >= 0 ? ring->number[ring->chosen] : 0;
    return ring->kind[slot] == SLOT_TORN ||
           (ring->kind[slot] == SLOT_COMMIT && ring->number[slot] > chosen);
}

/* That the chosen generation was durable may be known from a record that is about to be
 * overwritten, and from nothing else. So its seal goes out first, to be flushed with the
 * tombstones: without it damage that comes later would look like a commit that was never finished.
 */
static int keep_evidence(struct snap_store *store, const struct ring *ring,
                         struct phantom_diag *diag)
{
    const struct store_generation *current = store_current(store);
    bool any = false;
    for (uint32_t slot = 0; slot < store->file.ring_slots; slot++) {
        any = any || must_retire(ring, slot);
    }
    if (!any || current == NULL || !current->info.sealed || PH_MUTANT(EVIDENCE_RETIRED)) {
        return 0;
    }
    int error = store_write_seal(store, &current->info);
    return error == 0 ? 0
                      : ph_fail(diag, error, "%s: cannot seal generation %" PRIu64 ": %s",
                                store_file_name(&store->file), current->info.number,
                                phantom_strerror(error));
}

/* Durably overwrite what was not chosen, before anything else is written to this file. */
static int retire(struct snap_store *store, const struct ring *ring, struct snap_recovery *recovery,
                  struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    int unsealed = keep_evidence(store, ring, diag);
    if (unsealed != 0) {
        return unsealed;
    }
    for (uint32_t slot = 0; slot < file->ring_slots; slot++) {
        if (!must_retire(ring, slot) || PH_MUTANT(NO_RETIRE)) {
            continue;
        }
        store_tombstone_make(file, slot, ring->number[slot], (struct store_record *)store->block);
        int error = store->io->ops->write(store->io, (file->ring_start + slot) * STORE_BLOCK_SIZE,
                                          store->block, STORE_BLOCK_SIZE);
        if (error != 0) {
            return ph_fail(diag, error, "%s: cannot retire the record in slot %" PRIu32 ": %s",
                           store_file_name(file), slot, phantom_strerror(error));
        }
        recovery->records_retired++;
    }
    if (recovery->records_retired != 0 && !PH_MUTANT(RETIRE_NOT_FLUSHED)) {
        int error = store_flush(store);
        if (error != 0) {
            return ph_fail(diag, error, "%s: cannot make recovery durable: %s",
                           store_file_name(file), phantom_strerror(error));
        }
    }
    return 0;
}

static uint64_t next_generation(const struct snap_store *store, const struct ring *ring)
{
    uint64_t highest = ring->chosen >= 0 ? ring->number[ring->chosen] : 0;
    for (uint32_t slot = 0; slot < store->file.ring_slots; slot++) {
        if (!PH_MUTANT(STALE_GENERATION_NUMBER) && ring->number[slot] > highest) {
            highest = ring->number[slot];
        }
    }
    return store_next_number(store, highest);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int ring_load(const struct snap_store *store, struct ring **out, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    struct ring *ring = ph_zalloc(1, sizeof *ring);
    if (ring != NULL) {
        ring->record =
            ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)file->ring_slots * STORE_BLOCK_SIZE);
    }
    *out = ring;
    if (ring == NULL || ring->record == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for recovery", store_file_name(file));
    }
    int error = store_file_read(file, file->ring_start, file->ring_slots, ring->record, diag);
    return error != 0 ? error : classify(file, ring, diag);
}

static void ring_free(struct ring *ring)
{
    if (ring != NULL) {
        ph_free(ring->record);
        ph_free(ring);
    }
}

int store_recover(struct snap_store *store, struct snap_recovery *recovery,
                  struct phantom_diag *diag)
{
    struct ring *ring = NULL;
    bool sealed = false;
    int error = ring_load(store, &ring, diag);
    if (error == 0) {
        error = choose(store, ring, recovery, &sealed, diag);
    }
    if (error == 0) {
        error = list_retained(store, ring, diag);
    }
    if (error != 0) {
        goto out;
    }
    for (uint32_t slot = 0; slot < store->file.ring_slots; slot++) {
        recovery->records_torn += ring->kind[slot] == SLOT_TORN;
    }
    store->newest_seen = ring->newest >= 0 ? ring->number[ring->newest] : 0;
    struct store_generation *current = store_current(store);
    if (current != NULL) {
        current->info.sealed = sealed;
        recovery->opened = current->info.number;
        store->blocks_used_hint = ring->record[ring->chosen].blocks_used;
        store->high_water = ring->record[ring->chosen].high_water;
    }
    store->next_generation = next_generation(store, ring);
    recovery->next_generation = store->next_generation;
    if (store->next_generation >= STORE_GENERATION_LIMIT - STORE_RING_SLOTS) {
        error = ph_fail(diag, PHANTOM_ECORRUPT, "%s: generation numbers are used up",
                        store_file_name(&store->file));
    }
    if (error == 0 && (!store->read_only || PH_MUTANT(READ_ONLY_RETIRES))) {
        error = retire(store, ring, recovery, diag);
    }
out:
    ring_free(ring);
    return error;
}

/* 1 retained; 0 dropped, or its slot holds another commit; `whole` is false if the slot's record is
 * damaged, in which case only the newest record speaks for the generation. */
static int retained_in(const struct snap_store *store, const struct ring *ring,
                       const struct store_generation *generation, bool *whole,
                       struct phantom_diag *diag)
{
    if (ring->newest < 0) {
        return 0;
    }
    uint32_t slot = store_slot_of(&store->file, generation->info.number);
    *whole = ring->kind[slot] == SLOT_COMMIT;
    const struct store_record *newest = &ring->record[ring->newest];
    if (generation->slot != STORE_NO_SLOT) {
        return store_catalog_has(store, newest, &generation->info, generation->slot, diag);
    }
    return retains(newest, slot) &&
           (!*whole || (ring->record[slot].sum.low == generation->info.record_sum.low &&
                        ring->record[slot].sum.high == generation->info.record_sum.high));
}

int store_is_retained(const struct snap_store *store, const struct store_generation *generation,
                      struct phantom_diag *diag)
{
    bool whole = false;
    struct ring *ring = NULL;
    int result = ring_load(store, &ring, diag);
    result = result == 0 ? retained_in(store, ring, generation, &whole, diag) : result;
    ring_free(ring);
    return result;
}

static bool is_listed(const struct snap_store *store, uint32_t slot)
{
    for (unsigned i = 0; i < store->generation_count; i++) {
        const struct store_generation *generation = &store->generation[i];
        if (generation->slot == STORE_NO_SLOT &&
            store_slot_of(&store->file, generation->info.number) == slot) {
            return true;
        }
    }
    return false;
}

/*
 * The record of the current generation knows all that are retained: one that it names and that is
 * not listed has lost its record. Unless a running writer was at that slot: it may use it when a
 * commit that drops the generation is complete, and then the newest record, read again, is not the
 * one that was seen.
 */
static int note_lost(struct snap_store *store, const struct ring *ring, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    const struct store_generation *current = store_current(store);
    uint32_t own = store_slot_of(file, current->info.number);
    store->lost_count = 0;
    if (ring->newest < 0 || ring->number[ring->newest] != store->newest_seen ||
        current->slot != STORE_NO_SLOT || PH_MUTANT(UNLISTED_RECORD_IGNORED)) {
        return 0;
    }
    for (uint32_t slot = 0; slot < file->ring_slots; slot++) {
        if (!retains(&ring->record[own], slot) || is_listed(store, slot)) {
            continue;
        }
        if (store->lost == NULL) {
            store->lost = ph_zalloc(file->ring_slots, sizeof *store->lost);
        }
        if (store->lost == NULL) {
            return ph_fail(diag, -ENOMEM, "%s: no memory to open it", store_file_name(file));
        }
        uint64_t number = ring->number[slot] < current->info.number ? ring->number[slot] : 0;
        store->lost[store->lost_count++] = (struct snap_lost){number, file->ring_start + slot};
    }
    return 0;
}

size_t snap_store_lost(const struct snap_store *store, struct snap_lost *out, size_t capacity)
{
    size_t count = store->lost_count;
    for (size_t i = 0; i < count && i < capacity; i++) {
        out[i] = store->lost[i];
    }
    if (store->catalog.damaged) {
        if (count < capacity) {
            out[count] = (struct snap_lost){.block = SNAP_NO_BLOCK};
        }
        count++;
    }
    return count;
}

int store_recheck(struct snap_store *store, struct phantom_diag *diag)
{
    const struct store_generation *current = store_current(store);
    if (current == NULL) {
        return 1;
    }
    bool whole = false;
    struct ring *ring = NULL;
    int result = ring_load(store, &ring, diag);
    result = result == 0 ? retained_in(store, ring, current, &whole, diag) : result;
    result = result == 1 && !whole ? 0 : result;
    if (result == 1) {
        int noted = note_lost(store, ring, diag);
        result = noted != 0 ? noted : result;
    }
    ring_free(ring);
    return result;
}

int store_is_newest(const struct snap_store *store, struct phantom_diag *diag)
{
    struct ring *ring = NULL;
    int result = ring_load(store, &ring, diag);
    if (result == 0) {
        result =
            ring->newest >= 0 && ring->number[ring->newest] == snap_store_current(store)->number;
    }
    ring_free(ring);
    return result;
}
