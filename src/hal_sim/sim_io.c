/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_io.c - hal_file_open() on a simulated disk: the asynchronous half with latency, completion in
 * any order, short and failing transfers; the data of a write are taken from the caller's buffer
 * when it completes, not before, as a device would. The rest of hal_posix.h that is about files.
 *
 * Owns the handles of a machine. When the machine ends, locks go and writes that were under way are
 * finished by the "kernel"; whether a power cut follows is for hal_sim_disk_crash().
 */
#include "sim_disk.h"

#include "ph_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hal.h>

enum { QUEUE_DEPTH = 64 }; /* as in hal_posix */

struct sim_transfer {
    struct snap_io_request *request;
    uint64_t done_at;
};

struct sim_io {
    struct snap_io io; /* first */
    struct hal_sim *sim;
    struct sim_file *file;
    char *path;
    struct sim_transfer queue[QUEUE_DEPTH]; /* in the order of submission */
    unsigned queued;
    struct sim_io *next;
};

static struct sim_io *io_of(struct snap_io *io)
{
    return (struct sim_io *)io;
}

static struct hal_sim_disk *disk_of(const struct sim_io *own)
{
    return own->file->disk;
}

static bool is_aligned(uint64_t offset, const void *buffer, uint32_t length)
{
    return offset % SIM_PAGE == 0 && (uintptr_t)buffer % SIM_PAGE == 0 && length % SIM_PAGE == 0 &&
           length > 0;
}

/** Begin of each operation: a switch point, and perhaps the end of the machine. */
static void begin(struct sim_io *own, const char *what)
{
    disk_of(own)->operations++;
    sim_count_transfer(own->sim);
    sim_point(what, NULL);
}

static uint64_t latency_ns(struct sim_io *own, uint32_t most_us)
{
    return 1000 + ph_rng_below(&own->sim->rng, (uint64_t)most_us * 1000);
}

static void take_time(struct sim_io *own, const char *what, uint32_t most_us)
{
    (void)sim_sleep(what, NULL, own, own->sim->now_ns + latency_ns(own, most_us));
}

/* ---- transfers ------------------------------------------------------------------------------ */

/** What becomes of a transfer: bytes or -errno. */
static int32_t transfer(struct sim_io *own, const struct snap_io_request *request)
{
    struct sim_file *file = own->file;
    struct hal_sim_disk *disk = disk_of(own);
    uint64_t end = request->offset + request->length;
    if (request->direction == SNAP_IO_READ) {
        if (sim_disk_fails(disk, HAL_SIM_FAULT_READ_ERROR)) {
            return -EIO;
        }
        if (request->offset >= file->seen_size) {
            return 0;
        }
        uint64_t length =
            end <= file->seen_size ? request->length : file->seen_size - request->offset;
        memcpy(request->buffer, file->seen + request->offset, length);
        return (int32_t)length;
    }
    if (end > disk->options.file_bytes) {
        return -ENOSPC;
    }
    if (sim_disk_fails(disk, HAL_SIM_FAULT_WRITE_ERROR)) {
        uint64_t part = ph_rng_below(&own->sim->rng, request->length / SIM_SECTOR + 1);
        sim_disk_write(file, request->offset, request->buffer, (uint32_t)part * SIM_SECTOR);
        return -EIO;
    }
    uint32_t length = request->length;
    if (sim_disk_fails(disk, HAL_SIM_FAULT_SHORT_WRITE)) {
        length = (uint32_t)ph_rng_below(&own->sim->rng, length / SIM_PAGE) * SIM_PAGE;
    }
    sim_disk_write(file, request->offset, request->buffer, length);
    return (int32_t)length;
}

static int io_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct sim_io *own = io_of(io);
    if (!is_aligned(offset, buffer, length)) {
        return -EINVAL;
    }
    begin(own, "read");
    take_time(own, "reading", disk_of(own)->options.latency_most_us);
    const struct snap_io_request request = {
        .offset = offset, .buffer = buffer, .length = length, .direction = SNAP_IO_READ};
    int32_t got = transfer(own, &request);
    return got < 0 ? got : (uint32_t)got == length ? 0 : -EIO;
}

static int io_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct sim_io *own = io_of(io);
    if (io->read_only) {
        return -EBADF;
    }
    if (!is_aligned(offset, buffer, length)) {
        return -EINVAL;
    }
    begin(own, "write");
    take_time(own, "writing", disk_of(own)->options.latency_most_us);
    const struct snap_io_request request = {.offset = offset,
                                            .buffer = (void *)(uintptr_t)buffer,
                                            .length = length,
                                            .direction = SNAP_IO_WRITE};
    int32_t put = transfer(own, &request);
    return put < 0 ? put : (uint32_t)put == length ? 0 : -EIO;
}

