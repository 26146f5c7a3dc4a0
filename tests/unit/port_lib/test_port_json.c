/* SPDX-License-Identifier: Apache-2.0
 * JSON of the port: the parser with friendly and hostile texts, the writer read back. */
#include "ph_test.h"

#include <kernel/json.h>
#include <stdlib.h>
#include <string.h>

static json_value *parse(const char *text)
{
    return json_parse(text, strlen(text));
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    json_value *v = parse("{\"a\": [1, -2, 2.5, \"x\\u00e4\", true, false, null], \"b\": {}}");
    assert_non_null(v);
    assert_int_equal(v->type, json_object);
    assert_null(v->parent);
    assert_int_equal(v->u.object.length, 2);
    assert_string_equal(v->u.object.values[0].name, "a");
    assert_int_equal(v->u.object.values[0].name_length, 1);
    json_value *a = v->u.object.values[0].value;
    assert_int_equal(a->type, json_array);
    assert_ptr_equal(a->parent, v);
    assert_int_equal(a->u.array.length, 7);
    assert_int_equal(a->u.array.values[0]->u.integer, 1);
    assert_int_equal(a->u.array.values[1]->u.integer, -2);
    assert_int_equal(a->u.array.values[2]->type, json_double);
    assert_true(a->u.array.values[2]->u.dbl == 2.5);
    assert_int_equal(a->u.array.values[3]->u.string.length, 3);
    assert_string_equal(a->u.array.values[3]->u.string.ptr, "x\xc3\xa4");
    assert_int_equal(a->u.array.values[4]->u.boolean, 1);
    assert_int_equal(a->u.array.values[5]->type, json_boolean);
    assert_int_equal(a->u.array.values[5]->u.boolean, 0);
    assert_int_equal(a->u.array.values[6]->type, json_null);
    assert_int_equal(v->u.object.values[1].value->u.object.length, 0);
    json_value_free(v);
}

static void members_come_in_the_order_of_the_text(void **state)
{
    (void)state;
    json_value *v = parse("{\"z\":1,\"y\":2,\"x\":3,\"w\":4}");
    const char *names[] = {"z", "y", "x", "w"};
    for (unsigned int i = 0; i < 4; i++) {
        assert_string_equal(v->u.object.values[i].name, names[i]);
        assert_int_equal(v->u.object.values[i].value->u.integer, i + 1);
    }
    json_value_free(v);
}

static void a_single_value_is_a_text(void **state)
{
    (void)state;
    json_value *v = parse("9223372036854775807");
    assert_true(v != NULL && v->type == json_integer && v->u.integer == INT64_MAX);
    json_value_free(v);
    v = json_parse("\"a\\u0000b\"", 10);
    assert_true(v != NULL && v->u.string.length == 3 && memcmp(v->u.string.ptr, "a\0b", 4) == 0);
    json_value_free(v);
    v = json_parse("17xyz", 2); /* what follows the length is not looked at */
    assert_true(v != NULL && v->u.integer == 17);
    json_value_free(v);
}

static void hostile_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1,",
        "{\"a\":}",
        "{a:1}",
        "[1 2]",
        "nul",
        "01",
        "1.",
        "\"\\x\"",
        "\"\\ud8\"",
        "\"\\ud800\"",
        "\"\xff\"",
        "[1]]",
        "{\"a\" 1}",
        "\"ab",
        "-",
        "+1",
        "1e999",
        "[,]",
        "{,}",
        "99999999999999999999999",
        "\"\t\"",
        "[\"a\",]",
        "\x00",
        "'a'",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(parse(bad[i]));
    }
    assert_null(json_parse(NULL, 0));
    assert_null(json_parse("1\0", 2));
    json_value_free(NULL);
}

static void deep_nesting_is_refused_not_followed(void **state)
{
    (void)state;
    enum { DEEP = 1000000 };
    char *text = malloc(DEEP);
    memset(text, '[', DEEP);
    assert_null(json_parse(text, DEEP));
    for (int i = 0; i < 1000; i++) { /* what is allowed is read and freed */
        text[i] = '[';
        text[1999 - i] = ']';
    }
    json_value *v = json_parse(text, 2000);
    assert_non_null(v);
    json_value_free(v);
    free(text);
}

static void every_beginning_of_a_text_is_safe(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,2.5e3,\"x\\u00e4\\n\",{\"b\":null}],\"c\":[true,[[[]]],-0]}";
    size_t length = strlen(text);
    for (size_t cut = 0; cut < length; cut++) {
        char *piece = malloc(cut + 1); /* exactly: a sanitizer sees one byte too many */
        memcpy(piece, text, cut);
        assert_null(json_parse(piece, cut));
        for (int flip = 0; flip < 8 && cut > 0; flip++) {
            piece[cut - 1] = (char)(text[cut - 1] ^ (1 << flip));
            json_value_free(json_parse(piece, cut));
        }
        free(piece);
    }
    json_value *whole = json_parse(text, length);
    assert_non_null(whole);
    json_value_free(whole);
}

/* ---- the writer ---------------------------------------------------------------------------- */

struct buffer {
    char text[4096];
    size_t length;
};

static void put(json_output *jo, char c)
{
    struct buffer *buffer = jo->arg;
    assert_true(buffer->length < sizeof(buffer->text));
    buffer->text[buffer->length++] = c;
}

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    json_output jo = {.putc = put, .arg = &buffer};
    json_out_open_anon_struct(&jo);
    json_out_int(&jo, "min", INT32_MIN);
    json_out_delimiter(&jo);
    json_out_string(&jo, "quo\"te", "line\n\ttab \\ \x01 \x7f \xc3\xa4 \xff bad \xe2\x82");
    json_out_delimiter(&jo);
    json_out_string(&jo, "none", NULL);
    json_out_delimiter(&jo);
    json_out_open_array(&jo, "list");
    json_out_int(&jo, NULL, 1);
    json_out_delimiter(&jo);
    json_out_open_anon_struct(&jo);
    json_out_string(&jo, "deep", "");
    json_out_close_struct(&jo);
    json_out_close_array(&jo);
    json_out_delimiter(&jo);
    json_out_open_struct(&jo, "s");
    json_out_close_struct(&jo);
    json_out_close_struct(&jo);
    assert_int_equal(jo.depth, 0);
    json_value *v = json_parse(buffer.text, buffer.length);
    assert_non_null(v);
    assert_int_equal(v->u.object.length, 5);
    assert_int_equal(v->u.object.values[0].value->u.integer, INT32_MIN);
    assert_string_equal(v->u.object.values[1].name, "quo\"te");
    assert_string_equal(
        v->u.object.values[1].value->u.string.ptr,
        "line\n\ttab \\ \x01 \x7f \xc3\xa4 \xef\xbf\xbd bad \xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(v->u.object.values[2].value->type, json_null);
    assert_int_equal(v->u.object.values[3].value->u.array.length, 2);
    json_value_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(members_come_in_the_order_of_the_text),
        cmocka_unit_test(a_single_value_is_a_text),
        cmocka_unit_test(hostile_texts_are_refused),
        cmocka_unit_test(deep_nesting_is_refused_not_followed),
        cmocka_unit_test(every_beginning_of_a_text_is_safe),
        cmocka_unit_test(what_is_written_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
