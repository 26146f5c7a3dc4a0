/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/timedcall.h - call a function later, names of the Genode port. Stability: kept.
 *
 * @threads any, unless said otherwise. Calls are of the instance of the calling thread.
 */
#ifndef PHANTOM_PORT_KERNEL_TIMEDCALL_H
#define PHANTOM_PORT_KERNEL_TIMEDCALL_H

#include <phantom_types.h>
#include <queue.h>
#include <spinlock.h>

#define TIMEDCALL_FLAG_PERIODIC  1 /* again and again, until undone */
#define TIMEDCALL_FLAG_AUTOFREE  2 /* ph_free() the entry after its last call */
#define TIMEDCALL_FLAG_CHECKLOCK 4 /* not while *lockp is held: tried again each millisecond */

/** Called with arg on the timer thread, one at a time. Must not block: it delays all other timed
 *  calls. May request and undo calls. */
typedef void (*timedcall_func_t)(void *arg);

/** Memory of the caller, who initialises it by position: {f, arg, ms, 0, 0, {0, 0}, 0}. It stays
 *  where it is until the call was made or undone. */
struct timedcall {
    timedcall_func_t f;
    void *arg;
    long msecLater;
    hal_spinlock_t *lockp;

    /* Work area: zero when it is handed in. */
    long msecMore; /* when it is due */
    queue_chain_t chain;
    u_int32_t flags;
};
typedef struct timedcall timedcall_t;

_Static_assert(sizeof(timedcall_t) == 64, "the port's layout");

/**
 * Call entry->f(entry->arg) once in entry->msecLater milliseconds (or more; less than 1: as soon as
 * possible; what is too far away to be counted never comes), on the timer thread of the instance.
 *
 * f must not block: it delays all other timed calls. It may request and undo calls, its own entry
 * too. Requesting an entry that waits already moves it. Never blocks. Without a thread (logged) the
 * entry waits for phantom_process_timed_calls().
 *
 * @param flags  TIMEDCALL_FLAG_*; a period is counted from when the call was due, not from when it
 *               was made; periods that were missed are left out
 */
void phantom_request_timed_call(timedcall_t *entry, u_int32_t flags);
/** The call is not made any more, and is not going on, when this returns (from within f itself: it
 *  goes on, of course). Of an entry that does not wait: nothing. Blocks while the call goes on, so
 *  hold no lock that f takes. @pre the entry's memory is there: not for one that AUTOFREE has freed
 */
void phantom_undo_timed_call(timedcall_t *entry);
/** Make the calls that are due, on the calling thread, unless another thread is at it (not waited
 *  for). Blocks as they do, which should not. A call that ends its thread ends the calling one. */
void phantom_process_timed_calls(void);

#endif /* PHANTOM_PORT_KERNEL_TIMEDCALL_H */