static int io_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct sim_io *own = io_of(io);
    if (!is_aligned(request->offset, request->buffer, request->length)) {
        return -EINVAL;
    }
    if (io->read_only && request->direction == SNAP_IO_WRITE) {
        return -EBADF;
    }
    if (own->queued == QUEUE_DEPTH) {
        return -EAGAIN;
    }
    begin(own, request->direction == SNAP_IO_READ ? "submit read" : "submit write");
    own->queue[own->queued++] = (struct sim_transfer){
        request, own->sim->now_ns + latency_ns(own, disk_of(own)->options.latency_most_us)};
    return 0;
}

/** The transfer that completes first. */
static unsigned earliest(const struct sim_io *own)
{
    unsigned first = 0;
    for (unsigned i = 1; i < own->queued; i++) {
        first = own->queue[i].done_at < own->queue[first].done_at ? i : first;
    }
    return first;
}

static struct snap_io_request *complete(struct sim_io *own, unsigned i)
{
    struct snap_io_request *request = own->queue[i].request;
    own->queued--;
    memmove(&own->queue[i], &own->queue[i + 1], (own->queued - i) * sizeof(own->queue[0]));
    request->result = transfer(own, request);
    request->next = NULL;
    return request;
}

static int io_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct sim_io *own = io_of(io);
    struct snap_io_request **last = done;
    int count = 0;
    *done = NULL;
    sim_point("reap", NULL);
    minimum = minimum < own->queued ? minimum : own->queued;
    while (own->queued > 0) {
        unsigned first = earliest(own);
        uint64_t done_at = own->queue[first].done_at;
        if (done_at > own->sim->now_ns) {
            if ((unsigned)count >= minimum) {
                break;
            }
            (void)sim_sleep("transfers", NULL, own, done_at);
            continue;
        }
        *last = complete(own, first);
        last = &(*last)->next;
        count++;
    }
    return count;
}

static int io_flush(struct snap_io *io)
{
    struct sim_io *own = io_of(io);
    begin(own, "flush");
    bool last = ++own->sim->flushes == own->sim->options.kill_at_flush;
    uint64_t when = last ? ph_rng_below(&own->sim->rng, 3) : 3;
    uint64_t moment = sim_disk_moment(own->file);
    if (when == 0) {
        hal_sim_kill();
    }
    take_time(own, "flushing", disk_of(own)->options.flush_most_us);
    if (when == 1) {
        hal_sim_kill();
    }
    if (sim_disk_fails(disk_of(own), HAL_SIM_FAULT_FLUSH_ERROR)) {
        return -EIO;
    }
    sim_disk_settle(own->file, moment);
    if (when == 2) {
        hal_sim_kill();
    }
    return 0;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static int io_size(struct snap_io *io, uint64_t *bytes)
{
    struct sim_io *own = io_of(io);
    sim_point("size", NULL);
    if (own->file->path == NULL) {
        return -ESTALE;
    }
    *bytes = own->file->seen_size;
    return 0;
}

static int io_allocate(struct snap_io *io, uint64_t bytes)
{
    struct sim_io *own = io_of(io);
    if (bytes % SIM_PAGE != 0) {
        return -EINVAL;
    }
    begin(own, "allocate");
    if (bytes <= own->file->seen_size) {
        return 0;
    }
    if (bytes > disk_of(own)->options.file_bytes ||
        sim_disk_fails(disk_of(own), HAL_SIM_FAULT_NO_SPACE)) {
        return -ENOSPC;
    }
    sim_disk_resize(own->file, bytes);
    return 0;
}

static void unlock_all(struct sim_file *file, const struct sim_io *own)
{
    size_t kept = 0;
    for (size_t i = 0; i < file->lock_count; i++) {
        if (file->locks[i].owner != own) {
            file->locks[kept++] = file->locks[i];
        }
    }
    file->lock_count = kept;
}

static int io_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    struct sim_io *own = io_of(io);
    struct sim_file *file = own->file;
    sim_point("file lock", NULL);
    size_t mine = file->lock_count;
    for (size_t i = 0; i < file->lock_count; i++) {
        const struct sim_lock *lock = &file->locks[i];
        if (lock->byte != byte) {
            continue;
        }
        if (lock->owner == own) {
            mine = i;
        } else if (kind != SNAP_IO_UNLOCK &&
                   (kind == SNAP_IO_LOCK_EXCLUSIVE || lock->kind == SNAP_IO_LOCK_EXCLUSIVE)) {
            return -EAGAIN;
        }
    }
    if (kind == SNAP_IO_UNLOCK) {
        if (mine < file->lock_count) {
            file->locks[mine] = file->locks[--file->lock_count];
        }
        return 0;
    }
    if (mine == file->lock_capacity) {
        size_t capacity = file->lock_capacity * 2 + 8;
        struct sim_lock *locks = realloc(file->locks, capacity * sizeof(*locks));
        if (locks == NULL) {
            return -ENOMEM;
        }
        file->locks = locks;
        file->lock_capacity = capacity;
    }
    file->locks[mine] = (struct sim_lock){byte, kind, own};
    file->lock_count += mine == file->lock_count;
    return 0;
}

