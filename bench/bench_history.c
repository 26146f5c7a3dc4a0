/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_history.c - a store over a long life: large commits at constant live size. How much is
 * written for each page, how large the file becomes beside what is retained, how long the runs are
 * in which it is written, and what a commit costs that a hundred thousand were before.
 *
 * The disk is simulated: of a page only that it was written is kept, so that hundreds of gigabytes
 * pass in minutes. Everything else (records, map, catalog) is kept and read again as from a file.
 */
#include "ph_memory.h"
#include "ph_rng.h"
#include "snap_store.h"
#include "store_internal.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the disk ------------------------------------------------------------------------------- */

#define PAGE_MARK UINT64_C(0x50414745) /* first word of a page that this bench writes */

struct disk {
    struct snap_io io; /* first */
    uint8_t **block;   /* NULL: zeros, or a page that was let go */
    uint64_t *mark;    /* second word of the page: enough to make it again */
    uint64_t blocks, capacity;
    uint64_t bytes, requests; /* written */
    struct snap_io_request *done;
};

static void put(struct disk *disk, uint64_t at, const uint8_t *data)
{
    const uint64_t *word = (const uint64_t *)data;
    disk->mark[at] = word[0] == PAGE_MARK ? word[1] : 0;
    if (word[0] == PAGE_MARK) {
        free(disk->block[at]);
        disk->block[at] = NULL;
        return;
    }
    if (disk->block[at] == NULL) {
        disk->block[at] = malloc(SNAP_PAGE_SIZE);
    }
    if (disk->block[at] == NULL) {
        perror("bench_history");
        exit(1);
    }
    memcpy(disk->block[at], data, SNAP_PAGE_SIZE);
}

static void get(const struct disk *disk, uint64_t at, uint8_t *data)
{
    if (disk->block[at] != NULL) {
        memcpy(data, disk->block[at], SNAP_PAGE_SIZE);
        return;
    }
    memset(data, 0, SNAP_PAGE_SIZE);
    if (disk->mark[at] != 0) {
        ((uint64_t *)data)[0] = PAGE_MARK;
        ((uint64_t *)data)[1] = disk->mark[at];
    }
}

static int disk_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct disk *disk = (struct disk *)io;
    for (uint32_t i = 0; i < length / SNAP_PAGE_SIZE; i++) {
        get(disk, offset / SNAP_PAGE_SIZE + i, (uint8_t *)buffer + (size_t)i * SNAP_PAGE_SIZE);
    }
    return 0;
}

static int disk_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    struct disk *disk = (struct disk *)io;
    for (uint32_t i = 0; i < length / SNAP_PAGE_SIZE; i++) {
        put(disk, offset / SNAP_PAGE_SIZE + i,
            (const uint8_t *)buffer + (size_t)i * SNAP_PAGE_SIZE);
    }
    disk->bytes += length;
    disk->requests++;
    return 0;
}

static int disk_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct disk *disk = (struct disk *)io;
    request->result = (int32_t)request->length;
    (void)(request->direction == SNAP_IO_WRITE
               ? disk_write(io, request->offset, request->buffer, request->length)
               : disk_read(io, request->offset, request->buffer, request->length));
    request->next = disk->done;
    disk->done = request;
    return 0;
}

static int disk_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct disk *disk = (struct disk *)io;
    (void)minimum;
    int count = 0;
    *done = disk->done;
    for (struct snap_io_request *r = disk->done; r != NULL; r = r->next) {
        count++;
    }
    disk->done = NULL;
    return count;
}

static int disk_flush(struct snap_io *io)
{
    (void)io;
    return 0;
}

static int disk_size(struct snap_io *io, uint64_t *bytes)
{
    *bytes = ((struct disk *)io)->blocks * SNAP_PAGE_SIZE;
    return 0;
}

static int disk_allocate(struct snap_io *io, uint64_t bytes)
{
    struct disk *disk = (struct disk *)io;
    uint64_t blocks = bytes / SNAP_PAGE_SIZE;
    if (blocks > disk->capacity) {
        return -ENOSPC;
    }
    disk->blocks = blocks > disk->blocks ? blocks : disk->blocks;
    return 0;
}

static int disk_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    (void)io;
    (void)byte;
    (void)kind;
    return 0;
}

