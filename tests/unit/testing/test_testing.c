/* SPDX-License-Identifier: Apache-2.0
 *
 * test_testing.c - the kit for tests of other people's programs (include/phantom/testing.h),
 * through the shared library: honest programs pass, each kind of careless one is found, a seed is
 * a run.
 */
#include "ph_test.h"

#include <phantom/phantom.h>
#include <phantom/testing.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *class_folder;

/* ---- programs: two numbers that are always equal --------------------------------------------- */

struct pair {
    uint64_t left, right;
};

enum mistake { HONEST, PROMISES_EARLY, TWO_OPERATIONS, IGNORES_ERRORS };

struct twins {
    enum mistake mistake;
    uint64_t promised;
};

static struct phantom_space *open_pair(struct pair **pair)
{
    struct phantom_space_options options;
    struct phantom_space *space = NULL;
    phantom_space_options_init(&options);
    options.heap_size = 8 << 20;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    if (phantom_space_open("twins.phantom", &options, &space, NULL) != 0) {
        return NULL;
    }
    *pair = phantom_space_root(space, "pair");
    if (*pair == NULL && phantom_space_enter(space) == 0) {
        *pair = phantom_space_calloc(space, 1, sizeof(**pair));
        if (*pair != NULL && phantom_space_set_root(space, "pair", *pair) != 0) {
            *pair = NULL;
        }
        phantom_space_leave(space);
    }
    if (*pair == NULL) {
        phantom_space_abandon(space);
        return NULL;
    }
    return space;
}

static void twins_program(void *context)
{
    struct twins *twins = context;
    struct pair *pair = NULL;
    struct phantom_space *space = open_pair(&pair);
    if (space == NULL) {
        return;
    }
    for (uint64_t i = 1; i <= 3; i++) {
        if (phantom_space_enter(space) != 0) {
            break;
        }
        pair->left = i;
        if (twins->mistake == TWO_OPERATIONS) {
            phantom_space_leave(space);
            (void)phantom_space_commit(space);
            (void)phantom_space_enter(space);
        }
        pair->right = i;
        phantom_space_leave(space);
        if (twins->mistake == PROMISES_EARLY) {
            twins->promised = i;
        }
        if (phantom_space_commit(space) != 0 && twins->mistake != IGNORES_ERRORS) {
            break;
        }
        twins->promised = i;
    }
    (void)phantom_space_close(space);
}

static void twins_verify(void *context)
{
    const struct twins *twins = context;
    struct pair *pair = NULL;
    struct phantom_space *space = open_pair(&pair);
    PHANTOM_TESTING_EXPECT(space != NULL);
    PHANTOM_TESTING_EXPECT(pair->left == pair->right);
    PHANTOM_TESTING_EXPECT(pair->left >= twins->promised);
    PHANTOM_TESTING_EXPECT(phantom_space_close(space) == 0);
}

static void twins_begin(void *context)
{
    ((struct twins *)context)->promised = 0;
}

static int sweep_twins(enum mistake mistake, enum phantom_testing_event event, uint64_t first,
                       uint64_t step, struct phantom_testing_report *report)
{
    struct twins twins = {mistake, 0};
    struct phantom_testing_sweep sweep;
    phantom_testing_sweep_init(&sweep);
    sweep.program = twins_program;
    sweep.verify = twins_verify;
    sweep.begin = twins_begin;
    sweep.context = &twins;
    sweep.event = event;
    sweep.first = first;
    sweep.step = step;
    sweep.seeds = mistake == HONEST ? 1 : 4; /* a failed flush may have done its work after all */
    *report = (struct phantom_testing_report){.size = sizeof(*report)};
    return phantom_testing_sweep(&sweep, report);
}

static void must_pass(enum phantom_testing_event event, uint64_t step)
{
    struct phantom_testing_report report;
    if (sweep_twins(HONEST, event, 1, step, &report) != 0) {
        print_error("event %d: %s\n", (int)event, report.text);
        fail();
    }
    assert_true(report.points > 1 && report.runs == report.points);
    assert_string_equal(report.text, "");
}

static void an_honest_program_survives_every_event(void **state)
{
    (void)state;
    must_pass(PHANTOM_TESTING_KILL, 3);
    must_pass(PHANTOM_TESTING_POWER_CUT, 3);
    must_pass(PHANTOM_TESTING_COMMIT_CUT, 1);
    must_pass(PHANTOM_TESTING_WRITE_ERROR, 3);
    must_pass(PHANTOM_TESTING_FLUSH_ERROR, 2);
    must_pass(PHANTOM_TESTING_SHORT_WRITE, 5);
    must_pass(PHANTOM_TESTING_READ_ERROR, 4);
    must_pass(PHANTOM_TESTING_DISK_FULL, 1);
    must_pass(PHANTOM_TESTING_NO_MEMORY, 11);
}

