/* SPDX-License-Identifier: Apache-2.0 */
#include "port_fixture.h"

#include <stdio.h>
#include <stdlib.h>
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
    phantom_hal_usage(&usage);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(instance), 0); /* waits for its threads */
    assert_int_equal(usage.phys_pages_used, 0);
    assert_int_equal(usage.window_pages_used, 0);
    assert_int_equal(usage.disk_requests, 0);
}

int port_setup(void **state)
{
    ph_active_mutant = PH_MUTANT_NONE;
    *state = port_begin(NULL);
    return 0;
}

int port_teardown(void **state)
{
    ph_active_mutant = PH_MUTANT_NONE;
    port_end(*state);
    return 0;
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
