/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_image.c - tables and objects of a heap that is read page by page and not believed.
 *
 * Owns a direct-mapped cache of pages and one of checked block tables. Always true: `committed` and
 * the limit lie inside the range, spans add up to the number of chunks, and a table in the cache
 * has passed heap_check_table(). So an address below `committed` is a page of the source, and a run
 * or cell that an entry describes lies below the limit.
 */
#include "heap_image_internal.h"
#include "heap_internal.h"
#include "ph_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CACHED_PAGES = 64, CACHED_TABLES = 4 };
#define NOTHING UINT64_MAX

struct heap_image {
    struct heap_image_params params;
    char name[256];
    uint64_t limit, committed;
    uint32_t chunk_count;
    uint32_t *span; /* for each chunk; 0: inside a span */
    uint64_t page_number[CACHED_PAGES];
    uint64_t table_chunk[CACHED_TABLES];
    struct heap_block table[CACHED_TABLES][HEAP_CHUNK_BLOCKS];
    uint8_t page[CACHED_PAGES][HEAP_PAGE_BYTES];
};

/* A fault found by a check that does not know whose heap it is. */
static int named(const struct heap_image *image, int rc, const struct phantom_diag *found,
                 struct phantom_diag *diag)
{
    return rc != 0 ? ph_fail(diag, rc, "%s: %s", image->name, found->text) : 0;
}

uint64_t heap_image_base(const struct heap_image *image)
{
    return image->params.base;
}

uint32_t heap_image_chunks(const struct heap_image *image)
{
    return image->chunk_count;
}

uint32_t heap_image_span(const struct heap_image *image, uint32_t chunk)
{
    return chunk < image->chunk_count ? image->span[chunk] : 0;
}

/* ---- pages ---------------------------------------------------------------------------------- */

int heap_image_page(struct heap_image *image, uint64_t page, const uint8_t **out,
                    struct phantom_diag *diag)
{
    size_t place = page % CACHED_PAGES;
    if (image->page_number[place] != page) {
        image->page_number[place] = NOTHING;
        int rc =
            image->params.source.read(image->params.source.context, page, image->page[place], diag);
        if (rc < 0) {
            return rc;
        }
        if (rc == 0) {
            memset(image->page[place], 0, HEAP_PAGE_BYTES);
        }
        image->page_number[place] = page;
    }
    *out = image->page[place];
    return 0;
}

/* Bytes of the heap; the caller knows that they lie below the committed size. */
static int copy_bytes(struct heap_image *image, uint64_t offset, void *out, size_t size,
                      struct phantom_diag *diag)
{
    uint8_t *to = out;
    while (size > 0) {
        const uint8_t *page;
        size_t at = offset % HEAP_PAGE_BYTES;
        size_t part = size < HEAP_PAGE_BYTES - at ? size : HEAP_PAGE_BYTES - at;
        int rc = heap_image_page(image, offset / HEAP_PAGE_BYTES, &page, diag);
        if (rc != 0) {
            return rc;
        }
        memcpy(to, page + at, part);
        to += part;
        offset += part;
        size -= part;
    }
    return 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int read_header(struct heap_image *image, struct phantom_diag *diag)
{
    struct heap_header header;
    struct phantom_diag found = PHANTOM_DIAG_INIT;
    int rc = copy_bytes(image, 0, &header, sizeof header, diag);
    if (rc != 0) {
        return rc;
    }
    rc = heap_check_identity(&header, image->params.base, image->params.native_class_version,
                             &found);
    rc = rc != 0 ? rc : heap_check_extent(&header, image->params.size, &found);
    if (rc != 0) {
        return named(image, rc, &found, diag);
    }
    image->limit = header.size_limit;
    image->committed = header.committed;
    image->chunk_count = (uint32_t)((image->committed + HEAP_CHUNK_BYTES - 1) / HEAP_CHUNK_BYTES);
    return 0;
}

static int read_spans(struct heap_image *image, struct phantom_diag *diag)
{
    image->span = ph_zalloc(image->chunk_count, sizeof *image->span);
    if (image->span == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for %" PRIu32 " chunks", image->name,
                       image->chunk_count);
    }
    for (uint32_t c = 0; c < image->chunk_count; c += image->span[c]) {
        struct heap_chunk_header header;
        struct phantom_diag found = PHANTOM_DIAG_INIT;
        int rc = copy_bytes(image, c * HEAP_CHUNK_BYTES + offsetof(struct heap_chunk, header),
                            &header, sizeof header, diag);
        if (rc != 0) {
            return rc;
        }
        rc = heap_check_chunk_header(&header, c, image->chunk_count, &found);
        if (rc != 0) {
            return named(image, rc, &found, diag);
        }
        image->span[c] = header.span;
    }
    return 0;
}

