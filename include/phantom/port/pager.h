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
 * mark it as not clean. Panics if there is no good superblock or the free list is damaged.
 * @threads none else uses the pager
 */
void partition_pager_init(phantom_disk_partition_t *p);
/** Commit the free list, mark it as clean. The partition is not used any more. Panics on errors.
 *  @threads as above */
void pager_finish(void);

/** The superblock in memory. Not locked. */
phantom_disk_superblock *pager_superblock_ptr(void);
/** Read it from the root, or else the secondary, and mend the others. Panics if there is none. */
void pager_get_superblock(void);
/** Nonzero: the block has a good superblock whose copies are good, too, and it is in memory now. */
int pager_try_get_superblock_from(disk_page_no_t root_block);
/** Write it: the two copies that are not in use, then the secondary, then the root, a fence after
 *  each. Panics if that fails. */
void pager_update_superblock(void);
/** Make a full layout of a minimal image, whose superblock is in memory. */
void pager_fix_incomplete_format(void);

/** Start a request; its callback is called when it is done. Panics if a direction is set. */
void pager_enqueue_for_pagein(pager_io_request *p);
void pager_enqueue_for_pagein_fast(pager_io_request *p);
void pager_enqueue_for_pageout(pager_io_request *p);
void pager_enqueue_for_pageout_fast(pager_io_request *p);
void pager_raise_request_priority(pager_io_request *p);
/** Nonzero: it had not started and is taken out. */
int pager_dequeue_from_pageout(pager_io_request *p);
/** What was written is on stable storage. @return 0 or an error */
errno_t pager_fence(void);

/** A free block. @return 1, or 0: the disk is full */
int pager_alloc_page_locked(disk_page_no_t *out);
int pager_interrupt_alloc_page(disk_page_no_t *out);
/** Give a block back. Panics if it never was the pager's to give: below disk_start_page, beyond the
 *  end, or a superblock's. */
void pager_free_page(disk_page_no_t);
void pager_put_to_free_list_locked(disk_page_no_t);
/** Free the blocks of a list: remember them, and, later, give them back. */
void pager_free_blocklist_page_locked(disk_page_no_t blk);
void pager_free_blocklist_pages(void);

/** Read the free list of the superblock in memory. */
void pager_init_free_list(void);
void pager_refill_free(void);
/** Write the free list to free blocks and name it in the superblock in memory. */
void pager_commit_active_free_list(void);
/** Blocks that are free on disk, from the list there and the end that was never used. */
int64_t pager_calculate_free_block_count(void);

/** Nonzero: the beginning of the free list makes sense; all lists do, and nothing that is free is
 *  in use. */
int pager_fast_fsck(void);
int pager_long_fsck(void);
/** Check all lists; one that makes no sense is dropped from the superblock. do_rebuild: then
 * collect what no list uses as the new free list. */
void phantom_fsck(int do_rebuild);

/** Free the blocks of the page list at old_snap_start, and its own, which neither of the others
 *  uses (0: there is none). */
void phantom_free_snap(disk_page_no_t old_snap_start, disk_page_no_t curr_snap_start,
                       disk_page_no_t new_snap_start);

#endif /* PHANTOM_PORT_PAGER_H */
