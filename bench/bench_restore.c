/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_restore.c - how soon a heap can be used again: 1, 4 and 16 GiB, at most --live MiB of it
 * data, spread evenly (the rest are holes).
 *
 * One store per size, opened again and again, each time as after a restart: lazily without and with
 * the working set of the opening before, and eagerly; beside them, in the same run, the same bytes
 * in a flat file, mapped privately with its pages out of the page cache. Each life either touches
 * its working set (4000 pages in random order) as fast as it can, or serves requests, one every
 * millisecond for a second, each of which touches 8 pages of that set. Others change a page as soon
 * as the store is open and snapshot: how long that takes, how long what it did not wait for
 * (accounting) and a second such commit when that is done.
 *
 * The store is read past the page cache, the mapped file is evicted from it before each life. All
 * files are in --dir, without names from the moment they are open as far as possible.
 */
#include "hal_posix.h"
#include "ph_rng.h"
#include "snap_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = SNAP_PAGE_SIZE,
    WORKING_PAGES = 4000,
    REQUESTS = 1000,
    REQUEST_PAGES = 8,
    SIZES_MOST = 8,
    FIRST_TRIES = 5 /* openings for the median of the time to the first page */
};

/* Free with and without the address and thread sanitizers. */
static const uint64_t HEAP_BASE = UINT64_C(0x7e8000000000);

struct settings {
    const char *directory;
    const char *json_path;
    uint64_t heap_mib[SIZES_MOST];
    unsigned sizes;
    uint64_t live_mib;
};

enum source { LAZY, EAGER, MAPPED };
enum work { FIRST_PAGE, FIRST_COMMIT, ALL_AT_ONCE, PACED };

/** What one life showed; nanoseconds. */
struct life {
    uint64_t store_ns, engine_ns; /* opening the store, then the engine (or the mapping) */
    uint64_t first_ns;            /* from the beginning to the first byte of data */
    uint64_t work_ns;             /* likewise until the whole working set was touched */
    uint64_t fault_p50, fault_p99, faults;
    uint64_t request_p50, request_p99;
    uint64_t complete_ns; /* lazy: until everything was loaded */
    /* Commits of one page: the first, when accounting is done, and that itself. */
    uint64_t commit_ns, second_ns, account_ns;
};

