/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/atomic.h - atomic counters, names of the Genode port. Stability: kept. Sequentially
 * consistent.
 *
 * @threads any. Never blocks, takes no lock.
 */
#ifndef PHANTOM_PORT_KERNEL_ATOMIC_H
#define PHANTOM_PORT_KERNEL_ATOMIC_H

/** Add and return the new value. */
int atomic_add(volatile int *val, int incr);
/** Or the bits in and return the new value. */
int atomic_or(volatile int *val, int bits);

#endif /* PHANTOM_PORT_KERNEL_ATOMIC_H */
