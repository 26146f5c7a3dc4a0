/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_thread.c - birth and end of VM threads, and how the collector sees them.
 *
 * Every live thread is in the list that starts in root slot THREAD_LIST; the list, and the states
 * of the threads in it, are protected by the VM lock. A thread that ends leaves the list and drops
 * its stack at once; its object stays while the program refers to it.
 */
#include "pvm_exec.h"
#include "pvm_stores.h"

#include "ph_check.h"

static struct data_area_4_thread *da_of(pvm_object_t thread)
{
    return pvm_object_da(thread, thread);
}

/** The first frame; NULL: *failure is set. */
static bool first_frame(struct pvm_worker *worker, pvm_object_t thread, pvm_object_t this_object,
                        uint32_t ordinal, uint32_t n_args, pvm_object_t *args)
{
    pvm_object_t class = this_object->_class;
    pvm_object_t interface = pvm_object_da(class, class)->object_default_interface;
    pvm_object_t code = NULL;
    if (ordinal < pvm_slot_count(interface)) {
        code = heap_load_ref(&pvm_slots(interface)[ordinal]);
    }
    if (code == NULL || !(pvm_flags(code) & PHANTOM_OBJECT_STORAGE_FLAG_IS_CODE)) {
        char name[256];
        pvm_throw_text(worker, "no such method: %u of %s", ordinal,
                       pvm_class_name_text(class, name, sizeof(name)));
        return false;
    }
    const struct pvm_method *m = pvm_method_of(worker, code);
    PVM_BEFORE(worker->pvm, da_of(thread));
    bool pushed = m && pvm_frame_push(worker, da_of(thread), m, code, this_object, ordinal, n_args,
                                      args, PVM_FRAME_ENTRY);
    PVM_AFTER(worker->pvm, da_of(thread));
    return pushed;
}

static void link_first(struct pvm *pvm, pvm_object_t thread)
{
    pvm_object_t *head = &pvm_slots(pvm->root)[PVM_ROOT_OBJECT_THREAD_LIST];
    pvm_object_t first = heap_load_ref(head);
    pvm_store_ref(pvm, &da_of(thread)->next, first);
    if (first) {
        pvm_store_ref(pvm, &da_of(first)->prev, thread);
    }
    pvm_store_ref(pvm, head, thread);
}

/** Into the list of live threads, with a number. False: worker->thrown is set. */
static bool enlist(struct pvm_worker *worker, pvm_object_t thread)
{
    struct pvm *pvm = worker->pvm;
    bool too_many = false;
    (void)hal_mutex_lock(&pvm->lock);
    int rc = 0;
    if (pvm->threads_live >= pvm->options.max_threads) {
        too_many = true;
    } else if ((rc = pvm_sched_reserve(pvm, pvm->threads_live + 1)) == 0) {
        PVM_STORE_TOLD(pvm, &pvm->state->threads_started, pvm->state->threads_started + 1);
        PVM_STORE_TOLD(pvm, &da_of(thread)->tid, pvm->state->threads_started);
        link_first(pvm, thread);
        pvm->threads_live++;
        pvm->stats.threads_started++;
    }
    (void)hal_mutex_unlock(&pvm->lock);
    if (too_many) {
        pvm_throw_text(worker, "too many threads");
    } else if (rc != 0) {
        worker->thrown = pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
    }
    return !too_many && rc == 0;
}

pvm_object_t pvm_create_thread_object(pvm_object_t this_object, uint32_t ordinal, uint32_t n_args,
                                      pvm_object_t *args, pvm_object_t *failure)
{
    struct pvm_worker *worker = pvm_current_worker();
    pvm_object_t saved = worker->thrown;
    worker->thrown = NULL;
    pvm_object_t thread = pvm_create_object(worker->pvm->classes[PVM_ROOT_OBJECT_THREAD_CLASS]);
    bool made = thread && first_frame(worker, thread, this_object, ordinal, n_args, args) &&
                enlist(worker, thread);
    if (!made) {
        *failure = worker->thrown ? worker->thrown : pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
    }
    worker->thrown = saved;
    return made ? thread : NULL;
}

void phantom_activate_thread(pvm_object_t thread)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    PH_CHECK(da_of(thread)->state == PVM_THREAD_NEW);
    pvm_make_runnable(pvm, thread);
    (void)hal_mutex_unlock(&pvm->lock);
}

void pvm_thread_ended(struct pvm *pvm, pvm_object_t thread, bool failed)
{
    struct data_area_4_thread *t = da_of(thread);
    if (t->prev) {
        pvm_store_ref(pvm, &da_of(t->prev)->next, t->next);
    } else {
        pvm_store_ref(pvm, &pvm_slots(pvm->root)[PVM_ROOT_OBJECT_THREAD_LIST], t->next);
    }
    if (t->next) {
        pvm_store_ref(pvm, &da_of(t->next)->prev, t->prev);
    }
    PVM_BEFORE(pvm, t);
    t->next = NULL;
    t->prev = NULL;
    t->stack = NULL;
    t->frame_offset = 0;
    t->stack_bytes = 0;
    PVM_STORE(&t->state, failed ? PVM_THREAD_FAILED : PVM_THREAD_FINISHED);
    PVM_AFTER(pvm, t);
    pvm->threads_live--;
    if (failed) {
        PVM_STORE_TOLD(pvm, &pvm->state->failures, pvm->state->failures + 1);
    }
}

static void visit_frame(gc_iterator_call_t func, struct pvm_frame *f, void *arg)
{
    func(f->code, arg);
    func(f->this_object, arg);
    for (uint32_t i = 0; i < f->object_depth; i++) {
        func(pvm_frame_objects(f)[i], arg);
    }
    for (uint32_t i = 0; i < f->catch_depth; i++) {
        func(pvm_frame_catchers(f)[i].class, arg);
    }
}

void pvm_gc_iter_thread(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    struct data_area_4_thread *t = da_of(os);
    func(t->owner, arg);
    func(t->environment, arg);
    func(t->next, arg);
    func(t->prev, arg);
    func(t->stack, arg);
    func(t->waiting_on, arg);
    func(t->wait_next, arg);
    func(t->wait_prev, arg);
    func(t->cond_mutex, arg);
    pvm_object_t segment = t->stack;
    struct pvm_frame *f = segment ? pvm_thread_frame(t) : NULL;
    while (f) {
        visit_frame(func, f, arg);
        f = pvm_frame_below(&segment, f);
    }
}

/* Class of stack segments: the frames are reported by the thread, which knows their extent. */
void pvm_gc_iter_ostack(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    struct pvm_stack_segment *segment = (struct pvm_stack_segment *)(void *)os->da;
    func(segment->prev, arg);
    func(segment->next, arg);
}
