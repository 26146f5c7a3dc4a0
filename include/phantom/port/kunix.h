/* SPDX-License-Identifier: Apache-2.0
 *
 * kunix.h - the machine's files, names of the Genode port. Stability: kept.
 */
#ifndef PHANTOM_PORT_KUNIX_H
#define PHANTOM_PORT_KUNIX_H

#include <phantom_types.h>

/* Numbers of open files are the HAL instance's, beginning with 0; 64 at most. Each function returns
 * 0 or a positive errno, and writes its result on success only. Reads and writes may be short. */

errno_t k_open(int *fd, const char *name, int flags, int mode); /* flags, mode: open(2) */
errno_t k_read(int *nread, int fd, void *addr, int count);
errno_t k_write(int *nwritten, int fd, const void *addr, int count);
errno_t k_seek(int *pos, int fd, int offset, int whence); /* EOVERFLOW: beyond an int */
errno_t k_stat_size(const char *name, unsigned int *size);
errno_t k_close(int fd);

#endif /* PHANTOM_PORT_KUNIX_H */
