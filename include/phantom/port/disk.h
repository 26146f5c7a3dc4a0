/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.h - disks and their partitions, names of the Genode port. Stability: kept.
 *
 * @threads any, of the HAL instance that knows the disk, unless said otherwise. Memory and requests
 *   stay the caller's.
 * A function that calls a method blocks as that does; of the disks that are files, fence and trim
 * block, the others do not.
 */
#ifndef PHANTOM_PORT_DISK_H
#define PHANTOM_PORT_DISK_H

#include <errno.h>
#include <hal.h>
#include <kernel/pool.h>
#include <pager_io_req.h>
#include <ph_string.h>
#include <phantom_assert.h>
#include <spinlock.h>

#define MAX_DISK_PARTITIONS 64
#define PARTITION_NAME_LEN  64

#define PART_FLAG_IS_PHANTOM_TYPE 0x01 /* type 0xD3 in the partition table */
#define PART_FLAG_IS_PHANTOM_FSSB 0x02 /* has a superblock of Phantom */
#define PART_FLAG_IS_BOOTABLE     0x10
#define PART_FLAG_IS_DIVIDED      0x20 /* has partitions inside */
#define PART_FLAG_IS_WHOLE_DISK   0x40

struct partition_handle {
    pool_handle_t h;
};
typedef struct partition_handle partition_handle_t;

typedef struct phantom_disk_partition phantom_disk_partition_t;

/**
 * A disk or a slice of one: geometry and methods. A method that is NULL does not exist.
 *
 * asyncIo  queue a request (blockNo, nSect, phys_page, one direction). 0: queued,
 *          pager_io_request_done() will be called, perhaps before this returns. Otherwise an errno,
 *          and it will not be called. Requests that overlap are done in the order in which they
 *          were queued; others in any order. EALREADY: this request is queued or under way, which
 *          goes on as if nothing had been asked; it may be queued again when it was taken out, and
 *          from its callback on. EXDEV: the calling thread acts on another HAL
 *          instance than the disk's, so the frames would be other ones.
 * dequeue  0: the request was taken out before it started; its flags are clear, its callback is
 *          not called. EBUSY: it is under way or done.
 * raise    a hint: before those that wait.
 * fence    returns when all requests queued before it are done and their data is on stable storage
 *          (a flush of the device); an errno otherwise, and then for ever: what a failed flush lost
 *          is not known. Not from a callback.
 * trim     a hint: the sectors' contents are not needed. Done on return; no callback.
 *
 * Methods are called on the thread that asks, by several at once. asyncIo, dequeue and raise must
 * not wait for a transfer: they never block; fence and trim may block. The structure belongs to the
 * registry and is valid until the instance ends.
 */
struct phantom_disk_partition {
    int block_size; /* 512 */
    long shift;     /* first sector within base */
    long size;      /* sectors */
    char name[PARTITION_NAME_LEN];
    char label[PARTITION_NAME_LEN];
    int flags; /* PART_FLAG_* */
    int type;  /* as in the partition table */
    time_t last_snap;
    partition_handle_t self;
    partition_handle_t baseh;
    struct phantom_disk_partition *base; /* NULL: a whole disk */
    void *specific;                      /* the driver's; NULL for a slice */

    errno_t (*asyncIo)(struct phantom_disk_partition *p, pager_io_request *rq);
    errno_t (*dequeue)(struct phantom_disk_partition *p, pager_io_request *rq);
    errno_t (*raise)(struct phantom_disk_partition *p, pager_io_request *rq);
    errno_t (*fence)(struct phantom_disk_partition *p);
    errno_t (*trim)(struct phantom_disk_partition *p, pager_io_request *rq);
};

_Static_assert(sizeof(struct phantom_disk_partition) == 232, "the port's layout");

