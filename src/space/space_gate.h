/* SPDX-License-Identifier: Apache-2.0
 *
 * space_gate.h - operations of many threads, and the moment when there is none: the cut.
 *
 * A thread that begins an operation writes one word of its own and reads one that all share;
 * nothing else, no lock, no atomic read-modify-write. A stop writes the shared word, makes every
 * CPU pass a fence, and then waits until no thread's word says that it is inside. A thread that
 * finds a stop in force goes back and sleeps.
 */
#ifndef SPACE_GATE_H
#define SPACE_GATE_H

#include "ph_points.h"

#include <hal.h>

#include <stdbool.h>

/** One thread. Zeroed at first; a cache line of its own. */
struct space_gate_slot {
    _Alignas(64) _Atomic uint32_t inside;
    uint32_t depth;              /* the thread's own: nested operations */
    _Atomic uint64_t operations; /* outermost ones that ended; only the thread adds */
    struct space_gate_slot *next, *previous;
};

struct space_gate {
    _Alignas(64) _Atomic uint32_t stop; /* 1: a stop is wanted or in force. A futex of those who
                                           want to enter */
    _Alignas(64) _Atomic uint32_t left; /* changes when somebody goes out during a stop. A futex of
                                           the one who stops */
    bool cheap;                         /* hal_fence_all() works: entering needs no fence */

    _Atomic uint32_t sleepers; /* threads that may wait for the end of a stop */

    hal_mutex_t registry; /* the list of slots; a leaf */
    hal_mutex_t stopping; /* held from stop to resume */
    struct space_gate_slot *slots;
    uint64_t operations_before; /* of slots that were removed */
};

int space_gate_init(struct space_gate *gate); /* 0 or -ENOMEM */
void space_gate_finish(struct space_gate *gate);

/** From any thread; the slot's thread is not inside. */
void space_gate_add(struct space_gate *gate, struct space_gate_slot *slot);
void space_gate_remove(struct space_gate *gate, struct space_gate_slot *slot);

/** The parts of enter and leave that sleep or wake. */
void space_gate_wait(struct space_gate *gate, struct space_gate_slot *slot);
void space_gate_wake(struct space_gate *gate);

/** Say that we are inside, then look whether we may be: in this order for every other thread. */
static inline bool space_gate_try(struct space_gate *gate, struct space_gate_slot *slot)
{
    if (gate->cheap) {
        atomic_store_explicit(&slot->inside, 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* the other side's fence is on all CPUs */
        PH_POINT("inside, stop not looked at");
        return atomic_load_explicit(&gate->stop, memory_order_acquire) == 0;
    }
    (void)atomic_exchange(&slot->inside, 1);
    PH_POINT("inside, stop not looked at");
    return atomic_load(&gate->stop) == 0;
}

static inline void space_gate_enter(struct space_gate *gate, struct space_gate_slot *slot)
{
    if (slot->depth++ == 0 && __builtin_expect(!space_gate_try(gate, slot), 0)) {
        space_gate_wait(gate, slot);
    }
}

static inline void space_gate_leave(struct space_gate *gate, struct space_gate_slot *slot)
{
    if (--slot->depth != 0) {
        return;
    }
    uint64_t operations = atomic_load_explicit(&slot->operations, memory_order_relaxed);
    atomic_store_explicit(&slot->operations, operations + 1, memory_order_relaxed);
    bool wanted;
    if (gate->cheap) {
        atomic_store_explicit(&slot->inside, 0, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
        PH_POINT("left, stop not looked at");
        wanted = atomic_load_explicit(&gate->stop, memory_order_relaxed) != 0;
    } else {
        (void)atomic_exchange(&slot->inside, 0);
        PH_POINT("left, stop not looked at");
        wanted = atomic_load(&gate->stop) != 0;
    }
    if (__builtin_expect(wanted, 0)) {
        space_gate_wake(gate);
    }
}

/** A stop may happen here, inside an operation. */
static inline void space_gate_safepoint(struct space_gate *gate, struct space_gate_slot *slot)
{
    if (__builtin_expect(atomic_load_explicit(&gate->stop, memory_order_relaxed) != 0, 0)) {
        atomic_store(&slot->inside, 0);
        space_gate_wake(gate);
        if (!space_gate_try(gate, slot)) {
            space_gate_wait(gate, slot);
        }
    }
}

/**
 * Return when no thread is inside; none enters until resume. From a thread that is not inside.
 * Stops of several threads come one after the other. 0, or PHANTOM_ETIMEOUT: nothing is stopped.
 */
int space_gate_stop(struct space_gate *gate, int timeout_ms);
void space_gate_resume(struct space_gate *gate);

/** Operations that ended so far. Any thread. */
uint64_t space_gate_operations(struct space_gate *gate);
/** Some thread is inside now. */
bool space_gate_occupied(struct space_gate *gate);

#endif /* SPACE_GATE_H */
