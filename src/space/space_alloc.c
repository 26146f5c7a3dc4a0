/* SPDX-License-Identifier: Apache-2.0
 *
 * space_alloc.c - slots: malloc and its relatives on top of blocks (space_blocks.c).
 *
 * Owns the bits of slots. No locks: an owner sets bits in its own block, anybody clears the bit of
 * a slot that is his, both with one atomic operation, which also finds a slot that is freed twice.
 */
#include "space_alloc.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"
#include "space_blocks.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Four steps from one power of two to the next, as far as the alignment allows. */
static const uint16_t class_sizes[SPACE_CLASSES] = {
    16,   32,   48,   64,   80,   96,    112,   128,   160,   192,   224,   256,  320,  384,
    448,  512,  640,  768,  896,  1024,  1280,  1536,  1792,  2048,  2560,  3072, 3584, 4096,
    5120, 6144, 7168, 8192, 9360, 10912, 13104, 16384, 20480, 21840, 24576, 32768};

/* ---- open ---------------------------------------------------------------------------------------
 */

static uint64_t birth_check(const struct space_header *header)
{
    const uint64_t words[] = {
        header->magic,     (uint64_t)header->layout << 32 | header->header_bytes,
        header->base,      header->size,
        header->blocks_at, header->block_count};
    uint64_t sum = UINT64_C(0x5350414345);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        sum = (sum ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 31;
    }
    return sum;
}

/** Where block 0 begins, and how many there are: descriptors and blocks share what is left. */
static void divide(uint64_t size, uint64_t *blocks_at, uint64_t *block_count)
{
    uint64_t count = (size - SPACE_BLOCKS_FROM) / (SPACE_BLOCK + sizeof(struct space_block));
    uint64_t at;
    for (;; count--) {
        at = SPACE_BLOCKS_FROM + count * sizeof(struct space_block);
        at = (at + SPACE_BLOCK - 1) / SPACE_BLOCK * SPACE_BLOCK;
        if (at + count * SPACE_BLOCK <= size) {
            break;
        }
    }
    *blocks_at = at;
    *block_count = count;
}

int space_format(void *base, uint64_t size, struct phantom_diag *diag)
{
    if (size < 2 * SPACE_BLOCKS_FROM || size % SPACE_PAGE != 0 || size > UINT64_C(1) << 46 ||
        (uintptr_t)base % SPACE_BLOCK != 0) {
        return ph_fail(diag, PHANTOM_EINVALID, "a space cannot be %" PRIu64 " bytes at %p", size,
                       base);
    }
    struct space_header *header = base;
    *header = (struct space_header){.magic = SPACE_MAGIC,
                                    .layout = SPACE_LAYOUT,
                                    .header_bytes = sizeof(*header),
                                    .base = (uint64_t)(uintptr_t)base,
                                    .size = size};
    divide(size, &header->blocks_at, &header->block_count);
    header->birth_check = birth_check(header);
    return 0;
}

static int check_header(const struct space_header *header, const void *base, uint64_t size,
                        struct phantom_diag *diag)
{
    if (header->magic != SPACE_MAGIC || header->birth_check != birth_check(header)) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "the header of the space at %p is damaged", base);
    }
    uint64_t blocks_at, block_count;
    divide(size, &blocks_at, &block_count);
    if (header->base != (uint64_t)(uintptr_t)base || header->size != size ||
        header->layout != SPACE_LAYOUT || header->blocks_at != blocks_at ||
        header->block_count != block_count) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "the header of the space at %p speaks of another range", base);
    }
    if (header->top > block_count || header->root_count > PHANTOM_SPACE_ROOTS) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "the space at %p uses %" PRIu64 " of %" PRIu64 " blocks and %" PRIu64
                       " roots",
                       base, header->top, block_count, header->root_count);
    }
    return 0;
}

static void make_classes(struct space_alloc *alloc)
{
    for (unsigned i = 0; i < SPACE_CLASSES; i++) {
        struct space_class *class = &alloc->class[i];
        class->size = class_sizes[i];
        class->slots = SPACE_BLOCK / class->size;
        class->words = (class->slots + 63) / 64;
        if (class->words > SPACE_BITS_WORDS) {
            class->first = (class->words * 8 + class->size - 1) / class->size;
        }
    }
    unsigned class = 0;
    for (unsigned grains = 0; grains <= 1024 / SPACE_GRAIN; grains++) {
        while (class_sizes[class] < grains * SPACE_GRAIN) {
            class ++;
        }
        alloc->class_of[grains] = (uint8_t) class;
    }
}

