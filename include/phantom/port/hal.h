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

#include <stdatomic.h>
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

/** Sleep while *word is `expected`, until hal_futex_wake() or the time is over (nanoseconds;
 *  negative: for ever). 0, also spuriously and when the word differs already; ETIMEDOUT. */
errno_t hal_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
/** Wake at most `count` who sleep on the word. Change the word first. */
void hal_futex_wake(_Atomic uint32_t *word, int count);
/** Let another thread have this CPU. */
void hal_yield(void);

/**
 * A fence for the rare side of a race whose frequent side has none: when it returns, every other
 * thread of this process has executed a full fence somewhere during the call. prepare once before.
 */
errno_t hal_fence_all_prepare(void); /* 0, or ENOSYS: not possible here */
void hal_fence_all(void);

/** A word of each thread. at_end is called when a thread ends whose word is not NULL. */
typedef uint32_t hal_thread_key_t;
errno_t hal_thread_key_create(hal_thread_key_t *key, void (*at_end)(void *value));
void hal_thread_key_delete(hal_thread_key_t key); /* at_end is not called any more */
void *hal_thread_key_get(hal_thread_key_t key);
errno_t hal_thread_key_set(hal_thread_key_t key, void *value);

/** A flag that becomes true in a child made by fork(). 0 or ENOMEM. */
errno_t hal_fork_flag_create(const atomic_bool **flag);
void hal_fork_flag_destroy(const atomic_bool *flag);

#endif /* PHANTOM_PORT_HAL_H */
