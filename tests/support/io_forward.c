/* SPDX-License-Identifier: Apache-2.0
 *
 * io_forward.c - see io_forward.h. Owns nothing.
 */
#include "io_forward.h"

static int forward_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->read(inner, offset, buffer, length);
}

static int forward_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->submit(inner, request);
}

static int forward_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->reap(inner, minimum, done);
}

static int forward_flush(struct snap_io *io)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->flush(inner);
}

static int forward_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->write(inner, offset, buffer, length);
}

static int forward_size(struct snap_io *io, uint64_t *bytes)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->size(inner, bytes);
}

static int forward_allocate(struct snap_io *io, uint64_t bytes)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->allocate(inner, bytes);
}

static int forward_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->lock(inner, byte, kind);
}

static int forward_random(struct snap_io *io, void *buffer, uint32_t length)
{
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->random(inner, buffer, length);
}

static void forward_close(struct snap_io *io)
{
    (void)io; /* the wrapper's destroy ends its life, and the io below is borrowed */
}

void io_forward_init(struct io_forward *forward, const char *name, struct snap_io *inner)
{
    forward->ops = (struct snap_io_ops){
        .name = name,
        .read = forward_read,
        .submit = forward_submit,
        .reap = forward_reap,
        .flush = forward_flush,
        .write = forward_write,
        .size = forward_size,
        .allocate = forward_allocate,
        .lock = forward_lock,
        .random = inner->ops->random != NULL ? forward_random : NULL,
        .close = forward_close,
    };
    forward->io =
        (struct snap_io){.ops = &forward->ops, .path = inner->path, .read_only = inner->read_only};
    forward->inner = inner;
}

/* ---- completions that are there at once ------------------------------------------------------ */

void io_done_init(struct io_done *done)
{
    done->first = NULL;
    done->last = &done->first;
    done->count = 0;
}

int io_done_submit(struct io_done *done, struct snap_io *io, struct snap_io_request *request)
{
    int rc = request->direction == SNAP_IO_READ
                 ? io->ops->read(io, request->offset, request->buffer, request->length)
                 : io->ops->write(io, request->offset, request->buffer, request->length);
    request->result = rc < 0 ? rc : (int32_t)request->length;
    request->next = NULL;
    *done->last = request;
    done->last = &request->next;
    done->count++;
    return 0;
}

int io_done_reap(struct io_done *done, struct snap_io_request **out)
{
    int count = done->count;
    *out = done->first;
    io_done_init(done);
    return count;
}
