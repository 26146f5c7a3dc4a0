/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_calls.c - calls, returns, exceptions, classes, stacks and memory limits.
 */
#include "pvm_kit.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/** Run `.boot` with the given methods; console must be `expected`. */
static void run_methods(const struct kit_method *methods, uint32_t n, const char *expected)
{
    struct kit *kit = kit_open();
    kit_class(kit, ".boot", ".internal.object", 4, methods, n, NULL);
    kit_boot(kit, ".boot");
    int rc = kit_run(kit);
    if (rc != 0) {
        fail_msg("result %d: %s", rc, kit->failure);
    }
    assert_string_equal(kit_console(kit), expected);
    kit_close(kit);
}

static void arguments_and_results(void **state)
{
    (void)state;
    const struct kit_method methods[] = {
        {8, 1,
         BOOT "summon_this sconst_bin 'a' sconst_bin 'b' call_10 2" PRINT /* this.16('a','b') */
             BOOT "summon_this call_8bit 17 0" PRINT                      /* void: null */
                 BOOT "summon_this sconst_bin 'x' call_32bit 18 1" PRINT "ret",
         NULL},
        {16, 2, "arg_count 2 os_get32 0 os_get32 1 call_0A 1 ret", NULL},
        {17, 0, "arg_count 0 ret", NULL},
        {18, 1, "arg_count 1 os_get32 0 ret", NULL},
    };
    run_methods(methods, COUNT(methods), "abnullx");
}

static void short_calls_reach_ordinals_0_to_3(void **state)
{
    (void)state;
    const struct kit_method methods[] = {
        {8, 1,
         BOOT "summon_this short_call_0" PRINT BOOT "summon_this short_call_1" PRINT BOOT
              "summon_this short_call_3" PRINT BOOT "summon_this short_call_2 call_05 0" PRINT
              "ret",
         NULL},
        {0, 0, "sconst_bin 'zero' ret", NULL},
        {1, 0, "sconst_bin 'one' ret", NULL},
        {3, 0, "sconst_bin 'three' ret", NULL},
    };
    run_methods(methods, COUNT(methods), "zeroonethreeclass");
}

static void inherited_methods_of_object_work_on_user_objects(void **state)
{
    (void)state;
    kit_expect(BOOT "summon_this call_05 0" PRINT "ret", "(void)");
    kit_expect(BOOT "summon_this summon_this call_04 1" PRINT "ret", "1");
    kit_expect(BOOT "summon_this call_00 0" PRINT "ret", "null");
    kit_expect(BOOT "summon_this" PRINT "ret", "<.boot>");
    kit_expect_throw("summon_this call_09 0 ret", "invalid syscall");
    kit_expect_throw("summon_this call_1F 0 ret", "no such method: 31 of .boot");
    kit_expect_throw("summon_this call_32bit 60000 0 ret", "no such method");
    /* null has the methods of object */
    kit_expect(BOOT "summon_null summon_null call_04 1" PRINT "ret", "1");
    kit_expect(BOOT "stack_reserve 1 0 os_drop summon_null summon_this call_04 1" PRINT "ret", "0");
    kit_expect_throw("summon_null call_08 0 ret", "null reference");
    kit_expect_throw("summon_null call_1F 0 ret", "null reference");
    kit_expect_throw("stack_reserve 1 0 call_1F 0 ret", "null reference");
}

static void instanceof_as_old_compilers_wrote_it(void **state)
{
    (void)state;
    kit_expect(BOOT "summon_this summon_by_name '.boot' call_0E 1" PRINT "ret", "1");
    kit_expect(BOOT "summon_this summon_string_class call_0E 1" PRINT "ret", "0");
    kit_expect(BOOT "summon_this summon_by_name '.boot' call_0E 1 os_drop sconst_bin 'f' os_save8 0"
                    " os_load8 0" PRINT "ret",
               "f"); /* and it is not immutable now */
}

