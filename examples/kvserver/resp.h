/* SPDX-License-Identifier: Apache-2.0
 *
 * resp.h - the Redis protocol (RESP 2), as much as a server needs: commands in, replies out.
 */
#ifndef KVSERVER_RESP_H
#define KVSERVER_RESP_H

#include <stddef.h>
#include <stdint.h>

enum { RESP_ARGUMENTS_MOST = 1024, RESP_BYTES_MOST = 64 << 20 };

/** A growing run of bytes. All zeros: empty. */
struct resp_buffer {
    char *bytes;
    size_t count, capacity;
};

/** 0, or -1: no memory; the buffer is as it was. */
int resp_add(struct resp_buffer *buffer, const void *bytes, size_t count);
/** Drop the first `count` bytes. */
void resp_drop(struct resp_buffer *buffer, size_t count);
void resp_free(struct resp_buffer *buffer);

struct resp_argument {
    const char *bytes; /* inside the buffer it was read from */
    size_t count;
};

/** One command: its name is argument[0]. */
struct resp_command {
    unsigned count;
    struct resp_argument argument[RESP_ARGUMENTS_MOST];
};

/**
 * Read the command at the beginning of the bytes: an array of bulk strings, or a line of words.
 * @return how many bytes it takes; 0: more is needed; -1: not RESP, *why says what is wrong
 */
long resp_read(const char *bytes, size_t count, struct resp_command *out, const char **why);

/* Replies; 0 or -1 (no memory). */
int resp_status(struct resp_buffer *out, const char *text); /* +OK */
int resp_error(struct resp_buffer *out, const char *text);  /* -ERR ... */
int resp_integer(struct resp_buffer *out, long long value);
int resp_bulk(struct resp_buffer *out, const void *bytes, size_t count);
int resp_null(struct resp_buffer *out);
int resp_array(struct resp_buffer *out, size_t count); /* the elements follow */

#endif /* KVSERVER_RESP_H */
