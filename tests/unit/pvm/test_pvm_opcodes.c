/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_opcodes.c - what each instruction does, with every prefix that means something to it.
 */
#include "pvm_kit.h"

/* Int expression -> printed. */
#define IS(expression, expected) kit_expect(BOOT expression " i2o " PRINT " ret", expected)
/* 64-bit integer expression: thrown as a long, because texts of failures show longs. */
#define LIS(expression, expected)                                                                  \
    kit_expect_throw(expression " prefix_long i2o throw", "exception: " expected "\n")
/* Raw bits of a double or float through an int comparison with a constant of the same kind. */
#define DOUBLE_IS(expression, bits) LIS(expression, bits)

static void int_arithmetic_wraps(void **state)
{
    (void)state;
    IS(INT(7) INT(3) "isum", "10");
    IS(INT(7) INT(3) "imul", "21");
    IS(INT(7) INT(3) "isublu", "4");
    IS(INT(7) INT(3) "isubul", "-4");
    IS(INT(7) INT(3) "idivlu", "2");
    IS(INT(3) INT(7) "idivul", "2");
    IS(INT(7) INT(3) "iremlu", "1");
    IS(INT(3) INT(7) "iremul", "1");
    IS(INT(-7) INT(3) "idivlu", "-2");
    IS(INT(-7) INT(3) "iremlu", "-1");
    IS(INT(2147483647) INT(1) "isum", "-2147483648");
    IS(INT(-2147483648) INT(-1) "imul", "-2147483648");
    IS(INT(-2147483648) INT(-1) "idivlu", "-2147483648");
    IS(INT(-2147483648) INT(-1) "iremlu", "0");
    IS(INT(-2147483648) INT(1) "isublu", "2147483647");
}

static void long_arithmetic_wraps(void **state)
{
    (void)state;
    LIS(LONG(5000000000) LONG(3) "prefix_long isum", "5000000003");
    LIS(LONG(5000000000) LONG(3) "prefix_long imul", "15000000000");
    LIS(LONG(5000000000) LONG(3) "prefix_long isublu", "4999999997");
    LIS(LONG(5000000000) LONG(3) "prefix_long isubul", "-4999999997");
    LIS(LONG(5000000000) LONG(3) "prefix_long idivlu", "1666666666");
    LIS(LONG(3) LONG(5000000000) "prefix_long idivul", "1666666666");
    LIS(LONG(5000000000) LONG(3) "prefix_long iremlu", "2");
    LIS(LONG(3) LONG(5000000000) "prefix_long iremul", "2");
    LIS(LONG(9223372036854775807) LONG(1) "prefix_long isum", "-9223372036854775808");
    LIS(LONG(-9223372036854775808) LONG(-1) "prefix_long iremlu", "0");
    LIS(LONG(-9223372036854775808) LONG(-1) "prefix_long idivlu", "-9223372036854775808");
}

static void division_by_zero_throws(void **state)
{
    (void)state;
    kit_expect_throw(INT(1) INT(0) "idivlu i2o throw", "division by zero");
    kit_expect_throw(INT(0) INT(1) "idivul i2o throw", "division by zero");
    kit_expect_throw(INT(1) INT(0) "iremlu i2o throw", "division by zero");
    kit_expect_throw(INT(0) INT(1) "iremul i2o throw", "division by zero");
    kit_expect_throw(LONG(1) LONG(0) "prefix_long idivlu prefix_long i2o throw",
                     "division by zero");
    kit_expect_throw(LONG(0) LONG(1) "prefix_long idivul prefix_long i2o throw",
                     "division by zero");
    kit_expect_throw(LONG(1) LONG(0) "prefix_long iremlu prefix_long i2o throw",
                     "division by zero");
    kit_expect_throw(LONG(0) LONG(1) "prefix_long iremul prefix_long i2o throw",
                     "division by zero");
}

