/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_file.c - the file behind a store, with a transfer done where it is submitted and handed
 * back by the next reap.
 *
 * True between calls: `done` are the requests that were submitted and not reaped, at most DEPTH;
 * a flush that failed once has failed for ever. One thread at a time, as snap_io.h says.
 */
#include "hal_posix.h"
#include "ph_memory.h"
#include "plain_internal.h"

#include <hal.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096, DEPTH = 64 };

struct plain_file {
    struct snap_io io;
    struct plain_forkable forkable;
    struct plain_descriptor *descriptor;
    struct snap_io_request *done;
    unsigned done_count;
    int flush_error;
    char path[];
};

/** Its descriptor; or a refusal, in a child. */
static int fd_of(struct snap_io *io)
{
    struct plain_file *file = (struct plain_file *)io;
    return atomic_load(&file->forkable.forked) ? PHANTOM_EFORKED
                                               : plain_descriptor_fd(file->descriptor);
}

static bool fits(uint64_t offset, const void *buffer, uint32_t length)
{
    return offset % BLOCK == 0 && length % BLOCK == 0 && length > 0 &&
           (uintptr_t)buffer % BLOCK == 0 && offset <= (uint64_t)INT64_MAX - length;
}

/** Bytes, fewer than asked for only at the end of the file, or -errno. */
static int64_t transfer(int fd, uint64_t offset, void *buffer, uint32_t length, bool store)
{
    uint32_t at = 0;
    while (at < length) {
        char *from = (char *)buffer + at;
        off_t where = (off_t)(offset + at);
        ssize_t n =
            store ? pwrite(fd, from, length - at, where) : pread(fd, from, length - at, where);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        at += n > 0 ? (uint32_t)n : 0;
    }
    return at;
}

static int transfer_all(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length,
                        bool store)
{
    int fd = fd_of(io);
    if (fd < 0) {
        return fd;
    }
    if (!fits(offset, buffer, length)) {
        return -EINVAL;
    }
    int64_t n = transfer(fd, offset, buffer, length, store);
    return n < 0 ? (int)n : n < length ? -EIO : 0;
}

static int file_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    return transfer_all(io, offset, buffer, length, false);
}

static int file_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    return transfer_all(io, offset, (void *)(uintptr_t)buffer, length, true);
}

static int file_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct plain_file *file = (struct plain_file *)io;
    int fd = fd_of(io);
    if (fd < 0) {
        return fd;
    }
    if (!fits(request->offset, request->buffer, request->length)) {
        return -EINVAL;
    }
    if (file->done_count == DEPTH) {
        return -EAGAIN;
    }
    request->result = (int32_t)transfer(fd, request->offset, request->buffer, request->length,
                                        request->direction == SNAP_IO_WRITE);
    request->next = file->done;
    file->done = request;
    file->done_count++;
    return 0;
}

static int file_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct plain_file *file = (struct plain_file *)io;
    (void)minimum; /* all of them are ready */
    int fd = fd_of(io);
    if (fd < 0) {
        return fd;
    }
    int count = (int)file->done_count;
    *done = file->done;
    file->done = NULL;
    file->done_count = 0;
    return count;
}

static int file_flush(struct snap_io *io)
{
    struct plain_file *file = (struct plain_file *)io;
    int fd = fd_of(io);
    if (fd < 0) {
        return fd;
    }
    if (file->flush_error == 0 && fdatasync(fd) != 0) {
        file->flush_error = -errno; /* what it should have written may be forgotten */
    }
    return file->flush_error;
}

static int file_size(struct snap_io *io, uint64_t *bytes)
{
    struct stat status;
    int fd = fd_of(io);
    if (fd < 0) {
        return fd;
    }
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    if (status.st_nlink == 0) {
        return -ESTALE;
    }
    *bytes = (uint64_t)status.st_size;
    return 0;
}

/** The system would raise SIGXFSZ. */
static bool beyond_limit(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           bytes > limit.rlim_cur;
}

