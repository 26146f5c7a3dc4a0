/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_disasm.c - text of a class (bc_disasm.h).
 *
 * Code is decoded in a straight line from its first byte, twice: once to find jump targets and
 * instruction starts, once to print. A byte that does not decode is one .byte line. All output goes
 * through struct text, which remembers the first failed allocation; later puts then do nothing.
 */
#include "bc_disasm.h"
#include "bc_opcodes.h"
#include "bc_verify.h"
#include "bytecode_internal.h"
#include "ph_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MARK_START = 1, MARK_TARGET = 2, SHOWN_STRING_BYTES = 64 };

struct text {
    char *data;
    size_t size;
    size_t capacity;
    int error;
};

static bool make_room(struct text *text, size_t count)
{
    if (text->error == 0 && text->capacity - text->size <= count) {
        size_t wanted = (text->size + count + 1) * 2;
        char *grown = ph_realloc(text->data, wanted);
        if (grown) {
            text->data = grown;
            text->capacity = wanted;
        } else {
            text->error = -ENOMEM;
        }
    }
    return text->error == 0;
}

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For pieces of bounded length; names and strings go through put_escaped(). */
static void put(struct text *text, const char *format, ...)
{
    char piece[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    size_t size = length < 0 ? 0 : (size_t)length;
    if (size >= sizeof piece) {
        size = sizeof piece - 1;
    }
    if (make_room(text, size)) {
        memcpy(text->data + text->size, piece, size);
        text->size += size;
        text->data[text->size] = '\0';
    }
}

/* ASCII as it is, the rest as C escapes with always two hex digits. */
static void put_escaped(struct text *text, const uint8_t *bytes, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    if (!make_room(text, size * 4)) {
        return;
    }
    char *at = text->data + text->size;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = bytes[i];
        if (byte == '"' || byte == '\\') {
            *at++ = '\\';
            *at++ = (char)byte;
        } else if (byte == '\n') {
            *at++ = '\\';
            *at++ = 'n';
        } else if (byte >= 0x20 && byte < 0x7f) {
            *at++ = (char)byte;
        } else {
            *at++ = '\\';
            *at++ = 'x';
            *at++ = hex[byte >> 4];
            *at++ = hex[byte & 15];
        }
    }
    *at = '\0';
    text->size = (size_t)(at - text->data);
}

static void put_name(struct text *text, const char *name)
{
    const char *bytes = name ? name : "";
    put_escaped(text, (const uint8_t *)bytes, strlen(bytes));
}

/* Quoted; a long one is cut and its size given. limit 0: never cut. */
static void put_string(struct text *text, const uint8_t *bytes, size_t size, size_t limit)
{
    size_t shown = limit > 0 && size > limit ? limit : size;
    put(text, "\"");
    put_escaped(text, bytes, shown);
    put(text, shown < size ? "\"... (%zu bytes)" : "\"", size);
}

static void put_type(struct text *text, const struct bc_type *type)
{
    bool is_unknown = !type->class_name || type->class_name[0] == '\0';
    if (is_unknown) {
        put(text, "?");
    } else {
        put_name(text, type->class_name);
    }
    if (type->is_container) {
        put(text, "[");
        put_name(text, type->element_name);
        put(text, "]");
    }
}

/* ---- look-ups for comments ---- */

/* What is looked up per instruction, by number; entries may be NULL. */
struct tables {
    const struct bc_constant **constants;
    const struct bc_field **fields;
    uint32_t constant_limit;
    uint32_t field_limit;
};

static int tables_init(struct tables *tables, const struct bc_class *class)
{
    tables->constant_limit = bc_class_constant_limit(class);
    tables->field_limit = class->object_slots;
    tables->constants = ph_zalloc((size_t)tables->constant_limit + 1, sizeof *tables->constants);
    tables->fields = ph_zalloc((size_t)tables->field_limit + 1, sizeof *tables->fields);
    if (!tables->constants || !tables->fields) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < class->constant_count; i++) {
        tables->constants[class->constants[i].index] = &class->constants[i];
    }
    for (uint32_t i = 0; i < class->field_count; i++) {
        if (class->fields[i].slot < tables->field_limit) {
            tables->fields[class->fields[i].slot] = &class->fields[i];
        }
    }
    return 0;
}

static void tables_finish(struct tables *tables)
{
    ph_free(tables->constants);
    ph_free(tables->fields);
}

/* ---- code ---- */

static bool is_drawable(enum bc_decode_status status)
{
    return status == BC_DECODE_OK || status == BC_DECODE_BAD_TARGET;
}