static void recursion_is_deep_and_bounded(void **state)
{
    (void)state;
    /* 17(n): n ? 1 + 17(n-1) : 0 */
    const char *count = "arg_count 1 os_get32 0 o2i jz zero"
                        " summon_this os_get32 0 o2i iconst_32bit 1 isublu i2o call_11 1"
                        " o2i iconst_32bit 1 isum i2o ret"
                        " zero: iconst_32bit 0 i2o ret";
    const struct kit_method deep[] = {
        {8, 1, BOOT "summon_this" INT(100000) "i2o call_11 1" PRINT "ret", NULL},
        {17, 1, count, NULL},
    };
    run_methods(deep, COUNT(deep), "100000");

    const struct kit_method bounded[] = {
        {8, 1,
         "summon_string_class push_catcher c summon_this call_11 0 os_drop ret"
         " c: os_set32 0 ret",
         NULL},
        {17, 0, "summon_this call_11 0 ret", NULL},
    };
    struct kit *kit = kit_open();
    struct kit_method with_print[2] = {bounded[0], bounded[1]};
    with_print[0].text = "stack_reserve 1 0 summon_string_class push_catcher c"
                         " summon_this call_11 0 os_drop ret"
                         " c: os_set32 1" BOOT "os_get32 1" PRINT "ret";
    kit->options.max_stack_bytes = 1 << 20;
    kit_class(kit, ".boot", ".internal.object", 0, with_print, 2, NULL);
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), 0);
    assert_string_equal(kit_console(kit), "stack overflow");
    kit_close(kit);
}

static void static_invoke_calls_the_named_class(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method parent[] = {
        {16, 0, "sconst_bin 'parent ' ret", NULL},
        {17, 0, "const_pool 0 ret", NULL},
    };
    const char *const parent_pool[] = {"parent constant ", NULL};
    const char *const child_pool[] = {"child constant ", NULL};
    const struct kit_method child[] = {
        {8, 1,
         BOOT "summon_this call_10 0" PRINT BOOT "summon_this summon_by_name '.parent'"
              " static_invoke 16 0" PRINT BOOT "summon_this call_11 0" PRINT BOOT
              "const_pool 0" PRINT "summon_this summon_by_name '.parent' static_invoke 0 0 os_drop"
              " summon_this summon_string_class static_invoke 0 0 ret",
         NULL},
        {16, 0, "sconst_bin 'child ' ret", NULL},
    };
    kit_class(kit, ".parent", ".internal.object", 1, parent, COUNT(parent), parent_pool);
    kit_class(kit, ".child", ".parent", 0, child, COUNT(child), child_pool);
    kit_boot(kit, ".child");
    assert_int_equal(kit_run(kit), PHANTOM_EPROGRAM);
    assert_string_equal(kit_console(kit), "child parent parent constant child constant ");
    assert_non_null(strstr(kit->failure, "static_invoke: object is not of that class"));
    kit_close(kit);
}

static void dynamic_invoke_finds_names_in_parents_too(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method parent[] = {{16, 1, "os_get32 0 ret", "echo"}};
    const struct kit_method child[] = {
        {8, 1,
         BOOT "sconst_bin 'hi' " INT(1) "summon_this sconst_bin 'echo' dynamic_invoke" PRINT BOOT
             INT(0) "summon_this sconst_bin 'own' dynamic_invoke" PRINT INT(
                 0) "summon_this sconst_bin 'none' dynamic_invoke ret",
         NULL},
        {17, 0, "sconst_bin '!' ret", "own"},
    };
    kit_class(kit, ".parent", ".internal.object", 0, parent, COUNT(parent), NULL);
    kit_class(kit, ".child", ".parent", 0, child, COUNT(child), NULL);
    kit_boot(kit, ".child");
    assert_int_equal(kit_run(kit), PHANTOM_EPROGRAM);
    assert_string_equal(kit_console(kit), "hi!");
    assert_non_null(strstr(kit->failure, "no method none"));
    kit_close(kit);
}

/* ---- exceptions ------------------------------------------------------------------------------ */

