/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_assert.h - panic and assert. Stability: kept from the Genode port; here panic does not
 * return.
 */
#ifndef PHANTOM_PORT_PHANTOM_ASSERT_H
#define PHANTOM_PORT_PHANTOM_ASSERT_H

#include <sys/cdefs.h>

#include <assert.h> /* before ours, so that including it later is no redefinition */

/** Print "Panic: " and the message (1023 characters of it) on standard error, call the host's
 *  on_panic (phantom_hal.h) and end the process (abort). Never returns; it blocks as standard error
 *  and on_panic do. Fatal, in these headers, means this. @threads any */
void panic(const char *__format, ...) __dead2;

/** What a failed assert() calls: panic with the place. Never returns; it blocks as panic() does.
 *  @threads any */
void hal_assert_failed(const char *file, int line) __dead2;

#undef assert
/** Fatal unless e holds; also in release builds. e is evaluated once. Never blocks otherwise.
 *  @threads any */
#define assert(e) ((e) ? (void)0 : hal_assert_failed(__FILE__, __LINE__))

#endif /* PHANTOM_PORT_PHANTOM_ASSERT_H */
