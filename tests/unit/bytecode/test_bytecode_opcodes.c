/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytecode_opcodes.c - opcode table and decoder.
 */
#include "ph_test.h"

#include "bc_opcodes.h"

#include <stdlib.h>
#include <string.h>

#define TO_SIZE(array) (array), sizeof(array)

static void numbers_and_names_are_the_ports(void **state)
{
    (void)state;
    static const struct {
        uint8_t number;
        const char *name;
    } rows[] = {
        {0x00, "nop"},
        {0x07, "switch"},
        {0x08, "ret"},
        {0x0C, "short_call_3"},
        {0x0F, "sys_8bit"},
        {0x1C, "os_pull32"},
        {0x28, "const_pool"},
        {0x29, "stack_reserve"},
        {0x3F, "summon_by_name"},
        {0x57, "iremlu"},
        {0x5C, "prefix_long"},
        {0x5E, "prefix_double"},
        {0x6F, "dynamic_invoke"},
        {0x73, "arg_count"},
        {0x77, "fromd"},
        {0xA0, "call_00"},
        {0xBF, "call_1F"},
        {0x5B, "os_push_null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(bc_opcode_name(rows[i].number), rows[i].name);
    }
    assert_int_equal(BC_OP_call_32bit, 0x0E);
    assert_int_equal(BC_OP_call_1F - BC_OP_call_00, 31);
}

static void numbers_without_meaning_are_told_apart(void **state)
{
    (void)state;
    unsigned defined = 0;
    unsigned reserved = 0;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        enum bc_opcode_status status = bc_opcode_status((uint8_t)opcode);
        defined += status == BC_OPCODE_DEFINED;
        reserved += status == BC_OPCODE_RESERVED;
        bool is_named = strcmp(bc_opcode_name((uint8_t)opcode), "unknown") != 0;
        assert_int_equal(is_named, status != BC_OPCODE_UNASSIGNED);
    }
    assert_int_equal(reserved, 4);
    assert_int_equal(defined, 124);
    assert_int_equal(bc_opcode_status(0x9f), BC_OPCODE_UNASSIGNED);
    assert_int_equal(bc_opcode_status(0x1a), BC_OPCODE_RESERVED);
    assert_int_equal(bc_opcode_operands(0x9f), BC_OPERAND_NONE);
    assert_true(bc_opcode_is_prefix(0x5c) && bc_opcode_is_prefix(0x5e));
    assert_false(bc_opcode_is_prefix(0x5b) || bc_opcode_is_prefix(0x5f));
}

/* Decodes at offset 1 of a copy, which must need exactly all of it; every shorter one is cut. */
static struct bc_instruction decode_exact(const uint8_t *bytes, size_t size)
{
    struct bc_instruction out = {0};
    for (size_t have = 1; have <= size; have++) {
        uint8_t *copy = malloc(have + 1);
        copy[0] = 0;
        memcpy(copy + 1, bytes, have);
        enum bc_decode_status status = bc_decode(copy, (uint32_t)have + 1, 1, &out);
        if (have == size) {
            assert_int_equal(status, BC_DECODE_OK);
            out.text = out.text ? bytes + (out.text - copy) - 1 : NULL;
            out.switch_table = out.switch_table ? bytes + (out.switch_table - copy) - 1 : NULL;
        } else {
            assert_int_equal(status, BC_DECODE_TRUNCATED);
            assert_int_equal(out.length, 1);
            assert_int_equal(out.opcode, bytes[0]);
        }
        free(copy);
    }
    assert_int_equal(out.offset, 1);
    assert_int_equal(out.length, size);
    assert_int_equal(out.opcode, bytes[0]);
    return out;
}

