/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_wrap.c - what rooms take from the system and not from the HAL: leaf locks, conditions on
 * them, and the clocks (ARCHITECTURE.md, "Files of the host are opened by one room"). Who links
 * this room asks the linker to lead these calls here (--wrap, see hal_sim_link_args): on a thread
 * of a machine they are switch points and the machine's time, elsewhere they are what they were.
 *
 * A thread with the baton that slept in a real mutex would never hand it on. So on a machine a
 * pthread mutex is an entry in the machine's list of held ones, and the real one is not touched.
 */
#include "sim_internal.h"

#include "ph_check.h"

#include <hal.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __real_pthread_cond_signal(pthread_cond_t *cond);
int __real_pthread_cond_broadcast(pthread_cond_t *cond);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static struct sim_held *find_held(struct hal_sim *sim, const void *mutex)
{
    for (size_t i = 0; i < sim->held_count; i++) {
        if (sim->held[i].mutex == mutex) {
            return &sim->held[i];
        }
    }
    return NULL;
}

const struct sim_thread *sim_holder(struct hal_sim *sim, const void *mutex)
{
    const struct sim_held *held = find_held(sim, mutex);
    return held != NULL ? held->owner : NULL;
}

/* The thread gets the mutex, however long it takes. */
static void take(struct sim_thread *thread, pthread_mutex_t *mutex)
{
    struct hal_sim *sim = thread->sim;
    for (;;) {
        const struct sim_held *held = find_held(sim, mutex);
        if (held == NULL) {
            break;
        }
        PH_CHECK(held->owner != thread);
        (void)sim_sleep("lock", NULL, mutex, SIM_NEVER);
    }
    if (sim->held_count == sim->held_capacity) {
        sim->held_capacity = sim->held_capacity * 2 + 8;
        sim->held = realloc(sim->held, sim->held_capacity * sizeof(*sim->held));
        PH_CHECK(sim->held != NULL);
    }
    sim->held[sim->held_count++] = (struct sim_held){mutex, thread};
}

static void release(struct sim_thread *thread, pthread_mutex_t *mutex)
{
    struct hal_sim *sim = thread->sim;
    struct sim_held *held = find_held(sim, mutex);
    PH_CHECK(held != NULL && held->owner == thread);
    *held = sim->held[--sim->held_count];
    sim_wake(mutex, UINT_MAX);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL || thread->sim->silent) {
        return __real_pthread_mutex_lock(mutex);
    }
    sim_point("pthread lock", NULL);
    take(thread, mutex);
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL || thread->sim->silent) {
        return __real_pthread_mutex_unlock(mutex);
    }
    release(thread, mutex);
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL || thread->sim->silent) {
        return __real_pthread_cond_wait(cond, mutex);
    }
    struct hal_sim *sim = thread->sim;
    release(thread, mutex);
    if (ph_rng_below(&sim->rng, 1000) < sim->options.spurious_permille) {
        sim_point("spurious", NULL);
    } else {
        (void)sim_sleep("pthread cond", NULL, cond, SIM_NEVER);
    }
    take(thread, mutex);
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL || thread->sim->silent) {
        return __real_pthread_cond_signal(cond);
    }
    sim_wake(cond, 1);
    sim_point("pthread signal", NULL);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL || thread->sim->silent) {
        return __real_pthread_cond_broadcast(cond);
    }
    sim_wake(cond, UINT_MAX);
    sim_point("pthread broadcast", NULL);
    return 0;
}

void hal_sim_lock(const void *address)
{
    if (sim_holder(sim_here(), address) == sim_self()) {
        hal_sim_fail("t%u (%s) locks what it has locked already: locks are not recursive",
                     sim_self()->number, sim_self()->name);
    }
    (void)__wrap_pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)address);
}

void hal_sim_unlock(const void *address)
{
    const struct sim_thread *holder = sim_holder(sim_here(), address);
    if (holder == NULL) {
        hal_sim_fail("t%u (%s) unlocks what nobody has locked", sim_self()->number,
                     sim_self()->name);
    } else if (holder != sim_self()) {
        hal_sim_fail("t%u (%s) unlocks what t%u (%s) has locked", sim_self()->number,
                     sim_self()->name, holder->number, holder->name);
    }
    (void)__wrap_pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)address);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!hal_sim_inside()) {
        return __real_clock_gettime(clock, now);
    }
    int64_t ns = clock == CLOCK_REALTIME ? hal_wall_time_ns() : (int64_t)hal_monotonic_ns();
    *now = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}
