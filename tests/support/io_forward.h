/* SPDX-License-Identifier: Apache-2.0
 *
 * io_forward.h - what every wrapper of struct snap_io has in common: each operation goes to the io
 * below unchanged, close() does nothing. A wrapper puts struct io_forward first into its own
 * structure and replaces the operations that it changes.
 *
 * Also the queue of completions for an io whose transfers are over before submit() returns.
 *
 * True between calls: forward.io.ops points at forward.ops, so a wrapper may replace operations at
 * any time before the first call; random is NULL when the io below has none.
 */
#ifndef IO_FORWARD_H
#define IO_FORWARD_H

#include "snap_io.h"

struct io_forward {
    struct snap_io io; /* first: the door that a store is given */
    struct snap_io_ops ops;
    struct snap_io *inner; /* borrowed */
};

/** Everything goes to `inner`; path and read_only are its own. */
void io_forward_init(struct io_forward *forward, const char *name, struct snap_io *inner);

/** The io below of a wrapper. */
static inline struct snap_io *io_forward_inner(struct snap_io *io)
{
    return ((struct io_forward *)io)->inner;
}

/* ---- completions that are there at once ------------------------------------------------------ */

struct io_done {
    struct snap_io_request *first, **last;
    int count;
};

void io_done_init(struct io_done *done);
/** Serve a request by the read and write of `io`, which queues it. 0, as submit() says. */
int io_done_submit(struct io_done *done, struct snap_io *io, struct snap_io_request *request);
/** Hand all of it out, as reap() does. */
int io_done_reap(struct io_done *done, struct snap_io_request **out);

#endif /* IO_FORWARD_H */
