/* SPDX-License-Identifier: Apache-2.0
 *
 * store_superblock.c - what is fixed at birth: made once, checked at every open. Nothing in it is
 * believed before its sum holds, and nothing is used before it is in range, sum or no sum.
 */
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const struct {
    uint64_t bit;
    const char *name;
} feature_names[] = {
    {STORE_FEATURE_PAGE_DELTAS, "page deltas"},
};

int snap_compression_named(const char *name, enum snap_compression *out, struct phantom_diag *diag)
{
    bool none = name == NULL || strcmp(name, "none") == 0;
    *out = none ? SNAP_COMPRESSION_NONE : SNAP_COMPRESSION_LZ4;
    return none || strcmp(name, "lz4") == 0
               ? 0
               : ph_fail(diag, PHANTOM_EINVALID, "unknown compression '%s': lz4 or none", name);
}

static bool heap_is_possible(uint64_t base, uint64_t size)
{
    return base % SNAP_PAGE_SIZE == 0 && size != 0 && size % SNAP_PAGE_SIZE == 0 &&
           size <= UINT64_C(1) << 52 && base <= UINT64_MAX - size;
}

int store_superblock_make(const struct snap_store_params *params, struct store_file *file,
                          struct store_superblock *out, struct phantom_diag *diag)
{
    uint32_t slots = params->ring_slots != 0 ? params->ring_slots : STORE_RING_SLOTS;
    uint64_t segment = params->segment_bytes != 0 ? params->segment_bytes : STORE_SEGMENT_BYTES;
    if (!heap_is_possible(params->heap_base, params->heap_size)) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "heap base and size must be multiples of %d and fit into the address space",
                       SNAP_PAGE_SIZE);
    }
    if (slots < STORE_RING_SLOTS_LEAST || slots > STORE_RING_SLOTS || slots % 4 != 0 ||
        segment < STORE_SEGMENT_BYTES_LEAST || segment % STORE_BLOCK_SIZE != 0 ||
        segment > UINT64_C(1) << 32) {
        return ph_fail(diag, PHANTOM_EINVALID, "impossible ring or segment size");
    }
    if ((unsigned)params->compression > SNAP_COMPRESSION_LZ4) {
        return ph_fail(diag, PHANTOM_EINVALID, "unknown compression");
    }
    memset(out, 0, sizeof *out);
    out->magic = STORE_SUPERBLOCK_MAGIC;
    out->format_version = STORE_FORMAT_VERSION;
    out->block_size = STORE_BLOCK_SIZE;
    memcpy(out->uuid, params->uuid, sizeof out->uuid);
    out->heap_base = params->heap_base;
    out->heap_size = params->heap_size;
    out->map_height = store_height_for(params->heap_size / SNAP_PAGE_SIZE);
    out->ring_slots = slots;
    out->ring_start = STORE_RING_START;
    out->seal_block = STORE_SEAL;
    out->data_start = STORE_RING_START + slots;
    out->segment_bytes = segment;
    out->retain_bytes = params->retain_bytes;
    out->features_incompatible = STORE_FEATURE_MAP_RUNS;
    if (params->compression == SNAP_COMPRESSION_LZ4) {
        out->features_incompatible |= STORE_FEATURE_COMPRESSION;
    }
    memcpy(file->uuid, params->uuid, sizeof file->uuid);
    if (params->key.bytes != NULL) {
        int error = store_secret_make(&params->key, params->uuid, &file->secret, diag);
        if (error != 0) {
            return error;
        }
        out->features_incompatible |= STORE_FEATURE_ENCRYPTION;
    }
    store_file_seal_superblock(file, out);
    return 0;
}

