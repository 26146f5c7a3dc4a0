/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_poisoned.c - a disk that fails under a running world. fdatasync() is taken away by a
 * seccomp filter in the threads that hold the world; exits 77 where filters are not allowed.
 * Usage: kit_begin().
 */
#include "world_kit.h"

#include "deny_syscalls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A life that ends with a failing disk; the filter stays with its threads. */
struct life {
    bool periodic;
    struct kit_log log;
    uint64_t last_good;
    int denied, run, run_again, snapshot, closed;
    bool said_why;
};

static void *ask(void *argument)
{
    phantom_snapshot(argument, NULL); /* fails, and thereby ends the run */
    return NULL;
}

static void *live(void *argument)
{
    struct life *life = argument;
    struct phantom_options options = kit_options(&life->log, ".test.runtime.spinner");
    options.interval_ms = life->periodic ? 5 : PHANTOM_NO_INTERVAL;
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 10000), PHANTOM_ETIMEOUT);
    struct phantom_generation generation;
    kit_assert_result(phantom_snapshot(world, &generation), 0);
    life->last_good = generation.number;
    life->denied = deny_syscalls("fdatasync=EIO");
    pthread_t asking;
    if (!life->periodic) {
        assert_int_equal(pthread_create(&asking, NULL, ask, world), 0);
    }
    life->run = phantom_run(world);
    if (!life->periodic) {
        assert_int_equal(pthread_join(asking, NULL), 0);
    }
    life->said_why = strlen(phantom_message(world)) > 0;
    life->run_again = phantom_run(world);
    life->snapshot = phantom_snapshot(world, NULL);
    life->closed = phantom_close(world);
    return NULL;
}

static void check_failing_disk(bool periodic)
{
    struct life life = {.periodic = periodic};
    kit_log_init(&life.log);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, live, &life), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    kit_assert_result(life.denied, 0);
    kit_assert_result(life.run, PHANTOM_EPOISONED);
    kit_assert_result(life.run_again, PHANTOM_EPOISONED);
    kit_assert_result(life.snapshot, PHANTOM_EPOISONED);
    kit_assert_result(life.closed, PHANTOM_EPOISONED);
    assert_true(life.said_why);
    assert_true(life.log.messages > 0);

    /* The file is whole: this thread's disk works. What was not flushed may or may not be there. */
    struct phantom_options options = kit_options(&life.log, ".test.runtime.spinner");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct phantom_recovery recovery;
    phantom_recovered(world, &recovery);
    assert_true(recovery.opened >= life.last_good);
    kit_assert_result(phantom_step(world, 10000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
    kit_log_finish(&life.log);
    kit_clean();
}

static void a_failed_periodic_snapshot_stops_the_run(void **state)
{
    (void)state;
    check_failing_disk(true);
}

static void a_failed_snapshot_on_request_stops_the_run(void **state)
{
    (void)state;
    check_failing_disk(false);
}

static void *try_filter(void *argument)
{
    *(int *)argument = deny_syscalls("getrandom=ENOSYS");
    return NULL;
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
    pthread_t thread;
    int denied = -1;
    if (pthread_create(&thread, NULL, try_filter, &denied) != 0 ||
        pthread_join(thread, NULL) != 0 || denied != 0) {
        printf("SKIPPED: seccomp filters are not allowed here: %s\n", phantom_strerror(denied));
        kit_end(0);
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_periodic_snapshot_stops_the_run),
        cmocka_unit_test(a_failed_snapshot_on_request_stops_the_run),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
