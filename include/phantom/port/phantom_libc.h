/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_libc.h - the port's C library at once, and hexdump. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_PHANTOM_LIBC_H
#define PHANTOM_PORT_PHANTOM_LIBC_H

#include "ph_io.h"
#include "ph_malloc.h"
#include "ph_string.h"

/* flags of hexdump(): leave a column out */
#define HD_OMIT_COUNT 0x0100
#define HD_OMIT_HEX   0x0200
#define HD_OMIT_CHARS 0x0400

/** Print bytes to the console, 16 a line: offset, hexadecimal, characters. hdr stands before each
 *  line (NULL: nothing); length <= 0: nothing. Each line is one piece. Blocks as the console's sink
 *  does. @threads any */
void hexdump(const void *ptr, int length, const char *hdr, int flags);

#endif /* PHANTOM_PORT_PHANTOM_LIBC_H */
