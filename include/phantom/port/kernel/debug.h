/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/debug.h - commands for whoever looks into a running system. Stability: kept from the
 * Genode port.
 */
#ifndef PHANTOM_PORT_KERNEL_DEBUG_H
#define PHANTOM_PORT_KERNEL_DEBUG_H

#include "../phantom_types.h"

/** Register a command of this HAL instance; name and desc are kept by reference. @return 0;
 * -ENOMEM; -EEXIST: the name is taken. @threads any */
int dbg_add_command(void (*func)(int argc, char **argv), const char *name, const char *desc);
/** Run a line: the command and its words. "help" lists what there is. @return 0, or -ENOENT: no
 *  such command. @threads any */
int phantom_dbg_run(const char *line);

#endif /* PHANTOM_PORT_KERNEL_DEBUG_H */
