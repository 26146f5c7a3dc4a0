/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytecode_verifier.c - methods that are regular (with their exact depths), irregular (with
 * the cause) and refused (with the message).
 */
#include "ph_test.h"

#include "bc_opcodes.h"
#include "bc_verify.h"
#include "class_file_builder.h"
#include "ph_error.h"
#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define CODE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define I32(x) (uint8_t)((uint32_t)(x) >> 24), (uint8_t)((uint32_t)(x) >> 16), \
               (uint8_t)((uint32_t)(x) >> 8), (uint8_t)(x)
#define NEW_OBJECT BC_OP_summon_null
/* clang-format on */

static const struct bc_verify_context usual = {
    .class_name = ".test.c",
    .method_name = "m",
    .ordinal = 16,
    .argument_count = 0,
    .constant_limit = 4,
    .field_limit = 3,
};

struct bc_case {
    const uint8_t *code;
    size_t size;
    const char *cause; /* of irregular and refused ones */
    uint32_t offset;   /* likewise */
    uint32_t objects, ints, catchers;
};

/* Exactly sized copy, so that ASan sees every byte too far. */
static int verify(const struct bc_verify_context *context, const uint8_t *code, size_t size,
                  struct bc_code_facts *facts, struct phantom_diag *diag)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, code, size);
    int result = bc_verify_code(context, copy, (uint32_t)size, facts, diag);
    free(copy);
    assert_int_equal(ph_memory_live_blocks(), 0);
    return result;
}

static void expect_regular(const struct bc_verify_context *context, const struct bc_case *row,
                           size_t index)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    int result = verify(context, row->code, row->size, &facts, &diag);
    if (result != 0 || !facts.regular) {
        print_error("row %zu: %d %s %s\n", index, result, diag.text,
                    result == 0 ? facts.irregular_cause : "");
    }
    assert_int_equal(result, 0);
    assert_true(facts.regular);
    assert_null(facts.irregular_cause);
    if (facts.max_object_cells != row->objects || facts.max_int_cells != row->ints ||
        facts.max_catchers != row->catchers) {
        print_error("row %zu\n", index);
    }
    assert_int_equal(facts.max_object_cells, row->objects);
    assert_int_equal(facts.max_int_cells, row->ints);
    assert_int_equal(facts.max_catchers, row->catchers);
}

static void expect_irregular(const struct bc_verify_context *context, const struct bc_case *row,
                             size_t index)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    int result = verify(context, row->code, row->size, &facts, &diag);
    if (result != 0 || facts.regular) {
        print_error("row %zu: %d %s\n", index, result, diag.text);
    }
    assert_int_equal(result, 0);
    assert_false(facts.regular);
    if (strcmp(facts.irregular_cause, row->cause) != 0 || facts.irregular_offset != row->offset) {
        print_error("row %zu\n", index);
    }
    assert_string_equal(facts.irregular_cause, row->cause);
    assert_int_equal(facts.irregular_offset, row->offset);
}

