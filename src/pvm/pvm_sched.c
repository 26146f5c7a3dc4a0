/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_sched.c - the workers: who runs which VM thread, and how all of them stop.
 *
 * Everything here is volatile and is made anew from the list of live threads when a machine
 * attaches to a heap: a ring of runnable threads, a heap of timers. Both have room for every live
 * thread before the thread exists, so making a thread runnable never fails.
 *
 * Between two slices a worker holds the VM lock; in a slice it is one of n_running and holds none.
 * It ends a slice when its budget is used up or when it sees `poll` at a safepoint, and then no
 * state of the VM thread is outside of the heap. Two parties stop the world that way:
 *
 *   a cut (pvm_stop_world): sets cut_wanted, waits until n_running is 0 and nobody collects; from
 *     then on (cut_active) nobody writes the heap until pvm_resume_world();
 *   a collection: a worker sets collector_waits and waits until n_running is 0 and no cut is
 * active, then collects without the VM lock (collecting).
 *
 * Each lets the other go first when it is there, and neither holds anything while it waits, so they
 * cannot block each other. Workers that wait for work, for a cut or for a collection sleep in
 * work_cond. pvm_request_stop() may come from a signal handler, which cannot wake a sleeper: worker
 * 0 therefore looks at stop_requested at least every 100 ms.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <errno.h>
#include <string.h>

enum {
    SLICE_INSTRUCTIONS = 20000,
    IDLE_LOOK_MS = 100,
};

/* ---- poll flag ------------------------------------------------------------------------------- */

void pvm_set_poll(struct pvm *pvm)
{
    __atomic_store_n(&pvm->poll, 1, __ATOMIC_SEQ_CST);
}

static bool stop_requested(struct pvm *pvm)
{
    return __atomic_load_n(&pvm->stop_requested, __ATOMIC_SEQ_CST) != 0;
}

static bool collect_wanted(struct pvm *pvm)
{
    return __atomic_load_n(&pvm->collect_wanted, __ATOMIC_SEQ_CST) != 0;
}

/** Switch the flag off unless there is a reason; reasons are set before the flag, so none is lost.
 */
static void reset_poll(struct pvm *pvm)
{
    __atomic_store_n(&pvm->poll, 0, __ATOMIC_SEQ_CST);
    if (pvm->run_over || pvm->cut_wanted || pvm->collector_waits || stop_requested(pvm) ||
        collect_wanted(pvm)) {
        pvm_set_poll(pvm);
    }
}

void pvm_request_stop(struct pvm *pvm)
{
    __atomic_store_n(&pvm->stop_requested, 1, __ATOMIC_SEQ_CST);
    pvm_set_poll(pvm);
}

/* ---- run queue ------------------------------------------------------------------------------- */

int pvm_sched_reserve(struct pvm *pvm, uint64_t threads)
{
    if (threads <= pvm->run_capacity && threads <= pvm->timer_capacity) {
        return 0;
    }
    uint64_t capacity = pvm->run_capacity ? pvm->run_capacity : 16;
    while (capacity < threads) {
        capacity *= 2;
    }
    struct pvm_timer *timers = ph_realloc(pvm->timers, capacity * sizeof(*timers));
    if (timers == NULL) {
        return -ENOMEM;
    }
    pvm->timers = timers;
    pvm->timer_capacity = capacity;
    pvm_object_t *queue = ph_alloc(capacity * sizeof(pvm_object_t));
    if (queue == NULL) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < pvm->run_count; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): then nobody is in the queue */
        queue[i] = pvm->run_queue[(pvm->run_head + i) % pvm->run_capacity];
    }
    ph_free(pvm->run_queue);
    pvm->run_queue = queue;
    pvm->run_capacity = capacity;
    pvm->run_head = 0;
    return 0;
}

void pvm_sched_finish(struct pvm *pvm)
{
    ph_free(pvm->run_queue);
    ph_free(pvm->timers);
    pvm->run_queue = NULL;
    pvm->timers = NULL;
}

static void run_queue_put(struct pvm *pvm, pvm_object_t thread)
{
    PH_CHECK(pvm->run_count < pvm->run_capacity);
    pvm->run_queue[(pvm->run_head + pvm->run_count++) % pvm->run_capacity] = thread;
}

static void run_queue_put_first(struct pvm *pvm, pvm_object_t thread)
{
    PH_CHECK(pvm->run_count < pvm->run_capacity);
    pvm->run_head = (pvm->run_head + pvm->run_capacity - 1) % pvm->run_capacity;
    pvm->run_queue[pvm->run_head] = thread;
    pvm->run_count++;
}

