/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_blocks.c - chunks, free blocks, runs and partly used blocks: who gets which memory.
 *
 * Owns the block tables of the heap and their volatile picture, struct chunk_info. Everything here
 * runs with heap->lock held. Lower addresses are preferred everywhere, so that the memory in use,
 * and with it what snapshots must write, stays dense.
 */
#include "heap_internal.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <string.h>

static void publish_kind(struct heap *heap, uint32_t index, enum chunk_kind kind)
{
    __atomic_store_n(&heap->chunks[index].kind, (uint32_t)kind, __ATOMIC_RELEASE);
}

static void commit_to(struct heap *heap, uint32_t chunk_count)
{
    uint64_t committed = chunk_count * HEAP_CHUNK_BYTES;
    if (committed > heap->limit) {
        committed = heap->limit;
    }
    heap->chunk_count = chunk_count;
    uint64_t *place = &heap_chunk_at(heap, 0)->heap.committed;
    heap_before(heap, place, sizeof *place);
    *place = committed;
    heap_after(heap, place, sizeof *place);
    __atomic_store_n(&heap->committed, committed, __ATOMIC_RELEASE);
}

static bool need_block_info(struct heap *heap, uint32_t index)
{
    struct chunk_info *info = &heap->chunks[index];
    if (info->blocks == NULL) {
        info->blocks = ph_zalloc(HEAP_CHUNK_BLOCKS, sizeof *info->blocks);
    }
    return info->blocks != NULL;
}

bool heap_chunk_describe(struct heap *heap, uint32_t index)
{
    struct chunk_info *info = &heap->chunks[index];
    const struct heap_chunk *chunk = heap_chunk_at(heap, index);
    uint32_t end = heap_chunk_blocks(heap, index);
    memset(info->free, 0, sizeof info->free);
    info->free_blocks = 0;
    info->span = chunk->header.span;
    info->run_bound = HEAP_CHUNK_BLOCKS;
    for (uint32_t b = HEAP_META_BLOCKS; b < end; b++) {
        const struct heap_block *entry = &chunk->table[b];
        if (entry->kind == HEAP_BLOCK_FREE || entry->kind == HEAP_BLOCK_FREE_DIRTY) {
            bit_set(info->free, b);
            info->free_blocks++;
        } else if (entry->kind == HEAP_BLOCK_SMALL) {
            if (!need_block_info(heap, index)) {
                return false;
            }
            /* Which of its cells were never used is not stored: take none for clean. */
            info->blocks[b] = (struct block_info){.zero_from = HEAP_BLOCK_UNITS};
            heap_partial_append(heap, entry->size_class, index * HEAP_CHUNK_BLOCKS + b);
        }
    }
    if (info->free_blocks != 0 && index < heap->first_free_chunk) {
        heap->first_free_chunk = index;
    }
    publish_kind(heap, index, CHUNK_NORMAL);
    return true;
}

static void store_header(struct heap *heap, uint32_t index, struct heap_chunk_header header)
{
    struct heap_chunk_header *place = &heap_chunk_at(heap, index)->header;
    heap_before(heap, place, sizeof *place);
    *place = header;
    heap_after(heap, place, sizeof *place);
}

void heap_chunk_set_span(struct heap *heap, uint32_t index, uint32_t span)
{
    struct heap_chunk_header header = heap_chunk_at(heap, index)->header;
    header.span = span;
    heap->chunks[index].span = span;
    store_header(heap, index, header);
}

void heap_chunk_start(struct heap *heap, uint32_t index)
{
    struct chunk_info *info = &heap->chunks[index];
    uint32_t end = heap_chunk_blocks(heap, index);
    for (uint32_t b = HEAP_META_BLOCKS; b < end; b++) {
        bit_set(info->free, b);
    }
    info->free_blocks = heap_chunk_data_blocks(heap, index);
    info->run_bound = HEAP_CHUNK_BLOCKS;
    info->span = 1;
    store_header(heap, index, (struct heap_chunk_header){HEAP_CHUNK_MAGIC, index, 1});
    if (info->free_blocks != 0 && index < heap->first_free_chunk) {
        heap->first_free_chunk = index;
    }
    publish_kind(heap, index, CHUNK_NORMAL);
}

