/* SPDX-License-Identifier: Apache-2.0
 *
 * hal.h - the machine interface, names and signatures of the Genode port.
 *
 * Stability: names, signatures and semantics are kept from the port (what it got wrong is right
 * here, docs/port-differences.md). This is the part that the virtual machine needs; it grows with
 * the port's other groups.
 *
 * Shared preconditions: handles are not copied after init; memory of a handle is volatile memory,
 * never the object heap. errno_t is int: 0 success, positive errno on failure.
 */
#ifndef PHANTOM_PORT_HAL_H
#define PHANTOM_PORT_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int errno_t;
typedef int tid_t;
typedef uint64_t bigtime_t; /* microseconds */

/* ---- threads ------------------------------------------------------------------------------- */

#define THREAD_FLAG_USER   1
#define THREAD_FLAG_VM     2
#define THREAD_FLAG_JIT    4
#define THREAD_FLAG_NATIVE 8
#define THREAD_FLAG_KERNEL 0x10

/** Start a detached thread. Returns tid >= 0, or a negative errno. All asynchronous signals are
 *  blocked in it. */
tid_t hal_start_thread(void (*thread)(void *arg), void *arg, int flags);
/** Name the calling thread for debuggers and process listings; the kernel keeps 15 characters. */
errno_t t_current_set_name(const char *name);

/* ---- mutex, condition, semaphore ----------------------------------------------------------- */

typedef struct hal_mutex {
    struct hal_mutex_impl *impl;
} hal_mutex_t;
typedef struct hal_cond {
    struct hal_cond_impl *impl;
} hal_cond_t;
typedef struct hal_sem {
    struct hal_sem_impl *impl;
} hal_sem_t;

/** Non-recursive. name is kept by reference. 0 or ENOMEM. */
errno_t hal_mutex_init(hal_mutex_t *m, const char *name);
errno_t hal_mutex_lock(hal_mutex_t *m);
errno_t hal_mutex_unlock(hal_mutex_t *m);
int hal_mutex_is_locked(hal_mutex_t *m); /* racy probe, for assertions */
errno_t hal_mutex_destroy(hal_mutex_t *m);

errno_t hal_cond_init(hal_cond_t *c, const char *name);
/** Release m and sleep, atomically; spurious wake-ups happen. */
errno_t hal_cond_wait(hal_cond_t *c, hal_mutex_t *m);
/** ETIMEDOUT after msec milliseconds (monotonic clock). */
errno_t hal_cond_timedwait(hal_cond_t *c, hal_mutex_t *m, long msec);
errno_t hal_cond_signal(hal_cond_t *c);
errno_t hal_cond_broadcast(hal_cond_t *c);
errno_t hal_cond_destroy(hal_cond_t *c);

/** Counting semaphore, initial value 0. */
int hal_sem_init(hal_sem_t *s, const char *name);
int hal_sem_acquire(hal_sem_t *s);
void hal_sem_release(hal_sem_t *s);
void hal_sem_destroy(hal_sem_t *s);

/* ---- time ---------------------------------------------------------------------------------- */

/** Microseconds on a monotonic clock; zero is arbitrary and differs between runs. */
bigtime_t hal_system_time(void);
/** Wall clock, seconds since 1970. */
uint64_t fast_time(void);
/** Sleep at least that long; negative counts as 0. */
void hal_sleep_msec(int milliseconds);

/* ---- ours: what the port has no word for --------------------------------------------------- */

/** CPUs this process may use, at least 1. */
int hal_cpu_count(void);
/** 64 random bits from the operating system; never fails. */
uint64_t hal_random(void);
/** Wall clock in nanoseconds, and monotonic nanoseconds. */
int64_t hal_wall_time_ns(void);
uint64_t hal_monotonic_ns(void);

#endif /* PHANTOM_PORT_HAL_H */