static void expect_refused(const struct bc_verify_context *context, const struct bc_case *row,
                           size_t index)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    char wanted[256];
    int result = verify(context, row->code, row->size, &facts, &diag);
    snprintf(wanted, sizeof wanted, "class .test.c, method m (ordinal 16), code offset %u: %s",
             row->offset, row->cause);
    if (result != PHANTOM_EVERIFY || strcmp(diag.text, wanted) != 0) {
        print_error("row %zu: %d \"%s\", wanted \"%s\"\n", index, result, diag.text, wanted);
    }
    assert_int_equal(result, PHANTOM_EVERIFY);
    assert_string_equal(diag.text, wanted);
}

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void regular_methods_have_exact_depths(void **state)
{
    (void)state;
    const struct bc_case rows[] = {
        /* clang-format off */
        {CODE(BC_OP_ret), .ints = 1},
        {CODE(BC_OP_arg_count, 0, BC_OP_ret), .ints = 1},
        {CODE(BC_OP_summon_this, BC_OP_throw), .objects = 1, .ints = 1},
        {CODE(BC_OP_stack_reserve, 255, 254, BC_OP_ret), .objects = 255, .ints = 255},
        {CODE(BC_OP_stack_reserve, 1, 2, BC_OP_os_get32, I32(0), BC_OP_os_set32, I32(0),
              BC_OP_prefix_long, BC_OP_is_get32, I32(1), BC_OP_prefix_long, BC_OP_is_set32, I32(1),
              BC_OP_ret), .objects = 2, .ints = 5},
        /* unreachable bytes are not looked at */
        {CODE(BC_OP_ret, 0x9f, 0x5b, BC_OP_jmp), .ints = 1},
        {CODE(BC_OP_jmp, I32(5), 0x9f, BC_OP_ret), .ints = 1},
        /* a loop whose depths agree; backward jump without end */
        {CODE(BC_OP_nop, BC_OP_jmp, I32(-2)), .ints = 1},
        {CODE(BC_OP_djnz, I32(-1), BC_OP_ret), .ints = 1},
        /* if/else that both push one object */
        {CODE(BC_OP_jz, I32(10), BC_OP_summon_null, BC_OP_jmp, I32(5), BC_OP_summon_this,
              BC_OP_ret), .objects = 1, .ints = 1},
        /* switch: both targets and falling through the table */
        {CODE(BC_OP_switch, I32(2), I32(0), I32(1), I32(8), I32(5), BC_OP_nop, BC_OP_nop, BC_OP_ret),
         .ints = 1},
        /* catch: depth at push_catcher plus the thrown object; a handler that is never popped */
        {CODE(BC_OP_summon_null, BC_OP_summon_string_class, BC_OP_push_catcher, I32(8),
              BC_OP_summon_null, BC_OP_summon_null, BC_OP_summon_null, BC_OP_throw,
              BC_OP_os_drop, BC_OP_os_drop, BC_OP_ret), .objects = 4, .ints = 1, .catchers = 1},
        {CODE(BC_OP_summon_null, BC_OP_push_catcher, I32(13), BC_OP_summon_null, BC_OP_push_catcher,
              I32(8), BC_OP_pop_catcher, BC_OP_pop_catcher, BC_OP_ret, BC_OP_ret, BC_OP_ret),
         .objects = 1, .ints = 1, .catchers = 2},
        /* a handler that tries again: the thrown object serves as the class */
        {CODE(BC_OP_summon_null, BC_OP_push_catcher, I32(5), BC_OP_ret, BC_OP_jmp, I32(-7)),
         .objects = 1, .ints = 1, .catchers = 1},
        /* calls */
        {CODE(BC_OP_summon_this, BC_OP_short_call_0, BC_OP_ret), .objects = 1, .ints = 1},
        {CODE(BC_OP_summon_this, BC_OP_os_dup, BC_OP_os_dup, BC_OP_call_1F, 2, BC_OP_ret),
         .objects = 3, .ints = 1},
        {CODE(BC_OP_summon_this, BC_OP_os_dup, BC_OP_call_8bit, 9, I32(1), BC_OP_ret), .objects = 2,
         .ints = 1},
        {CODE(BC_OP_summon_this, BC_OP_os_dup, BC_OP_call_32bit, I32(65535), I32(1), BC_OP_ret),
         .objects = 2, .ints = 1},
        {CODE(BC_OP_summon_this, BC_OP_os_dup, BC_OP_os_dup, BC_OP_static_invoke, I32(0), I32(1),
              BC_OP_ret), .objects = 3, .ints = 1},
        /* dynamic_invoke with a constant count, also when another one is nested */
        {CODE(BC_OP_summon_null, BC_OP_iconst_32bit, I32(1), BC_OP_summon_this, BC_OP_sconst_bin,
              I32(1), 'x', BC_OP_dynamic_invoke, BC_OP_ret), .objects = 3, .ints = 2},
        {CODE(BC_OP_summon_null, BC_OP_iconst_1, BC_OP_iconst_0, BC_OP_summon_this,
              BC_OP_summon_null, BC_OP_dynamic_invoke, BC_OP_summon_null, BC_OP_dynamic_invoke,
              BC_OP_ret), .objects = 3, .ints = 3},
        /* overwriting another cell leaves the count known */
        {CODE(BC_OP_iconst_0, BC_OP_iconst_0, BC_OP_iconst_1, BC_OP_is_set32, I32(1),
              BC_OP_summon_this, BC_OP_summon_null, BC_OP_dynamic_invoke, BC_OP_ret), .objects = 2,
         .ints = 4},
        /* prefixes */
        {CODE(BC_OP_prefix_long, BC_OP_iconst_8bit, 1, BC_OP_prefix_long, BC_OP_is_dup,
              BC_OP_prefix_long, BC_OP_ige, BC_OP_jz, I32(4), BC_OP_ret), .ints = 5},
        {CODE(BC_OP_prefix_double, BC_OP_iconst_0, BC_OP_fromd, BC_OP_ret), .ints = 3},
        {CODE(BC_OP_prefix_float, BC_OP_iconst_0, BC_OP_prefix_double, BC_OP_fromf, BC_OP_ret),
         .ints = 3},
        {CODE(BC_OP_iconst_1, BC_OP_prefix_long, BC_OP_iconst_1, BC_OP_prefix_long, BC_OP_ishl,
              BC_OP_prefix_long, BC_OP_i2o, BC_OP_ret), .objects = 1, .ints = 4},
        {CODE(BC_OP_prefix_long, BC_OP_ret), .ints = 1}, /* of no use, and harmless */
        /* limits of operands */
        {CODE(BC_OP_os_load8, 2, BC_OP_os_save32, I32(2), BC_OP_const_pool, I32(3), BC_OP_ret),
         .objects = 1, .ints = 1},
        /* clang-format on */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect_regular(&usual, &rows[i], i);
    }
}

