/* SPDX-License-Identifier: Apache-2.0
 *
 * io_scratch.h - a store file in memory that can be taken back: the disk of the crash tests.
 *
 * Every change of the image is written to an undo stack first, so a test can build a crash state,
 * let recovery write into it, and return to where it was at the cost of the bytes that changed
 * instead of a copy of the whole image. The image also keeps a hash of its content, so that a
 * state seen before is recognised without comparing images.
 *
 * True between calls: undoing to a mark restores every byte, the size and the hash that were true
 * when the mark was taken, provided hashing was on for every change that is still applied then.
 */
#ifndef IO_SCRATCH_H
#define IO_SCRATCH_H

#include "snap_io.h"

struct io_scratch;

struct io_scratch_mark {
    size_t undo_bytes;
    uint64_t size;
    uint64_t hash;
    uint64_t writes;
};

/** An empty file that may grow to `capacity` bytes; beyond that allocate() says -ENOSPC. */
struct io_scratch *io_scratch_create(uint64_t capacity);
/** The door for a store. Its close() does nothing: destroy ends the life. */
struct snap_io *io_scratch_io(struct io_scratch *scratch);
void io_scratch_destroy(struct io_scratch *scratch);
/**
 * Where the stream of random() begins; at first 0. Undoing does not take draws back: two openings
 * of one image are two incarnations, as they would be on a real machine.
 */
void io_scratch_seed(struct io_scratch *scratch, uint64_t seed);

/** Replace everything (also drops the undo stack). 0 or -ENOMEM when it does not fit. */
int io_scratch_assign(struct io_scratch *scratch, const void *bytes, uint64_t size);
const uint8_t *io_scratch_bytes(const struct io_scratch *scratch, uint64_t *size);

struct io_scratch_mark io_scratch_mark(const struct io_scratch *scratch);
void io_scratch_undo(struct io_scratch *scratch, struct io_scratch_mark mark);
/** Forget the undo stack: what is applied now stays. Marks taken before become invalid. */
void io_scratch_keep(struct io_scratch *scratch);

/**
 * Change bytes from outside the store: any offset and length; the part past the end of the file is
 * dropped, as a file system does that lost the new size.
 */
void io_scratch_poke(struct io_scratch *scratch, uint64_t offset, const void *bytes,
                     uint64_t length);
/** Change the size; new bytes are zero. */
void io_scratch_resize(struct io_scratch *scratch, uint64_t size);
/** allocate() refuses more than this from now on; at most the capacity. */
void io_scratch_set_limit(struct io_scratch *scratch, uint64_t limit);

/** Keep the hash up to date from now on (costs two short hashes for each sector that changes). */
void io_scratch_set_hashing(struct io_scratch *scratch, bool on);
/** Hash of size and content; only meaningful while hashing was on for all changes. */
uint64_t io_scratch_hash(const struct io_scratch *scratch);
/** Count of changes since creation, never undone by itself (marks carry it). */
uint64_t io_scratch_writes(const struct io_scratch *scratch);

#endif /* IO_SCRATCH_H */
