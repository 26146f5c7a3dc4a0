/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_store.c - the store's life: create, open, close, and what it says about itself.
 *
 * Owns struct snap_store. Lock order (advisory locks of the file): the writer's byte, then the byte
 * of a generation. See store_internal.h for what is true between calls.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

/* ---- create -------------------------------------------------------------------------------- */

static int write_ring(struct snap_io *io, const struct store_file *file,
                      struct store_record *record)
{
    for (uint32_t slot = 0; slot < file->ring_slots; slot++) {
        store_tombstone_make(file, slot, 0, &record[slot]);
    }
    return io->ops->write(io, file->ring_start * STORE_BLOCK_SIZE, record,
                          file->ring_slots * STORE_BLOCK_SIZE);
}

int snap_store_create(struct snap_io *io, const struct snap_store_params *params,
                      struct phantom_diag *diag)
{
    struct store_file file = {.io = io};
    struct store_superblock *superblock = ph_alloc_aligned(STORE_BLOCK_SIZE, 2 * STORE_BLOCK_SIZE);
    struct store_record *ring = NULL;
    uint64_t size = 0;
    if (superblock == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory", store_file_name(&file));
    }
    int error = store_superblock_make(params, &file, &superblock[0], diag);
    if (error != 0) {
        goto out;
    }
    superblock[1] = superblock[0];
    error = io->ops->size(io, &size);
    if (error == 0 && size != 0) {
        error =
            ph_fail(diag, PHANTOM_EINVALID, "%s: the file is not empty", store_file_name(&file));
        goto out;
    }
    file.ring_start = superblock->ring_start;
    file.ring_slots = superblock->ring_slots;
    ring = ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)file.ring_slots * STORE_BLOCK_SIZE);
    error = error != 0 ? error : ring == NULL ? -ENOMEM : 0;
    uint64_t data_blocks = superblock->segment_bytes / STORE_BLOCK_SIZE;
    if (error == 0) {
        error = store_file_extend(&file, superblock->data_start,
                                  STORE_SEGMENT_BYTES_LEAST / STORE_BLOCK_SIZE, &data_blocks);
        error = error == -ENOSPC ? PHANTOM_ENOSPACE : error;
    }
    error = error != 0 ? error : write_ring(io, &file, ring);
    error = error != 0 ? error : store_file_fill(&file, superblock->data_start, data_blocks);
    /* The superblock makes it a store, so everything else is durable before it. */
    error = error != 0 ? error : io->ops->flush(io);
    error = error != 0 ? error
                       : io->ops->write(io, STORE_SUPERBLOCK * STORE_BLOCK_SIZE, superblock,
                                        2 * STORE_BLOCK_SIZE);
    error = error != 0 ? error : io->ops->flush(io);
    if (error != 0) {
        ph_fail(diag, error, "%s: cannot create the store: %s", store_file_name(&file),
                store_room_text(error == PHANTOM_ENOSPACE ? -ENOSPC : error));
    }
out:
    store_secret_free(file.secret);
    ph_free(ring);
    ph_free(superblock);
    return error;
}

/* ---- open and close ------------------------------------------------------------------------ */

int store_flush(struct snap_store *store)
{
    int error = store->io->ops->flush(store->io);
    if (error != 0 && PH_MUTANT(FLUSH_RETRIED)) {
        error = store->io->ops->flush(store->io);
    }
    return error;
}

static int lock_writer(struct snap_store *store, struct phantom_diag *diag)
{
    int error = store->io->ops->lock(store->io, SNAP_LOCK_WRITER, SNAP_IO_LOCK_EXCLUSIVE);
    if (error == -EAGAIN && !PH_MUTANT(SECOND_WRITER)) {
        return ph_fail(diag, PHANTOM_EBUSY, "%s: in use by another writer",
                       store_file_name(&store->file));
    }
    if (error != 0 && !PH_MUTANT(SECOND_WRITER)) {
        return ph_fail(diag, error, "%s: cannot lock: %s", store_file_name(&store->file),
                       phantom_strerror(error));
    }
    store->writer_locked = true;
    return 0;
}

/* How long the file is now, and whether it still has a name: a writer may have made it longer, or a
 * copy of another store have taken its place, before there was a lock. */
