/* SPDX-License-Identifier: Apache-2.0
 *
 * pager_io_req.h - one transfer between memory and disk, names of the Genode port. Stability: kept.
 *
 * @threads any. Nothing here blocks; the callback may, but holds up other transfers while it does.
 */
#ifndef PHANTOM_PORT_PAGER_IO_REQ_H
#define PHANTOM_PORT_PAGER_IO_REQ_H

#include <kernel/pool.h>
#include <phantom_types.h>
#include <queue.h>
#include <spinlock.h>

/**
 * Memory of the caller; the request and the frames stay untouched from when it was queued until it
 * is done; to queue it again meanwhile is refused (EALREADY). Exactly one of flag_pagein (from
 * disk) and flag_pageout is set when it is queued.
 */
struct pager_io_request {
    physaddr_t phys_page;     /* the memory */
    disk_page_no_t disk_page; /* the block of 4096 bytes: for disk_enqueue() */
    struct pager_io_request *next_page;
    u_int64_t blockNo; /* first sector of 512 bytes: for the methods of a disk */
    int nSect;
    unsigned char flag_pagein;
    unsigned char flag_pageout;
    unsigned char flag_urgent; /* before what waits */
    unsigned char
        flag_sleep; /* the thread sleep_tid sleeps in thread_block(THREAD_SLEEP_IO, &lock) */
    int sleep_tid;
    hal_spinlock_t lock;
    /** Called once when done, on a thread of the HAL or, for what could not be queued, on the one
     *  that asked; write: the direction. rc is set, both flags are clear. It may queue the request
     *  again, or free it; not wait for a transfer or a fence. NULL: nobody is called. */
    void (*pager_callback)(struct pager_io_request *rq, int write);
    hal_spinlock_t chain_lock;
    unsigned char flag_chained;
    queue_chain_t disk_chain;
    errno_t rc; /* 0, or why it failed */
    pool_handle_t phandle;
    int unit;
    int parts;
};
typedef struct pager_io_request pager_io_request;

_Static_assert(sizeof(pager_io_request) == 112, "the port's layout");

/** All zero, locks free, phandle -1. @pre it is not queued. Never blocks. */
void pager_io_request_init(pager_io_request *me);

/**
 * What a driver calls when the transfer ended; rc is set before. In this order: both flags are
 * cleared; the callback is called; whoever waits goes on. That is the thread sleep_tid if
 * flag_sleep was set; else whoever waits for `lock`, which the requester held when it queued the
 * request. The request is not touched after the callback unless one of those two waits. Blocks only
 * as the callback does.
 *
 * @threads any, also within the driver's asyncIo; once for each request that was queued
 */
void pager_io_request_done(pager_io_request *me);

#endif /* PHANTOM_PORT_PAGER_IO_REQ_H */
