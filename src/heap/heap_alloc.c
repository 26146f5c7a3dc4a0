/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_alloc.c - birth of objects.
 *
 * Each thread has an allocator that owns one block per size class and hands out its free cells in
 * address order, a bitmap word at a time: no lock, no atomic read-modify-write. The bit of a cell
 * is set when the object is complete, so at every safepoint the bitmaps say exactly which objects
 * exist, and a thread that asks heap_is_object() never sees half a header.
 *
 * Zeroing: memory never used is zero already. A cell is zeroed only if its block is not known to be
 * clean from there on, so a large cell in fresh memory dirties the page of its header and no other.
 */
#include "heap_internal.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"

#include <errno.h>
#include <string.h>

static inline uint64_t load_word(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void count_allocated(struct heap_allocator *allocator, uint64_t bytes)
{
    uint64_t sum = __atomic_load_n(&allocator->allocated, __ATOMIC_RELAXED) + bytes;
    __atomic_store_n(&allocator->allocated, sum, __ATOMIC_RELAXED);
}

static inline pvm_object_t write_header(void *place, pvm_object_t class, uint32_t flags,
                                        uint64_t da_size)
{
    pvm_object_t o = place;
    o->_marker = PVM_OBJECT_START_MARKER;
    o->_flags = flags;
    o->_class = class;
    o->_da_size = da_size;
    return o;
}

static inline void set_bits(const struct heap *heap, uint64_t *word, uint64_t bits)
{
    if (!PH_MUTANT(BITS_UNTOLD)) {
        heap_before(heap, word, sizeof *word);
    }
    __atomic_store_n(word, bits, __ATOMIC_RELEASE);
    if (!PH_MUTANT(BITS_UNTOLD)) {
        heap_after(heap, word, sizeof *word);
    }
}

static void note_finalizer(const struct heap *heap, struct heap_block *entry)
{
    heap_before(heap, entry, sizeof *entry);
    entry->flags |= HEAP_BLOCK_FLAG_FINALIZER;
    heap_after(heap, entry, sizeof *entry);
}

/* ---- small objects ------------------------------------------------------------------------- */

/** Find the next word with a free cell, from `word` on; false: the block is full. */
static bool slot_scan(const struct heap *heap, struct alloc_slot *slot, unsigned word)
{
    uint32_t chunk = slot->block / HEAP_CHUNK_BLOCKS;
    uint64_t *bitmap = heap_chunk_at(heap, chunk)->bitmap +
                       (size_t)(slot->block % HEAP_CHUNK_BLOCKS) * HEAP_BITMAP_WORDS;
    for (;; word++) {
        uint64_t starts = heap_cell_starts(slot->cell_units, slot->pattern, &word);
        if (starts == 0) {
            return false;
        }
        uint64_t free_mask = starts & ~load_word(&bitmap[word]);
        if (free_mask != 0) {
            slot->free_mask = free_mask;
            slot->word = &bitmap[word];
            slot->word_index = word;
            slot->word_cells = heap_block_at(heap, slot->block) + (size_t)word * 64 * HEAP_CELL;
            return true;
        }
    }
}

static void slot_open(struct heap *heap, struct alloc_slot *slot, uint32_t block)
{
    const struct block_info *info =
        &heap->chunks[block / HEAP_CHUNK_BLOCKS].blocks[block % HEAP_CHUNK_BLOCKS];
    slot->block = block;
    slot->entry = &heap_chunk_at(heap, block / HEAP_CHUNK_BLOCKS)->table[block % HEAP_CHUNK_BLOCKS];
    slot->zero_below = heap_block_at(heap, block) + (size_t)info->zero_from * HEAP_CELL;
}

/** The block of the slot is full: nobody needs to remember it until a collection frees cells. */
static void slot_forget(struct heap *heap, struct alloc_slot *slot)
{
    if (slot->block != HEAP_NO_BLOCK) {
        uint32_t block = slot->block;
        heap->chunks[block / HEAP_CHUNK_BLOCKS].blocks[block % HEAP_CHUNK_BLOCKS].zero_from =
            HEAP_BLOCK_UNITS;
        slot->block = HEAP_NO_BLOCK;
    }
    slot->free_mask = 0;
}

/** Slow path: the current word is used up. */
static __attribute__((noinline)) bool slot_refill(struct heap_allocator *allocator,
                                                  unsigned size_class)
{
    struct heap *heap = allocator->heap;
    struct alloc_slot *slot = &allocator->slots[size_class];
    if (slot->block != HEAP_NO_BLOCK && slot_scan(heap, slot, slot->word_index + 1)) {
        return true;
    }
    do {
        heap_lock(heap);
        slot_forget(heap, slot);
        uint32_t block = heap_take_small_block(heap, size_class);
        if (block != HEAP_NO_BLOCK) {
            slot_open(heap, slot, block);
        }
        heap_unlock(heap);
        if (block == HEAP_NO_BLOCK) {
            return false;
        }
    } while (!slot_scan(heap, slot, 0));
    return true;
}

static pvm_object_t alloc_small(struct heap_allocator *allocator, pvm_object_t class,
                                uint32_t flags, uint64_t da_size, unsigned units)
{
    unsigned size_class = heap_class_of_units(units);
    struct alloc_slot *slot = &allocator->slots[size_class];
    if (__builtin_expect(slot->free_mask == 0, 0) && !slot_refill(allocator, size_class)) {
        return NULL;
    }
    unsigned bit = (unsigned)__builtin_ctzll(slot->free_mask);
    slot->free_mask &= slot->free_mask - 1;
    uint8_t *cell = slot->word_cells + (size_t)bit * HEAP_CELL;
    const struct heap *heap = allocator->heap;
    bool zero = cell < slot->zero_below;
    size_t written = zero ? (size_t)units * HEAP_CELL : sizeof(struct pvm_object_storage);
    heap_before(heap, cell, written);
    pvm_object_t o = write_header(cell, class, flags, da_size);
    if (zero) {
        memset(o->da, 0, written - sizeof *o);
    }
    heap_after(heap, cell, written);
    if (__builtin_expect((flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_FINALIZER) != 0, 0)) {
        note_finalizer(heap, slot->entry);
    }
    PH_POINT("cell not published");
    set_bits(heap, slot->word, load_word(slot->word) | UINT64_C(1) << bit);
    count_allocated(allocator, (uint64_t)slot->cell_units * HEAP_CELL);
    return o;
}

/* ---- large objects ------------------------------------------------------------------------- */

/** Zero the old bytes among the first `bytes` of a run. */
static void clean_run(const struct heap *heap, const struct heap_run *run, uint64_t bytes)
{
    uint8_t *start = heap_block_at(heap, run->block);
    for (uint32_t i = 0; i < HEAP_CHUNK_BLOCKS; i++) {
        uint64_t offset = (uint64_t)i * HEAP_BLOCK_BYTES;
        if (offset < bytes && bit_test(run->dirty, i)) {
            /* The rest of the last block is never read: it is part of no object. */
            uint64_t left = bytes - offset;
            left = left < HEAP_BLOCK_BYTES ? left : HEAP_BLOCK_BYTES;
            heap_before(heap, start + offset, left);
            memset(start + offset, 0, left);
            heap_after(heap, start + offset, left);
        }
    }
}

static pvm_object_t alloc_large(struct heap_allocator *allocator, pvm_object_t class,
                                uint32_t flags, uint64_t da_size)
{
    struct heap *heap = allocator->heap;
    if (da_size >= heap->limit) {
        return NULL;
    }
    uint64_t units = heap_units(da_size);
    uint64_t blocks = heap_run_blocks(units);
    struct heap_run run;
    heap_lock(heap);
    bool taken = heap_take_run(heap, blocks, &run);
    struct heap_chunk *chunk = NULL;
    if (taken) {
        chunk = heap_chunk_at(heap, run.block / HEAP_CHUNK_BLOCKS);
        if ((flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_FINALIZER) != 0) {
            note_finalizer(heap, &chunk->table[run.block % HEAP_CHUNK_BLOCKS]);
        }
    }
    heap_unlock(heap);
    if (!taken) {
        return NULL;
    }
    clean_run(heap, &run, units * HEAP_CELL);
    void *place = heap_block_at(heap, run.block);
    heap_before(heap, place, sizeof(struct pvm_object_storage));
    pvm_object_t o = write_header(place, class, flags, da_size);
    heap_after(heap, place, sizeof *o);
    uint64_t *word = chunk->bitmap + (size_t)(run.block % HEAP_CHUNK_BLOCKS) * HEAP_BITMAP_WORDS;
    set_bits(heap, word, 1);
    count_allocated(allocator, blocks * HEAP_BLOCK_BYTES);
    return o;
}

pvm_object_t heap_alloc(struct heap_allocator *allocator, pvm_object_t class, uint32_t flags,
                        uint64_t da_size)
{
    const uint64_t small_max =
        (uint64_t)HEAP_SMALL_MAX_UNITS * HEAP_CELL - sizeof(struct pvm_object_storage);
    if (__builtin_expect(da_size > small_max, 0)) {
        return alloc_large(allocator, class, flags, da_size);
    }
    return alloc_small(allocator, class, flags, da_size, (unsigned)heap_units(da_size));
}

/* ---- allocators ---------------------------------------------------------------------------- */

int heap_allocator_create(struct heap *heap, struct heap_allocator **out)
{
    struct heap_allocator *allocator = ph_zalloc(1, sizeof *allocator);
    if (allocator == NULL) {
        return -ENOMEM;
    }
    allocator->heap = heap;
    for (unsigned c = 0; c < HEAP_CLASS_COUNT; c++) {
        allocator->slots[c].block = HEAP_NO_BLOCK;
        allocator->slots[c].cell_units = heap_class_units(c);
        allocator->slots[c].pattern = heap_cell_pattern(heap_class_units(c));
    }
    heap_lock(heap);
    allocator->next = heap->allocators;
    if (allocator->next != NULL) {
        allocator->next->previous = allocator;
    }
    heap->allocators = allocator;
    heap_unlock(heap);
    *out = allocator;
    return 0;
}

/** First unit of the slot's block from which nothing has been handed out by this slot. */
static unsigned slot_frontier(const struct alloc_slot *slot)
{
    if (slot->free_mask != 0) {
        return slot->word_index * 64 + (unsigned)__builtin_ctzll(slot->free_mask);
    }
    unsigned end = (slot->word_index + 1) * 64 + slot->cell_units;
    return end < HEAP_BLOCK_UNITS ? end : HEAP_BLOCK_UNITS;
}

void heap_allocator_flush(struct heap_allocator *allocator)
{
    struct heap *heap = allocator->heap;
    for (unsigned c = 0; c < HEAP_CLASS_COUNT; c++) {
        struct alloc_slot *slot = &allocator->slots[c];
        if (slot->block == HEAP_NO_BLOCK) {
            continue;
        }
        struct block_info *info =
            &heap->chunks[slot->block / HEAP_CHUNK_BLOCKS].blocks[slot->block % HEAP_CHUNK_BLOCKS];
        unsigned frontier = slot_frontier(slot);
        if (frontier > info->zero_from) {
            info->zero_from = (uint16_t)frontier;
        }
        info->flags |= BLOCK_RECENT;
        heap_partial_push(heap, c, slot->block);
        slot->block = HEAP_NO_BLOCK;
        slot->free_mask = 0;
    }
}

void heap_allocator_destroy(struct heap_allocator *allocator)
{
    if (allocator == NULL) {
        return;
    }
    struct heap *heap = allocator->heap;
    heap_lock(heap);
    heap_allocator_flush(allocator);
    if (allocator->previous != NULL) {
        allocator->previous->next = allocator->next;
    } else {
        PH_CHECK(heap->allocators == allocator);
        heap->allocators = allocator->next;
    }
    if (allocator->next != NULL) {
        allocator->next->previous = allocator->previous;
    }
    heap->folded_allocated += allocator->allocated;
    heap_unlock(heap);
    ph_free(allocator);
}