static pvm_object_t run_queue_take(struct pvm *pvm)
{
    pvm_object_t thread = pvm->run_queue[pvm->run_head];
    pvm->run_head = (pvm->run_head + 1) % pvm->run_capacity;
    pvm->run_count--;
    return thread;
}

void pvm_make_runnable(struct pvm *pvm, pvm_object_t thread)
{
    struct data_area_4_thread *t = pvm_object_da(thread, thread);
    PVM_BEFORE(pvm, t);
    t->deadline_us = 0;
    t->waiting_on = NULL;
    PVM_STORE(&t->state, PVM_THREAD_RUNNABLE);
    PVM_AFTER(pvm, t);
    run_queue_put(pvm, thread);
    if (pvm->n_idle) {
        (void)hal_cond_signal(&pvm->work_cond);
    }
}

/* ---- clock and timers ------------------------------------------------------------------------ */

uint64_t pvm_clock_now(struct pvm *pvm)
{
    return pvm->state->clock_us + (hal_system_time() - pvm->clock_start);
}

void pvm_clock_save(struct pvm *pvm)
{
    if (pvm->timer_count == 0) {
        return; /* nothing in the heap depends on it: do not dirty the page */
    }
    bigtime_t now = hal_system_time();
    PVM_STORE_TOLD(pvm, &pvm->state->clock_us, pvm->state->clock_us + (now - pvm->clock_start));
    pvm->clock_start = now;
}

static bool timer_is_stale(const struct pvm_timer *timer)
{
    return pvm_object_da(timer->thread, thread)->deadline_us != timer->deadline_us;
}

static void sift_up(struct pvm *pvm, uint64_t i)
{
    struct pvm_timer moving = pvm->timers[i];
    while (i > 0 && pvm->timers[(i - 1) / 2].deadline_us > moving.deadline_us) {
        pvm->timers[i] = pvm->timers[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    pvm->timers[i] = moving;
}

static void sift_down(struct pvm *pvm, uint64_t i)
{
    struct pvm_timer moving = pvm->timers[i];
    for (;;) {
        uint64_t child = 2 * i + 1;
        if (child >= pvm->timer_count) {
            break;
        }
        if (child + 1 < pvm->timer_count &&
            pvm->timers[child + 1].deadline_us < pvm->timers[child].deadline_us) {
            child++;
        }
        if (pvm->timers[child].deadline_us >= moving.deadline_us) {
            break;
        }
        pvm->timers[i] = pvm->timers[child];
        i = child;
    }
    pvm->timers[i] = moving;
}

void pvm_timers_forget_stale(struct pvm *pvm)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < pvm->timer_count; i++) {
        if (!timer_is_stale(&pvm->timers[i])) {
            pvm->timers[kept++] = pvm->timers[i];
        }
    }
    pvm->timer_count = kept;
    for (uint64_t i = kept / 2; i > 0; i--) {
        sift_down(pvm, i - 1);
    }
}

void pvm_timer_insert(struct pvm *pvm, pvm_object_t thread)
{
    if (pvm->timer_count == pvm->timer_capacity) {
        pvm_timers_forget_stale(pvm); /* at most one valid entry per live thread: there is room */
    }
    PH_CHECK(pvm->timer_count < pvm->timer_capacity);
    uint64_t i = pvm->timer_count++;
    pvm->timers[i].deadline_us = pvm_object_da(thread, thread)->deadline_us;
    pvm->timers[i].thread = thread;
    sift_up(pvm, i);
    if (pvm->timers[0].thread == thread && pvm->timekeeper) {
        (void)hal_cond_broadcast(&pvm->work_cond); /* it sleeps too long now */
    }
}

void pvm_timer_arm(struct pvm *pvm, pvm_object_t thread, uint64_t microseconds)
{
    const uint64_t century = UINT64_C(100) * 365 * 86400 * 1000000;
    uint64_t deadline = pvm_clock_now(pvm) + (microseconds < century ? microseconds : century);
    struct data_area_4_thread *t = pvm_object_da(thread, thread);
    PVM_STORE_TOLD(pvm, &t->deadline_us, deadline ? deadline : 1);
    pvm_timer_insert(pvm, thread);
}

static void pop_timer(struct pvm *pvm)
{
    pvm->timers[0] = pvm->timers[--pvm->timer_count];
    if (pvm->timer_count) {
        sift_down(pvm, 0);
    }
}

