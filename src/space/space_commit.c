/* SPDX-License-Identifier: Apache-2.0
 *
 * space_commit.c - the durable side of the public interface: snapshots, commits, tickets, counters.
 *
 * Who is the leader (space_group.h) has the engine and the store to himself. lock guards what is
 * told to others.
 */
#include "space_internal.h"

#include <phantom/runtime.h>

#include "ph_memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- callbacks of the host ----------------------------------------------------------------------
 */

/** Something that each thread has at an address of its own. Never written. */
static const void *this_thread(void)
{
    static _Thread_local const char here;
    return &here;
}

void space_callback_begin(struct phantom_space *space, struct space_callback *callback)
{
    callback->thread = this_thread();
    hal_mutex_lock(&space->lock);
    callback->next = atomic_load(&space->callbacks);
    atomic_store(&space->callbacks, callback);
    hal_mutex_unlock(&space->lock);
}

void space_callback_end(struct phantom_space *space, struct space_callback *callback)
{
    hal_mutex_lock(&space->lock);
    struct space_callback *at = atomic_load(&space->callbacks);
    if (at == callback) {
        atomic_store(&space->callbacks, callback->next);
    } else {
        while (at->next != callback) {
            at = at->next;
        }
        at->next = callback->next;
    }
    hal_mutex_unlock(&space->lock);
}

bool space_is_in_callback(struct phantom_space *space)
{
    if (atomic_load_explicit(&space->callbacks, memory_order_relaxed) == NULL) {
        return false; /* ours would be seen: this thread has put it there */
    }
    bool found = false;
    hal_mutex_lock(&space->lock);
    for (struct space_callback *at = atomic_load(&space->callbacks); at != NULL; at = at->next) {
        found = found || at->thread == this_thread();
    }
    hal_mutex_unlock(&space->lock);
    return found;
}

void space_message(struct phantom_space *space, const char *format, ...)
{
    if (space->options.message == NULL) {
        return;
    }
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct space_callback callback;
    space_callback_begin(space, &callback);
    space->options.message(space->options.context, text);
    space_callback_end(space, &callback);
}

/* ---- what the engine asks -----------------------------------------------------------------------
 */

int space_stop(void *context, int timeout_ms)
{
    struct phantom_space *space = context;
    int rc = space_gate_stop(&space->gate, timeout_ms);
    if (rc == 0) {
        /* The cut: who joined so far has ended what he asks for. */
        atomic_store(&space->operations_at_cut, space_gate_operations(&space->gate));
        space_group_close_round(&space->group);
    }
    return rc;
}

void space_resume(void *context)
{
    struct phantom_space *space = context;
    space_gate_resume(&space->gate);
}

uint64_t space_pages(void *context)
{
    struct phantom_space *space = context;
    return space_alloc_pages(space->alloc);
}

/* ---- one snapshot ---------------------------------------------------------------------------- */

static void note_success(struct phantom_space *space, const struct snap_report *report,
                         struct phantom_generation *generation)
{
    snap_generation_view(&report->generation, generation);
    struct phantom_space_counters *counters = &space->counters;
    hal_mutex_lock(&space->lock);
    space->last_generation = *generation;
    counters->generations++;
    counters->pages += report->generation.pages_written;
    counters->pause_ns += report->pause_ns;
    if (report->pause_ns > counters->pause_max_ns) {
        counters->pause_max_ns = report->pause_ns;
    }
    hal_mutex_unlock(&space->lock);
}

static void note_failure(struct phantom_space *space, const struct phantom_diag *diag)
{
    hal_mutex_lock(&space->lock);
    space->diag = *diag;
    space->counters.refused++;
    hal_mutex_unlock(&space->lock);
}

/** Tell the host about a refused snapshot: the first of a row, and the end of the row. */
static void report_outcome(struct phantom_space *space, int result, const struct phantom_diag *diag)
{
    bool refused = result < 0 && result != PHANTOM_EPOISONED; /* the next one may succeed */
    if (refused && !space->refusal_reported) {
        space_message(space, "%s: snapshot refused: %s", space->path, diag->text);
    } else if (result == 0 && space->refusal_reported) {
        space_message(space, "%s: snapshots go on", space->path);
    } else if (result == PHANTOM_EPOISONED && !atomic_load(&space->poisoned)) {
        space_message(space, "%s: snapshot failed: %s", space->path, diag->text);
    }
    space->refusal_reported = refused;
}

int space_take_snapshot(void *context)
{
    struct phantom_space *space = context;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_report report;
    uint64_t before = atomic_load(&space->operations_at_cut);
    int result = snap_engine_snapshot(space->engine, &report, &diag);
    struct phantom_generation generation;
    if (result == 0 && report.unchanged) {
        /* The last generation holds it all already. */
    } else if (result == 0) {
        if (!atomic_exchange(&space->unsealed, true)) {
            space_helper_poke(space);
        }
        note_success(space, &report, &generation);
    } else {
        atomic_store(&space->operations_at_cut, before);
        note_failure(space, &diag);
    }
    report_outcome(space, result, &diag);
    if (result == PHANTOM_EPOISONED) {
        atomic_store(&space->poisoned, true);
    }
    if (result == 0 && !report.unchanged && space->options.committed != NULL) {
        struct space_callback callback;
        space_callback_begin(space, &callback);
        space->options.committed(space->options.context, &generation);
        space_callback_end(space, &callback);
    }
    return result;
}

