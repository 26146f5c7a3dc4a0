/* SPDX-License-Identifier: Apache-2.0
 *
 * space.h - a persistent heap for C programs. Stability: see phantom.h.
 *
 * A space is a store plus a range of memory at a fixed address. What is in the range is snapshotted
 * while the program runs, and opening the store again brings it back at the same address, so
 * pointers inside it stay valid for the life of the store. There is no save, no load, no
 * serialisation:
 *
 *     struct phantom_space *space;
 *     if (phantom_space_open("index.phantom", NULL, &space, NULL) != 0) { ... }
 *     phantom_space_enter(space);
 *     struct index *index = phantom_space_root(space, "index");
 *     if (index == NULL) {
 *         index = phantom_space_calloc(space, 1, sizeof(*index));
 *         phantom_space_set_root(space, "index", index);
 *     }
 *     index->lookups++;
 *     phantom_space_leave(space);
 *     phantom_space_commit(space);      // on disk now, whatever happens next
 *     phantom_space_close(space);
 *
 * Words
 *   operation   what one thread does between phantom_space_enter() and the phantom_space_leave()
 *               that belongs to it.
 *   cut         the moment a snapshot shows. At a cut no thread is inside an operation.
 *   generation  one committed snapshot: the whole range as it was at one cut.
 *
 * Guarantees
 *   - After any crash (kill -9, power cut) the space is exactly one generation: every operation is
 * in it whole or not at all. It is never older than the last one that phantom_space_commit(),
 *     phantom_space_wait(), phantom_space_snapshot() or a `safe` callback acknowledged.
 *   - If an operation ended before another began, no generation holds the second without the first.
 *   - The range has the same address at each opening, in every process.
 *   - Reading changes nothing: no page is written to disk because it was looked at, and neither
 *     root lookup nor usable_size writes into the range. Where nothing changed since the last
 *     generation there is no new one, whoever asks for it.
 *   - What the allocator keeps in caches is not in the store: slots that were cached at a cut are
 *     free after a restart, neither lost nor given out twice.
 *   - Damage is detected and reported. A double free, a pointer that is not from this allocator and
 *     damaged allocator metadata end the process with a message before they can be committed.
 *   - The library never aborts for bad input, I/O errors or lack of resources, with one exception:
 *     a page that a thread has touched and that cannot be loaded (options.damaged). It prints
 *     nothing else, and starts one thread for each open space, and two more for one whose pages
 *     are loaded on demand.
 *
 * Caveats: what the caller must do
 *   - Every store into the range, and every allocator call that belongs together with it, goes
 *     between enter and leave. A store outside may be missing in a generation that has later ones,
 *     or be cut in half. Loads need no operation for persistence; they need whatever lock protects
 *     the data from other threads, as always. (Allocator calls and phantom_space_set_root() are
 *     operations of their own when called outside one. Allocating in one operation and linking the
 *     block in a later one leaks it if the process dies between the two.)
 *   - Do not block inside an operation for what another thread does in an operation of its own
 *     that it has still to begin: a snapshot waits for you, and it waits for the snapshot. Locks
 *     around data in the space are taken inside, or released before leave: "lock, enter, leave,
 *     unlock" and "enter, lock, unlock, leave" are both right if all threads use the same one.
 *     Mixing the two orders for one lock is a deadlock.
 *   - No operation should take long: everybody who begins one waits while a snapshot waits. One
 * that does calls phantom_space_safepoint() wherever its data are consistent. A cut that is not
 *     reached in options.stop_timeout_ms is given up, and the snapshot refused.
 *   - Nothing in the range may refer to anything outside it that does not survive the process:
 *     pointers to other memory, to functions or to string constants, file descriptors, thread
 *     handles, C library objects with state of their own (FILE, pthread_mutex_t, atomics that
 *     somebody waits on). What must be there is set again in options.after_restore.
 *   - Memory whose new content came from the kernel (read(2) into the range) counts as stored, and
 *     the call belongs inside the operation. Before memory of the range is given to a system call,
 *     for reading or for writing, and unless the caller has just touched all of it, call
 *     phantom_space_load(): where pages are loaded on demand the kernel fails with EFAULT on one
 *     that is not there, also in a block that is new. Never register the range for asynchronous
 *     I/O: a cut would fall into a transfer.
 *   - options.all_stores_announced promises that every store is followed, inside its operation, by
 *     phantom_space_wrote() for the bytes it changed. Commits then need not ask the kernel what was
 *     written, which makes small ones several times cheaper. A store that is not announced is
 *     silently missing after a restart. The promise is for one opening.
 *   - One process at a time. After fork() the child does not have the range (touching it is a
 *     segmentation fault), and calls there return PHANTOM_EFORKED, or NULL.
 *   - The address range was chosen at birth. If something else is mapped there, opening fails with
 *     PHANTOM_EADDRESS and says what. An address sanitizer or a debugger that moves mappings may
 *     be the reason.
 *   - The content is trusted like the program's own memory: checksums find damage, they do not
 *     defend against somebody who writes a store for you to open.
 */
