/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_collect.c - what a collection frees, keeps, writes and reports.
 */
#include "heap_fixture.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MIB (UINT64_C(1) << 20)

static void cyclic_garbage_is_freed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    pvm_object_t a = fixture_node(&f, 2), b = fixture_node(&f, 2), c = fixture_node(&f, 2);
    fixture_put(&f, &fixture_slots(a)[0], b);
    fixture_put(&f, &fixture_slots(b)[0], c);
    fixture_put(&f, &fixture_slots(c)[0], a);
    fixture_put(&f, &fixture_slots(c)[1], c);
    fixture_put(&f, &fixture_slots(f.root)[0], b);
    assert_int_equal(fixture_collect(&f).freed_objects, 0);
    assert_int_equal(fixture_count_objects(&f), 5);
    fixture_put(&f, &fixture_slots(f.root)[0], NULL);
    struct heap_collect_report report = fixture_collect(&f);
    assert_int_equal(report.freed_objects, 3);
    assert_int_equal(report.live_objects, 2);
    assert_false(heap_is_object(f.heap, a) || heap_is_object(f.heap, b));
    assert_true(heap_is_object(f.heap, f.root) && heap_is_object(f.heap, f.class));
    fixture_audit(&f);
    fixture_close(&f);
}

static void an_object_keeps_its_class_alive(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    pvm_object_t class = fixture_leaf(&f, 80);
    pvm_object_t o = heap_alloc(f.allocator, class, PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE, 4);
    fixture_put(&f, &fixture_slots(f.root)[0], o);
    assert_int_equal(fixture_collect(&f).freed_objects, 0);
    fixture_put(&f, &fixture_slots(f.root)[0], NULL);
    assert_int_equal(fixture_collect(&f).freed_objects, 2);
    fixture_close(&f);
}

static void a_list_of_a_million_is_traced_without_recursion(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 128 * MIB, true);
    for (int i = 0; i < 1000000; i++) {
        pvm_object_t o = fixture_node(&f, 1);
        assert_non_null(o);
        fixture_put(&f, &fixture_slots(o)[0], fixture_slots(f.root)[0]);
        fixture_put(&f, &fixture_slots(f.root)[0], o);
    }
    assert_int_equal(fixture_collect(&f).live_objects, 1000002);
    uint64_t length = 0;
    for (pvm_object_t o = fixture_slots(f.root)[0]; o != NULL; o = fixture_slots(o)[0]) {
        length++;
    }
    assert_int_equal(length, 1000000);
    fixture_put(&f, &fixture_slots(f.root)[0], NULL);
    struct heap_collect_report report = fixture_collect(&f);
    assert_int_equal(report.freed_objects, 1000000);
    /* 489 blocks of cells, of which one still holds the class */
    assert_int_equal(report.discarded_bytes, 488 * HEAP_BLOCK_BYTES);
    fixture_close(&f);
}

static void a_wide_object_is_traced_completely(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 128 * MIB, true);
    enum { WIDTH = 300000 };
    pvm_object_t wide = fixture_node(&f, WIDTH);
    fixture_put(&f, &fixture_slots(f.root)[0], wide);
    for (int i = 0; i < WIDTH; i++) {
        fixture_put(&f, &fixture_slots(wide)[i], i % 3 == 0 ? wide : fixture_leaf(&f, 4));
    }
    assert_int_equal(fixture_collect(&f).live_objects, WIDTH / 3 * 2 + 3);
    fixture_close(&f);
}

/* ---- what it writes ------------------------------------------------------------------------ */

static void fill_with_some_of_everything(struct fixture *f)
{
    for (int i = 0; i < 2000; i++) {
        pvm_object_t o = fixture_node(f, 1 + i % 50);
        fixture_put(f, &fixture_slots(o)[0], fixture_slots(f->root)[0]);
        fixture_put(f, &fixture_slots(f->root)[0], o);
    }
    for (int i = 1; i < 10; i++) {
        fixture_put(f, &fixture_slots(f->root)[i], fixture_leaf(f, 50000 * (uint64_t)i));
    }
    fixture_put(f, &fixture_slots(f->root)[10], fixture_leaf(f, 70 * MIB));
}

static void reading_marking_and_attaching_write_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 256 * MIB, true);
    fill_with_some_of_everything(&f);
    assert_int_equal(mprotect(f.base, f.size, PROT_READ), 0);
    /* From here any store into the heap kills the test. */
    assert_int_equal(fixture_collect(&f).freed_objects, 0);
    assert_int_equal(fixture_count_objects(&f), 2012);
    fixture_audit(&f);
    uint64_t used = heap_used_bytes(f.heap);
    fixture_reattach(&f);
    assert_int_equal(heap_used_bytes(f.heap), used);
    assert_int_equal(fixture_collect(&f).live_bytes, used);
    assert_true(heap_is_object(f.heap, f.root));
    fixture_close(&f);
}

