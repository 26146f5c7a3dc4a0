/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_report.c - messages with a place, the source line and a caret. Messages are collected in one
 * growing text; when COMPILER_MAX_ERRORS is reached the run is left. See cc_session.h.
 */
#include "cc_session.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CC_SHOWN_LINE_BYTES = 160 };

static void append(struct cc_session *session, const char *data, size_t size)
{
    if (session->message_size + size + 1 > session->message_capacity) {
        size_t wanted = (session->message_size + size + 1) * 2;
        char *larger = ph_realloc(session->messages, wanted);
        if (!larger) {
            cc_escape(session, -ENOMEM);
        }
        session->messages = larger;
        session->message_capacity = wanted;
    }
    if (size) {
        memcpy(session->messages + session->message_size, data, size);
    }
    session->message_size += size;
    session->messages[session->message_size] = 0;
}

static void append_string(struct cc_session *session, const char *text)
{
    append(session, text, strlen(text));
}

struct cc_source *cc_add_source(struct cc_session *session, const char *file_name, const char *text,
                                uint32_t size)
{
    struct cc_source *source = cc_alloc(session, sizeof(*source));
    source->file_name = file_name;
    source->text = text;
    source->size = size;
    uint32_t capacity = 0;
    CC_PUSH(session, source->line_starts, source->line_count, capacity, 0);
    for (uint32_t i = 0; i < size; i++) {
        bool pair = text[i] == '\r' && i + 1 < size && text[i + 1] == '\n';
        if ((text[i] == '\r' || text[i] == '\n') && !pair) {
            CC_PUSH(session, source->line_starts, source->line_count, capacity, i + 1);
        }
    }
    return source;
}

uint32_t cc_line_of(struct cc_place place)
{
    if (!place.source) {
        return 0;
    }
    uint32_t low = 0;
    uint32_t high = place.source->line_count; /* line_starts[low] <= offset < line_starts[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (place.source->line_starts[middle] <= place.offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low + 1;
}

/* The line with control characters made visible as blanks, and under it the caret. A long line is
   cut to a window around the place. */
static void append_line(struct cc_session *session, struct cc_place place, uint32_t line)
{
    const struct cc_source *source = place.source;
    uint32_t start = source->line_starts[line - 1];
    uint32_t end = start;
    while (end < source->size && source->text[end] != '\n' && source->text[end] != '\r') {
        end++;
    }
    uint32_t caret = place.offset < end ? place.offset : end;
    if (caret - start > CC_SHOWN_LINE_BYTES / 2) {
        start = caret - CC_SHOWN_LINE_BYTES / 2;
    }
    if (end - start > CC_SHOWN_LINE_BYTES) {
        end = start + CC_SHOWN_LINE_BYTES;
    }
    char shown[CC_SHOWN_LINE_BYTES + 2];
    char under[CC_SHOWN_LINE_BYTES + 3];
    size_t under_size = 0;
    for (uint32_t i = start; i < end; i++) {
        unsigned char byte = (unsigned char)source->text[i];
        shown[i - start] = byte < 0x20 && byte != '\t' ? ' ' : (char)byte;
        if (i < caret && (byte & 0xC0) != 0x80) {
            under[under_size++] = byte == '\t' ? '\t' : ' ';
        }
    }
    shown[end - start] = '\n';
    under[under_size++] = '^';
    under[under_size++] = '\n';
    append(session, shown, end - start + 1);
    append(session, under, under_size);
}

static void append_message(struct cc_session *session, struct cc_place place, const char *kind,
                           const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));
static void warn(struct cc_session *session, struct cc_place place, const char *format,
                 va_list arguments) __attribute__((format(printf, 3, 0)));

static void append_message(struct cc_session *session, struct cc_place place, const char *kind,
                           const char *format, va_list arguments)
{
    char text[512];
    uint32_t line = cc_line_of(place);
    if (line) {
        uint32_t column = place.offset - place.source->line_starts[line - 1] + 1;
        append_string(session, place.source->file_name);
        snprintf(text, sizeof(text), ":%u:%u: %s: ", line, column, kind);
    } else {
        snprintf(text, sizeof(text), "phc: %s: ", kind);
    }
    append_string(session, text);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    if (size >= (int)sizeof(text)) {
        memcpy(text + sizeof(text) - 4, "...", 4);
    }
    append_string(session, text);
    append_string(session, "\n");
    if (line) {
        append_line(session, place, line);
    }
}

void cc_error(struct cc_session *session, struct cc_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_message(session, place, "error", format, arguments);
    va_end(arguments);
    if (++session->error_count >= COMPILER_MAX_ERRORS) {
        append_string(session, "phc: too many errors, giving up\n");
        cc_escape(session, PHANTOM_ESOURCE);
    }
}

static void warn(struct cc_session *session, struct cc_place place, const char *format,
                 va_list arguments)
{
    if (session->options->no_warnings || !place.source) {
        return;
    }
    if (session->warning_count < COMPILER_MAX_WARNINGS) {
        append_message(session, place, "warning", format, arguments);
    }
    session->warning_count++;
}

void cc_warning(struct cc_session *session, struct cc_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    warn(session, place, format, arguments);
    va_end(arguments);
}

void cc_hint(struct cc_session *session, struct cc_place place, const char *format, ...)
{
    if (!session->options->all_warnings) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    warn(session, place, format, arguments);
    va_end(arguments);
}

void cc_note(struct cc_session *session, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof(text)) {
        memcpy(text + sizeof(text) - 4, "...", 4);
    }
    append_string(session, "    ");
    append_string(session, text);
    append_string(session, "\n");
}
