/* SPDX-License-Identifier: Apache-2.0
 *
 * heap.h - the persistent object heap: layout, allocation, collection, audit.
 *
 * The heap is a prefix of a reserved virtual range whose base never changes during the life of a
 * store; objects never move, references are plain pointers. The heap room knows objects, never
 * disks: it gets the range from its caller and reports growth and discards through struct heap_os.
 *
 * Layout (docs/formats/heap.md draws it). The committed prefix grows in chunks of 64 MiB, aligned:
 *
 *     chunk = [chunk header | block table | allocation bitmaps | 64 KiB blocks ...]
 *
 * Chunk 0 begins with the heap header page (magic, layout version, native-class version, base,
 * size, root object). A block serves cells of one size class, or is part of a run of whole blocks
 * for one large object. One bit per 16 bytes says "an object begins here and is allocated". Those
 * bits and the block table are heap data, saved in the same cut as the objects.
 *
 * Reading must not write: an object header is written once, at birth. There are no counts, no mark
 * bits and no locks in it; mark bits live in volatile memory and are rebuilt by each collection.
 *
 * Threads: heap_alloc() may be called by any number of threads, each with its own heap_allocator.
 * heap_collect(), heap_audit() and heap_walk() need the world stopped: no thread is inside any heap
 * function and every live object is reachable from the root object.
 */
#ifndef HEAP_H
#define HEAP_H

#include "ph_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_LAYOUT_VERSION 1

enum {
    HEAP_CELL = 16, /* granularity of objects and of allocation bits */
    HEAP_BLOCK_BYTES = 64 * 1024,
};
#define HEAP_CHUNK_BYTES (UINT64_C(64) << 20)

/* ---- objects ------------------------------------------------------------------------------- */

#define PVM_OBJECT_START_MARKER 0x7FAA7F55u

struct pvm_object_storage {
    uint32_t _marker;                  /* PVM_OBJECT_START_MARKER */
    uint32_t _flags;                   /* PHANTOM_OBJECT_STORAGE_FLAG_... */
    struct pvm_object_storage *_class; /* NULL only for the root object */
    uint64_t _da_size;                 /* bytes of da, exact */
    uint8_t da[];
};
typedef struct pvm_object_storage pvm_object_storage_t;
typedef struct pvm_object_storage *pvm_object_t;

_Static_assert(sizeof(struct pvm_object_storage) == 24, "object header is part of the heap layout");

/* Object flags: numbers kept from the port (pvm.md 1.4). */
enum {
    PHANTOM_OBJECT_STORAGE_FLAG_IS_CODE = 0x01,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERFACE = 0x02,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_CLASS = 0x04,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_DECOMPOSEABLE = 0x08,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_INT = 0x10,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_STRING = 0x20,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_RESIZEABLE = 0x40,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL = 0x80,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_CALL_FRAME = 0x100,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_STACK_FRAME = 0x200,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_THREAD = 0x400,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE = 0x800, /* holds no references */
    PHANTOM_OBJECT_STORAGE_FLAG_IS_FINALIZER = 0x1000,
    PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE = 0x2000,
    PHANTOM_OBJECT_STORAGE_FLAG_HAS_WEAKREF = 0x100000,
};

/* ---- references ---------------------------------------------------------------------------- */

/* Slots never tear; release/acquire so that an object is complete before another thread sees it
 * (both are plain moves on x86-64). Every store of a reference or a number into an object that
 * other threads may see goes through these, so that a software store barrier has one place. */
