/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_opcodes.h - the instruction set as C: opcode numbers, names, operand kinds and the decoder.
 *
 * Everything here is generated from opcodes.def, the one place where the instruction set is
 * written down. The decoder is the only code that knows how operands lie in the bytes; verifier,
 * disassembler and translator use it. It reads nothing outside [0, size) whatever the bytes are.
 */
#ifndef BC_OPCODES_H
#define BC_OPCODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Opcode numbers, reserved ones included: BC_OP_nop, BC_OP_ret, BC_OP_call_00 ... */
enum bc_opcode {
#define BC_OPCODE(number, name, operands)   BC_OP_##name = (number),
#define BC_RESERVED(number, name, operands) BC_OP_##name = (number),
#include "opcodes.def"
#undef BC_OPCODE
};

/** What follows the opcode byte. All numbers are big-endian. */
enum bc_operand_kind {
    BC_OPERAND_NONE,
    BC_OPERAND_U8,
    BC_OPERAND_I32,
    BC_OPERAND_I64,
    BC_OPERAND_STRING, /* i32 length, bytes */
    BC_OPERAND_REL,    /* i32, counted from its own first byte */
    BC_OPERAND_U8_U8,
    BC_OPERAND_U8_I32,
    BC_OPERAND_I32_I32,
    BC_OPERAND_DEBUG, /* u8 type; string if type & 0x80 */
    BC_OPERAND_SWITCH /* i32 count, i32 shift, i32 divisor, count x REL */
};

enum bc_opcode_status {
    BC_OPCODE_UNASSIGNED, /* the number has no name */
    BC_OPCODE_RESERVED,   /* a name, but no meaning; never executable */
    BC_OPCODE_DEFINED
};

enum bc_opcode_status bc_opcode_status(uint8_t opcode);

/** The name as in opcodes.def; "unknown" for an unassigned number. Never NULL. */
const char *bc_opcode_name(uint8_t opcode);

/** BC_OPERAND_NONE for an unassigned number. */
enum bc_operand_kind bc_opcode_operands(uint8_t opcode);

/** prefix_long, prefix_float or prefix_double: applies to the next instruction only. */
static inline bool bc_opcode_is_prefix(uint8_t opcode)
{
    return opcode >= BC_OP_prefix_long && opcode <= BC_OP_prefix_double;
}

/**
 * One decoded instruction. Fields that the operand kind does not have are 0.
 *
 *   kind      first           second    others
 *   U8        0..255
 *   I32       sign-extended
 *   I64       value
 *   U8_U8     first           second
 *   U8_I32    first           second
 *   I32_I32   first           second
 *   STRING                              text, text_size (points into the code)
 *   DEBUG     type            -         text, text_size (text NULL when type has no 0x80)
 *   REL                                 target
 *   SWITCH    shift           divisor   switch_count; bc_switch_target()
 */
struct bc_instruction {
    uint8_t opcode;
    enum bc_operand_kind kind;
    uint32_t offset; /* of the opcode byte */
    uint32_t length; /* opcode byte and operands; the next instruction is at offset + length */
    int64_t first;
    int32_t second;
    uint32_t target; /* absolute, always inside the code */
    const uint8_t *text;
    uint32_t text_size;
    uint32_t switch_count;
    const uint8_t *switch_table; /* raw entries, 4 bytes each */
};

enum bc_decode_status {
    BC_DECODE_OK,
    BC_DECODE_END,         /* offset is at or past the end of the code */
    BC_DECODE_UNASSIGNED,  /* no such opcode; only opcode, offset and length = 1 are set */
    BC_DECODE_RESERVED,    /* likewise */
    BC_DECODE_TRUNCATED,   /* the operands go past the end of the code; likewise */
    BC_DECODE_BAD_OPERAND, /* negative string length or switch count, switch divisor 0; likewise */
    BC_DECODE_BAD_TARGET   /* complete, but a jump leads outside the code; *out is filled, target or
                              the switch entry concerned is not to be used */
};

/** A few words for messages, e.g. "unassigned opcode". Never NULL. */
const char *bc_decode_status_text(enum bc_decode_status status);

/**
 * Decode the instruction at `offset` of `code[0 .. size)`. Whether a jump target is the start of an
 * instruction is not known here; the verifier finds that out.
 * @param[out] out  filled as said at each status; text and switch_table point into code
 * @threads any
 */
enum bc_decode_status bc_decode(const uint8_t *code, uint32_t size, uint32_t offset,
                                struct bc_instruction *out);

/** Absolute target of switch entry index < switch_count, of an instruction that decoded as OK. */
uint32_t bc_switch_target(const struct bc_instruction *instruction, uint32_t index);

/** Big-endian reads for the interpreter and for tests; the caller has checked the bounds. */
static inline int32_t bc_read_i32(const uint8_t *bytes)
{
    return (int32_t)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                     (uint32_t)bytes[3]);
}

static inline int64_t bc_read_i64(const uint8_t *bytes)
{
    return (int64_t)((uint64_t)(uint32_t)bc_read_i32(bytes) << 32 |
                     (uint32_t)bc_read_i32(bytes + 4));
}

#endif /* BC_OPCODES_H */
