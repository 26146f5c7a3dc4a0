/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_alloc.c - the allocator of spaces over plain memory: against a model, with an audit
 * after each step, across restarts, with threads, and what it must refuse.
 */
#include "ph_test.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "space_alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SIZE = 48 << 20, MODEL = 400, THREADS = 8 };

struct arena {
    uint8_t *base;
    struct space_alloc *alloc;
    struct space_cache cache;
    uint64_t discarded; /* bytes */
};

static void discard(void *context, void *start, uint64_t bytes)
{
    struct arena *arena = context;
    assert_int_equal((uintptr_t)start % SPACE_PAGE, 0);
    assert_int_equal(bytes % SPACE_PAGE, 0);
    assert_int_equal(madvise(start, bytes, MADV_DONTNEED), 0);
    arena->discarded += bytes;
}

static void attach(struct arena *arena)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    const struct space_alloc_host host = {.context = arena, .discard = discard};
    memset(&arena->cache, 0, sizeof(arena->cache));
    if (space_alloc_open(arena->base, SIZE, &host, &arena->alloc, &diag) != 0) {
        fail_msg("%s", diag.text);
    }
}

/* The process dies and another takes over: caches are gone, the memory is as it was. */
static void restart(struct arena *arena)
{
    space_alloc_close(arena->alloc);
    attach(arena);
}

static void audit(struct arena *arena)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (space_audit(arena->alloc, &diag) != 0) {
        fail_msg("%s", diag.text);
    }
}

static int setup(void **state)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    uint8_t *raw = mmap(NULL, SIZE + SPACE_BLOCK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(raw, MAP_FAILED);
    uintptr_t over = (uintptr_t)raw % SPACE_BLOCK;
    arena->base = raw + (over != 0 ? SPACE_BLOCK - over : 0);
    assert_int_equal(space_format(arena->base, SIZE, NULL), 0);
    attach(arena);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    struct arena *arena = *state;
    space_alloc_close(arena->alloc);
    munmap(arena->base, SIZE); /* the few pages around it go with the process */
    free(arena);
    return 0;
}

static uint64_t blocks_in(struct arena *arena)
{
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    space_count(arena->alloc, &usage);
    return usage.blocks;
}

/* ---- the model ----------------------------------------------------------------------------------
 */

struct piece {
    uint8_t *at;
    size_t size, alignment;
    uint8_t fill;
};

static size_t any_size(struct ph_rng *rng)
{
    static const size_t most[] = {64, 256, 4096, 40000, 400000};
    return ph_rng_below(rng, most[ph_rng_below(rng, 5)] + 1);
}

static void fill(struct piece *piece, struct ph_rng *rng)
{
    piece->fill = (uint8_t)ph_rng_next(rng);
    memset(piece->at, piece->fill, piece->size);
}

static void check_fill(const struct piece *piece, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (piece->at[i] != piece->fill) {
            fail_msg("byte %zu of %zu at %p changed", i, piece->size, (void *)piece->at);
        }
    }
}

static void check_new(struct arena *arena, const struct piece *piece)
{
    assert_int_equal((uintptr_t)piece->at % piece->alignment, 0);
    assert_true(piece->at >= arena->base + SPACE_BLOCKS_FROM);
    assert_true(piece->at + piece->size <= arena->base + SIZE);
    assert_true(space_usable(arena->alloc, piece->at) >= piece->size);
}

static void take(struct arena *arena, struct piece *piece, struct ph_rng *rng)
{
    piece->size = any_size(rng);
    piece->alignment = SPACE_GRAIN;
    uint64_t kind = ph_rng_below(rng, 4);
    if (kind == 0) {
        piece->alignment = (size_t)16 << ph_rng_below(rng, 14);
        piece->at = space_aligned(arena->alloc, &arena->cache, piece->alignment, piece->size);
    } else if (kind == 1) {
        piece->at = space_calloc(arena->alloc, &arena->cache, 1, piece->size);
        for (size_t i = 0; piece->at != NULL && i < piece->size; i++) {
            assert_int_equal(piece->at[i], 0);
        }
    } else {
        piece->at = space_malloc(arena->alloc, &arena->cache, piece->size);
    }
    if (piece->at != NULL) {
        check_new(arena, piece);
        fill(piece, rng);
    }
}