static void catch_cuts_stacks_and_drops_the_handler(void **state)
{
    (void)state;
    /* extra cells are pushed inside the try; afterwards the depths are as before it */
    kit_expect(INT(7) "summon_string_class push_catcher c" INT(1)
                   INT(2) "summon_this summon_this sconst_bin 'oops' throw"
                          " c: os_drop" BOOT "i2o" PRINT "ret",
               "7");
    /* a throw in the handler is not caught by the same handler */
    kit_expect_throw("summon_string_class push_catcher c sconst_bin 'one' throw"
                     " c: os_drop sconst_bin 'two' throw",
                     "exception: two");
    kit_expect("summon_string_class push_catcher a summon_string_class push_catcher b"
               " sconst_bin 'one' throw b: os_drop sconst_bin 'two' throw"
               " a: os_set32 0 ret",
               "");
    /* rethrow to the outer one */
    kit_expect(BOOT "summon_string_class push_catcher a summon_string_class push_catcher b"
                    " sconst_bin 'one' throw b: throw a:" PRINT "ret",
               "one");
    kit_expect(BOOT "summon_string_class push_catcher a pop_catcher sconst_bin 'no'" PRINT
                    "ret a: os_drop os_drop ret",
               "no");
}

static void catchers_match_by_class(void **state)
{
    (void)state;
    kit_expect(BOOT "summon_by_name '.internal.object' push_catcher a"
                    " summon_int_class push_catcher b sconst_bin 'text' throw"
                    " a:" PRINT "ret b: os_drop os_drop ret",
               "text");
    kit_expect(BOOT "summon_int_class push_catcher b" INT(5) "i2o throw b:" PRINT "ret", "5");
    kit_expect_throw("summon_int_class push_catcher b sconst_bin 'text' throw b: ret",
                     "exception: text");
    kit_expect_throw("summon_this push_catcher b ret b: ret", "not a class");
    kit_expect_throw("summon_null throw", "null thrown");
}

static void natives_throw_into_handlers_without_harm(void **state)
{
    (void)state;
    kit_expect(BOOT "summon_string_class push_catcher c sconst_bin 'abc' " INT(
                   10) "i2o call_09 1 ret c:" PRINT "ret",
               "string.charAt index is out of bounds");
    kit_expect_throw("sconst_bin 'abc' " INT(-1) "i2o call_09 1 ret", "out of bounds");
    kit_expect_throw("sconst_bin 'abc' call_09 0 ret", "need more parameters");
    kit_expect_throw("sconst_bin 'abc' summon_this call_09 1 ret", "not an integer arg");
    kit_expect_throw("sconst_bin 'abc' summon_null call_0A 1 ret", "not a string arg");
    kit_expect_throw("summon_array_class new" INT(0) "i2o call_0A 1 ret", "out of bounds");
    kit_expect_throw("summon_array_class new summon_this" INT(-1) "i2o call_0B 2 ret",
                     "out of bounds");
}

static void exceptions_cross_frames(void **state)
{
    (void)state;
    const struct kit_method methods[] = {
        {8, 1,
         BOOT INT(3) "summon_string_class push_catcher c summon_this call_10 0 os_drop is_drop"
                     " os_drop ret c:" PRINT BOOT "i2o" PRINT "ret",
         NULL},
        {16, 0, "summon_int_class push_catcher c summon_this call_11 0 ret c: ret", NULL},
        {17, 0, INT(9) INT(9) "summon_this summon_this sconst_bin 'deep' throw", NULL},
    };
    run_methods(methods, COUNT(methods), "deep3");
}

static void unhandled_exceptions_tell_where(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method methods[] = {
        {8, 1, "summon_this call_10 0 ret", "start"},
        {16, 0, "nop nop sconst_bin 'broken' throw", "inner"},
    };
    kit_class(kit, ".boot", ".internal.object", 0, methods, 2, NULL);
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), PHANTOM_EPROGRAM);
    assert_int_equal(kit->failures, 1);
    assert_non_null(strstr(kit->failure, "broken"));
    assert_non_null(strstr(kit->failure, ".boot.inner [16]"));
    assert_non_null(strstr(kit->failure, ".boot.start [8]"));
    assert_int_equal(kit_run(kit), PHANTOM_EPROGRAM); /* remembered */
    kit_reattach(kit);
    assert_int_equal(kit_run(kit), PHANTOM_EPROGRAM); /* in the heap */
    kit_close(kit);
}

