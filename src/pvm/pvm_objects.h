/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_objects.h - what lies behind the header of each internal object, and how to make and read
 * objects. Heap layout: everything here is stored, so sizes and offsets are fixed (asserted below)
 * and HEAP_LAYOUT_VERSION or PVM_NATIVE_CLASS_VERSION changes with them.
 *
 * Field names of data classes are the port's. What is ours to improve (threads, stacks, waiting
 * queues) is different. There are no reference counts: ref_inc/ref_dec are not needed anywhere.
 *
 * Two nulls exist: C NULL (an empty slot) and the null object of the world. Every test accepts both
 * (pvm_is_null); the interpreter compares them as equal.
 *
 * Concurrency: VM threads run in parallel on several workers, so an object that another VM thread
 * can reach may change under a native. References are read and written with heap_load_ref() and
 * heap_store_ref(), numbers that change with PVM_LOAD/PVM_STORE, and what must stay consistent over
 * several fields is changed under pvm_lock_object()/pvm_unlock_object().
 */
#ifndef PVM_OBJECTS_H
#define PVM_OBJECTS_H

#include "heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the root object (pvm.md 6.1): slots of a plain object ----------------------------------- */

enum {
    PVM_ROOT_SLOTS = 103,
    PVM_ROOT_LAST_CLASS_INDEX = 41,

    PVM_ROOT_OBJECT_NULL_CLASS = 0, /* .internal.void, also known as .internal.object */
    PVM_ROOT_OBJECT_CLASS_CLASS = 1,
    PVM_ROOT_OBJECT_INTERFACE_CLASS = 2,
    PVM_ROOT_OBJECT_CODE_CLASS = 3,
    PVM_ROOT_OBJECT_INT_CLASS = 4,
    PVM_ROOT_OBJECT_STRING_CLASS = 5,
    PVM_ROOT_OBJECT_ARRAY_CLASS = 6,
    PVM_ROOT_OBJECT_PAGE_CLASS = 7,
    PVM_ROOT_OBJECT_THREAD_CLASS = 8,
    PVM_ROOT_OBJECT_CALL_FRAME_CLASS = 9,
    PVM_ROOT_OBJECT_ISTACK_CLASS = 10,
    PVM_ROOT_OBJECT_OSTACK_CLASS = 11, /* our stack segments are of this class */
    PVM_ROOT_OBJECT_ESTACK_CLASS = 12,
    PVM_ROOT_OBJECT_LONG_CLASS = 13,
    PVM_ROOT_OBJECT_FLOAT_CLASS = 14,
    PVM_ROOT_OBJECT_DOUBLE_CLASS = 15,
    PVM_ROOT_OBJECT_BOOT_CLASS = 16,
    PVM_ROOT_OBJECT_TTY_CLASS = 17,
    PVM_ROOT_OBJECT_CLASS_LOADER = 18, /* an object, set by userland; not a class */
    PVM_ROOT_OBJECT_DRIVER_CLASS = 19, /* unused */
    PVM_ROOT_OBJECT_MUTEX_CLASS = 20,
    PVM_ROOT_OBJECT_COND_CLASS = 21,
    PVM_ROOT_OBJECT_BINARY_CLASS = 22,
    PVM_ROOT_OBJECT_BITMAP_CLASS = 23,
    PVM_ROOT_OBJECT_WORLD_CLASS = 24,
    PVM_ROOT_OBJECT_CLOSURE_CLASS = 25,
    PVM_ROOT_OBJECT_UDP_CLASS = 26,
    PVM_ROOT_OBJECT_TCP_CLASS = 27,
    PVM_ROOT_OBJECT_WEAKREF_CLASS = 28,
    PVM_ROOT_OBJECT_WINDOW_CLASS = 29,
    PVM_ROOT_OBJECT_DIRECTORY_CLASS = 30,
    PVM_ROOT_OBJECT_CONNECTION_CLASS = 31,
    PVM_ROOT_OBJECT_SEMA_CLASS = 32,
    PVM_ROOT_OBJECT_NET_CLASS = 33,
    PVM_ROOT_OBJECT_HTTP_CLASS = 34,
    PVM_ROOT_OBJECT_TIME_CLASS = 35,
    PVM_ROOT_OBJECT_STAT_CLASS = 36,
    PVM_ROOT_OBJECT_IO_CLASS = 37,
    PVM_ROOT_OBJECT_PORT_CLASS = 38,
    PVM_ROOT_OBJECT_UI_CONTROL_CLASS = 39,
    PVM_ROOT_OBJECT_UI_FONT_CLASS = 40,
    PVM_ROOT_OBJECT_WASM_CLASS = 41,

