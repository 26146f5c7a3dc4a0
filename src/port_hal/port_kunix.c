/* SPDX-License-Identifier: Apache-2.0
 *
 * port_kunix.c - the machine's files: a table of descriptors of the instance.
 *
 * The lock is a leaf; a descriptor is used after it was let go, so a file must not be closed while
 * it is used, as with the system's own descriptors.
 */
#include "port_internal.h"

#include <fcntl.h>
#include <kunix.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 64 };

struct port_files {
    pthread_mutex_t lock;
    int open[MAX_FILES]; /* descriptor + 1; 0: free */
};

int port_files_open(struct phantom_hal *instance)
{
    instance->files = ph_zalloc(1, sizeof(*instance->files));
    if (instance->files == NULL) {
        return ENOMEM;
    }
    (void)pthread_mutex_init(&instance->files->lock, NULL);
    return 0;
}

void port_files_close(struct phantom_hal *instance)
{
    for (int i = 0; i < MAX_FILES; i++) {
        hal_close(instance->files->open[i] - 1);
    }
    (void)pthread_mutex_destroy(&instance->files->lock);
    ph_free(instance->files);
}

/* The descriptor of an open file, or -1. */
static int descriptor(int fd, bool take_out)
{
    struct port_files *files = port_hal()->files;
    int found = -1;
    (void)pthread_mutex_lock(&files->lock);
    if (fd >= 0 && fd < MAX_FILES) {
        found = files->open[fd] - 1;
        files->open[fd] = take_out ? 0 : files->open[fd];
    }
    (void)pthread_mutex_unlock(&files->lock);
    return found;
}

errno_t k_open(int *fd, const char *name, int flags, int mode)
{
    int opened = open(name, flags | O_CLOEXEC | O_NOCTTY, mode);
    if (opened < 0) {
        return errno;
    }
    struct port_files *files = port_hal()->files;
    (void)pthread_mutex_lock(&files->lock);
    int i = 0;
    while (i < MAX_FILES && files->open[i] != 0) {
        i++;
    }
    if (i < MAX_FILES) {
        files->open[i] = opened + 1;
    }
    (void)pthread_mutex_unlock(&files->lock);
    if (i == MAX_FILES) {
        hal_close(opened);
        return EMFILE;
    }
    *fd = i;
    return 0;
}

errno_t k_read(int *nread, int fd, void *addr, int count)
{
    if (count < 0) {
        return EINVAL;
    }
    ssize_t got;
    do {
        got = read(descriptor(fd, false), addr, (size_t)count);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno;
    }
    *nread = (int)got;
    return 0;
}

errno_t k_write(int *nwritten, int fd, const void *addr, int count)
{
    if (count < 0) {
        return EINVAL;
    }
    ssize_t put;
    do {
        put = write(descriptor(fd, false), addr, (size_t)count);
    } while (put < 0 && errno == EINTR);
    if (put < 0) {
        return errno;
    }
    *nwritten = (int)put;
    return 0;
}

errno_t k_seek(int *pos, int fd, int offset, int whence)
{
    int file = descriptor(fd, false);
    off_t before = lseek(file, 0, SEEK_CUR);
    off_t at = lseek(file, offset, whence);
    if (at < 0) {
        return errno;
    }
    if (at > INT_MAX) { /* as if it had not been asked */
        (void)lseek(file, before, SEEK_SET);
        return EOVERFLOW;
    }
    *pos = (int)at;
    return 0;
}

errno_t k_stat(const char *path, struct stat *data, int statlink)
{
    struct stat status;
    if ((statlink ? lstat(path, &status) : stat(path, &status)) != 0) {
        return errno;
    }
    *data = status;
    return 0;
}

errno_t k_stat_size(const char *path, unsigned int *size)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return errno;
    }
    if (status.st_size > (off_t)UINT_MAX) {
        return EOVERFLOW;
    }
    *size = (unsigned int)status.st_size;
    return 0;
}

errno_t k_close(int fd)
{
    int file = descriptor(fd, true);
    if (file < 0) {
        return EBADF;
    }
    hal_close(file);
    return 0;
}
