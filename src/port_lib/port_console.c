/* SPDX-License-Identifier: Apache-2.0
 *
 * port_console.c - the port's console: characters, formatted text, colours, hex dumps, log lines.
 *
 * Owns the one console of the process: a sink, and the line that ph_putchar() is assembling.
 * Lock order: line_lock is a leaf; it is held for copies only, never while the sink runs.
 * Between calls: the line holds fewer than LINE_SIZE characters, none of them a newline.
 */
#include "console.h"

#include "ph_io.h"
#include "ph_malloc.h"
#include "ph_syslog.h"
#include "phantom_libc.h"
#include "spinlock.h"

#include <stdio.h>
#include <string.h>

#define DEBUG_MSG_PREFIX "console"
#include "debug_ext.h"

void hal_printf(char *format, ...); /* of <hal.h>, whose rest is not needed here */

#define LINE_SIZE 256

static void default_sink(void *context, const char *text, size_t length)
{
    (void)context;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
}

static void (*sink)(void *context, const char *text, size_t length) = default_sink;
static void *sink_context;
static bool colours = true;

static hal_spinlock_t line_lock;
static char line[LINE_SIZE];
static size_t line_length;

void phantom_console_set_sink(void (*new_sink)(void *, const char *, size_t), void *context)
{
    sink = new_sink != NULL ? new_sink : default_sink;
    sink_context = context;
}

void phantom_console_set_colours(bool enable)
{
    colours = enable;
}

/* Take what is in the line; buffer has LINE_SIZE bytes. */
static size_t take_line(char *buffer)
{
    size_t length = line_length;
    memcpy(buffer, line, length);
    line_length = 0;
    return length;
}

void phantom_console_write(const char *text, size_t length)
{
    char small[1024];
    char *all = small;
    hal_spin_lock(&line_lock);
    size_t before = take_line(small);
    hal_spin_unlock(&line_lock);
    if (before + length > sizeof(small)) {
        all = before > 0 ? ph_malloc(before + length) : NULL;
        if (all == NULL) { /* nothing to join, or no memory: two pieces */
            if (before > 0) {
                sink(sink_context, small, before);
            }
            sink(sink_context, text, length);
            return;
        }
        memcpy(all, small, before);
    }
    memcpy(all + before, text, length);
    if (before + length > 0) {
        sink(sink_context, all, before + length);
    }
    if (all != small) {
        ph_free(all);
    }
}

void phantom_console_flush(void)
{
    phantom_console_write("", 0);
}

int ph_putchar(char c)
{
    char out[LINE_SIZE];
    size_t length = 0;
    hal_spin_lock(&line_lock);
    line[line_length++] = c;
    if (c == '\n' || line_length == LINE_SIZE) {
        length = take_line(out);
    }
    hal_spin_unlock(&line_lock);
    if (length > 0) {
        sink(sink_context, out, length);
    }
    return (unsigned char)c;
}

int ph_vprintf(const char *fmt, va_list ap)
{
    char small[512];
    int length = ph_vsnprintf(small, sizeof(small), fmt, ap);
    if ((size_t)length < sizeof(small)) {
        phantom_console_write(small, (size_t)length);
        return length;
    }
    char *text = ph_malloc((size_t)length + 1);
    if (text == NULL) { /* better the beginning than nothing */
        phantom_console_write(small, sizeof(small) - 1);
        return (int)sizeof(small) - 1;
    }
    ph_vsnprintf(text, (size_t)length + 1, fmt, ap);
    phantom_console_write(text, (size_t)length);
    ph_free(text);
    return length;
}

int ph_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int length = ph_vprintf(fmt, ap);
    va_end(ap);
    return length;
}

int ph_puts(const char *s)
{
    return ph_printf("%s\n", s);
}

void lprintf(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    ph_vprintf(format, ap);
    va_end(ap);
}

void hal_printf(char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    ph_vprintf(format, ap);
    va_end(ap);
}

/* One line, with what surrounds the message. Cut at a kibibyte. */
void ph_syslog(int level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    ph_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n') {
        text[--length] = '\0';
    }
    (void)level;
    if (colours) {
        ph_printf("\x1b[33m%s\x1b[0m\n", text);
    } else {
        ph_printf("%s\n", text);
    }
}

static void escape(const char *sequence)
{
    if (colours) {
        ph_printf("\x1b[%sm", sequence);
    }
}

void console_set_normal_color(void)
{
    escape("0");
}

void console_set_message_color(void)
{
    escape("32");
}

void console_set_warning_color(void)
{
    escape("33");
}

void console_set_error_color(void)
{
    escape("31");
}

void console_set_fg_color(rgba_t color)
{
    if (colours) {
        ph_printf("\x1b[38;2;%d;%d;%dm", color.r, color.g, color.b);
    }
}

void console_set_bg_color(rgba_t color)
{
    if (colours) {
        ph_printf("\x1b[48;2;%d;%d;%dm", color.r, color.g, color.b);
    }
}

void hexdump(const void *ptr, int length, const char *hdr, int flags)
{
    const unsigned char *bytes = ptr;
    for (int at = 0; at < length; at += 16) {
        char text[128];
        size_t used = 0;
        int here = length - at < 16 ? length - at : 16;
        text[0] = '\0';
        if ((flags & HD_OMIT_COUNT) == 0) {
            used += (size_t)ph_snprintf(text, sizeof(text), "%04x  ", at);
        }
        for (int i = 0; i < 16 && (flags & HD_OMIT_HEX) == 0; i++) {
            used += (size_t)ph_snprintf(text + used, sizeof(text) - used,
                                        i < here ? "%02x " : "   ", i < here ? bytes[at + i] : 0);
        }
        if ((flags & HD_OMIT_CHARS) == 0) {
            text[used++] = '|';
            for (int i = 0; i < here; i++) {
                unsigned char c = bytes[at + i];
                text[used++] = c >= ' ' && c < 127 ? (char)c : '.';
            }
            text[used++] = '|';
            text[used] = '\0';
        }
        ph_printf("%s%s\n", hdr != NULL ? hdr : "", text);
    }
}
