/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_compare.c - which objects differ between two states of a heap.
 *
 * Chunk by chunk and block by block, both states at once. What is looked at is decided by the pages
 * that differ: a chunk without one is passed over, so is a block whose entry, bitmap and content
 * are on equal pages, and of an object in both states only the bytes on pages that differ are
 * compared. Both images are checked as they are read (heap_image.h).
 */
#include "heap_image_internal.h"

#include <inttypes.h>
#include <string.h>

struct comparison {
    struct heap_image *from, *to;
    const uint64_t *page; /* ascending */
    size_t page_count;
    int (*visit)(void *context, enum heap_change change, const struct heap_image_object *object);
    void *context;
    struct phantom_diag *diag;
};

/* One block in both states. */
struct block_pair {
    uint64_t offset;            /* of the block in the heap */
    struct heap_block from, to; /* kind FREE where its chunk has no table in that state */
};

/* Index of the first page that differs at or after this one. */
static size_t next_difference(const struct comparison *c, uint64_t page)
{
    size_t low = 0, high = c->page_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->page[middle] < page) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Is any of these bytes of the heap on a page that differs? */
static bool differs(const struct comparison *c, uint64_t offset, uint64_t bytes)
{
    size_t i = next_difference(c, offset / HEAP_PAGE_BYTES);
    return i < c->page_count && c->page[i] * HEAP_PAGE_BYTES < offset + bytes;
}

static bool has_objects(const struct heap_block *entry)
{
    return entry->kind == HEAP_BLOCK_SMALL || entry->kind == HEAP_BLOCK_RUN;
}

static bool same_shape(const struct heap_block *a, const struct heap_block *b)
{
    return a->kind == b->kind && a->size_class == b->size_class && a->run_blocks == b->run_blocks;
}

/* Bytes that an object of such a block may take. */
static uint64_t cell_bytes(const struct heap_block *entry)
{
    return entry->kind == HEAP_BLOCK_RUN
               ? (uint64_t)entry->run_blocks * HEAP_BLOCK_BYTES
               : (uint64_t)heap_class_units(entry->size_class) * HEAP_CELL;
}

/* ---- objects -------------------------------------------------------------------------------- */

/* Compare an object's bytes where pages differ. 1 they differ, 0 equal, or an error. */
static int compare_bytes(const struct comparison *c, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes;
    for (size_t i = next_difference(c, offset / HEAP_PAGE_BYTES);
         i < c->page_count && c->page[i] * HEAP_PAGE_BYTES < end; i++) {
        uint64_t page_start = c->page[i] * HEAP_PAGE_BYTES;
        size_t first = offset > page_start ? (size_t)(offset - page_start) : 0;
        size_t last =
            end - page_start < HEAP_PAGE_BYTES ? (size_t)(end - page_start) : HEAP_PAGE_BYTES;
        const uint8_t *old, *new;
        int rc = heap_image_page(c->from, c->page[i], &old, c->diag);
        rc = rc != 0 ? rc : heap_image_page(c->to, c->page[i], &new, c->diag);
        if (rc != 0) {
            return rc;
        }
        if (memcmp(old + first, new + first, last - first) != 0) {
            return 1;
        }
    }
    return 0;
}

/* An object begins here in both states. */
static int compare_object(const struct comparison *c, const struct block_pair *pair,
                          uint64_t offset)
{
    struct heap_image_object old, new;
    if (same_shape(&pair->from, &pair->to) && !differs(c, offset, cell_bytes(&pair->to))) {
        return 0;
    }
    uint64_t address = heap_image_base(c->to) + offset;
    int rc = heap_image_header(c->from, address, &pair->from, &old, c->diag);
    rc = rc != 0 ? rc : heap_image_header(c->to, address, &pair->to, &new, c->diag);
    if (rc != 0) {
        return rc;
    }
    if (old.class != new.class || old.da_size != new.da_size) {
        rc = c->visit(c->context, HEAP_OBJECT_FREED, &old);
        return rc != 0 ? rc : c->visit(c->context, HEAP_OBJECT_CREATED, &new);
    }
    rc = compare_bytes(c, offset, sizeof(struct pvm_object_storage) + new.da_size);
    return rc == 1 ? c->visit(c->context, HEAP_OBJECT_CHANGED, &new) : rc;
}

/* An object begins here in one state only. */
static int report_object(const struct comparison *c, enum heap_change change,
                         const struct heap_block *entry, uint64_t offset)
{
    struct heap_image_object object;
    struct heap_image *image = change == HEAP_OBJECT_FREED ? c->from : c->to;
    int rc = heap_image_header(image, heap_image_base(image) + offset, entry, &object, c->diag);
    return rc != 0 ? rc : c->visit(c->context, change, &object);
}