#ifndef PHANTOM_SPACE_H
#define PHANTOM_SPACE_H

#include <phantom/error.h>
#include <phantom/snapshot.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phantom_space;

/** phantom_space_options.interval_ms: no periodic snapshots. */
#define PHANTOM_SPACE_NO_INTERVAL UINT32_MAX
/** phantom_space_options.gather_us: a group commit does not wait for others to join. */
#define PHANTOM_SPACE_NO_GATHER UINT32_MAX

/** Given to phantom_space_open(). Zero in a member means its default. Fill in with
 * phantom_space_options_init(). */
struct phantom_space_options {
    size_t size; /* sizeof(struct phantom_space_options) */

    /* Birth: used only when the store does not exist yet. */
    uint64_t heap_size; /* bytes of address range, 4 MiB to 64 GiB; default 64 GiB. Addresses, not
                           memory: pages cost something when they are first written */
    bool existing_only; /* fail with PHANTOM_ENOTFOUND instead of giving birth */
    bool create_only;   /* fail with -EEXIST instead of opening what is there */

    /* Every time. */
    const char *strategy;      /* "async", "cards", "epoch", "sigbus", "mprotect", "fork", "full";
                                  default: cards if all_stores_announced, else async where this machine
                                  allows it, else full */
    bool all_stores_announced; /* see the caveats above */
    bool without_io_uring;     /* write with threads even where io_uring works */
    bool check_snapshots;      /* compare each generation with the memory at its cut: slow */
    bool eager;                /* read and verify everything before phantom_space_open() returns.
                                  Default: where machine and strategy allow it, pages are read and
                                  verified when they are touched, and the rest meanwhile */
    uint32_t interval_ms;      /* between periodic snapshots; default 1000; nothing is written when
                                  nothing changed since the last one */
    uint32_t stop_timeout_ms;  /* longest wait for operations to end; default 1000 */
    uint32_t gather_us;        /* longest wait of a group commit for as many as came to the last
                                  one; default 150 */

    /* Which generations stay: zero is the store's default. Tags pin regardless. */
    uint64_t retain_bytes;           /* byte budget for history */
    uint32_t retain_all_s;           /* everything that is younger than this, but see the last */
    uint32_t retain_per_second_s;    /* one a second for so long */
    uint32_t retain_per_minute_s;    /* one a minute for so long */
    uint32_t retain_most_per_second; /* group commits come by the thousand: at most so many of a
                                        second stay */

    /* Callbacks. Any may be NULL. They must not call back into the space, except after_restore. */
    void *context;
    /** A store that exists is about to be put into memory; no memory of the range exists yet.
     *  Called in phantom_space_open(), in its thread. */
    void (*before_restore)(void *context, void *base, uint64_t size);
    /** The memory is there and nobody else sees it yet: make again what does not survive a process.
     *  May use all calls but those that commit, wait or close. Called in phantom_space_open(), in
     *  its thread, not inside an operation; not called at birth. */
    void (*after_restore)(void *context, struct phantom_space *space,
                          const struct phantom_generation *generation);
    /** A generation is durable. Called from the thread that wrote it, before those who wait for it
     *  are woken; keep it short. For the first generation, at birth, that is the thread in
     *  phantom_space_open(), which has not returned yet. */
    void (*committed)(void *context, const struct phantom_generation *generation);
    /** One line for a human: refused snapshots, fallbacks. From any thread of the library or of the
     *  caller. */
    void (*message)(void *context, const char *text);
    /**
     * A thread has touched a page that is damaged (PHANTOM_ECORRUPT) or cannot be read (-EIO); text
     * names page, block, generation and both sums. That thread can never go on and nothing more is
     * committed, so this must end the process. NULL, or if it returns: message on stderr and
     * abort(). From a thread of the library. Never called for a space that was opened eagerly.
     * Damage in pages that nobody waits for goes to `message`, and makes commits fail with the
     * error.
     */
    void (*damaged)(void *context, int error, const char *text);

