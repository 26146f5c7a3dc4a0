/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_stress.c - many threads store and mark as fast as they can while snapshots are
 * taken; every generation is compared with the whole heap at its cut (check_against_heap), the last
 * one also by a restart. Plain stores on real memory: what the processor may reorder, it does here.
 *
 *   test_snapshot_stress [SNAPSHOTS]      with four threads, a third of them
 *                                        with sixteen; default 24
 */
#include "hal_posix.h"
#include "kit_kernel_memory.h"
#include "ph_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { STRESS_PAGES = 700, HOT_PAGES = 60, THREADS = 16 };

static unsigned snapshots = 24;

static void no_store_is_lost(const struct kit_kind *kind, unsigned threads, uint64_t own_pages,
                             unsigned rounds)
{
    struct kit kit;
    struct snap_counters counters;
    uint64_t seed = kit_seed(4711 + threads);
    uint64_t shared = STRESS_PAGES - threads * own_pages;
    kit_begin(&kit, kind, STRESS_PAGES);
    kit_let_discard(&kit, own_pages);
    kit_start_mutators(&kit, threads, shared, HOT_PAGES, seed);
    for (unsigned i = 0; i < rounds; i++) {
        kit_let_run(&kit, i % 7 == 0 ? 6000 : 400); /* now and then enough for a live round */
        kit_snapshot_ok(&kit);
    }
    kit_stop_mutators(&kit);
    kit_snapshot_ok(&kit);
    snap_engine_counters(kit.engine, &counters);
    assert_int_equal(counters.snapshots, rounds + 1);
    assert_int_equal(counters.unmarked_found, 0);
    assert_true(counters.live_rounds > 0);
    if (kind->marked) {
        assert_true(counters.stops_by_marks >= rounds - 1);
    }
    print_message("%s, %u threads: %llu snapshots, %llu pages live, %llu in the stop\n", kind->name,
                  threads, (unsigned long long)counters.snapshots,
                  (unsigned long long)counters.pages_live,
                  (unsigned long long)counters.pages_stopped);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void no_store_of_four_threads_is_lost(void **state)
{
    no_store_is_lost(*state, 4, 0, snapshots);
}

static void no_store_of_sixteen_threads_that_also_discard_is_lost(void **state)
{
    no_store_is_lost(*state, THREADS, 5, snapshots / 3);
}

int main(int argc, char **argv)
{
    static const struct kit_kind kinds[] = {
        {"async with marks", "async", &kit_kernel_tracked, true},
        {"async", "async", &kit_kernel_tracked, false},
        {"cards", "cards", &kit_kernel_untracked, true},
    };
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (!probe.userfaultfd || !probe.wp_async || !probe.pagemap_scan) {
        printf("SKIP: this kernel (%s) does not track written pages for us\n", probe.kernel);
        return PH_TEST_SKIPPED;
    }
    if (argc > 1) {
        snapshots = (unsigned)strtoul(argv[1], NULL, 10);
    }
    int failed = 0;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        void *state = (void *)(uintptr_t)&kinds[i];
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(no_store_of_four_threads_is_lost, state),
            cmocka_unit_test_prestate(no_store_of_sixteen_threads_that_also_discard_is_lost, state),
        };
        failed += cmocka_run_group_tests_name(kinds[i].name, tests, NULL, NULL);
    }
    return failed;
}
