/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm.c - the machine over a heap: made, given a newborn or a restored world, thrown away.
 *
 * struct pvm is volatile. It owns its workers (each with an allocator of the heap), its locks, the
 * tables of methods, runnable threads and timers. It borrows the heap and the host.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "pvm_exec.h"

#include <errno.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

struct pvm_worker *pvm_worker_get(struct pvm *pvm, unsigned index)
{
    PH_CHECK(index < PVM_MAX_WORKERS);
    if (pvm->workers[index]) {
        return pvm->workers[index];
    }
    struct pvm_worker *worker = ph_zalloc(1, sizeof(*worker));
    if (worker == NULL || heap_allocator_create(pvm->heap, &worker->allocator) != 0) {
        ph_free(worker);
        return NULL;
    }
    worker->pvm = pvm;
    worker->index = index;
    pvm->workers[index] = worker;
    return worker;
}

static void take_options(struct pvm *pvm, const struct pvm_options *options)
{
    if (options) {
        pvm->options = *options;
    }
    struct pvm_options *o = &pvm->options;
    if (o->workers == 0) {
        o->workers = (unsigned)hal_cpu_count();
    }
    if (o->workers > PVM_MAX_WORKERS) {
        o->workers = PVM_MAX_WORKERS;
    }
    if (o->max_threads == 0) {
        o->max_threads = UINT64_C(1) << 20;
    }
    if (o->max_stack_bytes == 0) {
        o->max_stack_bytes = UINT64_C(64) << 20;
    }
    if (o->max_stack_bytes > GIB) { /* offsets of frames are 32 bits */
        o->max_stack_bytes = GIB;
    }
}

static int make_locks(struct pvm *pvm)
{
    int rc = hal_mutex_init(&pvm->lock, "pvm");
    rc = rc ? rc : hal_mutex_init(&pvm->method_lock, "pvm methods");
    rc = rc ? rc : hal_cond_init(&pvm->work_cond, "pvm work");
    rc = rc ? rc : hal_cond_init(&pvm->quiet_cond, "pvm quiet");
    for (int i = 0; rc == 0 && i < PVM_OBJECT_LOCKS; i++) {
        rc = hal_mutex_init(&pvm->object_locks[i], "pvm objects");
    }
    return rc ? -ENOMEM : 0;
}

static void destroy_mutex(hal_mutex_t *m)
{
    if (m->impl) {
        (void)hal_mutex_destroy(m);
    }
}

static void destroy_locks(struct pvm *pvm)
{
    destroy_mutex(&pvm->lock);
    destroy_mutex(&pvm->method_lock);
    for (int i = 0; i < PVM_OBJECT_LOCKS; i++) {
        destroy_mutex(&pvm->object_locks[i]);
    }
    if (pvm->work_cond.impl) {
        (void)hal_cond_destroy(&pvm->work_cond);
    }
    if (pvm->quiet_cond.impl) {
        (void)hal_cond_destroy(&pvm->quiet_cond);
    }
}

int pvm_create(struct heap *heap, const struct pvm_host *host, const struct pvm_options *options,
               struct pvm **out, struct phantom_diag *diag)
{
    struct pvm *pvm = ph_zalloc(1, sizeof(*pvm));
    if (pvm == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for a machine");
    }
    pvm->heap = heap;
    pvm->stores = heap_store_listener(heap);
    pvm->host = *host;
    take_options(pvm, options);
    if (make_locks(pvm) != 0 || pvm_worker_get(pvm, 0) == NULL) {
        pvm_destroy(pvm);
        return ph_fail(diag, -ENOMEM, "no memory for a machine");
    }
    *out = pvm;
    return 0;
}

void pvm_destroy(struct pvm *pvm)
{
    if (pvm == NULL) {
        return;
    }
    PH_CHECK(!pvm->running);
    for (int i = 0; i < PVM_MAX_WORKERS; i++) {
        if (pvm->workers[i]) {
            heap_allocator_destroy(pvm->workers[i]->allocator);
            ph_free(pvm->workers[i]);
        }
    }
    pvm_methods_finish(pvm);
    pvm_sched_finish(pvm);
    destroy_locks(pvm);
    ph_free(pvm);
}

/** The thread that will run method 8 of a new instance of the boot class. */
enum { BOOT_METHOD = 8 };