    PVM_ROOT_OBJECT_NULL = 64,
    PVM_ROOT_OBJECT_SYSINTERFACE = 65,
    PVM_ROOT_OBJECT_THREAD_LIST = 66, /* the first live thread; the others follow by `next` */
    PVM_ROOT_OBJECT_USERS_LIST = 67,
    PVM_ROOT_OBJECT_RESTART_LIST = 68,
    PVM_ROOT_OBJECT_KERNEL_ENVIRONMENT = 69,
    PVM_ROOT_OBJECT_OS_ENTRY = 70,
    PVM_ROOT_OBJECT_ROOT_DIR = 71,
    PVM_ROOT_OBJECT_KERNEL_STATISTICS = 72,
    PVM_ROOT_OBJECT_CLASS_DIR = 73,

    /* Ours, in the spare slots. */
    PVM_ROOT_OBJECT_VM_STATE = 80,      /* a binary object: struct pvm_vm_state */
    PVM_ROOT_OBJECT_OUT_OF_MEMORY = 81, /* the string thrown when no other can be made */
    PVM_ROOT_OBJECT_MONITORS = 82,      /* list of mutexes behind general_lock, by monitor_next */
    PVM_ROOT_OBJECT_SMALL_INTS = 83,    /* page: the shared .internal.int objects, see below */
};

/* Ints in this range are shared objects, made at birth: boxing one allocates nothing and dirties
 * nothing. Only os_eq could tell (two boxes of one small value are the same object). */
enum { PVM_SMALL_INT_LEAST = -128, PVM_SMALL_INT_MOST = 1023 };

enum {
    PVM_SYS_METHODS = 64,      /* slots of the interface that all internal classes share */
    PVM_INHERITED_METHODS = 16 /* of them, those that user classes inherit */
};

/* ---- data areas ------------------------------------------------------------------------------ */

/** Kept for the layout of the port's objects; nothing here uses it (locks are volatile). */
typedef struct pvm_spinlock {
    uint32_t unused[4];
} pvm_spinlock_t;

struct data_area_4_int {
    int32_t value;
};
struct data_area_4_long {
    int64_t value;
};
struct data_area_4_float {
    float value;
};
struct data_area_4_double {
    double value;
};

struct data_area_4_string {
    int32_t length; /* bytes; no terminator */
    uint8_t data[];
};

struct data_area_4_binary {
    int32_t data_size;
    uint8_t data[];
};

/** A method. The owner is the class whose constant pool and line maps belong to it; NULL in the
 *  64 stubs (`sys k; ret`) that internal classes share. */
struct data_area_4_code {
    pvm_object_t owner_class;
    uint32_t ordinal;
    int32_t argument_count; /* declared; -1: unknown */
    uint32_t code_size;
    uint8_t code[];
};

struct data_area_4_class {
    uint32_t object_flags;          /* of instances */
    uint32_t object_data_area_size; /* of instances, bytes */
    pvm_object_t object_default_interface;
    uint32_t sys_table_id; /* row of pvm_internal_classes[]; PVM_NOT_INTERNAL for loaded classes */
    uint32_t reserved;
    pvm_object_t class_name;   /* string */
    pvm_object_t class_parent; /* class */
    pvm_object_t static_vars;  /* array */
    pvm_object_t ip2line_maps; /* array by ordinal: binary of struct pvm_line_entry[], sorted */
    pvm_object_t method_names; /* array of string by ordinal; NULL or null object where inherited */
    pvm_object_t field_names;  /* array of string by slot */
    pvm_object_t const_pool;   /* array */
    uint64_t file_hash;        /* FNV-1a of the class file; 0 if not from a file */
    uint64_t file_size;
};
#define PVM_NOT_INTERNAL UINT32_MAX

