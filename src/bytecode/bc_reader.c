/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_reader.c - class file to struct bc_class.
 *
 * The file is untrusted. A struct reader is a cursor `at` that never passes `end`, the end of the
 * record being read, and `end` never passes the file; every read goes through take_*(), which check
 * that. Allocation is bounded by the bytes that are really there: a count is believed only after it
 * was compared with them. Between calls of the record functions the class is complete enough for
 * bc_class_destroy(), so that any failure simply destroys it.
 *
 * Every message has the form "FILE: byte OFFSET: cause". The first failure wins.
 */
#include "bc_class.h"
#include "bytecode_internal.h"
#include "ph_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *file_name;
    const uint8_t *data;
    size_t size; /* of the file */
    size_t at;
    size_t end; /* of the record being read */
    struct phantom_diag *diag;
    struct bc_class *class;
    uint32_t method_capacity;
    uint32_t field_capacity;
    uint32_t constant_capacity;
    uint32_t *method_at; /* by ordinal: index into class->methods plus one */
    struct bc_bitset field_slots;
    struct bc_bitset constant_indices;
    struct bc_bitset methods_with_lines; /* by ordinal; a line record may be empty */
};

static int refuse_at(struct reader *reader, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse_at(struct reader *reader, size_t offset, const char *format, ...)
{
    char cause[320];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(cause, sizeof cause, format, arguments);
    va_end(arguments);
    return ph_fail(reader->diag, PHANTOM_EVERIFY, "%.120s: byte %zu: %s", reader->file_name, offset,
                   length < 0 ? "refused" : cause);
}

static int out_of_memory(struct reader *reader)
{
    return ph_fail(reader->diag, -ENOMEM, "%.120s: out of memory", reader->file_name);
}

/* ---- primitives ---- */

static size_t bytes_left(const struct reader *reader)
{
    return reader->end - reader->at;
}

static int take_bytes(struct reader *reader, size_t count, const char *what, const uint8_t **out)
{
    if (bytes_left(reader) < count) {
        return refuse_at(reader, reader->at, "%s: %zu bytes needed, %zu left in the record", what,
                         count, bytes_left(reader));
    }
    *out = reader->data + reader->at;
    reader->at += count;
    return 0;
}

static int take_i32(struct reader *reader, const char *what, int32_t *out)
{
    const uint8_t *bytes = NULL;
    int result = take_bytes(reader, 4, what, &bytes);
    if (result == 0) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the bytes are there */
        *out = (int32_t)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                         (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3]);
    }
    return result;
}

/* A number in [0, limit]. */
static int take_number(struct reader *reader, const char *what, uint32_t limit, uint32_t *out)
{
    size_t offset = reader->at;
    int32_t value = 0;
    int result = take_i32(reader, what, &value);
    if (result < 0) {
        return result;
    }
    if (value < 0 || (uint32_t)value > limit) {
        return refuse_at(reader, offset, "%s is %" PRId32 ", allowed are 0 to %" PRIu32, what,
                         value, limit);
    }
    *out = (uint32_t)value;
    return 0;
}

/* An index in [0, count). */
static int take_index(struct reader *reader, const char *what, uint32_t count, uint32_t *out)
{
    size_t offset = reader->at;
    int32_t value = 0;
    int result = take_i32(reader, what, &value);
    if (result < 0) {
        return result;
    }
    if (value < 0 || (uint32_t)value >= count) {
        return refuse_at(reader, offset, "%s is %" PRId32 ", not below %" PRIu32, what, value,
                         count);
    }
    *out = (uint32_t)value;
    return 0;
}