static void careless_programs_are_found_and_the_point_repeats_it(void **state)
{
    (void)state;
    static const struct {
        enum mistake mistake;
        enum phantom_testing_event event;
        const char *what;
    } cases[] = {
        {PROMISES_EARLY, PHANTOM_TESTING_COMMIT_CUT, "pair->left >= twins->promised"},
        {TWO_OPERATIONS, PHANTOM_TESTING_COMMIT_CUT, "pair->left == pair->right"},
        {IGNORES_ERRORS, PHANTOM_TESTING_FLUSH_ERROR, "pair->left >= twins->promised"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct phantom_testing_report report, again;
        assert_int_equal(sweep_twins(cases[i].mistake, cases[i].event, 1, 1, &report), 1);
        assert_non_null(strstr(report.text, cases[i].what));
        assert_non_null(strstr(report.text, "REPRO: seed="));
        assert_int_equal(sweep_twins(cases[i].mistake, cases[i].event, report.point, 1, &again), 1);
        assert_string_equal(report.text, again.text);
        assert_int_equal(again.points, 1);
    }
}

/* ---- runs ----------------------------------------------------------------------------------- */

static struct phantom_testing_bench *bench_of(uint64_t seed)
{
    struct phantom_testing_bench *bench = NULL;
    assert_int_equal(phantom_testing_open(seed, &bench), 0);
    return bench;
}

static struct phantom_testing_run run_on(struct phantom_testing_bench *bench,
                                         void (*program)(void *), void *context)
{
    struct phantom_testing_run run;
    phantom_testing_run_init(&run);
    assert_int_equal(phantom_testing_run(bench, &run, program, context), 0);
    return run;
}

static void one_seed_is_one_log(void **state)
{
    (void)state;
    char *logs[3];
    static const uint64_t seeds[] = {7, 7, 8};
    for (int i = 0; i < 3; i++) {
        struct twins twins = {HONEST, 0};
        struct phantom_testing_bench *bench = bench_of(seeds[i]);
        assert_int_equal(run_on(bench, twins_program, &twins).end, PHANTOM_TESTING_ENDED);
        assert_int_equal(run_on(bench, twins_verify, &twins).end, PHANTOM_TESTING_ENDED);
        assert_int_equal(twins.promised, 3);
        logs[i] = strdup(phantom_testing_log(bench));
        phantom_testing_close(bench);
    }
    assert_string_equal(logs[0], logs[1]);
    assert_string_not_equal(logs[0], logs[2]);
    for (int i = 0; i < 3; i++) {
        free(logs[i]);
    }
}

static void a_store_can_be_taken_to_another_bench(void **state)
{
    (void)state;
    struct twins twins = {HONEST, 0};
    struct phantom_testing_bench *one = bench_of(1), *two = bench_of(2);
    assert_int_equal(run_on(one, twins_program, &twins).end, PHANTOM_TESTING_ENDED);
    uint64_t size = 0;
    const void *bytes = phantom_testing_file(one, "twins.phantom", &size);
    assert_non_null(bytes);
    assert_null(phantom_testing_file(two, "twins.phantom", &size));
    assert_int_equal(phantom_testing_put_file(two, "twins.phantom", bytes, size), 0);
    assert_int_equal(run_on(two, twins_verify, &twins).end, PHANTOM_TESTING_ENDED);
    twins.promised = 4; /* the look is not blind */
    struct phantom_testing_run run = run_on(two, twins_verify, &twins);
    assert_int_equal(run.end, PHANTOM_TESTING_FAILED);
    assert_non_null(strstr(run.text, "pair->left >= twins->promised"));
    phantom_testing_close(one);
    phantom_testing_close(two);
}

static void compare_program(void *context)
{
    (void)context;
    struct pair *pair = NULL;
    struct phantom_space *space = open_pair(&pair);
    struct phantom_generation generations[3];
    PHANTOM_TESTING_EXPECT(space != NULL);
    for (int i = 0; i < 3; i++) {
        PHANTOM_TESTING_EXPECT(phantom_space_enter(space) == 0);
        pair->left = pair->right = i % 2; /* the third is as the first */
        phantom_space_leave(space);
        PHANTOM_TESTING_EXPECT(phantom_space_snapshot(space, &generations[i]) == 0);
    }
    PHANTOM_TESTING_EXPECT(phantom_space_close(space) == 0);
    uint64_t pages = 99;
    const uint64_t *n[] = {&generations[0].number, &generations[1].number, &generations[2].number};
    PHANTOM_TESTING_EXPECT(phantom_testing_compare("twins.phantom", *n[0], *n[1], &pages, NULL) ==
                           1);
    PHANTOM_TESTING_EXPECT(pages == 1);
    PHANTOM_TESTING_EXPECT(phantom_testing_compare("twins.phantom", *n[0], *n[2], &pages, NULL) ==
                           0);
    PHANTOM_TESTING_EXPECT(pages == 0);
    PHANTOM_TESTING_EXPECT(phantom_testing_compare("twins.phantom", *n[0], 777, NULL, NULL) ==
                           PHANTOM_ENOTFOUND);
}

static void generations_are_compared(void **state)
{
    (void)state;
    struct phantom_testing_bench *bench = bench_of(3);
    struct phantom_testing_run run = run_on(bench, compare_program, NULL);
    assert_string_equal(run.text, "");
    assert_int_equal(run.end, PHANTOM_TESTING_ENDED);
    phantom_testing_close(bench);
}

/* ---- threads -------------------------------------------------------------------------------- */

static char first_lock, second_lock;

static void other_order(void *context)
{
    (void)context;
    phantom_testing_name("second");
    phantom_testing_lock(&second_lock);
    phantom_testing_lock(&first_lock);
    phantom_testing_unlock(&first_lock);
    phantom_testing_unlock(&second_lock);
}

static void two_orders(void *context)
{
    (void)context;
    phantom_testing_name("first");
    int thread = phantom_testing_thread(other_order, NULL);
    PHANTOM_TESTING_EXPECT(thread > 0);
    phantom_testing_lock(&first_lock);
    phantom_testing_point();
    phantom_testing_lock(&second_lock);
    phantom_testing_unlock(&second_lock);
    phantom_testing_unlock(&first_lock);
    phantom_testing_join(thread);
}

static void locks_exclude_and_a_deadlock_is_found(void **state)
{
    (void)state;
    unsigned deadlocks = 0, ends = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct phantom_testing_bench *bench = bench_of(seed);
        struct phantom_testing_run run;
        phantom_testing_run_init(&run);
        assert_int_equal(phantom_testing_run(bench, &run, two_orders, NULL), 0);
        deadlocks += run.end == PHANTOM_TESTING_DEADLOCK;
        if (run.end == PHANTOM_TESTING_DEADLOCK) {
            assert_non_null(strstr(run.text, "t1 (second) waits for lock"));
            assert_non_null(strstr(run.text, ", which t0 (first) holds"));
            assert_non_null(strstr(run.text, ", which t1 (second) holds"));
            char which[40];
            snprintf(which, sizeof(which), "[seed %u, run 1]", (unsigned)seed);
            assert_non_null(strstr(run.text, which));
        }
        ends += run.end == PHANTOM_TESTING_ENDED;
        phantom_testing_close(bench);
    }
    assert_true(deadlocks > 0 && ends > 0);
    assert_int_equal(deadlocks + ends, 60);
}