static inline pvm_object_t heap_load_ref(pvm_object_t const *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void heap_store_ref(pvm_object_t *slot, pvm_object_t value)
{
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
}

/* ---- stores -------------------------------------------------------------------------------- */

/**
 * Who wants to know of each store into the heap: strategies that see no page faults. Every writer,
 * of this room and of the machine, calls before() with the bytes it is about to store and after()
 * with what it has stored; between the two lies no safepoint. Any thread, also with locks of the
 * heap or the machine held: neither function may take one of those, or call the heap.
 */
struct heap_stores {
    void *context;
    void (*before)(void *context, const void *start, uint64_t bytes);
    void (*after)(void *context, const void *start, uint64_t bytes);
};

/** NULL: nobody wants to know. */
static inline void heap_before_store(const struct heap_stores *stores, const void *start,
                                     uint64_t bytes)
{
    if (__builtin_expect(stores != NULL, 0)) {
        stores->before(stores->context, start, bytes);
    }
}

static inline void heap_after_store(const struct heap_stores *stores, const void *start,
                                    uint64_t bytes)
{
    if (__builtin_expect(stores != NULL, 0)) {
        stores->after(stores->context, start, bytes);
    }
}

/* ---- the heap ------------------------------------------------------------------------------ */

struct heap;
struct heap_allocator; /* one per thread that allocates: owns blocks it fills; volatile */

/** What the heap asks of the world around it. Any member may be NULL. */
struct heap_os {
    void *context;
    /** Whole pages hold nothing any more (see snap_engine_discard): they read as zeros when this
     *  returns. World stopped; called by heap_collect() only, with no lock of the heap held. NULL:
     *  freed memory keeps its bytes and is zeroed when it is handed out again. */
    void (*discard)(void *context, void *start, uint64_t bytes);
    /** Borrowed until heap_detach(); the machine over this heap uses it, too. */
    const struct heap_stores *stores;
};

struct heap_params {
    void *base; /* mapped, readable and writable, zero where never written; 64 MiB aligned */
    uint64_t size_limit; /* bytes of the range that may be used */
    uint32_t native_class_version;
    struct heap_os os;
};

/** Lay out an empty heap at base; writes one page. size_limit is rounded down to whole blocks and
 *  must leave at least one for objects (640 KiB). PHANTOM_EINVALID (bad params, or memory in use),
 *  -ENOMEM. */
int heap_create(const struct heap_params *params, struct heap **out, struct phantom_diag *diag);
/** Attach to a restored heap: checks magic, versions, base and size; rebuilds what is volatile.
 *  PHANTOM_EVERSION names both versions; PHANTOM_EINVALID: base or size_limit is not that of the
 *  heap; PHANTOM_ECORRUPT: not a heap, or its tables make no sense. Writes nothing and reads the
 *  header and the block tables only: bitmaps and objects are heap_audit()'s. */
int heap_attach(const struct heap_params *params, struct heap **out, struct phantom_diag *diag);
/** Free the volatile part; the memory itself is the caller's. NULL allowed.
 *  @pre every allocator of the heap was destroyed */
void heap_detach(struct heap *heap);

/** Bytes of the range in use: everything at or above base + this is untouched. Any thread. */
uint64_t heap_committed_bytes(const struct heap *heap);
/** Bytes in allocated cells and runs. Any thread, approximate while threads allocate. Takes the
 *  heap's lock; the first call after heap_attach() counts the bitmaps. */
uint64_t heap_used_bytes(const struct heap *heap);
/** Bytes allocated since the last collection; the caller decides when to collect. Any thread.
 *  Takes the heap's lock and sums over the allocators: ask now and then, not per object. */
uint64_t heap_allocated_since_collect(const struct heap *heap);

/** heap_params.os.stores. */
const struct heap_stores *heap_store_listener(const struct heap *heap);

/** The one object everything is reached from; stored in the heap header. */
pvm_object_t heap_root(const struct heap *heap);
void heap_set_root(struct heap *heap, pvm_object_t root);

int heap_allocator_create(struct heap *heap, struct heap_allocator **out);
/** Gives its blocks back. No other call on it at the same time. NULL allowed. */
void heap_allocator_destroy(struct heap_allocator *allocator);

/**
 * A new object: header filled in, data area zeroed. Not reachable from anywhere yet; since
 * collections happen only with the world stopped at safepoints, it lives at least until the calling
 * VM thread's next safepoint.
 * @param class  may be NULL during birth only: heap_audit() wants every object but the root object
 *               to have a class
 * @param flags  FINALIZER counts only when it is given here, not when it is set later
 * @return NULL when the limit is reached or volatile memory is short; a collection helps in the
 *         first case, also because it takes back the half-filled blocks of all allocators
 */
pvm_object_t heap_alloc(struct heap_allocator *allocator, pvm_object_t class, uint32_t flags,
                        uint64_t da_size);

/** True if o is the start of an allocated object of this heap; for untrusted pointers. Any thread,
 *  lock-free; reads only the bitmaps of the committed part. */
bool heap_is_object(const struct heap *heap, const void *o);

/* ---- collection ---------------------------------------------------------------------------- */

struct heap_visitor;
/** Report one reference held by the object being traced. NULL is ignored. */
void heap_visit(struct heap_visitor *visitor, pvm_object_t reference);

/** Supplied by the PVM: report every reference that `o` holds besides its class. */
typedef void (*heap_trace_fn)(void *context, pvm_object_t o, struct heap_visitor *visitor);
/** Supplied by the PVM: o has the FINALIZER flag and is about to be freed; may read it only. */
typedef void (*heap_finalize_fn)(void *context, pvm_object_t o);

struct heap_collect_report {
    uint64_t live_objects, live_bytes, freed_objects, freed_bytes, discarded_bytes;
    uint64_t pause_ns; /* measured by the caller if it has a clock; the heap leaves it 0 */
};

/**
 * Mark from the root, sweep the allocation bits (marking writes no heap page; sweeping does not
 * touch dead objects), discard whole free blocks. World stopped. Allocators stay usable: they lose
 * their blocks and take new ones. trace is not called for CHILDFREE objects. A reference to
 * anything but an object of this heap is a broken invariant (fatal hook): audit what is not trusted
 * first. finalize (may be NULL) runs for all dead objects with the flag before the first one is
 * freed.
 * @param report  may be NULL; written only on success
 * @return 0, or -ENOMEM: nothing was freed, the heap is as before
 */
int heap_collect(struct heap *heap, heap_trace_fn trace, heap_finalize_fn finalize, void *context,
                 struct heap_collect_report *report);

/** Visit every allocated object. World stopped. Non-zero from visit stops and is returned. */
int heap_walk(struct heap *heap, int (*visit)(void *context, pvm_object_t o), void *context);

/**
 * Check everything: header, chunk and block tables, bitmaps against block kinds, each object's
 * marker and size, and that every reference reported by trace is the start of an allocated object.
 * @return 0 or PHANTOM_ECORRUPT with the first finding in diag
 */
int heap_audit(struct heap *heap, heap_trace_fn trace, void *context, struct phantom_diag *diag);

#endif /* HEAP_H */