static void bits_and_logic(void **state)
{
    (void)state;
    IS(INT(12) INT(10) "ior", "14");
    IS(INT(12) INT(10) "iand", "8");
    IS(INT(12) INT(10) "ixor", "6");
    IS(INT(12) "inot", "-13");
    IS(INT(2) INT(0) "log_or", "1");
    IS(INT(0) INT(0) "log_or", "0");
    IS(INT(2) INT(4) "log_and", "1");
    IS(INT(2) INT(0) "log_and", "0");
    IS(INT(2) INT(4) "log_xor", "0");
    IS(INT(2) INT(0) "log_xor", "1");
    IS(INT(2) "log_not", "0");
    IS(INT(0) "log_not", "1");
    LIS(LONG(12) LONG(10) "prefix_long ior", "14");
    LIS(LONG(12) LONG(10) "prefix_long iand", "8");
    LIS(LONG(12) LONG(10) "prefix_long ixor", "6");
    LIS(LONG(0) "prefix_long inot", "-1");
    LIS(LONG(4294967296) LONG(0) "prefix_long log_or", "1");
    LIS(LONG(4294967296) LONG(1) "prefix_long log_and", "1");
    LIS(LONG(4294967296) LONG(1) "prefix_long log_xor", "0");
    LIS(LONG(4294967296) "prefix_long log_not", "0");
}

static void shifts_take_the_count_from_the_top(void **state)
{
    (void)state;
    IS(INT(1) INT(4) "ishl", "16");
    IS(INT(-16) INT(2) "ishr", "-4");
    IS(INT(-16) INT(28) "ushr", "15");
    IS(INT(1) INT(33) "ishl", "2");
    LIS(LONG(1) INT(40) "prefix_long ishl", "1099511627776");
    LIS(LONG(-1099511627776) INT(40) "prefix_long ishr", "-1");
    LIS(LONG(-1) INT(63) "prefix_long ushr", "1");
    LIS(LONG(1) INT(65) "prefix_long ishl", "2");
}

static void comparisons_give_an_int(void **state)
{
    (void)state;
    IS(INT(3) INT(4) "ilt", "1");
    IS(INT(3) INT(4) "igt", "0");
    IS(INT(4) INT(4) "ile", "1");
    IS(INT(3) INT(4) "ige", "0");
    IS(LONG(5000000000) LONG(4) "prefix_long igt", "1");
    IS(LONG(-5000000000) LONG(4) "prefix_long ilt", "1");
    IS(LONG(4) LONG(4) "prefix_long ige", "1");
    IS(LONG(5) LONG(4) "prefix_long ile", "0");
    IS(INT(3) "prefix_double fromi" INT(4) "prefix_double fromi prefix_double ilt", "1");
    IS(INT(3) "prefix_double fromi" INT(4) "prefix_double fromi prefix_double igt", "0");
    IS(INT(3) "prefix_double fromi" INT(3) "prefix_double fromi prefix_double ile", "1");
    IS(INT(3) "prefix_double fromi" INT(3) "prefix_double fromi prefix_double ige", "1");
    IS(INT(3) "prefix_float fromi" INT(4) "prefix_float fromi prefix_float ilt", "1");
    IS(INT(3) "prefix_float fromi" INT(4) "prefix_float fromi prefix_float igt", "0");
    IS(INT(3) "prefix_float fromi" INT(3) "prefix_float fromi prefix_float ile", "1");
    IS(INT(3) "prefix_float fromi" INT(3) "prefix_float fromi prefix_float ige", "1");
}

#define DBL(n) INT(n) " prefix_double fromi "
#define FLT(n) INT(n) " prefix_float fromi "

