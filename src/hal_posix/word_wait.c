/* SPDX-License-Identifier: Apache-2.0
 *
 * word_wait.c - sleeping on a word, for threads that are in the middle of a store: the two members
 * of snap_memory_ops for it. Plain futex calls, so that a signal handler may make them; errno is
 * left as it was. Owns nothing.
 */
#include "word_wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void word_wait(struct snap_memory *memory, _Atomic uint32_t *word, uint32_t expected)
{
    int saved = errno;
    (void)memory;
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
    errno = saved;
}

void word_wake(struct snap_memory *memory, _Atomic uint32_t *word)
{
    int saved = errno;
    (void)memory;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}
