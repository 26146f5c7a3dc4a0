/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_threads.c - threads, mutex, condition, semaphore, time of <hal.h>, longer and with
 * threads of the system beside. What every implementation promises: test_hal_contract.c.
 */
#include "ph_memory.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <hal.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool
    long_run; /* `test_hal_threads long`: enough rounds to find rare losses on a busy machine */

/* ---- threads -------------------------------------------------------------------------------- */

struct crew {
    hal_mutex_t lock;
    hal_sem_t finished;
    int counter;
};

static void count_once(void *argument)
{
    struct crew *crew = argument;
    (void)hal_mutex_lock(&crew->lock);
    crew->counter++;
    (void)hal_mutex_unlock(&crew->lock);
    hal_sem_release(&crew->finished);
}

static void crew_init(struct crew *crew)
{
    memset(crew, 0, sizeof(*crew));
    assert_int_equal(hal_mutex_init(&crew->lock, "crew"), 0);
    assert_int_equal(hal_sem_init(&crew->finished, "crew finished"), 0);
}

static void crew_finish(struct crew *crew)
{
    hal_sem_destroy(&crew->finished);
    assert_int_equal(hal_mutex_destroy(&crew->lock), 0);
    assert_null(crew->lock.impl);
    assert_null(crew->finished.impl);
}

static void twelve_threads_each_count_once(void **state)
{
    (void)state;
    struct crew crew;
    crew_init(&crew);
    for (int i = 0; i < 12; i++) {
        assert_true(hal_start_thread(count_once, &crew, THREAD_FLAG_VM) >= 0);
    }
    for (int i = 0; i < 12; i++) {
        assert_int_equal(hal_sem_acquire(&crew.finished), 0);
    }
    assert_int_equal(hal_mutex_lock(&crew.lock), 0);
    assert_int_equal(crew.counter, 12);
    assert_int_equal(hal_mutex_unlock(&crew.lock), 0);
    crew_finish(&crew);
}

struct look {
    hal_sem_t finished;
    sigset_t blocked;
    size_t stack;
    char name[32];
    pid_t tid;
};

static void look_around(void *argument)
{
    struct look *look = argument;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &look->blocked);
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, &look->stack);
        (void)pthread_attr_destroy(&attributes);
    }
    (void)t_current_set_name("a name longer than the kernel keeps");
    (void)pthread_getname_np(pthread_self(), look->name, sizeof(look->name));
    look->tid = gettid();
    hal_sem_release(&look->finished);
}

static void a_thread_has_signals_blocked_a_large_stack_and_a_name(void **state)
{
    (void)state;
    struct look look = {.stack = 0};
    sigset_t before, after;
    assert_int_equal(hal_sem_init(&look.finished, "look"), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    tid_t tid = hal_start_thread(look_around, &look, 0);
    assert_true(tid >= 0);
    assert_int_equal(hal_sem_acquire(&look.finished), 0);
#ifndef TEST_PORTABLE /* POSIX has neither numbers nor names of threads */
    assert_int_equal(tid, look.tid);
    assert_string_equal(look.name, "a name longer t");
#endif
    for (int signal = 1; signal < 32; signal++) {
        bool synchronous = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
                           signal == SIGILL || signal == SIGTRAP || signal == SIGSYS ||
                           signal == SIGABRT;
        if (signal != SIGKILL && signal != SIGSTOP) {
            assert_int_equal(sigismember(&look.blocked, signal), synchronous ? 0 : 1);
        }
    }
    assert_true(look.stack >= 1024 * 1024);
    /* The starter's own mask is as before. */
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int signal = 1; signal < 32; signal++) {
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
    }
    hal_sem_destroy(&look.finished);
}

/* ---- synchronisation ------------------------------------------------------------------------ */

static void a_mutex_knows_whether_it_is_locked(void **state)
{
    (void)state;
    hal_mutex_t mutex;
    assert_int_equal(hal_mutex_init(&mutex, "state"), 0);
    assert_int_equal(hal_mutex_is_locked(&mutex), 0);
    assert_int_equal(hal_mutex_lock(&mutex), 0);
    assert_int_equal(hal_mutex_is_locked(&mutex), 1);
    assert_int_equal(hal_mutex_destroy(&mutex), EBUSY);
    assert_int_equal(hal_mutex_unlock(&mutex), 0);
    assert_int_equal(hal_mutex_is_locked(&mutex), 0);
    assert_int_equal(hal_mutex_destroy(&mutex), 0);
    assert_int_equal(hal_mutex_destroy(&mutex), 0); /* again: nothing there */
}

static void init_reports_that_memory_is_out(void **state)
{
    (void)state;
    int64_t blocks = ph_memory_live_blocks();
    hal_mutex_t mutex;
    hal_cond_t cond;
    hal_sem_t sem;
    ph_memory_fail_after(0, true);
    assert_int_equal(hal_mutex_init(&mutex, "m"), ENOMEM);
    ph_memory_fail_after(0, true);
    assert_int_equal(hal_cond_init(&cond, "c"), ENOMEM);
    ph_memory_fail_after(0, true);
    assert_int_equal(hal_sem_init(&sem, "s"), ENOMEM);
    ph_memory_fail_after(0, true);
    assert_int_equal(hal_start_thread(count_once, NULL, 0), -ENOMEM);
    ph_memory_fail_after(-1, false);
    assert_int_equal(ph_memory_live_blocks(), blocks);
}

