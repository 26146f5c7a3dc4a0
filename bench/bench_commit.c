/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_commit.c - what the engine itself costs in a small durable commit, beyond the I/O: strategy
 * `cards`, a host that marks a few pages and takes a snapshot in its own thread, as the leader of a
 * group commit does. The store is in memory, behind a wrapper that measures the time spent in I/O
 * calls; what is left is the engine: begin, reserve, stop, copy, sums, map, record, retire.
 *
 * Heaps of 1 GiB and 64 GiB: the size of the heap must not matter. 200 000 pages (800 MiB) are in
 * use, side by side or strewn over the heap; strewn they are also colder for the processor.
 */
#include "hal_posix.h"
#include "ph_rng.h"
#include "snap_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COMMITS = 4000, WARM = 500, SPREAD_PAGES = 200000, PAGE = SNAP_PAGE_SIZE };

static const uint64_t HEAP_BASE = UINT64_C(0x7e8000000000);

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- I/O with a watch ---------------------------------------------------------------------- */

struct timed_io {
    struct snap_io io;
    struct snap_io_ops ops;
    struct snap_io *inner;
    uint64_t spent_ns;
};

static struct timed_io *timed(struct snap_io *io)
{
    return (struct timed_io *)io;
}

#define TIMED(call)                                                                                \
    do {                                                                                           \
        struct snap_io *inner = timed(io)->inner;                                                  \
        uint64_t start = now_ns();                                                                 \
        int rc = inner->ops->call;                                                                 \
        timed(io)->spent_ns += now_ns() - start;                                                   \
        return rc;                                                                                 \
    } while (0)

static int timed_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    TIMED(read(inner, offset, buffer, length));
}

static int timed_submit(struct snap_io *io, struct snap_io_request *request)
{
    TIMED(submit(inner, request));
}

static int timed_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    TIMED(reap(inner, minimum, done));
}

static int timed_flush(struct snap_io *io)
{
    TIMED(flush(inner));
}

static int timed_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    TIMED(write(inner, offset, buffer, length));
}

static int timed_size(struct snap_io *io, uint64_t *bytes)
{
    TIMED(size(inner, bytes));
}

static int timed_allocate(struct snap_io *io, uint64_t bytes)
{
    TIMED(allocate(inner, bytes));
}

static int timed_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    TIMED(lock(inner, byte, kind));
}

static void timed_begin(struct timed_io *watch, struct snap_io *inner)
{
    *watch = (struct timed_io){.inner = inner};
    watch->ops = *inner->ops;
    watch->ops.read = timed_read;
    watch->ops.submit = timed_submit;
    watch->ops.reap = timed_reap;
    watch->ops.flush = timed_flush;
    watch->ops.write = timed_write;
    watch->ops.size = timed_size;
    watch->ops.allocate = timed_allocate;
    watch->ops.lock = timed_lock;
    watch->ops.random = NULL;
    watch->io = (struct snap_io){.ops = &watch->ops, .path = inner->path};
}

/* ---- a host ------------------------------------------------------------------------------------
 */

struct host {
    struct snap_memory *memory;
    struct snap_io *file;
    struct timed_io io;
    struct snap_store *store;
    struct snap_engine *engine;
    struct ph_rng rng;
    uint64_t engine_ns[COMMITS], io_ns[COMMITS], pause_ns[COMMITS];
};

static int stop(void *context, int timeout_ms)
{
    (void)context;
    (void)timeout_ms;
    return 0; /* the leader is the only one who writes, and it is here */
}

static void resume(void *context)
{
    (void)context;
}

static uint64_t heap_pages(void *context)
{
    const struct host *host = context;
    return host->memory->page_count;
}

static int host_open(struct host *host, uint64_t heap_gib, struct phantom_diag *diag)
{
    struct snap_recovery recovery;
    uint64_t bytes = heap_gib << 30;
    int rc = hal_memory_reserve(HEAP_BASE, bytes, false, &host->memory, diag);
    if (rc != 0) {
        return rc;
    }
    host->file = snap_io_memory_create(UINT64_C(6) << 30);
    if (host->file == NULL) {
        return -ENOMEM;
    }
    timed_begin(&host->io, host->file);
    struct snap_store_params params = {
        .heap_base = HEAP_BASE, .heap_size = bytes, .uuid = {'b'}, .retain_bytes = 1 << 20};
    rc = snap_store_create(&host->io.io, &params, diag);
    if (rc == 0) {
        rc = snap_store_open(&host->io.io, 0, &host->store, &recovery, diag);
    }
    if (rc == 0) {
        struct snap_world world = {
            .context = host, .stop = stop, .resume = resume, .heap_pages = heap_pages};
        struct snap_engine_options options = {
            .strategy = "cards", .staging_pages = 1024, .all_stores_marked = true};
        rc = snap_engine_open(host->memory, host->store, &world, &options, &host->engine, diag);
    }
    return rc;
}

