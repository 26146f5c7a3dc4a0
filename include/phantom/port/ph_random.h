/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_random.h - random numbers. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_PH_RANDOM_H
#define PHANTOM_PORT_PH_RANDOM_H

#include "phantom_types.h"

/** From 0 to LONG_MAX, from the operating system. Never blocks once that has its first entropy,
 *  soon after boot. @threads any */
long ph_random(void);

#endif /* PHANTOM_PORT_PH_RANDOM_H */