struct pvm_line_entry {
    uint32_t offset;
    uint32_t line;
};

struct data_area_4_array {
    pvm_object_t page;  /* .internal.container.page; NULL while empty */
    int32_t page_size;  /* information only; bounds come from the page itself */
    int32_t used_slots; /* changed under the object lock */
};

/** String -> object map, open addressing with linear probing; changed under the object lock. A
 *  removed entry leaves its key's place marked by the null object until the next growth. */
struct data_area_4_directory {
    uint32_t capacity; /* power of two */
    uint32_t nEntries;
    pvm_object_t keys;   /* page: NULL empty, null object removed, else string */
    pvm_object_t values; /* page */
    uint32_t n_used;     /* entries and removed places */
    uint32_t reserved;
};
typedef struct data_area_4_directory hashdir_t;

struct data_area_4_closure {
    pvm_object_t object;
    int32_t ordinal;
    int32_t reserved;
};

struct data_area_4_bitmap {
    pvm_object_t image;
    int32_t xsize;
    int32_t ysize;
};

struct data_area_4_world {
    int32_t placeholder[8];
};
struct data_area_4_tcp {
    int32_t connected;
    uint32_t ipaddr;
    uint32_t port;
};
struct data_area_4_udp {
    int32_t ipaddr;
    int32_t connected;
};
struct data_area_4_io {
    int32_t placeholder;
    pvm_object_t name;
};
struct data_area_4_placeholder { /* net, http, time, stat, port, ui.control, ui.font */
    int32_t placeholder;
};

struct data_area_4_thread;

/** First-in first-out queue of VM threads blocked on a sync object; protected by the VM lock. */
struct pvm_wait_queue {
    pvm_object_t first;
    pvm_object_t last;
    int32_t nwaiting;
};

struct data_area_4_mutex {
    struct data_area_4_thread *owner_thread; /* NULL: free */
    struct pvm_wait_queue waiting;
    int32_t recursion;           /* times the owner holds it */
    pvm_object_t monitor_object; /* only behind general_lock: the object locked */
    pvm_object_t monitor_next;
};

struct data_area_4_cond {
    struct pvm_wait_queue waiting;
};

struct data_area_4_sema {
    struct pvm_wait_queue waiting;
    int32_t sem_value;
};

struct pvm_connection_ops;
struct data_area_4_connection {
    struct data_area_4_thread *owner;
    struct pvm_connection_ops *kernel; /* volatile: cleared at restart */
    pvm_object_t callback;
    int32_t callback_method;
    int32_t n_active_callbacks;
    uint64_t p_kernel_state_size;
    pvm_object_t p_kernel_state_object; /* binary */
    void *p_kernel_state;
    pvm_object_t (*blocking_syscall_worker)(pvm_object_t, struct data_area_4_thread *, int,
                                            pvm_object_t); /* volatile: cleared at restart */
    uint64_t v_kernel_state_size;
    void *v_kernel_state; /* volatile */
    char name[1024];
};

/* ---- threads and their stacks (ours) --------------------------------------------------------- */

enum pvm_thread_state {
    PVM_THREAD_NEW = 0,      /* made, not yet activated */
    PVM_THREAD_RUNNABLE = 1, /* running, or waiting for a worker */
    PVM_THREAD_BLOCKED = 2,  /* in the waiting queue of `waiting_on` and/or with a timer armed */
    PVM_THREAD_FINISHED = 3,
    PVM_THREAD_FAILED = 4
};

/** What a restartable blocking native left behind for its own re-execution. */
enum pvm_wait_phase {
    PVM_WAIT_NONE = 0,
    PVM_WAIT_WAITING = 1,   /* queued; nothing happened yet */
    PVM_WAIT_REACQUIRE = 2, /* cond only: signalled or timed out, now queued on the mutex */
    PVM_WAIT_GRANTED = 3,   /* got what it waited for; the native completes when executed again */
};

