/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_engine_mutants.c - each safety mechanism of the engine broken on purpose, linked
 * with a copy of the room that was compiled with -DPH_MUTANTS. A scenario runs in a child: without
 * the mutant its heap must come back, with it the loss must be seen, both by the comparison with
 * the heap at the cut (check_against_heap) and, with that off, by a restart.
 */
#include "memory_fake.h"
#include "mutant_kit.h"
#include "ph_check.h"
#include "ph_test.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = MUTANT_PAGES };

static const struct kit_kind async_kind = {"async", "async", &kit_fake_memory, false};
static const struct kit_kind marked_kind = {"async with marks", "async", &kit_fake_memory, true};
static const struct kit_kind cards_kind = {"cards", "cards", &kit_fake_untracked_memory, true};

/** The live round consumes the dirty bits, the world does not stop, the next snapshot is small. */
static void refused_then_taken(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    kit->stop_result = PHANTOM_ETIMEOUT;
    assert_int_equal(kit_snapshot(kit), PHANTOM_ETIMEOUT);
    kit->stop_result = 0;
    kit_fill(kit, 5, 2);
    kit_snapshot_ok(kit);
}

static void a_refused_snapshot_whose_set_is_forgotten_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, refused_then_taken, PH_MUTANT_DIRTY_SET_FORGOTTEN);
}

/** A mutator's store that lands just before the engine protects the page. */
static void store_before_protection(void *context, unsigned flags)
{
    struct kit *kit = context;
    if ((flags & SNAP_SCAN_PROTECT) != 0 && kit->stops == 0) {
        kit_write(kit, 10 * SNAP_PAGE_SIZE + 8, "late", 4);
    }
}

static void store_between_copy_and_protection(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    memory_fake_on_scan(kit->handle, store_before_protection, kit);
    kit_snapshot_ok(kit);
    memory_fake_on_scan(kit->handle, NULL, NULL);
}

static void a_page_copied_before_it_is_protected_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, store_between_copy_and_protection,
                         PH_MUTANT_COPY_BEFORE_PROTECT);
}

/* ---- marks --------------------------------------------------------------------------------- */

static void foreign_store(struct kit *kit)
{
    kit_fill_range(kit, 0, 10, 1);
    kit_snapshot_ok(kit);
    kit_write_unmarked(kit, 700 * SNAP_PAGE_SIZE, "foreign", 7);
    snap_engine_unmarked_writer(kit->engine);
    kit_snapshot_ok(kit);
}

static void a_filter_with_an_unmarked_writer_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&marked_kind, foreign_store, PH_MUTANT_MARKS_TRUSTED_BLINDLY);
}

/** A marked store that lands between the clearing of the marks and the copies, or after both. */
static void store_at_the_barrier(void *context)
{
    struct kit *kit = context;
    if (kit->engine != NULL && kit->stops == 0) {
        kit_write(kit, 10 * SNAP_PAGE_SIZE + 8, "late", 4);
    }
}

static void store_between_clearing_and_copy(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    memory_fake_on_barrier(kit->handle, store_at_the_barrier, kit);
    kit_snapshot_ok(kit);
    memory_fake_on_barrier(kit->handle, NULL, NULL);
}

static void marks_cleared_after_the_copy_are_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&cards_kind, store_between_clearing_and_copy,
                         PH_MUTANT_MARKS_CLEARED_AFTER_COPY);
}

/**
 * A processor that keeps a store to itself for as long as it may: the writer found its page marked
 * already, so the store has no mark of its own, and it reaches the memory when a barrier or the
 * stop drains it.
 */
static bool is_held_back;

static void drain_store(struct kit *kit)
{
    if (is_held_back) {
        is_held_back = false;
        kit_write_unmarked(kit, 10 * SNAP_PAGE_SIZE + 8, "late", 4);
    }
}

static void drain_at_the_barrier(void *context)
{
    struct kit *kit = context;
    if (kit->engine != NULL) {
        drain_store(kit);
    }
}

static void store_held_back(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1); /* page 10 is marked */
    is_held_back = true;
    memory_fake_on_barrier(kit->handle, drain_at_the_barrier, kit);
    kit->before_stop = drain_store; /* parking is a barrier */
    kit_snapshot_ok(kit);
    kit->before_stop = NULL;
    memory_fake_on_barrier(kit->handle, NULL, NULL);
}

static void a_store_that_no_barrier_waits_for_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&cards_kind, store_held_back, PH_MUTANT_MARKS_WITHOUT_BARRIER);
    mutant_expect_killed(&marked_kind, store_held_back, PH_MUTANT_MARKS_WITHOUT_BARRIER);
}

static void fill_more_while_stopping(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_fill_range(kit, 100, PAGES - 100, 2);
}

/** 256 pages of staging, and many more pages in the stop than anybody expected. */
static void residue_larger_than_staging(struct kit *kit)
{
    kit_fill_range(kit, 0, 10, 1);
    kit->before_stop = fill_more_while_stopping;
    kit_snapshot_ok(kit);
}

