/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_sync.c - mutex, condition, semaphore, futex, thread words, time and random numbers of <hal.h>
 * on a simulated machine. (Threads: sim_start.c.) Each call is a switch point. Handles are as in
 * hal_posix: one pointer to an object from volatile memory. All state belongs to the thread with
 * the baton.
 */
#include "sim_internal.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <hal.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#define WALL_START                                                                                 \
    INT64_C(1750000000000000000) /* the day on which every machine is switched on                  \
                                  */

struct hal_mutex_impl {
    struct sim_thread *owner;
    const char *name;
};

struct hal_cond_impl {
    const char *name;
};

struct hal_sem_impl {
    uint64_t value;
    const char *name;
};

static uint64_t deadline(struct hal_sim *sim, int64_t delay_ns)
{
    return delay_ns < 0 ? SIM_NEVER : sim->now_ns + (uint64_t)delay_ns;
}

/* So many units; what is too far away to be counted never comes. */
static uint64_t deadline_in(struct hal_sim *sim, long units, int64_t unit_ns)
{
    int64_t delay_ns;
    bool far = __builtin_mul_overflow(units > 0 ? units : 0, unit_ns, &delay_ns);
    return far ? SIM_NEVER : deadline(sim, delay_ns);
}

/* ---- mutex ---------------------------------------------------------------------------------- */

errno_t hal_mutex_init(hal_mutex_t *m, const char *name)
{
    m->impl = ph_zalloc(1, sizeof(*m->impl));
    if (m->impl == NULL) {
        return ENOMEM;
    }
    m->impl->name = name;
    return 0;
}

errno_t hal_mutex_lock(hal_mutex_t *m)
{
    struct hal_mutex_impl *impl = m->impl;
    sim_point("lock", impl->name);
    PH_CHECK(impl->owner != sim_self()); /* this thread holds it already */
    while (impl->owner != NULL) {
        (void)sim_sleep("mutex", impl->name, impl, SIM_NEVER);
    }
    impl->owner = sim_self();
    return 0;
}

static void release(struct hal_mutex_impl *impl)
{
    PH_CHECK(impl->owner == sim_self()); /* another thread holds it, or nobody */
    impl->owner = NULL;
    sim_wake(impl, UINT_MAX);
}

errno_t hal_mutex_unlock(hal_mutex_t *m)
{
    const char *name = m->impl->name; /* the mutex may be gone after the switch */
    release(m->impl);
    sim_point("unlock", name);
    return 0;
}

int hal_mutex_is_locked(hal_mutex_t *m)
{
    return m->impl->owner != NULL;
}

errno_t hal_mutex_destroy(hal_mutex_t *m)
{
    if (m->impl == NULL) {
        return 0;
    }
    if (m->impl->owner != NULL) {
        return EBUSY;
    }
    ph_free(m->impl);
    m->impl = NULL;
    return 0;
}

const struct sim_thread *sim_owner_of(const struct sim_thread *waiting)
{
    if (strcmp(waiting->kind, "mutex") == 0) {
        return ((const struct hal_mutex_impl *)waiting->object)->owner;
    }
    return strcmp(waiting->kind, "lock") == 0 ? sim_holder(waiting->sim, waiting->object) : NULL;
}

/* ---- condition ------------------------------------------------------------------------------ */

errno_t hal_cond_init(hal_cond_t *c, const char *name)
{
    c->impl = ph_zalloc(1, sizeof(*c->impl));
    if (c->impl == NULL) {
        return ENOMEM;
    }
    c->impl->name = name;
    return 0;
}

static errno_t cond_sleep(hal_cond_t *c, hal_mutex_t *m, uint64_t wake_at)
{
    struct hal_sim *sim = sim_here();
    struct hal_cond_impl *impl = c->impl;
    bool late = false;
    release(m->impl);
    if (PH_MUTANT(COND_SLEEPS_LATE)) {
        sim_point("late", impl->name);
    }
    if (ph_rng_below(&sim->rng, 1000) < sim->options.spurious_permille) {
        sim_point("spurious", impl->name);
    } else {
        late = sim_sleep("cond", impl->name, impl, wake_at);
    }
    while (m->impl->owner != NULL) {
        (void)sim_sleep("mutex", m->impl->name, m->impl, SIM_NEVER);
    }
    m->impl->owner = sim_self();
    return late ? ETIMEDOUT : 0;
}

errno_t hal_cond_wait(hal_cond_t *c, hal_mutex_t *m)
{
    return cond_sleep(c, m, SIM_NEVER);
}

errno_t hal_cond_timedwait(hal_cond_t *c, hal_mutex_t *m, long msec)
{
    return cond_sleep(c, m, deadline_in(sim_here(), msec, 1000000));
}

errno_t hal_cond_signal(hal_cond_t *c)
{
    const char *name = c->impl->name;
    sim_wake(c->impl, 1);
    sim_point("signal", name);
    return 0;
}

errno_t hal_cond_broadcast(hal_cond_t *c)
{
    const char *name = c->impl->name;
    sim_wake(c->impl, UINT_MAX);
    sim_point("broadcast", name);
    return 0;
}

errno_t hal_cond_destroy(hal_cond_t *c)
{
    ph_free(c->impl);
    c->impl = NULL;
    return 0;
}

/* ---- semaphore ------------------------------------------------------------------------------ */

