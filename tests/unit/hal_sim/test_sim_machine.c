/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sim_machine.c - the scheduler, the synchronisation and the clock of the simulated machine.
 * What a program finds out on the machine it says by hal_sim_fail(); the asserts are outside.
 */
#include "ph_test.h"

#include "hal_sim.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <hal.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(e)                                                                                  \
    do {                                                                                           \
        if (!(e)) {                                                                                \
            hal_sim_fail("line %d: %s", __LINE__, #e);                                             \
        }                                                                                          \
    } while (0)

static uint64_t first_seed;

static struct hal_sim_outcome run_with(const struct hal_sim_options *options,
                                       void (*program)(void *context), void *context)
{
    struct hal_sim_outcome outcome;
    assert_int_equal(hal_sim_run(options, program, context, &outcome), 0);
    return outcome;
}

static struct hal_sim_outcome run_seed(uint64_t seed, void (*program)(void *context), void *context)
{
    const struct hal_sim_options options = {.seed = first_seed + seed,
                                            .policy =
                                                seed % 2 ? HAL_SIM_PRIORITIES : HAL_SIM_RANDOM_WALK,
                                            .change_steps = 50,
                                            .steps_most = 200000};
    return run_with(&options, program, context);
}

/** With 40 seeds of both policies. */
static void must_end(void (*program)(void *context), void *context)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct hal_sim_outcome outcome = run_seed(seed, program, context);
        if (outcome.end != HAL_SIM_ENDED || outcome.leftover_blocks != 0) {
            print_error("PH_SEED=%llu seed %llu: %s: %s (%llu blocks left)\n",
                        (unsigned long long)first_seed, (unsigned long long)seed,
                        hal_sim_end_name(outcome.end), outcome.text,
                        (unsigned long long)outcome.leftover_blocks);
            fail();
        }
    }
}

/* ---- programs ------------------------------------------------------------------------------- */

struct shared {
    hal_mutex_t lock;
    hal_cond_t cond;
    hal_sem_t done;
    _Atomic uint32_t word;
    int counter, inside, wanted;
};

static void shared_init(struct shared *s)
{
    memset(s, 0, sizeof(*s));
    EXPECT(hal_mutex_init(&s->lock, "lock") == 0);
    EXPECT(hal_cond_init(&s->cond, "cond") == 0);
    EXPECT(hal_sem_init(&s->done, "done") == 0);
}

static void shared_finish(struct shared *s)
{
    EXPECT(hal_mutex_destroy(&s->lock) == 0);
    EXPECT(hal_cond_destroy(&s->cond) == 0);
    hal_sem_destroy(&s->done);
}

static void start(void (*run)(void *), struct shared *s, int threads)
{
    for (int i = 0; i < threads; i++) {
        EXPECT(hal_start_thread(run, s, THREAD_FLAG_KERNEL) >= 0);
    }
}

static void wait_for(struct shared *s, int threads)
{
    for (int i = 0; i < threads; i++) {
        EXPECT(hal_sem_acquire(&s->done) == 0);
    }
}

static void locked_adder(void *context)
{
    struct shared *s = context;
    for (int i = 0; i < 20; i++) {
        hal_mutex_lock(&s->lock);
        EXPECT(s->inside++ == 0);
        hal_yield();
        s->counter++;
        s->inside--;
        hal_mutex_unlock(&s->lock);
    }
    hal_sem_release(&s->done);
}

static void mutex_program(void *context)
{
    struct shared s;
    (void)context;
    shared_init(&s);
    start(locked_adder, &s, 3);
    wait_for(&s, 3);
    EXPECT(s.counter == 60);
    EXPECT(!hal_mutex_is_locked(&s.lock));
    shared_finish(&s);
}

static void careless_adder(void *context)
{
    struct shared *s = context;
    int before = s->counter;
    hal_sim_point("between load and store");
    s->counter = before + 1;
    hal_sem_release(&s->done);
}

static void race_program(void *context)
{
    struct shared s;
    shared_init(&s);
    start(careless_adder, &s, 2);
    wait_for(&s, 2);
    *(int *)context = s.counter;
    shared_finish(&s);
}

static void taker(void *context)
{
    struct shared *s = context;
    hal_mutex_lock(&s->lock);
    while (s->wanted == 0) {
        hal_cond_wait(&s->cond, &s->lock);
    }
    s->wanted--;
    hal_mutex_unlock(&s->lock);
    hal_sem_release(&s->done);
}

