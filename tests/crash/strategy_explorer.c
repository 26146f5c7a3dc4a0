/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_explorer.c - every strategy of the engine against the heap at the cut, then against the
 * power cut.
 *
 *     strategy_explorer [--seed S] [--runs N]
 *     strategy_explorer --seed S --run R                 one run again
 *     strategy_explorer --mutants                        only in the build with mutants
 *
 * A run is a small persistent world on one thread: a fake memory of the kind that the strategy
 * needs, seeded stores and discards before the cut, between the engine's steps (each scan, each
 * barrier) and after the cut while the snapshot is unfinished; staging smaller than the set;
 * snapshots that are refused (the world does not stop, a scan fails, no memory, a full disk) or
 * broken by the disk; restarts. The oracle is the heap itself, read when the engine lets the world
 * go on. Each generation must hold exactly that; and a log of what reached the disk is cut at each
 * flush by the crash explorer, which recovers with the production open.
 *
 * The strategies come from the engine's own table, so that a new one is included by itself. One
 * that works over no kind of fake memory is named in the closing lines.
 *
 * Exit status: 0 all promises kept, 1 one was broken, 2 usage.
 */
#include "crash_check.h"
#include "crash_mutants.h"

#include "io_faulty.h"
#include "memory_fake.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "snap_engine.h"
#include "snap_epoch.h"
#include "store_internal.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long long ull; /* for %llu */

enum { CAPACITY = 24 << 20, STRATEGIES_MOST = 16, KINDS = 5, FIRST_PAGES = 400, STEPS_MOST = 9 };

struct run {
    const char *strategy;
    uint64_t seed;
    struct ph_rng rng;
    struct memory_fake *fake;
    struct snap_memory *memory;
    struct io_scratch *disk;
    struct snap_io *faulty, *record;
    struct snap_store *store;
    struct snap_engine *engine;
    struct crash_explorer *explorer; /* owns the oracle: contents by number */
    struct crash_content at_cut, committed;
    uint64_t number;     /* of the snapshot under way */
    uint64_t heap_pages; /* in use; only grows */
    bool inside;         /* a hook writes: no second hook */
    bool refuse_stop;    /* the next stop times out */
    bool poisoned;
    uint64_t snapshots, refused, broken, restarts;
    char why[1200];
};

struct sums {
    uint64_t runs, snapshots, refused, broken, restarts;
};

static bool wrong(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->why, sizeof(run->why), format, args);
    va_end(args);
    return false;
}

static uint64_t below(struct run *run, uint64_t bound)
{
    return ph_rng_below(&run->rng, bound);
}

/* ---- mutators ---------------------------------------------------------------------------------
 */

static void store_page(struct run *run, uint64_t page, uint64_t version)
{
    _Alignas(SNAP_PAGE_SIZE) uint8_t bytes[SNAP_PAGE_SIZE];
    crash_page_fill(version, bytes);
    struct snap_epoch *epoch = snap_engine_epoch(run->engine);
    if (epoch != NULL) {
        snap_before_store(epoch, page);
    }
    memory_fake_write(run->fake, page * SNAP_PAGE_SIZE, bytes, sizeof(bytes));
    snap_mark(snap_engine_marks(run->engine), page);
}

static void store_some(struct run *run, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        store_page(run, below(run, run->heap_pages),
                   below(run, 10) == 0 ? 0 : ph_rng_next(&run->rng) | 1);
    }
}

static void between_steps(struct run *run)
{
    if (!run->inside && run->engine != NULL) {
        run->inside = true;
        store_some(run, below(run, 6));
        run->inside = false;
    }
}

static void on_scan(void *context, unsigned flags)
{
    (void)flags;
    between_steps(context);
}

static void on_barrier(void *context)
{
    between_steps(context);
}

/* ---- the world --------------------------------------------------------------------------------
 */

static int world_stop(void *context, int timeout_ms)
{
    struct run *run = context;
    (void)timeout_ms;
    between_steps(run);
    if (run->refuse_stop) {
        run->refuse_stop = false;
        return PHANTOM_ETIMEOUT;
    }
    run->inside = true; /* parked */
    return 0;
}

