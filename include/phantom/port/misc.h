/* SPDX-License-Identifier: Apache-2.0
 *
 * misc.h - files of the Genode port include it and use no name of it.
 */
#ifndef PHANTOM_PORT_MISC_H
#define PHANTOM_PORT_MISC_H

#include "phantom_types.h"

#endif /* PHANTOM_PORT_MISC_H */
