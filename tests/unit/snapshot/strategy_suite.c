/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_suite.c - what every strategy must do, whatever the memory under it. Each test makes its
 * own world (engine_kit.h); check_against_heap is on in all of them, so that every generation is
 * compared with the heap at its cut, and most end with a restart and a comparison.
 */
#include "strategy_suite.h"

#include "ph_memory.h"
#include "ph_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = SNAP_PAGE_SIZE, SMALL = 512, LARGE = 2000 };

/* ThreadSanitizer makes all of this ten times as dear. What has no mutator threads shows it
 * nothing: of the sweeps over every failing operation a sample, of the random worlds one. With
 * mutators each snapshot goes the same ways again: half as many, over every memory and strategy. */
#if defined(__SANITIZE_THREAD__)
enum { SWEEP_STEP = 7, RANDOM_WORLDS = 1, MUTATED_SHARE = 2 };
#else
enum { SWEEP_STEP = 1, RANDOM_WORLDS = 3, MUTATED_SHARE = 1 };
#endif

static void an_empty_heap_makes_an_empty_generation(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    assert_string_equal(snap_engine_strategy(kit.engine), kit.kind->strategy);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.number, 1);
    assert_int_equal(kit.report.generation.live_pages, 0);
    assert_int_equal(kit.report.generation.heap_pages, SMALL);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void what_was_written_comes_back(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 3, 100, 1);
    kit_write(&kit, 300 * PAGE - 4, "straddles", 9);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 102);
    kit_reopen(&kit);
    kit_fill_range(&kit, 50, 100, 2);
    kit_snapshot_ok(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void only_pages_that_changed_are_written(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 200, 1);
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 200);
    kit_fill_range(&kit, 190, 20, 2);
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 20);
    assert_int_equal(kit.report.generation.live_pages, 210);
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 0);
    kit_reopen(&kit);
    kit_snapshot_ok(&kit); /* a restored heap is clean */
    kit_expect_written(&kit, 0);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void pages_of_zeros_take_no_room(void **state)
{
    static const uint8_t zeros[PAGE];
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 10, 1);
    kit_write(&kit, 20 * PAGE, zeros, PAGE);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 10);
    kit_write(&kit, 5 * PAGE, zeros, PAGE);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 9);
    kit_fill(&kit, 5, 3);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 10);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void discarded_pages_become_holes(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 100, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(snap_engine_discard(kit.engine, 10, 30), 0); /* committed, clean */
    kit_fill_range(&kit, 50, 20, 2);
    assert_int_equal(snap_engine_discard(kit.engine, 60, 5), 0); /* committed, written again */
    kit_fill_range(&kit, 200, 20, 2);
    assert_int_equal(snap_engine_discard(kit.engine, 210, 5), 0); /* never committed */
    assert_int_equal(snap_engine_discard(kit.engine, 400, 5), 0); /* never written */
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 100 - 30 - 5 + 20 - 5);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_page_written_after_its_discard_is_data(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 100, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(snap_engine_discard(kit.engine, 0, 50), 0);
    kit_write(&kit, 7 * PAGE + 100, "again", 5);
    assert_int_equal(snap_engine_discard(kit.engine, 8, 1), 0);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 51);
    kit_reopen(&kit);
    /* and one generation later */
    assert_int_equal(snap_engine_discard(kit.engine, 60, 4), 0);
    kit_snapshot_ok(&kit);
    kit_fill(&kit, 61, 9);
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 1);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_discard_outlives_a_snapshot_that_fails(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 100, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(snap_engine_discard(kit.engine, 10, 10), 0);
    kit.stop_result = PHANTOM_ETIMEOUT;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ETIMEOUT);
    kit.stop_result = 0;
    kit_fill(&kit, 15, 2); /* data again, after the failure */
    assert_int_equal(snap_engine_discard(kit.engine, 30, 10), 0);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 100 - 9 - 10);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void pages_beyond_the_heap_wait_until_it_grows(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, LARGE);
    kit.heap_pages = 100;
    kit_fill_range(&kit, 0, 10, 1);
    kit_fill_range(&kit, 90, 1000, 1); /* enough for a live round */
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 20);
    assert_int_equal(kit.report.generation.heap_pages, 100);
    kit.heap_pages = 1200;
    kit_fill(&kit, 5, 2);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 1010);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_world_that_does_not_stop_loses_nothing(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, LARGE);
    for (uint64_t round = 0; round < 3; round++) {
        kit_fill_range(&kit, round * 400, 1000, round); /* live rounds have consumed these */
        kit.stop_result = PHANTOM_ETIMEOUT;
        unsigned resumes = kit.resumes;
        assert_int_equal(kit_snapshot(&kit), PHANTOM_ETIMEOUT);
        assert_int_equal(kit.resumes, resumes);
        assert_true(strstr(kit.diag.text, "did not stop") != NULL);
    }
    kit.stop_result = 0;
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.number, 1);
    assert_int_equal(kit.report.generation.live_pages, 1800);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_full_disk_refuses_and_later_takes_everything(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, LARGE);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit_fill_range(&kit, 0, LARGE, 2); /* more than a segment */
    kit_disk_full(&kit, true);
    for (int i = 0; i < 3; i++) {
        unsigned stops = kit.stops;
        assert_int_equal(kit_snapshot(&kit), PHANTOM_ENOSPACE);
        assert_int_equal(kit.stops, stops); /* refused before anything is stopped */
        assert_true(strstr(kit.diag.text, kit.faulty->path) != NULL);
        kit_fill(&kit, (uint64_t)i, 3); /* the world runs on */
    }
    struct snap_store_usage usage;
    snap_store_usage(kit.store, &usage);
    assert_false(usage.poisoned);
    kit_disk_full(&kit, false);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.number, 2);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void fill_more_while_stopping(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_fill_range(kit, 100, LARGE - 100, 2);
}