/** What the memory holds, as versions of pages. A page that is no version's is a test's own bug. */
static void read_memory(const struct run *run, struct crash_content *content)
{
    memset(content, 0, sizeof(*content));
    content->heap_pages = run->heap_pages;
    for (uint64_t page = 0; page < run->heap_pages; page++) {
        const uint8_t *bytes = run->memory->base + page * SNAP_PAGE_SIZE;
        memcpy(&content->version[page], bytes, sizeof(uint64_t));
        PH_CHECK(crash_page_is(content->version[page], bytes));
    }
}

static void world_resume(void *context)
{
    struct run *run = context;
    read_memory(run, &run->at_cut);
    uint64_t current = snap_store_current(run->store)->number;
    if (current != 0 && current == run->number) { /* room was made before: that was a commit */
        io_record_mark(run->record, IO_MARK_ACK, current);
    }
    run->number = run->store->next_generation;
    for (uint64_t page = 0; page < CRASH_PAGES; page++) { /* what a re-execution would stage */
        run->at_cut.staged[page] = run->at_cut.version[page] != run->committed.version[page];
    }
    crash_oracle_put(&run->explorer->oracle, run->number, &run->at_cut);
    io_record_mark(run->record, IO_MARK_ATTEMPT, run->number);
    run->inside = false;
    store_some(run, below(run, 12)); /* while the snapshot is unfinished */
}

static uint64_t world_heap_pages(void *context)
{
    return ((struct run *)context)->heap_pages;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/** Kinds of fake memory; what a strategy cannot use it refuses with PHANTOM_EUNSUPPORTED. */
static struct memory_fake *make_memory(unsigned kind)
{
    struct memory_fake *fake = memory_fake_create(CRASH_PAGES, kind < 2);
    if (fake != NULL && kind == 1) {
        memory_fake_without_barrier(fake);
    }
    if (fake != NULL && kind >= 3) {
        memory_fake_trap(fake, kind == 3 ? 1 : 16);
    }
    return fake;
}

static int open_engine(struct run *run, struct phantom_diag *diag)
{
    static const struct snap_engine_options defaults = {.staging_pages = SNAP_SMALL_COMMIT_PAGES,
                                                        .all_stores_marked = true,
                                                        .all_stores_announced = true};
    struct snap_world world = {
        .context = run, .stop = world_stop, .resume = world_resume, .heap_pages = world_heap_pages};
    struct snap_engine_options options = defaults;
    options.strategy = run->strategy;
    options.version = (struct snap_heap_version){1, 1};
    return snap_engine_open(run->memory, run->store, &world, &options, &run->engine, diag);
}

static bool open_store(struct run *run)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_recovery recovery = {0};
    int rc = snap_store_open(run->record, 0, &run->store, &recovery, &diag);
    if (rc < 0) {
        run->store = NULL;
        return wrong(run, "the store does not open: %s: %s", phantom_err_name(rc), diag.text);
    }
    io_record_mark(run->record, IO_MARK_OPENED, recovery.opened);
    return true;
}

static bool create_store(struct run *run)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store_params params = {.heap_base = (uint64_t)(uintptr_t)run->memory->base,
                                       .heap_size = (uint64_t)CRASH_PAGES * SNAP_PAGE_SIZE,
                                       .retain_bytes = UINT64_C(65536) << below(run, 6),
                                       .segment_bytes = STORE_SEGMENT_BYTES_LEAST,
                                       .ring_slots = STORE_RING_SLOTS_LEAST};
    memcpy(params.uuid, &run->seed, sizeof(run->seed));
    int rc = snap_store_create(run->record, &params, &diag);
    if (rc < 0) {
        return wrong(run, "create: %s: %s", phantom_err_name(rc), diag.text);
    }
    io_record_mark(run->record, IO_MARK_CREATED, 0);
    return true;
}

static void close_world(struct run *run)
{
    snap_engine_close(run->engine);
    run->engine = NULL;
    snap_store_close(run->store);
    run->store = NULL;
}

