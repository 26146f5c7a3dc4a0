/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_fake.h - a tracked memory without a kernel: an array, a bitmap of dirty pages and one of
 * resident pages. Mutators write through memory_fake_write(), which stores first and marks after,
 * as a software store barrier must (a scan between mark and store would lose the store).
 *
 * Any number of mutator threads may write while one thread scans. Two mutators that write the same
 * bytes are the test's own race. A hook runs just before each scan, so that a test can place a
 * write exactly between two steps of the engine; calls can be made to fail.
 */
#ifndef MEMORY_FAKE_H
#define MEMORY_FAKE_H

#include "snap_memory.h"

struct memory_fake;

/** All holes, all clean. tracks == false: scan() is refused, as on a kernel without userfaultfd. */
struct memory_fake *memory_fake_create(uint64_t page_count, bool tracks);
void memory_fake_destroy(struct memory_fake *fake);
/** The door for an engine. Its close() does nothing: destroy ends the life. */
struct snap_memory *memory_fake_memory(struct memory_fake *fake);

/** Everything is a hole again, as after a restart of the process. The address stays. */
void memory_fake_reset(struct memory_fake *fake);
/** Store and mark. The range may cross pages. Any thread. */
void memory_fake_write(struct memory_fake *fake, uint64_t offset, const void *data, size_t length);

/** From now on first stores can be caught (snap_memory_ops.guard), this many pages at a time. */
void memory_fake_trap(struct memory_fake *fake, uint32_t trap_pages);

/** Called before each scan, with its flags; NULL: none. */
typedef void (*memory_fake_hook)(void *context, unsigned flags);
void memory_fake_on_scan(struct memory_fake *fake, memory_fake_hook hook, void *context);

/** Called in each barrier(): between the clearing of marks and the copies. NULL: none. */
void memory_fake_on_barrier(struct memory_fake *fake, void (*hook)(void *context), void *context);
/** barrier() fails from now on, as on a kernel without membarrier(2). */
void memory_fake_without_barrier(struct memory_fake *fake);

/** faults() works from now on: as if each store into a clean page were one. */
void memory_fake_count_faults(struct memory_fake *fake);

/** Let `countdown` more calls of scan, resident and discard succeed, then fail one with -error.
 *  Negative: never. */
void memory_fake_fail_after(struct memory_fake *fake, int64_t countdown, int error);
/** Dirty pages now. */
uint64_t memory_fake_dirty(const struct memory_fake *fake);

#endif /* MEMORY_FAKE_H */
