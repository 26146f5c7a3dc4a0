/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_snapshot.c - snapshots asked for, periodic and last ones, and readers beside them.
 * Every generation is compared with the memory at its cut (check_snapshots). Usage: kit_begin().
 */
#include "world_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLERS = 4, CALLS = 8 };

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

/** One of several threads that ask for snapshots; checks what each return promises. */
struct caller {
    pthread_t thread;
    struct phantom_world *world;
    struct kit_log *log;
    unsigned broken; /* promises */
};

static void *caller_main(void *argument)
{
    struct caller *caller = argument;
    uint64_t before = 0;
    for (int i = 0; i < CALLS; i++) {
        struct phantom_generation generation = {0};
        pthread_mutex_lock(&caller->log->lock);
        uint64_t reported_before = caller->log->last.number;
        pthread_mutex_unlock(&caller->log->lock);
        if (phantom_snapshot(caller->world, &generation) != 0) {
            caller->broken++;
        }
        pthread_mutex_lock(&caller->log->lock);
        uint64_t reported = caller->log->last.number;
        pthread_mutex_unlock(&caller->log->lock);
        /* Newer than all that was there before the call, and its callback came before the return.
         */
        bool kept = generation.number > before && generation.number > reported_before &&
                    reported >= generation.number && generation.parent < generation.number;
        caller->broken += !kept;
        before = generation.number;
    }
    return NULL;
}

static void snapshots_of_many_threads_are_shared_and_in_order(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    options.interval_ms = 2;
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    struct caller callers[CALLERS];
    kit_runner_start(&runner, world);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.world = world, .log = log};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].broken, 0);
    }
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    assert_true(log->numbers_increased);
    kit_assert_result(phantom_close(world), 0);
    assert_int_equal(kit_verify("a.phantom").number, log->last.number);
}

/** A committed callback that dawdles, so that requests pile up behind the one being written. */
struct slow {
    struct kit_log log;
    atomic_uint commits;
};

static void commit_slowly(void *context, const struct phantom_generation *generation)
{
    struct slow *slow = context;
    (void)generation;
    atomic_fetch_add(&slow->commits, 1);
    kit_sleep_ms(60);
}

static void *ask_once(void *argument)
{
    return phantom_snapshot(argument, NULL) == 0 ? NULL : argument;
}

static void requests_that_arrive_while_one_is_written_share_the_next(void **state)
{
    (void)state;
    struct slow slow = {.commits = 0};
    kit_log_init(&slow.log);
    struct phantom_options options = kit_options(&slow.log, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 1000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_close(world), 0);
    options.context = &slow;
    options.console = NULL;
    options.message = NULL;
    options.thread_failed = NULL;
    options.committed = commit_slowly;
    world = kit_open("a.phantom", &options);
    pthread_t threads[16];
    assert_int_equal(pthread_create(&threads[0], NULL, ask_once, world), 0);
    while (atomic_load(&slow.commits) == 0) {
        kit_sleep_ms(1);
    }
    for (int i = 1; i < 16; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_once, world), 0);
    }
    for (int i = 0; i < 16; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    /* One in progress and one shared; a thread that was late may have needed a third. */
    assert_in_range(atomic_load(&slow.commits), 2, 5);
    kit_assert_result(phantom_close(world), 0);
    kit_log_finish(&slow.log);
}

static void abandon_loses_only_what_came_after_the_snapshot(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.counter");
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 30000), PHANTOM_ETIMEOUT);
    struct phantom_generation generation;
    kit_assert_result(phantom_snapshot(world, &generation), 0);
    int at_snapshot = (int)log->console_size;
    kit_assert_result(phantom_step(world, 30000), PHANTOM_ETIMEOUT);
    assert_true(log->console_size > (size_t)at_snapshot);
    char *lost = strdup(log->console + at_snapshot);
    phantom_abandon(world);
    assert_int_equal(kit_verify("a.phantom").number, generation.number);

    world = kit_open("a.phantom", &options);
    struct phantom_recovery recovery;
    phantom_recovered(world, &recovery);
    assert_int_equal(recovery.opened, generation.number);
    assert_int_equal(recovery.incomplete, 0);
    kit_log_clear_console(log);
    kit_assert_result(phantom_step(world, 30000), PHANTOM_ETIMEOUT);
    assert_string_equal(log->console, lost); /* the same again */
    free(lost);
    kit_assert_result(phantom_close(world), 0);
    assert_true(kit_verify("a.phantom").number > generation.number);
    phantom_abandon(NULL);
}

