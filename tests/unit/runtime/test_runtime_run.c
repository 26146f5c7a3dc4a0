/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_run.c - run, step, stop and close; what ends a run and what survives it.
 * Usage: see kit_begin(); the third argument is the source of the test classes.
 */
#include "world_kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static const char *source_path;

static int setup(void **state)
{
    struct kit_log *log = calloc(1, sizeof(*log));
    kit_log_init(log);
    *state = log;
    return 0;
}

static int teardown(void **state)
{
    struct kit_log *log = *state;
    kit_log_finish(log);
    free(log);
    kit_clean();
    return 0;
}

/** The console of one uninterrupted life; the caller frees it. */
static char *uninterrupted(const char *boot_class)
{
    struct kit_log log;
    kit_log_init(&log);
    struct phantom_options options = kit_options(&log, boot_class);
    kit_run_to_end("whole.phantom", &options, 0);
    char *text = strdup(log.console);
    assert_non_null(text);
    assert_true(strlen(text) > 0);
    kit_log_finish(&log);
    return text;
}

/** Slices of random length, most of them followed by close and open. Returns the lives lived. */
static unsigned live_in_slices(struct kit_log *log, const char *boot_class, uint64_t longest)
{
    struct phantom_options options = kit_options(log, boot_class);
    struct phantom_world *world = kit_open("sliced.phantom", &options);
    unsigned lives = 1;
    for (;;) {
        int result = phantom_step(world, 1 + kit_random(longest));
        if (result == 0) {
            break;
        }
        kit_assert_result(result, PHANTOM_ETIMEOUT);
        if (kit_random(4) != 0) {
            kit_assert_result(phantom_close(world), 0);
            options.workers = 1 + (unsigned)kit_random(4);
            options.strategy = kit_random(4) == 0 ? "full" : NULL;
            world = kit_open("sliced.phantom", &options);
            lives++;
        }
    }
    kit_assert_result(phantom_run(world), 0); /* the end stays the end */
    kit_assert_result(phantom_close(world), 0);
    kit_run_to_end("sliced.phantom", &options, 0);
    return lives;
}

static void check_slices(struct kit_log *log, const char *boot_class, uint64_t longest)
{
    char *expected = uninterrupted(boot_class);
    unsigned lives = live_in_slices(log, boot_class, longest);
    assert_string_equal(log->console, expected);
    assert_true(lives > 3);
    assert_true(log->numbers_increased);
    assert_int_equal(log->failures, 0);
    free(expected);
    kit_verify("sliced.phantom");
}

static void queens_in_slices_print_what_one_life_prints(void **state)
{
    if (PH_UNDER_ASAN || PH_UNDER_TSAN) {
        print_message("queens: left out under sanitizers: one thread, and too slow there\n");
        return;
    }
    check_slices(*state, ".examples.queens", 40 * 1000 * 1000);
}

static void a_sum_in_slices_prints_what_one_life_prints(void **state)
{
    check_slices(*state, ".test.runtime.sum", 100 * 1000);
}

static void threads_that_wait_for_each_other_go_on_in_the_next_life(void **state)
{
    check_slices(*state, ".test.runtime.parallel", 20 * 1000);
}

static void a_world_stopped_at_random_loses_nothing(void **state)
{
    struct kit_log *log = *state;
    char *expected = uninterrupted(".test.runtime.counter");
    struct phantom_options options = kit_options(log, ".test.runtime.counter");
    options.interval_ms = 3;
    size_t limit = 0, whole = strlen(expected);
    int result = PHANTOM_ESTOPPED;
    while (result == PHANTOM_ESTOPPED) {
        struct phantom_world *world = kit_open("a.phantom", &options);
        limit += 1 + kit_random(whole / 8);
        atomic_store(&log->stop_at_console, limit);
        atomic_store(&log->stopped, world);
        result = phantom_run(world);
        atomic_store(&log->stopped, NULL);
        kit_assert_result(phantom_close(world), 0);
    }
    kit_assert_result(result, 0);
    assert_string_equal(log->console, expected);
    free(expected);
}

