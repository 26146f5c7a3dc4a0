/* SPDX-License-Identifier: Apache-2.0
 *
 * sys/fcntl.h - the host's. Files of the Genode port include it and use no name of it.
 */
/* Outside the guard: a second copy of this folder on the include path does no harm. */
#include_next <sys/fcntl.h>

#ifndef PHANTOM_PORT_SYS_FCNTL_H
#define PHANTOM_PORT_SYS_FCNTL_H

#endif /* PHANTOM_PORT_SYS_FCNTL_H */
