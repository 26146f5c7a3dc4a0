/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_engine_mutants.c - each safety mechanism of the engine broken on purpose, linked
 * with a copy of the room that was compiled with -DPH_MUTANTS. A scenario runs in a child: without
 * the mutant its heap must come back, with it the loss must be seen, both by the comparison with
 * the heap at the cut (check_against_heap) and, with that off, by a restart.
 */
#include "engine_kit.h"
#include "memory_fake.h"
#include "ph_check.h"
#include "ph_mutant.h"
#include "ph_test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 2000, CHECK_FAILED = 42, HEAP_DIFFERS = 43 };

static const struct kit_kind async_kind = {"async", "async", &kit_fake_memory};

static void exit_on_failed_check(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    (void)what;
    _exit(CHECK_FAILED);
}

typedef void (*scenario)(struct kit *kit);

/** In a child: run the scenario, restart, compare. Returns the child's exit status. */
static int outcome(scenario run, enum ph_mutant mutant, bool check_against_heap)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct kit kit;
        struct snap_engine_options options = {.staging_pages = 256,
                                              .check_against_heap = check_against_heap};
        ph_set_fatal_hook(exit_on_failed_check);
        ph_active_mutant = mutant;
        kit_begin_with(&kit, &async_kind, PAGES, &options);
        run(&kit);
        int rc = kit_try_reopen(&kit);
        bool same =
            rc == 0 && memcmp(kit.memory->base, kit.committed, (size_t)PAGES * SNAP_PAGE_SIZE) == 0;
        kit_end(&kit);
        _exit(same ? 0 : HEAP_DIFFERS);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_killed(scenario run, enum ph_mutant mutant)
{
    assert_int_equal(outcome(run, PH_MUTANT_NONE, true), 0);
    assert_int_equal(outcome(run, PH_MUTANT_NONE, false), 0);
    assert_int_equal(outcome(run, mutant, true), CHECK_FAILED);
    assert_int_equal(outcome(run, mutant, false), HEAP_DIFFERS);
    print_message("mutant %s: killed\n", ph_mutant_name(mutant));
}

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
    expect_killed(refused_then_taken, PH_MUTANT_DIRTY_SET_FORGOTTEN);
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
    expect_killed(store_between_copy_and_protection, PH_MUTANT_COPY_BEFORE_PROTECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_snapshot_whose_set_is_forgotten_is_noticed),
        cmocka_unit_test(a_page_copied_before_it_is_protected_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
