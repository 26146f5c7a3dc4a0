/* SPDX-License-Identifier: Apache-2.0
 *
 * port_interlock.h - what the snapshot functions of the room need of the interlock.
 */
#ifndef PORT_INTERLOCK_H
#define PORT_INTERLOCK_H

/** Tell threads in the heap that a safepoint would be welcome (1), and that it is over (-1). */
void port_interlock_hint(int change);
/** Leave the heap however deep the thread is in it, and enter as deep again. */
int port_interlock_let_go(void);
void port_interlock_take_again(int depth);

#endif /* PORT_INTERLOCK_H */
