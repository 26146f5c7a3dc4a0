/* SPDX-License-Identifier: Apache-2.0
 *
 * arch/arch-types.h - fixed-width and address types of the Genode port. Stability: kept from the
 * port. The widths are the port's; the names that the C library has, too, are the C library's.
 */
#ifndef PHANTOM_PORT_ARCH_ARCH_TYPES_H
#define PHANTOM_PORT_ARCH_ARCH_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> /* u_int8_t .. u_int64_t, ssize_t */

typedef unsigned long addr_t; /* an address as a number */
typedef u_int64_t physaddr_t; /* offset into the machine's "physical" memory; 0 is never valid */
typedef u_int64_t linaddr_t;  /* a virtual address as a number */
typedef void *vmem_ptr_t;     /* a place in the object space */

#endif /* PHANTOM_PORT_ARCH_ARCH_TYPES_H */