static void cond_program(void *context)
{
    struct shared s;
    (void)context;
    shared_init(&s);
    start(taker, &s, 4);
    for (int i = 0; i < 2; i++) {
        hal_mutex_lock(&s.lock);
        s.wanted++;
        hal_cond_signal(&s.cond);
        hal_mutex_unlock(&s.lock);
    }
    wait_for(&s, 2);
    hal_mutex_lock(&s.lock);
    s.wanted += 2;
    hal_cond_broadcast(&s.cond);
    hal_mutex_unlock(&s.lock);
    wait_for(&s, 2);
    shared_finish(&s);
}

static void time_program(void *context)
{
    struct shared s;
    (void)context;
    shared_init(&s);
    uint64_t begin = hal_monotonic_ns();
    hal_sleep_msec(3600000);
    EXPECT(hal_monotonic_ns() - begin >= UINT64_C(3600000000000));
    EXPECT(hal_monotonic_ns() - begin < UINT64_C(3600100000000));
    hal_mutex_lock(&s.lock);
    begin = hal_monotonic_ns();
    EXPECT(hal_cond_timedwait(&s.cond, &s.lock, 50) == ETIMEDOUT);
    EXPECT(hal_monotonic_ns() - begin >= 50000000);
    hal_mutex_unlock(&s.lock);
    EXPECT(hal_futex_wait(&s.word, 0, 1000) == ETIMEDOUT);
    EXPECT(hal_futex_wait(&s.word, 1, -1) == 0);
    EXPECT(hal_random() != hal_random());
    shared_finish(&s);
}

static void futex_waiter(void *context)
{
    struct shared *s = context;
    while (atomic_load(&s->word) == 0) {
        EXPECT(hal_futex_wait(&s->word, 0, -1) == 0);
    }
    hal_sem_release(&s->done);
}

static void futex_program(void *context)
{
    struct shared s;
    (void)context;
    shared_init(&s);
    start(futex_waiter, &s, 3);
    atomic_store(&s.word, 1);
    hal_futex_wake(&s.word, 3);
    wait_for(&s, 3);
    shared_finish(&s);
}

static void yielder(void *context)
{
    struct shared *s = context;
    while (s->wanted == 0) {
        hal_yield(); /* whoever has the first priority must not keep it */
    }
    hal_sem_release(&s->done);
}

static void yield_program(void *context)
{
    struct shared s;
    (void)context;
    shared_init(&s);
    start(yielder, &s, 2);
    hal_yield();
    s.wanted = 1;
    wait_for(&s, 2);
    shared_finish(&s);
}

static void giver(void *context)
{
    struct shared *s = context;
    for (int i = 0; i < 3; i++) {
        hal_sem_release(&s->done);
    }
}

static void sem_program(void *context)
{
    struct shared s;
    int count = 99;
    (void)context;
    shared_init(&s);
    EXPECT(hal_sem_acquire_etc(&s.done, 0, 0, 0) == EINVAL);
    EXPECT(hal_sem_acquire_etc(&s.done, 1, SEM_FLAG_TIMEOUT, 0) == ETIMEDOUT);
    uint64_t begin = hal_monotonic_ns();
    EXPECT(hal_sem_acquire_etc(&s.done, 1, SEM_FLAG_TIMEOUT, 5000) == ETIMEDOUT);
    EXPECT(hal_monotonic_ns() - begin >= 5000000);
    start(giver, &s, 1);
    EXPECT(hal_sem_acquire_etc(&s.done, 3, 0, 0) == 0); /* all at once */
    EXPECT(sem_get_count(&s.done, &count) == 0 && count == 0);
    hal_sem_release(&s.done);
    EXPECT(sem_get_count(&s.done, &count) == 0 && count == 1);
    hal_sem_zero(&s.done);
    EXPECT(hal_sem_acquire_etc(&s.done, 1, SEM_FLAG_TIMEOUT, -1) == ETIMEDOUT);
    shared_finish(&s);
}

struct keys {
    struct shared s;
    hal_thread_key_t key;
};

static void word_ended(void *value)
{
    struct keys *keys = value;
    hal_mutex_lock(&keys->s.lock);
    keys->s.counter++;
    hal_mutex_unlock(&keys->s.lock);
    hal_sem_release(&keys->s.done);
}

static void word_user(void *context)
{
    struct keys *keys = context;
    EXPECT(hal_thread_key_get(keys->key) == NULL);
    EXPECT(hal_thread_key_set(keys->key, keys) == 0);
    hal_yield();
    EXPECT(hal_thread_key_get(keys->key) == keys);
}

