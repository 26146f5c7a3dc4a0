/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_file.c - the file behind a store, as snap_io: opening, synchronous transfers, growth, locks.
 * Asynchronous transfers are in file_uring.c and file_threads.c.
 *
 * Owns one descriptor, one queue, and its entry in the fork list. One thread at a time per file.
 * Lock order: the fork list's lock (hal_fork.c), then a queue's lock.
 * Always true: in_flight is the number of requests taken by submit() and not given back by reap(),
 * and is at most HAL_QUEUE_DEPTH; in a forked child the descriptors are closed and forked is set.
 *
 * Growing over RLIMIT_FSIZE would raise SIGXFSZ in the calling thread and kill a host that does not
 * ignore it, so allocate() looks at the limit first and refuses with -ENOSPC. Threads of this
 * library have the signal blocked. A caller that writes only what it allocated never meets it.
 */
#include "hal_posix.h"

#include "file_queue.h"
#include "hal_internal.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <fcntl.h>
#include <hal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct hal_file {
    struct snap_io io;
    struct snap_io_ops ops; /* file_ops with the queue's name */
    int fd;
    bool direct;
    bool forked;
    unsigned in_flight;
    uint64_t allocated; /* blocks are known to exist for [0, allocated) */
    struct file_queue *queue;
    struct hal_fork_entry fork_entry;
    char path[]; /* io.path */
};

static struct hal_file *file_of(struct snap_io *io)
{
    return (struct hal_file *)io;
}

/* ---- synchronous transfers ------------------------------------------------------------------ */

int32_t file_transfer_once(int fd, const struct snap_io_request *request)
{
    ssize_t rc;
    do {
        if (request->direction == SNAP_IO_WRITE) {
            rc = pwrite(fd, request->buffer, request->length, (off_t)request->offset);
        } else {
            rc = pread(fd, request->buffer, request->length, (off_t)request->offset);
        }
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : (int32_t)rc;
}

static bool is_aligned(uint64_t offset, const void *buffer, uint32_t length)
{
    return offset % HAL_PAGE_SIZE == 0 && (uintptr_t)buffer % HAL_PAGE_SIZE == 0 &&
           length % HAL_PAGE_SIZE == 0 && length > 0 && length <= INT32_MAX &&
           offset <= (uint64_t)INT64_MAX - length;
}

static int transfer_all(struct hal_file *file, enum snap_io_direction direction, uint64_t offset,
                        void *buffer, uint32_t length)
{
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    if (!is_aligned(offset, buffer, length)) {
        return -EINVAL;
    }
    struct snap_io_request rest = {
        .offset = offset, .buffer = buffer, .length = length, .direction = direction};
    while (rest.length > 0) {
        int32_t moved = file_transfer_once(file->fd, &rest);
        if (moved < 0) {
            return moved;
        }
        if (moved == 0 || (direction == SNAP_IO_READ && moved % 512 != 0)) {
            return -EIO; /* end of file (a read stops inside a sector only there), or stuck */
        }
        rest.offset += (uint32_t)moved;
        rest.buffer = (char *)rest.buffer + moved;
        rest.length -= (uint32_t)moved;
    }
    return 0;
}

static int file_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    return transfer_all(file_of(io), SNAP_IO_READ, offset, buffer, length);
}

static int file_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    void *same = (void *)(uintptr_t)buffer; /* a request has one buffer for both directions */
    return transfer_all(file_of(io), SNAP_IO_WRITE, offset, same, length);
}

