/* SPDX-License-Identifier: Apache-2.0
 *
 * io_record.h - a wrapper of struct snap_io that writes down everything a store does to its file:
 * writes with their bytes, flushes, changes of size, each with the moment of its start and of its
 * end, and marks set by the test ("generation 7 was acknowledged").
 *
 * From the log a test can say which writes a power cut may lose: a write is durable only when its
 * completion was reaped before a flush that later succeeded was started.
 */
#ifndef IO_RECORD_H
#define IO_RECORD_H

#include "snap_io.h"

enum io_event_kind { IO_EVENT_WRITE, IO_EVENT_FLUSH, IO_EVENT_ALLOCATE, IO_EVENT_MARK };

/** What a mark means; `value` is a generation. */
enum io_mark { IO_MARK_ATTEMPT, IO_MARK_ACK, IO_MARK_OPENED, IO_MARK_CREATED };

struct io_event {
    enum io_event_kind kind;
    enum io_mark mark;
    uint64_t value;      /* of a mark */
    uint64_t offset;     /* of a write; new size of an allocate */
    uint32_t length;     /* of a write */
    uint8_t *data;       /* copy made at submission; owned by the log */
    uint64_t begin, end; /* moments on one counter; end 0: still under way */
    int result;          /* valid when end != 0: bytes or -errno; flush, allocate: 0 or -errno */
    const void *request; /* to find the event when its request is reaped */
};

struct io_log {
    struct io_event *events; /* in the order of their begin */
    size_t count, capacity;
    uint64_t clock;
};

/** Record what goes to `inner`, which is borrowed. NULL when out of memory. */
struct snap_io *io_record_create(struct snap_io *inner);
void io_record_destroy(struct snap_io *record);
struct io_log *io_record_log(struct snap_io *record);
void io_record_mark(struct snap_io *record, enum io_mark mark, uint64_t value);
/**
 * Add a write that was made before the recording began and is complete but not flushed; without
 * data: a change of size to `offset`.
 */
void io_record_inject(struct snap_io *record, uint64_t offset, const void *data, uint32_t length);
/** Count of reads, for tests that number operations. */
uint64_t io_record_reads(const struct snap_io *record);

/** Forget the events; `io_log_take` moves them to the caller instead. */
void io_log_clear(struct io_log *log);
struct io_log io_log_take(struct snap_io *record);

#endif /* IO_RECORD_H */
