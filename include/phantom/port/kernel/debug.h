/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/debug.h - commands for whoever looks into a running system. Stability: kept from the
 * Genode port.
 *
 * Commands are of the instance of the calling thread.
 */
#ifndef PHANTOM_PORT_KERNEL_DEBUG_H
#define PHANTOM_PORT_KERNEL_DEBUG_H

#include "../phantom_types.h"

/** Register a command of this HAL instance, for its life; name and desc are kept by reference, desc
 *  may be NULL. func gets the words of the line (31 at most, then NULL), good for the
 *  call; it may block. Never blocks itself. @return 0; -ENOMEM; -EEXIST: the name is taken.
 *  @threads any */
int dbg_add_command(void (*func)(int argc, char **argv), const char *name, const char *desc);
/** Run a line, of which 255 characters count: the command and its words, on the calling thread:
 *  blocks as the command does. "help" lists what there is. @return 0, or -ENOENT: no such command,
 *  or no word. @threads any */
int phantom_dbg_run(const char *line);

#endif /* PHANTOM_PORT_KERNEL_DEBUG_H */
