/* SPDX-License-Identifier: Apache-2.0
 * One thing starts the next, as in the port's network code: a periodic timed call triggers a DPC,
 * the DPC arms a net timer, whose callback may block. Counted with the machine's counters. */
#include "ported.h"

#include <hal.h>
#include <kernel/dpc.h>
#include <kernel/net_timer.h>
#include <kernel/stats.h>
#include <kernel/timedcall.h>

enum { ROUNDS = 5, COUNTER = 100 };

static dpc_request deferred;
static net_timer_event event;
static hal_sem_t rung;

static void ring(void *arg)
{
    (void)arg;
    hal_sleep_msec(1);
    STAT_INC_CNT(COUNTER);
    hal_sem_release(&rung);
}

static void arm(void *arg)
{
    set_net_timer(&event, 1, ring, arg, NET_TIMER_PENDING_IGNORE);
}

static void tick(void *arg)
{
    dpc_request_trigger(&deferred, arg);
}

int ported_clockwork(void)
{
    static timedcall_t clock = {tick, 0, 2, 0, 0, {0, 0}, 0};
    struct kernel_stats before, after;
    if (hal_sem_init(&rung, "rung") != 0 || get_stats_record(COUNTER, &before) != 0) {
        return 1;
    }
    dpc_init();
    dpc_request_init(&deferred, arm);
    bigtime_t begin = hal_system_time();
    phantom_request_timed_call(&clock, TIMEDCALL_FLAG_PERIODIC);
    for (int i = 0; i < ROUNDS; i++) {
        hal_sem_acquire(&rung);
    }
    bigtime_t took = hal_system_time() - begin;
    phantom_undo_timed_call(&clock);
    dpc_finish();
    cancel_net_timer(&event);
    if (get_stats_record(COUNTER, &after) != 0 || after.total - before.total < ROUNDS) {
        return 2;
    }
    return took >= 4000 ? 0 : 3; /* the first after 2 ms, 1 ms and 1 ms */
}