static void sweeping_does_not_touch_dead_objects(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, false);
    uintptr_t first = UINTPTR_MAX, last = 0;
    for (int i = 0; i < 1000; i++) {
        uintptr_t o = (uintptr_t)fixture_leaf(&f, 1000);
        first = o < first ? o : first;
        last = o > last ? o : last;
    }
    first &= ~(uintptr_t)(HEAP_BLOCK_BYTES - 1);
    last |= HEAP_BLOCK_BYTES - 1;
    assert_int_equal(mprotect((void *)first, last + 1 - first, PROT_NONE), 0);
    bool unwatched = f.unwatched;
    f.unwatched = true; /* the watch cannot look at them either */
    assert_int_equal(fixture_collect(&f).freed_objects, 1000);
    assert_int_equal(mprotect((void *)first, last + 1 - first, PROT_READ | PROT_WRITE), 0);
    f.unwatched = unwatched;
    fixture_close(&f);
}

static void freed_neighbours_are_discarded_as_one_range(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    for (int i = 0; i < 10; i++) {
        fixture_fill(&f, fixture_leaf(&f, 200000)->da, 1, 200000);
    }
    struct heap_collect_report report = fixture_collect(&f);
    assert_int_equal(f.discard_calls, 1);
    assert_int_equal(f.discarded_bytes, 10 * 4 * HEAP_BLOCK_BYTES);
    assert_int_equal(report.discarded_bytes, f.discarded_bytes);
    /* header, table, bitmaps, root, class */
    assert_int_equal(fixture_nonzero_pages(&f), 5);
    fixture_collect(&f);
    assert_int_equal(f.discard_calls, 1);
    fixture_close(&f);
}

static void blocks_freed_without_a_discard_are_discarded_later(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, false);
    fixture_fill(&f, fixture_leaf(&f, 200000)->da, 1, 200000);
    assert_int_equal(fixture_collect(&f).discarded_bytes, 0);
    struct fixture with;
    fixture_map(&with, HEAP_CHUNK_BYTES, true);
    f.params.os.discard = with.params.os.discard;
    fixture_unmap(&with);
    fixture_reattach(&f);
    assert_int_equal(fixture_collect(&f).discarded_bytes, 4 * HEAP_BLOCK_BYTES);
    pvm_object_t o = fixture_leaf(&f, 200000);
    assert_true(fixture_is_zero(o->da, 200000));
    fixture_close(&f);
}

static void new_objects_go_into_used_blocks_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    for (int i = 0; i < 20000; i++) { /* about ten blocks */
        pvm_object_t o = fixture_node(&f, 1);
        if (i % 2 == 0) {
            fixture_put(&f, &fixture_slots(o)[0], fixture_slots(f.root)[0]);
            fixture_put(&f, &fixture_slots(f.root)[0], o);
        }
    }
    fixture_collect(&f);
    fixture_reattach(&f);
    uint64_t pages = fixture_nonzero_pages(&f);
    for (int i = 0; i < 10000; i++) {
        assert_non_null(fixture_node(&f, 1));
    }
    assert_true(fixture_nonzero_pages(&f) <= pages + 1);
    fixture_audit(&f);
    fixture_close(&f);
}

/* ---- finalizers ---------------------------------------------------------------------------- */

struct finalizer_log {
    struct fixture *f;
    int calls, sum;
};

static void log_finalize(void *context, pvm_object_t o)
{
    struct finalizer_log *log = context;
    assert_true(heap_is_object(log->f->heap, o));
    log->calls++;
    log->sum += o->da[8];
    /* What it refers to is dead too, and still whole. */
    pvm_object_t other = fixture_slots(o)[0];
    assert_true(heap_is_object(log->f->heap, other));
    assert_int_equal(other->da[0], 99);
}

