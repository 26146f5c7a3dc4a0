/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_io.h - formatted text and the console. Stability: kept from the Genode port.
 *
 * Formats: all of C11's conversions and sizes except %n, %a and L, and two of the BSD kernels:
 *
 *   %b   an unsigned int and a string: the number, then the names of its bits. The string's first
 *        byte is the number's base (\10 octal, \20 hexadecimal); then, for each named bit, its
 *        number counted from 1 as one byte below 33, and the name.
 *        ph_printf("%b", 3, "\10\2two\1one") prints 3<two,one>.
 *   %D   bytes in hexadecimal: a pointer, and a string that separates them. The width is how many
 *        (16 if there is none). ph_printf("%6D", address, ":") prints a hardware address.
 *
 * A conversion that is none is printed as it stands and takes no argument. %s of NULL prints
 * (null). Numbers have a point, whatever locale the process has set, in both directions.
 *
 * @threads any. What prints blocks as the console's sink does, on the calling thread (console.h);
 *   the rest never blocks.
 */
#ifndef PHANTOM_PORT_PH_IO_H
#define PHANTOM_PORT_PH_IO_H

#include "phantom_types.h"

#include <stdarg.h>

/** To the console, as one piece: prints of other threads do not get into the middle. Blocks as the
 *  sink does. @return how many characters (fewer than asked for, if there was no memory for more
 *  than 511). @threads any */
int ph_printf(const char *fmt, ...);
int ph_vprintf(const char *fmt, va_list ap);

/** Into str: at most size bytes, terminated if size is not 0; size 0: str may be NULL. Never
 *  blocks. @return how many characters there are without a limit; >= size: it was cut off */
int ph_snprintf(char *str, size_t size, const char *format, ...);
int ph_vsnprintf(char *str, size_t size, const char *format, va_list ap);
/** As sscanf. Never blocks. */
int ph_sscanf(const char *str, const char *format, ...) __attribute__((format(scanf, 2, 3)));

/** One character to the console. Lines appear when they end, or when 256 characters are there: then
 *  it blocks as the sink does. @return the character */
int ph_putchar(char c);
/** A line, newline appended. Blocks as the sink does. @return >= 0 */
int ph_puts(const char *s);

#endif /* PHANTOM_PORT_PH_IO_H */
