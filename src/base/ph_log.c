/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static struct {
    ph_log_sink sink;
    void *context;
    enum ph_log_level max_level;
} log_state;

void ph_log_set_sink(ph_log_sink sink, void *context, enum ph_log_level max_level)
{
    log_state.sink = sink;
    log_state.context = context;
    log_state.max_level = max_level;
}

void ph_log(enum ph_log_level level, const char *format, ...)
{
    if (log_state.sink == NULL || level > log_state.max_level) {
        return;
    }
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    log_state.sink(log_state.context, level, message);
}
