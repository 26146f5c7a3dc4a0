/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_marks.c - the marks against an array of bools, what the engine makes of them, and
 * the counters. Scenarios are placed at exact steps with the hooks of the fake memory.
 */
#include "engine_kit.h"
#include "memory_fake.h"
#include "ph_killed.h"
#include "ph_test.h"

#include <errno.h>
#include <string.h>

enum { PAGE = SNAP_PAGE_SIZE, PAGES = 3000, MANY = 100000 };

static const struct kit_kind async_marks = {"async with marks", "async", &kit_fake_memory, true};
static const struct kit_kind cards = {"cards", "cards", &kit_fake_untracked_memory, true};
static const struct kit_kind cards_without_barrier = {"cards, no barrier", "cards",
                                                      &kit_fake_memory_without_barrier, true};
static const struct kit_kind regions_only = {"async, no barrier", "async",
                                             &kit_fake_memory_without_barrier, true};
static const struct kit_kind untracked_auto = {"untracked, marked", "auto",
                                               &kit_fake_untracked_memory, true};

/* ---- the tables ---------------------------------------------------------------------------- */

struct model {
    bool marked[MANY];
    const struct snap_marks *marks;
    uint64_t next, visits;
};

static void visit_in_order(void *context, uint64_t page)
{
    struct model *model = context;
    assert_true(page >= model->next && page < MANY);
    assert_true(model->marked[page]);
    model->next = page + 1;
    model->visits++;
}

static uint64_t members(const struct model *model)
{
    uint64_t count = 0;
    for (uint64_t page = 0; page < MANY; page++) {
        count += model->marked[page];
    }
    return count;
}

static void marks_behave_like_an_array_of_bools(void **state)
{
    (void)state;
    static struct model model;
    struct snap_marks marks;
    struct ph_rng rng;
    ph_rng_init(&rng, kit_seed(3));
    assert_int_equal(snap_marks_init(&marks, MANY), 0);
    for (int step = 0; step < 300; step++) {
        for (uint64_t i = ph_rng_below(&rng, 200); i > 0; i--) {
            uint64_t page = ph_rng_below(&rng, MANY);
            snap_mark(&marks, page);
            model.marked[page] = true;
        }
        uint64_t first = ph_rng_below(&rng, MANY);
        uint64_t count = ph_rng_below(&rng, MANY - first + 1) / 4;
        snap_marks_forget(&marks, first, count);
        memset(model.marked + first, false, count);
        model.next = model.visits = 0;
        snap_marks_look(&marks, visit_in_order, &model);
        assert_int_equal(model.visits, members(&model));
        if (step % 3 == 0) {
            model.next = model.visits = 0;
            snap_marks_take(&marks, step % 2 == 0 ? SNAP_WRITERS_PARKED : SNAP_WRITERS_RUN,
                            visit_in_order, &model);
            assert_int_equal(model.visits, members(&model));
            memset(model.marked, false, sizeof(model.marked));
        }
    }
    snap_marks_finish(&marks);
}

static void mark_the_page_before(void *context, uint64_t page)
{
    struct model *model = context;
    model->visits++;
    if (page == 7) {
        snap_mark(model->marks, 6); /* a writer at a place that has been passed already */
    }
}

static void a_mark_made_during_a_live_round_is_there_at_the_stop(void **state)
{
    (void)state;
    static struct model model;
    struct snap_marks marks;
    assert_int_equal(snap_marks_init(&marks, MANY), 0);
    model = (struct model){.marks = &marks};
    snap_mark(&marks, 7);
    snap_marks_take(&marks, SNAP_WRITERS_RUN, mark_the_page_before, &model);
    snap_marks_take(&marks, SNAP_WRITERS_PARKED, mark_the_page_before, &model);
    assert_int_equal(model.visits, 2);
    snap_marks_finish(&marks);
}

static void writes_that_cross_pages_mark_them_all(void **state)
{
    (void)state;
    struct snap_marks marks;
    assert_int_equal(snap_marks_init(&marks, 10), 0);
    snap_mark_bytes(&marks, 2 * PAGE - 1, 2);
    snap_mark_bytes(&marks, 4 * PAGE, PAGE);
    snap_mark_bytes(&marks, 6 * PAGE + 5, 2 * PAGE);
    for (uint64_t page = 0; page < 10; page++) {
        assert_int_equal(marks.page[page], strchr("124678", (int)('0' + page)) != NULL);
    }
    snap_marks_finish(&marks);
}