/* A name: int32 length, bytes. *out is NULL before and owns the copy afterwards. */
static int take_name(struct reader *reader, const char *what, char **out)
{
    size_t offset = reader->at;
    int32_t length = 0;
    int result = take_i32(reader, what, &length);
    if (result < 0) {
        return result;
    }
    if (length < 0) {
        return refuse_at(reader, offset, "%s: negative length %" PRId32, what, length);
    }
    const uint8_t *bytes = NULL;
    result = take_bytes(reader, (size_t)length, what, &bytes);
    if (result < 0) {
        return result;
    }
    const char *problem = bc_name_problem(bytes, (size_t)length);
    if (problem) {
        return refuse_at(reader, offset, "%s: %s", what, problem);
    }
    char *copy = ph_alloc((size_t)length + 1);
    if (!copy) {
        return out_of_memory(reader);
    }
    memcpy(copy, bytes, (size_t)length);
    copy[length] = '\0';
    *out = copy;
    return 0;
}

static int take_filled_name(struct reader *reader, const char *what, char **out)
{
    size_t offset = reader->at;
    int result = take_name(reader, what, out);
    if (result == 0 && (*out)[0] == '\0') {
        return refuse_at(reader, offset, "%s is empty", what);
    }
    return result;
}

static int take_type(struct reader *reader, const char *what, struct bc_type *out)
{
    size_t offset = reader->at;
    uint32_t is_container = 0;
    int result = take_number(reader, what, 1, &is_container);
    if (result == 0) {
        out->is_container = is_container == 1;
        result = take_name(reader, what, &out->class_name);
    }
    if (result == 0) {
        result = take_name(reader, what, &out->element_name);
    }
    if (result < 0) {
        return result;
    }
    const char *problem = bc_type_problem(out->is_container, out->element_name);
    return problem ? refuse_at(reader, offset, "%s: %s", what, problem) : 0;
}

/* The rest of the record, copied. */
static int take_rest(struct reader *reader, struct bc_bytes *out)
{
    size_t count = bytes_left(reader);
    uint8_t *copy = ph_alloc(count > 0 ? count : 1);
    if (!copy) {
        return out_of_memory(reader);
    }
    memcpy(copy, reader->data + reader->at, count);
    reader->at = reader->end;
    out->data = copy;
    out->size = (uint32_t)count; /* a record is shorter than 2^31 */
    return 0;
}

static int expect_end(struct reader *reader, const char *what)
{
    if (bytes_left(reader) > 0) {
        return refuse_at(reader, reader->at, "%s: %zu bytes too many in the record", what,
                         bytes_left(reader));
    }
    return 0;
}

/* Make room for one more element; the new element is zeroed and not yet counted. */
static int reserve_one(struct reader *reader, void **array, uint32_t count, uint32_t *capacity,
                       size_t element_size)
{
    if (count == *capacity) {
        uint32_t wanted = *capacity ? *capacity * 2 : 8; /* below 2^31: records have >= 10 bytes */
        void *grown = ph_realloc(*array, wanted * element_size);
        if (!grown) {
            return out_of_memory(reader);
        }
        *array = grown;
        *capacity = wanted;
    }
    memset((char *)*array + count * element_size, 0, element_size);
    return 0;
}

/* ---- records ---- */

static int read_class_record(struct reader *reader)
{
    struct bc_class *class = reader->class;
    size_t offset = reader->at;
    int result = take_name(reader, "class name", &class->name);
    if (result < 0) {
        return result;
    }
    const char *problem = bc_class_name_problem(class->name);
    if (problem) {
        return refuse_at(reader, offset, "%s", problem);
    }
    result = take_number(reader, "object slots", BC_MAX_FIELD_SLOTS, &class->object_slots);
    if (result == 0) {
        result = take_number(reader, "method slots", BC_MAX_METHOD_SLOTS, &class->method_slots);
    }
    offset = reader->at;
    if (result == 0) {
        result = take_name(reader, "parent name", &class->parent);
    }
    if (result < 0) {
        return result;
    }
    problem = bc_parent_problem(class->name, class->parent);
    if (problem) {
        return refuse_at(reader, offset, "%s", problem);
    }
    if (bytes_left(reader) > 0) {
        result = take_name(reader, "version", &class->version);
    } else {
        class->version = ph_strdup("");
        result = class->version ? 0 : out_of_memory(reader);
    }
    if (result < 0) {
        return result;
    }
    reader->method_at = ph_zalloc((size_t) class->method_slots + 1, sizeof *reader->method_at);
    return reader->method_at ? expect_end(reader, "class record") : out_of_memory(reader);
}

