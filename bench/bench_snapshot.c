/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_snapshot.c - what a snapshot costs: heaps of 64 MiB to 8 GiB, prefilled densely, 1000 or
 * 10 000 dirty pages strewn over the heap before each snapshot, one or two mutators, by strategy:
 * `async`, `async` with all stores marked, `cards`.
 *
 * Every figure stands beside the thing it is compared with, measured in the same run:
 *   - the first snapshot (the whole heap) beside fio's sequential direct write on the same file
 *     system;
 *   - the pause beside a bare stop, scan and copy of the same pages with the same parked threads
 *     (`bare`), beside a stop that copies a known list of those pages (`copy`), and beside a fork()
 *     of a process with that heap (`fork`), which is how long it stands still where a child writes.
 *
 * Modes: `once` - each page is written once, then the mutators only read until the next snapshot;
 * `hot` - the mutators never stop writing the same 1000 pages.
 *
 * The store is a temporary file in --dir, without a name from the moment it is open, so nothing is
 * left behind.
 */
#include "hal_posix.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "snap_engine.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = SNAP_PAGE_SIZE,
    DIRTY_MOST = 10000,
    FORKS = 5,
    THREADS_MOST = 8,
    SIZES_MOST = 8,
    SNAPSHOTS_MOST = 1000,
    RANGES = 1024,
    FIO_BYTES_MOST = 1 << 30
};

/* Free with and without the address and thread sanitizers. */
static const uint64_t HEAP_BASE = UINT64_C(0x7e8000000000);

struct settings {
    const char *directory;
    const char *json_path;
    uint64_t heap_mib[SIZES_MOST];
    unsigned sizes;
    unsigned snapshots;
    unsigned threads;       /* 0: one, then two */
    unsigned dirty_pages;   /* 0: 1000, then 10 000 */
    const char *method;     /* NULL: all */
    unsigned staging_pages; /* 0: the engine's default */
    bool fio;
};

/** Mutators and the handshake that parks them. The lock is a leaf. */
struct herd {
    struct snap_memory *memory;
    const struct snap_marks *marks; /* NULL: stores are not marked */
    unsigned threads;
    unsigned pages; /* how many of them are written */
    bool hot;
    pthread_t thread[THREADS_MOST];
    uint64_t page[DIRTY_MOST]; /* thread t owns those with index % threads == t */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;   /* under lock */
    unsigned parked; /* under lock */
    atomic_bool please_park, quit;
    atomic_uint wanted_passes;
    atomic_uint passes[THREADS_MOST];
    _Atomic uint64_t sink;
};

struct herd_member {
    struct herd *herd;
    unsigned number;
};

struct series {
    uint64_t *value;
    unsigned count;
};

struct measurement {
    uint64_t heap_mib;
    const char *mode, *method;
    unsigned dirty_pages, mutators, by_marks;
    struct series pause, bare, copy, stop_wait, total, bytes, live, stopped;
};

/** A strategy and what the host promises it. */
struct method {
    const char *name, *strategy;
    bool marked, tracked;
};

static const struct method methods[] = {
    {"async", "async", false, true},
    {"async+marks", "async", true, true},
    {"cards", "cards", true, false},
};

struct first_snapshot {
    uint64_t bytes, total_ns, pause_ns, cpu_ns; /* cpu: of the thread that takes it */
    double mb_per_s, fio_mb_per_s;
};

/** What goes into the JSON. */
struct figures {
    json_t *firsts, *rows, *forks;
};

/** One heap size: everything that must be closed again. */
struct bench {
    const struct settings *settings;
    const struct method *method;
    struct snap_memory *memory;
    struct snap_io *io;
    struct snap_store *store;
    struct snap_engine *engine;
    struct herd herd;
    struct herd_member members[THREADS_MOST];
    uint8_t *copy; /* where the bare copy goes */
    struct ph_rng rng;
};

static uint64_t clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_now(CLOCK_MONOTONIC);
}

/* ---- series -------------------------------------------------------------------------------- */

