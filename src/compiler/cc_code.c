/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_code.c - see cc_code.h.
 */
#include "cc_code.h"

#include "ph_check.h"

#include <string.h>

enum { MAX_CODE_BYTES = 16 << 20 };

void cc_code_begin(struct cc_code *code, struct cc_session *session)
{
    *code = (struct cc_code){.session = session, .reachable = true};
}

void cc_bytes(struct cc_code *code, const void *data, uint32_t size)
{
    if (!code->reachable) {
        return;
    }
    if (size > MAX_CODE_BYTES - code->size) {
        cc_error(code->session, (struct cc_place){0}, "a method is larger than %d bytes of code",
                 MAX_CODE_BYTES);
        cc_escape(code->session, PHANTOM_ESOURCE);
    }
    if (code->capacity - code->size < size) {
        uint32_t wanted = (code->size + size) * 2 + 256;
        uint8_t *larger = cc_alloc(code->session, wanted);
        if (code->size) {
            memcpy(larger, code->bytes, code->size);
        }
        code->bytes = larger;
        code->capacity = wanted;
    }
    if (size) {
        memcpy(code->bytes + code->size, data, size);
    }
    code->size += size;
}

void cc_byte(struct cc_code *code, uint32_t value)
{
    uint8_t byte = (uint8_t)value;
    cc_bytes(code, &byte, 1);
}

void cc_word(struct cc_code *code, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    cc_bytes(code, bytes, 4);
}

void cc_op(struct cc_code *code, enum bc_opcode opcode, struct cc_effect effect)
{
    if (!code->reachable) {
        return;
    }
    PH_CHECK(code->int_depth >= effect.int_pop && code->object_depth >= effect.object_pop);
    code->int_depth += effect.int_push - effect.int_pop;
    code->object_depth += effect.object_push - effect.object_pop;
    cc_byte(code, (uint32_t)opcode);
}

void cc_end_path(struct cc_code *code)
{
    code->reachable = false;
}

void cc_expect_label(struct cc_code *code, struct cc_label *label, uint32_t int_depth,
                     uint32_t object_depth)
{
    if (!code->reachable) {
        return;
    }
    PH_CHECK(!label->used ||
             (label->int_depth == int_depth && label->object_depth == object_depth));
    label->used = true;
    label->int_depth = int_depth;
    label->object_depth = object_depth;
}

static void patch(struct cc_code *code, uint32_t at, uint32_t target)
{
    uint32_t displacement = target - at;
    for (uint32_t i = 0; i < 4; i++) {
        code->bytes[at + i] = (uint8_t)(displacement >> (24 - 8 * i));
    }
}

void cc_jump(struct cc_code *code, enum bc_opcode opcode, struct cc_label *label)
{
    struct cc_effect effect = {0};
    if (!code->reachable) {
        return;
    }
    if (opcode == BC_OP_jz) {
        effect.int_pop = 1;
    } else if (opcode == BC_OP_push_catcher) {
        effect.object_pop = 1;
    }
    cc_op(code, opcode, effect);
    bool catcher = opcode == BC_OP_push_catcher;
    cc_expect_label(code, label, code->int_depth, code->object_depth + (catcher ? 1 : 0));
    uint32_t at = code->size;
    cc_word(code, 0);
    if (label->placed) {
        patch(code, at, label->position);
    } else {
        struct cc_fixup *fixup = cc_alloc(code->session, sizeof(*fixup));
        fixup->at = at;
        fixup->next = label->fixups;
        label->fixups = fixup;
    }
    if (opcode == BC_OP_jmp) {
        code->reachable = false;
    }
}

void cc_place_label(struct cc_code *code, struct cc_label *label)
{
    PH_CHECK(!label->placed);
    label->placed = true;
    label->position = code->size;
    if (code->reachable) {
        cc_expect_label(code, label, code->int_depth, code->object_depth);
    }
    for (struct cc_fixup *fixup = label->fixups; fixup; fixup = fixup->next) {
        patch(code, fixup->at, label->position);
    }
    if (label->used) {
        code->reachable = true;
        code->int_depth = label->int_depth;
        code->object_depth = label->object_depth;
    }
}

void cc_mark_line(struct cc_code *code, uint32_t line)
{
    if (!code->reachable || line == 0) {
        return;
    }
    struct bc_line *last = code->line_count ? &code->lines[code->line_count - 1] : NULL;
    if (last && last->offset == code->size) {
        last->line = line;
        return;
    }
    struct bc_line entry = {.offset = code->size, .line = line};
    CC_PUSH(code->session, code->lines, code->line_count, code->line_capacity, entry);
}