static int read_method_record(struct reader *reader)
{
    struct bc_class *class = reader->class;
    int result = reserve_one(reader, (void **)&class->methods, class->method_count,
                             &reader->method_capacity, sizeof *class->methods);
    if (result < 0) {
        return result;
    }
    struct bc_method *method = &class->methods[class->method_count++];
    result = take_filled_name(reader, "method name", &method->name);
    size_t offset = reader->at;
    if (result == 0) {
        result = take_index(reader, "method ordinal", class->method_slots, &method->ordinal);
    }
    if (result < 0) {
        return result;
    }
    if (reader->method_at[method->ordinal] != 0) {
        return refuse_at(reader, offset, "second method with ordinal %" PRIu32, method->ordinal);
    }
    reader->method_at[method->ordinal] = class->method_count;
    return take_rest(reader, &method->code);
}

/* The method that an S or l record is about. */
static int take_method(struct reader *reader, const char *what, struct bc_method **out)
{
    size_t offset = reader->at;
    uint32_t ordinal = 0;
    int result = take_index(reader, what, reader->class->method_slots, &ordinal);
    if (result < 0) {
        return result;
    }
    uint32_t index = reader->method_at[ordinal];
    if (index == 0) {
        return refuse_at(reader, offset, "%s: no method with ordinal %" PRIu32 " before it", what,
                         ordinal);
    }
    *out = &reader->class->methods[index - 1];
    return 0;
}

static void signature_clear(struct bc_method *method)
{
    for (uint32_t i = 0; i < method->parameter_count; i++) {
        ph_free(method->parameters[i].name);
        ph_free(method->parameters[i].type.class_name);
        ph_free(method->parameters[i].type.element_name);
    }
    ph_free(method->parameters);
    ph_free(method->result.class_name);
    ph_free(method->result.element_name);
    method->parameters = NULL;
    method->parameter_count = 0;
    method->result = (struct bc_type){0};
}

