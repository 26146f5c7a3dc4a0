/* SPDX-License-Identifier: Apache-2.0
 * Small names of the port that its list of names lacks: declared as there, and what they do. */
#include "ph_test.h"
#undef run_test /* a macro of cmocka, a function of the port */

#include <console.h>
#include <cpu_state.h>
#include <errno.h>
#include <fcntl.h>
#include <hal.h>
#include <kernel/init.h>
#include <kernel/profile.h>
#include <kernel/smp.h>
#include <kunix.h>
#include <ph_time.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IS_A(name, type) _Static_assert(__builtin_types_compatible_p(__typeof__(name), type), #name)
IS_A(k_open, errno_t(int *, const char *, int, int));
IS_A(k_stat, errno_t(const char *, struct stat *, int));
IS_A(k_stat_size, errno_t(const char *, unsigned int *));
IS_A(GET_CPU_ID, int(void));
IS_A(hal_log, void(char *, ...));
IS_A(phantom_wakeup_after_msec, void(long));
_Static_assert(offsetof(cpu_state_save_t, flags) == CSTATE_FLAGS, "flags");
_Static_assert(offsetof(cpu_state_save_t, rip) == CSTATE_EIP, "rip");
_Static_assert(offsetof(cpu_state_save_t, rsp) == CSTATE_ESP, "rsp");
_Static_assert(offsetof(cpu_state_save_t, rbp) == CSTATE_EBP, "rbp");
_Static_assert(offsetof(cpu_state_save_t, fxstate) == CSTATE_FXSTATE, "fxstate");

static void files_are_opened_and_described(void **state)
{
    char path[] = "port-names-XXXXXX", link_path[64];
    struct stat data = {.st_size = -5};
    unsigned int size = 0;
    int fd = -1, count = 0;
    (void)state;
    int host = mkstemp(path);
    assert_true(host >= 0);
    close(host);
    snprintf(link_path, sizeof(link_path), "%s.link", path);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(k_open(&fd, path, O_RDWR | O_CREAT, 0666), 0);
    assert_int_equal(k_write(&count, fd, "seven b", 7), 0);
    assert_int_equal(count, 7);
    assert_int_equal(k_stat_size(path, &size), 0);
    assert_int_equal(size, 7);
    assert_int_equal(k_stat(link_path, &data, 0), 0); /* what the link points to */
    assert_int_equal(data.st_size, 7);
    assert_true(S_ISREG(data.st_mode));
    assert_int_equal(k_stat(link_path, &data, 1), 0); /* the link */
    assert_true(S_ISLNK(data.st_mode));
    assert_int_equal(k_close(fd), 0);
    unlink(path);
    data.st_size = -5;
    assert_int_equal(k_stat(link_path, &data, 0), ENOENT);
    assert_int_equal(data.st_size, -5); /* written on success only */
    assert_int_equal(k_open(&fd, link_path, O_RDONLY, 0), ENOENT);
    unlink(link_path);
}

static void the_caller_sleeps_at_least_that_long(void **state)
{
    (void)state;
    bigtime_t before = hal_system_time();
    phantom_wakeup_after_msec(5);
    assert_true(hal_system_time() - before >= 5000);
    phantom_wakeup_after_msec(-1); /* at once */
}

static char heard[64];

static void hear(void *context, const char *text, size_t length)
{
    (void)context;
    snprintf(heard, sizeof(heard), "%.*s", (int)length, text);
}

static void the_machine_says_what_it_is(void **state)
{
    (void)state;
    char format[] = "%s %d";
    assert_true(GET_CPU_ID() >= 0 && GET_CPU_ID() < MAX_CPUS);
    assert_int_equal(GET_CPU_ID(), 0);
    assert_int_equal(phantom_is_a_real_kernel(), 1);
    assert_string_equal(board_name, "Linux");
    assert_true(strlen(arch_name) > 0);
    phantom_console_set_sink(hear, NULL);
    hal_log(format, "logged", 5);
    phantom_console_set_sink(NULL, NULL);
    assert_string_equal(heard, "logged 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_opened_and_described),
        cmocka_unit_test(the_caller_sleeps_at_least_that_long),
        cmocka_unit_test(the_machine_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
