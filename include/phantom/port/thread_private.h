/* SPDX-License-Identifier: Apache-2.0
 *
 * thread_private.h - the descriptor of a thread, names of the Genode port.
 *
 * Stability: kept. This is the only definition; the implementation embeds it as its first member.
 *
 * @threads any. Only thread_block() blocks.
 */
#ifndef PHANTOM_PORT_THREAD_PRIVATE_H
#define PHANTOM_PORT_THREAD_PRIVATE_H

#include <kernel/pool.h>
#include <kernel/timedcall.h>
#include <threads.h>

struct phantom_thread {
    long tid;
    void *owner;
    int prio;
    int sub_from_pers_mem_lock_count;
    pool_handle_t ctty_h;
    struct wtty *ctty_w;
};

_Static_assert(sizeof(struct phantom_thread) == 40, "the port's layout");

#define THREAD_SLEEP_IO 0x40 /* sleeps until a transfer is done */

/** Deprecated: hal_start_thread() for callers that want the descriptor. It is freed when the thread
 *  ends, so it is good for as long as the caller knows that it has not. Never blocks.
 *  @return NULL if no thread could be started (no memory, too many threads, func is NULL) */
phantom_thread_t *phantom_create_thread(void (*func)(void *), void *arg, int flags);

/** Give the lock back and sleep until phantom_thread_wake_up() with the same flag for this thread.
 *  A wake-up that comes after the lock was released is not lost. Blocks, without a limit;
 *  t_kill_thread() does not end it.
 *  @param sleep_flag            THREAD_SLEEP_IO
 *  @param lock_to_be_unlocked   held by the caller; not held on return. NULL: none */
void thread_block(int sleep_flag, hal_spinlock_t *lock_to_be_unlocked);
#define phantom_thread_put_asleep(flag, lock) thread_block((flag), (lock))
/** Wake a thread that sleeps in thread_block() for this reason; nothing is stored for one that does
 *  not. Whoever wakes takes the lock that the sleeper gave back, once, before: then the sleeper is
 *  known to sleep. Never blocks. @return 0, or ESRCH */
errno_t phantom_thread_wake_up(tid_t tid, int sleep_flag);
/** For whatever reason it sleeps. @pre thread: the descriptor of a thread that has not ended. Never
 *  blocks. */
void wake_sleeping_thread(void *thread);

#endif /* PHANTOM_PORT_THREAD_PRIVATE_H */
