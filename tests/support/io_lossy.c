/* SPDX-License-Identifier: Apache-2.0
 *
 * io_lossy.c - see io_lossy.h. Owns the list of writes that are not flushed, oldest first; the io
 * below never sees one before its flush. Sizes and allocations go through at once. Memory from
 * malloc: the tests that make allocations fail aim at the store.
 */
#include "io_lossy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 };

struct cached_write {
    struct cached_write *next;
    uint64_t offset;
    uint32_t length;
    void *data; /* aligned, for the io below */
};

struct io_lossy {
    struct snap_io io;
    struct snap_io *inner;
    struct cached_write *first, **last;
    size_t count;
    bool dead;
    struct snap_io_request *done_first, **done_last;
    int done_count;
};

static struct io_lossy *lossy_of(struct snap_io *io)
{
    return (struct io_lossy *)io;
}

static void drop_all(struct io_lossy *lossy)
{
    while (lossy->first != NULL) {
        struct cached_write *next = lossy->first->next;
        free(lossy->first->data);
        free(lossy->first);
        lossy->first = next;
    }
    lossy->last = &lossy->first;
    lossy->count = 0;
}

/** Lay the cached bytes over what was read from below. */
static void overlay(const struct io_lossy *lossy, uint64_t offset, uint8_t *buffer, uint32_t length)
{
    for (const struct cached_write *w = lossy->first; w != NULL; w = w->next) {
        uint64_t from = w->offset > offset ? w->offset : offset;
        uint64_t to =
            w->offset + w->length < offset + length ? w->offset + w->length : offset + length;
        if (from < to) {
            memcpy(buffer + (from - offset), (const uint8_t *)w->data + (from - w->offset),
                   to - from);
        }
    }
}

static int op_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct io_lossy *lossy = lossy_of(io);
    if (lossy->dead) {
        return -EIO;
    }
    int rc = lossy->inner->ops->read(lossy->inner, offset, buffer, length);
    if (rc == 0) {
        overlay(lossy, offset, buffer, length);
    }
    return rc;
}

static int op_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct io_lossy *lossy = lossy_of(io);
    if (lossy->dead) {
        return -EIO;
    }
    uint64_t size = 0;
    int rc = lossy->inner->ops->size(lossy->inner, &size);
    if (rc == 0 && offset + length > size) {
        rc = lossy->inner->ops->allocate(lossy->inner, offset + length);
    }
    struct cached_write *w = rc == 0 ? calloc(1, sizeof(*w)) : NULL;
    void *data = w != NULL ? aligned_alloc(BLOCK, length) : NULL;
    if (data == NULL) {
        free(w);
        return rc != 0 ? rc : -ENOMEM;
    }
    memcpy(data, buffer, length);
    *w = (struct cached_write){.offset = offset, .length = length, .data = data};
    *lossy->last = w;
    lossy->last = &w->next;
    lossy->count++;
    return 0;
}

static int op_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct io_lossy *lossy = lossy_of(io);
    int rc = request->direction == SNAP_IO_READ
                 ? op_read(io, request->offset, request->buffer, request->length)
                 : op_write(io, request->offset, request->buffer, request->length);
    request->result = rc < 0 ? rc : (int32_t)request->length;
    request->next = NULL;
    *lossy->done_last = request;
    lossy->done_last = &request->next;
    lossy->done_count++;
    return 0;
}

static int op_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    (void)minimum; /* all in flight have completed */
    struct io_lossy *lossy = lossy_of(io);
    int count = lossy->done_count;
    *done = lossy->done_first;
    lossy->done_first = NULL;
    lossy->done_last = &lossy->done_first;
    lossy->done_count = 0;
    return count;
}

static int op_flush(struct snap_io *io)
{
    struct io_lossy *lossy = lossy_of(io);
    int rc = lossy->dead ? -EIO : 0;
    for (const struct cached_write *w = lossy->first; w != NULL && rc == 0; w = w->next) {
        rc = lossy->inner->ops->write(lossy->inner, w->offset, w->data, w->length);
    }
    drop_all(lossy); /* also after an error: the kernel marks the pages clean then */
    return rc != 0 ? rc : lossy->inner->ops->flush(lossy->inner);
}

static int op_size(struct snap_io *io, uint64_t *bytes)
{
    struct io_lossy *lossy = lossy_of(io);
    return lossy->dead ? -EIO : lossy->inner->ops->size(lossy->inner, bytes);
}

static int op_allocate(struct snap_io *io, uint64_t bytes)
{
    struct io_lossy *lossy = lossy_of(io);
    return lossy->dead ? -EIO : lossy->inner->ops->allocate(lossy->inner, bytes);
}

static int op_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    struct io_lossy *lossy = lossy_of(io);
    return lossy->inner->ops->lock(lossy->inner, byte, kind);
}

static void op_close(struct snap_io *io)
{
    (void)io; /* io_lossy_destroy ends the life */
}

static const struct snap_io_ops lossy_ops = {
    .name = "lossy",
    .read = op_read,
    .submit = op_submit,
    .reap = op_reap,
    .flush = op_flush,
    .write = op_write,
    .size = op_size,
    .allocate = op_allocate,
    .lock = op_lock,
    .close = op_close,
};

struct snap_io *io_lossy_create(struct snap_io *inner)
{
    struct io_lossy *lossy = calloc(1, sizeof(*lossy));
    if (lossy == NULL) {
        return NULL;
    }
    lossy->io =
        (struct snap_io){.ops = &lossy_ops, .path = inner->path, .read_only = inner->read_only};
    lossy->inner = inner;
    lossy->last = &lossy->first;
    lossy->done_last = &lossy->done_first;
    return &lossy->io;
}

void io_lossy_destroy(struct snap_io *io)
{
    if (io != NULL) {
        drop_all(lossy_of(io));
        free(io);
    }
}

size_t io_lossy_power_cut(struct snap_io *io)
{
    struct io_lossy *lossy = lossy_of(io);
    size_t dropped = lossy->count;
    drop_all(lossy);
    lossy->dead = true;
    return dropped;
}
