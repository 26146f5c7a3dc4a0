/* SPDX-License-Identifier: Apache-2.0
 *
 * space_blocks.h - inside the allocator: which blocks are free, and who may take slots from the
 * others. Not used outside space_alloc.c, space_blocks.c and space_audit.c.
 */
#ifndef SPACE_BLOCKS_H
#define SPACE_BLOCKS_H

#include "space_alloc.h"

#include <hal.h>

/**
 * Volatile state of a block.
 *
 *     UNKNOWN   not looked at since the space was opened
 *     OWNED     one thread takes slots from it
 *     FULL      nobody's, and when it was last looked at no slot was free
 *     PARTIAL   nobody's, in the list of its class
 *     RUN       part of a large allocation
 *
 * Who clears a bit of a FULL block makes it PARTIAL. Who calls a block FULL looks at the bits once
 * more afterwards; both are sequentially consistent, so one of the two notices.
 */
enum space_state { SPACE_UNKNOWN, SPACE_UNUSED, SPACE_OWNED, SPACE_FULL, SPACE_PARTIAL, SPACE_RUN };

struct space_class {
    uint32_t size, slots; /* slots: in a block, those under the bits included */
    uint32_t first;       /* first slot that is given out */
    uint32_t words;       /* of bits */
};

struct space_alloc {
    uint8_t *base;
    uint64_t size;
    struct space_header *header;
    struct space_block *block;
    uint8_t *blocks; /* block 0 */
    uint64_t block_count;
    struct space_alloc_host host;
    struct space_class class[SPACE_CLASSES];
    uint8_t class_of[1024 / SPACE_GRAIN + 1]; /* by size in grains */

    _Atomic uint8_t *state; /* enum space_state */

    /* Under lock, a leaf: everything below; header->top; descriptors except their bits; changes
     * of state other than OWNED to FULL and back. */
    hal_mutex_t lock;
    bool lock_ready;
    uint32_t *next, *previous; /* of PARTIAL blocks: number plus 1, or 0 */
    uint32_t partial[SPACE_CLASSES];
    uint32_t partial_count[SPACE_CLASSES];
    uint64_t *used;       /* one bit a block: taken, or not looked at yet */
    uint64_t lowest_free; /* no block below is free */
    uint64_t scanned;     /* blocks below are known */
    uint64_t scan_end;    /* header->top when the space was opened */
};

static inline enum space_kind space_head_kind(uint32_t head)
{
    return (enum space_kind)(head & 0xFF);
}
static inline unsigned space_head_class(uint32_t head)
{
    return head >> 8 & 0xFF;
}
uint32_t space_head(uint64_t number, enum space_kind kind, unsigned class);
/** Is this what space_head() made for this block? A free block's 0 is not. */
bool space_head_valid(uint64_t number, uint32_t head);

static inline uint8_t *space_block_start(const struct space_alloc *alloc, uint64_t number)
{
    return alloc->blocks + number * SPACE_BLOCK;
}
static inline _Atomic uint64_t *space_bits(const struct space_alloc *alloc, uint64_t number,
                                           unsigned class)
{
    return alloc->class[class].words <= SPACE_BITS_WORDS
               ? alloc->block[number].bits
               : (_Atomic uint64_t *)(void *)space_block_start(alloc, number);
}
static inline void space_will_write(const struct space_alloc *alloc, const void *start,
                                    size_t bytes)
{
    if (alloc->host.will_write != NULL) {
        alloc->host.will_write(alloc->host.context, start, bytes);
    }
}
static inline void space_wrote(const struct space_alloc *alloc, const void *start, size_t bytes)
{
    if (alloc->host.wrote != NULL) {
        alloc->host.wrote(alloc->host.context, start, bytes);
    }
}
/** Bits of word `word` that stand for slots that may be given out. */
uint64_t space_valid_bits(const struct space_class *class, uint32_t word);
bool space_block_has_free(const struct space_alloc *alloc, uint64_t number, unsigned class);

/** Take a block with a free slot of the class; SPACE_NO_BLOCK: full. */
#define SPACE_NO_BLOCK UINT64_MAX
uint64_t space_take_block(struct space_alloc *alloc, unsigned class);
/** The owner found no slot. True: one has become free meanwhile, and the block is still its own. */
bool space_drop_full(struct space_alloc *alloc, uint64_t number, unsigned class);
/** The owner ends. */
void space_drop_owned(struct space_alloc *alloc, uint64_t number, unsigned class);
/** A bit of this block was cleared and it was FULL: list it. */
void space_list_block(struct space_alloc *alloc, uint64_t number);
/** A bit of this PARTIAL block was cleared: if it is empty and there are others, it is free. */
void space_maybe_release(struct space_alloc *alloc, uint64_t number, unsigned class);

/** A run of blocks of `bytes` (whole pages) at this alignment. SPACE_NO_BLOCK: full */
uint64_t space_take_run(struct space_alloc *alloc, uint64_t bytes, uint64_t alignment);
/** Give the run back. Fatal if there is none. */
void space_free_run(struct space_alloc *alloc, uint64_t number);
/** Make the run this long, where it is. False: no room; nothing happened. */
bool space_resize_run(struct space_alloc *alloc, uint64_t number, uint64_t bytes);

_Noreturn void space_fatal(const struct space_alloc *alloc, const void *where, const char *what);

#endif /* SPACE_BLOCKS_H */