    /* Encryption at rest: 32 bytes, NULL for none. At birth the store is encrypted with it, later
     * it must be the same (else PHANTOM_EKEY). Not used after phantom_space_open() has returned. */
    const void *key;
    size_t key_size;

    /* At birth only: "lz4" makes a store whose pages are compressed where that saves blocks; NULL
     * or "none": they are not. Another name is PHANTOM_EINVALID. Smaller, and slower to write. */
    const char *compression;

    /* Strategies sigbus and mprotect install a handler of SIGBUS or SIGSEGV for the process while
     * the space is open, which passes on what is not in the range of a space: only with this
     * consent. Threads that use the space must not block that signal, and no system call may be
     * given memory of the range (not after phantom_space_load() either): copy. */
    bool allow_signal_handlers;

    /* Every store into the range is preceded, inside the same operation and with no
     * phantom_space_safepoint() between, by phantom_space_will_write() for the bytes that it
     * changes. What strategy epoch needs, which saves what a page held before the first store since
     * a cut, and so has the shortest stop without help of the kernel. A store that is not announced
     * may be missing after a restart, or be in a generation that is older than it. */
    bool announced_before;
};

/** Set size and zero the rest. @threads any */
PHANTOM_API void phantom_space_options_init(struct phantom_space_options *options);

/* ---- open and close ------------------------------------------------------------------------ */

/**
 * Open the space in `path`, or give birth to an empty one there.
 *
 * Birth is atomic: the file appears under its name only with a complete first generation in it.
 *
 * @param path     "NAME.phantom"; a regular file or a name in an existing directory
 * @param options  NULL: all defaults. Strings need not outlive the call
 * @param[out] out written only on success
 * @param diag     may be NULL; on failure names file, place and cause
 * @return 0, or
 *   PHANTOM_EBUSY      open for writing already, in another process or this one (said after a
 *                      second of patience)
 *   PHANTOM_ECORRUPT   damaged; run `phantom verify`
 *   PHANTOM_EFORMAT    not a store
 *   PHANTOM_EVERSION   the store of a world, not of a space; or of an incompatible version
 *   PHANTOM_EADDRESS   the address range is in use in this process; diag names the mapping
 *   PHANTOM_ENOTFOUND  existing_only and there is none, or its folder is missing
 *   PHANTOM_EUNSUPPORTED  the strategy asked for does not work on this machine, or not
 *                      with these options
 *   -EEXIST            create_only, and there is something
 *   PHANTOM_EINVALID   bad option, or the strategy is unknown
 *   PHANTOM_ENOSPACE, -ENOMEM, -errno of the file
 * @threads any
 */
PHANTOM_API int phantom_space_open(const char *path, const struct phantom_space_options *options,
                                   struct phantom_space **out, struct phantom_diag *diag);

/** What opening found: the generation that goes on, and whether a newer one was incomplete.
 * @threads any */
PHANTOM_API void phantom_space_recovered(const struct phantom_space *space,
                                         struct phantom_recovery *out);

/**
 * Take a last snapshot if anything changed since the last one, seal the store, free the space.
 * Pages that were not loaded yet need not be.
 *
 * Calls of other threads that wait for a commit (phantom_space_commit(), _snapshot(), _wait()) are
 * finished first, return what they would have returned, and need the space no more when it is
 * freed. A call that wants to begin to wait, or take a ticket, meanwhile gets PHANTOM_ESTOPPED.
 * Tickets need no end: what they stand for is in the last snapshot, and they can be asked no more.
 * `safe` callbacks that were not called yet are called from here, with the result of the last
 * snapshot. After any other result than PHANTOM_EINVALID the space is gone.
 *
 * @return 0, the error of the last snapshot, or
 *   PHANTOM_ECORRUPT, -EIO  a page could not be loaded; what changed since is not in the store
 *   PHANTOM_EINVALID   some thread is inside an operation, or this one inside a callback: the space
 *                      stays open
 *   PHANTOM_EFORKED    in a forked child: nothing was done, the child's copy ends with the child
 * @pre other threads that use the space are inside one of the waiting calls, or ended what they
 *      called; none begins a call, or ends after having used the space, from here on. (That another
 *      thread is about to call is something only the host can know: usually it joins its threads.)
 * @threads any that is not inside an operation or a callback
 */