static uint8_t *mark_code(const struct bc_method *method)
{
    const uint8_t *code = method->code.data;
    uint32_t size = method->code.size;
    uint8_t *marks = ph_zalloc((size_t)size + 1, 1);
    uint32_t offset = 0;
    while (marks && offset < size) {
        struct bc_instruction instruction;
        enum bc_decode_status status = bc_decode(code, size, offset, &instruction);
        marks[offset] |= MARK_START;
        if (status == BC_DECODE_OK && instruction.kind == BC_OPERAND_REL) {
            marks[instruction.target] |= MARK_TARGET;
        }
        for (uint32_t i = 0; status == BC_DECODE_OK && i < instruction.switch_count; i++) {
            marks[bc_switch_target(&instruction, i)] |= MARK_TARGET;
        }
        offset += instruction.length;
    }
    return marks;
}

static void put_target(struct text *text, const uint8_t *marks, uint32_t target)
{
    put(text, marks[target] & MARK_START ? "L%04" PRIx32 : "?%04" PRIx32, target);
}

static void put_switch(struct text *text, const struct bc_instruction *instruction,
                       const uint8_t *marks, bool is_valid)
{
    put(text, " shift=%" PRId64 " divisor=%" PRId32 " [", instruction->first, instruction->second);
    for (uint32_t i = 0; i < instruction->switch_count; i++) {
        put(text, i > 0 ? ", " : "");
        if (is_valid) {
            put_target(text, marks, bc_switch_target(instruction, i));
        } else {
            put(text, "%+" PRId32, bc_read_i32(instruction->switch_table + (size_t)4 * i));
        }
    }
    put(text, "]");
}

static void put_operands(struct text *text, const struct bc_instruction *instruction,
                         const uint8_t *code, const uint8_t *marks, bool is_valid)
{
    switch (instruction->kind) {
    case BC_OPERAND_NONE: break;
    case BC_OPERAND_U8:
    case BC_OPERAND_I32:
    case BC_OPERAND_I64: put(text, " %" PRId64, instruction->first); break;
    case BC_OPERAND_STRING:
        put(text, " ");
        put_string(text, instruction->text, instruction->text_size, SHOWN_STRING_BYTES);
        break;
    case BC_OPERAND_REL:
        put(text, " ");
        if (is_valid) {
            put_target(text, marks, instruction->target);
        } else {
            put(text, "%+" PRId32, bc_read_i32(code + instruction->offset + 1));
        }
        break;
    case BC_OPERAND_U8_U8:
    case BC_OPERAND_U8_I32:
    case BC_OPERAND_I32_I32:
        put(text, " %" PRId64 ", %" PRId32, instruction->first, instruction->second);
        break;
    case BC_OPERAND_DEBUG:
        put(text, " 0x%02" PRIx64, (uint64_t)instruction->first);
        if (instruction->text) {
            put(text, " ");
            put_string(text, instruction->text, instruction->text_size, SHOWN_STRING_BYTES);
        }
        break;
    case BC_OPERAND_SWITCH: put_switch(text, instruction, marks, is_valid); break;
    }
}

static void put_comment(struct text *text, const struct tables *tables,
                        const struct bc_instruction *instruction, enum bc_decode_status status)
{
    const struct bc_constant *constant = NULL;
    const struct bc_field *field = NULL;
    if (status == BC_DECODE_BAD_TARGET) {
        put(text, " ; %s", bc_decode_status_text(status));
        return;
    }
    switch (instruction->opcode) {
    case BC_OP_const_pool:
        if (instruction->first >= 0 && instruction->first < tables->constant_limit) {
            constant = tables->constants[instruction->first];
        }
        break;
    case BC_OP_os_load8:
    case BC_OP_os_save8:
    case BC_OP_os_load32:
    case BC_OP_os_save32:
    case BC_OP_is_load8:
    case BC_OP_is_save8:
        if (instruction->first >= 0 && instruction->first < tables->field_limit) {
            field = tables->fields[instruction->first];
        }
        break;
    default: break;
    }
    if (constant) {
        put(text, " ; ");
        put_string(text, constant->bytes.data, constant->bytes.size, SHOWN_STRING_BYTES);
    }
    if (field) {
        put(text, " ; ");
        put_name(text, field->name);
    }
}

