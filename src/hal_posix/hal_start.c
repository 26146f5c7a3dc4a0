/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_start.c - threads of <hal.h>: start one, name the calling one, let it sleep. Owns nothing
 * after start, no locks. A file of its own because the port's interface (src/port_hal) has the same
 * names with thread descriptors behind them.
 */
#include "hal_internal.h"
#include "ph_memory.h"

#include <hal.h>

#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Lives until the starter has read the tid; run and argument are copied by the thread before. */
struct start {
    void (*run)(void *argument);
    void *argument;
    pid_t tid;
    sem_t ready;
};

static void *started(void *argument)
{
    struct start *start = argument;
    void (*run)(void *) = start->run;
    void *run_argument = start->argument;
    start->tid = gettid();
    (void)sem_post(&start->ready); /* start is gone from here on */
    run(run_argument);
    return NULL;
}

tid_t hal_start_thread(void (*thread)(void *arg), void *arg, int flags)
{
    (void)flags; /* what kind of thread it is changes nothing on this system */
    if (thread == NULL) {
        return -EINVAL;
    }
    struct start *start = ph_zalloc(1, sizeof(*start));
    if (start == NULL) {
        return -ENOMEM;
    }
    start->run = thread;
    start->argument = arg;
    if (sem_init(&start->ready, 0, 0) != 0) {
        ph_free(start);
        return -ENOMEM;
    }
    tid_t tid;
    int rc = hal_thread_create(started, start, NULL);
    if (rc == 0) {
        while (sem_wait(&start->ready) != 0 && errno == EINTR) {
        }
        tid = start->tid;
    } else {
        tid = -rc;
    }
    (void)sem_destroy(&start->ready);
    ph_free(start);
    return tid;
}

errno_t t_current_set_name(const char *name)
{
    if (name == NULL) {
        return EINVAL;
    }
    char shortened[16]; /* all that the kernel keeps */
    size_t length = strnlen(name, sizeof(shortened) - 1);
    memcpy(shortened, name, length);
    shortened[length] = '\0';
    return pthread_setname_np(pthread_self(), shortened);
}

void hal_sleep_msec(int milliseconds)
{
    if (milliseconds <= 0) {
        return;
    }
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}