static void series_add(struct series *series, uint64_t value)
{
    if (series->value == NULL) {
        series->value = calloc(SNAPSHOTS_MOST, sizeof(uint64_t));
    }
    if (series->value != NULL && series->count < SNAPSHOTS_MOST) {
        series->value[series->count++] = value;
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/** The smallest value that `percent` of the values do not exceed. */
static uint64_t series_percentile(struct series *series, unsigned percent)
{
    if (series->count == 0) {
        return 0;
    }
    qsort(series->value, series->count, sizeof(uint64_t), by_value);
    unsigned rank = (series->count * percent + 99) / 100;
    return series->value[rank > 0 ? rank - 1 : 0];
}

static void measurement_finish(struct measurement *m)
{
    struct series *all[] = {&m->pause, &m->bare,  &m->copy, &m->stop_wait,
                            &m->total, &m->bytes, &m->live, &m->stopped};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]->value);
    }
}

/* ---- mutators ------------------------------------------------------------------------------ */

static void herd_park(struct herd *herd)
{
    pthread_mutex_lock(&herd->lock);
    if (herd->stopping) {
        herd->parked++;
        pthread_cond_broadcast(&herd->changed);
        while (herd->stopping) {
            pthread_cond_wait(&herd->changed, &herd->lock);
        }
        herd->parked--;
    }
    pthread_mutex_unlock(&herd->lock);
}

enum place { ON_ANY_CPU, ON_FIRST_CPU, ON_OTHER_CPUS };

/**
 * The engine on one CPU, the mutators on the others: a mutator that shares the engine's CPU does
 * not run while the engine copies, and a hot set looks cold. Best effort; nothing where there is
 * one CPU.
 */
static void settle_on(enum place place)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (long cpu = place == ON_OTHER_CPUS; cpu < (place == ON_FIRST_CPU ? 1 : cpus); cpu++) {
        CPU_SET((size_t)cpu, &set);
    }
    if (cpus > 1) {
        (void)sched_setaffinity(0, sizeof(set), &set);
    }
}

static void *herd_run(void *argument)
{
    struct herd_member *self = argument;
    settle_on(ON_OTHER_CPUS);
    struct herd *herd = self->herd;
    uint64_t value = self->number + 1;
    while (!atomic_load_explicit(&herd->quit, memory_order_relaxed)) {
        bool writes = herd->hot ||
                      atomic_load(&herd->passes[self->number]) != atomic_load(&herd->wanted_passes);
        for (unsigned i = self->number; i < herd->pages; i += herd->threads) {
            uint64_t *word =
                (uint64_t *)(void *)(herd->memory->base + herd->page[i] * PAGE + (i % 64) * 8);
            if (writes) {
                __atomic_store_n(word, value++, __ATOMIC_RELAXED);
                if (herd->marks != NULL) {
                    snap_mark(herd->marks, herd->page[i]);
                }
            } else {
                value += __atomic_load_n(word, __ATOMIC_RELAXED);
            }
            if (atomic_load_explicit(&herd->please_park, memory_order_relaxed)) {
                herd_park(herd);
            }
        }
        if (writes) {
            atomic_fetch_add(&herd->passes[self->number], 1);
        }
    }
    atomic_fetch_add(&herd->sink, value);
    return NULL;
}

static int herd_stop(void *context, int timeout_ms)
{
    struct herd *herd = context;
    (void)timeout_ms;
    pthread_mutex_lock(&herd->lock);
    herd->stopping = true;
    atomic_store(&herd->please_park, true);
    while (herd->parked < herd->threads) {
        pthread_cond_wait(&herd->changed, &herd->lock);
    }
    pthread_mutex_unlock(&herd->lock);
    return 0;
}

static void herd_resume(void *context)
{
    struct herd *herd = context;
    pthread_mutex_lock(&herd->lock);
    herd->stopping = false;
    atomic_store(&herd->please_park, false);
    pthread_cond_broadcast(&herd->changed);
    pthread_mutex_unlock(&herd->lock);
}

static uint64_t herd_heap_pages(void *context)
{
    struct herd *herd = context;
    return herd->memory->page_count;
}

