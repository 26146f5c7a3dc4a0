/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_mutants.c - the seeded defects of the room, each caught by the scenario that passes
 * without it (test_space_gate.c, test_space_group.c, test_space_alloc.c).
 */
#include "ph_killed.h"

#include "space_scenarios.h"

enum { PATIENCE_MS = 60000, SHORT_MS = 300 };

static int repair(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_NONE;
    return 0;
}

static void without_a_mutant_all_is_well(void **state)
{
    (void)state;
    assert_true(scenario_stop_ends_when_the_last_operation_ends(PATIENCE_MS, true));
    assert_true(scenario_no_operation_is_cut(4, 100, true));
    assert_true(scenario_who_asks_after_the_cut_is_not_told_too_early(PATIENCE_MS));
    assert_true(scenario_who_comes_during_a_commit_gets_a_leader(PATIENCE_MS));
    assert_true(scenario_the_end_waits_for_who_waits(20));
    assert_true(scenario_cached_slots_are_free_after_a_restart());
}

static void a_leaver_that_does_not_wake_is_caught(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_GATE_WAKE_LOST;
    assert_false(scenario_stop_ends_when_the_last_operation_ends(SHORT_MS, true));
    ph_mutant_killed(PH_MUTANT_GATE_WAKE_LOST);
}

static void an_operation_that_begins_in_a_stop_is_caught(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_GATE_ENTERED_STOPPED;
    assert_false(scenario_no_operation_is_cut(4, 20000, true));
    ph_mutant_killed(PH_MUTANT_GATE_ENTERED_STOPPED);
}

static void an_acknowledgement_with_an_older_cut_is_caught(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_GROUP_CLOSED_LATE;
    assert_false(scenario_who_asks_after_the_cut_is_not_told_too_early(PATIENCE_MS));
    ph_mutant_killed(PH_MUTANT_GROUP_CLOSED_LATE);
}

static void a_group_without_a_leader_is_caught(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_GROUP_WAKE_LOST;
    assert_false(scenario_who_comes_during_a_commit_gets_a_leader(SHORT_MS));
    ph_mutant_killed(PH_MUTANT_GROUP_WAKE_LOST);
}

static void an_end_that_waits_for_nobody_is_caught(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_GROUP_END_EARLY;
    assert_false(scenario_the_end_waits_for_who_waits(PATIENCE_MS));
    ph_mutant_killed(PH_MUTANT_GROUP_END_EARLY);
}

static void a_cache_that_is_stored_is_caught(void **state)
{
    (void)state;
    ph_active_mutant = PH_MUTANT_CACHED_SLOTS_COUNTED;
    assert_false(scenario_cached_slots_are_free_after_a_restart());
    ph_mutant_killed(PH_MUTANT_CACHED_SLOTS_COUNTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_a_mutant_all_is_well, repair),
        cmocka_unit_test_teardown(a_leaver_that_does_not_wake_is_caught, repair),
        cmocka_unit_test_teardown(an_operation_that_begins_in_a_stop_is_caught, repair),
        cmocka_unit_test_teardown(an_acknowledgement_with_an_older_cut_is_caught, repair),
        cmocka_unit_test_teardown(a_group_without_a_leader_is_caught, repair),
        cmocka_unit_test_teardown(an_end_that_waits_for_nobody_is_caught, repair),
        cmocka_unit_test_teardown(a_cache_that_is_stored_is_caught, repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
