/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/cond.h - condition variables, names of the Genode port.
 *
 * Stability: kept. Handles as in kernel/mutex.h. Wake-ups may be spurious, so every waiter loops on
 * its predicate; no wake-up is lost for a waiter that looked at the predicate while it held the
 * mutex, provided that whoever changes the predicate does so while holding the mutex. The signal
 * itself may be sent without the mutex.
 *
 * @threads any, unless said otherwise. Only hal_cond_wait() and hal_cond_timedwait() may block.
 */
#ifndef PHANTOM_PORT_KERNEL_COND_H
#define PHANTOM_PORT_KERNEL_COND_H

#include "mutex.h"

struct hal_cond {
    struct hal_cond_impl *impl; /* NULL before init and after destroy */
};
typedef struct hal_cond hal_cond_t;

/** Make a condition; the caller ends it with hal_cond_destroy(). name is kept by reference, NULL
 *  allowed. Never blocks. @threads any, before others use the handle. @return 0, or ENOMEM (handle
 *  NULL) */
errno_t hal_cond_init(hal_cond_t *c, const char *name);

/** Release m and sleep, in one step; m is held again on return. Blocks until a signal, and until m
 *  can be had.
 *  @pre the calling thread holds m
 *  @return 0, after a signal or spuriously */
errno_t hal_cond_wait(hal_cond_t *c, hal_mutex_t *m);

/** The same, for at most msec milliseconds of the monotonic clock (and until m can be had); msec <=
 *  0: give m away once. Blocks. @pre the calling thread holds m
 *  @return 0, or ETIMEDOUT; m is held again in both cases */
errno_t hal_cond_timedwait(hal_cond_t *c, hal_mutex_t *m, long msec);

/** Wake at least one sleeper, if there is one; nothing is stored if there is none. Any thread,
 *  with or without the mutex; does not block. @return 0 */
errno_t hal_cond_signal(hal_cond_t *c);
/** Wake all who sleep now. Otherwise as signal: never blocks. @return 0 */
errno_t hal_cond_broadcast(hal_cond_t *c);
/** Free the object and set the handle to NULL; NULL already is fine. Never blocks. @pre nobody
 *  waits, nor will use it. @return 0 */
errno_t hal_cond_destroy(hal_cond_t *c);

#endif /* PHANTOM_PORT_KERNEL_COND_H */