static void change(struct arena *arena, struct piece *piece, struct ph_rng *rng)
{
    size_t size = any_size(rng);
    uint8_t *moved = space_realloc(arena->alloc, &arena->cache, piece->at, size);
    if (moved == NULL) {
        check_fill(piece, piece->size);
        return;
    }
    piece->at = moved;
    check_fill(piece, size < piece->size ? size : piece->size);
    piece->size = size;
    piece->alignment = SPACE_GRAIN;
    check_new(arena, piece);
    fill(piece, rng);
}

static void it_agrees_with_a_model_across_restarts(void **state)
{
    struct arena *arena = *state;
    static struct piece model[MODEL];
    memset(model, 0, sizeof(model));
    struct ph_rng rng;
    uint64_t seed = ph_rng_seed_from_environment(1122);
    printf("PH_SEED=%llu\n", (unsigned long long)seed);
    ph_rng_init(&rng, seed);
    uint64_t live = 0;
    for (int step = 0; step < 6000; step++) {
        struct piece *piece = &model[ph_rng_below(&rng, MODEL)];
        if (piece->at == NULL) {
            take(arena, piece, &rng);
            live += piece->at != NULL;
        } else {
            check_fill(piece, piece->size);
            if (ph_rng_below(&rng, 3) == 0) {
                change(arena, piece, &rng);
            } else {
                space_free(arena->alloc, piece->at);
                piece->at = NULL;
                live--;
            }
        }
        if (ph_rng_below(&rng, 500) == 0) {
            restart(arena);
        }
        audit(arena);
        assert_int_equal(blocks_in(arena), live);
    }
    for (int i = 0; i < MODEL; i++) {
        space_free(arena->alloc, model[i].at);
    }
    audit(arena);
    assert_int_equal(blocks_in(arena), 0);
}

static void no_two_live_blocks_overlap(void **state)
{
    struct arena *arena = *state;
    static uint8_t *block[20000];
    struct ph_rng rng;
    ph_rng_init(&rng, ph_rng_seed_from_environment(7));
    for (uint32_t i = 0; i < 20000; i++) {
        block[i] = space_malloc(arena->alloc, &arena->cache, 16 + ph_rng_below(&rng, 200));
        assert_non_null(block[i]);
        memcpy(block[i], &i, sizeof(i));
        memcpy(block[i] + space_usable(arena->alloc, block[i]) - sizeof(i), &i, sizeof(i));
    }
    for (uint32_t i = 0; i < 20000; i++) {
        size_t usable = space_usable(arena->alloc, block[i]);
        assert_memory_equal(block[i], &i, sizeof(i));
        assert_memory_equal(block[i] + usable - sizeof(i), &i, sizeof(i));
    }
    audit(arena);
}

/* ---- what is cached is not stored ------------------------------------------------------------ */

static void slots_in_caches_are_free_after_a_restart(void **state)
{
    struct arena *arena = *state;
    static void *kept[300];
    for (int i = 0; i < 300; i++) {
        kept[i] = space_malloc(arena->alloc, &arena->cache, 100);
    }
    for (int i = 0; i < 300; i += 3) {
        space_free(arena->alloc, kept[i]);
    }
    restart(arena);
    audit(arena);
    assert_int_equal(blocks_in(arena), 200);
    uint64_t pages = space_alloc_pages(arena->alloc);
    for (int i = 0; i < 100; i++) { /* into the gaps: nothing grows, nothing is given out twice */
        void *block = space_malloc(arena->alloc, &arena->cache, 100);
        for (int j = 0; j < 300; j++) {
            assert_true(j % 3 == 0 || kept[j] != block);
        }
    }
    assert_int_equal(blocks_in(arena), 300);
    assert_int_equal(space_alloc_pages(arena->alloc), pages);
}

