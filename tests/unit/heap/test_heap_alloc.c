/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_alloc.c - birth of objects: sizes, zeroing, sparseness, limits, huge objects.
 */
#include "heap_fixture.h"
#include "heap_layout.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void every_size_fits_its_class_with_at_most_a_quarter_of_waste(void **state)
{
    (void)state;
    for (unsigned units = 2; units <= HEAP_SMALL_MAX_UNITS; units++) {
        unsigned c = heap_class_of_units(units);
        assert_in_range(c, 0, HEAP_CLASS_COUNT - 1);
        unsigned cell = heap_class_units(c);
        assert_true(cell >= units);
        assert_true((cell - units) * 4 <= cell);
        assert_true(c == 0 || heap_class_units(c - 1) < units);
    }
    assert_int_equal(heap_class_units(HEAP_CLASS_COUNT - 1), HEAP_SMALL_MAX_UNITS);
}

static void cell_starts_are_exactly_the_multiples_that_fit(void **state)
{
    (void)state;
    for (unsigned c = 0; c < HEAP_CLASS_COUNT; c++) {
        unsigned units = heap_class_units(c), found = 0;
        uint64_t pattern = heap_cell_pattern(units);
        for (unsigned word = 0;; word++) {
            uint64_t starts = heap_cell_starts(units, pattern, &word);
            if (starts == 0) {
                break;
            }
            for (; starts != 0; starts &= starts - 1) {
                assert_int_equal(word * 64 + (unsigned)__builtin_ctzll(starts), found * units);
                found++;
            }
        }
        assert_int_equal(found, HEAP_BLOCK_UNITS / units);
    }
}

static void a_new_object_has_its_header_and_a_zeroed_data_area(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0,     1,     4,     8,     9,      100,     4096,    32743,
                                     32744, 32745, 65512, 65513, 200000, 1 << 20, 65011712};
    struct fixture f;
    fixture_open(&f, 256 * MIB, true);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pvm_object_t o = heap_alloc(f.allocator, f.class, 0x800, sizes[i]);
        assert_non_null(o);
        assert_int_equal((uintptr_t)o % HEAP_CELL, 0);
        assert_int_equal(o->_marker, PVM_OBJECT_START_MARKER);
        assert_int_equal(o->_flags, 0x800);
        assert_ptr_equal(o->_class, f.class);
        assert_int_equal(o->_da_size, sizes[i]);
        assert_true(fixture_is_zero(o->da, o->_da_size));
        assert_true(heap_is_object(f.heap, o));
        fixture_fill(&f, o->da, 0xAB, o->_da_size);
    }
    fixture_audit(&f);
    fixture_close(&f);
}

static void recycled_memory_is_zeroed_again(void **state)
{
    for (int discards = 0; discards <= 1; discards++) {
        (void)state;
        struct fixture f;
        fixture_open(&f, 16 * MIB, discards);
        for (int round = 0; round < 4; round++) {
            for (unsigned bytes = 1; bytes < 200000; bytes = bytes * 3 / 2 + 1) {
                for (int i = 0; i < 20 && bytes * i < 400000; i++) {
                    pvm_object_t o = fixture_leaf(&f, bytes);
                    assert_non_null(o);
                    assert_true(fixture_is_zero(o->da, bytes));
                    fixture_fill(&f, o->da, 0xFF, bytes);
                    /* Survivors keep blocks half used. */
                    fixture_put(&f, &fixture_slots(f.root)[i % 8], o);
                }
            }
            fixture_collect(&f);
            fixture_audit(&f);
            if (round == 1) {
                fixture_reattach(&f);
            }
        }
        fixture_close(&f);
    }
}

static void one_object_in_a_fresh_heap_dirties_four_pages(void **state)
{
    (void)state;
    struct fixture f;
    fixture_map(&f, GIB, true);
    assert_int_equal(heap_create(&f.params, &f.heap, NULL), 0);
    assert_int_equal(fixture_resident_pages(&f), 1);
    assert_int_equal(heap_allocator_create(f.heap, &f.allocator), 0);
    assert_non_null(fixture_leaf(&f, 8));
    /* header, block table, bitmap, object */
    assert_int_equal(fixture_nonzero_pages(&f), 4);
    assert_int_equal(fixture_resident_pages(&f), 4);
    for (int i = 1; i < 1000; i++) {
        assert_non_null(fixture_leaf(&f, 8));
    }
    assert_int_equal(fixture_nonzero_pages(&f), 3 + 8);
    assert_int_equal(fixture_resident_pages(&f), 3 + 8);
    fixture_close(&f);
}

