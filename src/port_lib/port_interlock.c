/* SPDX-License-Identifier: Apache-2.0
 *
 * port_interlock.c - <kernel/snap_sync.h>: who is in the heap, and stopping them.
 *
 * Owns the count of threads inside and of stops. Lock order: snap_interlock_mutex, then nothing;
 * the heap is entered after the count is taken and left before it is given back. Between calls,
 * with the mutex held: inside is the number of threads whose depth is not 0 and who do not wait
 * here; while stops > 0 it only falls.
 */
#include "kernel/snap_sync.h"

#include "kernel/cond.h"
#include "kernel/mutex.h"
#include "ph_mutant.h"
#include "port_heap.h"
#include "port_interlock.h"
#include "spinlock.h"
#include "thread_private.h"

volatile int phantom_virtual_machine_snap_request;
volatile int phantom_virtual_machine_stop_request;
hal_mutex_t snap_interlock_mutex;
hal_cond_t vm_thread_wakeup_cond;

static hal_spinlock_t init_lock;
static _Atomic bool ready;
static hal_cond_t nobody_inside;
static hal_cond_t go_on;
static int inside;
static int stops;

void phantom_snap_threads_interlock_init(void)
{
    if (ready) {
        return;
    }
    hal_spin_lock(&init_lock);
    if (!ready) {
        if (hal_mutex_init(&snap_interlock_mutex, "snap interlock") != 0 ||
            hal_cond_init(&vm_thread_wakeup_cond, "vm thread wake-up") != 0 ||
            hal_cond_init(&nobody_inside, "nobody in the heap") != 0 ||
            hal_cond_init(&go_on, "heap goes on") != 0) {
            panic("interlock: out of memory");
        }
        ready = true;
    }
    hal_spin_unlock(&init_lock);
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
    hal_mutex_lock(&snap_interlock_mutex);
    while (stops > 0 && !PH_MUTANT(STOP_LETS_IN)) {
        hal_cond_wait(&go_on, &snap_interlock_mutex);
    }
    inside++;
    hal_mutex_unlock(&snap_interlock_mutex);
    int rc = port_heap_enter();
    if (rc != 0) {
        panic("the heap cannot be entered: error %d", rc);
    }
}

static void leave(void)
{
    port_heap_leave();
    hal_mutex_lock(&snap_interlock_mutex);
    inside--;
    hal_cond_broadcast(&nobody_inside); /* who waits may itself be inside: it looks again */
    hal_mutex_unlock(&snap_interlock_mutex);
}

void vm_lock_persistent_memory(void)
{
    int *depth = my_depth();
    phantom_snap_threads_interlock_init();
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
    phantom_snap_threads_interlock_init();
    hal_mutex_lock(&snap_interlock_mutex);
    bool stop = stops > 0;
    hal_mutex_unlock(&snap_interlock_mutex);
    if (stop) {
        port_interlock_take_again(port_interlock_let_go());
    } else if (*my_depth() > 0) { /* a snapshot needs only its cut */
        port_heap_safepoint();
    }
}

void phantom_snapper_wait_4_threads(void)
{
    phantom_snap_threads_interlock_init();
    int mine = *my_depth() > 0;
    port_interlock_hint(1);
    hal_mutex_lock(&snap_interlock_mutex);
    stops++;
    while (inside > mine) {
        hal_cond_wait(&nobody_inside, &snap_interlock_mutex);
    }
    hal_mutex_unlock(&snap_interlock_mutex);
}

void phantom_snapper_reenable_threads(void)
{
    hal_mutex_lock(&snap_interlock_mutex);
    if (stops == 0) {
        panic("phantom_snapper_reenable_threads without a stop");
    }
    if (--stops == 0) {
        hal_cond_broadcast(&go_on);
        hal_cond_broadcast(&vm_thread_wakeup_cond);
    }
    hal_mutex_unlock(&snap_interlock_mutex);
    port_interlock_hint(-1);
}
