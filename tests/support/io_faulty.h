/* SPDX-License-Identifier: Apache-2.0
 *
 * io_faulty.h - a wrapper of struct snap_io that misbehaves as a disk or a kernel may: the N-th
 * operation of a kind fails or is cut short, once or from then on; completions come late or in
 * reverse order; the queue is short.
 *
 * With no fault set and order FORWARD it changes nothing.
 */
#ifndef IO_FAULTY_H
#define IO_FAULTY_H

#include "snap_io.h"

/** Kinds of operation, as bits. */
enum io_op {
    IO_OP_READ = 1,  /* synchronous and submitted reads */
    IO_OP_WRITE = 2, /* synchronous and submitted writes */
    IO_OP_FLUSH = 4,
    IO_OP_ALLOCATE = 8,
    IO_OP_SUBMIT = 16, /* the submission itself is refused */
    IO_OP_ANY = 31
};

enum io_fault_kind {
    IO_FAULT_ERROR, /* -error; a write may have left half of its bytes */
    IO_FAULT_SHORT, /* submitted transfers: half of the bytes; synchronous ones: -error */
    IO_FAULT_FLIP   /* a read that succeeds with one wrong bit */
};

struct io_fault {
    unsigned ops; /* mask of io_op */
    uint64_t at;  /* 0: never; 1: the first such operation */
    bool sticky;  /* and all that follow */
    enum io_fault_kind kind;
    int error; /* positive errno */
};

enum io_order { IO_ORDER_FORWARD, IO_ORDER_REVERSE, IO_ORDER_LATE /* one at a time, last first */ };

struct snap_io *io_faulty_create(struct snap_io *inner);
void io_faulty_destroy(struct snap_io *faulty);
/** Set the fault and start counting again. */
void io_faulty_set(struct snap_io *faulty, const struct io_fault *fault);
void io_faulty_set_order(struct snap_io *faulty, enum io_order order);
/** At most `depth` requests in flight, then submit() says -EAGAIN. 0: no limit. */
void io_faulty_set_depth(struct snap_io *faulty, unsigned depth);
/** Operations of the fault's kinds seen since io_faulty_set(), and how often it fired. */
uint64_t io_faulty_seen(const struct snap_io *faulty);
uint64_t io_faulty_fired(const struct snap_io *faulty);

#endif /* IO_FAULTY_H */
