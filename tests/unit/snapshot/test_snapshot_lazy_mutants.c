/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_lazy_mutants.c - each safety mechanism of lazy restore broken on purpose, linked
 * with copies of the rooms that were compiled with -DPH_MUTANTS. A scenario runs in a child: its
 * exit status says what it saw, and must be another one with the mutant than without.
 */
#include "lazy_kit.h"
#include "ph_check.h"
#include "ph_mutant.h"
#include "ph_test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = SNAP_PAGE_SIZE, PAGES = 1000 };
enum { RIGHT = 0, REFUSED = 41, CHECK_FAILED = 42, HEAP_DIFFERS = 43, FALSELY_DIRTY = 44 };

static void exit_on_failed_check(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    (void)what;
    _exit(CHECK_FAILED);
}

static void exit_when_told(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    (void)context;
    (void)diag;
    (void)waiting;
    _exit(error == PHANTOM_ECORRUPT ? REFUSED : 1);
}

static bool heap_differs(struct lazy_kit *kit)
{
    return memcmp(kit->memory->base, kit->shadow, (size_t)PAGES * PAGE) != 0;
}

/** Scenarios begin with a store of 500 full pages, closed, and give an exit status. */
typedef int (*scenario)(struct lazy_kit *kit);

static int discard_before_loading(struct lazy_kit *kit)
{
    lazy_gate(kit, true);
    if (lazy_open(kit, SNAP_RESTORE_LAZY) != 0) {
        return 1;
    }
    lazy_discard(kit, 100, 50);
    lazy_gate(kit, false);
    lazy_wait_complete(kit);
    return heap_differs(kit) ? HEAP_DIFFERS : RIGHT;
}

static int only_read_what_was_loaded(struct lazy_kit *kit)
{
    if (lazy_open(kit, SNAP_RESTORE_LAZY) != 0) {
        return 1;
    }
    if (heap_differs(kit)) {
        return HEAP_DIFFERS;
    }
    lazy_wait_complete(kit);
    if (lazy_snapshot(kit) != 0) {
        return 1;
    }
    return kit->report.generation.pages_written != 0 ? FALSELY_DIRTY : RIGHT;
}

static int touch_a_damaged_page(struct lazy_kit *kit)
{
    lazy_damage_page(kit, 333);
    kit->damaged = exit_when_told;
    lazy_gate(kit, true);
    if (lazy_open(kit, SNAP_RESTORE_LAZY) != 0) {
        return 1;
    }
    return memcmp(kit->memory->base + 333 * PAGE, kit->shadow + 333 * PAGE, PAGE) != 0
               ? HEAP_DIFFERS
               : RIGHT;
}

static int snapshot_before_loading(struct lazy_kit *kit)
{
    lazy_gate(kit, true);
    if (lazy_open(kit, SNAP_RESTORE_LAZY) != 0) {
        return 1;
    }
    lazy_fill(kit, 5, 1, 9);
    if (lazy_snapshot(kit) != 0) {
        return 1;
    }
    return lazy_generation_differs(kit, kit->committed) >= 0 ? HEAP_DIFFERS : RIGHT;
}

static int outcome_of(struct lazy_kit *kit, scenario run, enum ph_mutant mutant)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ph_set_fatal_hook(exit_on_failed_check);
        ph_active_mutant = mutant;
        _exit(run(kit));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/** Each run on a store of its own. */
static int fresh_outcome(scenario run, enum ph_mutant mutant, bool check_against_heap)
{
    struct lazy_kit kit;
    lazy_begin(&kit, PAGES);
    lazy_fill(&kit, 0, 500, 1);
    lazy_snapshot_ok(&kit);
    lazy_close(&kit);
    kit.options.check_against_heap = check_against_heap;
    int status = outcome_of(&kit, run, mutant);
    lazy_end(&kit);
    return status;
}

static void expect(scenario run, int without, enum ph_mutant mutant, int with, bool check)
{
    assert_int_equal(fresh_outcome(run, PH_MUTANT_NONE, check), without);
    assert_int_equal(fresh_outcome(run, mutant, check), with);
    print_message("mutant %s: killed\n", ph_mutant_name(mutant));
}

static void an_old_page_that_follows_a_discard_is_noticed(void **state)
{
    (void)state;
    expect(discard_before_loading, RIGHT, PH_MUTANT_RESTORED_OVER_DISCARD, HEAP_DIFFERS, false);
}

static void a_page_loaded_without_protection_is_noticed(void **state)
{
    (void)state;
    expect(only_read_what_was_loaded, RIGHT, PH_MUTANT_RESTORED_UNPROTECTED, FALSELY_DIRTY, false);
}

static void a_page_loaded_without_verification_is_noticed(void **state)
{
    (void)state;
    expect(touch_a_damaged_page, REFUSED, PH_MUTANT_RESTORED_UNVERIFIED, HEAP_DIFFERS, false);
}

static void unloaded_pages_taken_for_holes_are_noticed(void **state)
{
    (void)state;
    expect(snapshot_before_loading, RIGHT, PH_MUTANT_UNLOADED_IS_HOLE, HEAP_DIFFERS, false);
    expect(snapshot_before_loading, RIGHT, PH_MUTANT_UNLOADED_IS_HOLE, CHECK_FAILED, true);
}

int main(void)
{
    if (!lazy_kit_possible()) {
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_page_that_follows_a_discard_is_noticed),
        cmocka_unit_test(a_page_loaded_without_protection_is_noticed),
        cmocka_unit_test(a_page_loaded_without_verification_is_noticed),
        cmocka_unit_test(unloaded_pages_taken_for_holes_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
