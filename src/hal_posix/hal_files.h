/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_files.h - what the runtime room needs from the file system besides the store: reading a small
 * file whole, making a finished file appear under its name, and knowing which process this is.
 */
#ifndef HAL_FILES_H
#define HAL_FILES_H

#include "ph_error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Read a regular file of at most `limit` bytes.
 * @param[out] bytes  ph_alloc'ed, the caller ph_frees it; NULL never (an empty file gives size 0)
 * @return 0, PHANTOM_ENOTFOUND, PHANTOM_EFORMAT (not regular, or larger than limit), -ENOMEM,
 * -errno
 */
int hal_file_read_whole(const char *path, size_t limit, void **bytes, size_t *size,
                        struct phantom_diag *diag);

/** 1 if something exists under this name, 0 if not, or -errno. */
int hal_file_exists(const char *path);

/**
 * Rename `from` to `to` in the same directory, only if `to` does not exist, and make the directory
 * entry durable. @return 0, -EEXIST, or -errno
 */
int hal_file_publish(const char *from, const char *to, struct phantom_diag *diag);

/** Remove a file that this process made and nobody needs. Errors are ignored. */
void hal_file_discard(const char *path);

/** Identity of this process; a forked child has another. */
int64_t hal_process_id(void);

#endif /* HAL_FILES_H */