static int file_flush(struct snap_io *io)
{
    struct hal_file *file = file_of(io);
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    int rc;
    do { /* EINTR is not an answer of the disk: nothing was reported lost */
        rc = fdatasync(file->fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

/* ---- asynchronous transfers ----------------------------------------------------------------- */

static int file_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct hal_file *file = file_of(io);
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    if (!is_aligned(request->offset, request->buffer, request->length)) {
        return -EINVAL;
    }
    if (file->in_flight >= HAL_QUEUE_DEPTH) {
        return -EAGAIN;
    }
    int rc = file->queue->ops->submit(file->queue, request);
    if (rc == 0) {
        file->in_flight++;
    }
    return rc;
}

static int file_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct hal_file *file = file_of(io);
    *done = NULL;
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    if (file->in_flight == 0) {
        return 0;
    }
    if (minimum > file->in_flight) {
        minimum = file->in_flight;
    }
    int count = file->queue->ops->reap(file->queue, minimum, done);
    if (count > 0) {
        file->in_flight -= (unsigned)count;
    }
    return count;
}

/* ---- size ----------------------------------------------------------------------------------- */

/* Length and number of names, and nothing else: a file system with fine-grained times gives each
 * write after a look at them a new one, and the next fdatasync writes the inode for it. That would
 * be a third more for each small commit. */
static int look_at(int fd, uint64_t *bytes, bool *has_name)
{
    struct statx status;
    const unsigned wanted = STATX_SIZE | STATX_NLINK;
    if (statx(fd, "", AT_EMPTY_PATH, wanted, &status) == 0 &&
        (status.stx_mask & wanted) == wanted) {
        *bytes = status.stx_size;
        *has_name = status.stx_nlink != 0;
        return 0;
    }
    struct stat all; /* statx() is denied, or the file system is not one that counts names */
    if (fstat(fd, &all) != 0) {
        return -errno;
    }
    *bytes = (uint64_t)all.st_size;
    *has_name = all.st_nlink != 0;
    return 0;
}

static int file_size(struct snap_io *io, uint64_t *bytes)
{
    struct hal_file *file = file_of(io);
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    uint64_t size = 0;
    bool has_name = false;
    int rc = look_at(file->fd, &size, &has_name);
    if (rc != 0) {
        return rc;
    }
    if (!has_name) {
        return -ESTALE; /* what is written now is lost when we close */
    }
    *bytes = size;
    return 0;
}

/* Where fallocate() is unknown: zeros from the end of the file on. 0 or -errno. */
static int write_zeros(int fd, uint64_t from, uint64_t to)
{
    enum { CHUNK = 256 * 1024 };
    uint64_t start = (from + HAL_PAGE_SIZE - 1) / HAL_PAGE_SIZE * HAL_PAGE_SIZE;
    if (start != from && ftruncate(fd, (off_t)start) != 0) {
        return -errno;
    }
    void *zeros = ph_alloc_aligned(HAL_PAGE_SIZE, CHUNK);
    if (zeros == NULL) {
        return -ENOMEM;
    }
    memset(zeros, 0, CHUNK);
    int rc = 0;
    while (start < to && rc == 0) {
        struct snap_io_request chunk = {
            .offset = start,
            .buffer = zeros,
            .length = to - start < CHUNK ? (uint32_t)(to - start) : CHUNK,
            .direction = SNAP_IO_WRITE,
        };
        int32_t moved = file_transfer_once(fd, &chunk);
        rc = moved < 0 ? moved : moved == 0 ? -ENOSPC : 0;
        start += moved > 0 ? (uint32_t)moved : 0;
    }
    ph_free(zeros);
    return rc;
}

static int allocate_blocks(int fd, uint64_t have, uint64_t size, uint64_t bytes)
{
    int rc;
    do {
        rc = fallocate(fd, 0, (off_t)have, (off_t)(bytes - have));
    } while (rc != 0 && errno == EINTR);
    rc = rc == 0 ? 0 : -errno;
    if ((rc == -EOPNOTSUPP || rc == -ENOSYS) && bytes > size) {
        rc = write_zeros(fd, size, bytes);
    } else if (rc == -EOPNOTSUPP || rc == -ENOSYS) {
        rc = 0; /* what is below the end of the file was written by us, earlier */
    }
    return rc;
}

/* All ways in which a file system says "this file cannot grow now" are one answer: -ENOSPC. */
static int file_allocate(struct snap_io *io, uint64_t bytes)
{
    struct hal_file *file = file_of(io);
    uint64_t size = 0;
    int rc = file_size(io, &size);
    if (rc != 0) {
        return rc;
    }
    if (bytes % HAL_PAGE_SIZE != 0 || bytes > INT64_MAX) {
        return -EINVAL;
    }
    if (file->allocated > size) { /* somebody has truncated the file */
        file->allocated = size;
    }
    if (bytes <= file->allocated) {
        return 0;
    }
    struct rlimit limit;
    if (bytes > size && getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        bytes > limit.rlim_cur) {
        return -ENOSPC;
    }
    rc = allocate_blocks(file->fd, file->allocated, size, bytes);
    if (rc == 0) {
        file->allocated = bytes;
        return 0;
    }
    /* A refused fallocate() may have grown the file up to where it failed. The original error is
     * the answer; if the cut fails too, the file is merely longer than it was. */
    if (bytes > size) {
        (void)!ftruncate(file->fd, (off_t)size);
    }
    return rc == -EDQUOT || rc == -EFBIG ? -ENOSPC : rc;
}

static int file_random(struct snap_io *io, void *buffer, uint32_t length)
{
    (void)io;
    uint8_t *out = buffer;
    while (length > 0) {
        uint64_t word = hal_random();
        uint32_t part = length < sizeof(word) ? length : (uint32_t)sizeof(word);
        memcpy(out, &word, part);
        out += part;
        length -= part;
    }
    return 0;
}

/* ---- locks ---------------------------------------------------------------------------------- */

static int file_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    struct hal_file *file = file_of(io);
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    if (byte >= INT64_MAX) {
        return -EINVAL;
    }
    struct flock lock = {.l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    lock.l_type = kind == SNAP_IO_LOCK_EXCLUSIVE ? F_WRLCK
                  : kind == SNAP_IO_LOCK_SHARED  ? F_RDLCK
                                                 : F_UNLCK;
    int rc;
    do {
        rc = fcntl(file->fd, F_OFD_SETLK, &lock);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    return errno == EACCES ? -EAGAIN : -errno;
}

int hal_file_locked(const struct snap_io *io, uint64_t *byte)
{
    const struct hal_file *file = (const struct hal_file *)io;
    if (file->forked) {
        return PHANTOM_EFORKED;
    }
    /* All bytes from the first on; a lock for writing would meet those for reading as well. */
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)SNAP_LOCK_BASE, .l_len = 0};
    if (fcntl(file->fd, F_OFD_GETLK, &lock) != 0) {
        return -errno;
    }
    if (lock.l_type == F_UNLCK) {
        return 0;
    }
    *byte = (uint64_t)lock.l_start < SNAP_LOCK_BASE ? SNAP_LOCK_BASE : (uint64_t)lock.l_start;
    return 1;
}

