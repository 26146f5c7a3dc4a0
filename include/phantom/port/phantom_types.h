/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_types.h - the types that every file of the Genode port uses. Stability: kept from the
 * port, with two differences (docs/port-differences.md): bool is C's, time_t is the host's.
 */
#ifndef PHANTOM_PORT_PHANTOM_TYPES_H
#define PHANTOM_PORT_PHANTOM_TYPES_H

#include "arch/arch-types.h"

#include <stdbool.h> /* bool: one byte, 0 or 1 */
#include <time.h>    /* time_t: seconds since 1970, 64 bit */

typedef u_int32_t disk_page_no_t; /* a block of 4096 bytes on a disk; 0: no block */
typedef int tid_t;                /* a thread; >= 0 */
typedef u_int64_t bigtime_t;      /* microseconds */
typedef int errno_t;              /* 0: done; positive: an error of errno.h */

#endif /* PHANTOM_PORT_PHANTOM_TYPES_H */