static void floating_arithmetic(void **state)
{
    (void)state;
    IS(DBL(7) DBL(2) "prefix_double idivlu" DBL(4) "prefix_double imul fromd", "14");
    IS(DBL(2) DBL(7) "prefix_double idivul" DBL(4) "prefix_double imul fromd", "14");
    IS(DBL(7) DBL(2) "prefix_double isum fromd", "9");
    IS(DBL(7) DBL(2) "prefix_double isublu fromd", "5");
    IS(DBL(7) DBL(2) "prefix_double isubul fromd", "-5");
    IS(DBL(7) DBL(4) "prefix_double iremlu fromd", "3");
    IS(DBL(4) DBL(7) "prefix_double iremul fromd", "3");
    IS(FLT(7) FLT(2) "prefix_float idivlu" FLT(4) "prefix_float imul fromf", "14");
    IS(FLT(2) FLT(7) "prefix_float idivul" FLT(4) "prefix_float imul fromf", "14");
    IS(FLT(7) FLT(2) "prefix_float isum fromf", "9");
    IS(FLT(7) FLT(2) "prefix_float isublu fromf", "5");
    IS(FLT(7) FLT(2) "prefix_float isubul fromf", "-5");
    IS(FLT(7) FLT(4) "prefix_float iremlu fromf", "3");
    IS(FLT(4) FLT(7) "prefix_float iremul fromf", "3");
    /* 1/0 is infinite, 0/0 is no number: no exception */
    IS(DBL(1) DBL(0) "prefix_double idivlu fromd", "2147483647");
    IS(DBL(0) DBL(0) "prefix_double idivlu fromd", "0");
    kit_expect_throw(DBL(1) DBL(1) "prefix_double iand prefix_double i2o throw", "floating point");
    kit_expect_throw(FLT(1) FLT(1) "prefix_float log_or prefix_float i2o throw", "floating point");
    kit_expect_throw(FLT(1) FLT(1) "prefix_float ishl prefix_float i2o throw", "floating point");
}

static void conversions_saturate(void **state)
{
    (void)state;
    IS(INT(-5) "fromi", "-5");
    LIS(INT(-5) "prefix_long fromi", "-5");
    IS(LONG(4294967297) "froml", "1");
    LIS(LONG(-4294967297) "prefix_long froml", "-4294967297");
    IS(LONG(3) "prefix_float froml fromf", "3");
    IS(LONG(3) "prefix_double froml fromd", "3");
    IS(FLT(3) "prefix_float fromf fromf", "3");
    LIS(FLT(3) "prefix_long fromf", "3");
    IS(FLT(3) "prefix_double fromf fromd", "3");
    IS(DBL(3) "prefix_float fromd fromf", "3");
    LIS(DBL(3) "prefix_long fromd", "3");
    IS(DBL(3) "prefix_double fromd fromd", "3");
    /* 2^31 * 2^31 is beyond int, times itself beyond long */
    IS(DBL(-2147483648) DBL(-2147483648) "prefix_double imul fromd", "2147483647");
    LIS(DBL(-2147483648) DBL(-2147483648) "prefix_double imul prefix_double is_dup prefix_double "
                                          "imul prefix_long fromd",
        "9223372036854775807");
    LIS(DBL(-2147483648)
            DBL(2147483647) "prefix_double imul prefix_double is_dup prefix_double isum"
                            " prefix_double is_dup prefix_double isum"
                            " prefix_double is_dup prefix_double isum prefix_long fromd",
        "-9223372036854775808");
    LIS(LONG(2147483648) "prefix_double froml prefix_long fromd", "2147483648");
}

static void constants_and_cells(void **state)
{
    (void)state;
    IS("iconst_0", "0");
    IS("iconst_1", "1");
    IS("iconst_8bit 200", "200");
    LIS("prefix_long iconst_0", "0");
    LIS("prefix_long iconst_1", "1");
    LIS("prefix_long iconst_8bit 200", "200");
    LIS("prefix_long iconst_32bit -3", "-3");
    LIS("prefix_double iconst_32bit -3", "-3"); /* an integer even under double */
    LIS("iconst_64bit -5000000000", "-5000000000");
    IS(INT(5) "is_dup isum", "10");
    IS(INT(5) INT(6) "is_drop", "5");
    LIS(LONG(5000000000) "prefix_long is_dup prefix_long isum", "10000000000");
    LIS(LONG(5000000000) LONG(6) "prefix_long is_drop", "5000000000");
    IS("prefix_float iconst_8bit 9", "9"); /* a prefix without use */
    /* locals: cell 0 is the argument count, which is on the int stack still */
    IS("is_get32 0", "1");
    IS("stack_reserve 0 4" INT(9) "is_set32 2 is_get32 2", "9");
    LIS("stack_reserve 0 4" LONG(5000000000) "prefix_long is_set32 2 prefix_long is_get32 2",
        "5000000000");
    /* high word below, low word above */
    IS("stack_reserve 0 4" LONG(5000000000) "prefix_long is_set32 2 is_get32 2", "1");
    IS("stack_reserve 0 4" LONG(4294967303) "prefix_long is_set32 2 is_get32 3", "7");
    IS("stack_reserve 0 4 is_get32 4", "0");
}