/** A world whose memory suits the strategy. 1, 0: there is none, -1: something went wrong. */
static int begin(struct run *run)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    unsigned first = (unsigned)below(run, KINDS);
    for (unsigned i = 0; i < KINDS; i++) {
        run->fake = make_memory((first + i) % KINDS);
        run->disk = io_scratch_create(CAPACITY);
        PH_CHECK(run->fake != NULL && run->disk != NULL);
        io_scratch_seed(run->disk, run->seed);
        run->memory = memory_fake_memory(run->fake);
        run->faulty = io_faulty_create(io_scratch_io(run->disk));
        run->record = io_record_create(run->faulty);
        PH_CHECK(run->faulty != NULL && run->record != NULL);
        io_faulty_set_order(run->faulty, (enum io_order)below(run, 3));
        run->heap_pages = FIRST_PAGES;
        memory_fake_on_scan(run->fake, on_scan, run);
        memory_fake_on_barrier(run->fake, on_barrier, run);
        if (!create_store(run) || !open_store(run)) {
            return -1;
        }
        int rc = open_engine(run, &diag);
        if (rc == 0) {
            return 1;
        }
        run->engine = NULL;
        close_world(run);
        io_record_destroy(run->record);
        io_faulty_destroy(run->faulty);
        io_scratch_destroy(run->disk);
        memory_fake_destroy(run->fake);
        run->record = run->faulty = NULL;
        run->disk = NULL;
        run->fake = NULL;
        if (rc != PHANTOM_EUNSUPPORTED) {
            (void)wrong(run, "open: %s: %s", phantom_err_name(rc), diag.text);
            return -1;
        }
    }
    return 0;
}

static void finish(struct run *run)
{
    close_world(run);
    io_record_destroy(run->record);
    io_faulty_destroy(run->faulty);
    io_scratch_destroy(run->disk);
    memory_fake_destroy(run->fake);
}

/* ---- steps ------------------------------------------------------------------------------------
 */

/** Something that makes the next snapshot fail, perhaps. */
static void set_trap(struct run *run)
{
    static const struct io_fault faults[] = {
        {.ops = IO_OP_ALLOCATE, .error = ENOSPC},
        {.ops = IO_OP_WRITE, .error = EIO},
        {.ops = IO_OP_FLUSH, .error = EIO},
        {.ops = IO_OP_SUBMIT, .error = EIO},
        {.ops = IO_OP_WRITE, .kind = IO_FAULT_SHORT, .error = EIO},
        {.ops = IO_OP_READ, .error = EIO},
    };
    uint64_t kind = below(run, 12);
    if (kind == 0) {
        run->refuse_stop = true;
    } else if (kind == 1) {
        memory_fake_fail_after(run->fake, (int64_t)below(run, 6), ENOMEM);
    } else if (kind == 2) {
        ph_memory_fail_after((int64_t)below(run, 12), below(run, 2) == 0);
    } else if (kind == 3) {
        struct io_fault fault = faults[below(run, sizeof(faults) / sizeof(faults[0]))];
        fault.at = 1 + below(run, 12);
        fault.sticky = below(run, 2) == 0;
        io_faulty_set(run->faulty, &fault);
    }
}

static void clear_trap(struct run *run)
{
    static const struct io_fault none = {0};
    run->refuse_stop = false;
    memory_fake_fail_after(run->fake, -1, 0);
    ph_memory_fail_after(-1, false);
    io_faulty_set(run->faulty, &none);
}

static bool check_committed(struct run *run)
{
    char text[400];
    if (crash_content_check(run->store, run->number, &run->committed, text, sizeof(text)) < 0) {
        return wrong(run, "generation %llu is not the heap at its cut: %s", (ull)run->number, text);
    }
    return true;
}

static bool snapshot(struct run *run, bool may_fail)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_report report = {0};
    uint64_t current = snap_store_current(run->store)->number;
    if (current != 0) { /* the engine may make room first, by a commit of what is committed */
        crash_oracle_put(&run->explorer->oracle, run->store->next_generation, &run->committed);
        run->number = run->store->next_generation;
        io_record_mark(run->record, IO_MARK_ATTEMPT, run->number);
    }
    if (may_fail) {
        set_trap(run);
    }
    int rc = snap_engine_snapshot(run->engine, &report, &diag);
    clear_trap(run);
    run->inside = false;
    if (rc == 0) {
        if (report.generation.number != run->number) {
            return wrong(run, "generation %llu, expected %llu", (ull)report.generation.number,
                         (ull)run->number);
        }
        io_record_mark(run->record, IO_MARK_ACK, run->number);
        run->committed = run->at_cut;
        memset(run->committed.staged, 0, sizeof(run->committed.staged));
        run->snapshots++;
        return check_committed(run);
    }
    if (!may_fail) {
        return wrong(run, "a snapshot without any fault: %s: %s", phantom_err_name(rc), diag.text);
    }
    run->poisoned = rc == PHANTOM_EPOISONED;
    run->broken += run->poisoned;
    run->refused += !run->poisoned;
    current = snap_store_current(run->store)->number;
    if (!run->poisoned && current != 0) { /* it may have made room all the same */
        io_record_mark(run->record, IO_MARK_ACK, current);
    }
    if (run->poisoned && snap_engine_snapshot(run->engine, NULL, &diag) != PHANTOM_EPOISONED) {
        return wrong(run, "P7: a snapshot on a poisoned store says something else");
    }
    return true;
}

