/* SPDX-License-Identifier: Apache-2.0
 *
 * test_crash_detectors.c - the store against a failing disk, failing memory and foreign blocks, as
 * tests with names. The same detectors must see the seeded defects (crash_mutants.c).
 */
#include "ph_test.h"

#include "crash_mutants.h"

static void detect(crash_detector detector)
{
    char why[1500] = "";
    struct crash_budget budget = {.seed = ph_rng_seed_from_environment(1)};
    bool clean = detector(&budget, why, sizeof(why));
    print_message("%s\n", why);
    if (!clean) {
        fail_msg("seed %llu: %s", (unsigned long long)budget.seed, why);
    }
}

static void every_failing_operation_and_allocation_leaves_a_good_store(void **state)
{
    (void)state;
    detect(crash_errors_detect);
}

static void whole_blocks_in_the_wrong_place_are_never_believed(void **state)
{
    (void)state;
    detect(crash_foreign_detect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_operation_and_allocation_leaves_a_good_store),
        cmocka_unit_test(whole_blocks_in_the_wrong_place_are_never_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