/** Wait until every thread has written all of its pages once more. */
static void herd_dirty(struct herd *herd)
{
    unsigned seen[THREADS_MOST] = {0};
    for (unsigned i = 0; i < herd->threads; i++) {
        seen[i] = atomic_load(&herd->passes[i]);
    }
    atomic_fetch_add(&herd->wanted_passes, 1);
    for (unsigned i = 0; i < herd->threads; i++) {
        /* hot: the pass under way had begun already, so one more. */
        unsigned passes = herd->hot ? 2 : 1;
        while (atomic_load(&herd->passes[i]) - seen[i] < passes) {
            usleep(50);
        }
    }
}

static int herd_start(struct bench *bench, bool hot)
{
    struct herd *herd = &bench->herd;
    herd->hot = hot;
    atomic_store(&herd->quit, false);
    atomic_store(&herd->wanted_passes, 0);
    for (unsigned i = 0; i < herd->threads; i++) {
        atomic_store(&herd->passes[i], 0);
        bench->members[i] = (struct herd_member){.herd = herd, .number = i};
        int rc = pthread_create(&herd->thread[i], NULL, herd_run, &bench->members[i]);
        if (rc != 0) {
            herd->threads = i;
            return -rc;
        }
    }
    return 0;
}

static void herd_join(struct herd *herd)
{
    atomic_store(&herd->quit, true);
    for (unsigned i = 0; i < herd->threads; i++) {
        pthread_join(herd->thread[i], NULL);
    }
}

/** Other pages, strewn over the whole heap. With the herd parked or not started. */
static void choose_pages(struct bench *bench)
{
    for (unsigned i = 0; i < bench->herd.pages; i++) {
        bench->herd.page[i] = ph_rng_below(&bench->rng, bench->memory->page_count);
    }
}

/* ---- one heap ------------------------------------------------------------------------------ */

/** Stop, scan with protection, copy what is dirty, resume: the least that a cut can be. */
static int bare_pause(struct bench *bench, uint64_t *pause_ns)
{
    struct snap_memory *memory = bench->memory;
    static struct snap_range ranges[RANGES];
    herd_stop(&bench->herd, 0);
    uint64_t start = now_ns();
    uint64_t copied = 0;
    int n = 0;
    for (uint64_t at = 0; at < memory->page_count && n >= 0;) {
        uint64_t resume = at;
        n = memory->ops->scan(memory, at, memory->page_count - at, SNAP_SCAN_PROTECT, ranges,
                              RANGES, &resume);
        for (int i = 0; i < n; i++) {
            for (uint64_t k = 0; k < ranges[i].count && copied < 2 * DIRTY_MOST; k++) {
                memcpy(bench->copy + copied++ * PAGE, memory->base + (ranges[i].first + k) * PAGE,
                       PAGE);
            }
        }
        at = resume;
    }
    *pause_ns = now_ns() - start;
    herd_resume(&bench->herd);
    return n < 0 ? n : 0;
}

/** Stop, copy the pages that are known to be dirty, resume: less than any cut can be. */
static uint64_t copy_pause(struct bench *bench)
{
    struct herd *herd = &bench->herd;
    herd_stop(herd, 0);
    uint64_t start = now_ns();
    for (unsigned i = 0; i < herd->pages; i++) {
        memcpy(bench->copy + (size_t)i * PAGE, bench->memory->base + herd->page[i] * PAGE, PAGE);
    }
    uint64_t pause_ns = now_ns() - start;
    herd_resume(herd);
    return pause_ns;
}

/** How long fork() takes with this heap in the process; the heap is usually kept from children. */
static uint64_t fork_pause(struct bench *bench)
{
    struct series series = {0};
    size_t bytes = bench->memory->page_count * PAGE;
    if (madvise(bench->memory->base, bytes, MADV_DOFORK) != 0) {
        return 0;
    }
    for (int i = 0; i < FORKS; i++) {
        uint64_t start = now_ns();
        pid_t child = fork();
        if (child == 0) {
            _exit(0);
        }
        if (child > 0) {
            series_add(&series, now_ns() - start);
            (void)waitpid(child, NULL, 0);
        }
    }
    (void)madvise(bench->memory->base, bytes, MADV_DONTFORK);
    uint64_t median = series_percentile(&series, 50);
    free(series.value);
    return median;
}

