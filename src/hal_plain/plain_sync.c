/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_sync.c - mutex, condition, semaphore and futex on POSIX mutexes and conditions. Every timed
 * wait is on the monotonic clock.
 *
 * Owns the buckets of the futex. A word belongs to the bucket of its address; who sleeps on it
 * holds the bucket's mutex between looking at the word and sleeping, and who wakes takes it, so no
 * wake-up is lost. Words that share a bucket wake each other for no reason, which is allowed.
 * No lock is taken while another one of this file is held.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "plain_internal.h"

#include <hal.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

static void cond_create(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    PH_CHECK(pthread_condattr_init(&attributes) == 0);
    PH_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    PH_CHECK(pthread_cond_init(cond, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
}

/** That long from now; a time that cannot be counted is as good as never. */
static struct timespec after_ns(int64_t ns)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    ns = ns < 0 ? 0 : ns;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec += (long)(ns % 1000000000);
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static int64_t times(long count, int64_t unit_ns)
{
    return count > INT64_MAX / 2 / unit_ns ? INT64_MAX / 2 : count * unit_ns;
}

/* ---- mutex ---------------------------------------------------------------------------------- */

struct hal_mutex_impl {
    pthread_mutex_t mutex; /* one that sees a second lock and a stranger's unlock */
    atomic_bool held;      /* changed by the holder only */
};

errno_t hal_mutex_init(hal_mutex_t *m, const char *name)
{
    pthread_mutexattr_t attributes;
    (void)name;
    m->impl = ph_alloc(sizeof(*m->impl));
    if (m->impl == NULL) {
        return ENOMEM;
    }
    PH_CHECK(pthread_mutexattr_init(&attributes) == 0);
    PH_CHECK(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK) == 0);
    PH_CHECK(pthread_mutex_init(&m->impl->mutex, &attributes) == 0);
    (void)pthread_mutexattr_destroy(&attributes);
    atomic_init(&m->impl->held, false);
    return 0;
}

errno_t hal_mutex_lock(hal_mutex_t *m)
{
    PH_CHECK(pthread_mutex_lock(&m->impl->mutex) == 0);
    atomic_store_explicit(&m->impl->held, true, memory_order_relaxed);
    return 0;
}

errno_t hal_mutex_unlock(hal_mutex_t *m)
{
    atomic_store_explicit(&m->impl->held, false, memory_order_relaxed);
    PH_CHECK(pthread_mutex_unlock(&m->impl->mutex) == 0);
    return 0;
}

int hal_mutex_is_locked(hal_mutex_t *m)
{
    return atomic_load_explicit(&m->impl->held, memory_order_relaxed);
}

errno_t hal_mutex_destroy(hal_mutex_t *m)
{
    if (m->impl == NULL) {
        return 0;
    }
    if (hal_mutex_is_locked(m)) {
        return EBUSY;
    }
    (void)pthread_mutex_destroy(&m->impl->mutex);
    ph_free(m->impl);
    m->impl = NULL;
    return 0;
}

/* ---- condition ------------------------------------------------------------------------------ */

struct hal_cond_impl {
    pthread_cond_t cond;
};

errno_t hal_cond_init(hal_cond_t *c, const char *name)
{
    (void)name;
    c->impl = ph_alloc(sizeof(*c->impl));
    if (c->impl == NULL) {
        return ENOMEM;
    }
    cond_create(&c->impl->cond);
    return 0;
}

/** NULL: for ever. */
static errno_t cond_sleep(hal_cond_t *c, hal_mutex_t *m, const struct timespec *until)
{
    if (PH_MUTANT(COND_SLEEPS_LATE)) {
        (void)hal_mutex_unlock(m);
        (void)sched_yield();
        (void)hal_mutex_lock(m);
    }
    atomic_store_explicit(&m->impl->held, false, memory_order_relaxed);
    int rc = until == NULL ? pthread_cond_wait(&c->impl->cond, &m->impl->mutex)
                           : pthread_cond_timedwait(&c->impl->cond, &m->impl->mutex, until);
    PH_CHECK(rc == 0 || rc == ETIMEDOUT);
    atomic_store_explicit(&m->impl->held, true, memory_order_relaxed);
    return rc;
}

errno_t hal_cond_wait(hal_cond_t *c, hal_mutex_t *m)
{
    return cond_sleep(c, m, NULL);
}

errno_t hal_cond_timedwait(hal_cond_t *c, hal_mutex_t *m, long msec)
{
    struct timespec until = after_ns(times(msec, 1000000));
    return cond_sleep(c, m, &until);
}

errno_t hal_cond_signal(hal_cond_t *c)
{
    return pthread_cond_signal(&c->impl->cond);
}

errno_t hal_cond_broadcast(hal_cond_t *c)
{
    return pthread_cond_broadcast(&c->impl->cond);
}

errno_t hal_cond_destroy(hal_cond_t *c)
{
    if (c->impl != NULL) {
        (void)pthread_cond_destroy(&c->impl->cond);
        ph_free(c->impl);
        c->impl = NULL;
    }
    return 0;
}

/* ---- semaphore ------------------------------------------------------------------------------ */

struct hal_sem_impl {
    pthread_mutex_t mutex;
    pthread_cond_t more;
    int count;
};

int hal_sem_init(hal_sem_t *s, const char *name)
{
    (void)name;
    s->impl = ph_zalloc(1, sizeof(*s->impl));
    if (s->impl == NULL) {
        return ENOMEM;
    }
    PH_CHECK(pthread_mutex_init(&s->impl->mutex, NULL) == 0);
    cond_create(&s->impl->more);
    return 0;
}

int hal_sem_acquire(hal_sem_t *s)
{
    return hal_sem_acquire_etc(s, 1, 0, 0);
}

int hal_sem_acquire_etc(hal_sem_t *s, int val, int flags, long uSec)
{
    struct hal_sem_impl *sem = s->impl;
    if (val < 1) {
        return EINVAL;
    }
    struct timespec until = after_ns(times(uSec, 1000));
    int rc = 0;
    (void)pthread_mutex_lock(&sem->mutex);
    if ((flags & SEM_FLAG_ZERO) != 0) {
        sem->count = 0;
    }
    while (sem->count < val && rc == 0) {
        if (PH_MUTANT(SEM_SLEEPS_LATE)) {
            (void)pthread_mutex_unlock(&sem->mutex);
            (void)sched_yield();
            (void)pthread_mutex_lock(&sem->mutex);
        }
        rc = (flags & SEM_FLAG_TIMEOUT) == 0
                 ? pthread_cond_wait(&sem->more, &sem->mutex)
                 : pthread_cond_timedwait(&sem->more, &sem->mutex, &until);
    }
    rc = sem->count >= val ? 0 : ETIMEDOUT;
    sem->count -= rc == 0 ? val : 0;
    (void)pthread_mutex_unlock(&sem->mutex);
    return rc;
}

void hal_sem_release(hal_sem_t *s)
{
    struct hal_sem_impl *sem = s->impl; /* after the unlock neither may be there any more */
    (void)pthread_mutex_lock(&sem->mutex);
    PH_CHECK(sem->count < INT_MAX);
    sem->count++;
    (void)pthread_cond_broadcast(&sem->more); /* they may want different numbers */
    (void)pthread_mutex_unlock(&sem->mutex);
}

void hal_sem_zero(hal_sem_t *s)
{
    (void)pthread_mutex_lock(&s->impl->mutex);
    s->impl->count = 0;
    (void)pthread_mutex_unlock(&s->impl->mutex);
}

int sem_get_count(hal_sem_t *s, int *count)
{
    (void)pthread_mutex_lock(&s->impl->mutex);
    *count = s->impl->count;
    (void)pthread_mutex_unlock(&s->impl->mutex);
    return 0;
}

void hal_sem_destroy(hal_sem_t *s)
{
    if (s->impl == NULL) {
        return;
    }
    (void)pthread_cond_destroy(&s->impl->more);
    (void)pthread_mutex_destroy(&s->impl->mutex);
    ph_free(s->impl);
    s->impl = NULL;
}

/* ---- futex ---------------------------------------------------------------------------------- */

enum { BUCKETS = 16 };

static struct bucket {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} buckets[BUCKETS];
static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;

static void buckets_create(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        PH_CHECK(pthread_mutex_init(&buckets[i].mutex, NULL) == 0);
        cond_create(&buckets[i].changed);
    }
}