static void fill_more_and_the_disk_while_stopping(struct kit *kit)
{
    fill_more_while_stopping(kit);
    kit_disk_full(kit, true);
}

static void more_pages_than_reserved_are_taken_if_there_is_room(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, LARGE);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit_fill(&kit, 1, 2);
    kit.before_stop = fill_more_and_the_disk_while_stopping;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ENOSPACE); /* found out at the cut */
    assert_int_equal(kit.stops, kit.resumes);
    kit_disk_full(&kit, false);
    kit_snapshot_ok(&kit);
    kit_reopen(&kit);
    kit_fill(&kit, 1, 3);
    kit.before_stop = fill_more_while_stopping;
    kit_snapshot_ok(&kit);
    assert_in_range(kit.report.pages_stopped, 1, LARGE);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_failed_write_poisons_and_the_world_runs_on(void **state)
{
    static const unsigned operations[] = {IO_OP_WRITE, IO_OP_FLUSH};
    for (unsigned i = 0; i < 2; i++) {
        struct kit kit;
        kit_begin(&kit, *state, LARGE);
        kit_fill_range(&kit, 0, 100, 1);
        kit_snapshot_ok(&kit);
        kit_fill_range(&kit, 50, 1000, 2);
        struct io_fault fault = {.ops = operations[i], .at = 1, .error = EIO};
        io_faulty_set(kit.faulty, &fault);
        assert_int_equal(kit_snapshot(&kit), PHANTOM_EPOISONED);
        assert_int_equal(kit.stops, kit.resumes);
        unsigned stops = kit.stops;
        assert_int_equal(kit_snapshot(&kit), PHANTOM_EPOISONED); /* for ever, at once */
        assert_int_equal(kit.stops, stops);
        kit_fill(&kit, 3, 3);
        assert_int_equal(kit_snapshot(&kit), PHANTOM_EPOISONED);
        /* Opening again is the only way on: the last generation that was acknowledged is there. */
        io_faulty_set(kit.faulty, &(struct io_fault){0});
        if (operations[i] == IO_OP_WRITE) {
            kit_reopen(&kit);
            kit_fill_range(&kit, 50, 100, 4);
            kit_snapshot_ok(&kit);
            kit_reopen(&kit);
        } else {
            /* The flush failed but the bytes may be there: either generation is right. */
            assert_int_equal(kit_try_reopen(&kit), 0);
            bool newer = snap_store_current(kit.store)->number == 2;
            kit_expect_heap(&kit, newer ? kit.at_cut : kit.committed);
        }
        kit_end(&kit);
    }
}