/* What follows name and ordinal; generation B has no constructor word. */
static int take_signature(struct reader *reader, struct bc_method *method, uint32_t count,
                          bool has_constructor_word)
{
    uint32_t is_constructor = strcmp(method->name, BC_CONSTRUCTOR_NAME) == 0;
    int result = 0;
    if (has_constructor_word) {
        result = take_number(reader, "constructor word", 1, &is_constructor);
    }
    if (result == 0) {
        result = take_type(reader, "result type", &method->result);
    }
    if (result < 0) {
        return result;
    }
    method->is_constructor = is_constructor == 1;
    if (count > 0) {
        method->parameters = ph_zalloc(count, sizeof *method->parameters);
        if (!method->parameters) {
            return out_of_memory(reader);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        method->parameter_count = i + 1;
        result = take_name(reader, "parameter name", &method->parameters[i].name);
        if (result == 0) {
            result = take_type(reader, "parameter type", &method->parameters[i].type);
        }
        if (result < 0) {
            return result;
        }
    }
    return expect_end(reader, "signature record");
}

static int read_signature_record(struct reader *reader)
{
    size_t start = reader->at;
    char *name = NULL;
    struct bc_method *method = NULL;
    uint32_t count = 0;
    int result = take_filled_name(reader, "signature name", &name);
    if (result == 0) {
        result = take_method(reader, "signature ordinal", &method);
    }
    if (result < 0) {
        goto out;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): taken */
    if (strcmp(name, method->name) != 0) {
        result = refuse_at(reader, start, "signature name differs from the method's name");
        goto out;
    }
    if (method->has_signature) {
        result = refuse_at(reader, start, "second signature for ordinal %" PRIu32, method->ordinal);
        goto out;
    }
    result = take_number(reader, "argument count", BC_MAX_ARGUMENTS, &count);
    if (result < 0) {
        goto out;
    }
    size_t body = reader->at;
    result = take_signature(reader, method, count, true);
    if (result == PHANTOM_EVERIFY) {
        /* Generation B? If not, the message about generation C is the one to report. */
        struct phantom_diag *diag = reader->diag;
        signature_clear(method);
        reader->at = body;
        reader->diag = NULL;
        int retried = take_signature(reader, method, count, false);
        reader->diag = diag;
        if (retried != PHANTOM_EVERIFY) {
            result = retried == 0 ? 0 : out_of_memory(reader);
        }
    }
    method->has_signature = true;

out:
    ph_free(name);
    return result;
}

static int compare_lines(const void *left, const void *right)
{
    const struct bc_line *a = left;
    const struct bc_line *b = right;
    if (a->offset != b->offset) {
        return a->offset < b->offset ? -1 : 1;
    }
    return a->line < b->line ? -1 : a->line > b->line;
}

static int take_line(struct reader *reader, const struct bc_method *method, struct bc_line *out)
{
    size_t offset = reader->at;
    int32_t high = 0;
    int32_t low = 0;
    int result = take_i32(reader, "line offset", &high);
    if (result == 0) {
        result = take_i32(reader, "line offset", &low);
    }
    if (result < 0) {
        return result;
    }
    if (high != 0 || (uint32_t)low >= method->code.size) {
        return refuse_at(reader, offset,
                         "line entry outside the method's %" PRIu32 " bytes of code",
                         method->code.size);
    }
    out->offset = (uint32_t)low;
    return take_number(reader, "line number", INT32_MAX, &out->line);
}

static int read_line_record(struct reader *reader)
{
    size_t start = reader->at;
    struct bc_method *method = NULL;
    uint32_t count = 0;
    int result = take_method(reader, "line record", &method);
    if (result < 0) {
        return result;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): taken */
    int seen = bc_bitset_add(&reader->methods_with_lines, method->ordinal);
    if (seen != 0) {
        return seen < 0 ? out_of_memory(reader)
                        : refuse_at(reader, start, "second line record for ordinal %" PRIu32,
                                    method->ordinal);
    }
    size_t offset = reader->at;
    result = take_number(reader, "line count", INT32_MAX, &count);
    if (result < 0) {
        return result;
    }
    if ((uint64_t)count * BC_LINE_ENTRY_BYTES != bytes_left(reader)) {
        return refuse_at(reader, offset, "line count %" PRIu32 " does not fit %zu bytes of entries",
                         count, bytes_left(reader));
    }
    if (count == 0) {
        return 0;
    }
    method->lines = ph_zalloc(count, sizeof *method->lines);
    if (!method->lines) {
        return out_of_memory(reader);
    }
    for (uint32_t i = 0; i < count; i++) {
        result = take_line(reader, method, &method->lines[i]);
        if (result < 0) {
            return result;
        }
        method->line_count = i + 1;
    }
    qsort(method->lines, count, sizeof *method->lines, compare_lines);
    return 0;
}

static int take_field(struct reader *reader)
{
    struct bc_class *class = reader->class;
    int result = reserve_one(reader, (void **)&class->fields, class->field_count,
                             &reader->field_capacity, sizeof *class->fields);
    if (result < 0) {
        return result;
    }
    struct bc_field *field = &class->fields[class->field_count++];
    result = take_filled_name(reader, "field name", &field->name);
    size_t offset = reader->at;
    if (result == 0) {
        result = take_index(reader, "field slot", class->object_slots, &field->slot);
    }
    if (result < 0) {
        return result;
    }
    int seen = bc_bitset_add(&reader->field_slots, field->slot);
    if (seen != 0) {
        return seen < 0 ? out_of_memory(reader)
                        : refuse_at(reader, offset, "second field in slot %" PRIu32, field->slot);
    }
    return take_type(reader, "field type", &field->type);
}

static int read_field_record(struct reader *reader)
{
    int result = 0;
    do {
        result = take_field(reader);
    } while (result == 0 && bytes_left(reader) > 0);
    return result;
}

static int read_constant_record(struct reader *reader)
{
    struct bc_class *class = reader->class;
    struct bc_type type = {0};
    int result = reserve_one(reader, (void **)&class->constants, class->constant_count,
                             &reader->constant_capacity, sizeof *class->constants);
    if (result < 0) {
        return result;
    }
    struct bc_constant *constant = &class->constants[class->constant_count++];
    size_t offset = reader->at;
    result = take_index(reader, "constant index", BC_MAX_CONSTANTS, &constant->index);
    if (result < 0) {
        return result;
    }
    int seen = bc_bitset_add(&reader->constant_indices, constant->index);
    if (seen != 0) {
        return seen < 0 ? out_of_memory(reader)
                        : refuse_at(reader, offset, "second constant with index %" PRIu32,
                                    constant->index);
    }
    offset = reader->at;
    result = take_type(reader, "constant type", &type);
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): taken */
    if (result == 0 && (type.is_container || strcmp(type.class_name, BC_STRING_CLASS) != 0)) {
        result = refuse_at(reader, offset, "constant is not a string");
    }
    ph_free(type.class_name);
    ph_free(type.element_name);
    return result < 0 ? result : take_rest(reader, &constant->bytes);
}

