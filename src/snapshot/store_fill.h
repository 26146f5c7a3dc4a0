/* SPDX-License-Identifier: Apache-2.0
 *
 * store_fill.h - zeros over the blocks of a new part of the file, ahead of the commits that will
 * take them.
 *
 * The first write to a block that was only allocated changes the file system's own records, which
 * makes the flush of a small commit about twice as slow. So new blocks are overwritten once, while
 * nobody waits: one write at a time, begun when a small commit has been published, and in flight
 * while the host goes on, also between transactions. Nothing relies on the zeros. What counts is:
 *  - A slice is written over blocks that are free when it begins, and none of them is given out
 *    before it has ended: who takes blocks waits for the slice that has them, and for no other
 *    (store_fill_has()).
 *  - Blocks that no slice has reached are given out as they are: a burst that outruns the slices
 *    pays with slower flushes, not by waiting for all of a new part.
 *  - A slice that fails is a failed write: it poisons the store (P7). One that the kernel cancels,
 *    because the thread that began it ended, has failed at nothing and is left out.
 *
 * The request's `owner` is the fill; all other requests of a store have none. So whoever reaps
 * knows whose a completion is.
 */
#ifndef SNAP_STORE_FILL_H
#define SNAP_STORE_FILL_H

#include "block_space.h"
#include "snap_io.h"

#include <stdbool.h>
#include <stdint.h>

struct store_fill;

/** NULL: no memory, which is no error: commits are only slower. */
struct store_fill *store_fill_create(struct snap_io *io, uint64_t segment_blocks);
/** Waits for the slice in flight. NULL allowed. 0, or its error. */
int store_fill_destroy(struct store_fill *fill);

/** Blocks [first, first + count) at the end of the file may be new. Whatever lies behind `first`
 * and is free may be written to. NULL allowed. */
void store_fill_add(struct store_fill *fill, uint64_t first, uint64_t count);
/** All new blocks are to stay as they are. NULL allowed. */
void store_fill_skip(struct store_fill *fill);
/** Begin the next slice if blocks are given out close before it. NULL allowed. */
void store_fill_advance(struct store_fill *fill, const struct block_space *space);

/** Does the slice in flight write to any of these blocks? NULL allowed. */
bool store_fill_has(const struct store_fill *fill, uint64_t first, uint64_t count);
/** The error of a slice that has ended, for ever; 0. NULL allowed. */
int store_fill_error(const struct store_fill *fill);
/** Take back the slice in flight if it has ended; nothing else is in flight. NULL allowed. */
void store_fill_poll(struct store_fill *fill);
/** A request that was reaped: is it one of a fill, and so settled? */
bool store_fill_took(const struct snap_io_request *request);

#endif /* SNAP_STORE_FILL_H */
