/* SPDX-License-Identifier: Apache-2.0
 *
 * shorttypes.h - short names of the fixed-width types. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_SHORTTYPES_H
#define PHANTOM_PORT_SHORTTYPES_H

#include "arch/arch-types.h"

typedef u_int8_t uint8;
typedef u_int16_t uint16;
typedef u_int32_t uint32;
typedef u_int64_t uint64;

typedef int8_t int8;
typedef int16_t int16;
typedef int32_t int32;
typedef int64_t int64;

#endif /* PHANTOM_PORT_SHORTTYPES_H */
