/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytecode_class.c - class-file reader and writer: what is accepted, what is refused and with
 * which words, and that neither leaks or crashes whatever the bytes are.
 */
#include "ph_test.h"

#include "bc_class.h"
#include "bc_disasm.h"
#include "bc_verify.h"
#include "class_file_builder.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bc_class *read_good(const struct builder *file)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    int result = bc_class_read("good.pc", file->data, file->size, &class, &diag);
    if (result != 0) {
        print_error("%s\n", diag.text);
    }
    assert_int_equal(result, 0);
    return class;
}

static struct bc_bytes write_good(const struct bc_class *class)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_bytes out = {0};
    int result = bc_class_write(class, &out, &diag);
    if (result != 0) {
        print_error("%s\n", diag.text);
    }
    assert_int_equal(result, 0);
    return out;
}

/* The file must be refused, and the message must contain file name, offset and cause. */
static void expect_refused(struct builder *file, int64_t offset, const char *cause)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    int64_t blocks = ph_memory_live_blocks();
    int result = bc_class_read("bad.pc", file->data, file->size, &class, &diag);
    if (result != PHANTOM_EVERIFY || !strstr(diag.text, cause)) {
        print_error("result %d, wanted \"%s\", got \"%s\"\n", result, cause, diag.text);
    }
    assert_int_equal(result, PHANTOM_EVERIFY);
    assert_non_null(strstr(diag.text, cause));
    if (offset >= 0) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "bad.pc: byte %lld: ", (long long)offset);
        if (strncmp(diag.text, prefix, strlen(prefix)) != 0) {
            print_error("wanted \"%s\", got \"%s\"\n", prefix, diag.text);
        }
        assert_memory_equal(diag.text, prefix, strlen(prefix));
    } else {
        assert_memory_equal(diag.text, "bad.pc: byte ", 13);
    }
    assert_null(class);
    assert_int_equal(ph_memory_live_blocks(), blocks);
    build_finish(file);
}

/* ---- what is accepted ---- */

static void sample_is_read_completely(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    struct bc_class *class = read_good(&file);
    assert_string_equal(class->name, ".test.sample");
    assert_string_equal(class->parent, ".test.base");
    assert_string_equal(class->version, "20261122000000000");
    assert_int_equal(class->object_slots, 3);
    assert_int_equal(class->method_slots, 20);
    assert_int_equal(class->method_count, 4);
    assert_int_equal(class->field_count, 3);
    assert_int_equal(class->constant_count, 2);
    assert_int_equal(bc_class_constant_limit(class), 3);

    const struct bc_method *init = &class->methods[0];
    assert_string_equal(init->name, "<init>");
    assert_int_equal(init->ordinal, 16);
    assert_int_equal(init->code.size, 14);
    assert_true(init->has_signature);
    assert_true(init->is_constructor);
    assert_string_equal(init->result.class_name, ".internal.void");
    const struct bc_method *guard = &class->methods[2];
    assert_false(guard->is_constructor);
    assert_int_equal(guard->parameter_count, 2);
    assert_string_equal(guard->parameters[0].type.class_name, "");
    assert_string_equal(guard->parameters[1].name, "\xc3\xa9t\xc3\xa9");
    assert_true(guard->parameters[1].type.is_container);
    assert_string_equal(guard->parameters[1].type.element_name, "");
    assert_string_equal(guard->result.element_name, ".internal.string");

    assert_string_equal(class->fields[2].name, "list");
    assert_int_equal(class->fields[2].slot, 2);
    assert_int_equal(class->constants[0].bytes.size, 13);
    assert_memory_equal(class->constants[0].bytes.data, "hello\0\xff world", 13);
    assert_int_equal(class->constants[1].index, 2);
    assert_int_equal(class->constants[1].bytes.size, 0);
    bc_class_destroy(class);
    build_finish(&file);
}

