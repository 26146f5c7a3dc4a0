/* SPDX-License-Identifier: Apache-2.0
 *
 * port_halt.c - how it ends: panic, shutdown, reset; and how it begins: the records of INIT_ME.
 *
 * Owns the list of init records, which constructors fill before main(): process-wide by nature.
 */
#include "port_internal.h"
#include "port_state.h"

#include <console.h>
#include <genode_misc.h>
#include <kernel/dpc.h>
#include <kernel/init.h>
#include <kernel/trap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHUTDOWN_PATIENCE_MS = 2000, MOST_PANICS = 64 };

static void say(const char *text)
{
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        text += written;
        length -= (size_t)written;
    }
}

__attribute__((format(printf, 1, 2))) void panic(const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    say("\nPanic: ");
    say(message);
    say("\n");
    /* Not port_thread(): making one may be what failed. */
    struct port_thread *thread = port_thread_if_any();
    if (thread != NULL && thread->hal->options.on_panic != NULL && thread->panics < MOST_PANICS) {
        thread->panics++; /* of a hook that panics itself, the stack must not be used up */
        thread->hal->options.on_panic(thread->hal->options.context, message);
    }
    abort();
}

void hal_assert_failed(const char *file, int line)
{
    panic("assertion failed at %s:%d", file, line);
}

void _stub_print_func(const char *function)
{
    ph_log(PH_LOG_INFO, "%s does nothing here", function);
}

void hal_halt(void)
{
    panic("halt");
}

int trap_panic(struct trap_state *ts)
{
    (void)ts;
    panic("trap");
}

void phantom_kernel_trap(struct trap_state *ts)
{
    (void)ts;
    panic("trap in the machine");
}

int phantom_check_user_trap(struct trap_state *ts)
{
    (void)ts;
    return 1;
}

void dump_ss(struct trap_state *st)
{
    (void)st;
    say("trap state: nothing is known\n");
}

void hal_cpu_reset_real(void)
{
    struct phantom_hal *instance = port_hal();
    if (instance->options.on_exit != NULL) {
        instance->options.on_exit(instance->options.context, 1);
    }
    _exit(0);
}

/* Who comes first ends the instance. False: that is done already, by the calling thread, which is
 * back from within. Whoever comes second waits for the end of the process. */
static bool is_first(struct phantom_hal *instance)
{
    struct port_thread *nobody = NULL;
    if (atomic_compare_exchange_strong(&instance->ended_by, &nobody, port_thread())) {
        return true;
    }
    while (nobody != port_thread()) {
        (void)pause();
    }
    return false;
}

/* True: done. */
static bool sync_all(struct phantom_hal *instance)
{
    port_stats_store(instance);
    if (instance->options.on_sync == NULL) {
        return port_last_snapshot() == 0; /* it says why not */
    }
    instance->options.on_sync(instance->options.context);
    return true;
}

void phantom_shutdown(int flags)
{
    struct phantom_hal *instance = port_hal();
    bool good = true;
    if (is_first(instance)) {
        port_timers_halt(instance);
        if (!port_dpc_halt(instance, SHUTDOWN_PATIENCE_MS)) {
            say("shutdown: a deferred call is still going on\n");
        }
        if ((flags & PHANTOM_SHUTDOWN_FLAG_NOSYNC) == 0) {
            good = sync_all(instance);
        }
    }
    errno_t rc = port_disks_fence(instance);
    if (rc != 0) {
        say("shutdown: a disk could not be flushed\n");
    }
    phantom_console_flush();
    if (instance->options.on_exit != NULL) {
        instance->options.on_exit(instance->options.context,
                                  (flags & PHANTOM_SHUTDOWN_FLAG_REBOOT) != 0);
    }
    exit(good && rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* ---- init records --------------------------------------------------------------------------- */

static struct init_record *first_record;

void register_init_record(struct init_record *record)
{
    struct init_record **end = &first_record;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = record;
}

static void run_one(void (**function)(void), int *done)
{
    if (*function != NULL && *done == 0) {
        *done = 1;
        (*function)();
    }
}

void run_init_functions(int level)
{
    for (struct init_record *record = first_record; record != NULL; record = record->next) {
        switch (level) {
        case INIT_LEVEL_PREPARE: run_one(&record->init_1, &record->flags_1); break;
        case INIT_LEVEL_INIT: run_one(&record->init_2, &record->flags_2); break;
        case INIT_LEVEL_LATE: run_one(&record->init_3, &record->flags_3); break;
        default: break;
        }
    }
}

void phantom_init_part_pool(void)
{
}
