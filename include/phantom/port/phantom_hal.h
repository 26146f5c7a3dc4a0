/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_hal.h - what a host does with the port's machine as a whole: choose its size, have
 * several, add disks, hear of a panic. Ours, not the port's.
 *
 * Stability: experimental.
 *
 * An instance owns its threads' table, frames, address window, object space, disks, timers, DPC
 * pool, counters and soft interrupts, and console, screen, debugger commands, file systems, pager,
 * the persistent heap that is bound to it (phantom_persistence.h), its lock and its snapshot
 * thread. The port's functions have no parameter for it: they act on the instance of the calling
 * thread. A thread that the HAL started belongs to the instance of whoever started it; any other
 * thread to the default instance, which is made at its first use, until it enters another one.
 *
 * The port's global variables hal, stat_sec_counters, dpc_*, pp, snap_interlock_mutex and
 * vm_thread_wakeup_cond are the default instance's. Those that only tell or ask,
 * phantom_virtual_machine_snap_request and is_in_snapshot_process, count what all instances do;
 * phantom_virtual_machine_stop_request and debug_max_level_* are for the whole process.
 *
 * Caveat: a child made by fork() has none of the threads: it must not call the HAL.
 *
 * @threads any, unless said otherwise. Only phantom_hal_destroy(), phantom_hal_leave() and
 *   phantom_hal_add_disk() may block. The hooks of the options are called
 *   on the thread that panics or shuts down; they may block, and use the HAL.
 */
#ifndef PHANTOM_PORT_PHANTOM_HAL_H
#define PHANTOM_PORT_PHANTOM_HAL_H

#include <stddef.h>
#include <stdint.h>

struct phantom_hal;
struct phantom_disk_partition;

struct phantom_hal_options {
    size_t size;           /* sizeof(struct phantom_hal_options) */
    size_t phys_bytes;     /* "physical" memory; 0: 64 MiB. Only what is used costs memory */
    size_t window_bytes;   /* addresses for hal_alloc_vaddress(); 0: 1 GiB. Costs none */
    const char *disk_path; /* what driver_genode_disk_init() opens; NULL: none. Copied */
    unsigned disk_flags;   /* PHANTOM_HAL_DISK_* */
    /* Before panic() aborts; context is the field below. May leave by longjmp or exit; no more than
     * 64 times on one thread. NULL: none */
    void (*on_panic)(void *context, const char *message);
    /* What phantom_shutdown() calls to take the last snapshot, unless told not to. NULL: a snapshot
     * of the heap that is bound (phantom_persistence.h), if one is */
    void (*on_sync)(void *context);
    /* How phantom_shutdown() and hal_cpu_reset_real() end; NULL, or if it returns: exit() */
    void (*on_exit)(void *context, int restart);
    void *context;
};

/** Everything default; sets size. Never blocks. */
void phantom_hal_options_init(struct phantom_hal_options *options);

/**
 * Make an instance. options NULL: defaults; copied, disk_path too. It starts no thread yet. Ended
 * by phantom_hal_destroy(). Never blocks.
 *
 * @param[out] out  written on success only
 * @return 0, or a positive errno: EINVAL (a size that is no multiple of the page size, a wrong
 *         options->size), ENOMEM, EMFILE
 */
int phantom_hal_create(const struct phantom_hal_options *options, struct phantom_hal **out);

/**
 * Wait for its threads to end, for calls of timers, DPCs and soft interrupts that go on, and for
 * its disks to be idle, then free it: blocks. Meanwhile callbacks may use the HAL, but what they
 * ask for does not begin any more: threads and net timers are refused, timed calls, DPCs and soft
 * interrupts ignored. Timed calls that wait are forgotten, those with TIMEDCALL_FLAG_AUTOFREE
 * freed. Disks are closed without a fence. Windows that are still on its screen are taken off;
 * their memory stays the caller's. NULL is fine.
 *
 * @pre no thread is inside it by phantom_hal_enter(), not the calling one either; no callback waits
 *      for what does not begin any more; its snapshot thread was told to end (vm_map_finish()), if
 *      it was started
 * @return 0, or EBUSY: a thread is inside (phantom_hal_enter()), the calling thread is one of its
 *         own, or it is the default instance;
 *         nothing was done
 */
int phantom_hal_destroy(struct phantom_hal *instance);

/** The calling thread acts on this instance from now on, with a new descriptor there. Never blocks.
 *  @pre the instance is not being destroyed
 *  @return 0; ENOMEM; EBUSY: it was started by an instance, or is inside one already */
int phantom_hal_enter(struct phantom_hal *instance);
/** Back to the default instance: the descriptor of enter() ends, its death handler runs (blocks as
 *  that does). Nothing if the thread is not inside one. */
void phantom_hal_leave(void);
/** The instance on which the calling thread acts; never NULL. Never blocks. */
struct phantom_hal *phantom_hal_current(void);

/* ---- disks --------------------------------------------------------------------------------- */

#define PHANTOM_HAL_DISK_READ_ONLY 1u /* writes are refused with EROFS */
#define PHANTOM_HAL_DISK_THREADS   2u /* pwrite threads even if io_uring works */

/**
 * Open a regular file or a block device as a disk of the current instance and register it, and its
 * partitions, as phantom_register_disk_drive() does. The file is locked against other processes
 * and instances. Its size, in sectors of 512 bytes, is the disk's: allocate it before. Blocks until
 * the partition tables are read; not from a request's callback.
 *
 * @param[out] out  the whole disk; NULL allowed; valid until the instance is destroyed
 * @return 0, or a positive errno: of open(2); EWOULDBLOCK: locked by somebody else; EINVAL: neither
 *         file nor block device, or smaller than a page; ENOSPC: 64 partitions exist; EIO
 */
int phantom_hal_add_disk(const char *path, unsigned flags, struct phantom_disk_partition **out);
/** "io_uring" or "threads" for a disk of phantom_hal_add_disk() or a slice of it, else NULL. Static
 *  text. Never blocks. */
const char *phantom_hal_disk_backend(const struct phantom_disk_partition *partition);

/* ---- what is in use, for tests and for leak hunts ---------------------------------------------
 */

struct phantom_hal_usage {
    size_t threads;           /* descriptors, the host's threads included */
    size_t phys_pages_used;   /* frames */
    size_t phys_pages_total;  /* frames that can be allocated */
    size_t window_pages_used; /* reserved by hal_alloc_vaddress() */
    size_t disk_requests;     /* queued or under way */
    size_t worker_threads;    /* of the DPC pool and of net timers */
};
/** How much the calling thread's instance uses at this moment; each number for itself is right.
 *  Never blocks. */
void phantom_hal_usage(struct phantom_hal_usage *out);

#endif /* PHANTOM_PORT_PHANTOM_HAL_H */
