/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/vm.h - what others may ask of the pages of the object space. Stability: kept.
 */
#ifndef PHANTOM_PORT_KERNEL_VM_H
#define PHANTOM_PORT_KERNEL_VM_H

#include <phantom_types.h>

/** Keep the pages of [addr, addr + count) in memory; counted per page. Loads them if necessary. */
void wire_page_for_addr(void *addr, size_t count);
void unwire_page_for_addr(void *addr, size_t count);
/** A hint: the contents of this page are not needed any more. */
void vm_map_page_mark_unused(addr_t page_start);

#endif /* PHANTOM_PORT_KERNEL_VM_H */
