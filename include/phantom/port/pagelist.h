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

void disk_page_io_init(disk_page_io *me);
void disk_page_io_finish(disk_page_io *me); /* @pre nothing is under way */
/** Memory for the block: data() makes it if there is none. */
void disk_page_io_allocate(disk_page_io *me);
void disk_page_io_release(disk_page_io *me);
void *disk_page_io_data(disk_page_io *me);
/** Read or write a block and wait. @return 0 or the error of the disk */
errno_t disk_page_io_load_sync(disk_page_io *me, disk_page_no_t dpage);
errno_t disk_page_io_save_sync(disk_page_io *me, disk_page_no_t dpage);
/** Start to; the block is req.disk_page. Each start needs one disk_page_io_wait(). */
void disk_page_io_load_me_async(disk_page_io *me);
void disk_page_io_save_me_async(disk_page_io *me);
errno_t disk_page_io_wait(disk_page_io *me);
/** The request is done: who waits goes on. */
void disk_page_io_callback(disk_page_io *me);

/** A block that is written back when another one is wanted. */
typedef struct disk_page_cache {
    disk_page_io io;
    int dirty;
    int loading; /* started by seek_async, not waited for yet */
} disk_page_cache;

void disk_page_cache_init(disk_page_cache *me);
void disk_page_cache_finish(disk_page_cache *me); /* writes back */
void *disk_page_cache_data(disk_page_cache *me);
void disk_page_cache_modified(disk_page_cache *me);
void disk_page_cache_flush(disk_page_cache *me);
/** Another block: read it, start to, or take it as zeros. */
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

/** A list that is there (init 0), or an empty one at root_page. */
void pagelist_init(pagelist *me, disk_page_no_t root_page, int init, int magic);
/** Write back, and end. */
void pagelist_finish(pagelist *me);
/** Make it empty; blocks after the root are given back to the pager. */
void pagelist_clear(pagelist *me);
/** To the beginning. */
void pagelist_seek(pagelist *me);
/** The next entry; 0: there is none. */
int pagelist_read_seq(pagelist *me, disk_page_no_t *out);
/** Put an entry at the end of a list that was just made, cleared or read to its end; blocks come
 *  from the pager. */
void pagelist_write_seq(pagelist *me, disk_page_no_t);
void pagelist_flush(pagelist *me);

#endif /* PHANTOM_PORT_PAGELIST_H */