static void host_close(struct host *host)
{
    snap_engine_close(host->engine);
    snap_store_close(host->store);
    if (host->file != NULL) {
        host->file->ops->close(host->file);
    }
    if (host->memory != NULL) {
        host->memory->ops->close(host->memory);
    }
}

/** Store into one of the pages in use: at the beginning of the heap, or strewn all over it. */
static void update(struct host *host, bool strewn, uint64_t value)
{
    uint64_t step = strewn ? host->memory->page_count / SPREAD_PAGES : 1;
    uint64_t page = ph_rng_below(&host->rng, SPREAD_PAGES) * step;
    uint64_t *word = (uint64_t *)(void *)(host->memory->base + page * PAGE);
    word[value % 512] = value;
    snap_mark(snap_engine_marks(host->engine), page);
}

static int run(struct host *host, unsigned pages, bool strewn, struct phantom_diag *diag)
{
    for (unsigned i = 0; i < WARM + COMMITS; i++) {
        struct snap_report report;
        for (unsigned k = 0; k < pages; k++) {
            update(host, strewn, ph_rng_next(&host->rng));
        }
        host->io.spent_ns = 0;
        uint64_t start = now_ns();
        int rc = snap_engine_snapshot(host->engine, &report, diag);
        uint64_t spent = now_ns() - start;
        if (rc != 0) {
            return rc;
        }
        if (i >= WARM) {
            host->engine_ns[i - WARM] = spent - host->io.spent_ns;
            host->io_ns[i - WARM] = host->io.spent_ns;
            host->pause_ns[i - WARM] = report.pause_ns;
        }
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_us(uint64_t *values, unsigned percent)
{
    qsort(values, COMMITS, sizeof(values[0]), by_value);
    return (double)values[(COMMITS - 1) * percent / 100] / 1000.0;
}

static json_t *report_run(struct host *host, uint64_t heap_gib, unsigned pages, bool strewn)
{
    struct snap_counters counters;
    snap_engine_counters(host->engine, &counters);
    double p50 = percentile_us(host->engine_ns, 50), p99 = percentile_us(host->engine_ns, 99);
    double io = percentile_us(host->io_ns, 50), pause = percentile_us(host->pause_ns, 50);
    printf("%5" PRIu64 " GiB %4u pages%s: engine %6.1f us p50, %6.1f p99; pause %5.1f; memory I/O "
           "%5.1f; mean reserve %.1f stop %.1f commit %.1f retire %.1f (I/O included)\n",
           heap_gib, pages, strewn ? " strewn" : "       ", p50, p99, pause, io,
           (double)counters.phase_ns[SNAP_PHASE_RESERVE] / 1e3 / (double)counters.snapshots,
           (double)counters.phase_ns[SNAP_PHASE_STOP] / 1e3 / (double)counters.snapshots,
           (double)counters.phase_ns[SNAP_PHASE_COMMIT] / 1e3 / (double)counters.snapshots,
           (double)counters.phase_ns[SNAP_PHASE_RETIRE] / 1e3 / (double)counters.snapshots);
    return json_pack("{s:I, s:i, s:b, s:i, s:f, s:f, s:f, s:f}", "heap_gib", (json_int_t)heap_gib,
                     "pages", (int)pages, "strewn", (int)strewn, "commits", (int)COMMITS,
                     "engine_us_p50", p50, "engine_us_p99", p99, "pause_us_p50", pause,
                     "memory_io_us_p50", io);
}

int main(int argc, char **argv)
{
    static const struct {
        uint64_t heap_gib;
        unsigned pages;
        bool strewn;
    } cases[] = {{1, 1, false}, {64, 1, false}, {64, 1, true},   {1, 4, false}, {64, 4, false},
                 {64, 4, true}, {1, 13, false}, {64, 13, false}, {64, 13, true}};
    static struct host host;
    json_t *rows = json_array();
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        memset(&host, 0, sizeof(host));
        ph_rng_init(&host.rng, ph_rng_seed_from_environment(1));
        int rc = host_open(&host, cases[i].heap_gib, &diag);
        rc = rc != 0 ? rc : run(&host, cases[i].pages, cases[i].strewn, &diag);
        if (rc != 0) {
            fprintf(stderr, "%s: %s\n", phantom_err_name(rc), diag.text);
            host_close(&host);
            return 1;
        }
        json_array_append_new(
            rows, report_run(&host, cases[i].heap_gib, cases[i].pages, cases[i].strewn));
        host_close(&host);
    }
    json_t *root = json_pack("{s:s, s:o}", "bench", "commit", "commits", rows);
    int rc = argc > 1 ? json_dump_file(root, argv[1], JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : 0;
    json_decref(root);
    return rc == 0 ? 0 : 1;
}