static void a_large_object_dirties_its_first_page_only(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, GIB, true);
    fixture_leaf(&f, 100);
    uint64_t before = fixture_nonzero_pages(&f);
    assert_non_null(fixture_leaf(&f, 30 * MIB));
    uint64_t after = fixture_nonzero_pages(&f);
    /* object, its bitmap page may be shared, the tails' part of the block table */
    assert_true(after - before <= 3);
    assert_non_null(fixture_leaf(&f, 30000));
    assert_true(fixture_nonzero_pages(&f) - after <= 2);
    fixture_close(&f);
}

static void objects_of_gigabytes_span_chunks(void **state)
{
    for (int discards = 0; discards <= 1; discards++) {
        (void)state;
        struct fixture f;
        fixture_open(&f, 4 * GIB, discards);
        pvm_object_t small = fixture_leaf(&f, 1000);
        pvm_object_t big = fixture_leaf(&f, 3 * GIB - 12345);
        assert_non_null(big);
        assert_true(fixture_is_zero(big->da + GIB, 4096));
        fixture_fill(&f, &big->da[0], 1, 1);
        fixture_fill(&f, &big->da[70 * MIB], 2, 1);
        fixture_fill(&f, big->da + 60 * MIB, 0xEE,
                     70 * MIB); /* over the places of two chunks' metadata */
        fixture_fill(&f, &big->da[big->_da_size - 1], 3, 1);
        assert_null(fixture_leaf(&f, 2 * GIB));
        assert_false(heap_is_object(f.heap, big->da + 70 * MIB));
        fixture_put(&f, &fixture_slots(f.root)[0], big);
        fixture_put(&f, &fixture_slots(f.root)[1], small);
        fixture_audit(&f);
        fixture_reattach(&f);
        fixture_audit(&f);
        assert_true(heap_is_object(f.heap, big));
        assert_int_equal(big->da[70 * MIB], 0xEE);
        assert_int_equal(big->da[big->_da_size - 1], 3);
        fixture_collect(&f);
        assert_int_equal(big->da[70 * MIB], 0xEE);
        pvm_object_t after = fixture_leaf(&f, 40 * MIB);
        assert_non_null(after);

        fixture_put(&f, &fixture_slots(f.root)[0], NULL);
        struct heap_collect_report report = fixture_collect(&f);
        assert_true(report.freed_bytes >= 3 * GIB);
        assert_true(discards ? report.discarded_bytes >= 3 * GIB : report.discarded_bytes == 0);
        assert_false(heap_is_object(f.heap, big));
        fixture_audit(&f);
        fixture_reattach(&f);
        fixture_audit(&f);
        /* Its chunks serve small and huge objects again, with clean memory. */
        pvm_object_t again = fixture_leaf(&f, 200 * MIB);
        assert_non_null(again);
        assert_true(fixture_is_zero(again->da, again->_da_size));
        for (int i = 0; i < 40; i++) {
            pvm_object_t o = fixture_leaf(&f, 5 * MIB);
            assert_non_null(o);
            assert_true(fixture_is_zero(o->da, o->_da_size));
        }
        fixture_audit(&f);
        fixture_close(&f);
    }
}

static void sizes_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 80 * MIB, true);
    assert_null(fixture_leaf(&f, UINT64_MAX));
    assert_null(fixture_leaf(&f, UINT64_MAX - 24));
    assert_null(fixture_leaf(&f, INT64_MAX));
    assert_null(fixture_leaf(&f, 80 * MIB));
    assert_null(fixture_leaf(&f, 80 * MIB - 9 * HEAP_BLOCK_BYTES));
    uint64_t committed = heap_committed_bytes(f.heap);
    assert_int_equal(committed, HEAP_CHUNK_BYTES);
    assert_null(fixture_leaf(&f, 70 * MIB + 9 * MIB));
    assert_int_equal(heap_committed_bytes(f.heap), committed);
    fixture_audit(&f);
    fixture_close(&f);
}

