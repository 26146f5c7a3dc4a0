/* SPDX-License-Identifier: Apache-2.0
 *
 * heap.c - life of a heap: create, attach, detach; root; statistics; "is this an object?".
 *
 * Owns struct heap. The persistent part is the caller's memory; struct heap and everything it
 * points to can be thrown away at any safepoint and made again by heap_attach().
 */
#include "heap_internal.h"
#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void heap_lock(const struct heap *heap)
{
    errno_t error = hal_mutex_lock((hal_mutex_t *)&heap->lock);
    PH_CHECK(error == 0);
}

void heap_unlock(const struct heap *heap)
{
    errno_t error = hal_mutex_unlock((hal_mutex_t *)&heap->lock);
    PH_CHECK(error == 0);
}

/* ---- create, attach, detach ---------------------------------------------------------------- */

static int check_params(const struct heap_params *params, struct phantom_diag *diag)
{
    if (params->base == NULL || (uintptr_t)params->base % HEAP_CHUNK_BYTES != 0) {
        return ph_fail(diag, PHANTOM_EINVALID, "heap: base %p is not a multiple of 64 MiB",
                       params->base);
    }
    if (params->size_limit / HEAP_BLOCK_BYTES <= HEAP_META_BLOCKS) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "heap: %" PRIu64 " bytes are too few; %u are the least", params->size_limit,
                       (HEAP_META_BLOCKS + 1) * HEAP_BLOCK_BYTES);
    }
    if (params->size_limit / HEAP_BLOCK_BYTES >= HEAP_NO_BLOCK ||
        params->size_limit > UINTPTR_MAX - (uintptr_t)params->base) {
        return ph_fail(diag, PHANTOM_EINVALID, "heap: %" PRIu64 " bytes are too many",
                       params->size_limit);
    }
    return 0;
}

static uint64_t usable_limit(const struct heap_params *params)
{
    return params->size_limit - params->size_limit % HEAP_BLOCK_BYTES;
}

/** The volatile part, with no chunk yet. */
static int make_volatile(const struct heap_params *params, struct heap **out)
{
    struct heap *heap = ph_zalloc(1, sizeof *heap);
    if (heap == NULL) {
        return -ENOMEM;
    }
    heap->base = params->base;
    heap->limit = usable_limit(params);
    heap->os = params->os;
    heap->native_class_version = params->native_class_version;
    heap->chunk_capacity = (uint32_t)((heap->limit + HEAP_CHUNK_BYTES - 1) / HEAP_CHUNK_BYTES);
    heap->chunks = ph_zalloc(heap->chunk_capacity, sizeof *heap->chunks);
    if (heap->chunks == NULL || hal_mutex_init(&heap->lock, "heap") != 0) {
        ph_free(heap->chunks);
        ph_free(heap);
        return -ENOMEM;
    }
    heap_partial_reset(heap);
    *out = heap;
    return 0;
}

void heap_detach(struct heap *heap)
{
    if (heap == NULL) {
        return;
    }
    PH_CHECK(heap->allocators == NULL);
    for (uint32_t c = 0; c < heap->chunk_capacity; c++) {
        ph_free(heap->chunks[c].blocks);
        ph_free(heap->chunks[c].marks);
    }
    ph_free(heap->chunks);
    errno_t error = hal_mutex_destroy(&heap->lock);
    PH_CHECK(error == 0);
    ph_free(heap);
}

int heap_create(const struct heap_params *params, struct heap **out, struct phantom_diag *diag)
{
    int rc = check_params(params, diag);
    if (rc != 0) {
        return rc;
    }
    const char *bytes = params->base;
    for (size_t i = 0; i < sizeof(struct heap_header); i++) {
        if (bytes[i] != 0) {
            return ph_fail(diag, PHANTOM_EINVALID, "heap: the memory at %p is not empty",
                           params->base);
        }
    }
    struct heap *heap;
    rc = make_volatile(params, &heap);
    if (rc != 0) {
        return ph_fail(diag, rc, "heap: out of memory");
    }
    struct heap_header *header = &heap_chunk_at(heap, 0)->heap;
    heap_before(heap, header, sizeof *header);
    *header = (struct heap_header){
        .layout_version = HEAP_LAYOUT_VERSION,
        .native_class_version = params->native_class_version,
        .header_bytes = sizeof *header,
        .cell_bytes = HEAP_CELL,
        .block_bytes = HEAP_BLOCK_BYTES,
        .chunk_bytes = HEAP_CHUNK_BYTES,
        .base = (uintptr_t)params->base,
        .size_limit = heap->limit,
    };
    memcpy(header->magic, HEAP_MAGIC, sizeof header->magic);
    heap_after(heap, header, sizeof *header);
    heap->used_known = true;
    bool grown = heap_grow(heap);
    PH_CHECK(grown); /* the limit was checked */
    *out = heap;
    return 0;
}

/** Describe every chunk after checking its tables. */
static int attach_chunks(struct heap *heap, uint64_t committed, struct phantom_diag *diag)
{
    uint32_t count = (uint32_t)((committed + HEAP_CHUNK_BYTES - 1) / HEAP_CHUNK_BYTES);
    heap->chunk_count = count;
    heap->committed = committed;
    heap->first_free_chunk = count;
    for (uint32_t c = 0; c < count; c += heap->chunks[c].span) {
        int rc = heap_check_chunk(heap, c, diag);
        if (rc != 0) {
            return rc;
        }
        if (!heap_chunk_describe(heap, c)) {
            return ph_fail(diag, -ENOMEM, "heap: out of memory");
        }
        for (uint32_t body = c + 1; body < c + heap->chunks[c].span; body++) {
            heap->chunks[body].kind = CHUNK_BODY;
        }
    }
    pvm_object_t root = heap_root(heap);
    if (root != NULL && !heap_is_object(heap, root)) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "heap: root %p is not an object", (void *)root);
    }
    return 0;
}

