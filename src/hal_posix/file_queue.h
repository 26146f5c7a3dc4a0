/* SPDX-License-Identifier: Apache-2.0
 *
 * file_queue.h - the asynchronous half of a store file: two kinds of queue behind one interface.
 * hal_file.c checks requests, counts those in flight and never hands over more than
 * HAL_QUEUE_DEPTH; a queue may rely on that.
 */
#ifndef FILE_QUEUE_H
#define FILE_QUEUE_H

#include "snap_io.h"

/* More than a disk needs for its full rate (4 requests of 256 KiB do), small enough that rings fit
 * into the default locked-memory limit of old kernels. */
enum { HAL_QUEUE_DEPTH = 64 };

struct file_queue;

struct file_queue_ops {
    const char *name;
    /** 0 or -errno; on failure nothing is left behind. fd is borrowed. */
    int (*open)(int fd, struct file_queue **out);
    /** The request is taken: 0. Refused: -errno. */
    int (*submit)(struct file_queue *queue, struct snap_io_request *request);
    /** minimum <= requests in flight. Count, or -errno: then what has completed is kept. */
    int (*reap)(struct file_queue *queue, unsigned minimum, struct snap_io_request **done);
    /** Nothing is in flight, or the queue is broken: then in-flight requests are cancelled. */
    void (*close)(struct file_queue *queue);
    /** In a forked child, inside fork(): close descriptors. */
    void (*forked)(struct file_queue *queue);
};

/** First member of each kind. */
struct file_queue {
    const struct file_queue_ops *ops;
};

extern const struct file_queue_ops file_queue_uring;
extern const struct file_queue_ops file_queue_threads;

/** Completed requests in order of completion. */
struct request_list {
    struct snap_io_request *first, *last;
    unsigned count;
};

static inline void request_list_add(struct request_list *list, struct snap_io_request *request)
{
    request->next = NULL;
    if (list->last != NULL) {
        list->last->next = request;
    } else {
        list->first = request;
    }
    list->last = request;
    list->count++;
}

static inline int request_list_take(struct request_list *list, struct snap_io_request **out)
{
    int count = (int)list->count;
    *out = list->first;
    *list = (struct request_list){0};
    return count;
}

/** One pread or pwrite of the request, repeated on EINTR: bytes or -errno (hal_file.c). */
int32_t file_transfer_once(int fd, const struct snap_io_request *request);

#endif /* FILE_QUEUE_H */