static void close_takes_the_last_snapshot_only_if_anything_ran(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.counter");
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 10000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_close(world), 0);
    struct phantom_generation first = kit_verify("a.phantom");
    assert_int_equal(first.number, 2);
    assert_true(first.sealed);
    for (int i = 0; i < 3; i++) { /* opened and closed only */
        kit_assert_result(phantom_close(kit_open("a.phantom", &options)), 0);
    }
    world = kit_open("a.phantom", &options);
    struct phantom_generation asked;
    kit_assert_result(phantom_step(world, 10000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_snapshot(world, &asked), 0);
    kit_assert_result(phantom_close(world), 0);
    struct phantom_generation second = kit_verify("a.phantom");
    assert_int_equal(second.number, asked.number);
    assert_int_equal(second.number, 3);
    assert_memory_equal(second.hash, asked.hash, sizeof(asked.hash));
    assert_memory_not_equal(second.hash, first.hash, sizeof(first.hash));
}

static void equal_memory_has_an_equal_hash(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.sum");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct phantom_generation one, two;
    kit_assert_result(phantom_step(world, 10000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_snapshot(world, &one), 0);
    kit_assert_result(phantom_snapshot(world, &two), 0); /* asked for: taken, though nothing ran */
    assert_true(two.number > one.number);
    assert_int_equal(two.parent, one.number);
    assert_int_equal(one.live_pages, two.live_pages);
    assert_true(one.live_pages > 0 && one.live_pages <= one.heap_pages);
    assert_true(one.pages_written > 0 && one.bytes_written >= one.pages_written * 4096);
    assert_true(two.time_ns >= one.time_ns && one.time_ns > 0);
    kit_assert_result(phantom_close(world), 0);
}

static void periodic_snapshots_come_again_and_again(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    options.interval_ms = 5;
    struct phantom_world *world = kit_open("a.phantom", &options);
    atomic_store(&log->stop_at_commits, 6); /* the callback stops the world */
    atomic_store(&log->stopped, world);
    kit_assert_result(phantom_run(world), PHANTOM_ESTOPPED);
    atomic_store(&log->stopped, NULL);
    assert_true(atomic_load(&log->commits) >= 6);
    assert_true(log->numbers_increased);
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
}

static void without_an_interval_none_are_taken(void **state)
{
    struct kit_log *log = *state;
    static const uint32_t intervals[] = {PHANTOM_NO_INTERVAL, PHANTOM_NO_INTERVAL - 1, 60000};
    for (int i = 0; i < 3; i++) {
        atomic_store(&log->commits, 0);
        log->last.number = 0;
        struct phantom_options options = kit_options(log, ".test.runtime.spinner");
        options.interval_ms = intervals[i];
        struct phantom_world *world = kit_open("a.phantom", &options);
        struct kit_runner runner;
        kit_runner_start(&runner, world);
        kit_sleep_ms(60);
        phantom_stop(world);
        kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
        assert_int_equal(atomic_load(&log->commits), 1); /* of the birth */
        kit_assert_result(phantom_close(world), 0);
        kit_clean();
    }
}

static void a_step_takes_none(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    options.interval_ms = 1;
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 2000000), PHANTOM_ETIMEOUT);
    assert_int_equal(atomic_load(&log->commits), 1);
    kit_assert_result(phantom_close(world), 0);
}

static void a_sleeping_world_is_not_written_again(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.sleeper");
    options.interval_ms = 2;
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    kit_runner_start(&runner, world);
    while (atomic_load(&log->commits) < 2) { /* the birth, and the one with the sleeper in it */
        kit_sleep_ms(1);
    }
    kit_sleep_ms(50); /* one may have been begun while it fell asleep */
    unsigned commits = atomic_load(&log->commits);
    kit_sleep_ms(150);
    assert_int_equal(atomic_load(&log->commits), commits);
    struct phantom_store *store = NULL;
    struct phantom_store_info info;
    kit_assert_result(phantom_store_open(kit_path("a.phantom"), &store, NULL, NULL), 0);
    phantom_store_info(store, &info);
    phantom_store_close(store);
    assert_true(info.current.sealed); /* it was idle long enough */
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    kit_assert_result(phantom_close(world), 0);
    assert_string_equal(log->console, "asleep\n");
}

