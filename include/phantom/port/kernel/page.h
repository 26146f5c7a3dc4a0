/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/page.h - rounding to pages, names of the Genode port. Stability: kept.
 */
#ifndef PHANTOM_PORT_KERNEL_PAGE_H
#define PHANTOM_PORT_KERNEL_PAGE_H

#include <arch/arch-page.h>
#include <phantom_types.h>

#define PREV_PAGE_ALIGN(x) ((addr_t)(x) & ~((addr_t)PAGE_SIZE - 1))
#define PAGE_ALIGN(x)      (((addr_t)(x) + PAGE_SIZE - 1) & ~((addr_t)PAGE_SIZE - 1))

#endif /* PHANTOM_PORT_KERNEL_PAGE_H */