/** Wake whose time has come. Returns milliseconds until the next timer, -1 if there is none. */
static long expire_timers(struct pvm *pvm)
{
    while (pvm->timer_count) {
        struct pvm_timer first = pvm->timers[0];
        if (timer_is_stale(&first)) {
            pop_timer(pvm);
            continue;
        }
        uint64_t now = pvm_clock_now(pvm);
        if (first.deadline_us > now) {
            uint64_t ms = (first.deadline_us - now + 999) / 1000;
            return ms > 1000000 ? 1000000 : (long)ms;
        }
        pop_timer(pvm);
        pvm_wait_timed_out(pvm, first.thread);
    }
    return -1;
}

/* ---- one slice ------------------------------------------------------------------------------- */

static void wait_for_work(struct pvm *pvm)
{
    (void)hal_cond_wait(&pvm->work_cond, &pvm->lock);
}

/** The VM lock is held on entry and exit, not in between. */
static void run_slice(struct pvm *pvm, struct pvm_worker *worker, pvm_object_t thread)
{
    int64_t most = (int64_t)PH_CHOICE("slice", SLICE_INSTRUCTIONS, 1);
    int64_t slice = pvm->step_budget < most ? pvm->step_budget : most;
    int64_t budget = slice;
    pvm->step_budget -= pvm->step_budget == INT64_MAX ? 0 : slice;
    uint32_t running = pvm->n_running++; /* NOLINT(clang-analyzer-deadcode.DeadStores) */
    (void)hal_mutex_unlock(&pvm->lock);
    if (PH_MUTANT(COUNTER_NOT_ATOMIC)) { /* counted now, from what was read then */
        pvm->n_running = running + 1;
    }
    enum pvm_exit how = pvm_exec(worker, thread, &budget);
    if (how == PVM_EXIT_FAILED) {
        pvm_report_failure(worker, pvm_object_da(thread, thread));
        worker->thrown = NULL;
    }
    (void)hal_mutex_lock(&pvm->lock);
    pvm->step_budget += pvm->step_budget == INT64_MAX ? 0 : budget;
    pvm->stats.instructions += (uint64_t)(slice - budget);
    pvm->stats.calls += worker->calls;
    pvm->stats.natives += worker->natives;
    worker->calls = 0;
    worker->natives = 0;
    switch (how) {
    case PVM_EXIT_YIELD: run_queue_put(pvm, thread); break;
    case PVM_EXIT_BLOCKED: break;
    case PVM_EXIT_FINISHED: pvm_thread_ended(pvm, thread, false); break;
    case PVM_EXIT_FAILED: pvm_thread_ended(pvm, thread, true); break;
    case PVM_EXIT_HEAP_FULL:
        run_queue_put_first(pvm, thread);
        __atomic_store_n(&pvm->collect_wanted, 1, __ATOMIC_SEQ_CST);
        pvm_set_poll(pvm);
        break;
    }
    /* A collector or a cut may wait for this; both have said so under the lock. */
    if (--pvm->n_running == 0 && (pvm->collector_waits || pvm->cut_wanted) &&
        !PH_MUTANT(QUIET_WAKE_LOST)) {
        (void)hal_cond_broadcast(&pvm->quiet_cond);
    }
}

/** This worker collects, if a collection is still wanted when the world is quiet. */
static void collect_quietly(struct pvm *pvm)
{
    pvm->collector_waits = true;
    pvm_set_poll(pvm);
    while (pvm->n_running > 0 || pvm->cut_wanted) {
        (void)hal_cond_wait(&pvm->quiet_cond, &pvm->lock);
    }
    __atomic_store_n(&pvm->collect_wanted, 0, __ATOMIC_SEQ_CST);
    pvm_timers_forget_stale(pvm); /* they may name threads that are garbage now */
    pvm->collecting = true;
    (void)hal_mutex_unlock(&pvm->lock);
    uint64_t pause_ns = pvm_collect(pvm);
    (void)hal_mutex_lock(&pvm->lock);
    pvm->stats.collections += pause_ns > 0;
    pvm->stats.gc_ns_total += pause_ns;
    if (pause_ns > pvm->stats.gc_ns_max) {
        pvm->stats.gc_ns_max = pause_ns;
    }
    pvm->collecting = false;
    pvm->collector_waits = false;
    reset_poll(pvm);
    (void)hal_cond_broadcast(&pvm->work_cond);
    (void)hal_cond_broadcast(&pvm->quiet_cond);
}

