/* SPDX-License-Identifier: Apache-2.0
 *
 * io_memory.c - the memory back end of snap_io.h: a "file" that is an array.
 *
 * Owns the array and the queue of requests that were submitted and not yet reaped. A write reaches
 * the array when it is reaped, not when it is submitted, so that a caller who forgets to reap is
 * found out. True between calls: size <= capacity <= limit; bytes past size are zero.
 *
 * Transfers are plain copies; flush does nothing. What a power cut would lose is the business of
 * the recording wrapper in the tests, which sits on top of this one.
 */
#include "ph_memory.h"
#include "snap_store.h"

#include <errno.h>
#include <string.h>

struct memory_io {
    struct snap_io io; /* first */
    uint8_t *bytes;
    uint64_t size, capacity, limit;
    struct snap_io_request *queue_head, **queue_tail;
    unsigned queued;
};

static struct memory_io *memory_of(struct snap_io *io)
{
    return (struct memory_io *)io;
}

static int grow(struct memory_io *memory, uint64_t size)
{
    if (size > memory->limit) {
        return -ENOSPC;
    }
    if (size > memory->capacity) {
        uint64_t capacity = memory->capacity * 2 > size ? memory->capacity * 2 : size;
        if (capacity > memory->limit) {
            capacity = memory->limit;
        }
        uint8_t *bytes = ph_alloc_aligned(SNAP_PAGE_SIZE, capacity);
        if (bytes == NULL) {
            return -ENOMEM;
        }
        if (memory->size != 0) {
            memcpy(bytes, memory->bytes, memory->size);
        }
        memset(bytes + memory->size, 0, capacity - memory->size);
        ph_free(memory->bytes);
        memory->bytes = bytes;
        memory->capacity = capacity;
    }
    if (size > memory->size) {
        memory->size = size;
    }
    return 0;
}

static int memory_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct memory_io *memory = memory_of(io);
    if (offset > memory->size || length > memory->size - offset) {
        return -EIO;
    }
    memcpy(buffer, memory->bytes + offset, length);
    return 0;
}

static int memory_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct memory_io *memory = memory_of(io);
    if (io->read_only) {
        return -EBADF;
    }
    if (offset > UINT64_MAX - length) {
        return -EFBIG;
    }
    int error = offset + length > memory->size ? grow(memory, offset + length) : 0;
    if (error == 0) {
        memcpy(memory->bytes + offset, buffer, length);
    }
    return error;
}

static int memory_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct memory_io *memory = memory_of(io);
    request->next = NULL;
    *memory->queue_tail = request;
    memory->queue_tail = &request->next;
    memory->queued++;
    return 0;
}

static int memory_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    (void)minimum; /* everything in flight completes at once */
    struct memory_io *memory = memory_of(io);
    int count = (int)memory->queued;
    for (struct snap_io_request *r = memory->queue_head; r != NULL; r = r->next) {
        int error = r->direction == SNAP_IO_READ
                        ? memory_read(io, r->offset, r->buffer, r->length)
                        : memory_write(io, r->offset, r->buffer, r->length);
        r->result = error != 0 ? error : (int32_t)r->length;
    }
    *done = memory->queue_head;
    memory->queue_head = NULL;
    memory->queue_tail = &memory->queue_head;
    memory->queued = 0;
    return count;
}

static int memory_flush(struct snap_io *io)
{
    (void)io;
    return 0;
}

static int memory_size(struct snap_io *io, uint64_t *bytes)
{
    *bytes = memory_of(io)->size;
    return 0;
}

static int memory_allocate(struct snap_io *io, uint64_t bytes)
{
    return grow(memory_of(io), bytes);
}

static int memory_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    (void)io, (void)byte, (void)kind; /* nobody else can see this file */
    return 0;
}

static void memory_close(struct snap_io *io)
{
    struct memory_io *memory = memory_of(io);
    ph_free(memory->bytes);
    ph_free(memory);
}

static const struct snap_io_ops memory_ops = {
    .name = "memory",
    .read = memory_read,
    .submit = memory_submit,
    .reap = memory_reap,
    .flush = memory_flush,
    .write = memory_write,
    .size = memory_size,
    .allocate = memory_allocate,
    .lock = memory_lock,
    .close = memory_close,
};

struct snap_io *snap_io_memory_create(uint64_t size_limit)
{
    struct memory_io *memory = ph_zalloc(1, sizeof *memory);
    if (memory == NULL) {
        return NULL;
    }
    memory->io.ops = &memory_ops;
    memory->io.path = "(memory)";
    memory->limit = size_limit;
    memory->queue_tail = &memory->queue_head;
    return &memory->io;
}

uint8_t *snap_io_memory_bytes(struct snap_io *io, uint64_t *size)
{
    *size = memory_of(io)->size;
    return memory_of(io)->bytes;
}

int snap_io_memory_assign(struct snap_io *io, const void *bytes, uint64_t size)
{
    struct memory_io *memory = memory_of(io);
    if (memory->size > size) {
        memset(memory->bytes + size, 0, memory->size - size);
        memory->size = size;
    }
    int error = grow(memory, size);
    if (error == 0 && size != 0) {
        memcpy(memory->bytes, bytes, size);
    }
    return error;
}
