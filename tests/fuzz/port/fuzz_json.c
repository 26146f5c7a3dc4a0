/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_json.c - JSON texts through json_parse(), and what the writer makes of any bytes. The tree
 * must be what its header says; what the writer wrote must be JSON again, and say the same.
 */
#include "fuzz_port.h"

#include <bits/udp_json.h>
#include <kernel/json.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const json_value *value, const json_value *parent)
{
    FUZZ_FACT(value->parent == parent);
    switch (value->type) {
    case json_object:
        for (unsigned i = 0; i < value->u.object.length; i++) {
            const json_object_entry *entry = &value->u.object.values[i];
            FUZZ_FACT(strlen(entry->name) == entry->name_length);
            look_at(entry->value, value);
        }
        break;
    case json_array:
        for (unsigned i = 0; i < value->u.array.length; i++) {
            look_at(value->u.array.values[i], value);
        }
        break;
    case json_string: FUZZ_FACT(value->u.string.ptr[value->u.string.length] == '\0'); break;
    case json_boolean: FUZZ_FACT(value->u.boolean == 0 || value->u.boolean == 1); break;
    case json_integer:
    case json_double:
    case json_null: break;
    case json_none:
    default: FUZZ_FACT(!"a type that there is"); break;
    }
}

struct written {
    json_output out;
    char *text;
    size_t size, room;
};

static void write_char(json_output *out, char c)
{
    struct written *to = (struct written *)(void *)out;
    if (to->size == to->room) {
        to->room = to->room * 2 + 64;
        to->text = realloc(to->text, to->room);
        FUZZ_FACT(to->text != NULL);
    }
    to->text[to->size++] = c;
}

/* The bytes up to the next NUL as a member's name and as its value. */
static void write_and_read(const char *text)
{
    struct written to = {.out = {.putc = write_char}};
    json_out_open_anon_struct(&to.out);
    json_out_string(&to.out, text, text);
    json_out_delimiter(&to.out);
    json_out_int(&to.out, "a number", -5);
    json_out_close_struct(&to.out);
    json_value *value = json_parse(to.text, to.size);
    FUZZ_FACT(value != NULL && value->type == json_object);
    look_at(value, NULL);
    json_object_entry *entry = &value->u.object.values[0];
    if (strcmp(text, "a number") != 0) { /* of members with one name the last stays */
        FUZZ_FACT(value->u.object.length == 2);
        FUZZ_FACT(entry->value->type == json_string);
        FUZZ_FACT(strcmp(entry->name, entry->value->u.string.ptr) == 0);
    }
    bool plain = true;
    for (const char *at = text; *at != '\0'; at++) {
        plain = plain && (unsigned char)*at < 0x80;
    }
    FUZZ_FACT(!plain || strcmp(entry->name, text) == 0);
    json_value_free(value);
    free(to.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_value *value = json_parse((const char *)data, size);
    if (value != NULL) {
        look_at(value, NULL);
        json_value_free(value);
    }
    struct fuzz_bytes bytes = {data, size};
    char *text = fuzz_text(&bytes);
    write_and_read(text);
    free(text);
    return 0;
}
