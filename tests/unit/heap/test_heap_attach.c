/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_attach.c - what is refused: parameters, foreign memory, damaged tables and objects.
 */
#include "heap_fixture.h"
#include "heap_layout.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct heap_chunk *chunk_of(struct fixture *f, unsigned index)
{
    return (struct heap_chunk *)(f->base + index * HEAP_CHUNK_BYTES);
}

static uint32_t block_of(struct fixture *f, pvm_object_t o)
{
    return (uint32_t)(((uintptr_t)o - (uintptr_t)f->base) / HEAP_BLOCK_BYTES);
}

static void impossible_parameters_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_map(&f, 64 * MIB, true);
    struct heap *heap = NULL;
    struct heap_params bad = f.params;
    bad.base = f.base + HEAP_BLOCK_BYTES;
    assert_int_equal(heap_create(&bad, &heap, NULL), PHANTOM_EINVALID);
    bad.base = NULL;
    assert_int_equal(heap_attach(&bad, &heap, NULL), PHANTOM_EINVALID);
    bad = f.params;
    bad.size_limit = 10 * HEAP_BLOCK_BYTES - 1;
    assert_int_equal(heap_create(&bad, &heap, NULL), PHANTOM_EINVALID);
    bad.size_limit = UINT64_MAX;
    assert_int_equal(heap_create(&bad, &heap, NULL), PHANTOM_EINVALID);
    assert_null(heap);
    assert_int_equal(fixture_nonzero_pages(&f), 0);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(heap_attach(&f.params, &heap, &diag), PHANTOM_ECORRUPT);
    assert_non_null(strstr(diag.text, "no heap header"));
    assert_int_equal(heap_create(&f.params, &heap, NULL), 0);
    struct heap *second = NULL;
    assert_int_equal(heap_create(&f.params, &second, NULL), PHANTOM_EINVALID);
    heap_detach(heap);
    fixture_unmap(&f);
}

