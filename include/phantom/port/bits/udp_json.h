/* SPDX-License-Identifier: Apache-2.0
 *
 * bits/udp_json.h - a parsed JSON text as a tree. Stability: the interface is kept from the Genode
 * port; the parser behind it is another one (jansson).
 *
 * Strings are UTF-8, terminated, and may hold NULs. Of members with one name the last stays. The
 * text must be all of one value; nesting is limited to about 2000 levels.
 *
 * @threads any; a tree is the caller's, who serialises. Never blocks.
 */
#ifndef PHANTOM_PORT_BITS_UDP_JSON_H
#define PHANTOM_PORT_BITS_UDP_JSON_H

#include "../phantom_types.h"

typedef enum {
    json_none = 0,
    json_object = 1,
    json_array = 2,
    json_integer = 3,
    json_double = 4,
    json_string = 5,
    json_boolean = 6,
    json_null = 7,
} json_type;

typedef struct _json_object_entry {
    char *name;
    unsigned int name_length;
    struct _json_value *value;
} json_object_entry;

typedef struct _json_value {
    struct _json_value *parent; /* NULL: the root */
    json_type type;
    union {
        int boolean; /* 0 or 1 */
        int64_t integer;
        double dbl;
        struct {
            unsigned int length; /* bytes */
            char *ptr;
        } string;
        struct {
            unsigned int length;
            json_object_entry *values; /* in the order of the text */
        } object;
        struct {
            unsigned int length;
            struct _json_value **values;
        } array;
    } u;
} json_value;

/** @return the tree, ended by json_value_free(); NULL: not JSON, too deep, an integer outside 64
 *  bits, or out of memory. @threads any */
json_value *json_parse(const char *json, size_t length);
/** Free a tree, from its root; strings and names with it. NULL allowed. Only for what json_parse()
 *  returned. Never blocks. */
void json_value_free(json_value *);

#endif /* PHANTOM_PORT_BITS_UDP_JSON_H */
