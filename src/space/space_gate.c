/* SPDX-License-Identifier: Apache-2.0
 *
 * space_gate.c - the slow side of the gate: sleeping, stopping, the list of threads.
 *
 * Locks: stopping before registry. registry is a leaf and is held for a walk of the list only.
 *
 * Why no thread is missed: it says "inside" and then reads `stop`; the stop writes `stop`, passes a
 * fence on all CPUs, and then reads "inside". One of the two sees the other. A thread that is added
 * after the walk of the list began sees `stop`, because the list's lock came between.
 * Why no wake-up is lost: `left` is read before the walk and the sleep ends if it has changed
 * since; who goes out clears "inside" first and changes `left` afterwards.
 */
#include "space_gate.h"

#include "ph_mutant.h"
#include "ph_points.h"

#include <phantom/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

int space_gate_init(struct space_gate *gate)
{
    memset(gate, 0, sizeof(*gate));
    if (hal_mutex_init(&gate->registry, "space threads") != 0) {
        return -ENOMEM;
    }
    if (hal_mutex_init(&gate->stopping, "space stop") != 0) {
        hal_mutex_destroy(&gate->registry);
        return -ENOMEM;
    }
    gate->cheap = hal_fence_all_prepare() == 0;
    return 0;
}

void space_gate_finish(struct space_gate *gate)
{
    hal_mutex_destroy(&gate->stopping);
    hal_mutex_destroy(&gate->registry);
}

void space_gate_add(struct space_gate *gate, struct space_gate_slot *slot)
{
    hal_mutex_lock(&gate->registry);
    slot->previous = NULL;
    slot->next = gate->slots;
    if (gate->slots != NULL) {
        gate->slots->previous = slot;
    }
    gate->slots = slot;
    hal_mutex_unlock(&gate->registry);
}

void space_gate_remove(struct space_gate *gate, struct space_gate_slot *slot)
{
    hal_mutex_lock(&gate->registry);
    if (slot->previous != NULL) {
        slot->previous->next = slot->next;
    } else {
        gate->slots = slot->next;
    }
    if (slot->next != NULL) {
        slot->next->previous = slot->previous;
    }
    gate->operations_before += atomic_load_explicit(&slot->operations, memory_order_relaxed);
    hal_mutex_unlock(&gate->registry);
}

void space_gate_wake(struct space_gate *gate)
{
    if (PH_MUTANT(GATE_WAKE_LOST)) {
        return;
    }
    atomic_fetch_add(&gate->left, 1);
    PH_POINT("counted as left");
    hal_futex_wake(&gate->left, INT_MAX);
}

void space_gate_wait(struct space_gate *gate, struct space_gate_slot *slot)
{
    if (PH_MUTANT(GATE_ENTERED_STOPPED)) {
        return;
    }
    do {
        atomic_store(&slot->inside, 0); /* the one who stops may have seen us */
        space_gate_wake(gate);
        atomic_fetch_add(&gate->sleepers, 1); /* before stop is looked at */
        PH_POINT("a sleeper");
        while (atomic_load(&gate->stop) != 0) {
            (void)hal_futex_wait(&gate->stop, 1, -1);
        }
        atomic_fetch_sub(&gate->sleepers, 1);
    } while (!space_gate_try(gate, slot));
}

bool space_gate_occupied(struct space_gate *gate)
{
    bool occupied = false;
    hal_mutex_lock(&gate->registry);
    for (struct space_gate_slot *slot = gate->slots; slot != NULL; slot = slot->next) {
        occupied = occupied || atomic_load(&slot->inside) != 0;
        PH_POINT("slot looked at");
    }
    hal_mutex_unlock(&gate->registry);
    return occupied;
}

/** Sleep until nobody is inside. 0 or ETIMEDOUT */
static errno_t wait_until_empty(struct space_gate *gate, int timeout_ms)
{
    uint64_t deadline = hal_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        uint32_t seen = atomic_load(&gate->left);
        if (!space_gate_occupied(gate)) {
            return 0;
        }
        uint64_t now = hal_monotonic_ns();
        if (now >= deadline) {
            return ETIMEDOUT;
        }
        if (hal_futex_wait(&gate->left, seen, (int64_t)(deadline - now)) != 0) {
            return ETIMEDOUT;
        }
    }
}

int space_gate_stop(struct space_gate *gate, int timeout_ms)
{
    hal_mutex_lock(&gate->stopping);
    atomic_store(&gate->stop, 1);
    PH_POINT("stop is wanted");
    if (gate->cheap && !PH_MUTANT(GATE_NOT_FENCED)) {
        hal_fence_all();
    }
    if (wait_until_empty(gate, timeout_ms) != 0) {
        space_gate_resume(gate);
        return PHANTOM_ETIMEOUT;
    }
    return 0;
}

void space_gate_resume(struct space_gate *gate)
{
    atomic_store(&gate->stop, 0);
    PH_POINT("stop is over");
    if (atomic_load(&gate->sleepers) != 0) { /* who is counted later sees that nothing is stopped */
        hal_futex_wake(&gate->stop, INT_MAX);
    }
    hal_mutex_unlock(&gate->stopping);
}

uint64_t space_gate_operations(struct space_gate *gate)
{
    hal_mutex_lock(&gate->registry);
    uint64_t operations = gate->operations_before;
    for (struct space_gate_slot *slot = gate->slots; slot != NULL; slot = slot->next) {
        operations += atomic_load_explicit(&slot->operations, memory_order_relaxed);
    }
    hal_mutex_unlock(&gate->registry);
    return operations;
}
