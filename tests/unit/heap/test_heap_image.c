/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_image.c - what differs between two states of a heap, found page by page, is what two
 * walks over the living heap say. Damaged images are refused or read, and nothing outside them is
 * ever asked for. Seeded: PH_SEED repeats a run.
 */
#include "heap_fixture.h"
#include "heap_image.h"
#include "heap_layout.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = HEAP_PAGE_BYTES,
    ROOTS = FIXTURE_ROOT_SLOTS - 2, /* the last two hold classes */
    ROUNDS = 40,
    MOST_OBJECTS = 8192
};
#define SIZE  (3 * HEAP_CHUNK_BYTES + 20 * HEAP_BLOCK_BYTES)
#define PAGES (SIZE / PAGE)

struct known_object {
    uint64_t address, class, da_size, sum;
};

/* The heap as it was: its pages that hold anything, and its objects by ascending address. */
struct state {
    uint8_t *bytes; /* SIZE, sparse */
    bool *present;  /* PAGES */
    struct known_object object[MOST_OBJECTS];
    size_t count;
    uint64_t base;
};

struct scene {
    struct fixture f;
    struct ph_rng rng;
    pvm_object_t other_class;
    struct state state[2];
};

static uint64_t test_seed(void)
{
    return ph_rng_seed_from_environment(20261122);
}

/* ---- states --------------------------------------------------------------------------------- */

static uint64_t sum_of(const void *bytes, uint64_t size)
{
    uint64_t sum = size, word = 0;
    const uint8_t *at = bytes;
    for (; size >= 8; at += 8, size -= 8) {
        memcpy(&word, at, 8);
        sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    }
    word = 0;
    memcpy(&word, at, size);
    return (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
}

static int note_object(void *context, pvm_object_t o)
{
    struct state *state = context;
    assert_true(state->count < MOST_OBJECTS);
    state->object[state->count++] = (struct known_object){
        (uintptr_t)o, (uintptr_t)o->_class, o->_da_size, sum_of(o, sizeof *o + o->_da_size)};
    return 0;
}

static void take(struct scene *s, struct state *state)
{
    unsigned char *resident = ph_alloc(PAGES);
    assert_non_null(resident);
    state->base = (uintptr_t)s->f.base;
    state->count = 0;
    assert_int_equal(heap_walk(s->f.heap, note_object, state), 0);
    assert_int_equal(mincore(s->f.base, SIZE, resident), 0);
    for (size_t i = 0; i < PAGES; i++) {
        const uint8_t *page = s->f.base + i * PAGE;
        state->present[i] = (resident[i] & 1) != 0 && !fixture_is_zero(page, PAGE);
        if (state->present[i]) {
            memcpy(state->bytes + i * PAGE, page, PAGE);
        }
    }
    ph_free(resident);
}

static void open_scene(struct scene *s, uint64_t seed)
{
    fixture_open(&s->f, SIZE, true);
    ph_rng_init(&s->rng, seed);
    s->other_class =
        heap_alloc(s->f.allocator, s->f.class, PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE, 0);
    assert_non_null(s->other_class);
    fixture_put(&s->f, &fixture_slots(s->f.root)[FIXTURE_ROOT_SLOTS - 2], s->other_class);
    for (int i = 0; i < 2; i++) {
        s->state[i].bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_ptr_not_equal(s->state[i].bytes, MAP_FAILED);
        s->state[i].present = ph_zalloc(PAGES, sizeof(bool));
        assert_non_null(s->state[i].present);
    }
}

static void close_scene(struct scene *s)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(munmap(s->state[i].bytes, SIZE), 0);
        ph_free(s->state[i].present);
    }
    fixture_close(&s->f);
}

/* ---- a program ------------------------------------------------------------------------------ */

static uint64_t random_size(struct scene *s)
{
    uint64_t r = ph_rng_below(&s->rng, 100);
    return r < 70   ? ph_rng_below(&s->rng, 300)
           : r < 94 ? ph_rng_below(&s->rng, 33000)
                    : 33000 + ph_rng_below(&s->rng, 300000);
}