static void irregular_methods_are_accepted_with_their_cause(void **state)
{
    (void)state;
    static const char count[] = "argument count is not a known constant";
    static const char floating[] = "integer instruction with float or double prefix";
    const struct bc_case rows[] = {
        /* clang-format off */
        {CODE(BC_OP_os_drop, BC_OP_ret), "object stack underflow", 0},
        {CODE(BC_OP_is_drop, BC_OP_is_drop, BC_OP_ret), "int stack underflow", 1},
        {CODE(BC_OP_prefix_long, BC_OP_is_drop, BC_OP_ret), "int stack underflow", 0},
        {CODE(BC_OP_summon_this, BC_OP_call_00, 1, BC_OP_ret), "object stack underflow", 1},
        {CODE(BC_OP_throw), "object stack underflow", 0},
        /* depth that differs on two paths */
        {CODE(BC_OP_jz, I32(5), BC_OP_summon_null, BC_OP_ret),
         "paths join with different object depths", 6},
        {CODE(BC_OP_is_dup, BC_OP_jz, I32(5), BC_OP_iconst_0, BC_OP_ret),
         "paths join with different int depths", 7},
        {CODE(BC_OP_summon_null, BC_OP_jmp, I32(-2)), "paths join with different object depths", 0},
        /* cell indices above the stack */
        {CODE(BC_OP_os_get32, I32(0), BC_OP_ret), "cell index above the stack", 0},
        {CODE(BC_OP_summon_null, BC_OP_os_set32, I32(0), BC_OP_ret), "cell index above the stack", 1},
        {CODE(BC_OP_summon_null, BC_OP_os_pull32, I32(1), BC_OP_ret), "cell index above the stack",
         1},
        {CODE(BC_OP_is_get32, I32(1), BC_OP_ret), "cell index above the stack", 0},
        {CODE(BC_OP_prefix_long, BC_OP_is_get32, I32(0), BC_OP_ret), "cell index above the stack", 0},
        {CODE(BC_OP_is_set32, I32(0), BC_OP_ret), "cell index above the stack", 0},
        {CODE(BC_OP_os_get32, I32(0x7fffffff), BC_OP_ret), "cell index above the stack", 0},
        /* catchers */
        {CODE(BC_OP_pop_catcher, BC_OP_ret), "pop_catcher without push_catcher", 0},
        /* argument counts */
        {CODE(BC_OP_arg_count, 1, BC_OP_ret), "arg_count differs from the declared argument count",
         0},
        {CODE(BC_OP_summon_this, BC_OP_summon_null, BC_OP_arg_count, 0, BC_OP_is_get32, I32(0),
              BC_OP_ret), "cell index above the stack", 4},
        {CODE(BC_OP_summon_this, BC_OP_summon_null, BC_OP_iconst_1, BC_OP_is_dup, BC_OP_isum,
              BC_OP_dynamic_invoke, BC_OP_ret), count, 5},
        {CODE(BC_OP_summon_this, BC_OP_summon_null, BC_OP_iconst_1, BC_OP_is_set32, I32(0),
              BC_OP_iconst_32bit, I32(-1), BC_OP_dynamic_invoke, BC_OP_ret), count, 13},
        {CODE(BC_OP_iconst_0, BC_OP_iconst_0, BC_OP_iconst_1, BC_OP_is_set32, I32(2),
              BC_OP_summon_this, BC_OP_summon_null, BC_OP_dynamic_invoke, BC_OP_ret), count, 10},
        {CODE(BC_OP_summon_this, BC_OP_summon_null, BC_OP_iconst_0, BC_OP_jmp, I32(4),
              BC_OP_dynamic_invoke, BC_OP_ret), count, 8},
        {CODE(BC_OP_prefix_long, BC_OP_iconst_0, BC_OP_summon_this, BC_OP_summon_null,
              BC_OP_dynamic_invoke, BC_OP_ret), count, 4},
        /* prefixes without such a variant */
        {CODE(BC_OP_iconst_0, BC_OP_prefix_float, BC_OP_iand, BC_OP_ret), floating, 1},
        {CODE(BC_OP_iconst_0, BC_OP_prefix_double, BC_OP_ushr, BC_OP_ret), floating, 1},
        {CODE(BC_OP_prefix_float, BC_OP_log_not, BC_OP_ret), floating, 0},
        /* clang-format on */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect_irregular(&usual, &rows[i], i);
    }
}