/**
 * A VM thread. Owned by the worker that runs it (one at most); while it is not running, or for the
 * fields that others touch (links, state, wait_*), by the VM lock.
 */
struct data_area_4_thread {
    pvm_object_t owner;       /* user object, for getUser */
    pvm_object_t environment; /* for getEnvironment */
    pvm_object_t next;        /* list of live threads */
    pvm_object_t prev;
    pvm_object_t stack;    /* segment that holds the current frame; NULL once finished */
    uint64_t frame_offset; /* of the current frame in the segment's data area */
    uint64_t stack_bytes;  /* of all segments */
    uint64_t tid;          /* number of the thread in its world, from 1 */
    uint32_t state;        /* enum pvm_thread_state */
    uint32_t loader_depth; /* frames of the userland class loader on the stack */
    /* Waiting. */
    uint32_t wait_phase;     /* enum pvm_wait_phase */
    uint32_t wait_timed_out; /* 1: woken by its timer */
    int32_t wait_recursion;  /* cond: how often the mutex was held */
    uint32_t reserved;
    pvm_object_t waiting_on; /* object in whose queue it is; NULL */
    pvm_object_t wait_next;
    pvm_object_t wait_prev;
    pvm_object_t cond_mutex; /* to be owned again after a cond wait */
    uint64_t deadline_us;    /* of the timer, on the VM clock; 0: none armed */
};

/** A stack segment: class .internal.ostack; frames follow from `PVM_SEGMENT_FIRST_FRAME` on. */
struct pvm_stack_segment {
    pvm_object_t prev; /* older segment */
    pvm_object_t next; /* a newer one kept for reuse; holds no frame unless it is the current one's
                          ancestor chain */
};
#define PVM_SEGMENT_FIRST_FRAME (sizeof(struct pvm_stack_segment))

struct pvm_catcher {
    pvm_object_t class;
    uint32_t target;       /* bytecode offset of the handler */
    uint32_t object_depth; /* when it was pushed, the class popped */
    uint32_t int_depth;
    uint32_t reserved;
};

enum {
    PVM_FRAME_CHECKED = 1,          /* depths not known statically: every push and pop is checked */
    PVM_FRAME_FIRST_IN_SEGMENT = 2, /* the previous frame is in the segment's `prev` */
    PVM_FRAME_ENTRY = 4,            /* the thread's first frame: its return ends the thread */
    PVM_FRAME_LOADER = 8, /* method 8 of the userland class loader: result belongs to summon */
};

/**
 * A call frame, followed by object cells, int cells and catchers:
 *
 *     | header 56 | objects: object_cap x 8 | ints: int_cap x 4 | pad to 8 | catchers x 24 |
 *
 * An int cell is four bytes, as in the bytecode's own count; a long or double takes two, high word
 * at the lower position (pushed first), low word on top. So code that mixes 32 and 64 bit access to
 * the same cells sees what it sees in the port. Object cells come first: depths are all that the
 * collector needs.
 *
 * `ip` is the offset of the instruction to execute next (of its prefix, if it has one). Cells at or
 * above a depth hold nothing that counts.
 */
struct pvm_frame {
    pvm_object_t code;
    pvm_object_t this_object;
    uint32_t prev; /* offset of the previous frame */
    uint32_t ip;
    uint32_t object_depth;
    uint32_t int_depth;
    uint32_t object_cap;
    uint32_t int_cap;
    uint16_t catch_depth;
    uint16_t catch_cap;
    uint32_t flags;
    uint32_t bytes; /* of the whole frame, multiple of 8 */
    uint32_t ordinal;
};

static inline pvm_object_t *pvm_frame_objects(struct pvm_frame *f)
{
    return (pvm_object_t *)(f + 1);
}

static inline uint32_t *pvm_frame_ints(struct pvm_frame *f)
{
    return (uint32_t *)(pvm_frame_objects(f) + f->object_cap);
}