/* ---- the file ---- */

static int read_body(struct reader *reader, size_t record, uint8_t letter)
{
    if (letter == 'C') {
        return reader->class->name ? refuse_at(reader, record, "second class record")
                                   : read_class_record(reader);
    }
    if (!reader->class->name) {
        return refuse_at(reader, record, "the first record is not the class record");
    }
    switch (letter) {
    case 'M': return read_method_record(reader);
    case 'S': return read_signature_record(reader);
    case 'l': return read_line_record(reader);
    case 'f': return read_field_record(reader);
    case 'c': return read_constant_record(reader);
    default: break;
    }
    if (letter >= 'a' && letter <= 'z') {
        reader->at = reader->end; /* optional by convention */
        return 0;
    }
    return refuse_at(reader, record, "unknown record type 0x%02x", letter);
}

static int read_record(struct reader *reader)
{
    size_t record = reader->at;
    if (reader->size - record < BC_RECORD_HEADER_BYTES) {
        return refuse_at(reader, record, "record header cut off after %zu bytes",
                         reader->size - record);
    }
    reader->end = record + BC_RECORD_HEADER_BYTES;
    if (memcmp(reader->data + record, BC_RECORD_MARKER, 5) != 0) {
        return refuse_at(reader, record, "record marker is missing");
    }
    uint8_t letter = reader->data[record + 5];
    int32_t length = 0;
    reader->at = record + 6;
    int result = take_i32(reader, "record length", &length);
    if (result < 0) {
        return result;
    }
    if (length < BC_RECORD_HEADER_BYTES || (size_t)length > reader->size - record) {
        return refuse_at(reader, record + 6,
                         "record length is %" PRId32 ", %zu bytes are left in the file", length,
                         reader->size - record);
    }
    reader->end = record + (size_t)length;
    return read_body(reader, record, letter);
}

int bc_class_read(const char *file_name, const void *data, size_t size, struct bc_class **out,
                  struct phantom_diag *diag)
{
    struct reader reader = {
        .file_name = file_name ? file_name : "(memory)",
        .data = data,
        .size = size,
        .diag = diag,
    };
    int result = 0;
    reader.class = ph_zalloc(1, sizeof *reader.class);
    if (!reader.class) {
        return out_of_memory(&reader);
    }
    if (size == 0) {
        result = refuse_at(&reader, 0, "empty file");
    }
    while (result == 0 && reader.at < size) {
        result = read_record(&reader);
    }
    ph_free(reader.method_at);
    bc_bitset_finish(&reader.field_slots);
    bc_bitset_finish(&reader.constant_indices);
    bc_bitset_finish(&reader.methods_with_lines);
    if (result < 0) {
        bc_class_destroy(reader.class);
        return result;
    }
    *out = reader.class;
    return 0;
}