int space_alloc_open(void *base, uint64_t size, const struct space_alloc_host *host,
                     struct space_alloc **out, struct phantom_diag *diag)
{
    int rc = check_header(base, base, size, diag);
    if (rc != 0) {
        return rc;
    }
    struct space_alloc *alloc = ph_zalloc(1, sizeof(*alloc));
    if (alloc == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    alloc->base = base;
    alloc->size = size;
    alloc->header = base;
    alloc->block = (struct space_block *)(void *)(alloc->base + SPACE_BLOCKS_FROM);
    alloc->blocks = alloc->base + alloc->header->blocks_at;
    alloc->block_count = alloc->header->block_count;
    alloc->host = *host;
    alloc->scan_end = alloc->header->top;
    make_classes(alloc);
    alloc->state = ph_zalloc(alloc->block_count, sizeof(*alloc->state));
    alloc->next = ph_zalloc(alloc->block_count, sizeof(*alloc->next));
    alloc->previous = ph_zalloc(alloc->block_count, sizeof(*alloc->previous));
    alloc->used = ph_zalloc(alloc->block_count / 64 + 1, sizeof(*alloc->used));
    alloc->lock_ready = hal_mutex_init(&alloc->lock, "space") == 0;
    if (alloc->state == NULL || alloc->next == NULL || alloc->previous == NULL ||
        alloc->used == NULL || !alloc->lock_ready) {
        space_alloc_close(alloc);
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    for (uint64_t i = 0; i < alloc->scan_end; i++) { /* nothing is known to be free */
        alloc->used[i / 64] |= UINT64_C(1) << (i % 64);
    }
    *out = alloc;
    return 0;
}

void space_alloc_close(struct space_alloc *alloc)
{
    if (alloc == NULL) {
        return;
    }
    if (alloc->lock_ready) {
        hal_mutex_destroy(&alloc->lock);
    }
    ph_free((void *)alloc->state);
    ph_free(alloc->next);
    ph_free(alloc->previous);
    ph_free(alloc->used);
    ph_free(alloc);
}

uint64_t space_alloc_pages(const struct space_alloc *alloc)
{
    const struct space_header *header = alloc->header;
    if (alloc->base + header->blocks_at != alloc->blocks || header->top > alloc->block_count) {
        space_fatal(alloc, header, "the space's header is damaged");
    }
    return (header->blocks_at + header->top * SPACE_BLOCK) / SPACE_PAGE;
}

/* ---- slots --------------------------------------------------------------------------------------
 */

static unsigned class_for(const struct space_alloc *alloc, size_t size)
{
    if (size <= 1024) {
        return alloc->class_of[(size + SPACE_GRAIN - 1) / SPACE_GRAIN];
    }
    unsigned class = alloc->class_of[1024 / SPACE_GRAIN];
    while (alloc->class[class].size < size) {
        class ++;
    }
    return class;
}

/** A free slot of a block that the caller owns, its bit set; NULL: none. */
static void *take_slot(struct space_alloc *alloc, uint64_t number, unsigned class, uint8_t *cursor)
{
    const struct space_class *c = &alloc->class[class];
    _Atomic uint64_t *bits = space_bits(alloc, number, class);
    for (uint32_t tried = 0, word = *cursor; tried < c->words; tried++) {
        uint64_t now = atomic_load_explicit(&bits[word], memory_order_relaxed);
        uint64_t free = ~now & space_valid_bits(c, word);
        if (free != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(free);
            PH_POINT("slot found");
            space_will_write(alloc, (const void *)&bits[word], sizeof(bits[word]));
            uint64_t old = atomic_fetch_or(&bits[word], UINT64_C(1) << bit);
            if ((old >> bit & 1) != 0) {
                space_fatal(alloc, space_block_start(alloc, number), "two threads own it");
            }
            space_wrote(alloc, (const void *)&bits[word], sizeof(bits[word]));
            *cursor = (uint8_t)word;
            return space_block_start(alloc, number) + (word * 64 + bit) * c->size;
        }
        word = word + 1 < c->words ? word + 1 : 0;
    }
    return NULL;
}

static void *take_small(struct space_alloc *alloc, struct space_cache *cache, unsigned class)
{
    for (;;) {
        if (cache->owned[class] != 0) {
            uint64_t number = cache->owned[class] - 1;
            void *slot = take_slot(alloc, number, class, &cache->cursor[class]);
            if (slot != NULL) {
                return slot;
            }
            PH_POINT("block is full");
            if (space_drop_full(alloc, number, class)) {
                continue;
            }
            cache->owned[class] = 0;
        }
        uint64_t number = space_take_block(alloc, class);
        if (number == SPACE_NO_BLOCK) {
            return NULL;
        }
        cache->owned[class] = (uint32_t)number + 1;
        cache->cursor[class] = 0;
    }
}

/** The wrong way, for a mutant: a second slot is marked as allocated and kept in the cache. */
static void *take_with_spare(struct space_alloc *alloc, struct space_cache *cache, unsigned class)
{
    if (cache->spare != NULL && cache->spare_class == class) {
        void *slot = cache->spare;
        cache->spare = NULL;
        return slot;
    }
    if (cache->spare == NULL) {
        cache->spare = take_small(alloc, cache, class);
        cache->spare_class = class;
    }
    return take_small(alloc, cache, class);
}

static void *malloc_small(struct space_alloc *alloc, struct space_cache *cache, unsigned class)
{
    if (PH_MUTANT(CACHED_SLOTS_COUNTED)) {
        return take_with_spare(alloc, cache, class);
    }
    return take_small(alloc, cache, class);
}

static void *malloc_large(struct space_alloc *alloc, size_t size, size_t alignment)
{
    if (size > alloc->size) {
        return NULL;
    }
    uint64_t bytes = (size + SPACE_PAGE - 1) / SPACE_PAGE * SPACE_PAGE;
    uint64_t number = space_take_run(alloc, bytes != 0 ? bytes : SPACE_PAGE, alignment);
    return number != SPACE_NO_BLOCK ? space_block_start(alloc, number) : NULL;
}

void *space_malloc(struct space_alloc *alloc, struct space_cache *cache, size_t size)
{
    return size <= SPACE_SMALL_MAX ? malloc_small(alloc, cache, class_for(alloc, size))
                                   : malloc_large(alloc, size, SPACE_BLOCK);
}

void *space_aligned(struct space_alloc *alloc, struct space_cache *cache, size_t alignment,
                    size_t size)
{
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > alloc->size) {
        return NULL;
    }
    if (alignment > SPACE_SMALL_MAX || size > SPACE_SMALL_MAX) {
        return malloc_large(alloc, size, alignment > SPACE_BLOCK ? alignment : SPACE_BLOCK);
    }
    /* Slot k of a block is at k times its size, and blocks are aligned to more than that. */
    unsigned class = class_for(alloc, size > alignment ? size : alignment);
    while (alloc->class[class].size % alignment != 0) {
        class ++; /* ends: the last class is a power of two, the largest alignment here */
    }
    return malloc_small(alloc, cache, class);
}

void *space_calloc(struct space_alloc *alloc, struct space_cache *cache, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    void *block = space_malloc(alloc, cache, bytes);
    if (block != NULL && bytes <= SPACE_SMALL_MAX) { /* runs are zero: unused blocks are */
        space_will_write(alloc, block, bytes);
        memset(block, 0, bytes);
        space_wrote(alloc, block, bytes);
    }
    return block;
}

/** Number and head of the block that a pointer of the caller leads into. */
static uint64_t block_of(const struct space_alloc *alloc, const void *pointer, uint32_t *head)
{
    uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)alloc->blocks);
    uint64_t number = offset / SPACE_BLOCK;
    if ((uintptr_t)pointer < (uintptr_t)alloc->blocks || number >= alloc->block_count) {
        space_fatal(alloc, pointer, "not memory of this space's allocator");
    }
    *head = atomic_load_explicit(&alloc->block[number].head, memory_order_relaxed);
    if (*head == 0) {
        space_fatal(alloc, pointer, "not allocated (freed twice?)");
    }
    if (!space_head_valid(number, *head)) {
        space_fatal(alloc, pointer, "its descriptor is damaged");
    }
    if (space_head_kind(*head) == SPACE_LARGE && offset % SPACE_BLOCK != 0) {
        space_fatal(alloc, pointer, "not the beginning of an allocation");
    }
    return number;
}

