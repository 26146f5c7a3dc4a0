/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_sem.c - counting semaphore of <hal.h> and of the port (include/phantom/port/kernel/sem.h).
 *
 * One 64-bit word is the whole state, so that whoever gives one never touches the object again
 * after the instant at which a taker can have it (and destroy the semaphore):
 *
 *      63 ........ 52 | 51 ............ 32 | 31 ............. 0
 *      sleepers that  | sleepers that      | count; the futex
 *      want several   | want one           | word
 *
 * A release wakes one sleeper, or all if one of them wants several: which of them can go on is
 * known to themselves only. Always true: a sleeper is counted before it looks at the count for the
 * last time before it sleeps, so a release sees it or it sees the release.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <hal.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ONE_SLEEPER  (UINT64_C(1) << 32)
#define MANY_SLEEPER (UINT64_C(1) << 52)
#define COUNT_OF(s)  ((uint32_t)(s))

struct hal_sem_impl {
    _Atomic uint64_t state;
    const char *name;
};

int hal_sem_init(hal_sem_t *s, const char *name)
{
    s->impl = ph_zalloc(1, sizeof(*s->impl));
    if (s->impl == NULL) {
        return ENOMEM;
    }
    s->impl->name = name;
    return 0;
}

static uint32_t *futex_word(struct hal_sem_impl *impl)
{
    return (uint32_t *)(void *)&impl->state; /* the low half: little-endian machines only */
}

static bool take(struct hal_sem_impl *impl, uint32_t wanted)
{
    uint64_t state = atomic_load_explicit(&impl->state, memory_order_relaxed);
    while (COUNT_OF(state) >= wanted) {
        if (atomic_compare_exchange_weak(&impl->state, &state, state - wanted)) {
            return true;
        }
    }
    return false;
}

/* deadline: absolute on the monotonic clock, NULL: none. */
static int take_or_sleep(struct hal_sem_impl *impl, uint32_t wanted,
                         const struct timespec *deadline)
{
    if (take(impl, wanted)) {
        return 0;
    }
    uint64_t sleeper = wanted == 1 ? ONE_SLEEPER : MANY_SLEEPER;
    (void)atomic_fetch_add(&impl->state, sleeper);
    int error = 0;
    bool taken = take(impl, wanted);
    while (!taken && error != ETIMEDOUT) {
        if (PH_MUTANT(SEM_SLEEPS_LATE)) {
            (void)sched_yield();
        }
        uint32_t seen = COUNT_OF(atomic_load(&impl->state));
        if (seen < wanted || PH_MUTANT(SEM_SLEEPS_LATE)) {
            long rc = syscall(SYS_futex, futex_word(impl), FUTEX_WAIT_BITSET_PRIVATE, seen,
                              deadline, NULL, FUTEX_BITSET_MATCH_ANY);
            error = rc == 0 ? 0 : errno;
            PH_CHECK(error == 0 || error == EAGAIN || error == EINTR || error == ETIMEDOUT);
        }
        taken = take(impl, wanted);
    }
    (void)atomic_fetch_sub(&impl->state, sleeper);
    return taken ? 0 : ETIMEDOUT;
}

int hal_sem_acquire(hal_sem_t *s)
{
    return take_or_sleep(s->impl, 1, NULL);
}

int hal_sem_acquire_etc(hal_sem_t *s, int val, int flags, long uSec)
{
    if (val < 1) {
        return EINVAL;
    }
    if ((flags & SEM_FLAG_ZERO) != 0) {
        hal_sem_zero(s);
    }
    if ((flags & SEM_FLAG_TIMEOUT) == 0) {
        return take_or_sleep(s->impl, (uint32_t)val, NULL);
    }
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    if (uSec > 0) {
        deadline.tv_sec += uSec / 1000000;
        deadline.tv_nsec += (uSec % 1000000) * 1000;
        if (deadline.tv_nsec >= 1000000000) {
            deadline.tv_nsec -= 1000000000;
            deadline.tv_sec++;
        }
    }
    return take_or_sleep(s->impl, (uint32_t)val, &deadline);
}

void hal_sem_release(hal_sem_t *s)
{
    uint32_t *word = futex_word(s->impl);
    uint64_t before = atomic_fetch_add(&s->impl->state, 1); /* from here on it may be gone */
    PH_CHECK(COUNT_OF(before) < INT_MAX); /* two thousand million releases without an acquire */
    if (before >= ONE_SLEEPER) {
        int count = before >= MANY_SLEEPER ? INT_MAX : 1;
        (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    }
}

void hal_sem_zero(hal_sem_t *s)
{
    (void)atomic_fetch_and(&s->impl->state, ~(uint64_t)UINT32_MAX);
}

int sem_get_count(hal_sem_t *s, int *count)
{
    *count = (int)COUNT_OF(atomic_load(&s->impl->state));
    return 0;
}

void hal_sem_destroy(hal_sem_t *s)
{
    ph_free(s->impl);
    s->impl = NULL;
}
