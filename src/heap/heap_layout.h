/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_layout.h - the bytes of a heap: what a store keeps and another build must understand.
 *
 * Owns the persistent structures and the arithmetic of sizes, nothing volatile. Every change here
 * is a change of HEAP_LAYOUT_VERSION and of docs/formats/heap.md.
 *
 *     chunk (64 MiB, aligned)                       block numbers inside the chunk
 *     +--------------------------------------+ 0          block 0
 *     | heap header (chunk 0 only, else 0)   |
 *     | chunk header                         | 2 KiB
 *     | block table, 1024 entries of 8 bytes | 4 KiB
 *     | zero                                 | 12 KiB
 *     +--------------------------------------+ 64 KiB     blocks 1..8
 *     | allocation bitmaps, 512 bytes per    |
 *     | block: bit n = "an object starts at  |
 *     | 16 * n and is allocated"             |
 *     +--------------------------------------+ 576 KiB    blocks 9..1023
 *     | objects                              |
 *     +--------------------------------------+ 64 MiB
 *
 * Always true: memory never written is zero, and a zero block table entry is a free block full of
 * zeros. So a fresh chunk costs one page, and what was never used is a hole in every snapshot.
 */
#ifndef HEAP_LAYOUT_H
#define HEAP_LAYOUT_H

#include "heap.h"

enum {
    HEAP_PAGE_BYTES = 4096,
    HEAP_BLOCK_UNITS = HEAP_BLOCK_BYTES / HEAP_CELL, /* 16-byte units, one bitmap bit each */
    HEAP_BITMAP_WORDS = HEAP_BLOCK_UNITS / 64,
    HEAP_CHUNK_BLOCKS = 1024,
    HEAP_META_BLOCKS = 9, /* at the front of a chunk that carries metadata */
    HEAP_SMALL_MAX_UNITS = 2048,
    HEAP_CLASS_COUNT = 43,
};

#define HEAP_MAGIC       "PHANTOMHEAP\0\0\0\0"
#define HEAP_CHUNK_MAGIC UINT64_C(0x4b4e554843485048) /* "HPHCHUNK" in memory */

/** Of chunk 0, at offset 0: the identity of the heap and the way to everything in it. */
struct heap_header {
    char magic[16];
    uint32_t layout_version;
    uint32_t native_class_version;
    uint32_t header_bytes; /* sizeof(struct heap_header) */
    uint32_t cell_bytes;
    uint64_t block_bytes;
    uint64_t chunk_bytes;
    uint64_t base;
    uint64_t size_limit; /* multiple of the block size */
    uint64_t committed;  /* end of the last chunk in use, at most size_limit */
    pvm_object_t root;
};
_Static_assert(sizeof(struct heap_header) == 80, "heap header is part of the heap layout");

/** Of every chunk that carries metadata, at offset 2048. */
struct heap_chunk_header {
    uint64_t magic;
    uint32_t index;
    uint32_t span; /* chunks from here to the next one with metadata; > 1: one huge run is here */
};
_Static_assert(sizeof(struct heap_chunk_header) == 16, "chunk header is part of the heap layout");

enum heap_block_kind {
    HEAP_BLOCK_FREE,       /* all bytes of the block are zero */
    HEAP_BLOCK_FREE_DIRTY, /* free, content arbitrary: zero before use */
    HEAP_BLOCK_SMALL,      /* cells of size_class */
    HEAP_BLOCK_RUN,        /* first of run_blocks blocks that hold one object */
    HEAP_BLOCK_RUN_TAIL,   /* another block of the run before it */
    HEAP_BLOCK_KINDS
};

enum { HEAP_BLOCK_FLAG_FINALIZER = 1 /* an object with the FINALIZER flag was born here */ };

struct heap_block {
    uint8_t kind;
    uint8_t size_class; /* SMALL, else 0 */
    uint8_t flags;
    uint8_t zero;
    uint32_t run_blocks; /* RUN, else 0 */
};
_Static_assert(sizeof(struct heap_block) == 8, "block entry is part of the heap layout");

/** The front of a chunk. Not valid for the chunks in the middle of a huge run: they are all data.
 */
