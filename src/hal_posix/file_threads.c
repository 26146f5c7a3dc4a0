/* SPDX-License-Identifier: Apache-2.0
 *
 * file_threads.c - transfers by a few threads that call pread and pwrite: for machines and
 * containers where io_uring is denied.
 *
 * Owns its threads and three lists, all under one lock: waiting (taken from the front), being
 * transferred (held by a thread), done (given out by reap). A request is in exactly one of them.
 * Whoever reaps and would have to wait transfers what is waiting himself: of the two writes of a
 * small commit one needs no other thread to wake up.
 * Lock order: lock is a leaf.
 */
#include "file_queue.h"
#include "ph_memory.h"

#include "hal_internal.h"

#include <errno.h>
#include <hal.h>

enum { POOL_THREADS = 4 };

struct pool {
    struct file_queue queue;
    int fd;
    hal_mutex_t lock;
    hal_cond_t has_work; /* waiting is not empty, or stop */
    hal_cond_t has_done; /* done has grown */
    struct request_list waiting, done;
    bool stop;
    unsigned thread_count;
    pthread_t threads[POOL_THREADS];
};

static struct snap_io_request *take_first(struct request_list *list)
{
    struct snap_io_request *request = list->first;
    if (request != NULL) {
        list->first = request->next;
        if (list->first == NULL) {
            list->last = NULL;
        }
        list->count--;
    }
    return request;
}

/* Called with the lock, which is open during the transfer. */
static void transfer(struct pool *pool, struct snap_io_request *request)
{
    (void)hal_mutex_unlock(&pool->lock);
    int32_t result = file_transfer_once(pool->fd, request);
    (void)hal_mutex_lock(&pool->lock);
    request->result = result;
    request_list_add(&pool->done, request);
}

static void *pool_run(void *argument)
{
    struct pool *pool = argument;
    (void)t_current_set_name("phantom-io");
    (void)hal_mutex_lock(&pool->lock);
    for (;;) {
        struct snap_io_request *request = take_first(&pool->waiting);
        if (request == NULL) {
            if (pool->stop) {
                break;
            }
            (void)hal_cond_wait(&pool->has_work, &pool->lock);
            continue;
        }
        transfer(pool, request);
        (void)hal_cond_signal(&pool->has_done); /* one thread at a time reaps */
    }
    (void)hal_mutex_unlock(&pool->lock);
    return NULL;
}

/* The threads finish what is waiting, then end. */
static void pool_close(struct file_queue *queue)
{
    struct pool *pool = (struct pool *)queue;
    if (pool->thread_count > 0) {
        (void)hal_mutex_lock(&pool->lock);
        pool->stop = true;
        (void)hal_cond_broadcast(&pool->has_work);
        (void)hal_mutex_unlock(&pool->lock);
        for (unsigned i = 0; i < pool->thread_count; i++) {
            (void)pthread_join(pool->threads[i], NULL);
        }
    }
    (void)hal_cond_destroy(&pool->has_done);
    (void)hal_cond_destroy(&pool->has_work);
    (void)hal_mutex_destroy(&pool->lock);
    ph_free(pool);
}

static int pool_open(int fd, struct file_queue **out)
{
    struct pool *pool = ph_zalloc(1, sizeof(*pool));
    if (pool == NULL) {
        return -ENOMEM;
    }
    pool->queue.ops = &file_queue_threads;
    pool->fd = fd;
    int rc = hal_mutex_init(&pool->lock, "file threads");
    rc = rc != 0 ? rc : hal_cond_init(&pool->has_work, "file threads: work");
    rc = rc != 0 ? rc : hal_cond_init(&pool->has_done, "file threads: done");
    while (rc == 0 && pool->thread_count < POOL_THREADS) {
        rc = hal_thread_create(pool_run, pool, &pool->threads[pool->thread_count]);
        if (rc == 0) {
            pool->thread_count++;
        }
    }
    if (rc != 0 && pool->thread_count == 0) {
        pool_close(&pool->queue);
        return -rc;
    }
    *out = &pool->queue; /* fewer threads than wanted are slower, not wrong */
    return 0;
}

/* Called with the lock: so many requests wait for threads. */
static void wake_for(struct pool *pool, unsigned requests)
{
    for (unsigned i = 0; i < requests && i < pool->thread_count; i++) {
        (void)hal_cond_signal(&pool->has_work);
    }
}

static int pool_submit(struct file_queue *queue, struct snap_io_request *request)
{
    struct pool *pool = (struct pool *)queue;
    (void)hal_mutex_lock(&pool->lock);
    request_list_add(&pool->waiting, request);
    if (!request->more) {
        wake_for(pool, pool->waiting.count);
    }
    (void)hal_mutex_unlock(&pool->lock);
    return 0;
}

static int pool_reap(struct file_queue *queue, unsigned minimum, struct snap_io_request **done)
{
    struct pool *pool = (struct pool *)queue;
    (void)hal_mutex_lock(&pool->lock);
    unsigned left = minimum > pool->done.count && pool->waiting.count != 0; /* one for us */
    wake_for(pool, pool->waiting.count - left);
    while (pool->done.count < minimum) {
        struct snap_io_request *request = take_first(&pool->waiting);
        if (request == NULL) {
            (void)hal_cond_wait(&pool->has_done, &pool->lock);
        } else {
            transfer(pool, request);
        }
    }
    int count = request_list_take(&pool->done, done);
    (void)hal_mutex_unlock(&pool->lock);
    return count;
}

static void pool_forked(struct file_queue *queue)
{
    (void)queue; /* no descriptor of its own; its threads do not exist in the child */
}

const struct file_queue_ops file_queue_threads = {
    .name = "pwrite threads",
    .open = pool_open,
    .submit = pool_submit,
    .reap = pool_reap,
    .close = pool_close,
    .forked = pool_forked,
};
