/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_text.c - text that comes from outside: numbers and words, formats, commands, HTTP headers,
 * text on a window. Where the C library has the same function, its answer is the right one.
 *
 *     input: u8 what, then its bytes
 */
#include "fuzz_port.h"

#include <console.h>
#include <errno.h>
#include <kernel/debug.h>
#include <kernel/net.h>
#include <limits.h>
#include <ph_io.h>
#include <ph_string.h>
#include <phantom_libc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <video/font.h>
#include <video/window.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void numbers(const char *text, int base)
{
    char *end_ours = NULL, *end_theirs = NULL;
    FUZZ_FACT(ph_strtol(text, &end_ours, base) == strtol(text, &end_theirs, base));
    FUZZ_FACT(end_ours == end_theirs);
    FUZZ_FACT(ph_strtoul(text, &end_ours, base) == strtoul(text, &end_theirs, base));
    FUZZ_FACT(end_ours == end_theirs);
    size_t length = strlen(text);
    char *digits = strndup(text, length < 8 ? length : 8); /* no limit is reached */
    FUZZ_FACT(digits != NULL);
    FUZZ_FACT(ph_atoin(text, 8) == (int)strtol(digits, NULL, 10));
    FUZZ_FACT(ph_atoln(text, 8) == strtol(digits, NULL, 10));
    free(digits);
}

static void scan(const char *text)
{
    char ours[8] = "", theirs[8] = "";
    int a = 0, b = 0;
    unsigned c = 0, d = 0;
    FUZZ_FACT(ph_sscanf(text, "%d %7s %x", &a, ours, &c) ==
              sscanf(text, "%d %7s %x", &b, theirs, &d));
    FUZZ_FACT(a == b && c == d && strcmp(ours, theirs) == 0);
}

static void search(struct fuzz_bytes bytes)
{
    char small[16];
    size_t length = fuzz_copy(&bytes, small, fuzz_u8(&bytes) % sizeof(small));
    int rest = bytes.size < INT_MAX ? (int)bytes.size : INT_MAX;
    const char *found = ph_strnstrn((const char *)bytes.data, rest, small, (int)length);
    const void *wanted = length == 0       ? bytes.data
                         : bytes.size == 0 ? NULL
                                           : memmem(bytes.data, bytes.size, small, length);
    FUZZ_FACT((const void *)found == wanted);
    char copy[9];
    char *text = fuzz_text(&bytes);
    FUZZ_FACT(ph_strlcpy(copy, text, sizeof(copy)) == strlen(text));
    FUZZ_FACT(strlen(copy) < sizeof(copy) && strncmp(copy, text, strlen(copy)) == 0);
    const char *body = http_skip_header(text);
    FUZZ_FACT(body >= text && body <= text + strlen(text));
    free(text);
}

/* One conversion, put together from the input, with arguments of its type. */
static void conversion(struct fuzz_bytes *bytes)
{
    static const char *const sizes[] = {"", "hh", "h", "l", "ll"};
    static const char letters[] = "diuxXocs%fge";
    char format[64], ours[128], theirs[128], flags[6] = "";
    uint8_t set = fuzz_u8(bytes);
    size_t used = 0;
    for (int i = 0; i < 5; i++) {
        if ((set >> i & 1) != 0) {
            flags[used++] = "-+ #0"[i];
        }
    }
    flags[used] = '\0';
    char letter = letters[fuzz_u8(bytes) % (sizeof(letters) - 1)];
    int width = fuzz_u8(bytes) % 40, precision = fuzz_u8(bytes) % 40;
    const char *size = strchr("diuxXo", letter) != NULL ? sizes[fuzz_u8(bytes) % 5] : "";
    snprintf(format, sizeof(format), "<%%%s%d.%d%s%c>", flags, width, precision, size, letter);
    if (strchr("cs%", letter) != NULL) { /* where C leaves flags and precision open */
        snprintf(format, sizeof(format), "<%%%s%d%c>", (set & 1) != 0 ? "-" : "", width, letter);
    }
    if (letter == '%') {
        strcpy(format, "<%%>");
    }
    size_t room = fuzz_u8(bytes) % sizeof(ours);
    uint64_t number = fuzz_u64(bytes);
    int a, b;
    memset(ours, 'x', sizeof(ours));
    memset(theirs, 'x', sizeof(theirs));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    if (letter == 's') {
        char *text = fuzz_text(bytes);
        a = ph_snprintf(ours, room, format, text);
        b = snprintf(theirs, room, format, text);
        free(text);
    } else if (strchr("fge", letter) != NULL) {
        double real;
        memcpy(&real, &number, sizeof(real));
        a = ph_snprintf(ours, room, format, real);
        b = snprintf(theirs, room, format, real);
    } else if (size[0] == 'l') {
        a = ph_snprintf(ours, room, format, (long long)number);
        b = snprintf(theirs, room, format, (long long)number);
    } else {
        a = ph_snprintf(ours, room, format, (int)number);
        b = snprintf(theirs, room, format, (int)number);
    }
#pragma GCC diagnostic pop
    if (a != b || memcmp(ours, theirs, sizeof(ours)) != 0) {
        fprintf(stderr, "format %s, room %zu, number %#llx: %d '%.100s', not %d '%.100s'\n", format,
                room, (unsigned long long)number, a, room > 0 ? ours : "", b,
                room > 0 ? theirs : "");
        FUZZ_FACT(!"the C library's text");
    }
}

static void never_called(int argc, char **argv)
{
    FUZZ_FACT(argc >= 1 && argc < 32 && argv[argc] == NULL);
}

/* Any text as a command line, as a window's text, as characters, and in a dump. */
static void commands(void *context)
{
    struct fuzz_bytes *bytes = context;
    rgba_t pixels[70 * 40];
    drv_video_window_t w;
    int x = fuzz_u8(bytes) - 128, y = fuzz_u8(bytes) - 128;
    FUZZ_FACT(dbg_add_command(never_called, "a", "for any words") == 0);
    hexdump(bytes->data, bytes->size < 300 ? (int)bytes->size : 300, "", fuzz_u8(bytes));
    char *text = fuzz_text(bytes);
    int rc = phantom_dbg_run(text);
    FUZZ_FACT(rc == 0 || rc == -ENOENT);
    drv_video_window_init(&w, pixels, 70, 40, 0, 0, COLOR_BLACK, 0, "text");
    w_font_tty_string(&w, &drv_video_8x16san_font, text, COLOR_WHITE, COLOR_BLACK, &x, &y);
    drv_video_window_destroy(&w);
    for (const char *at = text; *at != '\0'; at++) {
        FUZZ_FACT(ph_putchar(*at) == (unsigned char)*at);
    }
    ph_printf("%s", text);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    uint8_t what = fuzz_u8(&bytes);
    if (what % 8 == 0) {
        FUZZ_FACT(fuzz_inside(commands, &bytes));
        return 0;
    }
    if (what % 8 < 5) {
        conversion(&bytes);
        return 0;
    }
    search(bytes);
    char *text = fuzz_text(&bytes);
    numbers(text, what % 8 == 5 ? 10 : what % 8 == 6 ? 0 : 16);
    scan(text);
    free(text);
    return 0;
}