static void endless(void *context)
{
    (void)context;
    phantom_testing_name("looker");
    for (;;) {
        phantom_testing_point();
    }
}

static void a_program_that_never_ends_is_ended(void **state)
{
    (void)state;
    struct phantom_testing_bench *bench = bench_of(7);
    struct phantom_testing_run run;
    phantom_testing_run_init(&run);
    run.steps_most = 3000;
    assert_int_equal(phantom_testing_run(bench, &run, endless, NULL), 0);
    assert_int_equal(run.end, PHANTOM_TESTING_TOO_LONG);
    assert_non_null(strstr(run.text, "not ended after 3000 steps"));
    assert_non_null(strstr(run.text, "t0 (looker) runs"));
    assert_non_null(strstr(run.text, "[seed 7, run 1]"));
    phantom_testing_close(bench);
}

static void hoarder(void *context)
{
    (void)context;
    PHANTOM_TESTING_EXPECT(phantom_testing_alloc(100) != NULL);
    void *block = phantom_testing_alloc(100);
    phantom_testing_free(block);
    phantom_testing_sleep(5000);
    PHANTOM_TESTING_EXPECT(phantom_testing_random(10) < 10);
    phantom_testing_note("noted");
}

static void locks_twice(void *context)
{
    phantom_testing_lock(context);
    phantom_testing_lock(context);
}

