/* SPDX-License-Identifier: Apache-2.0
 *
 * port_alarm_uv.c - the alarm of port_machine.h as a libuv loop.
 *
 * Owns the loop. Only the thread that runs it touches its handles; others set `stop` and send.
 */
#include "port_machine.h"

#include "../hal/hal_ours.h"
#include "ph_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <uv.h>

struct port_alarm {
    const struct port_alarm_calls *calls;
    void *context;
    atomic_bool stop;
    bool closed;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t next, second;
};

static void on_next(uv_timer_t *handle);

/* Sleep until the next time. */
static void set_alarm(struct port_alarm *alarm)
{
    uint64_t first = alarm->calls->next(alarm->context);
    if (first == UINT64_MAX) {
        (void)uv_timer_stop(&alarm->next);
        return;
    }
    uint64_t now = hal_monotonic_ns() / 1000;
    uint64_t delay_ms = first > now ? (first - now + 999) / 1000 : 0;
    uv_update_time(&alarm->loop);
    (void)uv_timer_start(&alarm->next, on_next, delay_ms, 0);
}

static void on_next(uv_timer_t *handle)
{
    struct port_alarm *alarm = handle->data;
    alarm->calls->due(alarm->context);
    set_alarm(alarm);
}

static void on_second(uv_timer_t *handle)
{
    struct port_alarm *alarm = handle->data;
    alarm->calls->second(alarm->context);
}

static void close_handles(struct port_alarm *alarm)
{
    uv_close((uv_handle_t *)&alarm->wake, NULL);
    uv_close((uv_handle_t *)&alarm->next, NULL);
    uv_close((uv_handle_t *)&alarm->second, NULL);
    alarm->closed = true;
}

static void on_wake(uv_async_t *handle)
{
    struct port_alarm *alarm = handle->data;
    if (atomic_load(&alarm->stop)) {
        close_handles(alarm);
    } else {
        set_alarm(alarm);
    }
}

int port_alarm_open(const struct port_alarm_calls *calls, void *context, struct port_alarm **out)
{
    struct port_alarm *alarm = ph_zalloc(1, sizeof(*alarm));
    if (alarm == NULL) {
        return ENOMEM;
    }
    alarm->calls = calls;
    alarm->context = context;
    int rc = uv_loop_init(&alarm->loop);
    if (rc == 0) {
        rc = uv_async_init(&alarm->loop, &alarm->wake, on_wake);
        if (rc != 0) {
            (void)uv_loop_close(&alarm->loop);
        }
    }
    if (rc != 0) {
        ph_free(alarm);
        return -rc;
    }
    (void)uv_timer_init(&alarm->loop, &alarm->next);
    (void)uv_timer_init(&alarm->loop, &alarm->second);
    alarm->wake.data = alarm;
    alarm->next.data = alarm;
    alarm->second.data = alarm;
    (void)uv_timer_start(&alarm->second, on_second, 1000, 1000);
    *out = alarm;
    return 0;
}

void port_alarm_run(struct port_alarm *alarm)
{
    (void)uv_run(&alarm->loop, UV_RUN_DEFAULT); /* until all handles are closed */
}

void port_alarm_look(struct port_alarm *alarm)
{
    (void)uv_async_send(&alarm->wake);
}

void port_alarm_stop(struct port_alarm *alarm)
{
    atomic_store(&alarm->stop, true);
    (void)uv_async_send(&alarm->wake);
}

void port_alarm_close(struct port_alarm *alarm)
{
    if (!alarm->closed) {
        close_handles(alarm);
        (void)uv_run(&alarm->loop, UV_RUN_DEFAULT);
    }
    (void)uv_loop_close(&alarm->loop);
    ph_free(alarm);
}
