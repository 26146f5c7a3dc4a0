/* SPDX-License-Identifier: Apache-2.0
 *
 * port_file_linux.c - files that are disks (port_machine.h) on Linux: a number is a descriptor.
 * Owns nothing.
 */
#include "port_disk.h"
#include "port_machine.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The size of an open file in sectors. 0, or EINVAL: it is nothing that can be a disk. */
static int file_sectors(int fd, uint64_t *sectors)
{
    struct stat status;
    uint64_t bytes = 0;
    if (fstat(fd, &status) != 0) {
        return errno;
    }
    if (S_ISREG(status.st_mode)) {
        bytes = (uint64_t)status.st_size;
    } else if (!S_ISBLK(status.st_mode) || ioctl(fd, BLKGETSIZE64, &bytes) != 0) {
        return EINVAL;
    }
    *sectors = bytes / PORT_SECTOR;
    return *sectors >= PAGE_SIZE / PORT_SECTOR ? 0 : EINVAL;
}

int port_file_open(const char *path, bool read_only, int *file, uint64_t *sectors)
{
    int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno;
    }
    int rc = file_sectors(fd, sectors);
    if (rc == 0 && flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        rc = errno;
    }
    if (rc != 0) {
        hal_close(fd);
        return rc;
    }
    *file = fd;
    return 0;
}

void port_file_close(int file)
{
    hal_close(file);
}

ssize_t port_file_read(int file, void *bytes, size_t size, uint64_t offset)
{
    ssize_t moved = pread(file, bytes, size, (off_t)offset);
    return moved >= 0 ? moved : -errno;
}

ssize_t port_file_write(int file, const void *bytes, size_t size, uint64_t offset)
{
    ssize_t moved = pwrite(file, bytes, size, (off_t)offset);
    return moved >= 0 ? moved : -errno;
}

int port_file_flush(int file)
{
    while (fdatasync(file) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int port_file_check(int file, uint64_t sectors)
{
    uint64_t now = 0;
    int rc = file_sectors(file, &now);
    return rc != 0 ? rc : now < sectors ? EIO : 0;
}

int port_file_trim(int file, uint64_t offset, uint64_t size)
{
    int rc =
        fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
    return rc == 0 ? 0 : errno;
}

const struct port_disk_backend *port_file_fast_backend(void)
{
    return &port_disk_uring;
}