/* Can this version work with it? The sum holds already. */
static int judge_version(struct snap_store *store, const struct store_superblock *s,
                         struct phantom_diag *diag)
{
    const char *name = store_file_name(&store->file);
    if (s->format_version != STORE_FORMAT_VERSION) {
        return ph_fail(diag, PHANTOM_EVERSION, "%s: store format %" PRIu32 ", this is for %d", name,
                       s->format_version, STORE_FORMAT_VERSION);
    }
    uint64_t unknown = s->features_incompatible & ~STORE_FEATURES_KNOWN;
    if (unknown != 0 && !PH_MUTANT(FEATURES_IGNORED)) {
        for (size_t i = 0; i < sizeof feature_names / sizeof feature_names[0]; i++) {
            if ((unknown & feature_names[i].bit) != 0) {
                return ph_fail(diag, PHANTOM_EVERSION,
                               "%s: uses %s, which this version cannot read", name,
                               feature_names[i].name);
            }
        }
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: uses features this version does not know (bits %#" PRIx64 ")", name,
                       unknown);
    }
    if (s->features_read_only != 0 && !store->read_only) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: this version can only read it (unknown features, bits %#" PRIx64 ")",
                       name, s->features_read_only);
    }
    return 0;
}

static bool is_possible(const struct store_superblock *s, uint64_t block_count)
{
    return s->block_size == STORE_BLOCK_SIZE && heap_is_possible(s->heap_base, s->heap_size) &&
           s->map_height == store_height_for(s->heap_size / SNAP_PAGE_SIZE) &&
           s->ring_slots >= STORE_RING_SLOTS_LEAST && s->ring_slots <= STORE_RING_SLOTS &&
           s->ring_slots % 4 == 0 && s->ring_start == STORE_RING_START &&
           s->seal_block == STORE_SEAL && s->data_start == STORE_RING_START + s->ring_slots &&
           s->segment_bytes >= STORE_SEGMENT_BYTES_LEAST &&
           s->segment_bytes % STORE_BLOCK_SIZE == 0 && s->segment_bytes <= UINT64_C(1) << 32 &&
           s->data_start < block_count;
}

/* The key and the store must belong together. Neither a wrong nor a missing key is damage. */
static int judge_key(struct store_file *file, const struct store_superblock *s,
                     const struct snap_key *key, struct phantom_diag *diag)
{
    bool encrypted = (s->features_incompatible & STORE_FEATURE_ENCRYPTION) != 0;
    bool given = key != NULL && key->bytes != NULL;
    if (!encrypted || !given) {
        return encrypted == given ? 0
               : encrypted
                   ? ph_fail(diag, PHANTOM_EKEY, "%s: the store is encrypted and needs its key",
                             store_file_name(file))
                   : ph_fail(diag, PHANTOM_EKEY,
                             "%s: a key was given, but the store is not encrypted",
                             store_file_name(file));
    }
    store_secret_free(file->secret);
    memcpy(file->uuid, s->uuid, sizeof file->uuid);
    int error = store_secret_make(key, s->uuid, &file->secret, diag);
    if (error != 0) {
        return error;
    }
    if (!store_file_has_key_of(file, s)) {
        return ph_fail(diag, PHANTOM_EKEY, "%s: the key is not the one of this store",
                       store_file_name(file));
    }
    if (!store_file_superblock_holds(file, s)) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: the superblock was changed by somebody who has not the key",
                       store_file_name(file));
    }
    return 0;
}

static int adopt(struct snap_store *store, const struct store_superblock *s,
                 const struct snap_key *key, struct phantom_diag *diag)
{
    struct store_file *file = &store->file;
    int error = judge_version(store, s, diag);
    error = error != 0 ? error : judge_key(file, s, key, diag);
    if (error != 0) {
        return error;
    }
    if (!is_possible(s, file->block_count)) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: the superblock has impossible content, or the file was cut short",
                       store_file_name(file));
    }
    memcpy(file->uuid, s->uuid, sizeof file->uuid);
    file->page_count = s->heap_size / SNAP_PAGE_SIZE;
    file->data_start = s->data_start;
    file->segment_blocks = s->segment_bytes / STORE_BLOCK_SIZE;
    file->ring_start = s->ring_start;
    file->seal_block = s->seal_block;
    file->ring_slots = s->ring_slots;
    file->height = s->map_height;
    file->has_runs = (s->features_incompatible & STORE_FEATURE_MAP_RUNS) != 0;
    file->has_packs = (s->features_incompatible & STORE_FEATURE_COMPRESSION) != 0;
    store->params = (struct snap_store_params){
        .compression = file->has_packs ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE,
        .heap_base = s->heap_base,
        .heap_size = s->heap_size,
        .retain_bytes = s->retain_bytes,
        .segment_bytes = s->segment_bytes,
        .ring_slots = s->ring_slots};
    memcpy(store->params.uuid, s->uuid, sizeof s->uuid);
    return 0;
}

