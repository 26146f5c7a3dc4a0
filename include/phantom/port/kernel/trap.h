/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/trap.h - processor traps, names of the Genode port. Stability: kept. A trap state is
 * opaque.
 *
 * @threads any. Nothing here blocks.
 */
#ifndef PHANTOM_PORT_KERNEL_TRAP_H
#define PHANTOM_PORT_KERNEL_TRAP_H

#include <phantom_types.h>

struct trap_state {
    unsigned state; /* nothing of it means anything */
};

/** Is the trap the user program's? Always 1: the machine has none of its own. The state is not
 *  looked at, here and below. */
int phantom_check_user_trap(struct trap_state *ts);
/** Fatal: panic(). Never returns. Declared with a value in the port; there is none. */
int trap_panic(struct trap_state *ts) __attribute__((noreturn));
/** A trap inside the machine itself. Fatal, since there is nothing to go back to; in the port it
 * does nothing. */
void phantom_kernel_trap(struct trap_state *ts) __attribute__((noreturn));
/** Print what is known of a state, which is nothing, on standard error. */
void dump_ss(struct trap_state *st);
/** The object space's fault hook of the original machine; 0. Not called by the HAL. */
int vm_map_page_fault_trap_handler(struct trap_state *st);

#endif /* PHANTOM_PORT_KERNEL_TRAP_H */