/* ---- blocks and chunks ---------------------------------------------------------------------- */

static int compare_block(const struct comparison *c, uint32_t chunk, uint32_t block,
                         const struct block_pair *pair)
{
    uint64_t old[HEAP_BITMAP_WORDS], new[HEAP_BITMAP_WORDS];
    int rc = heap_image_bitmap(c->from, chunk, block, &pair->from, old, c->diag);
    rc = rc != 0 ? rc : heap_image_bitmap(c->to, chunk, block, &pair->to, new, c->diag);
    for (unsigned w = 0; rc == 0 && w < HEAP_BITMAP_WORDS; w++) {
        for (uint64_t bits = old[w] | new[w]; rc == 0 && bits != 0; bits &= bits - 1) {
            uint64_t bit = bits & -bits;
            uint64_t offset = pair->offset + (w * 64 + (uint64_t)__builtin_ctzll(bits)) * HEAP_CELL;
            if ((old[w] & bit) == 0) {
                rc = report_object(c, HEAP_OBJECT_CREATED, &pair->to, offset);
            } else if ((new[w] & bit) == 0) {
                rc = report_object(c, HEAP_OBJECT_FREED, &pair->from, offset);
            } else {
                rc = compare_object(c, pair, offset);
            }
        }
    }
    return rc;
}

/* May any object of this block differ? */
static bool is_touched(const struct comparison *c, uint64_t chunk_offset, uint32_t block,
                       const struct block_pair *pair)
{
    enum { BITMAP_BYTES = HEAP_BITMAP_WORDS * sizeof(uint64_t) };
    if (!same_shape(&pair->from, &pair->to)) {
        return true;
    }
    uint64_t bytes = pair->to.kind == HEAP_BLOCK_RUN ? cell_bytes(&pair->to) : HEAP_BLOCK_BYTES;
    uint64_t bitmap =
        chunk_offset + offsetof(struct heap_chunk, bitmap) + (uint64_t)block * BITMAP_BYTES;
    return differs(c, bitmap, BITMAP_BYTES) || differs(c, pair->offset, bytes);
}

static int compare_chunk(const struct comparison *c, uint32_t chunk)
{
    static const struct heap_block none[HEAP_CHUNK_BLOCKS];
    struct heap_block old[HEAP_CHUNK_BLOCKS], new[HEAP_CHUNK_BLOCKS]; /* visit may read others */
    const struct heap_block *old_table = none, *new_table = none;
    uint32_t old_span = heap_image_span(c->from, chunk), new_span = heap_image_span(c->to, chunk);
    uint32_t span = old_span > new_span ? old_span : new_span;
    uint64_t offset = chunk * HEAP_CHUNK_BYTES;
    if (span == 0 || (old_span == new_span && !differs(c, offset, span * HEAP_CHUNK_BYTES))) {
        return 0;
    }
    int rc = old_span != 0 ? heap_image_table(c->from, chunk, &old_table, c->diag) : 0;
    rc = rc == 0 && new_span != 0 ? heap_image_table(c->to, chunk, &new_table, c->diag) : rc;
    memcpy(old, old_table, sizeof old);
    memcpy(new, new_table, sizeof new);
    for (uint32_t b = HEAP_META_BLOCKS; rc == 0 && b < HEAP_CHUNK_BLOCKS; b++) {
        const struct block_pair pair = {
            .offset = offset + (uint64_t)b * HEAP_BLOCK_BYTES, .from = old[b], .to = new[b]};
        if ((has_objects(&pair.from) || has_objects(&pair.to)) && is_touched(c, offset, b, &pair)) {
            rc = compare_block(c, chunk, b, &pair);
        }
    }
    return rc;
}

int heap_image_compare(struct heap_image *from, struct heap_image *to, const uint64_t *pages,
                       size_t page_count,
                       int (*visit)(void *context, enum heap_change change,
                                    const struct heap_image_object *object),
                       void *context, struct phantom_diag *diag)
{
    const struct comparison c = {.from = from,
                                 .to = to,
                                 .page = pages,
                                 .page_count = page_count,
                                 .visit = visit,
                                 .context = context,
                                 .diag = diag};
    uint32_t old_count = heap_image_chunks(from), new_count = heap_image_chunks(to);
    uint32_t count = old_count > new_count ? old_count : new_count;
    int rc = 0;
    for (uint32_t chunk = 0; rc == 0 && chunk < count; chunk++) {
        rc = compare_chunk(&c, chunk);
    }
    return rc;
}
