/* SPDX-License-Identifier: Apache-2.0
 *
 * port_partition.c - the methods of disks and slices, and what is called instead of a method:
 * disk_enqueue and friends, synchronous transfers. Owns nothing, no locks.
 *
 * In the port a slice adds its shift to the request itself. Here the request stays as it is when
 * the disk below is one of ours; only for a driver of somebody else it is changed, as in the port.
 */
#include "port_registry.h"

#include <genode_disk.h>
#include <kernel/stats.h>
#include <ph_io.h>
#include <string.h>

enum { SECTORS_PER_BLOCK = PAGE_SIZE / PORT_SECTOR, SYNC_PAGES = 16 };

/* ---- the driver of disks that are files ----------------------------------------------------- */

struct port_disk *port_partition_file(struct phantom_disk_partition *p, long *shift)
{
    *shift = 0;
    while (p->base != NULL && p->asyncIo == partAsyncIo) {
        *shift += p->shift;
        p = p->base;
    }
    return p->asyncIo == driver_genode_disk_asyncIO ? p->specific : NULL;
}

int driver_genode_disk_asyncIO(struct phantom_disk_partition *part, pager_io_request *rq)
{
    return port_disk_submit(part->specific, rq, rq->blockNo);
}

errno_t driver_genode_disk_fence(struct phantom_disk_partition *part)
{
    return port_disk_fence(part->specific);
}

/* ---- slices --------------------------------------------------------------------------------- */

static bool within(const struct phantom_disk_partition *p, u_int64_t sector, long count)
{
    return count > 0 && p->size > 0 && sector < (u_int64_t)p->size &&
           (u_int64_t)count <= (u_int64_t)p->size - sector;
}

/* The request's sectors are within each slice down to the disk. */
static bool within_all(const struct phantom_disk_partition *p, u_int64_t sector, long count)
{
    for (; p != NULL; p = p->base) {
        if (!within(p, sector, count)) {
            return false;
        }
        sector += (u_int64_t)p->shift;
    }
    return true;
}

errno_t partAsyncIo(struct phantom_disk_partition *p, pager_io_request *rq)
{
    if (!within_all(p, rq->blockNo, rq->nSect)) {
        return EINVAL;
    }
    if (p->base == NULL || p->base->asyncIo == NULL) {
        return ENODEV;
    }
    long shift;
    struct port_disk *file = port_partition_file(p, &shift);
    if (file != NULL) {
        return port_disk_submit(file, rq, rq->blockNo + (u_int64_t)shift);
    }
    rq->blockNo += (u_int64_t)p->shift;
    errno_t rc = p->base->asyncIo(p->base, rq);
    if (rc != 0) {
        rq->blockNo -= (u_int64_t)p->shift;
    }
    return rc;
}

errno_t partTrim(struct phantom_disk_partition *p, pager_io_request *rq)
{
    if (!within_all(p, rq->blockNo, rq->nSect)) {
        return EINVAL;
    }
    if (p->base == NULL || p->specific != NULL) {
        return ENODEV;
    }
    long shift;
    struct port_disk *file = port_partition_file(p, &shift);
    if (file != NULL) {
        return port_disk_trim(file, rq->blockNo + (u_int64_t)shift, (uint64_t)rq->nSect);
    }
    if (p->base->trim == NULL) {
        return ENODEV;
    }
    rq->blockNo += (u_int64_t)p->shift;
    errno_t rc = p->base->trim(p->base, rq);
    rq->blockNo -= (u_int64_t)p->shift;
    return rc;
}

/* The rest needs no place on the disk: the disk below is asked. */
static errno_t part_dequeue(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return disk_dequeue(p->base, rq);
}

static errno_t part_raise(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return disk_raise_priority(p->base, rq);
}

static errno_t part_fence(struct phantom_disk_partition *p)
{
    return disk_fence(p->base);
}

void port_partition_methods(phantom_disk_partition_t *p)
{
    p->asyncIo = partAsyncIo;
    p->dequeue = part_dequeue;
    p->raise = part_raise;
    p->fence = part_fence;
    p->trim = partTrim;
}

/* ---- instead of methods --------------------------------------------------------------------- */

void disk_enqueue(phantom_disk_partition_t *p, pager_io_request *rq)
{
    if (rq->rc != 0 || (rq->flag_pagein != 0) == (rq->flag_pageout != 0)) {
        panic("disk_enqueue: rc %d, in %d, out %d", rq->rc, rq->flag_pagein, rq->flag_pageout);
    }
    rq->blockNo = (u_int64_t)rq->disk_page * SECTORS_PER_BLOCK; /* 64 bits: beyond 2 TiB, too */
    rq->nSect = SECTORS_PER_BLOCK;
    STAT_INC_CNT(STAT_CNT_BLOCK_IO);
    errno_t rc = p->asyncIo != NULL ? p->asyncIo(p, rq) : ENODEV;
    if (rc == EALREADY) { /* the request is the disk's: not even rc is ours */
        ph_printf("disk_enqueue: %s: block %lu is queued already: refused\n", p->name,
                  (unsigned long)rq->disk_page);
    } else if (rc != 0) {
        rq->rc = rc;
        pager_io_request_done(rq);
    }
}

