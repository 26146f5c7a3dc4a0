/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_exec.h - what interpreter, stacks, exceptions, scheduler and collector share; natives do not
 * need it.
 *
 * Canonical state: while a VM thread is not inside pvm_exec(), everything about it is in the heap:
 * thread->stack and frame_offset name the current frame, each frame holds its ip and depths. Inside
 * pvm_exec() they are in C locals and are flushed before anything that may leave it, throw, or call
 * a native.
 *
 * The functions below tell of their stores (pvm_stores.h), but not of those into the thread object
 * that they are given: whoever runs the thread does, around all of it.
 */
#ifndef PVM_EXEC_H
#define PVM_EXEC_H

#include "pvm_internal.h"

/* ---- methods (pvm_method.c) --------------------------------------------------------------------
 */

/** Facts about a code object; valid until the next collection. NULL: worker->thrown is set. */
const struct pvm_method *pvm_method_slow(struct pvm_worker *worker, pvm_object_t code);
/** After a collection: forget freed code objects and everything that workers cached. */
void pvm_methods_forget_freed(struct pvm *pvm);
void pvm_methods_finish(struct pvm *pvm);

static inline const struct pvm_method *pvm_method_of(struct pvm_worker *worker, pvm_object_t code)
{
    const struct pvm_method *m = worker->methods[((uintptr_t)code / HEAP_CELL) % PVM_METHOD_CACHE];
    return PVM_LIKELY(m && m->code == code) ? m : pvm_method_slow(worker, code);
}

/* ---- stacks (pvm_stack.c) -------------------------------------------------------------------- */

static inline uint32_t pvm_frame_bytes(uint32_t objects, uint32_t ints, uint32_t catchers)
{
    return (uint32_t)(sizeof(struct pvm_frame) + (size_t)objects * sizeof(pvm_object_t) +
                      (size_t)((ints + 1) & ~1u) * sizeof(uint32_t) +
                      (size_t)catchers * sizeof(struct pvm_catcher));
}

static inline struct pvm_frame *pvm_frame_at(pvm_object_t segment, uint64_t offset)
{
    return (struct pvm_frame *)(void *)(segment->da + offset);
}

static inline struct pvm_frame *pvm_thread_frame(struct data_area_4_thread *thread)
{
    return pvm_frame_at(thread->stack, thread->frame_offset);
}

/** The frame below `f`, which lies in *segment; NULL for the first frame. Updates *segment. */
struct pvm_frame *pvm_frame_below(pvm_object_t *segment, struct pvm_frame *f);

/**
 * Put a frame for method m on the thread's stack and make it current. Fast when it fits into the
 * current segment; n arguments are copied from args.
 * @return NULL with worker->thrown set, or with worker->out_of_memory set (nothing changed)
 */
struct pvm_frame *pvm_frame_push(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                 const struct pvm_method *m, pvm_object_t code,
                                 pvm_object_t this_object, uint32_t ordinal, uint32_t n_args,
                                 pvm_object_t const *args, uint32_t flags);
/** Drop the current frame, which is not the first; the one below becomes current. */
struct pvm_frame *pvm_frame_pop(struct pvm_worker *worker, struct data_area_4_thread *thread);
/** Make room in the current, checked frame for at least so many cells. NULL as pvm_frame_push. */
struct pvm_frame *pvm_frame_widen(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                  uint32_t objects, uint32_t ints, uint32_t catchers);
/**
 * The instruction at frame->ip of a checked frame is about to be executed: does it stay inside the
 * frame's cells? Widens the frame if needed.
 * @return the (possibly moved) frame, or NULL as pvm_frame_push
 */
struct pvm_frame *pvm_frame_check(struct pvm_worker *worker, struct data_area_4_thread *thread);

/* ---- exceptions (pvm_exception.c) ------------------------------------------------------------ */

