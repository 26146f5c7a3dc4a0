/* SPDX-License-Identifier: Apache-2.0
 *
 * port_disk.c - the queue of a disk: order, priority, removal, fence.
 *
 * Owns the operations. Lists: waiting (in the order in which they will start), active (with the
 * back end), ending (the bytes are moved, the request's callback is going on). One lock for all; it
 * is never held while a callback runs.
 *
 * Always true: no active operation overlaps another active one, unless both read; and of two
 * operations that overlap the one that was queued first is before the other. So what is on the disk
 * afterwards is what was queued last.
 *
 * Who waits for its own transfer moves the bytes itself, when its turn has come
 * (port_disk_transfer): nothing is handed to another thread and back. Such an operation is in the
 * same lists, so the order is the same; it has no callback and so is never in `ending`.
 *
 * A request has one operation at most: which it is stands in `known`, from when it was queued until
 * its callback is about to be called, which may queue it again, or free it. So a second enqueue is
 * refused before it touches anything.
 *
 * A fence waits until nothing that was queued before it waits or is active, and flushes the device.
 * It does not wait for callbacks: one may wait for a lock that the caller of the fence holds. Then
 * it asks whether the file is still there: a flush that waited while the file system was shut down
 * may say that it succeeded (XFS), but who asks for the file afterwards is told.
 */
#include "port_disk.h"
#include "port_machine.h"

#include <kernel/stats.h>

/* ---- lists ---------------------------------------------------------------------------------- */

static void put_after(struct port_disk_list *list, struct port_disk_op *op,
                      struct port_disk_op *after)
{
    op->previous = after;
    op->next = after != NULL ? after->next : list->first;
    *(op->next != NULL ? &op->next->previous : &list->last) = op;
    *(after != NULL ? &after->next : &list->first) = op;
    list->count++;
}

static void take_out(struct port_disk_list *list, struct port_disk_op *op)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a list in use has a first and a last */
    *(op->next != NULL ? &op->next->previous : &list->last) = op->previous;
    *(op->previous != NULL ? &op->previous->next : &list->first) = op->next;
    list->count--;
}

static bool overlap(const struct port_disk_op *a, const struct port_disk_op *b)
{
    return (a->write || b->write) && a->offset < b->offset + b->length &&
           b->offset < a->offset + a->length;
}

static bool overlaps_active(const struct port_disk *disk, const struct port_disk_op *op)
{
    for (const struct port_disk_op *a = disk->active.first; a != NULL; a = a->next) {
        if (overlap(a, op)) {
            return !PH_MUTANT(OVERLAP_UNORDERED);
        }
    }
    return false;
}

/* Put an operation as far to the front as the ones that overlap it allow. */
static void put_in_front(struct port_disk *disk, struct port_disk_op *op)
{
    struct port_disk_op *after = disk->waiting.last;
    while (after != NULL && (!overlap(after, op) || PH_MUTANT(RAISED_OVERTAKES))) {
        after = after->previous;
    }
    put_after(&disk->waiting, op, after);
}

static void start_what_can(struct port_disk *disk)
{
    struct port_disk_op *op;
    while ((op = disk->waiting.first) != NULL && disk->active.count < PORT_DISK_ACTIVE &&
           !overlaps_active(disk, op)) {
        take_out(&disk->waiting, op);
        put_after(&disk->active, op, disk->active.last);
        if (op->own) {
            op->begun = true;
            (void)pthread_cond_broadcast(&disk->changed);
        } else {
            disk->backend->start(disk, op);
        }
    }
}

/* ---- which requests there are; the lock is held -----------------------------------------------
 */

static struct port_disk_op **bucket_of(struct port_disk *disk, const pager_io_request *rq)
{
    uint64_t spread = (uint64_t)(uintptr_t)rq * UINT64_C(0x9E3779B97F4A7C15);
    return &disk->known[(spread >> 32) % PORT_DISK_BUCKETS];
}

static bool is_known(struct port_disk *disk, const pager_io_request *rq)
{
    const struct port_disk_op *op = *bucket_of(disk, rq);
    while (op != NULL && op->rq != rq) {
        op = op->next_known;
    }
    return op != NULL && !PH_MUTANT(QUEUED_TWICE);
}