/* ---- irregular methods ----------------------------------------------------------------------- */

static void irregular_methods_run_checked(void **state)
{
    (void)state;
    /* pushes one object per round: depth depends on the path */
    kit_expect("stack_reserve 0 1" INT(
                   200) "is_set32 1 jmp test more: sconst_bin 'x' test: is_get32 1"
                        " iconst_32bit 1 isublu is_dup is_set32 1 jz end jmp more end:" BOOT
                        "sconst_bin 'ok'" PRINT "ret",
               "ok");
    kit_expect_throw("loop: os_drop jmp loop", "object stack underflow");
    kit_expect_throw("loop: is_drop jmp loop", "int stack underflow");
    kit_expect_throw("loop: summon_int_class push_catcher l2 jmp loop l2: os_drop jmp loop",
                     "too many catchers");
    kit_expect_throw("loop: summon_this jmp loop", "stack overflow");
    kit_expect_throw("loop: iconst_0 jmp loop", "stack overflow");
    kit_expect_throw("os_get32 5 ret", "underflow");
    kit_expect_throw("is_get32 5 i2o ret", "underflow");
    kit_expect_throw("pop_catcher ret", "pop_catcher without push_catcher");
    kit_expect_throw("call_0A 7 ret", "underflow");
}

static void a_call_with_another_argument_count_is_safe(void **state)
{
    (void)state;
    const struct kit_method methods[] = {
        {8, 1,
         BOOT "summon_this sconst_bin 'a' sconst_bin 'b' sconst_bin 'c' call_10 3" PRINT
              "summon_string_class push_catcher c summon_this call_11 0 ret c:" BOOT
              "os_pull32 1 " PRINT "ret",
         NULL},
        {16, 1, "os_get32 2 ret", NULL},
        {17, 2, "os_get32 1 os_get32 0 call_0A 1 ret", NULL},
    };
    run_methods(methods, COUNT(methods), "cobject stack underflow");
}

static void a_method_that_does_not_verify_throws_when_called(void **state)
{
    (void)state;
    kit_expect(BOOT "sconst_bin 'start ' " PRINT "ret", "start ");
    const struct kit_method methods[] = {
        {8, 1,
         "stack_reserve 1 0 summon_string_class push_catcher c summon_this call_10 0 ret"
         " c: os_set32 1" BOOT "sconst_bin 'refused'" PRINT "ret",
         NULL},
        {16, 0, "os_push_null ret", NULL},
    };
    run_methods(methods, COUNT(methods), "refused");
}

/* ---- classes --------------------------------------------------------------------------------- */

static void objects_have_their_parents_slots(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method parent[] = {{16, 0, "sconst_bin 'p' os_save8 5 os_load8 5 ret", NULL}};
    const struct kit_method child[] = {{8, 1, BOOT "summon_this call_10 0" PRINT "ret", NULL}};
    kit_class(kit, ".parent", ".internal.object", 6, parent, 1, NULL);
    kit_class(kit, ".middle", ".parent", 0, child, 1, NULL);
    kit_class(kit, ".child", ".middle", 1, child, 1, NULL);
    kit_boot(kit, ".child");
    assert_int_equal(kit_run(kit), 0);
    assert_string_equal(kit_console(kit), "p");
    kit_close(kit);
}