static bool restart(struct run *run)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    close_world(run);
    memory_fake_reset(run->fake);
    run->memory = memory_fake_memory(run->fake);
    run->inside = true; /* nobody runs yet */
    if (!open_store(run)) {
        return false;
    }
    int rc = open_engine(run, &diag);
    run->inside = false;
    if (rc < 0) {
        run->engine = NULL;
        return wrong(run, "restart: %s: %s", phantom_err_name(rc), diag.text);
    }
    run->restarts++;
    struct crash_content now;
    read_memory(run, &now);
    if (memcmp(now.version, run->committed.version, sizeof(now.version)) != 0) {
        return wrong(run, "the heap that came back is not the one that was committed");
    }
    return true;
}

static bool step(struct run *run)
{
    uint64_t kind = below(run, 16);
    if (kind < 2) {
        uint64_t first = below(run, run->heap_pages - 40);
        int rc = snap_engine_discard(run->engine, first, 1 + below(run, 40));
        return rc == 0 || wrong(run, "discard: %s", phantom_err_name(rc));
    }
    if (kind == 2 && run->heap_pages + 40 <= CRASH_PAGES) {
        run->heap_pages += 40;
    }
    if (kind == 3 && run->snapshots > 0) {
        return restart(run);
    }
    store_some(run, kind == 4 ? 500 : 1 + below(run, 60)); /* 500: more than staging holds */
    return snapshot(run, true);
}

/** Cut the power at each flush of the run. */
static bool explore(struct run *run)
{
    struct crash_explorer *explorer = run->explorer;
    struct crash_expect expect = {.unborn = true};
    crash_explorer_begin(explorer, run->seed, run->seed, NULL, 0);
    if (!crash_explore_log(explorer, io_record_log(run->record), &expect, CRASH_LIGHT)) {
        return wrong(run, "state %llu (%s): %s", (ull)explorer->state, explorer->image,
                     explorer->why);
    }
    return true;
}

/** One run. 1 good, 0 not possible with this strategy, -1 a promise was broken. */
static int one_run(struct crash_explorer *explorer, const char *strategy, uint64_t seed,
                   struct sums *sums, char *why, size_t why_size)
{
    struct run *run = calloc(1, sizeof(*run));
    PH_CHECK(run != NULL);
    *run = (struct run){.strategy = strategy, .seed = seed, .explorer = explorer};
    ph_rng_init(&run->rng, seed);
    crash_oracle_finish(&explorer->oracle);
    int64_t blocks = ph_memory_live_blocks();
    int result = begin(run);
    bool good = result > 0;
    uint64_t steps = 2 + below(run, STEPS_MOST - 1);
    for (uint64_t i = 0; good && i < steps && !run->poisoned; i++) {
        good = step(run);
    }
    if (good && !run->poisoned) { /* whatever was refused, nothing is forgotten */
        good = snapshot(run, false) && restart(run);
    }
    if (result > 0) {
        close_world(run);
        good = good && (explorer->density == 0 || explore(run));
        finish(run);
    }
    if (good && ph_memory_live_blocks() != blocks) {
        good = wrong(run, "%lld blocks of memory leaked",
                     (long long)(ph_memory_live_blocks() - blocks));
    }
    sums->runs += result > 0;
    sums->snapshots += run->snapshots;
    sums->refused += run->refused;
    sums->broken += run->broken;
    sums->restarts += run->restarts;
    snprintf(why, why_size, "%s", run->why);
    free(run);
    return result == 0 ? 0 : good ? 1 : -1;
}

/* ---- the campaign -----------------------------------------------------------------------------
 */

static int usage(void)
{
    fprintf(stderr, "usage: strategy_explorer [--seed S] [--runs N] [--run R]\n");
    return 2;
}