static void disk_close(struct snap_io *io)
{
    struct disk *disk = (struct disk *)io;
    for (uint64_t i = 0; i < disk->capacity; i++) {
        free(disk->block[i]);
    }
    free(disk->block);
    free(disk->mark);
    free(disk);
}

static const struct snap_io_ops disk_ops = {.name = "simulated",
                                            .read = disk_read,
                                            .submit = disk_submit,
                                            .reap = disk_reap,
                                            .flush = disk_flush,
                                            .write = disk_write,
                                            .size = disk_size,
                                            .allocate = disk_allocate,
                                            .lock = disk_lock,
                                            .close = disk_close};

static struct disk *disk_create(uint64_t capacity)
{
    struct disk *disk = calloc(1, sizeof *disk);
    if (disk != NULL) {
        disk->io.ops = &disk_ops;
        disk->io.path = "simulated disk";
        disk->capacity = capacity;
        disk->block = calloc(capacity, sizeof *disk->block);
        disk->mark = calloc(capacity, sizeof *disk->mark);
    }
    if (disk == NULL || disk->block == NULL || disk->mark == NULL) {
        perror("bench_history");
        exit(1);
    }
    return disk;
}

/* ---- the life ------------------------------------------------------------------------------- */

struct life {
    uint64_t commits, live, pages, hot; /* hot: percent of the writes that go to a tenth */
    uint64_t budget, per_second, seed;
    FILE *json;
};

static double seconds_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void must(int error, const struct phantom_diag *diag)
{
    if (error < 0) {
        fprintf(stderr, "bench_history: %s: %s\n", phantom_err_name(error), diag->text);
        exit(1);
    }
}

static uint64_t next_page(const struct life *life, struct ph_rng *rng)
{
    bool hot = ph_rng_below(rng, 100) < life->hot;
    return ph_rng_below(rng, hot ? life->live / 10 : life->live);
}

/* One commit of `pages` page writes; returns how many different pages it had. */
static uint64_t commit(struct snap_store *store, const struct life *life, struct ph_rng *rng,
                       uint64_t number, uint64_t pages)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_txn *txn = NULL;
    must(snap_txn_begin(store, 4096, &txn, &diag), &diag);
    must(snap_txn_reserve(txn, pages, &diag), &diag);
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = pages == life->live ? i : next_page(life, rng);
        uint64_t *slot = snap_txn_stage(txn, page);
        if (slot == NULL) {
            must(snap_txn_write(txn, &diag), &diag);
            slot = snap_txn_stage(txn, page);
        }
        memset(slot, 0, SNAP_PAGE_SIZE);
        slot[0] = PAGE_MARK;
        slot[1] = number << 32 | page | UINT64_C(1) << 63;
    }
    struct snap_generation made;
    struct snap_commit c = {.heap_pages = life->live,
                            .time_ns = (int64_t)(number * 1000000000 / life->per_second)};
    must(snap_txn_commit(txn, &c, &made, &diag), &diag);
    return made.pages_written;
}

static void report(const struct life *life, struct snap_store *store, struct disk *disk,
                   uint64_t number, uint64_t pages, double seconds, bool *first)
{
    struct snap_store_usage usage;
    snap_store_usage(store, &usage);
    double amplification = (double)disk->bytes / (double)(pages * SNAP_PAGE_SIZE);
    double ratio = (double)usage.file_bytes / (double)usage.data_bytes_used;
    double run = (double)disk->bytes / (double)disk->requests / SNAP_PAGE_SIZE;
    printf("%9" PRIu64 "  %8.3f  %9.1f  %9.1f  %8.2f  %8.1f  %6zu  %8.0f\n", number, amplification,
           (double)usage.file_bytes / (1 << 20), (double)usage.data_bytes_used / (1 << 20), ratio,
           run, snap_store_list(store, NULL, 0), seconds);
    fflush(stdout);
    if (life->json != NULL) {
        fprintf(life->json,
                "%s    {\"commits\": %" PRIu64 ", \"write_amplification\": %.4f, \"file_bytes\": "
                "%" PRIu64 ", \"retained_bytes\": %" PRIu64
                ", \"file_to_retained\": %.3f, \"mean_request_pages\": %.1f, \"generations\": %zu, "
                "\"us_per_commit\": %.0f}",
                *first ? "" : ",\n", number, amplification, usage.file_bytes, usage.data_bytes_used,
                ratio, run, snap_store_list(store, NULL, 0), seconds);
    }
    *first = false;
    disk->bytes = disk->requests = 0;
}

