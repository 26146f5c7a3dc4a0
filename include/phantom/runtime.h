/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h - open, run and close a persistent world. Stability: see phantom.h.
 *
 * A world is a store plus the machine that runs what is in it. There is no save and no load: the
 * memory of the world - objects, threads, half-finished calls - is snapshotted while it runs, and
 * opening a store that exists goes on where its newest committed generation stopped.
 *
 *     struct phantom_options options;
 *     phantom_options_init(&options);
 *     options.boot_class = ".examples.counter";
 *     options.class_paths = (const char *const[]){"classes", NULL};
 *     struct phantom_world *world;
 *     if (phantom_open("counter.phantom", &options, &world, NULL) == 0) {
 *         phantom_run(world);
 *         phantom_close(world);
 *     }
 */
#ifndef PHANTOM_RUNTIME_H
#define PHANTOM_RUNTIME_H

#include <phantom/error.h>
#include <phantom/snapshot.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phantom_world;

/** phantom_options.interval_ms: no periodic snapshots, only those asked for and the last one. */
#define PHANTOM_NO_INTERVAL UINT32_MAX

/** Given to phantom_open(). Zero in a member means its default. Fill in with
 * phantom_options_init(). */
struct phantom_options {
    size_t size; /* sizeof(struct phantom_options) */

    /* Birth: used only when the store does not exist yet. */
    const char *boot_class;         /* its method 8 gets the boot object; with leading dot;
                                       default ".ru.dz.phantom.system.boot" */
    const char *const *environment; /* "key=value" strings, NULL-terminated */
    uint64_t heap_size;             /* bytes of address range, default and maximum 64 GiB */
    bool existing_only;             /* fail with PHANTOM_ENOTFOUND instead of giving birth */

    /* Every time. */
    const char *const *class_paths; /* directories with NAME.pc files, NULL-terminated */
    uint32_t interval_ms;           /* between periodic snapshots; default 1000 */
    const char *strategy;           /* "async", "full", "sigbus", "mprotect", "fork", "epoch",
                                       "cards", "auto"; default "auto": the best of async and full
                                       that works */
    unsigned workers;               /* OS threads that run VM threads; default: one per CPU */
    uint64_t max_threads;           /* VM threads; default 1048576; exceeding it throws */
    uint64_t max_stack_bytes;       /* per VM thread; default 64 MiB; exceeding it throws */
    uint64_t max_instructions;      /* of this opening; default none; phantom_run: PHANTOM_EQUOTA */
    bool without_io_uring;          /* write with threads even where io_uring works */
    bool check_snapshots;           /* compare each generation with the memory at its cut: slow */

    /* Callbacks. Called from the library's threads, possibly at the same time; they must not call
     * back into the world (phantom_stop excepted) and may not close it. Any may be NULL. */
    void *context;
    void (*console)(void *context, const char *bytes, size_t size); /* what the program prints */
    void (*message)(void *context, const char *text); /* refused snapshots, fallbacks: one line */
    void (*committed)(void *context, const struct phantom_generation *generation); /* durable now */
    void (*thread_failed)(void *context,
                          const char *text); /* unhandled exception, with backtrace */

    /* Read and verify the whole world before phantom_open() returns. Default: where the machine
     * allows it, pages are read and verified when they are touched, and the rest meanwhile. */
    bool eager;
    /**
     * A page that the world needs now is damaged (PHANTOM_ECORRUPT) or cannot be read (-EIO); text
     * names page, block, generation and both sums. The thread that touched it can never go on and
     * nothing more is committed, so this must end the process. NULL, or if it returns: message on
     * stderr and abort(). Never called for an eager world. Damage in pages that nobody waits for
     * makes phantom_run() return that error instead.
     */
    void (*damaged)(void *context, int error, const char *text);

    /* Strategies sigbus and mprotect catch stores with a handler of SIGBUS or SIGSEGV, which exists
     * while the world is open and passes on what is not in its heap. They are refused without: */
    bool allow_signal_handlers;

    /* Encryption at rest: 32 bytes, NULL for none. At birth the store is encrypted with it, later
     * it must be the same. Not used after phantom_open() has returned. */
    const void *key;
    size_t key_size;