static void catcher_count_must_agree_where_paths_join(void **state)
{
    (void)state;
    /* clang-format off */
    const struct bc_case row = {CODE(
        BC_OP_stack_reserve, 1, 0,
        BC_OP_jz, I32(10),                       /* 03 -> 0e */
        BC_OP_summon_null,                       /* 08 */
        BC_OP_push_catcher, I32(4),              /* 09 -> 0e with one object more */
        BC_OP_os_drop, BC_OP_ret),               /* 0e */
        "paths join with different object depths", 14};
    const struct bc_case other = {CODE(
        BC_OP_jz, I32(12),                       /* 00 -> 0d */
        BC_OP_summon_null,                       /* 05 */
        BC_OP_push_catcher, I32(8),              /* 06 -> 0f */
        BC_OP_nop, BC_OP_nop,                    /* 0b */
        BC_OP_nop, BC_OP_ret,                    /* 0d */
        BC_OP_ret),                              /* 0f */
        "paths join with different numbers of catchers", 13};
    /* clang-format on */
    expect_irregular(&usual, &row, 0);
    expect_irregular(&usual, &other, 1);
}

static void refused_methods_name_offset_and_cause(void **state)
{
    (void)state;
    static const char middle[] =
        "jump into the middle of an instruction, or between prefix and instruction";
    static const char end[] = "execution runs off the end of the code";
    static const char cut[] = "operand cut off by the end of the code";
    static const char outside[] = "jump target outside the code";
    static const char slot[] = "field slot out of range";
    static const char constant[] = "constant index out of range";
    static const char cell[] = "negative cell index";
    const struct bc_case rows[] = {
        /* clang-format off */
        {(const uint8_t *)"", 0, "method without code", 0},
        {CODE(BC_OP_nop), end, 1},
        {CODE(BC_OP_jz, I32(4)), outside, 0},
        {CODE(BC_OP_jz, I32(-1)), end, 5},
        {CODE(BC_OP_prefix_long), end, 1},
        {CODE(0x9f, BC_OP_ret), "unassigned opcode", 0},
        {CODE(BC_OP_prefix_long, 0xff, BC_OP_ret), "unassigned opcode", 1},
        {CODE(BC_OP_nop, BC_OP_os_push_null, BC_OP_ret), "reserved opcode", 1},
        {CODE(BC_OP_copy, BC_OP_ret), "reserved opcode", 0},
        {CODE(BC_OP_iconst_32bit, 0, 0, 0), cut, 0},
        {CODE(BC_OP_call_00), cut, 0},
        {CODE(BC_OP_sconst_bin, I32(2), 'x'), cut, 0},
        {CODE(BC_OP_sconst_bin, I32(0x7fffffff), 'x'), cut, 0},
        {CODE(BC_OP_sconst_bin, I32(-1), BC_OP_ret), "impossible operand", 0},
        {CODE(BC_OP_debug, 0x80, I32(1)), cut, 0},
        {CODE(BC_OP_debug, 0x80), cut, 0},
        {CODE(BC_OP_switch, I32(-1), I32(0), I32(1), BC_OP_ret), "impossible operand", 0},
        {CODE(BC_OP_switch, I32(0), I32(0), I32(0), BC_OP_ret), "impossible operand", 0},
        {CODE(BC_OP_switch, I32(2), I32(0), I32(1), I32(4)), cut, 0},
        {CODE(BC_OP_switch, I32(0x40000000), I32(0), I32(1), I32(4)), cut, 0},
        {CODE(BC_OP_switch, I32(1), I32(0), I32(1), I32(5), BC_OP_ret), outside, 0},
        {CODE(BC_OP_switch, I32(1), I32(0), I32(1), I32(-14), BC_OP_ret), outside, 0},
        {CODE(BC_OP_jmp, I32(-2)), outside, 0},
        {CODE(BC_OP_jmp, I32(4)), outside, 0},
        {CODE(BC_OP_jmp, I32(0x7fffffff)), outside, 0},
        {CODE(BC_OP_jmp, I32(0x80000000u)), outside, 0},
        {CODE(BC_OP_summon_null, BC_OP_push_catcher, I32(1000), BC_OP_ret), outside, 1},
        /* into an instruction: backward, forward, onto an operand of itself */
        {CODE(BC_OP_arg_count, 0, BC_OP_jmp, I32(-2)), "jump into the middle of an instruction", 2},
        {CODE(BC_OP_jmp, I32(0)), "jump into the middle of an instruction", 0},
        {CODE(BC_OP_jz, I32(5), BC_OP_iconst_8bit, BC_OP_ret, BC_OP_ret), middle, 5},
        {CODE(BC_OP_jz, I32(5), BC_OP_prefix_long, BC_OP_is_drop, BC_OP_ret), middle, 5},
        {CODE(BC_OP_prefix_long, BC_OP_jmp, I32(-1)), "jump into the middle of an instruction", 1},
        {CODE(BC_OP_prefix_long, BC_OP_prefix_long, BC_OP_ret), "prefix before a prefix", 1},
        /* indices */
        {CODE(BC_OP_os_load8, 3, BC_OP_ret), slot, 0},
        {CODE(BC_OP_os_save8, 255, BC_OP_ret), slot, 0},
        {CODE(BC_OP_os_load32, I32(3), BC_OP_ret), slot, 0},
        {CODE(BC_OP_os_save32, I32(-1), BC_OP_ret), slot, 0},
        {CODE(BC_OP_is_load8, 3, BC_OP_ret), slot, 0},
        {CODE(BC_OP_is_save8, 3, BC_OP_ret), slot, 0},
        {CODE(BC_OP_const_pool, I32(4), BC_OP_ret), constant, 0},
        {CODE(BC_OP_const_pool, I32(-1), BC_OP_ret), constant, 0},
        {CODE(BC_OP_os_get32, I32(-1), BC_OP_ret), cell, 0},
        {CODE(BC_OP_os_set32, I32(-1), BC_OP_ret), cell, 0},
        {CODE(BC_OP_os_pull32, I32(-1), BC_OP_ret), cell, 0},
        {CODE(BC_OP_is_get32, I32(-1), BC_OP_ret), cell, 0},
        {CODE(BC_OP_prefix_long, BC_OP_is_set32, I32(0x80000000u), BC_OP_ret), cell, 1},
        {CODE(BC_OP_call_32bit, I32(-1), I32(0), BC_OP_ret), "call ordinal out of range", 0},
        {CODE(BC_OP_call_32bit, I32(65536), I32(0), BC_OP_ret), "call ordinal out of range", 0},
        {CODE(BC_OP_static_invoke, I32(-1), I32(0), BC_OP_ret), "call ordinal out of range", 0},
        {CODE(BC_OP_call_8bit, 0, I32(-1), BC_OP_ret), "argument count of the call out of range", 0},
        {CODE(BC_OP_call_8bit, 0, I32(256), BC_OP_ret), "argument count of the call out of range",
         0},
        {CODE(BC_OP_sys_8bit, 0, BC_OP_ret), "sys_8bit is not allowed here", 0},
        /* clang-format on */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect_refused(&usual, &rows[i], i);
    }
}

