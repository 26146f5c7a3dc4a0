/* SPDX-License-Identifier: Apache-2.0
 *
 * class_file_builder.c - see class_file_builder.h. Uses malloc, not ph_alloc, so that tests can
 * make the library's allocations fail without touching these.
 */
#include "class_file_builder.h"

#include "bc_opcodes.h"

#include <stdlib.h>
#include <string.h>

void build_bytes(struct builder *builder, const void *bytes, size_t count)
{
    if (builder->size + count > builder->capacity) {
        builder->capacity = (builder->size + count) * 2;
        builder->data = realloc(builder->data, builder->capacity);
        if (!builder->data) {
            abort();
        }
    }
    if (count > 0) {
        memcpy(builder->data + builder->size, bytes, count);
    }
    builder->size += count;
}

void build_u8(struct builder *builder, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    build_bytes(builder, &byte, 1);
}

void build_i32(struct builder *builder, int64_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        build_u8(builder, (unsigned)((uint64_t)value >> shift));
    }
}

void build_i64(struct builder *builder, int64_t value)
{
    build_i32(builder, (int64_t)((uint64_t)value >> 32));
    build_i32(builder, value);
}

void build_text(struct builder *builder, const char *text)
{
    build_i32(builder, (int64_t)strlen(text));
    build_bytes(builder, text, strlen(text));
}

void build_type(struct builder *builder, int is_container, const char *class_name,
                const char *element_name)
{
    build_i32(builder, is_container);
    build_text(builder, class_name);
    build_text(builder, element_name);
}

void build_record_begin(struct builder *builder, char letter)
{
    builder->record = builder->size;
    build_bytes(builder, "phfr:", 5);
    build_u8(builder, (uint8_t)letter);
    build_i32(builder, 0);
}

void build_record_end(struct builder *builder)
{
    size_t size = builder->size - builder->record;
    for (size_t i = 0; i < 4; i++) {
        builder->data[builder->record + 6 + i] = (uint8_t)(size >> (24 - 8 * i));
    }
}

void build_finish(struct builder *builder)
{
    free(builder->data);
    *builder = (struct builder){0};
}

void build_class_record(struct builder *builder, const char *name, int64_t object_slots,
                        int64_t method_slots, const char *parent)
{
    build_record_begin(builder, 'C');
    build_text(builder, name);
    build_i32(builder, object_slots);
    build_i32(builder, method_slots);
    build_text(builder, parent);
    build_text(builder, "20261122000000000");
    build_record_end(builder);
}

void build_method_record(struct builder *builder, const char *name, int64_t ordinal,
                         const void *code, size_t code_size)
{
    build_record_begin(builder, 'M');
    build_text(builder, name);
    build_i32(builder, ordinal);
    build_bytes(builder, code, code_size);
    build_record_end(builder);
}

void build_signature_record(struct builder *builder, const char *name, int64_t ordinal)
{
    build_record_begin(builder, 'S');
    build_text(builder, name);
    build_i32(builder, ordinal);
    build_i32(builder, 0);
    build_i32(builder, 0);
    build_type(builder, 0, ".internal.void", "");
    build_record_end(builder);
}

/* ---- the sample ---- */

static void op(struct builder *code, enum bc_opcode opcode)
{
    build_u8(code, (unsigned)opcode);
}

static void op_i32(struct builder *code, enum bc_opcode opcode, int64_t operand)
{
    op(code, opcode);
    build_i32(code, operand);
}

/* Jump to an absolute offset. */
static void op_to(struct builder *code, enum bc_opcode opcode, size_t target)
{
    op(code, opcode);
    build_i32(code, (int64_t)target - (int64_t)code->size);
}

