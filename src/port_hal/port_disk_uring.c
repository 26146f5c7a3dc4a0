/* SPDX-License-Identifier: Apache-2.0
 *
 * port_disk_uring.c - the back end on io_uring: whoever queues a request submits it, one thread
 * takes the completions.
 *
 * The submission side of the ring is used with the disk's lock held, the completion side by the one
 * thread. There are never more operations under way than the ring has entries, so neither side
 * overflows. What the kernel would not take (no memory for the moment) stays in the ring, and the
 * thread submits it again.
 */
#include "port_disk.h"

#include <liburing.h>

enum { STOP = 1 }; /* one entry more than operations, to end the thread */

struct uring {
    struct io_uring ring;
    bool unsubmitted;
    hal_sem_t ended;
};

/* The lock is held. */
static void submit(struct uring *uring)
{
    int rc;
    do {
        rc = io_uring_submit(&uring->ring);
    } while (rc == -EINTR);
    uring->unsubmitted = rc < 0 || io_uring_sq_ready(&uring->ring) > 0;
}

/* The lock is held; op NULL: end the thread. */
static void put(struct port_disk *disk, struct port_disk_op *op)
{
    struct uring *uring = disk->backend_state;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    PH_CHECK(sqe != NULL); /* as many entries as operations */
    if (op == NULL) {
        io_uring_prep_nop(sqe);
    } else if (op->write) {
        io_uring_prep_write(sqe, disk->fd, op->memory + op->moved,
                            (unsigned)(op->length - op->moved), op->offset + op->moved);
    } else {
        io_uring_prep_read(sqe, disk->fd, op->memory + op->moved,
                           (unsigned)(op->length - op->moved), op->offset + op->moved);
    }
    io_uring_sqe_set_data(sqe, op);
    submit(uring);
}

static void start(struct port_disk *disk, struct port_disk_op *op)
{
    put(disk, op);
}

/* One completion; the lock is held. result: bytes, or a negative errno. True when the operation is
 * over; then its error says how. */
static bool is_over(struct port_disk *disk, struct port_disk_op *op, int result)
{
    bool again = result == -EINTR || result == -EAGAIN;
    if ((result == -EFAULT || result == -ECANCELED) && !op->repeated &&
        !PH_MUTANT(ORPHANS_REQUEST_FAILS)) {
        /* The kernel moves the bytes in the context of the thread that submitted, and that one has
         * ended. This thread does not end before the disk is closed. */
        op->repeated = again = true;
    }
    op->error = again || result > 0 ? 0 : result == 0 ? EIO : -result; /* 0: the file is shorter */
    op->moved += result > 0 ? (size_t)result : 0;
    if (op->error != 0 || op->moved == op->length) {
        return true;
    }
    put(disk, op);
    return false;
}

/* All completions that are there, under one lock; the operations that are over, linked by
 * queue_next. True: the thread is to end. */
static bool collect(struct port_disk *disk, struct port_disk_op **over)
{
    struct uring *uring = disk->backend_state;
    struct port_disk_op **last = over;
    bool stop = false;
    struct io_uring_cqe *cqe;
    (void)pthread_mutex_lock(&disk->lock); /* and so that we see what the submitters wrote */
    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        struct port_disk_op *op = io_uring_cqe_get_data(cqe);
        int result = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        if (op == NULL) {
            stop = true;
        } else if (is_over(disk, op, result)) {
            *last = op;
            last = &op->queue_next;
        }
    }
    *last = NULL;
    if (uring->unsubmitted) {
        submit(uring);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    return stop;
}

static void reap(void *argument)
{
    struct port_disk *disk = argument;
    struct uring *uring = disk->backend_state;
    (void)t_current_set_name("DiskReaper");
    port_thread()->moves_data = true;
    for (bool stop = false; !stop;) {
        struct io_uring_cqe *cqe = NULL;
        struct __kernel_timespec patience = {.tv_nsec = 100 * 1000 * 1000}; /* for what is left */
        (void)io_uring_wait_cqe_timeout(&uring->ring, &cqe, &patience);
        struct port_disk_op *over;
        stop = collect(disk, &over);
        port_disk_ended(disk, over);
    }
    hal_sem_release(&uring->ended);
}

static int open_uring(struct port_disk *disk)
{
    struct uring *uring = ph_zalloc(1, sizeof(*uring));
    if (uring == NULL || hal_sem_init(&uring->ended, "disk reaper") != 0) {
        ph_free(uring);
        return ENOMEM;
    }
    int rc = -io_uring_queue_init(PORT_DISK_ACTIVE + STOP, &uring->ring, 0);
    if (rc == 0 && (uring->ring.features & IORING_FEAT_EXT_ARG) == 0) {
        io_uring_queue_exit(&uring->ring);
        rc = ENOSYS; /* waiting with a time limit would use the submission side */
    }
    disk->backend_state = uring;
    if (rc == 0 && port_threads_start(disk->hal, reap, disk) < 0) {
        io_uring_queue_exit(&uring->ring);
        rc = EAGAIN;
    }
    if (rc != 0) {
        hal_sem_destroy(&uring->ended);
        ph_free(uring);
        disk->backend_state = NULL;
    }
    return rc;
}

static void close_uring(struct port_disk *disk)
{
    struct uring *uring = disk->backend_state;
    (void)pthread_mutex_lock(&disk->lock);
    put(disk, NULL);
    (void)pthread_mutex_unlock(&disk->lock);
    (void)hal_sem_acquire(&uring->ended);
    io_uring_queue_exit(&uring->ring);
    hal_sem_destroy(&uring->ended);
    ph_free(uring);
}

const struct port_disk_backend port_disk_uring = {"io_uring", open_uring, start, close_uring};
