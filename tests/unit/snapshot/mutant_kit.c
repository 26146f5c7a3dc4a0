/* SPDX-License-Identifier: Apache-2.0
 *
 * mutant_kit.c - see mutant_kit.h.
 */
#include "mutant_kit.h"

#include "ph_check.h"
#include "ph_test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void exit_on_failed_check(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    (void)what;
    _exit(MUTANT_CHECK_FAILED);
}

int mutant_outcome(const struct kit_kind *kind, mutant_scenario run, enum ph_mutant mutant,
                   bool check_against_heap)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct kit kit;
        struct snap_engine_options options = {.staging_pages = 256,
                                              .check_against_heap = check_against_heap};
        ph_set_fatal_hook(exit_on_failed_check);
        ph_active_mutant = mutant;
        kit_begin_with(&kit, kind, MUTANT_PAGES, &options);
        run(&kit);
        int rc = kit_try_reopen(&kit);
        bool same = rc == 0 && memcmp(kit.memory->base, kit.committed,
                                      (size_t)MUTANT_PAGES * SNAP_PAGE_SIZE) == 0;
        kit_end(&kit);
        _exit(same ? 0 : MUTANT_HEAP_DIFFERS);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void mutant_expect_killed(const struct kit_kind *kind, mutant_scenario run, enum ph_mutant mutant)
{
    assert_int_equal(mutant_outcome(kind, run, PH_MUTANT_NONE, true), 0);
    assert_int_equal(mutant_outcome(kind, run, PH_MUTANT_NONE, false), 0);
    assert_int_equal(mutant_outcome(kind, run, mutant, true), MUTANT_CHECK_FAILED);
    assert_int_equal(mutant_outcome(kind, run, mutant, false), MUTANT_HEAP_DIFFERS);
    print_message("mutant %s: killed over %s\n", ph_mutant_name(mutant), kind->name);
}
