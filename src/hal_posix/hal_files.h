/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_files.h - what the runtime room needs from the file system besides the store: reading a small
 * file whole, making a finished file appear under its name, and knowing which process this is.
 */
#ifndef HAL_FILES_H
#define HAL_FILES_H

#include "ph_error.h"
#include "ph_mutant.h"

#include <phantom/error.h>

#include <hal.h>
#include <stdbool.h>
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
 * Make `from` durable, rename it to `to` in the same directory, only if `to` does not exist, and
 * make the directory entry durable. @return 0, -EEXIST, or -errno
 */
int hal_file_publish(const char *from, const char *to, struct phantom_diag *diag);

/** 1 if it is a regular file (a link is not followed). */
int hal_file_is_regular(const char *path);
/** 1 if both names exist and lead to the same file. */
int hal_file_same(const char *a, const char *b);

/** The path without links. 0, PHANTOM_ENOTFOUND or -errno. */
int hal_file_resolve(const char *path, char resolved[4096], struct phantom_diag *diag);

/** Make a file `bytes` long if it is longer. 0 or -errno. */
int hal_file_cut(const char *path, uint64_t bytes, struct phantom_diag *diag);

/**
 * Rename `from` to `to`, in place of what may be there, in an order that a crash cannot turn into a
 * file under that name with less than its content: content durable, rename, directory durable.
 * The new file gets the mode of the old one.
 */
int hal_file_replace(const char *from, const char *to, struct phantom_diag *diag);

/** Remove a file that this process made and nobody needs. Errors are ignored. */
void hal_file_discard(const char *path);

/**
 * A killed writer's lock outlives it while the kernel finishes the writes that were in flight: they
 * hold the open file. That takes milliseconds, and waiting for it is right: only then does the file
 * stand still. So "busy" is believed after a second.
 * @param result  what opening the store said; *waited_ms is 0 at first
 * @return true, after a pause: open again; false: the result stands
 */
static inline bool hal_file_open_again(int result, int *waited_ms)
{
    enum { WAIT_MS = 1000, POLL_MS = 5 };
    if (result != PHANTOM_EBUSY || *waited_ms >= WAIT_MS || PH_MUTANT(DEAD_WRITER_NOT_AWAITED)) {
        return false;
    }
    hal_sleep_msec(POLL_MS);
    *waited_ms += POLL_MS;
    return true;
}

/** Identity of this process; a forked child has another. */
int64_t hal_process_id(void);

#endif /* HAL_FILES_H */
