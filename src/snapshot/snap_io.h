/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_io.h - the one door to the store file. No other code touches the file.
 *
 * Back ends: io_uring and pwrite threads (hal_posix room), memory (this room), and for tests the
 * wrappers record, fail-at-N and reorder (tests/support). All have the same contract:
 *
 *  - Offsets and lengths of data transfers are multiples of 4096; buffers are 4096-aligned.
 *  - submit() takes a request that the caller owns; the buffer must not change until the request
 *    comes back from reap(). A request comes back exactly once, with result = bytes transferred
 *    (0..len) or -errno. Short transfers are possible: the store, not the back end, resubmits.
 *  - Requests complete in any order. flush() makes durable every write whose completion was reaped
 *    before flush() was called, and orders nothing else.
 *  - A failed flush leaves durability unknown; the store then poisons its handle and never retries.
 *  - One thread at a time per snap_io; different snap_io are independent.
 */
#ifndef SNAP_IO_H
#define SNAP_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snap_io;

enum snap_io_direction { SNAP_IO_READ, SNAP_IO_WRITE };

struct snap_io_request {
    uint64_t offset;
    void *buffer;
    uint32_t length;
    enum snap_io_direction direction;
    bool more; /* a reap() that waits, or more requests, follow at once: may be kept until then */
    int32_t result;               /* set by reap(): bytes or -errno */
    void *owner;                  /* the caller's own word */
    struct snap_io_request *next; /* for the back end while in flight, for the caller otherwise */
};

enum snap_io_lock { SNAP_IO_UNLOCK, SNAP_IO_LOCK_SHARED, SNAP_IO_LOCK_EXCLUSIVE };

struct snap_io_ops {
    const char *name; /* "io_uring", "pwrite threads", "memory", ... */
    /** Read all of [offset, offset+length) synchronously; past the end of file is -EIO. 0 or
     * -errno. */
    int (*read)(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length);
    /** Start one transfer. 0, or -errno: then nothing was started and reap() will not return it.
     *  -EAGAIN: the queue is full, reap first. */
    int (*submit)(struct snap_io *io, struct snap_io_request *request);
    /** Take back completed requests as a list; waits until at least `minimum` of those in flight
     * have completed (0: only what is ready). Returns the count, or -errno. */
    int (*reap)(struct snap_io *io, unsigned minimum, struct snap_io_request **done);
    /** fdatasync. 0 or -errno. */
    int (*flush)(struct snap_io *io);
    /** Synchronous write of a few blocks, for small commits: complete or -errno, not yet durable.
     */
    int (*write)(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length);
    /** Length of the file. -ESTALE: it has been deleted, nothing written to it would be found
     * again. */
    int (*size)(struct snap_io *io, uint64_t *bytes);
    /** Make the file at least `bytes` long with blocks allocated (posix_fallocate semantics).
     *  -ENOSPC leaves the size as it was. */
    int (*allocate)(struct snap_io *io, uint64_t bytes);
    /** Advisory lock on one byte far beyond the data (open-file-description lock). 0, -EAGAIN when
     *  another process holds it, or -errno. Dropped at close. */
    int (*lock)(struct snap_io *io, uint64_t byte, enum snap_io_lock kind);
    void (*close)(struct snap_io *io);
    /** Fill the buffer with random bytes: a writer's incarnation number. 0 or -errno. May be NULL:
     *  the store then derives a number from its own state, which keeps tests repeatable. */
    int (*random)(struct snap_io *io, void *buffer, uint32_t length);
};

/** First member of every back end's own structure. */
struct snap_io {
    const struct snap_io_ops *ops;
    const char *path; /* for messages; owned by the back end */
    bool read_only;
};

/* Lock bytes: one for the writer, one for each generation that a reader is using. */
#define SNAP_LOCK_BASE          (UINT64_C(1) << 62)
#define SNAP_LOCK_WRITER        SNAP_LOCK_BASE
#define SNAP_LOCK_GENERATION(g) (SNAP_LOCK_BASE + 1 + (g))

#endif /* SNAP_IO_H */
