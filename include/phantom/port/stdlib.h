/* SPDX-License-Identifier: Apache-2.0
 *
 * stdlib.h - the host's. Files of the Genode port include it and use no name of it.
 */
/* Outside the guard: a second copy of this folder on the include path does no harm. */
#include_next <stdlib.h>

#ifndef PHANTOM_PORT_STDLIB_H
#define PHANTOM_PORT_STDLIB_H

#endif /* PHANTOM_PORT_STDLIB_H */