static struct bucket *bucket_of(const _Atomic uint32_t *word)
{
    (void)pthread_once(&buckets_once, buckets_create);
    return &buckets[((uintptr_t)word >> 2) % 61 % BUCKETS];
}

errno_t hal_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct bucket *bucket = bucket_of(word);
    struct timespec until = after_ns(timeout_ns > INT64_MAX / 2 ? INT64_MAX / 2 : timeout_ns);
    int rc = 0;
    (void)pthread_mutex_lock(&bucket->mutex);
    if (atomic_load(word) == expected) {
        rc = timeout_ns < 0 ? pthread_cond_wait(&bucket->changed, &bucket->mutex)
                            : pthread_cond_timedwait(&bucket->changed, &bucket->mutex, &until);
    }
    (void)pthread_mutex_unlock(&bucket->mutex);
    return rc;
}

void hal_futex_wake(_Atomic uint32_t *word, int count)
{
    struct bucket *bucket = bucket_of(word);
    (void)count; /* more may wake: some of them sleep on other words */
    (void)pthread_mutex_lock(&bucket->mutex);
    (void)pthread_cond_broadcast(&bucket->changed);
    (void)pthread_mutex_unlock(&bucket->mutex);
}

void plain_futex_hold(void)
{
    (void)pthread_once(&buckets_once, buckets_create);
    for (int i = 0; i < BUCKETS; i++) {
        (void)pthread_mutex_lock(&buckets[i].mutex);
    }
}

void plain_futex_release(void)
{
    for (int i = BUCKETS - 1; i >= 0; i--) {
        (void)pthread_mutex_unlock(&buckets[i].mutex);
    }
}
