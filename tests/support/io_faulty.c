/* SPDX-License-Identifier: Apache-2.0
 *
 * io_faulty.c - see io_faulty.h.
 *
 * Completions are held back in a list of our own, so that their order is ours to choose: every
 * request that the io below completed is in `ready`, newest first, until reap() hands it out.
 * True between calls: in_flight = requests accepted and not yet handed out.
 * Lock: a leaf around the fault and its counts, which a test sets while a thread of the library may
 * be using the disk; all else belongs to whoever uses the disk.
 */
#include "io_faulty.h"

#include "io_forward.h"
#include "ph_check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct io_faulty {
    struct io_forward forward;
    pthread_mutex_t lock;  /* fault, seen, fired */
    struct io_fault fault; /* as set */
    uint64_t seen, fired;
    struct io_fault struck; /* the fault that the last operation met, for its user */
    enum io_order order;
    unsigned depth;
    unsigned in_flight, below; /* below: of those, still in the io below */
    struct snap_io_request *ready;
};

enum { BLOCK = 4096 };

static struct io_faulty *faulty_of(struct snap_io *io)
{
    return (struct io_faulty *)io;
}

/** Does this operation fail? */
static bool strikes(struct io_faulty *faulty, enum io_op op)
{
    pthread_mutex_lock(&faulty->lock);
    faulty->struck = faulty->fault;
    const struct io_fault *fault = &faulty->struck;
    bool strike = false;
    if ((fault->ops & (unsigned)op) != 0) {
        faulty->seen++;
        strike = fault->at != 0 &&
                 (faulty->seen == fault->at || (faulty->seen > fault->at && fault->sticky));
        faulty->fired += strike;
    }
    pthread_mutex_unlock(&faulty->lock);
    return strike;
}

/** What a failed or short write leaves: its first half, in whole blocks. */
static uint32_t half(uint32_t length)
{
    return length / 2 / BLOCK * BLOCK;
}

static void write_half(struct io_faulty *faulty, uint64_t offset, const void *buffer,
                       uint32_t length)
{
    if (half(length) > 0) {
        (void)faulty->forward.inner->ops->write(faulty->forward.inner, offset, buffer,
                                                half(length));
    }
}

static int op_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct io_faulty *faulty = faulty_of(io);
    bool strike = strikes(faulty, IO_OP_READ);
    if (strike && faulty->struck.kind != IO_FAULT_FLIP) {
        return -faulty->struck.error;
    }
    int rc = faulty->forward.inner->ops->read(faulty->forward.inner, offset, buffer, length);
    if (strike && rc == 0) {
        ((uint8_t *)buffer)[length / 3] ^= 4;
    }
    return rc;
}

static void hold(struct io_faulty *faulty, struct snap_io_request *request)
{
    request->next = faulty->ready;
    faulty->ready = request;
}

/** The fault as the result of a submitted transfer. */
static void complete_with_fault(struct io_faulty *faulty, struct snap_io_request *request)
{
    bool flip = faulty->struck.kind == IO_FAULT_FLIP;
    uint32_t done = flip ? request->length : half(request->length);
    if (request->direction == SNAP_IO_WRITE) {
        write_half(faulty, request->offset, request->buffer, request->length);
    } else if (done > 0 && faulty->forward.inner->ops->read(faulty->forward.inner, request->offset,
                                                            request->buffer, done) < 0) {
        done = 0;
    }
    if (flip && done > 0) {
        ((uint8_t *)request->buffer)[done / 3] ^= 4;
        request->result = (int32_t)done;
    } else if (faulty->struck.kind == IO_FAULT_SHORT) {
        request->result = (int32_t)done;
    } else {
        request->result = -faulty->struck.error;
    }
    faulty->in_flight++;
    hold(faulty, request);
}

static int op_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct io_faulty *faulty = faulty_of(io);
    if (faulty->depth != 0 && faulty->in_flight >= faulty->depth) {
        return -EAGAIN;
    }
    if (strikes(faulty, IO_OP_SUBMIT)) {
        return -faulty->struck.error;
    }
    enum io_op op = request->direction == SNAP_IO_WRITE ? IO_OP_WRITE : IO_OP_READ;
    bool may_flip = request->direction == SNAP_IO_READ;
    if (strikes(faulty, op) && (may_flip || faulty->struck.kind != IO_FAULT_FLIP)) {
        complete_with_fault(faulty, request);
        return 0;
    }
    int rc = faulty->forward.inner->ops->submit(faulty->forward.inner, request);
    if (rc == 0) {
        faulty->in_flight++;
        faulty->below++;
    }
    return rc;
}

