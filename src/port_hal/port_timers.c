/* SPDX-License-Identifier: Apache-2.0
 *
 * port_timers.c - timed calls, net timers and the second tick, on one thread with an alarm (on
 * Linux a libuv loop).
 *
 * Owns the alarm, its thread, and a pool for the callbacks of net timers. The entries are the
 * callers'; they are in lists sorted by the time at which they are due. The thread is started with
 * the first timer. It makes timed calls itself (they may not block) and hands net timers over to
 * the pool (they may).
 *
 * One lock for the lists; no callback runs with it held. Always true: an entry is in a list if and
 * only if it is pending (net timer) or its chain is not empty (timed call); of the timed calls at
 * most one is going on. A net timer that is due stays pending until a worker begins its callback,
 * so it can be cancelled until then.
 */
#include "port_machine.h"
#include "port_workers.h"

#include <init_routines.h>
#include <kernel/init.h>
#include <kernel/net_timer.h>
#include <kernel/timedcall.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

struct net_list {
    net_timer_event *first, *last;
};

struct port_timers {
    struct phantom_hal *hal;
    pthread_mutex_t lock;
    pthread_cond_t call_over;
    queue_head_t calls;
    timedcall_t *running; /* the call that is going on */
    pthread_t runner;
    bool processing; /* somebody makes calls */
    bool stop;       /* nothing begins any more */
    struct net_list armed, due;
    net_timer_event store; /* ours: brings the counters in the object space up to date */

    hal_mutex_t life; /* start */
    bool started;
    bool closed; /* it is not started any more */
    hal_sem_t ended;
    struct port_workers workers;
    struct port_alarm *alarm;
};

/* ---- net timers ----------------------------------------------------------------------------- */

static void net_remove(struct net_list *list, net_timer_event *e)
{
    *(e->next != NULL ? &e->next->prev : &list->last) = e->prev;
    *(e->prev != NULL ? &e->prev->next : &list->first) = e->next;
    e->next = NULL;
    e->prev = NULL;
}

/* Behind all that are due before it. */
static void net_insert(struct net_list *list, net_timer_event *e)
{
    net_timer_event *before = list->last;
    while (before != NULL && before->sched_time > e->sched_time) {
        before = before->prev;
    }
    e->prev = before;
    e->next = before != NULL ? before->next : list->first;
    *(e->next != NULL ? &e->next->prev : &list->last) = e;
    *(before != NULL ? &before->next : &list->first) = e;
}

static bool net_holds(const struct net_list *list, const net_timer_event *e)
{
    const net_timer_event *i = list->first;
    while (i != NULL && i != e) {
        i = i->next;
    }
    return i != NULL;
}

/* In a worker. */
static void run_net_timer(void *context)
{
    struct port_timers *timers = context;
    (void)pthread_mutex_lock(&timers->lock);
    net_timer_event *e = timers->stop ? NULL : timers->due.first;
    net_timer_callback func = NULL;
    void *args = NULL;
    if (e != NULL) {
        net_remove(&timers->due, e);
        e->pending = false;
        func = e->func;
        args = e->args;
    }
    (void)pthread_mutex_unlock(&timers->lock);
    if (func != NULL) {
        func(args); /* the event may be armed again, or gone */
    }
}

/* In the loop thread. */
static void hand_over_due(struct port_timers *timers)
{
    int count = 0;
    bigtime_t now = hal_system_time();
    (void)pthread_mutex_lock(&timers->lock);
    net_timer_event *e;
    while ((e = timers->armed.first) != NULL && e->sched_time <= now) {
        net_remove(&timers->armed, e);
        net_insert(&timers->due, e);
        count++;
    }
    (void)pthread_mutex_unlock(&timers->lock);
    for (int i = 0; i < count; i++) {
        port_workers_post(&timers->workers);
    }
}

int set_net_timer(net_timer_event *e, unsigned int delay_ms, net_timer_callback callback,
                  void *args, int flags)
{
    struct phantom_hal *instance = port_hal();
    struct port_timers *timers = instance->timers;
    if (port_timers_start(instance) != 0) {
        return -1;
    }
    (void)pthread_mutex_lock(&timers->lock);
    bool refused = timers->stop || (e->pending && (flags & NET_TIMER_PENDING_IGNORE) != 0);
    if (!refused) {
        if (e->pending) {
            net_remove(net_holds(&timers->due, e) ? &timers->due : &timers->armed, e);
        }
        e->func = callback;
        e->args = args;
        e->sched_time = hal_system_time() + (bigtime_t)delay_ms * 1000;
        e->pending = true;
        net_insert(&timers->armed, e);
    }
    bool earlier = timers->armed.first == e;
    (void)pthread_mutex_unlock(&timers->lock);
    if (earlier && !refused) {
        port_alarm_look(timers->alarm);
    }
    return refused ? -1 : 0;
}

