/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_contract.c - what <hal.h> and hal_ours.h promise, function by function, for every
 * implementation: the suite that tells when a new one is done (docs/hal.md). Run on hal_posix and,
 * with many seeds, on hal_sim.
 */
#include "on_machine.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <hal.h>

#include "sync_crew.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

static void start(void (*body)(void *), struct shared *s, int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(hal_start_thread(body, s, THREAD_FLAG_KERNEL) >= 0);
    }
}

static void wait_for(struct shared *s, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(hal_sem_acquire(&s->done), 0);
    }
}

/* ---- threads -------------------------------------------------------------------------------- */

static void count_under_lock(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        (void)hal_mutex_lock(&s->lock);
        if (atomic_fetch_add(&s->inside, 1) != 0 || !hal_mutex_is_locked(&s->lock)) {
            atomic_store(&s->failed, true);
        }
        hal_yield();
        s->plain++;
        atomic_fetch_sub(&s->inside, 1);
        (void)hal_mutex_unlock(&s->lock);
    }
    hal_sem_release(&s->done);
}

static void threads_run_with_their_argument(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 1);
    start(count_under_lock, &s, 12);
    wait_for(&s, 12);
    assert_int_equal(s.plain, 12);
    assert_int_equal(hal_start_thread(NULL, &s, 0), -EINVAL);
    assert_int_equal(t_current_set_name("a name of more than fifteen characters"), 0);
    assert_int_equal(t_current_set_name(NULL), EINVAL);
    shared_finish(&s);
}

static void release_done(void *argument)
{
    hal_sem_release(&((struct shared *)argument)->done);
}

static void threads_that_ended_leave_nothing(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 0);
    for (int i = 0; i < ON_MACHINE(2000, 400); i++) {
        start(release_done, &s, 1);
        wait_for(&s, 1);
    }
    shared_finish(&s);
}

/* ---- mutex ---------------------------------------------------------------------------------- */

static void a_mutex_knows_whether_it_is_locked(void **state)
{
    (void)state;
    hal_mutex_t m;
    assert_int_equal(hal_mutex_init(&m, "state"), 0);
    assert_int_equal(hal_mutex_is_locked(&m), 0);
    assert_int_equal(hal_mutex_lock(&m), 0);
    assert_int_equal(hal_mutex_is_locked(&m), 1);
    assert_int_equal(hal_mutex_destroy(&m), EBUSY);
    assert_int_equal(hal_mutex_unlock(&m), 0);
    assert_int_equal(hal_mutex_is_locked(&m), 0);
    assert_int_equal(hal_mutex_destroy(&m), 0);
    assert_int_equal(hal_mutex_destroy(&m), 0); /* again: nothing there */
    assert_null(m.impl);
}

static void a_mutex_excludes(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(2000, 20));
    start(count_under_lock, &s, 6);
    wait_for(&s, 6);
    assert_int_equal(s.plain, 6 * s.rounds);
    shared_finish(&s);
}

static void handles_are_made_whole_or_not_at_all(void **state)
{
    (void)state;
    hal_mutex_t m;
    hal_cond_t c;
    hal_sem_t s;
    ph_memory_fail_after(0, true);
    int mutex = hal_mutex_init(&m, "m"), cond = hal_cond_init(&c, "c"), sem = hal_sem_init(&s, "s");
    ph_memory_fail_after(-1, false);
    assert_int_equal(mutex, ENOMEM);
    assert_int_equal(cond, ENOMEM);
    assert_int_equal(sem, ENOMEM);
    assert_null(m.impl);
    assert_null(c.impl);
    assert_null(s.impl);
}

/* ---- condition ------------------------------------------------------------------------------ */

static void a_broadcast_wakes_every_waiter(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(1000, 12));
    s.members = 6;
    start(wait_for_each_generation, &s, s.members);
    crew_broadcast(&s);
    wait_for(&s, 6);
    shared_finish(&s);
}

static void a_timed_wait_ends_after_its_time_with_the_mutex_held(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 0);
    static const long waits_ms[] = {30, 0, -5};
    assert_int_equal(hal_mutex_lock(&s.lock), 0);
    for (size_t i = 0; i < 3; i++) {
        uint64_t least = waits_ms[i] > 0 ? (uint64_t)waits_ms[i] * 1000000 : 0;
        uint64_t begin;
        do { /* a wake-up for no reason is allowed */
            begin = hal_monotonic_ns();
        } while (hal_cond_timedwait(&s.cond, &s.lock, waits_ms[i]) != ETIMEDOUT);
        assert_true(hal_monotonic_ns() - begin >= least);
        assert_int_equal(hal_mutex_is_locked(&s.lock), 1);
    }
    assert_int_equal(hal_mutex_unlock(&s.lock), 0);
    shared_finish(&s);
}