static void a_residue_dropped_when_staging_is_full_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&marked_kind, residue_larger_than_staging, PH_MUTANT_RESIDUE_DROPPED);
    mutant_expect_killed(&cards_kind, residue_larger_than_staging, PH_MUTANT_RESIDUE_DROPPED);
}

struct passing {
    const struct snap_marks *marks;
    unsigned visits;
};

static void mark_what_was_passed(void *context, uint64_t page)
{
    struct passing *passing = context;
    passing->visits++;
    if (page == 7) {
        snap_mark(passing->marks, 6);
    }
}

static unsigned visits_of_two_takes(enum ph_mutant mutant)
{
    struct snap_marks marks;
    struct passing passing = {.marks = &marks};
    assert_int_equal(snap_marks_init(&marks, PAGES), 0);
    snap_mark(&marks, 7);
    ph_active_mutant = mutant;
    snap_marks_take(&marks, SNAP_WRITERS_RUN, mark_what_was_passed, &passing);
    snap_marks_take(&marks, SNAP_WRITERS_PARKED, mark_what_was_passed, &passing);
    ph_active_mutant = PH_MUTANT_NONE;
    snap_marks_finish(&marks);
    return passing.visits;
}

static void a_region_byte_cleared_in_a_live_round_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(visits_of_two_takes(PH_MUTANT_NONE), 2);
    assert_int_equal(visits_of_two_takes(PH_MUTANT_REGION_CLEARED_LIVE), 1);
    print_message("mutant REGION_CLEARED_LIVE: killed\n");
}

/** What a mutator does in two steps, with a live round in between. */
static void store_only(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_write_unmarked(kit, 10 * SNAP_PAGE_SIZE + 8, "late", 4);
}

static void mark_only(struct kit *kit)
{
    kit->before_stop = NULL;
    snap_mark(snap_engine_marks(kit->engine), 10);
}

static void store_then_mark(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    kit_write_unmarked(kit, 10 * SNAP_PAGE_SIZE + 8, "late", 4);
    kit->before_stop = mark_only;
    kit_snapshot_ok(kit);
}

static void mark_then_store(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    snap_mark(snap_engine_marks(kit->engine), 10);
    kit->before_stop = store_only;
    kit_snapshot_ok(kit);
}

static void a_mutator_that_marks_before_it_stores_is_noticed(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&marked_kind, &cards_kind};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(mutant_outcome(kinds[i], store_then_mark, PH_MUTANT_NONE, true), 0);
        assert_int_equal(mutant_outcome(kinds[i], mark_then_store, PH_MUTANT_NONE, true),
                         MUTANT_CHECK_FAILED);
        assert_int_equal(mutant_outcome(kinds[i], mark_then_store, PH_MUTANT_NONE, false),
                         MUTANT_HEAP_DIFFERS);
    }
    print_message("mutator that marks before it stores: killed\n");
}

/* ---- holes --------------------------------------------------------------------------------- */

static void only_discard(struct kit *kit)
{
    kit->engine->options.skip_unchanged = true;
    kit_fill_range(kit, 0, 10, 1);
    kit_snapshot_ok(kit);
    uint64_t number = kit->report.generation.number;
    kit_snapshot_ok(kit);
    assert_true(kit->report.unchanged && kit->report.generation.number == number);
    assert_int_equal(snap_store_current(kit->store)->number, number);
    assert_int_equal(snap_engine_discard(kit->engine, 3, 2), 0);
    kit_snapshot_ok(kit);
    kit_snapshot_ok(kit);
    assert_true(kit->report.unchanged);
    kit_fill(kit, 5, 2);
    kit_snapshot_ok(kit);
    assert_false(kit->report.unchanged);
    assert_int_equal(snap_engine_discard(kit->engine, 7, 2), 0);
    kit_snapshot_ok(kit);
}

static void a_discard_taken_for_nothing_new_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, only_discard, PH_MUTANT_UNCHANGED_BUT_HOLES);
    mutant_expect_killed(&cards_kind, only_discard, PH_MUTANT_UNCHANGED_BUT_HOLES);
}

/** Two thirds of the range are freed while the disk is full. Returns what the snapshot says. */
static int discard_on_a_full_disk(const struct kit_kind *kind, bool committed_before,
                                  enum ph_mutant mutant)
{
    enum { MANY = 6000, FREED = 4000 };
    struct kit kit;
    ph_active_mutant = PH_MUTANT_NONE;
    kit_begin(&kit, kind, MANY);
    if (committed_before) {
        kit_fill_range(&kit, 0, FREED, 1);
        kit_snapshot_ok(&kit);
    }
    uint64_t size, after;
    assert_int_equal(kit.disk->ops->size(kit.disk, &size), 0);
    kit_disk_full(&kit, true);
    kit_fill_range(&kit, 0, MANY, 2);
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ENOSPACE);
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ENOSPACE);
    ph_active_mutant = mutant;
    assert_int_equal(snap_engine_discard(kit.engine, 0, FREED), 0);
    assert_int_equal(snap_engine_discard(kit.engine, FREED, MANY - FREED - 100), 0);
    int rc = kit_snapshot(&kit);
    assert_int_equal(kit.disk->ops->size(kit.disk, &after), 0);
    assert_int_equal(size, after);
    if (rc == 0) {
        assert_int_equal(kit.report.generation.live_pages, 100);
        kit_reopen(&kit);
    }
    kit_end(&kit);
    ph_active_mutant = PH_MUTANT_NONE;
    return rc;
}

