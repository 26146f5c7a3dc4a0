/* SPDX-License-Identifier: Apache-2.0
 *
 * sync_crew.h - threads around a mutex, two conditions and two semaphores: what the contract tests
 * of <hal.h> and of the port's HAL have in common. The interface has the same names in both, in
 * other headers: include those first. Each suite starts threads in its own way.
 */
#ifndef SYNC_CREW_H
#define SYNC_CREW_H

#include "on_machine.h"

#include <stdatomic.h>
#include <string.h>

struct shared {
    hal_mutex_t lock;
    hal_cond_t cond, back;
    hal_sem_t tokens, done; /* done: each thread of the crew at its end */
    _Atomic uint32_t word;
    int rounds, members, stored, arrived, generation;
    long plain; /* protected by what is under test */
    atomic_int inside;
    atomic_bool failed;
};

static inline void shared_init(struct shared *s, int rounds)
{
    memset(s, 0, sizeof(*s));
    s->rounds = rounds;
    assert_int_equal(hal_mutex_init(&s->lock, "lock"), 0);
    assert_int_equal(hal_cond_init(&s->cond, "cond"), 0);
    assert_int_equal(hal_cond_init(&s->back, "back"), 0);
    assert_int_equal(hal_sem_init(&s->tokens, "tokens"), 0);
    assert_int_equal(hal_sem_init(&s->done, "done"), 0);
}

static inline void shared_finish(struct shared *s)
{
    assert_false(atomic_load(&s->failed));
    hal_sem_destroy(&s->tokens);
    hal_sem_destroy(&s->done);
    assert_int_equal(hal_cond_destroy(&s->cond), 0);
    assert_int_equal(hal_cond_destroy(&s->back), 0);
    assert_int_equal(hal_mutex_destroy(&s->lock), 0);
    assert_null(s->lock.impl);
    assert_null(s->cond.impl);
    assert_null(s->done.impl);
}

/** A thread: waits for each broadcast of crew_broadcast(), one of s->members. */
static inline void wait_for_each_generation(void *argument)
{
    struct shared *s = argument;
    (void)hal_mutex_lock(&s->lock);
    for (int seen = 0; seen < s->rounds;) {
        while (s->generation == seen) { /* timed waits take part: the time is never up */
            (void)(seen % 2 == 0 ? hal_cond_wait(&s->cond, &s->lock)
                                 : hal_cond_timedwait(&s->cond, &s->lock, 3600 * 1000));
        }
        seen = s->generation;
        if (++s->arrived == s->members) {
            (void)hal_cond_signal(&s->back);
        }
    }
    (void)hal_mutex_unlock(&s->lock);
    hal_sem_release(&s->done);
}

/** Broadcast s->rounds times; each time all members must come, or this lasts for ever. */
static inline void crew_broadcast(struct shared *s)
{
    for (int i = 0; i < s->rounds; i++) {
        (void)hal_mutex_lock(&s->lock);
        s->arrived = 0;
        s->generation++;
        if (i % 2 == 0) { /* with the mutex held, and without it as the port's callers do */
            (void)hal_cond_broadcast(&s->cond);
        }
        (void)hal_mutex_unlock(&s->lock);
        if (i % 2 != 0) {
            (void)hal_cond_broadcast(&s->cond);
        }
        (void)hal_mutex_lock(&s->lock);
        while (s->arrived < s->members) {
            (void)hal_cond_wait(&s->back, &s->lock);
        }
        (void)hal_mutex_unlock(&s->lock);
    }
}

/** A thread: takes s->rounds tokens, three at once. */
static inline void take_three_at_once(void *argument)
{
    struct shared *s = argument;
    for (int i = 0; i < s->rounds; i += 3) {
        (void)hal_sem_acquire_etc(&s->tokens, 3, 0, 0);
    }
    hal_sem_release(&s->done);
}

#endif /* SYNC_CREW_H */
