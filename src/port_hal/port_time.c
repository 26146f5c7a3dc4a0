/* SPDX-License-Identifier: Apache-2.0
 *
 * port_time.c - the port's names of the clocks. (hal_system_time and fast_time: hal_time.c of room
 * hal_posix; the sleep: port_threads.c, because a kill ends it.)
 */
#include "port_internal.h"

#include <limits.h>
#include <ph_time.h>

bigtime_t hal_system_time_lores(void)
{
    return hal_system_time();
}

bigtime_t hal_local_time(void)
{
    return (bigtime_t)(hal_wall_time_ns() / 1000);
}

void phantom_wakeup_after_msec(long msec)
{
    while (msec > INT_MAX) {
        hal_sleep_msec(INT_MAX);
        msec -= INT_MAX;
    }
    hal_sleep_msec(msec < 0 ? 0 : (int)msec);
}

int hal_time_init(void)
{
    return 0;
}