static void make_leaf(struct scene *s, uint64_t bytes)
{
    pvm_object_t class = ph_rng_below(&s->rng, 3) == 0 ? s->other_class : s->f.class;
    pvm_object_t leaf =
        heap_alloc(s->f.allocator, class, PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE, bytes);
    if (leaf != NULL) { /* else the heap is full until the next collection */
        if (bytes > 0) {
            fixture_fill(&s->f, &leaf->da[ph_rng_below(&s->rng, bytes)],
                         (uint8_t)ph_rng_next(&s->rng), 1);
        }
        fixture_put(&s->f, &fixture_slots(s->f.root)[ph_rng_below(&s->rng, ROOTS)], leaf);
    }
}

static void live_a_while(struct scene *s, unsigned round)
{
    uint64_t steps = ph_rng_below(&s->rng, 60);
    for (uint64_t i = 0; i < steps; i++) {
        pvm_object_t *slot = &fixture_slots(s->f.root)[ph_rng_below(&s->rng, ROOTS)];
        switch (ph_rng_below(&s->rng, 4)) {
        case 0: fixture_put(&s->f, slot, NULL); break;
        case 1:
            if (*slot != NULL && (*slot)->_da_size > 0) {
                uint8_t *byte = &(*slot)->da[ph_rng_below(&s->rng, (*slot)->_da_size)];
                fixture_fill(&s->f, byte, *byte ^ 0x5A, 1);
            }
            break;
        default: make_leaf(s, random_size(s)); break;
        }
    }
    if (round % 10 == 4) {
        make_leaf(s, HEAP_CHUNK_BYTES + 12345); /* spans two chunks */
    }
    if (ph_rng_below(&s->rng, 3) == 0) {
        (void)fixture_collect(&s->f);
    }
    if (round % 10 == 8) {
        fixture_fill(&s->f, fixture_slots(s->f.root), 0, ROOTS * sizeof(pvm_object_t));
        (void)fixture_collect(&s->f);
    }
}

/* ---- comparing ------------------------------------------------------------------------------ */

struct found {
    struct known_object object[2 * MOST_OBJECTS];
    enum heap_change change[2 * MOST_OBJECTS];
    size_t count;
    uint64_t base;
};

static int note_change(void *context, enum heap_change change,
                       const struct heap_image_object *object)
{
    struct found *found = context;
    assert_true(object->address >= found->base && object->da_size < SIZE &&
                object->address + object->da_size <= found->base + SIZE);
    if (found->count < 2 * MOST_OBJECTS) {
        found->object[found->count] =
            (struct known_object){object->address, object->class, object->da_size, 0};
        found->change[found->count++] = change;
    }
    return 0;
}

static int read_page(void *context, uint64_t page, void *buffer, struct phantom_diag *diag)
{
    const struct state *state = context;
    (void)diag;
    assert_true(page < PAGES);
    if (state->present[page]) {
        memcpy(buffer, state->bytes + page * PAGE, PAGE);
    }
    return state->present[page];
}

static int open_image(struct state *state, struct heap_image **out, struct phantom_diag *diag)
{
    const struct heap_image_params params = {.source = {state, read_page},
                                             .name = "image",
                                             .base = state->base,
                                             .size = SIZE,
                                             .native_class_version = 7};
    return heap_image_open(&params, out, diag);
}

static bool page_differs(const struct state *a, const struct state *b, size_t page)
{
    return a->present[page] != b->present[page] ||
           (a->present[page] && memcmp(a->bytes + page * PAGE, b->bytes + page * PAGE, PAGE) != 0);
}

static int compare(struct state *a, struct state *b, struct found *found, struct phantom_diag *diag)
{
    uint64_t *pages = ph_alloc(PAGES * sizeof *pages);
    size_t count = 0;
    struct heap_image *from = NULL, *to = NULL;
    assert_non_null(pages);
    for (size_t i = 0; i < PAGES; i++) {
        if (page_differs(a, b, i)) {
            pages[count++] = i;
        }
    }
    found->count = 0;
    found->base = a->base;
    int rc = open_image(a, &from, diag);
    rc = rc != 0 ? rc : open_image(b, &to, diag);
    rc = rc != 0 ? rc : heap_image_compare(from, to, pages, count, note_change, found, diag);
    heap_image_close(from);
    heap_image_close(to);
    ph_free(pages);
    return rc;
}

static void expect(const struct found *found, size_t *at, enum heap_change change,
                   const struct known_object *object)
{
    assert_true(*at < found->count);
    const struct known_object *got = &found->object[*at];
    assert_int_equal(found->change[*at], change);
    assert_int_equal(got->address, object->address);
    assert_int_equal(got->class, object->class);
    assert_int_equal(got->da_size, object->da_size);
    ++*at;
}

