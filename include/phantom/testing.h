/* SPDX-License-Identifier: Apache-2.0
 *
 * testing.h - prove that your program survives: run it on a simulated machine, end that at every
 * point where it could end, and look at what is there afterwards.
 *
 * Stability: see phantom.h. A test links libphantom-testing *instead of* libphantom: it has all of
 * the phantom_* functions, on a machine whose threads, clock, files and luck are decided by a seed.
 *
 *     static void program(void *context)            // on the machine, once for each point
 *     {
 *         struct books *books = context;            // survives the crash: it is the test's memory
 *         ... phantom_space_open("books.phantom", ...) ...
 *         ... phantom_space_commit(space) == 0 ...
 *         books->acknowledged = n;                  // a promise was made
 *     }
 *     static void verify(void *context)             // on the next machine, with the same disk
 *     {
 *         ... open again ...
 *         PHANTOM_TESTING_EXPECT(n >= books->acknowledged);
 *     }
 *     struct phantom_testing_sweep sweep;
 *     phantom_testing_sweep_init(&sweep);
 *     sweep.program = program;
 *     sweep.verify = verify;
 *     sweep.context = &books;
 *     return phantom_testing_sweep(&sweep, NULL) == 0 ? 0 : 1;
 *
 * Words
 *   machine   threads of which one runs at a time, a clock, random numbers. Every call of the
 *             library is a point at which the seed may let another thread go on. It ends when all
 *             its threads have ended, or is ended: then nothing more of the program runs.
 *   bench     a disk in memory that outlives machines. Paths name files on it; a file that is not
 *             there is looked for on the real disk, for class files only.
 *   point     a place in a run at which something is made to happen: its N-th disk operation, the
 *             N-th flush, the N-th allocation of the library.
 *
 * Caveats
 *   - phantom_* calls are for threads of a machine. Calls that need none: phantom_testing_*() where
 *     it says so, and those that only look at strings and structs.
 *   - Threads of the program are started with phantom_testing_thread(). A thread of a machine must
 *     not wait for another one by means of its own (pthread mutexes, sockets): it would keep the
 *     machine to itself for ever, and after half a minute a line on stderr names it. Use
 *     phantom_testing_lock().
 *   - What the program allocated with malloc() is not freed when its machine is ended. Keep such
 *     memory in the context, or use phantom_testing_alloc().
 *   - While a space or a world is open, first stores into it are caught by a handler of SIGSEGV,
 *     which passes on what is not in the range.
 *   - Every strategy works (sigbus and mprotect need the option allow_signal_handlers). Sockets,
 * real files and real time do not exist on the machine.
 */
#ifndef PHANTOM_TESTING_H
#define PHANTOM_TESTING_H

#include <phantom/error.h>
#include <phantom/snapshot.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What is made to happen at a point. */
enum phantom_testing_event {
    PHANTOM_TESTING_NOTHING,
    PHANTOM_TESTING_KILL,        /* at a disk operation: the process dies, its writes do not */
    PHANTOM_TESTING_POWER_CUT,   /* at a disk operation: unflushed writes stay, go, or are torn */
    PHANTOM_TESTING_COMMIT_CUT,  /* the same during the N-th flush, which is what a commit ends with
                                  */
    PHANTOM_TESTING_WRITE_ERROR, /* the N-th write fails with EIO */
    PHANTOM_TESTING_FLUSH_ERROR, /* the N-th flush does */
    PHANTOM_TESTING_READ_ERROR,
    PHANTOM_TESTING_SHORT_WRITE, /* the N-th write stops on its way */
    PHANTOM_TESTING_DISK_FULL,   /* from the N-th request for room on, three are refused */
    PHANTOM_TESTING_NO_MEMORY    /* the N-th allocation of the library fails */
};

/** How a machine ended. */
enum phantom_testing_end {
    PHANTOM_TESTING_ENDED,    /* all threads ended */
    PHANTOM_TESTING_CRASHED,  /* as was asked for */
    PHANTOM_TESTING_DEADLOCK, /* nobody could run any more; text says who waited for what */
    PHANTOM_TESTING_TOO_LONG, /* steps_most; text says who runs and who waits for what */
    PHANTOM_TESTING_FAILED    /* an expectation of the program, or a check of the library */
};

/* ---- a bench and runs on it ------------------------------------------------------------------ */

struct phantom_testing_bench;

/** An empty disk. Runs on it are decided by the seed and by what the program does, by nothing else.
 *  @param[out] out  written only on success
 *  @return 0 or -ENOMEM  @threads any */
PHANTOM_API int phantom_testing_open(uint64_t seed, struct phantom_testing_bench **out);
/** NULL allowed. No machine of it runs. */
PHANTOM_API void phantom_testing_close(struct phantom_testing_bench *bench);

/** What to do in a run, and what came of it. Fill in with phantom_testing_run_init(). */
struct phantom_testing_run {
    size_t size; /* sizeof(struct phantom_testing_run) */
    enum phantom_testing_event event;
    uint64_t at;         /* which one: 1 is the first of this run */
    uint64_t steps_most; /* calls of the library and points; 0: 3 million */

    /* Written by phantom_testing_run(). */
    enum phantom_testing_end end;
    uint64_t steps, operations, flushes, threads; /* of the machine; operations: of the disk */
    uint64_t happened;                            /* times that the event did */
    uint64_t leaked; /* blocks that the library has not freed, those of phantom_testing_alloc()
                        not counted; given back anyway */
    char text[1024]; /* "" when all is well; else what failed, or which thread waits for what, and
                        the seed of the bench */
};
PHANTOM_API void phantom_testing_run_init(struct phantom_testing_run *run);

