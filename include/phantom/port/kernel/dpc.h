/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/dpc.h - deferred calls on worker threads, names of the Genode port. Stability: kept.
 *
 * @threads any, unless said otherwise; the pool is of the instance of the calling thread
 */
#ifndef PHANTOM_PORT_KERNEL_DPC_H
#define PHANTOM_PORT_KERNEL_DPC_H

#include <hal.h>
#include <phantom_types.h>

/** Memory of the caller; it stays where it is until its function was called. func is called on a
 *  worker thread of the instance and may block. */
struct dpc_request {
    struct dpc_request *prev;
    struct dpc_request *next; /* the ones that wait */
    void (*func)(void *arg);
    void *arg;
    int go; /* it waits */
};
typedef struct dpc_request dpc_request;

_Static_assert(sizeof(dpc_request) == 40, "the port's layout");

/* The default instance's. Look, do not touch. */
extern volatile int dpc_init_ok;              /* between dpc_init() and dpc_finish() */
extern volatile int dpc_stop_request;         /* dpc_finish() was called */
extern struct dpc_request *dpc_request_first; /* the oldest one that waits */
extern hal_spinlock_t dpc_request_lock;       /* of the list */
extern hal_cond_t dpc_thread_sleep_stone;     /* idle workers sleep on it */

/** Begin; nothing if it began already; again after dpc_finish(). May block only while a
 *  dpc_finish() goes on. */
void dpc_init(void);
/** No request is accepted any more, those that wait are done (on the calling thread if the system
 *  refuses others), then the workers end. Blocks until all that is done. Nothing if it did not
 *  begin. @threads any but a worker: fatal there */
void dpc_finish(void);
/** Prepare a request, which is the caller's: memory is written, nothing else. Never blocks. @pre it
 *  does not wait */
void dpc_request_init(dpc_request *me, void (*_func)(void *));
/**
 * Call func(_arg) on a worker thread soon. A function that blocks does not stop others: there is
 * always a worker for a request that waits, unless the system refuses threads (tried again each
 * second). Triggering a request that waits already changes nothing; with an argument that is not
 * NULL it is fatal, because one of the two would be lost. From its own function it may be triggered
 * again.
 *
 * Never blocks. @threads any, a callback's too
 * @pre between dpc_init() and dpc_finish(); fatal otherwise, but ignored after phantom_shutdown()
 *      and during phantom_hal_destroy()
 */
void dpc_request_trigger(dpc_request *me, void *_arg);
/** Forget all requests that wait: for a panic. Those that go on go on. Never blocks. */
void dpc_panic(void);

#endif /* PHANTOM_PORT_KERNEL_DPC_H */
