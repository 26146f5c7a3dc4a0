/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/net_timer.h - timers whose callback may block, names of the Genode port. Stability: kept.
 *
 * @threads any, callbacks too. Nothing here blocks, but a callback may.
 */
#ifndef PHANTOM_PORT_KERNEL_NET_TIMER_H
#define PHANTOM_PORT_KERNEL_NET_TIMER_H

#include <phantom_types.h>

#define NET_TIMER_PENDING_IGNORE 1 /* an event that is pending is left as it is, with an error */

/** Called with args on a worker thread of the instance, perhaps several at once; may block. */
typedef void (*net_timer_callback)(void *args);

/** Memory of the caller, zero before its first use; it stays where it is while pending. */
struct net_timer_event {
    struct net_timer_event *next;
    struct net_timer_event *prev;
    net_timer_callback func;
    void *args;
    bigtime_t sched_time; /* hal_system_time() at which it is due */
    bool pending;
};
typedef struct net_timer_event net_timer_event;

_Static_assert(sizeof(net_timer_event) == 48, "the port's layout");

/**
 * Call callback(args) once in delay_ms milliseconds or more, on a worker thread; it may block
 * without delaying other events. The event is not pending any more when its callback begins, and
 * not touched afterwards, so the callback may arm it again or free it.
 *
 * @param flags  NET_TIMER_PENDING_IGNORE; without it a pending event is armed anew
 * @return 0; -1: it is pending and was to be left so, or the end has begun (phantom_shutdown(),
 *         phantom_hal_destroy()), or no thread could be started; nothing changed
 */
int set_net_timer(net_timer_event *e, unsigned int delay_ms, net_timer_callback callback,
                  void *args, int flags);
/** Disarm it; does not wait for a callback that runs. @return 0: the callback will not be called;
 *  -1: it was not pending (the callback may be running at this moment) */
int cancel_net_timer(net_timer_event *e);

#endif /* PHANTOM_PORT_KERNEL_NET_TIMER_H */