static void reading_writes_nothing(void **state)
{
    struct arena *arena = *state;
    void *small = space_malloc(arena->alloc, &arena->cache, 100);
    void *large = space_malloc(arena->alloc, &arena->cache, 1000000);
    const struct space_alloc_host host = {.context = arena, .discard = discard};
    struct space_header *header = (struct space_header *)(void *)arena->base;
    assert_int_equal(space_root_put(header, &host, "r", (uint64_t)(uintptr_t)small), 0);
    assert_int_equal(mprotect(arena->base, SIZE, PROT_READ), 0);
    restart(arena); /* opening reads, too */
    assert_int_equal(space_usable(arena->alloc, small), 112);
    assert_true(space_usable(arena->alloc, large) >= 1000000);
    assert_int_equal(space_root_get(header, "r"), (uintptr_t)small);
    assert_int_equal(blocks_in(arena), 2);
    audit(arena);
    assert_int_equal(mprotect(arena->base, SIZE, PROT_READ | PROT_WRITE), 0);
}

static unsigned dirty_pages(const uint8_t *before, const uint8_t *after, size_t bytes)
{
    unsigned dirty = 0;
    for (size_t at = 0; at < bytes; at += SPACE_PAGE) {
        dirty += memcmp(before + at, after + at, SPACE_PAGE) != 0;
    }
    return dirty;
}

static void freeing_a_thousand_blocks_touches_few_pages(void **state)
{
    struct arena *arena = *state;
    static void *block[20000];
    for (int i = 0; i < 20000; i++) { /* 2.5 MiB of slots: 40 blocks of 64 KiB */
        block[i] = space_malloc(arena->alloc, &arena->cache, 128);
    }
    uint8_t *before = malloc(SIZE);
    memcpy(before, arena->base, SIZE);
    for (int i = 0; i < 20000; i += 20) {
        space_free(arena->alloc, block[i]);
    }
    assert_true(dirty_pages(before, arena->base, SIZE) <= 3); /* 32 descriptors a page */
    free(before);
}

/* ---- large blocks ---------------------------------------------------------------------------- */

static void large_blocks_give_their_pages_back_and_read_as_zeros_again(void **state)
{
    struct arena *arena = *state;
    uint8_t *block = space_malloc(arena->alloc, &arena->cache, 5 << 20);
    memset(block, 0xAB, 5 << 20);
    space_free(arena->alloc, block);
    assert_int_equal(arena->discarded, 5 << 20);
    assert_int_equal(block[12345], 0); /* the memory is ours, the pages are gone */
    uint8_t *again = space_calloc(arena->alloc, &arena->cache, 5, 1 << 20);
    assert_ptr_equal(again, block);
    for (size_t i = 0; i < 5 << 20; i += 64) {
        assert_int_equal(again[i], 0);
    }
    memset(again, 1, 5 << 20);
    arena->discarded = 0;
    assert_ptr_equal(space_realloc(arena->alloc, &arena->cache, again, 1 << 20), again);
    assert_int_equal(arena->discarded, 4 << 20);
    assert_int_equal(space_usable(arena->alloc, again), 1 << 20);
    assert_ptr_equal(space_realloc(arena->alloc, &arena->cache, again, 3 << 20), again);
    audit(arena);
}

static void a_full_space_says_so_and_works_again_after_a_free(void **state)
{
    struct arena *arena = *state;
    static void *block[64];
    int count = 0;
    while ((block[count] = space_malloc(arena->alloc, &arena->cache, 1 << 20)) != NULL) {
        count++;
    }
    assert_true(count >= 44);
    assert_null(space_malloc(arena->alloc, &arena->cache, SIZE));
    assert_null(space_malloc(arena->alloc, &arena->cache, SIZE_MAX));
    assert_null(space_calloc(arena->alloc, &arena->cache, SIZE_MAX / 2, 3));
    while (space_malloc(arena->alloc, &arena->cache, 30000) != NULL) {
    }
    audit(arena);
    space_free(arena->alloc, block[3]);
    assert_non_null(space_malloc(arena->alloc, &arena->cache, 1 << 20));
    audit(arena);
}

