/* SPDX-License-Identifier: Apache-2.0
 *
 * port_pool.c - <kernel/pool.h>: reference-counted elements behind handles.
 *
 * Owns the slots; elements are the caller's unless init and destroy say otherwise.
 * Lock order: the pool's mutex is a leaf; init, destroy and pool_foreach()'s function run without
 * it. Between calls: a slot is free (on the free list), live (count >= 0), or being made or
 * destroyed (neither on the list nor found by its handle). used + free = slots. A handle is slot +
 * generation:
 *
 *      31 | 30 ... 20  | 19 ... 0
 *       0 | generation | slot        the generation changes when a slot becomes free
 */
#include "kernel/pool.h"

#include "kernel/mutex.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "phantom_assert.h"

#include <errno.h>
#include <string.h>

#define SLOT_BITS       20
#define MOST_SLOTS      (1 << SLOT_BITS)
#define GENERATIONS     (1 << (31 - SLOT_BITS))
#define FIRST_SLOTS     16
#define NO_SLOT         (-1)
#define COUNT_WHEN_GONE (-1)

struct slot {
    void *element;
    int count; /* COUNT_WHEN_GONE: not to be found */
    int generation;
    int next_free;
};

struct pool_impl {
    hal_mutex_t lock;
    struct slot *slots;
    int size;
    int used;
    int first_free;
};

pool_t *create_pool(void)
{
    pool_t *pool = ph_zalloc(1, sizeof(*pool));
    struct pool_impl *impl = ph_zalloc(1, sizeof(*impl));
    if (pool == NULL || impl == NULL || hal_mutex_init(&impl->lock, "pool") != 0) {
        ph_free(pool);
        ph_free(impl);
        return NULL;
    }
    pool->flag_autodestroy = 1;
    pool->impl = impl;
    impl->first_free = NO_SLOT;
    return pool;
}

/* What misuse comes to. */
static errno_t refuse(const pool_t *pool, errno_t error, const char *what)
{
    if (pool->flag_nofail) {
        panic("pool: %s", what);
    }
    return error;
}

errno_t destroy_pool(pool_t *pool)
{
    struct pool_impl *impl = pool->impl;
    if (impl->used > 0 && !pool->flag_autoclean) {
        return refuse(pool, EBUSY, "destroyed with elements in it");
    }
    for (int i = 0; i < impl->size; i++) {
        if (impl->slots[i].count != COUNT_WHEN_GONE && pool->destroy != NULL) {
            pool->destroy(impl->slots[i].element);
        }
    }
    hal_mutex_destroy(&impl->lock);
    ph_free(impl->slots);
    ph_free(impl);
    ph_free(pool);
    return 0;
}