/* The two walks merged: exactly what was found. */
static void check_found(const struct found *found, const struct state *a, const struct state *b,
                        uint64_t counts[4])
{
    size_t i = 0, j = 0, at = 0;
    while (i < a->count || j < b->count) {
        const struct known_object *old = i < a->count ? &a->object[i] : NULL;
        const struct known_object *new = j < b->count ? &b->object[j] : NULL;
        bool take_old = new == NULL || (old != NULL && old->address <= new->address);
        bool take_new = old == NULL || (new != NULL &&new->address <= old->address);
        i += take_old;
        j += take_new;
        if (take_old && take_new && old->class == new->class && old->da_size == new->da_size) {
            if (old->sum != new->sum) {
                expect(found, &at, HEAP_OBJECT_CHANGED, new);
                counts[HEAP_OBJECT_CHANGED]++;
            }
            continue;
        }
        if (take_old) {
            expect(found, &at, HEAP_OBJECT_FREED, old);
            counts[HEAP_OBJECT_FREED]++;
        }
        if (take_new) {
            expect(found, &at, HEAP_OBJECT_CREATED, new);
            counts[HEAP_OBJECT_CREATED]++;
        }
    }
    assert_int_equal(at, found->count);
}

static void differences_are_those_of_two_walks(void **state)
{
    (void)state;
    struct scene *s = ph_zalloc(1, sizeof *s);
    struct found *found = ph_zalloc(1, sizeof *found);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t counts[4] = {0};
    assert_true(s != NULL && found != NULL);
    open_scene(s, test_seed());
    take(s, &s->state[0]);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct state *before = &s->state[(round - 1) % 2], *after = &s->state[round % 2];
        live_a_while(s, round);
        take(s, after);
        if (compare(before, after, found, &diag) != 0) {
            fail_msg("round %u: %s", round, diag.text);
        }
        check_found(found, before, after, counts);
        /* And the way back. */
        assert_int_equal(compare(after, before, found, &diag), 0);
        uint64_t unused[4] = {0};
        check_found(found, after, before, unused);
    }
    assert_int_equal(compare(&s->state[0], &s->state[0], found, &diag), 0);
    assert_int_equal(found->count, 0);
    assert_true(counts[1] > ROUNDS && counts[2] > ROUNDS && counts[3] > ROUNDS);
    close_scene(s);
    ph_free(s);
    ph_free(found);
}

/* Two states with objects of all kinds in the first, one of two chunks among them. */
static void two_states(struct scene *s, uint64_t seed)
{
    open_scene(s, seed);
    for (unsigned i = 0; i < 30; i++) {
        make_leaf(s, random_size(s));
    }
    make_leaf(s, HEAP_CHUNK_BYTES + 12345);
    take(s, &s->state[0]);
    live_a_while(s, 1);
    make_leaf(s, 100); /* so that they differ */
    take(s, &s->state[1]);
}

/* ---- damage --------------------------------------------------------------------------------- */

/* Change a field, expect the refusal that names it, put the field back. */
#define EXPECT_REFUSED(field, value, code, words)                                                  \
    do {                                                                                           \
        __typeof__(field) saved_ = (field);                                                        \
        struct phantom_diag diag_ = PHANTOM_DIAG_INIT;                                             \
        (field) = (value);                                                                         \
        assert_int_equal(compare(&s->state[0], &s->state[1], found, &diag_), (code));              \
        if (strstr(diag_.text, (words)) == NULL || strncmp(diag_.text, "image: ", 7) != 0) {       \
            fail_msg("'%s' does not say '%s'", diag_.text, (words));                               \
        }                                                                                          \
        (field) = saved_;                                                                          \
    } while (0)

