/* SPDX-License-Identifier: Apache-2.0
 *
 * hal.h - the machine interface as our own rooms see it. What it shares with the Genode port has
 * the port's names, signatures and semantics, and the handle types come from the port's headers
 * themselves; hal_ours.h is what the port has no word for.
 *
 * The port's own <hal.h> (include/phantom/port) is larger and brings an `assert`, an errno.h and a
 * `panic` of its own: it is for files of the port and is not on the include path of our rooms.
 *
 * Shared preconditions: handles are not copied after init; memory of a handle is volatile memory,
 * never the object heap. errno_t is int: 0 success, positive errno on failure.
 */
#ifndef PHANTOM_ROOMS_HAL_H
#define PHANTOM_ROOMS_HAL_H

#include "hal_ours.h"
#include "phantom/port/kernel/cond.h"
#include "phantom/port/kernel/mutex.h"
#include "phantom/port/kernel/sem.h"

typedef int tid_t;
typedef uint64_t bigtime_t; /* microseconds */

/* ---- threads ------------------------------------------------------------------------------- */

#define THREAD_FLAG_USER   1
#define THREAD_FLAG_VM     2
#define THREAD_FLAG_JIT    4
#define THREAD_FLAG_NATIVE 8
#define THREAD_FLAG_KERNEL 0x10

/** Start a detached thread. Returns tid >= 0, or a negative errno. All asynchronous signals are
 *  blocked in it, those that a thread does to itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
 *  SIGSYS, SIGABRT) are not; its stack has 1 MiB at least. */
tid_t hal_start_thread(void (*thread)(void *arg), void *arg, int flags);
/** Name the calling thread for debuggers and process listings; the kernel keeps 15 characters. */
errno_t t_current_set_name(const char *name);

/* ---- time ---------------------------------------------------------------------------------- */

/** Microseconds on a monotonic clock; zero is arbitrary and differs between runs. */
bigtime_t hal_system_time(void);
/** Wall clock, seconds since 1970. */
uint64_t fast_time(void);
/** Sleep at least that long; negative counts as 0. */
void hal_sleep_msec(int milliseconds);

#endif /* PHANTOM_ROOMS_HAL_H */