/** Attach must fail with that code and a message that holds that text. */
static void refuse_attach(struct fixture *f, int error, const char *text)
{
    struct heap *heap = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(heap_attach(&f->params, &heap, &diag), error);
    assert_null(heap);
    if (strstr(diag.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", diag.text, text);
    }
}

/** A heap of two chunks and a huge run, detached. */
static void make_detached(struct fixture *f)
{
    fixture_open(f, 512 * MIB, true);
    for (int i = 0; i < 100; i++) {
        fixture_put(f, &fixture_slots(f->root)[i % 20], fixture_leaf(f, 1000 * (uint64_t)i));
    }
    fixture_put(f, &fixture_slots(f->root)[20], fixture_leaf(f, 100 * MIB));
    fixture_put(f, &fixture_slots(f->root)[21], fixture_leaf(f, 63 * MIB));
    heap_allocator_destroy(f->allocator);
    heap_detach(f->heap);
    f->allocator = NULL;
    f->heap = NULL;
}

#define EXPECT_REFUSED(field, value, error, text)                                                  \
    do {                                                                                           \
        __typeof__(field) saved = field;                                                           \
        field = value;                                                                             \
        refuse_attach(&f, error, text);                                                            \
        field = saved;                                                                             \
    } while (0)

static void a_header_that_is_not_ours_is_refused_by_name(void **state)
{
    (void)state;
    struct fixture f;
    make_detached(&f);
    struct heap_header *h = &chunk_of(&f, 0)->heap;
    EXPECT_REFUSED(h->magic[3], 'x', PHANTOM_ECORRUPT, "no heap header");
    EXPECT_REFUSED(h->layout_version, 2, PHANTOM_EVERSION,
                   "layout version 2, this library reads version 1");
    EXPECT_REFUSED(h->native_class_version, 6, PHANTOM_EVERSION,
                   "version 6, this library has version 7");
    EXPECT_REFUSED(h->cell_bytes, 32, PHANTOM_ECORRUPT, "cells of 32");
    EXPECT_REFUSED(h->header_bytes, 88, PHANTOM_ECORRUPT, "layout 1 does not have");
    EXPECT_REFUSED(h->base, h->base + HEAP_CHUNK_BYTES, PHANTOM_EINVALID, "belongs at address");
    EXPECT_REFUSED(h->size_limit, 256 * MIB, PHANTOM_EINVALID, "size limit of 268435456");
    EXPECT_REFUSED(h->committed, 1024 * MIB, PHANTOM_ECORRUPT, "committed size 1073741824");
    EXPECT_REFUSED(h->committed, 0, PHANTOM_ECORRUPT, "committed size 0");
    EXPECT_REFUSED(h->committed, 65 * MIB, PHANTOM_ECORRUPT, "committed size");
    EXPECT_REFUSED(h->root, (pvm_object_t)(f.base + 8), PHANTOM_ECORRUPT, "root");
    EXPECT_REFUSED(h->root, (pvm_object_t)UINTPTR_MAX, PHANTOM_ECORRUPT, "root");
    EXPECT_REFUSED(h->root, f.root + 1, PHANTOM_ECORRUPT, "root");
    struct heap *heap;
    assert_int_equal(heap_attach(&f.params, &heap, NULL), 0);
    heap_detach(heap);
    fixture_unmap(&f);
}

static void block_tables_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    make_detached(&f);
    struct heap_block *table = chunk_of(&f, 0)->table;
    uint32_t small = block_of(&f, f.root);
    pvm_object_t huge = fixture_slots(f.root)[20];
    unsigned huge_chunk = block_of(&f, huge) / HEAP_CHUNK_BLOCKS;
    EXPECT_REFUSED(chunk_of(&f, 0)->header.magic, 1, PHANTOM_ECORRUPT, "no chunk header");
    EXPECT_REFUSED(chunk_of(&f, 0)->header.index, 1, PHANTOM_ECORRUPT, "no chunk header");
    EXPECT_REFUSED(chunk_of(&f, 0)->header.span, 0, PHANTOM_ECORRUPT, "span");
    EXPECT_REFUSED(chunk_of(&f, 0)->header.span, 5000, PHANTOM_ECORRUPT, "span");
    EXPECT_REFUSED(chunk_of(&f, 0)->header.span, 2, PHANTOM_ECORRUPT, "without a run");
    EXPECT_REFUSED(chunk_of(&f, huge_chunk)->header.span, 1, PHANTOM_ECORRUPT, "length of a run");
    EXPECT_REFUSED(table[small].kind, 9, PHANTOM_ECORRUPT, "unknown kind");
    EXPECT_REFUSED(table[small].kind, HEAP_BLOCK_RUN_TAIL, PHANTOM_ECORRUPT, "");
    EXPECT_REFUSED(table[small].size_class, HEAP_CLASS_COUNT, PHANTOM_ECORRUPT, "size class");
    EXPECT_REFUSED(table[small].flags, 2, PHANTOM_ECORRUPT, "flags");
    EXPECT_REFUSED(table[small].zero, 1, PHANTOM_ECORRUPT, "unknown kind");
    EXPECT_REFUSED(table[small].run_blocks, 1, PHANTOM_ECORRUPT, "length");
    EXPECT_REFUSED(table[0].kind, HEAP_BLOCK_SMALL, PHANTOM_ECORRUPT, "metadata");
    struct heap_block *run = &chunk_of(&f, huge_chunk)->table[HEAP_META_BLOCKS];
    EXPECT_REFUSED(run->run_blocks, 0, PHANTOM_ECORRUPT, "length of a run");
    EXPECT_REFUSED(run->run_blocks, UINT32_MAX, PHANTOM_ECORRUPT, "length of a run");
    EXPECT_REFUSED(run->run_blocks, run->run_blocks + 1024, PHANTOM_ECORRUPT, "length of a run");
    EXPECT_REFUSED(run[5].kind, HEAP_BLOCK_FREE, PHANTOM_ECORRUPT, "tail");
    struct heap *heap;
    assert_int_equal(heap_attach(&f.params, &heap, NULL), 0);
    heap_detach(heap);
    fixture_unmap(&f);
}

static void without_memory_attach_fails_cleanly(void **state)
{
    (void)state;
    struct fixture f;
    make_detached(&f);
    int64_t blocks = ph_memory_live_blocks();
    int rc = -ENOMEM;
    for (int64_t n = 0; rc != 0; n++) {
        struct heap *heap = NULL;
        ph_memory_fail_after(n, true);
        rc = heap_attach(&f.params, &heap, NULL);
        ph_memory_fail_after(-1, false);
        assert_true(rc == 0 ? n >= 3 : rc == -ENOMEM && heap == NULL);
        heap_detach(heap);
        assert_int_equal(ph_memory_live_blocks(), blocks);
    }
    fixture_unmap(&f);
}

/* ---- audit --------------------------------------------------------------------------------- */

static void refuse_audit(struct fixture *f, const char *text)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(heap_audit(f->heap, fixture_trace, NULL, &diag), PHANTOM_ECORRUPT);
    if (strstr(diag.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", diag.text, text);
    }
}

#define EXPECT_FOUND(field, value, text)                                                           \
    do {                                                                                           \
        __typeof__(field) saved = field;                                                           \
        field = value;                                                                             \
        refuse_audit(&f, text);                                                                    \
        field = saved;                                                                             \
    } while (0)

