/* SPDX-License-Identifier: Apache-2.0
 *
 * port_json_visit.h - between the JSON parser and the tree that is made of what it found. Places
 * and containers are the visitor's; NULL or false: out of memory, and the visit ends.
 */
#ifndef PORT_JSON_VISIT_H
#define PORT_JSON_VISIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_json_visitor {
    void *(*object)(void *place, size_t members); /* put an object there; returns it */
    void *(*member)(void *object, size_t index, const char *name); /* the place of a member */
    void *(*array)(void *place, size_t elements);
    void *(*element)(void *array, size_t index);
    bool (*string)(void *place, const char *text, size_t length);
    void (*integer)(void *place, int64_t value);
    void (*real)(void *place, double value);
    void (*boolean)(void *place, bool value);
    void (*null)(void *place);
};

/** Parse the text and tell the visitor; false: no JSON, or the visitor said so. */
bool port_json_visit(const char *text, size_t length, void *place,
                     const struct port_json_visitor *visitor);

#endif /* PORT_JSON_VISIT_H */
