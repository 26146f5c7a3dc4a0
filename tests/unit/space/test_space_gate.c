/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_gate.c - operations and stops: nobody is inside at a cut, nobody is forgotten, and a
 * stop that cannot be had leaves everybody running.
 */
#include "ph_test.h"

#include "space_gate.h"
#include "space_scenarios.h"

#include <phantom/error.h>

#include <pthread.h>

enum { PATIENCE_MS = 60000, STOPS = 300 };

static void no_operation_is_cut_sixteen_threads(void **state)
{
    (void)state;
    assert_true(scenario_no_operation_is_cut(16, STOPS, true));
    assert_true(scenario_no_operation_is_cut(16, STOPS, false)); /* without membarrier */
}

static void a_stop_ends_when_the_last_operation_ends(void **state)
{
    (void)state;
    assert_true(scenario_stop_ends_when_the_last_operation_ends(PATIENCE_MS, true));
    assert_true(scenario_stop_ends_when_the_last_operation_ends(PATIENCE_MS, false));
}

static void *try_to_stop(void *argument)
{
    struct space_gate *gate = argument;
    int rc = space_gate_stop(gate, 20);
    if (rc == 0) {
        space_gate_resume(gate);
    }
    return (void *)(intptr_t)rc;
}

static intptr_t stop_elsewhere(struct space_gate *gate)
{
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, try_to_stop, gate), 0);
    pthread_join(thread, &result);
    return (intptr_t)result;
}

static void a_stop_that_is_refused_leaves_the_gate_open(void **state)
{
    (void)state;
    struct space_gate gate;
    struct space_gate_slot slot = {0};
    assert_int_equal(space_gate_init(&gate), 0);
    space_gate_add(&gate, &slot);
    space_gate_enter(&gate, &slot);
    space_gate_enter(&gate, &slot);
    assert_int_equal(stop_elsewhere(&gate), PHANTOM_ETIMEOUT);
    space_gate_leave(&gate, &slot);
    assert_int_equal(stop_elsewhere(&gate), PHANTOM_ETIMEOUT); /* one enter is still open */
    assert_true(space_gate_occupied(&gate));
    space_gate_leave(&gate, &slot);
    assert_false(space_gate_occupied(&gate));
    assert_int_equal(stop_elsewhere(&gate), 0);
    space_gate_enter(&gate, &slot); /* does not sleep */
    space_gate_leave(&gate, &slot);
    assert_int_equal(space_gate_operations(&gate), 2);
    space_gate_remove(&gate, &slot);
    assert_int_equal(space_gate_operations(&gate), 2);
    space_gate_finish(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_operation_is_cut_sixteen_threads),
        cmocka_unit_test(a_stop_ends_when_the_last_operation_ends),
        cmocka_unit_test(a_stop_that_is_refused_leaves_the_gate_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