static void a_full_heap_says_so_and_works_again_after_a_collection(void **state)
{
    (void)state;
    static const uint64_t limits[] = {11 * HEAP_BLOCK_BYTES, 16 * MIB, 65 * MIB, 16 * MIB + 4711};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct fixture f;
        fixture_open(&f, limits[i], i % 2 == 0);
        uint64_t born = 0;
        pvm_object_t o;
        while ((o = fixture_node(&f, 1)) != NULL) {
            fixture_put(&f, &fixture_slots(o)[0], fixture_slots(f.root)[0]);
            fixture_put(&f, &fixture_slots(f.root)[0], o);
            born++;
        }
        assert_null(fixture_node(&f, 1));
        assert_true(heap_committed_bytes(f.heap) <= limits[i]);
        fixture_audit(&f);
        fixture_collect(&f);
        assert_null(fixture_node(&f, 1));
        fixture_put(&f, &fixture_slots(f.root)[0], NULL);
        struct heap_collect_report report = fixture_collect(&f);
        assert_int_equal(report.freed_objects, born);
        uint64_t again = 0;
        while (fixture_node(&f, 1) != NULL) {
            again++;
        }
        assert_true(again == born);
        fixture_audit(&f);
        fixture_close(&f);
    }
}

static void statistics_count_cells_exactly(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 256 * MIB, true);
    uint64_t before = heap_used_bytes(f.heap);
    for (int i = 0; i < 1000; i++) {
        fixture_leaf(&f, 8);
    }
    fixture_leaf(&f, 100000);
    assert_int_equal(heap_used_bytes(f.heap) - before, 1000 * 32 + 2 * HEAP_BLOCK_BYTES);
    assert_int_equal(heap_allocated_since_collect(f.heap), heap_used_bytes(f.heap));
    uint64_t used = heap_used_bytes(f.heap);
    fixture_reattach(&f);
    fixture_leaf(&f, 8);
    assert_int_equal(heap_allocated_since_collect(f.heap), 32);
    assert_int_equal(heap_used_bytes(f.heap), used + 32);
    struct heap_collect_report report = fixture_collect(&f);
    assert_int_equal(report.freed_objects, 1002);
    assert_int_equal(report.freed_bytes, used + 32 - before);
    assert_int_equal(report.live_bytes, before);
    assert_int_equal(heap_used_bytes(f.heap), before);
    assert_int_equal(heap_allocated_since_collect(f.heap), 0);
    fixture_close(&f);
}

static void runs_fit_again_where_runs_were_freed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    for (int i = 0; i < 60; i++) {
        pvm_object_t o = fixture_leaf(&f, MIB - 24);
        assert_non_null(o);
        fixture_put(&f, &fixture_slots(f.root)[i], o);
    }
    /* Too few blocks are left for this; later enough, but not one after the other. */
    assert_null(fixture_leaf(&f, 5 * MIB));
    for (int i = 20; i < 30; i += 2) {
        fixture_put(&f, &fixture_slots(f.root)[i], NULL);
    }
    fixture_collect(&f);
    assert_null(fixture_leaf(&f, 5 * MIB - 24)); /* five holes, none large enough */
    fixture_put(&f, &fixture_slots(f.root)[21], NULL);
    fixture_put(&f, &fixture_slots(f.root)[23], NULL);
    fixture_collect(&f);
    pvm_object_t o = fixture_leaf(&f, 5 * MIB - 24);
    assert_non_null(o);
    assert_ptr_equal(o, (uint8_t *)fixture_slots(f.root)[19] + MIB);
    fixture_audit(&f);
    fixture_close(&f);
}

static void what_a_destroyed_allocator_allocated_still_counts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    uint64_t before = heap_allocated_since_collect(f.heap);
    struct heap_allocator *other;
    assert_int_equal(heap_allocator_create(f.heap, &other), 0);
    assert_non_null(heap_alloc(other, f.class, 0, 8));
    heap_allocator_destroy(other);
    assert_int_equal(heap_allocated_since_collect(f.heap), before + 32);
    assert_int_equal(heap_used_bytes(f.heap), before + 32);
    fixture_collect(&f);
    assert_int_equal(heap_allocated_since_collect(f.heap), 0);
    assert_int_equal(heap_used_bytes(f.heap), before);
    fixture_close(&f);
}