int store_superblock_load(struct snap_store *store, const struct snap_key *key,
                          struct phantom_diag *diag)
{
    struct store_file *file = &store->file;
    if (file->block_count < 2) {
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: not a store (too short)", store_file_name(file));
    }
    struct store_superblock *copies = ph_alloc_aligned(STORE_BLOCK_SIZE, 2 * STORE_BLOCK_SIZE);
    if (copies == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory", store_file_name(file));
    }
    int error = store_file_read(file, STORE_SUPERBLOCK, 2, copies, diag);
    if (error != 0) {
        goto out;
    }
    bool copy_holds = store_superblock_holds(&copies[1]) && !PH_MUTANT(SUPERBLOCK_COPY_IGNORED);
    if (store_superblock_holds(&copies[0])) {
        error = adopt(store, &copies[0], key, diag);
        bool forged = error == PHANTOM_EKEY || (error == PHANTOM_ECORRUPT && key != NULL);
        if (forged && copy_holds && memcmp(&copies[0], &copies[1], STORE_BLOCK_SIZE) != 0 &&
            adopt(store, &copies[1], key, NULL) == 0) {
            error = ph_fail(diag, 0, "%s", "");
        }
    } else if (copy_holds) {
        error = adopt(store, &copies[1], key, diag);
    } else if (copies[0].magic != STORE_SUPERBLOCK_MAGIC &&
               copies[1].magic != STORE_SUPERBLOCK_MAGIC) {
        error = ph_fail(diag, PHANTOM_EFORMAT, "%s: not a store", store_file_name(file));
    } else {
        error = ph_fail(diag, PHANTOM_ECORRUPT, "%s: both superblocks are damaged",
                        store_file_name(file));
    }
out:
    ph_free(copies);
    return error;
}

int store_superblock_mend(struct snap_store *store, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    struct store_superblock *copies = ph_alloc_aligned(STORE_BLOCK_SIZE, 2 * STORE_BLOCK_SIZE);
    if (copies == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory", store_file_name(file));
    }
    int mended = 0;
    int error = store_file_read(file, STORE_SUPERBLOCK, 2, copies, diag);
    unsigned bad = !store_file_superblock_holds(file, &copies[0]) ? 0 : 1;
    if (error == 0 && !store_file_superblock_holds(file, &copies[bad]) &&
        store_file_superblock_holds(file, &copies[1 - bad])) {
        error = file->io->ops->write(file->io, (STORE_SUPERBLOCK + bad) * STORE_BLOCK_SIZE,
                                     &copies[1 - bad], STORE_BLOCK_SIZE);
        error = error != 0 ? error : store_flush(store);
        if (error != 0) {
            ph_fail(diag, error, "%s: cannot mend superblock %u: %s", store_file_name(file), bad,
                    phantom_strerror(error));
        }
        mended = 1;
    }
    ph_free(copies);
    return error != 0 ? error : mended;
}

int snap_store_probe(struct snap_io *io)
{
    uint64_t size = 0;
    int error = io->ops->size(io, &size);
    if (error != 0 || size < STORE_BLOCK_SIZE) {
        return error;
    }
    struct store_superblock *s = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    if (s == NULL) {
        return -ENOMEM;
    }
    error = io->ops->read(io, 0, s, STORE_BLOCK_SIZE);
    int found = s->magic == STORE_SUPERBLOCK_MAGIC;
    if (error == 0 && !found && size >= 2 * STORE_BLOCK_SIZE) {
        error = io->ops->read(io, STORE_BLOCK_SIZE, s, STORE_BLOCK_SIZE); /* the copy */
        found = s->magic == STORE_SUPERBLOCK_MAGIC;
    }
    ph_free(s);
    return error != 0 ? error : found;
}
