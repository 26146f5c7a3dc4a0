/* SPDX-License-Identifier: Apache-2.0
 *
 * svn_version.h - what is running. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_SVN_VERSION_H
#define PHANTOM_PORT_SVN_VERSION_H

/** The version of the port whose interface this is. */
#define PHANTOM_VERSION_STR "0.2"

/** The version of libphantom-port. Static text. Never blocks. @threads any */
const char *svn_version(void);

#endif /* PHANTOM_PORT_SVN_VERSION_H */
