/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/net.h - HTTP as connections of the Genode port use it. Stability: kept from the port.
 *
 * @threads any. Only net_curl() may block.
 */
#ifndef PHANTOM_PORT_KERNEL_NET_H
#define PHANTOM_PORT_KERNEL_NET_H

#include "../phantom_types.h"

#include <errno.h>

/**
 * Fetch a URL into a buffer: status line, headers and body, terminated.
 *
 * Reaching the outside is denied unless the host allows it (phantom_net_allow()). http only, with
 * names and addresses; no redirects. Blocks until the other side closes, without a time limit. What
 * came before an error stays in the buffer.
 *
 * @param headers  additional header lines, each ended by \r\n; NULL: none
 * @return 0; EACCES: the host does not allow it; EINVAL: not an http URL; ENOBUFS: cut off at
 *         obufsize - 1; EHOSTUNREACH: no such name; an error of the connection
 */
errno_t net_curl(const char *url, char *obuf, size_t obufsize, const char *headers);
/** The body of an HTTP response: what follows the first empty line; the text itself if there is no
 *  such line. A place in buf, which must be terminated. Never blocks. */
const char *http_skip_header(const char *buf);
/** A host allows net_curl() to the threads of this HAL instance, or takes it back (for calls that
 *  begin later). Denied at first. Never blocks. @threads any */
void phantom_net_allow(bool allow);

#endif /* PHANTOM_PORT_KERNEL_NET_H */