/* ---- workers --------------------------------------------------------------------------------- */

static void end_run(struct pvm *pvm, int result)
{
    if (!pvm->run_over) {
        pvm->run_over = true;
        pvm->run_result = result;
        pvm_set_poll(pvm);
        (void)hal_cond_broadcast(&pvm->work_cond);
    }
}

/** A reason to leave that does not depend on work. */
static bool run_should_end(struct pvm *pvm)
{
    if (pvm->run_over) {
        return true;
    }
    if (stop_requested(pvm)) {
        end_run(pvm, PHANTOM_ESTOPPED);
    } else if (pvm->options.max_instructions &&
               pvm->stats.instructions >= pvm->options.max_instructions) {
        end_run(pvm, PHANTOM_EQUOTA);
    }
    return pvm->run_over;
}

static void sleep_idle(struct pvm *pvm, struct pvm_worker *worker, long next_timer_ms)
{
    pvm->n_idle++;
    if (worker->index == 0) {
        long ms = next_timer_ms >= 0 && next_timer_ms < IDLE_LOOK_MS ? next_timer_ms : IDLE_LOOK_MS;
        bool was = pvm->timekeeper;
        pvm->timekeeper = true;
        (void)hal_cond_timedwait(&pvm->work_cond, &pvm->lock, ms);
        pvm->timekeeper = was;
    } else if (next_timer_ms >= 0 && !pvm->timekeeper) {
        pvm->timekeeper = true;
        (void)hal_cond_timedwait(&pvm->work_cond, &pvm->lock, next_timer_ms);
        pvm->timekeeper = false;
    } else {
        wait_for_work(pvm);
    }
    pvm->n_idle--;
}

/** Nothing is runnable: finished, deadlocked, or sleep. */
static void idle(struct pvm *pvm, struct pvm_worker *worker, long next_timer_ms)
{
    if (pvm->n_running == 0 && next_timer_ms < 0) {
        if (pvm->threads_live == 0) {
            end_run(pvm, pvm->state->failures ? PHANTOM_EPROGRAM : 0);
        } else {
            end_run(pvm, PHANTOM_EINVALID);
        }
        return;
    }
    sleep_idle(pvm, worker, next_timer_ms);
}

static void worker_loop(struct pvm *pvm, struct pvm_worker *worker)
{
    struct pvm_worker *before = pvm_set_current_worker(worker);
    (void)hal_mutex_lock(&pvm->lock);
    for (;;) {
        if (run_should_end(pvm)) {
            break;
        }
        if ((pvm->cut_wanted && !PH_MUTANT(PARK_MISSED)) || pvm->collector_waits) {
            /* nobody may touch the heap */
            wait_for_work(pvm);
        } else if (collect_wanted(pvm)) {
            collect_quietly(pvm);
        } else {
            long next_timer_ms = expire_timers(pvm);
            if (pvm->run_count == 0) {
                idle(pvm, worker, next_timer_ms);
            } else if (pvm->step_budget <= 0) {
                end_run(pvm, PHANTOM_ETIMEOUT);
            } else {
                run_slice(pvm, worker, run_queue_take(pvm));
            }
        }
    }
    pvm->n_workers--;
    (void)hal_cond_broadcast(&pvm->quiet_cond);
    (void)hal_mutex_unlock(&pvm->lock);
    (void)pvm_set_current_worker(before);
}

static void worker_main(void *argument)
{
    struct pvm_worker *worker = argument;
    (void)t_current_set_name("phantom worker");
    worker_loop(worker->pvm, worker);
}

/** Fewer than asked for is not an error: they do the same work. */
static void start_workers(struct pvm *pvm, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct pvm_worker *worker = pvm_worker_get(pvm, i);
        if (worker == NULL) {
            return;
        }
        (void)hal_mutex_lock(&pvm->lock);
        pvm->n_workers++;
        (void)hal_mutex_unlock(&pvm->lock);
        if (hal_start_thread(worker_main, worker, THREAD_FLAG_VM) < 0) {
            (void)hal_mutex_lock(&pvm->lock);
            pvm->n_workers--;
            (void)hal_mutex_unlock(&pvm->lock);
            return;
        }
    }
}