static void lines_are_sorted_and_looked_up_by_offset(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    struct bc_class *class = read_good(&file);
    const struct bc_method *init = &class->methods[0];
    assert_int_equal(init->line_count, 3);
    assert_int_equal(init->lines[0].offset, 0);
    assert_int_equal(init->lines[1].offset, 2);
    assert_int_equal(init->lines[2].offset, 7);
    assert_int_equal(bc_method_line(init, 0), 10);
    assert_int_equal(bc_method_line(init, 1), 10);
    assert_int_equal(bc_method_line(init, 2), 11);
    assert_int_equal(bc_method_line(init, 6), 11);
    assert_int_equal(bc_method_line(init, 1000), 12);
    assert_int_equal(bc_method_line(&class->methods[1], 0), 0);
    bc_class_destroy(class);
    build_finish(&file);
}

static void old_generation_reads_as_the_same_class(void **state)
{
    (void)state;
    struct builder old_file = {0};
    build_old_sample(&old_file);
    struct bc_class *class = read_good(&old_file);
    assert_string_equal(class->version, "");
    assert_true(class->methods[0].is_constructor);
    assert_false(class->methods[2].is_constructor);
    assert_int_equal(class->methods[2].parameter_count, 2);
    assert_true(class->methods[2].result.is_container);
    assert_string_equal(class->methods[2].result.class_name, "");
    assert_string_equal(class->methods[2].result.element_name, ".internal.string");
    assert_true(class->fields[2].type.is_container);
    bc_class_destroy(class);
    build_finish(&old_file);
}

static void writer_output_reads_back_and_is_stable(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct builder file = {0};
        if (old) {
            build_old_sample(&file);
        } else {
            build_sample(&file);
        }
        struct bc_class *first = read_good(&file);
        struct bc_bytes written = write_good(first);
        struct builder again = {.data = written.data, .size = written.size};
        struct bc_class *second = read_good(&again);
        struct bc_bytes rewritten = write_good(second);
        assert_int_equal(written.size, rewritten.size);
        assert_memory_equal(written.data, rewritten.data, written.size);
        struct bc_bytes text[2];
        assert_int_equal(bc_disassemble(first, 0, &text[0]), 0);
        assert_int_equal(bc_disassemble(second, 0, &text[1]), 0);
        assert_string_equal((char *)text[0].data, (char *)text[1].data);
        ph_free(text[0].data);
        ph_free(text[1].data);
        ph_free(written.data);
        ph_free(rewritten.data);
        bc_class_destroy(first);
        bc_class_destroy(second);
        build_finish(&file);
    }
    assert_int_equal(ph_memory_live_blocks(), 0);
}

static void canonical_file_is_written_back_byte_for_byte(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x73, 0, 0x08};
    struct builder file = {0};
    build_class_record(&file, ".a.b", 1, 17, ".internal.object");
    build_method_record(&file, "go", 16, code, sizeof code);
    build_signature_record(&file, "go", 16);
    build_record_begin(&file, 'l');
    build_i32(&file, 16);
    build_i32(&file, 1);
    build_i64(&file, 2);
    build_i32(&file, 9);
    build_record_end(&file);
    build_record_begin(&file, 'f');
    build_text(&file, "f");
    build_i32(&file, 0);
    build_type(&file, 0, "", "");
    build_record_end(&file);
    build_record_begin(&file, 'c');
    build_i32(&file, 0);
    build_type(&file, 0, ".internal.string", "");
    build_bytes(&file, "x", 1);
    build_record_end(&file);
    struct bc_class *class = read_good(&file);
    struct bc_bytes written = write_good(class);
    assert_int_equal(written.size, file.size);
    assert_memory_equal(written.data, file.data, file.size);
    ph_free(written.data);
    bc_class_destroy(class);
    build_finish(&file);
}

