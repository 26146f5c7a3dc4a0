/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_engine.c - what belongs to the engine rather than to every strategy: the choice of
 * a strategy, what open refuses, when live rounds run, and failures placed at exact steps with the
 * hooks of the fake memory.
 */
#include "engine_kit.h"
#include "memory_fake.h"
#include "ph_check.h"
#include "ph_test.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = SNAP_PAGE_SIZE, PAGES = 3000, CHECK_FAILED = 42 };

static const struct kit_kind async_kind = {"async", "async", &kit_fake_memory};
static const struct kit_kind full_kind = {"full", "full", &kit_fake_memory};
static const struct kit_kind untracked_kind = {"untracked", NULL, &kit_fake_untracked_memory};
static const struct kit_kind any_kind = {"any", NULL, &kit_fake_memory};

/* ---- open ---------------------------------------------------------------------------------- */

static void the_best_strategy_for_the_memory_is_chosen(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &any_kind, 100);
    assert_string_equal(snap_engine_strategy(kit.engine), "async");
    kit_end(&kit);
    kit_begin(&kit, &untracked_kind, 100);
    assert_string_equal(snap_engine_strategy(kit.engine), "full");
    kit_end(&kit);
}

static void a_strategy_that_cannot_work_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &untracked_kind, 100);
    snap_engine_close(kit.engine);
    kit.engine = NULL;
    kit.options.strategy = "async";
    assert_int_equal(kit_open_engine(&kit), PHANTOM_EUNSUPPORTED);
    assert_non_null(strstr(kit.diag.text, "track writes"));
    kit.options.strategy = "wishful";
    assert_int_equal(kit_open_engine(&kit), PHANTOM_EINVALID);
    assert_non_null(strstr(kit.diag.text, "wishful"));
    assert_null(kit.engine);
    kit_end(&kit);
}

static void a_memory_at_another_place_or_of_another_size_is_refused(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &any_kind, 100);
    snap_engine_close(kit.engine);
    kit.engine = NULL;
    struct snap_memory other = *kit.memory, *right = kit.memory;
    kit.memory = &other;
    other.page_count = 99;
    assert_int_equal(kit_open_engine(&kit), PHANTOM_EINVALID);
    other.page_count = 100;
    other.base += PAGE;
    assert_int_equal(kit_open_engine(&kit), PHANTOM_EINVALID);
    assert_non_null(strstr(kit.diag.text, "0x"));
    kit.memory = right;
    assert_int_equal(kit_open_engine(&kit), 0);
    kit_end(&kit);
}

static void a_generation_is_not_restored_over_other_data(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &any_kind, 100);
    kit_fill(&kit, 1, 1);
    kit_snapshot_ok(&kit);
    snap_engine_close(kit.engine);
    kit.engine = NULL;
    assert_int_equal(kit_open_engine(&kit), PHANTOM_EINVALID);
    assert_non_null(strstr(kit.diag.text, "not empty"));
    kit_reopen(&kit);
    kit_end(&kit);
}

static void damage_is_reported_by_open_and_nothing_is_guessed(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &any_kind, 600);
    kit_fill_range(&kit, 0, 400, 1);
    kit_snapshot_ok(&kit);
    kit_fill(&kit, 500, 1); /* its own pages are not those of the damage below */
    kit_snapshot_ok(&kit);
    uint64_t size = 0;
    uint8_t *file = snap_io_memory_bytes(kit.disk, &size);
    uint64_t at = 0;
    while (at < size && memcmp(file + at, kit.committed + 123 * PAGE, PAGE) != 0) {
        at += PAGE;
    }
    assert_true(at < size);
    file[at + 1000] ^= 4;
    assert_int_equal(kit_try_reopen(&kit), PHANTOM_ECORRUPT);
    assert_null(kit.engine);
    assert_non_null(strstr(kit.diag.text, "page 123"));
    file = snap_io_memory_bytes(kit.disk, &size);
    file[at + 1000] ^= 4;
    kit_reopen(&kit);
    kit_end(&kit);
}