bool space_changed(struct phantom_space *space)
{
    return space_gate_operations(&space->gate) != atomic_load(&space->operations_at_cut);
}

/* ---- public ---------------------------------------------------------------------------------- */

/** What is checked before anybody may wait. */
static int may_commit(const struct phantom_space *space)
{
    if (atomic_load_explicit(space->forked, memory_order_relaxed)) {
        return PHANTOM_EFORKED;
    }
    if (space_is_inside(space)) {
        return PHANTOM_EINVALID;
    }
    return atomic_load(&space->poisoned) ? PHANTOM_EPOISONED : 0;
}

/** The same for calls that wait. */
static int may_wait(struct phantom_space *space)
{
    int rc = may_commit(space);
    return rc != PHANTOM_EFORKED && space_is_in_callback(space) ? PHANTOM_EINVALID : rc;
}

int phantom_space_commit(struct phantom_space *space)
{
    int rc = may_wait(space);
    return rc == 0 ? space_group_commit(&space->group) : rc;
}

int phantom_space_snapshot(struct phantom_space *space, struct phantom_generation *out)
{
    int rc = may_wait(space);
    rc = rc == 0 ? space_group_hold(&space->group) : rc;
    if (rc != 0) {
        return rc;
    }
    rc = space_group_commit(&space->group);
    if (rc == 0 && out != NULL) {
        hal_mutex_lock(&space->lock);
        *out = space->last_generation;
        hal_mutex_unlock(&space->lock);
    }
    space_group_let_go(&space->group);
    return rc;
}

int phantom_space_commit_begin(struct phantom_space *space, struct phantom_space_ticket *ticket)
{
    int rc = may_commit(space);
    return rc == 0 ? space_group_join(&space->group, &ticket->round) : rc;
}

int phantom_space_wait(struct phantom_space *space, struct phantom_space_ticket ticket,
                       int timeout_ms)
{
    int rc = timeout_ms != 0 ? may_wait(space) : may_commit(space);
    if (rc != 0 && rc != PHANTOM_EPOISONED) { /* what was durable before stays it */
        return rc;
    }
    return space_group_wait(&space->group, ticket.round, timeout_ms);
}

/** A phantom_space_when_safe() of the host; the group frees it by its first member. */
struct safe_call {
    struct space_safe_call call;
    struct phantom_space *space;
    void (*safe)(void *context, int result);
    void *context;
};

static void call_host(void *context, int result)
{
    struct safe_call *call = context;
    struct space_callback callback;
    space_callback_begin(call->space, &callback);
    call->safe(call->context, result);
    space_callback_end(call->space, &callback);
}

int phantom_space_when_safe(struct phantom_space *space, void (*safe)(void *context, int result),
                            void *context)
{
    int rc = may_commit(space);
    if (rc != 0) {
        return rc;
    }
    struct safe_call *call = ph_zalloc(1, sizeof(*call));
    if (call == NULL) {
        return -ENOMEM;
    }
    *call = (struct safe_call){.call = {.safe = call_host, .context = call},
                               .space = space,
                               .safe = safe,
                               .context = context};
    rc = space_group_call(&space->group, &call->call);
    if (rc != 0) {
        ph_free(call);
    }
    return rc;
}

void phantom_space_message(struct phantom_space *space, struct phantom_diag *out)
{
    if (atomic_load(space->forked)) {
        (void)ph_fail(out, PHANTOM_EFORKED, "%s", phantom_strerror(PHANTOM_EFORKED));
        return;
    }
    hal_mutex_lock(&space->lock);
    struct phantom_diag copy = space->diag;
    hal_mutex_unlock(&space->lock);
    (void)ph_fail(out, 0, "%s", copy.text);
}

int phantom_space_counters(struct phantom_space *space, struct phantom_space_counters *out)
{
    if (atomic_load(space->forked)) {
        return PHANTOM_EFORKED;
    }
    if (out->size < sizeof(out->size) || out->size > sizeof(*out)) {
        return PHANTOM_EINVALID;
    }
    hal_mutex_lock(&space->lock);
    struct phantom_space_counters counters = space->counters;
    hal_mutex_unlock(&space->lock);
    hal_mutex_lock(&space->group.lock);
    counters.acknowledged = space->group.acknowledged;
    hal_mutex_unlock(&space->group.lock);
    counters.operations = space_gate_operations(&space->gate);
    counters.size = out->size;
    memcpy(out, &counters, out->size);
    return 0;
}

int phantom_space_snapshot_counters(struct phantom_space *space, struct phantom_counters *out)
{
    struct snap_counters counters;
    struct phantom_counters all;
    if (atomic_load(space->forked)) {
        return PHANTOM_EFORKED;
    }
    if (out->size < sizeof(out->size) || out->size > sizeof(all)) {
        return PHANTOM_EINVALID;
    }
    snap_engine_counters(space->engine, &counters);
    snap_counters_view(&counters, &all);
    all.size = out->size;
    memcpy(out, &all, out->size);
    return 0;
}
