/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_pvm_pause.c - how long the threads of a running Phantom program stand still for a snapshot.
 *
 * The world is pvm_pause.ph: four VM threads that never stop changing a graph of 16 MiB, 256 MiB or
 * 1 GiB. Three kinds of stops take turns, so that whatever else the machine does hits all alike:
 *   snapshot  phantom_snapshot();
 *   bare      the same workers are parked and resumed, nothing else: the wake-up cost;
 *   busy      likewise, and the thread that stopped them then computes as long as the last snapshot
 *             went on behind its stop: the wake-up cost with as many threads on the processors.
 *
 * Two witnesses:
 *   pause     the engine's own report: from all parked to resume;
 *   gap       what the workers see: each VM thread says a dot after every change, on the worker
 * that runs it. From the last dot before a stop to the first one after it, the longest of all
 *             workers. It holds parking and waking up as well.
 * The two are compared for every stop: a pause longer than the time between the machine's stop and
 * resume (they are wrapped by the linker), or than a gap around it, is an error of the bench.
 *
 * A collection stops the world, too; stops with one beside them are counted and left out.
 *
 * Threads: main stops and resumes; the workers write their struct witness; `stops.last` is written
 * by main while all workers are parked. The rest is read when the run is over.
 */
#include "ph_rng.h"
#include "world_internal.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZES_MOST = 8,
    SNAPSHOTS_MOST = 1000,
    WORKERS_MOST = 8,
    VM_THREADS = 4,
    STEPS = 3, /* stops in each period */
    STOPS_MOST = STEPS * (SNAPSHOTS_MOST + 2),
    BUSY_MOST_NS = 3000000,
    STOP_TIMEOUT_MS = 1000
};

enum kind { SNAPSHOT, BARE, BUSY, KINDS };

struct settings {
    const char *directory, *classes, *json_path, *strategy;
    unsigned heap_mib[SIZES_MOST];
    unsigned sizes, snapshots, slow_snapshots;
    bool quick;
};

/** One stop, as the machine's entries saw it. `number` of them: index 0 is not used. */
struct stop {
    enum kind kind;
    bool counts; /* not of the warming up */
    uint64_t requested_ns, parked_ns, resumed_ns;
    uint64_t collections;  /* when it was requested */
    uint64_t pause_ns;     /* the engine's; 0 for the bare ones */
    uint64_t cpu_ns;       /* of the stopping thread, from parked to resume */
    bool preempted, slept; /* it lost its processor in between; it gave it away */
};

/** What a worker saw; written by it alone. */
struct witness {
    uint64_t last_ns;
    unsigned seen; /* the last stop it has passed */
    uint64_t gap_ns[STOPS_MOST], wake_ns[STOPS_MOST];
};

static struct {
    struct stop stop[STOPS_MOST];
    unsigned begun;
    atomic_uint last; /* the last one that was resumed */
    enum kind kind;   /* of the next */
    bool counts;
    struct rusage usage; /* of the stopping thread, when all were parked */
    struct witness witness[WORKERS_MOST];
    atomic_uint witnesses;
    atomic_bool ready;
} stops;

static _Thread_local struct witness *own_witness;

struct series {
    uint64_t value[SNAPSHOTS_MOST];
    unsigned count;
};

struct row {
    unsigned heap_mib, workers, rate, asked, taken, refused, stops_refused, beside_collection,
        unseen;
    const char *strategy;
    unsigned preempted, slept;
    uint64_t lasted_ns, pages, collections, collection_most_ns;
    struct series pause, pause_cpu, wait[KINDS], gap[KINDS], wake[KINDS];
};

