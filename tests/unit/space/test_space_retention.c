/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_retention.c - which generations the retain_* members of struct phantom_space_options
 * keep. The program runs on the simulated machine, so that days are milliseconds; what is kept is
 * held against the list of all commits, told by the space itself.
 *
 * A member of a stretch of time that lies across the border between two rules is held to neither.
 */
#include "ph_test.h"

#include <phantom/phantom.h>
#include <phantom/testing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024, PAGES = 16, PAGE = 4096, NEWEST = 32 /* stay whatever the times say */ };
static const int64_t SECOND = INT64_C(1000000000);

struct phase {
    unsigned commits;
    uint32_t step_ms; /* one hour at most: more does not count as age */
};

struct plan {
    struct phantom_space_options options;
    uint64_t born_with; /* another budget, of an earlier opening; 0: there is none */
    struct phase phases[5];
    /* All commits, oldest first, and those that are retained at the end. */
    unsigned made, kept;
    struct phantom_generation commit[MOST], left[MOST];
    struct phantom_store_info info;
};

/* ---- the program ---------------------------------------------------------------------------- */

static void note_commit(void *context, const struct phantom_generation *generation)
{
    struct plan *plan = context;
    PHANTOM_TESTING_EXPECT(plan->made < MOST);
    plan->commit[plan->made++] = *generation;
}

static int note_kept(void *context, const struct phantom_generation *generation)
{
    struct plan *plan = context;
    PHANTOM_TESTING_EXPECT(plan->kept < MOST);
    plan->left[plan->kept++] = *generation;
    return 0;
}

static struct phantom_space *open_space(struct plan *plan, uint8_t **pages)
{
    struct phantom_space *space = NULL;
    PHANTOM_TESTING_EXPECT(phantom_space_open("s.phantom", &plan->options, &space, NULL) == 0);
    *pages = phantom_space_root(space, "pages");
    if (*pages == NULL) {
        PHANTOM_TESTING_EXPECT(phantom_space_enter(space) == 0);
        *pages = phantom_space_calloc(space, PAGES, PAGE);
        PHANTOM_TESTING_EXPECT(*pages != NULL &&
                               phantom_space_set_root(space, "pages", *pages) == 0);
        phantom_space_leave(space);
    }
    return space;
}

/* Every page changes with every commit, so that all cost the same. */
static void commit(struct phantom_space *space, uint8_t *pages)
{
    PHANTOM_TESTING_EXPECT(phantom_space_enter(space) == 0);
    for (unsigned i = 0; i < PAGES; i++) {
        pages[i * PAGE]++;
    }
    phantom_space_leave(space);
    PHANTOM_TESTING_EXPECT(phantom_space_commit(space) == 0);
}

static void live(void *context)
{
    struct plan *plan = context;
    uint8_t *pages = NULL;
    if (plan->born_with != 0) {
        uint64_t wanted = plan->options.retain_bytes;
        plan->options.retain_bytes = plan->born_with;
        PHANTOM_TESTING_EXPECT(phantom_space_close(open_space(plan, &pages)) == 0);
        plan->options.retain_bytes = wanted;
    }
    struct phantom_space *space = open_space(plan, &pages);
    for (const struct phase *phase = plan->phases; phase->commits != 0; phase++) {
        for (unsigned i = 0; i < phase->commits; i++) {
            phantom_testing_sleep(phase->step_ms);
            commit(space, pages);
        }
    }
    PHANTOM_TESTING_EXPECT(phantom_space_close(space) == 0);
    struct phantom_store *store = NULL;
    PHANTOM_TESTING_EXPECT(phantom_store_open("s.phantom", &store, NULL, NULL) == 0);
    PHANTOM_TESTING_EXPECT(phantom_store_log(store, note_kept, plan) == 0);
    phantom_store_info(store, &plan->info);
    phantom_store_close(store);
}

static struct plan *new_plan(void)
{
    struct plan *plan = calloc(1, sizeof *plan);
    assert_non_null(plan);
    phantom_space_options_init(&plan->options);
    plan->options.heap_size = 8 << 20;
    plan->options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    plan->options.context = plan;
    plan->options.committed = note_commit;
    return plan;
}

static void run(struct plan *plan)
{
    struct phantom_testing_bench *bench = NULL;
    struct phantom_testing_run run;
    phantom_testing_run_init(&run);
    assert_int_equal(phantom_testing_open(7, &bench), 0);
    assert_int_equal(phantom_testing_run(bench, &run, live, plan), 0);
    if (run.end != PHANTOM_TESTING_ENDED) {
        fail_msg("%s", run.text);
    }
    phantom_testing_close(bench);
    assert_true(plan->kept >= 2 && plan->made > NEWEST);
    assert_int_equal(plan->left[plan->kept - 1].number, plan->commit[plan->made - 1].number);
}

/* ---- what must hold ------------------------------------------------------------------------- */

static bool is_kept(const struct plan *plan, uint64_t number)
{
    for (unsigned i = 0; i < plan->kept; i++) {
        if (plan->left[i].number == number) {
            return true;
        }
    }
    return false;
}

static int64_t age(const struct plan *plan, unsigned i)
{
    return plan->commit[plan->made - 1].time_ns - plan->commit[i].time_ns;
}

/* Commits [first, end) of the same stretch of wall-clock time. */
static unsigned stretch_end(const struct plan *plan, unsigned first, int64_t stretch)
{
    unsigned end = first;
    while (end < plan->made &&
           plan->commit[end].time_ns / stretch == plan->commit[first].time_ns / stretch) {
        end++;
    }
    return end;
}