static inline struct pvm_catcher *pvm_frame_catchers(struct pvm_frame *f)
{
    return (struct pvm_catcher *)(pvm_frame_ints(f) + ((f->int_cap + 1u) & ~1u));
}

/** Persistent facts about the machine itself; lies in a binary object. */
struct pvm_vm_state {
    int32_t data_size;
    int32_t reserved;
    uint64_t failures;        /* VM threads that ever ended by an unhandled exception */
    uint64_t clock_us;        /* VM clock at the last stop; deadlines are relative to it */
    uint64_t threads_started; /* also the last tid given */
};

_Static_assert(offsetof(struct data_area_4_string, data) == 4, "heap layout");
_Static_assert(offsetof(struct data_area_4_code, code) == 20, "heap layout");
_Static_assert(sizeof(struct data_area_4_class) == 96, "heap layout");
_Static_assert(sizeof(struct data_area_4_array) == 16, "heap layout");
_Static_assert(sizeof(struct data_area_4_directory) == 32, "heap layout");
_Static_assert(sizeof(struct data_area_4_mutex) == 56, "heap layout");
_Static_assert(sizeof(struct data_area_4_cond) == 24, "heap layout");
_Static_assert(sizeof(struct data_area_4_sema) == 32, "heap layout");
_Static_assert(sizeof(struct data_area_4_connection) == 1104, "heap layout");
_Static_assert(sizeof(struct data_area_4_thread) == 128, "heap layout");
_Static_assert(sizeof(struct pvm_frame) == 56, "heap layout");
_Static_assert(sizeof(struct pvm_catcher) == 24, "heap layout");

/* ---- access ---------------------------------------------------------------------------------- */

#define PVM_LOAD(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define PVM_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

/** Data area of object `o`, whose class is known to be `.internal.<type>`. */
#define pvm_object_da(o, type) ((struct data_area_4_##type *)(void *)(o)->da)
#define pvm_data_area(o, type) pvm_object_da(o, type)

/** The object that a data area belongs to. */
static inline pvm_object_t pvm_da_to_object(void *da)
{
    return (pvm_object_t)(void *)((char *)da - offsetof(struct pvm_object_storage, da));
}

/* References of a plain object, interface or page. */
static inline pvm_object_t *pvm_slots(pvm_object_t o)
{
    return (pvm_object_t *)(void *)o->da;
}

static inline uint64_t pvm_slot_count(pvm_object_t o)
{
    return o->_da_size / sizeof(pvm_object_t);
}

#define da_po_limit(o)       pvm_slot_count(o)
#define da_po_ptr(data_area) ((pvm_object_t *)(void *)(data_area))

/* Flags that never change are read plainly; IS_IMMUTABLE can be set at run time. */
static inline uint32_t pvm_flags(pvm_object_t o)
{
    return PVM_LOAD(&o->_flags);
}

static inline bool pvm_is_internal(pvm_object_t o)
{
    return (pvm_flags(o) & PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL) != 0;
}

static inline bool pvm_is_class(pvm_object_t o)
{
    return o && (pvm_flags(o) & PHANTOM_OBJECT_STORAGE_FLAG_IS_CLASS) != 0;
}

#define IS_PHANTOM_STRING(o) ((o) && (pvm_flags(o) & PHANTOM_OBJECT_STORAGE_FLAG_IS_STRING))
#define IS_PHANTOM_INT(o)    ((o) && (pvm_flags(o) & PHANTOM_OBJECT_STORAGE_FLAG_IS_INT))

/* The caller has checked the class. */
#define pvm_get_int(o)      (pvm_object_da(o, int)->value)
#define pvm_get_long(o)     (pvm_object_da(o, long)->value)
#define pvm_get_float(o)    (pvm_object_da(o, float)->value)
#define pvm_get_double(o)   (pvm_object_da(o, double)->value)
#define pvm_get_str_len(o)  (pvm_object_da(o, string)->length)
#define pvm_get_str_data(o) ((char *)pvm_object_da(o, string)->data)

