/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_writer.c - struct bc_class to class file, generation C.
 *
 * Two steps: check_class() refuses whatever the reader would refuse, then the records are put into
 * one growing buffer. Text pointers may be NULL, which means "". The output depends only on the
 * class, so equal classes give equal bytes.
 */
#include "bc_class.h"
#include "bytecode_internal.h"
#include "ph_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct writer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t record; /* start of the record being written */
    int error;     /* first failure; later puts do nothing */
};

static const char *text_of(const char *text)
{
    return text ? text : "";
}

/* ---- checks ---- */

static int refuse(struct phantom_diag *diag, const struct bc_class *class, const char *what,
                  uint32_t number, const char *problem)
{
    return ph_fail(diag, PHANTOM_EINVALID, "class %.160s: %s %" PRIu32 ": %s", text_of(class->name),
                   what, number, problem);
}

static const char *name_problem(const char *name)
{
    const char *text = text_of(name);
    return bc_name_problem((const uint8_t *)text, strlen(text));
}

static const char *filled_name_problem(const char *name)
{
    return text_of(name)[0] == '\0' ? "name is empty" : name_problem(name);
}

static const char *type_problem(const struct bc_type *type)
{
    const char *problem = name_problem(type->class_name);
    if (!problem) {
        problem = name_problem(type->element_name);
    }
    return problem ? problem : bc_type_problem(type->is_container, text_of(type->element_name));
}

static const char *header_problem(const struct bc_class *class)
{
    const char *problem = name_problem(class->name);
    if (!problem) {
        problem = bc_class_name_problem(text_of(class->name));
    }
    if (!problem) {
        problem = name_problem(class->parent);
    }
    if (!problem) {
        problem = bc_parent_problem(text_of(class->name), text_of(class->parent));
    }
    if (!problem) {
        problem = name_problem(class->version);
    }
    if (!problem && class->object_slots > BC_MAX_FIELD_SLOTS) {
        problem = "too many object slots";
    }
    if (!problem && class->method_slots > BC_MAX_METHOD_SLOTS) {
        problem = "too many method slots";
    }
    return problem;
}

static const char *method_problem(const struct bc_class *class, const struct bc_method *method)
{
    if (method->ordinal >= class->method_slots) {
        return "ordinal is not below the number of method slots";
    }
    const char *problem = filled_name_problem(method->name);
    if (!problem && method->has_signature) {
        problem = type_problem(&method->result);
        if (method->parameter_count > BC_MAX_ARGUMENTS) {
            problem = "too many parameters";
        }
        for (uint32_t i = 0; !problem && i < method->parameter_count; i++) {
            problem = name_problem(method->parameters[i].name);
            if (!problem) {
                problem = type_problem(&method->parameters[i].type);
            }
        }
    }
    for (uint32_t i = 0; !problem && i < method->line_count; i++) {
        if (method->lines[i].offset >= method->code.size) {
            problem = "line entry outside the code";
        } else if (method->lines[i].line > INT32_MAX) {
            problem = "line number too large";
        } else if (i > 0 && method->lines[i].offset < method->lines[i - 1].offset) {
            problem = "line entries are not sorted by offset";
        }
    }
    return problem;
}

static int check_methods(const struct bc_class *class, struct phantom_diag *diag)
{
    struct bc_bitset ordinals = {0};
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < class->method_count; i++) {
        const struct bc_method *method = &class->methods[i];
        const char *problem = method_problem(class, method);
        int seen = problem ? 0 : bc_bitset_add(&ordinals, method->ordinal);
        if (seen > 0) {
            problem = "ordinal is used twice";
        }
        if (seen < 0) {
            result = ph_fail(diag, -ENOMEM, "out of memory");
        } else if (problem) {
            result = refuse(diag, class, "method ordinal", method->ordinal, problem);
        }
    }
    bc_bitset_finish(&ordinals);
    return result;
}

static int check_fields(const struct bc_class *class, struct phantom_diag *diag)
{
    struct bc_bitset slots = {0};
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < class->field_count; i++) {
        const struct bc_field *field = &class->fields[i];
        const char *problem = filled_name_problem(field->name);
        if (!problem && field->slot >= class->object_slots) {
            problem = "slot is not below the number of object slots";
        }
        if (!problem) {
            problem = type_problem(&field->type);
        }
        int seen = problem ? 0 : bc_bitset_add(&slots, field->slot);
        if (seen > 0) {
            problem = "slot is used twice";
        }
        if (seen < 0) {
            result = ph_fail(diag, -ENOMEM, "out of memory");
        } else if (problem) {
            result = refuse(diag, class, "field slot", field->slot, problem);
        }
    }
    bc_bitset_finish(&slots);
    return result;
}

static int check_constants(const struct bc_class *class, struct phantom_diag *diag)
{
    struct bc_bitset indices = {0};
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < class->constant_count; i++) {
        uint32_t index = class->constants[i].index;
        const char *problem = index >= BC_MAX_CONSTANTS ? "index is too large" : NULL;
        int seen = problem ? 0 : bc_bitset_add(&indices, index);
        if (seen > 0) {
            problem = "index is used twice";
        }
        if (seen < 0) {
            result = ph_fail(diag, -ENOMEM, "out of memory");
        } else if (problem) {
            result = refuse(diag, class, "constant", index, problem);
        }
    }
    bc_bitset_finish(&indices);
    return result;
}

