/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_time.c - clocks, random numbers and CPU count of <hal.h>. Stateless, any thread.
 */
#include <hal.h>

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* fails only for a clock that does not exist */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bigtime_t hal_system_time(void)
{
    return hal_monotonic_ns() / 1000;
}

uint64_t fast_time(void)
{
    return (uint64_t)(hal_wall_time_ns() / 1000000000);
}

int64_t hal_wall_time_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t hal_monotonic_ns(void)
{
    return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

/* For a container that forbids getrandom(): 16 bytes that the kernel draws for each process image,
 * stirred with the clock and the thread. Unique enough to tell two writers apart, not secret. */
static uint64_t random_without_kernel(void)
{
    uint64_t seed[2] = {0, 0};
    const void *kernel_seed = (const void *)getauxval(AT_RANDOM);
    if (kernel_seed != NULL) {
        memcpy(seed, kernel_seed, sizeof(seed));
    }
    uint64_t x = seed[0] ^ hal_monotonic_ns() ^ ((uint64_t)gettid() << 40);
    for (int round = 0; round < 3; round++) { /* multiply and fold: each bit reaches all others */
        x = (x ^ (x >> 32)) * UINT64_C(0x9fb21c651e98df25) + seed[1];
    }
    return x ^ (x >> 29);
}

uint64_t hal_random(void)
{
    uint64_t value;
    ssize_t got;
    do {
        got = getrandom(&value, sizeof(value), 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(value) ? value : random_without_kernel();
}

int hal_cpu_count(void)
{
    cpu_set_t sets[64]; /* 65536 CPUs; the kernel refuses a set smaller than what it could have */
    if (sched_getaffinity(0, sizeof(sets), sets) == 0) {
        int count = CPU_COUNT_S(sizeof(sets), sets);
        if (count > 0) {
            return count;
        }
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}
