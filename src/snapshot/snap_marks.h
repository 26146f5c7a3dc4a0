/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_marks.h - software marks: which pages of a heap range have been written, said by the writers
 * themselves. One byte a page, one a region of 512 pages (2 MiB), one a group of 64 regions; all in
 * volatile memory that costs nothing until it is marked.
 *
 * A writer stores first and marks afterwards, both without a safepoint in between:
 *
 *     *slot = value;
 *     snap_mark(marks, page_of(slot));
 *
 * The other order loses stores: the engine may clear the mark and copy the page between mark and
 * store. What makes this order right:
 *
 *  - A page byte may be cleared while writers run (a live round). The engine clears, then makes
 *    every CPU that runs a writer execute a full barrier (snap_memory_ops.barrier), then copies. A
 *    writer whose test found the byte still set has by then drained the store before it, so the
 *    copy sees it; a writer that tests later finds the byte clear and sets it again.
 *  - Region and group bytes are cleared only while all writers are parked, together with all page
 *    bytes below them. So a page byte that is set implies that its region byte is set, or is about
 *    to be by a thread that is not parked yet: the mark need not look at the region again.
 *
 * System calls and native code that write into the range mark afterwards like everybody else. A
 * writer that cannot, calls snap_engine_unmarked_writer().
 */
#ifndef SNAP_MARKS_H
#define SNAP_MARKS_H

#include "ph_points.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { SNAP_REGION_SHIFT = 9, SNAP_GROUP_SHIFT = SNAP_REGION_SHIFT + 6 };

struct snap_marks {
    _Atomic(uint8_t) *page;
    _Atomic(uint8_t) *region;
    uint64_t page_count;
    _Atomic(uint8_t) *group;
};

/** Say that `page` has been written. Strictly after the store. Any thread. */
static inline void snap_mark(const struct snap_marks *marks, uint64_t page)
{
    atomic_signal_fence(memory_order_seq_cst); /* the compiler, too, keeps the store before this */
    PH_POINT("stored, not marked");
    if (atomic_load_explicit(&marks->page[page], memory_order_relaxed) != 0) {
        return;
    }
    atomic_store_explicit(&marks->page[page], 1, memory_order_relaxed);
    PH_POINT("page marked");
    uint64_t region = page >> SNAP_REGION_SHIFT;
    if (atomic_load_explicit(&marks->region[region], memory_order_relaxed) != 0) {
        return;
    }
    atomic_store_explicit(&marks->region[region], 1, memory_order_relaxed);
    PH_POINT("region marked");
    atomic_store_explicit(&marks->group[page >> SNAP_GROUP_SHIFT], 1, memory_order_relaxed);
}

/** The same for every page that [offset, offset + length) of the range touches; length > 0. */
static inline void snap_mark_bytes(const struct snap_marks *marks, uint64_t offset, size_t length)
{
    for (uint64_t page = offset >> 12; page <= (offset + length - 1) >> 12; page++) {
        snap_mark(marks, page);
    }
}

/* ---- the engine's side --------------------------------------------------------------------- */

/** All clear. 0 or -ENOMEM (then the marks are safe to finish). */
int snap_marks_init(struct snap_marks *marks, uint64_t page_count);
void snap_marks_finish(struct snap_marks *marks);

/** Visit every marked page in ascending order; marks stay, writers may run. Costs what the touched
 *  regions cost. */
void snap_marks_look(const struct snap_marks *marks, void (*visit)(void *context, uint64_t page),
                     void *context);

enum snap_marks_state {
    SNAP_WRITERS_RUN,   /* page bytes are cleared; region and group bytes stay */
    SNAP_WRITERS_PARKED /* everything that was visited is cleared */
};
/** Visit every marked page in ascending order and clear its mark before the visit. */
void snap_marks_take(const struct snap_marks *marks, enum snap_marks_state state,
                     void (*visit)(void *context, uint64_t page), void *context);
/** Visit the touched regions in ascending order, marks unchanged. Anything but 0 from `visit` stops
 *  and is returned. */
int snap_marks_each_region(const struct snap_marks *marks,
                           int (*visit)(void *context, uint64_t region), void *context);
/** Clear the page bytes of [first, first + count): the pages have been given back, nobody writes
 *  them. */
void snap_marks_forget(const struct snap_marks *marks, uint64_t first, uint64_t count);

#endif /* SNAP_MARKS_H */
