/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/pool.h - a table of reference-counted elements behind handles. Stability: kept from the
 * Genode port.
 *
 * A handle holds a generation number: one whose element is gone is refused even after its slot was
 * used again. The pool grows as needed. Members that the caller may set, before the first element:
 * init, destroy and the flags.
 *
 * @threads any; a mutex inside. init, destroy and pool_foreach()'s function are called without it,
 *   on the calling thread. Nothing here blocks, but what they do: they may block.
 */
#ifndef PHANTOM_PORT_KERNEL_POOL_H
#define PHANTOM_PORT_KERNEL_POOL_H

#include "../phantom_types.h"

typedef int pool_handle_t; /* >= 0; -1: none */
#define INVALID_POOL_HANDLE (-1)

struct pool_impl;

typedef struct pool {
    /** Make an element from the argument of pool_create_el(); NULL: could not, and no element is
     *  created. Without init the argument is the element. */
    void *(*init)(void *);
    /** An element is gone: the last reference (flag_autodestroy) or pool_destroy_el(). */
    void (*destroy)(void *);
    int flag_autoclean;   /* destroy_pool() destroys the elements that are left */
    int flag_nofail;      /* misuse (bad handle, destroy while in use) panics */
    int flag_autodestroy; /* an element whose count falls to 0 is destroyed; 1 at creation */
    struct pool_impl *impl;
} pool_t;

/** A pool without elements, with flag_autodestroy; ended by destroy_pool(). NULL: out of memory.
 *  Never blocks. */
pool_t *create_pool(void);
/** Free the pool. @return 0, or EBUSY: there are elements, and no flag_autoclean. @pre no other
 *  thread uses it any more */
errno_t destroy_pool(pool_t *pool);

/** A new element, count 1. @return its handle, or -1: out of memory, or init returned NULL */
pool_handle_t pool_create_el(pool_t *pool, void *arg);
/** The element, its count one up; NULL: no such handle. Ends with pool_release_el(). */
void *pool_get_el(pool_t *pool, pool_handle_t handle);
/** Count down. At 0 the element is destroyed if flag_autodestroy. @return 0, or EINVAL: no such
 *  handle, or the count is 0 already */
errno_t pool_release_el(pool_t *pool, pool_handle_t handle);
/** Destroy an element whose count is at most 1. @return 0, EINVAL: no such handle; EBUSY: others
 *  hold it */
errno_t pool_destroy_el(pool_t *pool, pool_handle_t handle);
/** Its count; -1: no such handle. Old when it returns, if others use it. Never blocks. */
int pool_el_refcount(pool_t *pool, pool_handle_t handle);

/** Call ff for each element; it may use the pool. Stops at the first result that is not 0, and
 *  returns it. The element is held meanwhile; elements that come later may be missed. */
errno_t pool_foreach(pool_t *pool,
                     errno_t (*ff)(pool_t *pool, void *el, pool_handle_t handle, void *arg),
                     void *arg);

/** Slots that are free before the pool grows, and elements. Never blocks. */
int pool_get_free(pool_t *pool);
int pool_get_used(pool_t *pool);

#endif /* PHANTOM_PORT_KERNEL_POOL_H */
