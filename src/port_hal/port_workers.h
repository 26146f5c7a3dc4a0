/* SPDX-License-Identifier: Apache-2.0
 *
 * port_workers.h - a pool of threads in which a job that blocks stops no other job.
 */
#ifndef PORT_WORKERS_H
#define PORT_WORKERS_H

#include "port_internal.h"

struct port_workers {
    struct phantom_hal *hal;
    const char *name;
    void (*run)(void *context); /* does one job; finding none is fine */
    void *context;
    hal_cond_t *sleep; /* idle workers */

    hal_mutex_t lock;
    hal_cond_t own_sleep, left;
    int wanted; /* jobs that no worker has begun */
    int busy, idle, total;
    bool stop;     /* no job is taken any more */
    bool draining; /* somebody waits for the last one */
};

/** sleep: the condition of idle workers, made here; NULL: one of the pool's own. 0 or ENOMEM. */
int port_workers_open(struct port_workers *workers, hal_cond_t *sleep);
/** One more job. False: stopped. */
bool port_workers_post(struct port_workers *workers);
/** Jobs wait, and there is no thread that could do them. */
bool port_workers_are_missing(struct port_workers *workers);
/** If jobs wait and nobody is free, because a thread could not be started before: try again. */
void port_workers_second(struct port_workers *workers);
/** No job is taken any more; what was posted is done (on the calling thread if none could be
 *  started), then the workers end. Not from a worker. True: a job ended the calling thread, see
 *  port_call_back(). */
bool port_workers_stop(struct port_workers *workers);
/** Jobs are taken again, after a stop. */
void port_workers_go_on(struct port_workers *workers);
/** No job is taken any more; wait at most so long until those that were posted are done, but that
 *  of the calling thread. False: one is not. */
bool port_workers_drain(struct port_workers *workers, long milliseconds);
/** The calling thread is one of them. */
bool port_workers_is_one(const struct port_workers *workers);
/** Stop and free. */
void port_workers_close(struct port_workers *workers);
size_t port_workers_count(struct port_workers *workers);

#endif /* PORT_WORKERS_H */