PHANTOM_API int phantom_space_close(struct phantom_space *space);

/** Free the space without a last snapshot: as a crash would, but tidily. NULL allowed. Calls that
 * wait are finished as by phantom_space_close(), which may commit once more for them; `safe`
 * callbacks not yet called get PHANTOM_ESTOPPED. Same preconditions as phantom_space_close(); an
 * open operation is not waited for. From inside a callback, or in a forked child, it does nothing.
 */
PHANTOM_API void phantom_space_abandon(struct phantom_space *space);

/** First address of the range, and its length in bytes. Fixed for the life of the store.
 * @threads any */
PHANTOM_API void *phantom_space_base(const struct phantom_space *space);
PHANTOM_API uint64_t phantom_space_size(const struct phantom_space *space);

/** Name of the strategy and of the I/O back end in use. @threads any */
PHANTOM_API const char *phantom_space_strategy(const struct phantom_space *space);
PHANTOM_API const char *phantom_space_io_backend(const struct phantom_space *space);

/**
 * The sentence that belongs to the last snapshot or commit of this space that failed, "" if none.
 * Copied: the text belongs to the caller.
 * @threads any
 */
PHANTOM_API void phantom_space_message(struct phantom_space *space, struct phantom_diag *out);

/* ---- operations ---------------------------------------------------------------------------- */

/**
 * Begin an operation: from here to the matching phantom_space_leave() no cut falls.
 *
 * Operations nest; the outermost one counts. Waits, asleep, while a snapshot has the space stopped
 * (microseconds to a millisecond). Costs a few nanoseconds otherwise. The first call in a thread
 * registers it.
 *
 * @return 0, PHANTOM_EFORKED, or -ENOMEM (first call in this thread only): then no operation began
 * @threads any
 */
PHANTOM_API int phantom_space_enter(struct phantom_space *space);
/** End the operation that the last phantom_space_enter() of this thread began. One leave too many,
 * and a thread that ends inside an operation, end the process with a message. */
PHANTOM_API void phantom_space_leave(struct phantom_space *space);
/** A cut may fall here, in the middle of an operation: the data are consistent as they are. Does
 * nothing, quickly, when no snapshot waits. @pre inside an operation */
PHANTOM_API void phantom_space_safepoint(struct phantom_space *space);

/**
 * Prepare the calling thread, so that its first operation needs no memory. Optional. A thread that
 * is registered and not inside an operation costs nothing, at no time.
 * @return 0, PHANTOM_EFORKED, -ENOMEM
 */
PHANTOM_API int phantom_space_register_thread(struct phantom_space *space);
/** Give back what the thread has in caches. Done by itself when the thread ends. @pre not inside an
 * operation */
PHANTOM_API void phantom_space_unregister_thread(struct phantom_space *space);

/**
 * These bytes were just written. To be called after the stores, inside the same operation. Needed
 * only with options.all_stores_announced, harmless without.
 * @param address  in the range; a part outside it is ignored
 * @threads any
 */
PHANTOM_API void phantom_space_wrote(struct phantom_space *space, const void *address,
                                     size_t length);

/**
 * These bytes are about to be written. To be called before the stores, inside the same operation.
 * Needed only with options.announced_before, harmless without. May wait, shortly, for a snapshot
 * that is being written.
 * @param address  in the range; a part outside it is ignored
 * @threads any that is inside an operation
 */
PHANTOM_API void phantom_space_will_write(struct phantom_space *space, const void *address,
                                          size_t length);

/**
 * Bring these bytes into memory, so that a system call can access them. Changes nothing.
 * @return 0, PHANTOM_EINVALID (not in the range), PHANTOM_EFORKED, -ENOMEM; or PHANTOM_ECORRUPT,
 *         -EIO: they cannot be loaded, and nothing is committed any more
 * @threads any
 */
PHANTOM_API int phantom_space_load(struct phantom_space *space, const void *address, size_t length);

/* ---- roots --------------------------------------------------------------------------------- */

