/* SPDX-License-Identifier: Apache-2.0
 *
 * deny.c - run a command that cannot make some system calls:
 *     deny io_uring,userfaultfd -- command args...
 * See deny_syscalls.h for the names. Exit status: the command's; 2 usage; 77 filters not allowed;
 * 127 the command cannot be run.
 */
#include "deny_syscalls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 4 || strcmp(argv[2], "--") != 0) {
        fprintf(stderr, "usage: deny NAME[=ERROR],... -- COMMAND [ARGUMENT]...\n");
        return 2;
    }
    int rc = deny_syscalls(argv[1]);
    if (rc == -EINVAL) {
        fprintf(stderr, "deny: unknown name or error in \"%s\"\n", argv[1]);
        return 2;
    }
    if (rc != 0) {
        fprintf(stderr, "deny: no seccomp filters here: %s\n", strerror(-rc));
        return 77;
    }
    execvp(argv[3], argv + 3);
    fprintf(stderr, "deny: %s: %s\n", argv[3], strerror(errno));
    return 127;
}