static uint64_t available_in(struct arena *arena)
{
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    space_count(arena->alloc, &usage);
    assert_int_equal(usage.reserved_bytes % SPACE_BLOCK, 0);
    return usage.available_bytes;
}

static void what_is_available_can_be_had(void **state)
{
    struct arena *arena = *state;
    for (int i = 0; i < 200; i++) { /* each leaves most of its second piece unused */
        assert_non_null(space_malloc(arena->alloc, &arena->cache, SPACE_BLOCK + 1));
    }
    for (uint64_t left = available_in(arena); left != 0; left = available_in(arena)) {
        assert_non_null(space_malloc(arena->alloc, &arena->cache, SPACE_BLOCK));
        assert_int_equal(available_in(arena), left - SPACE_BLOCK);
    }
    assert_null(space_malloc(arena->alloc, &arena->cache, SPACE_BLOCK));
    assert_null(space_malloc(arena->alloc, &arena->cache, 16));
    audit(arena);
}

static void alignment_up_to_megabytes_is_kept(void **state)
{
    struct arena *arena = *state;
    for (size_t alignment = 1; alignment <= 4 << 20; alignment *= 2) {
        void *block = space_aligned(arena->alloc, &arena->cache, alignment, alignment / 2 + 1);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        audit(arena);
    }
    assert_null(space_aligned(arena->alloc, &arena->cache, 24, 8));
    assert_null(space_aligned(arena->alloc, &arena->cache, 0, 8));
}

/* ---- what must not be accepted silently ------------------------------------------------------ */

static jmp_buf after_fatal;
static char fatal_text[256];

static void caught(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    snprintf(fatal_text, sizeof(fatal_text), "%s", what);
    longjmp(after_fatal, 1);
}

/* True: the fatal hook was called with such a text. The allocator may be left locked. */
static bool is_fatal_to_free(struct arena *arena, void *pointer, const char *text)
{
    ph_fatal_hook old = ph_set_fatal_hook(caught);
    fatal_text[0] = '\0';
    if (setjmp(after_fatal) == 0) {
        space_free(arena->alloc, pointer);
    }
    ph_set_fatal_hook(old);
    if (strstr(fatal_text, text) == NULL) {
        print_error("said '%s', not '%s'\n", fatal_text, text);
        return false;
    }
    return true;
}

static void a_damaged_header_is_fatal_at_the_cut(void **state)
{
    struct arena *arena = *state;
    struct space_header *header = (struct space_header *)(void *)arena->base;
    uint64_t *const fields[] = {&header->top, &header->blocks_at};
    for (volatile int i = 0; i < 2; i++) { /* survives the longjmp */
        uint64_t good = *fields[i];
        *fields[i] = UINT64_MAX - i;
        ph_fatal_hook old = ph_set_fatal_hook(caught);
        fatal_text[0] = '\0';
        if (setjmp(after_fatal) == 0) {
            (void)space_alloc_pages(arena->alloc);
        }
        ph_set_fatal_hook(old);
        *fields[i] = good;
        assert_non_null(strstr(fatal_text, "header is damaged"));
    }
    assert_true(space_alloc_pages(arena->alloc) > 0);
}

static void wrong_frees_are_fatal(void **state)
{
    struct arena *arena = *state;
    uint8_t *small = space_malloc(arena->alloc, &arena->cache, 100);
    uint8_t *large = space_malloc(arena->alloc, &arena->cache, 200000);
    uint8_t *gone = space_malloc(arena->alloc, &arena->cache, 300000);
    assert_non_null(space_malloc(arena->alloc, &arena->cache, 100));
    space_free(arena->alloc, small);
    space_free(arena->alloc, gone);
    int on_stack;
    assert_true(is_fatal_to_free(arena, small, "freed twice"));
    assert_true(is_fatal_to_free(arena, gone, "freed twice"));
    assert_true(is_fatal_to_free(arena, small + 16, "not the beginning"));
    assert_true(is_fatal_to_free(arena, large + 16, "not the beginning"));
    assert_true(is_fatal_to_free(arena, large + SPACE_BLOCK, "not allocated"));
    assert_true(is_fatal_to_free(arena, arena->base, "not memory of this space"));
    assert_true(is_fatal_to_free(arena, &on_stack, "not memory of this space"));
    assert_true(is_fatal_to_free(arena, small, "freed twice"));
}