static void optional_unknown_records_are_skipped(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, ".a", 0, 0, ".internal.object");
    build_record_begin(&file, 'z');
    build_bytes(&file, "anything", 8);
    build_record_end(&file);
    build_record_begin(&file, 'q'); /* nothing in it */
    build_record_end(&file);
    struct bc_class *class = read_good(&file);
    assert_int_equal(class->method_count, 0);
    bc_class_destroy(class);
    build_finish(&file);
}

static void object_may_be_its_own_parent(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, ".internal.object", 0, 16, ".internal.object");
    bc_class_destroy(read_good(&file));
    build_finish(&file);
}

static void class_with_all_65536_methods_is_read(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, ".a", 0, 65536, ".internal.object");
    for (int i = 65535; i >= 0; i--) {
        build_method_record(&file, "m", i, "\x08", 1);
    }
    struct bc_class *class = read_good(&file);
    assert_int_equal(class->method_count, 65536);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(bc_verify_class(class, &diag), 0);
    struct bc_bytes written = write_good(class);
    assert_true(written.size >= file.size);
    ph_free(written.data);
    bc_class_destroy(class);
    build_finish(&file);
}

/* ---- what is refused ---- */

static void every_truncation_is_refused_cleanly(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    size_t boundary = 0; /* a file cut between two records is a smaller file */
    for (size_t size = 0; size < file.size; size++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        struct bc_class *class = NULL;
        uint8_t *copy = malloc(size > 0 ? size : 1); /* so that ASan sees each byte too far */
        memcpy(copy, file.data, size);
        int result = bc_class_read("cut.pc", copy, size, &class, &diag);
        free(copy);
        if (size > 0 && size == boundary) {
            assert_int_equal(result, 0);
            bc_class_destroy(class);
        } else {
            assert_int_equal(result, PHANTOM_EVERIFY);
            assert_memory_equal(diag.text, "cut.pc: byte ", 13);
        }
        if (size == boundary) {
            const uint8_t *length = file.data + boundary + 6;
            boundary += (size_t)length[2] << 8 | length[3];
        }
    }
    assert_int_equal(ph_memory_live_blocks(), 0);
    build_finish(&file);
}

static void files_that_are_no_class_files_are_refused(void **state)
{
    (void)state;
    struct builder file = {0};
    build_bytes(&file, "", 0);
    expect_refused(&file, 0, "empty file");
    build_u8(&file, 'p');
    expect_refused(&file, 0, "record header cut off after 1 bytes");
    build_bytes(&file, "PHFR:C\0\0\0\x0a", 10);
    expect_refused(&file, 0, "record marker is missing");
    build_bytes(&file, "phfr:C\x20\0\0\0", 10); /* little-endian length */
    expect_refused(&file, 6, "record length is 536870912, 10 bytes are left in the file");
    build_bytes(&file, "phfr:C\xff\xff\xff\xff", 10);
    expect_refused(&file, 6, "record length is -1");
    build_bytes(&file, "phfr:C\0\0\0\x09", 10);
    expect_refused(&file, 6, "record length is 9");
    build_bytes(&file, "phfr:C\0\0\0\0", 10);
    expect_refused(&file, 6, "record length is 0");
    build_bytes(&file, "phfr:C\0\0\0\x0a", 10);
    expect_refused(&file, 10, "class name: 4 bytes needed, 0 left in the record");
}

static void begin_class(struct builder *file)
{
    build_class_record(file, ".a", 2, 18, ".internal.object");
}

static void record_order_and_types_are_checked(void **state)
{
    (void)state;
    struct builder file = {0};
    build_method_record(&file, "m", 16, "\x08", 1);
    expect_refused(&file, 0, "the first record is not the class record");
    begin_class(&file);
    size_t second = file.size;
    begin_class(&file);
    expect_refused(&file, (int64_t)second, "second class record");
    begin_class(&file);
    build_record_begin(&file, 'X');
    build_record_end(&file);
    expect_refused(&file, (int64_t)second, "unknown record type 0x58");
    begin_class(&file);
    build_record_begin(&file, '\xee');
    build_record_end(&file);
    expect_refused(&file, (int64_t)second, "unknown record type 0xee");
    begin_class(&file);
    build_bytes(&file, "\0\0", 2); /* padding at the end */
    expect_refused(&file, (int64_t)second, "record header cut off after 2 bytes");
}