/** Set worker->thrown to a new string (or the out-of-memory string). */
void pvm_throw_text(struct pvm_worker *worker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/**
 * Find the handler for worker->thrown and enter it: frames above are dropped, depths cut.
 * @return false: nobody catches it; stack and frames are as they were
 */
bool pvm_unwind(struct pvm_worker *worker, struct data_area_4_thread *thread);
/** Tell the host about an unhandled exception, with backtrace. */
void pvm_report_failure(struct pvm_worker *worker, struct data_area_4_thread *thread);
/** Text of any object for messages: strings as they are, numbers, else "<class>". */
void pvm_object_text(pvm_object_t o, char *text, size_t size);

/* ---- interpreter (pvm_interp.c) -------------------------------------------------------------- */

enum pvm_exit {
    PVM_EXIT_YIELD,    /* at a safepoint: slice over, or asked to come out */
    PVM_EXIT_BLOCKED,  /* parked by a native: the thread may already run elsewhere; hands off */
    PVM_EXIT_FINISHED, /* the first frame returned */
    PVM_EXIT_FAILED,   /* worker->thrown was not caught */
    PVM_EXIT_HEAP_FULL /* at a safepoint: collect, then go on */
};

/** Run the thread. *budget: instructions; counts down, the slice ends below zero. */
enum pvm_exit pvm_exec(struct pvm_worker *worker, pvm_object_t thread, int64_t *budget);
/** A collection would not make room: the last one is too recent, or failed. */
bool pvm_heap_exhausted(struct pvm *pvm);

/* ---- threads (pvm_thread.c) ------------------------------------------------------------------ */

/** The VM lock is held: take the thread out of the list of live ones, drop its stack. */
void pvm_thread_ended(struct pvm *pvm, pvm_object_t thread, bool failed);

/* ---- workers (pvm.c) ------------------------------------------------------------------------- */

/** Worker i, made if it does not exist; NULL: no memory. Not during a cut. */
struct pvm_worker *pvm_worker_get(struct pvm *pvm, unsigned index);

/* ---- scheduler (pvm_sched.c); all with the VM lock held unless stated ------------------------ */

/** Room in run queue and timers for so many live threads. -ENOMEM: unchanged. */
int pvm_sched_reserve(struct pvm *pvm, uint64_t threads);
void pvm_sched_finish(struct pvm *pvm);
void pvm_make_runnable(struct pvm *pvm, pvm_object_t thread);
/** Arm the thread's timer; it ends by pvm_wait_timed_out(). */
void pvm_timer_arm(struct pvm *pvm, pvm_object_t thread, uint64_t microseconds);
/** Put a timer that is armed already (deadline_us) into the heap of timers. */
void pvm_timer_insert(struct pvm *pvm, pvm_object_t thread);
void pvm_timers_forget_stale(struct pvm *pvm);
uint64_t pvm_clock_now(struct pvm *pvm);
/** Store the VM clock in the heap, if any timer depends on it. */
void pvm_clock_save(struct pvm *pvm);
void pvm_set_poll(struct pvm *pvm); /* any thread, signal handlers included; no lock */

/* pvm_wait.c; VM lock held */
void pvm_wait_timed_out(struct pvm *pvm, pvm_object_t thread);

/* ---- collection (pvm_gc.c) ------------------------------------------------------------------- */

/** Any thread: ask for a collection when the threshold is reached. */
void pvm_collect_if_due(struct pvm *pvm);
/** World stopped, VM lock not needed. Nanoseconds it took; 0: failed, heap as before. */
uint64_t pvm_collect(struct pvm *pvm);
void pvm_trace_object(void *context, pvm_object_t o, struct heap_visitor *visitor);

/* ---- root (pvm_root.c) ----------------------------------------------------------------------- */

int pvm_root_birth(struct pvm *pvm, struct phantom_diag *diag);
/** Check the root of an attached heap and mirror it into *pvm. */
int pvm_root_attach(struct pvm *pvm, struct phantom_diag *diag);
void pvm_root_restart_objects(struct pvm *pvm);

/* ---- birth (pvm_preload.c) ---- */

/** Load what the class names in its code, and so on. 0, or PHANTOM_EHEAPFULL or -ENOMEM. */
int pvm_preload(pvm_object_t class, struct phantom_diag *diag);

#endif /* PVM_EXEC_H */
