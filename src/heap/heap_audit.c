/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_audit.c - walk every object, check every rule of the layout and every reference.
 *
 * World stopped. Reads only; everything found wrong is reported as PHANTOM_ECORRUPT with the first
 * finding in words.
 */
#include "heap_internal.h"

#include <inttypes.h>

/* ---- walk ---------------------------------------------------------------------------------- */

static int walk_block(const struct heap *heap, uint32_t index, uint32_t b,
                      int (*visit)(void *context, pvm_object_t o), void *context)
{
    const uint64_t *bitmap = heap_chunk_at(heap, index)->bitmap + (size_t)b * HEAP_BITMAP_WORDS;
    uint8_t *cells = heap_block_at(heap, index * HEAP_CHUNK_BLOCKS + b);
    for (size_t w = 0; w < HEAP_BITMAP_WORDS; w++) {
        for (uint64_t bits = bitmap[w]; bits != 0; bits &= bits - 1) {
            size_t unit = w * 64 + (size_t)__builtin_ctzll(bits);
            int rc = visit(context, (pvm_object_t)(cells + unit * HEAP_CELL));
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

int heap_walk(struct heap *heap, int (*visit)(void *context, pvm_object_t o), void *context)
{
    for (uint32_t c = 0; c < heap->chunk_count; c += heap->chunks[c].span) {
        const struct heap_block *table = heap_chunk_at(heap, c)->table;
        uint32_t end = heap_chunk_blocks(heap, c);
        for (uint32_t b = HEAP_META_BLOCKS; b < end; b++) {
            if (table[b].kind != HEAP_BLOCK_SMALL && table[b].kind != HEAP_BLOCK_RUN) {
                continue;
            }
            int rc = walk_block(heap, c, b, visit, context);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

void heap_visit(struct heap_visitor *visitor, pvm_object_t reference)
{
    if (reference != NULL) {
        visitor->receive(visitor, reference);
    }
}

/* ---- bitmaps against the block table ------------------------------------------------------- */

static int bad_bit(uint32_t block, size_t unit, struct phantom_diag *diag, const char *what)
{
    return ph_fail(diag, PHANTOM_ECORRUPT, "heap: bitmap of block %" PRIu32 ", cell %zu: %s", block,
                   unit, what);
}

static int audit_small_bitmap(const uint64_t *bitmap, uint32_t block, unsigned units,
                              struct phantom_diag *diag)
{
    uint64_t pattern = heap_cell_pattern(units);
    for (unsigned w = 0; w < HEAP_BITMAP_WORDS; w++) {
        unsigned at = w;
        uint64_t starts = heap_cell_starts(units, pattern, &at);
        uint64_t stray = bitmap[w] & ~(at == w ? starts : 0);
        if (stray != 0) {
            return bad_bit(block, w * 64 + (size_t)__builtin_ctzll(stray), diag,
                           "an object where no cell begins");
        }
    }
    return 0;
}

/** At most bit 0 may be set (a run), or none (anything without objects). */
static int audit_plain_bitmap(const uint64_t *bitmap, uint32_t block, uint64_t first,
                              struct phantom_diag *diag)
{
    if (bitmap[0] != first) {
        return bad_bit(block, 0, diag,
                       first != 0 ? "a run without its object"
                                  : "an object in a block without any");
    }
    for (size_t w = 1; w < HEAP_BITMAP_WORDS; w++) {
        if (bitmap[w] != 0) {
            return bad_bit(block, w * 64 + (size_t)__builtin_ctzll(bitmap[w]), diag,
                           "an object inside another, or in a block without any");
        }
    }
    return 0;
}

static int audit_bitmaps(const struct heap *heap, uint32_t index, struct phantom_diag *diag)
{
    const struct heap_chunk *chunk = heap_chunk_at(heap, index);
    uint32_t end = heap_chunk_blocks(heap, index);
    for (uint32_t b = 0; b < end && end > HEAP_META_BLOCKS; b++) {
        const uint64_t *bitmap = chunk->bitmap + (size_t)b * HEAP_BITMAP_WORDS;
        const struct heap_block *entry = &chunk->table[b];
        uint32_t block = index * HEAP_CHUNK_BLOCKS + b;
        int rc = entry->kind == HEAP_BLOCK_SMALL
                     ? audit_small_bitmap(bitmap, block, heap_class_units(entry->size_class), diag)
                     : audit_plain_bitmap(bitmap, block, entry->kind == HEAP_BLOCK_RUN, diag);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/** The volatile picture agrees with the table. */
static int audit_volatile(const struct heap *heap, uint32_t index, struct phantom_diag *diag)
{
    const struct chunk_info *info = &heap->chunks[index];
    const struct heap_block *table = heap_chunk_at(heap, index)->table;
    uint32_t end = heap_chunk_blocks(heap, index);
    uint32_t free_blocks = 0;
    for (uint32_t b = 0; b < HEAP_CHUNK_BLOCKS; b++) {
        bool is_free = b >= HEAP_META_BLOCKS && b < end &&
                       (table[b].kind == HEAP_BLOCK_FREE || table[b].kind == HEAP_BLOCK_FREE_DIRTY);
        if (is_free != bit_test(info->free, b)) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "heap: block %" PRIu32 " is %sfree by the table, but not in memory",
                           index * HEAP_CHUNK_BLOCKS + b, is_free ? "" : "not ");
        }
        free_blocks += is_free;
    }
    if (free_blocks != info->free_blocks || info->span != heap_chunk_at(heap, index)->header.span) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "heap: chunk %" PRIu32 ": free blocks or span differ from the table", index);
    }
    return 0;
}

/* ---- objects ------------------------------------------------------------------------------- */

struct auditor {
    struct heap_visitor visitor; /* first: the visitor handed to trace is this struct */
    const struct heap *heap;
    heap_trace_fn trace;
    void *context;
    struct phantom_diag *diag;
    pvm_object_t object; /* being traced */
    int rc;
};

static void check_reference(struct heap_visitor *visitor, pvm_object_t reference)
{
    struct auditor *auditor = (struct auditor *)visitor;
    if (auditor->rc == 0 && !heap_is_object(auditor->heap, reference)) {
        auditor->rc = ph_fail(auditor->diag, PHANTOM_ECORRUPT,
                              "heap: object %p refers to %p, which is no object",
                              (void *)auditor->object, (void *)reference);
    }
}

/** Does the size that the object states fit the place it is in? */
static bool size_fits(const struct heap *heap, pvm_object_t o)
{
    uint64_t block = ((uintptr_t)o - (uintptr_t)heap->base) / HEAP_BLOCK_BYTES;
    const struct heap_block *entry = &heap_chunk_at(heap, (uint32_t)(block / HEAP_CHUNK_BLOCKS))
                                          ->table[block % HEAP_CHUNK_BLOCKS];
    if (o->_da_size >= heap->limit) {
        return false;
    }
    uint64_t units = heap_units(o->_da_size);
    if (entry->kind == HEAP_BLOCK_RUN) {
        return units > HEAP_SMALL_MAX_UNITS && heap_run_blocks(units) == entry->run_blocks;
    }
    return units <= HEAP_SMALL_MAX_UNITS &&
           heap_class_of_units((unsigned)units) == entry->size_class;
}

static int audit_object(void *context, pvm_object_t o)
{
    struct auditor *auditor = context;
    auditor->object = o;
    if (o->_marker != PVM_OBJECT_START_MARKER) {
        return ph_fail(auditor->diag, PHANTOM_ECORRUPT,
                       "heap: object %p has marker 0x%08" PRIx32 " instead of 0x%08" PRIx32,
                       (void *)o, o->_marker, (uint32_t)PVM_OBJECT_START_MARKER);
    }
    if (!size_fits(auditor->heap, o)) {
        return ph_fail(auditor->diag, PHANTOM_ECORRUPT,
                       "heap: object %p states %" PRIu64 " bytes, which its place does not have",
                       (void *)o, o->_da_size);
    }
    if (o->_class == NULL && o != heap_root(auditor->heap)) {
        return ph_fail(auditor->diag, PHANTOM_ECORRUPT, "heap: object %p has no class", (void *)o);
    }
    heap_visit(&auditor->visitor, o->_class);
    if (auditor->rc == 0 && (o->_flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE) == 0) {
        auditor->trace(auditor->context, o, &auditor->visitor);
    }
    return auditor->rc;
}

int heap_audit(struct heap *heap, heap_trace_fn trace, void *context, struct phantom_diag *diag)
{
    int rc = heap_check_header(heap, diag);
    if (rc == 0 && heap_chunk_at(heap, 0)->heap.committed != heap->committed) {
        rc = ph_fail(diag, PHANTOM_ECORRUPT, "heap: committed size in the header was changed");
    }
    for (uint32_t c = 0; rc == 0 && c < heap->chunk_count; c += heap->chunks[c].span) {
        rc = heap_check_chunk(heap, c, diag);
        rc = rc != 0 ? rc : audit_volatile(heap, c, diag);
        rc = rc != 0 ? rc : audit_bitmaps(heap, c, diag);
    }
    pvm_object_t root = heap_root(heap);
    if (rc == 0 && root != NULL && !heap_is_object(heap, root)) {
        rc = ph_fail(diag, PHANTOM_ECORRUPT, "heap: root %p is not an object", (void *)root);
    }
    struct auditor auditor = {.visitor.receive = check_reference,
                              .heap = heap,
                              .trace = trace,
                              .context = context,
                              .diag = diag};
    return rc != 0 ? rc : heap_walk(heap, audit_object, &auditor);
}
