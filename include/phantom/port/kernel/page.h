/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/page.h - rounding to pages, names of the Genode port. Stability: kept.
 *
 * @threads any. Arithmetic: never blocks.
 */
#ifndef PHANTOM_PORT_KERNEL_PAGE_H
#define PHANTOM_PORT_KERNEL_PAGE_H

#include <arch/arch-page.h>
#include <phantom_types.h>

/** The page boundary at or below an address, at or above it; as addr_t. Above the last page
 *  PAGE_ALIGN wraps to 0. */
#define PREV_PAGE_ALIGN(x) ((addr_t)(x) & ~((addr_t)PAGE_SIZE - 1))
#define PAGE_ALIGN(x)      (((addr_t)(x) + PAGE_SIZE - 1) & ~((addr_t)PAGE_SIZE - 1))

#endif /* PHANTOM_PORT_KERNEL_PAGE_H */
