/* SPDX-License-Identifier: Apache-2.0
 *
 * port_disk.h - a disk that is a file: its queue, and what moves the data (the back end).
 */
#ifndef PORT_DISK_H
#define PORT_DISK_H

#include "port_internal.h"

#include <pthread.h>

enum { PORT_SECTOR = 512, PORT_DISK_ACTIVE = 64, PORT_DISK_BUCKETS = 256 };

/** One request while the disk has it. In one list at a time: waiting, active, or ending. */
struct port_disk_op {
    struct port_disk_op *next, *previous;
    struct port_disk_op *next_known; /* in its bucket */
    pager_io_request *rq;
    uint8_t *memory;
    uint64_t offset; /* bytes, in the file */
    size_t length, moved;
    uint64_t number; /* in the order in which they were queued */
    bool write;
    int error;                       /* when it is over */
    bool own, begun;                 /* the thread that queued it moves the bytes; it may */
    bool repeated;                   /* io_uring: the thread that submitted it had ended */
    struct port_disk_op *queue_next; /* of the back end */
};

struct port_disk_list {
    struct port_disk_op *first, *last;
    size_t count;
};

struct port_disk;

/**
 * A back end moves the bytes of operations, several at once in any order. start() is called with
 * the disk's lock held, does not block and cannot fail; when all bytes were moved, or could not be,
 * the back end passes it to port_disk_ended() once, without the lock, on a thread of its own.
 */
struct port_disk_backend {
    const char *name;
    int (*open)(struct port_disk *disk); /* 0, or an errno: try another back end */
    void (*start)(struct port_disk *disk, struct port_disk_op *op);
    void (*close)(struct port_disk *disk); /* nothing is active */
};
extern const struct port_disk_backend port_disk_uring, port_disk_threads;

struct port_disk {
    struct phantom_hal *hal;
    int fd;
    bool read_only;
    uint64_t sectors;
    const struct port_disk_backend *backend;
    void *backend_state;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* an operation left a list */
    struct port_disk_list waiting, active, ending;
    struct port_disk_op *known[PORT_DISK_BUCKETS]; /* by request: that may not be queued again */
    struct port_disk_op *spare;                    /* linked by next */
    uint64_t last_number;
    errno_t failed_flush; /* for ever */
};

/** Take over the descriptor (closed on failure, too). 0, or an errno. */
int port_disk_open(struct phantom_hal *hal, int fd, uint64_t sectors, unsigned flags,
                   struct port_disk **out);
void port_disk_drain(struct port_disk *disk); /* wait until nothing is queued, callbacks too */
void port_disk_close(struct port_disk *disk); /* the same first */

/** 0: queued. EALREADY: the request is queued or under way, and stays so. EINVAL, EROFS, EXDEV,
 *  ENOMEM. */
errno_t port_disk_submit(struct port_disk *disk, pager_io_request *rq, uint64_t sector);
/** Queue the request, wait until it is its turn, move the bytes in the calling thread. The request
 *  stays as it is, nobody is told. 0, what submit() returns, or the error of the transfer. */
errno_t port_disk_transfer(struct port_disk *disk, pager_io_request *rq, uint64_t sector);
errno_t port_disk_dequeue(struct port_disk *disk, pager_io_request *rq);
errno_t port_disk_raise(struct port_disk *disk, pager_io_request *rq);
errno_t port_disk_fence(struct port_disk *disk);
errno_t port_disk_trim(struct port_disk *disk, uint64_t sector, uint64_t count);
size_t port_disk_requests(struct port_disk *disk);

/** For back ends: move the bytes of an active operation, here and now. 0 or a positive errno. */
int port_disk_move(const struct port_disk *disk, struct port_disk_op *op);
/** For back ends: these operations, linked by queue_next, are over, each with its error, 0 or a
 *  positive errno. Calls back, one after the other. */
void port_disk_ended(struct port_disk *disk, struct port_disk_op *first);

#endif /* PORT_DISK_H */
