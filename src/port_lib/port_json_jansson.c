/* SPDX-License-Identifier: Apache-2.0
 *
 * port_json_jansson.c - the parser behind json_parse(): jansson, told to a visitor, because its
 * names and those of <bits/udp_json.h> cannot be in one file. No state.
 */
#include "port_json_visit.h"

#include <jansson.h>
#include <string.h>

static bool visit(json_t *value, void *place, const struct port_json_visitor *visitor)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        void *object = visitor->object(place, json_object_size(value));
        size_t index = 0;
        if (object == NULL) {
            return false;
        }
        for (void *at = json_object_iter(value); at != NULL;
             at = json_object_iter_next(value, at)) {
            void *member = visitor->member(object, index++, json_object_iter_key(at));
            if (member == NULL || !visit(json_object_iter_value(at), member, visitor)) {
                return false;
            }
        }
        return true;
    }
    case JSON_ARRAY: {
        void *array = visitor->array(place, json_array_size(value));
        if (array == NULL) {
            return false;
        }
        for (size_t i = 0; i < json_array_size(value); i++) {
            void *element = visitor->element(array, i);
            if (element == NULL || !visit(json_array_get(value, i), element, visitor)) {
                return false;
            }
        }
        return true;
    }
    case JSON_STRING:
        return visitor->string(place, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: visitor->integer(place, json_integer_value(value)); return true;
    case JSON_REAL: visitor->real(place, json_real_value(value)); return true;
    case JSON_TRUE:
    case JSON_FALSE: visitor->boolean(place, json_is_true(value)); return true;
    case JSON_NULL: visitor->null(place); return true;
    }
    return false;
}

bool port_json_visit(const char *text, size_t length, void *place,
                     const struct port_json_visitor *visitor)
{
    json_error_t error;
    if (memchr(text, '\0', length) != NULL) { /* jansson would take it for the end */
        return false;
    }
    json_t *root = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (root == NULL) {
        return false;
    }
    bool done = visit(root, place, visitor);
    json_decref(root);
    return done;
}