/** Most bytes of a root's name, and most roots. */
enum { PHANTOM_SPACE_ROOT_NAME = 111, PHANTOM_SPACE_ROOTS = 4096 };

/** What phantom_space_set_root() last stored under this name; NULL: nothing. @threads any */
PHANTOM_API void *phantom_space_root(struct phantom_space *space, const char *name);
/**
 * Store a pointer into the range under a name; NULL removes the name.
 * @return 0, or
 *   PHANTOM_EINVALID  the name is empty or too long, or the pointer leads out of the range
 *   PHANTOM_EQUOTA    the table is full
 *   PHANTOM_EFORKED, -ENOMEM as phantom_space_enter()
 * @threads any
 */
PHANTOM_API int phantom_space_set_root(struct phantom_space *space, const char *name, void *value);
/** Call visit for each root, in no order; non-zero from visit stops and is returned. visit must not
 * call back into the space. @threads any */
PHANTOM_API int phantom_space_roots(struct phantom_space *space,
                                    int (*visit)(void *context, const char *name, void *value),
                                    void *context);

/* ---- memory -------------------------------------------------------------------------------- */

/*
 * As their namesakes in <stdlib.h>, for memory in the range. Blocks are aligned to 16 bytes, of any
 * size up to what is left; a size of 0 gives a block of its own. NULL: the space is full (or
 * -ENOMEM of volatile memory for a thread's first call, or a forked child). A large block that is
 * freed gives its pages back, in memory and in the next generation. Each call is an operation of
 * its own when called outside one.
 * @threads any, also for blocks of other threads
 */
PHANTOM_API void *phantom_space_malloc(struct phantom_space *space, size_t size);
PHANTOM_API void *phantom_space_calloc(struct phantom_space *space, size_t count, size_t size);
PHANTOM_API void *phantom_space_realloc(struct phantom_space *space, void *block, size_t size);
PHANTOM_API void phantom_space_free(struct phantom_space *space, void *block);
/** alignment: a power of two, at most half the range. Freed by phantom_space_free(). */
PHANTOM_API void *phantom_space_aligned_alloc(struct phantom_space *space, size_t alignment,
                                              size_t size);
/** Bytes that may be used of this block, at least what was asked for; 0 for NULL. */
PHANTOM_API size_t phantom_space_usable_size(struct phantom_space *space, const void *block);

/** How full a space is. All in bytes unless the name says otherwise. */
struct phantom_space_usage {
    size_t size;              /* sizeof(struct phantom_space_usage), set by the caller */
    uint64_t blocks;          /* allocated and not freed */
    uint64_t block_bytes;     /* their usable sizes */
    uint64_t reserved_bytes;  /* of the range taken for blocks, free slots included, in pieces of
                                 64 KiB */
    uint64_t metadata_bytes;  /* the allocator's own tables */
    uint64_t available_bytes; /* of the range, not taken by anything: pieces of 64 KiB. While there
                                 is one, blocks of up to 64 KiB can be had; a larger one needs
                                 enough of them in a row */
    uint64_t large_blocks;    /* of blocks: those with pages of their own */
    uint64_t large_block_bytes;
    uint64_t roots;
};
/** Count. Reads the allocator's metadata of the whole space; allocations of others that run
 * meanwhile may be counted or not. @return 0, PHANTOM_EFORKED or PHANTOM_EINVALID (size)
 * @threads any */
PHANTOM_API int phantom_space_usage(struct phantom_space *space, struct phantom_space_usage *out);

/**
 * Walk the allocator's metadata and the roots and check that everything agrees. Operations wait
 * meanwhile.
 * @param diag  may be NULL; says what is wrong and where
 * @return 0, PHANTOM_ECORRUPT, PHANTOM_ETIMEOUT (an operation did not end), PHANTOM_EINVALID (this
 *         thread is inside one), PHANTOM_EFORKED
 * @threads any that is not inside an operation
 */
PHANTOM_API int phantom_space_check(struct phantom_space *space, struct phantom_diag *diag);

/* ---- durability ---------------------------------------------------------------------------- */

