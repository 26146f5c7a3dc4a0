/* SPDX-License-Identifier: Apache-2.0
 *
 * arch/arch_vmem_util.h - page faults of the object space, names of the Genode port. Stability:
 * kept.
 *
 * @threads any. Nothing here blocks, but the handler.
 */
#ifndef PHANTOM_PORT_ARCH_VMEM_UTIL_H
#define PHANTOM_PORT_ARCH_VMEM_UTIL_H

#include <phantom_types.h>

struct trap_state;

/**
 * What to call when a thread touches a page of the object space that is not mapped for that.
 *
 * The handler runs on one thread of the HAL, for one fault at a time, while the thread that
 * faulted waits; it may block and use the whole HAL, but must not touch unmapped pages of the
 * object space itself. If it returns 0 the access is tried again; otherwise the fault is treated as
 * one outside of the object space (SIGSEGV as the host has set it).
 *
 * @param handler  address: offset from the start of the object space; write: 1 for a store; ip: -1;
 *                 the state: NULL. NULL: no handler any more
 * @pre   after hal_init()
 * @return 0, EINVAL (no object space), ENOMEM, EAGAIN (no thread)
 */
int genode_register_page_fault_handler(int (*handler)(void *address, int write, int ip,
                                                      struct trap_state *state));

#endif /* PHANTOM_PORT_ARCH_VMEM_UTIL_H */