/** Queue a request for block rq->disk_page; sets blockNo and nSect. A request that cannot be queued
 *  is done at once, with the reason in rc: its callback is called here, on the calling thread. One
 *  that is queued or under way (EALREADY of the method) stays so, nobody is called, and a line on
 *  the console says that it was asked for twice. Never blocks otherwise.
 *  @pre rq->rc is 0 and one direction flag is set; fatal otherwise
 *  @post the request and its frames are the disk's until the callback, or a dequeue */
void disk_enqueue(phantom_disk_partition_t *p, pager_io_request *rq);
/** The methods, see there; ENODEV if there is none (p NULL: none). disk_raise_priority() sets
 *  flag_urgent, too. The first two never block; disk_fence(), not from a request's callback, and
 *  disk_trim(): blocks until it is done. */
errno_t disk_dequeue(struct phantom_disk_partition *p, pager_io_request *rq);
errno_t disk_raise_priority(struct phantom_disk_partition *p, pager_io_request *rq);
errno_t disk_fence(struct phantom_disk_partition *p);
errno_t disk_trim(struct phantom_disk_partition *p, pager_io_request *rq);

/** Synchronous transfers between ordinary memory and blocks of 4096, or sectors of 512 bytes. Each
 *  blocks until the bytes are moved; written is not yet on stable storage: disk_fence(). @return 0,
 *  EINVAL (outside of the partition, none to move), ENOMEM, EROFS, EIO, ...; EDEADLK from a
 *  request's callback. After an error part of it may have been moved */
errno_t phantom_sync_read_block(phantom_disk_partition_t *p, void *to, long blockNo, int nBlocks);
errno_t phantom_sync_write_block(phantom_disk_partition_t *p, const void *from, long blockNo,
                                 int nBlocks);
errno_t phantom_sync_read_sector(phantom_disk_partition_t *p, void *to, long sectorNo,
                                 int nSectors);
errno_t phantom_sync_write_sector(phantom_disk_partition_t *p, const void *from, long sectorNo,
                                  int nSectors);

/**
 * Make a disk known: *p is copied, its partition table is read, and each partition becomes known,
 * too: of the four primary ones, those that are within the disk and not within one before. What is
 * inside an extended partition is not looked for. Disks and partitions are known until the instance
 * ends. Superblocks are looked for, the rest is offered to file systems (fs_map.h), all on the
 * calling thread: blocks. Not from a request's callback.
 *
 * @pre specific set, shift 0, size > 0, base NULL, block_size 512, PART_FLAG_IS_WHOLE_DISK; fatal
 *      otherwise
 * @return 0, ENOSPC (64 are known), ENOMEM, or the error of reading the table
 */
errno_t phantom_register_disk_drive(phantom_disk_partition_t *p);
/** A slice of a partition, known from now on; shift and size in sectors. NULL: it would not be
 *  within base, 64 are known, or out of memory. Never blocks. */
phantom_disk_partition_t *phantom_create_partition_struct(phantom_disk_partition_t *base,
                                                          long shift, long size);
/** Number n of those that are known, in the order in which they became so; NULL: there are fewer.
 *  Never blocks. */
phantom_disk_partition_t *phantom_disk_partition_number(int n);
/** The first partition with Phantom's type or superblock that has none inside. Fatal if there is
 *  none. Never blocks. */
phantom_disk_partition_t *select_phantom_partition(void);

/** Methods of a slice: EINVAL outside of it; otherwise its base's. ENODEV without a base. The first
 *  never blocks, the second may block. */
errno_t partAsyncIo(struct phantom_disk_partition *p, pager_io_request *rq);
errno_t partTrim(struct phantom_disk_partition *p, pager_io_request *rq);

/** The full name, disk and slices, terminated. EINVAL: it does not fit (what fits is there). Never
 *  blocks. */
errno_t partGetName(phantom_disk_partition_t *p, char *buf, size_t bufsz);
/** Print what is known of it, on several lines or one. Blocks as the console's sink does. */
void dump_partition(phantom_disk_partition_t *p);
void print_partition(phantom_disk_partition_t *p);

#endif /* PHANTOM_PORT_DISK_H */