int cancel_net_timer(net_timer_event *e)
{
    struct port_timers *timers = port_hal()->timers;
    (void)pthread_mutex_lock(&timers->lock);
    bool pending = e->pending;
    if (pending) {
        bool is_due = net_holds(&timers->due, e);
        if (!is_due || !PH_MUTANT(CANCELLED_FIRES)) {
            net_remove(is_due ? &timers->due : &timers->armed, e);
            e->pending = false;
        }
    }
    (void)pthread_mutex_unlock(&timers->lock);
    return pending ? 0 : -1;
}

/* ---- timed calls ---------------------------------------------------------------------------- */

static bool is_queued(const timedcall_t *entry)
{
    return entry->chain.next != NULL;
}

static void call_insert(struct port_timers *timers, timedcall_t *entry)
{
    /* Behind all that are due before it. The queue macros put an element at an end only, so the
     * later ones are put behind it one by one. */
    queue_head_t later;
    queue_init(&later);
    while (!queue_empty(&timers->calls) &&
           /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): not empty */
           ((timedcall_t *)(void *)queue_last(&timers->calls))->msecMore > entry->msecMore) {
        timedcall_t *last = (timedcall_t *)(void *)queue_last(&timers->calls);
        queue_remove(&timers->calls, last, timedcall_t *, chain);
        queue_enter_first(&later, last, timedcall_t *, chain);
    }
    queue_enter(&timers->calls, entry, timedcall_t *, chain);
    while (!queue_empty(&later)) {
        timedcall_t *first = (timedcall_t *)(void *)queue_first(&later);
        queue_remove(&later, first, timedcall_t *, chain);
        queue_enter(&timers->calls, first, timedcall_t *, chain);
    }
}

/* So far away that it is never, instead of in the past. */
static long after(long time, long microseconds)
{
    long sum;
    return __builtin_add_overflow(time, microseconds, &sum) ? LONG_MAX : sum;
}

static long in_microseconds(long milliseconds)
{
    long product;
    return __builtin_mul_overflow(milliseconds, 1000, &product) ? LONG_MAX : product;
}

static long period_of(const timedcall_t *entry)
{
    return in_microseconds(entry->msecLater > 0 ? entry->msecLater : 1);
}

/* The entry is due and out of the queue: back in, if that is not its last time. The lock is held.
 */
static void call_again(struct port_timers *timers, timedcall_t *entry, long now)
{
    if ((entry->flags & TIMEDCALL_FLAG_PERIODIC) != 0) {
        long period = period_of(entry);
        long missed = (now - entry->msecMore) / period;
        entry->msecMore = after(entry->msecMore + missed * period, period);
        call_insert(timers, entry);
    }
}

static bool must_wait(const timedcall_t *entry)
{
    return (entry->flags & TIMEDCALL_FLAG_CHECKLOCK) != 0 && entry->lockp != NULL &&
           __atomic_load_n(&entry->lockp->lock, __ATOMIC_ACQUIRE) != 0;
}

/* The lock is held before and after. True: the call ended the calling thread, see port_call_back().
 */
static bool make_call(struct port_timers *timers, timedcall_t *entry, long now)
{
    timedcall_func_t f = entry->f;
    void *arg = entry->arg;
    u_int32_t flags = entry->flags;
    call_again(timers, entry, now);
    timers->running = entry;
    timers->runner = pthread_self();
    (void)pthread_mutex_unlock(&timers->lock);
    bool over =
        port_call_back(f, arg); /* the entry may be gone, but not one that is ours to free */
    (void)pthread_mutex_lock(&timers->lock);
    timers->running = NULL;
    (void)pthread_cond_broadcast(&timers->call_over);
    if ((flags & TIMEDCALL_FLAG_AUTOFREE) != 0 && !is_queued(entry)) {
        ph_free(entry);
    }
    return over;
}