static uint32_t slot_of(const struct space_alloc *alloc, uint64_t number, unsigned class,
                        const void *pointer)
{
    const struct space_class *c = &alloc->class[class];
    uint32_t offset = (uint32_t)((uintptr_t)pointer - (uintptr_t)space_block_start(alloc, number));
    uint32_t slot = offset / c->size;
    if (slot * c->size != offset || slot < c->first || slot >= c->slots) {
        space_fatal(alloc, pointer, "not the beginning of an allocation");
    }
    return slot;
}

static void free_small(struct space_alloc *alloc, uint64_t number, unsigned class, void *pointer)
{
    uint32_t slot = slot_of(alloc, number, class, pointer);
    _Atomic uint64_t *word = &space_bits(alloc, number, class)[slot / 64];
    uint64_t bit = UINT64_C(1) << (slot % 64);
    if (PH_MUTANT(MARKED_BEFORE_STORE)) {
        space_wrote(alloc, (const void *)word, sizeof(*word));
    }
    space_will_write(alloc, (const void *)word, sizeof(*word));
    uint64_t old = atomic_fetch_and(word, ~bit);
    if ((old & bit) == 0) {
        space_fatal(alloc, pointer, "freed twice");
    }
    if (!PH_MUTANT(MARKED_BEFORE_STORE)) {
        space_wrote(alloc, (const void *)word, sizeof(*word));
    }
    PH_POINT("slot freed");
    uint8_t state = atomic_load(&alloc->state[number]);
    if (state == SPACE_FULL) {
        space_list_block(alloc, number);
    } else if (state == SPACE_PARTIAL && old == bit) {
        space_maybe_release(alloc, number, class);
    }
}

