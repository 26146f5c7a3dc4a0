/* SPDX-License-Identifier: Apache-2.0
 *
 * testenv.h - what a test of the Genode port calls. Stability: kept from the port; here a test that
 * fails fails.
 *
 * A check that does not hold prints where and what, runs the functions of on_fail_call(), newest
 * first, and leaves the test: control does not come back to the function that checked. So a test
 * must not hold, at a check, what nobody else releases. Outside run_test() a failed check panics.
 *
 * @threads the one that runs the test: another one that fails panics. A check that holds never
 *   blocks; one that does not blocks as the console and the functions of on_fail_call() do.
 */
#ifndef PHANTOM_PORT_TESTENV_H
#define PHANTOM_PORT_TESTENV_H

#include "phantom_types.h"

#include <errno.h>
#include <hal.h>
#include <sys/cdefs.h>

/** Leave the test with this error (0 counts as EINVAL), the second after printing msg. Do not
 *  return. */
void test_fail(errno_t rc) __dead2;
void test_fail_msg(errno_t rc, const char *msg) __dead2;
/** When this test fails, call f(arg), on the test's thread. At most 16 for each test; more panic,
 *  as it does outside a test. Forgotten when the test ends. Never blocks. */
void on_fail_call(void (*f)(void *arg), void *arg);

/** What the checks call when they do not hold: print the place and what (the values, too), then
 *  test_fail(EINVAL). Do not return. */
void phantom_test_fail_at(const char *file, int line, const char *what) __dead2;
void phantom_test_fail_values(const char *file, int line, const char *what, long long left,
                              long long right) __dead2;

/** The common part of the comparisons: both sides as long long, each evaluated once. */
#define PHANTOM_TEST_COMPARE(expr, operator, val)                                                  \
    do {                                                                                           \
        long long test_left_ = (long long)(expr);                                                  \
        long long test_right_ = (long long)(val);                                                  \
        if (!(test_left_ operator test_right_)) {                                                  \
            phantom_test_fail_values(__FILE__, __LINE__, #expr " " #operator" " #val, test_left_,  \
                                     test_right_);                                                 \
        }                                                                                          \
    } while (0)

/** Checks: statements that do nothing if it holds, else print it and leave the test. The
 *  comparisons take integers. */
#define test_check_true(expr)                                                                      \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            phantom_test_fail_at(__FILE__, __LINE__, #expr);                                       \
        }                                                                                          \
    } while (0)
/** Likewise: not; equal, unequal, greater, at least. */
#define test_check_false(expr)   test_check_true(!(expr))
#define test_check_eq(expr, val) PHANTOM_TEST_COMPARE(expr, ==, val)
#define test_check_ne(expr, val) PHANTOM_TEST_COMPARE(expr, !=, val)
#define test_check_gt(expr, val) PHANTOM_TEST_COMPARE(expr, >, val)
#define test_check_ge(expr, val) PHANTOM_TEST_COMPARE(expr, >=, val)

#endif /* PHANTOM_PORT_TESTENV_H */