static void freed_memory_needs_no_room_on_a_full_disk(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_kind, &marked_kind, &cards_kind};
    for (unsigned i = 0; i < 3; i++) {
        for (int before = 0; before < 2; before++) {
            assert_int_equal(discard_on_a_full_disk(kinds[i], before, PH_MUTANT_NONE), 0);
        }
        assert_int_equal(discard_on_a_full_disk(kinds[i], true, PH_MUTANT_HOLES_NEED_BLOCKS),
                         PHANTOM_ENOSPACE);
    }
    print_message("mutant %s: killed\n", ph_mutant_name(PH_MUTANT_HOLES_NEED_BLOCKS));
}

/** The kernel protects what it has seen so far, and then fails without having said what. */
static void fail_one_scan(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    kit_snapshot_ok(kit);
    kit_fill_range(kit, 0, 1000, 2);
    memory_fake_fail_after(kit->handle, 1, EIO); /* the first only counts */
    assert_int_equal(kit_snapshot(kit), -EIO);
    memory_fake_fail_after(kit->handle, -1, 0);
    kit_snapshot_ok(kit);
}

static void a_failed_scan_that_is_trusted_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, fail_one_scan, PH_MUTANT_FAILED_SCAN_TRUSTED);
}

/* ---- pages left unprotected ---------------------------------------------------------------- */

static unsigned value_of_next_store;

/** Most of the first region is written again between live round and stop. */
static void store_into_hot_pages(struct kit *kit)
{
    kit_fill_range(kit, 0, 450, ++value_of_next_store);
}

static void begin_hot(struct kit *kit, unsigned snapshots)
{
    value_of_next_store = 0;
    for (unsigned i = 0; i < snapshots; i++) {
        kit_fill_range(kit, 0, 1000, 1000 + i);
        kit->before_stop = store_into_hot_pages;
        kit_snapshot_ok(kit);
        kit->before_stop = NULL;
    }
}

/** Too few for their region to be left alone. */
static void store_into_few_pages(struct kit *kit)
{
    kit_fill_range(kit, 20, 30, 5);
}

/** What the stop left unprotected is written again; then a live round. */
static void store_into_a_page_left_open(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    kit->before_stop = store_into_few_pages;
    kit_snapshot_ok(kit);
    kit->before_stop = NULL;
    kit_fill_range(kit, 20, 500, 77);
    kit_snapshot_ok(kit);
}

static void a_page_left_open_and_forgotten_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, store_into_a_page_left_open, PH_MUTANT_OPEN_PAGE_FORGOTTEN);
}

static void store_into_an_open_region(struct kit *kit)
{
    begin_hot(kit, 3);
    kit_fill_range(kit, 100, 1000, 77);
    kit_snapshot_ok(kit);
}

static void a_hot_region_that_the_stop_forgets_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, store_into_an_open_region, PH_MUTANT_HOT_REGION_FORGOTTEN);
}

static void store_at_once(struct kit *kit)
{
    kit->after_cut = NULL;
    kit_fill(kit, 7, 5);
}

/** A store into such a page the moment the world runs again. */
static void store_after_the_stop(struct kit *kit)
{
    kit->after_cut = store_at_once;
    begin_hot(kit, 1);
    kit_fill(kit, 8, 9);
    kit_snapshot_ok(kit);
}

static void a_page_protected_when_the_world_runs_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&async_kind, store_after_the_stop, PH_MUTANT_PROTECTED_AFTER_RESUME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_snapshot_whose_set_is_forgotten_is_noticed),
        cmocka_unit_test(a_page_copied_before_it_is_protected_is_noticed),
        cmocka_unit_test(a_filter_with_an_unmarked_writer_is_noticed),
        cmocka_unit_test(marks_cleared_after_the_copy_are_noticed),
        cmocka_unit_test(a_store_that_no_barrier_waits_for_is_noticed),
        cmocka_unit_test(a_residue_dropped_when_staging_is_full_is_noticed),
        cmocka_unit_test(a_region_byte_cleared_in_a_live_round_is_noticed),
        cmocka_unit_test(a_mutator_that_marks_before_it_stores_is_noticed),
        cmocka_unit_test(a_discard_taken_for_nothing_new_is_noticed),
        cmocka_unit_test(freed_memory_needs_no_room_on_a_full_disk),
        cmocka_unit_test(a_failed_scan_that_is_trusted_is_noticed),
        cmocka_unit_test(a_page_left_open_and_forgotten_is_noticed),
        cmocka_unit_test(a_hot_region_that_the_stop_forgets_is_noticed),
        cmocka_unit_test(a_page_protected_when_the_world_runs_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
