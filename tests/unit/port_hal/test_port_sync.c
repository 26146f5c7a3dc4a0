/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_sync.c - mutex, condition, semaphore, spin lock, atomics and time of the port's HAL:
 * the port's own tests under their names, and stress of each.
 */
#include "port_fixture.h"

#include <kernel/atomic.h>
#include <stdatomic.h>
#include <string.h>
#include <threads.h>

#include "sync_crew.h"

/* ---- mutex ---------------------------------------------------------------------------------- */

static void test_hal_mutex_state(void **state)
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
    assert_null(m.impl);
}

enum { CREW = 8 };

static void start_crew(void (*body)(void *), void *argument, int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(hal_start_kernel_thread_arg(body, argument) >= 0);
    }
}

static void run_crew(struct shared *s, void (*body)(void *), int count)
{
    start_crew(body, s, count);
}

static void count_under_mutex(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        (void)hal_mutex_lock(&s->lock);
        s->plain++;
        if (!hal_mutex_is_locked(&s->lock)) { /* in the port: perhaps, after another's unlock */
            atomic_store(&s->failed, true);
        }
        (void)hal_mutex_unlock(&s->lock);
    }
    hal_sem_release(&s->done);
}

static void a_mutex_excludes_and_never_looks_free_to_its_holder(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(5000, 30));
    run_crew(&s, count_under_mutex, CREW);
    assert_int_equal(hal_sem_acquire_etc(&s.done, CREW, 0, 0), 0);
    assert_int_equal(s.plain, CREW * s.rounds);
    shared_finish(&s);
}

/* ---- spin lock and atomics ------------------------------------------------------------------ */

struct spun {
    struct shared shared; /* plain: protected by spin */
    hal_spinlock_t spin;
    volatile int atomic; /* changed with atomic_add() */
};

static void count_under_spin(void *argument)
{
    struct spun *spun = argument;
    struct shared *s = &spun->shared;
    for (int i = 0; i < s->rounds; i++) {
        if (i % 2 == 0) {
            hal_spin_lock(&spun->spin);
            s->plain++;
            hal_spin_unlock(&spun->spin);
        } else {
            hal_wired_spin_lock(&spun->spin);
            s->plain++;
            hal_wired_spin_unlock(&spun->spin);
        }
        (void)atomic_add(&spun->atomic, 3);
        (void)atomic_add(&spun->atomic, -2);
    }
    if (hal_is_sti() != 1) {
        atomic_store(&s->failed, true);
    }
    hal_sem_release(&s->done);
}

static void spin_locks_exclude_and_atomics_are_atomic(void **state)
{
    (void)state;
    struct spun spun = {.atomic = 0};
    hal_spin_init(&spun.spin);
    shared_init(&spun.shared, ON_MACHINE(4000, 30));
    start_crew(count_under_spin, &spun, CREW);
    assert_int_equal(hal_sem_acquire_etc(&spun.shared.done, CREW, 0, 0), 0);
    assert_int_equal(spun.shared.plain, CREW * spun.shared.rounds);
    assert_int_equal(spun.atomic, CREW * spun.shared.rounds);
    int v = 5;
    assert_int_equal(atomic_add(&v, -7), -2);
    v = 8;
    assert_int_equal(atomic_or(&v, 3), 11);
    assert_int_equal(v, 11);
    shared_finish(&spun.shared);
}

static void interrupt_flags_pair_up(void **state)
{
    (void)state;
    assert_int_equal(hal_is_sti(), 1);
    assert_int_equal(hal_save_cli(), 1);
    assert_int_equal(hal_save_cli(), 0);
    assert_int_equal(hal_is_sti(), 0);
    hal_sti();
    hal_spinlock_t l;
    hal_spin_init(&l);
    hal_spin_lock_cli(&l);
    assert_int_equal(hal_is_sti(), 0);
    assert_int_equal(l.lock, 1);
    hal_spin_unlock_sti(&l);
    assert_int_equal(hal_is_sti(), 1);
    hal_spin_lock_cli(NULL);
    assert_int_equal(hal_is_sti(), 0);
    hal_spin_unlock_sti(NULL);
    assert_int_equal(hal_is_sti(), 1);
    hal_cli(); /* masked before: masked afterwards */
    hal_wired_spin_lock(&l);
    hal_wired_spin_unlock(&l);
    assert_int_equal(hal_is_sti(), 0);
    hal_sti();
    hal_disable_preemption();
    hal_disable_preemption();
    hal_enable_preemption();
    hal_enable_preemption();
}

/* ---- condition ------------------------------------------------------------------------------ */

static void a_broadcast_wakes_all(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(1000, 15));
    s.members = CREW;
    run_crew(&s, wait_for_each_generation, CREW);
    crew_broadcast(&s);
    assert_int_equal(hal_sem_acquire_etc(&s.done, CREW, 0, 0), 0);
    shared_finish(&s);
}

static void put_items(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        (void)hal_mutex_lock(&s->lock);
        s->stored++;
        (void)hal_mutex_unlock(&s->lock);
        (void)hal_cond_signal(&s->cond);
    }
    hal_sem_release(&s->done);
}

static void take_items(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        (void)hal_mutex_lock(&s->lock);
        while (s->stored == 0) {
            (void)hal_cond_wait(&s->cond, &s->lock);
        }
        s->stored--;
        (void)hal_mutex_unlock(&s->lock);
    }
    hal_sem_release(&s->done);
}

static void no_signal_is_lost(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(4000, 40));
    run_crew(&s, take_items, CREW / 2);
    run_crew(&s, put_items, CREW / 2);
    assert_int_equal(hal_sem_acquire_etc(&s.done, CREW, 0, 0), 0);
    assert_int_equal(s.stored, 0);
    shared_finish(&s);
}

