/* SPDX-License-Identifier: Apache-2.0
 *
 * testenv.h - what a test of the Genode port calls. Stability: kept from the port; here a test that
 * fails fails.
 *
 * A check that does not hold prints where and what, runs the functions of on_fail_call(), newest
 * first, and leaves the test: control does not come back to the function that checked. So a test
 * must not hold, at a check, what nobody else releases. Outside run_test() a failed check panics.
 */
#ifndef PHANTOM_PORT_TESTENV_H
#define PHANTOM_PORT_TESTENV_H

#include "phantom_types.h"

#include <errno.h>
#include <hal.h>
#include <sys/cdefs.h>

/** Leave the test with this error (0 counts as EINVAL). */
void test_fail(errno_t rc) __dead2;
void test_fail_msg(errno_t rc, const char *msg) __dead2;
/** When this test fails, call f(arg). At most 16 for each test; more panic. Forgotten when the test
 *  ends. */
void on_fail_call(void (*f)(void *arg), void *arg);

void phantom_test_fail_at(const char *file, int line, const char *what) __dead2;
void phantom_test_fail_values(const char *file, int line, const char *what, long long left,
                              long long right) __dead2;

#define PHANTOM_TEST_COMPARE(expr, operator, val)                                                  \
    do {                                                                                           \
        long long test_left_ = (long long)(expr);                                                  \
        long long test_right_ = (long long)(val);                                                  \
        if (!(test_left_ operator test_right_)) {                                                  \
            phantom_test_fail_values(__FILE__, __LINE__, #expr " " #operator" " #val, test_left_,  \
                                     test_right_);                                                 \
        }                                                                                          \
    } while (0)

#define test_check_true(expr)                                                                      \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            phantom_test_fail_at(__FILE__, __LINE__, #expr);                                       \
        }                                                                                          \
    } while (0)
#define test_check_false(expr)   test_check_true(!(expr))
#define test_check_eq(expr, val) PHANTOM_TEST_COMPARE(expr, ==, val)
#define test_check_ne(expr, val) PHANTOM_TEST_COMPARE(expr, !=, val)
#define test_check_gt(expr, val) PHANTOM_TEST_COMPARE(expr, >, val)
#define test_check_ge(expr, val) PHANTOM_TEST_COMPARE(expr, >=, val)

#endif /* PHANTOM_PORT_TESTENV_H */
