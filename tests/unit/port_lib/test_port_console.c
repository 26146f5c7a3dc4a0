/* SPDX-License-Identifier: Apache-2.0
 * The console, messages by importance, hex dumps, debugger commands, and run_test(). */
#include "ph_test.h"

#undef run_test /* of cmocka, a macro */

#define DEBUG_MSG_PREFIX "unit"
#include <debug_ext.h>
static int debug_level_flow = 5;
static int debug_level_info = 5;
static int debug_level_error = 5;

#include <console.h>
#include <kernel/debug.h>
#include <kernel/init.h>
#include <ph_string.h>
#include <ph_syslog.h>
#include <phantom_libc.h>
#include <stdio.h>
#include <string.h>
#include <svn_version.h>
#include <test.h>

static char said[65536];
static size_t said_length;
static int pieces;

static void remember(void *context, const char *text, size_t length)
{
    (void)context;
    assert_true(said_length + length < sizeof(said));
    memcpy(said + said_length, text, length);
    said_length += length;
    said[said_length] = '\0';
    pieces++;
}

static int listen_to_the_console(void **state)
{
    (void)state;
    said_length = 0;
    said[0] = '\0';
    pieces = 0;
    phantom_console_set_sink(remember, NULL);
    phantom_console_set_colours(false);
    return 0;
}

static int stop_listening(void **state)
{
    (void)state;
    phantom_console_flush();
    phantom_console_set_sink(NULL, NULL);
    return 0;
}

static void characters_appear_line_by_line(void **state)
{
    (void)state;
    for (const char *at = "ab"; *at != '\0'; at++) {
        assert_int_equal(ph_putchar(*at), *at);
    }
    assert_int_equal(pieces, 0);
    ph_putchar('\n');
    assert_string_equal(said, "ab\n");
    for (int i = 0; i < 600; i++) { /* a long line: nothing is lost where it is flushed */
        ph_putchar((char)('a' + i % 26));
    }
    phantom_console_flush();
    assert_int_equal(said_length, 603);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(said[3 + i], 'a' + i % 26);
    }
}

