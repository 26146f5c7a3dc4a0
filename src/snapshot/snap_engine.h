/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_engine.h - the snapshot pipeline: one tracked memory, one store, one strategy.
 *
 *     reserve -> cut -> capture -> write -> commit -> retire
 *
 * reserve  room in the store for what is dirty now, before anything is stopped; live rounds
 *          (pre-copy) may already stage and write pages while mutators run
 * cut      the host stops the world; the strategy decides the set of pages that changed
 * capture  the set is made immutable (copied to staging, or frozen); the host resumes the world
 * write    sums, writes
 * commit   record, flush, publish
 * retire   the strategy drops its before-images; on failure the set is carried to the next cut, so
 *          that no change is ever forgotten
 *
 * The engine knows pages and nothing about objects. Threads: one snapshot at a time, from any one
 * thread; a request while one runs is the caller's to coalesce (runtime room), here it is refused
 * with PHANTOM_EINVALID.
 *
 * Whatever phase fails, the world runs again when snap_engine_snapshot() returns, and every page
 * that differs from the last committed generation will be in the next one that succeeds.
 */
#ifndef SNAP_ENGINE_H
#define SNAP_ENGINE_H

#include "snap_counters.h"
#include "snap_marks.h"
#include "snap_memory.h"
#include "snap_store.h"

struct snap_engine;

/** How the engine stops and resumes whoever writes into the memory. */
struct snap_world {
    void *context;
    /** Return 0 when no mutator can write until resume(); PHANTOM_ETIMEOUT: not reached, world
     * runs. */
    int (*stop)(void *context, int timeout_ms);
    void (*resume)(void *context);
    /** Pages of the range in use; called with the world stopped. */
    uint64_t (*heap_pages)(void *context); /* pages from there on are not part of the generation */
    /**
     * Lazy restore has found a page that cannot be read or whose sum is wrong. From now on every
     * snapshot fails with this error, so the world should stop. diag names page, block, generation
     * and both sums. waiting: a thread waits for the page and can never go on, so this must end the
     * process; if it returns, or is NULL, the fatal hook does. Called on a thread of the engine,
     * possibly while a snapshot is taken; it may not call the engine.
     */
    void (*damaged)(void *context, int error, const struct phantom_diag *diag, bool waiting);
};

enum snap_restore_mode {
    SNAP_RESTORE_EAGER, /* everything is read and verified before snap_engine_open() returns */
    SNAP_RESTORE_LAZY   /* pages are read and verified when touched, the rest in the background */
};

struct snap_engine_options {
    const char *strategy;   /* a name of snap_strategy_list(); NULL or "auto": the best usable */
    uint32_t staging_pages; /* 0: 16384 (64 MiB); at least SNAP_SMALL_COMMIT_PAGES are used */
    int stop_timeout_ms;    /* 0: 1000 */
    struct snap_heap_version version;
    /* Every store into the range is followed by snap_mark(), or its writer calls
     * snap_engine_unmarked_writer(). Precondition of `cards` and `epoch`; lets `async` take the set
     * of the stop from the marks. */
    bool all_stores_marked;
    /* SNAP_RESTORE_LAZY needs a strategy that can (async), a memory that serves pages on demand,
     * and open_reader; without one of them the restore is eager. */
    enum snap_restore_mode restore;
    /** One more handle on the store's file, for reading, for another thread. Called twice; the
     *  engine closes them. */
    int (*open_reader)(void *context, struct snap_io **out, struct phantom_diag *diag);
    void *reader_context;
    /* Every store into the range is preceded by snap_before_store() (snap_epoch.h). Precondition of
     * `epoch`. Not the same as marking: a mark follows the store. */
    bool all_stores_announced;
    /* A snapshot that finds nothing changed since the last generation succeeds without making one
     * (snap_report.unchanged). */
    bool skip_unchanged;
    bool check_against_heap; /* test builds: after each commit compare with the heap at the cut */
};

/** What one snapshot did. Times in nanoseconds. */
struct snap_report {
    struct snap_generation generation;
    uint64_t pause_ns;       /* world stopped: from all parked to resume */
    uint64_t stop_wait_ns;   /* from the request to all parked */
    uint64_t total_ns;       /* from the call to durable, check_against_heap not included */
    uint64_t pages_live;     /* staged while mutators ran; each version of a page counts */
    uint64_t pages_stopped;  /* captured in the stop, holes not counted */
    uint64_t writes_stopped; /* times the staging area was full in the stop and was written there */
    uint64_t live_rounds;
    bool unchanged; /* no generation was made: `generation` is the last one, which holds everything
                     */
    bool by_marks;  /* the set of the stop was taken from the marks, without asking the memory */
};

