/* SPDX-License-Identifier: Apache-2.0 */
#include "port_fixture.h"

#ifdef TEST_ON_SIM
#include "port_internal.h"
#include "port_on_sim.h"
#endif

#include <threads.h>

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

#ifdef TEST_ON_SIM
static void panicked(void *context, const char *message)
{
    (void)context;
    machine_failed("panic", 0, message);
}
#endif

int port_setup(void **state)
{
    struct phantom_hal_options options;
    phantom_hal_options_init(&options);
#ifdef TEST_ON_SIM
    options.on_panic = panicked;
#endif
    *state = port_begin(&options);
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

#ifdef TEST_ON_SIM
const struct machine_hooks port_hooks = {port_on_sim_begin, port_default_end};
#else
const struct machine_hooks port_hooks = {NULL, NULL};
#endif
