/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_tables.c - does this memory hold a heap of ours, and do its tables make sense?
 *
 * Used by heap_attach() on memory that came out of a file, by heap_audit(), and by heap_image.c on
 * single pages of a heap that is not in memory. Reads the header, the chunk headers and the block
 * tables, not the bitmaps and not the objects, and never an address at or above the committed size
 * it has checked before.
 */
#include "heap_internal.h"

#include <inttypes.h>
#include <string.h>

/** The geometry this build was made for. */
static int check_geometry(const struct heap_header *header, struct phantom_diag *diag)
{
    if (header->header_bytes != sizeof *header || header->cell_bytes != HEAP_CELL ||
        header->block_bytes != HEAP_BLOCK_BYTES || header->chunk_bytes != HEAP_CHUNK_BYTES) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "heap: header gives cells of %u, blocks of %" PRIu64
                       " and chunks of %" PRIu64 " bytes, which layout %d does not have",
                       header->cell_bytes, header->block_bytes, header->chunk_bytes,
                       HEAP_LAYOUT_VERSION);
    }
    return 0;
}

static int check_committed(uint64_t committed, uint64_t limit, struct phantom_diag *diag)
{
    bool whole = committed % HEAP_CHUNK_BYTES == 0 || committed == limit;
    if (committed == 0 || committed > limit || !whole) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "heap: committed size %" PRIu64 " is impossible with a limit of %" PRIu64,
                       committed, limit);
    }
    return 0;
}

int heap_check_identity(const struct heap_header *header, uint64_t base,
                        uint32_t native_class_version, struct phantom_diag *diag)
{
    if (memcmp(header->magic, HEAP_MAGIC, sizeof header->magic) != 0) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "heap: no heap header at 0x%" PRIx64, base);
    }
    if (header->layout_version != HEAP_LAYOUT_VERSION) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "heap: has layout version %" PRIu32 ", this library reads version %d",
                       header->layout_version, HEAP_LAYOUT_VERSION);
    }
    if (header->native_class_version != native_class_version) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "heap: was made for native classes version %" PRIu32
                       ", this library has version %" PRIu32,
                       header->native_class_version, native_class_version);
    }
    int rc = check_geometry(header, diag);
    if (rc != 0) {
        return rc;
    }
    if (header->base != base) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "heap: belongs at address 0x%" PRIx64 ", was mapped at 0x%" PRIx64,
                       header->base, base);
    }
    return 0;
}

int heap_check_header(const struct heap *heap, struct phantom_diag *diag)
{
    const struct heap_header *header = &heap_chunk_at(heap, 0)->heap;
    int rc = heap_check_identity(header, (uintptr_t)heap->base, heap->native_class_version, diag);
    if (rc != 0) {
        return rc;
    }
    if (header->size_limit != heap->limit) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "heap: has a size limit of %" PRIu64 " bytes, was opened with %" PRIu64,
                       header->size_limit, heap->limit);
    }
    return check_committed(header->committed, heap->limit, diag);
}

int heap_check_extent(const struct heap_header *header, uint64_t size, struct phantom_diag *diag)
{
    uint64_t limit = header->size_limit;
    if (limit > size || limit % HEAP_BLOCK_BYTES != 0) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "heap: size limit %" PRIu64 " is impossible in a range of %" PRIu64 " bytes",
                       limit, size);
    }
    return check_committed(header->committed, limit, diag);
}

static int bad_block(const struct heap_block *e, uint32_t block, struct phantom_diag *diag,
                     const char *what)
{
    return ph_fail(diag, PHANTOM_ECORRUPT,
                   "heap: block %" PRIu32 ": %s (kind %u, class %u, flags %u, run of %" PRIu32 ")",
                   block, what, e->kind, e->size_class, e->flags, e->run_blocks);
}

