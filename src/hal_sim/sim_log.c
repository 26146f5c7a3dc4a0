/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_log.c - the log of a simulated machine: lines, a sum over them, and the last ones for a
 * report. One thread at a time (that with the baton). True between calls: `text` ends in a NUL; if
 * lines are not all kept it holds the end of the log, from the beginning of a line on.
 */
#include "sim_internal.h"

#include "ph_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_BYTES = 8192 };

struct hal_sim_log {
    bool keep;
    uint64_t sum;
    char *text;
    size_t size, capacity;
};

struct hal_sim_log *hal_sim_log_create(bool keep)
{
    struct hal_sim_log *log = calloc(1, sizeof(*log));
    if (log != NULL) {
        log->capacity = keep ? (size_t)1 << 20 : (size_t)2 * TAIL_BYTES;
        log->text = calloc(1, log->capacity);
        log->keep = keep;
        log->sum = UINT64_C(0xcbf29ce484222325);
    }
    if (log != NULL && log->text == NULL) {
        free(log);
        return NULL;
    }
    return log;
}

void hal_sim_log_destroy(struct hal_sim_log *log)
{
    if (log != NULL) {
        free(log->text);
        free(log);
    }
}

/** FNV-1a over 8 bytes at a time would do, too; lines are short. */
static void add_to_sum(struct hal_sim_log *log, const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        log->sum = (log->sum ^ (uint8_t)line[i]) * UINT64_C(0x100000001b3);
    }
}

static void make_room(struct hal_sim_log *log, size_t size)
{
    if (log->size + size < log->capacity) {
        return;
    }
    if (log->keep) {
        log->capacity = log->capacity * 2 + size;
        log->text = realloc(log->text, log->capacity);
        PH_CHECK(log->text != NULL);
        return;
    }
    char *from = log->text + log->size - (log->size < TAIL_BYTES ? log->size : TAIL_BYTES);
    char *line = strchr(from, '\n');
    from = line != NULL ? line + 1 : log->text + log->size;
    log->size -= (size_t)(from - log->text);
    memmove(log->text, from, log->size + 1);
}

void hal_sim_log_line(struct hal_sim_log *log, const char *format, ...)
{
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    size_t size = length < 0 ? 0 : (size_t)length;
    size = size < sizeof(line) - 2 ? size : sizeof(line) - 2;
    line[size++] = '\n';
    add_to_sum(log, line, size);
    make_room(log, size);
    memcpy(log->text + log->size, line, size);
    log->size += size;
    log->text[log->size] = '\0';
}

uint64_t hal_sim_log_sum(const struct hal_sim_log *log)
{
    return log->sum;
}

const char *hal_sim_log_text(struct hal_sim_log *log)
{
    return log->text;
}
