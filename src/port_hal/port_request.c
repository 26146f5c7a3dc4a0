/* SPDX-License-Identifier: Apache-2.0
 *
 * port_request.c - how a pager_io_request begins and ends. Owns nothing.
 *
 * The end, in an order that its users rely on: flags, callback, waiter. After the callback the
 * request may be gone, so what is needed for the waiter is read before. There are two kinds of
 * waiters: a thread in thread_block(), or on its way there, for which the wake-up is kept until it
 * comes (so a driver may also be done within asyncIo, on that very thread); and, as in the port,
 * whoever waits to get the lock that the requester took before it queued the request: for them it
 * is unlocked.
 */
#include "port_internal.h"

void pager_io_request_init(pager_io_request *me)
{
    *me = (pager_io_request){.phandle = -1};
    hal_spin_init(&me->lock);
    hal_spin_init(&me->chain_lock);
}

static void clear_flags(pager_io_request *me)
{
    /* Some users of the port look at the flags in a loop. */
    __atomic_store_n(&me->flag_pagein, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&me->flag_pageout, 0, __ATOMIC_RELEASE);
}

struct callback {
    pager_io_request *rq;
    int write;
};

static void call_back(void *argument)
{
    struct callback *callback = argument;
    callback->rq->pager_callback(callback->rq, callback->write);
}

void pager_io_request_done(pager_io_request *me)
{
    int write = me->flag_pageout != 0;
    bool sleeper = me->flag_sleep != 0;
    bool lock_held = __atomic_load_n(&me->lock.lock, __ATOMIC_ACQUIRE) != 0;
    tid_t tid = me->sleep_tid;
    me->flag_sleep = 0;
    if (!PH_MUTANT(DONE_BEFORE_FLAGS)) {
        clear_flags(me);
    }
    bool over = false;
    if (me->pager_callback != NULL) {
        struct callback callback = {me, write};
        over = port_call_back(call_back, &callback);
    }
    if (PH_MUTANT(DONE_BEFORE_FLAGS)) {
        clear_flags(me);
    }
    if (sleeper) {
        port_thread_post(tid, THREAD_SLEEP_IO);
    } else if (lock_held) {
        hal_spin_unlock(&me->lock);
    }
    if (over) { /* it ended the thread that asked for something that could not be queued */
        hal_exit_kernel_thread();
    }
}
