/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_code.h - the bytes of one method while they are made.
 *
 * The writer always knows the depth of both stacks above the locals and whether the place can be
 * reached. Instructions that cannot be reached are not written, so every path that exists has
 * known depths and no code follows its end. At a label all paths must agree on the depths; that
 * is an invariant of the compiler (PH_CHECK), not something a program can break.
 */
#ifndef CC_CODE_H
#define CC_CODE_H

#include "cc_types.h"

#include "bc_opcodes.h"

struct cc_fixup {
    uint32_t at; /* of the displacement field */
    struct cc_fixup *next;
};

struct cc_label {
    bool placed;
    bool used; /* depths are known */
    uint32_t position;
    uint32_t int_depth;
    uint32_t object_depth;
    struct cc_fixup *fixups;
};

struct cc_code {
    struct cc_session *session;
    uint8_t *bytes;
    uint32_t size;
    uint32_t capacity;
    bool reachable;
    uint32_t int_depth; /* cells; a long or double counts two */
    uint32_t object_depth;
    struct bc_line *lines;
    uint32_t line_count;
    uint32_t line_capacity;
};

/** Cells popped and pushed on the int stack, then on the object stack. */
struct cc_effect {
    uint32_t int_pop, int_push, object_pop, object_push;
};

void cc_code_begin(struct cc_code *code, struct cc_session *session);
/** One instruction without operands (or the opcode of one with operands, which follow). */
void cc_op(struct cc_code *code, enum bc_opcode opcode, struct cc_effect effect);
void cc_byte(struct cc_code *code, uint32_t value);
void cc_word(struct cc_code *code, uint32_t value);
void cc_bytes(struct cc_code *code, const void *data, uint32_t size);
/** Jump instructions: jmp, jz, push_catcher. After jmp the place is unreachable. */
void cc_jump(struct cc_code *code, enum bc_opcode opcode, struct cc_label *label);
/** The label is here. Reachable if it was, or if anything jumps to the label. */
void cc_place_label(struct cc_code *code, struct cc_label *label);
/** A label that something pushes to before control arrives: depths given explicitly. */
void cc_expect_label(struct cc_code *code, struct cc_label *label, uint32_t int_depth,
                     uint32_t object_depth);
/** What follows comes from this line. */
void cc_mark_line(struct cc_code *code, uint32_t line);
/** Nothing is reachable until the next label. */
void cc_end_path(struct cc_code *code);

#endif /* CC_CODE_H */