/** One commit with the n-th write or flush failing, then a restart; false: no n-th one any more. */
static bool commit_with_failing_io(struct kit *kit, uint64_t n)
{
    kit_fill_range(kit, n % 7, 100, n + 2);
    kit_fill(kit, 300 + n % 100, n);
    assert_int_equal(snap_engine_discard(kit->engine, 150 + n % 50, 2), 0);
    uint64_t before = snap_store_current(kit->store)->number;
    struct io_fault fault = {.ops = IO_OP_WRITE | IO_OP_FLUSH, .at = n, .error = EIO};
    io_faulty_set(kit->faulty, &fault);
    int rc = kit_snapshot(kit);
    bool fired = io_faulty_fired(kit->faulty) != 0;
    io_faulty_set(kit->faulty, &(struct io_fault){0});
    assert_int_equal(rc, fired ? PHANTOM_EPOISONED : 0);
    assert_int_equal(kit->stops, kit->resumes);
    assert_int_equal(kit_try_reopen(kit), 0);
    bool newer = snap_store_current(kit->store)->number > before;
    assert_true(fired || newer);
    kit_expect_heap(kit, newer ? kit->at_cut : kit->committed);
    if (newer) {
        memcpy(kit->committed, kit->at_cut, kit->pages * PAGE);
    }
    return fired;
}

static void an_error_at_any_write_leaves_one_whole_generation(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 200, 1);
    kit_snapshot_ok(&kit);
    uint64_t n = 1;
    while (commit_with_failing_io(&kit, n)) {
        n += SWEEP_STEP;
        assert_true(n < 1000);
    }
    assert_true(n > 2);
    kit_end(&kit);
}

static void staging_may_be_much_smaller_than_the_set(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, LARGE); /* 256 pages of staging */
    kit_fill_range(&kit, 0, LARGE, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, LARGE);
    kit_reopen(&kit);
    kit_fill_range(&kit, 0, LARGE, 2);
    kit.before_stop = fill_more_while_stopping; /* all of it again in the stop */
    kit_snapshot_ok(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void sparse_pages_over_a_wide_range_come_back(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, 6000);
    for (uint64_t page = 17; page < 6000; page += 997) {
        kit_fill(&kit, page, 1);
    }
    kit_fill(&kit, 5999, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 7);
    kit_reopen(&kit);
    kit_fill(&kit, 0, 2);
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 1);
    kit_reopen(&kit);
    kit_end(&kit);
}

/** One snapshot with the n-th allocation failing; true when the failure point was reached. */
static bool snapshot_with_failing_allocation(struct kit *kit, int64_t n, bool sticky)
{
    kit_fill_range(kit, 0, 300, (uint64_t)n + 10);
    kit_fill(kit, 400 + (uint64_t)n % 100, (uint64_t)n);
    assert_int_equal(snap_engine_discard(kit->engine, 100 + (uint64_t)n % 50, 3), 0);
    ph_memory_fail_after(n, sticky);
    int rc = kit_snapshot(kit);
    bool failed = ph_memory_has_failed();
    ph_memory_fail_after(-1, false);
    if (rc != 0) {
        assert_true(failed);
        assert_true(rc == -ENOMEM || rc == PHANTOM_EPOISONED);
    }
    if (rc == PHANTOM_EPOISONED) {
        kit_reopen(kit);
    } else {
        kit_fill(kit, 450, (uint64_t)n);
        kit_snapshot_ok(kit); /* with what the failed one could not commit */
    }
    return failed;
}

