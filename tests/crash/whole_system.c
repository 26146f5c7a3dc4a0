/* SPDX-License-Identifier: Apache-2.0
 *
 * whole_system.c - the engine over real memory and a real file, with everything at random:
 * strategy, size of range, heap and staging area, mutators, discards, a heap that grows and
 * shrinks, snapshots that are refused in each of their phases, disks that fail, restarts, eager and
 * lazy.
 *
 *     whole_system [--seed S] [--runs N]
 *     whole_system --seed S --run R                      one run again
 *
 * A run has a list of pages, strewn over a range of up to 64 GiB and with its last page in it, that
 * mutators use; a shadow of these pages, to which every store is done as well; and a copy of the
 * shadow for each generation, taken when the engine lets the world go on. Every generation must
 * hold exactly its copy, in the store and, after a rollback to it, in memory. No page but those of
 * the list may ever hold data.
 *
 * Each run is a process of its own. Exit status: 0 all right, 1 a promise was broken, 2 usage, 77
 * nothing can be tried here.
 */
#include "hal_posix.h"
#include "io_faulty.h"
#include "io_forward.h"
#include "ph_rng.h"
#include "ph_sanitizer.h"
#include "snap_engine.h"
#include "snap_epoch.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long long ull;

enum { PAGE = SNAP_PAGE_SIZE, COPIES = 5, MUTATORS = 3, OWN_SHARE = 4, HANG_S = 300 };

/* Free with and without the address and thread sanitizers. */
static const uint64_t BASE = UINT64_C(0x7e8000000000);

enum barrier { BARRIER_NONE, BARRIER_MARKS, BARRIER_EPOCH };