static void class_records_are_checked(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, "", 0, 0, ".internal.object");
    expect_refused(&file, 10, "class name is empty");
    build_class_record(&file, "a", 0, 0, ".internal.object");
    expect_refused(&file, 10, "class name does not begin with a dot");
    build_class_record(&file, ".a\x1b[31m", 0, 0, ".internal.object");
    expect_refused(&file, 10, "control character");
    build_class_record(&file, ".a", 0, 0, "");
    expect_refused(&file, 24, "parent name is empty");
    build_class_record(&file, ".a", 0, 0, "b");
    expect_refused(&file, 24, "parent name does not begin with a dot");
    build_class_record(&file, ".a", 0, 0, ".a");
    expect_refused(&file, 24, "class is its own parent");
    build_class_record(&file, ".a", -1, 0, ".b");
    expect_refused(&file, 16, "object slots is -1, allowed are 0 to 65536");
    build_class_record(&file, ".a", 65537, 0, ".b");
    expect_refused(&file, 16, "object slots is 65537, allowed are 0 to 65536");
    build_class_record(&file, ".a", 0, 65537, ".b");
    expect_refused(&file, 20, "method slots is 65537");
    build_class_record(&file, ".a", 0, INT32_MIN, ".b");
    expect_refused(&file, 20, "method slots is -2147483648");

    build_record_begin(&file, 'C');
    build_i32(&file, -1);
    build_record_end(&file);
    expect_refused(&file, 10, "class name: negative length -1");
    build_record_begin(&file, 'C');
    build_i32(&file, INT32_MAX);
    build_bytes(&file, ".a", 2);
    build_record_end(&file);
    expect_refused(&file, 14, "class name: 2147483647 bytes needed, 2 left in the record");
    build_record_begin(&file, 'C');
    build_i32(&file, 3);
    build_bytes(&file, ".\0a", 3);
    build_record_end(&file);
    expect_refused(&file, 10, "class name: name contains NUL");
    char *name = calloc(1, BC_MAX_NAME_BYTES + 2);
    memset(name, 'n', BC_MAX_NAME_BYTES + 1);
    name[0] = '.';
    build_class_record(&file, name, 0, 0, ".b");
    expect_refused(&file, 10, "class name: name too long");
    name[BC_MAX_NAME_BYTES] = '\0';
    build_class_record(&file, name, 0, 0, ".b");
    bc_class_destroy(read_good(&file));
    build_finish(&file);
    free(name);
    build_record_begin(&file, 'C');
    build_text(&file, ".a");
    build_i32(&file, 0);
    build_i32(&file, 0);
    build_text(&file, ".b");
    build_text(&file, "1");
    build_u8(&file, 0);
    build_record_end(&file);
    expect_refused(&file, 35, "class record: 1 bytes too many in the record");
}

static void method_records_are_checked(void **state)
{
    (void)state;
    struct builder file = {0};
    begin_class(&file);
    build_method_record(&file, "", 16, "\x08", 1);
    expect_refused(&file, -1, "method name is empty");
    begin_class(&file);
    build_method_record(&file, "m", 18, "\x08", 1);
    expect_refused(&file, -1, "method ordinal is 18, not below 18");
    begin_class(&file);
    build_method_record(&file, "m", -1, "\x08", 1);
    expect_refused(&file, -1, "method ordinal is -1, not below 18");
    begin_class(&file);
    build_method_record(&file, "m", 17, "\x08", 1);
    build_method_record(&file, "n", 17, "\x08", 1);
    expect_refused(&file, -1, "second method with ordinal 17");
}

static void begin_method(struct builder *file)
{
    begin_class(file);
    build_method_record(file, "m", 17, "\x00\x08", 2);
}