bool heap_grow(struct heap *heap)
{
    uint32_t index = heap->chunk_count;
    if (index >= heap->chunk_capacity || heap_chunk_data_blocks(heap, index) == 0) {
        return false;
    }
    heap_chunk_start(heap, index);
    commit_to(heap, index + 1);
    return true;
}

/* ---- partly used blocks -------------------------------------------------------------------- */

static struct block_info *block_info(const struct heap *heap, uint32_t block)
{
    return &heap->chunks[block / HEAP_CHUNK_BLOCKS].blocks[block % HEAP_CHUNK_BLOCKS];
}

void heap_partial_reset(struct heap *heap)
{
    for (unsigned c = 0; c < HEAP_CLASS_COUNT; c++) {
        heap->partial[c] = (struct partial_list){HEAP_NO_BLOCK, HEAP_NO_BLOCK};
    }
}

void heap_partial_push(struct heap *heap, unsigned size_class, uint32_t block)
{
    struct partial_list *list = &heap->partial[size_class];
    block_info(heap, block)->next = list->head;
    if (list->head == HEAP_NO_BLOCK) {
        list->tail = block;
    }
    list->head = block;
}

void heap_partial_append(struct heap *heap, unsigned size_class, uint32_t block)
{
    struct partial_list *list = &heap->partial[size_class];
    block_info(heap, block)->next = HEAP_NO_BLOCK;
    if (list->head == HEAP_NO_BLOCK) {
        list->head = block;
    } else {
        block_info(heap, list->tail)->next = block;
    }
    list->tail = block;
}

static uint32_t partial_pop(struct heap *heap, unsigned size_class)
{
    struct partial_list *list = &heap->partial[size_class];
    uint32_t block = list->head;
    if (block != HEAP_NO_BLOCK) {
        list->head = block_info(heap, block)->next;
    }
    return block;
}

/* ---- free blocks --------------------------------------------------------------------------- */

static void take_blocks(struct heap *heap, uint32_t index, uint32_t first, uint32_t count)
{
    struct chunk_info *info = &heap->chunks[index];
    for (uint32_t b = first; b < first + count; b++) {
        PH_DCHECK(bit_test(info->free, b));
        bit_clear(info->free, b);
    }
    info->free_blocks -= count;
}

/** The lowest chunk with a free block, growing when there is none. */
static bool find_chunk_with_space(struct heap *heap, uint32_t *index)
{
    for (uint32_t c = heap->first_free_chunk; c < heap->chunk_count; c++) {
        if (heap->chunks[c].kind == CHUNK_NORMAL && heap->chunks[c].free_blocks != 0) {
            heap->first_free_chunk = c;
            *index = c;
            return true;
        }
    }
    heap->first_free_chunk = heap->chunk_count;
    if (!heap_grow(heap)) {
        return false;
    }
    *index = heap->chunk_count - 1;
    return true;
}

static uint32_t first_free_block(const struct chunk_info *info)
{
    for (uint32_t w = 0; w < HEAP_CHUNK_BLOCKS / 64; w++) {
        if (info->free[w] != 0) {
            return w * 64 + (uint32_t)__builtin_ctzll(info->free[w]);
        }
    }
    PH_CHECK(!"free_blocks disagrees with the free bits");
    return 0;
}

