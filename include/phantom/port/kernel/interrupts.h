/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/interrupts.h - interrupts of devices and soft interrupts, names of the Genode port. There
 * are no devices here: whoever plays one raises its interrupt. Stability: kept, but for the raise.
 *
 * @threads any, unless said otherwise. Never blocks, unless said otherwise; tables are of the
 *   instance of the calling thread. A soft interrupt outside 0..31 is fatal.
 */
#ifndef PHANTOM_PORT_KERNEL_INTERRUPTS_H
#define PHANTOM_PORT_KERNEL_INTERRUPTS_H

#include <phantom_types.h>

#define HAL_IRQS     64
#define HAL_SOFTIRQS 32 /* number 0 is never given out */

/**
 * Call func(arg) for this interrupt, on the thread that raises it. Several handlers only if all of
 * them are shareable. Never blocks. The caller ends it with hal_irq_free().
 *
 * @return 0, EINVAL (no such interrupt, no function), EBUSY (it has one), ENOMEM
 */
errno_t hal_irq_alloc(int irq, void (*func)(void *arg), void *arg, int is_shareable);
/** Take the handler with this function and argument away; nothing if there is none. Does not wait:
 *  it may be running still. */
void hal_irq_free(int irq, void (*func)(void *arg), void *arg);
/** The device speaks: its handlers are called on the calling thread, one after the other: blocks as
 *  they do. No such interrupt, or no handler: nothing. */
void phantom_hal_raise_irq(int irq);

/** A soft interrupt nobody uses, 1..31; -1: there is none left. */
int hal_alloc_softirq(void);
/** What to call for it, on the one thread that serves all soft interrupts of the instance, so that
 *  a handler that blocks delays the others; NULL: nothing. The one before may be running still.
 *  Never blocks itself. */
void hal_set_softirq_handler(int irq, void (*func)(void *arg), void *arg);
/** Call its handler soon, on a thread of the HAL; requests that meet a request that waits are one.
 *  From any thread, a handler too. Lower numbers come first. Does not wait. */
void hal_request_softirq(int irq);
/** Handlers are not called until enabled again; requests stay. One that is running is not waited
 *  for. Nestable; of the whole instance. Fatal when unbalanced. */
void hal_disable_softirq(void);
void hal_enable_softirq(void);

#endif /* PHANTOM_PORT_KERNEL_INTERRUPTS_H */
