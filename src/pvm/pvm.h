/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm.h - the Phantom virtual machine as the runtime room sees it.
 *
 * A struct pvm is the volatile half of a machine whose persistent half is a heap: it can be thrown
 * away at any safepoint and made again over the same heap. VM threads are heap objects; a pool of
 * HAL threads ("workers") runs them and switches at safepoints (back edges, method entry, around
 * natives). Blocked and sleeping VM threads occupy no worker.
 *
 * The PVM reaches the machine only through <hal.h> and through struct pvm_host.
 *
 * Threads: pvm_create/boot/attach/destroy from one thread; pvm_request_stop() from anywhere, signal
 * handlers included; the others as stated.
 */
#ifndef PVM_H
#define PVM_H

#include "heap.h"

#define PVM_NATIVE_CLASS_VERSION 1

struct pvm;

/** What the machine asks of its host. */
struct pvm_host {
    void *context;
    /** The program's console: bytes as they are, any worker, may be called concurrently. */
    void (*console_write)(void *context, const char *bytes, size_t size);
    /**
     * Bytes of the class file of `name` (leading dot), ph_alloc'ed, freed by the PVM.
     * 0, PHANTOM_ENOTFOUND, or another error with diag. Called by a worker outside the heap.
     */
    int (*load_class)(void *context, const char *name, void **bytes, size_t *size, char *file_name,
                      size_t file_name_size, struct phantom_diag *diag);
    /** A VM thread ended by an unhandled exception, or one that broke a rule: text with backtrace.
     */
    void (*thread_failed)(void *context, const char *text);
};

struct pvm_options {
    unsigned workers;            /* 0: one per CPU the process may use */
    uint64_t gc_threshold_bytes; /* 0: max(32 MiB, bytes live after the last collection) */
    uint64_t max_threads;        /* live VM threads; 0: 1 << 20. Exceeding throws */
    uint64_t max_stack_bytes;  /* of one VM thread; 0: 64 MiB. Exceeding throws "stack overflow" */
    uint64_t max_instructions; /* 0: no limit; beyond it pvm_run() returns PHANTOM_EQUOTA */
    const char *const *environment; /* "key=value", NULL-terminated; may be NULL; birth only */
};

int pvm_create(struct heap *heap, const struct pvm_host *host, const struct pvm_options *options,
               struct pvm **out, struct phantom_diag *diag);
void pvm_destroy(struct pvm *pvm);

/**
 * Birth: fill an empty heap with the root object, the internal classes and the environment; load
 * `boot_class`, make an instance (no constructor call) and an ordinary VM thread that will run its
 * method 8 with the boot object as argument. A boot class that does not have a method 8 of its own
 * or a parent's is refused with PHANTOM_EVERIFY.
 */
int pvm_boot(struct pvm *pvm, const char *boot_class, struct phantom_diag *diag);
/** Resume: check the root object and internal classes, rebuild run queues and timers, call the
 *  restart functions of objects on the restart list. */
int pvm_attach(struct pvm *pvm, struct phantom_diag *diag);

/**
 * Run until no VM thread is left, a stop is requested or a quota is used up. Starts the workers and
 * ends them again before it returns, with every VM thread at a safepoint.
 * @return 0: no thread left; PHANTOM_EPROGRAM: none left and at least one of them ever failed
 *         (persisted in the heap); PHANTOM_ESTOPPED; PHANTOM_EQUOTA; PHANTOM_EINVALID if all
 * remaining threads wait for each other for ever (deadlock: nobody can wake them)
 */
int pvm_run(struct pvm *pvm, struct phantom_diag *diag);
/** As pvm_run, but returns PHANTOM_ETIMEOUT after about `instructions` bytecodes. For tests,
 * embedding. */
int pvm_step(struct pvm *pvm, uint64_t instructions, struct phantom_diag *diag);
/** Make pvm_run() return soon. Async-signal-safe, idempotent. */
void pvm_request_stop(struct pvm *pvm);

/**
 * Stop the world for a cut: returns 0 when every worker is parked at a safepoint with no native
 * running (each asleep in a futex), so that the heap is canonical and nobody writes it;
 * PHANTOM_ETIMEOUT if that was not reached in time (a native is still running): then the world runs
 * on. Works whether or not pvm_run() is active. Any one HAL thread that is not a worker.
 */
int pvm_stop_world(struct pvm *pvm, int timeout_ms);
void pvm_resume_world(struct pvm *pvm);

struct pvm_stats {
    uint64_t instructions, calls, natives, threads_live, threads_started, collections, gc_ns_total,
        gc_ns_max, classes_loaded;
    uint64_t sleepers; /* VM threads with a deadline: their remaining time changes by itself */
};
void pvm_stats(struct pvm *pvm, struct pvm_stats *out);

/** Check every header, reference, class and thread stack. World stopped. 0 or PHANTOM_ECORRUPT. */
int pvm_audit(struct pvm *pvm, struct phantom_diag *diag);

#endif /* PVM_H */