static void bad_classes_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *name, *parent;
    } cases[] = {{".cycle.a", ".cycle.b"}, {".orphan", ".nowhere"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kit *kit = kit_open();
        char text[256];
        snprintf(text, sizeof(text),
                 "stack_reserve 1 0 summon_string_class push_catcher c summon_by_name '%s' ret"
                 " c: os_set32 1" BOOT "sconst_bin 'refused'" PRINT "ret",
                 cases[i].name);
        const struct kit_method main_method = {8, 1, text, NULL};
        kit_class(kit, ".boot", ".internal.object", 0, &main_method, 1, NULL);
        kit_class(kit, cases[i].name, cases[i].parent, 0, NULL, 0, NULL);
        kit_class(kit, ".cycle.b", ".cycle.a", 0, NULL, 0, NULL);
        kit_boot(kit, ".boot");
        assert_int_equal(kit_run(kit), 0);
        assert_string_equal(kit_console(kit), "refused");
        kit_close(kit);
    }
    struct kit *kit = kit_open();
    const struct kit_method method = {8, 1, "ret", NULL};
    kit_class(kit, ".other", ".internal.object", 0, &method, 1, NULL);
    kit_class_bytes(kit, ".boot", kit->files[0].bytes, kit->files[0].size);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    kit_boot(kit, ".other");
    pvm_object_t class;
    struct pvm_worker *before = pvm_set_current_worker(kit->pvm->workers[0]);
    assert_int_equal(pvm_class_find(".boot", 5, &class, &diag), PHANTOM_EVERIFY);
    assert_non_null(strstr(diag.text, "holds class .other"));
    (void)pvm_set_current_worker(before);
    kit_close(kit);
}

static void classes_are_loaded_once_and_found_in_any_case(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method methods[] = {
        {8, 1,
         "summon_by_name '.My.Helper' os_drop" BOOT
         "summon_by_name '.my.helper' summon_by_name '.My.Helper' os_eq i2o" PRINT "ret",
         NULL},
    };
    const struct kit_method helper[] = {{16, 0, "ret", NULL}};
    kit_class(kit, ".boot", ".internal.object", 0, methods, 1, NULL);
    kit_class(kit, ".My.Helper", ".internal.object", 0, helper, 1, NULL);
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), 0);
    assert_string_equal(kit_console(kit), "1");
    assert_int_equal(kit->loads, 3); /* boot, helper, and one try in lower case */
    struct pvm_stats stats;
    pvm_stats(kit->pvm, &stats);
    assert_int_equal(stats.classes_loaded, 2);
    kit_close(kit);
}

static void userland_class_loader_is_asked_first(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method methods[] = {
        {8, 1,
         BOOT "summon_by_name '.loader' new call_11 1 os_drop" /* boot.17(loader) */
         BOOT "summon_by_name '.made' call_02 0 call_05 0" PRINT BOOT
              "summon_by_name '.made' new call_10 0" PRINT BOOT
              "summon_by_name '.plain' new call_10 0" PRINT "summon_by_name '.bad' new ret",
         NULL},
    };
    /* returns .real for '.made', null for '.plain', throws for '.bad' */
    const struct kit_method loader[] = {
        {8, 1,
         "arg_count 1 os_get32 0 sconst_bin '.made' call_04 1 o2i jz no"
         " summon_by_name '.made' ret"
         " no: os_get32 0 sconst_bin '.bad' call_04 1 o2i jz null sconst_bin 'loader says no' throw"
         " null: summon_null ret",
         NULL},
    };
    const struct kit_method made[] = {{16, 0, "sconst_bin 'made ' ret", NULL}};
    const struct kit_method plain[] = {{16, 0, "sconst_bin 'plain ' ret", NULL}};
    kit_class(kit, ".boot", ".internal.object", 0, methods, 1, NULL);
    kit_class(kit, ".loader", ".internal.object", 0, loader, 1, NULL);
    kit_class(kit, ".made", ".internal.object", 0, made, 1, NULL);
    kit_class(kit, ".plain", ".internal.object", 0, plain, 1, NULL);
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), PHANTOM_EPROGRAM);
    assert_string_equal(kit_console(kit), "classmade plain ");
    assert_non_null(strstr(kit->failure, "loader says no"));
    kit_close(kit);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void garbage_is_collected_while_running(void **state)
{
    (void)state;
    struct kit *kit = kit_open_sized(UINT64_C(64) << 20);
    /* a list of 1000 strings is rebuilt again and again: about 1 GiB of garbage */
    const struct kit_method methods[] = {
        {8, 1,
         "stack_reserve 1 2" INT(2000) "is_set32 1 summon_array_class new os_set32 1"
                                       " round:" INT(
                                           1000) "is_set32 2"
                                                 " fill: os_get32 1 sconst_bin '"
                                                 "0123456789012345678901234567890123456789012345678"
                                                 "901234567890123456789"
                                                 "0123456789012345678901234567890123456789012345678"
                                                 "901234567890123456789"
                                                 "0123456789012345678901234567890123456789012345678"
                                                 "901234567890123456789'"
                                                 " is_get32 2 i2o call_0B 2 os_drop is_get32 2 "
                                                 "iconst_32bit 1 isublu is_dup is_set32 2"
                                                 " jz next jmp fill"
                                                 " next: is_get32 1 iconst_32bit 1 isublu is_dup "
                                                 "is_set32 1 jz end jmp round"
                                                 " end:" BOOT "os_get32 1 call_0C 0" PRINT "ret",
         NULL},
    };
    kit_class(kit, ".boot", ".internal.object", 0, methods, 1, NULL);
    kit_boot(kit, ".boot");
    int rc = kit_run(kit);
    assert_string_equal(kit->failure, "");
    assert_int_equal(rc, 0);
    assert_string_equal(kit_console(kit), "1001");
    struct pvm_stats stats;
    pvm_stats(kit->pvm, &stats);
    assert_true(stats.collections >= 5);
    kit_close(kit);
}