static int start_boot_thread(struct pvm *pvm, const char *boot_class, struct phantom_diag *diag)
{
    pvm_object_t class;
    int rc = pvm_class_find(boot_class, strlen(boot_class), &class, diag);
    if (rc != 0) {
        return rc;
    }
    if (pvm_is_internal(class) && pvm_object_da(class, class)->sys_table_id != PVM_NOT_INTERNAL) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s cannot be a boot class", boot_class);
    }
    /* A method of its own or of a loaded parent has an owner; the inherited native stub has none.
     */
    pvm_object_t interface = pvm_object_da(class, class)->object_default_interface;
    pvm_object_t startup =
        pvm_slot_count(interface) > BOOT_METHOD ? pvm_slots(interface)[BOOT_METHOD] : NULL;
    if (startup == NULL || startup->_class != pvm->classes[PVM_ROOT_OBJECT_CODE_CLASS] ||
        pvm_object_da(startup, code)->owner_class == NULL) {
        return ph_fail(diag, PHANTOM_EVERIFY, "class %s cannot be started: it has no method %d",
                       boot_class, BOOT_METHOD);
    }
    rc = pvm_preload(class, diag);
    if (rc != 0) {
        return rc;
    }
    pvm_object_t instance = pvm_create_object(class);
    pvm_object_t boot = pvm_create_object(pvm->classes[PVM_ROOT_OBJECT_BOOT_CLASS]);
    if (instance == NULL || boot == NULL) {
        return ph_fail(diag, PHANTOM_EHEAPFULL, "the heap is too small for a new world");
    }
    pvm_object_t failure = NULL;
    pvm_object_t thread = pvm_create_thread_object(instance, BOOT_METHOD, 1, &boot, &failure);
    if (thread == NULL) {
        char text[400];
        pvm_object_text(failure, text, sizeof(text));
        bool short_of_memory = failure == pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
        return ph_fail(diag, short_of_memory ? -ENOMEM : PHANTOM_EVERIFY,
                       "class %s cannot be started: %s", boot_class, text);
    }
    phantom_activate_thread(thread);
    return 0;
}

int pvm_boot(struct pvm *pvm, const char *boot_class, struct phantom_diag *diag)
{
    if (pvm->state || heap_root(pvm->heap)) {
        return ph_fail(diag, PHANTOM_EINVALID, "the heap is not empty");
    }
    struct pvm_worker *before = pvm_set_current_worker(pvm->workers[0]);
    int rc = pvm_root_birth(pvm, diag);
    if (rc == 0) {
        heap_set_root(pvm->heap, pvm->root);
        pvm->clock_start = hal_system_time();
        rc = start_boot_thread(pvm, boot_class, diag);
    }
    (void)pvm_set_current_worker(before);
    return rc;
}

/** Run queue and timers from the list of live threads. */
static int attach_threads(struct pvm *pvm, struct phantom_diag *diag)
{
    pvm_object_t first = pvm_slots(pvm->root)[PVM_ROOT_OBJECT_THREAD_LIST];
    uint64_t count = 0;
    pvm_object_t last = NULL;
    for (pvm_object_t t = first; t; t = pvm_object_da(t, thread)->next) {
        if (!heap_is_object(pvm->heap, t) ||
            t->_class != pvm->classes[PVM_ROOT_OBJECT_THREAD_CLASS] ||
            pvm_object_da(t, thread)->prev != last) {
            return ph_fail(diag, PHANTOM_ECORRUPT, "list of threads is damaged");
        }
        last = t;
        count++;
    }
    if (pvm_sched_reserve(pvm, count) != 0) {
        return ph_fail(diag, -ENOMEM, "no memory for %llu threads", (unsigned long long)count);
    }
    pvm->threads_live = count;
    /* From the oldest on: new threads are put in front of the list. */
    for (pvm_object_t t = last; t; t = pvm_object_da(t, thread)->prev) {
        struct data_area_4_thread *da = pvm_object_da(t, thread);
        if (da->state == PVM_THREAD_RUNNABLE) {
            pvm_make_runnable(pvm, t);
        } else if (da->deadline_us) {
            pvm_timer_insert(pvm, t);
        }
    }
    return 0;
}

int pvm_attach(struct pvm *pvm, struct phantom_diag *diag)
{
    if (pvm->state) {
        return ph_fail(diag, PHANTOM_EINVALID, "the machine has a world already");
    }
    struct pvm_worker *before = pvm_set_current_worker(pvm->workers[0]);
    int rc = pvm_root_attach(pvm, diag);
    if (rc == 0) {
        pvm->clock_start = hal_system_time();
        rc = attach_threads(pvm, diag);
    }
    if (rc == 0) {
        pvm_root_restart_objects(pvm);
    } else {
        pvm->state = NULL;
    }
    (void)pvm_set_current_worker(before);
    return rc;
}