/* ---- open and close ------------------------------------------------------------------------- */

static void file_in_child(struct hal_fork_entry *entry)
{
    struct hal_file *file =
        (struct hal_file *)((char *)entry - offsetof(struct hal_file, fork_entry));
    file->queue->ops->forked(file->queue);
    if (!PH_MUTANT(CHILD_KEEPS_LOCK)) {
        hal_close(file->fd);
    }
    file->fd = -1;
    file->forked = true;
}

static void file_close(struct snap_io *io)
{
    struct hal_file *file = file_of(io);
    if (file->forked) {
        return; /* see hal_fork.c: nothing is freed there */
    }
    while (file->in_flight > 0) {
        struct snap_io_request *done;
        if (file_reap(io, file->in_flight, &done) < 0) {
            break; /* a broken ring: closing it cancels what can be cancelled */
        }
    }
    bool held = hal_fork_hold() == 0; /* it was held once, so handlers exist and this succeeds */
    hal_fork_delist(&file->fork_entry);
    file->queue->ops->close(file->queue);
    hal_close(file->fd);
    if (held) {
        hal_fork_release();
    }
    ph_free(file);
}

static const struct snap_io_ops file_ops = {
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

/* Direct I/O if the file system takes it at our alignment. A file system that accepts the flag and
 * then refuses a plain aligned read is served buffered, too. */
static bool make_direct(int fd)
{
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN) != 0 &&
        (status.stx_dio_offset_align == 0 || status.stx_dio_offset_align > HAL_PAGE_SIZE ||
         status.stx_dio_mem_align > HAL_PAGE_SIZE)) {
        return false;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) {
        return false;
    }
    void *page = ph_alloc_aligned(HAL_PAGE_SIZE, HAL_PAGE_SIZE);
    struct snap_io_request probe = {
        .buffer = page, .length = HAL_PAGE_SIZE, .direction = SNAP_IO_READ};
    bool works = page != NULL && file_transfer_once(fd, &probe) != -EINVAL;
    ph_free(page);
    if (!works) {
        (void)fcntl(fd, F_SETFL, flags);
    }
    return works;
}

/* A host that closed stdin, stdout or stderr must not find its output in the store. */
static int above_standard_descriptors(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) {
        return fd;
    }
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    hal_close(fd);
    errno = error;
    return higher;
}

/* Refuse anything but a regular file without opening it: opening a device or a FIFO can block or do
 * things. The check after opening is the one that counts; O_NONBLOCK covers a swap in between. */