static int measure_once(struct bench *bench, struct measurement *m, struct phantom_diag *diag)
{
    uint64_t bare = 0;
    struct snap_report report;
    if (!bench->herd.hot) {
        herd_stop(&bench->herd, 0);
        choose_pages(bench);
        herd_resume(&bench->herd);
    }
    herd_dirty(&bench->herd);
    uint64_t copy = copy_pause(bench);
    int rc = bench->memory->ops->tracks ? bare_pause(bench, &bare) : 0;
    if (rc != 0) {
        return rc;
    }
    herd_dirty(&bench->herd); /* the bare scan has consumed them behind the engine's back */
    rc = snap_engine_snapshot(bench->engine, &report, diag);
    if (rc != 0) {
        return rc;
    }
    series_add(&m->bare, bare);
    series_add(&m->copy, copy);
    m->by_marks += report.by_marks;
    series_add(&m->pause, report.pause_ns);
    series_add(&m->stop_wait, report.stop_wait_ns);
    series_add(&m->total, report.total_ns);
    series_add(&m->bytes, report.generation.bytes_written);
    series_add(&m->live, report.pages_live);
    series_add(&m->stopped, report.pages_stopped);
    return 0;
}

static int measure_mode(struct bench *bench, struct measurement *m, bool hot,
                        struct phantom_diag *diag)
{
    m->heap_mib = bench->memory->page_count * PAGE >> 20;
    m->mode = hot ? "hot" : "once";
    m->method = bench->method->name;
    m->dirty_pages = bench->herd.pages;
    m->mutators = bench->herd.threads;
    choose_pages(bench);
    int rc = herd_start(bench, hot);
    /* One that does not count: buffers and slots are touched for the first time. */
    struct measurement warm = {0};
    if (rc == 0) {
        rc = measure_once(bench, &warm, diag);
    }
    measurement_finish(&warm);
    for (unsigned i = 0; rc == 0 && i < bench->settings->snapshots; i++) {
        rc = measure_once(bench, m, diag);
    }
    herd_join(&bench->herd);
    return rc;
}

static void prefill(struct bench *bench)
{
    uint64_t *word = (uint64_t *)(void *)bench->memory->base;
    uint64_t words = bench->memory->page_count * (PAGE / sizeof(uint64_t));
    uint64_t value = ph_rng_next(&bench->rng);
    for (uint64_t i = 0; i < words; i++) {
        value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        word[i] = value;
    }
}

static int open_store(struct bench *bench, struct phantom_diag *diag)
{
    char path[4096];
    struct snap_recovery recovery;
    snprintf(path, sizeof(path), "%s/bench-snapshot-%d.phantom", bench->settings->directory,
             (int)getpid());
    int rc = hal_file_open(path, HAL_FILE_CREATE, &bench->io, diag);
    if (rc != 0) {
        return rc;
    }
    struct snap_store_params params = {
        .heap_base = HEAP_BASE,
        .heap_size = bench->memory->page_count * PAGE,
        .uuid = {'b', 'e', 'n', 'c', 'h'},
    };
    rc = snap_store_create(bench->io, &params, diag);
    return rc != 0 ? rc : snap_store_open(bench->io, 0, &bench->store, &recovery, diag);
}