static void no_allocation_that_fails_loses_a_page(void **state)
{
    for (int sticky = 0; sticky < 2; sticky++) {
        struct kit kit;
        kit_begin(&kit, *state, SMALL);
        int64_t n = 0;
        while (snapshot_with_failing_allocation(&kit, n, sticky != 0)) {
            n += SWEEP_STEP;
            assert_true(n < 5000);
        }
        assert_true(n > 0);
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

static void no_allocation_that_fails_spoils_an_open(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, SMALL);
    kit_fill_range(&kit, 0, 300, 1);
    kit_snapshot_ok(&kit);
    struct snap_world world = {&kit, NULL, NULL, NULL};
    snap_engine_close(kit.engine);
    kit.engine = NULL;
    assert_int_equal(
        snap_engine_open(kit.memory, kit.store, &world, &kit.options, &kit.engine, &kit.diag),
        PHANTOM_EINVALID);
    bool failed = true;
    for (int64_t n = 0; failed; n += SWEEP_STEP) {
        kit.memory = kit.kind->memory->restart(&kit.handle, kit.pages);
        int64_t before = ph_memory_live_blocks();
        ph_memory_fail_after(n, false);
        int rc = kit_open_engine(&kit);
        failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        if (rc != 0) {
            assert_true(failed);
            assert_int_equal(rc, -ENOMEM);
            assert_null(kit.engine);
            assert_int_equal(ph_memory_live_blocks(), before);
        } else if (failed) {
            snap_engine_close(kit.engine);
            kit.engine = NULL;
        }
        assert_true(n < 1000);
    }
    kit_expect_heap(&kit, kit.committed);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void mutators_may_run_while_snapshots_are_taken(void **state)
{
    struct kit kit;
    uint64_t seed = kit_seed(42);
    kit_begin(&kit, *state, LARGE);
    kit_start_mutators(&kit, 2, LARGE, 400, seed);
    for (int i = 0; i < 12 / MUTATED_SHARE; i++) {
        kit_let_run(&kit, 3000);
        kit_snapshot_ok(&kit); /* compared with the heap at the cut by the engine */
    }
    kit_stop_mutators(&kit);
    kit_reopen(&kit);
    kit_start_mutators(&kit, 3, LARGE, 0, seed + 100);
    for (int i = 0; i < 6 / MUTATED_SHARE; i++) {
        kit_let_run(&kit, 2000);
        kit_snapshot_ok(&kit);
    }
    kit_stop_mutators(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void mutators_may_discard_while_snapshots_are_taken(void **state)
{
    struct kit kit;
    kit_begin(&kit, *state, LARGE);
    kit_let_discard(&kit, 300);
    kit_start_mutators(&kit, 3, LARGE - 900, 200, kit_seed(77));
    for (int i = 0; i < 15 / MUTATED_SHARE; i++) {
        kit_let_run(&kit, 2000);
        kit.stop_result = i % 5 == 4 ? PHANTOM_ETIMEOUT : 0; /* live round done, set carried over */
        assert_int_equal(kit_snapshot(&kit), kit.stop_result);
    }
    kit.stop_result = 0;
    kit_snapshot_ok(&kit);
    kit_stop_mutators(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void failures_between_running_mutators_lose_nothing(void **state)
{
    struct kit kit;
    uint64_t seed = kit_seed(7);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    kit_begin(&kit, *state, LARGE);
    kit_start_mutators(&kit, 2, LARGE, 0, seed);
    for (int i = 0; i < 20 / MUTATED_SHARE; i++) {
        kit_let_run(&kit, 1000);
        switch (ph_rng_below(&rng, 3)) {
        case 0:
            kit.stop_result = PHANTOM_ETIMEOUT;
            assert_int_equal(kit_snapshot(&kit), PHANTOM_ETIMEOUT);
            kit.stop_result = 0;
            break;
        case 1: {
            kit_disk_full(&kit, true);
            int rc = kit_snapshot(&kit);
            assert_true(rc == 0 || rc == PHANTOM_ENOSPACE);
            kit_disk_full(&kit, false);
            break;
        }
        default: kit_snapshot_ok(&kit);
        }
    }
    kit_snapshot_ok(&kit);
    kit_stop_mutators(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

/** One random step of a world without mutator threads. */
static void random_step(struct kit *kit, struct ph_rng *rng)
{
    uint64_t page = ph_rng_below(rng, kit->pages);
    uint64_t most = kit->pages - page;
    uint64_t count = 1 + ph_rng_below(rng, most < 40 ? most : 40);
    switch (ph_rng_below(rng, 16)) {
    case 0: kit_snapshot_ok(kit); break;
    case 1:
        kit->stop_result = PHANTOM_ETIMEOUT;
        assert_int_equal(kit_snapshot(kit), PHANTOM_ETIMEOUT);
        kit->stop_result = 0;
        break;
    case 2:
    case 3:
    case 4: assert_int_equal(snap_engine_discard(kit->engine, page, count), 0); break;
    case 5:
        if (ph_rng_below(rng, 8) == 0) {
            kit_reopen(kit);
        }
        break;
    case 6:
        most = most < 700 ? most : 700;
        kit_fill_range(kit, page, 1 + ph_rng_below(rng, most), ph_rng_next(rng));
        break;
    default: {
        uint64_t value = ph_rng_next(rng);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t where = ph_rng_below(rng, kit->pages * PAGE - sizeof(value));
            kit_write(kit, where, &value, sizeof(value));
        }
    }
    }
}

static void random_worlds_come_back_as_they_were(void **state)
{
    uint64_t seed = kit_seed(1000);
    for (uint64_t run = 0; run < RANDOM_WORLDS; run++) {
        struct kit kit;
        struct ph_rng rng;
        ph_rng_init(&rng, seed + run);
        kit_begin(&kit, *state, 1500);
        for (int step = 0; step < 300; step++) {
            random_step(&kit, &rng);
        }
        kit_snapshot_ok(&kit);
        kit_reopen(&kit);
        assert_int_equal(snap_store_audit(kit.store, &kit.diag), 0);
        kit_end(&kit);
    }
}

int strategy_suite_run(const struct kit_kind *kind)
{
    void *state = (void *)(uintptr_t)kind;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(an_empty_heap_makes_an_empty_generation, state),
        cmocka_unit_test_prestate(what_was_written_comes_back, state),
        cmocka_unit_test_prestate(only_pages_that_changed_are_written, state),
        cmocka_unit_test_prestate(pages_of_zeros_take_no_room, state),
        cmocka_unit_test_prestate(discarded_pages_become_holes, state),
        cmocka_unit_test_prestate(a_page_written_after_its_discard_is_data, state),
        cmocka_unit_test_prestate(a_discard_outlives_a_snapshot_that_fails, state),
        cmocka_unit_test_prestate(pages_beyond_the_heap_wait_until_it_grows, state),
        cmocka_unit_test_prestate(a_world_that_does_not_stop_loses_nothing, state),
        cmocka_unit_test_prestate(a_full_disk_refuses_and_later_takes_everything, state),
        cmocka_unit_test_prestate(more_pages_than_reserved_are_taken_if_there_is_room, state),
        cmocka_unit_test_prestate(a_failed_write_poisons_and_the_world_runs_on, state),
        cmocka_unit_test_prestate(an_error_at_any_write_leaves_one_whole_generation, state),
        cmocka_unit_test_prestate(staging_may_be_much_smaller_than_the_set, state),
        cmocka_unit_test_prestate(sparse_pages_over_a_wide_range_come_back, state),
        cmocka_unit_test_prestate(no_allocation_that_fails_loses_a_page, state),
        cmocka_unit_test_prestate(no_allocation_that_fails_spoils_an_open, state),
        cmocka_unit_test_prestate(mutators_may_run_while_snapshots_are_taken, state),
        cmocka_unit_test_prestate(mutators_may_discard_while_snapshots_are_taken, state),
        cmocka_unit_test_prestate(failures_between_running_mutators_lose_nothing, state),
        cmocka_unit_test_prestate(random_worlds_come_back_as_they_were, state),
    };
    print_message("strategy suite: %s\n", kind->name);
    return cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
}
