/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_threads.c - how each thread of ours is created, and small system calls of this room.
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
