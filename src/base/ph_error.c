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

/* A path may be longer than a message: then the middle is left out, since file and cause stand at
 * the ends. */
enum { LONGEST = 8192 };

static void keep_both_ends(char *text, size_t size, const char *all, size_t length)
{
    static const char gap[] = " ... ";
    size_t tail = size / 2;
    size_t head = size - tail - sizeof(gap);
    memcpy(text, all, head);
    memcpy(text + head, gap, sizeof(gap) - 1);
    memcpy(text + head + sizeof(gap) - 1, all + length - tail, tail);
    text[size - 1] = '\0';
}

int(ph_fail)(struct phantom_diag *diag, int error, const char *format, ...)
{
    if (diag != NULL && diag->size >= sizeof(*diag)) {
        char all[LONGEST]; /* the arguments may be in diag->text */
        va_list args;
        va_start(args, format);
        int wanted = vsnprintf(all, sizeof(all), format, args);
        va_end(args);
        size_t length = wanted < 0 ? 0 : (size_t)wanted;
        length = length < sizeof(all) ? length : sizeof(all) - 1;
        if (length < sizeof(diag->text)) {
            memcpy(diag->text, all, length + 1);
        } else {
            keep_both_ends(diag->text, sizeof(diag->text), all, length);
        }
    }
    return error;
}