void space_free(struct space_alloc *alloc, void *pointer)
{
    if (pointer == NULL) {
        return;
    }
    uint32_t head;
    uint64_t number = block_of(alloc, pointer, &head);
    if (space_head_kind(head) == SPACE_SMALL) {
        free_small(alloc, number, space_head_class(head), pointer);
    } else {
        space_free_run(alloc, number);
    }
}

/** The slot is allocated: else somebody uses what he has freed. */
static void check_allocated(const struct space_alloc *alloc, uint64_t number, unsigned class,
                            const void *pointer)
{
    uint32_t slot = slot_of(alloc, number, class, pointer);
    _Atomic uint64_t *word = &space_bits(alloc, number, class)[slot / 64];
    if ((atomic_load_explicit(word, memory_order_relaxed) >> (slot % 64) & 1) == 0) {
        space_fatal(alloc, pointer, "used after it was freed");
    }
}

size_t space_usable(const struct space_alloc *alloc, const void *pointer)
{
    if (pointer == NULL) {
        return 0;
    }
    uint32_t head;
    uint64_t number = block_of(alloc, pointer, &head);
    if (space_head_kind(head) == SPACE_LARGE) {
        return alloc->block[number].bytes;
    }
    check_allocated(alloc, number, space_head_class(head), pointer);
    return alloc->class[space_head_class(head)].size;
}

/** True: the block has the new size where it is. */
static bool resize_in_place(struct space_alloc *alloc, void *pointer, size_t usable, size_t size)
{
    bool large = usable > SPACE_SMALL_MAX;
    if (!large) {
        return size <= usable && (size >= usable / 2 || usable <= 64);
    }
    if (size <= SPACE_SMALL_MAX || size > alloc->size) {
        return false; /* a large block may be page-sized only by its alignment; then move it */
    }
    uint64_t bytes = (size + SPACE_PAGE - 1) / SPACE_PAGE * SPACE_PAGE;
    uint32_t head;
    return bytes == usable || space_resize_run(alloc, block_of(alloc, pointer, &head), bytes);
}

void *space_realloc(struct space_alloc *alloc, struct space_cache *cache, void *pointer,
                    size_t size)
{
    if (pointer == NULL) {
        return space_malloc(alloc, cache, size);
    }
    size_t usable = space_usable(alloc, pointer);
    if (resize_in_place(alloc, pointer, usable, size)) {
        return pointer;
    }
    void *moved = space_malloc(alloc, cache, size);
    if (moved == NULL) {
        return size <= usable ? pointer : NULL;
    }
    space_will_write(alloc, moved, size < usable ? size : usable);
    memcpy(moved, pointer, size < usable ? size : usable);
    space_wrote(alloc, moved, size < usable ? size : usable);
    space_free(alloc, pointer);
    return moved;
}

void space_cache_flush(struct space_alloc *alloc, struct space_cache *cache)
{
    for (unsigned class = 0; class < SPACE_CLASSES; class ++) {
        if (cache->owned[class] != 0) {
            space_drop_owned(alloc, cache->owned[class] - 1, class);
            cache->owned[class] = 0;
        }
    }
}