static const struct way {
    const char *name, *strategy;
    enum hal_tracking tracking;
    enum barrier barrier;
    bool reads_all; /* each snapshot reads the whole heap */
} ways[] = {
    {"async", "async", HAL_TRACK_ASYNC, BARRIER_NONE, false},
    {"async with marks", "async", HAL_TRACK_ASYNC, BARRIER_MARKS, false},
    {"cards", "cards", HAL_TRACK_NONE, BARRIER_MARKS, false},
    {"epoch", "epoch", HAL_TRACK_NONE, BARRIER_EPOCH, false},
    {"sigbus", "sigbus", HAL_TRACK_SIGBUS, BARRIER_NONE, false},
    {"mprotect", "mprotect", HAL_TRACK_MPROTECT, BARRIER_NONE, false},
    {"full", "full", HAL_TRACK_NONE, BARRIER_NONE, true},
    {"fork", "fork", HAL_TRACK_NONE, BARRIER_NONE, true},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

struct copy { /* of the shadow at a cut */
    uint64_t generation, heap_pages;
    uint8_t *bytes;
};

struct mutator {
    struct run *run;
    pthread_t thread;
    struct ph_rng rng;
    unsigned slot;
};

struct run {
    ull seed, number;
    const struct way *way;
    struct ph_rng rng;
    char path[128];
    uint64_t pages;  /* of the range */
    uint64_t count;  /* of the list */
    uint64_t common; /* the first so many of the list are written by all; the rest has owners */
    uint64_t *list;  /* ascending */
    uint8_t *shadow; /* `count` pages */
    struct copy copies[COPIES];
    struct copy at_cut; /* generation 0: of a snapshot that was not acknowledged */
    bool cut;           /* at_cut is of the snapshot under way */
    unsigned next_copy;

    struct snap_memory *memory;
    struct snap_io *file, *io;
    struct snap_store *store;
    struct snap_engine *engine;
    struct snap_engine_options options;
    const struct snap_marks *marks;
    struct snap_epoch *epoch;
    struct phantom_diag diag;
    uint64_t retain_bytes;
    bool refuse_stop, refuse_cut; /* the next ones */

    pthread_mutex_t lock; /* park handshake; a leaf */
    pthread_cond_t changed;
    bool stopping;
    unsigned parked, mutators_running;
    atomic_bool please_park, quit;
    _Atomic uint64_t heap_pages, stores;
    struct mutator mutators[MUTATORS];

    uint64_t snapshots, refused, poisonings, restarts, lazy_restarts, rollbacks;
};

static void broken(const struct run *run, const char *what, uint64_t a, uint64_t b)
{
    printf(
        "BROKEN: seed %llu run %llu, %s, range %llu, list %llu, staging %u: %s (%llu, %llu) %s\n",
        run->seed, run->number, run->way->name, (ull)run->pages, (ull)run->count,
        run->options.staging_pages, what, (ull)a, (ull)b, run->diag.text);
    fflush(stdout);
    _exit(1);
}

static void must(const struct run *run, int rc, const char *what)
{
    if (rc != 0) {
        printf("%s: %s\n", what, phantom_err_name(rc));
        broken(run, what, 0, 0);
    }
}

/* ---- the world ----------------------------------------------------------------------------- */

static int world_stop(void *context, int timeout_ms)
{
    struct run *run = context;
    (void)timeout_ms;
    if (run->refuse_stop) {
        return PHANTOM_ETIMEOUT;
    }
    pthread_mutex_lock(&run->lock);
    run->stopping = true;
    atomic_store(&run->please_park, true);
    while (run->parked < run->mutators_running) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    pthread_mutex_unlock(&run->lock);
    return 0;
}

static void world_resume(void *context)
{
    struct run *run = context;
    memcpy(run->at_cut.bytes, run->shadow, run->count * PAGE);
    run->at_cut.heap_pages = atomic_load(&run->heap_pages);
    run->cut = true;
    pthread_mutex_lock(&run->lock);
    run->stopping = false;
    atomic_store(&run->please_park, false);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static uint64_t world_heap_pages(void *context)
{
    struct run *run = context;
    return run->refuse_cut ? run->pages + 1 : atomic_load(&run->heap_pages);
}

static void world_damaged(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    struct run *run = context;
    printf("damaged: %d %s %d\n", error, diag->text, waiting);
    broken(run, "a page could not be loaded", 0, 0);
}

static void park(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    if (run->stopping) {
        run->parked++;
        pthread_cond_broadcast(&run->changed);
        while (run->stopping) {
            pthread_cond_wait(&run->changed, &run->lock);
        }
        run->parked--;
    }
    pthread_mutex_unlock(&run->lock);
}

/** `bytes` at `within` of the `index`-th page of the list, as a program under this strategy must.
 */
static void put(struct run *run, uint64_t index, uint64_t within, const void *bytes, size_t length)
{
    uint64_t page = run->list[index];
    if (run->epoch != NULL) {
        snap_before_store(run->epoch, page);
    }
    memcpy(run->memory->base + page * PAGE + within, bytes, length);
    memcpy(run->shadow + index * PAGE + within, bytes, length);
    if (run->way->barrier == BARRIER_MARKS) {
        snap_mark(run->marks, page);
    }
}

static void discard(struct run *run, uint64_t index, uint64_t most)
{
    uint64_t count = 1;
    while (count < most && run->list[index + count] == run->list[index] + count) {
        count++;
    }
    must(run, snap_engine_discard(run->engine, run->list[index], count), "discard");
    memset(run->shadow + index * PAGE, 0, count * PAGE);
}

/** Pages that only this mutator uses: whole pages, zeros, discards. */
static void use_own(struct mutator *self)
{
    struct run *run = self->run;
    uint64_t own = (run->count - run->common) / MUTATORS;
    if (own == 0) {
        return;
    }
    uint64_t first = run->common + self->slot * own;
    uint64_t index = first + ph_rng_below(&self->rng, own);
    uint64_t what = ph_rng_below(&self->rng, 16);
    uint8_t bytes[PAGE];
    if (what < 4) {
        discard(run, index, 1 + ph_rng_below(&self->rng, first + own - index));
    } else if (what < 6) {
        memset(bytes, what == 4 ? 0 : (int)ph_rng_below(&self->rng, 256), sizeof(bytes));
        put(run, index, 0, bytes, sizeof(bytes));
    } else {
        uint64_t value = ph_rng_next(&self->rng);
        put(run, index, ph_rng_below(&self->rng, PAGE / 8) * 8, &value, sizeof(value));
    }
}

static void *mutate(void *argument)
{
    struct mutator *self = argument;
    struct run *run = self->run;
    while (!atomic_load_explicit(&run->quit, memory_order_relaxed)) {
        uint64_t line = ph_rng_below(&self->rng, PAGE / 64);
        uint64_t value = ph_rng_next(&self->rng);
        if (run->common != 0) {
            uint64_t index = ph_rng_below(&self->rng, run->common);
            /* Half of the stores go to a few pages: a hot set. */
            index = value % 2 == 0 ? index : index % (1 + run->common / 50);
            put(run, index, line * 64 + self->slot * 8, &value, sizeof(value));
        }
        if (value % 8 == 0) {
            use_own(self);
        }
        if (value % 1021 == 0) { /* the end of the heap moves */
            uint64_t at = run->list[ph_rng_below(&self->rng, run->count)] + 1;
            atomic_store(&run->heap_pages, value % 3 == 0 ? at : run->pages);
        }
        if (value % 4093 == 0 && run->way->barrier == BARRIER_MARKS &&
            run->way->tracking == HAL_TRACK_ASYNC && run->common != 0) {
            uint64_t index = ph_rng_below(&self->rng, run->common); /* stores without a mark */
            uint64_t offset = line * 64 + self->slot * 8;
            memcpy(run->memory->base + run->list[index] * PAGE + offset, &value, sizeof(value));
            memcpy(run->shadow + index * PAGE + offset, &value, sizeof(value));
            snap_engine_unmarked_writer(run->engine);
        }
        atomic_fetch_add_explicit(&run->stores, 1, memory_order_relaxed);
        if (atomic_load_explicit(&run->please_park, memory_order_relaxed)) {
            park(run);
        }
    }
    return NULL;
}

static void start_mutators(struct run *run)
{
    atomic_store(&run->quit, false);
    run->mutators_running = 1 + (unsigned)ph_rng_below(&run->rng, MUTATORS);
    for (unsigned i = 0; i < run->mutators_running; i++) {
        run->mutators[i] = (struct mutator){.run = run, .slot = i};
        ph_rng_init(&run->mutators[i].rng, ph_rng_next(&run->rng));
        must(run, pthread_create(&run->mutators[i].thread, NULL, mutate, &run->mutators[i]),
             "thread");
    }
}

static void stop_mutators(struct run *run)
{
    atomic_store(&run->quit, true);
    for (unsigned i = 0; i < run->mutators_running; i++) {
        pthread_join(run->mutators[i].thread, NULL);
    }
    run->mutators_running = 0;
}

static void let_run(struct run *run, uint64_t stores)
{
    uint64_t goal = atomic_load(&run->stores) + stores;
    while (run->mutators_running != 0 && atomic_load(&run->stores) < goal) {
        sched_yield();
    }
}

/* ---- comparing ----------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE - 1) == 0;
}

struct comparison {
    struct run *run;
    const struct copy *copy;
    uint64_t next; /* of the list */
};

static int compare_page(void *context, uint64_t page, const void *data)
{
    struct comparison *c = context;
    struct run *run = c->run;
    if (page >= c->copy->heap_pages) {
        return 0;
    }
    for (; c->next < run->count && run->list[c->next] < page; c->next++) {
        if (!is_zero(c->copy->bytes + c->next * PAGE)) {
            broken(run, "a page is missing in a generation", c->copy->generation,
                   run->list[c->next]);
        }
    }
    if (c->next == run->count || run->list[c->next] != page) {
        broken(run, "a page that nobody wrote is in a generation", c->copy->generation, page);
    }
    if (memcmp(data, c->copy->bytes + c->next * PAGE, PAGE) != 0) {
        broken(run, "a page of a generation is not what it was at the cut", c->copy->generation,
               page);
    }
    c->next++;
    return 0;
}

static void compare_generation(struct run *run, const struct copy *copy)
{
    struct comparison comparison = {.run = run, .copy = copy};
    must(run,
         snap_store_for_each_page(run->store, copy->generation, compare_page, &comparison,
                                  &run->diag),
         "reading a generation");
    for (uint64_t i = comparison.next; i < run->count; i++) {
        if (run->list[i] < copy->heap_pages && !is_zero(copy->bytes + i * PAGE)) {
            broken(run, "a page is missing at the end of a generation", copy->generation,
                   run->list[i]);
        }
    }
}

/** Memory against the copy; what lies beyond its heap is taken as it is. */
static void compare_memory(struct run *run, const struct copy *copy)
{
    for (uint64_t k = 0; k < run->count; k++) {
        uint64_t i = (k * 7919 + run->seed) % run->count; /* 7919: prime, not a divisor */
        const uint8_t *page = run->memory->base + run->list[i] * PAGE;
        if (run->list[i] < copy->heap_pages && memcmp(page, copy->bytes + i * PAGE, PAGE) != 0) {
            broken(run, "memory is not what the generation was", copy->generation, run->list[i]);
        }
    }
}

static void adopt(struct run *run, const struct copy *copy)
{
    memcpy(run->shadow, copy->bytes, run->count * PAGE);
    for (uint64_t i = 0; i < run->count; i++) {
        if (run->list[i] >= copy->heap_pages) {
            memcpy(run->shadow + i * PAGE, run->memory->base + run->list[i] * PAGE, PAGE);
        }
    }
    atomic_store(&run->heap_pages, copy->heap_pages);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static int open_reader(void *context, struct snap_io **out, struct phantom_diag *diag)
{
    struct run *run = context;
    return hal_file_open(run->path, HAL_FILE_READ_ONLY, out, diag);
}

static void open_store(struct run *run, unsigned flags)
{
    if (ph_rng_below(&run->rng, 2) == 0) {
        flags |= HAL_FILE_NO_URING;
    }
    must(run, hal_file_open(run->path, flags, &run->file, &run->diag), "file");
    run->io = io_faulty_create(run->file);
    if ((flags & HAL_FILE_CREATE) != 0) {
        const struct snap_store_params params = {.heap_base = BASE,
                                                 .heap_size = run->pages * PAGE,
                                                 .uuid = {4, 3, 2, 1},
                                                 .retain_bytes = run->retain_bytes,
                                                 .segment_bytes = 1 << 20};
        must(run, snap_store_create(run->io, &params, &run->diag), "create");
    }
    must(run, snap_store_open(run->io, 0, &run->store, NULL, &run->diag), "store");
}

static void close_store(struct run *run)
{
    snap_store_close(run->store);
    run->store = NULL;
    io_faulty_destroy(run->io);
    run->file->ops->close(run->file);
}

static void open_engine(struct run *run, bool lazy)
{
    static const uint32_t stagings[] = {0, 256, 257, 300, 700, 1500, 16384, 20000};
    const struct snap_world world = {.context = run,
                                     .stop = world_stop,
                                     .resume = world_resume,
                                     .heap_pages = world_heap_pages,
                                     .damaged = world_damaged};
    run->options = (struct snap_engine_options){
        .strategy = run->way->strategy,
        .staging_pages = stagings[ph_rng_below(&run->rng, sizeof(stagings) / sizeof(stagings[0]))],
        .all_stores_marked = run->way->barrier == BARRIER_MARKS,
        .all_stores_announced = run->way->barrier == BARRIER_EPOCH,
        .restore = lazy ? SNAP_RESTORE_LAZY : SNAP_RESTORE_EAGER,
        .open_reader = open_reader,
        .reader_context = run,
    };
    must(run,
         hal_memory_reserve(BASE, run->pages * PAGE, run->way->tracking, &run->memory, &run->diag),
         "memory");
    must(run,
         snap_engine_open(run->memory, run->store, &world, &run->options, &run->engine, &run->diag),
         "engine");
    run->marks = snap_engine_marks(run->engine);
    run->epoch = snap_engine_epoch(run->engine);
}

static void close_engine(struct run *run)
{
    snap_engine_close(run->engine);
    run->engine = NULL;
    run->memory->ops->close(run->memory);
    run->memory = NULL;
}

static struct copy *copy_of(struct run *run, uint64_t generation)
{
    for (unsigned i = 0; i < COPIES; i++) {
        if (run->copies[i].generation == generation && run->copies[i].bytes != NULL) {
            return &run->copies[i];
        }
    }
    return NULL;
}

/** The copy at the cut belongs to this generation. */
static struct copy *keep_copy(struct run *run, uint64_t generation)
{
    struct copy *copy = &run->copies[run->next_copy++ % COPIES];
    struct copy old = *copy;
    *copy = run->at_cut;
    copy->generation = generation;
    run->at_cut.bytes = old.bytes != NULL ? old.bytes : malloc(run->count * PAGE);
    run->cut = false;
    return copy;
}

/** Open again, mutators stopped, and compare everything. */
static void restart(struct run *run)
{
    close_engine(run);
    close_store(run);
    open_store(run, 0);
    uint64_t current = snap_store_current(run->store)->number;
    struct copy *copy = copy_of(run, current);
    if (copy == NULL && current != 0) {
        if (!run->cut) {
            broken(run, "a generation that nobody asked for", current, 0);
        }
        copy = keep_copy(run, current); /* broken off, and durable all the same */
    }
    if (copy != NULL && ph_rng_below(&run->rng, 4) == 0) {
        must(run, snap_store_audit(run->store, &run->diag), "audit");
    }
    bool lazy = ph_rng_below(&run->rng, 2) == 0;
    open_engine(run, lazy);
    run->restarts++;
    run->lazy_restarts += lazy;
    run->cut = false;
    if (copy == NULL) { /* nothing was ever committed */
        memset(run->shadow, 0, run->count * PAGE);
        atomic_store(&run->heap_pages, run->pages);
    } else if (lazy && copy->heap_pages == run->pages && ph_rng_below(&run->rng, 2) == 0) {
        adopt(run, copy); /* not touched now: mutators and snapshots come into the restore */
    } else {
        compare_memory(run, copy);
        adopt(run, copy);
    }
}

/* ---- a run --------------------------------------------------------------------------------- */

static void prepare_trouble(struct run *run)
{
    struct io_fault fault = {0};
    switch (ph_rng_below(&run->rng, 14)) {
    case 0: run->refuse_stop = true; break;
    case 1: run->refuse_cut = true; break;
    case 2:
    case 3:
        fault = (struct io_fault){.ops = IO_OP_ALLOCATE,
                                  .at = 1 + ph_rng_below(&run->rng, 3),
                                  .sticky = ph_rng_below(&run->rng, 2) == 0,
                                  .error = ENOSPC};
        break;
    case 4:
        fault = (struct io_fault){
            .ops = IO_OP_READ, .at = 1 + ph_rng_below(&run->rng, 8), .error = EIO};
        break;
    case 5:
        fault = (struct io_fault){
            .ops = IO_OP_WRITE | IO_OP_FLUSH, .at = 1 + ph_rng_below(&run->rng, 12), .error = EIO};
        break;
    default: break;
    }
    io_faulty_set(run->io, &fault);
}

/** False: the store is poisoned. */
static bool snapshot(struct run *run)
{
    struct snap_report report;
    prepare_trouble(run);
    run->cut = false;
    int rc = snap_engine_snapshot(run->engine, &report, &run->diag);
    const struct io_fault none = {0};
    io_faulty_set(run->io, &none);
    run->refuse_stop = run->refuse_cut = false;
    if (rc == 0) {
        run->snapshots++;
        const struct copy *copy = keep_copy(run, report.generation.number);
        if (report.generation.heap_pages != copy->heap_pages) {
            broken(run, "heap_pages", report.generation.heap_pages, copy->heap_pages);
        }
        if (run->count < 3000 || ph_rng_below(&run->rng, 4) == 0) {
            compare_generation(run, copy);
        }
        return true;
    }
    run->refused++;
    if (rc == PHANTOM_EPOISONED) {
        run->poisonings++;
        return false;
    }
    /* A trim may have committed the content of the current generation once more. */
    uint64_t current = snap_store_current(run->store)->number;
    uint64_t parent = snap_store_current(run->store)->parent;
    struct copy *copy = copy_of(run, parent);
    if (current != 0 && copy_of(run, current) == NULL && copy != NULL) {
        copy->generation = current;
    }
    return true;
}

/** Each generation that is retained, in the store and in memory. */
static void visit_history(struct run *run)
{
    for (unsigned i = 0; i < COPIES; i++) {
        struct copy *copy = &run->copies[i];
        struct snap_generation list[1024];
        size_t count = snap_store_list(run->store, list, 1024);
        bool retained = false;
        for (size_t k = 0; k < count && k < 1024; k++) {
            retained = retained || list[k].number == copy->generation;
        }
        if (copy->bytes == NULL || copy->generation == 0 || !retained) {
            continue;
        }
        compare_generation(run, copy);
        close_engine(run);
        struct snap_generation now;
        must(run, snap_store_rollback(run->store, copy->generation, &now, &run->diag), "rollback");
        open_engine(run, ph_rng_below(&run->rng, 2) == 0);
        compare_memory(run, copy);
        run->rollbacks++;
    }
}

/** The pages of a run: some next to each other, some alone, the last page of the range. */
static void choose_pages(struct run *run)
{
    static const uint64_t ranges[] = {1,    40,    512,     513,     700,
                                      4000, 16385, 1 << 15, 1 << 20, UINT64_C(1) << 24};
    run->pages = ranges[ph_rng_below(&run->rng, sizeof(ranges) / sizeof(ranges[0]))];
    uint64_t most = 1 + ph_rng_below(&run->rng, ph_rng_below(&run->rng, 8) == 0 ? 18000 : 1500);
    uint64_t count = 0, page = ph_rng_below(&run->rng, 2);
    run->list = calloc(most + 1, sizeof(*run->list));
    uint64_t stride = 2 * run->pages / (most + 1) + 1;
    page = page < run->pages ? page : 0;
    while (count < most && page < run->pages) {
        run->list[count++] = page;
        page += ph_rng_below(&run->rng, 3) != 0 ? 1 : 1 + ph_rng_below(&run->rng, 3 * stride);
    }
    if (run->list[count - 1] != run->pages - 1) {
        run->list[count++] = run->pages - 1;
    }
    run->count = count;
    run->common = count - count / OWN_SHARE;
}

static void begin(struct run *run, const struct way *way, ull seed, ull number)
{
    *run = (struct run){.seed = seed, .number = number, .way = way};
    run->diag.size = sizeof(run->diag);
    ph_rng_init(&run->rng, seed * 1000003 + number);
    const char *folder = getenv("TMPDIR");
    folder = folder != NULL ? folder : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(run->path, sizeof(run->path), "%s/whole-XXXXXX", folder);
    int fd = mkstemp(run->path);
    must(run, fd >= 0 ? 0 : -errno, "temporary file");
    close(fd);
    unlink(run->path);
    choose_pages(run);
    run->shadow = calloc(run->count, PAGE);
    run->at_cut.bytes = calloc(run->count, PAGE);
    run->retain_bytes = ph_rng_below(&run->rng, 2) == 0 ? 1 : UINT64_C(256) << 20;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    atomic_store(&run->heap_pages, run->pages);
}

static void end(struct run *run)
{
    close_engine(run);
    close_store(run);
    unlink(run->path);
    for (unsigned i = 0; i < COPIES; i++) {
        free(run->copies[i].bytes);
    }
    free(run->at_cut.bytes);
    free(run->shadow);
    free(run->list);
}

/** In a process of its own. */
static void go(ull seed, ull number, uint64_t totals[6])
{
    static struct run run;
    alarm(HANG_S);
    const struct way *way = &ways[number % WAYS];
    begin(&run, way, seed, number);
    open_store(&run, HAL_FILE_CREATE);
    open_engine(&run, false);
    unsigned rounds = 2 + (unsigned)ph_rng_below(&run.rng, 4);
    for (unsigned round = 0; round < rounds; round++) {
        start_mutators(&run);
        bool good = true;
        unsigned most = way->reads_all ? 6 : 16;
        unsigned snapshots = 1 + (unsigned)ph_rng_below(&run.rng, most);
        for (unsigned i = 0; i < snapshots && good; i++) {
            let_run(&run, ph_rng_below(&run.rng, 4 * run.count + 200));
            good = snapshot(&run);
        }
        stop_mutators(&run);
        restart(&run);
    }
    visit_history(&run);
    totals[0] = run.snapshots;
    totals[1] = run.refused;
    totals[2] = run.poisonings;
    totals[3] = run.restarts;
    totals[4] = run.lazy_restarts;
    totals[5] = run.rollbacks;
    end(&run);
}

/** 0; 77 this strategy cannot be tried here; 1 */
static int run_in_child(ull seed, ull number, uint64_t totals[6])
{
    uint64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        go(seed, number, shared);
        exit(0);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    for (int i = 0; i < 6; i++) {
        totals[i] += shared[i];
    }
    munmap(shared, 4096);
    if (WIFSIGNALED(status)) {
        printf("BROKEN: ended by signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool possible(const struct way *way)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_memory *memory = NULL;
#if PH_UNDER_TSAN || PH_UNDER_ASAN
    if (strcmp(way->name, "fork") == 0) {
        return false; /* each fork copies the page tables of the shadow: minutes */
    }
#endif
    if (hal_memory_reserve(BASE, 16 * PAGE, way->tracking, &memory, &diag) != 0) {
        return false;
    }
    memory->ops->close(memory);
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"runs", required_argument, NULL, 'n'},
                                            {"run", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    ull seed = ph_rng_seed_from_environment(1), runs = 40, only = 0;
    bool one = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'n': runs = strtoull(optarg, NULL, 0); break;
        case 'r': only = strtoull(optarg, NULL, 0), one = true; break;
        default: return 2;
        }
    }
    uint64_t totals[6] = {0}, done = 0;
    bool can[WAYS];
    for (int i = 0; i < WAYS; i++) {
        can[i] = possible(&ways[i]);
        if (!can[i]) {
            printf("not tried here: %s\n", ways[i].name);
        }
    }
    for (ull number = one ? only : 0; number < (one ? only + 1 : runs); number++) {
        if (!can[number % WAYS]) {
            continue;
        }
        if (run_in_child(seed, number, totals) != 0) {
            printf("REPRO: whole_system --seed %llu --run %llu   (%s)\n", seed, number,
                   ways[number % WAYS].name);
            return 1;
        }
        done++;
    }
    printf(
        "runs=%llu seed=%llu snapshots=%llu refused=%llu poisonings=%llu restarts=%llu lazy=%llu "
        "rollbacks=%llu\n",
        (ull)done, seed, (ull)totals[0], (ull)totals[1], (ull)totals[2], (ull)totals[3],
        (ull)totals[4], (ull)totals[5]);
    return 0;
}