static void unlocks_nothing(void *context)
{
    phantom_testing_unlock(context);
}

static void holds_for_a_while(void *context)
{
    phantom_testing_name("holder");
    phantom_testing_lock(context);
    phantom_testing_sleep(1000);
    phantom_testing_unlock(context);
}

static void unlocks_for_another(void *context)
{
    PHANTOM_TESTING_EXPECT(phantom_testing_thread(holds_for_a_while, context) > 0);
    phantom_testing_sleep(100);
    phantom_testing_unlock(context);
}

static void leaves_by_itself(void *context)
{
    (void)context;
    phantom_testing_name("quitter");
    pthread_exit(NULL);
}

static void mistakes_with_locks_and_threads_are_named(void **state)
{
    (void)state;
    static const struct {
        void (*program)(void *context);
        const char *text;
    } cases[] = {
        {locks_twice, "t0 (thread 0) locks what it has locked already"},
        {unlocks_nothing, "t0 (thread 0) unlocks what nobody has locked"},
        {unlocks_for_another, "t0 (thread 0) unlocks what t1 (holder) has locked"},
        {leaves_by_itself, "t0 (quitter) left by pthread_exit()"},
    };
    struct phantom_testing_bench *bench = bench_of(3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int lock = 0;
        struct phantom_testing_run run = run_on(bench, cases[i].program, &lock);
        assert_int_equal(run.end, PHANTOM_TESTING_FAILED);
        assert_non_null(strstr(run.text, cases[i].text));
    }
    phantom_testing_close(bench);
}

static void commits_often(void *context)
{
    (void)context;
    struct phantom_space *space = NULL; /* with the default size, the largest */
    PHANTOM_TESTING_EXPECT(phantom_space_open("large.phantom", NULL, &space, NULL) == 0);
    for (int i = 0; i < 6; i++) {
        PHANTOM_TESTING_EXPECT(phantom_space_enter(space) == 0);
        void *block = phantom_space_calloc(space, 1, 200);
        PHANTOM_TESTING_EXPECT(phantom_space_set_root(space, "last", block) == 0);
        phantom_space_leave(space);
        PHANTOM_TESTING_EXPECT(phantom_space_commit(space) == 0);
    }
    phantom_space_close(space);
}

/* Some seeds choose small pieces: not a hundred thousand of them for each commit. */
static void a_large_heap_takes_no_more_steps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct phantom_testing_bench *bench = bench_of(seed);
        struct phantom_testing_run run;
        phantom_testing_run_init(&run);
        run.steps_most = 100000;
        assert_int_equal(phantom_testing_run(bench, &run, commits_often, NULL), 0);
        assert_int_equal(run.end, PHANTOM_TESTING_ENDED);
        phantom_testing_close(bench);
    }
}

static void keeper(void *context)
{
    PHANTOM_TESTING_EXPECT(phantom_testing_alloc(100) != NULL);
    struct phantom_space *space = NULL;
    PHANTOM_TESTING_EXPECT(phantom_space_open("kept.phantom", NULL, &space, NULL) == 0);
    phantom_space_close(space);
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    PHANTOM_TESTING_EXPECT(phantom_store_open("kept.phantom", &store, &recovery, NULL) == 0);
    if (*(bool *)context) {
        phantom_store_close(store);
    }
}

static void a_leak_is_what_is_not_closed_and_the_line_says_how_to_see_it(void **state)
{
    (void)state;
    struct phantom_testing_sweep sweep;
    struct phantom_testing_report report = {.size = sizeof(report)};
    bool closes = true;
    phantom_testing_sweep_init(&sweep);
    sweep.program = keeper;
    sweep.context = &closes;
    sweep.seed = 5;
    sweep.event = PHANTOM_TESTING_FLUSH_ERROR;
    sweep.first = 1000000; /* it ends before */
    assert_int_equal(phantom_testing_sweep(&sweep, &report), 0);
    closes = false;
    assert_int_equal(phantom_testing_sweep(&sweep, &report), 1);
    assert_non_null(
        strstr(report.text, "blocks of the library are left: is something not closed?"));
    const char *repro = strstr(report.text, "\nREPRO: ");
    assert_non_null(repro);
    assert_string_equal(repro, "\nREPRO: seed=5 point=1000000 event=PHANTOM_TESTING_FLUSH_ERROR");
    assert_null(strstr(report.text, "[seed "));
}

