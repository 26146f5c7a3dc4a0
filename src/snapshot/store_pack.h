/* SPDX-License-Identifier: Apache-2.0
 *
 * store_pack.h - pages that share blocks: compressed with LZ4 and packed, a few to one or two
 * blocks. The only door to liblz4.
 *
 * The sum that the map keeps of a page is that of its content, packed or not: so equal content is
 * equal in the map, and what comes out of a pack is believed only when that sum holds. The pack's
 * own sum says that the file is damaged before anything in it is looked at, and every number in it
 * is held against its bounds all the same.
 *
 * A pack takes room as long as a retained generation has one of its pages. So it has at most two
 * blocks here, and always fewer than pages: however its pages are overwritten, the packs of a
 * generation never take more than twice what its pages would take as they are.
 */
#ifndef SNAP_STORE_PACK_H
#define SNAP_STORE_PACK_H

#include "store_file.h"

#include <lz4.h>

/* ---- making -------------------------------------------------------------------------------- */

enum {
    STORE_PACK_BLOCKS_WRITTEN = 2,
    STORE_PACK_PAGE_MOST = 3072, /* bytes: a page that takes more stays as it is */
};

/* One pack being filled. True between calls: pages[0..count) are what was added, and `stream` knows
 * them, unless it is `stale`; image has `fill` bytes of head and compressed pages. */
struct store_packer {
    LZ4_stream_t stream;
    bool stale;
    uint32_t count;
    uint32_t fill;
    uint8_t *pages; /* STORE_PACK_SLOTS pages, then the image */
    uint8_t *image;
};

enum store_packed {
    STORE_PACK_ADDED,
    STORE_PACK_RAW, /* does not become small enough: leave it as it is */
    STORE_PACK_FULL /* close the pack, then try again */
};

/** NULL: no memory. */
struct store_packer *store_packer_create(void);
void store_packer_destroy(struct store_packer *packer);
/** Add a page (it is copied). Says FULL only if there is something in the pack. */
enum store_packed store_packer_add(struct store_packer *packer, const void *page);
/** Blocks that the pack takes; 0: it would save nothing, write the pages as they are. */
uint32_t store_packer_blocks(const struct store_packer *packer);
/** Finish the pack as it goes to the file, to the blocks from `block` on. */
void store_packer_finish(const struct store_file *file, struct store_packer *packer, uint64_t block,
                         void *out);
/** Begin the next one. */
void store_packer_empty(struct store_packer *packer);

/* ---- reading ------------------------------------------------------------------------------- */

/* The pack read last, decompressed. True between calls: `pack` is 0, or pages[0..good) are what the
 * first `good` of its slots hold. Zeroed: nothing there. */
struct store_unpacker {
    uint64_t pack;  /* its place, as store_place_pack() */
    uint32_t slots; /* that it says it has */
    uint32_t good;
    uint8_t *image; /* STORE_PACK_BLOCKS blocks */
    uint8_t *pages; /* STORE_PACK_SLOTS pages */
};

void store_unpacker_finish(struct store_unpacker *unpacker);
/**
 * The content of a packed page, checked; good until the next call. The pack is read if it is not
 * the one that is there already, or if what is there does not hold: its blocks may have been
 * written again.
 * @param image  the pack as it is in the file, NULL: read it
 * @return 0; PHANTOM_ECORRUPT with generation, page, block and slot in diag; -EIO, -ENOMEM
 */
int store_unpack_page(const struct store_file *file, struct store_unpacker *unpacker,
                      uint64_t generation, uint64_t page, uint64_t place, struct store_sum sum,
                      const void *image, const uint8_t **out, struct phantom_diag *diag);

#endif /* SNAP_STORE_PACK_H */
