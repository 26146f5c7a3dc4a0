/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_image_internal.h - what heap_image.c gives to heap_compare.c and to nobody else.
 */
#ifndef HEAP_IMAGE_INTERNAL_H
#define HEAP_IMAGE_INTERNAL_H

#include "heap_image.h"
#include "heap_layout.h"

enum { HEAP_CHUNK_PAGES = HEAP_CHUNK_BLOCKS * (HEAP_BLOCK_BYTES / HEAP_PAGE_BYTES) };

uint64_t heap_image_base(const struct heap_image *image);
/** Chunks of the committed prefix. */
uint32_t heap_image_chunks(const struct heap_image *image);
/** Chunks taken by what begins in this one; 0: it lies inside another's span, or is not there. */
uint32_t heap_image_span(const struct heap_image *image, uint32_t chunk);
/** The checked block table of a chunk with a span; good until the next call on this image. */
int heap_image_table(struct heap_image *image, uint32_t chunk, const struct heap_block **out,
                     struct phantom_diag *diag);
/** The checked bitmap of a block whose entry is `entry`: all zero when that holds no objects. */
int heap_image_bitmap(struct heap_image *image, uint32_t chunk, uint32_t block,
                      const struct heap_block *entry, uint64_t bitmap[HEAP_BITMAP_WORDS],
                      struct phantom_diag *diag);
/** Header of the object whose bit is set, checked against its block's entry. */
int heap_image_header(struct heap_image *image, uint64_t address, const struct heap_block *entry,
                      struct heap_image_object *out, struct phantom_diag *diag);
/** One page: zeros for a hole; good until the next call on this image. */
int heap_image_page(struct heap_image *image, uint64_t page, const uint8_t **out,
                    struct phantom_diag *diag);

#endif /* HEAP_IMAGE_INTERNAL_H */