/* ---- the engine ---------------------------------------------------------------------------- */

static void count_protecting_scans(void *context, unsigned flags)
{
    uint64_t *count = context;
    *count += (flags & SNAP_SCAN_PROTECT) != 0;
}

static void a_small_commit_by_marks_asks_the_memory_nothing(void **state)
{
    (void)state;
    struct kit kit;
    uint64_t scans = 0;
    kit_begin(&kit, &async_marks, PAGES);
    kit_fill_range(&kit, 0, 100, 1);
    kit_snapshot_ok(&kit);
    assert_false(kit.report.by_marks); /* nobody knows what was stored before the engine opened */
    memory_fake_on_scan(kit.handle, count_protecting_scans, &scans);
    for (uint64_t i = 0; i < 20; i++) {
        kit_fill_range(&kit, i * 3, 5, i + 2);
        kit_snapshot_ok(&kit);
        assert_true(kit.report.by_marks);
        assert_int_equal(kit.report.pages_stopped, 5);
    }
    assert_int_equal(scans, 0);
    kit_fill_range(&kit, 0, 1000, 99); /* a live round asks */
    kit_snapshot_ok(&kit);
    assert_true(kit.report.by_marks);
    assert_int_equal(kit.report.live_rounds, 1);
    assert_int_equal(kit.report.pages_stopped, 0);
    assert_true(scans > 0);
    struct snap_counters counters;
    snap_engine_counters(kit.engine, &counters);
    assert_int_equal(counters.unmarked_found, 0);
    assert_int_equal(counters.stops_by_marks, 21);
    assert_int_equal(counters.stops_by_scan, 1);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void after_an_unmarked_writer_the_memory_is_asked_once(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_marks, &regions_only};
    for (unsigned i = 0; i < 2; i++) {
        struct kit kit;
        kit_begin(&kit, kinds[i], PAGES);
        kit_fill(&kit, 1, 1);
        kit_snapshot_ok(&kit);
        kit_write_unmarked(&kit, 2000 * PAGE, "foreign", 7);
        snap_engine_unmarked_writer(kit.engine);
        kit_snapshot_ok(&kit);
        assert_false(kit.report.by_marks);
        assert_int_equal(kit.report.generation.pages_written, 1);
        kit_fill(&kit, 2, 1);
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.by_marks, i == 0);
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

static void write_unmarked_while_stopping(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_write_unmarked(kit, 2500 * PAGE, "foreign", 7);
}

static void an_unmarked_writer_that_keeps_silent_is_found_by_the_next_live_round(void **state)
{
    (void)state;
    struct kit kit;
    struct snap_counters counters;
    kit_begin(&kit, &async_marks, PAGES);
    kit_fill_range(&kit, 0, 1000, 1);
    kit_snapshot_ok(&kit);
    kit_fill_range(&kit, 0, 1000, 2);
    kit_write_unmarked(&kit, 2000 * PAGE, "foreign", 7);
    kit.before_stop = write_unmarked_while_stopping; /* the stop is not by marks: taken as well */
    kit_snapshot_ok(&kit);
    assert_false(kit.report.by_marks);
    snap_engine_counters(kit.engine, &counters);
    assert_int_equal(counters.unmarked_found, 1);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void cards_refuses_to_guess_after_an_unmarked_writer(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &cards, PAGES);
    kit_fill(&kit, 1, 1);
    kit_snapshot_ok(&kit);
    snap_engine_unmarked_writer(kit.engine);
    unsigned stops = kit.stops;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_EUNSUPPORTED);
    assert_int_equal(kit.stops, stops);
    assert_non_null(strstr(kit.diag.text, "does not mark"));
    kit_end(&kit);
}

static void speak_up_while_stopping(struct kit *kit)
{
    kit->before_stop = NULL;
    snap_engine_unmarked_writer(kit->engine);
}

static void cards_refuses_also_when_it_hears_of_it_in_the_stop(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &cards, PAGES);
    kit_fill(&kit, 1, 1);
    kit.before_stop = speak_up_while_stopping;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_EUNSUPPORTED);
    assert_int_equal(kit.stops, kit.resumes);
    kit_end(&kit);
}