static int bench_open(struct bench *bench, uint64_t heap_mib, struct phantom_diag *diag)
{
    struct herd *herd = &bench->herd;
    int rc =
        hal_memory_reserve(HEAP_BASE, heap_mib << 20, bench->method->tracked, &bench->memory, diag);
    if (rc != 0) {
        return rc;
    }
    herd->memory = bench->memory;
    herd->threads = 1;
    herd->pages = 1000;
    bench->copy = ph_alloc_aligned(PAGE, 2 * DIRTY_MOST * PAGE);
    if (bench->copy == NULL) {
        return -ENOMEM;
    }
    memset(bench->copy, 1, 2 * DIRTY_MOST * PAGE);
    ph_rng_init(&bench->rng, ph_rng_seed_from_environment(1));
    prefill(bench);
    rc = open_store(bench, diag);
    if (rc != 0) {
        return rc;
    }
    struct snap_world world = {
        .context = herd, .stop = herd_stop, .resume = herd_resume, .heap_pages = herd_heap_pages};
    struct snap_engine_options options = {.strategy = bench->method->strategy,
                                          .all_stores_marked = bench->method->marked,
                                          .staging_pages = bench->settings->staging_pages};
    rc = snap_engine_open(bench->memory, bench->store, &world, &options, &bench->engine, diag);
    herd->marks = rc == 0 && bench->method->marked ? snap_engine_marks(bench->engine) : NULL;
    return rc;
}

static void bench_close(struct bench *bench)
{
    snap_engine_close(bench->engine);
    snap_store_close(bench->store);
    if (bench->io != NULL) {
        (void)unlink(bench->io->path);
        bench->io->ops->close(bench->io);
    }
    if (bench->memory != NULL) {
        bench->memory->ops->close(bench->memory);
    }
    ph_free(bench->copy);
    pthread_cond_destroy(&bench->herd.changed);
    pthread_mutex_destroy(&bench->herd.lock);
}

static int first_snapshot(struct bench *bench, struct first_snapshot *first,
                          struct phantom_diag *diag)
{
    struct snap_report report;
    choose_pages(bench);
    int rc = herd_start(bench, false);
    uint64_t cpu = clock_now(CLOCK_THREAD_CPUTIME_ID);
    if (rc == 0) {
        rc = snap_engine_snapshot(bench->engine, &report, diag);
    }
    herd_join(&bench->herd);
    if (rc == 0) {
        first->cpu_ns = clock_now(CLOCK_THREAD_CPUTIME_ID) - cpu;
        first->bytes = report.generation.bytes_written;
        first->total_ns = report.total_ns;
        first->pause_ns = report.pause_ns;
        first->mb_per_s = (double)first->bytes * 1000.0 / (double)first->total_ns;
    }
    return rc;
}

/* ---- fio ----------------------------------------------------------------------------------- */

extern char **environ;

/** Sequential direct write of `bytes` on the same file system; MB/s, 0 when fio is not there. */
static double fio_write(const char *directory, uint64_t bytes)
{
    char filename[4200], output[4200], output_arg[4300], filename_arg[4300], size_arg[64];
    snprintf(filename, sizeof(filename), "%s/bench-fio-%d.data", directory, (int)getpid());
    snprintf(output, sizeof(output), "%s/bench-fio-%d.json", directory, (int)getpid());
    snprintf(filename_arg, sizeof(filename_arg), "--filename=%s", filename);
    snprintf(output_arg, sizeof(output_arg), "--output=%s", output);
    snprintf(size_arg, sizeof(size_arg), "--size=%" PRIu64, bytes);
    char *arguments[] = {(char[]){"fio"},
                         (char[]){"--name=sequential"},
                         (char[]){"--rw=write"},
                         (char[]){"--direct=1"},
                         (char[]){"--bs=1M"},
                         (char[]){"--iodepth=4"},
                         (char[]){"--ioengine=io_uring"},
                         (char[]){"--end_fsync=1"},
                         (char[]){"--output-format=json"},
                         filename_arg,
                         size_arg,
                         output_arg,
                         NULL};
    pid_t child = 0;
    int status = 0;
    double mb_per_s = 0;
    if (posix_spawnp(&child, "fio", NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "fio did not run: no comparison of bandwidth\n");
    } else {
        json_t *root = json_load_file(output, 0, NULL);
        json_t *write = json_object_get(json_array_get(json_object_get(root, "jobs"), 0), "write");
        mb_per_s = json_number_value(json_object_get(write, "bw_bytes")) / 1e6;
        json_decref(root);
    }
    unlink(filename);
    unlink(output);
    return mb_per_s;
}

/* ---- report -------------------------------------------------------------------------------- */

