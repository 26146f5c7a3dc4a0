/* SPDX-License-Identifier: Apache-2.0
 *
 * io_lossy.h - a wrapper of struct snap_io that loses what was not flushed: a drive with a volatile
 * cache in front of any io, the file back ends included. Writes stay in memory until flush(); reads
 * see them; a power cut drops them. (A real file that is only killed keeps its page cache, so a
 * store that never flushes would pass there.)
 */
#ifndef IO_LOSSY_H
#define IO_LOSSY_H

#include "snap_io.h"

/** Wrap `inner`, which is borrowed. NULL when out of memory. */
struct snap_io *io_lossy_create(struct snap_io *inner);
/** What is not flushed is lost. */
void io_lossy_destroy(struct snap_io *lossy);
/** Drop everything that is not flushed; every later operation is -EIO. Returns the writes dropped.
 */
size_t io_lossy_power_cut(struct snap_io *lossy);

#endif /* IO_LOSSY_H */
