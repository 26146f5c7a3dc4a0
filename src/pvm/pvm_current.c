/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_current.c - the current world: which machine the natives of this HAL thread act on.
 *
 * The port's C signatures carry no world, so it is thread-local: set by pvm_run() in each worker
 * for as long as it runs, and around boot and attach. One HAL thread acts on one world at a time;
 * several worlds in one process do not meet.
 */
#include "ph_check.h"
#include "pvm_stores.h"

_Thread_local struct pvm_worker *pvm_thread_worker;

struct pvm_worker *pvm_set_current_worker(struct pvm_worker *worker)
{
    struct pvm_worker *old = pvm_thread_worker;
    pvm_thread_worker = worker;
    return old;
}

pvm_object_t pvm_root_class(int root_index)
{
    PH_CHECK(root_index >= 0 && root_index <= PVM_ROOT_LAST_CLASS_INDEX);
    return pvm_thread_worker->pvm->classes[root_index];
}

pvm_object_t pvm_root_slot(int index)
{
    PH_CHECK(index >= 0 && index < PVM_ROOT_SLOTS);
    return heap_load_ref(&pvm_slots(pvm_thread_worker->pvm->root)[index]);
}

void pvm_set_root_slot(int index, pvm_object_t value)
{
    PH_CHECK(index >= 0 && index < PVM_ROOT_SLOTS);
    pvm_store_ref(pvm_thread_worker->pvm, &pvm_slots(pvm_thread_worker->pvm->root)[index], value);
}

/* Object locks are striped by address; the stripe of an object never changes because objects never
 * move. */
static hal_mutex_t *lock_of(const void *o)
{
    uint64_t h = (uint64_t)(uintptr_t)o * UINT64_C(0x9E3779B97F4A7C15);
    return &pvm_thread_worker->pvm->object_locks[h >> 60];
}

void pvm_lock_object(const void *o)
{
    (void)hal_mutex_lock(lock_of(o));
}

void pvm_unlock_object(const void *o)
{
    (void)hal_mutex_unlock(lock_of(o));
}