static void signature_records_are_checked(void **state)
{
    (void)state;
    struct builder file = {0};
    begin_method(&file);
    build_signature_record(&file, "m", 16);
    expect_refused(&file, -1, "signature ordinal: no method with ordinal 16 before it");
    begin_method(&file);
    build_signature_record(&file, "m", 18);
    expect_refused(&file, -1, "signature ordinal is 18, not below 18");
    begin_method(&file);
    build_signature_record(&file, "other", 17);
    expect_refused(&file, -1, "signature name differs from the method's name");
    begin_method(&file);
    build_signature_record(&file, "m", 17);
    build_signature_record(&file, "m", 17);
    expect_refused(&file, -1, "second signature for ordinal 17");

    static const struct {
        int64_t arguments, constructor, container;
        const char *cause;
    } rows[] = {
        {-1, 0, 0, "argument count is -1, allowed are 0 to 255"},
        {256, 0, 0, "argument count is 256, allowed are 0 to 255"},
        {1, 0, 0, "parameter name: 4 bytes needed, 0 left in the record"},
        {0, 2, 0, "constructor word is 2, allowed are 0 to 1"},
        {0, 0, 2, "result type is 2, allowed are 0 to 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_method(&file);
        build_record_begin(&file, 'S');
        build_text(&file, "m");
        build_i32(&file, 17);
        build_i32(&file, rows[i].arguments);
        build_i32(&file, rows[i].constructor);
        build_type(&file, (int)rows[i].container, ".internal.int", "");
        build_record_end(&file);
        expect_refused(&file, -1, rows[i].cause);
    }
    begin_method(&file);
    build_record_begin(&file, 'S');
    build_text(&file, "m");
    build_i32(&file, 17);
    build_i32(&file, 0);
    build_i32(&file, 0);
    build_type(&file, 0, ".internal.int", ".internal.int");
    build_record_end(&file);
    expect_refused(&file, -1, "result type: type has an element class but is not a container");
    begin_method(&file);
    build_record_begin(&file, 'S');
    build_text(&file, "m");
    build_i32(&file, 17);
    build_i32(&file, 0);
    build_i32(&file, 0);
    build_type(&file, 0, ".internal.int", "");
    build_u8(&file, 0);
    build_record_end(&file);
    expect_refused(&file, -1, "signature record: 1 bytes too many in the record");
}

static void line_records_are_checked(void **state)
{
    (void)state;
    static const struct {
        int64_t ordinal, count, offset, line;
        const char *cause;
    } rows[] = {
        {16, 1, 0, 1, "line record: no method with ordinal 16 before it"},
        {1000, 1, 0, 1, "line record is 1000, not below 18"},
        {17, 2, 0, 1, "line count 2 does not fit 12 bytes of entries"},
        {17, -1, 0, 1, "line count is -1"},
        {17, 0x15555557, 0, 1, "does not fit"}, /* times 12 wraps to a small number in 32 bits */
        {17, 1, 2, 1, "line entry outside the method's 2 bytes of code"},
        {17, 1, -1, 1, "line entry outside the method's 2 bytes of code"},
        {17, 1, INT64_C(1) << 32, 1, "line entry outside the method's 2 bytes of code"},
        {17, 1, 0, -1, "line number is -1"},
    };
    struct builder file = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_method(&file);
        build_record_begin(&file, 'l');
        build_i32(&file, rows[i].ordinal);
        build_i32(&file, rows[i].count);
        build_i64(&file, rows[i].offset);
        build_i32(&file, rows[i].line);
        build_record_end(&file);
        expect_refused(&file, -1, rows[i].cause);
    }
    begin_method(&file);
    for (int i = 0; i < 2; i++) { /* even empty ones */
        build_record_begin(&file, 'l');
        build_i32(&file, 17);
        build_i32(&file, 0);
        build_record_end(&file);
    }
    expect_refused(&file, -1, "second line record for ordinal 17");
}