uint32_t heap_take_small_block(struct heap *heap, unsigned size_class)
{
    uint32_t block = partial_pop(heap, size_class);
    if (block != HEAP_NO_BLOCK) {
        return block;
    }
    uint32_t index;
    if (!find_chunk_with_space(heap, &index) || !need_block_info(heap, index)) {
        return HEAP_NO_BLOCK;
    }
    uint32_t b = first_free_block(&heap->chunks[index]);
    struct heap_block *entry = &heap_chunk_at(heap, index)->table[b];
    heap->chunks[index].blocks[b] = (struct block_info){
        .next = HEAP_NO_BLOCK,
        .zero_from = entry->kind == HEAP_BLOCK_FREE ? 0 : HEAP_BLOCK_UNITS,
    };
    heap_before(heap, entry, sizeof *entry);
    *entry = (struct heap_block){.kind = HEAP_BLOCK_SMALL, .size_class = (uint8_t)size_class};
    heap_after(heap, entry, sizeof *entry);
    take_blocks(heap, index, b, 1);
    return index * HEAP_CHUNK_BLOCKS + b;
}

void heap_free_blocks(struct heap *heap, uint32_t chunk, uint32_t first, uint32_t count)
{
    struct chunk_info *info = &heap->chunks[chunk];
    struct heap_block *table = heap_chunk_at(heap, chunk)->table;
    /* With a discard the caller makes them holes before anybody can take them. */
    uint8_t kind = heap->os.discard != NULL ? HEAP_BLOCK_FREE : HEAP_BLOCK_FREE_DIRTY;
    heap_before(heap, &table[first], count * sizeof table[0]);
    for (uint32_t b = first; b < first + count; b++) {
        table[b] = (struct heap_block){.kind = kind};
        bit_set(info->free, b);
        bit_set(info->discard, b);
    }
    heap_after(heap, &table[first], count * sizeof table[0]);
    info->free_blocks += count;
    info->run_bound = HEAP_CHUNK_BLOCKS;
    if (chunk < heap->first_free_chunk) {
        heap->first_free_chunk = chunk;
    }
}

/* ---- runs ---------------------------------------------------------------------------------- */

/** First fit of `count` free blocks in a chunk; 0 (metadata) when there is none. */
static uint32_t find_run(const struct chunk_info *info, uint32_t end, uint32_t count)
{
    uint32_t length = 0;
    for (uint32_t b = HEAP_META_BLOCKS; b < end; b++) {
        length = bit_test(info->free, b) ? length + 1 : 0;
        if (length == count) {
            return b + 1 - count;
        }
    }
    return 0;
}

/** Note which blocks are dirty and write the table entries: head and tails. */
static void enter_run(struct heap *heap, uint32_t index, uint32_t first, uint32_t count,
                      uint64_t run_blocks, struct heap_run *run)
{
    struct heap_block *table = heap_chunk_at(heap, index)->table;
    *run = (struct heap_run){.block = index * HEAP_CHUNK_BLOCKS + first};
    heap_before(heap, &table[first], count * sizeof table[0]);
    for (uint32_t i = 0; i < count; i++) {
        if (table[first + i].kind == HEAP_BLOCK_FREE_DIRTY) {
            bit_set(run->dirty, i);
        }
        table[first + i] = (struct heap_block){.kind = HEAP_BLOCK_RUN_TAIL};
    }
    table[first] = (struct heap_block){.kind = HEAP_BLOCK_RUN, .run_blocks = (uint32_t)run_blocks};
    heap_after(heap, &table[first], count * sizeof table[0]);
    take_blocks(heap, index, first, count);
}

static bool take_run_in_chunk(struct heap *heap, uint32_t index, uint32_t count,
                              struct heap_run *run)
{
    struct chunk_info *info = &heap->chunks[index];
    if (info->kind != CHUNK_NORMAL || info->free_blocks < count || info->run_bound < count) {
        return false;
    }
    uint32_t first = find_run(info, heap_chunk_blocks(heap, index), count);
    if (first == 0) {
        info->run_bound = count - 1;
        return false;
    }
    enter_run(heap, index, first, count, count, run);
    return true;
}