static void depths_at_entry_follow_the_argument_count(void **state)
{
    (void)state;
    struct bc_verify_context context = usual;
    context.argument_count = 2;
    const struct bc_case row = {CODE(BC_OP_arg_count, 2, BC_OP_os_get32, I32(1), BC_OP_ret),
                                .objects = 3, .ints = 1};
    expect_regular(&context, &row, 0);
    struct bc_code_facts facts;
    assert_int_equal(verify(&context, row.code, row.size, &facts, NULL), 0);
    assert_int_equal(facts.argument_count, 2);
}

static void without_signature_the_first_arg_count_tells(void **state)
{
    (void)state;
    struct bc_verify_context context = usual;
    context.argument_count = -1;
    const struct bc_case told = {CODE(BC_OP_arg_count, 3, BC_OP_os_get32, I32(2), BC_OP_ret),
                                 .objects = 4, .ints = 1};
    expect_regular(&context, &told, 0);
    const struct bc_case untold = {CODE(BC_OP_nop, BC_OP_arg_count, 3, BC_OP_ret),
                                   "argument count is not known", 0};
    expect_irregular(&context, &untold, 1);
    const struct bc_case bad = {CODE(BC_OP_nop), "execution runs off the end of the code", 1};
    expect_refused(&context, &bad, 2);
}

