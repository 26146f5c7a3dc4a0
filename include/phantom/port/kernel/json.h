/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/json.h - writes JSON character by character. Stability: kept from the Genode port.
 *
 * The caller sets putc, zeroes the rest, and puts the delimiters: after each value that another one
 * follows in its array or struct, json_out_delimiter(). Names and strings are escaped; bytes that
 * are no UTF-8 become U+FFFD, so what comes out is valid if the calls nest.
 *
 * @threads one for each output at a time. Nothing here allocates, fails or blocks, but what putc
 *   does, which is called on the calling thread: may block.
 */
#ifndef PHANTOM_PORT_KERNEL_JSON_H
#define PHANTOM_PORT_KERNEL_JSON_H

#include "../bits/udp_json.h"
#include "../phantom_types.h"

typedef struct json_output {
    void (*putc)(struct json_output *jo, char c); /* takes one character */
    void *arg;                                    /* the caller's */
    int depth;                                    /* open structs and arrays */
} json_output;

/** `{`; a struct that is an element of an array, or the whole text. */
void json_out_open_anon_struct(json_output *jo);
/** `"name": {` and its end. */
void json_out_open_struct(json_output *jo, const char *name);
void json_out_close_struct(json_output *jo);
/** `"name": [`; name NULL: `[`; and its end. */
void json_out_open_array(json_output *jo, const char *name);
void json_out_close_array(json_output *jo);
/** `,` and a new line. */
void json_out_delimiter(json_output *jo);
/** A member; name NULL: an element. value NULL: null. */
void json_out_int(json_output *jo, const char *name, int value);
void json_out_string(json_output *jo, const char *name, const char *value);

#endif /* PHANTOM_PORT_KERNEL_JSON_H */