/**
 * Run the program on a new machine with the bench's disk. After a kill or a cut the disk is as such
 * an event leaves it, and the next run finds that.
 * @return 0: see run->end; PHANTOM_EINVALID (run->text says what; size not set: nothing), -ENOMEM
 * @threads any that is not of a machine; one at a time per bench; blocks
 */
PHANTOM_API int phantom_testing_run(struct phantom_testing_bench *bench,
                                    struct phantom_testing_run *run, void (*program)(void *context),
                                    void *context);

/** Everything that happened on this bench so far, one line each: equal for equal seeds and
 *  programs. Valid until the next call with the bench. */
PHANTOM_API const char *phantom_testing_log(struct phantom_testing_bench *bench);

/** The content of a file on the bench's disk; NULL: there is none. Valid until the next run. */
PHANTOM_API const void *phantom_testing_file(struct phantom_testing_bench *bench, const char *path,
                                             uint64_t *size);
/** Put a file there (a store that an older version made, say), in place of what has the name.
 *  0, -ENOMEM or PHANTOM_EINVALID */
PHANTOM_API int phantom_testing_put_file(struct phantom_testing_bench *bench, const char *path,
                                         const void *bytes, uint64_t size);

/* ---- every point ----------------------------------------------------------------------------- */

/** A campaign: the event at point 1, 2, 3, ... until a run comes to its end before it. Fill in with
 *  phantom_testing_sweep_init(). */
struct phantom_testing_sweep {
    size_t size; /* sizeof(struct phantom_testing_sweep) */
    /** Runs on a machine, on an empty disk. Must bear every error of the library. */
    void (*program)(void *context);
    /** Runs on the next machine, after the event, undisturbed: opens and says by
     *  phantom_testing_fail() what is wrong. */
    void (*verify)(void *context);
    /** Before each pair of them, not on a machine: makes the context new. NULL allowed. */
    void (*begin)(void *context);
    void *context;
    enum phantom_testing_event event; /* default PHANTOM_TESTING_POWER_CUT */
    uint64_t seed;                    /* default 1, or what the environment variable PH_SEED says */
    uint64_t seeds;                   /* so many for each point; default 1 */
    uint64_t first, step;             /* points first, first + step, ...; default 1, 1 */
    uint64_t last;                    /* and not beyond; default: none */
};
PHANTOM_API void phantom_testing_sweep_init(struct phantom_testing_sweep *sweep);

struct phantom_testing_report {
    size_t size; /* sizeof(struct phantom_testing_report), set by the caller */
    uint64_t points, runs;
    uint64_t seed, point; /* of the first violation */
    char text[1200];      /* "", or its sentence, and at the end "REPRO: seed=... point=...
                             event=PHANTOM_TESTING_..." */
};

/**
 * Runs until the first violation: an expectation that fails, a deadlock, a leak of the library, a
 * check of the library. Its sentence goes to the report and, if there is none, to stderr.
 * @param report  may be NULL
 * @return 0 none; 1 a violation; PHANTOM_EINVALID (the report, or stderr, says what), -ENOMEM
 * @threads any that is not of a machine; blocks
 */
PHANTOM_API int phantom_testing_sweep(const struct phantom_testing_sweep *sweep,
                                      struct phantom_testing_report *report);

/* ---- for programs on a machine --------------------------------------------------------------- */

/** End the machine as failed, with a sentence. Does not return. */
PHANTOM_API void phantom_testing_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
#define PHANTOM_TESTING_EXPECT(expression)                                                         \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            phantom_testing_fail("%s:%d: %s", __FILE__, __LINE__, #expression);                    \
        }                                                                                          \
    } while (0)

/** A line in the log. */
PHANTOM_API void phantom_testing_note(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
/** Another thread may go on here. */
PHANTOM_API void phantom_testing_point(void);
/** A number below `bound` (> 0) from the machine's stream. */
PHANTOM_API uint64_t phantom_testing_random(uint64_t bound);
/** Sleep by the machine's clock. */
PHANTOM_API void phantom_testing_sleep(uint32_t milliseconds);
/** Memory that is given back when the machine ends, however it does. NULL: none. */
PHANTOM_API void *phantom_testing_alloc(size_t size);
PHANTOM_API void phantom_testing_free(void *block);

/** Start a thread. Its number, or -errno. */
PHANTOM_API int phantom_testing_thread(void (*run)(void *argument), void *argument);
/** What the calling thread is called where a report names threads; 15 bytes are kept. */
PHANTOM_API void phantom_testing_name(const char *name);
/** Wait until it has ended. */
PHANTOM_API void phantom_testing_join(int thread);
/** A lock for each address, not recursive: give the address of the mutex that the program uses in
 *  earnest. */
PHANTOM_API void phantom_testing_lock(const void *address);
PHANTOM_API void phantom_testing_unlock(const void *address);

/**
 * Compare two retained generations of a store: how many pages differ. Both are read and verified.
 * @param[out] pages  may be NULL
 * @return 0 equal, 1 different; PHANTOM_ENOTFOUND, PHANTOM_ECORRUPT, -errno: diag says more
 */
PHANTOM_API int phantom_testing_compare(const char *path, uint64_t from, uint64_t to,
                                        uint64_t *pages, struct phantom_diag *diag);

#ifdef __cplusplus
}
#endif
#endif /* PHANTOM_TESTING_H */