static void live_through(const struct life *life)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct disk *disk = disk_create(8 * life->live + 4 * life->budget / SNAP_PAGE_SIZE + 65536);
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = life->live * SNAP_PAGE_SIZE};
    struct snap_store *store = NULL;
    struct ph_rng rng;
    ph_rng_init(&rng, life->seed);
    must(snap_store_create(&disk->io, &params, &diag), &diag);
    must(snap_store_open(&disk->io, 0, &store, NULL, &diag), &diag);
    const struct snap_retention retention = {.budget_bytes = life->budget};
    must(snap_store_set_retention(store, &retention), &diag);
    printf("  commits  written/p  file MiB   held MiB  file/held  pages/w   gens  us/commit\n");
    (void)commit(store, life, &rng, 1, life->live);
    disk->bytes = disk->requests = 0;
    uint64_t pages = 0, step = life->commits / 10 != 0 ? life->commits / 10 : 1, since = 0;
    double start = seconds_now();
    bool first = true;
    for (uint64_t i = 1; i <= life->commits; i++) {
        pages += commit(store, life, &rng, i + 1, life->pages);
        since++;
        if (i % step == 0 || i == life->commits) {
            double now = seconds_now();
            report(life, store, disk, i, pages, (now - start) * 1e6 / (double)since, &first);
            pages = since = 0;
            start = seconds_now();
        }
    }
    must(snap_store_audit(store, &diag), &diag);
    snap_store_close(store);
    disk_close(&disk->io);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"commits", required_argument, NULL, 'c'},    {"live", required_argument, NULL, 'l'},
        {"pages", required_argument, NULL, 'p'},      {"hot", required_argument, NULL, 'h'},
        {"budget-mib", required_argument, NULL, 'b'}, {"per-second", required_argument, NULL, 's'},
        {"json", required_argument, NULL, 'j'},       {NULL, 0, NULL, 0}};
    struct life life = {.commits = 100000,
                        .live = 65536,
                        .pages = 1000,
                        .budget = UINT64_C(128) << 20,
                        .per_second = 20,
                        .seed = ph_rng_seed_from_environment(1)};
    const char *json = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'c': life.commits = strtoull(optarg, NULL, 0); break;
        case 'l': life.live = strtoull(optarg, NULL, 0); break;
        case 'p': life.pages = strtoull(optarg, NULL, 0); break;
        case 'h': life.hot = strtoull(optarg, NULL, 0); break;
        case 'b': life.budget = strtoull(optarg, NULL, 0) << 20; break;
        case 's': life.per_second = strtoull(optarg, NULL, 0); break;
        case 'j': json = optarg; break;
        default:
            fprintf(stderr, "usage: bench_history [--commits N] [--live PAGES] [--pages N] [--hot "
                            "PERCENT] [--budget-mib N] [--per-second N] [--json FILE]\n");
            return 2;
        }
    }
    if (json != NULL) {
        life.json = fopen(json, "w");
        if (life.json == NULL) {
            perror(json);
            return 1;
        }
        fprintf(life.json,
                "{\n  \"what\": \"large commits at constant live size, simulated disk\", "
                "\"live_pages\": %" PRIu64 ", \"pages_each\": %" PRIu64
                ", \"hot_percent\": %" PRIu64 ", \"budget_bytes\": %" PRIu64
                ", \"commits_per_second\": %" PRIu64 ", \"seed\": %" PRIu64 ",\n  \"life\": [\n",
                life.live, life.pages, life.hot, life.budget, life.per_second, life.seed);
    }
    printf("live %" PRIu64 " pages, %" PRIu64 " page writes each (%" PRIu64
           " %% of them to a tenth), budget %" PRIu64 " MiB, seed %" PRIu64 "\n",
           life.live, life.pages, life.hot, life.budget >> 20, life.seed);
    live_through(&life);
    if (life.json != NULL) {
        fprintf(life.json, "\n  ]\n}\n");
        fclose(life.json);
    }
    return 0;
}