static void every_operand_kind_is_decoded_and_bounded(void **state)
{
    (void)state;
    static const uint8_t none[] = {0x08};
    assert_int_equal(decode_exact(TO_SIZE(none)).kind, BC_OPERAND_NONE);
    static const uint8_t u8[] = {0x22, 0xfe};
    assert_int_equal(decode_exact(TO_SIZE(u8)).first, 254);
    static const uint8_t i32[] = {0x23, 0xff, 0xff, 0xff, 0xfe};
    assert_int_equal(decode_exact(TO_SIZE(i32)).first, -2);
    static const uint8_t i64[] = {0x25, 0x80, 0, 0, 0, 0, 0, 0, 1};
    assert_true(decode_exact(TO_SIZE(i64)).first == INT64_MIN + 1);
    static const uint8_t two[] = {0x29, 0xff, 0x01};
    assert_int_equal(decode_exact(TO_SIZE(two)).first, 255);
    assert_int_equal(decode_exact(TO_SIZE(two)).second, 1);
    static const uint8_t mixed[] = {0x0d, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(decode_exact(TO_SIZE(mixed)).first, 255);
    assert_int_equal(decode_exact(TO_SIZE(mixed)).second, -1);
    static const uint8_t pair[] = {0x6e, 0, 0, 1, 0, 0x80, 0, 0, 0};
    assert_int_equal(decode_exact(TO_SIZE(pair)).first, 256);
    assert_int_equal(decode_exact(TO_SIZE(pair)).second, INT32_MIN);
    static const uint8_t debug[] = {0x01, 0x03};
    assert_int_equal(decode_exact(TO_SIZE(debug)).first, 3);
    assert_null(decode_exact(TO_SIZE(debug)).text);
}

static void strings_point_into_the_code(void **state)
{
    (void)state;
    static const uint8_t string[] = {0x24, 0, 0, 0, 3, 'a', 0, 'b'};
    struct bc_instruction out = decode_exact(TO_SIZE(string));
    assert_ptr_equal(out.text, string + 5);
    assert_int_equal(out.text_size, 3);
    static const uint8_t debug[] = {0x01, 0x81, 0, 0, 0, 1, 'x'};
    out = decode_exact(TO_SIZE(debug));
    assert_int_equal(out.first, 0x81);
    assert_int_equal(out.text_size, 1);
    assert_ptr_equal(out.text, debug + 6);
}

static void jump_targets_are_absolute(void **state)
{
    (void)state;
    static const uint8_t back[] = {0, 0x06, 0xff, 0xff, 0xff, 0xfe};
    struct bc_instruction out;
    assert_int_equal(bc_decode(TO_SIZE(back), 1, &out), BC_DECODE_OK);
    assert_int_equal(out.target, 0);
    static const uint8_t self[] = {0x06, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(bc_decode(TO_SIZE(self), 0, &out), BC_DECODE_OK);
    assert_int_equal(out.target, 0);
    static const uint8_t outside[] = {0x06, 0, 0, 0, 4};
    assert_int_equal(bc_decode(TO_SIZE(outside), 0, &out), BC_DECODE_BAD_TARGET);
    assert_int_equal(out.length, 5);
    assert_int_equal(out.target, 0);
}

static void switch_entries_are_relative_to_themselves(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x07, 0,    0,    0,    2, 0xff, 0xff, 0xff, 0xff, 0,   0, 0, 3,
                                   0xff, 0xff, 0xff, 0xf3, 0, 0,    0,    4,    0x08, 0x08};
    struct bc_instruction out;
    assert_int_equal(bc_decode(TO_SIZE(code), 0, &out), BC_DECODE_OK);
    assert_int_equal(out.switch_count, 2);
    assert_int_equal(out.first, -1);
    assert_int_equal(out.second, 3);
    assert_int_equal(out.length, 21);
    assert_int_equal(bc_switch_target(&out, 0), 0);
    assert_int_equal(bc_switch_target(&out, 1), 21);
    static const uint8_t empty[] = {0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    assert_int_equal(decode_exact(TO_SIZE(empty)).switch_count, 0);
}

static void impossible_operands_are_told(void **state)
{
    (void)state;
    struct bc_instruction out;
    static const uint8_t length[] = {0x24, 0xff, 0xff, 0xff, 0xff, 0};
    assert_int_equal(bc_decode(TO_SIZE(length), 0, &out), BC_DECODE_BAD_OPERAND);
    static const uint8_t count[] = {0x07, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1};
    assert_int_equal(bc_decode(TO_SIZE(count), 0, &out), BC_DECODE_BAD_OPERAND);
    static const uint8_t divisor[] = {0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(bc_decode(TO_SIZE(divisor), 0, &out), BC_DECODE_BAD_OPERAND);
    static const uint8_t none[] = {0x5b};
    assert_int_equal(bc_decode(TO_SIZE(none), 0, &out), BC_DECODE_RESERVED);
    assert_int_equal(bc_decode(TO_SIZE(none), 1, &out), BC_DECODE_END);
    assert_int_equal(bc_decode(TO_SIZE(none), UINT32_MAX, &out), BC_DECODE_END);
    assert_int_equal(bc_decode(NULL, 0, 0, &out), BC_DECODE_END);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int status = BC_DECODE_OK; status <= BC_DECODE_BAD_TARGET; status++) {
        assert_string_not_equal(bc_decode_status_text((enum bc_decode_status)status),
                                "unknown status");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_names_are_the_ports),
        cmocka_unit_test(numbers_without_meaning_are_told_apart),
        cmocka_unit_test(every_operand_kind_is_decoded_and_bounded),
        cmocka_unit_test(strings_point_into_the_code),
        cmocka_unit_test(jump_targets_are_absolute),
        cmocka_unit_test(switch_entries_are_relative_to_themselves),
        cmocka_unit_test(impossible_operands_are_told),
        cmocka_unit_test(every_status_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