int heap_attach(const struct heap_params *params, struct heap **out, struct phantom_diag *diag)
{
    int rc = check_params(params, diag);
    if (rc != 0) {
        return rc;
    }
    struct heap *heap;
    rc = make_volatile(params, &heap);
    if (rc != 0) {
        return ph_fail(diag, rc, "heap: out of memory");
    }
    rc = heap_check_header(heap, diag);
    if (rc == 0) {
        rc = attach_chunks(heap, heap_chunk_at(heap, 0)->heap.committed, diag);
    }
    if (rc != 0) {
        heap_detach(heap);
        return rc;
    }
    *out = heap;
    return 0;
}

/* ---- root ---------------------------------------------------------------------------------- */

pvm_object_t heap_root(const struct heap *heap)
{
    return heap_load_ref(&heap_chunk_at(heap, 0)->heap.root);
}

void heap_set_root(struct heap *heap, pvm_object_t root)
{
    pvm_object_t *place = &heap_chunk_at(heap, 0)->heap.root;
    heap_before(heap, place, sizeof *place);
    heap_store_ref(place, root);
    heap_after(heap, place, sizeof *place);
}

const struct heap_stores *heap_store_listener(const struct heap *heap)
{
    return heap->os.stores;
}

/* ---- statistics ---------------------------------------------------------------------------- */

uint64_t heap_committed_bytes(const struct heap *heap)
{
    return __atomic_load_n(&heap->committed, __ATOMIC_ACQUIRE);
}

static uint64_t allocated_locked(const struct heap *heap)
{
    uint64_t sum = heap->folded_allocated;
    for (const struct heap_allocator *a = heap->allocators; a != NULL; a = a->next) {
        sum += __atomic_load_n(&a->allocated, __ATOMIC_RELAXED);
    }
    return sum;
}

uint64_t heap_allocated_since_collect(const struct heap *heap)
{
    heap_lock(heap);
    uint64_t sum = allocated_locked(heap);
    heap_unlock(heap);
    return sum;
}

static uint64_t block_used(const struct heap_chunk *chunk, uint32_t b)
{
    const struct heap_block *entry = &chunk->table[b];
    if (entry->kind == HEAP_BLOCK_RUN) {
        return (uint64_t)entry->run_blocks * HEAP_BLOCK_BYTES;
    }
    if (entry->kind != HEAP_BLOCK_SMALL) {
        return 0;
    }
    const uint64_t *bitmap = chunk->bitmap + (size_t)b * HEAP_BITMAP_WORDS;
    uint64_t cells = 0;
    for (unsigned w = 0; w < HEAP_BITMAP_WORDS; w++) {
        cells += (uint64_t)__builtin_popcountll(__atomic_load_n(&bitmap[w], __ATOMIC_RELAXED));
    }
    return cells * heap_class_units(entry->size_class) * HEAP_CELL;
}

uint64_t heap_count_used(const struct heap *heap)
{
    uint64_t used = 0;
    for (uint32_t c = 0; c < heap->chunk_count; c += heap->chunks[c].span) {
        uint32_t end = heap_chunk_blocks(heap, c);
        for (uint32_t b = HEAP_META_BLOCKS; b < end; b++) {
            used += block_used(heap_chunk_at(heap, c), b);
        }
    }
    return used;
}

uint64_t heap_used_bytes(const struct heap *heap)
{
    heap_lock(heap);
    if (!heap->used_known) {
        /* After an attach nobody has counted: the bitmaps are read when somebody asks. */
        struct heap *self = (struct heap *)heap;
        self->used_base = heap_count_used(heap) - allocated_locked(heap);
        self->used_known = true;
    }
    uint64_t used = heap->used_base + allocated_locked(heap);
    heap_unlock(heap);
    return used;
}

/* ---- untrusted pointers -------------------------------------------------------------------- */

bool heap_is_object(const struct heap *heap, const void *o)
{
    uint64_t offset = (uintptr_t)o - (uintptr_t)heap->base; /* below the base: huge */
    if (offset >= heap_committed_bytes(heap) || offset % HEAP_CELL != 0) {
        return false;
    }
    uint32_t index = (uint32_t)(offset / HEAP_CHUNK_BYTES);
    uint64_t unit = offset % HEAP_CHUNK_BYTES / HEAP_CELL;
    if (unit < HEAP_META_BLOCKS * HEAP_BLOCK_UNITS ||
        heap_chunk_kind(heap, index) != CHUNK_NORMAL) {
        return false;
    }
    const uint64_t *bitmap = heap_chunk_at(heap, index)->bitmap;
    uint64_t word = __atomic_load_n(&bitmap[unit / 64], __ATOMIC_ACQUIRE);
    /* A huge run may have swallowed the chunk meanwhile: then that was no bitmap. */
    return (word >> (unit % 64) & 1) != 0 && heap_chunk_kind(heap, index) == CHUNK_NORMAL;
}
