/* SPDX-License-Identifier: Apache-2.0
 *
 * cmocka_on_sim.h - cmocka's names for tests of the port's library that are compiled once more for
 * the simulated machine (force-included): the same source, each test a case of on_machine.h, the
 * fixture of the group around each.
 */
#ifndef CMOCKA_ON_SIM_H
#define CMOCKA_ON_SIM_H

#include "on_machine.h"

extern const struct machine_hooks port_hooks; /* port_fixture.h */

static int (*group_setup)(void **state), (*group_teardown)(void **state);
static void *group_state;

static inline void group_begin(void)
{
    port_hooks.begin();
    assert_true(group_setup == NULL || group_setup(&group_state) == 0);
}

static inline void group_end(void)
{
    assert_true(group_teardown == NULL || group_teardown(&group_state) == 0);
    port_hooks.end();
}

static inline int run_group(const struct machine_case *cases, size_t count,
                            int (*setup)(void **state), int (*teardown)(void **state))
{
    static const struct machine_hooks hooks = {group_begin, group_end};
    group_setup = setup;
    group_teardown = teardown;
    return machine_main(cases, count, &hooks);
}

#ifndef FEW_SEEDS
#define FEW_SEEDS 3 /* most of these tests have one thread */
#endif

#undef cmocka_unit_test
#undef cmocka_unit_test_setup
#undef cmocka_unit_test_setup_teardown
#undef cmocka_run_group_tests
#define CMUnitTest machine_case
#define cmocka_unit_test_setup_teardown(test, before, after)                                       \
    {                                                                                              \
#test, (test), (before), (after), NULL, FEW_SEEDS                                          \
    }
#define cmocka_unit_test(test)               cmocka_unit_test_setup_teardown(test, NULL, NULL)
#define cmocka_unit_test_setup(test, before) cmocka_unit_test_setup_teardown(test, before, NULL)
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    run_group(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#endif /* CMOCKA_ON_SIM_H */
