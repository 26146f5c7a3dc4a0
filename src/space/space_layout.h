/* SPDX-License-Identifier: Apache-2.0
 *
 * space_layout.h - the bytes of a space: what a store keeps and another build must understand.
 *
 *     base                                                                       base + size
 *     | header | roots (128 B each) | block descriptors (128 B) | blocks of 64 KiB ... |
 *       4 KiB    512 KiB              from 528 384               64 KiB aligned
 *
 * A block is free, or cut into slots of one size class, or the first of a run that is one large
 * allocation. Its descriptor says which. All of a descriptor is zero while its block is free or in
 * the middle of a run, so what was never used costs nothing.
 *
 * One bit for each slot says whether it is allocated: that is the truth, and all of it. There are
 * no free lists in the space, so neither reading nor freeing touches the slots themselves; what a
 * thread keeps in caches is volatile and is not reflected here. Descriptors lie close together: one
 * page of them speaks for 2 MiB of blocks.
 *
 * The bits are in the descriptor, or, where a block has more slots than those (classes below 80
 * bytes), in the first slots of the block itself, which are then never given out.
 *
 * Nothing here depends on a build or a process; change it, and SPACE_LAYOUT_VERSION changes.
 */
#ifndef SPACE_LAYOUT_H
#define SPACE_LAYOUT_H

#include <phantom/space.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPACE_PAGE = 4096,
    SPACE_BLOCK = 65536,
    SPACE_GRAIN = 16, /* least slot size and alignment */
    SPACE_CLASSES = 40,
    SPACE_SMALL_MAX = 32768, /* largest slot */
    SPACE_BITS_WORDS = 14,   /* in a descriptor */
    SPACE_LAYOUT = 1         /* the low part of PHANTOM_LAYOUT_SPACE */
};

#define SPACE_MAGIC       UINT64_C(0x3165636170736850) /* "Phspace1" */
#define SPACE_ROOTS_AT    UINT64_C(4096)
#define SPACE_BLOCKS_FROM (SPACE_ROOTS_AT + PHANTOM_SPACE_ROOTS * sizeof(struct space_root))

/** Page 0. Every member but the last two is fixed at birth. */
struct space_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t header_bytes;
    uint64_t base, size;
    uint64_t blocks_at; /* offset of block 0 */
    uint64_t block_count;
    uint64_t birth_check; /* over the members above */
    uint64_t top;         /* blocks from here on were never used */
    uint64_t root_count;
};

struct space_root {
    char name[PHANTOM_SPACE_ROOT_NAME + 1];
    uint64_t value; /* address */
    uint64_t check; /* over name and value */
};

enum space_kind { SPACE_FREE = 0, SPACE_SMALL = 0xA5, SPACE_LARGE = 0x5A };

/** head: kind in bits 0..7, class in 8..15, a check in 16..31. */
struct space_block {
    _Atomic uint32_t head;
    uint32_t run;   /* SPACE_LARGE: blocks in the run */
    uint64_t bytes; /* SPACE_LARGE: usable bytes, a multiple of the page size */
    _Atomic uint64_t bits[SPACE_BITS_WORDS];
};

_Static_assert(sizeof(struct space_header) <= SPACE_PAGE, "the header is one page");
_Static_assert(sizeof(struct space_root) == 128, "a root is 128 bytes");
_Static_assert(sizeof(struct space_block) == 128, "a descriptor is 128 bytes");
_Static_assert(offsetof(struct space_block, bits) == 16, "the bits follow 16 bytes");
_Static_assert(SPACE_BLOCKS_FROM == 528384, "see the picture");

#endif /* SPACE_LAYOUT_H */