static int measure(struct snap_store *store, struct phantom_diag *diag)
{
    uint64_t size = 0;
    int error = store->io->ops->size(store->io, &size);
    if (error != 0) {
        return ph_fail(diag, error, "%s: %s", store_file_name(&store->file),
                       error == -ESTALE ? "was deleted or replaced while it was being opened"
                                        : phantom_strerror(error));
    }
    store->file.block_count = size / STORE_BLOCK_SIZE;
    return 0;
}

/* Random if the back end can; else something that at least differs whenever the store does. */
static int choose_incarnation(struct snap_store *store, struct phantom_diag *diag)
{
    if (PH_MUTANT(INCARNATION_MISSING)) {
        store->incarnation = 1;
        return 0;
    }
    if (store->io->ops->random != NULL) {
        int error =
            store->io->ops->random(store->io, &store->incarnation, sizeof store->incarnation);
        return error == 0 ? 0
                          : ph_fail(diag, error, "%s: no random numbers: %s",
                                    store_file_name(&store->file), phantom_strerror(error));
    }
    const struct store_generation *current = store_current(store);
    struct {
        uint8_t uuid[16];
        uint64_t next;
        struct snap_sum record;
    } seed = {.next = store->next_generation};
    memcpy(seed.uuid, store->params.uuid, sizeof seed.uuid);
    if (current != NULL) {
        seed.record = current->info.record_sum;
    }
    store->incarnation = XXH3_64bits(&seed, sizeof seed);
    return 0;
}

static int open_for_writing(struct snap_store *store, struct snap_recovery *recovery,
                            struct phantom_diag *diag)
{
    int error = lock_writer(store, diag);
    error = error == 0 ? measure(store, diag) : error;
    if (error != 0) {
        return error;
    }
    /* What the last writer left in the page cache may not be on the disk. */
    error = PH_MUTANT(NO_FLUSH_AT_OPEN) ? 0 : store_flush(store);
    if (error != 0) {
        return ph_fail(diag, error, "%s: flush at open failed: %s", store_file_name(&store->file),
                       phantom_strerror(error));
    }
    error = store_recover(store, recovery, diag);
    error = error != 0 ? error : choose_incarnation(store, diag);
    if (error == 0) {
        error = store_superblock_mend(store, diag);
        recovery->superblock_mended = error > 0;
    }
    if (error < 0) {
        return error;
    }
    store_retention_init(store);
    if (page_map_init(&store->map, &store->file) != 0) {
        return ph_fail(diag, -ENOMEM, "%s: no memory", store_file_name(&store->file));
    }
    const struct store_generation *current = store_current(store);
    store_early_open(store);
    if (current != NULL) {
        page_map_reset(&store->map, &current->map, current->info.live_pages, current->memory_sum);
        return page_map_load_chain(&store->map, diag);
    }
    return 0;
}

enum {
    READER_ATTEMPTS = 50,
    READER_LOOKS = 5 /* so often a reader looks again at what seems damaged and does not change */
};

/* What a writer changes with each commit, as one number. 0 or an error. */
static int fingerprint(const struct snap_store *store, uint64_t *out, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    size_t bytes = (size_t)file->ring_slots * STORE_BLOCK_SIZE;
    uint8_t *ring = ph_alloc_aligned(STORE_BLOCK_SIZE, bytes);
    if (ring == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to open it", store_file_name(file));
    }
    int error = store_file_read(file, file->ring_start, file->ring_slots, ring, diag);
    error = error != 0 ? error : store_file_read(file, file->seal_block, 1, store->block, diag);
    if (error == 0) {
        *out = XXH3_64bits_withSeed(ring, bytes, XXH3_64bits(store->block, STORE_BLOCK_SIZE));
    }
    ph_free(ring);
    return error;
}

/* The writer was faster in every attempt; in the last one, what it was at looked like damage. */
static int writer_is_faster(const struct snap_store *store, bool damaged, struct phantom_diag *diag)
{
    struct phantom_diag seen = PHANTOM_DIAG_INIT;
    if (damaged && diag != NULL) {
        seen = *diag;
    }
    return ph_fail(diag, PHANTOM_EBUSY, "%s: the writer is faster than this reader%s%s",
                   store_file_name(&store->file), seen.text[0] != '\0' ? "; seen last: " : "",
                   seen.text);
}

/*
 * A reader may look while a writer writes: it locks the generation it found, then looks again
 * whether that is still retained. What seems damaged is looked at again, too: it is damage if ring
 * and seal stay as they are, else it may be nothing but a ring read while commits were made.
 */
