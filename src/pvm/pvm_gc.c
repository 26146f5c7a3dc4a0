/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_gc.c - what the collector needs to know about objects, and when to collect.
 *
 * Life begins at the root object; live threads hang off it, and a thread reports its whole stack
 * from the depths stored in its frames. Collections run with the world stopped at safepoints, where
 * no reference lives outside of the heap except in caches that the collection empties.
 */
#include "pvm_exec.h"

#include "ph_log.h"

static void visit(pvm_object_t o, void *visitor)
{
    heap_visit(visitor, o);
}

void pvm_trace_object(void *context, pvm_object_t o, struct heap_visitor *visitor)
{
    (void)context;
    uint32_t flags = pvm_flags(o);
    if (flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE) {
        return;
    }
    if (!(flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL)) {
        uint64_t n = pvm_slot_count(o);
        for (uint64_t i = 0; i < n; i++) {
            heap_visit(visitor, pvm_slots(o)[i]);
        }
        return;
    }
    uint32_t row = pvm_object_da(o->_class, class)->sys_table_id;
    if (row < (uint32_t)pvm_n_internal_classes && pvm_internal_classes[row].iter) {
        pvm_internal_classes[row].iter(visit, o, visitor);
    }
}

static void finalize(void *context, pvm_object_t o)
{
    (void)context;
    uint32_t row = pvm_object_da(o->_class, class)->sys_table_id;
    if (row < (uint32_t)pvm_n_internal_classes && pvm_internal_classes[row].finalizer) {
        pvm_internal_classes[row].finalizer(o);
    }
}

static uint64_t threshold(const struct pvm *pvm)
{
    const uint64_t least = UINT64_C(32) << 20;
    if (pvm->options.gc_threshold_bytes) {
        return pvm->options.gc_threshold_bytes;
    }
    uint64_t live = PVM_LOAD(&pvm->live_bytes_after_collect);
    return live > least ? live : least;
}

void pvm_collect_if_due(struct pvm *pvm)
{
    if (heap_allocated_since_collect(pvm->heap) >= threshold(pvm)) {
        __atomic_store_n(&pvm->collect_wanted, 1, __ATOMIC_SEQ_CST);
        pvm_set_poll(pvm);
    }
}

bool pvm_heap_exhausted(struct pvm *pvm)
{
    const uint64_t worth_it = 256 * 1024;
    if (PVM_LOAD(&pvm->collect_failed)) {
        return true;
    }
    if (heap_allocated_since_collect(pvm->heap) >= worth_it) {
        return false;
    }
    /* Little was allocated since, but everything may have become garbage: each answer "exhausted"
     * costs one collection, so that a program that drops what it kept can go on. */
    return __atomic_exchange_n(&pvm->collected, 0, __ATOMIC_SEQ_CST) != 0;
}

uint64_t pvm_collect(struct pvm *pvm)
{
    struct heap_collect_report report = {0};
    uint64_t start = hal_monotonic_ns();
    int rc = heap_collect(pvm->heap, pvm_trace_object, finalize, pvm, &report);
    PVM_STORE(&pvm->collect_failed, rc != 0);
    __atomic_store_n(&pvm->collected, 1, __ATOMIC_SEQ_CST);
    if (rc != 0) {
        ph_log(PH_LOG_WARNING, "collection failed: %s", phantom_strerror(rc));
        return 0;
    }
    pvm_methods_forget_freed(pvm);
    PVM_STORE(&pvm->live_bytes_after_collect, report.live_bytes);
    return hal_monotonic_ns() - start + 1;
}
