/* SPDX-License-Identifier: Apache-2.0
 *
 * port_console.c - the port's console: characters, formatted text, colours, hex dumps, log lines.
 *
 * Owns the console of an instance: a sink, and the line that ph_putchar() is assembling.
 * Lock order: the line's lock is a leaf; it is held for copies only, never while the sink runs.
 * Between calls: the line holds fewer than LINE_SIZE characters, none of them a newline.
 */
#include "console.h"

#include "ph_io.h"
#include "ph_malloc.h"
#include "ph_memory.h"
#include "ph_syslog.h"
#include "phantom_libc.h"
#include "port_state.h"
#include "spinlock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEBUG_MSG_PREFIX "console"
#include "debug_ext.h"

/* Of <hal.h>, whose rest is not needed here. */
void hal_printf(char *format, ...);
void hal_log(char *format, ...);

#define LINE_SIZE 256

static void default_sink(void *context, const char *text, size_t length)
{
    (void)context;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
}

struct port_console {
    void (*sink)(void *context, const char *text, size_t length);
    void *sink_context;
    bool colours;
    hal_spinlock_t lock; /* of the line */
    char line[LINE_SIZE];
    size_t line_length;
};

int port_console_open(struct port_lib_state *state)
{
    struct port_console *console = ph_zalloc(1, sizeof(*console));
    if (console == NULL) {
        return ENOMEM;
    }
    console->sink = default_sink;
    console->colours = true;
    hal_spin_init(&console->lock);
    state->console = console;
    return 0;
}

static void say(const struct port_console *console, const char *text, size_t length)
{
    console->sink(console->sink_context, text, length);
}

void port_console_close(struct port_lib_state *state)
{
    struct port_console *console = state->console;
    if (console->line_length > 0) {
        say(console, console->line, console->line_length);
    }
    ph_free(console);
}

void phantom_console_set_sink(void (*sink)(void *, const char *, size_t), void *context)
{
    struct port_console *console = port_lib_state()->console;
    console->sink = sink != NULL ? sink : default_sink;
    console->sink_context = context;
}

void phantom_console_set_colours(bool enable)
{
    port_lib_state()->console->colours = enable;
}

/* Take what is in the line; buffer has LINE_SIZE bytes. */
static size_t take_line(struct port_console *console, char *buffer)
{
    size_t length = console->line_length;
    memcpy(buffer, console->line, length);
    console->line_length = 0;
    return length;
}

void phantom_console_write(const char *text, size_t length)
{
    struct port_console *console = port_lib_state()->console;
    char small[1024];
    char *all = small;
    hal_spin_lock(&console->lock);
    size_t before = take_line(console, small);
    hal_spin_unlock(&console->lock);
    if (before + length > sizeof(small)) {
        all = before > 0 ? ph_malloc(before + length) : NULL;
        if (all == NULL) { /* nothing to join, or no memory: two pieces */
            if (before > 0) {
                say(console, small, before);
            }
            say(console, text, length);
            return;
        }
        memcpy(all, small, before);
    }
    memcpy(all + before, text, length);
    if (before + length > 0) {
        say(console, all, before + length);
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
    struct port_console *console = port_lib_state()->console;
    char out[LINE_SIZE];
    size_t length = 0;
    hal_spin_lock(&console->lock);
    console->line[console->line_length++] = c;
    if (c == '\n' || console->line_length == LINE_SIZE) {
        length = take_line(console, out);
    }
    hal_spin_unlock(&console->lock);
    if (length > 0) {
        say(console, out, length);
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

void hal_log(char *format, ...)
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
    if (port_lib_state()->console->colours) {
        ph_printf("\x1b[33m%s\x1b[0m\n", text);
    } else {
        ph_printf("%s\n", text);
    }
}

static void escape(const char *sequence)
{
    if (port_lib_state()->console->colours) {
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
    if (port_lib_state()->console->colours) {
        ph_printf("\x1b[38;2;%d;%d;%dm", color.r, color.g, color.b);
    }
}

void console_set_bg_color(rgba_t color)
{
    if (port_lib_state()->console->colours) {
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