static const long far_away[] = {INT_MAX,
                                INT64_C(1) << 31,
                                LONG_MAX / 1000000,
                                LONG_MAX / 1000000 + 1,
                                LONG_MAX / 1000,
                                LONG_MAX / 1000 + 1,
                                LONG_MAX};
enum { FAR_TIMES = sizeof(far_away) / sizeof(far_away[0]) };

static void wait_for_far_times(void *argument)
{
    struct shared *s = argument;
    for (size_t i = 0; i < FAR_TIMES; i++) {
        (void)hal_mutex_lock(&s->lock);
        s->arrived = 2 * (int)i + 1;
        while (s->stored <= (int)i && !atomic_load(&s->failed)) {
            if (hal_cond_timedwait(&s->cond, &s->lock, far_away[i]) != 0) {
                atomic_store(&s->failed, true);
            }
        }
        s->arrived = 2 * (int)i + 2;
        (void)hal_mutex_unlock(&s->lock);
        if (hal_sem_acquire_etc(&s->tokens, 1, SEM_FLAG_TIMEOUT, far_away[i]) != 0) {
            atomic_store(&s->failed, true);
        }
    }
    hal_sem_release(&s->done);
}

static void wait_until_arrived(struct shared *s, int stage)
{
    for (bool there = false; !there;) {
        hal_sleep_msec(1);
        (void)hal_mutex_lock(&s->lock);
        there = s->arrived >= stage || atomic_load(&s->failed);
        (void)hal_mutex_unlock(&s->lock);
    }
}

/* Times that overflow when they are counted in nanoseconds are not in the past. */
static void far_times_do_not_come(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 0);
    start(wait_for_far_times, &s, 1);
    for (int i = 0; i < FAR_TIMES; i++) {
        wait_until_arrived(&s, 2 * i + 1);
        (void)hal_mutex_lock(&s.lock);
        s.stored = i + 1;
        (void)hal_cond_broadcast(&s.cond);
        (void)hal_mutex_unlock(&s.lock);
        wait_until_arrived(&s, 2 * i + 2);
        hal_sleep_msec(1); /* it is asleep, or soon */
        hal_sem_release(&s.tokens);
    }
    wait_for(&s, 1);
    assert_false(atomic_load(&s.failed));
    shared_finish(&s);
}

/* The waiter looks, finds nothing and goes to sleep; the signal comes at some moment of that. One
 * item at a time: no other signal makes up for a lost one. What is lost shows as a wait that lasts
 * as long as its patience. */
enum { PATIENCE_MS = ON_MACHINE(30000, 3600000), SHORT_MS = 60 };

static long patience_ms(void)
{
    return ph_active_mutant != PH_MUTANT_NONE ? SHORT_MS : PATIENCE_MS;
}

static void take_one_by_one(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        (void)hal_mutex_lock(&s->lock);
        while (s->stored == 0) {
            uint64_t begin = hal_monotonic_ns();
            errno_t rc = hal_cond_timedwait(&s->cond, &s->lock, patience_ms());
            if (rc == ETIMEDOUT && s->stored != 0 &&
                hal_monotonic_ns() - begin >= (uint64_t)patience_ms() * 1000000) {
                atomic_store(&s->failed, true);
            }
        }
        s->stored = 0;
        s->arrived++;
        (void)hal_mutex_unlock(&s->lock);
    }
    hal_sem_release(&s->done);
}

static bool no_signal_is_lost(int rounds)
{
    struct shared s;
    struct ph_rng rng;
    shared_init(&s, rounds);
    ph_rng_init(&rng, hal_random());
    start(take_one_by_one, &s, 1);
    for (int i = 0; i < rounds; i++) {
        for (bool full = true; full;) { /* not by a condition: that is what is in question */
            (void)hal_mutex_lock(&s.lock);
            full = s.stored != 0;
            (void)hal_mutex_unlock(&s.lock);
            if (full) {
                hal_yield();
            }
        }
        for (uint64_t pause = ph_rng_below(&rng, ON_MACHINE(400, 4)); pause > 0; pause--) {
            __asm__ volatile("" ::: "memory");
            if (ON_MACHINE(false, true)) {
                hal_yield();
            }
        }
        (void)hal_mutex_lock(&s.lock);
        s.stored = 1;
        (void)hal_mutex_unlock(&s.lock);
        (void)hal_cond_signal(&s.cond);
    }
    wait_for(&s, 1);
    bool lost = atomic_exchange(&s.failed, false);
    assert_int_equal(s.arrived, rounds);
    shared_finish(&s);
    return !lost;
}