struct heap_chunk {
    union {
        struct heap_header heap;
        uint8_t heap_bytes[2048];
    };
    union {
        struct heap_chunk_header header;
        uint8_t header_bytes[2048];
    };
    struct heap_block table[HEAP_CHUNK_BLOCKS];
    uint8_t zero[HEAP_BLOCK_BYTES - HEAP_PAGE_BYTES - 8 * HEAP_CHUNK_BLOCKS];
    uint64_t bitmap[HEAP_CHUNK_BLOCKS * HEAP_BITMAP_WORDS];
};
_Static_assert(offsetof(struct heap_chunk, header) == 2048, "chunk layout");
_Static_assert(offsetof(struct heap_chunk, table) == HEAP_PAGE_BYTES, "chunk layout");
_Static_assert(offsetof(struct heap_chunk, bitmap) == HEAP_BLOCK_BYTES, "chunk layout");
_Static_assert(sizeof(struct heap_chunk) == HEAP_META_BLOCKS * HEAP_BLOCK_BYTES, "chunk layout");
_Static_assert(HEAP_CHUNK_BYTES == (uint64_t)HEAP_CHUNK_BLOCKS * HEAP_BLOCK_BYTES, "chunk layout");

/** 16-byte units of an object with its header. da_size must be below 2^63. */
static inline uint64_t heap_units(uint64_t da_size)
{
    return (sizeof(struct pvm_object_storage) + da_size + HEAP_CELL - 1) / HEAP_CELL;
}

/** Blocks of a run that holds so many units. */
static inline uint64_t heap_run_blocks(uint64_t units)
{
    return (units + HEAP_BLOCK_UNITS - 1) / HEAP_BLOCK_UNITS;
}

/* Size classes: 2..16 units in steps of one, then four steps per doubling up to 2048 units (32
 * KiB). A cell is at most 25 % larger than what is asked for: 24 of 32 bytes is the worst case. */

/** Class of an object of 2..2048 units: the smallest cells that hold it. */
static inline unsigned heap_class_of_units(unsigned units)
{
    if (units <= 16) {
        return units - 2;
    }
    unsigned exponent = 31 - (unsigned)__builtin_clz(units - 1); /* 2^exponent < units */
    unsigned step = (units - 1 - (1u << exponent)) >> (exponent - 2);
    return 15 + (exponent - 4) * 4 + step;
}

static inline unsigned heap_class_units(unsigned size_class)
{
    if (size_class < 15) {
        return size_class + 2;
    }
    unsigned exponent = 4 + (size_class - 15) / 4;
    unsigned step = (size_class - 15) % 4;
    return (1u << exponent) + ((step + 1) << (exponent - 2));
}

/** Units of a block that can be the start of a cell: multiples of the cell size below this. */
static inline unsigned heap_class_limit(unsigned cell_units)
{
    return HEAP_BLOCK_UNITS - HEAP_BLOCK_UNITS % cell_units;
}

/** Bits 0, n, 2n, ... of a word, for cells of n units. */
static inline uint64_t heap_cell_pattern(unsigned cell_units)
{
    uint64_t pattern = 0;
    for (unsigned bit = 0; bit < 64; bit += cell_units) {
        pattern |= UINT64_C(1) << bit;
    }
    return pattern;
}

/**
 * Where cells may start in a word of a block's bitmap.
 * @param[in,out] word  moved on to the first word at or after it that has a start at all
 * @return the mask, or 0 when there is no such word left in the block
 */
static inline uint64_t heap_cell_starts(unsigned cell_units, uint64_t pattern, unsigned *word)
{
    unsigned first = (*word * 64 + cell_units - 1) / cell_units * cell_units;
    unsigned limit = heap_class_limit(cell_units);
    if (first >= limit) {
        return 0;
    }
    *word = first / 64;
    uint64_t mask = pattern << (first % 64);
    if (limit - *word * 64 < 64) {
        mask &= (UINT64_C(1) << (limit - *word * 64)) - 1;
    }
    return mask;
}

#endif /* HEAP_LAYOUT_H */