static void build_field(struct builder *file, const char *name, int64_t slot)
{
    build_record_begin(file, 'f');
    build_text(file, name);
    build_i32(file, slot);
    build_type(file, 0, "", "");
    build_record_end(file);
}

static void field_records_are_checked(void **state)
{
    (void)state;
    struct builder file = {0};
    begin_class(&file);
    build_field(&file, "f", 2);
    expect_refused(&file, -1, "field slot is 2, not below 2");
    begin_class(&file);
    build_field(&file, "f", -5);
    expect_refused(&file, -1, "field slot is -5, not below 2");
    begin_class(&file);
    build_field(&file, "f", 1);
    build_field(&file, "g", 1);
    expect_refused(&file, -1, "second field in slot 1");
    begin_class(&file);
    build_field(&file, "", 1);
    expect_refused(&file, -1, "field name is empty");
    begin_class(&file);
    build_record_begin(&file, 'f');
    build_record_end(&file);
    expect_refused(&file, -1, "field name: 4 bytes needed, 0 left in the record");
}

static void build_constant(struct builder *file, int64_t index, int container, const char *type)
{
    build_record_begin(file, 'c');
    build_i32(file, index);
    build_type(file, container, type, "");
    build_bytes(file, "text", 4);
    build_record_end(file);
}

static void constant_records_are_checked(void **state)
{
    (void)state;
    struct builder file = {0};
    begin_class(&file);
    build_constant(&file, -1, 0, ".internal.string");
    expect_refused(&file, -1, "constant index is -1, not below 1048576");
    begin_class(&file);
    build_constant(&file, 1 << 20, 0, ".internal.string");
    expect_refused(&file, -1, "constant index is 1048576, not below 1048576");
    begin_class(&file);
    build_constant(&file, 7, 0, ".internal.string");
    build_constant(&file, 7, 0, ".internal.string");
    expect_refused(&file, -1, "second constant with index 7");
    begin_class(&file);
    build_constant(&file, 0, 0, ".internal.int");
    expect_refused(&file, -1, "constant is not a string");
    begin_class(&file);
    build_constant(&file, 0, 1, ".internal.string");
    expect_refused(&file, -1, "constant is not a string");
}

static void reading_works_without_a_diag(void **state)
{
    (void)state;
    struct bc_class *class = NULL;
    assert_int_equal(bc_class_read(NULL, "", 0, &class, NULL), PHANTOM_EVERIFY);
    assert_null(class);
}

/* ---- writer ---- */

/* A literal where a struct wants char *; the writer does not change it. */
static char *literal(const char *text)
{
    return (char *)(uintptr_t)text;
}

static struct bc_method one_method(void)
{
    static uint8_t code[] = {0x08};
    return (struct bc_method){.name = literal("m"), .ordinal = 0, .code = {code, 1}};
}

static void expect_unwritable(const struct bc_class *class, const char *cause)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_bytes out = {0};
    int result = bc_class_write(class, &out, &diag);
    if (result != PHANTOM_EINVALID || !strstr(diag.text, cause)) {
        print_error("result %d, wanted \"%s\", got \"%s\"\n", result, cause, diag.text);
    }
    assert_int_equal(result, PHANTOM_EINVALID);
    assert_non_null(strstr(diag.text, cause));
    assert_null(out.data);
    assert_int_equal(ph_memory_live_blocks(), 0);
}

