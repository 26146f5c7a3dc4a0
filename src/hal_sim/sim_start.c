/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_start.c - threads of <hal.h> on a simulated machine: start one, name the calling one, let it
 * sleep. A file of its own because the port's interface (src/port_hal) has the same names with
 * thread descriptors behind them. Owns nothing.
 */
#include "sim_internal.h"

#include <hal.h>

#include <errno.h>
#include <stdio.h>

tid_t hal_start_thread(void (*thread)(void *arg), void *arg, int flags)
{
    (void)flags;
    return thread != NULL ? sim_start(thread, arg) : -EINVAL;
}

errno_t t_current_set_name(const char *name)
{
    if (name == NULL) {
        return EINVAL;
    }
    (void)sim_here();
    snprintf(sim_self()->name, sizeof(sim_self()->name), "%.15s", name);
    return 0;
}

void hal_sleep_msec(int milliseconds)
{
    struct hal_sim *sim = sim_here();
    int64_t delay = milliseconds > 0 ? milliseconds * INT64_C(1000000) : 0;
    (void)sim_sleep("sleep", NULL, &sim->now_ns, sim->now_ns + (uint64_t)delay);
}
