/* SPDX-License-Identifier: Apache-2.0
 *
 * arch/arch-page.h - the size of a page of memory, which is also that of a block on disk.
 */
#ifndef PHANTOM_PORT_ARCH_PAGE_H
#define PHANTOM_PORT_ARCH_PAGE_H

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096

#endif /* PHANTOM_PORT_ARCH_PAGE_H */
