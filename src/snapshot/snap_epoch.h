/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_epoch.h - the software store barrier of strategy `epoch`. Interface between rooms: the
 * interpreter and the C heap door call it.
 *
 *     snap_before_store(epoch, page);     page = (address - base) / SNAP_PAGE_SIZE
 *     *address = value;
 *
 * Every store into the range goes through it: each page it touches is announced first, and there is
 * no safepoint between the announcement and the store. The fast path is one load, one comparison,
 * one branch. The slow path runs at most once for each page and epoch: it notes that the page
 * changed, and if the page belongs to a snapshot that is still being written, it first saves what
 * is in it. It may wait for the snapshot's writer, never for the disk to do more than one request,
 * and does no system call unless it waits.
 *
 * Two epochs are enough: an epoch ends at a cut, and every page of a snapshot is settled before the
 * next cut. So a page has one of four states, in one byte.
 *
 *               first store                    cut: "now" becomes "before"
 *     CLEAN -----------------> OPEN (now) ------------------------------> OPEN (before)
 *       ^  \                      ^  ^                                      |        |
 *       |   \_____________________|  |____ before-image saved __ CLAIMED <__| store  |
 *       |                                                           |                |
 *       |____________ writer has copied the page ___________________|________________|
 *
 * Threads: any number of storing threads; they are stopped at a cut. The words change under them
 * only as above.
 */
#ifndef SNAP_EPOCH_H
#define SNAP_EPOCH_H

#include "ph_points.h"

#include <stdatomic.h>
#include <stdint.h>

struct snap_engine;

enum snap_page_word {
    SNAP_PAGE_CLEAN = 0,
    SNAP_PAGE_OPEN_EVEN = 1, /* written in an epoch with an even number */
    SNAP_PAGE_OPEN_ODD = 2,
    SNAP_PAGE_CLAIMED = 3, /* somebody copies it for the snapshot: nobody stores into it */
};

struct snap_epoch {
    _Atomic(uint8_t) *word; /* one a page */
    _Atomic(uint8_t) now;   /* SNAP_PAGE_OPEN_...; changes only while the world is stopped */
};

/** The barrier of this engine; NULL unless its strategy is `epoch`. Valid until close. */
struct snap_epoch *snap_engine_epoch(struct snap_engine *engine);

/** The slow path. */
void snap_epoch_first_store(struct snap_epoch *epoch, uint64_t page);

/** Announce a store into this page. @threads any that the host stops at a cut */
static inline void snap_before_store(struct snap_epoch *epoch, uint64_t page)
{
    uint8_t now = atomic_load_explicit(&epoch->now, memory_order_relaxed);
    /* Acquire: the before-image was read before this thread stores. Free on x86. */
    if (__builtin_expect(atomic_load_explicit(&epoch->word[page], memory_order_acquire) != now,
                         0)) {
        snap_epoch_first_store(epoch, page);
    }
    PH_POINT("announced, not stored");
}

#endif /* SNAP_EPOCH_H */
