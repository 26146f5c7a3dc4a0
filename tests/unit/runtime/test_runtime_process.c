/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_process.c - two worlds in one process, one world and two processes. Usage:
 * kit_begin().
 */
#include "world_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int teardown(void **state)
{
    (void)state;
    kit_clean();
    return 0;
}

static void two_worlds_run_at_the_same_time_and_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"a.phantom", "b.phantom"};
    static const char *const programs[] = {".test.runtime.sum", ".test.runtime.parallel"};
    struct kit_log logs[2], alone[2];
    struct phantom_options options[2];
    for (int i = 0; i < 2; i++) {
        kit_log_init(&logs[i]);
        kit_log_init(&alone[i]);
        options[i] = kit_options(&alone[i], programs[i]);
        kit_run_to_end("alone.phantom", &options[i], 0);
        kit_clean();
        options[i] = kit_options(&logs[i], programs[i]);
        options[i].interval_ms = 2;
    }
    for (int life = 0; life < 3; life++) {
        struct phantom_world *worlds[2];
        struct kit_runner runners[2];
        for (int i = 0; i < 2; i++) { /* in the second life the other one comes first */
            int k = (i + life) % 2;
            worlds[k] = kit_open(names[k], &options[k]);
        }
        for (int i = 0; i < 2; i++) {
            if (life < 2) {
                kit_assert_result(phantom_step(worlds[i], 20000), PHANTOM_ETIMEOUT);
            } else {
                kit_runner_start(&runners[i], worlds[i]);
            }
        }
        for (int i = 0; i < 2; i++) {
            kit_assert_result(life < 2 ? 0 : kit_runner_join(&runners[i]), 0);
            kit_assert_result(phantom_close(worlds[i]), 0);
        }
    }
    for (int i = 0; i < 2; i++) {
        assert_string_equal(logs[i].console, alone[i].console);
        assert_true(logs[i].numbers_increased);
        kit_verify(names[i]);
        kit_log_finish(&logs[i]);
        kit_log_finish(&alone[i]);
    }
}

/** In the child: every call on the parent's world says what is wrong. Returns an exit status. */
static int child_of_fork(struct phantom_world *world)
{
    struct phantom_generation generation;
    struct phantom_store *store = NULL;
    struct phantom_world *other = NULL;
    if (phantom_run(world) != PHANTOM_EFORKED) {
        return 1;
    }
    if (phantom_step(world, 1000) != PHANTOM_EFORKED) {
        return 2;
    }
    if (phantom_snapshot(world, &generation) != PHANTOM_EFORKED) {
        return 3;
    }
    phantom_stop(world);
    if (phantom_open(kit_path("a.phantom"), NULL, &other, NULL) != PHANTOM_EBUSY) {
        return 4;
    }
    if (phantom_store_open(kit_path("a.phantom"), &store, NULL, NULL) != 0 ||
        phantom_store_verify(store, false, NULL, NULL, NULL, NULL) != 0) {
        return 5;
    }
    phantom_store_close(store);
    phantom_abandon(world);
    if (phantom_close(world) != PHANTOM_EFORKED) {
        return 6;
    }
    return 0;
}

static void expect_status(pid_t child, int expected)
{
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void a_child_is_refused_and_the_parent_goes_on(void **state)
{
    (void)state;
    struct kit_log log;
    kit_log_init(&log);
    struct phantom_options options = kit_options(&log, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    for (int i = 0; i < 2; i++) {
        kit_assert_result(phantom_step(world, 20000), PHANTOM_ETIMEOUT);
        pid_t child = fork();
        if (child == 0) {
            _exit(child_of_fork(world));
        }
        expect_status(child, 0);
    }
    kit_assert_result(phantom_run(world), 0);
    assert_non_null(strstr(log.console, "total "));
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
    kit_log_finish(&log);
}

static void forks_in_the_middle_of_a_run_do_no_harm(void **state)
{
    (void)state;
    struct kit_log log;
    kit_log_init(&log);
    struct phantom_options options = kit_options(&log, ".test.runtime.spinner");
    options.interval_ms = 2;
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    kit_runner_start(&runner, world);
    for (int i = 0; i < 8; i++) {
        kit_sleep_ms((unsigned)kit_random(8));
        pid_t child = fork();
        if (child == 0) {
            /* Locks of the other threads may be held for ever in here: only what must not block. */
            phantom_stop(world);
            _exit(phantom_run(world) != PHANTOM_EFORKED ||
                  phantom_step(world, 1) != PHANTOM_EFORKED ||
                  phantom_snapshot(world, NULL) != PHANTOM_EFORKED ||
                  phantom_close(world) != PHANTOM_EFORKED);
        }
        expect_status(child, 0);
        kit_assert_result(phantom_snapshot(world, NULL), 0);
    }
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
    kit_log_finish(&log);
}

static void a_child_does_not_keep_the_store_locked(void **state)
{
    (void)state;
    struct kit_log log;
    kit_log_init(&log);
    struct phantom_options options = kit_options(&log, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    int hold[2];
    assert_int_equal(pipe(hold), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0); /* until the parent closes its end */
    }
    kit_assert_result(phantom_close(world), 0);
    kit_run_to_end("a.phantom", &options, 0); /* while the child lives */
    close(hold[0]);
    close(hold[1]);
    expect_status(child, 0);
    kit_log_finish(&log);
}

static void a_child_may_have_a_world_of_its_own(void **state)
{
    (void)state;
    if (PH_UNDER_ASAN || PH_UNDER_TSAN) {
        skip(); /* their allocators can be locked for ever in a child of a process with threads */
    }
    struct kit_log log;
    kit_log_init(&log);
    struct phantom_options options = kit_options(&log, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 20000), PHANTOM_ETIMEOUT);
    pid_t child = fork();
    if (child == 0) {
        struct phantom_world *own = NULL;
        int result = phantom_open(kit_path("b.phantom"), &options, &own, NULL);
        result = result == 0 ? phantom_run(own) : result;
        result = result == 0 ? phantom_close(own) : result;
        _exit(result != 0 || strstr(log.console, "total ") == NULL);
    }
    expect_status(child, 0);
    assert_null(strstr(log.console, "total "));
    kit_assert_result(phantom_run(world), 0);
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
    kit_verify("b.phantom");
    kit_log_finish(&log);
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
#define CASE(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        CASE(two_worlds_run_at_the_same_time_and_come_back),
        CASE(a_child_is_refused_and_the_parent_goes_on),
        CASE(forks_in_the_middle_of_a_run_do_no_harm),
        CASE(a_child_does_not_keep_the_store_locked),
        CASE(a_child_may_have_a_world_of_its_own),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
