/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *phantom_strerror(int error)
{
    switch (error) {
#define ERROR_TEXT(name, number, text)                                                             \
    case number: return text;
        PHANTOM_ERROR_MAP(ERROR_TEXT)
#undef ERROR_TEXT
    case 0: return "success";
    default: break;
    }
    if (error < 0 && error > -4096) {
        const char *text = strerrordesc_np(-error);
        return text != NULL ? text : "unknown system error";
    }
    return "unknown error";
}

const char *phantom_err_name(int error)
{
    switch (error) {
#define ERROR_NAME(name, number, text)                                                             \
    case number: return "PHANTOM_" #name;
        PHANTOM_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
    case 0: return "OK";
    default: break;
    }
    if (error < 0 && error > -4096) {
        const char *name = strerrorname_np(-error);
        return name != NULL ? name : "UNKNOWN";
    }
    return "UNKNOWN";
}

int ph_fail(struct phantom_diag *diag, int error, const char *format, ...)
{
    if (diag != NULL && diag->size >= sizeof(*diag)) {
        va_list args;
        va_start(args, format);
        vsnprintf(diag->text, sizeof(diag->text), format, args);
        va_end(args);
    }
    return error;
}
