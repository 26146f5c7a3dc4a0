/* SPDX-License-Identifier: Apache-2.0
 *
 * port_interlock.c - <kernel/snap_sync.h>: who is in the heap, and stopping them.
 *
 * Owns an instance's count of threads inside and of stops. Lock order: the mutex, then nothing; the
 * heap is entered after the count is taken and left before it is given back. Between calls, with
 * the mutex held: inside is the number of threads whose depth is not 0 and who do not wait here;
 * while stops > 0 it only falls.
 *
 * The default instance's mutex and condition are the port's global ones, which the VM's code of the
 * port uses directly. The two requests are the process's: phantom_virtual_machine_snap_request
 * counts the stops and snapshots of all instances, so a thread looks once too often at worst.
 */
#include "kernel/snap_sync.h"

#include "kernel/cond.h"
#include "kernel/mutex.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "port_heap.h"
#include "port_interlock.h"
#include "port_state.h"
#include "spinlock.h"
#include "thread_private.h"

volatile int phantom_virtual_machine_snap_request;
volatile int phantom_virtual_machine_stop_request;
hal_mutex_t snap_interlock_mutex;
hal_cond_t vm_thread_wakeup_cond;

struct port_interlock {
    hal_mutex_t *mutex; /* the default instance's globals, or what follows them */
    hal_cond_t *wakeup;
    hal_mutex_t own_mutex;
    hal_cond_t own_wakeup;
    hal_cond_t nobody_inside;
    hal_cond_t go_on;
    int inside;
    int stops;
};

int port_interlock_open(struct port_lib_state *state)
{
    struct port_interlock *interlock = ph_zalloc(1, sizeof(*interlock));
    if (interlock == NULL) {
        return ENOMEM;
    }
    state->interlock = interlock;
    interlock->mutex = state->is_default ? &snap_interlock_mutex : &interlock->own_mutex;
    interlock->wakeup = state->is_default ? &vm_thread_wakeup_cond : &interlock->own_wakeup;
    if (hal_mutex_init(interlock->mutex, "snap interlock") != 0 ||
        hal_cond_init(interlock->wakeup, "vm thread wake-up") != 0 ||
        hal_cond_init(&interlock->nobody_inside, "nobody in the heap") != 0 ||
        hal_cond_init(&interlock->go_on, "heap goes on") != 0) {
        port_interlock_close(state);
        return ENOMEM;
    }
    return 0;
}

void port_interlock_close(struct port_lib_state *state)
{
    struct port_interlock *interlock = state->interlock;
    hal_cond_destroy(&interlock->go_on);
    hal_cond_destroy(&interlock->nobody_inside);
    hal_cond_destroy(interlock->wakeup);
    hal_mutex_destroy(interlock->mutex);
    ph_free(interlock);
}

static struct port_interlock *my_interlock(void)
{
    return port_lib_state()->interlock;
}

void phantom_snap_threads_interlock_init(void)
{
    (void)my_interlock(); /* the instance is there from now on, and with it the global ones */
}

static int *my_depth(void)
{
    return &GET_CURRENT_THREAD()->sub_from_pers_mem_lock_count;
}

void port_interlock_hint(int change)
{
    __atomic_fetch_add(&phantom_virtual_machine_snap_request, change, __ATOMIC_SEQ_CST);
}

/* Take the count, once there is no stop; then the heap. */
static void enter(void)
{
    struct port_interlock *interlock = my_interlock();
    hal_mutex_lock(interlock->mutex);
    while (interlock->stops > 0 && !PH_MUTANT(STOP_LETS_IN)) {
        hal_cond_wait(&interlock->go_on, interlock->mutex);
    }
    interlock->inside++;
    hal_mutex_unlock(interlock->mutex);
    int rc = port_heap_enter();
    if (rc != 0) {
        panic("the heap cannot be entered: error %d", rc);
    }
}

static void leave(void)
{
    struct port_interlock *interlock = my_interlock();
    port_heap_leave();
    hal_mutex_lock(interlock->mutex);
    interlock->inside--;
    /* Who waits may itself be inside: it looks again. */
    hal_cond_broadcast(&interlock->nobody_inside);
    hal_mutex_unlock(interlock->mutex);
}

void vm_lock_persistent_memory(void)
{
    int *depth = my_depth();
    if (*depth == 0) { /* within a lock a stop waits for us, and we not for it */
        enter();
    }
    (*depth)++;
}

void vm_unlock_persistent_memory(void)
{
    int *depth = my_depth();
    if (*depth <= 0) {
        panic("vm_unlock_persistent_memory without a lock");
    }
    if (--*depth == 0) {
        leave();
    }
}

void vm_release_snap_lock(int count)
{
    while (count-- > 0 && *my_depth() > 0) {
        vm_unlock_persistent_memory();
    }
}

int port_interlock_let_go(void)
{
    int *depth = my_depth();
    int was = *depth;
    if (was > 0) {
        *depth = 0;
        leave();
    }
    return was;
}

void port_interlock_take_again(int depth)
{
    if (depth > 0) {
        enter();
        *my_depth() = depth;
    }
}

void phantom_thread_wait_4_snap(void)
{
    if (__atomic_load_n(&phantom_virtual_machine_stop_request, __ATOMIC_SEQ_CST) != 0) {
        port_interlock_let_go();
        hal_exit_kernel_thread();
    }
    struct port_interlock *interlock = my_interlock();
    hal_mutex_lock(interlock->mutex);
    bool stop = interlock->stops > 0;
    hal_mutex_unlock(interlock->mutex);
    if (stop) {
        port_interlock_take_again(port_interlock_let_go());
    } else if (*my_depth() > 0) { /* a snapshot needs only its cut */
        port_heap_safepoint();
    }
}

void phantom_snapper_wait_4_threads(void)
{
    struct port_interlock *interlock = my_interlock();
    int mine = *my_depth() > 0;
    port_interlock_hint(1);
    hal_mutex_lock(interlock->mutex);
    interlock->stops++;
    while (interlock->inside > mine) {
        hal_cond_wait(&interlock->nobody_inside, interlock->mutex);
    }
    hal_mutex_unlock(interlock->mutex);
}

void phantom_snapper_reenable_threads(void)
{
    struct port_interlock *interlock = my_interlock();
    hal_mutex_lock(interlock->mutex);
    if (interlock->stops == 0) {
        panic("phantom_snapper_reenable_threads without a stop");
    }
    if (--interlock->stops == 0) {
        hal_cond_broadcast(&interlock->go_on);
        hal_cond_broadcast(interlock->wakeup);
    }
    hal_mutex_unlock(interlock->mutex);
    port_interlock_hint(-1);
}
