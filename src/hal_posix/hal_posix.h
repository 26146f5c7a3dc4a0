/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_posix.h - what the runtime and the tools get from the Linux room besides <hal.h>: the file
 * behind a store, the tracked range of a heap, and what this machine allows.
 */
#ifndef HAL_POSIX_H
#define HAL_POSIX_H

#include "ph_error.h"
#include "snap_io.h"
#include "snap_memory.h"

/* ---- probe --------------------------------------------------------------------------------- */

/** One answer: what was tried and what it means for the user. Status: 1 works, 0 not. */
struct hal_probe_item {
    const char *name; /* "userfaultfd", "wp_async", "pagemap_scan", "io_uring", "o_direct", ... */
    bool works;
    int error; /* -errno of the attempt, 0 if it works */
    char detail[160];
};

enum { HAL_PROBE_ITEMS = 16 };

struct hal_probe {
    char kernel[64];
    bool userfaultfd, wp_async, pagemap_scan, io_uring; /* tracking needs the first three */
    bool membarrier;
    /* What may be asked for: first stores are caught (HAL_TRACK_SIGBUS, HAL_TRACK_MPROTECT), memory
     * is frozen (snap_memory_ops.freeze). */
    bool sigbus, mprotect, freezes;
    struct hal_probe_item items[HAL_PROBE_ITEMS];
    size_t item_count;
};

/**
 * Try everything once, harmlessly. `directory`: also probe the file system it is on (O_DIRECT,
 * fallocate, locks, free space); NULL: not. Never fails; what cannot be tried does not work.
 */
void hal_probe(const char *directory, struct hal_probe *out);

/* ---- store file ---------------------------------------------------------------------------- */

enum hal_file_flags {
    HAL_FILE_READ_ONLY = 1,
    HAL_FILE_CREATE = 2,  /* must not exist; mode 0600; directory entry made durable */
    HAL_FILE_NO_URING = 4 /* pwrite threads even if io_uring works */
};
/**
 * Open a regular file as snap_io, O_DIRECT where the file system allows it, O_CLOEXEC. A symbolic
 * link to a regular file is followed (not when creating); anything else is refused without opening
 * it, so a FIFO does not block. io_uring, or pwrite threads when it is denied for whatever reason:
 * the ops' name says which.
 *
 * What the back ends add to the contract of snap_io.h:
 *  - at most 64 requests in flight, then submit() is -EAGAIN; misaligned transfers are -EINVAL;
 *  - a thread that submitted lives until its requests were reaped;
 *  - buffers of requests that a failed reap() did not give back stay untouched until close();
 *  - allocate() answers -ENOSPC for every "cannot grow": disk, quota, RLIMIT_FSIZE. It never raises
 *    SIGXFSZ; a write beyond what was allocated may, in a host that does not ignore that signal;
 *  - in a child made by fork() the descriptors are closed (the child keeps no lock alive), each
 *    operation returns PHANTOM_EFORKED, and close() does nothing: the rest ends with the child.
 *
 * PHANTOM_ENOTFOUND, PHANTOM_EFORMAT (not a regular file), -EEXIST (creating), or another -errno;
 * diag names the path. After a failed creation no file is left.
 */
int hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                  struct phantom_diag *diag);

/** Transfers bypass the page cache (io must come from hal_file_open). */
bool hal_file_is_direct(const struct snap_io *io);

/**
 * Does anybody else, in this process or another, hold a lock of the store in this file (snap_io.h)?
 * @param[out] byte  the lowest one that is held: SNAP_LOCK_WRITER or that of a generation
 * @return 1, 0, PHANTOM_EFORKED or -errno
 */
int hal_file_locked(const struct snap_io *io, uint64_t *byte);

/* ---- heap range ---------------------------------------------------------------------------- */

/** Address for the heap of a new store with this identity; attempt 0, 1, ... gives other slots. */
uint64_t hal_heap_base(const uint8_t uuid[16], uint64_t size, unsigned attempt);

/**
 * How the range says what was stored into. The two that catch first stores install a handler of
 * SIGBUS or SIGSEGV for the process while stores are caught, which passes on what is not in such a
 * range to the handler that was there before: only with the consent of whoever owns the process.
 * Our threads, and the host's that store into the range, must not block that signal.
 *
 * The rule of the bounce buffer. While stores are caught (from guard() on), the kernel cannot store
 * into a protected page, nor, with SIGBUS, read or store into a page that is not there: read(2) and
 * the like fail with EFAULT or are short, without a signal. So system calls get a buffer outside of
 * the range, which the caller copies; and no such call is in flight across a cut: what a device
 * writes after the page was protected is noticed by nobody. With HAL_TRACK_ASYNC system calls may
 * be given the range.
 */
enum hal_tracking {
    HAL_TRACK_NONE = 0,
    HAL_TRACK_ASYNC = 1, /* the kernel remembers: userfaultfd WP_ASYNC, PAGEMAP_SCAN; Linux 6.7 */
    HAL_TRACK_SIGBUS,  /* userfaultfd write protection, SIGBUS in the storing thread; Linux 5.11 */
    HAL_TRACK_MPROTECT /* mprotect, SIGSEGV in the storing thread, 64 KiB at a time */
};

/**
 * Reserve [base, base+size): anonymous, private, no huge pages, not inherited by fork, not dumped,
 * mapped without replacing anything. PHANTOM_EADDRESS names the mapping in the way.
 * PHANTOM_EUNSUPPORTED if this kernel cannot track in the way asked for (diag says which part and
 * why): then nothing is mapped and the caller may ask again for another one.
 *
 * What this adds to the contract of snap_memory.h:
 *  - the kernel's own writes (read(2) into the range) count as writes;
 *  - if scan() fails with SNAP_SCAN_PROTECT, pages may be protected that were not reported: treat
 *    everything resident as dirty;
 *  - discard() leaves no trace in the next scan, the caller records it;
 *  - without tracking and before Linux 6.7, resident() includes holes that were read;
 *  - in a child made by fork() the range does not exist, operations return PHANTOM_EFORKED, and
 *    close() does nothing.
 */
int hal_memory_reserve(uint64_t base, uint64_t size, enum hal_tracking tracking,
                       struct snap_memory **out, struct phantom_diag *diag);

#endif /* HAL_POSIX_H */
