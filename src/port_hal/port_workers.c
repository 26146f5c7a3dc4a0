/* SPDX-License-Identifier: Apache-2.0
 *
 * port_workers.c - a pool that grows by a thread whenever a job finds nobody idle, and shrinks when
 * more than a few are idle.
 *
 * The lock protects all that changes; it is not held while a job runs. Always true: if a job is
 * wanted, then a worker is idle and was signalled, or is on its way to look, or could not be
 * started (then the second tick tries again).
 */
#include "port_workers.h"

enum { MOST_IDLE = 6 };

static void work(void *argument)
{
    struct port_workers *workers = argument;
    (void)t_current_set_name(workers->name);
    port_thread()->worker_of = workers;
    (void)hal_mutex_lock(&workers->lock);
    for (;;) {
        if (workers->wanted == 0) {
            if (workers->stop || workers->idle >= MOST_IDLE) {
                break;
            }
            workers->idle++;
            (void)hal_cond_wait(workers->sleep, &workers->lock);
            workers->idle--;
            continue;
        }
        workers->wanted--;
        workers->busy++;
        (void)hal_mutex_unlock(&workers->lock);
        (void)port_call_back(workers->run, workers->context);
        (void)hal_mutex_lock(&workers->lock);
        workers->busy--;
        if (workers->draining) {
            (void)hal_cond_broadcast(&workers->left);
        }
    }
    workers->total--;
    (void)hal_cond_broadcast(&workers->left);
    (void)hal_mutex_unlock(&workers->lock);
}

/* The lock is held. */
static void add_if_needed(struct port_workers *workers)
{
    bool needed = workers->wanted > workers->idle;
    if (PH_MUTANT(DPC_FIXED_WORKERS)) {
        needed = workers->total == 0;
    }
    if (needed && port_threads_start(workers->hal, work, workers) >= 0) {
        workers->total++;
    }
}

int port_workers_open(struct port_workers *workers, hal_cond_t *sleep)
{
    workers->sleep = sleep != NULL ? sleep : &workers->own_sleep;
    if (hal_mutex_init(&workers->lock, workers->name) != 0) {
        return ENOMEM;
    }
    if (hal_cond_init(workers->sleep, workers->name) == 0) {
        if (hal_cond_init(&workers->left, workers->name) == 0) {
            return 0;
        }
        (void)hal_cond_destroy(workers->sleep);
    }
    (void)hal_mutex_destroy(&workers->lock);
    return ENOMEM;
}

bool port_workers_post(struct port_workers *workers)
{
    (void)hal_mutex_lock(&workers->lock);
    bool taken = !workers->stop;
    if (taken) {
        workers->wanted++;
        add_if_needed(workers);
        (void)hal_cond_signal(workers->sleep);
    }
    (void)hal_mutex_unlock(&workers->lock);
    return taken;
}

bool port_workers_are_missing(struct port_workers *workers)
{
    (void)hal_mutex_lock(&workers->lock);
    bool missing = workers->wanted > 0 && workers->total == 0;
    (void)hal_mutex_unlock(&workers->lock);
    return missing;
}

void port_workers_second(struct port_workers *workers)
{
    (void)hal_mutex_lock(&workers->lock);
    add_if_needed(workers);
    (void)hal_mutex_unlock(&workers->lock);
}

bool port_workers_stop(struct port_workers *workers)
{
    bool over = false;
    (void)hal_mutex_lock(&workers->lock);
    workers->stop = true;
    (void)hal_cond_broadcast(workers->sleep);
    while (workers->total + workers->wanted > 0) {
        if (workers->total > 0) {
            (void)hal_cond_wait(&workers->left, &workers->lock);
            continue;
        }
        workers->wanted--; /* no thread could be started for it */
        (void)hal_mutex_unlock(&workers->lock);
        over = port_call_back(workers->run, workers->context) || over;
        (void)hal_mutex_lock(&workers->lock);
    }
    (void)hal_mutex_unlock(&workers->lock);
    return over;
}

void port_workers_go_on(struct port_workers *workers)
{
    (void)hal_mutex_lock(&workers->lock);
    workers->stop = false;
    (void)hal_mutex_unlock(&workers->lock);
}

bool port_workers_is_one(const struct port_workers *workers)
{
    struct port_thread *caller = port_thread_if_any();
    return caller != NULL && caller->worker_of == workers;
}

bool port_workers_drain(struct port_workers *workers, long milliseconds)
{
    bigtime_t until = hal_system_time() + (bigtime_t)milliseconds * 1000;
    int mine = port_workers_is_one(workers) ? 1 : 0;
    (void)hal_mutex_lock(&workers->lock);
    workers->stop = true;
    workers->draining = true;
    bigtime_t now;
    while (workers->wanted + workers->busy > mine && (now = hal_system_time()) < until) {
        (void)hal_cond_timedwait(&workers->left, &workers->lock, (long)((until - now) / 1000) + 1);
    }
    bool done = workers->wanted + workers->busy <= mine;
    (void)hal_mutex_unlock(&workers->lock);
    return done;
}

void port_workers_close(struct port_workers *workers)
{
    (void)port_workers_stop(workers);
    (void)hal_cond_destroy(&workers->left);
    (void)hal_cond_destroy(workers->sleep);
    (void)hal_mutex_destroy(&workers->lock);
}

size_t port_workers_count(struct port_workers *workers)
{
    (void)hal_mutex_lock(&workers->lock);
    size_t count = (size_t)workers->total;
    (void)hal_mutex_unlock(&workers->lock);
    return count;
}