static bool no_signal_is_lost_soon(void)
{
    return no_signal_is_lost(ON_MACHINE(10, 30));
}

static void signals_are_not_lost(void **state)
{
    (void)state;
    assert_true(no_signal_is_lost(ON_MACHINE(3000, 40)));
    machine_expect_defect(PH_MUTANT_COND_SLEEPS_LATE, no_signal_is_lost_soon, ON_MACHINE(500, 3));
}

/* ---- semaphore ------------------------------------------------------------------------------ */

static void semaphores_count_and_take_several_at_once(void **state)
{
    (void)state;
    struct shared s;
    int count = 99;
    shared_init(&s, 0);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 0, 0, 0), EINVAL);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 1, SEM_FLAG_TIMEOUT, 0), ETIMEDOUT);
    uint64_t begin = hal_monotonic_ns();
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 1, SEM_FLAG_TIMEOUT, 5000), ETIMEDOUT);
    assert_true(hal_monotonic_ns() - begin >= 5000000);
    for (int i = 0; i < 3; i++) {
        hal_sem_release(&s.tokens);
    }
    assert_int_equal(sem_get_count(&s.tokens, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 4, SEM_FLAG_TIMEOUT, 0), ETIMEDOUT);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 2, 0, 0), 0);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 1, SEM_FLAG_TIMEOUT | SEM_FLAG_ZERO, -1),
                     ETIMEDOUT);
    hal_sem_release(&s.tokens);
    hal_sem_zero(&s.tokens);
    assert_int_equal(sem_get_count(&s.tokens, &count), 0);
    assert_int_equal(count, 0);
    shared_finish(&s);
}

static void take_tokens(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i += 3) { /* one, one that may give up, and two at once... */
        (void)hal_sem_acquire(&s->tokens);
        while (hal_sem_acquire_etc(&s->tokens, 1, SEM_FLAG_TIMEOUT, 50) != 0) {
        }
        (void)hal_sem_acquire_etc(&s->tokens, 1, 0, 0);
    }
    hal_sem_release(&s->done);
}

static void no_token_is_lost(void **state)
{
    (void)state;
    struct shared s;
    int count = -1;
    shared_init(&s, ON_MACHINE(3000, 30));
    start(take_tokens, &s, 3);
    start(take_three_at_once, &s, 2);
    for (int i = 0; i < 5 * s.rounds; i++) {
        hal_sem_release(&s.tokens);
    }
    wait_for(&s, 5);
    assert_int_equal(sem_get_count(&s.tokens, &count), 0);
    assert_int_equal(count, 0);
    shared_finish(&s);
}

static void take_soon(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        hal_sem_release(&s->done); /* now it looks, and sleeps */
        uint64_t begin = hal_monotonic_ns();
        while (hal_sem_acquire_etc(&s->tokens, 1, SEM_FLAG_TIMEOUT, patience_ms() * 1000) != 0) {
        }
        if (hal_monotonic_ns() - begin >= (uint64_t)patience_ms() * 1000000) {
            atomic_store(&s->failed, true);
        }
    }
    hal_sem_release(&s->done);
}

static bool no_release_is_lost(int rounds)
{
    struct shared s;
    shared_init(&s, rounds);
    start(take_soon, &s, 1);
    for (int i = 0; i <= rounds; i++) {
        int count = 0;
        while (count == 0) { /* not by sleeping: that is what is in question */
            hal_yield();
            (void)sem_get_count(&s.done, &count);
        }
        (void)hal_sem_acquire(&s.done);
        hal_sem_release(&s.tokens);
    }
    bool lost = atomic_exchange(&s.failed, false);
    shared_finish(&s);
    return !lost;
}

static bool no_release_is_lost_soon(void)
{
    return no_release_is_lost(ON_MACHINE(10, 30));
}

static void releases_are_not_lost(void **state)
{
    (void)state;
    assert_true(no_release_is_lost(ON_MACHINE(3000, 40)));
    machine_expect_defect(PH_MUTANT_SEM_SLEEPS_LATE, no_release_is_lost_soon, ON_MACHINE(500, 3));
}

static void release_once(void *argument)
{
    hal_sem_release(argument);
}