/* True: a call ended the calling thread, see port_call_back(). */
static bool process(struct port_timers *timers)
{
    (void)pthread_mutex_lock(&timers->lock);
    bool ours = !timers->processing, over = false;
    /* What becomes due from here on is for the next time: a call that requests itself must not
     * keep the others waiting for ever. */
    long now = (long)hal_system_time();
    timers->processing = true;
    while (ours && !over && !timers->stop && !queue_empty(&timers->calls)) {
        timedcall_t *entry = (timedcall_t *)(void *)queue_first(&timers->calls);
        if (entry->msecMore > now) {
            break;
        }
        queue_remove(&timers->calls, entry, timedcall_t *, chain);
        if (must_wait(entry)) {
            entry->msecMore = now + 1000;
            call_insert(timers, entry);
        } else {
            over = make_call(timers, entry, now);
        }
    }
    if (ours) {
        timers->processing = false;
    }
    (void)pthread_mutex_unlock(&timers->lock);
    return over;
}

void phantom_process_timed_calls(void)
{
    struct port_timers *timers = port_hal()->timers;
    bool over = process(timers);
    if (__atomic_load_n(&timers->started, __ATOMIC_ACQUIRE)) {
        port_alarm_look(timers->alarm); /* it did not look at the calls meanwhile */
    }
    if (over) {
        hal_exit_kernel_thread();
    }
}

void hal_time_tick(int tick_usec)
{
    (void)tick_usec;
    phantom_process_timed_calls();
}

void phantom_request_timed_call(timedcall_t *entry, u_int32_t flags)
{
    struct phantom_hal *instance = port_hal();
    struct port_timers *timers = instance->timers;
    int rc = port_timers_start(instance);
    if (rc != 0) { /* it stays queued for phantom_process_timed_calls() */
        ph_log(PH_LOG_ERROR, "timed calls: %s", strerror(rc));
    }
    (void)pthread_mutex_lock(&timers->lock);
    if (is_queued(entry)) {
        queue_remove(&timers->calls, entry, timedcall_t *, chain);
    }
    entry->flags = flags;
    long wait = in_microseconds(entry->msecLater > 0 ? entry->msecLater : 0);
    if (PH_MUTANT(FAR_TIMER_FIRES) && wait == LONG_MAX) {
        wait = 0;
    }
    entry->msecMore = after((long)hal_system_time(), wait);
    call_insert(timers, entry);
    bool earlier = queue_first(&timers->calls) == (queue_entry_t)(void *)entry;
    (void)pthread_mutex_unlock(&timers->lock);
    if (earlier && rc == 0) {
        port_alarm_look(timers->alarm);
    }
}

void phantom_undo_timed_call(timedcall_t *entry)
{
    struct port_timers *timers = port_hal()->timers;
    (void)pthread_mutex_lock(&timers->lock);
    if (is_queued(entry)) {
        queue_remove(&timers->calls, entry, timedcall_t *, chain);
    }
    while (timers->running == entry && !pthread_equal(timers->runner, pthread_self()) &&
           !PH_MUTANT(UNDO_NOT_WAITED)) {
        (void)pthread_cond_wait(&timers->call_over, &timers->lock);
    }
    (void)pthread_mutex_unlock(&timers->lock);
}

/* ---- the alarm ------------------------------------------------------------------------------ */

/* When the first entry of all is due. */
static uint64_t next_time(void *context)
{
    struct port_timers *timers = context;
    bigtime_t first = UINT64_MAX;
    (void)pthread_mutex_lock(&timers->lock);
    if (timers->armed.first != NULL && !timers->stop) {
        first = timers->armed.first->sched_time;
    }
    if (!queue_empty(&timers->calls) && !timers->processing && !timers->stop) {
        bigtime_t due = (bigtime_t)((timedcall_t *)(void *)queue_first(&timers->calls))->msecMore;
        first = due < first ? due : first;
    }
    (void)pthread_mutex_unlock(&timers->lock);
    return first;
}

static void on_due(void *context)
{
    hand_over_due(context);
    (void)process(context); /* a thread of the HAL: no call ends it */
}

static void store_counters(void *instance)
{
    port_stats_store(instance);
}

static void on_second(void *context)
{
    struct port_timers *timers = context;
    port_stats_second(timers->hal);
    port_dpc_second(timers->hal);
    port_workers_second(&timers->workers);
    /* Takes the lock of the object space, for which it may have to wait: on a worker. */
    (void)set_net_timer(&timers->store, 0, store_counters, timers->hal, NET_TIMER_PENDING_IGNORE);
}

