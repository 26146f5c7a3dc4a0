/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_sync.c - mutex and condition of <hal.h>. (Semaphores: hal_sem.c.)
 *
 * A handle is one pointer to an object made by init from volatile memory; destroy sets it to NULL.
 * Using a handle wrongly (unlocking what another thread holds, locking twice) is a broken
 * invariant: going on would run two threads inside one critical section, so it is checked in
 * release builds.
 *
 * The condition is a sequence number and a futex, not a pthread_cond_t: widespread C libraries
 * (glibc before 2.41 and its backports, bug 25847) can lose a pthread_cond_signal, and a world that
 * misses a wake-up hangs for ever. Why none is lost here: a waiter reads the number while it holds
 * the mutex and sleeps only if the number is still the same; a signal changes the number first and
 * wakes afterwards. So a signal that comes after the waiter looked at its predicate finds it either
 * asleep (it is woken) or not yet asleep (it does not fall asleep). Spurious wake-ups happen, as
 * promised in <hal.h>. (A waiter that misses exactly 2^32 signals between two instructions would
 * sleep on; we accept that.)
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <hal.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct hal_mutex_impl {
    pthread_mutex_t mutex; /* error-checking kind */
    atomic_bool locked;    /* for hal_mutex_is_locked only: true only while mutex is held */
    const char *name;
};

struct hal_cond_impl {
    _Atomic uint32_t sequence; /* the futex word; changes with every signal */
    const char *name;
};

/* ---- mutex ---------------------------------------------------------------------------------- */

errno_t hal_mutex_init(hal_mutex_t *m, const char *name)
{
    m->impl = NULL;
    struct hal_mutex_impl *impl = ph_zalloc(1, sizeof(*impl));
    if (impl == NULL) {
        return ENOMEM;
    }
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);
    if (rc == 0) {
        rc = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
        if (rc == 0) {
            rc = pthread_mutex_init(&impl->mutex, &attributes);
        }
        (void)pthread_mutexattr_destroy(&attributes);
    }
    if (rc != 0) {
        ph_free(impl);
        return ENOMEM;
    }
    impl->name = name;
    m->impl = impl;
    return 0;
}

errno_t hal_mutex_lock(hal_mutex_t *m)
{
    int rc = pthread_mutex_lock(&m->impl->mutex);
    PH_CHECK(rc == 0); /* EDEADLK: this thread holds it already */
    atomic_store_explicit(&m->impl->locked, true, memory_order_relaxed);
    return 0;
}

errno_t hal_mutex_unlock(hal_mutex_t *m)
{
    /* Before the release: afterwards the flag belongs to the next owner. */
    atomic_store_explicit(&m->impl->locked, false, memory_order_relaxed);
    int rc = pthread_mutex_unlock(&m->impl->mutex);
    PH_CHECK(rc == 0); /* EPERM: another thread holds it, or nobody */
    return 0;
}

int hal_mutex_is_locked(hal_mutex_t *m)
{
    return atomic_load_explicit(&m->impl->locked, memory_order_relaxed) ? 1 : 0;
}

errno_t hal_mutex_destroy(hal_mutex_t *m)
{
    if (m->impl == NULL) {
        return 0;
    }
    if (pthread_mutex_trylock(&m->impl->mutex) != 0) {
        return EBUSY; /* still locked, by whomever; the handle stays valid */
    }
    (void)pthread_mutex_unlock(&m->impl->mutex);
    (void)pthread_mutex_destroy(&m->impl->mutex); /* fails only when locked */
    ph_free(m->impl);
    m->impl = NULL;
    return 0;
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

/* deadline: absolute on the monotonic clock, NULL: none. 0, or ETIMEDOUT. */
static errno_t cond_sleep(struct hal_cond_impl *impl, hal_mutex_t *m,
                          const struct timespec *deadline)
{
    uint32_t seen = atomic_load(&impl->sequence); /* with the mutex held: see above */
    (void)hal_mutex_unlock(m);
    if (PH_MUTANT(COND_SLEEPS_LATE)) {
        (void)sched_yield();
        seen = atomic_load(&impl->sequence);
    }
    long rc = syscall(SYS_futex, &impl->sequence, FUTEX_WAIT_BITSET_PRIVATE, seen, deadline, NULL,
                      FUTEX_BITSET_MATCH_ANY);
    int error = rc == 0 ? 0 : errno;
    (void)hal_mutex_lock(m);
    /* EAGAIN: signalled before we slept. EINTR: a spurious wake-up. */
    PH_CHECK(error == 0 || error == EAGAIN || error == EINTR || error == ETIMEDOUT);
    return error == ETIMEDOUT ? ETIMEDOUT : 0;
}

errno_t hal_cond_wait(hal_cond_t *c, hal_mutex_t *m)
{
    return cond_sleep(c->impl, m, NULL);
}

errno_t hal_cond_timedwait(hal_cond_t *c, hal_mutex_t *m, long msec)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    if (msec > 0) {
        deadline.tv_sec += msec / 1000;
        deadline.tv_nsec += (msec % 1000) * 1000000;
        if (deadline.tv_nsec >= 1000000000) {
            deadline.tv_nsec -= 1000000000;
            deadline.tv_sec++;
        }
    }
    return cond_sleep(c->impl, m, &deadline);
}

static void cond_wake(struct hal_cond_impl *impl, int count)
{
    (void)atomic_fetch_add(&impl->sequence, 1);
    (void)syscall(SYS_futex, &impl->sequence, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

errno_t hal_cond_signal(hal_cond_t *c)
{
    cond_wake(c->impl, 1);
    return 0;
}

errno_t hal_cond_broadcast(hal_cond_t *c)
{
    cond_wake(c->impl, INT_MAX);
    return 0;
}

errno_t hal_cond_destroy(hal_cond_t *c)
{
    ph_free(c->impl);
    c->impl = NULL;
    return 0;
}
