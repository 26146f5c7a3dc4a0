/* SPDX-License-Identifier: Apache-2.0
 * As the port's VM uses threads: a queue with a mutex and a condition, an object of its own behind
 * each thread (owner), a death handler that counts, an end in the middle of a function. */
#include "ported.h"

#include <hal.h>
#include <kernel/atomic.h>
#include <ph_malloc.h>
#include <queue.h>
#include <thread_private.h>
#include <threads.h>

enum { WORKERS = 6, ITEMS = 300 };

struct item {
    int value;
    queue_chain_t chain;
};

static hal_mutex_t lock;
static hal_cond_t more;
static queue_head_t items;
static int closed, sum;
static volatile int dead, owners_right;
static int objects[WORKERS];

static void on_death(phantom_thread_t *t)
{
    if (t->owner == get_thread_owner(t) && t->owner != 0) {
        atomic_add(&owners_right, 1);
    }
    atomic_add(&dead, 1);
}

static void worker(void *object)
{
    t_current_set_name("worker");
    t_current_set_priority(THREAD_PRIO_LOW);
    t_set_owner(get_current_tid(), object);
    t_current_set_death_handler(on_death);
    hal_mutex_lock(&lock);
    for (;;) {
        while (queue_empty(&items) && !closed) {
            hal_cond_wait(&more, &lock);
        }
        if (queue_empty(&items)) {
            break;
        }
        struct item *it = (struct item *)(void *)queue_first(&items);
        queue_remove(&items, it, struct item *, chain);
        sum += it->value;
        hal_mutex_unlock(&lock);
        ph_free(it);
        hal_mutex_lock(&lock);
    }
    hal_mutex_unlock(&lock);
    hal_exit_kernel_thread();
}

int ported_workers(void)
{
    tid_t last = -1;
    queue_init(&items);
    if (hal_mutex_init(&lock, "items") != 0 || hal_cond_init(&more, "items") != 0) {
        return 1;
    }
    for (int i = 0; i < WORKERS; i++) {
        last = hal_start_thread(worker, &objects[i], THREAD_FLAG_VM);
        if (last < 0) {
            return 2;
        }
    }
    for (int i = 1; i <= ITEMS; i++) {
        struct item *it = ph_calloc(1, sizeof(*it));
        it->value = i;
        hal_mutex_lock(&lock);
        queue_enter(&items, it, struct item *, chain);
        hal_mutex_unlock(&lock);
        hal_cond_signal(&more);
    }
    hal_mutex_lock(&lock);
    closed = 1;
    hal_mutex_unlock(&lock);
    hal_cond_broadcast(&more);
    while (atomic_add(&dead, 0) < WORKERS) {
        hal_sleep_msec(1);
    }
    void *owner;
    while (t_get_owner(last, &owner) == 0) { /* its descriptor goes after its handler */
        hal_sleep_msec(1);
    }
    return sum == ITEMS * (ITEMS + 1) / 2 && owners_right == WORKERS ? 0 : 3;
}
