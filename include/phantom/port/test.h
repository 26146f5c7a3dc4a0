/* SPDX-License-Identifier: Apache-2.0
 *
 * test.h - the tests of the Genode port by name. Stability: kept from the port.
 *
 * A program defines those that it has; run_test() of kernel/init.h runs them, on its own thread,
 * with the argument that it was given. A test returns 0 if it passed, or an error; it may leave by
 * the checks of testenv.h.
 *
 * @threads the one that called run_test(), any. A test may block: the others wait for it.
 */
#ifndef PHANTOM_PORT_TEST_H
#define PHANTOM_PORT_TEST_H

#include "testenv.h"

/** The program's; what is not defined is left out. */
int do_test_01_threads(const char *test_parm);
int do_test_amap(const char *test_parm);
int do_test_dpc(const char *test_parm);
int do_test_hdir(const char *test_parm);
int do_test_malloc(const char *test_parm);
int do_test_many_threads(const char *test_parm);
int do_test_misc(const char *test_parm);
int do_test_physmem(const char *test_parm);
int do_test_pool(const char *test_parm);
int do_test_rectangles(const char *test_parm);
int do_test_sem(const char *test_parm);
int do_test_threads(const char *test_parm);
int do_test_timed_call(const char *test_parm);
int do_test_video(const char *test_parm);

#endif /* PHANTOM_PORT_TEST_H */
