/* SPDX-License-Identifier: Apache-2.0
 *
 * store_watch.h - judges what heap and machine tell of their stores (heap.h, struct heap_stores):
 *
 *   - a page that is told of for the first time since the last look is as it was then: nobody
 *     stored before telling;
 *   - at a look every byte that changed was told of after its last store. Byte by byte with one
 *     worker; with several, whose tellings overlap, page by page and without the order.
 *
 * So each test that runs a heap or a machine under it shows that its stores are told of. The test's
 * own stores into the memory must be told of, too.
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include "heap.h"

struct store_watch;

enum store_watch_detail { STORE_WATCH_BYTES, STORE_WATCH_PAGES };
/** Memory that is all zero, or holds what a machine left there. */
struct store_watch *store_watch_open(void *base, uint64_t bytes, enum store_watch_detail detail);
/** For threads whose tellings overlap: page by page from now on. Before they start. */
void store_watch_only_pages(struct store_watch *watch);
/** NULL allowed. */
void store_watch_close(struct store_watch *watch);
const struct heap_stores *store_watch_stores(struct store_watch *watch);

/** Whole pages were given back: they read as zeros, and nobody stores into them by that. */
void store_watch_discarded(struct store_watch *watch, const void *start, uint64_t bytes);

/** The machine is stopped: fails the test if the memory holds what was not told of. From here on
 *  all is as it is now. */
void store_watch_look(struct store_watch *watch);

#endif /* STORE_WATCH_H */