static void time_slept_is_kept_by_an_orderly_end(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.sleeper");
    uint64_t generation = 0;
    for (int life = 0; life < 3; life++) { /* only the first one executes an instruction */
        struct phantom_world *world = kit_open("a.phantom", &options);
        struct kit_runner runner;
        kit_runner_start(&runner, world);
        for (bool asleep = false; !asleep; kit_sleep_ms(1)) {
            pthread_mutex_lock(&log->lock);
            asleep = strstr(log->console, "asleep") != NULL;
            pthread_mutex_unlock(&log->lock);
        }
        phantom_stop(world);
        kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
        kit_assert_result(phantom_close(world), 0);
        uint64_t now = kit_verify("a.phantom").number;
        assert_true(now > generation); /* the remaining time went into the last snapshot */
        generation = now;
    }
    /* Nothing ran: nothing to keep. */
    kit_assert_result(phantom_close(kit_open("a.phantom", &options)), 0);
    assert_int_equal(kit_verify("a.phantom").number, generation);
}

struct visit {
    uint64_t count, last, stop_at;
    bool ordered;
};

static int visit_generation(void *context, const struct phantom_generation *generation)
{
    struct visit *visit = context;
    visit->ordered = visit->ordered && generation->number > visit->last;
    visit->last = generation->number;
    visit->count++;
    return visit->count == visit->stop_at ? 42 : 0;
}

static void a_reader_sees_whole_generations_beside_a_running_writer(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    options.interval_ms = 2;
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    kit_runner_start(&runner, world);
    uint64_t newest = 0;
    for (int i = 0; i < 5; i++) {
        pthread_mutex_lock(&log->lock);
        uint64_t committed = log->last.number;
        pthread_mutex_unlock(&log->lock);
        struct phantom_generation seen = kit_verify_current("a.phantom");
        assert_true(seen.number >= committed && seen.number >= newest);
        newest = seen.number;
        kit_sleep_ms(4);
    }
    /* One handle held while the writer goes on: what it saw stays. */
    struct phantom_store *store = NULL;
    struct phantom_store_info info, later;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    kit_assert_result(phantom_store_open(kit_path("a.phantom"), &store, NULL, &diag), 0);
    phantom_store_info(store, &info);
    unsigned commits = atomic_load(&log->commits);
    while (atomic_load(&log->commits) < commits + 10) {
        kit_sleep_ms(1);
    }
    kit_assert_result(phantom_store_verify(store, false, NULL, NULL, NULL, &diag), 0);
    phantom_store_info(store, &later);
    assert_int_equal(info.current.number, later.current.number);
    phantom_store_close(store);
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
}

static void info_and_log_agree(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.spinner");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct phantom_generation last;
    for (int i = 0; i < 5; i++) {
        kit_assert_result(phantom_step(world, 5000), PHANTOM_ETIMEOUT);
        kit_assert_result(phantom_snapshot(world, &last), 0);
    }
    kit_assert_result(phantom_close(world), 0);
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    struct phantom_store_info info;
    kit_assert_result(phantom_store_open(kit_path("a.phantom"), &store, &recovery, NULL), 0);
    phantom_store_info(store, &info);
    struct visit visit = {.ordered = true};
    kit_assert_result(phantom_store_log(store, visit_generation, &visit), 0);
    assert_true(visit.ordered);
    assert_int_equal(visit.count, info.generations);
    assert_int_equal(visit.last, last.number);
    assert_int_equal(info.current.number, last.number);
    assert_int_equal(recovery.opened, last.number);
    assert_memory_equal(info.current.hash, last.hash, sizeof(last.hash));
    assert_int_equal(info.current.pages_written, last.pages_written);
    assert_int_equal(info.current.bytes_written, last.bytes_written);
    assert_int_equal(info.heap_size, options.heap_size);
    assert_true(info.data_bytes_used + info.data_bytes_free + info.metadata_bytes <=
                info.file_bytes);
    visit = (struct visit){.ordered = true, .stop_at = 1};
    assert_int_equal(phantom_store_log(store, visit_generation, &visit), 42);
    assert_int_equal(visit.count, 1);
    phantom_store_close(store);
    phantom_store_close(NULL);
}

