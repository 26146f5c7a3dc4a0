/* SPDX-License-Identifier: Apache-2.0
 *
 * store_replaced.c - a file that is about to be replaced by a store made from another one. A world
 * or a space that has it open would go on writing into a file without a name, and learn of it at
 * its next commit; so nobody may have it open.
 *
 * The writer's lock is held from the beginning of the work until the new file has the name: no
 * writer comes in between. Readers are looked for twice, before the work and at its end; one that
 * opens the file between the second look and the renaming reads the old file to its end.
 * Owns nothing between calls but the handle it returns.
 */
#include "store_view.h"

#include "hal_files.h"
#include "ph_mutant.h"

#include <errno.h>
#include <inttypes.h>

static int refuse(const char *path, uint64_t byte, struct phantom_diag *diag)
{
    if (byte == SNAP_LOCK_WRITER) {
        return ph_fail(diag, PHANTOM_EBUSY,
                       "%s is not replaced: it is open for writing; who has it holds the writer's "
                       "lock",
                       path);
    }
    return ph_fail(diag, PHANTOM_EBUSY,
                   "%s is not replaced: it is being read; who reads it holds the lock of its "
                   "generation %" PRIu64,
                   path, byte - SNAP_LOCK_GENERATION(0));
}

static int lock_out_writers(struct snap_io *io, struct phantom_diag *diag)
{
    /* A file that may only be read: no writer can come beside a reader of the writer's byte. */
    enum snap_io_lock kind = io->read_only ? SNAP_IO_LOCK_SHARED : SNAP_IO_LOCK_EXCLUSIVE;
    int result, waited_ms = 0;
    do {
        result = io->ops->lock(io, SNAP_LOCK_WRITER, kind);
    } while (hal_file_open_again(result == -EAGAIN ? PHANTOM_EBUSY : result, &waited_ms));
    if (result == -EAGAIN) {
        return refuse(io->path, SNAP_LOCK_WRITER, diag);
    }
    return result == 0 ? 0
                       : ph_fail(diag, result, "%s is not replaced: it cannot be locked: %s",
                                 io->path, phantom_strerror(result));
}

int store_replaced_check(struct snap_io *io, struct phantom_diag *diag)
{
    uint64_t byte = 0, size = 0;
    int result, waited_ms = 0;
    do {
        result = hal_file_locked(io, &byte);
    } while (hal_file_open_again(result == 1 ? PHANTOM_EBUSY : result, &waited_ms));
    if (result == 1) {
        return refuse(io->path, byte, diag);
    }
    result = result == 0 ? io->ops->size(io, &size) : result;
    if (result == -ESTALE) {
        return ph_fail(diag, PHANTOM_EBUSY,
                       "%s is not replaced: somebody else replaced or deleted it meanwhile",
                       io->path);
    }
    return result == 0 ? 0
                       : ph_fail(diag, result, "%s is not replaced: %s", io->path,
                                 phantom_strerror(result));
}

int store_replaced_hold(const char *path, struct snap_io **out, struct phantom_diag *diag)
{
    *out = NULL;
    if (PH_MUTANT(REPLACED_UNDER_HOLDER)) {
        return 0;
    }
    struct snap_io *io = NULL;
    int result = hal_file_open(path, HAL_FILE_NO_URING, &io, diag);
    if (result == -EACCES) {
        result = hal_file_open(path, HAL_FILE_NO_URING | HAL_FILE_READ_ONLY, &io, diag);
    }
    if (result != 0) {
        return result;
    }
    result = lock_out_writers(io, diag);
    result = result == 0 ? store_replaced_check(io, diag) : result;
    if (result != 0) {
        io->ops->close(io);
        return result;
    }
    *out = io;
    return 0;
}
