/* SPDX-License-Identifier: Apache-2.0
 *
 * port_dpc.c - deferred calls: a list of requests of the callers, and a pool that does them.
 *
 * The default instance uses the port's global variables for its list, as the port's own code does;
 * others have their own. The list's spin lock is a leaf, not held while a function runs. Always
 * true: a request is in the list if and only if its `go` is set, and the pool has one job posted
 * for each.
 */
#include "port_workers.h"

#include <kernel/dpc.h>

volatile int dpc_init_ok;
volatile int dpc_stop_request;
struct dpc_request *dpc_request_first;
hal_spinlock_t dpc_request_lock;
hal_cond_t dpc_thread_sleep_stone;

struct port_dpc {
    struct port_workers workers;
    hal_mutex_t life; /* init and finish */
    /* the default instance's globals, or what follows them */
    volatile int *init_ok, *stop_request;
    struct dpc_request **first;
    hal_spinlock_t *lock;
    hal_cond_t *stone;
    struct dpc_request *last;
    bool halted; /* the end has begun: requests are ignored */
    volatile int own_init_ok, own_stop_request;
    struct dpc_request *own_first;
    hal_spinlock_t own_lock;
    hal_cond_t own_stone;
};

/* The oldest request, taken out; NULL: none. The lock is held. */
static struct dpc_request *take_first(struct port_dpc *dpc)
{
    struct dpc_request *request = *dpc->first;
    if (request != NULL) {
        *dpc->first = request->next;
        if (request->next != NULL) {
            request->next->prev = NULL;
        } else {
            dpc->last = NULL;
        }
        request->next = NULL;
        request->go = 0;
    }
    return request;
}

static void run_one(void *context)
{
    struct port_dpc *dpc = context;
    hal_spin_lock(dpc->lock);
    struct dpc_request *request = take_first(dpc);
    void (*func)(void *) = request != NULL ? request->func : NULL;
    void *arg = request != NULL ? request->arg : NULL;
    hal_spin_unlock(dpc->lock);
    if (func != NULL) {
        func(arg); /* the request may be triggered again, or gone */
    }
}

int port_dpc_open(struct phantom_hal *instance)
{
    struct port_dpc *dpc = ph_zalloc(1, sizeof(*dpc));
    if (dpc == NULL || hal_mutex_init(&dpc->life, "DPC") != 0) {
        ph_free(dpc);
        return ENOMEM;
    }
    bool global = instance->is_default;
    dpc->init_ok = global ? &dpc_init_ok : &dpc->own_init_ok;
    dpc->stop_request = global ? &dpc_stop_request : &dpc->own_stop_request;
    dpc->first = global ? &dpc_request_first : &dpc->own_first;
    dpc->lock = global ? &dpc_request_lock : &dpc->own_lock;
    dpc->stone = global ? &dpc_thread_sleep_stone : &dpc->own_stone;
    dpc->workers.hal = instance;
    dpc->workers.name = "DPC";
    dpc->workers.run = run_one;
    dpc->workers.context = dpc;
    if (port_workers_open(&dpc->workers, dpc->stone) != 0) {
        (void)hal_mutex_destroy(&dpc->life);
        ph_free(dpc);
        return ENOMEM;
    }
    dpc->workers.stop = true;
    instance->dpc = dpc;
    return 0;
}

static void init(struct port_dpc *dpc)
{
    (void)hal_mutex_lock(&dpc->life);
    if (!*dpc->init_ok) {
        hal_spin_init(dpc->lock);
        port_workers_go_on(&dpc->workers);
        *dpc->stop_request = 0;
        __atomic_store_n(dpc->init_ok, 1, __ATOMIC_SEQ_CST);
    }
    (void)hal_mutex_unlock(&dpc->life);
}

/* True: a request ended the calling thread, see port_call_back(). */
static bool finish(struct port_dpc *dpc)
{
    if (port_workers_is_one(&dpc->workers)) {
        panic("dpc_finish in a deferred call: it would wait for itself");
    }
    bool over = false;
    (void)hal_mutex_lock(&dpc->life);
    if (*dpc->init_ok) {
        *dpc->stop_request = 1;
        __atomic_store_n(dpc->init_ok, 0, __ATOMIC_SEQ_CST);
        over = port_workers_stop(&dpc->workers);
    }
    (void)hal_mutex_unlock(&dpc->life);
    return over;
}

bool port_dpc_halt(struct phantom_hal *instance, long milliseconds)
{
    __atomic_store_n(&instance->dpc->halted, true, __ATOMIC_SEQ_CST);
    return port_workers_drain(&instance->dpc->workers, milliseconds);
}

void port_dpc_stop(struct phantom_hal *instance)
{
    __atomic_store_n(&instance->dpc->halted, true, __ATOMIC_SEQ_CST);
    (void)finish(instance->dpc);
}

void port_dpc_close(struct phantom_hal *instance)
{
    port_workers_close(&instance->dpc->workers);
    (void)hal_mutex_destroy(&instance->dpc->life);
    ph_free(instance->dpc);
}

void port_dpc_second(struct phantom_hal *instance)
{
    struct port_dpc *dpc = instance->dpc;
    /* Without `life`: a dpc_finish() has it while it waits for calls, which may wait for a timer.
     */
    if (PH_MUTANT(DPC_TICK_WAITS)) {
        (void)hal_mutex_lock(&dpc->life);
        (void)hal_mutex_unlock(&dpc->life);
    }
    port_workers_second(&dpc->workers);
}

size_t port_dpc_workers(struct phantom_hal *instance)
{
    return port_workers_count(&instance->dpc->workers);
}

void dpc_init(void)
{
    init(port_hal()->dpc);
}

void dpc_finish(void)
{
    if (finish(port_hal()->dpc)) {
        hal_exit_kernel_thread();
    }
}

void dpc_request_init(dpc_request *me, void (*_func)(void *))
{
    *me = (dpc_request){.func = _func};
}

void dpc_request_trigger(dpc_request *me, void *_arg)
{
    struct port_dpc *dpc = port_hal()->dpc;
    if (__atomic_load_n(&dpc->halted, __ATOMIC_SEQ_CST)) {
        return;
    }
    if (!__atomic_load_n(dpc->init_ok, __ATOMIC_SEQ_CST)) {
        if (__atomic_load_n(&dpc->halted, __ATOMIC_SEQ_CST)) {
            return; /* since we looked */
        }
        panic("dpc_request_trigger before dpc_init or after dpc_finish");
    }
    hal_spin_lock(dpc->lock);
    bool waits = me->go != 0;
    if (!waits) {
        me->go = 1;
        me->arg = _arg;
        me->next = NULL;
        me->prev = dpc->last;
        if (dpc->last != NULL) {
            dpc->last->next = me;
        } else {
            *dpc->first = me;
        }
        dpc->last = me;
    }
    hal_spin_unlock(dpc->lock);
    if (!waits) {
        if (!port_workers_post(&dpc->workers) && !__atomic_load_n(&dpc->halted, __ATOMIC_SEQ_CST)) {
            panic("dpc_request_trigger while dpc_finish goes on");
        }
        if (port_workers_are_missing(&dpc->workers)) {
            (void)port_timers_start(port_hal()); /* its second tick tries again */
        }
    } else if (_arg != NULL) {
        panic("dpc_request_trigger: it waits already, with another argument");
    }
}

void dpc_panic(void)
{
    struct port_dpc *dpc = port_hal()->dpc;
    hal_spin_lock(dpc->lock);
    while (take_first(dpc) != NULL) {
    }
    hal_spin_unlock(dpc->lock);
}
