/* SPDX-License-Identifier: Apache-2.0
 *
 * frozen_copy.c - see frozen_copy.h. Owns the child and the socket to it. One thread at a time.
 *
 * The child shares all pages until one of the two stores into them. It was forked out of a process
 * with threads, so whatever a lock protects may be broken in it: it makes plain system calls on its
 * own stack and nothing else, no function of libc that could lock or allocate, no fork handlers
 * (hence the bare clone). First it lets go of what must not outlive its parent: it dies with the
 * thread that made it, and closes all descriptors but its socket, the store's lock among them. It
 * sends no signal when it ends and is not seen by the host's wait().
 *
 *     parent -> child   { offset, length }
 *     child -> parent   length bytes
 */
#include "frozen_copy.h"

#include "hal_internal.h"
#include "ph_memory.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#if defined(__clang__)
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "memory", "undefined"), noinline))
#else
#define IN_CHILD                                                                                   \
    __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined, noinline))
#endif

enum { DESCRIPTORS_MOST = 65536 }; /* closed one by one before Linux 5.9 */

struct frozen_copy {
    int socket;
    pid_t child;
};

struct request {
    uint64_t offset, length;
};

/* ---- in the child --------------------------------------------------------------------------- */

IN_CHILD static void close_all_but(int keep)
{
    long low = keep > 0 ? syscall(SYS_close_range, 0u, (unsigned)keep - 1, 0u) : 0;
    long high = syscall(SYS_close_range, (unsigned)keep + 1, ~0u, 0u);
    if (low == 0 && high == 0) {
        return;
    }
    for (int fd = 0; fd < DESCRIPTORS_MOST; fd++) {
        if (fd != keep) {
            (void)syscall(SYS_close, fd);
        }
    }
}

/* All of it, or false. */
IN_CHILD static int move_all(long call, int fd, uint8_t *bytes, uint64_t length)
{
    while (length > 0) {
        long moved = syscall(call, fd, bytes, length);
        if (moved <= 0) {
            return 0;
        }
        bytes += moved;
        length -= (uint64_t)moved;
    }
    return 1;
}

IN_CHILD static void hand_out(int fd, uint8_t *base, pid_t parent)
{
    struct request request;
    (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if ((pid_t)syscall(SYS_getppid) == parent) {
        close_all_but(fd);
        while (move_all(SYS_read, fd, (uint8_t *)&request, sizeof(request)) &&
               move_all(SYS_write, fd, base + request.offset, request.length)) {
        }
    }
    for (;;) {
        (void)syscall(SYS_exit_group, 0);
    }
}

/* ---- in the parent -------------------------------------------------------------------------- */

/* Between the two madvise() calls any fork would inherit the range, so fork() is kept out. */
static int fork_with_range(uint8_t *base, size_t size, int sockets[2], pid_t *child)
{
    sigset_t all, before;
    pid_t self = getpid();
    if (madvise(base, size, MADV_DOFORK) != 0) {
        return -errno;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the host's in the child */
    long made = syscall(SYS_clone, 0ul, NULL, NULL, NULL, 0ul);
    if (made == 0) {
        hand_out(sockets[1], base, self);
    }
    int rc = made < 0 ? -errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    *child = (pid_t)made;
    if (madvise(base, size, MADV_DONTFORK) != 0 && rc == 0) {
        rc = -errno;
    }
    return rc;
}

int frozen_copy_make(uint8_t *base, size_t size, struct frozen_copy **out)
{
    int sockets[2];
    struct frozen_copy *copy = ph_zalloc(1, sizeof(*copy));
    if (copy == NULL) {
        return -ENOMEM;
    }
    int rc = hal_fork_hold();
    if (rc != 0) {
        ph_free(copy);
        return rc;
    }
    copy->child = -1;
    copy->socket = -1;
    rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0 ? 0 : -errno;
    if (rc == 0) {
        rc = fork_with_range(base, size, sockets, &copy->child);
        hal_close(sockets[1]);
        copy->socket = sockets[0];
    }
    hal_fork_release();
    if (rc != 0) {
        frozen_copy_end(copy);
        return rc;
    }
    *out = copy;
    return 0;
}

int frozen_copy_read(struct frozen_copy *copy, size_t offset, size_t length, void *out)
{
    const struct request request = {offset, length};
    ssize_t sent;
    do {
        sent = send(copy->socket, &request, sizeof(request), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != sizeof(request)) {
        return sent < 0 && errno != EPIPE ? -errno : -EIO;
    }
    uint8_t *bytes = out;
    while (length > 0) {
        ssize_t got = recv(copy->socket, bytes, length, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return -EIO;
        }
        bytes += got;
        length -= (size_t)got;
    }
    return 0;
}

void frozen_copy_end(struct frozen_copy *copy)
{
    hal_close(copy->socket);
    if (copy->child > 0) {
        (void)kill(copy->child, SIGKILL);
        while (waitpid(copy->child, NULL, __WALL) < 0 && errno == EINTR) {
        }
    }
    ph_free(copy);
}
