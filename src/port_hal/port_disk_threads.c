/* SPDX-License-Identifier: Apache-2.0
 *
 * port_disk_threads.c - the back end that works everywhere: four threads that read and write.
 *
 * Owns the run queue, which is protected by the disk's lock.
 */
#include "port_disk.h"

enum { WORKERS = 4 };

struct workers {
    pthread_cond_t work;
    struct port_disk_op *first, *last; /* linked by queue_next */
    bool stop;
    hal_sem_t ended; /* one for each worker that ended */
    int count;
};

static void work(void *argument)
{
    struct port_disk *disk = argument;
    struct workers *workers = disk->backend_state;
    (void)t_current_set_name("DiskWorker");
    port_thread()->moves_data = true;
    (void)pthread_mutex_lock(&disk->lock);
    while (!workers->stop) {
        struct port_disk_op *op = workers->first;
        if (op == NULL) {
            (void)pthread_cond_wait(&workers->work, &disk->lock);
            continue;
        }
        workers->first = op->queue_next;
        (void)pthread_mutex_unlock(&disk->lock);
        op->queue_next = NULL;
        op->error = port_disk_move(disk, op);
        port_disk_ended(disk, op);
        (void)pthread_mutex_lock(&disk->lock);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    hal_sem_release(&workers->ended);
}

static void start(struct port_disk *disk, struct port_disk_op *op)
{
    struct workers *workers = disk->backend_state;
    op->queue_next = NULL;
    if (workers->first == NULL) {
        workers->first = op;
    } else {
        workers->last->queue_next = op;
    }
    workers->last = op;
    (void)pthread_cond_signal(&workers->work);
}

static void close_workers(struct port_disk *disk)
{
    struct workers *workers = disk->backend_state;
    (void)pthread_mutex_lock(&disk->lock);
    workers->stop = true;
    (void)pthread_cond_broadcast(&workers->work);
    (void)pthread_mutex_unlock(&disk->lock);
    for (int i = 0; i < workers->count; i++) {
        (void)hal_sem_acquire(&workers->ended);
    }
    hal_sem_destroy(&workers->ended);
    (void)pthread_cond_destroy(&workers->work);
    ph_free(workers);
}

static int open_workers(struct port_disk *disk)
{
    struct workers *workers = ph_zalloc(1, sizeof(*workers));
    if (workers == NULL || hal_sem_init(&workers->ended, "disk workers") != 0) {
        ph_free(workers);
        return ENOMEM;
    }
    (void)pthread_cond_init(&workers->work, NULL);
    disk->backend_state = workers;
    while (workers->count < WORKERS && port_threads_start(disk->hal, work, disk) >= 0) {
        workers->count++;
    }
    if (workers->count == 0) {
        close_workers(disk);
        return EAGAIN;
    }
    return 0; /* fewer are slower, no more */
}

const struct port_disk_backend port_disk_threads = {"threads", open_workers, start, close_workers};
