/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_barrier.c - services of a heap range that do not touch the range: a memory barrier in every
 * running thread of the process, its page faults, and making the engine's staging area cheap to
 * copy into.
 * Owns nothing; the kernel keeps the registration for as long as the process lives.
 */
#include "hal_barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0 ? 0 : -errno;
}

int hal_barrier(struct snap_memory *memory)
{
    (void)memory;
    int rc = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    if (rc == -EPERM) { /* the process has not said yet that it will ask */
        rc = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        rc = rc == 0 ? membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) : rc;
    }
    return rc;
}

uint64_t hal_faults(struct snap_memory *memory)
{
    struct rusage usage;
    (void)memory;
    int rc = getrusage(RUSAGE_SELF, &usage);
    return rc == 0 ? (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt : 0;
}

void hal_prepare_staging(struct snap_memory *memory, void *area, size_t bytes)
{
    const uintptr_t huge = (uintptr_t)2 << 20;
    uintptr_t from = ((uintptr_t)area + huge - 1) & ~(huge - 1);
    uintptr_t to = ((uintptr_t)area + bytes) & ~(huge - 1);
    (void)memory;
    if (to > from) { /* fails where the kernel has no huge pages: then it is only slower */
        (void)madvise((uint8_t *)area + (from - (uintptr_t)area), to - from, MADV_HUGEPAGE);
    }
}