static void know(struct port_disk *disk, struct port_disk_op *op)
{
    struct port_disk_op **bucket = bucket_of(disk, op->rq);
    op->next_known = *bucket;
    *bucket = op;
}

static void forget(struct port_disk *disk, const struct port_disk_op *op)
{
    struct port_disk_op **at = bucket_of(disk, op->rq);
    while (*at != op) {
        at = &(*at)->next_known;
    }
    *at = op->next_known;
}

/* ---- open and close ------------------------------------------------------------------------- */

static int open_backend(struct port_disk *disk, unsigned flags)
{
    int rc = ENOSYS;
    const struct port_disk_backend *fast = port_file_fast_backend();
    if ((flags & PHANTOM_HAL_DISK_THREADS) == 0 && fast != NULL) {
        disk->backend = fast;
        rc = disk->backend->open(disk);
    }
    if (rc != 0 && rc != ENOMEM) {
        disk->backend = &port_disk_threads;
        rc = disk->backend->open(disk);
    }
    return rc;
}

int port_disk_open(struct phantom_hal *instance, int fd, uint64_t sectors, unsigned flags,
                   struct port_disk **out)
{
    struct port_disk *disk = ph_zalloc(1, sizeof(*disk));
    if (disk == NULL) {
        port_file_close(fd);
        return ENOMEM;
    }
    disk->hal = instance;
    disk->fd = fd;
    disk->sectors = sectors;
    disk->read_only = (flags & PHANTOM_HAL_DISK_READ_ONLY) != 0;
    (void)pthread_mutex_init(&disk->lock, NULL);
    (void)pthread_cond_init(&disk->changed, NULL);
    int rc = open_backend(disk, flags);
    if (rc == 0) {
        *out = disk;
        return 0;
    }
    (void)pthread_cond_destroy(&disk->changed);
    (void)pthread_mutex_destroy(&disk->lock);
    port_file_close(fd);
    ph_free(disk);
    return rc;
}

void port_disk_drain(struct port_disk *disk)
{
    (void)pthread_mutex_lock(&disk->lock);
    while (disk->waiting.count + disk->active.count + disk->ending.count > 0) {
        (void)pthread_cond_wait(&disk->changed, &disk->lock);
    }
    (void)pthread_mutex_unlock(&disk->lock);
}

void port_disk_close(struct port_disk *disk)
{
    port_disk_drain(disk);
    disk->backend->close(disk);
    while (disk->spare != NULL) {
        struct port_disk_op *op = disk->spare;
        disk->spare = op->next;
        ph_free(op);
    }
    (void)pthread_cond_destroy(&disk->changed);
    (void)pthread_mutex_destroy(&disk->lock);
    port_file_close(disk->fd); /* and with it the lock on the file */
    ph_free(disk);
}