/**
 * Join memory and store. A store with a generation: its pages are read, verified and put into the
 * memory, which must hold no data, now or later (options.restore). An empty store: what is in the
 * memory already belongs to the first generation. The engine borrows memory and store; the caller
 * closes them afterwards. No mutator may run until this returns.
 * @return 0; PHANTOM_EUNSUPPORTED the strategy asked for needs what is not given here (diag: what);
 *         PHANTOM_EINVALID unknown strategy, a memory at another address or of another size than
 * the store's, or one that is not empty; PHANTOM_ECORRUPT and I/O errors from the restore (the
 *         memory is then partly filled: close it); -ENOMEM
 */
int snap_engine_open(struct snap_memory *memory, struct snap_store *store,
                     const struct snap_world *world, const struct snap_engine_options *options,
                     struct snap_engine **out, struct phantom_diag *diag);
void snap_engine_close(struct snap_engine *engine);

/** Name of the strategy in use. */
const char *snap_engine_strategy(const struct snap_engine *engine);

/**
 * Take a snapshot; the generation is durable when 0 is returned. report may be NULL; it is written
 * in any case, its generation only on success.
 * @return 0; PHANTOM_ENOSPACE or PHANTOM_ETIMEOUT: skipped, the world runs on, the next may
 * succeed; PHANTOM_EPOISONED: a write failed, no later snapshot on this store can succeed; -ENOMEM
 * and errors of the memory's scan: skipped, the next may succeed
 */
int snap_engine_snapshot(struct snap_engine *engine, struct snap_report *report,
                         struct phantom_diag *diag);

/**
 * Pages [first, first+count) hold nothing worth keeping: they become holes in memory at once and in
 * the store with the next generation. Called with no mutator touching them; any thread, also a
 * mutator that is not parked, but not from inside stop(), resume() or heap_pages(): it waits while
 * the world is stopped.
 * @return 0, PHANTOM_EINVALID out of range, or the memory's error: then the pages were not given
 *         back, but they read as zeros and will be holes in the store all the same
 */
int snap_engine_discard(struct snap_engine *engine, uint64_t first, uint64_t count);

/* ---- lazy restore -------------------------------------------------------------------------- */

/**
 * Make sure that pages [first, first+count) are in memory. A thread that touches a page needs no
 * such call; the kernel does: until a page has been loaded or touched, read(2), write(2) and the
 * like fail with EFAULT on it. Returns at once after an eager restore.
 * @return 0; PHANTOM_EINVALID out of range; PHANTOM_ECORRUPT or an I/O error: as told to damaged()
 * @threads any, also during a snapshot
 */
int snap_engine_load(struct snap_engine *engine, uint64_t first, uint64_t count,
                     struct phantom_diag *diag);

/** Bring in single pages that will be needed at once, many reads in flight instead of one fault
 * after the other. Returns and threads as for snap_engine_load(), but a hole need not be there
 * then. */
int snap_engine_load_list(struct snap_engine *engine, const uint64_t *pages, size_t count,
                          struct phantom_diag *diag);

struct snap_restore_progress {
    bool lazy;
    bool complete;           /* all is in memory */
    uint64_t pages_unloaded; /* at most so many are still to come; holes are counted until seen */
    uint64_t pages_loaded;
    uint64_t pages_demanded; /* of those, how many a thread had to wait for */
};
/** @threads any */
void snap_engine_restore_progress(struct snap_engine *engine, struct snap_restore_progress *out);

/* ---- marks and counters -------------------------------------------------------------------- */

/** Where writers mark what they have stored (snap_marks.h). Never NULL; valid until close. */
const struct snap_marks *snap_engine_marks(struct snap_engine *engine);

/**
 * A writer stored into the range without marking. To be called after its last store and before that
 * writer can be parked, like a mark: then the next stop asks the memory. Strategies that rely on
 * marks alone (cards, epoch) refuse every snapshot from here on with PHANTOM_EUNSUPPORTED. With
 * `epoch` the call must also come before the writer's first store: a store that was not announced
 * may hit a page of the snapshot that is being written, and only this call makes it be refused.
 * @threads any
 */