/* <init>(): a constant into field 0, an int into field 1. 13 bytes. */
static void sample_constructor(struct builder *code)
{
    op(code, BC_OP_arg_count);
    build_u8(code, 0);
    op_i32(code, BC_OP_const_pool, 0);
    op(code, BC_OP_os_save8);
    build_u8(code, 0);
    op(code, BC_OP_iconst_1);
    op(code, BC_OP_i2o);
    op(code, BC_OP_os_save8);
    build_u8(code, 1);
    op(code, BC_OP_ret);
}

/* sum(n): a loop over an int local, then a 64-bit product of it. */
static void sample_loop(struct builder *code)
{
    op(code, BC_OP_arg_count);
    build_u8(code, 1);
    op(code, BC_OP_stack_reserve);
    build_u8(code, 1);
    build_u8(code, 3);
    op_i32(code, BC_OP_os_get32, 0);
    op(code, BC_OP_o2i);
    op_i32(code, BC_OP_is_set32, 0);
    size_t loop = code->size;
    op_i32(code, BC_OP_is_get32, 0);
    op_i32(code, BC_OP_iconst_32bit, 1);
    op(code, BC_OP_isublu);
    op(code, BC_OP_is_dup);
    op_i32(code, BC_OP_is_set32, 0);
    size_t exit_jump = code->size;
    op_to(code, BC_OP_jz, exit_jump + 10);
    op_to(code, BC_OP_jmp, loop);
    op(code, BC_OP_iconst_64bit);
    build_i64(code, 5000000000);
    op(code, BC_OP_prefix_long);
    op_i32(code, BC_OP_is_set32, 1);
    op(code, BC_OP_prefix_long);
    op_i32(code, BC_OP_is_get32, 1);
    op(code, BC_OP_prefix_long);
    op(code, BC_OP_i2o);
    op(code, BC_OP_ret);
}

/* guard(a, b): every kind of call inside a catcher. */
static void sample_guard(struct builder *code)
{
    op(code, BC_OP_arg_count);
    build_u8(code, 2);
    op(code, BC_OP_summon_string_class);
    op(code, BC_OP_push_catcher);
    size_t catcher = code->size;
    build_i32(code, 0);
    op_i32(code, BC_OP_os_get32, 0);
    op(code, BC_OP_short_call_2);
    op(code, BC_OP_os_drop);
    op_i32(code, BC_OP_os_get32, 0);
    op_i32(code, BC_OP_os_get32, 1);
    op(code, BC_OP_call_11);
    build_u8(code, 1);
    op(code, BC_OP_os_drop);
    op(code, BC_OP_summon_this);
    op(code, BC_OP_call_8bit);
    build_u8(code, 15);
    build_i32(code, 0);
    op(code, BC_OP_os_drop);
    op(code, BC_OP_summon_this);
    op(code, BC_OP_call_32bit);
    build_i32(code, 40);
    build_i32(code, 0);
    op(code, BC_OP_os_drop);
    op_i32(code, BC_OP_iconst_32bit, 0);
    op(code, BC_OP_summon_this);
    op(code, BC_OP_sconst_bin);
    build_text(code, "sum\n\"\xc3\xa9");
    op(code, BC_OP_dynamic_invoke);
    op(code, BC_OP_os_drop);
    op(code, BC_OP_summon_this);
    op(code, BC_OP_summon_by_name);
    build_text(code, ".test.base");
    op(code, BC_OP_static_invoke);
    build_i32(code, 0);
    build_i32(code, 0);
    op(code, BC_OP_pop_catcher);
    op(code, BC_OP_ret);
    /* The displacement counts from its own first byte. */
    uint8_t to_here = (uint8_t)(code->size - catcher);
    code->data[catcher + 3] = to_here;
    op(code, BC_OP_throw);
}

/* pick(): debug with text, then a switch with two entries. */
static void sample_switch(struct builder *code)
{
    op(code, BC_OP_debug);
    build_u8(code, 0x80);
    build_text(code, "pick");
    op(code, BC_OP_switch);
    size_t at = code->size;
    build_i32(code, 2);
    build_i32(code, -1);
    build_i32(code, 4);
    build_i32(code, (int64_t)(at + 20) - (int64_t)code->size);
    build_i32(code, (int64_t)(at + 22) - (int64_t)code->size);
    op(code, BC_OP_summon_null);
    op(code, BC_OP_ret);
    op_i32(code, BC_OP_os_load32, 1);
    op(code, BC_OP_ret);
}