    /* At birth only: "lz4" makes a store whose pages are compressed where that saves blocks; NULL
     * or "none": they are not. Another name is PHANTOM_EINVALID. Smaller, and slower to write. */
    const char *compression;
};

/** Set size and zero the rest. @threads any */
PHANTOM_API void phantom_options_init(struct phantom_options *options);

/**
 * Open the world in `path`, or give birth to it there.
 *
 * Birth is atomic: the file appears under its name only with a complete first generation in it.
 * Nothing runs before phantom_run() or phantom_step().
 *
 * @param path     "NAME.phantom"; a regular file or a name in an existing directory
 * @param options  NULL: all defaults
 * @param[out] out written only on success
 * @param diag     may be NULL; on failure names file, place and cause
 * @return 0, or
 *   PHANTOM_EBUSY      it is open for writing already, in another process or this one; said after
 *                      a second of patience, as a killed writer's last writes may still be running
 *   PHANTOM_ECORRUPT   damaged; run `phantom verify`
 *   PHANTOM_EFORMAT    not a store
 *   PHANTOM_EVERSION   made by an incompatible version
 *   PHANTOM_EKEY       the key is missing, is another one, or the store is not encrypted
 *   PHANTOM_EADDRESS   the heap's address range is in use in this process
 *   PHANTOM_ENOTFOUND  existing_only, and there is none; or the folder, the target of the link or
 * the boot class was not found PHANTOM_EVERIFY    the boot class is not valid PHANTOM_EUNSUPPORTED
 * the strategy asked for does not work on this machine PHANTOM_EINVALID, -ENOMEM, -errno of the
 * file
 * @threads any
 */
PHANTOM_API int phantom_open(const char *path, const struct phantom_options *options,
                             struct phantom_world **out, struct phantom_diag *diag);

/** What opening found: the generation that goes on, and whether a newer one was incomplete. */
PHANTOM_API void phantom_recovered(const struct phantom_world *world, struct phantom_recovery *out);

/**
 * Run until no VM thread is left or phantom_stop() is called; periodic snapshots meanwhile.
 * @return 0 no thread left; or
 *   PHANTOM_EPROGRAM   likewise, but some thread ended by an unhandled exception
 *   PHANTOM_ESTOPPED   phantom_stop() was called; the world can be run again
 *   PHANTOM_EPOISONED  a snapshot could not be written; the world was stopped, close and reopen
 *   PHANTOM_ECORRUPT, -EIO  a page of the store is damaged or unreadable; the world was stopped
 *   PHANTOM_EQUOTA     max_instructions used up
 *   PHANTOM_EINVALID   all threads wait for each other (deadlock), or the world is already running
 *   PHANTOM_EFORKED
 * @threads any one that is not inside a callback; blocks
 */
PHANTOM_API int phantom_run(struct phantom_world *world);

/** As phantom_run(), but stops after about that many bytecode instructions with PHANTOM_ETIMEOUT
 * and takes no periodic snapshots. For tests and for hosts with a loop of their own. */
PHANTOM_API int phantom_step(struct phantom_world *world, uint64_t instructions);

/** Make phantom_run() return soon. Idempotent. @threads any; async-signal-safe; in callbacks too */
PHANTOM_API void phantom_stop(struct phantom_world *world);

/**
 * Take a snapshot now. When 0 is returned the generation is durable. Requests that arrive while one
 * is being written share the next one.
 * @param[out] out  may be NULL
 * @return 0, or
 *   PHANTOM_ENOSPACE   refused; the last generation is untouched, the world goes on
 *   PHANTOM_ETIMEOUT   a native did not return in time; likewise
 *   -ENOMEM, PHANTOM_EBUSY, PHANTOM_ECORRUPT, -errno  not written (no memory; readers hold all old
 *                      generations; reading the store failed); likewise, the next may succeed
 *   PHANTOM_EPOISONED  a write or flush failed, now or earlier; phantom_run() ends
 *   PHANTOM_EFORKED
 * @threads any that is not inside a callback; blocks
 */
PHANTOM_API int phantom_snapshot(struct phantom_world *world, struct phantom_generation *out);

/** The sentence that belongs to the last error of a run, step or snapshot of this world; "" when
 * the last one succeeded. One for all threads. Valid until the next call on this world ends,
 * whoever made it. @threads any */