void snap_engine_unmarked_writer(struct snap_engine *engine);

/** What this engine has done since it was opened. Any thread, also during a snapshot: each number
 *  is one that was true at some moment of the call. */
void snap_engine_counters(const struct snap_engine *engine, struct snap_counters *out);
/** The caller lets one more request share a snapshot that another has asked for. Any thread. */
void snap_engine_count_coalesced(struct snap_engine *engine);

/* ---- strategies ---------------------------------------------------------------------------- */

/** What a choice of strategy depends on. */
struct snap_conditions {
    bool tracks;            /* the memory says which pages were written (snap_memory_ops.tracks) */
    bool barrier;           /* marks may be cleared while writers run (snap_memory_ops.barrier) */
    bool all_stores_marked; /* options.all_stores_marked */
    bool all_stores_announced; /* options.all_stores_announced */
    bool waits;                /* threads can sleep in the memory (snap_memory_ops.wait) */
    /* How the memory catches first stores (snap_memory_ops.trap): the name of a strategy, "any" of
     * those that need it, or NULL. */
    const char *trap;
    bool freezes; /* snap_memory_ops.freeze */
};

/**
 * Tracking and capture behind one interface; all write the same file and pass one conformance suite
 * (tests/unit/snapshot/test_snapshot_strategies.c). Functions return 0 or a negative error.
 */
struct snap_strategy {
    const char *name;
    /** NULL: usable under these conditions; else why not, as the end of a sentence. */
    const char *(*why_not)(const struct snap_conditions *conditions);
    const char *needs; /* what it asks of machine and host, in a few words */
    bool marks_only;   /* refuses to go on after snap_engine_unmarked_writer() */
    bool loads_lazily; /* never touches a page that was not reported written since the restore */
    int (*open)(struct snap_engine *engine, void **state, struct phantom_diag *diag);
    void (*close)(void *state);
    /** Upper estimate of the pages that a cut now would hold and make holes. Mutators run. */
    int (*estimate)(void *state, uint64_t *pages, uint64_t *holes);
    /** Live rounds: stage and write dirty pages while mutators run. May do nothing. */
    int (*precopy)(void *state, struct snap_txn *txn, struct snap_report *report,
                   struct phantom_diag *diag);
    /** World stopped: decide the set; say its size in the engine's round (snapshot_internal.h), so
     *  that the engine can make sure of the room before anything is copied. */
    int (*cut)(void *state, struct snap_txn *txn, struct snap_report *report,
               struct phantom_diag *diag);
    /** World stopped: make the set immutable. */
    int (*capture)(void *state, struct snap_txn *txn, struct snap_report *report,
                   struct phantom_diag *diag);
    /** World running again: stage and write what capture froze but did not stage. */
    int (*drain)(void *state, struct snap_txn *txn, struct snap_report *report,
                 struct phantom_diag *diag);
    /** After commit (committed) or failure (not): forget the set, or keep it for the next cut. */
    void (*retire)(void *state, bool committed);
    /** These pages are about to be discarded: save what an unfinished snapshot needs of them. Under
     *  discard_lock, world not stopped. NULL: nothing to do. */
    void (*before_discard)(void *state, uint64_t first, uint64_t count);
    /** The pages could not be given back, and the engine is about to store zeros into them. Under
     *  discard_lock, world not stopped. NULL: nothing to do. */
    void (*before_store)(void *state, uint64_t first, uint64_t count);
};

extern const struct snap_strategy snap_strategy_async;
extern const struct snap_strategy snap_strategy_cards;
extern const struct snap_strategy snap_strategy_epoch;
extern const struct snap_strategy snap_strategy_sigbus;
extern const struct snap_strategy snap_strategy_mprotect;
extern const struct snap_strategy snap_strategy_fork;
extern const struct snap_strategy snap_strategy_full;

/**
 * All strategies, the one to be preferred first (strategy_table.c): what `phantom doctor` explains
 * and what options.strategy NULL or "auto" chooses from. Returns how many there are; fills in at
 * most `capacity`.
 */
struct snap_choice {
    const char *name;
    const char *needs;
    const char *why_not; /* NULL: usable */
    bool chosen;         /* what "auto" would take: the first usable one */
};
size_t snap_strategy_list(const struct snap_conditions *conditions, struct snap_choice *out,
                          size_t capacity);

#endif /* SNAP_ENGINE_H */