static void vm_code_may_use_sys_and_its_count_is_known_on_entry(void **state)
{
    (void)state;
    struct bc_verify_context context = usual;
    context.allow_sys = true;
    context.argument_count = 3;
    const struct bc_case row = {CODE(BC_OP_sys_8bit, 7, BC_OP_ret), .objects = 3, .ints = 1};
    expect_regular(&context, &row, 0);
    context.argument_count = -1;
    const struct bc_case unknown = {CODE(BC_OP_sys_8bit, 7, BC_OP_ret),
                                    "argument count is not known", 0};
    expect_irregular(&context, &unknown, 1);
    context.argument_count = 0;
    const struct bc_case loop = {
        CODE(BC_OP_sys_8bit, 7, BC_OP_os_drop, BC_OP_iconst_0, BC_OP_jmp, I32(-5)),
        "argument count is not a known constant", 0};
    expect_irregular(&context, &loop, 2);
}

static void frame_beyond_the_limit_is_irregular(void **state)
{
    (void)state;
    enum { TIMES = BC_MAX_REGULAR_CELLS / 255 + 1 };
    uint8_t *code = malloc(3 * TIMES + 1);
    for (size_t i = 0; i < TIMES; i++) {
        memcpy(code + 3 * i, (const uint8_t[]){BC_OP_stack_reserve, 255, 0}, 3);
    }
    code[3 * TIMES] = BC_OP_ret;
    const struct bc_case row = {code, 3 * TIMES + 1, "frame too large", 3 * (TIMES - 1)};
    expect_irregular(&usual, &row, 0);
    code[3 * (TIMES - 1)] = BC_OP_ret;
    const struct bc_case fits = {code, 3 * TIMES + 1, .objects = 255 * (TIMES - 1), .ints = 1};
    expect_regular(&usual, &fits, 1);
    free(code);
}