static void finalizers_run_once_before_anything_is_freed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 256 * MIB, true);
    static const uint64_t sizes[] = {16, 16, 1000, 30000, 200000, 100 * MIB};
    for (uint8_t i = 0; i < 6; i++) {
        pvm_object_t o = heap_alloc(f.allocator, f.class,
                                    PHANTOM_OBJECT_STORAGE_FLAG_IS_FINALIZER |
                                        PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE,
                                    sizes[i]);
        fixture_put(&f, &fixture_slots(o)[0], fixture_leaf(&f, 1));
        fixture_fill(&f, &fixture_slots(o)[0]->da[0], 99, 1);
        fixture_fill(&f, &o->da[8], (uint8_t)(1 << i), 1);
        fixture_put(&f, &fixture_slots(f.root)[2 * i], o);
        fixture_put(&f, &fixture_slots(f.root)[2 * i + 1], fixture_slots(o)[0]);
    }
    struct finalizer_log log = {.f = &f};
    assert_int_equal(heap_collect(f.heap, fixture_trace, log_finalize, &log, NULL), 0);
    assert_int_equal(log.calls, 0);
    fixture_reattach(&f); /* which blocks have finalizers is part of the heap */
    for (int i = 2; i < 12; i++) {
        fixture_put(&f, &fixture_slots(f.root)[i], NULL);
    }
    assert_int_equal(heap_collect(f.heap, fixture_trace, log_finalize, &log, NULL), 0);
    assert_int_equal(log.calls, 5);
    assert_int_equal(log.sum, 0x3e);
    assert_int_equal(heap_collect(f.heap, fixture_trace, log_finalize, &log, NULL), 0);
    assert_int_equal(log.calls, 5);
    fixture_audit(&f);
    fixture_close(&f);
}

/* ---- out of memory ------------------------------------------------------------------------- */

static void without_memory_nothing_is_freed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 512 * MIB, true);
    for (int i = 0; i < 5; i++) { /* several chunks: several mark bitmaps */
        pvm_object_t o = fixture_node(&f, 55 * MIB / 8);
        fixture_put(&f, &fixture_slots(f.root)[i], o);
        for (int k = 0; k < 3000; k++) {
            /* The stack has to grow, too. */
            fixture_put(&f, &fixture_slots(o)[k], fixture_node(&f, 100));
            fixture_leaf(&f, 1000);
        }
    }
    uint64_t objects = fixture_count_objects(&f);
    int64_t blocks = ph_memory_live_blocks();
    int64_t n = 0;
    for (;; n++) {
        struct heap_collect_report report = {.live_objects = 4711};
        ph_memory_fail_after(n, true);
        int rc = heap_collect(f.heap, fixture_trace, NULL, NULL, &report);
        bool failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(ph_memory_live_blocks(), blocks);
        fixture_audit(&f);
        if (!failed) {
            assert_int_equal(rc, 0);
            assert_int_equal(report.freed_objects, 15000);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(report.live_objects, 4711);
        assert_int_equal(fixture_count_objects(&f), objects);
    }
    assert_true(n >= 8);
    fixture_close(&f);
}

static void every_allocator_of_the_heap_goes_on_after_a_collection(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 64 * MIB, true);
    struct heap_allocator *other;
    assert_int_equal(heap_allocator_create(f.heap, &other), 0);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 1000; i++) {
            pvm_object_t a = fixture_node(&f, 2);
            pvm_object_t b = heap_alloc(other, f.class, 0, 16);
            assert_ptr_not_equal(a, b);
            assert_true(fixture_is_zero(a->da, 16) && fixture_is_zero(b->da, 16));
            fixture_put(&f, &fixture_slots(a)[0], fixture_slots(f.root)[round]);
            fixture_put(&f, &fixture_slots(a)[1], b);
            if (i % 5 != 0) {
                fixture_put(&f, &fixture_slots(f.root)[round], a);
            }
        }
        struct heap_collect_report report = fixture_collect(&f);
        assert_int_equal(report.freed_objects, 400);
        fixture_audit(&f);
    }
    assert_int_equal(fixture_count_objects(&f), 2 + 5 * 1600);
    heap_allocator_destroy(other);
    heap_allocator_destroy(NULL);
    fixture_close(&f);
    heap_detach(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cyclic_garbage_is_freed),
        cmocka_unit_test(an_object_keeps_its_class_alive),
        cmocka_unit_test(a_list_of_a_million_is_traced_without_recursion),
        cmocka_unit_test(a_wide_object_is_traced_completely),
        cmocka_unit_test(reading_marking_and_attaching_write_nothing),
        cmocka_unit_test(sweeping_does_not_touch_dead_objects),
        cmocka_unit_test(freed_neighbours_are_discarded_as_one_range),
        cmocka_unit_test(blocks_freed_without_a_discard_are_discarded_later),
        cmocka_unit_test(new_objects_go_into_used_blocks_first),
        cmocka_unit_test(finalizers_run_once_before_anything_is_freed),
        cmocka_unit_test(without_memory_nothing_is_freed),
        cmocka_unit_test(every_allocator_of_the_heap_goes_on_after_a_collection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
