/* SPDX-License-Identifier: Apache-2.0
 *
 * errno.h - the host's error numbers, and errno_t. Stability: kept from the Genode port, but the
 * numbers are the host's (docs/port-differences.md): programs of the port see them as "not zero".
 */
/* Outside the guard: a second copy of this folder on the include path does no harm. */
#include_next <errno.h>

#ifndef PHANTOM_PORT_ERRNO_H
#define PHANTOM_PORT_ERRNO_H

typedef int errno_t; /* 0: done; positive: an error */

#endif /* PHANTOM_PORT_ERRNO_H */
