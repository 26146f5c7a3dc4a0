/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_internal.h - the volatile half of a heap and what the files of this room share.
 *
 * Lock order: one lock, heap->lock, a leaf: no other lock is taken under it, and no callback but
 * those of struct heap_stores. It
 * guards the chunk list, the block tables (except the flags of a block that an allocator owns), the
 * partial lists and the list of allocators. Bitmap words of a block belong to the allocator that
 * owns the block; other threads only read them (heap_is_object, statistics).
 *
 * True between calls:
 *   - a block is in exactly one place: free (bit in chunk_info.free), owned by one allocator,
 *     in the partial list of its class, a full small block, or part of a run;
 *   - the bitmap of a block that is free, metadata or a run's tail is zero;
 *   - every cell at or above block_info.zero_from of a small block is zero.
 */
#ifndef HEAP_INTERNAL_H
#define HEAP_INTERNAL_H

#include "heap_layout.h"

#include <hal.h>

#define HEAP_NO_BLOCK UINT32_MAX

/* Blocks are numbered through the whole heap: chunk * HEAP_CHUNK_BLOCKS + number in the chunk. */

enum chunk_kind {
    CHUNK_ABSENT,    /* above the committed prefix */
    CHUNK_NORMAL,    /* carries metadata */
    CHUNK_BODY,      /* inside a huge run */
    CHUNK_BODY_FREED /* inside a huge run that this collection has freed; becomes NORMAL */
};

enum {
    BLOCK_RECENT = 1 /* an allocator owned it when the collection began: its pages are dirty */
};

struct block_info {     /* of a small block */
    uint32_t next;      /* in the partial list */
    uint16_t zero_from; /* unit; HEAP_BLOCK_UNITS: nothing is known to be zero */
    uint16_t flags;
};

struct chunk_info {
    uint32_t kind; /* atomic; read without the lock by heap_is_object() */
    uint32_t span;
    uint32_t free_blocks;
    uint32_t run_bound;        /* no run of free blocks is longer than this */
    struct block_info *blocks; /* made when the first small block of the chunk is opened */
    uint64_t *marks;           /* only during a collection; NULL: nothing marked */
    uint64_t free[HEAP_CHUNK_BLOCKS / 64];
    uint64_t discard[HEAP_CHUNK_BLOCKS / 64]; /* only during a collection */
};

struct partial_list {
    uint32_t head, tail; /* HEAP_NO_BLOCK when empty */
};

/** The block of one size class that an allocator is filling. */
struct alloc_slot {
    uint64_t free_mask;       /* cells of the current word that are free and not yet tried */
    uint64_t *word;           /* the current word of the block's bitmap */
    uint8_t *word_cells;      /* the memory that bit 0 of the word stands for */
    uint8_t *zero_below;      /* cells that start below this address must be zeroed */
    uint64_t pattern;         /* heap_cell_pattern() */
    struct heap_block *entry; /* of the block */
    uint32_t block;           /* HEAP_NO_BLOCK: none */
    uint32_t word_index;      /* of word in the block's bitmap */
    uint32_t cell_units;
};

struct heap_allocator {
    struct heap *heap;
    struct heap_allocator *next, *previous; /* heap->lock */
    uint64_t allocated; /* bytes since the last collection; atomic, written by the owner only */
    struct alloc_slot slots[HEAP_CLASS_COUNT];
};

struct heap {
    uint8_t *base;
    uint64_t limit; /* of the range, a multiple of the block size */
    struct heap_os os;
    uint32_t native_class_version;
    uint64_t committed; /* atomic */
    uint32_t chunk_capacity;
    struct chunk_info *chunks; /* chunk_capacity of them */

    hal_mutex_t lock;
    uint32_t chunk_count;      /* chunks in the committed prefix, bodies included */
    uint32_t first_free_chunk; /* no chunk below it has a free block */
    struct partial_list partial[HEAP_CLASS_COUNT];
    struct heap_allocator *allocators;
    uint64_t folded_allocated; /* by allocators that are gone, since the last collection */
    uint64_t used_base;        /* bytes used apart from what was allocated since the collection */
    bool used_known;           /* used_base was counted */
};

/* ---- places -------------------------------------------------------------------------------- */

static inline struct heap_chunk *heap_chunk_at(const struct heap *heap, uint32_t index)
{
    return (struct heap_chunk *)(heap->base + index * HEAP_CHUNK_BYTES);
}

static inline uint8_t *heap_block_at(const struct heap *heap, uint32_t block)
{
    return heap->base + (uint64_t)block * HEAP_BLOCK_BYTES;
}

/** Blocks of a chunk that lie inside the limit, metadata included. */
static inline uint32_t heap_chunk_blocks(const struct heap *heap, uint32_t index)
{
    uint64_t blocks = heap->limit / HEAP_BLOCK_BYTES - (uint64_t)index * HEAP_CHUNK_BLOCKS;
    return blocks < HEAP_CHUNK_BLOCKS ? (uint32_t)blocks : HEAP_CHUNK_BLOCKS;
}