static void the_audit_finds_every_kind_of_damage(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 256 * MIB, true);
    pvm_object_t o = fixture_node(&f, 5), large = fixture_leaf(&f, 100000);
    fixture_put(&f, &fixture_slots(f.root)[0], o);
    fixture_put(&f, &fixture_slots(f.root)[1], large);
    fixture_audit(&f);
    struct heap_chunk *chunk = chunk_of(&f, 0);
    uint64_t *bitmap = &chunk->bitmap[(size_t)block_of(&f, o) * HEAP_BITMAP_WORDS];
    uint64_t *run_bitmap = &chunk->bitmap[(size_t)block_of(&f, large) * HEAP_BITMAP_WORDS];
    EXPECT_FOUND(o->_marker, 0, "marker");
    EXPECT_FOUND(o->_da_size, 41, "41 bytes");
    EXPECT_FOUND(o->_da_size, UINT64_MAX, "bytes, which its place");
    EXPECT_FOUND(large->_da_size, 140000, "140000 bytes");
    EXPECT_FOUND(o->_class, NULL, "no class");
    EXPECT_FOUND(o->_class, f.class + 1, "no object");
    EXPECT_FOUND(fixture_slots(o)[3], (pvm_object_t)((uint8_t *)large + 16), "no object");
    EXPECT_FOUND(fixture_slots(o)[4], (pvm_object_t)(f.base + f.size), "no object");
    EXPECT_FOUND(bitmap[0], bitmap[0] | 2, "no cell begins");
    EXPECT_FOUND(bitmap[0], 0, "no object"); /* the root's slot dangles */
    EXPECT_FOUND(*run_bitmap, 0, "run without its object");
    EXPECT_FOUND(run_bitmap[3], 1, "inside another");
    EXPECT_FOUND(run_bitmap[HEAP_BITMAP_WORDS], 1, "block without any");
    EXPECT_FOUND(chunk->bitmap[0], 1, "block without any");
    EXPECT_FOUND(chunk->bitmap[HEAP_CHUNK_BLOCKS * HEAP_BITMAP_WORDS - 1], 1, "block without any");
    EXPECT_FOUND(chunk->table[1000].kind, HEAP_BLOCK_SMALL, "free by the table");
    EXPECT_FOUND(chunk->heap.committed, 256 * MIB, "committed");
    EXPECT_FOUND(chunk->heap.root, f.root + 1, "root");
    fixture_audit(&f);
    fixture_close(&f);
}

static void trace_carefully(void *context, pvm_object_t o, struct heap_visitor *visitor)
{
    (void)context;
    for (uint64_t i = 0; i < o->_da_size / sizeof(pvm_object_t); i++) {
        heap_visit(visitor, fixture_slots(o)[i]);
    }
}

/** Where a random flip goes: mostly where something is. */
static uint8_t *random_victim(struct fixture *f, struct ph_rng *rng)
{
    switch (ph_rng_below(rng, 4)) {
    case 0: return f->base + ph_rng_below(rng, 100);
    case 1: return f->base + 2048 + ph_rng_below(rng, 16);
    case 2: return f->base + 4096 + ph_rng_below(rng, 8 * 100);
    default: return f->base + HEAP_BLOCK_BYTES + ph_rng_below(rng, 512 * 100);
    }
}

static void flipped_metadata_never_crashes_attach_or_audit(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(11);
    printf("PH_SEED=%llu\n", (unsigned long long)seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct fixture f;
    make_detached(&f);
    unsigned refused = 0, found = 0;
    enum { FLIPS = 3000 };
    for (int i = 0; i < FLIPS; i++) {
        uint8_t *victim = random_victim(&f, &rng);
        uint8_t saved = *victim;
        *victim ^= (uint8_t)(1 << ph_rng_below(&rng, 8));
        struct heap *heap = NULL;
        if (heap_attach(&f.params, &heap, NULL) != 0) {
            refused++;
        } else if (heap_audit(heap, trace_carefully, NULL, NULL) != 0) {
            found++;
        }
        heap_detach(heap);
        *victim = saved;
    }
    printf("%d flips: %u refused by attach, %u found by the audit\n", FLIPS, refused, found);
    assert_true(refused > FLIPS / 4 && found > FLIPS / 8);
    fixture_unmap(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_parameters_are_refused),
        cmocka_unit_test(a_header_that_is_not_ours_is_refused_by_name),
        cmocka_unit_test(block_tables_that_make_no_sense_are_refused),
        cmocka_unit_test(without_memory_attach_fails_cleanly),
        cmocka_unit_test(the_audit_finds_every_kind_of_damage),
        cmocka_unit_test(flipped_metadata_never_crashes_attach_or_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