/** A chunk that a huge run may swallow: above the committed prefix, or entirely free. */
static bool is_chunk_empty(const struct heap *heap, uint32_t index)
{
    return index >= heap->chunk_count ||
           (heap->chunks[index].kind == CHUNK_NORMAL &&
            heap->chunks[index].free_blocks == heap_chunk_data_blocks(heap, index));
}

/** An empty chunk with metadata becomes all data: every byte of it must be zero. */
static void make_body(struct heap *heap, uint32_t index)
{
    struct chunk_info *info = &heap->chunks[index];
    publish_kind(heap, index, CHUNK_BODY);
    if (index < heap->chunk_count) {
        struct heap_chunk *chunk = heap_chunk_at(heap, index);
        uint32_t end = heap_chunk_blocks(heap, index);
        for (uint32_t b = HEAP_META_BLOCKS; b < end; b++) {
            if (chunk->table[b].kind == HEAP_BLOCK_FREE_DIRTY) {
                uint8_t *block = heap_block_at(heap, index * HEAP_CHUNK_BLOCKS + b);
                uint64_t told = PH_MUTANT(BODY_CLEARED_UNTOLD) ? 0 : HEAP_BLOCK_BYTES;
                heap_before(heap, block, told);
                memset(block, 0, HEAP_BLOCK_BYTES);
                heap_after(heap, block, told);
                heap_before(heap, &chunk->table[b], sizeof chunk->table[b]);
                chunk->table[b] = (struct heap_block){0};
                heap_after(heap, &chunk->table[b], sizeof chunk->table[b]);
            }
        }
        store_header(heap, index, (struct heap_chunk_header){0});
    }
    memset(info->free, 0, sizeof info->free);
    info->free_blocks = 0;
    info->span = 0;
    ph_free(info->blocks);
    info->blocks = NULL;
}

/** A run longer than a chunk: whole chunks, of which only the first carries metadata. */
static bool take_huge_run(struct heap *heap, uint64_t blocks, struct heap_run *run)
{
    uint64_t span = (HEAP_META_BLOCKS + blocks + HEAP_CHUNK_BLOCKS - 1) / HEAP_CHUNK_BLOCKS;
    uint64_t limit_blocks = heap->limit / HEAP_BLOCK_BYTES;
    uint64_t first = 0;
    for (uint64_t c = 0; c < first + span; c++) {
        if (first * HEAP_CHUNK_BLOCKS + HEAP_META_BLOCKS + blocks > limit_blocks) {
            return false;
        }
        if (!is_chunk_empty(heap, (uint32_t)c)) {
            first = c + 1;
        }
    }
    uint32_t head = (uint32_t)first;
    if (head == heap->chunk_count && !heap_grow(heap)) {
        return false;
    }
    for (uint32_t c = head + 1; c < head + span; c++) {
        make_body(heap, c);
    }
    if (head + span > heap->chunk_count) {
        commit_to(heap, head + (uint32_t)span);
    }
    heap_chunk_set_span(heap, head, (uint32_t)span);
    enter_run(heap, head, HEAP_META_BLOCKS, HEAP_CHUNK_BLOCKS - HEAP_META_BLOCKS, blocks, run);
    return true;
}

bool heap_take_run(struct heap *heap, uint64_t blocks, struct heap_run *run)
{
    if (blocks > HEAP_CHUNK_BLOCKS - HEAP_META_BLOCKS) {
        return take_huge_run(heap, blocks, run);
    }
    uint32_t count = (uint32_t)blocks;
    for (uint32_t c = heap->first_free_chunk; c < heap->chunk_count; c++) {
        if (take_run_in_chunk(heap, c, count, run)) {
            return true;
        }
    }
    /* Growing for nothing would commit a chunk that the run does not fit into. */
    if (heap->chunk_count >= heap->chunk_capacity ||
        heap_chunk_data_blocks(heap, heap->chunk_count) < count || !heap_grow(heap)) {
        return false;
    }
    return take_run_in_chunk(heap, heap->chunk_count - 1, count, run);
}