static int check_class(const struct bc_class *class, struct phantom_diag *diag)
{
    const char *problem = header_problem(class);
    if (problem) {
        return ph_fail(diag, PHANTOM_EINVALID, "class %.160s: %s", text_of(class->name), problem);
    }
    int result = check_methods(class, diag);
    if (result == 0) {
        result = check_fields(class, diag);
    }
    return result < 0 ? result : check_constants(class, diag);
}

/* ---- output ---- */

static void put_bytes(struct writer *writer, const void *bytes, size_t count)
{
    if (writer->error != 0 || count == 0) {
        return;
    }
    if (writer->capacity - writer->size < count) {
        size_t wanted = (writer->size + count) * 2;
        uint8_t *grown = ph_realloc(writer->data, wanted);
        if (!grown) {
            writer->error = -ENOMEM;
            return;
        }
        writer->data = grown;
        writer->capacity = wanted;
    }
    memcpy(writer->data + writer->size, bytes, count);
    writer->size += count;
}

static void store_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static void put_u32(struct writer *writer, uint32_t value)
{
    uint8_t bytes[4];
    store_u32(bytes, value);
    put_bytes(writer, bytes, sizeof bytes);
}

static void put_text(struct writer *writer, const char *text)
{
    const char *bytes = text_of(text);
    size_t size = strlen(bytes); /* checked: at most BC_MAX_NAME_BYTES */
    put_u32(writer, (uint32_t)size);
    put_bytes(writer, bytes, size);
}

static void put_type(struct writer *writer, const struct bc_type *type)
{
    put_u32(writer, type->is_container ? 1 : 0);
    put_text(writer, type->class_name);
    put_text(writer, type->element_name);
}

static void begin_record(struct writer *writer, char letter)
{
    writer->record = writer->size;
    put_bytes(writer, BC_RECORD_MARKER, 5);
    put_bytes(writer, &letter, 1);
    put_u32(writer, 0);
}

static void end_record(struct writer *writer)
{
    size_t size = writer->size - writer->record;
    if (writer->error == 0 && size > INT32_MAX) {
        writer->error = PHANTOM_EINVALID;
    }
    if (writer->error == 0) {
        store_u32(writer->data + writer->record + 6, (uint32_t)size);
    }
}

static void put_class(struct writer *writer, const struct bc_class *class)
{
    begin_record(writer, 'C');
    put_text(writer, class->name);
    put_u32(writer, class->object_slots);
    put_u32(writer, class->method_slots);
    put_text(writer, class->parent);
    put_text(writer, class->version);
    end_record(writer);
}

static void put_method(struct writer *writer, const struct bc_method *method)
{
    begin_record(writer, 'M');
    put_text(writer, method->name);
    put_u32(writer, method->ordinal);
    put_bytes(writer, method->code.data, method->code.size);
    end_record(writer);

    if (method->has_signature) {
        begin_record(writer, 'S');
        put_text(writer, method->name);
        put_u32(writer, method->ordinal);
        put_u32(writer, method->parameter_count);
        put_u32(writer, method->is_constructor ? 1 : 0);
        put_type(writer, &method->result);
        for (uint32_t i = 0; i < method->parameter_count; i++) {
            put_text(writer, method->parameters[i].name);
            put_type(writer, &method->parameters[i].type);
        }
        end_record(writer);
    }
    if (method->line_count > 0) {
        begin_record(writer, 'l');
        put_u32(writer, method->ordinal);
        put_u32(writer, method->line_count);
        for (uint32_t i = 0; i < method->line_count; i++) {
            put_u32(writer, 0); /* upper half of the int64 offset */
            put_u32(writer, method->lines[i].offset);
            put_u32(writer, method->lines[i].line);
        }
        end_record(writer);
    }
}

static void put_field(struct writer *writer, const struct bc_field *field)
{
    begin_record(writer, 'f');
    put_text(writer, field->name);
    put_u32(writer, field->slot);
    put_type(writer, &field->type);
    end_record(writer);
}

static void put_constant(struct writer *writer, const struct bc_constant *constant)
{
    begin_record(writer, 'c');
    put_u32(writer, constant->index);
    put_u32(writer, 0); /* type: .internal.string, not a container */
    put_text(writer, BC_STRING_CLASS);
    put_text(writer, "");
    put_bytes(writer, constant->bytes.data, constant->bytes.size);
    end_record(writer);
}

int bc_class_write(const struct bc_class *class, struct bc_bytes *out, struct phantom_diag *diag)
{
    struct writer writer = {0};
    int result = check_class(class, diag);
    if (result < 0) {
        return result;
    }
    put_class(&writer, class);
    for (uint32_t i = 0; i < class->method_count; i++) {
        put_method(&writer, &class->methods[i]);
    }
    for (uint32_t i = 0; i < class->field_count; i++) {
        put_field(&writer, &class->fields[i]);
    }
    for (uint32_t i = 0; i < class->constant_count; i++) {
        put_constant(&writer, &class->constants[i]);
    }
    if (writer.error == 0 && writer.size > UINT32_MAX) {
        writer.error = PHANTOM_EINVALID;
    }
    if (writer.error != 0) {
        ph_free(writer.data);
        return ph_fail(diag, writer.error, "class %.160s: %s", text_of(class->name),
                       writer.error == -ENOMEM ? "out of memory" : "too large for a class file");
    }
    *out = (struct bc_bytes){.data = writer.data, .size = (uint32_t)writer.size};
    return 0;
}