struct bench {
    const struct settings *settings;
    char store_path[512], flat_path[512];
    uint64_t pages, live, stride; /* page i * stride has data, i < live */
    uint64_t working[WORKING_PAGES];
    struct snap_memory *memory;
    struct snap_io *io;
    struct snap_store *store;
    struct snap_engine *engine;
    const uint8_t *base;
    volatile uint64_t sink;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t percentile(uint64_t *value, unsigned count, unsigned percent)
{
    if (count == 0) {
        return 0;
    }
    qsort(value, count, sizeof(*value), by_value);
    unsigned rank = (count * percent + 99) / 100;
    return value[rank > 0 ? rank - 1 : 0];
}

/* ---- a world that nobody writes into ------------------------------------------------------- */

static int world_stop(void *context, int timeout_ms)
{
    (void)context;
    (void)timeout_ms;
    return 0;
}

static void world_resume(void *context)
{
    (void)context;
}

static uint64_t world_pages(void *context)
{
    return ((struct bench *)context)->pages;
}

static int open_reader(void *context, struct snap_io **out, struct phantom_diag *diag)
{
    return hal_file_open(((struct bench *)context)->store_path, HAL_FILE_READ_ONLY, out, diag);
}

static int open_engine(struct bench *bench, enum snap_restore_mode mode, struct phantom_diag *diag)
{
    const struct snap_world world = {
        .context = bench, .stop = world_stop, .resume = world_resume, .heap_pages = world_pages};
    const struct snap_engine_options options = {
        .strategy = "async", .restore = mode, .open_reader = open_reader, .reader_context = bench};
    return snap_engine_open(bench->memory, bench->store, &world, &options, &bench->engine, diag);
}

static void close_world(struct bench *bench)
{
    snap_engine_close(bench->engine);
    bench->engine = NULL;
    if (bench->memory != NULL) {
        bench->memory->ops->close(bench->memory);
        bench->memory = NULL;
    }
    snap_store_close(bench->store);
    bench->store = NULL;
    if (bench->io != NULL) {
        bench->io->ops->close(bench->io);
        bench->io = NULL;
    }
}

static void page_content(uint64_t page, uint64_t *words)
{
    struct ph_rng rng;
    ph_rng_init(&rng, page);
    for (unsigned i = 0; i < PAGE / 8; i++) {
        words[i] = ph_rng_next(&rng) | 1;
    }
}

/** The store with one generation, and the flat file with the same bytes. */
static int prepare(struct bench *bench, struct phantom_diag *diag)
{
    const struct snap_store_params params = {
        .heap_base = HEAP_BASE, .heap_size = bench->pages * PAGE, .uuid = {1, 2, 3}};
    int rc =
        hal_memory_reserve(HEAP_BASE, bench->pages * PAGE, HAL_TRACK_ASYNC, &bench->memory, diag);
    rc = rc != 0 ? rc : hal_file_open(bench->store_path, HAL_FILE_CREATE, &bench->io, diag);
    rc = rc != 0 ? rc : snap_store_create(bench->io, &params, diag);
    rc = rc != 0 ? rc : snap_store_open(bench->io, 0, &bench->store, NULL, diag);
    rc = rc != 0 ? rc : open_engine(bench, SNAP_RESTORE_EAGER, diag);
    int flat = rc == 0 ? open(bench->flat_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (rc == 0 && (flat < 0 || ftruncate(flat, (off_t)(bench->pages * PAGE)) != 0)) {
        rc = -errno;
    }
    static _Alignas(PAGE) uint64_t words[PAGE / 8];
    for (uint64_t i = 0; rc == 0 && i < bench->live; i++) {
        uint64_t page = i * bench->stride;
        page_content(page, words);
        memcpy(bench->memory->base + page * PAGE, words, PAGE);
        if (pwrite(flat, words, PAGE, (off_t)(page * PAGE)) != PAGE) {
            rc = -EIO;
        }
    }
    rc = rc != 0 ? rc : snap_engine_snapshot(bench->engine, NULL, diag);
    if (rc == 0 && fdatasync(flat) != 0) {
        rc = -errno;
    }
    if (flat >= 0) {
        close(flat);
    }
    close_world(bench);
    return rc;
}

/* ---- lives --------------------------------------------------------------------------------- */

static uint64_t touch(struct bench *bench, uint64_t page)
{
    uint64_t start = now_ns();
    bench->sink += *(const volatile uint64_t *)(const void *)(bench->base + page * PAGE + 8);
    return now_ns() - start;
}

static uint64_t demanded(struct bench *bench)
{
    struct snap_restore_progress progress;
    if (bench->engine == NULL) {
        return 0;
    }
    snap_engine_restore_progress(bench->engine, &progress);
    return progress.pages_demanded;
}

static void work_at_once(struct bench *bench, enum source source, uint64_t start, struct life *life)
{
    static uint64_t fault[WORKING_PAGES];
    unsigned faults = 0;
    for (unsigned i = 0; i < WORKING_PAGES; i++) {
        uint64_t before = demanded(bench);
        uint64_t ns = touch(bench, bench->working[i]);
        if (source == MAPPED || demanded(bench) != before) {
            fault[faults++] = ns;
        }
    }
    life->work_ns = now_ns() - start;
    life->faults = faults;
    life->fault_p50 = percentile(fault, faults, 50);
    life->fault_p99 = percentile(fault, faults, 99);
}

static void work_paced(struct bench *bench, struct life *life)
{
    static uint64_t took[REQUESTS];
    struct ph_rng rng;
    ph_rng_init(&rng, 7);
    uint64_t begin = now_ns();
    for (unsigned i = 0; i < REQUESTS; i++) {
        uint64_t due = begin + (uint64_t)i * 1000000;
        struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        uint64_t start = now_ns();
        for (unsigned k = 0; k < REQUEST_PAGES; k++) {
            (void)touch(bench, bench->working[ph_rng_below(&rng, WORKING_PAGES)]);
        }
        took[i] = now_ns() - start;
    }
    life->request_p50 = percentile(took, REQUESTS, 50);
    life->request_p99 = percentile(took, REQUESTS, 99);
}

/** Change the page that was touched and commit. */
static int commit_page(struct bench *bench, uint64_t *ns, struct phantom_diag *diag)
{
    volatile uint64_t *word =
        (void *)(bench->memory->base + bench->working[WORKING_PAGES / 2] * PAGE + 8);
    *word += 2;
    uint64_t start = now_ns();
    int rc = snap_engine_snapshot(bench->engine, NULL, diag);
    *ns = now_ns() - start;
    return rc;
}

static int work_commits(struct bench *bench, struct life *life, struct phantom_diag *diag)
{
    int rc = commit_page(bench, &life->commit_ns, diag);
    uint64_t start = now_ns();
    rc = rc != 0 ? rc : snap_store_account(bench->store, UINT64_MAX, diag);
    life->account_ns = now_ns() - start;
    return rc != 0 ? rc : commit_page(bench, &life->second_ns, diag);
}

static int open_store_life(struct bench *bench, enum source source, uint64_t start,
                           struct life *life, struct phantom_diag *diag)
{
    int rc =
        hal_memory_reserve(HEAP_BASE, bench->pages * PAGE, HAL_TRACK_ASYNC, &bench->memory, diag);
    rc = rc != 0 ? rc : hal_file_open(bench->store_path, 0, &bench->io, diag);
    rc = rc != 0 ? rc : snap_store_open(bench->io, 0, &bench->store, NULL, diag);
    life->store_ns = now_ns() - start;
    uint64_t opened = now_ns();
    rc = rc != 0
             ? rc
             : open_engine(bench, source == LAZY ? SNAP_RESTORE_LAZY : SNAP_RESTORE_EAGER, diag);
    life->engine_ns = now_ns() - opened;
    bench->base = rc == 0 ? bench->memory->base : NULL;
    return rc;
}

static int open_mapping(struct bench *bench, struct life *life)
{
    int fd = open(bench->flat_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    uint64_t start = now_ns();
    void *base =
        mmap(NULL, bench->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    int rc = base == MAP_FAILED ? -errno : 0;
    if (rc == 0) {
        (void)madvise(base, bench->pages * PAGE, MADV_RANDOM);
        bench->base = base;
    }
    life->engine_ns = now_ns() - start;
    close(fd);
    return rc;
}

static int live(struct bench *bench, enum source source, enum work work, bool forget,
                struct life *life, struct phantom_diag *diag)
{
    *life = (struct life){0};
    uint64_t start = now_ns();
    int rc = source == MAPPED ? open_mapping(bench, life)
                              : open_store_life(bench, source, start, life, diag);
    if (rc != 0) {
        close_world(bench);
        return rc;
    }
    if (source == MAPPED) {
        start = now_ns() - life->engine_ns; /* evicting the file is not part of it */
    }
    (void)touch(bench, bench->working[WORKING_PAGES / 2]);
    life->first_ns = now_ns() - start;
    if (work == FIRST_COMMIT && source != MAPPED) {
        rc = work_commits(bench, life, diag);
    } else if (work == ALL_AT_ONCE) {
        work_at_once(bench, source, start, life);
    } else if (work == PACED) {
        work_paced(bench, life);
    }
    if (source == LAZY && work != FIRST_PAGE && work != FIRST_COMMIT) {
        struct snap_restore_progress progress;
        do {
            sched_yield();
            snap_engine_restore_progress(bench->engine, &progress);
        } while (!progress.complete);
        life->complete_ns = now_ns() - start;
    }
    if (source == MAPPED) {
        munmap((void *)(uintptr_t)bench->base, bench->pages * PAGE);
    }
    if (bench->engine != NULL) {
        snap_engine_close(bench->engine); /* saves the working set */
        bench->engine = NULL;
        if (forget) {
            rc = rc != 0 ? rc : snap_store_write_wanted(bench->store, NULL, 0);
        }
    }
    close_world(bench);
    return rc;
}

/* ---- report -------------------------------------------------------------------------------- */

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

static void report(json_t *rows, uint64_t heap_mib, uint64_t live_mib, const char *name,
                   const struct life *first, const struct life *once, const struct life *paced,
                   const struct life *commits)
{
    printf("%6" PRIu64 " MiB %-22s %9.1f %9.1f %9.1f %8" PRIu64
           " %8.0f %8.0f %10.1f %8.0f %9.0f %10.1f %9.2f %9.1f %9.2f\n",
           heap_mib, name, us(first->store_ns) / 1000, us(first->engine_ns) / 1000,
           us(first->first_ns) / 1000, once->faults, us(once->fault_p50), us(once->fault_p99),
           us(once->work_ns) / 1000, us(paced->request_p50), us(paced->request_p99),
           us(once->complete_ns) / 1000, us(commits->commit_ns) / 1000,
           us(commits->account_ns) / 1000, us(commits->second_ns) / 1000);
    (void)fflush(stdout);
    json_array_append_new(
        rows,
        json_pack(
            "{s:I, s:I, s:s, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
            "heap_mib", (json_int_t)heap_mib, "live_mib", (json_int_t)live_mib, "how", name,
            "store_open_us", us(first->store_ns), "engine_open_us", us(first->engine_ns),
            "first_page_us", us(first->first_ns), "faults", (json_int_t)once->faults,
            "fault_p50_us", us(once->fault_p50), "fault_p99_us", us(once->fault_p99),
            "working_set_us", us(once->work_ns), "request_p50_us", us(paced->request_p50),
            "request_p99_us", us(paced->request_p99), "complete_us", us(once->complete_ns),
            "first_commit_us", us(commits->commit_ns), "accounting_us", us(commits->account_ns),
            "second_commit_us", us(commits->second_ns)));
}

/** What the life is sorted by: its first page, or its first commit. */
static uint64_t key_of(const struct life *life, enum work work)
{
    return work == FIRST_COMMIT ? life->commit_ns : life->first_ns;
}

/** The life with the median time to the first page, or of the first commit. */
static int median_first(struct bench *bench, enum source source, enum work work, bool forget,
                        struct life *out, struct phantom_diag *diag)
{
    struct life lives[FIRST_TRIES];
    for (unsigned i = 0; i < FIRST_TRIES; i++) {
        int rc = live(bench, source, work, forget, &lives[i], diag);
        if (rc != 0) {
            return rc;
        }
    }
    for (unsigned i = 1; i < FIRST_TRIES; i++) { /* insertion sort */
        struct life one = lives[i];
        unsigned k = i;
        for (; k > 0 && key_of(&lives[k - 1], work) > key_of(&one, work); k--) {
            lives[k] = lives[k - 1];
        }
        lives[k] = one;
    }
    *out = lives[FIRST_TRIES / 2];
    return 0;
}

static int measure(struct bench *bench, uint64_t heap_mib, uint64_t live_mib, json_t *rows,
                   struct phantom_diag *diag)
{
    static const struct {
        const char *name;
        enum source source;
        bool forget; /* the working set after each life */
    } kinds[] = {{"lazy", LAZY, true},
                 {"lazy, working set", LAZY, false},
                 {"eager", EAGER, false},
                 {"mmap of a flat file", MAPPED, false}};
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct life first, once, paced, commits;
        bool learns = kinds[i].source == LAZY && !kinds[i].forget;
        int rc = learns ? live(bench, LAZY, ALL_AT_ONCE, false, &once, diag) : 0;
        rc = rc != 0 ? rc : live(bench, kinds[i].source, ALL_AT_ONCE, kinds[i].forget, &once, diag);
        rc = rc != 0 ? rc : live(bench, kinds[i].source, PACED, kinds[i].forget, &paced, diag);
        enum source source = kinds[i].source;
        rc = rc != 0 ? rc : median_first(bench, source, FIRST_PAGE, kinds[i].forget, &first, diag);
        rc = rc != 0 ? rc
                     : median_first(bench, source, FIRST_COMMIT, kinds[i].forget, &commits, diag);
        if (rc != 0) {
            return rc;
        }
        report(rows, heap_mib, live_mib, kinds[i].name, &first, &once, &paced, &commits);
    }
    return 0;
}

static int run_size(const struct settings *settings, uint64_t heap_mib, json_t *rows)
{
    struct bench bench = {.settings = settings, .pages = heap_mib << 8};
    uint64_t live_mib = heap_mib < settings->live_mib ? heap_mib : settings->live_mib;
    bench.live = live_mib << 8;
    bench.stride = bench.pages / bench.live;
    (void)snprintf(bench.store_path, sizeof(bench.store_path), "%s/restore-%ld.phantom",
                   settings->directory, (long)getpid());
    (void)snprintf(bench.flat_path, sizeof(bench.flat_path), "%s/restore-%ld.flat",
                   settings->directory, (long)getpid());
    struct ph_rng rng;
    ph_rng_init(&rng, heap_mib);
    for (unsigned i = 0; i < WORKING_PAGES; i++) {
        bench.working[i] = ph_rng_below(&rng, bench.live) * bench.stride;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = prepare(&bench, &diag);
    rc = rc != 0 ? rc : measure(&bench, heap_mib, live_mib, rows, &diag);
    (void)unlink(bench.store_path);
    (void)unlink(bench.flat_path);
    if (rc != 0) {
        fprintf(stderr, "%" PRIu64 " MiB: %s: %s\n", heap_mib, phantom_strerror(rc), diag.text);
    }
    return rc;
}

static int write_json(const struct settings *settings, json_t *rows)
{
    struct utsname host;
    uname(&host);
    host.release[strcspn(host.release, "-")] = '\0'; /* the version, not whose build it is */
    double load = 0;                                 /* of the machine while this ran */
    (void)getloadavg(&load, 1);
    json_t *root =
        json_pack("{s:s, s:s, s:f, s:I, s:I, s:O}", "bench", "restore", "kernel", host.release,
                  "load_average", load, "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
                  "working_set_pages", (json_int_t)WORKING_PAGES, "lives", rows);
    int rc = root == NULL ? -1
                          : json_dump_file(root, settings->json_path,
                                           JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc != 0) {
        fprintf(stderr, "%s: cannot be written\n", settings->json_path);
    }
    return rc;
}

static int parse(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},  {"json", required_argument, NULL, 'j'},
        {"heap", required_argument, NULL, 'm'}, {"live", required_argument, NULL, 'l'},
        {"quick", no_argument, NULL, 'q'},      {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd': settings->directory = optarg; break;
        case 'j': settings->json_path = optarg; break;
        case 'l': settings->live_mib = strtoull(optarg, NULL, 10); break;
        case 'm':
            if (settings->sizes < SIZES_MOST) {
                settings->heap_mib[settings->sizes++] = strtoull(optarg, NULL, 10);
            }
            break;
        case 'q':
            settings->sizes = 1;
            settings->heap_mib[0] = 64;
            settings->live_mib = 32;
            break;
        default:
            fprintf(stderr, "usage: bench_restore [--dir DIR] [--json FILE] [--heap MIB]... "
                            "[--live MIB] [--quick]\n");
            return -1;
        }
    }
    if (settings->sizes == 0) {
        static const uint64_t sizes[] = {1024, 4096, 16384};
        memcpy(settings->heap_mib, sizes, sizeof(sizes));
        settings->sizes = 3;
    }
    for (unsigned i = 0; i < settings->sizes; i++) {
        if (settings->heap_mib[i] < 16 || settings->heap_mib[i] > 65536 ||
            settings->live_mib < 16) {
            fprintf(stderr, "sizes are 16 to 65536 MiB\n");
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct settings settings = {.directory = ".", .live_mib = 1024};
    if (parse(argc, argv, &settings) != 0) {
        return 2;
    }
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (!probe.userfaultfd || !probe.wp_async || !probe.pagemap_scan) {
        printf("SKIP: this kernel (%s) does not track written pages for us\n", probe.kernel);
        return 77;
    }
    printf("%33s %9s %9s %9s %8s %8s %8s %10s %8s %9s %10s %9s %9s %9s\n", "", "store ms",
           "engine ms", "first ms", "faults", "p50 us", "p99 us", "set ms", "req p50", "req p99",
           "all ms", "commit ms", "acct ms", "second ms");
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
