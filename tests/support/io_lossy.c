/* SPDX-License-Identifier: Apache-2.0
 *
 * io_lossy.c - see io_lossy.h. Owns the list of writes that are not flushed, oldest first; the io
 * below never sees one before its flush. Sizes and allocations go through at once. Memory from
 * malloc: the tests that make allocations fail aim at the store.
 */
#include "io_lossy.h"

#include "io_forward.h"

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
    struct io_forward forward;
    struct cached_write *first, **last;
    size_t count;
    bool dead;
    struct io_done done;
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
    int rc = lossy->forward.inner->ops->read(lossy->forward.inner, offset, buffer, length);
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
    int rc = lossy->forward.inner->ops->size(lossy->forward.inner, &size);
    if (rc == 0 && offset + length > size) {
        rc = lossy->forward.inner->ops->allocate(lossy->forward.inner, offset + length);
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
    return io_done_submit(&lossy_of(io)->done, io, request);
}

static int op_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    (void)minimum; /* all in flight have completed */
    return io_done_reap(&lossy_of(io)->done, done);
}

static int op_flush(struct snap_io *io)
{
    struct io_lossy *lossy = lossy_of(io);
    int rc = lossy->dead ? -EIO : 0;
    for (const struct cached_write *w = lossy->first; w != NULL && rc == 0; w = w->next) {
        rc = lossy->forward.inner->ops->write(lossy->forward.inner, w->offset, w->data, w->length);
    }
    drop_all(lossy); /* also after an error: the kernel marks the pages clean then */
    return rc != 0 ? rc : lossy->forward.inner->ops->flush(lossy->forward.inner);
}

static int op_size(struct snap_io *io, uint64_t *bytes)
{
    struct io_lossy *lossy = lossy_of(io);
    return lossy->dead ? -EIO : lossy->forward.inner->ops->size(lossy->forward.inner, bytes);
}

static int op_allocate(struct snap_io *io, uint64_t bytes)
{
    struct io_lossy *lossy = lossy_of(io);
    return lossy->dead ? -EIO : lossy->forward.inner->ops->allocate(lossy->forward.inner, bytes);
}

struct snap_io *io_lossy_create(struct snap_io *inner)
{
    struct io_lossy *lossy = calloc(1, sizeof(*lossy));
    if (lossy == NULL) {
        return NULL;
    }
    io_forward_init(&lossy->forward, "lossy", inner);
    struct snap_io_ops *ops = &lossy->forward.ops;
    ops->read = op_read;
    ops->write = op_write;
    ops->submit = op_submit;
    ops->reap = op_reap;
    ops->flush = op_flush;
    ops->size = op_size;
    ops->allocate = op_allocate;
    lossy->last = &lossy->first;
    io_done_init(&lossy->done);
    return &lossy->forward.io;
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
