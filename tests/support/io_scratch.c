/* SPDX-License-Identifier: Apache-2.0
 *
 * io_scratch.c - see io_scratch.h.
 *
 * Owns the image (one mapping of `capacity` bytes, zero beyond `size`) and the undo stack: a byte
 * array of [old bytes][struct undo_entry], newest last, read backwards. One thread. Memory comes
 * from malloc and not from ph_memory: tests that make allocations fail aim at the store, not at its
 * disk.
 */
#include "io_scratch.h"

#include "io_forward.h"
#include "ph_check.h"
#include "ph_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

enum { SECTOR = 512, BLOCK = 4096 };

struct undo_entry {
    uint64_t offset; /* UINT64_MAX: a change of size; `length` is the old size */
    uint64_t length;
};

struct io_scratch {
    struct snap_io io;
    uint8_t *image;
    uint64_t size, capacity, limit; /* size <= capacity; limit: what allocate() grants */
    uint8_t *undo;
    size_t undo_bytes, undo_capacity;
    bool hashing;
    uint64_t hash;
    uint64_t writes;
    struct io_done done;
    struct ph_rng rng; /* of op_random() */
};

static struct io_scratch *scratch_of(struct snap_io *io)
{
    return (struct io_scratch *)io;
}

/* ---- content hash --------------------------------------------------------------------------- */

/** A zero sector counts nothing, so that growing a file with zeros needs no hashing. */
static uint64_t sector_hash(const struct io_scratch *scratch, uint64_t sector)
{
    static const uint8_t zeros[SECTOR];
    const uint8_t *bytes = scratch->image + sector * SECTOR;
    if (bytes[0] == 0 && memcmp(bytes, zeros, SECTOR) == 0) {
        return 0;
    }
    return XXH3_64bits_withSeed(bytes, SECTOR, sector + 1);
}

/** XOR of the hashes of the sectors that [offset, offset+length) touches. */
static uint64_t range_hash(const struct io_scratch *scratch, uint64_t offset, uint64_t length)
{
    uint64_t hash = 0;
    for (uint64_t s = offset / SECTOR; s * SECTOR < offset + length; s++) {
        hash ^= sector_hash(scratch, s);
    }
    return hash;
}

/* ---- undo stack ----------------------------------------------------------------------------- */

static void undo_push(struct io_scratch *scratch, const void *bytes, uint64_t length,
                      struct undo_entry entry)
{
    size_t need = scratch->undo_bytes + length + sizeof(entry);
    if (need > scratch->undo_capacity) {
        scratch->undo_capacity = need * 2;
        scratch->undo = realloc(scratch->undo, scratch->undo_capacity);
        PH_CHECK(scratch->undo != NULL);
    }
    if (length > 0) {
        memcpy(scratch->undo + scratch->undo_bytes, bytes, length);
    }
    memcpy(scratch->undo + scratch->undo_bytes + length, &entry, sizeof(entry));
    scratch->undo_bytes = need;
}

static void change(struct io_scratch *scratch, uint64_t offset, const void *bytes, uint64_t length)
{
    undo_push(scratch, scratch->image + offset, length, (struct undo_entry){offset, length});
    if (scratch->hashing) {
        scratch->hash ^= range_hash(scratch, offset, length);
    }
    memcpy(scratch->image + offset, bytes, length);
    if (scratch->hashing) {
        scratch->hash ^= range_hash(scratch, offset, length);
    }
    scratch->writes++;
}

struct io_scratch_mark io_scratch_mark(const struct io_scratch *scratch)
{
    return (struct io_scratch_mark){scratch->undo_bytes, scratch->size, scratch->hash,
                                    scratch->writes};
}

void io_scratch_undo(struct io_scratch *scratch, struct io_scratch_mark mark)
{
    PH_CHECK(scratch->undo_bytes >= mark.undo_bytes);
    while (scratch->undo_bytes > mark.undo_bytes) {
        struct undo_entry entry;
        memcpy(&entry, scratch->undo + scratch->undo_bytes - sizeof(entry), sizeof(entry));
        scratch->undo_bytes -= sizeof(entry);
        if (entry.offset == UINT64_MAX) {
            scratch->size = entry.length;
            continue;
        }
        scratch->undo_bytes -= entry.length;
        memcpy(scratch->image + entry.offset, scratch->undo + scratch->undo_bytes, entry.length);
    }
    PH_CHECK(scratch->undo_bytes == mark.undo_bytes && scratch->size == mark.size);
    scratch->hash = mark.hash;
    scratch->writes = mark.writes;
}

void io_scratch_keep(struct io_scratch *scratch)
{
    scratch->undo_bytes = 0;
}

/* ---- changes from outside ------------------------------------------------------------------- */

void io_scratch_poke(struct io_scratch *scratch, uint64_t offset, const void *bytes,
                     uint64_t length)
{
    if (offset >= scratch->size) {
        return;
    }
    if (length > scratch->size - offset) {
        length = scratch->size - offset;
    }
    change(scratch, offset, bytes, length);
}