static void every_check_refuses(void **state)
{
    (void)state;
    struct scene *s = ph_zalloc(1, sizeof *s);
    struct found *found = ph_zalloc(1, sizeof *found);
    assert_true(s != NULL && found != NULL);
    two_states(s, 1);
    struct heap_chunk *chunk = (struct heap_chunk *)(void *)s->state[1].bytes;
    struct heap_header *header = &chunk->heap;
    EXPECT_REFUSED(header->magic[3], 'x', PHANTOM_ECORRUPT, "no heap header");
    EXPECT_REFUSED(header->layout_version, 9, PHANTOM_EVERSION, "layout version 9");
    EXPECT_REFUSED(header->native_class_version, 9, PHANTOM_EVERSION, "native classes version 9");
    EXPECT_REFUSED(header->block_bytes, 0, PHANTOM_ECORRUPT, "blocks of 0");
    EXPECT_REFUSED(header->base, header->base + PAGE, PHANTOM_EINVALID, "belongs at address");
    EXPECT_REFUSED(header->size_limit, 0, PHANTOM_ECORRUPT, "committed size");
    EXPECT_REFUSED(header->size_limit, UINT64_MAX - 65535, PHANTOM_ECORRUPT, "size limit");
    EXPECT_REFUSED(header->size_limit, SIZE - 1, PHANTOM_ECORRUPT, "size limit");
    EXPECT_REFUSED(header->committed, 0, PHANTOM_ECORRUPT, "committed size");
    EXPECT_REFUSED(header->committed, SIZE + HEAP_CHUNK_BYTES, PHANTOM_ECORRUPT, "committed size");
    EXPECT_REFUSED(chunk->header.magic, 0, PHANTOM_ECORRUPT, "no chunk header");
    EXPECT_REFUSED(chunk->header.index, 1, PHANTOM_ECORRUPT, "no chunk header");
    EXPECT_REFUSED(chunk->header.span, 0, PHANTOM_ECORRUPT, "claims to span 0");
    EXPECT_REFUSED(chunk->header.span, UINT32_MAX, PHANTOM_ECORRUPT, "claims to span");
    EXPECT_REFUSED(chunk->header.span, 3, PHANTOM_ECORRUPT, "without a run");
    EXPECT_REFUSED(chunk->table[HEAP_META_BLOCKS].kind, 77, PHANTOM_ECORRUPT, "unknown kind");
    EXPECT_REFUSED(chunk->table[HEAP_META_BLOCKS].size_class, 43, PHANTOM_ECORRUPT, "size class");
    EXPECT_REFUSED(chunk->table[3].kind, HEAP_BLOCK_SMALL, PHANTOM_ECORRUPT, "metadata");
    s->state[1].present[2] = true; /* the end of the table, all free until now */
    EXPECT_REFUSED(chunk->table[1000].kind, HEAP_BLOCK_RUN_TAIL, PHANTOM_ECORRUPT, "tail");
    chunk->table[1000].kind = HEAP_BLOCK_RUN;
    EXPECT_REFUSED(chunk->table[1000].run_blocks, 25, PHANTOM_ECORRUPT, "length of a run");
    EXPECT_REFUSED(chunk->table[1000].run_blocks, UINT32_MAX, PHANTOM_ECORRUPT, "length of a run");
    chunk->table[1000] = (struct heap_block){0};

    /* The root is the first object: its block, its bit, its header. */
    uint64_t offset = (uintptr_t)header->root - s->state[1].base;
    uint64_t block = offset / HEAP_BLOCK_BYTES;
    assert_true(block >= HEAP_META_BLOCKS && block < HEAP_CHUNK_BLOCKS);
    uint64_t *bitmap = &chunk->bitmap[block * HEAP_BITMAP_WORDS];
    EXPECT_REFUSED(bitmap[0], bitmap[0] | 2, PHANTOM_ECORRUPT, "an object where none begins");
    struct pvm_object_storage *object = (void *)(s->state[1].bytes + offset);
    EXPECT_REFUSED(object->_marker, 0, PHANTOM_ECORRUPT, "has marker 0x00000000");
    EXPECT_REFUSED(object->_da_size, 0, PHANTOM_ECORRUPT, "which is none for its place");
    EXPECT_REFUSED(object->_da_size, UINT64_MAX, PHANTOM_ECORRUPT, "which is none for its place");
    EXPECT_REFUSED(object->_da_size, SIZE, PHANTOM_ECORRUPT, "which is none for its place");
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t counts[4] = {0};
    assert_int_equal(compare(&s->state[0], &s->state[1], found, &diag), 0);
    check_found(found, &s->state[0], &s->state[1], counts);
    close_scene(s);
    ph_free(s);
    ph_free(found);
}

