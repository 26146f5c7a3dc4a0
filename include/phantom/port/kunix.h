/* SPDX-License-Identifier: Apache-2.0
 *
 * kunix.h - the machine's files, names of the Genode port. Stability: kept.
 */
#ifndef PHANTOM_PORT_KUNIX_H
#define PHANTOM_PORT_KUNIX_H

#include <phantom_types.h>

struct stat; /* of <sys/stat.h> */

/* Numbers of open files are the HAL instance's, beginning with 0; 64 at most. Each function returns
 * 0 or a positive errno, and writes its result on success only. All may block, as the file system
 * does. @threads any; a file must not be closed while it is used. */

/** Open a file of the host; flags, mode: as for open(2). EMFILE: 64 are open. */
errno_t k_open(int *fd, const char *name, int flags, int mode);
/** Transfer at most count bytes from where the file stands; *nread, *nwritten: how many it were,
 *  perhaps fewer; 0 read: the end. May block. EINVAL: count < 0. EBADF: not open. Else as read(2),
 *  write(2). */
errno_t k_read(int *nread, int fd, void *addr, int count);
errno_t k_write(int *nwritten, int fd, const void *addr, int count);
/** Move to offset, as lseek(2); *pos: where it stands now. EOVERFLOW: beyond an int, and nothing
 * was moved. */
errno_t k_seek(int *pos, int fd, int offset, int whence);
/** What the host knows of a file; statlink nonzero: of a symbolic link itself. May block. Errors:
 *  of stat(2). */
errno_t k_stat(const char *path, struct stat *data, int statlink);
/** Its bytes. May block. EOVERFLOW: more than an unsigned int holds; else of stat(2). */
errno_t k_stat_size(const char *path, unsigned int *size);
/** End it; its number may be given out again. EBADF: not open. */
errno_t k_close(int fd);

#endif /* PHANTOM_PORT_KUNIX_H */
