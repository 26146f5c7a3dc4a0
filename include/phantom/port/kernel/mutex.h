/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/mutex.h - mutual exclusion between threads, names of the Genode port.
 *
 * Stability: kept. A handle is one pointer to an object in volatile memory, made by init; a handle
 * is not copied and never lives in the object heap. errno_t: 0, or a positive errno.
 *
 * @threads any. Only hal_mutex_lock() blocks.
 */
#ifndef PHANTOM_PORT_KERNEL_MUTEX_H
#define PHANTOM_PORT_KERNEL_MUTEX_H

typedef int errno_t;

struct hal_mutex {
    struct hal_mutex_impl *impl; /* NULL before init and after destroy */
};
typedef struct hal_mutex hal_mutex_t;

/** Make an unlocked mutex. It is not recursive. The caller ends it with hal_mutex_destroy().
 *  @param name  for people; kept by reference, NULL allowed
 *  @threads any, before others use the handle; never blocks
 *  @return 0, or ENOMEM: the handle is NULL then */
errno_t hal_mutex_init(hal_mutex_t *m, const char *name);

/** Lock; blocks until the thread that holds it lets go.
 *  @pre the calling thread does not hold it (checked: a second lock is a broken invariant and
 *    fatal)
 *  @post the calling thread holds it
 *  @return 0 */
errno_t hal_mutex_lock(hal_mutex_t *m);

/**
 * Unlock; does not block.
 *
 * @pre the calling thread holds it (checked: anything else is fatal)
 * @return 0
 */
errno_t hal_mutex_unlock(hal_mutex_t *m);

/** 1 while some thread holds it. What it says may be old when it returns: for assertions that one
 *  holds it oneself. Never 0 in the thread that holds it. Never blocks. */
int hal_mutex_is_locked(hal_mutex_t *m);

/** Free the object and set the handle to NULL. A handle that is NULL already is fine. Never blocks.
 *  @pre nobody waits for it or will use it
 *  @return 0, or EBUSY: somebody holds it, nothing was done */
errno_t hal_mutex_destroy(hal_mutex_t *m);

#endif /* PHANTOM_PORT_KERNEL_MUTEX_H */