static void jumps(void **state)
{
    (void)state;
    IS(INT(0) "jz yes" INT(1) "jmp end yes:" INT(2) "end:", "2");
    IS(INT(5) "jz yes" INT(1) "jmp end yes:" INT(2) "end:", "1");
    /* djnz leaves its counter on the stack */
    IS("stack_reserve 0 1" INT(10) "loop: is_get32 1" INT(
           3) "isum is_set32 1 djnz loop is_drop is_get32 1",
       "30");
    IS(INT(12) "switch 3 -10 1 a b c" INT(0) "jmp e a:" INT(1) "jmp e b:" INT(2) "jmp e c:" INT(
           3) "e:",
       "3");
    IS(INT(22) "switch 3 -10 1 a b c" INT(0) "jmp e a:" INT(1) "jmp e b:" INT(2) "jmp e c:" INT(
           3) "e:",
       "0");
    IS(INT(9) "switch 3 -10 1 a b c" INT(0) "jmp e a:" INT(1) "jmp e b:" INT(2) "jmp e c:" INT(
           3) "e:",
       "0");
    IS(INT(14) "switch 3 -10 2 a b c" INT(0) "jmp e a:" INT(1) "jmp e b:" INT(2) "jmp e c:" INT(
           3) "e:",
       "3");
    IS("debug 0 debug 0x81 'text' nop" INT(4), "4");
}

static void objects_on_the_stack(void **state)
{
    (void)state;
    kit_expect(BOOT "sconst_bin 'hello' " PRINT "ret", "hello");
    kit_expect(BOOT "sconst_bin '' " PRINT "ret", "");
    kit_expect(BOOT "sconst_bin 'b' os_dup call_0A 1" PRINT "ret", "bb");
    kit_expect("sconst_bin 'x' " BOOT "os_pull32 1 " PRINT "os_drop ret", "x");
    kit_expect("stack_reserve 1 0 sconst_bin 'y' os_set32 1" BOOT "os_get32 1" PRINT "ret", "y");
    IS("summon_null os_isnull", "1");
    kit_expect("stack_reserve 1 0" BOOT "os_get32 1 os_isnull i2o" PRINT "ret", "1");
    IS("summon_this os_isnull", "0");
    IS("summon_this summon_this os_eq", "1");
    IS("summon_this summon_null os_eq", "0");
    IS("summon_this summon_null os_neq", "1");
    kit_expect("stack_reserve 1 0" BOOT "os_get32 1 summon_null os_eq i2o" PRINT "ret", "1");
    IS("summon_thread summon_thread os_eq", "1");
    kit_expect(BOOT "summon_int_class call_05 0" PRINT "ret", "class");
    IS("summon_class_class summon_string_class os_eq", "0");
    IS("summon_interface_class summon_code_class os_eq", "0");
    IS("summon_array_class summon_by_name '.internal.container.array' os_eq", "1");
    IS("summon_by_name '.internal.void' summon_by_name '.internal.object' os_eq", "1");
}

static void fields_hold_references(void **state)
{
    (void)state;
    kit_expect("sconst_bin 'f' os_save8 3" BOOT "os_load8 3" PRINT "ret", "f");
    kit_expect("sconst_bin 'f' os_save32 2" BOOT "os_load32 2" PRINT "ret", "f");
    IS("os_load8 0 os_isnull", "1");
    IS(INT(42) "is_save8 1 is_load8 1", "42");
    kit_expect_throw("is_load8 1 ret", "null reference");
    kit_expect_throw("sconst_bin 'f' os_save8 1 is_load8 1 ret", "type assert failed");
    kit_expect_throw("summon_this call_0E 0 os_drop sconst_bin 'f' os_save8 1 ret", "immutable");
}

