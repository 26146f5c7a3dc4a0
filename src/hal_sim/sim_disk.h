/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_disk.h - files as a simulated disk has them: what readers see, and what would be left after a
 * power cut. Inside this room.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim_internal.h"

struct sim_lock {
    uint64_t byte;
    enum snap_io_lock kind;
    const void *owner; /* an open handle */
};

/** A write that no flush has made durable. Under way as long as its request is: then the bytes are
 *  still in the caller's buffer. */
struct sim_write {
    uint64_t offset, number;
    uint32_t length;
    uint8_t *bytes;
    struct sim_write *next;
};

struct sim_file {
    struct hal_sim_disk *disk;
    char *path;       /* NULL: it has no name any more */
    uint8_t *seen;    /* mappings of disk->options.file_bytes; zero beyond the size */
    uint8_t *durable; /* as of the last flush; differs from seen where writes are listed */
    uint64_t seen_size, durable_size;
    struct sim_write *writes, **last_write;
    struct sim_lock *locks;
    size_t lock_count, lock_capacity;
    unsigned handles;
    struct sim_file *next;
};

struct hal_sim_disk {
    struct hal_sim_disk_options options;
    struct ph_rng rng;
    struct hal_sim_fault fault;
    uint64_t fault_seen, fired;
    uint64_t operations, write_numbers;
    struct sim_file *files;
};

struct sim_file *sim_disk_find(const struct hal_sim_disk *disk, const char *path);
/** NULL when out of memory. */
struct sim_file *sim_disk_make(struct hal_sim_disk *disk, const char *path);
/** It loses its name; without a handle it is gone. */
void sim_disk_unlink(struct sim_file *file);
void sim_disk_rename(struct sim_file *file, const char *path);
void sim_disk_release(struct sim_file *file); /* one handle less */

/** True: this operation, of this kind, is to fail. */
bool sim_disk_fails(struct hal_sim_disk *disk, enum hal_sim_fault_kind kind);

/** Bytes reach the page cache. The file grows if need be; the caller has checked that it may. */
void sim_disk_write(struct sim_file *file, uint64_t offset, const void *bytes, uint32_t length);
void sim_disk_resize(struct sim_file *file, uint64_t size);
/** The number of the last write so far, for sim_disk_settle(). */
uint64_t sim_disk_moment(const struct sim_file *file);
/** Writes up to that moment are durable, and the size is. */
void sim_disk_settle(struct sim_file *file, uint64_t moment);
/** The same, but each of them only perhaps. */
void sim_disk_lose(struct sim_file *file);

#endif /* SIM_DISK_H */