static void unread_diag_and_names_may_be_missing(void **state)
{
    (void)state;
    struct bc_code_facts facts;
    struct bc_verify_context context = {0};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    const uint8_t code[] = {0x9f};
    assert_int_equal(verify(&context, code, 1, &facts, NULL), PHANTOM_EVERIFY);
    assert_int_equal(verify(&context, code, 1, &facts, &diag), PHANTOM_EVERIFY);
    assert_string_equal(diag.text,
                        "class ?, method ? (ordinal 0), code offset 0: unassigned opcode");
}

static struct bc_class *read_class(struct builder *file)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    assert_int_equal(bc_class_read("x", file->data, file->size, &class, &diag), 0);
    build_finish(file);
    return class;
}

static void sample_class_is_regular_throughout(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    struct bc_class *class = read_class(&file);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(bc_verify_class(class, &diag), 0);
    for (uint32_t i = 0; i < class->method_count; i++) {
        struct bc_code_facts facts;
        assert_int_equal(bc_verify_method(class, i, &facts, &diag), 0);
        assert_true(facts.regular);
        assert_int_equal(facts.argument_count, class->methods[i].parameter_count);
    }
    bc_class_destroy(class);
}

static void one_bad_method_leaves_the_others_usable(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, ".test.c", 0, 18, ".internal.object");
    build_method_record(&file, "good", 16, "\x08", 1);
    build_method_record(&file, "bad", 17, "\x23\0\0\0\1\x9f\x08", 7);
    build_signature_record(&file, "bad", 17);
    struct bc_class *class = read_class(&file);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    assert_int_equal(bc_verify_class(class, &diag), PHANTOM_EVERIFY);
    assert_string_equal(diag.text,
                        "class .test.c, method bad (ordinal 17), code offset 5: unassigned opcode");
    assert_int_equal(bc_verify_method(class, 0, &facts, &diag), 0);
    assert_int_equal(bc_verify_method(class, 1, &facts, &diag), PHANTOM_EVERIFY);
    bc_class_destroy(class);
}

static void failing_allocations_are_reported(void **state)
{
    (void)state;
    const uint8_t code[] = {BC_OP_jz, I32(4), BC_OP_ret};
    bool has_failed = true;
    int64_t count = 0;
    for (; has_failed; count++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        struct bc_code_facts facts;
        ph_memory_fail_after(count, true);
        int result = verify(&usual, code, sizeof code, &facts, &diag);
        has_failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(result, has_failed ? -ENOMEM : 0);
    }
    assert_int_equal(count, 4); /* map, work list, targets, and one run without failure */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regular_methods_have_exact_depths),
        cmocka_unit_test(irregular_methods_are_accepted_with_their_cause),
        cmocka_unit_test(catcher_count_must_agree_where_paths_join),
        cmocka_unit_test(refused_methods_name_offset_and_cause),
        cmocka_unit_test(depths_at_entry_follow_the_argument_count),
        cmocka_unit_test(without_signature_the_first_arg_count_tells),
        cmocka_unit_test(vm_code_may_use_sys_and_its_count_is_known_on_entry),
        cmocka_unit_test(frame_beyond_the_limit_is_irregular),
        cmocka_unit_test(unread_diag_and_names_may_be_missing),
        cmocka_unit_test(sample_class_is_regular_throughout),
        cmocka_unit_test(one_bad_method_leaves_the_others_usable),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
