/* SPDX-License-Identifier: Apache-2.0
 *
 * deny_syscalls.c - a seccomp filter written by hand: one comparison and one answer per call.
 */
#include "deny_syscalls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { FILTER_LENGTH = 64, NUMBERS_PER_NAME = 3 };

struct program {
    struct sock_filter code[FILTER_LENGTH];
    unsigned short length;
};

static int emit(struct program *program, struct sock_filter instruction)
{
    if (program->length == FILTER_LENGTH) {
        return -EINVAL;
    }
    program->code[program->length++] = instruction;
    return 0;
}

static int error_number(const char *name, size_t length)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {
        {"EPERM", EPERM},   {"ENOSYS", ENOSYS}, {"EOPNOTSUPP", EOPNOTSUPP},
        {"ENOMEM", ENOMEM}, {"EIO", EIO},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0) {
            return known[i].number;
        }
    }
    return -EINVAL;
}

static int emit_denial(struct program *program, const char *name, size_t length, int error)
{
    static const struct {
        const char *name;
        int numbers[NUMBERS_PER_NAME]; /* 0: no more (read(2), which nobody denies) */
    } known[] = {
        {"io_uring", {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}},
        {"userfaultfd", {SYS_userfaultfd}},
        {"fallocate", {SYS_fallocate}},
        {"getrandom", {SYS_getrandom}},
        {"fdatasync", {SYS_fdatasync}},
        {"statx", {SYS_statx}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) != length || memcmp(known[i].name, name, length) != 0) {
            continue;
        }
        int rc = 0;
        for (int k = 0; k < NUMBERS_PER_NAME && known[i].numbers[k] != 0 && rc == 0; k++) {
            unsigned number = (unsigned)known[i].numbers[k];
            rc = emit(program,
                      (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
            if (rc == 0) {
                rc = emit(program,
                          (struct sock_filter)BPF_STMT(
                              BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & 0xffff)));
            }
        }
        return rc;
    }
    return -EINVAL;
}

/* "name" or "name=ERROR" */
static int emit_item(struct program *program, const char *item, size_t length)
{
    const char *equals = memchr(item, '=', length);
    size_t name_length = equals == NULL ? length : (size_t)(equals - item);
    int error = EPERM;
    if (equals != NULL) {
        error = error_number(equals + 1, length - name_length - 1);
    }
    return error < 0 ? error : emit_denial(program, item, name_length, error);
}

int deny_syscalls(const char *list)
{
    struct program program = {.length = 0};
    const struct sock_filter head[] = {
        /* Another architecture's numbers mean other calls: let them pass, we never make them. */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    memcpy(program.code, head, sizeof(head));
    program.length = sizeof(head) / sizeof(head[0]);
    for (const char *item = list;;) {
        size_t length = strcspn(item, ",");
        int rc = emit_item(&program, item, length);
        if (rc != 0) {
            return rc;
        }
        if (item[length] == '\0') {
            break;
        }
        item += length + 1;
    }
    int rc = emit(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    if (rc != 0) {
        return rc;
    }
    struct sock_fprog filter = {.len = program.length, .filter = program.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        return -errno;
    }
    return 0;
}