static void a_semaphore_may_be_destroyed_by_whom_it_woke(void **state)
{
    (void)state;
    for (int i = 0; i < ON_MACHINE(300, 20); i++) {
        hal_sem_t s;
        assert_int_equal(hal_sem_init(&s, "short"), 0);
        assert_true(hal_start_thread(release_once, &s, 0) >= 0);
        assert_int_equal(hal_sem_acquire(&s), 0);
        hal_sem_destroy(&s);
    }
}

/* ---- futex, yield, fence -------------------------------------------------------------------- */

static void sleep_on_word(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        uint32_t seen;
        while ((seen = atomic_load(&s->word)) <= (uint32_t)i) {
            errno_t rc = hal_futex_wait(&s->word, seen, i % 2 == 0 ? -1 : INT64_C(3600000000000));
            if (rc != 0) {
                atomic_store(&s->failed, true);
            }
        }
    }
    hal_sem_release(&s->done);
}

static void a_futex_sleeps_only_on_the_expected_value(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(2000, 30));
    assert_int_equal(hal_futex_wait(&s.word, 1, -1), 0); /* differs: does not sleep */
    uint64_t begin = hal_monotonic_ns();
    errno_t rc;
    do { /* may wake for no reason */
        begin = hal_monotonic_ns();
        rc = hal_futex_wait(&s.word, 0, 5000000);
    } while (rc == 0);
    assert_int_equal(rc, ETIMEDOUT);
    assert_true(hal_monotonic_ns() - begin >= 5000000);
    start(sleep_on_word, &s, 3);
    for (int i = 0; i < s.rounds; i++) {
        (void)atomic_fetch_add(&s.word, 1);
        hal_futex_wake(&s.word, INT_MAX);
        if (i % 3 == 0) {
            hal_yield();
        }
    }
    wait_for(&s, 3);
    hal_futex_wake(&s.word, 1); /* nobody is there */
    shared_finish(&s);
}

static void yield_until_told(void *argument)
{
    struct shared *s = argument;
    while (atomic_load(&s->word) == 0) {
        hal_yield(); /* whoever has the first priority must not keep it */
    }
    hal_sem_release(&s->done);
}

static void who_yields_lets_others_run(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 0);
    start(yield_until_told, &s, 3);
    hal_yield();
    atomic_store(&s.word, 1);
    wait_for(&s, 3);
    shared_finish(&s);
}

/* Two sides say that they come in and look whether the other one has; one of them must see it. The
 * frequent side has no fence of its own. */
struct race {
    struct shared s;
    _Atomic uint32_t turn;
    atomic_int fast, slow, fast_saw, slow_saw;
};

