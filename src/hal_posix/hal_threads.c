/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_threads.c - threads of <hal.h>, on pthreads, and small system calls of this room.
 *
 * Owns nothing after start: a started thread is detached and owns itself. No locks.
 * Always true: our threads have every signal blocked that can come from outside the thread, so the
 * host's handlers run in the host's threads; the synchronous ones stay open so that a crash of ours
 * is a crash and not a hang.
 */
#include "hal_internal.h"
#include "ph_memory.h"

#include <hal.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void asynchronous_signals(sigset_t *set)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    (void)sigfillset(set);
    for (size_t i = 0; i < sizeof(synchronous) / sizeof(synchronous[0]); i++) {
        (void)sigdelset(set, synchronous[i]);
    }
}

int hal_thread_create(void *(*run)(void *), void *argument, pthread_t *out)
{
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0) {
        return rc;
    }
    size_t stack = HAL_THREAD_STACK;
    if (stack < (size_t)PTHREAD_STACK_MIN) {
        stack = (size_t)PTHREAD_STACK_MIN;
    }
    rc = pthread_attr_setstacksize(&attributes, stack);
    if (rc == 0 && out == NULL) {
        rc = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    }
    sigset_t blocked, before;
    asynchronous_signals(&blocked);
    if (rc == 0) {
        rc = pthread_sigmask(SIG_BLOCK, &blocked, &before); /* the new thread inherits it */
    }
    if (rc == 0) {
        pthread_t thread;
        rc = pthread_create(&thread, &attributes, run, argument);
        if (rc == 0 && out != NULL) {
            *out = thread;
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return rc;
}

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

void hal_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd); /* nothing is lost by a failing close: durability is flush()'s business */
    }
}

void hal_read_line(const char *path, char *out, size_t size)
{
    out[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t got = read(fd, out, size - 1);
    hal_close(fd);
    out[got > 0 ? got : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}
