/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/sem.h - counting semaphores, names of the Genode port.
 *
 * Stability: kept. Handles as in kernel/mutex.h. The count starts at 0.
 *
 * @threads any, unless said otherwise. Only hal_sem_acquire() and hal_sem_acquire_etc() may block.
 */
#ifndef PHANTOM_PORT_KERNEL_SEM_H
#define PHANTOM_PORT_KERNEL_SEM_H

struct hal_sem {
    struct hal_sem_impl *impl; /* NULL before init and after destroy */
};
typedef struct hal_sem hal_sem_t;

#define SEM_FLAG_NO_RESCHED    1 /* a hint; nothing to do here */
#define SEM_FLAG_TIMEOUT       2 /* uSec counts */
#define SEM_FLAG_INTERRUPTABLE 4 /* a hint: nothing here interrupts a wait */
#define SEM_FLAG_ZERO          8 /* set the count to 0 first */

/** Make a semaphore with count 0; the caller ends it with hal_sem_destroy(). name is kept by
 *  reference, NULL allowed. Never blocks. @threads any, before others use the handle. @return 0, or
 *  ENOMEM */
int hal_sem_init(hal_sem_t *s, const char *name);

/** Take one; blocks until there is one. @return 0 */
int hal_sem_acquire(hal_sem_t *s);

/**
 * Take val at once, all or nothing. Blocks until there are as many, or the time is over.
 *
 * @param val    1 or more
 * @param flags  SEM_FLAG_*
 * @param uSec   with SEM_FLAG_TIMEOUT: longest wait in microseconds of the monotonic clock; 0 or
 *               less tries once. Otherwise ignored
 * @return 0, ETIMEDOUT, or EINVAL (val < 1)
 */
int hal_sem_acquire_etc(hal_sem_t *s, int val, int flags, long uSec);

/** Give one and wake who can go on. Any thread, a completion thread too; does not block. The
 *  semaphore may be destroyed by whoever takes what was given. Fatal at 2^31 - 1. */
void hal_sem_release(hal_sem_t *s);
/** Set the count to 0; who waits goes on waiting. Never blocks. */
void hal_sem_zero(hal_sem_t *s);
/** *count: the count at some instant of the call. Never blocks. @return 0 */
int sem_get_count(hal_sem_t *s, int *count);
/** Free the object and set the handle to NULL; NULL already is fine. Never blocks. @pre nobody
 *  waits, nor releases any more */
void hal_sem_destroy(hal_sem_t *s);

#endif /* PHANTOM_PORT_KERNEL_SEM_H */