static void only_starts_of_objects_are_objects(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 128 * MIB, true);
    pvm_object_t o = fixture_leaf(&f, 100);
    assert_true(heap_is_object(f.heap, o));
    for (unsigned i = 1; i < 128; i++) {
        assert_false(heap_is_object(f.heap, (uint8_t *)o + i));
    }
    assert_false(heap_is_object(f.heap, NULL));
    assert_false(heap_is_object(f.heap, f.base));
    assert_false(heap_is_object(f.heap, f.base - 16));
    assert_false(heap_is_object(f.heap, f.base + HEAP_CHUNK_BYTES));
    assert_false(heap_is_object(f.heap, f.base + f.size));
    assert_false(heap_is_object(f.heap, (void *)UINTPTR_MAX));
    assert_false(heap_is_object(f.heap, (void *)(UINTPTR_MAX & ~UINT64_C(15))));
    assert_false(heap_is_object(f.heap, &f));
    for (uint64_t offset = 0; offset < HEAP_META_BLOCKS * HEAP_BLOCK_BYTES; offset += 16) {
        assert_false(heap_is_object(f.heap, f.base + offset));
    }
    fixture_close(&f);
}

static uint64_t checksum(const uint64_t *words, uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum = sum * 31 + words[i];
    }
    return sum;
}

/** Without volatile memory an allocation fails cleanly, leaving the heap as it was. */
static void every_allocation_failure_is_survived(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    int64_t n = 0;
    bool failed = true;
    for (; failed; n++) {
        struct fixture f;
        fixture_map(&f, 256 * MIB, true);
        ph_memory_fail_after(n, false);
        int rc = heap_create(&f.params, &f.heap, NULL);
        if (rc == 0) {
            rc = heap_allocator_create(f.heap, &f.allocator);
        }
        for (int i = 0; rc == 0 && i < 3; i++) { /* three chunks */
            pvm_object_t o = heap_alloc(f.allocator, NULL, 0x800, 62 * MIB);
            pvm_object_t p = heap_alloc(f.allocator, NULL, 0x800, 20000);
            pvm_object_t q = heap_alloc(f.allocator, NULL, 0x800, 20000);
            assert_true(ph_memory_has_failed() || (o != NULL && p != NULL && q != NULL));
        }
        failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        if (rc == 0) {
            assert_non_null(heap_alloc(f.allocator, NULL, 0x800, 20000));
            struct heap_collect_report report;
            assert_int_equal(heap_collect(f.heap, fixture_trace, NULL, NULL, &report), 0);
            assert_int_equal(report.live_objects, 0);
            fixture_audit(&f);
        } else {
            assert_int_equal(rc, -12);
            assert_true(failed);
        }
        fixture_close(&f);
        assert_int_equal(ph_memory_live_blocks(), before);
    }
    assert_true(n > 4);
}

static void one_seed_gives_one_heap(void **state)
{
    (void)state;
    uint64_t sums[2];
    for (int run = 0; run < 2; run++) {
        struct fixture f;
        fixture_open(&f, 64 * MIB, true);
        struct ph_rng rng;
        ph_rng_init(&rng, 5);
        for (int i = 0; i < 5000; i++) {
            pvm_object_t o = fixture_leaf(&f, ph_rng_below(&rng, 300));
            sums[run] = ((uintptr_t)o - (uintptr_t)f.base);
        }
        sums[run] += checksum((uint64_t *)(f.base + HEAP_BLOCK_BYTES), 65536);
        fixture_close(&f);
    }
    assert_true(sums[0] == sums[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_fits_its_class_with_at_most_a_quarter_of_waste),
        cmocka_unit_test(cell_starts_are_exactly_the_multiples_that_fit),
        cmocka_unit_test(a_new_object_has_its_header_and_a_zeroed_data_area),
        cmocka_unit_test(recycled_memory_is_zeroed_again),
        cmocka_unit_test(one_object_in_a_fresh_heap_dirties_four_pages),
        cmocka_unit_test(a_large_object_dirties_its_first_page_only),
        cmocka_unit_test(objects_of_gigabytes_span_chunks),
        cmocka_unit_test(sizes_beyond_the_limit_are_refused),
        cmocka_unit_test(a_full_heap_says_so_and_works_again_after_a_collection),
        cmocka_unit_test(statistics_count_cells_exactly),
        cmocka_unit_test(runs_fit_again_where_runs_were_freed),
        cmocka_unit_test(what_a_destroyed_allocator_allocated_still_counts),
        cmocka_unit_test(only_starts_of_objects_are_objects),
        cmocka_unit_test(every_allocation_failure_is_survived),
        cmocka_unit_test(one_seed_gives_one_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