static void count_damage(void *context, const char *what)
{
    assert_true(strlen(what) > 0);
    ++*(unsigned *)context;
}

static void a_flipped_bit_is_found_by_verify_or_open(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.spinner");
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 50000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_close(world), 0);
    struct phantom_store_info info;
    struct phantom_store *store = NULL;
    kit_assert_result(phantom_store_open(kit_path("a.phantom"), &store, NULL, NULL), 0);
    phantom_store_info(store, &info);
    phantom_store_close(store);
    unsigned found = 0;
    for (int i = 0; i < 8; i++) { /* in the first pages of data, which are in use */
        FILE *file = fopen(kit_path("a.phantom"), "r+b");
        assert_non_null(file);
        long place = (long)(info.metadata_bytes + kit_random(info.data_bytes_used));
        fseek(file, place, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, place, SEEK_SET);
        fputc(byte ^ 4, file);
        assert_int_equal(fclose(file), 0);
        unsigned damage = 0;
        struct phantom_verify_report report = {0};
        int result = phantom_store_open(kit_path("a.phantom"), &store, NULL, NULL);
        if (result == 0) {
            result = phantom_store_verify(store, true, &report, count_damage, &damage, NULL);
            assert_true((result == PHANTOM_ECORRUPT) == (report.damaged > 0));
            assert_true((damage > 0) == (report.damaged > 0));
            phantom_store_close(store);
        }
        if (result != 0) {
            kit_assert_result(result, PHANTOM_ECORRUPT);
            found++;
        }
        file = fopen(kit_path("a.phantom"), "r+b");
        assert_non_null(file);
        fseek(file, place, SEEK_SET);
        fputc(byte, file);
        assert_int_equal(fclose(file), 0);
    }
    assert_true(found > 0);
    kit_verify("a.phantom");
}

/* The machine tells of each store, and with these strategies nothing else does: each generation is
 * compared with the heap at its cut, and the next strategy goes on where the last one stopped. */
static void a_world_runs_with_strategies_that_live_on_being_told(void **state)
{
    struct kit_log *log = *state;
    static const char *const strategies[] = {"epoch", "cards", "full", "epoch", "cards"};
    enum { ROUNDS = 12, COMMITS = 4 };
    int rc = PHANTOM_ESTOPPED;
    for (size_t i = 0; rc == PHANTOM_ESTOPPED; i++) {
        struct phantom_options options = kit_options(log, ".examples.ledger");
        options.strategy = strategies[i % (sizeof(strategies) / sizeof(strategies[0]))];
        options.workers = 4;
        options.interval_ms = i < ROUNDS ? 1 : 0;
        atomic_store(&log->commits, 0);
        atomic_store(&log->stop_at_commits, i < ROUNDS ? COMMITS : 0);
        struct phantom_world *world = kit_open("told.phantom", &options);
        assert_string_equal(phantom_strategy(world), options.strategy);
        atomic_store(&log->stopped, world);
        rc = phantom_run(world);
        atomic_store(&log->stopped, NULL);
        assert_int_equal(phantom_close(world), 0);
        (void)kit_verify_current("told.phantom");
    }
    assert_int_equal(rc, 0);
    assert_non_null(strstr(log->console, "total 1000000: ok"));
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(snapshots_of_many_threads_are_shared_and_in_order),
        CASE(requests_that_arrive_while_one_is_written_share_the_next),
        CASE(abandon_loses_only_what_came_after_the_snapshot),
        CASE(close_takes_the_last_snapshot_only_if_anything_ran),
        CASE(equal_memory_has_an_equal_hash),
        CASE(periodic_snapshots_come_again_and_again),
        CASE(without_an_interval_none_are_taken),
        CASE(a_step_takes_none),
        CASE(a_sleeping_world_is_not_written_again),
        CASE(time_slept_is_kept_by_an_orderly_end),
        CASE(a_reader_sees_whole_generations_beside_a_running_writer),
        CASE(info_and_log_agree),
        CASE(a_flipped_bit_is_found_by_verify_or_open),
        CASE(a_world_runs_with_strategies_that_live_on_being_told),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