static void key_program(void *context)
{
    struct keys keys;
    (void)context;
    shared_init(&keys.s);
    EXPECT(hal_thread_key_create(&keys.key, word_ended) == 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(hal_start_thread(word_user, &keys, 0) >= 0);
    }
    wait_for(&keys.s, 3);
    EXPECT(keys.s.counter == 3);
    hal_thread_key_delete(keys.key);
    shared_finish(&keys.s);
}

static void nothing(void *context)
{
    hal_sem_release(&((struct shared *)context)->done);
}

static void crowd_program(void *context)
{
    struct shared s;
    (void)context;
    shared_init(&s);
    for (int i = 0; i < 500; i++) {
        start(nothing, &s, 1);
        wait_for(&s, 1);
    }
    shared_finish(&s);
}

static void second_lock_first(void *context)
{
    hal_mutex_t *locks = context;
    hal_mutex_lock(&locks[1]);
    hal_mutex_lock(&locks[0]);
    hal_mutex_unlock(&locks[0]);
    hal_mutex_unlock(&locks[1]);
}

static void two_orders_program(void *context)
{
    static hal_mutex_t locks[2];
    (void)context;
    EXPECT(hal_mutex_init(&locks[0], "first") == 0);
    EXPECT(hal_mutex_init(&locks[1], "second") == 0);
    EXPECT(hal_start_thread(second_lock_first, locks, 0) >= 0);
    hal_mutex_lock(&locks[0]);
    hal_mutex_lock(&locks[1]);
    hal_mutex_unlock(&locks[1]);
    hal_mutex_unlock(&locks[0]);
}

static void checking_program(void *context)
{
    (void)context;
    PH_CHECK(1 + 1 == 3);
}

static void spinning_program(void *context)
{
    (void)context;
    for (;;) {
        hal_yield();
    }
}

static void hoarding_program(void *context)
{
    struct shared *s = ph_zalloc(1, sizeof(*s));
    (void)context;
    EXPECT(s != NULL);
    shared_init(s);
    s = ph_realloc(s, sizeof(*s) * 100);
    EXPECT(s != NULL);
    start(taker, s, 3);
    for (int i = 0; i < 1000; i++) {
        EXPECT(ph_alloc(100) != NULL);
        hal_yield();
    }
    wait_for(s, 3);
}

/* ---- facts ---------------------------------------------------------------------------------- */

static void a_mutex_excludes(void **state)
{
    (void)state;
    must_end(mutex_program, NULL);
}

static void a_condition_wakes_one_or_all(void **state)
{
    (void)state;
    must_end(cond_program, NULL);
}

static void semaphores_count_and_take_several_at_once(void **state)
{
    (void)state;
    must_end(sem_program, NULL);
}

static void time_passes_when_nobody_can_run(void **state)
{
    (void)state;
    must_end(time_program, NULL);
}

static void a_futex_sleeps_only_on_the_expected_value(void **state)
{
    (void)state;
    must_end(futex_program, NULL);
}

static void who_yields_lets_others_run(void **state)
{
    (void)state;
    must_end(yield_program, NULL);
}

static void words_of_threads_end_with_them(void **state)
{
    (void)state;
    must_end(key_program, NULL);
}

static void ended_threads_leave_nothing(void **state)
{
    (void)state;
    struct hal_sim_outcome outcome = run_seed(1, crowd_program, NULL);
    assert_int_equal(outcome.end, HAL_SIM_ENDED);
    assert_int_equal(outcome.threads, 501);
}

static void both_policies_find_a_lost_update(void **state)
{
    (void)state;
    unsigned lost[2] = {0, 0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        int counter = 0;
        assert_int_equal(run_seed(seed, race_program, &counter).end, HAL_SIM_ENDED);
        assert_true(counter == 1 || counter == 2);
        lost[seed % 2] += counter == 1;
    }
    assert_in_range(lost[0], 1, 49);
    assert_in_range(lost[1], 1, 49);
}

static void a_deadlock_is_found_and_says_who_waits_for_what(void **state)
{
    (void)state;
    unsigned found = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct hal_sim_outcome outcome = run_seed(seed, two_orders_program, NULL);
        if (outcome.end == HAL_SIM_DEADLOCK) {
            assert_non_null(strstr(outcome.text, "t0 (thread 0) waits for mutex second"));
            assert_non_null(strstr(outcome.text, "t1 (thread 1) waits for mutex first"));
            found++;
        } else {
            assert_int_equal(outcome.end, HAL_SIM_ENDED);
        }
    }
    assert_in_range(found, 1, 99);
}

