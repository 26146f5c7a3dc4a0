/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_frozen.c - see plain_frozen.h. The child ends with the socket, so also when its parent is
 * killed; it makes only calls that are allowed after a fork beside other threads.
 */
#include "plain_frozen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
    const void *from;
    size_t bytes;
};

static int send_all(int socket, const void *data, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        ssize_t n = send(socket, (const char *)data + at, bytes - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int receive_all(int socket, void *data, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        ssize_t n = recv(socket, (char *)data + at, bytes - at, 0);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return n == 0 ? -EPIPE : -errno;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static _Noreturn void serve(int socket)
{
    struct request request;
    while (receive_all(socket, &request, sizeof(request)) == 0 &&
           send_all(socket, request.from, request.bytes) == 0) {
    }
    _exit(0);
}

int plain_frozen_make(struct plain_frozen *frozen)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return -errno;
    }
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    sigset_t all, before; /* no handler of the host's runs in the child */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        serve(ends[1]);
    }
    int rc = child < 0 ? -errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        return rc;
    }
    *frozen = (struct plain_frozen){child, ends[0]};
    return 0;
}

int plain_frozen_read(struct plain_frozen *frozen, const void *from, size_t bytes, void *out)
{
    const struct request request = {from, bytes};
    int rc = send_all(frozen->socket, &request, sizeof(request));
    return rc != 0 ? rc : receive_all(frozen->socket, out, bytes);
}

void plain_frozen_end(struct plain_frozen *frozen)
{
    (void)shutdown(frozen->socket, SHUT_RDWR); /* whoever else has the socket */
    (void)close(frozen->socket);
    while (waitpid(frozen->child, NULL, 0) < 0 && errno == EINTR) {
    }
}
