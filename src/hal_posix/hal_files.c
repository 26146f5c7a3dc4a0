/* SPDX-License-Identifier: Apache-2.0 */
#include "hal_files.h"

#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const char *path, size_t size, char *bytes, struct phantom_diag *diag)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return ph_fail(diag, -errno, "%s: %s", path, strerror(errno));
        }
        if (n == 0) {
            return ph_fail(diag, PHANTOM_EFORMAT, "%s: became shorter while it was read", path);
        }
        done += (size_t)n;
    }
    return 0;
}

int hal_file_read_whole(const char *path, size_t limit, void **bytes, size_t *size,
                        struct phantom_diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int error = errno == ENOENT || errno == ENOTDIR ? PHANTOM_ENOTFOUND : -errno;
        return ph_fail(diag, error, "%s: %s", path, strerror(errno));
    }
    char *content = NULL;
    int result;
    struct stat info;
    if (fstat(fd, &info) != 0) {
        result = ph_fail(diag, -errno, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        result = ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file", path);
        goto out;
    }
    if ((uint64_t)info.st_size > limit) {
        result = ph_fail(diag, PHANTOM_EFORMAT, "%s: %lld bytes, more than the limit of %zu", path,
                         (long long)info.st_size, limit);
        goto out;
    }
    content = ph_alloc((size_t)info.st_size);
    if (content == NULL) {
        result = ph_fail(diag, -ENOMEM, "%s: out of memory", path);
        goto out;
    }
    result = read_all(fd, path, (size_t)info.st_size, content, diag);
    if (result == 0) {
        *bytes = content;
        *size = (size_t)info.st_size;
        content = NULL;
    }
out:
    ph_free(content);
    close(fd);
    return result;
}

int hal_file_exists(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0) {
        return 1;
    }
    return errno == ENOENT ? 0 : -errno;
}

static int sync_directory_of(const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(directory, sizeof(directory), ".");
    } else {
        int length = slash == path ? 1 : (int)(slash - path);
        if ((size_t)length >= sizeof(directory)) {
            return -ENAMETOOLONG;
        }
        snprintf(directory, sizeof(directory), "%.*s", length, path);
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int result = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

/* The mode, and if this process may, the owner of the file that is about to be replaced. */
static int take_after(int fd, const char *original)
{
    struct stat info;
    if (original == NULL || lstat(original, &info) != 0 || !S_ISREG(info.st_mode)) {
        return 0;
    }
    /* Another owner than before is no reason to fail; more rights for others would be. */
    bool same = fchown(fd, info.st_uid, info.st_gid) == 0;
    mode_t mode = info.st_mode & (same ? 07777 : 0700);
    return fchmod(fd, mode) == 0 ? 0 : -errno;
}

static int sync_content(const char *path, const char *original)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    int result = take_after(fd, original);
    if (result == 0 && fsync(fd) != 0) {
        result = -errno;
    }
    close(fd);
    return result;
}

int hal_file_publish(const char *from, const char *to, struct phantom_diag *diag)
{
    int synced = sync_content(from, NULL);
    if (synced != 0) {
        return ph_fail(diag, synced, "%s: %s", from, strerror(-synced));
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        int error = errno;
        if (error != EINVAL && error != ENOSYS) {
            return ph_fail(diag, -error, "%s: %s", to, strerror(error));
        }
        /* A file system without RENAME_NOREPLACE: a hard link has the same meaning. */
        if (link(from, to) != 0) {
            return ph_fail(diag, -errno, "%s: %s", to, strerror(errno));
        }
        unlink(from);
    }
    int result = sync_directory_of(to);
    if (result < 0) {
        return ph_fail(diag, result, "%s: its directory could not be flushed: %s", to,
                       strerror(-result));
    }
    return 0;
}

int hal_file_is_regular(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode);
}

int hal_file_same(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

int hal_file_resolve(const char *path, char resolved[4096], struct phantom_diag *diag)
{
    if (realpath(path, resolved) != NULL) {
        return 0;
    }
    int error = errno == ENOENT ? PHANTOM_ENOTFOUND : -errno;
    return ph_fail(diag, error, "%s: %s", path, strerror(errno));
}

int hal_file_cut(const char *path, uint64_t bytes, struct phantom_diag *diag)
{
    struct stat info;
    if (stat(path, &info) != 0 ||
        ((uint64_t)info.st_size > bytes && truncate(path, (off_t)bytes) != 0)) {
        return ph_fail(diag, -errno, "%s: %s", path, strerror(errno));
    }
    return 0;
}

int hal_file_replace(const char *from, const char *to, struct phantom_diag *diag)
{
    int result = PH_MUTANT(RENAME_BEFORE_SYNC) ? 0 : sync_content(from, to);
    if (result == 0 && rename(from, to) != 0) {
        result = -errno;
    }
    if (PH_MUTANT(RENAME_BEFORE_SYNC) && result == 0) {
        result = sync_content(to, NULL);
    }
    result = result == 0 ? sync_directory_of(to) : result;
    return result == 0 ? 0 : ph_fail(diag, result, "%s: %s", to, strerror(-result));
}

void hal_file_discard(const char *path)
{
    unlink(path);
}

int64_t hal_process_id(void)
{
    return getpid();
}
