/* SPDX-License-Identifier: Apache-2.0
 *
 * sys/fcntl.h - the host's. Files of the Genode port include it and use no name of it.
 */
#ifndef PHANTOM_PORT_SYS_FCNTL_H
#define PHANTOM_PORT_SYS_FCNTL_H

#include_next <sys/fcntl.h>

#endif /* PHANTOM_PORT_SYS_FCNTL_H */
