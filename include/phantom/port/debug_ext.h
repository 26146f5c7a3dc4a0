/* SPDX-License-Identifier: Apache-2.0
 *
 * debug_ext.h - messages of a file, by importance. Stability: kept from the Genode port.
 *
 * A file defines, before it includes this, DEBUG_MSG_PREFIX, a string (its own name if absent), and
 * after it debug_level_flow, debug_level_info and debug_level_error: macros or ints, how much of
 * each kind it wants to say. A message appears if its severity is at most the file's level and the
 * program's (debug_max_level_...); a smaller number is more serious. SHOW_x(severity, format, ...)
 * takes at least one argument, SHOW_x0(severity, format) none; LOG_ forms go to the log (lprintf).
 *
 * @threads any. May block as the console's sink does, if the message appears.
 */
#ifndef PHANTOM_PORT_DEBUG_EXT_H
#define PHANTOM_PORT_DEBUG_EXT_H

#include "console.h"
#include "ph_io.h"
#include "phantom_types.h"

#include <sys/cdefs.h>

#ifndef DEBUG_MSG_PREFIX
#warning "DEBUG_MSG_PREFIX is not defined: the name of the file is used"
#define DEBUG_MSG_PREFIX __FILE__
#endif

/** Log only, as ph_printf(); here the log is the console: blocks as its sink does. */
void lprintf(const char *format, ...);

/** What the whole program wants to hear, at most; 255 at first. */
extern int debug_max_level_flow;
extern int debug_max_level_info;
extern int debug_max_level_error;

/** What the macros below have in common: a statement. Arguments are evaluated only if the message
 *  appears, severity more than once. */
#define PHANTOM_DEBUG_SAY(print, kind, severity, format, ...)                                      \
    do {                                                                                           \
        if ((severity) <= debug_level_##kind && (severity) <= debug_max_level_##kind) {            \
            print("%s/%s: " format "\n", DEBUG_MSG_PREFIX, __func__, ##__VA_ARGS__);               \
        }                                                                                          \
    } while (0)

/** Flow, information and errors, to the console: the prefix, the function, the text, a new line. It
 *  may block only if the message appears. */
#define SHOW_FLOW(severity, format, param...)                                                      \
    PHANTOM_DEBUG_SAY(ph_printf, flow, severity, format, param)
#define SHOW_FLOW0(severity, format) PHANTOM_DEBUG_SAY(ph_printf, flow, severity, format)
#define SHOW_INFO(severity, format, param...)                                                      \
    PHANTOM_DEBUG_SAY(ph_printf, info, severity, format, param)
#define SHOW_INFO0(severity, format) PHANTOM_DEBUG_SAY(ph_printf, info, severity, format)
#define SHOW_ERROR(severity, format, param...)                                                     \
    PHANTOM_DEBUG_SAY(ph_printf, error, severity, format, param)
#define SHOW_ERROR0(severity, format) PHANTOM_DEBUG_SAY(ph_printf, error, severity, format)

/** The same to the log. */
#define LOG_FLOW(severity, format, param...)                                                       \
    PHANTOM_DEBUG_SAY(lprintf, flow, severity, format, param)
#define LOG_FLOW0(severity, format) PHANTOM_DEBUG_SAY(lprintf, flow, severity, format)
#define LOG_INFO(severity, format, param...)                                                       \
    PHANTOM_DEBUG_SAY(lprintf, info, severity, format, param)
#define LOG_INFO0(severity, format) PHANTOM_DEBUG_SAY(lprintf, info, severity, format)
#define LOG_ERROR(severity, format, param...)                                                      \
    PHANTOM_DEBUG_SAY(lprintf, error, severity, format, param)
#define LOG_ERROR0(severity, format) PHANTOM_DEBUG_SAY(lprintf, error, severity, format)

#endif /* PHANTOM_PORT_DEBUG_EXT_H */
