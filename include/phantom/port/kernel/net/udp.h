/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/net/udp.h - files of the Genode port include it for what it includes.
 */
#ifndef PHANTOM_PORT_KERNEL_NET_UDP_H
#define PHANTOM_PORT_KERNEL_NET_UDP_H

#include "../net.h"

#endif /* PHANTOM_PORT_KERNEL_NET_UDP_H */