/** Blocks of a chunk that can hold objects. */
static inline uint32_t heap_chunk_data_blocks(const struct heap *heap, uint32_t index)
{
    uint32_t blocks = heap_chunk_blocks(heap, index);
    return blocks > HEAP_META_BLOCKS ? blocks - HEAP_META_BLOCKS : 0;
}

static inline bool bit_test(const uint64_t *bits, uint32_t n)
{
    return (bits[n / 64] >> (n % 64) & 1) != 0;
}

static inline void bit_set(uint64_t *bits, uint32_t n)
{
    bits[n / 64] |= UINT64_C(1) << (n % 64);
}

static inline void bit_clear(uint64_t *bits, uint32_t n)
{
    bits[n / 64] &= ~(UINT64_C(1) << (n % 64));
}

/* Around each store into the range; see struct heap_stores. */

static inline void heap_before(const struct heap *heap, const void *start, uint64_t bytes)
{
    heap_before_store(heap->os.stores, start, bytes);
}

static inline void heap_after(const struct heap *heap, const void *start, uint64_t bytes)
{
    heap_after_store(heap->os.stores, start, bytes);
}

static inline uint32_t heap_chunk_kind(const struct heap *heap, uint32_t index)
{
    return __atomic_load_n(&heap->chunks[index].kind, __ATOMIC_ACQUIRE);
}

void heap_lock(const struct heap *heap);
void heap_unlock(const struct heap *heap);

/* ---- blocks (heap_blocks.c); all with the lock held, or the world stopped ------------------- */

/** Begin a chunk with metadata whose blocks are all free and whose bitmaps are zero. Reads nothing:
 *  the pages of its tables stay untouched. */
void heap_chunk_start(struct heap *heap, uint32_t index);
/** How many chunks the huge run in this one takes; 1: there is none. */
void heap_chunk_set_span(struct heap *heap, uint32_t index, uint32_t span);
/** Make the volatile description of a chunk with metadata from its block table.
 *  @return false: out of volatile memory */
bool heap_chunk_describe(struct heap *heap, uint32_t index);
/** Commit one more chunk with metadata; false when the limit is reached. */
bool heap_grow(struct heap *heap);

/** A block with (probably) free cells of a class, partly used ones first; HEAP_NO_BLOCK: none. */
uint32_t heap_take_small_block(struct heap *heap, unsigned size_class);
void heap_partial_push(struct heap *heap, unsigned size_class, uint32_t block);
void heap_partial_append(struct heap *heap, unsigned size_class, uint32_t block);
void heap_partial_reset(struct heap *heap);

/** What must be zeroed before a run just taken may be used; done without the lock. */
struct heap_run {
    uint32_t block;                         /* the first */
    uint64_t dirty[HEAP_CHUNK_BLOCKS / 64]; /* bit n: block n of the run holds old bytes */
};
/** Take a run of so many blocks, with its table entries written; false: no room. */
bool heap_take_run(struct heap *heap, uint64_t blocks, struct heap_run *run);
/** A small block or (the part in this chunk of) a run is free from now on. */
void heap_free_blocks(struct heap *heap, uint32_t chunk, uint32_t first, uint32_t count);

/* ---- others -------------------------------------------------------------------------------- */

/** Give back the blocks of an allocator (heap_alloc.c). Lock held, owner not running. */
void heap_allocator_flush(struct heap_allocator *allocator);
/** Bytes in allocated cells and runs, counted from the bitmaps (heap.c). Lock held. */
uint64_t heap_count_used(const struct heap *heap);
/** Header, chunk headers and block tables (heap_tables.c); the first fault goes to diag. */
int heap_check_header(const struct heap *heap, struct phantom_diag *diag);
int heap_check_chunk(const struct heap *heap, uint32_t index, struct phantom_diag *diag);

/* The same on tables that do not lie in a mapped heap. */

/** Magic, versions, geometry and base of a heap header. As heap_check_header(). */
int heap_check_identity(const struct heap_header *header, uint64_t base,
                        uint32_t native_class_version, struct phantom_diag *diag);
/** Do limit and committed size fit a range of `size` bytes? */
int heap_check_extent(const struct heap_header *header, uint64_t size, struct phantom_diag *diag);
int heap_check_chunk_header(const struct heap_chunk_header *header, uint32_t index,
                            uint32_t chunk_count, struct phantom_diag *diag);
/** Where a block table belongs. */
struct heap_place {
    uint32_t index, span;  /* of the chunk; span from its checked header */
    uint32_t end;          /* its blocks inside the limit */
    uint64_t limit_blocks; /* of the heap */
};
int heap_check_table(const struct heap_block table[HEAP_CHUNK_BLOCKS],
                     const struct heap_place *place, struct phantom_diag *diag);

/** How references reported by the trace callback are received: by the collector or the audit. */
struct heap_visitor {
    void (*receive)(struct heap_visitor *visitor, pvm_object_t reference);
};

#endif /* HEAP_INTERNAL_H */
