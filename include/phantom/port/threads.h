/* SPDX-License-Identifier: Apache-2.0
 *
 * threads.h - threads, names of the Genode port.
 *
 * Stability: kept. C11 has a <threads.h> too: this one wins where the port's headers are on the
 * include path, which is nobody's but the port's.
 *
 * A tid is a small number >= 0 from a table of the HAL instance; the slot of a thread that ended is
 * used again, with another tid for a long while, so a stale tid is refused (ESRCH) instead of
 * naming a stranger. Threads are detached, have 1 MiB of stack, and all asynchronous signals
 * blocked. A thread of the host that calls anything here gets a descriptor at that moment.
 */
#ifndef PHANTOM_PORT_THREADS_H
#define PHANTOM_PORT_THREADS_H

#include <errno.h>
#include <hal.h>

struct wtty;
typedef struct phantom_thread phantom_thread_t;

#define THREAD_FLAG_USER   1
#define THREAD_FLAG_VM     2
#define THREAD_FLAG_JIT    4
#define THREAD_FLAG_NATIVE 8
#define THREAD_FLAG_KERNEL 0x10

#define THREAD_PRIO_IDLE         0
#define THREAD_PRIO_LOWEST       1
#define THREAD_PRIO_LOW          2
#define THREAD_PRIO_NORM         7
#define THREAD_PRIO_HIGH         0xC
#define THREAD_PRIO_HIGHEST      0xF
#define THREAD_PRIO_MOD_REALTIME 0x10

/** Start a thread. The first form cannot report a failure (it is logged); the others return the
 *  tid, or a negative errno: -EAGAIN, -ENOMEM, -EINVAL (no function). flags: THREAD_FLAG_*. */
void hal_start_kernel_thread(void (*thread)(void));
tid_t hal_start_kernel_thread_arg(void (*thread)(void *), void *arg);
tid_t hal_start_thread(void (*thread)(void *), void *arg, int flags);

/** Run the calling thread's death handler and end it. Locks it holds stay held. In a callback on a
 *  thread of the HAL itself (a timer's, a DPC's, a request's) that is the end of the callback, in a
 *  death handler that of the handler. */
void hal_exit_kernel_thread(void) __attribute__((noreturn));
/**
 * Ask a thread to end. It does at its next hal_sleep_msec() (an ongoing one ends at once),
 * phantom_scheduler_yield() or return; nowhere else, so it never dies inside a critical section of
 * the HAL, nor inside its death handler.
 *
 * @return 0, ESRCH, or EPERM: it is a thread of the HAL itself
 */
errno_t t_kill_thread(tid_t tid);
/** What to call once, on the thread itself, when it ends in whatever way; NULL: nothing. */
errno_t t_current_set_death_handler(void (*handler)(phantom_thread_t *thread));

/** The calling thread's descriptor, for the host's own threads too; never NULL, at a fixed address
 *  until the thread ends. Fatal only if no memory is left for the first call on a host's thread. */
phantom_thread_t *get_current_thread(void);
#define GET_CURRENT_THREAD() get_current_thread()
tid_t get_current_tid(void);

/** A pointer of that thread (the port keeps the VM thread object there). @return 0, or ESRCH */
errno_t t_set_owner(tid_t tid, void *owner);
errno_t t_get_owner(tid_t tid, void **owner);
void *get_thread_owner(phantom_thread_t *thread);

/** Copy at most 31 characters; debuggers and process listings see 15. @return 0, or EINVAL (NULL)
 */
errno_t t_current_set_name(const char *name);
/** THREAD_PRIO_*, or'd with the real-time modifier: stored, and a hint to the system's scheduler.
 *  @return 0, or EINVAL */
errno_t t_current_set_priority(int prio);
errno_t t_current_get_priority(int *prio);
/** The controlling terminal of a thread. @return 0, ESRCH, or ENOTTY (it has none) */
errno_t t_get_ctty(tid_t tid, struct wtty **wtty);

/** 0: the threads of this instance run on the calling thread's CPU only. 1: wherever they did
 *  before. A hint: failures are ignored. */
void t_smp_enable(int yn);
/** A hint that costs nothing here. */
void t_migrate_to_boot_CPU(void);
/** Mark the calling thread as the one that takes snapshots. 0. */
errno_t t_set_snapper_flag(void);
/** May the calling thread touch the object space? Kept for arch_is_object_land_access_enabled();
 *  the memory itself is not protected. */
void t_set_paged_mem(bool enable);

/** Give the CPU away. */
void phantom_scheduler_yield(void);

/** Leave the snapshot lock as many times as said. */
void vm_release_snap_lock(int count);

#endif /* PHANTOM_PORT_THREADS_H */