static void a_thread_stops_a_run_and_it_runs_again(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.spinner");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    for (int i = 0; i < 5; i++) {
        kit_runner_start(&runner, world);
        kit_sleep_ms((unsigned)kit_random(20));
        phantom_stop(world);
        phantom_stop(world);
        kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    }
    kit_assert_result(phantom_step(world, 1000), PHANTOM_ETIMEOUT); /* two stops, one return */
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
}

static void a_stop_before_the_run_is_not_forgotten(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    phantom_stop(world);
    kit_assert_result(phantom_run(world), PHANTOM_ESTOPPED);
    assert_true(strlen(phantom_message(world)) > 0);
    kit_assert_result(phantom_run(world), 0);
    assert_string_equal(phantom_message(world), "");
    kit_assert_result(phantom_close(world), 0);
}

static struct phantom_world *volatile world_of_signal;

static void on_signal(int number)
{
    (void)number;
    phantom_stop(world_of_signal);
}

static void a_signal_handler_stops_busy_and_sleeping_worlds(void **state)
{
    static const char *const programs[] = {".test.runtime.spinner", ".test.runtime.sleeper"};
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    for (int i = 0; i < 2; i++) {
        struct phantom_options options = kit_options(*state, programs[i]);
        struct phantom_world *world = kit_open("a.phantom", &options);
        world_of_signal = world;
        struct itimerval timer = {.it_value = {.tv_usec = 30000}};
        assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
        kit_assert_result(phantom_run(world), PHANTOM_ESTOPPED);
        kit_assert_result(phantom_close(world), 0);
        kit_clean();
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void a_running_world_refuses_a_second_run(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    options.interval_ms = 5;
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    struct phantom_generation generation;
    kit_runner_start(&runner, world);
    while (atomic_load(&log->commits) < 2) { /* the first was the birth */
        kit_sleep_ms(1);
    }
    kit_assert_result(phantom_step(world, 1000), PHANTOM_EINVALID);
    assert_non_null(strstr(phantom_message(world), "running"));
    kit_assert_result(phantom_run(world), PHANTOM_EINVALID);
    kit_assert_result(phantom_snapshot(world, &generation), 0);
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    kit_assert_result(phantom_close(world), 0);
}

/** The line of the source with this text in it. */
static unsigned line_of(const char *text)
{
    char line[512];
    FILE *file = fopen(source_path, "r");
    assert_non_null(file);
    unsigned number = 1;
    while (fgets(line, sizeof(line), file) != NULL && strstr(line, text) == NULL) {
        number++;
    }
    fclose(file);
    return number;
}

static void a_failure_names_its_place_and_is_remembered(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.failing");
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_run(world), PHANTOM_EPROGRAM);
    assert_true(strlen(phantom_message(world)) > 0);
    assert_string_equal(log->console, "went on\n"); /* the other thread did not notice */
    assert_int_equal(log->failures, 1);
    char line[32];
    snprintf(line, sizeof(line), "line %u ", line_of("// fails here"));
    assert_non_null(strstr(log->failure, "boom"));
    assert_non_null(strstr(log->failure, ".test.runtime.bomb"));
    assert_non_null(strstr(log->failure, "burst"));
    assert_non_null(strstr(log->failure, "run"));
    if (strstr(log->failure, line) == NULL) {
        print_error("no '%s' in: %s\n", line, log->failure);
        fail();
    }
    kit_assert_result(phantom_close(world), 0);
    for (int life = 0; life < 2; life++) {
        kit_run_to_end("a.phantom", &options, PHANTOM_EPROGRAM);
    }
    assert_int_equal(log->failures, 1); /* told once, not in every life */
    assert_string_equal(log->console, "went on\n");
}

static void a_deadlock_is_an_error_not_a_hang(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.deadlock");
    for (int life = 0; life < 2; life++) {
        struct phantom_world *world = kit_open("a.phantom", &options);
        kit_assert_result(phantom_run(world), PHANTOM_EINVALID);
        assert_non_null(strstr(phantom_message(world), "deadlock"));
        kit_assert_result(phantom_step(world, 1000), PHANTOM_EINVALID);
        kit_assert_result(phantom_close(world), 0);
    }
    assert_string_equal(log->console, "waiting\n");
}

static void a_stack_quota_throws(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.deep");
    options.max_stack_bytes = 256 * 1024;
    kit_run_to_end("a.phantom", &options, 0);
    assert_string_equal(log->console, "caught stack overflow\n");
}

static void a_thread_quota_throws(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.crowd");
    options.max_threads = 10; /* with the one that starts the others */
    options.workers = 1;
    kit_run_to_end("a.phantom", &options, 0);
    assert_string_equal(log->console, "9 then too many threads\n");
}

static void a_heap_that_was_full_is_usable_again(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.refiller");
    options.heap_size = UINT64_C(64) << 20;
    options.check_snapshots = false;
    kit_run_to_end("a.phantom", &options, 0);
    assert_string_equal(log->console, "refilled\n");
}

static void an_instruction_quota_ends_one_opening_only(void **state)
{
    struct kit_log *log = *state;
    char *expected = uninterrupted(".test.runtime.sum");
    struct phantom_options options = kit_options(log, ".test.runtime.sum");
    options.max_instructions = 400 * 1000;
    unsigned lives = 0;
    int result = PHANTOM_EQUOTA;
    while (result == PHANTOM_EQUOTA) {
        struct phantom_world *world = kit_open("a.phantom", &options);
        result = phantom_run(world);
        if (result == PHANTOM_EQUOTA) {
            assert_true(strlen(phantom_message(world)) > 0);
            kit_assert_result(phantom_run(world), PHANTOM_EQUOTA); /* it stays used up */
        }
        kit_assert_result(phantom_close(world), 0);
        lives++;
    }
    kit_assert_result(result, 0);
    assert_true(lives > 1 && lives < 100);
    assert_string_equal(log->console, expected);
    free(expected);
}

static void the_console_gets_the_bytes_as_they_are(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.speaker");
    kit_run_to_end("a.phantom", &options, 0);
    static const char expected[] = "a\0b\xff\n-7";
    assert_int_equal(log->console_size, sizeof(expected) - 1);
    assert_memory_equal(log->console, expected, sizeof(expected) - 1);
}

static void a_world_without_callbacks_runs(void **state)
{
    static const char *const programs[] = {".test.runtime.speaker", ".test.runtime.failing"};
    static const int results[] = {0, PHANTOM_EPROGRAM};
    for (int i = 0; i < 2; i++) {
        struct phantom_options options = kit_options(*state, programs[i]);
        options.console = NULL;
        options.message = NULL;
        options.committed = NULL;
        options.thread_failed = NULL;
        kit_run_to_end("a.phantom", &options, results[i]);
        kit_clean();
    }
}

static void steps_of_no_instructions_do_no_harm(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    for (int i = 0; i < 20; i++) {
        kit_assert_result(phantom_step(world, 0), PHANTOM_ETIMEOUT);
    }
    assert_int_equal(log->console_size, 0);
    kit_assert_result(phantom_step(world, UINT64_MAX), 0);
    kit_assert_result(phantom_close(world), 0);
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
    source_path = argc > 3 ? argv[3] : "programs.ph";
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(queens_in_slices_print_what_one_life_prints),
        CASE(a_sum_in_slices_prints_what_one_life_prints),
        CASE(threads_that_wait_for_each_other_go_on_in_the_next_life),
        CASE(a_world_stopped_at_random_loses_nothing),
        CASE(a_thread_stops_a_run_and_it_runs_again),
        CASE(a_stop_before_the_run_is_not_forgotten),
        CASE(a_signal_handler_stops_busy_and_sleeping_worlds),
        CASE(a_running_world_refuses_a_second_run),
        CASE(a_failure_names_its_place_and_is_remembered),
        CASE(a_deadlock_is_an_error_not_a_hang),
        CASE(a_stack_quota_throws),
        CASE(a_thread_quota_throws),
        CASE(a_heap_that_was_full_is_usable_again),
        CASE(an_instruction_quota_ends_one_opening_only),
        CASE(the_console_gets_the_bytes_as_they_are),
        CASE(a_world_without_callbacks_runs),
        CASE(steps_of_no_instructions_do_no_harm),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
