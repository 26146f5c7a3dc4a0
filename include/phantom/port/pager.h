/* SPDX-License-Identifier: Apache-2.0
 *
 * pager.h - a partition in the port's disk format: superblock, free blocks, requests. Stability:
 * kept from the Genode port. Format: phantom_disk.h.
 *
 * This is for disks that the port wrote or shall read. Our own snapshots do not use it; their store
 * is a file (include/phantom/space.h, runtime.h).
 *
 * What the superblock on disk names is never overwritten before another superblock is on disk: a
 * block that was freed is given out again only after the free list without it was committed
 * (pager_commit_active_free_list()) and named (pager_update_superblock()).
 *
 * One partition at a time in each HAL instance. @threads any, after partition_pager_init(), unless
 * said otherwise; functions with _locked in their name lock, too: it is kept for its name.
 *
 * What reads or writes the disk blocks until that is done, so it is not for a request's callback; a
 * function of which it is not said never blocks.
 */
#ifndef PHANTOM_PORT_PAGER_H
#define PHANTOM_PORT_PAGER_H

#include "disk.h"
#include "kernel/sem.h"
#include "pagelist.h"
#include "pager_io_req.h"
#include "phantom_disk.h"

/** The partition that the default instance pages. */
extern phantom_disk_partition_t *pp;

/**
 * Use this partition: read the superblock, mend it, complete a minimal image, read the free list,
 * mark it as not clean. Blocks. Panics if there is no good superblock or the free list is damaged.
 * @pre p is known to this instance and stays so
 * @threads one; none else uses the pager
 */
void partition_pager_init(phantom_disk_partition_t *p);
/** Commit the free list, mark it as clean. The partition is not used any more. Blocks. Panics on
 *  errors. @threads as above */
void pager_finish(void);

/** The superblock in memory; the pager's. Not locked: who changes it orders that with the other
 *  calls. Never blocks. */
phantom_disk_superblock *pager_superblock_ptr(void);
/** Read it from the root, or else the secondary, and mend the others. Blocks. Panics if there is
 *  none. @threads one at a time, as the next three */
void pager_get_superblock(void);
/** Nonzero: the block has a good superblock whose copies are good, too, and it is in memory now.
 *  One of a minimal image is completed first, on disk. Blocks. */
int pager_try_get_superblock_from(disk_page_no_t root_block);
/** Write it: the two copies that are not in use, then the secondary, then the root, a fence before
 *  the first and after each. Blocks. @post it is on stable storage, and what was freed before the
 *  last commit may be given out. Panics if that fails. */
void pager_update_superblock(void);
/** Make a full layout of a minimal image, whose superblock is in memory, and write it. Blocks.
 *  Panics if the disk is too small for it, or on an error. */
void pager_fix_incomplete_format(void);

/** Start a request for block disk_page; its callback is called when it is done, with rc 0 or the
 *  error. _fast: before what waits. The request stays the pager's until then. Does not wait: never
 *  blocks. Panics if a direction is set (it is under way). */
void pager_enqueue_for_pagein(pager_io_request *p);
void pager_enqueue_for_pagein_fast(pager_io_request *p);
void pager_enqueue_for_pageout(pager_io_request *p);
void pager_enqueue_for_pageout_fast(pager_io_request *p);
/** Let a request that waits go before the others. A hint; nothing for one that is under way or
 *  done. Never blocks. */
void pager_raise_request_priority(pager_io_request *p);
/** Nonzero: it had not started and is taken out; its callback is not called. 0: it is under way or
 *  done. Never blocks. */
int pager_dequeue_from_pageout(pager_io_request *p);
/** Blocks until what was queued before is written and on stable storage. Not from a callback.
 *  @return 0 or an error */
errno_t pager_fence(void);

/** A free block; *out: written on success only. The second is the same: it locks as well. Never
 *  blocks, unless the free list is being committed. @return 1, or 0: the disk is full (of what may
 *  be given out) */
int pager_alloc_page_locked(disk_page_no_t *out);
int pager_interrupt_alloc_page(disk_page_no_t *out);
/** Give a block back; the second is the same. It is given out again after a commit and an update of
 *  the superblock. Panics if it never was the pager's to give: below disk_start_page, beyond the
 *  end, or a superblock's. Never blocks, unless the free list is being committed. */
void pager_free_page(disk_page_no_t);
void pager_put_to_free_list_locked(disk_page_no_t);
/** Free the blocks of a list: remember one, and, later, give all that were remembered back. As
 *  pager_free_page(), which panics, and never blocks but for a commit. */
void pager_free_blocklist_page_locked(disk_page_no_t blk);
void pager_free_blocklist_pages(void);

/** Read the free list of the superblock in memory, instead of the one in memory. Blocks. Panics if
 *  it is damaged. */
void pager_init_free_list(void);
/** Nothing to do here: the whole list is in memory. Never blocks. */
void pager_refill_free(void);
/** Write the free list to free blocks and name it in the superblock in memory. Blocks; allocating
 *  and freeing wait meanwhile. Not fenced: pager_update_superblock() does. Panics on an error. */
void pager_commit_active_free_list(void);
/** Blocks that are free on disk, from the list there and the end that was never used. -1: the list
 *  is damaged. Blocks: it reads the list. */
int64_t pager_calculate_free_block_count(void);

/** Nonzero: the beginning of the free list makes sense; all lists do, and nothing that is free is
 *  in use. Changes nothing; the second prints what is wrong. Blocks.
 *  @threads none changes the lists meanwhile */
int pager_fast_fsck(void);
int pager_long_fsck(void);
/** Check all lists; one that makes no sense is dropped from the superblock. do_rebuild: then
 *  collect what no list uses as the new free list. What was changed is written. Blocks. Panics on
 *  an error. @threads none else uses the pager */
void phantom_fsck(int do_rebuild);

/** Free the blocks of the page list at old_snap_start, and its own, which neither of the others
 *  uses (0: there is none). Blocks. Panics if one of the lists makes no sense. @pre no superblock
 *  will name the old list any more */
void phantom_free_snap(disk_page_no_t old_snap_start, disk_page_no_t curr_snap_start,
                       disk_page_no_t new_snap_start);

#endif /* PHANTOM_PORT_PAGER_H */