static void what_is_left_is_counted_and_calls_are_checked(void **state)
{
    (void)state;
    struct phantom_testing_bench *bench = bench_of(1);
    struct phantom_testing_run run = run_on(bench, hoarder, NULL);
    assert_int_equal(run.end, PHANTOM_TESTING_ENDED);
    assert_int_equal(run.leaked, 0); /* what is the program's own it may leave behind */
    assert_int_equal(run.threads, 1);
    assert_non_null(strstr(phantom_testing_log(bench), "noted"));
    run.size = 3;
    assert_int_equal(phantom_testing_run(bench, &run, hoarder, NULL), PHANTOM_EINVALID);
    phantom_testing_run_init(&run);
    run.event = PHANTOM_TESTING_KILL;
    assert_int_equal(phantom_testing_run(bench, &run, hoarder, NULL), PHANTOM_EINVALID);
    assert_string_equal(run.text, "an event needs a point: run.at is 0");
    struct phantom_testing_report report = {.size = sizeof(report)};
    struct phantom_testing_sweep sweep;
    phantom_testing_sweep_init(&sweep);
    assert_int_equal(phantom_testing_sweep(&sweep, &report), PHANTOM_EINVALID);
    assert_string_equal(report.text, "sweep: there is no program");
    sweep.program = hoarder;
    sweep.step = 0;
    assert_int_equal(phantom_testing_sweep(&sweep, &report), PHANTOM_EINVALID);
    assert_string_equal(report.text, "sweep: first or step is 0");
    phantom_testing_close(bench);
}

/* ---- a Phantom program ------------------------------------------------------------------------
 */

struct printed {
    char text[4096];
    size_t size;
    bool ended, said_so;
};

static void console(void *context, const char *bytes, size_t size)
{
    struct printed *printed = context;
    PHANTOM_TESTING_EXPECT(printed->size + size < sizeof(printed->text));
    memcpy(printed->text + printed->size, bytes, size);
    printed->size += size;
    printed->said_so =
        printed->size >= 4 && memcmp(printed->text + printed->size - 4, "end\n", 4) == 0;
}

static void world_program(void *context)
{
    struct printed *printed = context;
    struct phantom_options options;
    struct phantom_world *world = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_options_init(&options);
    options.boot_class = ".test.sim.mill";
    options.class_paths = (const char *const[]){class_folder, NULL};
    options.heap_size = 64 << 20;
    options.interval_ms = 2;
    options.workers = 2;
    options.console = console;
    options.context = printed;
    if (phantom_open("mill.phantom", &options, &world, &diag) != 0) {
        phantom_testing_fail("%s", diag.text);
    }
    PHANTOM_TESTING_EXPECT(phantom_run(world) == 0);
    PHANTOM_TESTING_EXPECT(phantom_close(world) == 0);
    printed->ended = true;
}

static void a_world_ends_rightly_after_a_power_cut(void **state)
{
    (void)state;
    struct phantom_testing_bench *bench = bench_of(5);
    struct phantom_testing_run run;
    struct printed printed = {{0}, 0, false, false};
    unsigned crashes = 0;
    for (uint64_t at = 22; !printed.ended; at += 5) {
        phantom_testing_run_init(&run);
        run.event = PHANTOM_TESTING_POWER_CUT;
        run.at = at;
        printed.size = 0;
        assert_int_equal(phantom_testing_run(bench, &run, world_program, &printed), 0);
        assert_string_equal(run.text, "");
        crashes += run.end == PHANTOM_TESTING_CRASHED;
    }
    assert_true(crashes > 0);
    assert_true(printed.said_so); /* perhaps in the life before, which was killed while it closed */
    phantom_testing_close(bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_program_survives_every_event),
        cmocka_unit_test(careless_programs_are_found_and_the_point_repeats_it),
        cmocka_unit_test(one_seed_is_one_log),
        cmocka_unit_test(a_store_can_be_taken_to_another_bench),
        cmocka_unit_test(generations_are_compared),
        cmocka_unit_test(locks_exclude_and_a_deadlock_is_found),
        cmocka_unit_test(a_program_that_never_ends_is_ended),
        cmocka_unit_test(what_is_left_is_counted_and_calls_are_checked),
        cmocka_unit_test(mistakes_with_locks_and_threads_are_named),
        cmocka_unit_test(a_large_heap_takes_no_more_steps),
        cmocka_unit_test(a_leak_is_what_is_not_closed_and_the_line_says_how_to_see_it),
        cmocka_unit_test(a_world_ends_rightly_after_a_power_cut),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: test_testing CLASSES\n");
        return 2;
    }
    class_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
