/* SPDX-License-Identifier: Apache-2.0
 *
 * pagelist.h - blocks of the port's disk format in memory, and lists of block numbers on disk.
 * Stability: kept from the Genode port.
 *
 * All of this works on the pager's partition (partition_pager_init() first) and blocks on the disk.
 * Where a function has no result, an I/O error or a damaged list panics: whoever calls could only
 * go on with wrong numbers.
 *
 * @threads one thread an object; different objects from any threads
 *
 * What reads or writes blocks until that is done, and is not for a request's callback; where
 * nothing is said, a function never blocks. Structures are the caller's; their memory comes from
 * the frames of the instance (panics when there are none left).
 */
#ifndef PHANTOM_PORT_PAGELIST_H
#define PHANTOM_PORT_PAGELIST_H

#include "kernel/sem.h"
#include "pager_io_req.h"
#include "phantom_disk.h"

#include <errno.h>

/** One block and the request that moves it. */
typedef struct disk_page_io {
    pager_io_request req; /* first */
    int mem_allocated;
    void *mem;
    hal_sem_t done;
} disk_page_io;

/** Begin, without memory for the block; end, and give the memory back. Never blocks. Panics without
 *  memory for the semaphore. @pre finish: nothing is under way */
void disk_page_io_init(disk_page_io *me);
void disk_page_io_finish(disk_page_io *me);
/** Memory for the block, not zeroed: data() makes it if there is none. release() gives it back: no
 *  pointer to it is good any more. Never blocks. @pre release: nothing is under way */
void disk_page_io_allocate(disk_page_io *me);
void disk_page_io_release(disk_page_io *me);
void *disk_page_io_data(disk_page_io *me);
/** Read or write a block and wait: blocks. @pre nothing is under way. @return 0 or the error of the
 *  disk */
errno_t disk_page_io_load_sync(disk_page_io *me, disk_page_no_t dpage);
errno_t disk_page_io_save_sync(disk_page_io *me, disk_page_no_t dpage);
/** Start to; the block is req.disk_page. Each start needs one disk_page_io_wait(), which blocks
 *  until it is done and returns 0 or the error of the disk; starting never blocks. Panics if one is
 *  under way. */
void disk_page_io_load_me_async(disk_page_io *me);
void disk_page_io_save_me_async(disk_page_io *me);
errno_t disk_page_io_wait(disk_page_io *me);
/** The request is done: who waits goes on. Called by the request's callback, on its thread. Never
 *  blocks. */
void disk_page_io_callback(disk_page_io *me);

/** A block that is written back when another one is wanted. */
typedef struct disk_page_cache {
    disk_page_io io;
    int dirty;
    int loading; /* started by seek_async, not waited for yet */
} disk_page_cache;

/** Begin, with no block; write back and end: blocks. Panics on errors. */
void disk_page_cache_init(disk_page_cache *me);
void disk_page_cache_finish(disk_page_cache *me);
/** The block's 4096 bytes, good until finish(); blocks until a load that was started is done. */
void *disk_page_cache_data(disk_page_cache *me);
/** The bytes were changed: they are written before the next block is taken. Never blocks. */
void disk_page_cache_modified(disk_page_cache *me);
/** Write it now if it was changed: blocks. Not fenced. Panics on errors. */
void disk_page_cache_flush(disk_page_cache *me);
/** Another block: read it, start to, or take it as zeros. What was changed is written before: may
 *  block, in each of the three. Panics on errors. */
void disk_page_cache_seek_sync(disk_page_cache *me, disk_page_no_t dpage);
void disk_page_cache_seek_async(disk_page_cache *me, disk_page_no_t dpage);
void disk_page_cache_seek_noread(disk_page_cache *me, disk_page_no_t dpage);

/** A list of block numbers in chained blocks; each but the last is full. */
typedef struct pagelist {
    int magic; /* of its blocks */
    disk_page_no_t root_page;
    disk_page_cache curr_p;
    struct phantom_disk_blocklist *curr; /* the block in curr_p */
    int curr_displ;                      /* the next entry in it */
    int pos;                             /* the next entry in the list */
} pagelist;

/** A list that is there (init 0; read, panics if it is none), or an empty one at root_page (written
 *  later). May block. */
void pagelist_init(pagelist *me, disk_page_no_t root_page, int init, int magic);
/** Write back, and end. Blocks. Not fenced. */
void pagelist_finish(pagelist *me);
/** Make it empty; blocks after the root are given back to the pager. It reads the whole list:
 *  blocks. */
void pagelist_clear(pagelist *me);
/** To the beginning. Blocks: it writes back and reads the root. */
void pagelist_seek(pagelist *me);
/** The next entry. May block: it reads on. @return 1; 0: there is none, *out is untouched */
int pagelist_read_seq(pagelist *me, disk_page_no_t *out);
/** Put an entry at the end of a list that was just made, cleared or read to its end; disk space
 *  comes from the pager. May block: it writes back what is full. Panics when the disk is full. */
void pagelist_write_seq(pagelist *me, disk_page_no_t);
/** Write back what was changed: blocks. Not fenced. */
void pagelist_flush(pagelist *me);

#endif /* PHANTOM_PORT_PAGELIST_H */