/* A place that matters: header, tables, bitmaps, or an object's header. */
static uint64_t random_place(struct scene *s, const struct state *state)
{
    uint64_t chunk = ph_rng_below(&s->rng, 3) * HEAP_CHUNK_BYTES;
    switch (ph_rng_below(&s->rng, 5)) {
    case 0: return ph_rng_below(&s->rng, sizeof(struct heap_header));
    case 1: return chunk + 2048 + ph_rng_below(&s->rng, 16);
    case 2: return chunk + PAGE + 8 * HEAP_META_BLOCKS + ph_rng_below(&s->rng, 400);
    case 3:
        return chunk + (HEAP_META_BLOCKS * HEAP_BITMAP_WORDS * 8) + HEAP_BLOCK_BYTES +
               ph_rng_below(&s->rng, 20000);
    default: {
        const struct known_object *object = &state->object[ph_rng_below(&s->rng, state->count)];
        return object->address - state->base + ph_rng_below(&s->rng, 24);
    }
    }
}

static void damaged_images_are_refused_or_read(void **state)
{
    (void)state;
    struct scene *s = ph_zalloc(1, sizeof *s);
    struct found *found = ph_zalloc(1, sizeof *found);
    assert_true(s != NULL && found != NULL);
    two_states(s, test_seed());
    unsigned refused = 0, passed = 0;
    for (unsigned i = 0; i < 400; i++) {
        struct state *victim = &s->state[ph_rng_below(&s->rng, 2)];
        enum { MOST = 4 };
        uint64_t place[MOST], count = 1 + ph_rng_below(&s->rng, MOST);
        uint8_t saved[MOST];
        bool present[MOST];
        for (uint64_t k = 0; k < count; k++) {
            place[k] = random_place(s, victim);
            saved[k] = victim->bytes[place[k]];
            present[k] = victim->present[place[k] / PAGE];
            victim->bytes[place[k]] = ph_rng_below(&s->rng, 2) == 0
                                          ? (uint8_t)ph_rng_next(&s->rng)
                                          : saved[k] ^ (uint8_t)(1 << ph_rng_below(&s->rng, 8));
            victim->present[place[k] / PAGE] = true;
        }
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        int rc = compare(&s->state[0], &s->state[1], found, &diag);
        assert_true(rc == 0 || rc == PHANTOM_ECORRUPT || rc == PHANTOM_EVERSION ||
                    rc == PHANTOM_EINVALID);
        assert_true(rc == 0 || strncmp(diag.text, "image: ", 7) == 0);
        refused += rc != 0;
        passed += rc == 0;
        for (uint64_t k = count; k-- > 0;) {
            victim->bytes[place[k]] = saved[k];
            victim->present[place[k] / PAGE] = present[k];
        }
    }
    assert_true(refused > 50 && passed > 5);
    close_scene(s);
    ph_free(s);
    ph_free(found);
}

static void objects_are_found_by_address(void **state)
{
    (void)state;
    struct scene *s = ph_zalloc(1, sizeof *s);
    struct heap_image *image = NULL;
    struct heap_image_object object;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_non_null(s);
    two_states(s, 2);
    const struct state *known = &s->state[1];
    assert_int_equal(open_image(&s->state[1], &image, &diag), 0);
    for (size_t i = 0; i < known->count; i++) {
        const struct known_object *it = &known->object[i];
        assert_int_equal(heap_image_find(image, it->address, &object, &diag), 1);
        assert_int_equal(object.da_size, it->da_size);
        assert_int_equal(heap_image_find(image, it->address + 1, &object, &diag), 0);
        assert_int_equal(heap_image_find(image, it->address + HEAP_CELL, &object, &diag), 0);
        uint8_t byte;
        assert_int_equal(heap_image_find(image, it->address, &object, &diag), 1);
        assert_int_equal(heap_image_data(image, &object, it->da_size, &byte, 1, &diag),
                         PHANTOM_ECORRUPT);
        assert_int_equal(heap_image_data(image, &object, UINT64_MAX, &byte, 1, &diag),
                         PHANTOM_ECORRUPT);
    }
    const uint64_t nowhere[] = {0,
                                known->base - HEAP_CELL,
                                known->base,
                                known->base + HEAP_BLOCK_BYTES,
                                known->base + SIZE - HEAP_CELL,
                                known->base + SIZE,
                                UINT64_MAX - 15};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        assert_int_equal(heap_image_find(image, nowhere[i], &object, &diag), 0);
    }
    heap_image_close(image);
    close_scene(s);
    ph_free(s);
}

int main(void)
{
    printf("PH_SEED=%llu\n", (unsigned long long)test_seed());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_are_those_of_two_walks),
        cmocka_unit_test(every_check_refuses),
        cmocka_unit_test(damaged_images_are_refused_or_read),
        cmocka_unit_test(objects_are_found_by_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