static json_t *percentiles(struct series *series)
{
    return json_pack("{s:I, s:I, s:I}", "p50", (json_int_t)series_percentile(series, 50), "p99",
                     (json_int_t)series_percentile(series, 99), "max",
                     (json_int_t)series_percentile(series, 100));
}

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

static void print_head(void)
{
    printf("%8s %-11s %5s %5s %3s | %19s | %8s %8s | %5s %5s | %13s | %17s | %8s | %s\n",
           "heap MiB", "strategy", "mode", "pages", "thr", "pause us p50 / p99", "bare us",
           "copy us", "/bare", "/copy", "stop wait us", "total us p50/p99", "KiB/snap",
           "pages live+stopped");
}

static double over(uint64_t value, uint64_t base)
{
    return base != 0 ? (double)value / (double)base : 0;
}

static json_t *report_measurement(struct measurement *m)
{
    uint64_t pause = series_percentile(&m->pause, 50), bare = series_percentile(&m->bare, 50);
    uint64_t copy = series_percentile(&m->copy, 50);
    printf("%8" PRIu64 " %-11s %5s %5u %3u | %8.0f / %8.0f | %8.0f %8.0f | %5.2f %5.2f |"
           " %5.0f / %5.0f | %7.0f / %7.0f | %8.0f | %" PRIu64 "+%" PRIu64 "\n",
           m->heap_mib, m->method, m->mode, m->dirty_pages, m->mutators, us(pause),
           us(series_percentile(&m->pause, 99)), us(bare), us(copy), over(pause, bare),
           over(pause, copy), us(series_percentile(&m->stop_wait, 50)),
           us(series_percentile(&m->stop_wait, 99)), us(series_percentile(&m->total, 50)),
           us(series_percentile(&m->total, 99)), (double)series_percentile(&m->bytes, 50) / 1024.0,
           series_percentile(&m->live, 50), series_percentile(&m->stopped, 50));
    fflush(stdout);
    json_t *row =
        json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:f, s:f}", "heap_mib",
                  (json_int_t)m->heap_mib, "strategy", m->method, "mode", m->mode, "dirty_pages",
                  (json_int_t)m->dirty_pages, "mutators", (json_int_t)m->mutators, "snapshots",
                  (json_int_t)m->pause.count, "stops_by_marks", (json_int_t)m->by_marks, "pause_ns",
                  percentiles(&m->pause), "bare_scan_and_copy_ns", percentiles(&m->bare), "copy_ns",
                  percentiles(&m->copy), "pause_ratio_p50", over(pause, bare), "pause_to_copy_p50",
                  over(pause, copy));
    json_t *rest =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "stop_wait_ns", percentiles(&m->stop_wait),
                  "total_ns", percentiles(&m->total), "bytes_written", percentiles(&m->bytes),
                  "pages_live", percentiles(&m->live), "pages_stopped", percentiles(&m->stopped));
    json_object_update(row, rest);
    json_decref(rest);
    return row;
}

static json_t *report_first(uint64_t heap_mib, const struct method *method,
                            const struct first_snapshot *first)
{
    double ratio = first->fio_mb_per_s > 0 ? first->mb_per_s / first->fio_mb_per_s : 0;
    printf("%8" PRIu64
           " %s, first snapshot: %.0f MB in %.3f s (cpu %.3f s), %.0f MB/s, pause %.0f us; ",
           heap_mib, method->name, (double)first->bytes / 1e6, (double)first->total_ns / 1e9,
           (double)first->cpu_ns / 1e9, first->mb_per_s, us(first->pause_ns));
    if (first->fio_mb_per_s > 0) {
        printf("fio %.0f MB/s, ratio %.2f\n", first->fio_mb_per_s, ratio);
    } else {
        printf("fio was not run\n");
    }
    return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "heap_mib",
                     (json_int_t)heap_mib, "strategy", method->name, "bytes_written",
                     (json_int_t)first->bytes, "total_ns", (json_int_t)first->total_ns, "pause_ns",
                     (json_int_t)first->pause_ns, "cpu_ns", (json_int_t)first->cpu_ns, "mb_per_s",
                     first->mb_per_s, "fio_mb_per_s", first->fio_mb_per_s, "ratio", ratio);
}