static int run(struct pvm *pvm, int64_t step_budget, struct phantom_diag *diag)
{
    (void)hal_mutex_lock(&pvm->lock);
    if (pvm->running || pvm->state == NULL) {
        (void)hal_mutex_unlock(&pvm->lock);
        return ph_fail(diag, PHANTOM_EINVALID, "the machine is already running, or has no world");
    }
    while (pvm->cut_wanted) { /* making workers and reserving touches the heap */
        wait_for_work(pvm);
    }
    pvm->running = true;
    pvm->run_over = false;
    pvm->run_result = 0;
    pvm->step_budget = step_budget;
    pvm->n_workers = 1;
    pvm->n_running++; /* no cut while workers are made */
    reset_poll(pvm);
    (void)hal_mutex_unlock(&pvm->lock);

    start_workers(pvm, pvm->options.workers);
    (void)hal_mutex_lock(&pvm->lock);
    pvm->n_running--;
    (void)hal_cond_broadcast(&pvm->quiet_cond);
    (void)hal_mutex_unlock(&pvm->lock);
    worker_loop(pvm, pvm->workers[0]);

    (void)hal_mutex_lock(&pvm->lock);
    while (pvm->n_workers > 0) {
        (void)hal_cond_wait(&pvm->quiet_cond, &pvm->lock);
    }
    while (pvm->cut_active) {
        wait_for_work(pvm);
    }
    pvm_clock_save(pvm);
    pvm->running = false;
    pvm->run_over = false;
    int rc = pvm->run_result;
    uint64_t live = pvm->threads_live;
    if (rc == PHANTOM_ESTOPPED) {
        __atomic_store_n(&pvm->stop_requested, 0, __ATOMIC_SEQ_CST);
    }
    (void)hal_mutex_unlock(&pvm->lock);
    if (rc == PHANTOM_EINVALID) {
        return ph_fail(diag, rc, "deadlock: all %llu threads wait for each other",
                       (unsigned long long)live);
    }
    return rc == 0 ? 0 : ph_fail(diag, rc, "%s", phantom_strerror(rc));
}

int pvm_run(struct pvm *pvm, struct phantom_diag *diag)
{
    return run(pvm, INT64_MAX, diag);
}

int pvm_step(struct pvm *pvm, uint64_t instructions, struct phantom_diag *diag)
{
    return run(pvm, instructions < INT64_MAX ? (int64_t)instructions : INT64_MAX, diag);
}

/* ---- cuts ------------------------------------------------------------------------------------ */

int pvm_stop_world(struct pvm *pvm, int timeout_ms)
{
    uint64_t deadline = hal_monotonic_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
    (void)hal_mutex_lock(&pvm->lock);
    PH_CHECK(!pvm->cut_wanted); /* one thread cuts, one cut at a time */
    pvm->cut_wanted = true;
    pvm_set_poll(pvm);
    while (pvm->n_running > 0 || pvm->collecting) {
        uint64_t now = hal_monotonic_ns();
        if (timeout_ms >= 0 && now >= deadline) {
            pvm->cut_wanted = false;
            reset_poll(pvm);
            (void)hal_cond_broadcast(&pvm->work_cond);
            (void)hal_cond_broadcast(&pvm->quiet_cond);
            (void)hal_mutex_unlock(&pvm->lock);
            return PHANTOM_ETIMEOUT;
        }
        if (timeout_ms < 0) {
            (void)hal_cond_wait(&pvm->quiet_cond, &pvm->lock);
        } else {
            (void)hal_cond_timedwait(&pvm->quiet_cond, &pvm->lock,
                                     (long)((deadline - now) / 1000000u) + 1);
        }
    }
    if (pvm->state) {
        pvm_clock_save(pvm);
    }
    pvm->cut_active = true;
    (void)hal_mutex_unlock(&pvm->lock);
    return 0;
}

void pvm_resume_world(struct pvm *pvm)
{
    (void)hal_mutex_lock(&pvm->lock);
    PH_CHECK(pvm->cut_active);
    pvm->cut_active = false;
    pvm->cut_wanted = false;
    reset_poll(pvm);
    (void)hal_cond_broadcast(&pvm->work_cond);
    (void)hal_cond_broadcast(&pvm->quiet_cond);
    (void)hal_mutex_unlock(&pvm->lock);
}

void pvm_stats(struct pvm *pvm, struct pvm_stats *out)
{
    (void)hal_mutex_lock(&pvm->lock);
    *out = pvm->stats;
    out->threads_live = pvm->threads_live;
    out->sleepers = pvm->timer_count;
    out->classes_loaded = PVM_LOAD(&pvm->classes_loaded);
    (void)hal_mutex_unlock(&pvm->lock);
}
