/* SPDX-License-Identifier: Apache-2.0
 *
 * port_flags.c - interrupt and preemption flags of the calling thread, and the spin locks that use
 * them. Nothing interrupts a thread here, so the flags only have to pair up.
 */
#include "port_internal.h"

void hal_cli(void)
{
    port_thread()->masked = true;
}

void hal_sti(void)
{
    port_thread()->masked = false;
}

int hal_is_sti(void)
{
    return port_thread()->masked ? 0 : 1;
}

int hal_save_cli(void)
{
    struct port_thread *thread = port_thread();
    int before = thread->masked ? 0 : 1;
    thread->masked = true;
    return before;
}

void hal_disable_preemption(void)
{
    port_thread()->preemption_disabled++;
}

void hal_enable_preemption(void)
{
    struct port_thread *thread = port_thread();
    if (thread->preemption_disabled == 0) {
        panic("hal_enable_preemption without hal_disable_preemption");
    }
    thread->preemption_disabled--;
}

void hal_spin_lock_cli(hal_spinlock_t *sl)
{
    int before = hal_save_cli();
    if (sl != NULL) {
        hal_spin_lock(sl);
        sl->ei = before;
    }
}

void hal_spin_unlock_sti(hal_spinlock_t *sl)
{
    int before = 1;
    if (sl != NULL) {
        before = sl->ei;
        hal_spin_unlock(sl);
    }
    if (before != 0) {
        hal_sti();
    }
}

void hal_wired_spin_lock(hal_spinlock_t *l)
{
    /* In the port the page is wired first, because a fault with interrupts masked is fatal there.
     * Here a fault is just slow. */
    int before = hal_save_cli();
    hal_disable_preemption();
    hal_spin_lock(l);
    l->ei = before;
}

void hal_wired_spin_unlock(hal_spinlock_t *l)
{
    int before = l->ei;
    hal_spin_unlock(l);
    hal_enable_preemption();
    if (before != 0) {
        hal_sti();
    }
}
