/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_test.h - the only way to include cmocka here: it needs these headers before it, in this order.
 */
#ifndef PH_TEST_H
#define PH_TEST_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/** Exit status that Meson shows as SKIP; print the reason first. */
#define PH_TEST_SKIPPED 77

#endif /* PH_TEST_H */