struct run {
    struct phantom_world *world;
    pthread_t thread;
    int result;
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

static void sleep_until(uint64_t ns)
{
    struct timespec at = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

/* ---- series -------------------------------------------------------------------------------- */

static void series_add(struct series *series, uint64_t value)
{
    if (series->count < SNAPSHOTS_MOST) {
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

/* ---- the two witnesses ---------------------------------------------------------------------- */

/* The linker sends the calls of the room runtime here (--wrap). */
int __real_pvm_stop_world(struct pvm *pvm, int timeout_ms);
void __real_pvm_resume_world(struct pvm *pvm);
int __wrap_pvm_stop_world(struct pvm *pvm, int timeout_ms);
void __wrap_pvm_resume_world(struct pvm *pvm);

int __wrap_pvm_stop_world(struct pvm *pvm, int timeout_ms)
{
    struct pvm_stats stats;
    pvm_stats(pvm, &stats);
    struct stop stop = {.kind = stops.kind,
                        .counts = stops.counts,
                        .collections = stats.collections,
                        .requested_ns = now_ns()};
    int rc = __real_pvm_stop_world(pvm, timeout_ms);
    if (rc == 0 && stops.begun + 1 < STOPS_MOST) {
        stops.stop[++stops.begun] = stop;
        stops.stop[stops.begun].parked_ns = now_ns();
        (void)getrusage(RUSAGE_THREAD, &stops.usage);
        stops.stop[stops.begun].cpu_ns = clock_now(CLOCK_THREAD_CPUTIME_ID);
    }
    return rc;
}

void __wrap_pvm_resume_world(struct pvm *pvm)
{
    struct stop *stop = &stops.stop[stops.begun];
    struct rusage usage;
    stop->cpu_ns = clock_now(CLOCK_THREAD_CPUTIME_ID) - stop->cpu_ns;
    (void)getrusage(RUSAGE_THREAD, &usage);
    stop->preempted = usage.ru_nivcsw != stops.usage.ru_nivcsw;
    stop->slept = usage.ru_nvcsw != stops.usage.ru_nvcsw;
    stop->resumed_ns = now_ns();
    atomic_store(&stops.last, stops.begun); /* all are parked: nobody sees it before it runs */
    __real_pvm_resume_world(pvm);
}

/** A VM thread says something: the worker that runs it, runs. */
static void on_console(void *context, const char *bytes, size_t size)
{
    (void)context;
    uint64_t now = now_ns();
    if (size > 1 && bytes[0] == 'r') {
        atomic_store(&stops.ready, true);
    }
    struct witness *witness = own_witness;
    unsigned last = atomic_load(&stops.last);
    if (witness == NULL) {
        unsigned number = atomic_fetch_add(&stops.witnesses, 1);
        if (number >= WORKERS_MOST) {
            return;
        }
        witness = own_witness = &stops.witness[number];
    } else if (last != witness->seen) {
        witness->gap_ns[last] = now - witness->last_ns;
        witness->wake_ns[last] = now - stops.stop[last].resumed_ns;
    }
    witness->seen = last;
    witness->last_ns = now_ns();
}

static void on_message(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static void forget_stops(void)
{
    memset(stops.stop, 0, sizeof(stops.stop));
    memset(stops.witness, 0, sizeof(stops.witness));
    stops.begun = 0;
    atomic_store(&stops.last, 0);
    atomic_store(&stops.witnesses, 0);
    stops.kind = SNAPSHOT;
    stops.counts = false;
}

/** The longest gap and the longest time to wake up of one stop; false: nobody has seen it. */
static bool seen_by_workers(unsigned number, uint64_t *gap_ns, uint64_t *wake_ns)
{
    *gap_ns = *wake_ns = 0;
    for (unsigned i = 0; i < WORKERS_MOST; i++) {
        const struct witness *witness = &stops.witness[i];
        *gap_ns = witness->gap_ns[number] > *gap_ns ? witness->gap_ns[number] : *gap_ns;
        *wake_ns = witness->wake_ns[number] > *wake_ns ? witness->wake_ns[number] : *wake_ns;
    }
    return *gap_ns != 0;
}

/** Every stop into its series. The run is over. */
static int evaluate(struct row *row)
{
    for (unsigned i = 1; i < stops.begun; i++) { /* the last one has no successor: left out */
        const struct stop *stop = &stops.stop[i];
        uint64_t gap, wake, between = stop->resumed_ns - stop->parked_ns;
        if (!stop->counts) {
            continue;
        }
        bool seen = seen_by_workers(i, &gap, &wake);
        if (stop->pause_ns > between || (seen && gap < between)) {
            fprintf(stderr,
                    "stop %u: the engine says %" PRIu64 " ns, the machine was stopped for %" PRIu64
                    " ns, its threads saw %" PRIu64 " ns\n",
                    i, stop->pause_ns, between, gap);
            return PHANTOM_EINVALID;
        }
        if (stop->kind == SNAPSHOT) {
            series_add(&row->pause, stop->pause_ns);
            series_add(&row->pause_cpu, stop->cpu_ns);
            row->preempted += stop->preempted;
            row->slept += stop->slept;
        }
        if (stops.stop[i + 1].collections != stop->collections) {
            row->beside_collection++;
        } else if (!seen) {
            row->unseen++; /* no worker said anything between this stop and the next one */
        } else {
            series_add(&row->wait[stop->kind], stop->parked_ns - stop->requested_ns);
            series_add(&row->gap[stop->kind], gap);
            series_add(&row->wake[stop->kind], wake);
        }
    }
    return 0;
}

/* ---- one world ------------------------------------------------------------------------------ */

static void *run_world(void *argument)
{
    struct run *run = argument;
    run->result = phantom_run(run->world);
    return NULL;
}

static int start(const struct settings *settings, const char *path, unsigned heap_mib,
                 const char *strategy, unsigned workers, struct run *run)
{
    char mib[40], threads[40];
    (void)snprintf(mib, sizeof(mib), "pause.mib=%u", heap_mib);
    (void)snprintf(threads, sizeof(threads), "pause.threads=%d", VM_THREADS);
    struct phantom_options options;
    phantom_options_init(&options);
    options.boot_class = ".bench.pvm_pause";
    options.class_paths = (const char *const[]){settings->classes, NULL};
    options.environment = (const char *const[]){mib, threads, NULL};
    options.strategy = strategy;
    options.workers = workers;
    options.interval_ms = PHANTOM_NO_INTERVAL;
    options.eager = true;
    options.console = on_console;
    options.message = on_message;
    options.thread_failed = on_message;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_open(path, &options, &run->world, &diag);
    if (rc != 0) {
        fprintf(stderr, "%s, %s: %s\n", path, strategy, diag.text);
        return rc;
    }
    forget_stops();
    rc = -pthread_create(&run->thread, NULL, run_world, run);
    if (rc != 0) {
        phantom_abandon(run->world);
    }
    return rc;
}

/** Stop it; what the run returned, where that is not the stop. */
static int halt(struct run *run)
{
    phantom_stop(run->world);
    (void)pthread_join(run->thread, NULL);
    if (run->result != PHANTOM_ESTOPPED) {
        fprintf(stderr, "the world ended: %s\n", phantom_message(run->world));
        return run->result < 0 ? run->result : PHANTOM_EPROGRAM;
    }
    return 0;
}

/** Birth, and the graph is made. */
static int make_world(const struct settings *settings, const char *path, unsigned heap_mib)
{
    struct run run = {0};
    atomic_store(&stops.ready, false);
    int rc = start(settings, path, heap_mib, "full", 2, &run);
    if (rc != 0) {
        return rc;
    }
    uint64_t patience = now_ns() + UINT64_C(120000000000);
    while (!atomic_load(&stops.ready) && now_ns() < patience) {
        sleep_until(now_ns() + 1000000);
    }
    rc = halt(&run);
    int closed = phantom_close(run.world);
    if (rc == 0 && !atomic_load(&stops.ready)) {
        fprintf(stderr, "%s: the graph was not made in two minutes\n", path);
        rc = PHANTOM_ETIMEOUT;
    }
    return rc != 0 ? rc : closed;
}

/** Compute: the sum keeps the loop from being thrown away. */
static void be_busy(uint64_t ns)
{
    static _Atomic uint64_t sink;
    struct ph_rng rng;
    ph_rng_init(&rng, ns);
    for (uint64_t end = now_ns() + (ns < BUSY_MOST_NS ? ns : BUSY_MOST_NS); now_ns() < end;) {
        atomic_fetch_add(&sink, ph_rng_below(&rng, 1000));
    }
}

/** One stop of this kind. What a snapshot did behind its stop is what the busy one does. */
static int stop_once(struct phantom_world *world, enum kind kind, struct row *row,
                     uint64_t *behind_ns)
{
    stops.kind = kind;
    if (kind != SNAPSHOT) {
        int rc = __wrap_pvm_stop_world(world->pvm, STOP_TIMEOUT_MS);
        if (rc == 0) {
            __wrap_pvm_resume_world(world->pvm);
            be_busy(kind == BUSY ? *behind_ns : 0);
        }
        row->stops_refused += rc != 0;
        return rc == PHANTOM_ETIMEOUT ? 0 : rc;
    }
    struct phantom_generation generation;
    unsigned before = stops.begun;
    int rc = phantom_snapshot(world, &generation);
    if (rc == 0 && stops.begun == before + 1) {
        stops.stop[stops.begun].pause_ns = generation.pause_ns;
        *behind_ns = now_ns() - stops.stop[stops.begun].resumed_ns;
        row->taken += stops.counts;
        row->pages += stops.counts ? generation.pages_written : 0;
    } else if (rc == PHANTOM_ETIMEOUT) {
        row->refused += stops.counts;
        return 0;
    }
    return rc;
}

static int take_turns(struct phantom_world *world, struct row *row)
{
    uint64_t step = UINT64_C(1000000000) / row->rate / STEPS, behind_ns = 0;
    uint64_t patience = row->asked * step * STEPS * 4 / 3 + UINT64_C(300000000);
    int rc = stop_once(world, SNAPSHOT, row, &behind_ns); /* the first one writes everything */
    stops.counts = true;
    uint64_t begin = now_ns(), next = begin;
    for (unsigned i = 0; rc == 0 && i < row->asked * STEPS; i++) {
        rc = stop_once(world, (enum kind)(i % STEPS), row, &behind_ns);
        next += step;
        uint64_t now = now_ns();
        if (now - begin > patience && i % STEPS == STEPS - 1 && i > STEPS * 10) {
            break; /* it cannot keep up: fewer snapshots */
        }
        next = next > now ? next : now + 200000; /* time for those who were stopped */
        sleep_until(next);
    }
    row->lasted_ns = now_ns() - begin;
    stops.counts = false;
    stops.kind = BARE;
    if (rc == 0) { /* the successor of the last one */
        rc = stop_once(world, BARE, row, &behind_ns);
    }
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", phantom_err_name(rc), phantom_message(world));
    }
    return rc;
}

static int measure(const struct settings *settings, const char *path, struct row *row)
{
    struct run run = {0};
    int rc = start(settings, path, row->heap_mib, row->strategy, row->workers, &run);
    if (rc != 0) {
        return rc;
    }
    uint64_t patience = now_ns() + UINT64_C(60000000000);
    while (atomic_load(&stops.witnesses) < row->workers && now_ns() < patience) {
        sleep_until(now_ns() + 1000000);
    }
    rc = take_turns(run.world, row);
    struct pvm_stats stats;
    pvm_stats(run.world->pvm, &stats);
    row->collections = stats.collections;
    row->collection_most_ns = stats.gc_ns_max;
    int ended = halt(&run);
    phantom_abandon(run.world);
    rc = rc != 0 ? rc : ended;
    return rc != 0 ? rc : evaluate(row);
}

/* ---- report -------------------------------------------------------------------------------- */

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

static void print_head(void)
{
    printf("%5s %-6s %3s %4s %5s | %24s | %24s | %24s | %24s | %24s | %15s | %7s | %s\n", "MiB",
           "strat.", "wrk", "/s", "taken", "pause us p50/p99/max", "on the processor",
           "gap us p50/p99/max", "bare gap us p50/p99/max", "busy gap us p50/p99/max",
           "wait us s/b p50", "pre/slp", "pages");
}

static void print_series(struct series *series, const char *end)
{
    printf(" %7.1f %7.1f %8.1f %s", us(series_percentile(series, 50)),
           us(series_percentile(series, 99)), us(series_percentile(series, 100)), end);
}

static void print_row(struct row *row)
{
    printf("%5u %-6s %3u %4u %5u |", row->heap_mib, row->strategy, row->workers, row->rate,
           row->taken);
    print_series(&row->pause, "|");
    print_series(&row->pause_cpu, "|");
    print_series(&row->gap[SNAPSHOT], "|");
    print_series(&row->gap[BARE], "|");
    print_series(&row->gap[BUSY], "|");
    printf(" %7.1f %7.1f | %3u %3u | %" PRIu64 "\n",
           us(series_percentile(&row->wait[SNAPSHOT], 50)),
           us(series_percentile(&row->wait[BARE], 50)), row->preempted, row->slept,
           row->pages / (row->taken ? row->taken : 1));
    fflush(stdout);
}

static json_t *percentiles(struct series *series)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)series->count, "p50",
                     (json_int_t)series_percentile(series, 50), "p99",
                     (json_int_t)series_percentile(series, 99), "max",
                     (json_int_t)series_percentile(series, 100));
}

static json_t *json_of_row(struct row *row)
{
    static const char *const kinds[KINDS] = {"snapshot", "bare", "busy"};
    json_t *json = json_pack(
        "{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:o}", "live_mib",
        (json_int_t)row->heap_mib, "strategy", row->strategy, "workers", (json_int_t)row->workers,
        "snapshots_per_s", (json_int_t)row->rate, "snapshots_asked", (json_int_t)row->asked,
        "snapshots", (json_int_t)row->taken, "refused", (json_int_t)row->refused,
        "snapshots_per_s_reached", (double)row->taken * 1e9 / (double)row->lasted_ns,
        "stops_beside_collections", (json_int_t)row->beside_collection, "stops_unseen",
        (json_int_t)row->unseen, "collections", (json_int_t)row->collections, "collection_most_ns",
        (json_int_t)row->collection_most_ns, "pages_written",
        (double)row->pages / (row->taken ? row->taken : 1), "pause_ns", percentiles(&row->pause));
    json_object_set_new(json, "pause_cpu_ns", percentiles(&row->pause_cpu));
    json_object_set_new(json, "stops_refused", json_integer(row->stops_refused));
    json_object_set_new(json, "pauses_preempted", json_integer(row->preempted));
    json_object_set_new(json, "pauses_slept", json_integer(row->slept));
    for (int kind = 0; kind < KINDS; kind++) {
        json_object_set_new(
            json, kinds[kind],
            json_pack("{s:o, s:o, s:o}", "stop_wait_ns", percentiles(&row->wait[kind]), "gap_ns",
                      percentiles(&row->gap[kind]), "wake_ns", percentiles(&row->wake[kind])));
    }
    return json;
}

static int write_json(const struct settings *settings, json_t *rows)
{
    struct utsname host;
    uname(&host);
    host.release[strcspn(host.release, "-")] = '\0'; /* the version, not whose build it is */
    double load = 0; /* of the machine while this ran; above the CPUs, others had their part */
    (void)getloadavg(&load, 1);
    json_t *root =
        json_pack("{s:s, s:s, s:f, s:I, s:I, s:O}", "bench", "pvm_pause", "kernel", host.release,
                  "load_average", load, "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
                  "vm_threads", (json_int_t)VM_THREADS, "rows", rows);
    int rc = root == NULL ? -1
                          : json_dump_file(root, settings->json_path,
                                           JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc != 0) {
        fprintf(stderr, "%s: cannot be written\n", settings->json_path);
    }
    return rc;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int run_row(const struct settings *settings, const char *path, struct row *row, json_t *rows)
{
    int rc = measure(settings, path, row);
    if (rc == PHANTOM_EUNSUPPORTED) {
        return 0; /* not on this machine; the reason was printed */
    }
    if (rc == 0) {
        print_row(row);
        json_array_append_new(rows, json_of_row(row));
    }
    return rc;
}

static int run_size(const struct settings *settings, unsigned heap_mib, json_t *rows)
{
    static const char *const strategies[] = {"epoch", "cards", "async", "fork"};
    static struct row row;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/pvm-pause-%ld.phantom", settings->directory,
                   (long)getpid());
    int rc = make_world(settings, path, heap_mib);
    for (unsigned i = 0; rc == 0 && i < 4 * 3; i++) {
        unsigned rate = i % 3 == 2 ? 10 : 100, workers = i % 3 == 0 ? 1 : 2;
        bool wanted =
            settings->strategy == NULL || strcmp(settings->strategy, strategies[i / 3]) == 0;
        unsigned snapshots = rate == 10 ? settings->slow_snapshots : settings->snapshots;
        if (!wanted || snapshots == 0 ||
            (i % 3 != 1 && i / 3 != 0 && (rate == 10 || settings->quick))) {
            continue; /* ten a second: only the strategy that has the goal */
        }
        memset(&row, 0, sizeof(row));
        row.heap_mib = heap_mib;
        row.strategy = strategies[i / 3];
        row.workers = workers;
        row.rate = rate;
        row.asked = snapshots;
        rc = run_row(settings, path, &row, rows);
    }
    (void)unlink(path);
    return rc;
}

static int parse(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"classes", required_argument, NULL, 'c'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"live", required_argument, NULL, 'l'},
                                            {"snapshots", required_argument, NULL, 'n'},
                                            {"slow-snapshots", required_argument, NULL, 's'},
                                            {"strategy", required_argument, NULL, 'm'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {NULL, 0, NULL, 0}};
    bool good = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned number = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        switch (c) {
        case 'd': settings->directory = optarg; break;
        case 'c': settings->classes = optarg; break;
        case 'j': settings->json_path = optarg; break;
        case 'l': settings->heap_mib[settings->sizes++ % SIZES_MOST] = number; break;
        case 'n': settings->snapshots = number; break;
        case 's': settings->slow_snapshots = number; break;
        case 'm': settings->strategy = optarg; break;
        case 'q':
            settings->quick = true;
            settings->heap_mib[settings->sizes++ % SIZES_MOST] = 2;
            settings->snapshots = 5;
            settings->slow_snapshots = 0;
            break;
        default: good = false;
        }
    }
    if (settings->sizes == 0) {
        static const unsigned sizes[] = {16, 256, 1024};
        memcpy(settings->heap_mib, sizes, sizeof(sizes));
        settings->sizes = 3;
    }
    good = good && settings->classes != NULL && settings->sizes <= SIZES_MOST &&
           settings->snapshots <= SNAPSHOTS_MOST && settings->slow_snapshots <= SNAPSHOTS_MOST;
    for (unsigned i = 0; good && i < settings->sizes; i++) {
        good = settings->heap_mib[i] >= 1 && settings->heap_mib[i] <= 8192;
    }
    if (!good) {
        fputs(
            "usage: bench_pvm_pause --classes DIR [--dir DIR] [--json FILE] [--quick]\n"
            "                       [--live MIB]... [--snapshots N] [--slow-snapshots N]\n"
            "                       [--strategy NAME]\n"
            "  --live            MiB in the graph, 1 to 8192 (default 16, 256, 1024)\n"
            "  --snapshots       at 100 a second (default 300); --slow-snapshots: epoch, at 10 a\n"
            "                    second (default 150); at most 1000, 0: no such rows\n"
            "  --quick           2 MiB, 5 snapshots at 100 a second\n",
            stderr);
    }
    return good ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct settings settings = {.directory = ".", .snapshots = 300, .slow_snapshots = 150};
    if (parse(argc, argv, &settings) != 0) {
        return 2;
    }
    print_head();
    json_t *rows = json_array();
    int rc = rows != NULL ? 0 : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < settings.sizes; i++) {
        rc = run_size(&settings, settings.heap_mib[i], rows);
    }
    if (rc == 0 && settings.json_path != NULL) {
        rc = write_json(&settings, rows);
    }
    json_decref(rows);
    return rc == 0 ? 0 : 1;
}