static void fast_side(void *argument)
{
    struct race *r = argument;
    for (uint32_t i = 1; i <= (uint32_t)r->s.rounds; i++) {
        while (atomic_load(&r->turn) != i) {
            hal_yield();
        }
        atomic_store_explicit(&r->fast, 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        int saw = atomic_load_explicit(&r->slow, memory_order_relaxed);
        atomic_store(&r->fast_saw, saw);
        hal_sem_release(&r->s.tokens);
    }
    hal_sem_release(&r->s.done);
}

static void a_fence_of_all_needs_none_on_the_other_side(void **state)
{
    (void)state;
    struct race r = {.turn = 0};
    errno_t prepared = hal_fence_all_prepare();
    if (prepared == ENOSYS) { /* allowed: then users take the slow way */
        return;
    }
    assert_int_equal(prepared, 0);
    shared_init(&r.s, ON_MACHINE(500, 30));
    start(fast_side, &r.s, 1); /* first member */
    for (uint32_t i = 1; i <= (uint32_t)r.s.rounds; i++) {
        atomic_store(&r.fast, 0);
        atomic_store(&r.slow, 0);
        atomic_store(&r.turn, i);
        atomic_store_explicit(&r.slow, 1, memory_order_relaxed);
        hal_fence_all();
        int saw = atomic_load_explicit(&r.fast, memory_order_relaxed);
        (void)hal_sem_acquire(&r.s.tokens);
        assert_true(saw != 0 || atomic_load(&r.fast_saw) != 0);
    }
    wait_for(&r.s, 1);
    shared_finish(&r.s);
}

/* ---- a word of each thread ------------------------------------------------------------------ */

struct words {
    struct shared s;
    hal_thread_key_t key, other;
    atomic_int ended;
};

static void word_ended(void *value)
{
    struct words *w = value;
    atomic_fetch_add(&w->ended, 1);
    hal_sem_release(&w->s.done);
}

static void use_words(void *argument)
{
    struct words *w = argument;
    if (hal_thread_key_get(w->key) != NULL || hal_thread_key_set(w->key, w) != 0 ||
        hal_thread_key_set(w->other, &w->s) != 0) {
        atomic_store(&w->s.failed, true);
    }
    hal_yield();
    if (hal_thread_key_get(w->key) != w || hal_thread_key_get(w->other) != &w->s) {
        atomic_store(&w->s.failed, true);
    }
}

static void use_no_words(void *argument)
{
    struct words *w = argument;
    (void)hal_thread_key_set(w->key, w);
    (void)hal_thread_key_set(w->key, NULL); /* then its end is not told */
    hal_sem_release(&w->s.tokens);
}

static void words_of_threads_end_with_them(void **state)
{
    (void)state;
    struct words w = {.ended = 0};
    shared_init(&w.s, 0);
    assert_int_equal(hal_thread_key_create(&w.key, word_ended), 0);
    assert_int_equal(hal_thread_key_create(&w.other, NULL), 0);
    start(use_words, &w.s, 4); /* first member */
    start(use_no_words, &w.s, 1);
    wait_for(&w.s, 4);
    (void)hal_sem_acquire(&w.s.tokens);
    assert_int_equal(atomic_load(&w.ended), 4);
    assert_null(hal_thread_key_get(w.key));
    hal_thread_key_delete(w.other);
    hal_thread_key_delete(w.key);
    shared_finish(&w.s);
}

static void a_fork_flag_is_false_in_the_parent(void **state)
{
    (void)state;
    const atomic_bool *flag = NULL;
    assert_int_equal(hal_fork_flag_create(&flag), 0);
    assert_false(atomic_load(flag));
    hal_fork_flag_destroy(flag);
    hal_fork_flag_destroy(NULL);
}

/* ---- time, random numbers ------------------------------------------------------------------- */

static void clocks_move_and_sleep_lasts(void **state)
{
    (void)state;
    uint64_t begin = hal_monotonic_ns();
    bigtime_t begin_us = hal_system_time();
    hal_sleep_msec(ON_MACHINE(20, 3600000));
    assert_true(hal_monotonic_ns() - begin >=
                ON_MACHINE(UINT64_C(20), UINT64_C(3600000)) * 1000000);
    assert_true(hal_system_time() - begin_us >= ON_MACHINE(UINT64_C(20), UINT64_C(3600000)) * 1000);
    hal_sleep_msec(-1);
    hal_sleep_msec(0);
    assert_true(hal_wall_time_ns() > INT64_C(1700000000) * 1000000000);
    uint64_t seconds = fast_time(), later = (uint64_t)(hal_wall_time_ns() / 1000000000);
    assert_true(later - seconds <= 5);
    uint64_t last = hal_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = hal_monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void random_numbers_differ_and_use_all_bits(void **state)
{
    (void)state;
    uint64_t ones = 0, zeros = 0, previous = hal_random();
    for (int i = 0; i < 100; i++) {
        uint64_t value = hal_random();
        assert_true(value != previous);
        ones |= value;
        zeros |= ~value;
        previous = value;
    }
    assert_true(ones == UINT64_MAX && zeros == UINT64_MAX); /* fails once in 2^93 */
}

static void there_is_at_least_one_cpu(void **state)
{
    (void)state;
    assert_in_range(hal_cpu_count(), 1, 65536);
}

int main(void)
{
    const struct machine_case cases[] = {
        machine_test(threads_run_with_their_argument),
        machine_test(threads_that_ended_leave_nothing),
        machine_test(a_mutex_knows_whether_it_is_locked),
        machine_test(a_mutex_excludes),
        machine_test(handles_are_made_whole_or_not_at_all),
        machine_test(a_broadcast_wakes_every_waiter),
        machine_test(a_timed_wait_ends_after_its_time_with_the_mutex_held),
        machine_test(far_times_do_not_come),
        machine_test(signals_are_not_lost),
        machine_test(semaphores_count_and_take_several_at_once),
        machine_test(no_token_is_lost),
        machine_test(releases_are_not_lost),
        machine_test(a_semaphore_may_be_destroyed_by_whom_it_woke),
        machine_test(a_futex_sleeps_only_on_the_expected_value),
        machine_test(who_yields_lets_others_run),
        machine_test(a_fence_of_all_needs_none_on_the_other_side),
        machine_test(words_of_threads_end_with_them),
        machine_test(a_fork_flag_is_false_in_the_parent),
        machine_test(clocks_move_and_sleep_lasts),
        machine_test(random_numbers_differ_and_use_all_bits),
        machine_test(there_is_at_least_one_cpu),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), NULL);
}
