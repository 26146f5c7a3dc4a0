/* SPDX-License-Identifier: Apache-2.0
 *
 * port_test.c - <testenv.h>, <test.h> and run_test(): the port's own way to test.
 *
 * A test is left by longjmp: the checks do not come back. What belongs to the running test is the
 * thread's own, so tests may run in several threads at once; a check that fails in a thread that
 * runs no test panics. The tests themselves are the program's: weak references, absent ones are
 * left out.
 */
#include "test.h"

#include "kernel/init.h"
#include "ph_io.h"
#include "ph_string.h"
#include "phantom_assert.h"

#include <errno.h>
#include <setjmp.h>

#define MOST_CLEANUPS 16

struct running_test {
    jmp_buf out;
    errno_t rc;
    int cleanups;
    struct {
        void (*function)(void *arg);
        void *arg;
    } cleanup[MOST_CLEANUPS];
};

static _Thread_local struct running_test *running;

int do_test_ps2_mouse(const char *test_parm);
int do_test_vm_map(const char *test_parm);

/* In no header of the port; there, too, they do nothing but succeed. */
__attribute__((weak)) int do_test_ps2_mouse(const char *test_parm)
{
    (void)test_parm;
    return 0;
}

__attribute__((weak)) int do_test_vm_map(const char *test_parm)
{
    (void)test_parm;
    return 0;
}

#pragma weak do_test_01_threads
#pragma weak do_test_amap
#pragma weak do_test_dpc
#pragma weak do_test_hdir
#pragma weak do_test_malloc
#pragma weak do_test_many_threads
#pragma weak do_test_misc
#pragma weak do_test_physmem
#pragma weak do_test_pool
#pragma weak do_test_rectangles
#pragma weak do_test_sem
#pragma weak do_test_threads
#pragma weak do_test_timed_call
#pragma weak do_test_video

static const struct {
    const char *name;
    int (*run)(const char *parm);
} tests[] = {
    {"hdir", do_test_hdir},
    {"misc", do_test_misc},
    {"sem", do_test_sem},
    {"physmem", do_test_physmem},
    {"malloc", do_test_malloc},
    {"amap", do_test_amap},
    {"rectangles", do_test_rectangles},
    {"ps2_mouse", do_test_ps2_mouse},
    {"vm_map", do_test_vm_map},
    {"pool", do_test_pool},
    {"dpc", do_test_dpc},
    {"timed_call", do_test_timed_call},
    {"threads", do_test_threads},
    {"01_threads", do_test_01_threads},
    {"many_threads", do_test_many_threads},
    {"video", do_test_video},
};

void test_fail(errno_t rc)
{
    struct running_test *test = running;
    if (test == NULL) {
        panic("a test failed outside run_test: %d", rc);
    }
    test->rc = rc != 0 ? rc : EINVAL;
    while (test->cleanups > 0) {
        int last = --test->cleanups; /* first, so that one that fails is not called again */
        test->cleanup[last].function(test->cleanup[last].arg);
    }
    longjmp(test->out, 1);
}

void test_fail_msg(errno_t rc, const char *msg)
{
    ph_printf("test: %s\n", msg);
    test_fail(rc);
}

void phantom_test_fail_at(const char *file, int line, const char *what)
{
    ph_printf("%s:%d: does not hold: %s\n", file, line, what);
    test_fail(EINVAL);
}

void phantom_test_fail_values(const char *file, int line, const char *what, long long left,
                              long long right)
{
    ph_printf("%s:%d: does not hold: %s (%lld and %lld)\n", file, line, what, left, right);
    test_fail(EINVAL);
}

void on_fail_call(void (*f)(void *arg), void *arg)
{
    struct running_test *test = running;
    if (test == NULL || test->cleanups == MOST_CLEANUPS) {
        panic("on_fail_call: no test, or too many calls");
    }
    test->cleanup[test->cleanups].function = f;
    test->cleanup[test->cleanups++].arg = arg;
}

/* One test; its result. */
static errno_t run_one(int (*run)(const char *parm), const char *parm)
{
    struct running_test test = {.rc = 0};
    struct running_test *outer = running;
    running = &test;
    if (setjmp(test.out) == 0) {
        test.rc = run(parm);
    }
    running = outer;
    return test.rc;
}

void run_test(const char *test_name, const char *test_parm)
{
    bool all = ph_strcmp(test_name, "all") == 0;
    int known = 0;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (tests[i].run == NULL || (!all && ph_strcmp(test_name, tests[i].name) != 0)) {
            continue;
        }
        known++;
        errno_t rc = run_one(tests[i].run, test_parm);
        if (rc != 0) {
            ph_printf("!!! KERNEL TEST FAILED: %s (%d)\n", tests[i].name, rc);
        } else {
            ph_printf("KERNEL TEST PASSED: %s\n", tests[i].name);
        }
    }
    if (known == 0) {
        ph_printf("!!! KERNEL TEST FAILED: %s (there is no such test)\n", test_name);
    }
    if (all) {
        ph_printf("Phantom test suite FINISHED\n");
    }
}