static void without_a_barrier_marks_are_cleared_only_in_the_stop(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &cards_without_barrier, PAGES);
    for (uint64_t i = 0; i < 3; i++) {
        kit_fill_range(&kit, i * 500, 1500, i);
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.live_rounds, 0);
        assert_int_equal(kit.report.pages_stopped, 1500);
    }
    kit_reopen(&kit);
    kit_end(&kit);
}

static void where_nothing_tracks_marks_are_chosen(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &untracked_auto, 100);
    assert_string_equal(snap_engine_strategy(kit.engine), "cards");
    kit_end(&kit);
}

static void write_hot_pages_again(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, kit->stops);
}

static void hot_pages_are_left_to_the_stop(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_marks, &cards};
    for (unsigned i = 0; i < 2; i++) {
        struct kit kit;
        struct snap_engine_options options = {.staging_pages = 1024, .check_against_heap = true};
        kit_begin_with(&kit, kinds[i], PAGES, &options);
        kit.before_stop = write_hot_pages_again;
        kit_fill_range(&kit, 0, 1000, 1);
        kit_snapshot_ok(&kit); /* copied live, written again: now they are known to be hot */
        assert_int_equal(kit.report.pages_live, 1000);
        assert_int_equal(kit.report.pages_stopped, 1000);
        kit_fill_range(&kit, 0, 1000, 2);
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.pages_live, 0);
        assert_int_equal(kit.report.pages_stopped, 1000);
        kit_fill_range(&kit, 1500, 1000, 2); /* others get a live round, the hot ones do not */
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.pages_live, 1000);
        assert_int_equal(kit.report.pages_stopped, 1000);
        kit.before_stop = NULL;
        kit_snapshot_ok(&kit); /* not written: not hot any more */
        kit_fill_range(&kit, 0, 1000, 3);
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.pages_live, 1000);
        assert_int_equal(kit.report.pages_stopped, 0);
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

static void what_was_staged_live_is_what_is_committed(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_marks, &cards};
    for (unsigned i = 0; i < 2; i++) {
        struct kit kit;
        struct snap_engine_options options = {.staging_pages = 2048, .check_against_heap = true};
        kit_begin_with(&kit, kinds[i], PAGES, &options);
        for (uint64_t round = 1; round < 5; round++) { /* more of the staging area each time */
            kit_fill_range(&kit, 100 * round, 400 * round, round);
            kit_snapshot_ok(&kit);
            assert_int_equal(kit.report.pages_live, 400 * round);
        }
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

static void fill_nearly_all_while_stopping(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_fill_range(kit, 100, 2000, 9);
}

static void a_residue_larger_than_staging_is_written_in_the_stop_and_counted(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_marks, &cards, &regions_only};
    const uint64_t writes = 1 + (2000 - 1 - 256) / 128; /* the whole area, then halves of it */
    for (unsigned i = 0; i < 3; i++) {
        struct kit kit;
        struct snap_counters counters;
        kit_begin(&kit, kinds[i], PAGES); /* 256 pages of staging */
        kit_fill_range(&kit, 0, 10, 1);
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.writes_stopped, 0);
        kit.before_stop = fill_nearly_all_while_stopping;
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.pages_stopped, 2000);
        assert_int_equal(kit.report.writes_stopped, writes);
        snap_engine_counters(kit.engine, &counters);
        assert_int_equal(counters.writes_stopped, writes);
        assert_int_equal(counters.staging_most, 256);
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

/* ---- counters ------------------------------------------------------------------------------ */

static void every_time_falls_into_the_bucket_that_ends_at_or_after_it(void **state)
{
    (void)state;
    struct ph_rng rng;
    ph_rng_init(&rng, kit_seed(5));
    for (unsigned bucket = 0; bucket + 1 < SNAP_PAUSE_BUCKETS; bucket++) {
        uint64_t most = snap_pause_bucket_most(bucket);
        assert_int_equal(snap_pause_bucket(most), bucket);
        assert_int_equal(snap_pause_bucket(most + 1), bucket + 1);
    }
    for (int i = 0; i < 10000; i++) {
        uint64_t ns = ph_rng_next(&rng) >> (24 + ph_rng_below(&rng, 40));
        uint64_t most = snap_pause_bucket_most(snap_pause_bucket(ns));
        assert_true(most >= ns && most - ns <= ns / 4);
    }
    assert_int_equal(snap_pause_bucket(UINT64_MAX), SNAP_PAUSE_BUCKETS - 1);
}