int heap_image_open(const struct heap_image_params *params, struct heap_image **out,
                    struct phantom_diag *diag)
{
    uint64_t end;
    if (params->size > UINT64_C(1) << 48 || params->size < HEAP_BLOCK_BYTES ||
        __builtin_add_overflow(params->base, params->size, &end)) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "%s: impossible range for a heap", params->name);
    }
    struct heap_image *image = ph_zalloc(1, sizeof *image);
    if (image == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to read its heap", params->name);
    }
    image->params = *params;
    snprintf(image->name, sizeof image->name, "%s", params->name);
    image->params.name = image->name;
    memset(image->page_number, 0xFF, sizeof image->page_number);
    memset(image->table_chunk, 0xFF, sizeof image->table_chunk);
    int rc = read_header(image, diag);
    rc = rc != 0 ? rc : read_spans(image, diag);
    if (rc != 0) {
        heap_image_close(image);
        return rc;
    }
    *out = image;
    return 0;
}

void heap_image_close(struct heap_image *image)
{
    if (image != NULL) {
        ph_free(image->span);
        ph_free(image);
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

int heap_image_table(struct heap_image *image, uint32_t chunk, const struct heap_block **out,
                     struct phantom_diag *diag)
{
    size_t cached = chunk % CACHED_TABLES;
    if (image->table_chunk[cached] != chunk) {
        struct heap_block *table = image->table[cached];
        struct phantom_diag found = PHANTOM_DIAG_INIT;
        uint64_t limit_blocks = image->limit / HEAP_BLOCK_BYTES;
        uint64_t end = limit_blocks - (uint64_t)chunk * HEAP_CHUNK_BLOCKS;
        image->table_chunk[cached] = NOTHING;
        int rc = copy_bytes(image, chunk * HEAP_CHUNK_BYTES + offsetof(struct heap_chunk, table),
                            table, sizeof image->table[cached], diag);
        if (rc != 0) {
            return rc;
        }
        const struct heap_place place = {.index = chunk,
                                         .span = image->span[chunk],
                                         .end = end < HEAP_CHUNK_BLOCKS ? (uint32_t)end
                                                                        : HEAP_CHUNK_BLOCKS,
                                         .limit_blocks = limit_blocks};
        rc = heap_check_table(table, &place, &found);
        if (rc != 0) {
            return named(image, rc, &found, diag);
        }
        image->table_chunk[cached] = chunk;
    }
    *out = image->table[cached];
    return 0;
}

/* A bit where no object can begin, in a block with objects; or HEAP_BLOCK_UNITS. */
static unsigned stray_bit(const uint64_t bitmap[HEAP_BITMAP_WORDS], const struct heap_block *entry)
{
    unsigned units =
        entry->kind == HEAP_BLOCK_SMALL ? heap_class_units(entry->size_class) : HEAP_BLOCK_UNITS;
    for (unsigned w = 0; w < HEAP_BITMAP_WORDS; w++) {
        unsigned at = w;
        uint64_t starts = entry->kind == HEAP_BLOCK_SMALL
                              ? heap_cell_starts(units, heap_cell_pattern(units), &at)
                              : w == 0;
        uint64_t stray = bitmap[w] & ~(at == w ? starts : 0);
        if (stray != 0) {
            return w * 64 + (unsigned)__builtin_ctzll(stray);
        }
    }
    return HEAP_BLOCK_UNITS;
}

int heap_image_bitmap(struct heap_image *image, uint32_t chunk, uint32_t block,
                      const struct heap_block *entry, uint64_t bitmap[HEAP_BITMAP_WORDS],
                      struct phantom_diag *diag)
{
    enum { BYTES = HEAP_BITMAP_WORDS * sizeof(uint64_t) };
    if (entry->kind != HEAP_BLOCK_SMALL && entry->kind != HEAP_BLOCK_RUN) {
        memset(bitmap, 0, BYTES);
        return 0;
    }
    uint64_t at = chunk * HEAP_CHUNK_BYTES + offsetof(struct heap_chunk, bitmap);
    int rc = copy_bytes(image, at + (uint64_t)block * BYTES, bitmap, BYTES, diag);
    unsigned stray = rc == 0 ? stray_bit(bitmap, entry) : HEAP_BLOCK_UNITS;
    if (stray != HEAP_BLOCK_UNITS) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: heap: bitmap of block %" PRIu32
                       ", cell %u: an object where none begins",
                       image->name, chunk * HEAP_CHUNK_BLOCKS + block, stray);
    }
    return rc;
}

