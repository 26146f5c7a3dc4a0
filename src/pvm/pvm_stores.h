/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_stores.h - telling of stores into the heap (heap.h, struct heap_stores).
 *
 * Strategies that see no page faults (`epoch`, `cards`) know only what they are told. So each store
 * of this room into an object is between pvm_before() and pvm_after() with bytes that cover it;
 * a few stores may share a pair. No safepoint, and no end of a slice, lies between the two. What
 * the heap room stores (headers, zeroes, bits) it tells itself.
 *
 * The cells of a frame are stored by nearly every instruction: pvm_exec() tells before it enters a
 * frame and after it has left it. A cut finds every worker outside of pvm_exec(), and so finds
 * every frame told.
 *
 * The whole frame is told, not only the cells that were stored. What a verified method needs at
 * most is known, and is all that its frame has; only frames that had to be widened are larger. The
 * word before a store must come before the depth is known. *Not taken*: a high-water mark of the
 * depth, which each push would have to keep, for the sake of pages that a widened frame has and
 * does not use.
 */
#ifndef PVM_STORES_H
#define PVM_STORES_H

#include "ph_mutant.h"
#include "pvm_internal.h"

static inline void pvm_before(const struct pvm *pvm, const void *start, uint64_t bytes)
{
    heap_before_store(pvm->stores, start, bytes);
}

static inline void pvm_after(const struct pvm *pvm, const void *start, uint64_t bytes)
{
    heap_after_store(pvm->stores, start, bytes);
}

/** heap_store_ref(), told. */
static inline void pvm_store_ref(const struct pvm *pvm, pvm_object_t *slot, pvm_object_t value)
{
    if (PH_MUTANT(STORE_TOLD_LATE)) {
        heap_store_ref(slot, value);
    }
    pvm_before(pvm, slot, sizeof(*slot));
    if (PH_MUTANT(STORE_TOLD_EARLY)) {
        pvm_after(pvm, slot, sizeof(*slot));
    }
    heap_store_ref(slot, value);
    if (!PH_MUTANT(STORE_TOLD_EARLY)) {
        pvm_after(pvm, slot, sizeof(*slot));
    }
}

/** PVM_STORE() of a number, told. */
#define PVM_STORE_TOLD(pvm, place, value)                                                          \
    do {                                                                                           \
        pvm_before((pvm), (place), sizeof(*(place)));                                              \
        PVM_STORE((place), (value));                                                               \
        pvm_after((pvm), (place), sizeof(*(place)));                                               \
    } while (0)

/* The fields of a data area. */
#define PVM_BEFORE(pvm, area) pvm_before((pvm), (area), sizeof(*(area)))
#define PVM_AFTER(pvm, area)  pvm_after((pvm), (area), sizeof(*(area)))

#endif /* PVM_STORES_H */
