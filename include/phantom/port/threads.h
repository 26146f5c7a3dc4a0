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
 *
 * @threads any; what has "current" in its name is about the calling thread
 * Never blocks, unless said otherwise. A tid that names no thread of the calling thread's instance
 * is ESRCH; results through pointers are written on success only.
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

/** Start a thread of the calling thread's instance; it may run, and end, before this returns. The
 *  first form cannot report a failure (it is logged); the others return the tid, or a negative
 *  errno: -EAGAIN, -ENOMEM, -EINVAL (no function). flags: THREAD_FLAG_*, not used. Never blocks. */
void hal_start_kernel_thread(void (*thread)(void));
tid_t hal_start_kernel_thread_arg(void (*thread)(void *), void *arg);
tid_t hal_start_thread(void (*thread)(void *), void *arg, int flags);

/** Run the calling thread's death handler and end it; one of the host ends, too. Locks it holds
 *  stay held. In a callback on a thread of the HAL itself (a timer's, a DPC's, a request's) that is
 *  the end of the callback, in a death handler that of the handler. Never returns; blocks only as
 *  the handler does. */
void hal_exit_kernel_thread(void) __attribute__((noreturn));
/** Ask a thread to end. It does at its next hal_sleep_msec() (an ongoing one ends at once),
 *  phantom_scheduler_yield() or return; nowhere else, so it never dies inside a critical section of
 *  the HAL, nor inside its death handler. Does not wait for that: never blocks.
 *  @return 0, ESRCH, or EPERM: it is a thread of the HAL itself */
errno_t t_kill_thread(tid_t tid);
/** What to call once, on the thread itself, when it ends in whatever way, instead of what was set
 *  before; NULL: nothing. The handler may block; its thread is still in the table. Returns 0. */
errno_t t_current_set_death_handler(void (*handler)(phantom_thread_t *thread));

/** The calling thread's descriptor, for the host's own threads too; never NULL, at a fixed address
 *  until the thread ends. Fatal only if no memory is left for the first call on a host's thread. */
phantom_thread_t *get_current_thread(void);
#define GET_CURRENT_THREAD() get_current_thread()
/** Its number, >= 0. As get_current_thread(), never blocks. */
tid_t get_current_tid(void);

/** A pointer of that thread (the port keeps the VM thread object there), NULL at first. What it
 *  points to is the caller's. @return 0, or ESRCH */
errno_t t_set_owner(tid_t tid, void *owner);
errno_t t_get_owner(tid_t tid, void **owner);
/** The same of a descriptor, without a look at the table. @pre thread is a descriptor whose thread
 *  has not ended */
void *get_thread_owner(phantom_thread_t *thread);

/** Copy at most 31 characters; debuggers and process listings see 15. @return 0, or EINVAL (NULL)
 */
errno_t t_current_set_name(const char *name);
/** THREAD_PRIO_*, or'd with the real-time modifier: stored, and a hint to the system's scheduler;
 *  what was stored, THREAD_PRIO_NORM at first. Never blocks. @return 0, or EINVAL: no such priority
 */
errno_t t_current_set_priority(int prio);
errno_t t_current_get_priority(int *prio);
/** The controlling terminal of a thread. It stays its owner's. @return 0, ESRCH, or ENOTTY (it has
 *  none) */
errno_t t_get_ctty(tid_t tid, struct wtty **wtty);

/** 0: the threads of this instance that exist run on the calling thread's CPU only. 1: wherever
 *  they did before. A hint: failures are ignored. Of the whole instance; never blocks. */
void t_smp_enable(int yn);
/** A hint that costs nothing here: nothing is done. */
void t_migrate_to_boot_CPU(void);
/** Mark the calling thread as the one that takes snapshots. Returns 0. Nothing here acts on it. */
errno_t t_set_snapper_flag(void);
/** May the calling thread touch the object space? Kept for arch_is_object_land_access_enabled();
 *  the memory itself is not protected. */
void t_set_paged_mem(bool enable);

/** Give the CPU away once. Does not wait for anything, so never blocks. Does not return if
 *  t_kill_thread() named the thread: it ends. */
void phantom_scheduler_yield(void);

/** Leave the heap (vm_unlock_persistent_memory()) as many times as said, but no more often than the
 *  calling thread has entered it. Never blocks. */
void vm_release_snap_lock(int count);

#endif /* PHANTOM_PORT_THREADS_H */
