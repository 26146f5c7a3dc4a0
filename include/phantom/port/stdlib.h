/* SPDX-License-Identifier: Apache-2.0
 *
 * stdlib.h - the host's. Files of the Genode port include it and use no name of it.
 */
#ifndef PHANTOM_PORT_STDLIB_H
#define PHANTOM_PORT_STDLIB_H

#include_next <stdlib.h>

#endif /* PHANTOM_PORT_STDLIB_H */
