/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_collect.c - stop-the-world mark and sweep (McCarthy, "Recursive functions of symbolic
 * expressions and their computation by machine", 1960), with the marks beside the heap.
 *
 * Phases, each a function: flush (allocators give their blocks back), mark, finalize, sweep,
 * release (discard what became free). Until sweep begins nothing of the heap has been written, so
 * running out of volatile memory, which only mark needs, leaves the heap as it was.
 *
 * What is written: the bitmap words that lose an object, and the table entries of blocks that
 * become free. Dead objects are not touched, nor read, unless their block ever held an object with
 * a finalizer.
 */
#include "heap_internal.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <string.h>

enum { FIRST_STACK_ENTRIES = 1024 };

struct collector {
    struct heap_visitor visitor; /* first: the visitor handed to trace is this struct */
    struct heap *heap;
    pvm_object_t *stack; /* marked, not yet traced; none is CHILDFREE */
    size_t depth, capacity;
    bool out_of_memory;
    struct heap_collect_report report;
};

/* ---- mark ---------------------------------------------------------------------------------- */

static void push(struct collector *collector, pvm_object_t o)
{
    if (collector->depth == collector->capacity) {
        size_t capacity = collector->capacity == 0 ? FIRST_STACK_ENTRIES : collector->capacity * 2;
        pvm_object_t *stack = ph_realloc(collector->stack, capacity * sizeof(pvm_object_t));
        if (stack == NULL) {
            collector->out_of_memory = true;
            return;
        }
        collector->stack = stack;
        collector->capacity = capacity;
    }
    collector->stack[collector->depth++] = o;
}

/** The mark bitmap of a chunk, made at its first mark; NULL: out of memory. */
static uint64_t *need_marks(struct collector *collector, uint32_t index)
{
    struct chunk_info *info = &collector->heap->chunks[index];
    if (info->marks == NULL) {
        info->marks = ph_zalloc(HEAP_CHUNK_BLOCKS, HEAP_BITMAP_WORDS * sizeof *info->marks);
        collector->out_of_memory = info->marks == NULL;
    }
    return info->marks;
}

/** Set the mark of one object; true: it was not marked before. */
static bool set_mark(struct collector *collector, pvm_object_t o)
{
    struct heap *heap = collector->heap;
    uint64_t offset = (uintptr_t)o - (uintptr_t)heap->base;
    uint32_t index = (uint32_t)(offset / HEAP_CHUNK_BYTES);
    uint64_t unit = offset % HEAP_CHUNK_BYTES / HEAP_CELL;
    uint64_t bit = UINT64_C(1) << (unit % 64);
    /* A reference to anything but an object means the heap is damaged: going on would free or keep
     * the wrong memory, and the next snapshot would make that permanent. */
    PH_CHECK(offset < heap->committed && offset % HEAP_CELL == 0);
    PH_CHECK(heap->chunks[index].kind == CHUNK_NORMAL);
    PH_CHECK((heap_chunk_at(heap, index)->bitmap[unit / 64] & bit) != 0);
    uint64_t *marks = need_marks(collector, index);
    if (marks == NULL || (marks[unit / 64] & bit) != 0) {
        return false;
    }
    marks[unit / 64] |= bit;
    return true;
}

/** Mark an object that something refers to. Only what can hold references goes on the stack: the
 *  numbers and strings of a large array need no room there. */
static void mark(struct heap_visitor *visitor, pvm_object_t o)
{
    struct collector *collector = (struct collector *)visitor;
    while (o != NULL && !collector->out_of_memory && set_mark(collector, o)) {
        if ((o->_flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE) == 0) {
            push(collector, o);
            return;
        }
        o = heap_load_ref(&o->_class);
    }
}

static int mark_all(struct collector *collector, heap_trace_fn trace, void *context)
{
    mark(&collector->visitor, heap_root(collector->heap));
    while (collector->depth != 0 && !collector->out_of_memory) {
        pvm_object_t o = collector->stack[--collector->depth];
        mark(&collector->visitor, heap_load_ref(&o->_class));
        trace(context, o, &collector->visitor);
    }
    return collector->out_of_memory ? -ENOMEM : 0;
}

/* ---- finalize ------------------------------------------------------------------------------ */

static uint64_t marks_of(const struct chunk_info *info, size_t word)
{
    return info->marks != NULL ? info->marks[word] : 0;
}

static void finalize_block(struct heap *heap, uint32_t index, uint32_t b, heap_finalize_fn finalize,
                           void *context)
{
    const uint64_t *bitmap = heap_chunk_at(heap, index)->bitmap;
    uint8_t *cells = heap_block_at(heap, index * HEAP_CHUNK_BLOCKS + b);
    for (size_t w = 0; w < HEAP_BITMAP_WORDS; w++) {
        size_t word = (size_t)b * HEAP_BITMAP_WORDS + w;
        uint64_t dead = bitmap[word] & ~marks_of(&heap->chunks[index], word);
        for (; dead != 0; dead &= dead - 1) {
            size_t unit = w * 64 + (size_t)__builtin_ctzll(dead);
            pvm_object_t o = (pvm_object_t)(cells + unit * HEAP_CELL);
            if ((o->_flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_FINALIZER) != 0) {
                finalize(context, o);
            }
        }
    }
}

/** All finalizers run before anything is freed: each may read other dead objects. */
static void finalize_all(struct heap *heap, heap_finalize_fn finalize, void *context)
{
    for (uint32_t c = 0; c < heap->chunk_count; c += heap->chunks[c].span) {
        const struct heap_block *table = heap_chunk_at(heap, c)->table;
        for (uint32_t b = HEAP_META_BLOCKS; b < HEAP_CHUNK_BLOCKS; b++) {
            if ((table[b].flags & HEAP_BLOCK_FLAG_FINALIZER) != 0) {
                finalize_block(heap, c, b, finalize, context);
            }
        }
    }
}

/* ---- sweep --------------------------------------------------------------------------------- */

static void count(struct heap_collect_report *report, uint64_t live, uint64_t freed, uint64_t bytes)
{
    report->live_objects += live;
    report->live_bytes += live * bytes;
    report->freed_objects += freed;
    report->freed_bytes += freed * bytes;
}

static void sweep_small(struct collector *collector, uint32_t index, uint32_t b)
{
    struct heap *heap = collector->heap;
    struct chunk_info *info = &heap->chunks[index];
    struct heap_chunk *chunk = heap_chunk_at(heap, index);
    unsigned size_class = chunk->table[b].size_class;
    unsigned units = heap_class_units(size_class);
    uint64_t live = 0, freed = 0;
    size_t end = (size_t)(b + 1) * HEAP_BITMAP_WORDS;
    for (size_t w = (size_t)b * HEAP_BITMAP_WORDS; w < end; w++) {
        uint64_t old = chunk->bitmap[w];
        uint64_t kept = old & marks_of(info, w);
        live += (uint64_t)__builtin_popcountll(kept);
        if (kept != old) {
            freed += (uint64_t)__builtin_popcountll(old & ~kept);
            heap_before(heap, &chunk->bitmap[w], sizeof kept);
            __atomic_store_n(&chunk->bitmap[w], kept, __ATOMIC_RELAXED);
            heap_after(heap, &chunk->bitmap[w], sizeof kept);
        }
    }
    count(&collector->report, live, freed, (uint64_t)units * HEAP_CELL);
    bool recent = (info->blocks[b].flags & BLOCK_RECENT) != 0;
    info->blocks[b].flags = 0;
    uint32_t block = index * HEAP_CHUNK_BLOCKS + b;
    if (live == 0) {
        heap_free_blocks(heap, index, b, 1);
    } else if (live < HEAP_BLOCK_UNITS / units) {
        (recent ? heap_partial_push : heap_partial_append)(heap, size_class, block);
    }
}

/** Returns the blocks of the run that lie in this chunk. */
static uint32_t sweep_run(struct collector *collector, uint32_t index, uint32_t b)
{
    struct heap *heap = collector->heap;
    struct heap_chunk *chunk = heap_chunk_at(heap, index);
    uint32_t run_blocks = chunk->table[b].run_blocks;
    uint32_t part = run_blocks;
    if (part > HEAP_CHUNK_BLOCKS - b) {
        part = HEAP_CHUNK_BLOCKS - b;
    }
    size_t word = (size_t)b * HEAP_BITMAP_WORDS;
    bool live = (marks_of(&heap->chunks[index], word) & 1) != 0;
    count(&collector->report, live, !live, (uint64_t)run_blocks * HEAP_BLOCK_BYTES);
    if (!live) {
        heap_before(heap, &chunk->bitmap[word], sizeof chunk->bitmap[word]);
        __atomic_store_n(&chunk->bitmap[word], 0, __ATOMIC_RELAXED);
        heap_after(heap, &chunk->bitmap[word], sizeof chunk->bitmap[word]);
        heap_free_blocks(heap, index, b, part);
        for (uint32_t body = 1; body < heap->chunks[index].span; body++) {
            __atomic_store_n(&heap->chunks[index + body].kind, CHUNK_BODY_FREED, __ATOMIC_RELEASE);
        }
    }
    return part;
}

static void sweep_chunk(struct collector *collector, uint32_t index)
{
    struct heap *heap = collector->heap;
    struct heap_block *table = heap_chunk_at(heap, index)->table;
    uint32_t end = heap_chunk_blocks(heap, index);
    uint32_t b = HEAP_META_BLOCKS;
    while (b < end) {
        uint32_t step = 1;
        if (table[b].kind == HEAP_BLOCK_SMALL) {
            sweep_small(collector, index, b);
        } else if (table[b].kind == HEAP_BLOCK_RUN) {
            step = sweep_run(collector, index, b);
        } else if (table[b].kind == HEAP_BLOCK_FREE_DIRTY && heap->os.discard != NULL) {
            /* Freed by a run of the world that could not discard. */
            heap_before(heap, &table[b], sizeof table[b]);
            table[b].kind = HEAP_BLOCK_FREE;
            heap_after(heap, &table[b], sizeof table[b]);
            bit_set(heap->chunks[index].discard, b);
        }
        b += step;
    }
}

static void sweep_all(struct collector *collector)
{
    struct heap *heap = collector->heap;
    heap_partial_reset(heap);
    for (uint32_t c = 0; c < heap->chunk_count; c += heap->chunks[c].span) {
        sweep_chunk(collector, c);
    }
    heap->used_base = collector->report.live_bytes;
    heap->used_known = true;
    heap->folded_allocated = 0;
    for (struct heap_allocator *a = heap->allocators; a != NULL; a = a->next) {
        __atomic_store_n(&a->allocated, 0, __ATOMIC_RELAXED);
    }
}

/* ---- release ------------------------------------------------------------------------------- */

static void discard(struct collector *collector, void *start, uint64_t bytes)
{
    const struct heap_os *os = &collector->heap->os;
    if (os->discard != NULL) {
        os->discard(os->context, start, bytes);
        collector->report.discarded_bytes += bytes;
    }
}

/** Report the blocks of a chunk that became free, neighbours as one range. */
static void release_blocks(struct collector *collector, uint32_t index)
{
    struct heap *heap = collector->heap;
    uint64_t *bits = heap->chunks[index].discard;
    uint32_t b = HEAP_META_BLOCKS;
    while (b < HEAP_CHUNK_BLOCKS) {
        uint32_t end = b;
        while (end < HEAP_CHUNK_BLOCKS && bit_test(bits, end)) {
            end++;
        }
        if (end != b) {
            discard(collector, heap_block_at(heap, index * HEAP_CHUNK_BLOCKS + b),
                    (uint64_t)(end - b) * HEAP_BLOCK_BYTES);
        }
        b = end + 1;
    }
    memset(bits, 0, sizeof heap->chunks[index].discard);
}

/** A chunk that was all data gets metadata again. */
static void release_body(struct collector *collector, uint32_t index)
{
    struct heap *heap = collector->heap;
    uint32_t blocks = heap_chunk_blocks(heap, index);
    uint64_t bytes = (uint64_t)blocks * HEAP_BLOCK_BYTES;
    struct heap_chunk *chunk = heap_chunk_at(heap, index);
    if (heap->os.discard != NULL) {
        discard(collector, chunk, bytes);
    } else {
        uint64_t tables = bytes < sizeof *chunk ? bytes : sizeof *chunk;
        uint64_t told = PH_MUTANT(TABLES_CLEARED_UNTOLD) ? 0 : tables;
        heap_before(heap, chunk, told);
        memset(chunk, 0, tables);
        for (uint32_t b = HEAP_META_BLOCKS; b < blocks; b++) {
            chunk->table[b].kind = HEAP_BLOCK_FREE_DIRTY;
        }
        heap_after(heap, chunk, told);
    }
    heap_lock(heap);
    heap_chunk_start(heap, index);
    heap_unlock(heap);
}

static void release_all(struct collector *collector)
{
    struct heap *heap = collector->heap;
    for (uint32_t c = 0; c < heap->chunk_count; c++) {
        if (heap->chunks[c].kind == CHUNK_NORMAL) {
            release_blocks(collector, c);
        } else if (heap->chunks[c].kind == CHUNK_BODY_FREED) {
            release_body(collector, c);
        }
    }
    for (uint32_t c = 0; c < heap->chunk_count; c++) {
        struct heap_chunk *chunk = heap_chunk_at(heap, c);
        if (heap->chunks[c].kind == CHUNK_NORMAL && heap->chunks[c].span > 1 &&
            chunk->table[HEAP_META_BLOCKS].kind != HEAP_BLOCK_RUN) {
            heap_chunk_set_span(heap, c, 1);
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void flush_allocators(struct heap *heap)
{
    for (struct heap_allocator *a = heap->allocators; a != NULL; a = a->next) {
        heap_allocator_flush(a);
    }
}

int heap_collect(struct heap *heap, heap_trace_fn trace, heap_finalize_fn finalize, void *context,
                 struct heap_collect_report *report)
{
    struct collector collector = {.visitor.receive = mark, .heap = heap};
    heap_lock(heap);
    flush_allocators(heap);
    heap_unlock(heap);

    int rc = mark_all(&collector, trace, context);
    if (rc == 0) {
        if (finalize != NULL) {
            finalize_all(heap, finalize, context);
        }
        heap_lock(heap);
        sweep_all(&collector);
        heap_unlock(heap);
        release_all(&collector);
        if (report != NULL) {
            *report = collector.report;
        }
    }
    for (uint32_t c = 0; c < heap->chunk_count; c++) {
        ph_free(heap->chunks[c].marks);
        heap->chunks[c].marks = NULL;
    }
    ph_free(collector.stack);
    return rc;
}
