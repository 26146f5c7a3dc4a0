/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_threads.c - threads, words of threads, clocks and random numbers of POSIX.
 *
 * Owns nothing but the number of the last thread.
 */
#include "ph_memory.h"
#include "ph_rng.h"

#include <hal.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* ---- threads -------------------------------------------------------------------------------- */

enum { STACK_BYTES = 8 << 20 };

struct beginning {
    void (*body)(void *);
    void *argument;
};

static void *begin(void *given)
{
    struct beginning beginning = *(struct beginning *)given;
    ph_free(given);
    beginning.body(beginning.argument);
    return NULL;
}

/** All that comes from outside; what a thread does to itself must find it. */
static void asynchronous_signals(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        sigdelset(set, own[i]);
    }
}

static int start_detached(struct beginning *beginning)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t blocked, before;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0) {
        return rc;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    asynchronous_signals(&blocked);
    (void)pthread_sigmask(SIG_BLOCK, &blocked, &before); /* a thread inherits this */
    rc = pthread_create(&thread, &attributes, begin, beginning);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return rc;
}

tid_t hal_start_thread(void (*thread)(void *arg), void *arg, int flags)
{
    static atomic_int last;
    (void)flags;
    if (thread == NULL) {
        return -EINVAL;
    }
    struct beginning *beginning = ph_alloc(sizeof(*beginning));
    if (beginning == NULL) {
        return -ENOMEM;
    }
    *beginning = (struct beginning){thread, arg};
    int rc = start_detached(beginning);
    if (rc != 0) {
        ph_free(beginning);
        return -rc;
    }
    return (tid_t)((unsigned)atomic_fetch_add(&last, 1) & 0x7fffffff);
}

errno_t t_current_set_name(const char *name)
{
    return name == NULL ? EINVAL : 0; /* POSIX threads have no names */
}

void hal_yield(void)
{
    (void)sched_yield();
}

int hal_cpu_count(void)
{
#ifdef _SC_NPROCESSORS_ONLN /* everywhere, and in the standard since 2024 */
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (int)count;
#else
    return 1;
#endif
}

/* No call of POSIX makes the other threads execute a fence. */
errno_t hal_fence_all_prepare(void)
{
    return ENOSYS;
}

void hal_fence_all(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

_Static_assert(sizeof(pthread_key_t) <= sizeof(hal_thread_key_t), "a key fits");

errno_t hal_thread_key_create(hal_thread_key_t *key, void (*at_end)(void *value))
{
    pthread_key_t made;
    int rc = pthread_key_create(&made, at_end);
    if (rc == 0) {
        *key = (hal_thread_key_t)made;
    }
    return rc;
}

void hal_thread_key_delete(hal_thread_key_t key)
{
    (void)pthread_key_delete((pthread_key_t)key);
}

void *hal_thread_key_get(hal_thread_key_t key)
{
    return pthread_getspecific((pthread_key_t)key);
}

errno_t hal_thread_key_set(hal_thread_key_t key, void *value)
{
    return pthread_setspecific((pthread_key_t)key, value);
}

/* ---- clocks --------------------------------------------------------------------------------- */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t hal_wall_time_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t hal_monotonic_ns(void)
{
    return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

bigtime_t hal_system_time(void)
{
    return hal_monotonic_ns() / 1000;
}

uint64_t fast_time(void)
{
    return (uint64_t)hal_wall_time_ns() / 1000000000;
}

void hal_sleep_msec(int milliseconds)
{
    if (milliseconds <= 0) {
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

/* ---- random numbers ------------------------------------------------------------------------- */

uint64_t hal_random(void)
{
    static atomic_uint calls;
    uint64_t value = 0;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && read(fd, &value, sizeof(value)) == (ssize_t)sizeof(value);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!whole) { /* it never fails: numbers that differ, if not unguessable ones */
        struct ph_rng rng;
        ph_rng_init(&rng, hal_monotonic_ns() ^ (uint64_t)hal_wall_time_ns() << 20 ^
                              (uint64_t)getpid() << 44 ^ atomic_fetch_add(&calls, 1));
        value = ph_rng_next(&rng);
    }
    return value;
}