static int open_for_reading(struct snap_store *store, struct snap_recovery *recovery,
                            struct phantom_diag *diag)
{
    int error = 0, looks = 0;
    uint64_t seen = 0;
    for (int attempt = 0; attempt < READER_ATTEMPTS; attempt++) {
        *recovery = (struct snap_recovery){0};
        store->show_what_is_good = looks + 1 >= READER_LOOKS || attempt >= READER_ATTEMPTS / 2;
        error = measure(store, diag);
        error = error == 0 ? store_recover(store, recovery, diag) : error;
        if (error == PHANTOM_ECORRUPT) {
            uint64_t now = 0;
            int failed = fingerprint(store, &now, NULL);
            looks = failed == 0 && now == seen ? looks + 1 : 1;
            seen = now;
            if (failed == 0 && looks <= READER_LOOKS) {
                continue;
            }
        }
        const struct store_generation *current = store_current(store);
        if (error != 0 || current == NULL) {
            return error;
        }
        uint64_t byte = SNAP_LOCK_GENERATION(current->info.number);
        error = store->io->ops->lock(store->io, byte, SNAP_IO_LOCK_SHARED);
        if (error == -EAGAIN) {
            continue; /* the writer is dropping it at this moment */
        }
        if (error != 0) {
            return ph_fail(diag, error, "%s: cannot lock generation %" PRIu64 ": %s",
                           store_file_name(&store->file), current->info.number,
                           phantom_strerror(error));
        }
        int retained = store_recheck(store, diag);
        if (retained == 1) {
            store->reader_lock = byte;
            return 0;
        }
        (void)store->io->ops->lock(store->io, byte, SNAP_IO_UNLOCK);
        error = retained < 0 ? retained : -EAGAIN;
    }
    return error == -EAGAIN || error == PHANTOM_ECORRUPT
               ? writer_is_faster(store, error == PHANTOM_ECORRUPT, diag)
               : error;
}

int snap_store_open(struct snap_io *io, unsigned flags, struct snap_store **out,
                    struct snap_recovery *recovery, struct phantom_diag *diag)
{
    return snap_store_open_keyed(io, NULL, flags, out, recovery, diag);
}

int snap_store_open_keyed(struct snap_io *io, const struct snap_key *key, unsigned flags,
                          struct snap_store **out, struct snap_recovery *recovery,
                          struct phantom_diag *diag)
{
    struct snap_recovery unwanted = {0};
    recovery = recovery != NULL ? recovery : &unwanted;
    *recovery = (struct snap_recovery){0};
    struct snap_store *store = ph_zalloc(1, sizeof *store);
    if (store == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory to open a store");
    }
    store->io = io;
    store->file.io = io;
    store->read_only = (flags & SNAP_OPEN_READ_ONLY) != 0 || io->read_only;
    store->block = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    int error = store->block != NULL ? measure(store, diag)
                                     : ph_fail(diag, -ENOMEM, "no memory to open a store");
    if (error != 0) {
        goto fail;
    }
    error = store_superblock_load(store, key, diag);
    if (error == 0) {
        error = store->read_only ? open_for_reading(store, recovery, diag)
                                 : open_for_writing(store, recovery, diag);
    }
    if (error == 0) {
        *out = store;
        return 0;
    }
    store->poison = error; /* close() must not write a seal for a store that did not open */
fail:
    snap_store_close(store);
    return error;
}

void snap_store_close(struct snap_store *store)
{
    if (store == NULL) {
        return;
    }
    PH_CHECK(!store->txn_active);
    if (store->block != NULL) {
        (void)snap_store_seal(store); /* a seal is a help, not a duty */
    }
    if (store->reader_lock != 0) {
        (void)store->io->ops->lock(store->io, store->reader_lock, SNAP_IO_UNLOCK);
    }
    if (store->writer_locked) {
        (void)store->io->ops->lock(store->io, SNAP_LOCK_WRITER, SNAP_IO_UNLOCK);
    }
    store_txn_free(store);
    page_map_finish(&store->map);
    store_account_finish(store);
    block_space_finish(&store->space);
    pack_slots_finish(&store->slots);
    for (unsigned i = 0; i < store->generation_count; i++) {
        block_list_finish(&store->generation[i].dead);
    }
    store_cache_finish(&store->cache);
    for (unsigned i = 0; i < 2; i++) {
        store_overlay_finish(&store->overlay[i].overlay);
    }
    store_packs_finish(store);
    ph_free(store->generation);
    ph_free(store->revived);
    ph_free(store->lost);
    store_catalog_finish(store);
    store_secret_free(store->file.secret);
    ph_free(store->block);
    ph_free(store);
}