int hal_file_locked(const struct snap_io *io, uint64_t *byte)
{
    const struct sim_io *own = (const struct sim_io *)io;
    const struct sim_file *file = own->file;
    sim_point("file locked", NULL);
    int found = 0;
    for (size_t i = 0; i < file->lock_count; i++) {
        const struct sim_lock *lock = &file->locks[i];
        if (lock->owner != own && (found == 0 || lock->byte < *byte)) {
            *byte = lock->byte;
            found = 1;
        }
    }
    return found;
}

static int io_random(struct snap_io *io, void *buffer, uint32_t length)
{
    uint8_t *out = buffer;
    for (uint32_t i = 0; i < length; i++) {
        out[i] = (uint8_t)(sim_random(io_of(io)->sim) >> 32);
    }
    return 0;
}

/** What is under way ends: the request is not told. */
static void drop(struct sim_io *own)
{
    struct sim_io **link = &own->sim->handles;
    while (*link != own) {
        link = &(*link)->next;
    }
    *link = own->next;
    while (own->queued > 0) {
        struct snap_io_request request = *own->queue[0].request;
        if (request.direction == SNAP_IO_WRITE) {
            (void)transfer(own, &request);
        }
        own->queued--;
        memmove(&own->queue[0], &own->queue[1], own->queued * sizeof(own->queue[0]));
    }
    unlock_all(own->file, own);
    sim_disk_release(own->file);
    free(own->path);
    free(own);
}

static void io_close(struct snap_io *io)
{
    struct sim_io *own = io_of(io);
    struct snap_io_request *done;
    while (own->queued > 0) {
        (void)io_reap(io, own->queued, &done);
    }
    sim_point("close", NULL);
    drop(own);
}

void sim_io_drop_all(struct hal_sim *sim)
{
    while (sim->handles != NULL) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): drop() takes it off the list */
        drop(sim->handles);
    }
}

static const struct snap_io_ops sim_io_ops = {
    .name = "simulated",
    .read = io_read,
    .submit = io_submit,
    .reap = io_reap,
    .flush = io_flush,
    .write = io_write,
    .size = io_size,
    .allocate = io_allocate,
    .lock = io_lock,
    .close = io_close,
    .random = io_random,
};

/* ---- open ----------------------------------------------------------------------------------- */

static int find_or_make(struct hal_sim_disk *disk, const char *path, unsigned flags,
                        struct sim_file **out, struct phantom_diag *diag)
{
    struct sim_file *file = sim_disk_find(disk, path);
    if ((flags & HAL_FILE_CREATE) == 0) {
        *out = file;
        return file != NULL ? 0 : ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no such file", path);
    }
    if (file != NULL) {
        return ph_fail(diag, -EEXIST, "%s: there is such a file", path);
    }
    *out = sim_disk_make(disk, path);
    return *out != NULL ? 0 : ph_fail(diag, -ENOMEM, "out of memory");
}

int hal_file_open(const char *path, unsigned flags, struct snap_io **out, struct phantom_diag *diag)
{
    struct hal_sim *sim = sim_here();
    sim_point("open", NULL);
    if (sim->options.disk == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: this simulated machine has no disk", path);
    }
    struct sim_io *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    own->path = strdup(path);
    int rc = own->path != NULL ? find_or_make(sim->options.disk, path, flags, &own->file, diag)
                               : ph_fail(diag, -ENOMEM, "out of memory");
    if (rc != 0) {
        free(own->path);
        free(own);
        return rc;
    }
    own->file->handles++;
    own->sim = sim;
    own->io = (struct snap_io){
        .ops = &sim_io_ops, .path = own->path, .read_only = (flags & HAL_FILE_READ_ONLY) != 0};
    own->next = sim->handles;
    sim->handles = own;
    *out = &own->io;
    return 0;
}

bool hal_file_is_direct(const struct snap_io *io)
{
    (void)io;
    return true; /* there is no cache that a reader of the device would not see */
}