/** Take what the io below has; at least enough to have `minimum` ready. */
static int collect(struct io_faulty *faulty, unsigned minimum)
{
    unsigned ready = faulty->in_flight - faulty->below;
    unsigned want = minimum > ready ? minimum - ready : 0;
    if (faulty->order != IO_ORDER_FORWARD) {
        want = faulty->below; /* all, so that the last can come first */
    }
    if (want > faulty->below) {
        want = faulty->below;
    }
    struct snap_io_request *done = NULL;
    int count = faulty->forward.inner->ops->reap(faulty->forward.inner, want, &done);
    if (count < 0) {
        return count;
    }
    while (count > 0 && done != NULL) {
        struct snap_io_request *next = done->next;
        hold(faulty, done);
        faulty->below--;
        done = next;
    }
    return 0;
}

static int op_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct io_faulty *faulty = faulty_of(io);
    int rc = collect(faulty, minimum);
    if (rc < 0) {
        return rc;
    }
    unsigned limit = faulty->order == IO_ORDER_LATE ? (minimum > 0 ? minimum : 1) : ~0u;
    struct snap_io_request *first = NULL, **last = &first;
    int count = 0;
    while (faulty->ready != NULL && (unsigned)count < limit) {
        struct snap_io_request *request = faulty->ready; /* newest first: reversed */
        faulty->ready = request->next;
        if (faulty->order == IO_ORDER_FORWARD) {
            request->next = first;
            first = request;
        } else {
            request->next = NULL;
            *last = request;
            last = &request->next;
        }
        count++;
        faulty->in_flight--;
    }
    *done = first;
    return count;
}

static int op_flush(struct snap_io *io)
{
    struct io_faulty *faulty = faulty_of(io);
    if (strikes(faulty, IO_OP_FLUSH)) {
        return -faulty->struck.error;
    }
    return faulty->forward.inner->ops->flush(faulty->forward.inner);
}

static int op_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct io_faulty *faulty = faulty_of(io);
    if (strikes(faulty, IO_OP_WRITE) && faulty->struck.kind != IO_FAULT_FLIP) {
        write_half(faulty, offset, buffer, length);
        return -faulty->struck.error;
    }
    return faulty->forward.inner->ops->write(faulty->forward.inner, offset, buffer, length);
}

static int op_allocate(struct snap_io *io, uint64_t bytes)
{
    struct io_faulty *faulty = faulty_of(io);
    if (strikes(faulty, IO_OP_ALLOCATE)) {
        return -faulty->struck.error;
    }
    return faulty->forward.inner->ops->allocate(faulty->forward.inner, bytes);
}

struct snap_io *io_faulty_create(struct snap_io *inner)
{
    struct io_faulty *faulty = calloc(1, sizeof(*faulty));
    if (faulty == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&faulty->lock, NULL) != 0) {
        free(faulty);
        return NULL;
    }
    io_forward_init(&faulty->forward, "faulty", inner);
    struct snap_io_ops *ops = &faulty->forward.ops;
    ops->read = op_read;
    ops->submit = op_submit;
    ops->reap = op_reap;
    ops->flush = op_flush;
    ops->write = op_write;
    ops->allocate = op_allocate;
    return &faulty->forward.io;
}

void io_faulty_destroy(struct snap_io *io)
{
    if (io != NULL) {
        pthread_mutex_destroy(&faulty_of(io)->lock);
    }
    free(io);
}

void io_faulty_set(struct snap_io *io, const struct io_fault *fault)
{
    struct io_faulty *faulty = faulty_of(io);
    pthread_mutex_lock(&faulty->lock);
    faulty->fault = *fault;
    faulty->seen = faulty->fired = 0;
    pthread_mutex_unlock(&faulty->lock);
}

void io_faulty_set_order(struct snap_io *io, enum io_order order)
{
    faulty_of(io)->order = order;
}

void io_faulty_set_depth(struct snap_io *io, unsigned depth)
{
    faulty_of(io)->depth = depth;
}

static uint64_t count_of(struct io_faulty *faulty, const uint64_t *count)
{
    pthread_mutex_lock(&faulty->lock);
    uint64_t value = *count;
    pthread_mutex_unlock(&faulty->lock);
    return value;
}

uint64_t io_faulty_seen(const struct snap_io *io)
{
    struct io_faulty *faulty = (struct io_faulty *)(uintptr_t)io;
    return count_of(faulty, &faulty->seen);
}

uint64_t io_faulty_fired(const struct snap_io *io)
{
    struct io_faulty *faulty = (struct io_faulty *)(uintptr_t)io;
    return count_of(faulty, &faulty->fired);
}
