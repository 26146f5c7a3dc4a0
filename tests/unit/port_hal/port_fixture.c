/* SPDX-License-Identifier: Apache-2.0 */
#include "port_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

struct phantom_hal *port_begin(const struct phantom_hal_options *options)
{
    struct phantom_hal *instance = NULL;
    assert_int_equal(phantom_hal_create(options, &instance), 0);
    assert_int_equal(phantom_hal_enter(instance), 0);
    return instance;
}

void port_end(struct phantom_hal *instance)
{
    struct phantom_hal_usage usage;
    do { /* a request that was reported as done may be on its way out */
        phantom_scheduler_yield();
        phantom_hal_usage(&usage);
    } while (usage.disk_requests > 0);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(instance), 0); /* waits for its threads */
    assert_int_equal(usage.phys_pages_used, 0);
    assert_int_equal(usage.window_pages_used, 0);
}

int port_setup(void **state)
{
    *state = port_begin(NULL);
    return 0;
}

int port_teardown(void **state)
{
    port_end(*state);
    if (ph_active_mutant != PH_MUTANT_NONE) {
        ph_active_mutant = PH_MUTANT_NONE;
    }
    return 0;
}

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

bool port_mutant(enum ph_mutant mutant)
{
#ifdef UNDER_TSAN
    (void)mutant;
    return false;
#else
    ph_active_mutant = mutant;
    return true;
#endif
}

uint64_t port_seed(void)
{
    const char *given = getenv("PH_SEED");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec;
    printf("PH_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}