void io_scratch_resize(struct io_scratch *scratch, uint64_t size)
{
    PH_CHECK(size <= scratch->capacity);
    if (size < scratch->size) { /* what is cut off must read as zeros when the file grows again */
        uint64_t length = scratch->size - size;
        uint8_t *zeros = calloc(1, length);
        PH_CHECK(zeros != NULL);
        change(scratch, size, zeros, length);
        free(zeros);
    }
    if (size != scratch->size) {
        undo_push(scratch, NULL, 0, (struct undo_entry){UINT64_MAX, scratch->size});
        scratch->size = size;
        scratch->writes++;
    }
}

void io_scratch_set_limit(struct io_scratch *scratch, uint64_t limit)
{
    PH_CHECK(limit <= scratch->capacity);
    scratch->limit = limit;
}

void io_scratch_set_hashing(struct io_scratch *scratch, bool on)
{
    scratch->hashing = on;
}

uint64_t io_scratch_hash(const struct io_scratch *scratch)
{
    return scratch->hash ^ (scratch->size * UINT64_C(0x9E3779B97F4A7C15));
}

uint64_t io_scratch_writes(const struct io_scratch *scratch)
{
    return scratch->writes;
}

int io_scratch_assign(struct io_scratch *scratch, const void *bytes, uint64_t size)
{
    if (size > scratch->capacity) {
        return -ENOMEM;
    }
    if (scratch->size > size) {
        memset(scratch->image + size, 0, scratch->size - size);
    }
    if (size > 0) {
        memcpy(scratch->image, bytes, size);
    }
    scratch->size = size;
    scratch->undo_bytes = 0;
    scratch->hash = scratch->hashing ? range_hash(scratch, 0, size) : 0;
    return 0;
}

const uint8_t *io_scratch_bytes(const struct io_scratch *scratch, uint64_t *size)
{
    *size = scratch->size;
    return scratch->image;
}

/* ---- the door for a store ------------------------------------------------------------------- */

static int op_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct io_scratch *scratch = scratch_of(io);
    PH_CHECK(offset % BLOCK == 0 && length % BLOCK == 0 && (uintptr_t)buffer % BLOCK == 0);
    if (offset > scratch->size || length > scratch->size - offset) {
        return -EIO;
    }
    memcpy(buffer, scratch->image + offset, length);
    return 0;
}

static int op_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct io_scratch *scratch = scratch_of(io);
    PH_CHECK(offset % BLOCK == 0 && length % BLOCK == 0 && (uintptr_t)buffer % BLOCK == 0);
    if (io->read_only) {
        return -EBADF;
    }
    if (offset > scratch->capacity || length > scratch->capacity - offset) {
        return -ENOSPC;
    }
    if (offset + length > scratch->size) { /* a write may lengthen a file */
        io_scratch_resize(scratch, offset + length);
    }
    change(scratch, offset, buffer, length);
    return 0;
}

static int op_submit(struct snap_io *io, struct snap_io_request *request)
{
    return io_done_submit(&scratch_of(io)->done, io, request);
}

static int op_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    (void)minimum; /* all in flight have completed */
    return io_done_reap(&scratch_of(io)->done, done);
}

static int op_flush(struct snap_io *io)
{
    (void)io;
    return 0;
}

static int op_size(struct snap_io *io, uint64_t *bytes)
{
    *bytes = scratch_of(io)->size;
    return 0;
}

static int op_allocate(struct snap_io *io, uint64_t bytes)
{
    struct io_scratch *scratch = scratch_of(io);
    if (bytes > scratch->limit && bytes > scratch->size) {
        return -ENOSPC;
    }
    if (bytes > scratch->size) {
        io_scratch_resize(scratch, bytes);
    }
    return 0;
}

static int op_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    (void)io;
    (void)byte;
    (void)kind;
    return 0;
}

static int op_random(struct snap_io *io, void *buffer, uint32_t length)
{
    uint8_t *bytes = buffer;
    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(ph_rng_next(&scratch_of(io)->rng) >> 32);
    }
    return 0;
}

static void op_close(struct snap_io *io)
{
    (void)io;
}

static const struct snap_io_ops scratch_ops = {
    .name = "scratch",
    .read = op_read,
    .submit = op_submit,
    .reap = op_reap,
    .flush = op_flush,
    .write = op_write,
    .size = op_size,
    .allocate = op_allocate,
    .lock = op_lock,
    .random = op_random,
    .close = op_close,
};

struct io_scratch *io_scratch_create(uint64_t capacity)
{
    struct io_scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch == NULL) {
        return NULL;
    }
    scratch->image = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (scratch->image == MAP_FAILED) {
        free(scratch);
        return NULL;
    }
    scratch->capacity = scratch->limit = capacity;
    io_done_init(&scratch->done);
    scratch->io = (struct snap_io){.ops = &scratch_ops, .path = "scratch"};
    return scratch;
}

void io_scratch_seed(struct io_scratch *scratch, uint64_t seed)
{
    ph_rng_init(&scratch->rng, seed);
}

struct snap_io *io_scratch_io(struct io_scratch *scratch)
{
    return &scratch->io;
}

void io_scratch_destroy(struct io_scratch *scratch)
{
    if (scratch != NULL) {
        munmap(scratch->image, scratch->capacity);
        free(scratch->undo);
        free(scratch);
    }
}