static void writer_refuses_what_the_reader_would_refuse(void **state)
{
    (void)state;
    const struct bc_class good = {
        .name = literal(".a"), .parent = literal(".b"), .object_slots = 2, .method_slots = 2};
    struct bc_class bad = good;
    bad.name = NULL;
    expect_unwritable(&bad, "class name is empty");
    bad = good;
    bad.parent = literal("b");
    expect_unwritable(&bad, "parent name does not begin with a dot");
    bad = good;
    bad.object_slots = 65537;
    expect_unwritable(&bad, "too many object slots");
    bad = good;
    bad.method_slots = 65537;
    expect_unwritable(&bad, "too many method slots");

    struct bc_method methods[2] = {one_method(), one_method()};
    bad = good;
    bad.methods = methods;
    bad.method_count = 2;
    expect_unwritable(&bad, "method ordinal 0: ordinal is used twice");
    methods[1].ordinal = 2;
    expect_unwritable(&bad, "ordinal is not below the number of method slots");
    methods[1].ordinal = 1;
    methods[1].name = literal("");
    expect_unwritable(&bad, "method ordinal 1: name is empty");
    struct bc_line lines[2] = {{0, 1}, {0, 1}};
    methods[1].name = literal("n");
    methods[1].lines = lines;
    methods[1].line_count = 2;
    lines[0].offset = 1;
    expect_unwritable(&bad, "line entry outside the code");
    static uint8_t code[] = {0, 8};
    methods[1].code = (struct bc_bytes){code, 2};
    expect_unwritable(&bad, "line entries are not sorted by offset");
    lines[0] = (struct bc_line){0, 0x80000000u};
    expect_unwritable(&bad, "line number too large");
    methods[1].line_count = 0;
    methods[1].has_signature = true;
    methods[1].parameter_count = 256;
    expect_unwritable(&bad, "too many parameters");
    methods[1].parameter_count = 0;
    methods[1].result.element_name = literal("x");
    expect_unwritable(&bad, "not a container");

    struct bc_field fields[2] = {{.name = literal("f"), .slot = 1},
                                 {.name = literal("g"), .slot = 1}};
    bad = good;
    bad.fields = fields;
    bad.field_count = 2;
    expect_unwritable(&bad, "field slot 1: slot is used twice");
    fields[1].slot = 2;
    expect_unwritable(&bad, "slot is not below the number of object slots");
    fields[1] = (struct bc_field){.name = literal("g\n"), .slot = 0};
    expect_unwritable(&bad, "control character");

    struct bc_constant constants[2] = {{.index = 3}, {.index = 3}};
    bad = good;
    bad.constants = constants;
    bad.constant_count = 2;
    expect_unwritable(&bad, "constant 3: index is used twice");
    constants[1].index = BC_MAX_CONSTANTS;
    expect_unwritable(&bad, "index is too large");
}

static void null_names_are_written_as_empty(void **state)
{
    (void)state;
    struct bc_method method = one_method();
    method.has_signature = true;
    struct bc_class class = {.name = literal(".a"),
                             .parent = literal(".b"),
                             .method_slots = 1,
                             .methods = &method,
                             .method_count = 1};
    struct bc_bytes written = write_good(&class);
    struct builder file = {.data = written.data, .size = written.size};
    struct bc_class *read = read_good(&file);
    assert_string_equal(read->version, "");
    assert_string_equal(read->methods[0].result.class_name, "");
    bc_class_destroy(read);
    ph_free(written.data);
}

/* ---- robustness ---- */

