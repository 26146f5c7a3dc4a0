/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_files.c - hal_files.h: small files, and names that appear only with their content. Owns
 * nothing.
 */
#include "hal_files.h"
#include "ph_memory.h"
#include "plain_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_at(struct phantom_diag *diag, const char *path, const char *what, int error)
{
    int code = error == ENOENT || error == ENOTDIR ? PHANTOM_ENOTFOUND : -error;
    return ph_fail(diag, code, "%s: %s: %s", path, what, strerror(error));
}

static int read_all(int fd, uint8_t *bytes, size_t limit, size_t *size)
{
    *size = 0;
    while (*size < limit) {
        ssize_t n = read(fd, bytes + *size, limit - *size);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            return 0;
        }
        *size += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int hal_file_read_whole(const char *path, size_t limit, void **bytes, size_t *size,
                        struct phantom_diag *diag)
{
    struct stat status;
    struct plain_descriptor *file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail_at(diag, path, "opening", errno);
    }
    int rc = plain_descriptor_keep(fd, &file);
    if (rc != 0) {
        return ph_fail(diag, rc, "%s: %s", path, phantom_strerror(rc));
    }
    uint8_t *all = NULL;
    size_t got = 0;
    if (fstat(fd, &status) != 0) {
        rc = fail_at(diag, path, "looking at it", errno);
    } else if (!S_ISREG(status.st_mode) || status.st_size < 0 ||
               (uintmax_t)status.st_size > limit) {
        rc = ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file, or of more than %zu bytes",
                     path, limit);
    } else if ((all = ph_alloc((size_t)status.st_size + 1)) == NULL) {
        rc = ph_fail(diag, -ENOMEM, "%s: no memory for its content", path);
    } else if ((rc = read_all(fd, all, (size_t)status.st_size, &got)) != 0) {
        rc = fail_at(diag, path, "reading", -rc);
    }
    plain_descriptor_drop(file);
    if (rc != 0) {
        ph_free(all);
        return rc;
    }
    *bytes = all;
    *size = got;
    return 0;
}

int hal_file_exists(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0) {
        return 1;
    }
    return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

int hal_file_is_regular(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

int hal_file_same(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

int hal_file_resolve(const char *path, char resolved[4096], struct phantom_diag *diag)
{
    char *name = realpath(path, NULL);
    if (name == NULL) {
        return fail_at(diag, path, "resolving", errno);
    }
    size_t length = strlen(name);
    if (length < 4096) {
        memcpy(resolved, name, length + 1);
    }
    free(name);
    return length < 4096 ? 0 : fail_at(diag, path, "resolving", ENAMETOOLONG);
}

int hal_file_cut(const char *path, uint64_t bytes, struct phantom_diag *diag)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return fail_at(diag, path, "looking at it", errno);
    }
    if ((uintmax_t)status.st_size > bytes && truncate(path, (off_t)bytes) != 0) {
        return fail_at(diag, path, "cutting", errno);
    }
    return 0;
}

/** The parent's name is what comes before the last slash. */
int plain_sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    char *parent = ph_alloc(length + 2);
    if (parent == NULL) {
        return -ENOMEM;
    }
    memcpy(parent, length == 0 ? "." : path, length == 0 ? 1 : length);
    parent[length == 0 ? 1 : length] = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    ph_free(parent);
    return rc;
}

static int sync_content(const char *path)
{
    struct plain_descriptor *file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = plain_descriptor_keep(fd, &file);
    if (rc == 0) {
        rc = fsync(fd) != 0 ? -errno : 0;
        plain_descriptor_drop(file);
    }
    return rc;
}

int hal_file_publish(const char *from, const char *to, struct phantom_diag *diag)
{
    int rc = sync_content(from);
    /* link() refuses a name that exists, which rename() of POSIX replaces. */
    if (rc == 0 && link(from, to) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        return ph_fail(diag, rc, "%s: giving it the name %s: %s", from, to, strerror(-rc));
    }
    if (unlink(from) != 0) {
        return fail_at(diag, from, "removing its first name", errno);
    }
    rc = plain_sync_directory(to);
    return rc == 0 ? 0 : ph_fail(diag, rc, "%s: making its name durable: %s", to, strerror(-rc));
}

int hal_file_replace(const char *from, const char *to, struct phantom_diag *diag)
{
    struct stat status;
    if (stat(to, &status) == 0 && chmod(from, status.st_mode & 07777) != 0) {
        return fail_at(diag, from, "giving it the mode of the old one", errno);
    }
    int rc = sync_content(from);
    if (rc == 0 && rename(from, to) != 0) {
        rc = -errno;
    }
    if (rc == 0) {
        rc = plain_sync_directory(to);
    }
    return rc == 0
               ? 0
               : ph_fail(diag, rc, "%s: putting it in place of %s: %s", from, to, strerror(-rc));
}

void hal_file_discard(const char *path)
{
    (void)unlink(path);
}

int64_t hal_process_id(void)
{
    return getpid();
}
