/* SPDX-License-Identifier: Apache-2.0
 *
 * console.h - the console: colours as in the Genode port, and where its text goes. Stability: the
 * console_ names are kept from the port, the phantom_ names are ours.
 *
 * Each HAL instance has a console: the process's standard output unless a host says otherwise, and
 * a line that ph_putchar() collects. Functions act on that of the calling thread's. Lines of the
 * port that scripts look for ("Panic: ", "KERNEL TEST PASSED: ", "Snapshot done") are as they were
 * there.
 *
 * @threads any, unless said otherwise
 * What writes blocks as the sink does, which is called on the calling thread; without a sink of the
 * host's, as standard output does.
 */
#ifndef PHANTOM_PORT_CONSOLE_H
#define PHANTOM_PORT_CONSOLE_H

#include "phantom_types.h"
#include "video/color.h"

/** Change the colour of what follows, by ANSI escape sequences; nothing without colours. @threads
 *  any; blocks as the sink does */
void console_set_normal_color(void);
void console_set_message_color(void);
void console_set_warning_color(void);
void console_set_error_color(void);
void console_set_fg_color(rgba_t color);
void console_set_bg_color(rgba_t color);

/** Text to the console as one piece (two if there is no memory to join them), after what
 *  ph_putchar() has collected. Blocks as the sink does. @threads any */
void phantom_console_write(const char *text, size_t length);
/** Write what ph_putchar() has collected. Blocks as the sink does. */
void phantom_console_flush(void);
/** Send the console's text there; NULL: standard output. The sink may be called by several threads
 *  at once; it may block, and whoever prints waits. Never blocks itself. @threads one: not
 *  synchronised, call it before other threads print */
void phantom_console_set_sink(void (*sink)(void *context, const char *text, size_t length),
                              void *context);
/** Without colours no escape sequence is written. On at first. Never blocks. @threads one: not
 *  synchronised */
void phantom_console_set_colours(bool enable);

#endif /* PHANTOM_PORT_CONSOLE_H */
