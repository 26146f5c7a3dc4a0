/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_ours.h - what our rooms need from the machine and the Genode port has no word for. Any
 * thread unless said otherwise.
 */
#ifndef PHANTOM_HAL_OURS_H
#define PHANTOM_HAL_OURS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int errno_t; /* 0 success, positive errno on failure */

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

#endif /* PHANTOM_HAL_OURS_H */