static const struct port_alarm_calls alarm_calls = {next_time, on_due, on_second};

static void run_alarm(void *argument)
{
    struct port_timers *timers = argument;
    (void)t_current_set_name("Timers");
    port_alarm_run(timers->alarm);
    hal_sem_release(&timers->ended);
}

int port_timers_start(struct phantom_hal *instance)
{
    struct port_timers *timers = instance->timers;
    if (__atomic_load_n(&timers->started, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    (void)hal_mutex_lock(&timers->life);
    int rc = timers->closed ? ESHUTDOWN : 0;
    if (!timers->started && rc == 0) {
        rc = port_alarm_open(&alarm_calls, timers, &timers->alarm);
        if (rc == 0) {
            tid_t tid = port_threads_start(instance, run_alarm, timers);
            if (tid >= 0) {
                __atomic_store_n(&timers->started, true, __ATOMIC_RELEASE);
            } else {
                port_alarm_close(timers->alarm);
                rc = -tid;
            }
        }
    }
    (void)hal_mutex_unlock(&timers->life);
    return rc;
}

void phantom_init_stat_counters2(void)
{
    int rc = port_timers_start(port_hal());
    if (rc != 0) {
        ph_log(PH_LOG_ERROR, "no second tick for the counters: %s", strerror(rc));
    }
}

void phantom_timed_call_init(void)
{
}

/* ---- open and close ------------------------------------------------------------------------- */

int port_timers_open(struct phantom_hal *instance)
{
    struct port_timers *timers = ph_zalloc(1, sizeof(*timers));
    if (timers == NULL || hal_mutex_init(&timers->life, "timers") != 0) {
        ph_free(timers);
        return ENOMEM;
    }
    timers->hal = instance;
    timers->workers.hal = instance;
    timers->workers.name = "NetTimer";
    timers->workers.run = run_net_timer;
    timers->workers.context = timers;
    bool ended = hal_sem_init(&timers->ended, "timers ended") == 0;
    if (!ended || port_workers_open(&timers->workers, NULL) != 0) {
        if (ended) {
            hal_sem_destroy(&timers->ended);
        }
        (void)hal_mutex_destroy(&timers->life);
        ph_free(timers);
        return ENOMEM;
    }
    (void)pthread_mutex_init(&timers->lock, NULL);
    (void)pthread_cond_init(&timers->call_over, NULL);
    queue_init(&timers->calls);
    instance->timers = timers;
    return 0;
}

void port_timers_stop(struct phantom_hal *instance)
{
    struct port_timers *timers = instance->timers;
    port_timers_halt(instance);
    (void)hal_mutex_lock(&timers->life);
    timers->closed = true;
    bool started = timers->started;
    (void)hal_mutex_unlock(&timers->life);
    if (started) {
        port_alarm_stop(timers->alarm);
        (void)hal_sem_acquire(&timers->ended);
    }
    (void)port_workers_stop(&timers->workers);
}

void port_timers_close(struct phantom_hal *instance)
{
    struct port_timers *timers = instance->timers;
    port_workers_close(&timers->workers);
    if (timers->started) {
        port_alarm_close(timers->alarm);
    }
    while (!queue_empty(&timers->calls)) { /* never made: those that are ours to free are freed */
        timedcall_t *entry = (timedcall_t *)(void *)queue_first(&timers->calls);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the queue is not empty */
        queue_remove(&timers->calls, entry, timedcall_t *, chain);
        if ((entry->flags & TIMEDCALL_FLAG_AUTOFREE) != 0) {
            ph_free(entry);
        }
    }
    hal_sem_destroy(&timers->ended);
    (void)hal_mutex_destroy(&timers->life);
    (void)pthread_cond_destroy(&timers->call_over);
    (void)pthread_mutex_destroy(&timers->lock);
    ph_free(timers);
}

void port_timers_halt(struct phantom_hal *instance)
{
    (void)pthread_mutex_lock(&instance->timers->lock);
    instance->timers->stop = true;
    (void)pthread_mutex_unlock(&instance->timers->lock);
}

size_t port_timers_workers(struct phantom_hal *instance)
{
    return port_workers_count(&instance->timers->workers);
}
