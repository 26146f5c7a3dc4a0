/* SPDX-License-Identifier: Apache-2.0
 *
 * genode_misc.h - how a function that does nothing says so. Stability: kept.
 */
#ifndef PHANTOM_PORT_GENODE_MISC_H
#define PHANTOM_PORT_GENODE_MISC_H

/** For the calling function. Never blocks. @threads any */
#define _stub_print() _stub_print_func(__func__)
/** One line to the log: this function is a stub. Never blocks. @threads any */
void _stub_print_func(const char *function);

#endif /* PHANTOM_PORT_GENODE_MISC_H */
