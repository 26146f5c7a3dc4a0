/* SPDX-License-Identifier: Apache-2.0
 *
 * page_server.h - two threads that fill a range while it is used: one answers page faults, one
 * works ahead.
 */
#ifndef PAGE_SERVER_H
#define PAGE_SERVER_H

#include "page_tracker.h"

struct page_server;

/**
 * Pages [0, count) of the range at base. The source may be called before this returns. The tracker
 * is borrowed until page_server_stop(). Call between hal_fork_hold() and hal_fork_release(). 0, or
 * -errno: then nothing is trapped.
 */
int page_server_start(struct page_tracker *tracker, uint8_t *base, uint64_t count,
                      const struct snap_page_source *source, struct page_server **out);
/** Ends both threads and waits for them. Once; not in a forked child, where they do not exist. */
void page_server_stop(struct page_server *server);
/** In a forked child, inside fork(): close what is open. */
void page_server_in_child(struct page_server *server);
/** After page_server_stop() or page_server_in_child(). NULL allowed. */
void page_server_free(struct page_server *server);

#endif /* PAGE_SERVER_H */