static void percentiles_come_from_the_histogram(void **state)
{
    (void)state;
    struct snap_counters counters = {0};
    assert_int_equal(snap_counters_pause(&counters, 50), 0);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t ns = i < 90 ? 1000 : i < 99 ? 20000 : 700000;
        counters.pause_histogram[snap_pause_bucket(ns)]++;
    }
    counters.pause_most_ns = 700000;
    assert_in_range(snap_counters_pause(&counters, 50), 1000, 1250);
    assert_in_range(snap_counters_pause(&counters, 90), 1000, 1250);
    assert_in_range(snap_counters_pause(&counters, 99), 20000, 25000);
    assert_int_equal(snap_counters_pause(&counters, 100), 700000);
    assert_in_range(snap_counters_pause(&counters, 0), 1000, 1250);
}

static void every_outcome_is_counted_once(void **state)
{
    (void)state;
    struct kit kit;
    struct snap_counters counters;
    kit_begin(&kit, &async_marks, PAGES);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit.stop_result = PHANTOM_ETIMEOUT;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ETIMEOUT);
    kit.stop_result = 0;
    kit_fill_range(&kit, 0, 2900, 2);
    kit_disk_full(&kit, true);
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ENOSPACE);
    kit_disk_full(&kit, false);
    snap_engine_count_coalesced(kit.engine);
    kit_snapshot_ok(&kit);
    snap_engine_counters(kit.engine, &counters);
    assert_int_equal(counters.snapshots, 2);
    assert_int_equal(counters.refused_timeout, 1);
    assert_int_equal(counters.refused_space, 1);
    assert_int_equal(counters.refused_other, 0);
    assert_int_equal(counters.failed, 0);
    assert_int_equal(counters.coalesced, 1);
    assert_int_equal(counters.pages_written, 2910);
    assert_true(counters.bytes_written >= 2910 * PAGE);
    uint64_t pauses = 0;
    for (unsigned i = 0; i < SNAP_PAUSE_BUCKETS; i++) {
        pauses += counters.pause_histogram[i];
    }
    assert_int_equal(pauses, 2);
    assert_true(counters.pause_most_ns <= counters.pause_ns);
    assert_true(counters.phase_ns[SNAP_PHASE_STOP] >= counters.pause_ns);
    kit_fill(&kit, 0, 3);
    struct io_fault fault = {.ops = IO_OP_WRITE, .at = 1, .error = EIO};
    io_faulty_set(kit.faulty, &fault);
    assert_int_equal(kit_snapshot(&kit), PHANTOM_EPOISONED);
    snap_engine_counters(kit.engine, &counters);
    assert_int_equal(counters.failed, 1);
    kit_end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_behave_like_an_array_of_bools),
        cmocka_unit_test(a_mark_made_during_a_live_round_is_there_at_the_stop),
        cmocka_unit_test(writes_that_cross_pages_mark_them_all),
        cmocka_unit_test(a_small_commit_by_marks_asks_the_memory_nothing),
        cmocka_unit_test(after_an_unmarked_writer_the_memory_is_asked_once),
        cmocka_unit_test(an_unmarked_writer_that_keeps_silent_is_found_by_the_next_live_round),
        cmocka_unit_test(cards_refuses_to_guess_after_an_unmarked_writer),
        cmocka_unit_test(cards_refuses_also_when_it_hears_of_it_in_the_stop),
        cmocka_unit_test(without_a_barrier_marks_are_cleared_only_in_the_stop),
        cmocka_unit_test(where_nothing_tracks_marks_are_chosen),
        cmocka_unit_test(hot_pages_are_left_to_the_stop),
        cmocka_unit_test(what_was_staged_live_is_what_is_committed),
        cmocka_unit_test(a_residue_larger_than_staging_is_written_in_the_stop_and_counted),
        cmocka_unit_test(every_time_falls_into_the_bucket_that_ends_at_or_after_it),
        cmocka_unit_test(percentiles_come_from_the_histogram),
        cmocka_unit_test(every_outcome_is_counted_once),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_SILENT_WRITER_IGNORED,
         cmocka_unit_test(an_unmarked_writer_that_keeps_silent_is_found_by_the_next_live_round)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