static int file_allocate(struct snap_io *io, uint64_t bytes)
{
    struct stat status;
    int fd = fd_of(io);
    if (fd < 0) {
        return fd;
    }
    if (bytes % BLOCK != 0 || bytes == 0 || bytes > INT64_MAX) {
        return -EINVAL;
    }
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    if (beyond_limit(bytes)) {
        return -ENOSPC;
    }
    sigset_t all, before; /* a signal would make it begin again */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = posix_fallocate(fd, 0, (off_t)bytes);
    if (rc != 0 && (uint64_t)status.st_size < bytes) {
        (void)!ftruncate(fd, status.st_size);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == EFBIG || rc == EDQUOT ? -ENOSPC : -rc;
}

static int file_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    int fd = fd_of(io);
    return fd < 0 ? fd : plain_descriptor_lock(((struct plain_file *)io)->descriptor, byte, kind);
}

static void file_close(struct snap_io *io)
{
    struct plain_file *file = (struct plain_file *)io;
    if (atomic_load(&file->forkable.forked)) {
        return;
    }
    plain_fork_delist(&file->forkable);
    plain_descriptor_drop(file->descriptor);
    ph_free(file);
}

static int file_random(struct snap_io *io, void *buffer, uint32_t length)
{
    (void)io;
    for (uint32_t at = 0; at < length; at += sizeof(uint64_t)) {
        uint64_t word = hal_random();
        memcpy((char *)buffer + at, &word, length - at < sizeof(word) ? length - at : sizeof(word));
    }
    return 0;
}

static const struct snap_io_ops plain_file_ops = {
    .name = "plain",
    .read = file_read,
    .submit = file_submit,
    .reap = file_reap,
    .flush = file_flush,
    .write = file_write,
    .size = file_size,
    .allocate = file_allocate,
    .lock = file_lock,
    .close = file_close,
    .random = file_random,
};

/* ---- opening -------------------------------------------------------------------------------- */

/** A descriptor or a negative error. What is no regular file is not opened. */
static int open_regular(const char *path, unsigned flags, struct phantom_diag *diag)
{
    struct stat status;
    bool create = (flags & HAL_FILE_CREATE) != 0;
    int mode = (flags & HAL_FILE_READ_ONLY) != 0 ? O_RDONLY : O_RDWR;
    if (!create && stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file", path);
    }
    int fd = open(path, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (create ? O_CREAT | O_EXCL : 0),
                  0600);
    if (fd < 0) {
        int error = errno;
        return ph_fail(diag, error == ENOENT || error == ENOTDIR ? PHANTOM_ENOTFOUND : -error,
                       "%s: opening: %s", path, strerror(error));
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) { /* it was exchanged meanwhile */
        (void)close(fd);
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file", path);
    }
    return fd;
}

int hal_file_open(const char *path, unsigned flags, struct snap_io **out, struct phantom_diag *diag)
{
    bool create = (flags & HAL_FILE_CREATE) != 0, read_only = (flags & HAL_FILE_READ_ONLY) != 0;
    if (path == NULL || path[0] == '\0' || (create && read_only)) {
        return ph_fail(diag, PHANTOM_EINVALID, "no path, or a new file that is only read");
    }
    size_t size = strlen(path) + 1;
    struct plain_file *file = ph_zalloc(1, sizeof(*file) + size);
    if (file == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to open it", path);
    }
    int fd = open_regular(path, flags, diag);
    if (fd < 0) {
        ph_free(file);
        return fd;
    }
    int rc = plain_descriptor_keep(fd, &file->descriptor);
    if (rc == 0 && create) {
        rc = plain_sync_directory(path);
        if (rc != 0) {
            plain_descriptor_drop(file->descriptor);
        }
    }
    if (rc != 0) {
        ph_free(file);
        if (create) {
            (void)unlink(path);
        }
        return ph_fail(diag, rc, "%s: opening: %s", path, phantom_strerror(rc));
    }
    memcpy(file->path, path, size);
    file->io = (struct snap_io){&plain_file_ops, file->path, read_only};
    plain_fork_enlist(&file->forkable);
    *out = &file->io;
    return 0;
}

int hal_file_locked(const struct snap_io *io, uint64_t *byte)
{
    struct plain_file *file = (struct plain_file *)(uintptr_t)io;
    return atomic_load(&file->forkable.forked)
               ? PHANTOM_EFORKED
               : plain_descriptor_locked(file->descriptor, SNAP_LOCK_BASE, byte);
}

bool hal_file_is_direct(const struct snap_io *io)
{
    (void)io;
    return false;
}
