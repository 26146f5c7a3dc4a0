/* SPDX-License-Identifier: Apache-2.0
 *
 * user/sys_port.h - files of the Genode port include it and use no name of it.
 */
#ifndef PHANTOM_PORT_USER_SYS_PORT_H
#define PHANTOM_PORT_USER_SYS_PORT_H

#include "../phantom_types.h"

#endif /* PHANTOM_PORT_USER_SYS_PORT_H */
