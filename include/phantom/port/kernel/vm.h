/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/vm.h - what others may ask of the pages of the object space. Stability: kept.
 *
 * @threads any
 */
#ifndef PHANTOM_PORT_KERNEL_VM_H
#define PHANTOM_PORT_KERNEL_VM_H

#include <phantom_types.h>

/** Load the pages of [addr, addr + count), which may block, so that they can be used without
 *  waiting for the store; unwire does nothing, as nothing is counted here. Without a bound space
 *  nothing is done. Panics if they are not in the space or cannot be loaded. */
void wire_page_for_addr(void *addr, size_t count);
void unwire_page_for_addr(void *addr, size_t count);
/** A hint: the contents of this page are not needed any more. Nothing is done. Never blocks. */
void vm_map_page_mark_unused(addr_t page_start);

#endif /* PHANTOM_PORT_KERNEL_VM_H */