size_t port_disk_requests(struct port_disk *disk)
{
    (void)pthread_mutex_lock(&disk->lock);
    size_t count = disk->waiting.count + disk->active.count + disk->ending.count;
    (void)pthread_mutex_unlock(&disk->lock);
    return count;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* The lock is held. NULL: no memory. */
static struct port_disk_op *new_op(struct port_disk *disk)
{
    struct port_disk_op *op = disk->spare;
    if (op == NULL) {
        return ph_zalloc(1, sizeof(*op));
    }
    disk->spare = op->next;
    *op = (struct port_disk_op){0};
    return op;
}

static bool within(const struct port_disk *disk, uint64_t sector, uint64_t count)
{
    return count > 0 && sector < disk->sectors && count <= disk->sectors - sector;
}

/* May the disk do this? Then where the bytes are in memory, and how many. */
static errno_t examine(const struct port_disk *disk, const pager_io_request *rq, uint64_t sector,
                       uint8_t **memory, size_t *bytes)
{
    if (disk->hal != port_hal() && !PH_MUTANT(STRANGERS_DISK)) {
        return EXDEV; /* the frames would be those of another instance */
    }
    *bytes = rq->nSect > 0 ? (size_t)rq->nSect * PORT_SECTOR : 0;
    *memory = *bytes > 0 ? port_memory_at(disk->hal, rq->phys_page, *bytes) : NULL;
    if (*memory == NULL || !within(disk, sector, *bytes / PORT_SECTOR) ||
        (rq->flag_pagein != 0) == (rq->flag_pageout != 0)) {
        return EINVAL;
    }
    return rq->flag_pageout != 0 && disk->read_only ? EROFS : 0;
}

/* Queue the request; the lock is held. Own: the caller moves the bytes. */
static errno_t queue(struct port_disk *disk, pager_io_request *rq, uint64_t sector, uint8_t *memory,
                     size_t bytes, bool own, struct port_disk_op **out)
{
    if (is_known(disk, rq)) {
        return EALREADY;
    }
    struct port_disk_op *op = new_op(disk);
    if (op == NULL) {
        return ENOMEM;
    }
    op->rq = rq;
    know(disk, op);
    op->memory = memory;
    op->number = ++disk->last_number;
    op->offset = sector * PORT_SECTOR;
    op->length = bytes;
    op->write = rq->flag_pageout != 0;
    op->own = own;
    if (rq->flag_urgent != 0) {
        put_in_front(disk, op);
    } else {
        put_after(&disk->waiting, op, disk->waiting.last);
    }
    start_what_can(disk);
    *out = op;
    return 0;
}

errno_t port_disk_submit(struct port_disk *disk, pager_io_request *rq, uint64_t sector)
{
    uint8_t *memory;
    size_t bytes;
    errno_t rc = examine(disk, rq, sector, &memory, &bytes);
    if (rc != 0) {
        return rc;
    }
    port_stats_add(disk->hal, STAT_CNT_DISK_Q_SIZE, 1);
    (void)pthread_mutex_lock(&disk->lock);
    struct port_disk_op *op;
    rc = queue(disk, rq, sector, memory, bytes, false, &op);
    (void)pthread_mutex_unlock(&disk->lock);
    return rc;
}

int port_disk_move(const struct port_disk *disk, struct port_disk_op *op)
{
    while (op->moved < op->length) {
        uint8_t *memory = op->memory + op->moved;
        size_t left = op->length - op->moved;
        uint64_t offset = op->offset + op->moved;
        ssize_t moved = op->write ? port_file_write(disk->fd, memory, left, offset)
                                  : port_file_read(disk->fd, memory, left, offset);
        if (moved > 0) {
            op->moved += PH_MUTANT(SHORT_TRANSFER_DONE) ? left : (size_t)moved;
        } else if (moved == 0) {
            return EIO; /* the file became shorter */
        } else if (moved != -EINTR && moved != -EAGAIN) {
            return (int)-moved;
        }
    }
    return 0;
}

errno_t port_disk_transfer(struct port_disk *disk, pager_io_request *rq, uint64_t sector)
{
    uint8_t *memory;
    size_t bytes;
    errno_t rc = examine(disk, rq, sector, &memory, &bytes);
    if (rc != 0) {
        return rc;
    }
    port_stats_add(disk->hal, STAT_CNT_DISK_Q_SIZE, 1);
    (void)pthread_mutex_lock(&disk->lock);
    struct port_disk_op *op;
    rc = queue(disk, rq, sector, memory, bytes, true, &op);
    while (rc == 0 && !op->begun && !PH_MUTANT(TURN_NOT_AWAITED)) {
        (void)pthread_cond_wait(&disk->changed, &disk->lock);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    if (rc != 0) {
        return rc;
    }
    rc = port_disk_move(disk, op);
    (void)pthread_mutex_lock(&disk->lock);
    take_out(op->begun ? &disk->active : &disk->waiting, op);
    forget(disk, op);
    op->next = disk->spare;
    disk->spare = op;
    start_what_can(disk);
    (void)pthread_cond_broadcast(&disk->changed);
    (void)pthread_mutex_unlock(&disk->lock);
    return PH_MUTANT(IO_ERROR_LOST) ? 0 : rc;
}

void port_disk_ended(struct port_disk *disk, struct port_disk_op *first)
{
    if (first == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&disk->lock);
    for (struct port_disk_op *op = first; op != NULL; op = op->queue_next) {
        take_out(&disk->active, op);
        put_after(&disk->ending, op, NULL);
    }
    start_what_can(disk);
    (void)pthread_cond_broadcast(&disk->changed); /* fences look at the first two lists */
    (void)pthread_mutex_unlock(&disk->lock);

    for (struct port_disk_op *op = first; op != NULL; op = op->queue_next) {
        (void)pthread_mutex_lock(&disk->lock);
        forget(disk, op);
        (void)pthread_mutex_unlock(&disk->lock);
        op->rq->rc = PH_MUTANT(IO_ERROR_LOST) ? 0 : op->error;
        pager_io_request_done(op->rq); /* it may be gone, or queued again */
    }

    (void)pthread_mutex_lock(&disk->lock);
    for (struct port_disk_op *op = first; op != NULL; op = op->queue_next) {
        take_out(&disk->ending, op);
        op->next = disk->spare;
        disk->spare = op;
    }
    (void)pthread_cond_broadcast(&disk->changed);
    (void)pthread_mutex_unlock(&disk->lock);
}

/* The lock is held. */
static struct port_disk_op *find_waiting(struct port_disk *disk, const pager_io_request *rq)
{
    struct port_disk_op *op = disk->waiting.first;
    while (op != NULL && op->rq != rq) {
        op = op->next;
    }
    return op;
}

errno_t port_disk_dequeue(struct port_disk *disk, pager_io_request *rq)
{
    (void)pthread_mutex_lock(&disk->lock);
    struct port_disk_op *op = find_waiting(disk, rq);
    if (op != NULL && !PH_MUTANT(DEQUEUED_WRITES)) {
        take_out(&disk->waiting, op);
        forget(disk, op);
        op->next = disk->spare;
        disk->spare = op;
        rq->flag_pagein = 0;
        rq->flag_pageout = 0;
        start_what_can(disk); /* it may have been in the way of others */
        (void)pthread_cond_broadcast(&disk->changed);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    return op != NULL ? 0 : EBUSY;
}

errno_t port_disk_raise(struct port_disk *disk, pager_io_request *rq)
{
    (void)pthread_mutex_lock(&disk->lock);
    struct port_disk_op *op = find_waiting(disk, rq);
    if (op != NULL) {
        struct port_disk_list after = {0}; /* what is behind it stays behind it */
        while (disk->waiting.last != op) {
            struct port_disk_op *last = disk->waiting.last;
            take_out(&disk->waiting, last);
            put_after(&after, last, NULL);
        }
        take_out(&disk->waiting, op);
        put_in_front(disk, op);
        while (after.first != NULL) {
            struct port_disk_op *first = after.first;
            take_out(&after, first);
            put_after(&disk->waiting, first, disk->waiting.last);
        }
        start_what_can(disk);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    return 0;
}

/* ---- fence and trim ------------------------------------------------------------------------- */

static bool any_up_to(const struct port_disk_list *list, uint64_t number)
{
    for (const struct port_disk_op *op = list->first; op != NULL; op = op->next) {
        if (op->number <= number) {
            return true;
        }
    }
    return false;
}

errno_t port_disk_fence(struct port_disk *disk)
{
    (void)pthread_mutex_lock(&disk->lock);
    uint64_t number = PH_MUTANT(FENCE_NOT_WAITED) ? 0 : disk->last_number;
    while (any_up_to(&disk->waiting, number) || any_up_to(&disk->active, number)) {
        (void)pthread_cond_wait(&disk->changed, &disk->lock);
    }
    errno_t rc = disk->failed_flush;
    (void)pthread_mutex_unlock(&disk->lock);
    if (rc != 0 || PH_MUTANT(FENCE_WITHOUT_FLUSH)) {
        return rc;
    }
    rc = port_file_flush(disk->fd);
    if (rc == 0 && !PH_MUTANT(FENCE_BELIEVES_FLUSH)) {
        rc = port_file_check(disk->fd, disk->sectors);
    }
    if (rc != 0 && !PH_MUTANT(FAILED_FENCE_FORGOTTEN)) { /* what it lost is not known, and the next
                                                            flush would not say it again */
        (void)pthread_mutex_lock(&disk->lock);
        disk->failed_flush = rc;
        (void)pthread_mutex_unlock(&disk->lock);
    }
    return rc;
}

errno_t port_disk_trim(struct port_disk *disk, uint64_t sector, uint64_t count)
{
    if (!within(disk, sector, count)) {
        return EINVAL;
    }
    if (disk->read_only) {
        return EROFS;
    }
    return port_file_trim(disk->fd, sector * PORT_SECTOR, count * PORT_SECTOR);
}