errno_t disk_dequeue(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return p != NULL && p->dequeue != NULL ? p->dequeue(p, rq) : ENODEV;
}

errno_t disk_raise_priority(struct phantom_disk_partition *p, pager_io_request *rq)
{
    rq->flag_urgent = 1;
    return p != NULL && p->raise != NULL ? p->raise(p, rq) : ENODEV;
}

errno_t disk_fence(struct phantom_disk_partition *p)
{
    return p != NULL && p->fence != NULL ? p->fence(p) : ENODEV;
}

errno_t disk_trim(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return p != NULL && p->trim != NULL ? p->trim(p, rq) : ENODEV;
}

/* ---- synchronous transfers ------------------------------------------------------------------ */

/* One transfer of frames; the calling thread does it, or sleeps while a foreign driver does. */
static errno_t transfer(phantom_disk_partition_t *p, physaddr_t frames, u_int64_t sector,
                        int sectors, bool write)
{
    pager_io_request rq;
    pager_io_request_init(&rq);
    rq.phys_page = frames;
    rq.blockNo = sector;
    rq.nSect = sectors;
    rq.flag_pageout = write;
    rq.flag_pagein = !write;
    rq.flag_sleep = 1;
    rq.sleep_tid = get_current_tid();
    STAT_INC_CNT(STAT_CNT_BLOCK_SYNC_IO);
    long shift;
    struct port_disk *file = port_partition_file(p, &shift);
    if (file != NULL) {
        bool inside = p->base == NULL || within_all(p, sector, sectors);
        return inside ? port_disk_transfer(file, &rq, sector + (u_int64_t)shift) : EINVAL;
    }
    hal_spin_lock(&rq.lock);
    errno_t rc = p->asyncIo != NULL ? p->asyncIo(p, &rq) : ENODEV;
    if (rc != 0) {
        hal_spin_unlock(&rq.lock);
        return rc;
    }
    thread_block(THREAD_SLEEP_IO, &rq.lock);
    return rq.rc;
}

/* buffer: read into, or written from. Through frames, which the disk can reach. */
static errno_t sync_sectors(phantom_disk_partition_t *p, void *buffer, long sector, long count,
                            bool write)
{
    if (sector < 0 || count < 1) {
        return EINVAL;
    }
    if (port_thread()->moves_data) {
        return EDEADLK; /* it is what would have to complete the transfer */
    }
    long pages = (count + SECTORS_PER_BLOCK - 1) / SECTORS_PER_BLOCK;
    pages = pages < SYNC_PAGES ? pages : SYNC_PAGES;
    physaddr_t frames;
    errno_t rc = hal_alloc_phys_pages(&frames, (int)pages);
    if (rc != 0) {
        return rc;
    }
    uint8_t *bytes = buffer;
    while (count > 0 && rc == 0) {
        long now = count < pages * SECTORS_PER_BLOCK ? count : pages * SECTORS_PER_BLOCK;
        size_t size = (size_t)now * PORT_SECTOR;
        if (write) {
            memcpy_v2p(frames, bytes, size);
        }
        rc = transfer(p, frames, (u_int64_t)sector, (int)now, write);
        if (rc == 0 && !write) {
            memcpy_p2v(bytes, frames, size);
        }
        bytes += size;
        sector += now;
        count -= now;
    }
    hal_free_phys_pages(frames, (int)pages);
    return rc;
}

static errno_t sync_blocks(phantom_disk_partition_t *p, void *buffer, long block, int count,
                           bool write)
{
    if (block < 0 || block > INT64_MAX / SECTORS_PER_BLOCK) {
        return EINVAL;
    }
    return sync_sectors(p, buffer, block * SECTORS_PER_BLOCK, (long)count * SECTORS_PER_BLOCK,
                        write);
}

errno_t phantom_sync_read_block(phantom_disk_partition_t *p, void *to, long blockNo, int nBlocks)
{
    return sync_blocks(p, to, blockNo, nBlocks, false);
}

errno_t phantom_sync_write_block(phantom_disk_partition_t *p, const void *from, long blockNo,
                                 int nBlocks)
{
    return sync_blocks(p, (void *)(uintptr_t)from, blockNo, nBlocks, true);
}

errno_t phantom_sync_read_sector(phantom_disk_partition_t *p, void *to, long sectorNo, int nSectors)
{
    return sync_sectors(p, to, sectorNo, nSectors, false);
}

errno_t phantom_sync_write_sector(phantom_disk_partition_t *p, const void *from, long sectorNo,
                                  int nSectors)
{
    return sync_sectors(p, (void *)(uintptr_t)from, sectorNo, nSectors, true);
}