static struct space_block *descriptor_of(struct arena *arena, const void *block)
{
    const struct space_header *header = (const struct space_header *)(void *)arena->base;
    uint64_t number =
        (uint64_t)((const uint8_t *)block - arena->base - header->blocks_at) / SPACE_BLOCK;
    return (struct space_block *)(void *)(arena->base + SPACE_BLOCKS_FROM) + number;
}

static void damaged_metadata_is_found(void **state)
{
    struct arena *arena = *state;
    uint8_t *small = space_malloc(arena->alloc, &arena->cache, 100);
    uint8_t *large = space_malloc(arena->alloc, &arena->cache, 200000);
    struct space_block *block = descriptor_of(arena, small);
    atomic_fetch_xor(&block->head, 0x00020000);
    assert_int_equal(space_audit(arena->alloc, NULL), PHANTOM_ECORRUPT);
    assert_true(is_fatal_to_free(arena, small, "damaged"));
    atomic_fetch_xor(&block->head, 0x00020000);
    atomic_fetch_or(&block->bits[SPACE_BITS_WORDS - 1], 1);
    assert_int_equal(space_audit(arena->alloc, NULL), PHANTOM_ECORRUPT);
    atomic_store(&block->bits[SPACE_BITS_WORDS - 1], 0);
    descriptor_of(arena, large)->run++;
    assert_int_equal(space_audit(arena->alloc, NULL), PHANTOM_ECORRUPT);
    descriptor_of(arena, large)->run--;
    audit(arena);
    struct space_header *header = (struct space_header *)(void *)arena->base;
    header->block_count++;
    struct space_alloc *other;
    const struct space_alloc_host host = {.context = arena, .discard = discard};
    assert_int_equal(space_alloc_open(arena->base, SIZE, &host, &other, NULL), PHANTOM_ECORRUPT);
    header->block_count--;
}

/* ---- roots ----------------------------------------------------------------------------------- */

static int count_root(void *context, const char *name, void *value)
{
    (void)name;
    (void)value;
    ++*(int *)context;
    return 0;
}

static void roots_are_found_by_name_until_they_are_removed(void **state)
{
    struct arena *arena = *state;
    const struct space_alloc_host host = {.context = arena, .discard = discard};
    struct space_header *header = (struct space_header *)(void *)arena->base;
    uint64_t base = (uint64_t)(uintptr_t)arena->base;
    char name[200];
    for (int i = 0; i < PHANTOM_SPACE_ROOTS; i++) {
        snprintf(name, sizeof(name), "root %d", i);
        assert_int_equal(space_root_put(header, &host, name, base + 4096 + (uint64_t)i), 0);
    }
    assert_int_equal(space_root_put(header, &host, "one more", base), PHANTOM_EQUOTA);
    assert_int_equal(space_root_put(header, &host, "root 5", base + 1), 0); /* replaced */
    assert_int_equal(space_root_put(header, &host, "root 6", 0), 0);
    assert_int_equal(space_root_put(header, &host, "root 6", 0), 0);
    assert_int_equal(space_root_get(header, "root 5"), base + 1);
    assert_int_equal(space_root_get(header, "root 6"), 0);
    assert_int_equal(space_root_get(header, "root 4095"), base + 4096 + 4095);
    assert_int_equal(space_root_put(header, &host, "", base), PHANTOM_EINVALID);
    assert_int_equal(space_root_put(header, &host, NULL, base), PHANTOM_EINVALID);
    assert_int_equal(space_root_put(header, &host, "far", base + SIZE), PHANTOM_EINVALID);
    memset(name, 'x', sizeof(name));
    name[PHANTOM_SPACE_ROOT_NAME + 1] = '\0';
    assert_int_equal(space_root_put(header, &host, name, base), PHANTOM_EINVALID);
    name[PHANTOM_SPACE_ROOT_NAME] = '\0';
    assert_int_equal(space_root_put(header, &host, name, base), 0);
    assert_int_equal(space_root_get(header, name), base);
    int count = 0;
    assert_int_equal(space_root_each(header, count_root, &count), 0);
    assert_int_equal(count, PHANTOM_SPACE_ROOTS);
    audit(arena);
}