static void put_code(struct text *text, const struct tables *tables, const struct bc_method *method,
                     const uint8_t *marks, unsigned flags)
{
    const uint8_t *code = method->code.data;
    uint32_t size = method->code.size;
    uint32_t last_line = 0;
    uint32_t offset = 0;
    while (offset < size && text->error == 0) {
        struct bc_instruction instruction;
        enum bc_decode_status status = bc_decode(code, size, offset, &instruction);
        if (marks[offset] & MARK_TARGET) {
            put(text, "L%04" PRIx32 ":\n", offset);
        }
        uint32_t line = bc_method_line(method, offset + instruction.length - 1);
        if (line != last_line && !(flags & BC_DISASM_NO_LINES)) {
            put(text, "  ; line %" PRIu32 "\n", line);
            last_line = line;
        }
        put(text, "    %04" PRIx32 "  ", offset);
        if (is_drawable(status)) {
            put(text, "%s", bc_opcode_name(instruction.opcode));
            put_operands(text, &instruction, code, marks, status == BC_DECODE_OK);
            put_comment(text, tables, &instruction, status);
        } else {
            put(text, ".byte 0x%02x ; %s", instruction.opcode, bc_decode_status_text(status));
        }
        put(text, "\n");
        offset += instruction.length;
    }
}

/* ---- the rest ---- */

static void put_signature(struct text *text, const struct bc_method *method)
{
    if (!method->has_signature) {
        return;
    }
    put(text, method->is_constructor ? "  constructor " : "  signature ");
    put_type(text, &method->result);
    put(text, " (");
    for (uint32_t i = 0; i < method->parameter_count; i++) {
        put(text, i > 0 ? ", " : "");
        put_type(text, &method->parameters[i].type);
        put(text, " ");
        put_name(text, method->parameters[i].name);
    }
    put(text, ")\n");
}

static void put_facts(struct text *text, const struct bc_class *class, uint32_t index,
                      const struct tables *tables)
{
    const struct bc_method *method = &class->methods[index];
    struct bc_verify_context context;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    bc_fill_context(class, method, tables->constant_limit, &context);
    int result = bc_verify_code(&context, method->code.data, method->code.size, &facts, &diag);
    if (result == -ENOMEM) {
        text->error = -ENOMEM;
    } else if (result < 0) {
        put(text, "  refused: ");
        put_name(text, diag.text);
        put(text, "\n");
    } else if (facts.regular) {
        put(text,
            "  regular: %" PRIu32 " object cells, %" PRIu32 " int cells, %" PRIu32 " catchers\n",
            facts.max_object_cells, facts.max_int_cells, facts.max_catchers);
    } else {
        put(text, "  irregular at %04" PRIx32 ": %s\n", facts.irregular_offset,
            facts.irregular_cause);
    }
}

static void put_method(struct text *text, const struct bc_class *class, uint32_t index,
                       const struct tables *tables, unsigned flags)
{
    const struct bc_method *method = &class->methods[index];
    put(text, "\nmethod %" PRIu32 " ", method->ordinal);
    put_name(text, method->name);
    put(text, "\n");
    put_signature(text, method);
    put(text, "  %" PRIu32 " bytes\n", method->code.size);
    if (flags & BC_DISASM_FACTS) {
        put_facts(text, class, index, tables);
    }
    uint8_t *marks = mark_code(method);
    if (marks) {
        put_code(text, tables, method, marks, flags);
    } else {
        text->error = -ENOMEM;
    }
    ph_free(marks);
}

static void put_header(struct text *text, const struct bc_class *class)
{
    put(text, "class ");
    put_name(text, class->name);
    put(text, "\nparent ");
    put_name(text, class->parent);
    if (class->version && class->version[0] != '\0') {
        put(text, "\nversion ");
        put_name(text, class->version);
    }
    put(text, "\nslots %" PRIu32 " objects, %" PRIu32 " methods\n", class->object_slots,
        class->method_slots);
    for (uint32_t i = 0; i < class->field_count; i++) {
        put(text, "field %" PRIu32 " ", class->fields[i].slot);
        put_type(text, &class->fields[i].type);
        put(text, " ");
        put_name(text, class->fields[i].name);
        put(text, "\n");
    }
    for (uint32_t i = 0; i < class->constant_count; i++) {
        put(text, "constant %" PRIu32 " ", class->constants[i].index);
        put_string(text, class->constants[i].bytes.data, class->constants[i].bytes.size, 0);
        put(text, "\n");
    }
}

int bc_disassemble(const struct bc_class *class, unsigned flags, struct bc_bytes *out)
{
    struct text text = {0};
    struct tables tables = {0};
    text.error = tables_init(&tables, class);
    put_header(&text, class);
    for (uint32_t i = 0; i < class->method_count && text.error == 0; i++) {
        put_method(&text, class, i, &tables, flags);
    }
    tables_finish(&tables);
    if (text.error == 0 && text.size > UINT32_MAX) {
        text.error = -ENOMEM;
    }
    if (text.error != 0) {
        ph_free(text.data);
        return text.error;
    }
    *out = (struct bc_bytes){.data = (uint8_t *)text.data, .size = (uint32_t)text.size};
    return 0;
}
