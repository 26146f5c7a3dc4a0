/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_threads.c - eight threads allocate at once; a ninth asks questions meanwhile.
 */
#include "heap_fixture.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 8, OBJECTS = 4000, ROUNDS = 3 };

struct worker {
    pthread_t thread;
    struct fixture *f;
    struct heap_allocator *allocator;
    unsigned number, round;
    pvm_object_t list; /* what this thread keeps, linked through slot 0 */
    uint64_t kept;
    _Atomic(pvm_object_t) newest; /* for the questioner */
    bool bad;
};

static uint8_t pattern(const struct worker *w, uint64_t bytes)
{
    return (uint8_t)(w->number * 31 + bytes + 1);
}

/** Layout of a test object here: slot 0 links, the rest is pattern. */
static void *allocate(void *argument)
{
    struct worker *w = argument;
    struct ph_rng rng;
    ph_rng_init(&rng, w->number * 1000 + w->round);
    for (int i = 0; i < OBJECTS; i++) {
        uint64_t bytes = 8 + ph_rng_below(&rng, i % 100 == 0 ? 100000 : 400);
        pvm_object_t o = heap_alloc(w->allocator, w->f->class, 0, bytes);
        if (o == NULL || !fixture_is_zero(o->da, bytes)) {
            w->bad = true;
            return NULL;
        }
        fixture_fill(w->f, o->da + 8, pattern(w, bytes), bytes - 8);
        if (i % 2 == 0) {
            fixture_put(w->f, &fixture_slots(o)[0], w->list);
            w->list = o;
            w->kept++;
        }
        atomic_store(&w->newest, o);
    }
    return NULL;
}

static void trace_link(void *context, pvm_object_t o, struct heap_visitor *visitor)
{
    struct fixture *f = context;
    if (o == f->root) {
        fixture_trace(NULL, o, visitor);
    } else {
        heap_visit(visitor, fixture_slots(o)[0]);
    }
}

static void check_kept(const struct worker *w)
{
    uint64_t length = 0;
    for (pvm_object_t o = w->list; o != NULL; o = fixture_slots(o)[0]) {
        uint64_t bytes = o->_da_size;
        assert_true(heap_is_object(w->f->heap, o));
        for (uint64_t i = 8; i < bytes; i++) {
            if (o->da[i] != pattern(w, bytes)) {
                fail_msg("object %p of thread %u was overwritten", (void *)o, w->number);
            }
        }
        length++;
    }
    assert_int_equal(length, w->kept);
}

static atomic_bool stop_asking;

static void *ask(void *argument)
{
    struct worker *workers = argument;
    const struct heap *heap = workers[0].f->heap;
    uint64_t committed = 0;
    while (!atomic_load(&stop_asking)) {
        for (int i = 0; i < THREADS; i++) {
            pvm_object_t o = atomic_load(&workers[i].newest);
            if (o != NULL && (!heap_is_object(heap, o) || heap_is_object(heap, &o->_class))) {
                workers[i].bad = true;
            }
        }
        uint64_t now = heap_committed_bytes(heap);
        workers[0].bad |= now < committed || heap_used_bytes(heap) > now;
        committed = now;
    }
    return NULL;
}

static void threads_get_distinct_objects(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, UINT64_C(1) << 30, true);
    store_watch_only_pages(f.watch);
    struct worker *workers = ph_zalloc(THREADS, sizeof *workers);
    assert_non_null(workers);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = &f, .number = i};
        assert_int_equal(heap_allocator_create(f.heap, &workers[i].allocator), 0);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t asker;
        atomic_store(&stop_asking, false);
        assert_int_equal(pthread_create(&asker, NULL, ask, workers), 0);
        for (unsigned i = 0; i < THREADS; i++) {
            workers[i].round = round;
            assert_int_equal(pthread_create(&workers[i].thread, NULL, allocate, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        }
        atomic_store(&stop_asking, true);
        assert_int_equal(pthread_join(asker, NULL), 0);
        uint64_t kept = 0;
        for (unsigned i = 0; i < THREADS; i++) {
            assert_false(workers[i].bad);
            check_kept(&workers[i]);
            fixture_put(&f, &fixture_slots(f.root)[i], workers[i].list);
            kept += workers[i].kept;
            atomic_store(&workers[i].newest, NULL);
        }
        struct heap_collect_report report;
        assert_int_equal(heap_collect(f.heap, trace_link, NULL, &f, &report), 0);
        fixture_look(&f);
        assert_int_equal(report.live_objects, kept + 2);
        assert_int_equal(report.freed_objects, THREADS * OBJECTS / 2);
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        assert_int_equal(heap_audit(f.heap, trace_link, &f, &diag), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        check_kept(&workers[i]);
        heap_allocator_destroy(workers[i].allocator);
    }
    ph_free(workers);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_get_distinct_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