PHANTOM_API const char *phantom_message(const struct phantom_world *world);

/** Name of the snapshot strategy and of the I/O back end in use. @threads any */
PHANTOM_API const char *phantom_strategy(const struct phantom_world *world);
PHANTOM_API const char *phantom_io_backend(const struct phantom_world *world);

enum { PHANTOM_PAUSE_BUCKETS = 160, PHANTOM_PHASES = 6 };

/** What the snapshots of this opening did and cost. Counts, pages of 4096 bytes, nanoseconds. */
struct phantom_counters {
    size_t size; /* sizeof(struct phantom_counters), set by the caller */

    uint64_t snapshots;       /* committed */
    uint64_t refused_space;   /* no room in the store; the world ran on */
    uint64_t refused_timeout; /* the world did not stop in time; likewise */
    uint64_t refused_other;   /* no memory and the like; likewise */
    uint64_t failed;          /* a write or flush failed */
    uint64_t coalesced;       /* requests that shared the snapshot of another */

    uint64_t pages_live;    /* copied while the world ran, each version */
    uint64_t pages_stopped; /* copied while it was stopped */
    uint64_t pages_written; /* data pages of committed generations */
    uint64_t bytes_written; /* everything written by committed generations */

    uint64_t live_rounds;        /* rounds of copying while the world ran */
    uint64_t stops_by_marks;     /* stops that took the changed pages from marks */
    uint64_t stops_by_scan;      /* stops that asked the kernel or compared */
    uint64_t unmarked_found;     /* pages written without a mark that the kernel knew of: a bug */
    uint64_t writes_stopped;     /* times the staging area was full while the world was stopped */
    uint64_t staging_pages_most; /* most pages ever in the staging area */

    uint64_t pause_ns, pause_most_ns; /* world stopped: sum, longest */
    uint64_t pause_p50_ns, pause_p99_ns;
    uint64_t stop_wait_ns, stop_wait_most_ns; /* from the request until all were parked */
    /* reserve, copy live, stop, write, commit, retire */
    uint64_t phase_ns[PHANTOM_PHASES];
    /* Number of pauses by duration: bucket i ends at phantom_pause_bucket_most(i). */
    uint64_t pause_histogram[PHANTOM_PAUSE_BUCKETS];
    uint64_t pages_left_open; /* of pages_stopped: no page fault when written again, but copied in
                                 the next snapshot in any case */
};
/**
 * Read the counters; each number was true at some moment of the call.
 * @param[in,out] out  size set by the caller; that much is written
 * @return 0; PHANTOM_EINVALID size is not one that any version had; PHANTOM_EFORKED
 * @threads any, also during a snapshot; takes no lock
 */
PHANTOM_API int phantom_counters(const struct phantom_world *world, struct phantom_counters *out);
/** The longest pause, in nanoseconds, that falls into a bucket of the histogram; the last one has
 * no end: UINT64_MAX. There are four buckets to each power of two. @threads any */
PHANTOM_API uint64_t phantom_pause_bucket_most(unsigned bucket);

/**
 * Counters in the text format that Prometheus reads, for a host that serves its own metrics.
 * @param counters  filled in by phantom_counters(), with the size of this version
 * @param label     value of the label `world` of every sample
 * @param text      NULL allowed when size is 0
 * @return bytes of the text without its terminator, also when they did not fit into `size`; or
 *         PHANTOM_EINVALID
 * @threads any
 */
PHANTOM_API int phantom_counters_prometheus(const struct phantom_counters *counters,
                                            const char *label, char *text, size_t size);

/**
 * Take a last snapshot if anything ran since the last one, seal the store, free the world. The
 * world is gone in any case.
 * @return 0, or the error of the last snapshot
 * @pre phantom_run() is not active
 * @threads any that is not inside a callback
 */
PHANTOM_API int phantom_close(struct phantom_world *world);

/** Free the world without a last snapshot: as a crash would, but tidily. NULL allowed. */
PHANTOM_API void phantom_abandon(struct phantom_world *world);

#ifdef __cplusplus
}
#endif
#endif /* PHANTOM_RUNTIME_H */