/* Twice as many slots. Lock held. */
static bool grow(struct pool_impl *impl)
{
    int size = impl->size == 0 ? FIRST_SLOTS : impl->size * 2;
    if (size > MOST_SLOTS) {
        return false;
    }
    struct slot *slots = ph_realloc(impl->slots, (size_t)size * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (int i = size - 1; i >= impl->size; i--) {
        slots[i] = (struct slot){.count = COUNT_WHEN_GONE, .next_free = impl->first_free};
        impl->first_free = i;
    }
    impl->slots = slots;
    impl->size = size;
    return true;
}

/* The live slot of a handle, or NULL. Lock held. */
static struct slot *find(struct pool_impl *impl, pool_handle_t handle)
{
    int index = handle & (MOST_SLOTS - 1);
    if (handle < 0 || index >= impl->size) {
        return NULL;
    }
    struct slot *slot = &impl->slots[index];
    return slot->count != COUNT_WHEN_GONE && slot->generation == handle >> SLOT_BITS ? slot : NULL;
}

/* Lock held; the slot is not to be found already. */
static void put_back(struct pool_impl *impl, int index)
{
    struct slot *slot = &impl->slots[index];
    slot->element = NULL;
    if (!PH_MUTANT(POOL_HANDLES_COME_AGAIN)) {
        slot->generation = (slot->generation + 1) % GENERATIONS;
    }
    slot->next_free = impl->first_free;
    impl->first_free = index;
    impl->used--;
}

pool_handle_t pool_create_el(pool_t *pool, void *arg)
{
    struct pool_impl *impl = pool->impl;
    void *element = pool->init != NULL ? pool->init(arg) : arg;
    if (pool->init != NULL && element == NULL) {
        refuse(pool, ENOMEM, "no element was made");
        return INVALID_POOL_HANDLE;
    }
    hal_mutex_lock(&impl->lock);
    if (impl->first_free == NO_SLOT && !grow(impl)) {
        hal_mutex_unlock(&impl->lock);
        if (pool->init != NULL && pool->destroy != NULL) {
            pool->destroy(element);
        }
        refuse(pool, ENOMEM, "out of memory");
        return INVALID_POOL_HANDLE;
    }
    int index = impl->first_free;
    struct slot *slot = &impl->slots[index];
    impl->first_free = slot->next_free;
    impl->used++;
    slot->element = element;
    slot->count = 1;
    pool_handle_t handle = slot->generation << SLOT_BITS | index;
    hal_mutex_unlock(&impl->lock);
    return handle;
}

void *pool_get_el(pool_t *pool, pool_handle_t handle)
{
    struct pool_impl *impl = pool->impl;
    hal_mutex_lock(&impl->lock);
    struct slot *slot = find(impl, handle);
    void *element = slot != NULL ? slot->element : NULL;
    if (slot != NULL) {
        slot->count++;
    }
    hal_mutex_unlock(&impl->lock);
    if (slot == NULL) {
        refuse(pool, EINVAL, "no such handle");
    }
    return element;
}

/* Destroy the element of a slot that is not to be found any more. Lock held; given up meanwhile. */
static void destroy_element(pool_t *pool, int index)
{
    struct pool_impl *impl = pool->impl;
    void *element = impl->slots[index].element;
    hal_mutex_unlock(&impl->lock);
    if (pool->destroy != NULL) {
        pool->destroy(element);
    }
    hal_mutex_lock(&impl->lock);
    put_back(impl, index);
}

errno_t pool_release_el(pool_t *pool, pool_handle_t handle)
{
    struct pool_impl *impl = pool->impl;
    errno_t rc = 0;
    hal_mutex_lock(&impl->lock);
    struct slot *slot = find(impl, handle);
    if (slot == NULL || slot->count == 0) {
        rc = EINVAL;
    } else if (--slot->count == 0 && pool->flag_autodestroy) {
        slot->count = COUNT_WHEN_GONE;
        destroy_element(pool, handle & (MOST_SLOTS - 1));
    }
    hal_mutex_unlock(&impl->lock);
    return rc == 0 ? 0 : refuse(pool, rc, "released what is not held");
}

errno_t pool_destroy_el(pool_t *pool, pool_handle_t handle)
{
    struct pool_impl *impl = pool->impl;
    errno_t rc = 0;
    hal_mutex_lock(&impl->lock);
    struct slot *slot = find(impl, handle);
    if (slot == NULL) {
        rc = EINVAL;
    } else if (slot->count > 1) {
        rc = EBUSY;
    } else {
        slot->count = COUNT_WHEN_GONE;
        destroy_element(pool, handle & (MOST_SLOTS - 1));
    }
    hal_mutex_unlock(&impl->lock);
    return rc == 0 ? 0 : refuse(pool, rc, "destroyed what is in use or not there");
}

int pool_el_refcount(pool_t *pool, pool_handle_t handle)
{
    struct pool_impl *impl = pool->impl;
    hal_mutex_lock(&impl->lock);
    struct slot *slot = find(impl, handle);
    int count = slot != NULL ? slot->count : -1;
    hal_mutex_unlock(&impl->lock);
    return count;
}

errno_t pool_foreach(pool_t *pool, errno_t (*ff)(pool_t *, void *, pool_handle_t, void *),
                     void *arg)
{
    struct pool_impl *impl = pool->impl;
    errno_t rc = 0;
    hal_mutex_lock(&impl->lock);
    for (int i = 0; i < impl->size && rc == 0; i++) {
        struct slot *slot = &impl->slots[i];
        if (slot->count == COUNT_WHEN_GONE) {
            continue;
        }
        pool_handle_t handle = slot->generation << SLOT_BITS | i;
        void *element = slot->element;
        slot->count++; /* it stays while ff looks at it */
        hal_mutex_unlock(&impl->lock);
        rc = ff(pool, element, handle, arg);
        pool_release_el(pool, handle);
        hal_mutex_lock(&impl->lock);
    }
    hal_mutex_unlock(&impl->lock);
    return rc;
}

int pool_get_free(pool_t *pool)
{
    hal_mutex_lock(&pool->impl->lock);
    int count = pool->impl->size - pool->impl->used;
    hal_mutex_unlock(&pool->impl->lock);
    return count;
}

int pool_get_used(pool_t *pool)
{
    hal_mutex_lock(&pool->impl->lock);
    int count = pool->impl->used;
    hal_mutex_unlock(&pool->impl->lock);
    return count;
}
