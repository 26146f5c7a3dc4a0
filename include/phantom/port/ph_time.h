/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_time.h - clocks. Stability: kept from the Genode port.
 *
 * @threads any. Only phantom_wakeup_after_msec() blocks.
 */
#ifndef PHANTOM_PORT_PH_TIME_H
#define PHANTOM_PORT_PH_TIME_H

#include "phantom_types.h"

/** Seconds since 1970 on the wall clock, which may be set. Never blocks. @threads any */
time_t fast_time(void);
/** Sleep at least that long in the calling thread, as hal_sleep_msec(): the name promises a
 *  wake-up, but in the port, too, it is the caller who sleeps. Blocks; does not return in a thread
 *  that was asked to end. */
void phantom_wakeup_after_msec(long msec);
/** Microseconds on a monotonic clock; zero is arbitrary and differs between runs. Never blocks.
 *  @threads any */
bigtime_t hal_system_time(void);

#endif /* PHANTOM_PORT_PH_TIME_H */