static int open_existing(const char *path, bool read_only, struct phantom_diag *diag)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        int error = -errno;
        return ph_fail(diag, error == -ENOENT ? PHANTOM_ENOTFOUND : error, "%s: %s", path,
                       strerror(-error));
    }
    if (!S_ISREG(status.st_mode)) {
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file", path);
    }
    int fd;
    do {
        fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    fd = above_standard_descriptors(fd);
    if (fd < 0) {
        int error = -errno;
        return ph_fail(diag, error == -ENOENT ? PHANTOM_ENOTFOUND : error, "%s: %s", path,
                       strerror(-error));
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        hal_close(fd);
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file", path);
    }
    (void)fcntl(fd, F_SETFL, 0); /* O_NONBLOCK off again: means nothing on a regular file */
    return fd;
}

/* The directory of path, opened; *name is the last component. -errno on failure. */
static int open_directory(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash == NULL ? path : slash + 1;
    if (slash == NULL) {
        return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    char *directory = ph_zalloc(1, length + 1);
    if (directory == NULL) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(directory, path, length);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    ph_free(directory);
    errno = error;
    return fd;
}

/* O_EXCL also refuses a symbolic link, dangling or not. */
static int create_new(const char *path, struct phantom_diag *diag)
{
    const char *name;
    int directory = open_directory(path, &name);
    if (directory < 0) {
        int error = -errno;
        return ph_fail(diag, error == -ENOENT ? PHANTOM_ENOTFOUND : error,
                       "%s: cannot open its directory: %s", path, strerror(-error));
    }
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    fd = above_standard_descriptors(fd);
    int rc = fd >= 0 ? 0 : -errno;
    /* EINVAL: a file system on which directories cannot be synced has nothing to sync. */
    if (rc == 0 && !PH_MUTANT(DIRECTORY_NOT_SYNCED) && fsync(directory) != 0 && errno != EINVAL) {
        rc = -errno;
        (void)unlinkat(directory, name, 0);
        hal_close(fd);
    }
    hal_close(directory);
    return rc == 0 ? fd : ph_fail(diag, rc, "%s: cannot create: %s", path, strerror(-rc));
}

static int open_queue(struct hal_file *file, unsigned flags)
{
    if ((flags & HAL_FILE_NO_URING) == 0 && file_queue_uring.open(file->fd, &file->queue) == 0) {
        return 0;
    }
    /* Denied, unknown, or no memory or descriptors left for a ring: all the same to us. */
    return file_queue_threads.open(file->fd, &file->queue);
}

static int open_held(struct hal_file *file, unsigned flags, struct phantom_diag *diag)
{
    bool create = (flags & HAL_FILE_CREATE) != 0;
    int fd =
        create ? create_new(file->path, diag) : open_existing(file->path, file->io.read_only, diag);
    if (fd < 0) {
        return fd;
    }
    file->fd = fd;
    file->direct = make_direct(fd);
    int rc = open_queue(file, flags);
    if (rc != 0) {
        hal_close(fd);
        if (create) {
            (void)unlink(file->path);
        }
        return ph_fail(diag, rc, "%s: cannot start file threads: %s", file->path, strerror(-rc));
    }
    file->ops = file_ops;
    file->ops.name = file->queue->ops->name;
    file->io.ops = &file->ops;
    file->fork_entry.in_child = file_in_child;
    hal_fork_enlist(&file->fork_entry);
    return 0;
}

int hal_file_open(const char *path, unsigned flags, struct snap_io **out, struct phantom_diag *diag)
{
    bool read_only = (flags & HAL_FILE_READ_ONLY) != 0;
    if (path == NULL || *path == '\0' || (read_only && (flags & HAL_FILE_CREATE) != 0)) {
        return ph_fail(diag, PHANTOM_EINVALID, "a path is needed, and no read-only creation");
    }
    size_t length = strlen(path);
    struct hal_file *file = ph_zalloc(1, sizeof(*file) + length + 1);
    if (file == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: out of memory", path);
    }
    memcpy(file->path, path, length + 1);
    file->io.path = file->path;
    file->io.read_only = read_only;
    int rc = hal_fork_hold();
    if (rc == 0) {
        rc = open_held(file, flags, diag);
        hal_fork_release();
    } else {
        (void)ph_fail(diag, rc, "%s: out of memory", path);
    }
    if (rc != 0) {
        ph_free(file);
        return rc;
    }
    *out = &file->io;
    return 0;
}

bool hal_file_is_direct(const struct snap_io *io)
{
    return ((const struct hal_file *)io)->direct;
}