int hal_sem_init(hal_sem_t *s, const char *name)
{
    s->impl = ph_zalloc(1, sizeof(*s->impl));
    if (s->impl == NULL) {
        return ENOMEM;
    }
    s->impl->name = name;
    return 0;
}

int hal_sem_acquire(hal_sem_t *s)
{
    struct hal_sem_impl *impl = s->impl;
    sim_point("acquire", impl->name);
    while (impl->value == 0) {
        if (PH_MUTANT(SEM_SLEEPS_LATE)) {
            sim_point("late", impl->name);
        }
        (void)sim_sleep("semaphore", impl->name, impl, SIM_NEVER);
    }
    impl->value--;
    return 0;
}

int hal_sem_acquire_etc(hal_sem_t *s, int val, int flags, long uSec)
{
    struct hal_sem_impl *impl = s->impl;
    if (val < 1) {
        return EINVAL;
    }
    sim_point("acquire", impl->name);
    uint64_t wake_at = SIM_NEVER;
    if ((flags & SEM_FLAG_TIMEOUT) != 0) {
        wake_at = deadline_in(sim_here(), uSec, 1000);
    }
    if ((flags & SEM_FLAG_ZERO) != 0) {
        impl->value = 0;
    }
    while (impl->value < (uint64_t)val) {
        if (PH_MUTANT(SEM_SLEEPS_LATE)) {
            sim_point("late", impl->name);
        }
        bool late = sim_sleep("semaphore", impl->name, impl, wake_at);
        if (late && impl->value < (uint64_t)val) {
            return ETIMEDOUT;
        }
    }
    impl->value -= (uint64_t)val;
    return 0;
}

void hal_sem_zero(hal_sem_t *s)
{
    sim_point("zero", s->impl->name);
    s->impl->value = 0;
}

int sem_get_count(hal_sem_t *s, int *count)
{
    sim_point("count", s->impl->name);
    *count = s->impl->value < INT_MAX ? (int)s->impl->value : INT_MAX;
    return 0;
}

void hal_sem_release(hal_sem_t *s)
{
    const char *name = s->impl->name;
    s->impl->value++;
    sim_wake(s->impl, UINT_MAX); /* which of them can go on they know themselves */
    sim_point("release", name);
}

void hal_sem_destroy(hal_sem_t *s)
{
    ph_free(s->impl);
    s->impl = NULL;
}

/* ---- futex, yield, fence -------------------------------------------------------------------- */

errno_t hal_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct hal_sim *sim = sim_here();
    uint64_t wake_at = deadline(sim, timeout_ns);
    sim_point("futex", NULL);
    if (atomic_load(word) != expected) {
        return 0;
    }
    return sim_sleep("futex", NULL, word, wake_at) ? ETIMEDOUT : 0;
}

void hal_futex_wake(_Atomic uint32_t *word, int count)
{
    sim_wake(word, count > 0 ? (unsigned)count : 0);
    sim_point("wake", NULL);
}

void hal_yield(void)
{
    sim_step_back("yield");
}

errno_t hal_fence_all_prepare(void)
{
    return 0;
}

void hal_fence_all(void)
{
    sim_point("fence", NULL); /* no store of a thread without the baton is under way */
}

/* ---- a word of each thread ------------------------------------------------------------------ */

errno_t hal_thread_key_create(hal_thread_key_t *key, void (*at_end)(void *value))
{
    struct hal_sim *sim = sim_here();
    for (unsigned k = 0; k < SIM_KEYS; k++) {
        if (!sim->keys[k].used) {
            sim->keys[k].used = true;
            sim->keys[k].at_end = at_end;
            for (struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
                t->keys[k] = NULL;
            }
            *key = k;
            return 0;
        }
    }
    return EAGAIN;
}

void hal_thread_key_delete(hal_thread_key_t key)
{
    sim_here()->keys[key].used = false;
}

void *hal_thread_key_get(hal_thread_key_t key)
{
    (void)sim_here();
    return sim_self()->keys[key];
}

errno_t hal_thread_key_set(hal_thread_key_t key, void *value)
{
    struct hal_sim *sim = sim_here();
    if (key >= SIM_KEYS || !sim->keys[key].used) {
        return EINVAL;
    }
    sim_self()->keys[key] = value;
    return 0;
}

/* ---- fork: no simulated process has children ------------------------------------------------ */

errno_t hal_fork_flag_create(const atomic_bool **flag)
{
    atomic_bool *made = ph_zalloc(1, sizeof(*made));
    *flag = made;
    return made != NULL ? 0 : ENOMEM;
}

void hal_fork_flag_destroy(const atomic_bool *flag)
{
    ph_free((void *)(uintptr_t)flag);
}

/* ---- time, random numbers ------------------------------------------------------------------- */

uint64_t hal_monotonic_ns(void)
{
    struct hal_sim *sim = sim_here();
    sim_point("time", NULL);
    return sim->now_ns;
}

bigtime_t hal_system_time(void)
{
    struct hal_sim *sim = sim_here();
    return sim->now_ns / 1000; /* called under locks that are taken often: no switch point */
}

int64_t hal_wall_time_ns(void)
{
    return WALL_START + (int64_t)sim_here()->now_ns;
}

uint64_t fast_time(void)
{
    return (uint64_t)hal_wall_time_ns() / 1000000000;
}

uint64_t hal_random(void)
{
    return sim_random(sim_here());
}

int hal_cpu_count(void)
{
    return sim_here()->options.cpus;
}