static void boxes(void **state)
{
    (void)state;
    IS(INT(-42) "i2o o2i", "-42");
    LIS(LONG(-5000000000) "prefix_long i2o prefix_long o2i", "-5000000000");
    IS(DBL(42) "prefix_double i2o prefix_double o2i fromd", "42");
    IS(FLT(42) "prefix_float i2o prefix_float o2i fromf", "42");
    kit_expect_throw("sconst_bin 'x' o2i i2o throw", "type assert failed");
    kit_expect_throw("summon_null o2i i2o throw", "null reference");
    kit_expect_throw("stack_reserve 1 0 os_get32 1 o2i i2o throw", "null reference");
    kit_expect_throw(INT(1) "i2o prefix_long o2i prefix_long i2o throw", "type assert failed");
    kit_expect_throw(INT(1) "i2o prefix_double o2i prefix_double i2o throw", "type assert failed");
    kit_expect_throw(INT(1) "i2o prefix_float o2i prefix_float i2o throw", "type assert failed");
    IS(INT(5000) "i2o" INT(5000) "i2o os_eq", "0"); /* boxes are objects */
    IS(INT(1) "i2o" INT(1) "i2o os_eq", "1");       /* small ones are shared */
    IS(INT(1) "i2o" INT(1) "i2o call_04 1 o2i", "1");
}

static void new_and_cast(void **state)
{
    (void)state;
    kit_expect(BOOT "summon_string_class new" PRINT "ret", "");
    IS("summon_array_class new call_0C 0 o2i", "0");
    IS("summon_by_name '.boot' new call_02 0 summon_by_name '.boot' os_eq", "1");
    kit_expect_throw("summon_this new throw", "not a class");
    kit_expect_throw("summon_class_class new throw", "cannot be instantiated");
    kit_expect_throw("summon_by_name '.internal.thread' new throw", "cannot be instantiated");
    kit_expect_throw("summon_null new throw", "not a class");
    IS("summon_this summon_by_name '.internal.object' cast os_isnull", "0");
    IS("summon_null summon_by_name '.boot' cast os_isnull", "1"); /* null has every class */
    kit_expect_throw("summon_this summon_string_class cast throw", "cast to not parent");
    kit_expect_throw("summon_this summon_this cast throw", "cast: not a class");
}

static void unknown_classes_throw(void **state)
{
    (void)state;
    kit_expect_throw("summon_by_name '.no.such' throw", ".no.such");
    kit_expect_throw("summon_by_name '' throw", "class");
    kit_expect(BOOT "summon_string_class push_catcher c summon_by_name '.no.such' throw"
                    " c: os_drop sconst_bin 'caught'" PRINT "ret",
               "caught");
}

static void argument_count_is_checked(void **state)
{
    (void)state;
    kit_expect("arg_count 1" SAY("one") "ret", "one");
    kit_expect_throw("arg_count 2 ret", "invalid arg count");
}

static void monitors_lock_any_object(void **state)
{
    (void)state;
    kit_expect("summon_this general_lock summon_this general_lock summon_this general_unlock"
               " summon_this general_unlock" SAY("done") "ret",
               "done");
    kit_expect_throw("summon_this general_unlock ret", "not locked");
    kit_expect_throw("summon_null general_lock ret", "null");
    kit_expect_throw("summon_this general_lock summon_this general_unlock summon_this"
                     " general_unlock ret",
                     "not locked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int_arithmetic_wraps),
        cmocka_unit_test(long_arithmetic_wraps),
        cmocka_unit_test(division_by_zero_throws),
        cmocka_unit_test(bits_and_logic),
        cmocka_unit_test(shifts_take_the_count_from_the_top),
        cmocka_unit_test(comparisons_give_an_int),
        cmocka_unit_test(floating_arithmetic),
        cmocka_unit_test(conversions_saturate),
        cmocka_unit_test(constants_and_cells),
        cmocka_unit_test(jumps),
        cmocka_unit_test(objects_on_the_stack),
        cmocka_unit_test(fields_hold_references),
        cmocka_unit_test(boxes),
        cmocka_unit_test(new_and_cast),
        cmocka_unit_test(unknown_classes_throw),
        cmocka_unit_test(argument_count_is_checked),
        cmocka_unit_test(monitors_lock_any_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
