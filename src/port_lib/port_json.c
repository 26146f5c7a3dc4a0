/* SPDX-License-Identifier: Apache-2.0
 *
 * port_json.c - <bits/udp_json.h>: the tree of a parsed text; <kernel/json.h>: the writer. No
 * state. Between steps of building, the tree is such that json_value_free() can free it: containers
 * have zeroed entries before their members come.
 */
#include "bits/udp_json.h"
#include "kernel/json.h"
#include "ph_io.h"
#include "ph_malloc.h"
#include "port_json_visit.h"

#include <limits.h>
#include <string.h>

/* A place is a json_value of type json_none. */
static json_value *new_place(json_value *parent)
{
    json_value *place = ph_calloc(1, sizeof(*place));
    if (place != NULL) {
        place->parent = parent;
    }
    return place;
}

static void *put_object(void *place, size_t members)
{
    json_value *value = place;
    if (members > UINT_MAX) {
        return NULL;
    }
    if (members > 0) {
        value->u.object.values = ph_calloc(members, sizeof(*value->u.object.values));
        if (value->u.object.values == NULL) {
            return NULL;
        }
    }
    value->type = json_object;
    value->u.object.length = (unsigned int)members;
    return value;
}

static char *copy_text(const char *text, size_t length)
{
    char *copy = length < UINT_MAX ? ph_malloc(length + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

static void *put_member(void *object, size_t index, const char *name)
{
    json_value *value = object;
    json_object_entry *entry = &value->u.object.values[index];
    size_t length = strlen(name);
    entry->name = copy_text(name, length);
    if (entry->name == NULL) {
        return NULL;
    }
    entry->name_length = (unsigned int)length;
    entry->value = new_place(value);
    return entry->value;
}

static void *put_array(void *place, size_t elements)
{
    json_value *value = place;
    if (elements > UINT_MAX) {
        return NULL;
    }
    if (elements > 0) {
        value->u.array.values = ph_calloc(elements, sizeof(json_value *));
        if (value->u.array.values == NULL) {
            return NULL;
        }
    }
    value->type = json_array;
    value->u.array.length = (unsigned int)elements;
    return value;
}

static void *put_element(void *array, size_t index)
{
    json_value *value = array;
    value->u.array.values[index] = new_place(value);
    return value->u.array.values[index];
}

static bool put_string(void *place, const char *text, size_t length)
{
    json_value *value = place;
    value->u.string.ptr = copy_text(text, length);
    if (value->u.string.ptr == NULL) {
        return false;
    }
    value->u.string.length = (unsigned int)length;
    value->type = json_string;
    return true;
}

static void put_integer(void *place, int64_t integer)
{
    json_value *value = place;
    value->type = json_integer;
    value->u.integer = integer;
}

static void put_real(void *place, double real)
{
    json_value *value = place;
    value->type = json_double;
    value->u.dbl = real;
}

static void put_boolean(void *place, bool boolean)
{
    json_value *value = place;
    value->type = json_boolean;
    value->u.boolean = boolean;
}

static void put_null(void *place)
{
    json_value *value = place;
    value->type = json_null;
}

json_value *json_parse(const char *json, size_t length)
{
    static const struct port_json_visitor builder = {
        .object = put_object,
        .member = put_member,
        .array = put_array,
        .element = put_element,
        .string = put_string,
        .integer = put_integer,
        .real = put_real,
        .boolean = put_boolean,
        .null = put_null,
    };
    json_value *root = json != NULL ? new_place(NULL) : NULL;
    if (root != NULL && !port_json_visit(json, length, root, &builder)) {
        json_value_free(root);
        return NULL;
    }
    return root;
}

void json_value_free(json_value *value)
{
    if (value == NULL) {
        return;
    }
    if (value->type == json_object) {
        for (unsigned int i = 0; i < value->u.object.length; i++) {
            ph_free(value->u.object.values[i].name);
            json_value_free(value->u.object.values[i].value);
        }
        ph_free(value->u.object.values);
    } else if (value->type == json_array) {
        for (unsigned int i = 0; i < value->u.array.length; i++) {
            json_value_free(value->u.array.values[i]);
        }
        ph_free(value->u.array.values);
    } else if (value->type == json_string) {
        ph_free(value->u.string.ptr);
    }
    ph_free(value);
}

/* ---- the writer ---------------------------------------------------------------------------- */

static void out_text(json_output *jo, const char *text)
{
    while (*text != '\0') {
        jo->putc(jo, *text++);
    }
}

/* Bytes of the UTF-8 sequence at text, 0: there is none. The text is terminated. */
static int utf8_length(const unsigned char *text)
{
    static const struct {
        unsigned char low, high, second_low, second_high;
        int length;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    if (text[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (text[0] < forms[i].low || text[0] > forms[i].high) {
            continue;
        }
        if (text[1] < forms[i].second_low || text[1] > forms[i].second_high) {
            return 0;
        }
        for (int k = 2; k < forms[i].length; k++) {
            if ((text[k] & 0xC0) != 0x80) {
                return 0;
            }
        }
        return forms[i].length;
    }
    return 0;
}

static void out_quoted(json_output *jo, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    char escaped[8];
    jo->putc(jo, '"');
    while (*at != '\0') {
        int length = utf8_length(at);
        if (length == 0) {
            out_text(jo, "\\ufffd");
            at++;
            continue;
        }
        if (*at == '"' || *at == '\\') {
            jo->putc(jo, '\\');
        }
        if (*at < ' ') {
            ph_snprintf(escaped, sizeof(escaped), "\\u%04x", *at);
            out_text(jo, escaped);
        } else {
            for (int i = 0; i < length; i++) {
                jo->putc(jo, (char)at[i]);
            }
        }
        at += length;
    }
    jo->putc(jo, '"');
}

static void out_name(json_output *jo, const char *name)
{
    for (int i = 0; i < jo->depth && i < 64; i++) {
        out_text(jo, "  ");
    }
    if (name != NULL) {
        out_quoted(jo, name);
        out_text(jo, ": ");
    }
}

static void out_open(json_output *jo, const char *name, char bracket)
{
    out_name(jo, name);
    jo->putc(jo, bracket);
    jo->putc(jo, '\n');
    jo->depth++;
}

static void out_close(json_output *jo, char bracket)
{
    jo->depth -= jo->depth > 0;
    jo->putc(jo, '\n');
    out_name(jo, NULL);
    jo->putc(jo, bracket);
}

void json_out_open_anon_struct(json_output *jo)
{
    out_open(jo, NULL, '{');
}

void json_out_open_struct(json_output *jo, const char *name)
{
    out_open(jo, name, '{');
}

void json_out_close_struct(json_output *jo)
{
    out_close(jo, '}');
}

void json_out_open_array(json_output *jo, const char *name)
{
    out_open(jo, name, '[');
}

void json_out_close_array(json_output *jo)
{
    out_close(jo, ']');
}

void json_out_delimiter(json_output *jo)
{
    out_text(jo, ",\n");
}

void json_out_int(json_output *jo, const char *name, int value)
{
    char text[16];
    out_name(jo, name);
    ph_snprintf(text, sizeof(text), "%d", value);
    out_text(jo, text);
}

void json_out_string(json_output *jo, const char *name, const char *value)
{
    out_name(jo, name);
    if (value == NULL) {
        out_text(jo, "null");
    } else {
        out_quoted(jo, value);
    }
}
