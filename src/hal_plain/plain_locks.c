/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_locks.c - descriptors of files, and locks of bytes that exclude other processes and other
 * descriptors of this one.
 *
 * POSIX.1-2008 has locks of processes only: a second descriptor of the same process gets what the
 * first one has, and closing either drops both. So the table below knows, for each file that is
 * open, who holds which byte; the system's lock of a byte is what all holders together need; and a
 * descriptor whose file is locked through another one is closed when no lock is left. What this
 * room does not open it cannot know: a host that opens and closes a store itself drops its locks.
 *
 * Owns the table. One lock, which is held across fcntl() calls that do not wait.
 */
#include "ph_memory.h"
#include "plain_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

struct holding {
    const struct plain_descriptor *holder;
    uint64_t byte;
    enum snap_io_lock kind;
    struct holding *next;
};

struct plain_descriptor {
    int fd;
    struct open_file *file;
    struct plain_descriptor *next; /* of the file */
    bool dropped;                  /* its owner is gone */
};

struct open_file { /* as long as it has descriptors */
    dev_t device;
    ino_t inode;
    struct plain_descriptor *descriptors;
    struct holding *holdings;
    struct open_file *next;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct open_file *table;

void plain_locks_hold(void)
{
    (void)pthread_mutex_lock(&table_lock);
}

void plain_locks_release(bool child)
{
    for (struct open_file *file = child ? table : NULL; file != NULL; file = file->next) {
        for (struct plain_descriptor *d = file->descriptors; d != NULL; d = d->next) {
            (void)close(d->fd); /* the locks stay with the parent, whatever a child closes */
            d->fd = -1;
        }
    }
    if (child) {
        table = NULL;
    }
    (void)pthread_mutex_unlock(&table_lock);
}

static struct open_file *file_of(const struct stat *status)
{
    struct open_file *file = table;
    while (file != NULL && (file->device != status->st_dev || file->inode != status->st_ino)) {
        file = file->next;
    }
    return file;
}

int plain_descriptor_keep(int fd, struct plain_descriptor **out)
{
    struct stat status;
    struct plain_descriptor *descriptor = ph_alloc(sizeof(*descriptor));
    struct open_file *spare = ph_zalloc(1, sizeof(*spare));
    int rc = descriptor == NULL || spare == NULL ? -ENOMEM : fstat(fd, &status) != 0 ? -errno : 0;
    if (rc != 0) {
        (void)close(fd);
        ph_free(descriptor);
        ph_free(spare);
        return rc;
    }
    (void)pthread_mutex_lock(&table_lock);
    struct open_file *file = file_of(&status);
    if (file == NULL) {
        file = spare;
        spare = NULL;
        file->device = status.st_dev;
        file->inode = status.st_ino;
        file->next = table;
        table = file;
    }
    *descriptor = (struct plain_descriptor){fd, file, file->descriptors, false};
    file->descriptors = descriptor;
    (void)pthread_mutex_unlock(&table_lock);
    ph_free(spare);
    *out = descriptor;
    return 0;
}

int plain_descriptor_fd(const struct plain_descriptor *descriptor)
{
    return descriptor->fd;
}

/** What others than `except` need of the byte. */
static enum snap_io_lock needed(const struct open_file *file, uint64_t byte,
                                const struct plain_descriptor *except)
{
    enum snap_io_lock most = SNAP_IO_UNLOCK;
    for (const struct holding *h = file->holdings; h != NULL; h = h->next) {
        if (h->byte == byte && h->holder != except && h->kind > most) {
            most = h->kind;
        }
    }
    return most;
}

static int lock_for_process(int fd, uint64_t byte, enum snap_io_lock kind)
{
    static const short kinds[] = {F_UNLCK, F_RDLCK, F_WRLCK};
    struct flock lock = {
        .l_type = kinds[kind], .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    if (fcntl(fd, F_SETLK, &lock) == 0) {
        return 0;
    }
    return errno == EACCES ? -EAGAIN : -errno;
}

static struct holding **holding_of(struct plain_descriptor *descriptor, uint64_t byte)
{
    struct holding **at = &descriptor->file->holdings;
    while (*at != NULL && ((*at)->holder != descriptor || (*at)->byte != byte)) {
        at = &(*at)->next;
    }
    return at;
}

static int lock_held(struct plain_descriptor *descriptor, uint64_t byte, enum snap_io_lock kind,
                     struct holding **spare)
{
    struct holding **own = holding_of(descriptor, byte);
    enum snap_io_lock others = needed(descriptor->file, byte, descriptor);
    if ((kind == SNAP_IO_LOCK_EXCLUSIVE && others != SNAP_IO_UNLOCK) ||
        (kind == SNAP_IO_LOCK_SHARED && others == SNAP_IO_LOCK_EXCLUSIVE)) {
        return -EAGAIN;
    }
    if (kind == SNAP_IO_UNLOCK && *own == NULL) {
        return 0;
    }
    int rc = lock_for_process(descriptor->fd, byte, kind > others ? kind : others);
    if (rc != 0) {
        return rc;
    }
    if (kind == SNAP_IO_UNLOCK) {
        struct holding *ended = *own;
        *own = ended->next;
        ph_free(ended);
    } else if (*own != NULL) {
        (*own)->kind = kind;
    } else {
        **spare = (struct holding){descriptor, byte, kind, NULL};
        *own = *spare;
        *spare = NULL;
    }
    return 0;
}

int plain_descriptor_lock(struct plain_descriptor *descriptor, uint64_t byte,
                          enum snap_io_lock kind)
{
    struct holding *spare = ph_alloc(sizeof(*spare));
    if (spare == NULL) {
        return -ENOMEM;
    }
    (void)pthread_mutex_lock(&table_lock);
    int rc = lock_held(descriptor, byte, kind, &spare);
    (void)pthread_mutex_unlock(&table_lock);
    ph_free(spare);
    return rc;
}

int plain_descriptor_locked(struct plain_descriptor *descriptor, uint64_t from, uint64_t *byte)
{
    /* As a writer would ask; what this process has itself, the system does not say. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)from};
    int rc = 0;
    (void)pthread_mutex_lock(&table_lock);
    uint64_t lowest = UINT64_MAX;
    for (const struct holding *h = descriptor->file->holdings; h != NULL; h = h->next) {
        if (h->holder != descriptor && h->byte >= from && h->byte < lowest) {
            lowest = h->byte;
        }
    }
    if (fcntl(descriptor->fd, F_GETLK, &lock) != 0) {
        rc = -errno;
    } else if (lock.l_type != F_UNLCK && (uint64_t)lock.l_start < lowest) {
        lowest = (uint64_t)lock.l_start;
    }
    if (rc == 0 && lowest != UINT64_MAX) {
        *byte = lowest;
        rc = 1;
    }
    (void)pthread_mutex_unlock(&table_lock);
    return rc;
}

/** Descriptors without owner can be closed, as no lock is left to be lost. */
static void close_dropped(struct open_file *file)
{
    struct plain_descriptor **at = &file->descriptors;
    while (*at != NULL) {
        struct plain_descriptor *d = *at;
        if (d->dropped) {
            *at = d->next;
            (void)close(d->fd);
            ph_free(d);
        } else {
            at = &d->next;
        }
    }
    if (file->descriptors != NULL) {
        return;
    }
    struct open_file **link = &table;
    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    ph_free(file);
}

void plain_descriptor_drop(struct plain_descriptor *descriptor)
{
    struct open_file *file = descriptor->file;
    (void)pthread_mutex_lock(&table_lock);
    for (struct holding **at = &file->holdings; *at != NULL;) {
        struct holding *h = *at;
        if (h->holder != descriptor) {
            at = &h->next;
            continue;
        }
        (void)lock_for_process(descriptor->fd, h->byte, needed(file, h->byte, descriptor));
        *at = h->next;
        ph_free(h);
    }
    descriptor->dropped = true;
    if (file->holdings == NULL) {
        close_dropped(file);
    }
    (void)pthread_mutex_unlock(&table_lock);
}
