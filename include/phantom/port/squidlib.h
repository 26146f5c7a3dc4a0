/* SPDX-License-Identifier: Apache-2.0
 *
 * squidlib.h - the port's first attempt at a second store, one file for each page. Stability: names
 * only. It never worked there, and here the engine is the store: each call fails.
 *
 * @threads any. Nothing is done: never blocks.
 */
#ifndef PHANTOM_PORT_SQUIDLIB_H
#define PHANTOM_PORT_SQUIDLIB_H

#include "phantom_types.h"

enum SquidError {
    SQUID_WRITE = 0,
    SQUID_CREATE = 1,
    SQUID_READ = 2,
    SQUID_CORRUPTED = 3,
    SQUID_DELETE = 4,
    SQUID_NONE = 5, /* no error */
};

#define SQUID_ERROR_FMT "squid: "

/** Does nothing. */
void squid_hash(void *hash);
/** Stores nothing. @return SQUID_WRITE */
enum SquidError squid_write(void *hash, void *payload, unsigned long long size);
/** Tests nothing. @return SQUID_CREATE */
enum SquidError squid_test(void);

#endif /* PHANTOM_PORT_SQUIDLIB_H */