/** All modes and numbers of pages and mutators on one open engine. */
static int measure_all(struct bench *bench, json_t *rows, struct phantom_diag *diag)
{
    const struct settings *settings = bench->settings;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < 8; i++) {
        unsigned pages = (i & 4) != 0 ? DIRTY_MOST : 1000, threads = (i & 2) != 0 ? 2 : 1;
        if ((settings->dirty_pages != 0 && (i & 4) != 0) ||
            (settings->threads != 0 && (i & 2) != 0)) {
            continue; /* asked for one number only */
        }
        struct measurement m = {0};
        bench->herd.pages = settings->dirty_pages != 0 ? settings->dirty_pages : pages;
        bench->herd.threads = settings->threads != 0 ? settings->threads : threads;
        rc = measure_mode(bench, &m, (i & 1) != 0, diag);
        if (rc == 0) {
            json_array_append_new(rows, report_measurement(&m));
        }
        measurement_finish(&m);
    }
    return rc;
}

/** Memory of a virtual machine that its host has not given yet takes microseconds a page when it is
 *  first touched. Who is measured first must not be the one who pays that. */
static void warm_memory(void)
{
    const size_t bytes = (size_t)256 << 20;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) {
        (void)madvise(memory, bytes, MADV_HUGEPAGE); /* as the staging area is */
        memset(memory, 1, bytes);
        munmap(memory, bytes);
    }
}

static int run_heap(const struct settings *settings, uint64_t heap_mib, const struct method *method,
                    double fio_mb_per_s, struct figures *figures)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct first_snapshot first = {.fio_mb_per_s = fio_mb_per_s};
    static struct bench bench;
    memset(&bench, 0, sizeof(bench));
    bench.settings = settings;
    bench.method = method;
    pthread_mutex_init(&bench.herd.lock, NULL);
    pthread_cond_init(&bench.herd.changed, NULL);
    settle_on(ON_FIRST_CPU);
    int rc = bench_open(&bench, heap_mib, &diag);
    if (rc == 0) {
        warm_memory();
        rc = first_snapshot(&bench, &first, &diag);
    }
    if (rc == 0) {
        json_array_append_new(figures->firsts, report_first(heap_mib, method, &first));
        print_head();
        rc = measure_all(&bench, figures->rows, &diag);
    }
    if (rc == 0 && !method->tracked) { /* once for each size; a fork spoils what comes after it */
        uint64_t fork_ns = fork_pause(&bench);
        printf("%8" PRIu64 " fork() of a process with this heap: %.0f us\n", heap_mib, us(fork_ns));
        json_array_append_new(figures->forks,
                              json_pack("{s:I, s:I}", "heap_mib", (json_int_t)heap_mib, "fork_ns",
                                        (json_int_t)fork_ns));
    }
    bench_close(&bench);
    if (rc != 0) {
        fprintf(stderr, "%" PRIu64 " MiB: %s: %s\n", heap_mib, phantom_err_name(rc), diag.text);
    }
    fflush(stdout);
    return rc;
}

static int run_size(const struct settings *settings, uint64_t heap_mib, struct figures *figures)
{
    uint64_t fio_bytes = heap_mib << 20 < FIO_BYTES_MOST ? heap_mib << 20 : FIO_BYTES_MOST;
    settle_on(ON_ANY_CPU);
    double fio = settings->fio ? fio_write(settings->directory, fio_bytes) : 0;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (settings->method == NULL || strcmp(settings->method, methods[i].name) == 0) {
            rc = run_heap(settings, heap_mib, &methods[i], fio, figures);
        }
    }
    return rc;
}

