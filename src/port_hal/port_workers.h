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
    int idle, total;
    bool stop;
};

/** sleep: the condition of idle workers, made here; NULL: one of the pool's own. 0 or ENOMEM. */
int port_workers_open(struct port_workers *workers, hal_cond_t *sleep);
/** One more job. */
void port_workers_post(struct port_workers *workers);
/** If jobs wait and nobody is free, because a thread could not be started before: try again. */
void port_workers_second(struct port_workers *workers);
/** What was posted is done, then the workers end. Not from a worker. */
void port_workers_close(struct port_workers *workers);
size_t port_workers_count(struct port_workers *workers);

#endif /* PORT_WORKERS_H */