/* Of each stretch whose commits are all between `young` and `old`, the first commit is kept and no
 * other. Returns how many stretches of more than one commit there were. */
static unsigned check_one_of_each(const struct plan *plan, int64_t stretch, int64_t young,
                                  int64_t old)
{
    unsigned checked = 0;
    for (unsigned i = 0, end; i < plan->made; i = end) {
        end = stretch_end(plan, i, stretch);
        if (age(plan, i) >= old || age(plan, end - 1) <= young || end + NEWEST > plan->made) {
            continue;
        }
        for (unsigned k = i; k < end; k++) {
            if (is_kept(plan, plan->commit[k].number) != (k == i)) {
                fail_msg("generation %llu, %u of %u in its stretch, age %.3f s: kept %d",
                         (unsigned long long)plan->commit[k].number, k - i, end - i,
                         (double)age(plan, k) / 1e9, is_kept(plan, plan->commit[k].number));
            }
        }
        checked += end - i > 1;
    }
    return checked;
}

static unsigned check_all_kept(const struct plan *plan, int64_t old)
{
    unsigned checked = 0;
    for (unsigned i = 0; i < plan->made; i++) {
        if (age(plan, i) < old) {
            assert_true(is_kept(plan, plan->commit[i].number));
            checked++;
        }
    }
    return checked;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void all_then_one_a_second_a_minute_and_a_day(void **state)
{
    (void)state;
    struct plan *plan = new_plan();
    plan->options.retain_all_s = 5;
    plan->options.retain_per_second_s = 60;
    plan->options.retain_per_minute_s = 1200;
    plan->options.retain_most_per_second = 1000;
    static const struct phase phases[] = {{60, 3600000}, {130, 20000}, {250, 400}, {80, 100}};
    memcpy(plan->phases, phases, sizeof phases);
    run(plan);
    assert_true(check_all_kept(plan, 5 * SECOND) > NEWEST + 8);
    /* All are looked at once a second: a second of grace at the young end. */
    assert_true(check_one_of_each(plan, SECOND, 7 * SECOND, 60 * SECOND) > 30);
    assert_true(check_one_of_each(plan, 60 * SECOND, 62 * SECOND, 1200 * SECOND) > 12);
    assert_true(check_one_of_each(plan, 24 * 3600 * SECOND, 1202 * SECOND, INT64_MAX) >= 2);
    free(plan);
}

static void at_most_so_many_of_a_second(void **state)
{
    (void)state;
    static const struct phase phases[] = {{200, 20}};
    static const uint32_t most[] = {0, 2, 1000};
    unsigned kept[3];
    for (unsigned i = 0; i < 3; i++) {
        struct plan *plan = new_plan();
        plan->options.retain_most_per_second = most[i];
        memcpy(plan->phases, phases, sizeof phases);
        run(plan);
        kept[i] = plan->kept;
        int64_t stretch = SECOND / (most[i] != 0 ? most[i] : 10);
        unsigned checked = check_one_of_each(plan, stretch, SECOND + SECOND / 5, INT64_MAX);
        if (most[i] == 1000) {
            assert_int_equal(check_all_kept(plan, INT64_MAX), plan->made);
        } else {
            assert_true(checked >= (most[i] == 2 ? 3 : 10));
        }
        free(plan);
    }
    assert_true(kept[1] < kept[0] && kept[0] < kept[2]);
}

/* A longer time for all leaves less to the others' times, which are the defaults. */
static void everything_for_so_long(void **state)
{
    (void)state;
    static const struct phase phases[] = {{150, 400}};
    unsigned kept[2];
    for (unsigned i = 0; i < 2; i++) {
        struct plan *plan = new_plan();
        plan->options.retain_all_s = i == 0 ? 10 : 50;
        memcpy(plan->phases, phases, sizeof phases);
        run(plan);
        kept[i] = plan->kept;
        int64_t all = (i == 0 ? 10 : 50) * SECOND;
        (void)check_all_kept(plan, all);
        assert_true(check_one_of_each(plan, SECOND, all + 2 * SECOND, 3600 * SECOND) >= 5);
        free(plan);
    }
    assert_true(kept[0] + 40 < kept[1]);
}

/* Of what the times keep, the oldest go until the blocks that only history needs fit. */
static void no_more_than_the_budget(void **state)
{
    (void)state;
    static const struct phase phases[] = {{200, 1000}};
    unsigned kept[2];
    for (unsigned i = 0; i < 2; i++) {
        struct plan *plan = new_plan();
        uint64_t budget = i == 0 ? 3 << 20 : 6 << 20;
        plan->options.retain_bytes = budget;
        plan->born_with = UINT64_C(1) << 30;
        plan->options.retain_all_s = 3000;
        memcpy(plan->phases, phases, sizeof phases);
        run(plan);
        kept[i] = plan->kept;
        for (unsigned k = 0; k < plan->kept; k++) { /* an unbroken line up to the newest */
            assert_int_equal(plan->left[k].number,
                             plan->commit[plan->made - plan->kept + k].number);
        }
        uint64_t live = plan->info.current.live_pages * PAGE, each = PAGES * PAGE;
        uint64_t history = plan->info.data_bytes_used - live;
        assert_in_range(history, budget / 2, budget + 8 * each);
        assert_in_range(plan->kept, budget / each / 2, budget / each + 2);
        free(plan);
    }
    assert_true(kept[0] + 20 < kept[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_then_one_a_second_a_minute_and_a_day),
        cmocka_unit_test(at_most_so_many_of_a_second),
        cmocka_unit_test(everything_for_so_long),
        cmocka_unit_test(no_more_than_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
