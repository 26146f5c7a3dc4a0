/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_futex.c - sleep on a word, wake who sleeps on it, let others run. Owns nothing. A file of its
 * own because the port's library needs it and nothing else of hal_park.c.
 */
#include "ph_check.h"

#include <hal.h>

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

errno_t hal_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                      timeout_ns >= 0 ? &timeout : NULL, NULL, 0);
    int error = rc == 0 ? 0 : errno;
    PH_CHECK(error == 0 || error == EAGAIN || error == EINTR || error == ETIMEDOUT);
    return error == ETIMEDOUT ? ETIMEDOUT : 0;
}

void hal_futex_wake(_Atomic uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void hal_yield(void)
{
    (void)sched_yield();
}