/**
 * Return when everything this thread has done in operations that ended is durable: a generation
 * whose cut came after the call is on disk.
 *
 * Group commit: calls of several threads share one write and flush. The first one writes, in its
 * own thread; those that come while it does share the next one.
 *
 * @return 0, or
 *   PHANTOM_ENOSPACE   refused, no room on the disk; everybody who waited gets it, the space goes
 *                      on, and calling again is right when there is room
 *   PHANTOM_ETIMEOUT   an operation of another thread did not end in options.stop_timeout_ms;
 *                      likewise
 *   -ENOMEM, PHANTOM_EBUSY, -errno   not written; likewise
 *   PHANTOM_ECORRUPT, -EIO   a page could not be loaded; nothing more can become durable
 *   PHANTOM_EPOISONED  a write or flush failed, now or earlier; nothing more can become durable:
 *                      abandon the space and open it again
 *   PHANTOM_EINVALID   this thread is inside an operation, or inside a callback of this space
 *   PHANTOM_ESTOPPED   the space is being closed
 *   PHANTOM_EFORKED
 * @threads any that is not inside an operation or a callback; blocks
 */
PHANTOM_API int phantom_space_commit(struct phantom_space *space);

/** A promise of durability: what ended before it was taken. Any number may be outstanding; they
 * need no end. */
struct phantom_space_ticket {
    uint64_t round;
};

/**
 * As phantom_space_commit(), but returns at once; the space's own thread writes if nobody waits.
 * @param[out] ticket  for phantom_space_wait()
 * @return 0, PHANTOM_EINVALID (inside an operation), PHANTOM_EPOISONED, PHANTOM_ESTOPPED,
 *         PHANTOM_EFORKED
 * @threads any that is not inside an operation
 */
PHANTOM_API int phantom_space_commit_begin(struct phantom_space *space,
                                           struct phantom_space_ticket *ticket);
/**
 * Wait until what the ticket stands for is durable.
 * @param timeout_ms  longest wait; 0 only asks, -1 waits for ever. The wait is longer when this
 *                    thread comes to write for the group
 * @return as phantom_space_commit(), or PHANTOM_ETIMEOUT (also: not yet; the ticket stays good)
 * @threads any that is not inside an operation or a callback
 */
PHANTOM_API int phantom_space_wait(struct phantom_space *space, struct phantom_space_ticket ticket,
                                   int timeout_ms);
/**
 * As phantom_space_commit_begin(), and `safe` is called once with what phantom_space_commit() would
 * have returned: from the space's own thread or that of another caller, outside any operation and
 * lock. It may use operations and take tickets; it must not wait, close, or take long.
 * @return 0: safe will be called, at the latest by close; otherwise it will not: as commit_begin,
 * or -ENOMEM
 */
PHANTOM_API int phantom_space_when_safe(struct phantom_space *space,
                                        void (*safe)(void *context, int result), void *context);

/**
 * As phantom_space_commit(), and say which generation it was.
 * @param[out] out  may be NULL; the generation that holds it: an older one if nothing changed
 *                  since, or a newer one if others committed
 */
PHANTOM_API int phantom_space_snapshot(struct phantom_space *space, struct phantom_generation *out);

/** What a space has done since it was opened. */
struct phantom_space_counters {
    size_t size;           /* sizeof(struct phantom_space_counters), set by the caller */
    uint64_t operations;   /* that ended, outermost ones */
    uint64_t generations;  /* committed */
    uint64_t refused;      /* snapshots that were not taken */
    uint64_t acknowledged; /* commits, waits and callbacks that were told "durable" */
    uint64_t pages;        /* in those generations */
    uint64_t pause_ns;     /* all stops together */
    uint64_t pause_max_ns;
};
/** @return 0, PHANTOM_EFORKED or PHANTOM_EINVALID (size) @threads any */
PHANTOM_API int phantom_space_counters(struct phantom_space *space,
                                       struct phantom_space_counters *out);

struct phantom_counters;
/**
 * What its snapshots did and cost in detail, with a histogram of the pauses: struct
 * phantom_counters of runtime.h, which phantom_counters_prometheus() makes a text of. `coalesced`
 * stays 0: how many commits shared a generation is acknowledged / generations above.
 * @param[in,out] out  size set by the caller; that much is written
 * @return 0, PHANTOM_EFORKED or PHANTOM_EINVALID (size) @threads any; takes no lock
 */
PHANTOM_API int phantom_space_snapshot_counters(struct phantom_space *space,
                                                struct phantom_counters *out);

#ifdef __cplusplus
}
#endif
#endif /* PHANTOM_SPACE_H */