/* ---- objects -------------------------------------------------------------------------------- */

/* Does the size that an object states fit the place it is in? */
static bool size_fits(const struct heap_image *image, uint64_t da_size,
                      const struct heap_block *entry)
{
    if (da_size >= image->limit) {
        return false;
    }
    uint64_t units = heap_units(da_size);
    if (entry->kind == HEAP_BLOCK_RUN) {
        return units > HEAP_SMALL_MAX_UNITS && heap_run_blocks(units) == entry->run_blocks;
    }
    return units <= HEAP_SMALL_MAX_UNITS &&
           heap_class_of_units((unsigned)units) == entry->size_class;
}

int heap_image_header(struct heap_image *image, uint64_t address, const struct heap_block *entry,
                      struct heap_image_object *out, struct phantom_diag *diag)
{
    struct { /* struct pvm_object_storage without its flexible member */
        uint32_t marker, flags;
        uint64_t class, da_size;
    } header;
    _Static_assert(sizeof header == sizeof(struct pvm_object_storage), "object header");
    int rc = copy_bytes(image, address - image->params.base, &header, sizeof header, diag);
    if (rc != 0) {
        return rc;
    }
    if (header.marker != PVM_OBJECT_START_MARKER || !size_fits(image, header.da_size, entry)) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: heap: object 0x%" PRIx64 " has marker 0x%08" PRIx32
                       " and states %" PRIu64 " bytes, which is none for its place",
                       image->name, address, header.marker, header.da_size);
    }
    *out = (struct heap_image_object){.address = address,
                                      .class = header.class,
                                      .da_size = header.da_size,
                                      .flags = header.flags};
    return 0;
}

/* The chunk whose table describes an offset: the first of the span it lies in. */
static uint32_t chunk_of(const struct heap_image *image, uint64_t offset)
{
    uint32_t chunk = (uint32_t)(offset / HEAP_CHUNK_BYTES);
    while (image->span[chunk] == 0) {
        chunk--;
    }
    return chunk;
}

int heap_image_find(struct heap_image *image, uint64_t address, struct heap_image_object *out,
                    struct phantom_diag *diag)
{
    uint64_t offset = address - image->params.base;
    if (address < image->params.base || offset >= image->committed || offset % HEAP_CELL != 0) {
        return 0;
    }
    uint32_t chunk = chunk_of(image, offset);
    uint64_t block = offset / HEAP_BLOCK_BYTES - (uint64_t)chunk * HEAP_CHUNK_BLOCKS;
    if (block >= HEAP_CHUNK_BLOCKS) {
        return 0; /* inside a huge run */
    }
    const struct heap_block *table;
    uint64_t bitmap[HEAP_BITMAP_WORDS];
    int rc = heap_image_table(image, chunk, &table, diag);
    rc = rc != 0 ? rc
                 : heap_image_bitmap(image, chunk, (uint32_t)block, &table[block], bitmap, diag);
    uint32_t unit = (uint32_t)(offset % HEAP_BLOCK_BYTES / HEAP_CELL);
    if (rc != 0 || !bit_test(bitmap, unit)) {
        return rc;
    }
    rc = heap_image_header(image, address, &table[block], out, diag);
    return rc != 0 ? rc : 1;
}

int heap_image_data(struct heap_image *image, const struct heap_image_object *object,
                    uint64_t offset, void *out, size_t size, struct phantom_diag *diag)
{
    if (offset > object->da_size || size > object->da_size - offset) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: heap: object 0x%" PRIx64 " has only %" PRIu64 " bytes", image->name,
                       object->address, object->da_size);
    }
    return copy_bytes(
        image, object->address - image->params.base + sizeof(struct pvm_object_storage) + offset,
        out, size, diag);
}
