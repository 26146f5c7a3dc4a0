/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytecode_disasm.c - the text of a class. The first argument is the golden text of the sample
 * class; with PH_REWRITE_GOLDEN=1 it is written instead of compared.
 */
#include "ph_test.h"

#include "bc_disasm.h"
#include "bc_opcodes.h"
#include "class_file_builder.h"
#include "ph_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden_path;

static struct bc_class *read_built(struct builder *file)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    assert_int_equal(bc_class_read("x", file->data, file->size, &class, &diag), 0);
    build_finish(file);
    return class;
}

static char *disassemble(struct bc_class *class, unsigned flags)
{
    struct bc_bytes out = {0};
    assert_int_equal(bc_disassemble(class, flags, &out), 0);
    assert_int_equal(strlen((char *)out.data), out.size);
    bc_class_destroy(class);
    return (char *)out.data;
}

/* The lines after "  N bytes\n" of a class with one method of this code. */
static void expect_code(const uint8_t *code, size_t size, const char *wanted)
{
    struct builder file = {0};
    build_class_record(&file, ".a", 0, 1, ".b");
    build_method_record(&file, "m", 0, code, size);
    char *text = disassemble(read_built(&file), 0);
    const char *found = strstr(text, " bytes\n");
    assert_non_null(found);
    assert_string_equal(found + strlen(" bytes\n"), wanted);
    ph_free(text);
}

static void sample_equals_the_golden_text(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    char *text = disassemble(read_built(&file), BC_DISASM_FACTS);
    const char *rewrite = getenv("PH_REWRITE_GOLDEN");
    if (rewrite && rewrite[0] == '1') {
        FILE *out = fopen(golden_path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
        assert_int_equal(fclose(out), 0);
    }
    FILE *golden = fopen(golden_path, "rb");
    assert_non_null(golden);
    static char wanted[16384];
    size_t size = fread(wanted, 1, sizeof wanted - 1, golden);
    fclose(golden);
    wanted[size] = '\0';
    assert_string_equal(text, wanted);
    ph_free(text);
}

static void facts_and_lines_can_be_left_out(void **state)
{
    (void)state;
    struct builder file = {0};
    build_sample(&file);
    char *text = disassemble(read_built(&file), BC_DISASM_NO_LINES);
    assert_null(strstr(text, "; line"));
    assert_null(strstr(text, "regular"));
    ph_free(text);
}

#define CODE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void undecodable_bytes_are_shown_and_skipped(void **state)
{
    (void)state;
    expect_code(CODE(0x9f, 0x08), "    0000  .byte 0x9f ; unassigned opcode\n"
                                  "    0001  ret\n");
    expect_code(CODE(0x19), "    0000  .byte 0x19 ; reserved opcode\n");
    expect_code(CODE(0x23, 0, 0), "    0000  .byte 0x23 ; operand cut off by the end of the code\n"
                                  "    0001  nop\n"
                                  "    0002  nop\n");
    expect_code(CODE(0x24, 0xff, 0xff, 0xff, 0xff), "    0000  .byte 0x24 ; impossible operand\n"
                                                    "    0001  .byte 0xff ; unassigned opcode\n"
                                                    "    0002  .byte 0xff ; unassigned opcode\n"
                                                    "    0003  .byte 0xff ; unassigned opcode\n"
                                                    "    0004  .byte 0xff ; unassigned opcode\n");
}

static void bad_jumps_are_marked(void **state)
{
    (void)state;
    expect_code(CODE(0x06, 0, 0, 1, 0), "    0000  jmp +256 ; jump target outside the code\n");
    expect_code(CODE(0x06, 0, 0, 0, 1), "    0000  jmp ?0002\n"); /* into itself */
    expect_code(CODE(0x07, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0),
                "    0000  switch shift=0 divisor=1 [-16777216] ; jump target outside the code\n");
}

static void long_strings_are_cut_with_their_size(void **state)
{
    (void)state;
    uint8_t code[5 + 70] = {0x24, 0, 0, 0, 70};
    memset(code + 5, 'x', 70);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "    0000  sconst_bin \"%.64s\"... (70 bytes)\n",
             (const char *)code + 5);
    expect_code(code, sizeof code, wanted);
}

static void names_cannot_bring_other_than_ascii_into_the_text(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, ".\xff\"\\", 0, 1, ".b");
    build_method_record(&file, "m\x80", 0, "\x08", 1);
    char *text = disassemble(read_built(&file), BC_DISASM_FACTS);
    assert_non_null(strstr(text, "class .\\xff\\\"\\\\\n"));
    for (const char *at = text; *at; at++) {
        assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7f));
    }
    ph_free(text);
}

static void verdicts_are_shown_on_demand(void **state)
{
    (void)state;
    struct builder file = {0};
    build_class_record(&file, ".a", 0, 2, ".b");
    build_method_record(&file, "bad", 0, "\x9f", 1);
    build_method_record(&file, "odd", 1, "\x13\x08", 2);
    build_signature_record(&file, "odd", 1);
    char *text = disassemble(read_built(&file), BC_DISASM_FACTS);
    assert_non_null(strstr(text, "  refused: class .a, method bad (ordinal 0), code offset 0: "
                                 "unassigned opcode\n"));
    assert_non_null(strstr(text, "  irregular at 0000: object stack underflow\n"));
    ph_free(text);
}

static void class_made_in_memory_needs_no_names(void **state)
{
    (void)state;
    static uint8_t code[] = {BC_OP_os_load8, 9, BC_OP_const_pool, 0, 0, 0, 9, BC_OP_ret};
    struct bc_method method = {.code = {code, sizeof code}};
    struct bc_field field = {.slot = 9}; /* not below object_slots: shown, not used */
    struct bc_class class = {
        .methods = &method, .method_count = 1, .fields = &field, .field_count = 1};
    struct bc_bytes out = {0};
    assert_int_equal(bc_disassemble(&class, 0, &out), 0);
    assert_string_equal((char *)out.data,
                        "class \nparent \nslots 0 objects, 0 methods\nfield 9 ? \n"
                        "\nmethod 0 \n  8 bytes\n    0000  os_load8 9\n"
                        "    0002  const_pool 9\n    0007  ret\n");
    ph_free(out.data);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: %s GOLDEN\n", arguments[0]);
        return 2;
    }
    golden_path = arguments[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_equals_the_golden_text),
        cmocka_unit_test(facts_and_lines_can_be_left_out),
        cmocka_unit_test(undecodable_bytes_are_shown_and_skipped),
        cmocka_unit_test(bad_jumps_are_marked),
        cmocka_unit_test(long_strings_are_cut_with_their_size),
        cmocka_unit_test(names_cannot_bring_other_than_ascii_into_the_text),
        cmocka_unit_test(verdicts_are_shown_on_demand),
        cmocka_unit_test(class_made_in_memory_needs_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