/* ---- seal ---------------------------------------------------------------------------------- */

int store_write_seal(struct snap_store *store, const struct snap_generation *generation)
{
    struct store_seal *seal = (struct store_seal *)store->block;
    memset(seal, 0, sizeof *seal);
    seal->magic = STORE_SEAL_MAGIC;
    seal->generation = generation->number;
    seal->record_sum.low = generation->record_sum.low;
    seal->record_sum.high = generation->record_sum.high;
    store_file_seal_seal(&store->file, seal);
    return store->io->ops->write(store->io, store->file.seal_block * STORE_BLOCK_SIZE, seal,
                                 STORE_BLOCK_SIZE);
}

int snap_store_seal(struct snap_store *store)
{
    struct store_generation *current = store_current(store);
    if (store->read_only || current == NULL || current->info.sealed) {
        return 0;
    }
    if (store->poison != 0 && !PH_MUTANT(POISONED_SEALS)) {
        return PHANTOM_EPOISONED;
    }
    int error = store_write_seal(store, &current->info);
    if (error != 0) {
        store->poison = error;
        return PHANTOM_EPOISONED;
    }
    current->info.sealed = true;
    return 0;
}

/* ---- what it says about itself ------------------------------------------------------------- */

int store_poisoned(const struct snap_store *store, struct phantom_diag *diag)
{
    return ph_fail(diag, PHANTOM_EPOISONED, "%s: an earlier write or flush failed: %s",
                   store_file_name(&store->file), phantom_strerror(store->poison));
}

struct store_generation *store_find(struct snap_store *store, uint64_t generation)
{
    unsigned low = 0, high = store->generation_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        uint64_t number = store->generation[middle].info.number;
        if (number == generation) {
            return &store->generation[middle];
        }
        low = number < generation ? middle + 1 : low;
        high = number < generation ? high : middle;
    }
    return NULL;
}

unsigned store_ring_first(const struct snap_store *store)
{
    unsigned low = 0, high = store->generation_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        bool in_ring = store->generation[middle].slot == STORE_NO_SLOT;
        low = in_ring ? low : middle + 1;
        high = in_ring ? middle : high;
    }
    return low;
}

int store_generations_reserve(struct snap_store *store, unsigned count, struct phantom_diag *diag)
{
    if (count <= store->generation_capacity) {
        return 0;
    }
    unsigned larger = 2 * store->generation_capacity;
    larger = larger > count ? larger : count;
    struct store_generation *generation =
        ph_realloc(store->generation, larger * sizeof *store->generation);
    if (generation == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for generations",
                       store_file_name(&store->file));
    }
    store->generation = generation;
    store->generation_capacity = larger;
    return 0;
}

const struct snap_store_params *snap_store_params(const struct snap_store *store)
{
    return &store->params;
}

bool snap_store_is_encrypted(const struct snap_store *store)
{
    return store->file.secret != NULL;
}

const struct snap_generation *snap_store_current(const struct snap_store *store)
{
    unsigned count = store->generation_count;
    return count != 0 ? &store->generation[count - 1].info : &store->nothing;
}

size_t snap_store_list(const struct snap_store *store, struct snap_generation *out, size_t capacity)
{
    for (unsigned i = 0; i < store->generation_count && i < capacity; i++) {
        out[i] = store->generation[i].info;
    }
    return store->generation_count;
}

void snap_store_usage(const struct snap_store *store, struct snap_store_usage *out)
{
    const struct store_file *file = &store->file;
    uint64_t used = store->read_only ? store->blocks_used_hint : store_blocks_used(store);
    uint64_t data = file->block_count - file->data_start;
    used = used < data ? used : data;
    *out = (struct snap_store_usage){
        .file_bytes = file->block_count * STORE_BLOCK_SIZE,
        .data_bytes_used = used * STORE_BLOCK_SIZE,
        .data_bytes_free = (data - used) * STORE_BLOCK_SIZE,
        .metadata_bytes = file->data_start * STORE_BLOCK_SIZE,
        .poisoned = store->poison != 0,
    };
}