static void timed_wait_ends_after_its_time_with_the_mutex_held(void **state)
{
    (void)state;
    hal_mutex_t mutex;
    hal_cond_t cond;
    assert_int_equal(hal_mutex_init(&mutex, "m"), 0);
    assert_int_equal(hal_cond_init(&cond, "c"), 0);
    assert_int_equal(hal_mutex_lock(&mutex), 0);
    static const long waits_ms[] = {30, 0, -5};
    for (size_t i = 0; i < 3; i++) {
        uint64_t until =
            hal_monotonic_ns() + (waits_ms[i] > 0 ? (uint64_t)waits_ms[i] : 0) * 1000000;
        int rc;
        do { /* a wake-up without a signal is allowed, but not for ever */
            rc = hal_cond_timedwait(&cond, &mutex, waits_ms[i]);
        } while (rc == 0);
        assert_int_equal(rc, ETIMEDOUT);
        assert_true(hal_monotonic_ns() >= until);
        assert_int_equal(hal_mutex_is_locked(&mutex), 1);
    }
    assert_int_equal(hal_mutex_unlock(&mutex), 0);
    assert_int_equal(hal_cond_destroy(&cond), 0);
    assert_int_equal(hal_mutex_destroy(&mutex), 0);
}

/* A box that holds at most one token; producers signal after they have let the mutex go, which is
 * where wake-ups are lost if a condition has that fault. */
struct box {
    hal_mutex_t lock;
    hal_cond_t filled, emptied;
    hal_sem_t finished;
    atomic_bool full; /* changed under lock; atomic for the one who polls */
    int rounds;
    long taken;
};

static void produce(void *argument)
{
    struct box *box = argument;
    for (int i = 0; i < box->rounds; i++) {
        (void)hal_mutex_lock(&box->lock);
        while (box->full) {
            (void)hal_cond_wait(&box->emptied, &box->lock);
        }
        box->full = true;
        (void)hal_mutex_unlock(&box->lock);
        (void)hal_cond_signal(&box->filled);
    }
    hal_sem_release(&box->finished);
}

static void consume(void *argument)
{
    struct box *box = argument;
    for (int i = 0; i < box->rounds; i++) {
        (void)hal_mutex_lock(&box->lock);
        while (!box->full) {
            (void)hal_cond_wait(&box->filled, &box->lock);
        }
        box->full = false;
        box->taken++;
        (void)hal_mutex_unlock(&box->lock);
        (void)hal_cond_signal(&box->emptied);
    }
    hal_sem_release(&box->finished);
}

/* Polls instead of sleeping and then waits a random moment, so that its signal comes while the
 * consumer is on its way into sleep: between its look at the box, its unlock, and the kernel. */
static void produce_at_bad_moments(void *argument)
{
    struct box *box = argument;
    struct ph_rng rng;
    ph_rng_init(&rng, ph_rng_seed_from_environment(8));
    for (int i = 0; i < box->rounds; i++) {
        for (unsigned polls = 1; atomic_load(&box->full); polls++) {
            if (polls % 4096 == 0) {
                (void)sched_yield(); /* a machine with one CPU */
            }
        }
        for (uint64_t pause = ph_rng_below(&rng, 1500); pause > 0; pause--) {
            __asm__ volatile("" ::: "memory");
        }
        (void)hal_mutex_lock(&box->lock);
        box->full = true;
        (void)hal_mutex_unlock(&box->lock);
        (void)hal_cond_signal(&box->filled);
    }
    hal_sem_release(&box->finished);
}

static void pass_tokens(int pairs, int rounds, void (*producer)(void *argument))
{
    struct box box = {.rounds = rounds};
    assert_int_equal(hal_mutex_init(&box.lock, "box"), 0);
    assert_int_equal(hal_cond_init(&box.filled, "filled"), 0);
    assert_int_equal(hal_cond_init(&box.emptied, "emptied"), 0);
    assert_int_equal(hal_sem_init(&box.finished, "finished"), 0);
    for (int i = 0; i < pairs; i++) {
        assert_true(hal_start_thread(producer, &box, 0) >= 0);
        assert_true(hal_start_thread(consume, &box, 0) >= 0);
    }
    for (int i = 0; i < 2 * pairs;
         i++) { /* a lost wake-up hangs here, until the test's time is up */
        assert_int_equal(hal_sem_acquire(&box.finished), 0);
    }
    (void)hal_mutex_lock(&box.lock);
    assert_int_equal(box.taken, pairs * rounds);
    assert_false(box.full);
    (void)hal_mutex_unlock(&box.lock);
    hal_sem_destroy(&box.finished);
    assert_int_equal(hal_cond_destroy(&box.emptied), 0);
    assert_int_equal(hal_cond_destroy(&box.filled), 0);
    assert_int_equal(hal_mutex_destroy(&box.lock), 0);
}

