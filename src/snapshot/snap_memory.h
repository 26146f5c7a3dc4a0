/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_memory.h - the tracked memory, as the engine sees it. The hal_posix room implements it with
 * userfaultfd WP_ASYNC + PAGEMAP_SCAN; tests implement it with an array and a dirty bitmap.
 *
 * "Dirty" means: written since the page was last protected (by scan with SNAP_SCAN_PROTECT, by
 * populate(), or by protect_all()). Holes (never written, or discarded) are never reported dirty.
 */
#ifndef SNAP_MEMORY_H
#define SNAP_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snap_memory;

struct snap_range { /* pages [first, first + count) */
    uint64_t first, count;
};

enum snap_scan_flags {
    SNAP_SCAN_PROTECT = 1 /* protect what is reported, atomically with reporting it */
};

/**
 * Who knows what belongs into pages that are not there yet. Both functions are called on threads of
 * the memory, each on one of its own; they may call install() and nothing else of the memory.
 */
struct snap_page_source {
    void *context;
    /** A thread waits for this page and goes on when it has been installed. */
    void (*demand)(void *context, uint64_t page);
    /** Nobody waits: do a bounded piece of work. False: there is nothing more to do, ever. */
    bool (*background)(void *context);
};

/** Who is told before a page changes. */
struct snap_page_guard {
    void *context;
    /**
     * A thread is about to store into one of the pages [first, first+count), and all of them become
     * writable when this returns. Called in that thread, in a signal handler if the memory uses
     * one: async-signal-safe, may use wait() and wake() and read the pages, nothing else.
     */
    void (*before_store)(void *context, uint64_t first, uint64_t count);
};

struct snap_memory_ops {
    const char *name;
    bool tracks; /* false: scan() is not available, only resident() (strategy `full`) */
    /**
     * Dirty pages in [first, first+count): at most `capacity` ranges, merged, ascending.
     * Returns the number of ranges or -errno; *resume is where to go on (== first+count: done).
     * With SNAP_SCAN_PROTECT a page is protected, and other CPUs see that, before scan() returns:
     * a store after that makes it dirty again. Safe while mutators run. If it fails then, pages may
     * be protected that were not reported.
     */
    int (*scan)(struct snap_memory *memory, uint64_t first, uint64_t count, unsigned flags,
                struct snap_range *ranges, size_t capacity, uint64_t *resume);
    /** Ranges of pages that are not holes. Same protocol. */
    int (*resident)(struct snap_memory *memory, uint64_t first, uint64_t count,
                    struct snap_range *ranges, size_t capacity, uint64_t *resume);
    /** Fill pages with restored content; they are clean afterwards. Before mutators run. */
    int (*populate)(struct snap_memory *memory, uint64_t first, uint64_t count, const void *data);
    /** Everything that is resident becomes clean. */
    int (*protect_all)(struct snap_memory *memory, uint64_t first, uint64_t count);
    /** Give pages back: they are holes and read as zeros. No mutator touches them meanwhile. */
    int (*discard)(struct snap_memory *memory, uint64_t first, uint64_t count);

    /* Serving pages on demand (lazy restore). All three or none: NULL means not possible here. */

    /**
     * From now on, until the memory is closed, a touch of a page in [0, count) that is not present
     * (also one that was discarded) waits until the source has installed it. Accesses by the kernel
     * (read(2) into such a page) fail with EFAULT instead. The memory is empty; once only.
     */
    int (*serve)(struct snap_memory *memory, uint64_t count, const struct snap_page_source *source);
    /**
     * Put pages in, clean, data NULL: zeros; and wake who waits for them. A page that is present
     * keeps what it has. Any thread, also while mutators run. 0 or -errno.
     */
    int (*install)(struct snap_memory *memory, uint64_t first, uint64_t count, const void *data);
    /** The source is not called any more when this returns. Who touches a missing page from then on
     *  waits for ever: nobody may. Nothing happens if serve() was never called. */
    void (*stop_serving)(struct snap_memory *memory);
    void (*close)(struct snap_memory *memory);
    /* Optional members (NULL: not here). */
    /** When this returns 0, every thread of the process that is running has executed a full memory
     *  barrier since the call. Without it marks cannot be cleared while writers run. */
    int (*barrier)(struct snap_memory *memory);
    /** Page faults of this process so far. A page that becomes dirty by a store of one of its
     *  threads has cost at least one, other things as well. */
    uint64_t (*faults)(struct snap_memory *memory);
    /** The engine will copy pages into this area for ever: make that cheap (huge pages, present).
     *  Best effort. `area` is aligned to 2 MiB unless it is smaller. */
    void (*prepare_staging)(struct snap_memory *memory, void *area, size_t bytes);

    /* Waiting of storing threads (copy on write). Both or none. Async-signal-safe. */

    /** Sleep while *word is `expected`; may return for no reason. */
    void (*wait)(struct snap_memory *memory, _Atomic uint32_t *word, uint32_t expected);
    /** Wake all who sleep on the word. */
    void (*wake)(struct snap_memory *memory, _Atomic uint32_t *word);

    /* Catching first stores (strategies sigbus and mprotect): trap, trap_pages and guard. */

    const char *trap; /* "sigbus", "mprotect", "any" (tests), or NULL */
    /** Pages that become writable together, at least. 1: a discarded page traps again, too. */
    uint32_t trap_pages;
    /**
     * From now on a store into a protected page calls the guard first. Pages are protected by
     * protect_all(), which on such a memory also covers holes in the span, and is called with the
     * world stopped; holes are protected from here on, resident pages are not. guard NULL: catching
     * ends, everything is writable. 0 or -errno.
     */
    int (*guard)(struct snap_memory *memory, const struct snap_page_guard *guard);

    /* A copy of the whole memory at one moment (strategy fork). All three or none. */

    /** World stopped: *frozen is the memory as it is now. 0 or -errno. */
    int (*freeze)(struct snap_memory *memory, void **frozen);
    /** Copy pages out of it. World running, one thread at a time. 0 or -errno. */
    int (*read_frozen)(struct snap_memory *memory, void *frozen, uint64_t first, uint64_t count,
                       void *out);
    void (*thaw)(struct snap_memory *memory, void *frozen);
};

struct snap_memory {
    const struct snap_memory_ops *ops;
    uint8_t *base;
    uint64_t page_count; /* of the reserved range */
};

#endif /* SNAP_MEMORY_H */
