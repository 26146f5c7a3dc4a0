/* SPDX-License-Identifier: Apache-2.0
 *
 * port_spin.c - spin locks and atomic counters of the port. Owns nothing.
 *
 * A lock is one int: 0 free, 1 held. Taking it is an exchange with acquire order, giving it back a
 * release; a waiter only reads until it looks free, so it does not steal the cache line from the
 * holder, and yields its CPU after a while.
 */
#include "port_internal.h"
#include "port_machine.h"

#include <kernel/atomic.h>
#include <spinlock.h>

enum { SPINS_BEFORE_YIELD = 64 };

void hal_spin_init(hal_spinlock_t *sl)
{
    *sl = (hal_spinlock_t)HAL_SPIN_INIT;
}

void hal_spin_lock(hal_spinlock_t *sl)
{
    int spins = 0;
    port_machine_point("spin lock");
    while (__atomic_exchange_n(&sl->lock, 1, __ATOMIC_ACQUIRE) != 0) {
        while (__atomic_load_n(&sl->lock, __ATOMIC_RELAXED) != 0) {
            if (++spins < SPINS_BEFORE_YIELD) {
                __builtin_ia32_pause();
            } else {
                hal_yield();
            }
        }
    }
}

void hal_spin_unlock(hal_spinlock_t *sl)
{
    PH_CHECK(__atomic_load_n(&sl->lock, __ATOMIC_RELAXED) == 1); /* else nobody held it */
    __atomic_store_n(&sl->lock, 0, __ATOMIC_RELEASE);
    port_machine_point("spin unlock");
}

int atomic_add(volatile int *val, int incr)
{
    port_machine_point("atomic");
    return __atomic_add_fetch(val, incr, __ATOMIC_SEQ_CST);
}

int atomic_or(volatile int *val, int bits)
{
    port_machine_point("atomic");
    return __atomic_or_fetch(val, bits, __ATOMIC_SEQ_CST);
}
