/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_internal.h - what the files of the pvm room share: the machine's volatile state, the table of
 * internal classes and the rules for writing a native method.
 *
 * ---- How a native method is written ----------------------------------------------------------
 *
 *     static PVM_NATIVE(si_string_11_length)
 *     {
 *         SYSCALL_RETURN(pvm_create_int_object(pvm_get_str_len(me)));
 *     }
 *
 * Parameters: `me` (object of the class the table belongs to, never null), `ret`, `tc` (the calling
 * VM thread), `n_args`, `args` (args[0] is the first one; may be C NULL or the null object; they
 * lie in the caller's stack, so they stay alive and must not be changed). Result:
 * PVM_SYSCALL_RETURN (1) with *ret = value; PVM_SYSCALL_THROW (0) with *ret = exception;
 * PVM_SYSCALL_BLOCKED (-1) through one of the blocking helpers below: "park this VM thread and
 * execute me again when it is woken".
 *
 * - A native runs to completion: no collection and no cut happens inside. C locals need no roots.
 * - It must return soon (a stop of the world waits for it) and must not sleep or block: only
 *   PVM_SYSCALL_BLOCKED blocks, and before returning it a native has had no effect other than
 *   queueing its thread (pvm_wait_*, all of it persistent), so that a snapshot may fall between.
 * - Creation functions return C NULL when the heap is full. The native must not touch the missing
 *   object and returns whatever it likes: the interpreter collects and *executes it again*, or
 * throws "out of memory" in its place if that cannot help. So allocate first, then change things.
 * - Check every argument's class (ASSERT_*); check `n_args` (CHECK_PARAM_COUNT).
 * - Objects may be shared with VM threads on other workers: see pvm_objects.h, "Concurrency".
 * - The port's signatures carry no world: creation functions and pvm_current() use the thread-local
 *   *current world*, which is set around natives, boot, attach and restart functions.
 *
 * ---- Files, one idea each ----------------------------------------------------------------------
 *
 * pvm.c machine: create, boot, attach, destroy. pvm_root.c root object, birth of internal classes.
 * pvm_internal_classes.c the table. pvm_object.c objects and arrays; pvm_directory.c maps;
 * pvm_class.c lookup by name, class cache; pvm_class_load.c from class file to heap; pvm_method.c
 * verified methods (volatile); pvm_stack.c segments and frames; pvm_exception.c throw, unwind,
 * backtrace; pvm_thread.c life of a VM thread; pvm_wait.c blocking; pvm_sched.c workers and stops;
 * pvm_interp.c the interpreter; pvm_gc.c, pvm_audit.c; sys/ natives, one file per class.
 *
 * ---- Locks, in order of acquisition -------------------------------------------------------------
 *
 * 1. pvm->object_locks[i]  array growth, directories: leaf-like, never two at once
 * 2. pvm->lock             "the VM lock": run queue, timers, thread list, waiting queues, stops
 * 3. pvm->method_lock      table of verified methods
 * No lock is held while the interpreter runs bytecode or while the host is called.
 */
#ifndef PVM_INTERNAL_H
#define PVM_INTERNAL_H

#include "pvm.h"
#include "pvm_objects.h"

#include <hal.h>

#include "bc_verify.h"

#define PVM_UNUSED      __attribute__((unused))
#define PVM_LIKELY(x)   __builtin_expect(!!(x), 1)
#define PVM_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- internal classes ---------------------------------------------------------------------------
 */

enum {
    PVM_SYSCALL_THROW = 0,
    PVM_SYSCALL_RETURN = 1,
    PVM_SYSCALL_BLOCKED = -1,
};

typedef int (*syscall_func_t)(pvm_object_t o, pvm_object_t *ret, struct data_area_4_thread *tc,
                              int n_args, pvm_object_t *args);
/** Fill in a new, zeroed instance. Heap full: note it (creation functions do) and return. */
typedef void (*init_func_t)(pvm_object_t os);
typedef void (*gc_iterator_call_t)(pvm_object_t o, void *arg);
/** Call func for every reference the object holds (C NULL allowed) besides its class. */
typedef void (*gc_iterator_func_t)(gc_iterator_call_t func, pvm_object_t os, void *arg);
/** The object is being freed: release what is outside of the heap. Read it only. */
typedef void (*gc_finalizer_func_t)(pvm_object_t os);
/** The object was on the restart list when the world was cut. Re-add it if it needs that again. */
typedef void (*o_restart_func_t)(pvm_object_t o);

struct internal_class {
    const char *name;
    int root_index; /* PVM_ROOT_OBJECT_..._CLASS */
    uint32_t flags; /* of instances; IS_INTERNAL and so on, see pvm.md 5.1 */
    uint32_t da_size;
    const syscall_func_t *syscalls_table;
    const int *syscalls_table_size_ptr;
    init_func_t init;              /* or NULL */
    gc_iterator_func_t iter;       /* or NULL: no references */
    gc_finalizer_func_t finalizer; /* or NULL; only with IS_FINALIZER */
    o_restart_func_t restart;      /* or NULL */
};

/** The table (pvm_internal_classes.c). The row number is a class's sys_table_id and is stored in
 * the heap: rows keep their place; PVM_NATIVE_CLASS_VERSION changes otherwise. */
extern const struct internal_class pvm_internal_classes[];
extern const int pvm_n_internal_classes;
int pvm_iclass_by_root_index(int root_index); /* row, or -1 */
int pvm_iclass_by_name(const char *name, size_t size);

/* A class X has, in sys/i_X.c, a table of natives and whichever of the functions it needs; the row
 * in pvm_internal_classes.c names them. */
#define PVM_DECLARE_CLASS(X)                                                                       \
    extern const syscall_func_t syscall_table_4_##X[];                                             \
    extern const int n_syscall_table_4_##X;                                                        \
    void pvm_internal_init_##X(pvm_object_t os);                                                   \
    void pvm_gc_iter_##X(gc_iterator_call_t func, pvm_object_t os, void *arg);                     \
    void pvm_gc_finalizer_##X(pvm_object_t os);                                                    \
    void pvm_restart_##X(pvm_object_t o);

/* clang-format off */
PVM_DECLARE_CLASS(void) PVM_DECLARE_CLASS(class) PVM_DECLARE_CLASS(interface)
PVM_DECLARE_CLASS(code) PVM_DECLARE_CLASS(int) PVM_DECLARE_CLASS(long) PVM_DECLARE_CLASS(float)
PVM_DECLARE_CLASS(double) PVM_DECLARE_CLASS(string) PVM_DECLARE_CLASS(array)
PVM_DECLARE_CLASS(page) PVM_DECLARE_CLASS(thread) PVM_DECLARE_CLASS(call_frame)
PVM_DECLARE_CLASS(istack) PVM_DECLARE_CLASS(ostack) PVM_DECLARE_CLASS(estack)
PVM_DECLARE_CLASS(boot) PVM_DECLARE_CLASS(tty) PVM_DECLARE_CLASS(mutex) PVM_DECLARE_CLASS(cond)
PVM_DECLARE_CLASS(sema) PVM_DECLARE_CLASS(binary) PVM_DECLARE_CLASS(bitmap)
PVM_DECLARE_CLASS(closure) PVM_DECLARE_CLASS(world) PVM_DECLARE_CLASS(udp) PVM_DECLARE_CLASS(tcp)
PVM_DECLARE_CLASS(window) PVM_DECLARE_CLASS(directory) PVM_DECLARE_CLASS(connection)
PVM_DECLARE_CLASS(net) PVM_DECLARE_CLASS(http) PVM_DECLARE_CLASS(time) PVM_DECLARE_CLASS(stat)
PVM_DECLARE_CLASS(io) PVM_DECLARE_CLASS(port) PVM_DECLARE_CLASS(ui_control)
PVM_DECLARE_CLASS(ui_font) PVM_DECLARE_CLASS(wasm)
    /* clang-format on */

    /* Natives every class may put into its table (sys/i_void.c). */
    int invalid_syscall(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                        pvm_object_t *);
int si_void_0_construct(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                        pvm_object_t *);
int si_void_1_destruct(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                       pvm_object_t *);
int si_void_2_class(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int, pvm_object_t *);
int si_void_3_clone(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int, pvm_object_t *);
int si_void_4_equals(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                     pvm_object_t *);
int si_void_5_tostring(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                       pvm_object_t *);
int si_void_6_toXML(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int, pvm_object_t *);
int si_void_7_fromXML(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                      pvm_object_t *);
int si_void_14_setimmutable(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                            pvm_object_t *);
int si_void_15_hashcode(pvm_object_t, pvm_object_t *, struct data_area_4_thread *, int,
                        pvm_object_t *);

/* ---- writing natives ------------------------------------------------------------------------- */

/** Head of a native; put `static` in front unless the port exports it. */
#define PVM_NATIVE(function)                                                                       \
    int function(pvm_object_t me PVM_UNUSED, pvm_object_t *ret PVM_UNUSED,                         \
                 struct data_area_4_thread *tc PVM_UNUSED, int n_args PVM_UNUSED,                  \
                 pvm_object_t *args PVM_UNUSED)

/** After the table of class X, whose file defines syscall_table_4_X[]. */
#define DECLARE_SIZE(X)                                                                            \
    const int n_syscall_table_4_##X =                                                              \
        (int)(sizeof(syscall_table_4_##X) / sizeof(syscall_table_4_##X[0]))

#define SYSCALL_RETURN(obj)                                                                        \
    do {                                                                                           \
        *ret = (obj);                                                                              \
        return PVM_SYSCALL_RETURN;                                                                 \
    } while (0)
#define SYSCALL_RETURN_NOTHING      SYSCALL_RETURN(pvm_create_null_object())
#define SYSCALL_RETURN_STRING(cstr) SYSCALL_RETURN(pvm_create_string_object(cstr))
#define SYSCALL_THROW(obj)                                                                         \
    do {                                                                                           \
        *ret = (obj);                                                                              \
        return PVM_SYSCALL_THROW;                                                                  \
    } while (0)
#define SYSCALL_THROW_STRING(cstr) SYSCALL_THROW(pvm_create_string_object(cstr))

#define PVM_STRINGIFY_(x)   #x
#define PVM_STRINGIFY(x)    PVM_STRINGIFY_(x)
#define PVM_SOURCE_POSITION __FILE_NAME__ ":" PVM_STRINGIFY(__LINE__)

#define CHECK_PARAM_COUNT(must_have)                                                               \
    do {                                                                                           \
        if (n_args < (must_have)) {                                                                \
            SYSCALL_THROW_STRING("sys: need more parameters");                                     \
        }                                                                                          \
    } while (0)
#define ASSERT_INT(o)                                                                              \
    do {                                                                                           \
        if (!IS_PHANTOM_INT(o)) {                                                                  \
            SYSCALL_THROW_STRING("not an integer arg: " PVM_SOURCE_POSITION);                      \
        }                                                                                          \
    } while (0)
#define ASSERT_STRING(o)                                                                           \
    do {                                                                                           \
        if (!IS_PHANTOM_STRING(o)) {                                                               \
            SYSCALL_THROW_STRING("not a string arg: " PVM_SOURCE_POSITION);                        \
        }                                                                                          \
    } while (0)
/** o must be exactly of the internal class with that root slot name, e.g. ASSERT_CLASS(o, BINARY).
 */
#define ASSERT_CLASS(o, NAME)                                                                      \
    do {                                                                                           \
        if (!pvm_object_class_exactly_is((o), pvm_root_class(PVM_ROOT_OBJECT_##NAME##_CLASS))) {   \
            SYSCALL_THROW_STRING("wrong class of argument: " PVM_SOURCE_POSITION);                 \
        }                                                                                          \
    } while (0)
#define AS_INT(o)                                                                                  \
    __extension__({                                                                                \
        ASSERT_INT(o);                                                                             \
        pvm_get_int(o);                                                                            \
    })

/** New string from a format; C NULL when the heap is full. At most 1023 bytes. */
pvm_object_t pvm_string_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- blocking (pvm_wait.c): return what they return ---------------------------------------------
 *
 * Each of these is a restartable step: the first execution queues the calling thread and returns
 * PVM_SYSCALL_BLOCKED; the execution after the wake-up finds `wait_phase` GRANTED and returns
 * PVM_SYSCALL_RETURN. Ownership is handed over by the one who wakes, so no wake-up is ever lost,
 * not even when the world is cut and restored between. With several arguments an exception is in
 * *ret when they return PVM_SYSCALL_THROW. On PVM_SYSCALL_RETURN *ret is left to the caller. */
int pvm_wait_sleep(struct data_area_4_thread *tc, pvm_object_t me, uint64_t microseconds);
int pvm_wait_mutex(struct data_area_4_thread *tc, pvm_object_t mutex);
/** timeout_us < 0: none. *timed_out is set on PVM_SYSCALL_RETURN. */
int pvm_wait_cond(struct data_area_4_thread *tc, pvm_object_t cond, pvm_object_t mutex,
                  int64_t timeout_us, bool *timed_out, pvm_object_t *ret);
int pvm_wait_sema(struct data_area_4_thread *tc, pvm_object_t sema, int64_t timeout_us,
                  bool *timed_out);
bool pvm_mutex_try(struct data_area_4_thread *tc, pvm_object_t mutex);
/** False: the thread does not own it. */
bool pvm_mutex_unlock(struct data_area_4_thread *tc, pvm_object_t mutex);
void pvm_cond_signal(pvm_object_t cond);
void pvm_cond_broadcast(pvm_object_t cond);
void pvm_sema_release(pvm_object_t sema);
void pvm_sema_zero(pvm_object_t sema);
/** general_lock: pvm_wait_mutex() on the monitor of any object. THROW only when out of memory. */
int pvm_wait_monitor(struct data_area_4_thread *tc, pvm_object_t o);
bool pvm_monitor_unlock(struct data_area_4_thread *tc, pvm_object_t o);

/* ---- the machine ----------------------------------------------------------------------------- */

enum {
    PVM_OBJECT_LOCKS = 16,
    PVM_METHOD_CACHE = 1024, /* per worker, direct mapped */
    PVM_SITE_CACHE = 256,
    PVM_MAX_WORKERS = 256,
};

/** What the machine knows about a code object; volatile, rebuilt from the heap when needed. */
struct pvm_method {
    pvm_object_t code;
    struct pvm_method *next;                 /* while the table is rebuilt */
    bool regular;                            /* for calls with exactly `argument_count` arguments */
    int32_t native;                          /* >= 0: the stub of native method k */
    uint32_t argument_count;                 /* that the facts hold for */
    uint32_t object_cap, int_cap, catch_cap; /* of a frame for it */
    uint32_t frame_bytes;
};

struct pvm_site { /* summon_by_name at `place` found `class` */
    const uint8_t *place;
    pvm_object_t class;
};

/** A HAL thread that runs VM threads; the calling thread of pvm_run() is worker 0. */
struct pvm_worker {
    struct pvm *pvm;
    struct heap_allocator *allocator;
    uint32_t index;          /* in pvm->workers[] */
    bool out_of_memory;      /* an allocation of the running native failed */
    pvm_object_t thrown;     /* by the interpreter's helpers */
    uint64_t allocated;      /* bytes since the collector's threshold was last looked at */
    uint64_t calls, natives; /* statistics not yet added to the machine's */
    struct pvm_method *methods[PVM_METHOD_CACHE];
    struct pvm_site sites[PVM_SITE_CACHE];
};

struct pvm_timer {
    uint64_t deadline_us;
    pvm_object_t thread;
};

struct pvm {
    struct heap *heap;
    const struct heap_stores *stores; /* the heap's; NULL: nobody listens */
    struct pvm_host host;
    struct pvm_options options;
    pvm_object_t root;
    pvm_object_t null_object;
    pvm_object_t classes[PVM_ROOT_LAST_CLASS_INDEX + 1]; /* by root slot; fixed after birth */
    const pvm_object_t *small_ints; /* slots of the page in the root; NULL only during birth */
    struct pvm_vm_state *state;     /* in the heap */
    /* Made when first needed, kept until pvm_destroy(). Worker 0 is the calling thread of
     * pvm_run(), pvm_boot() and pvm_attach(). */
    struct pvm_worker *workers[PVM_MAX_WORKERS];

    /* Atomics, no lock. Polled by the interpreter at safepoints: non-zero means "come out". */
    uint32_t poll;
    uint32_t stop_requested; /* by pvm_request_stop(), possibly from a signal handler */
    uint32_t collect_wanted; /* threshold reached or heap full */
    uint32_t collected;      /* since pvm_heap_exhausted() last said so: it may say so once more */
    uint64_t classes_loaded;

    hal_mutex_t lock;
    hal_cond_t work_cond;  /* workers with nothing to do, and parked ones */
    hal_cond_t quiet_cond; /* whoever waits for n_running to fall, or for workers to leave */
    /* All below under the VM lock. */
    bool running;  /* inside pvm_run() */
    bool run_over; /* workers are to leave */
    int run_result;
    uint32_t n_workers; /* in pvm_run(), worker 0 included */
    uint32_t n_running; /* of them, those that run a VM thread outside of the VM lock */
    uint32_t n_idle;
    bool timekeeper;         /* one idle worker sleeps only until the next timer */
    bool cut_wanted;         /* pvm_stop_world() waits, or has succeeded: take no work */
    bool cut_active;         /* ... has succeeded: touch nothing in the heap */
    bool collector_waits;    /* a worker waits for the others, to collect: take no work */
    bool collecting;         /* it does */
    bool collect_failed;     /* the last collection did, for lack of volatile memory */
    bigtime_t clock_start;   /* hal time at which state->clock_us was current */
    pvm_object_t *run_queue; /* ring */
    uint64_t run_capacity, run_head, run_count;
    struct pvm_timer *timers; /* binary heap; entries may be stale */
    uint64_t timer_count, timer_capacity;
    uint64_t threads_live;
    int64_t step_budget; /* instructions left in pvm_step(); INT64_MAX: no limit */
    uint64_t live_bytes_after_collect;
    struct pvm_stats stats;

    hal_mutex_t method_lock;
    struct pvm_method **method_table; /* open addressing by code object */
    uint64_t method_count, method_capacity;

    hal_mutex_t object_locks[PVM_OBJECT_LOCKS];
};

/** The world of the calling thread; NULL outside of natives, boot, attach, run. */
extern _Thread_local struct pvm_worker *pvm_thread_worker
    __attribute__((tls_model("initial-exec"))); /* asked for with each store: no call */
static inline struct pvm_worker *pvm_current_worker(void)
{
    return pvm_thread_worker;
}
struct pvm_worker *pvm_set_current_worker(struct pvm_worker *worker); /* returns the old one */
static inline struct pvm *pvm_current(void)
{
    struct pvm_worker *worker = pvm_thread_worker;
    return worker ? worker->pvm : NULL;
}
/** Class object in a root slot of the current world, and any other slot of its root object. */
pvm_object_t pvm_root_class(int root_index);
pvm_object_t pvm_root_slot(int index);
void pvm_set_root_slot(int index, pvm_object_t value);

void pvm_lock_object(const void *o);
void pvm_unlock_object(const void *o);

void pvm_add_object_to_restart_list(pvm_object_t o);
void pvm_remove_object_from_restart_list(pvm_object_t o);
/** Environment of the world; 1 found, 0 not. */
int phantom_getenv(const char *name, char *value, int value_size);

/* ---- classes (pvm_class.c, pvm_class_load.c) ------------------------------------------------- */

/**
 * Class by name: internal table, class cache, then the host's loader. Not the userland loader: only
 * the interpreter can call that.
 * @return 0, or an error with diag (PHANTOM_ENOTFOUND, PHANTOM_EVERIFY, PHANTOM_EHEAPFULL, ...)
 */
int pvm_class_find(const char *name, size_t size, pvm_object_t *out, struct phantom_diag *diag);
/** The same while classes are being loaded for each other, `depth` of them. */
int pvm_class_find_at_depth(const char *name, size_t size, unsigned depth, pvm_object_t *out,
                            struct phantom_diag *diag);
/** Only what is there already. NULL if not. */
pvm_object_t pvm_class_find_loaded(const char *name, size_t size);
/** Under the class's own name and `alias`, unless these are taken; returns the class that is there.
 */
pvm_object_t pvm_class_cache_add(pvm_object_t class, const char *alias, size_t alias_size);
/** From class file bytes to a class object; parents are loaded first. */
int pvm_class_load(const char *file_name, const void *bytes, size_t size, unsigned depth,
                   pvm_object_t *out, struct phantom_diag *diag);
/** Source line of an offset, 0 if unknown. */
uint32_t pvm_ip_to_linenum(pvm_object_t class, uint32_t ordinal, uint32_t ip);
pvm_object_t pvm_get_method_name(pvm_object_t class, uint32_t ordinal); /* string or NULL */
int pvm_get_method_ordinal(pvm_object_t class, pvm_object_t name);      /* -1 if absent */
/** "name" of a class as C text for messages, cut to size. */
const char *pvm_class_name_text(pvm_object_t class, char *buffer, size_t size);

/* ---- threads (pvm_thread.c) ------------------------------------------------------------------ */

/**
 * A new VM thread that will call method `ordinal` of `this_object`. In the list of live threads
 * (state NEW) until phantom_activate_thread().
 * @return C NULL and *failure = exception (out of memory, thread limit, no such method, verifier)
 */
pvm_object_t pvm_create_thread_object(pvm_object_t this_object, uint32_t ordinal, uint32_t n_args,
                                      pvm_object_t *args, pvm_object_t *failure);
void phantom_activate_thread(pvm_object_t thread);

#endif /* PVM_INTERNAL_H */