/** String object equals C string? */
bool pvm_string_is(pvm_object_t string, const char *text);
#define EQ_STRING_P2C(o, cstr) pvm_string_is((o), (cstr))

/** True for C NULL and for the null object of the current world. */
bool pvm_is_null(pvm_object_t o);
#define pvm_isnull(o) pvm_is_null(o)

/** Exactly of that class; false for C NULL. */
bool pvm_object_class_exactly_is(pvm_object_t o, pvm_object_t class);
/** o's class is `class` or a descendant of it; false for nulls. */
bool pvm_object_class_is_or_parent(pvm_object_t o, pvm_object_t class);
/** `class` is `ancestor` or descends from it. */
bool pvm_class_is_or_descends(pvm_object_t class, pvm_object_t ancestor);

/* ---- creation: in the world of the calling thread (pvm_internal.h, "current world") ------------
 *
 * All return C NULL when the heap is full, after noting it: a native may then simply return
 * whatever it likes without touching the missing object, and the interpreter throws the string
 * "out of memory" in its place. Objects made here are not reachable yet; they live at least until
 * the native returns, because nothing is collected while a native runs. */

pvm_object_t pvm_create_object(pvm_object_t class);
pvm_object_t pvm_object_create_dynamic(pvm_object_t class, int64_t da_size); /* < 0: class's size */
pvm_object_t pvm_create_null_object(void);
pvm_object_t pvm_create_int_object(int32_t value);
pvm_object_t pvm_create_long_object(int64_t value);
pvm_object_t pvm_create_float_object(float value);
pvm_object_t pvm_create_double_object(double value);
pvm_object_t pvm_create_string_object(const char *value);
/** value NULL: zero bytes, to be filled in before anybody else sees the string. */
pvm_object_t pvm_create_string_object_binary(const char *value, int32_t length);
pvm_object_t pvm_create_string_object_binary_cat(const char *v1, int32_t n1, const char *v2,
                                                 int32_t n2);
pvm_object_t pvm_create_binary_object(int32_t size, const void *init); /* init may be NULL */
pvm_object_t pvm_create_page_object(uint64_t n_slots);
pvm_object_t pvm_create_array_object(void);
pvm_object_t pvm_create_directory_object(void);
pvm_object_t pvm_create_code_object(pvm_object_t owner_class, uint32_t ordinal,
                                    int32_t argument_count, const void *code, uint32_t size);
/** n slots, the first ones copied from the parent class's interface, the others null. */
pvm_object_t pvm_create_interface_object(uint32_t n_methods, pvm_object_t parent_class);
pvm_object_t pvm_create_class_object(pvm_object_t name, pvm_object_t interface, uint32_t da_size);

/* ---- arrays ---------------------------------------------------------------------------------- */

enum { PVM_MAX_ARRAY_SLOTS = 1 << 28 };

int pvm_get_array_size(pvm_object_t array);
/** Element, or C NULL if there is none at that index. */
pvm_object_t pvm_get_array_ofield(pvm_object_t array, uint32_t index);
/** Store, growing the array. False: index too large or heap full (then noted). Never lets memory be
 *  damaged when several threads use one array, but a store that races with growth may be lost. */
bool pvm_set_array_ofield(pvm_object_t array, uint32_t index, pvm_object_t value);
bool pvm_append_array(pvm_object_t array, pvm_object_t value);

/* ---- directories (pvm_directory.c): safe under concurrency ------------------------------------
 */

/** 0, EEXIST (nothing changed), ENOMEM (heap full, noted). */
int hdir_add(hashdir_t *dir, const char *key, size_t key_size, pvm_object_t value);
/** 0 and the value, or ENOENT. */
int hdir_find(hashdir_t *dir, const char *key, size_t key_size, pvm_object_t *out, int remove);
/** New array with all keys; 0 or ENOMEM. */
int hdir_keys(hashdir_t *dir, pvm_object_t *out);
void hdir_clear(hashdir_t *dir);
/** PJW hash of pvm.md 5.6. */
uint32_t pvm_hash_bytes(const void *bytes, size_t size);

#endif /* PVM_OBJECTS_H */