static void signals_outside_the_mutex_lose_no_wake_up(void **state)
{
    (void)state;
    pass_tokens(1, long_run ? 400000 : 50000,
                produce_at_bad_moments); /* no other signal makes up for a lost one */
    pass_tokens(4, 5000, produce);
}

/* All threads meet, again and again; the last one broadcasts. */
struct gate {
    hal_mutex_t lock;
    hal_cond_t opened;
    hal_sem_t finished;
    int waiting, threads, rounds;
    unsigned turn;
};

static void meet(void *argument)
{
    struct gate *gate = argument;
    for (int i = 0; i < gate->rounds; i++) {
        (void)hal_mutex_lock(&gate->lock);
        unsigned turn = gate->turn;
        if (++gate->waiting == gate->threads) {
            gate->waiting = 0;
            gate->turn++;
            (void)hal_cond_broadcast(&gate->opened);
        }
        while (gate->turn == turn) {
            /* Timed waits take part as well: their time is never up in a working test. */
            (void)(i % 2 == 0 ? hal_cond_wait(&gate->opened, &gate->lock)
                              : hal_cond_timedwait(&gate->opened, &gate->lock, 3600 * 1000));
        }
        (void)hal_mutex_unlock(&gate->lock);
    }
    hal_sem_release(&gate->finished);
}

static void a_broadcast_wakes_every_waiter(void **state)
{
    (void)state;
    struct gate gate = {.threads = 6, .rounds = 2000};
    assert_int_equal(hal_mutex_init(&gate.lock, "gate"), 0);
    assert_int_equal(hal_cond_init(&gate.opened, "opened"), 0);
    assert_int_equal(hal_sem_init(&gate.finished, "finished"), 0);
    for (int i = 0; i < gate.threads; i++) {
        assert_true(hal_start_thread(meet, &gate, 0) >= 0);
    }
    for (int i = 0; i < gate.threads; i++) {
        assert_int_equal(hal_sem_acquire(&gate.finished), 0);
    }
    (void)hal_mutex_lock(&gate.lock);
    assert_int_equal(gate.turn, (unsigned)gate.rounds);
    (void)hal_mutex_unlock(&gate.lock);
    hal_sem_destroy(&gate.finished);
    assert_int_equal(hal_cond_destroy(&gate.opened), 0);
    assert_int_equal(hal_mutex_destroy(&gate.lock), 0);
}

struct relay {
    hal_sem_t tokens, finished;
    atomic_long acquired;
    int rounds;
};

static void take_tokens(void *argument)
{
    struct relay *relay = argument;
    for (int i = 0; i < relay->rounds; i++) {
        (void)hal_sem_acquire(&relay->tokens);
        atomic_fetch_add(&relay->acquired, 1);
    }
    hal_sem_release(&relay->finished);
}

static void a_semaphore_starts_at_zero_and_loses_no_token(void **state)
{
    (void)state;
    enum { THREADS = 3, ROUNDS = 10000 };
    struct relay relay = {.rounds = ROUNDS};
    assert_int_equal(hal_sem_init(&relay.tokens, "tokens"), 0);
    assert_int_equal(hal_sem_init(&relay.finished, "finished"), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_true(hal_start_thread(take_tokens, &relay, 0) >= 0);
    }
    for (int given = 0; given < THREADS * ROUNDS; given++) {
        assert_true(atomic_load(&relay.acquired) <= given);
        hal_sem_release(&relay.tokens);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(hal_sem_acquire(&relay.finished), 0);
    }
    assert_int_equal(atomic_load(&relay.acquired), THREADS * ROUNDS);
    hal_sem_destroy(&relay.tokens);
    hal_sem_destroy(&relay.finished);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void clocks_move_and_sleep_lasts(void **state)
{
    (void)state;
    uint64_t before = hal_monotonic_ns();
    bigtime_t before_us = hal_system_time();
    hal_sleep_msec(20);
    hal_sleep_msec(-1);
    uint64_t slept = hal_monotonic_ns() - before;
    assert_true(slept >= 20 * 1000000);
    assert_true(hal_system_time() - before_us >= 20 * 1000);
    assert_true(hal_wall_time_ns() > INT64_C(1700000000) * 1000000000);
    uint64_t seconds = fast_time();
    assert_true(seconds - (uint64_t)(hal_wall_time_ns() / 1000000000) + 5 <= 10);
}

int main(int argc, char **argv)
{
    long_run = argc == 2 && strcmp(argv[1], "long") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twelve_threads_each_count_once),
        cmocka_unit_test(a_thread_has_signals_blocked_a_large_stack_and_a_name),
        cmocka_unit_test(a_mutex_knows_whether_it_is_locked),
        cmocka_unit_test(init_reports_that_memory_is_out),
        cmocka_unit_test(timed_wait_ends_after_its_time_with_the_mutex_held),
        cmocka_unit_test(signals_outside_the_mutex_lose_no_wake_up),
        cmocka_unit_test(a_broadcast_wakes_every_waiter),
        cmocka_unit_test(a_semaphore_starts_at_zero_and_loses_no_token),
        cmocka_unit_test(clocks_move_and_sleep_lasts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