/* ---- threads and failures -------------------------------------------------------------------- */

struct worker {
    struct arena *arena;
    struct worker *all;
    pthread_t thread;
    unsigned number;
    uint64_t seed;
    _Atomic(void *) mail[16]; /* blocks that others free */
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct space_alloc *alloc = worker->arena->alloc;
    struct space_cache cache = {0};
    struct ph_rng rng;
    ph_rng_init(&rng, worker->seed);
    for (int step = 0; step < 20000; step++) {
        size_t size = 8 + ph_rng_below(&rng, ph_rng_below(&rng, 50) == 0 ? 100000 : 600);
        uint8_t *block = space_malloc(alloc, &cache, size);
        if (block == NULL) {
            continue;
        }
        memset(block, (int)worker->number, size);
        struct worker *other = &worker->all[ph_rng_below(&rng, THREADS)];
        void *old = atomic_exchange(&other->mail[ph_rng_below(&rng, 16)], block);
        if (old != NULL) {
            space_free(alloc, old);
        }
        if (step % 5000 == 4999) { /* as if the thread ended and another came */
            space_cache_flush(alloc, &cache);
        }
    }
    space_cache_flush(alloc, &cache);
    return NULL;
}

static void threads_allocate_and_free_each_others_blocks(void **state)
{
    struct arena *arena = *state;
    static struct worker workers[THREADS];
    memset(workers, 0, sizeof(workers));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].arena = arena;
        workers[i].all = workers;
        workers[i].number = i;
        workers[i].seed = ph_rng_seed_from_environment(99) + i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    uint64_t live = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        for (int j = 0; j < 16; j++) {
            live += atomic_load(&workers[i].mail[j]) != NULL;
        }
    }
    audit(arena);
    assert_int_equal(blocks_in(arena), live);
    restart(arena);
    audit(arena);
    assert_int_equal(blocks_in(arena), live);
}

static void opening_survives_each_failing_allocation(void **state)
{
    struct arena *arena = *state;
    const struct space_alloc_host host = {.context = arena, .discard = discard};
    int64_t live = ph_memory_live_blocks();
    int failures = 0;
    for (int64_t n = 0;; n++) {
        struct space_alloc *alloc = NULL;
        ph_memory_fail_after(n, true);
        int rc = space_alloc_open(arena->base, SIZE, &host, &alloc, NULL);
        ph_memory_fail_after(-1, false);
        if (rc == 0) {
            space_alloc_close(alloc);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(ph_memory_live_blocks(), live);
        failures++;
    }
    assert_true(failures >= 5);
    assert_int_equal(ph_memory_live_blocks(), live);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(it_agrees_with_a_model_across_restarts),
        CASE(no_two_live_blocks_overlap),
        CASE(slots_in_caches_are_free_after_a_restart),
        CASE(reading_writes_nothing),
        CASE(freeing_a_thousand_blocks_touches_few_pages),
        CASE(large_blocks_give_their_pages_back_and_read_as_zeros_again),
        CASE(a_full_space_says_so_and_works_again_after_a_free),
        CASE(what_is_available_can_be_had),
        CASE(alignment_up_to_megabytes_is_kept),
        CASE(wrong_frees_are_fatal),
        CASE(a_damaged_header_is_fatal_at_the_cut),
        CASE(damaged_metadata_is_found),
        CASE(roots_are_found_by_name_until_they_are_removed),
        CASE(threads_allocate_and_free_each_others_blocks),
        CASE(opening_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
