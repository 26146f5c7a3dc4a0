/* SPDX-License-Identifier: Apache-2.0
 *
 * port_on_sim.h - port_machine.h on the simulated machine of room hal_sim, for one machine at a
 * time: what a test does with it. See port_on_sim.c.
 */
#ifndef PORT_ON_SIM_H
#define PORT_ON_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** First call of the first thread of each machine: nothing is left of the machine before. */
void port_on_sim_begin(void);
/** Called before bytes are written to a file that is a disk, and before a file is flushed; NULL:
 *  nothing is. A flush hook that returns a positive errno makes the flush fail with it. */
void port_on_sim_hooks(void (*before_write)(uint64_t offset), int (*before_flush)(int file));

/** Files of the machine's disk as somebody outside of it would have them. False: it cannot be. */
bool port_on_sim_make(const char *path, uint64_t bytes); /* zeros, durable */
bool port_on_sim_put(const char *path, uint64_t offset, const void *bytes, size_t size);
bool port_on_sim_get(const char *path, uint64_t offset, void *bytes, size_t size);
bool port_on_sim_cut(const char *path, uint64_t bytes);
void port_on_sim_remove(const char *path);

/** The so many-th write from now on fails, 1: the next; some of its sectors may be written. */
void port_on_sim_fail_write(uint64_t at);
/** From now on so many of a thousand transfers move only some of their sectors, or are interrupted
 *  before the first (-EINTR, -EAGAIN). */
void port_on_sim_shorten(unsigned permille);
/** During the so many-th flush from now on, 1: the next, the file system is shut down: that flush
 *  makes nothing durable and says 0, and whatever is asked for afterwards is EIO. */
void port_on_sim_shut_down_at_flush(uint64_t at);

#endif /* PORT_ON_SIM_H */