static void what_is_in_the_memory_at_birth_is_in_the_first_generation(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_kind, &full_kind};
    for (unsigned i = 0; i < 2; i++) {
        struct kit kit;
        kit_begin(&kit, kinds[i], 100);
        snap_engine_close(kit.engine);
        kit.engine = NULL;
        kit_fill_range(&kit, 10, 20, 1);
        assert_int_equal(kit_open_engine(&kit), 0);
        kit_snapshot_ok(&kit);
        assert_int_equal(kit.report.generation.live_pages, 20);
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

/* ---- the stop and the live rounds ---------------------------------------------------------- */

static void few_pages_are_copied_in_the_stop_and_many_before_it(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    kit_fill_range(&kit, 0, 256, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.pages_live, 0);
    assert_int_equal(kit.report.pages_stopped, 256);
    kit_fill_range(&kit, 0, 2000, 2);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.pages_live, 2000);
    assert_int_equal(kit.report.pages_stopped, 0);
    assert_true(kit.report.total_ns >= kit.report.pause_ns);
    kit_reopen(&kit);
    kit_end(&kit);
}

/** A mutator that writes all its pages again whenever the engine looks. */
static void write_hot_set(void *context, unsigned flags)
{
    struct kit *kit = context;
    if ((flags & SNAP_SCAN_PROTECT) == 0 && kit->stops == 0) {
        kit_fill_range(kit, 0, 1000, kit->stores++);
    }
}

static void a_hot_set_gets_one_live_round_and_the_stop(void **state)
{
    (void)state;
    struct kit kit;
    struct snap_engine_options options = {.staging_pages = 1024, .check_against_heap = true};
    kit_begin_with(&kit, &async_kind, PAGES, &options);
    kit_fill_range(&kit, 0, 1000, 1);
    memory_fake_on_scan(kit.handle, write_hot_set, &kit);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.pages_live, 1000);
    assert_int_equal(kit.report.pages_stopped, 1000);
    memory_fake_on_scan(kit.handle, NULL, NULL);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void write_all_again_and_fill_the_disk(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_fill_range(kit, 0, 5000, 3);
    kit_disk_full(kit, true);
}

static void a_hot_set_needs_room_only_once(void **state)
{
    (void)state;
    struct kit kit;
    struct snap_engine_options options = {.staging_pages = 8192, .check_against_heap = true};
    kit_begin_with(&kit, &async_kind, 8192, &options);
    kit_fill_range(&kit, 0, 5000, 1);
    kit.before_stop = write_all_again_and_fill_the_disk;
    kit_snapshot_ok(&kit); /* staged twice, written once: what was reserved is enough */
    assert_int_equal(kit.report.pages_live, 5000);
    assert_int_equal(kit.report.pages_stopped, 5000);
    assert_int_equal(kit.report.generation.pages_written, 5000);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void more_heap_than_memory_is_refused(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, 500);
    kit_fill_range(&kit, 0, 400, 1);
    kit.claimed_pages = 501;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_EINVALID);
    assert_int_equal(kit.stops, kit.resumes);
    kit.claimed_pages = 0;
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 400);
    kit_reopen(&kit);
    kit_end(&kit);
}

static int nested_result;

static void snapshot_while_stopping(struct kit *kit)
{
    kit->before_stop = NULL;
    nested_result = snap_engine_snapshot(kit->engine, NULL, NULL);
}

static void a_second_snapshot_at_the_same_time_is_refused(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, 100);
    kit_fill(&kit, 1, 1);
    kit.before_stop = snapshot_while_stopping;
    kit_snapshot_ok(&kit);
    assert_int_equal(nested_result, PHANTOM_EINVALID);
    kit_reopen(&kit);
    kit_end(&kit);
}

/* ---- discards against live rounds ---------------------------------------------------------- */

static void discard_while_stopping(struct kit *kit)
{
    assert_int_equal(snap_engine_discard(kit->engine, 100, 50), 0);
    kit_fill(kit, 120, 77);
}

