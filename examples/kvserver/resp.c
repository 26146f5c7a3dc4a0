/* SPDX-License-Identifier: Apache-2.0
 *
 * resp.c - reading and writing the Redis protocol. Knows bytes, not commands.
 */
#include "resp.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int resp_add(struct resp_buffer *buffer, const void *bytes, size_t count)
{
    if (count > buffer->capacity - buffer->count) {
        size_t capacity = buffer->capacity != 0 ? buffer->capacity : 4096;
        while (capacity - buffer->count < count) {
            capacity *= 2;
        }
        char *larger = realloc(buffer->bytes, capacity);
        if (larger == NULL) {
            return -1;
        }
        buffer->bytes = larger;
        buffer->capacity = capacity;
    }
    if (count != 0) {
        memcpy(buffer->bytes + buffer->count, bytes, count);
    }
    buffer->count += count;
    return 0;
}

void resp_drop(struct resp_buffer *buffer, size_t count)
{
    if (count != 0) {
        memmove(buffer->bytes, buffer->bytes + count, buffer->count - count);
        buffer->count -= count;
    }
}

void resp_free(struct resp_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct resp_buffer){0};
}

/* ---- reading ------------------------------------------------------------------------------- */

/** The decimal number between `*at` and CR LF. 1 and *at behind it; 0 more is needed; -1 none. */
static int read_number(const char **at, const char *end, long *out)
{
    const char *line = memchr(*at, '\n', (size_t)(end - *at));
    if (line == NULL) {
        return end - *at > 32 ? -1 : 0;
    }
    const char *digit = *at;
    bool negative = *digit == '-';
    digit += negative;
    long value = 0;
    if (line == digit || line - digit > 12 || line[-1] != '\r' || line - 1 == digit) {
        return -1;
    }
    for (; digit < line - 1; digit++) {
        if (*digit < '0' || *digit > '9') {
            return -1;
        }
        value = value * 10 + (*digit - '0');
    }
    *out = negative ? -value : value;
    *at = line + 1;
    return 1;
}

static long read_array(const char *bytes, size_t count, struct resp_command *out, const char **why)
{
    const char *at = bytes + 1, *end = bytes + count;
    long arguments = 0;
    int rc = read_number(&at, end, &arguments);
    if (rc == 0) {
        return 0;
    }
    if (rc < 0 || arguments < 0 || arguments > RESP_ARGUMENTS_MOST) {
        *why = "invalid multibulk length";
        return -1;
    }
    for (out->count = 0; out->count < (unsigned)arguments; out->count++) {
        long length = 0;
        if (at == end) {
            return 0;
        }
        if (*at != '$') {
            *why = "expected '$'";
            return -1;
        }
        at++;
        rc = read_number(&at, end, &length);
        if (rc == 0) {
            return 0;
        }
        if (rc < 0 || length < 0 || length > RESP_BYTES_MOST) {
            *why = "invalid bulk length";
            return -1;
        }
        if (end - at < length + 2) {
            return 0;
        }
        if (at[length] != '\r' || at[length + 1] != '\n') {
            *why = "a bulk string does not end where it says";
            return -1;
        }
        out->argument[out->count] = (struct resp_argument){at, (size_t)length};
        at += length + 2;
    }
    return at - bytes;
}

static long read_line(const char *bytes, size_t count, struct resp_command *out, const char **why)
{
    const char *line = memchr(bytes, '\n', count);
    if (line == NULL) {
        if (count > 65536) {
            *why = "too big inline request";
            return -1;
        }
        return 0;
    }
    out->count = 0;
    for (const char *at = bytes; at < line;) {
        while (at < line && (*at == ' ' || *at == '\t' || *at == '\r')) {
            at++;
        }
        const char *word = at;
        while (at < line && *at != ' ' && *at != '\t' && *at != '\r') {
            at++;
        }
        if (at != word && out->count < RESP_ARGUMENTS_MOST) {
            out->argument[out->count++] = (struct resp_argument){word, (size_t)(at - word)};
        }
    }
    return line + 1 - bytes;
}

long resp_read(const char *bytes, size_t count, struct resp_command *out, const char **why)
{
    if (count == 0) {
        return 0;
    }
    return bytes[0] == '*' ? read_array(bytes, count, out, why) : read_line(bytes, count, out, why);
}

/* ---- writing ------------------------------------------------------------------------------- */

static int add_line(struct resp_buffer *out, char kind, const char *text)
{
    int rc = resp_add(out, &kind, 1);
    rc = rc == 0 ? resp_add(out, text, strlen(text)) : rc;
    return rc == 0 ? resp_add(out, "\r\n", 2) : rc;
}

static int add_number(struct resp_buffer *out, char kind, long long value)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", value);
    return add_line(out, kind, text);
}

int resp_status(struct resp_buffer *out, const char *text)
{
    return add_line(out, '+', text);
}

int resp_error(struct resp_buffer *out, const char *text)
{
    return add_line(out, '-', text);
}

int resp_integer(struct resp_buffer *out, long long value)
{
    return add_number(out, ':', value);
}

int resp_bulk(struct resp_buffer *out, const void *bytes, size_t count)
{
    int rc = add_number(out, '$', (long long)count);
    rc = rc == 0 ? resp_add(out, bytes, count) : rc;
    return rc == 0 ? resp_add(out, "\r\n", 2) : rc;
}

int resp_null(struct resp_buffer *out)
{
    return resp_add(out, "$-1\r\n", 5);
}

int resp_array(struct resp_buffer *out, size_t count)
{
    return add_number(out, '*', (long long)count);
}