/* read, verify, write, read, disassemble: 0 or a clean error; what is written is stable. */
static int exercise(const uint8_t *data, size_t size)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    struct bc_class *again = NULL;
    struct bc_bytes written = {0};
    struct bc_bytes rewritten = {0};
    struct bc_bytes text = {0};
    int result = bc_class_read("mutant.pc", data, size, &class, &diag);
    if (result < 0) {
        return result;
    }
    result = bc_verify_class(class, &diag);
    if (result == PHANTOM_EVERIFY) {
        result = 0; /* a refused method does not make the class unreadable */
    }
    if (result == 0) {
        result = bc_class_write(class, &written, &diag);
    }
    if (result == 0) {
        result = bc_class_read("again.pc", written.data, written.size, &again, &diag);
    }
    if (result == 0) {
        result = bc_class_write(again, &rewritten, &diag);
    }
    if (result == 0) {
        assert_int_equal(written.size, rewritten.size);
        assert_memory_equal(written.data, rewritten.data, written.size);
        result = bc_disassemble(class, BC_DISASM_FACTS, &text);
    }
    if (result != 0 && result != -ENOMEM) {
        print_error("an accepted class failed later: %s\n", diag.text);
    }
    assert_true(result == 0 || result == -ENOMEM);
    ph_free(text.data);
    ph_free(written.data);
    ph_free(rewritten.data);
    bc_class_destroy(class);
    bc_class_destroy(again);
    return result;
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    int64_t count = 0;
    for (;; count++) {
        ph_memory_fail_after(count, false);
        int result = exercise(file.data, file.size);
        bool has_failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(ph_memory_live_blocks(), 0);
        if (!has_failed) {
            assert_int_equal(result, 0);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
    assert_true(count > 50);
    build_finish(&file);
}

static void old_file_survives_failing_allocations(void **state)
{
    (void)state;
    struct builder file = {0};
    build_old_sample(&file);
    bool has_failed = true;
    for (int64_t count = 0; has_failed; count++) {
        ph_memory_fail_after(count, true);
        int result = exercise(file.data, file.size);
        has_failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(result, has_failed ? -ENOMEM : 0);
        assert_int_equal(ph_memory_live_blocks(), 0);
    }
    build_finish(&file);
}

static void random_mutations_never_crash_and_stay_stable(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261122);
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct builder files[2] = {{0}, {0}};
    build_sample(&files[0]);
    build_old_sample(&files[1]);
    uint32_t accepted = 0;
    for (int round = 0; round < 200000; round++) {
        const struct builder *file = &files[round & 1];
        size_t size = file->size;
        uint8_t *copy = malloc(size);
        memcpy(copy, file->data, size);
        uint64_t changes = 1 + ph_rng_below(&rng, 4);
        for (uint64_t i = 0; i < changes; i++) {
            static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x10};
            size_t at = ph_rng_below(&rng, size);
            copy[at] = ph_rng_below(&rng, 2) ? edges[ph_rng_below(&rng, sizeof edges)]
                                             : (uint8_t)ph_rng_next(&rng);
        }
        if (ph_rng_below(&rng, 16) == 0) {
            size = ph_rng_below(&rng, size + 1);
        }
        accepted += exercise(copy, size) == 0;
        free(copy);
    }
    assert_int_equal(ph_memory_live_blocks(), 0);
    assert_true(accepted > 1000); /* otherwise the rest was never reached */
    build_finish(&files[0]);
    build_finish(&files[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_is_read_completely),
        cmocka_unit_test(lines_are_sorted_and_looked_up_by_offset),
        cmocka_unit_test(old_generation_reads_as_the_same_class),
        cmocka_unit_test(writer_output_reads_back_and_is_stable),
        cmocka_unit_test(canonical_file_is_written_back_byte_for_byte),
        cmocka_unit_test(optional_unknown_records_are_skipped),
        cmocka_unit_test(object_may_be_its_own_parent),
        cmocka_unit_test(class_with_all_65536_methods_is_read),
        cmocka_unit_test(every_truncation_is_refused_cleanly),
        cmocka_unit_test(files_that_are_no_class_files_are_refused),
        cmocka_unit_test(record_order_and_types_are_checked),
        cmocka_unit_test(class_records_are_checked),
        cmocka_unit_test(method_records_are_checked),
        cmocka_unit_test(signature_records_are_checked),
        cmocka_unit_test(line_records_are_checked),
        cmocka_unit_test(field_records_are_checked),
        cmocka_unit_test(constant_records_are_checked),
        cmocka_unit_test(reading_works_without_a_diag),
        cmocka_unit_test(writer_refuses_what_the_reader_would_refuse),
        cmocka_unit_test(null_names_are_written_as_empty),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(old_file_survives_failing_allocations),
        cmocka_unit_test(random_mutations_never_crash_and_stay_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