static void a_broken_invariant_ends_the_machine_only(void **state)
{
    (void)state;
    struct hal_sim_outcome outcome = run_seed(0, checking_program, NULL);
    assert_int_equal(outcome.end, HAL_SIM_FAILED);
    assert_non_null(strstr(outcome.text, "1 + 1 == 3"));
}

static void a_machine_that_goes_round_is_ended(void **state)
{
    (void)state;
    assert_int_equal(run_seed(0, spinning_program, NULL).end, HAL_SIM_TOO_LONG);
    assert_int_equal(run_seed(1, spinning_program, NULL).end, HAL_SIM_TOO_LONG);
}

static void a_killed_machine_gives_everything_back(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    for (uint64_t step = 1; step < 400; step += 7) {
        const struct hal_sim_options options = {.seed = first_seed + step, .kill_at_step = step};
        struct hal_sim_outcome outcome = run_with(&options, hoarding_program, NULL);
        assert_int_equal(outcome.end, HAL_SIM_KILLED);
        assert_int_equal(outcome.steps, step);
        assert_true(step < 30 || outcome.leftover_blocks > 10);
    }
    assert_int_equal(ph_memory_live_blocks(), before);
}

static char *log_of(uint64_t seed, void (*program)(void *context))
{
    struct hal_sim_log *log = hal_sim_log_create(true);
    assert_non_null(log);
    const struct hal_sim_options options = {.seed = seed,
                                            .log = log,
                                            .spurious_permille = program == time_program ? 0 : 100,
                                            .steps_most = 100000};
    assert_int_equal(run_with(&options, program, NULL).end, HAL_SIM_ENDED);
    char *text = strdup(hal_sim_log_text(log));
    hal_sim_log_destroy(log);
    return text;
}

static void one_seed_is_one_log(void **state)
{
    (void)state;
    void (*const programs[])(void *) = {mutex_program, cond_program, time_program, futex_program,
                                        key_program};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        char *first = log_of(first_seed + i, programs[i]);
        char *second = log_of(first_seed + i, programs[i]);
        char *other = log_of(first_seed + i + 1000, programs[i]);
        assert_string_equal(first, second);
        assert_string_not_equal(first, other);
        assert_true(strlen(first) > 200);
        free(first);
        free(second);
        free(other);
    }
}

struct parallel {
    uint64_t seed;
    struct hal_sim_outcome outcome;
};

static void *run_parallel(void *argument)
{
    struct parallel *parallel = argument;
    const struct hal_sim_options options = {.seed = parallel->seed};
    (void)hal_sim_run(&options, mutex_program, NULL, &parallel->outcome);
    return NULL;
}

static void machines_in_one_process_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct parallel machines[4];
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        machines[i].seed = first_seed + i / 2; /* two and two alike */
        assert_int_equal(pthread_create(&threads[i], NULL, run_parallel, &machines[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(machines[i].outcome.end, HAL_SIM_ENDED);
    }
    assert_int_equal(machines[0].outcome.steps, machines[1].outcome.steps);
    assert_int_equal(machines[2].outcome.clock_ns, machines[3].outcome.clock_ns);
    assert_int_not_equal(machines[0].outcome.clock_ns, machines[2].outcome.clock_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_excludes),
        cmocka_unit_test(a_condition_wakes_one_or_all),
        cmocka_unit_test(semaphores_count_and_take_several_at_once),
        cmocka_unit_test(time_passes_when_nobody_can_run),
        cmocka_unit_test(a_futex_sleeps_only_on_the_expected_value),
        cmocka_unit_test(who_yields_lets_others_run),
        cmocka_unit_test(words_of_threads_end_with_them),
        cmocka_unit_test(ended_threads_leave_nothing),
        cmocka_unit_test(both_policies_find_a_lost_update),
        cmocka_unit_test(a_deadlock_is_found_and_says_who_waits_for_what),
        cmocka_unit_test(a_broken_invariant_ends_the_machine_only),
        cmocka_unit_test(a_machine_that_goes_round_is_ended),
        cmocka_unit_test(a_killed_machine_gives_everything_back),
        cmocka_unit_test(one_seed_is_one_log),
        cmocka_unit_test(machines_in_one_process_do_not_disturb_each_other),
    };
    first_seed = ph_rng_seed_from_environment(20261122);
    print_message("PH_SEED=%llu\n", (unsigned long long)first_seed);
    hal_sim_catch_checks();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
