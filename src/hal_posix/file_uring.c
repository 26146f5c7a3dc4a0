/* SPDX-License-Identifier: Apache-2.0
 *
 * file_uring.c - transfers through io_uring.
 *
 * Owns one ring. One thread at a time uses it, but not always the same one (the thread that commits
 * changes), so neither SINGLE_ISSUER nor DEFER_TASKRUN; no SQPOLL, which would burn a core. A
 * thread that submitted must stay alive until its requests came back: the kernel cancels those of a
 * thread that ends.
 *
 * Always true: requests in flight <= HAL_QUEUE_DEPTH <= submission entries < completion entries, so
 * the completion ring cannot overflow and io_uring_get_sqe cannot fail. A request that the kernel
 * did not take at once (EAGAIN: it is short of memory) stays in the submission ring and goes out
 * with the next reap, as does one that says that more will follow. No order between requests is
 * asked for or promised: no links, no drain, no fsync in the ring; the caller reaps and then
 * flushes.
 */
#include "file_queue.h"
#include "ph_memory.h"

#include "hal_internal.h"

#include <errno.h>
#include <hal.h>
#include <liburing.h>

/* How long a kernel may be short of memory before it counts as an error; tests have less patience.
 */
#ifndef STALL_LIMIT_MS
#define STALL_LIMIT_MS 5000
#endif

struct uring {
    struct file_queue queue;
    struct io_uring ring;
    int fd;
    struct request_list done;
};

static int uring_open(int fd, struct file_queue **out)
{
    struct uring *uring = ph_zalloc(1, sizeof(*uring));
    if (uring == NULL) {
        return -ENOMEM;
    }
    uring->queue.ops = &file_queue_uring;
    uring->fd = fd;
    int rc = io_uring_queue_init(HAL_QUEUE_DEPTH, &uring->ring, 0);
    if (rc < 0) {
        ph_free(uring);
        return rc;
    }
    /* This feature bit is as old as the plain read and write operations (5.6). */
    if ((uring->ring.features & IORING_FEAT_RW_CUR_POS) == 0) {
        rc = -EOPNOTSUPP;
    } else {
        rc = io_uring_ring_dontfork(&uring->ring);
    }
    if (rc < 0) {
        io_uring_queue_exit(&uring->ring);
        ph_free(uring);
        return rc;
    }
    *out = &uring->queue;
    return 0;
}

/* Worth trying again: nothing was lost, and the entries stay in the ring. */
static bool is_passing(int rc)
{
    return rc == -EINTR || rc == -EAGAIN || rc == -EBUSY;
}

static int uring_submit(struct file_queue *queue, struct snap_io_request *request)
{
    struct uring *uring = (struct uring *)queue;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (sqe == NULL) {
        return -EAGAIN;
    }
    if (request->direction == SNAP_IO_WRITE) {
        io_uring_prep_write(sqe, uring->fd, request->buffer, request->length, request->offset);
    } else {
        io_uring_prep_read(sqe, uring->fd, request->buffer, request->length, request->offset);
    }
    io_uring_sqe_set_data(sqe, request);
    if (request->more) {
        return 0; /* goes out with the next one or with reap(): one system call for all */
    }
    /* Whatever the answer, the entry is in the ring, so the request is ours: reap() tries again and
     * reports an error that lasts. */
    (void)io_uring_submit(&uring->ring);
    return 0;
}

static void collect(struct uring *uring)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0 && cqe != NULL) {
        struct snap_io_request *request = io_uring_cqe_get_data(cqe);
        request->result = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        if (is_passing(request->result)) {
            /* Nothing was transferred and the caller could only ask again; ask in its place. */
            request->result = file_transfer_once(uring->fd, request);
        }
        request_list_add(&uring->done, request);
    }
}

/* Entries that were kept go out in the same system call that waits, and one wait is for all that
 * are wanted: each further one costs a sleep and a wake-up, which a small commit feels. */
static int uring_reap(struct file_queue *queue, unsigned minimum, struct snap_io_request **done)
{
    struct uring *uring = (struct uring *)queue;
    unsigned stalled_ms = 0;
    collect(uring);
    if (uring->done.count >= minimum && io_uring_sq_ready(&uring->ring) > 0) {
        (void)io_uring_submit(&uring->ring);
        collect(uring);
    }
    while (uring->done.count < minimum) {
        unsigned before = uring->done.count;
        int rc = io_uring_submit_and_wait(&uring->ring, minimum - before);
        if (rc < 0 && !is_passing(rc)) {
            return rc;
        }
        collect(uring);
        if (uring->done.count > before) {
            stalled_ms = 0;
        } else if (rc == -EAGAIN || rc == -EBUSY) {
            if (++stalled_ms > STALL_LIMIT_MS) {
                return rc;
            }
            hal_sleep_msec(1);
        }
    }
    return request_list_take(&uring->done, done);
}

static void uring_close(struct file_queue *queue)
{
    struct uring *uring = (struct uring *)queue;
    io_uring_queue_exit(&uring->ring);
    ph_free(uring);
}

static void uring_forked(struct file_queue *queue)
{
    struct uring *uring = (struct uring *)queue;
    hal_close(uring->ring.ring_fd);
    uring->ring.ring_fd = -1;
}

const struct file_queue_ops file_queue_uring = {
    .name = "io_uring",
    .open = uring_open,
    .submit = uring_submit,
    .reap = uring_reap,
    .close = uring_close,
    .forked = uring_forked,
};