/** One entry by itself; NULL or what is wrong. */
static const char *entry_fault(const struct heap_block *entry)
{
    if (entry->kind >= HEAP_BLOCK_KINDS || entry->zero != 0) {
        return "unknown kind of block";
    }
    if (entry->size_class >= HEAP_CLASS_COUNT ||
        (entry->kind != HEAP_BLOCK_SMALL && entry->size_class != 0)) {
        return "impossible size class";
    }
    if (entry->run_blocks != 0 && entry->kind != HEAP_BLOCK_RUN) {
        return "length on a block that begins no run";
    }
    bool may_have_flags = entry->kind == HEAP_BLOCK_SMALL || entry->kind == HEAP_BLOCK_RUN;
    if ((entry->flags & ~HEAP_BLOCK_FLAG_FINALIZER) != 0 ||
        (entry->flags != 0 && !may_have_flags)) {
        return "unknown flags";
    }
    return NULL;
}

/** Blocks of a run in its first chunk, or 0 when its length cannot be. */
static uint32_t run_part(const struct heap_place *place, uint32_t b, uint32_t run_blocks)
{
    if (place->span == 1) {
        return run_blocks <= place->end - b ? run_blocks : 0;
    }
    uint64_t last = (uint64_t)HEAP_META_BLOCKS + run_blocks;
    uint64_t span = (last + HEAP_CHUNK_BLOCKS - 1) / HEAP_CHUNK_BLOCKS;
    bool fits = b == HEAP_META_BLOCKS && span == place->span &&
                (uint64_t)place->index * HEAP_CHUNK_BLOCKS + last <= place->limit_blocks;
    return fits ? HEAP_CHUNK_BLOCKS - HEAP_META_BLOCKS : 0;
}

int heap_check_table(const struct heap_block table[HEAP_CHUNK_BLOCKS],
                     const struct heap_place *place, struct phantom_diag *diag)
{
    if (place->span > 1 && table[HEAP_META_BLOCKS].kind != HEAP_BLOCK_RUN) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "heap: chunk %" PRIu32 " spans %" PRIu32 " chunks without a run",
                       place->index, place->span);
    }
    uint32_t run_end = 0; /* blocks below it are the tail of a run */
    for (uint32_t b = 0; b < HEAP_CHUNK_BLOCKS; b++) {
        uint32_t block = place->index * HEAP_CHUNK_BLOCKS + b;
        const struct heap_block *entry = &table[b];
        const char *fault = entry_fault(entry);
        if (fault != NULL) {
            return bad_block(entry, block, diag, fault);
        }
        if ((b < HEAP_META_BLOCKS || b >= place->end) && entry->kind != HEAP_BLOCK_FREE) {
            return bad_block(entry, block, diag, "metadata, or beyond the limit, but in use");
        }
        if ((entry->kind == HEAP_BLOCK_RUN_TAIL) != (b < run_end)) {
            return bad_block(entry, block, diag, "run and its tail do not fit together");
        }
        if (entry->kind == HEAP_BLOCK_RUN) {
            uint32_t part = run_part(place, b, entry->run_blocks);
            if (part == 0) {
                return bad_block(entry, block, diag, "impossible length of a run");
            }
            run_end = b + part;
        }
    }
    return 0;
}

int heap_check_chunk_header(const struct heap_chunk_header *header, uint32_t index,
                            uint32_t chunk_count, struct phantom_diag *diag)
{
    if (header->magic != HEAP_CHUNK_MAGIC || header->index != index) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "heap: chunk %" PRIu32 " has no chunk header",
                       index);
    }
    if (header->span == 0 || header->span > chunk_count - index) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "heap: chunk %" PRIu32 " claims to span %" PRIu32 " of %" PRIu32 " chunks",
                       index, header->span, chunk_count);
    }
    return 0;
}

int heap_check_chunk(const struct heap *heap, uint32_t index, struct phantom_diag *diag)
{
    const struct heap_chunk *chunk = heap_chunk_at(heap, index);
    int rc = heap_check_chunk_header(&chunk->header, index, heap->chunk_count, diag);
    const struct heap_place place = {.index = index,
                                     .span = chunk->header.span,
                                     .end = heap_chunk_blocks(heap, index),
                                     .limit_blocks = heap->limit / HEAP_BLOCK_BYTES};
    return rc != 0 ? rc : heap_check_table(chunk->table, &place, diag);
}
