/* SPDX-License-Identifier: Apache-2.0
 *
 * sys/cdefs.h - the host's, and the words of the BSD kernels that files of the Genode port use.
 * System headers include it as well, so it adds macros only, under names of their own. What they
 * say is known when the program is compiled: @threads any, never blocks.
 */
/* Outside the guard: a second copy of this folder on the include path does no harm. */
#include_next <sys/cdefs.h>

#ifndef PHANTOM_PORT_SYS_CDEFS_H
#define PHANTOM_PORT_SYS_CDEFS_H

/** Elements of an array (not of a pointer). */
#ifndef __countof
#define __countof(x) (sizeof(x) / sizeof((x)[0]))
#endif
/** The text of a macro's value. */
#ifndef __XSTRING
#define __PORT_STRING(x) #x
#define __XSTRING(x)     __PORT_STRING(x)
#endif
/** The function does not return. */
#ifndef __dead2
#define __dead2 __attribute__((__noreturn__))
#endif
#ifndef __packed
#define __packed __attribute__((__packed__))
#endif

#endif /* PHANTOM_PORT_SYS_CDEFS_H */
