/* SPDX-License-Identifier: Apache-2.0
 *
 * io_record.c - see io_record.h. Owns the log; borrows the io below. Memory from malloc, because
 * the tests that make allocations fail aim at the store and not at its disk.
 */
#include "io_record.h"

#include "io_forward.h"
#include "ph_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct io_record {
    struct io_forward forward;
    struct io_log log;
    uint64_t reads;
};

static struct io_record *record_of(struct snap_io *io)
{
    return (struct io_record *)io;
}

static struct io_event *append(struct io_record *record, enum io_event_kind kind)
{
    struct io_log *log = &record->log;
    if (log->count == log->capacity) {
        log->capacity = log->capacity != 0 ? log->capacity * 2 : 64;
        log->events = realloc(log->events, log->capacity * sizeof(*log->events));
        PH_CHECK(log->events != NULL);
    }
    struct io_event *event = &log->events[log->count++];
    *event = (struct io_event){.kind = kind, .begin = ++log->clock};
    return event;
}

static struct io_event *append_write(struct io_record *record, uint64_t offset, const void *data,
                                     uint32_t length)
{
    struct io_event *event = append(record, IO_EVENT_WRITE);
    event->offset = offset;
    event->length = length;
    event->data = malloc(length);
    PH_CHECK(event->data != NULL);
    memcpy(event->data, data, length);
    return event;
}

static void drop_last(struct io_record *record)
{
    struct io_event *event = &record->log.events[--record->log.count];
    free(event->data);
}

static void finish(struct io_record *record, struct io_event *event, int result)
{
    event->end = ++record->log.clock;
    event->result = result;
}

static int op_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct io_record *record = record_of(io);
    record->reads++;
    return record->forward.inner->ops->read(record->forward.inner, offset, buffer, length);
}

static int op_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct io_record *record = record_of(io);
    if (request->direction == SNAP_IO_READ) {
        record->reads++;
        return record->forward.inner->ops->submit(record->forward.inner, request);
    }
    struct io_event *event =
        append_write(record, request->offset, request->buffer, request->length);
    event->request = request;
    int rc = record->forward.inner->ops->submit(record->forward.inner, request);
    if (rc < 0) { /* nothing was started */
        drop_last(record);
    }
    return rc;
}

static void note_completion(struct io_record *record, const struct snap_io_request *request)
{
    for (size_t i = record->log.count; i-- > 0;) {
        struct io_event *event = &record->log.events[i];
        if (event->kind == IO_EVENT_WRITE && event->end == 0 && event->request == request) {
            /* The buffer must not have changed in flight. */
            PH_CHECK(memcmp(event->data, request->buffer, event->length) == 0);
            finish(record, event, request->result);
            return;
        }
    }
    PH_CHECK(false);
}

static int op_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct io_record *record = record_of(io);
    int count = record->forward.inner->ops->reap(record->forward.inner, minimum, done);
    for (struct snap_io_request *r = count > 0 ? *done : NULL; r != NULL; r = r->next) {
        if (r->direction == SNAP_IO_WRITE) {
            note_completion(record, r);
        }
    }
    return count;
}

static int op_flush(struct snap_io *io)
{
    struct io_record *record = record_of(io);
    size_t index = record->log.count;
    append(record, IO_EVENT_FLUSH);
    int rc = record->forward.inner->ops->flush(record->forward.inner);
    finish(record, &record->log.events[index], rc);
    return rc;
}

static int op_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct io_record *record = record_of(io);
    size_t index = record->log.count;
    append_write(record, offset, buffer, length);
    int rc = record->forward.inner->ops->write(record->forward.inner, offset, buffer, length);
    finish(record, &record->log.events[index], rc < 0 ? rc : (int)length);
    return rc;
}

static int op_allocate(struct snap_io *io, uint64_t bytes)
{
    struct io_record *record = record_of(io);
    size_t index = record->log.count;
    struct io_event *event = append(record, IO_EVENT_ALLOCATE);
    event->offset = bytes;
    int rc = record->forward.inner->ops->allocate(record->forward.inner, bytes);
    finish(record, &record->log.events[index], rc);
    return rc;
}

struct snap_io *io_record_create(struct snap_io *inner)
{
    struct io_record *record = calloc(1, sizeof(*record));
    if (record == NULL) {
        return NULL;
    }
    io_forward_init(&record->forward, "record", inner);
    struct snap_io_ops *ops = &record->forward.ops;
    ops->read = op_read;
    ops->submit = op_submit;
    ops->reap = op_reap;
    ops->flush = op_flush;
    ops->write = op_write;
    ops->allocate = op_allocate;
    return &record->forward.io;
}

void io_record_destroy(struct snap_io *io)
{
    if (io != NULL) {
        io_log_clear(&record_of(io)->log);
        free(io);
    }
}

struct io_log *io_record_log(struct snap_io *io)
{
    return &record_of(io)->log;
}

void io_record_mark(struct snap_io *io, enum io_mark mark, uint64_t value)
{
    struct io_record *record = record_of(io);
    struct io_event *event = append(record, IO_EVENT_MARK);
    event->mark = mark;
    event->value = value;
    event->end = event->begin;
}

void io_record_inject(struct snap_io *io, uint64_t offset, const void *data, uint32_t length)
{
    struct io_record *record = record_of(io);
    if (data == NULL) {
        struct io_event *event = append(record, IO_EVENT_ALLOCATE);
        event->offset = offset;
        finish(record, event, 0);
    } else {
        finish(record, append_write(record, offset, data, length), (int)length);
    }
}

uint64_t io_record_reads(const struct snap_io *io)
{
    return ((const struct io_record *)io)->reads;
}

void io_log_clear(struct io_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->events[i].data);
    }
    free(log->events);
    *log = (struct io_log){0};
}

struct io_log io_log_take(struct snap_io *io)
{
    struct io_record *record = record_of(io);
    struct io_log log = record->log;
    record->log = (struct io_log){0};
    return log;
}