static void a_condition_times_out_and_keeps_the_mutex(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 0);
    (void)hal_mutex_lock(&s.lock);
    bigtime_t begin = hal_system_time();
    while (hal_cond_timedwait(&s.cond, &s.lock, 20) != ETIMEDOUT) {
        begin = hal_system_time(); /* woken for no reason, which is allowed */
    }
    assert_true(hal_system_time() - begin >= 20000);
    assert_int_equal(hal_mutex_is_locked(&s.lock), 1);
    while (hal_cond_timedwait(&s.cond, &s.lock, -5) != ETIMEDOUT) {
    }
    (void)hal_mutex_unlock(&s.lock);
    shared_finish(&s);
}

/* ---- semaphore ------------------------------------------------------------------------------ */

static void release_later(void *argument)
{
    hal_sleep_msec(30);
    ((struct shared *)argument)->plain = 1;
    hal_sem_release(&((struct shared *)argument)->tokens);
}

static void sem(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, 0);
    run_crew(&s, release_later, 1);
    assert_int_equal(hal_sem_acquire(&s.tokens), 0);
    assert_int_equal(s.plain, 1); /* we waited for it */
    bigtime_t begin = hal_system_time();
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 1, SEM_FLAG_TIMEOUT, 20000), ETIMEDOUT);
    assert_true(hal_system_time() - begin >= 20000);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 0, 0, 0), EINVAL);
    for (int i = 0; i < 3; i++) {
        hal_sem_release(&s.tokens);
    }
    int count = 0;
    assert_int_equal(sem_get_count(&s.tokens, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 4, SEM_FLAG_TIMEOUT, 0), ETIMEDOUT);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 2, SEM_FLAG_TIMEOUT, 0), 0);
    assert_int_equal(hal_sem_acquire_etc(&s.tokens, 1, SEM_FLAG_TIMEOUT | SEM_FLAG_ZERO, -1),
                     ETIMEDOUT);
    assert_int_equal(sem_get_count(&s.tokens, &count), 0);
    assert_int_equal(count, 0);
    shared_finish(&s);
}

static void take_tokens(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i++) {
        if (i % 3 == 0) { /* gives up now and then: what it was offered must go to others */
            while (hal_sem_acquire_etc(&s->tokens, 1, SEM_FLAG_TIMEOUT, 50) != 0) {
            }
        } else {
            (void)hal_sem_acquire(&s->tokens);
        }
    }
    hal_sem_release(&s->done);
}

static void no_release_is_lost(void **state)
{
    (void)state;
    struct shared s;
    shared_init(&s, ON_MACHINE(3000, 30));
    run_crew(&s, take_tokens, 4);
    run_crew(&s, take_three_at_once, 2);
    for (int i = 0; i < 6 * s.rounds; i++) {
        hal_sem_release(&s.tokens);
    }
    assert_int_equal(hal_sem_acquire_etc(&s.done, 6, 0, 0), 0);
    int count = -1;
    assert_int_equal(sem_get_count(&s.tokens, &count), 0);
    assert_int_equal(count, 0);
    shared_finish(&s);
}

/* The last release of a semaphore is the permission to destroy it: whoever released must be done
 * with it (AddressSanitizer sees it, if not). */
static void release_once(void *argument)
{
    hal_sem_release(argument);
}

static void a_semaphore_may_be_destroyed_by_whom_it_woke(void **state)
{
    (void)state;
    for (int i = 0; i < ON_MACHINE(500, 20); i++) {
        hal_sem_t s;
        assert_int_equal(hal_sem_init(&s, "short"), 0);
        assert_true(hal_start_kernel_thread_arg(release_once, &s) >= 0);
        assert_int_equal(hal_sem_acquire(&s), 0);
        hal_sem_destroy(&s);
    }
}

static void handles_are_made_whole_or_not_at_all(void **state)
{
    (void)state;
    hal_mutex_t m;
    hal_cond_t c;
    hal_sem_t s;
    ph_memory_fail_after(0, true);
    assert_int_equal(hal_mutex_init(&m, ""), ENOMEM);
    assert_int_equal(hal_cond_init(&c, ""), ENOMEM);
    assert_int_equal(hal_sem_init(&s, ""), ENOMEM);
    assert_int_equal(hal_start_kernel_thread_arg(release_once, &s), -ENOMEM);
    ph_memory_fail_after(-1, false);
    assert_null(m.impl);
    assert_null(c.impl);
    assert_null(s.impl);
    assert_int_equal(hal_start_thread(NULL, NULL, 0), -EINVAL);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void clocks_tell_the_time(void **state)
{
    (void)state;
    bigtime_t begin = hal_system_time();
    hal_sleep_msec(15);
    assert_true(hal_system_time() - begin >= 15000);
    hal_sleep_msec(-3);
    assert_true(hal_system_time_lores() >= begin);
    bigtime_t wall = hal_local_time();
    assert_true(wall > UINT64_C(1600000000) * 1000000); /* not 1337 */
    assert_int_equal(hal_time_init(), 0);
}

int main(void)
{
    const struct machine_case cases[] = {
        port_test(test_hal_mutex_state),
        port_test(a_mutex_excludes_and_never_looks_free_to_its_holder),
        port_test(spin_locks_exclude_and_atomics_are_atomic),
        port_test(interrupt_flags_pair_up),
        port_test(a_broadcast_wakes_all),
        port_test(no_signal_is_lost),
        port_test(a_condition_times_out_and_keeps_the_mutex),
        port_test(sem),
        port_test(no_release_is_lost),
        port_test(a_semaphore_may_be_destroyed_by_whom_it_woke),
        port_test(handles_are_made_whole_or_not_at_all),
        port_test(clocks_tell_the_time),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
