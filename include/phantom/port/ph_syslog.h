/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_syslog.h - log lines. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_PH_SYSLOG_H
#define PHANTOM_PORT_PH_SYSLOG_H

#include "phantom_types.h"

#include <sys/cdefs.h>

/** One line to the console, cut at 1023 characters, newline appended, in yellow. level: as
 *  syslog(3), not used. Blocks as the console's sink does. @threads any */
void ph_syslog(int level, const char *fmt, ...);

#endif /* PHANTOM_PORT_PH_SYSLOG_H */