/** density: of the crash states, as in struct crash_explorer; 0: the heap at the cut only. */
static int campaign(uint64_t seed, uint64_t first, uint64_t runs, unsigned density)
{
    const struct snap_conditions none = {0};
    struct snap_choice list[STRATEGIES_MOST];
    size_t count = snap_strategy_list(&none, list, STRATEGIES_MOST);
    PH_CHECK(count <= STRATEGIES_MOST);
    struct sums sums = {0};
    uint64_t good[STRATEGIES_MOST] = {0};
    struct crash_explorer explorer;
    PH_CHECK(crash_explorer_init(&explorer, CAPACITY));
    explorer.density = density;
    int status = 0;
    for (uint64_t r = first; r < first + runs && status == 0; r++) {
        char why[1200];
        size_t which = (size_t)(r % count);
        uint64_t run_seed = seed * UINT64_C(0x9E3779B97F4A7C15) + r;
        int rc = one_run(&explorer, list[which].name, run_seed, &sums, why, sizeof(why));
        good[which] += rc > 0;
        if (rc < 0) {
            printf("VIOLATION in run %llu, strategy %s: %s\n", (ull)r, list[which].name, why);
            printf("REPRO: strategy_explorer --seed %llu --run %llu\n", (ull)seed, (ull)r);
            status = 1;
        }
    }
    unsigned usable = 0;
    for (size_t i = 0; i < count; i++) {
        usable += good[i] > 0;
        if (good[i] > 0) {
            printf("%s: %llu runs\n", list[i].name, (ull)good[i]);
        } else if (runs >= count && status == 0) {
            printf("%s: not explored, it works over no fake memory (%s)\n", list[i].name,
                   list[i].needs);
        }
    }
    printf("runs=%llu strategies=%u snapshots=%llu refused=%llu broken=%llu restarts=%llu "
           "states=%llu distinct=%llu seed=%llu\n",
           (ull)sums.runs, usable, (ull)sums.snapshots, (ull)sums.refused, (ull)sums.broken,
           (ull)sums.restarts, (ull)explorer.counts.states, (ull)explorer.counts.distinct,
           (ull)seed);
    crash_explorer_finish(&explorer);
    return status;
}

/** Defects of the engine that one thread can meet; the others have tests with threads. */
static const enum ph_mutant defects[] = {
    PH_MUTANT_COPY_BEFORE_PROTECT,      PH_MUTANT_DIRTY_SET_FORGOTTEN,
    PH_MUTANT_MARKS_CLEARED_AFTER_COPY, PH_MUTANT_RESIDUE_DROPPED,
    PH_MUTANT_IMAGE_AFTER_STORE,        PH_MUTANT_FROZEN_SET_FORGOTTEN,
    PH_MUTANT_PROTECTED_AFTER_RESUME,
};

/** Each defect in a process of its own, against the heap at the cut. */
static int mutants(uint64_t seed, uint64_t runs)
{
    enum { COUNT = sizeof(defects) / sizeof(defects[0]), SECONDS = 120 };
    unsigned caught = 0;
#ifndef PH_MUTANTS
    fprintf(stderr, "strategy_explorer: this build has no mutants\n");
    return 2;
#endif
    for (unsigned i = 0; i < COUNT; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            ph_active_mutant = defects[i];
            alarm(SECONDS);
            _exit(campaign(seed, 0, runs, 0) != 0 ? 10 : 0);
        }
        int status = -1;
        bool ended = pid > 0 && waitpid(pid, &status, 0) == pid;
        bool seen = ended && ((WIFEXITED(status) && WEXITSTATUS(status) == 10) ||
                              (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
        printf("mutant %s %s\n", ph_mutant_name(defects[i]), seen ? "killed" : "SURVIVED");
        caught += seen;
    }
    printf("mutants=%u/%u of the engine, by the heap at the cut\n", caught, (unsigned)COUNT);
    return caught == COUNT ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"mutants", no_argument, NULL, 'm'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"runs", required_argument, NULL, 'n'},
                                          {"run", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    uint64_t seed = ph_rng_seed_from_environment(1), runs = 120, first = 0;
    bool all_mutants = false;
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'm': all_mutants = true; break;
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'n': runs = strtoull(optarg, NULL, 0); break;
        case 'r': first = strtoull(optarg, NULL, 0), runs = 1; break;
        default: return usage();
        }
    }
    if (optind != argc) {
        return usage();
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    crash_keep_memory();
    return all_mutants ? mutants(seed, runs) : campaign(seed, first, runs, CRASH_DENSITY);
}