static int write_json(const struct settings *settings, const struct figures *figures)
{
    struct utsname host;
    uname(&host);
    host.release[strcspn(host.release, "-")] = '\0'; /* the version, not whose build it is */
    double load = 0; /* of the machine while this ran; above the CPUs, others had their part */
    (void)getloadavg(&load, 1);
    json_t *root = json_pack("{s:s, s:s, s:f, s:I, s:O, s:O, s:O}", "bench", "snapshot", "kernel",
                             host.release, "load_average", load, "cpus",
                             (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "first_snapshot",
                             figures->firsts, "snapshots", figures->rows, "forks", figures->forks);
    if (root == NULL) {
        return -ENOMEM;
    }
    int rc = json_dump_file(root, settings->json_path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc != 0) {
        fprintf(stderr, "%s: cannot be written\n", settings->json_path);
    }
    return rc;
}

static void usage(void)
{
    puts("usage: bench_snapshot [--quick] [--heap MIB]... [--snapshots N] [--threads N] [--pages "
         "N]\n"
         "                      [--strategy NAME] [--staging PAGES] [--dir DIR] [--json FILE]\n"
         "                      [--no-fio]\n"
         "  --quick          64 MiB, 1000 pages, 1 mutator, 5 snapshots, no fio\n"
         "  --heap MIB       size of a heap; may be given again (default 64, 1024, 4096, 8192)\n"
         "  --threads N      mutators (default 1, then 2)\n"
         "  --pages N        dirty pages, at most 10000 (default 1000, then 10000)\n"
         "  --strategy NAME  async, async+marks or cards (default all)\n"
         "  --dir DIR        where the temporary store goes (default .)");
}

static int parse(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {{"quick", no_argument, NULL, 'q'},
                                            {"heap", required_argument, NULL, 'h'},
                                            {"snapshots", required_argument, NULL, 'n'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"pages", required_argument, NULL, 'p'},
                                            {"strategy", required_argument, NULL, 'm'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"staging", required_argument, NULL, 's'},
                                            {"no-fio", no_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, '?'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned long number = optarg != NULL ? strtoul(optarg, NULL, 10) : 0;
        switch (c) {
        case 'q':
            settings->heap_mib[settings->sizes++ % SIZES_MOST] = 64;
            settings->snapshots = 5;
            settings->dirty_pages = 1000;
            settings->threads = 1;
            settings->fio = false;
            break;
        case 'h': settings->heap_mib[settings->sizes++ % SIZES_MOST] = number; break;
        case 'n': settings->snapshots = (unsigned)number; break;
        case 't': settings->threads = (unsigned)number; break;
        case 'p': settings->dirty_pages = (unsigned)number; break;
        case 'm': settings->method = optarg; break;
        case 'd': settings->directory = optarg; break;
        case 'j': settings->json_path = optarg; break;
        case 's': settings->staging_pages = (unsigned)number; break;
        case 'f': settings->fio = false; break;
        default: usage(); return -1;
        }
    }
    if (settings->sizes == 0) {
        settings->heap_mib[0] = 64;
        settings->heap_mib[1] = 1024;
        settings->heap_mib[2] = 4096;
        settings->heap_mib[3] = 8192;
        settings->sizes = 4;
    }
    bool good = settings->sizes <= SIZES_MOST && settings->dirty_pages <= DIRTY_MOST &&
                settings->threads <= THREADS_MOST && settings->snapshots >= 1 &&
                settings->snapshots <= SNAPSHOTS_MOST;
    for (unsigned i = 0; good && i < settings->sizes; i++) {
        good = settings->heap_mib[i] >= 4 && settings->heap_mib[i] <= 65536;
    }
    if (!good) {
        usage();
    }
    return good ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct settings settings = {.directory = ".", .snapshots = 25, .fio = true};
    if (parse(argc, argv, &settings) != 0) {
        return 2;
    }
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (!probe.userfaultfd || !probe.wp_async || !probe.pagemap_scan) {
        printf("SKIP: this kernel (%s) does not track written pages for us\n", probe.kernel);
        return 77;
    }
    struct figures figures = {json_array(), json_array(), json_array()};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < settings.sizes; i++) {
        rc = run_size(&settings, settings.heap_mib[i], &figures);
    }
    if (rc == 0 && settings.json_path != NULL) {
        rc = write_json(&settings, &figures);
    }
    json_decref(figures.firsts);
    json_decref(figures.rows);
    json_decref(figures.forks);
    return rc == 0 ? 0 : 1;
}