static void a_discard_after_the_live_round_beats_what_was_staged(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    kit_fill_range(&kit, 0, 1000, 1);
    kit.before_stop = discard_while_stopping;
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.pages_live, 1000);
    assert_int_equal(kit.report.generation.live_pages, 1000 - 49);
    kit.before_stop = NULL;
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_page_discarded_then_written_then_copied_live_is_data(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    kit_fill_range(&kit, 0, 1000, 1);
    kit_snapshot_ok(&kit);
    assert_int_equal(snap_engine_discard(kit.engine, 0, 1000), 0);
    kit_fill_range(&kit, 0, 600, 2); /* the live round takes these, the cut sees them clean */
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.pages_live, 600);
    assert_int_equal(kit.report.generation.live_pages, 600);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_discard_that_the_memory_refuses_still_reads_as_zeros(void **state)
{
    (void)state;
    static const uint8_t zeros[PAGE];
    struct kit kit;
    kit_begin(&kit, &async_kind, 100);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    memory_fake_fail_after(kit.handle, 0, EAGAIN);
    assert_int_equal(snap_engine_discard(kit.engine, 3, 1), -EAGAIN);
    assert_memory_equal(kit.memory->base + 3 * PAGE, zeros, PAGE);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 9);
    assert_int_equal(snap_engine_discard(kit.engine, 90, 11), PHANTOM_EINVALID);
    assert_int_equal(snap_engine_discard(kit.engine, UINT64_MAX, 2), PHANTOM_EINVALID);
    assert_int_equal(snap_engine_discard(kit.engine, 100, 0), 0);
    kit_reopen(&kit);
    kit_end(&kit);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void a_scan_that_fails_at_any_step_loses_nothing(void **state)
{
    (void)state;
    const struct kit_kind *kinds[] = {&async_kind, &full_kind};
    for (unsigned i = 0; i < 2; i++) {
        struct kit kit;
        struct snap_engine_options options = {.staging_pages = 256};
        int rc = -EIO;
        kit_begin_with(&kit, kinds[i], PAGES, &options);
        for (int n = 0; rc != 0; n++) {
            for (uint64_t page = 0; page < PAGES; page += 2) { /* more ranges than fit one scan */
                kit_fill(&kit, page, (uint64_t)n);
            }
            assert_int_equal(snap_engine_discard(kit.engine, (uint64_t)n * 4, 2), 0);
            memory_fake_fail_after(kit.handle, n, EIO);
            rc = kit_snapshot(&kit);
            memory_fake_fail_after(kit.handle, -1, 0);
            assert_true(rc == 0 || rc == -EIO);
            if (n % 2 == 0) {
                kit_snapshot_ok(&kit);
            }
            assert_true(n < 100);
        }
        kit_snapshot_ok(&kit);
        kit_reopen(&kit);
        kit_end(&kit);
    }
}

/* ---- the witness --------------------------------------------------------------------------- */

static void exit_on_failed_check(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    (void)what;
    _exit(CHECK_FAILED);
}

static int exit_status_of(void (*scenario)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ph_set_fatal_hook(exit_on_failed_check);
        scenario();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void change_a_page_behind_the_tracking(void)
{
    struct kit kit;
    kit_begin(&kit, &async_kind, 100);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit.memory->base[5 * PAGE] ^= 1;
    kit_snapshot_ok(&kit);
}

static void clear_a_page_behind_the_tracking(void)
{
    struct kit kit;
    kit_begin(&kit, &async_kind, 100);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit_write(&kit, 0, "x", 1);
    memset(kit.memory->base + 5 * PAGE, 0, PAGE);
    kit_snapshot_ok(&kit);
}

static void change_everything_as_one_should(void)
{
    struct kit kit;
    kit_begin(&kit, &async_kind, 100);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit_fill_range(&kit, 0, 10, 2);
    kit_snapshot_ok(&kit);
    kit_end(&kit);
}

static void a_write_that_tracking_missed_is_fatal_at_the_next_commit(void **state)
{
    (void)state;
    assert_int_equal(exit_status_of(change_everything_as_one_should), 0);
    assert_int_equal(exit_status_of(change_a_page_behind_the_tracking), CHECK_FAILED);
    assert_int_equal(exit_status_of(clear_a_page_behind_the_tracking), CHECK_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_strategy_for_the_memory_is_chosen),
        cmocka_unit_test(a_strategy_that_cannot_work_is_refused_with_the_reason),
        cmocka_unit_test(a_memory_at_another_place_or_of_another_size_is_refused),
        cmocka_unit_test(a_generation_is_not_restored_over_other_data),
        cmocka_unit_test(damage_is_reported_by_open_and_nothing_is_guessed),
        cmocka_unit_test(what_is_in_the_memory_at_birth_is_in_the_first_generation),
        cmocka_unit_test(few_pages_are_copied_in_the_stop_and_many_before_it),
        cmocka_unit_test(a_hot_set_gets_one_live_round_and_the_stop),
        cmocka_unit_test(a_hot_set_needs_room_only_once),
        cmocka_unit_test(more_heap_than_memory_is_refused),
        cmocka_unit_test(a_second_snapshot_at_the_same_time_is_refused),
        cmocka_unit_test(a_discard_after_the_live_round_beats_what_was_staged),
        cmocka_unit_test(a_page_discarded_then_written_then_copied_live_is_data),
        cmocka_unit_test(a_discard_that_the_memory_refuses_still_reads_as_zeros),
        cmocka_unit_test(a_scan_that_fails_at_any_step_loses_nothing),
        cmocka_unit_test(a_write_that_tracking_missed_is_fatal_at_the_next_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