static void full_heap_throws_and_the_program_goes_on(void **state)
{
    (void)state;
    struct kit *kit = kit_open_sized(UINT64_C(64) << 20);
    const struct kit_method methods[] = {
        {8, 1,
         "stack_reserve 2 1 summon_string_class push_catcher c summon_array_class new os_set32 1"
         " loop: os_get32 1 summon_array_class new os_dup summon_this iconst_32bit 300 i2o call_0B "
         "2"
         " os_drop os_get32 1 call_0C 0 call_0B 2 os_drop jmp loop"
         " c: os_set32 2 summon_null os_set32 1" BOOT "os_get32 2" PRINT
         " summon_array_class new os_drop" BOOT "sconst_bin ' and on' sconst_bin '' call_0A 1" PRINT
         "ret",
         NULL},
    };
    kit_class(kit, ".boot", ".internal.object", 0, methods, 1, NULL);
    kit_boot(kit, ".boot");
    int rc = kit_run(kit);
    assert_string_equal(kit->failure, "");
    assert_int_equal(rc, 0);
    assert_string_equal(kit_console(kit), "out of memory and on");
    kit_close(kit);
}

static void instruction_quota_ends_the_run(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method method = {8, 1, "loop: jmp loop", NULL};
    kit_class(kit, ".boot", ".internal.object", 0, &method, 1, NULL);
    kit->options.max_instructions = 100000;
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), PHANTOM_EQUOTA);
    kit_close(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_and_results),
        cmocka_unit_test(short_calls_reach_ordinals_0_to_3),
        cmocka_unit_test(inherited_methods_of_object_work_on_user_objects),
        cmocka_unit_test(instanceof_as_old_compilers_wrote_it),
        cmocka_unit_test(recursion_is_deep_and_bounded),
        cmocka_unit_test(static_invoke_calls_the_named_class),
        cmocka_unit_test(dynamic_invoke_finds_names_in_parents_too),
        cmocka_unit_test(catch_cuts_stacks_and_drops_the_handler),
        cmocka_unit_test(catchers_match_by_class),
        cmocka_unit_test(natives_throw_into_handlers_without_harm),
        cmocka_unit_test(exceptions_cross_frames),
        cmocka_unit_test(unhandled_exceptions_tell_where),
        cmocka_unit_test(irregular_methods_run_checked),
        cmocka_unit_test(a_call_with_another_argument_count_is_safe),
        cmocka_unit_test(a_method_that_does_not_verify_throws_when_called),
        cmocka_unit_test(objects_have_their_parents_slots),
        cmocka_unit_test(bad_classes_are_refused),
        cmocka_unit_test(classes_are_loaded_once_and_found_in_any_case),
        cmocka_unit_test(userland_class_loader_is_asked_first),
        cmocka_unit_test(garbage_is_collected_while_running),
        cmocka_unit_test(full_heap_throws_and_the_program_goes_on),
        cmocka_unit_test(instruction_quota_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
