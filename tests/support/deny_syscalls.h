/* SPDX-License-Identifier: Apache-2.0
 *
 * deny_syscalls.h - take system calls away from this process, as containers do: a seccomp filter
 * answers with an error of choice. Needs no privilege and lasts until the process (and its
 * children) end, so a test forks first or has a program of its own.
 */
#ifndef DENY_SYSCALLS_H
#define DENY_SYSCALLS_H

/**
 * list: comma-separated names out of io_uring, userfaultfd, fallocate, getrandom, fdatasync, each
 * with an optional "=ERROR" out of EPERM (default), ENOSYS, EOPNOTSUPP, ENOMEM, EIO; for example
 * "io_uring,userfaultfd=ENOSYS". 0; -EINVAL for an unknown name; -errno where filters are not
 * allowed.
 */
int deny_syscalls(const char *list);

#endif /* DENY_SYSCALLS_H */