static void a_print_is_one_piece_after_what_was_begun(void **state)
{
    (void)state;
    ph_putchar('>');
    ph_printf("%d and %s\n", 5, "text");
    assert_string_equal(said, ">5 and text\n");
    assert_int_equal(pieces, 1);
    char longer[3000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ph_putchar('<');
    assert_int_equal(ph_printf("%s", longer), 2999);
    assert_int_equal(pieces, 2);
    assert_int_equal(said_length, 12 + 3000);
    lprintf("log %d\n", 1);
    assert_non_null(strstr(said, "log 1\n"));
}

static void messages_appear_by_importance(void **state)
{
    (void)state;
    SHOW_FLOW(5, "five %d", 5);
    SHOW_FLOW(6, "six %d", 6);
    SHOW_ERROR0(0, "serious");
    assert_string_equal(said, "unit/messages_appear_by_importance: five 5\n"
                              "unit/messages_appear_by_importance: serious\n");
    debug_max_level_flow = 2;
    SHOW_FLOW0(3, "too much for the program");
    LOG_FLOW0(2, "just right");
    debug_max_level_flow = 255;
    SHOW_INFO(1, "%s", "info");
    SHOW_INFO0(9, "no");
    assert_null(strstr(said, "too much"));
    assert_non_null(strstr(said, "just right\n"));
    assert_null(strstr(said, "no\n"));
}

static void colours_can_be_left_out(void **state)
{
    (void)state;
    console_set_error_color();
    console_set_normal_color();
    assert_string_equal(said, "");
    phantom_console_set_colours(true);
    console_set_error_color();
    console_set_fg_color((rgba_t){.r = 1, .g = 2, .b = 3});
    assert_string_equal(said, "\x1b[31m\x1b[38;2;1;2;3m");
    said_length = 0;
    ph_syslog(3, "line %d\n", 7);
    assert_string_equal(said, "\x1b[33mline 7\x1b[0m\n");
}

static void bytes_are_dumped_in_lines_of_sixteen(void **state)
{
    (void)state;
    hexdump("0123456789abcdef\x01Z", 18, "> ", 0);
    assert_string_equal(said, "> 0000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 "
                              "|0123456789abcdef|\n"
                              "> 0010  01 5a                                           |.Z|\n");
    said_length = 0;
    hexdump("x", 0, NULL, 0);
    hexdump("x", -5, NULL, 0);
    assert_int_equal(said_length, 0);
}

static int command_words;

static void command(int argc, char **argv)
{
    command_words = argc;
    assert_null(argv[argc]);
    assert_string_equal(argv[0], "unit");
}

static void commands_are_found_by_name(void **state)
{
    (void)state;
    assert_int_equal(dbg_add_command(command, "unit", "of the test"), 0);
    assert_true(dbg_add_command(command, "unit", "again") < 0);
    assert_int_equal(phantom_dbg_run("unit  a\tb\n"), 0);
    assert_int_equal(command_words, 3);
    assert_true(phantom_dbg_run("nothing") < 0);
    assert_true(phantom_dbg_run("") < 0);
    assert_int_equal(phantom_dbg_run("help"), 0);
    assert_non_null(strstr(said, "of the test"));
    assert_string_equal(PHANTOM_VERSION_STR, "0.2");
    assert_string_equal(svn_version(), "0.1.0");
}

/* ---- the port's own way to test -------------------------------------------------------------- */

static char order[16];

static void note(void *arg)
{
    size_t used = strlen(order);
    order[used] = *(const char *)arg;
}

int do_test_misc(const char *test_parm)
{
    if (strcmp(test_parm, "fails") == 0) {
        static char one[] = "1", two[] = "2";
        on_fail_call(note, one);
        on_fail_call(note, two);
        test_check_eq(2 + 2, 4);
        test_check_ge(2, 3);
        order[0] = 'X'; /* never comes here */
    } else if (strcmp(test_parm, "says so") == 0) {
        test_fail_msg(5, "five");
    } else if (strcmp(test_parm, "returns") == 0) {
        return 9;
    }
    test_check_true(1);
    test_check_false(0);
    test_check_ne(1, 2);
    test_check_gt(2, 1);
    return 0;
}

static void a_test_that_fails_fails(void **state)
{
    (void)state;
    run_test("misc", "passes");
    assert_string_equal(said, "KERNEL TEST PASSED: misc\n");
    said_length = 0;
    memset(order, 0, sizeof(order));
    run_test("misc", "fails");
    assert_non_null(strstr(said, "does not hold: 2 >= 3 (2 and 3)"));
    assert_non_null(strstr(said, "!!! KERNEL TEST FAILED: misc (22)\n"));
    assert_string_equal(order, "21");
    run_test("misc", "says so");
    assert_non_null(strstr(said, "!!! KERNEL TEST FAILED: misc (5)\n"));
    run_test("misc", "returns");
    assert_non_null(strstr(said, "!!! KERNEL TEST FAILED: misc (9)\n"));
    said_length = 0;
    run_test("no such test", "");
    assert_non_null(strstr(said, "!!! KERNEL TEST FAILED: no such test"));
}

static void all_tests_that_there_are_run(void **state)
{
    (void)state;
    run_test("all", "passes");
    assert_non_null(strstr(said, "KERNEL TEST PASSED: misc\n"));
    assert_non_null(strstr(said, "KERNEL TEST PASSED: ps2_mouse\n"));
    assert_non_null(strstr(said, "KERNEL TEST PASSED: vm_map\n"));
    assert_null(strstr(said, "FAILED"));
    assert_null(strstr(said, "dpc")); /* this program has none */
    assert_non_null(strstr(said, "Phantom test suite FINISHED\n"));
}

int main(void)
{
#define CONSOLE_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, listen_to_the_console, stop_listening)
    const struct CMUnitTest tests[] = {
        CONSOLE_TEST(characters_appear_line_by_line),
        CONSOLE_TEST(a_print_is_one_piece_after_what_was_begun),
        CONSOLE_TEST(messages_appear_by_importance),
        CONSOLE_TEST(colours_can_be_left_out),
        CONSOLE_TEST(bytes_are_dumped_in_lines_of_sixteen),
        CONSOLE_TEST(commands_are_found_by_name),
        CONSOLE_TEST(a_test_that_fails_fails),
        CONSOLE_TEST(all_tests_that_there_are_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
