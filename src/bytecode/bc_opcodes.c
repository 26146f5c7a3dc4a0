/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_opcodes.c - the opcode table and the instruction decoder (bc_opcodes.h). No state.
 */
#include "bc_opcodes.h"

struct opcode_row {
    const char *name; /* NULL: unassigned */
    uint8_t kind;
    bool reserved;
};

static const struct opcode_row opcode_table[256] = {
#define BC_OPCODE(number, name, operands)   [number] = {#name, BC_OPERAND_##operands, false},
#define BC_RESERVED(number, name, operands) [number] = {#name, BC_OPERAND_##operands, true},
#include "opcodes.def"
#undef BC_OPCODE
};

enum bc_opcode_status bc_opcode_status(uint8_t opcode)
{
    const struct opcode_row *row = &opcode_table[opcode];
    if (!row->name) {
        return BC_OPCODE_UNASSIGNED;
    }
    return row->reserved ? BC_OPCODE_RESERVED : BC_OPCODE_DEFINED;
}

const char *bc_opcode_name(uint8_t opcode)
{
    const char *name = opcode_table[opcode].name;
    return name ? name : "unknown";
}

enum bc_operand_kind bc_opcode_operands(uint8_t opcode)
{
    return (enum bc_operand_kind)opcode_table[opcode].kind;
}

const char *bc_decode_status_text(enum bc_decode_status status)
{
    switch (status) {
    case BC_DECODE_OK: return "valid instruction";
    case BC_DECODE_END: return "end of code";
    case BC_DECODE_UNASSIGNED: return "unassigned opcode";
    case BC_DECODE_RESERVED: return "reserved opcode";
    case BC_DECODE_TRUNCATED: return "operand cut off by the end of the code";
    case BC_DECODE_BAD_OPERAND: return "impossible operand";
    case BC_DECODE_BAD_TARGET: return "jump target outside the code";
    }
    return "unknown status";
}

/* Target of a REL operand at operand_offset, in 64 bits so that nothing wraps. */
static int64_t rel_target(const uint8_t *operand, uint32_t operand_offset)
{
    return (int64_t)operand_offset + bc_read_i32(operand);
}

static bool is_inside(int64_t target, uint32_t size)
{
    return target >= 0 && target < (int64_t)size;
}

/* Bytes of the operands of fixed size; for STRING, DEBUG, SWITCH the part that is always there. */
static uint32_t fixed_operand_size(enum bc_operand_kind kind)
{
    switch (kind) {
    case BC_OPERAND_NONE: return 0;
    case BC_OPERAND_U8:
    case BC_OPERAND_DEBUG: return 1;
    case BC_OPERAND_U8_U8: return 2;
    case BC_OPERAND_I32:
    case BC_OPERAND_REL:
    case BC_OPERAND_STRING: return 4;
    case BC_OPERAND_U8_I32: return 5;
    case BC_OPERAND_I64:
    case BC_OPERAND_I32_I32: return 8;
    case BC_OPERAND_SWITCH: return 12;
    }
    return 0;
}

/* A string of i32 length at `at`, `left` bytes before the end of the code. */
static enum bc_decode_status decode_text(const uint8_t *at, uint32_t left,
                                         struct bc_instruction *out)
{
    if (left < 4) {
        return BC_DECODE_TRUNCATED;
    }
    int32_t length = bc_read_i32(at);
    if (length < 0) {
        return BC_DECODE_BAD_OPERAND;
    }
    if ((uint32_t)length > left - 4) {
        return BC_DECODE_TRUNCATED;
    }
    out->text = at + 4;
    out->text_size = (uint32_t)length;
    out->length += 4 + (uint32_t)length;
    return BC_DECODE_OK;
}

static enum bc_decode_status decode_switch(const uint8_t *at, uint32_t left, uint32_t size,
                                           struct bc_instruction *out)
{
    int32_t count = bc_read_i32(at);
    out->first = bc_read_i32(at + 4);
    out->second = bc_read_i32(at + 8);
    if (count < 0 || out->second == 0) {
        return BC_DECODE_BAD_OPERAND;
    }
    if ((uint32_t)count > (left - 12) / 4) {
        return BC_DECODE_TRUNCATED;
    }
    out->switch_count = (uint32_t)count;
    out->switch_table = at + 12;
    out->length += 12 + 4 * (uint32_t)count;
    for (uint32_t i = 0; i < out->switch_count; i++) {
        int64_t target = rel_target(at + 12 + 4 * i, out->offset + 13 + 4 * i);
        if (!is_inside(target, size)) {
            return BC_DECODE_BAD_TARGET;
        }
    }
    return BC_DECODE_OK;
}

static enum bc_decode_status decode_operands(const uint8_t *at, uint32_t left, uint32_t size,
                                             struct bc_instruction *out)
{
    switch (out->kind) {
    case BC_OPERAND_NONE: break;
    case BC_OPERAND_U8: out->first = at[0]; break;
    case BC_OPERAND_I32: out->first = bc_read_i32(at); break;
    case BC_OPERAND_I64: out->first = bc_read_i64(at); break;
    case BC_OPERAND_STRING: return decode_text(at, left, out);
    case BC_OPERAND_REL: {
        int64_t target = rel_target(at, out->offset + 1);
        out->length += 4;
        if (!is_inside(target, size)) {
            return BC_DECODE_BAD_TARGET;
        }
        out->target = (uint32_t)target;
        return BC_DECODE_OK;
    }
    case BC_OPERAND_U8_U8:
        out->first = at[0];
        out->second = at[1];
        break;
    case BC_OPERAND_U8_I32:
        out->first = at[0];
        out->second = bc_read_i32(at + 1);
        break;
    case BC_OPERAND_I32_I32:
        out->first = bc_read_i32(at);
        out->second = bc_read_i32(at + 4);
        break;
    case BC_OPERAND_DEBUG:
        out->first = at[0];
        out->length += 1;
        return at[0] & 0x80 ? decode_text(at + 1, left - 1, out) : BC_DECODE_OK;
    case BC_OPERAND_SWITCH: return decode_switch(at, left, size, out);
    }
    out->length += fixed_operand_size(out->kind);
    return BC_DECODE_OK;
}

enum bc_decode_status bc_decode(const uint8_t *code, uint32_t size, uint32_t offset,
                                struct bc_instruction *out)
{
    if (offset >= size) {
        *out = (struct bc_instruction){.offset = offset};
        return BC_DECODE_END;
    }
    uint8_t opcode = code[offset];
    const struct bc_instruction bare = {.opcode = opcode, .offset = offset, .length = 1};
    *out = bare;
    switch (bc_opcode_status(opcode)) {
    case BC_OPCODE_UNASSIGNED: return BC_DECODE_UNASSIGNED;
    case BC_OPCODE_RESERVED: return BC_DECODE_RESERVED;
    case BC_OPCODE_DEFINED: break;
    }
    out->kind = bc_opcode_operands(opcode);
    uint32_t left = size - offset - 1;
    if (left < fixed_operand_size(out->kind)) {
        *out = bare;
        return BC_DECODE_TRUNCATED;
    }
    enum bc_decode_status status = decode_operands(code + offset + 1, left, size, out);
    if (status != BC_DECODE_OK && status != BC_DECODE_BAD_TARGET) {
        *out = bare;
    }
    return status;
}

uint32_t bc_switch_target(const struct bc_instruction *instruction, uint32_t index)
{
    const uint8_t *entry = instruction->switch_table + (size_t)4 * index;
    return (uint32_t)rel_target(entry, instruction->offset + 13 + 4 * index);
}