static void sample_method(struct builder *builder, const char *name, int64_t ordinal,
                          void (*body)(struct builder *))
{
    struct builder code = {0};
    body(&code);
    build_method_record(builder, name, ordinal, code.data, code.size);
    build_finish(&code);
}

static void sample_signature(struct builder *builder, const char *name, int64_t ordinal,
                             int parameters, bool is_old)
{
    static const char *const names[] = {"first", "\xc3\xa9t\xc3\xa9"};
    build_record_begin(builder, 'S');
    build_text(builder, name);
    build_i32(builder, ordinal);
    build_i32(builder, parameters);
    if (!is_old) {
        build_i32(builder, strcmp(name, "<init>") == 0);
    }
    if (strcmp(name, "<init>") == 0) {
        build_type(builder, 0, ".internal.void", "");
    } else {
        build_type(builder, 1, is_old ? "" : ".internal.container.array", ".internal.string");
    }
    for (int i = 0; i < parameters; i++) {
        build_text(builder, names[i]);
        build_type(builder, i, i ? ".internal.container.array" : "", "");
    }
    build_record_end(builder);
}

static void sample_lines(struct builder *builder, int64_t ordinal)
{
    build_record_begin(builder, 'l');
    build_i32(builder, ordinal);
    build_i32(builder, 3);
    build_i64(builder, 7); /* not in order, as the port's compiler writes them */
    build_i32(builder, 12);
    build_i64(builder, 0);
    build_i32(builder, 10);
    build_i64(builder, 2);
    build_i32(builder, 11);
    build_record_end(builder);
}

static void build_any_sample(struct builder *builder, bool is_old)
{
    build_record_begin(builder, 'C');
    build_text(builder, ".test.sample");
    build_i32(builder, 3);
    build_i32(builder, 20);
    build_text(builder, ".test.base");
    if (!is_old) {
        build_text(builder, "20261122000000000");
    }
    build_record_end(builder);
    sample_method(builder, "<init>", 16, sample_constructor);
    sample_signature(builder, "<init>", 16, 0, is_old);
    sample_lines(builder, 16);
    sample_method(builder, "sum", 17, sample_loop);
    sample_signature(builder, "sum", 17, 1, is_old);
    sample_method(builder, "guard", 18, sample_guard);
    sample_signature(builder, "guard", 18, 2, is_old);
    sample_method(builder, "pick", 19, sample_switch);
    sample_signature(builder, "pick", 19, 0, is_old);
    build_record_begin(builder, 'f');
    build_text(builder, "text");
    build_i32(builder, 0);
    build_type(builder, 0, ".internal.string", "");
    build_record_end(builder);
    build_record_begin(builder, 'f'); /* two fields in one record are allowed */
    build_text(builder, "number");
    build_i32(builder, 1);
    build_type(builder, 0, ".internal.int", "");
    build_text(builder, "list");
    build_i32(builder, 2);
    build_type(builder, 1, is_old ? "" : ".internal.container.array", "");
    build_record_end(builder);
    build_record_begin(builder, 'c');
    build_i32(builder, 0);
    build_type(builder, 0, ".internal.string", "");
    build_bytes(builder, "hello\0\xff world", 13);
    build_record_end(builder);
    build_record_begin(builder, 'c'); /* empty, and a gap before it */
    build_i32(builder, 2);
    build_type(builder, 0, ".internal.string", "");
    build_record_end(builder);
}

void build_sample(struct builder *builder)
{
    build_any_sample(builder, false);
}

void build_old_sample(struct builder *builder)
{
    build_any_sample(builder, true);
}
