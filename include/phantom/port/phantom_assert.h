/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_assert.h - panic and assert. Stability: kept from the Genode port; here panic does not
 * return.
 */
#ifndef PHANTOM_PORT_PHANTOM_ASSERT_H
#define PHANTOM_PORT_PHANTOM_ASSERT_H

#include <sys/cdefs.h>

#include <assert.h> /* before ours, so that including it later is no redefinition */

/**
 * Print "Panic: " and the message on the console and end the process (abort). Never returns.
 * @threads any
 */
void panic(const char *__format, ...) __dead2;

/** What a failed assert() calls: panic with the place. Never returns. */
void hal_assert_failed(const char *file, int line) __dead2;

#undef assert
#define assert(e) ((e) ? (void)0 : hal_assert_failed(__FILE__, __LINE__))

#endif /* PHANTOM_PORT_PHANTOM_ASSERT_H */
