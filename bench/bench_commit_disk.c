/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_commit_disk.c - what a small durable commit of the store costs beside the disk under it.
 *
 * In one run, in turn, so that whatever else the disk does falls on all alike:
 *   commit       begin, stage N pages, commit, through io_uring and through pwrite threads
 *   bare         pwrite of as many bytes as that commit wrote, O_DIRECT, then fdatasync
 *   least        pwrite of 4 KiB and fdatasync: no durable commit is cheaper
 * for N = 1, 10 and 100 pages strewn over 100 000. All files are in the directory given, where
 * blocks have been written before, as the store's have. Printed: medians, 99th and 99.9th
 * percentiles and the longest, in microseconds, and bare / commit of the medians: 1.00 is the speed
 * of the disk. The stores begin small, so the tail shows what a growing file costs.
 *
 *   bench_commit_disk [-d DIRECTORY] [-n COMMITS] [-j FILE.json]
 */
#include "hal_posix.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "snap_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = SNAP_PAGE_SIZE,
    COMMITS_MOST = 100000,
    WARM = 50,
    HEAP_PAGES = 100000,
    BARE_BYTES = 64 << 20,
    BARE_MOST = 16 << 20,
    BACK_ENDS = 2
};

static const uint64_t HEAP_BASE = UINT64_C(0x7e8000000000);

enum series { URING, THREADS, BARE, LEAST, SERIES };
static const char *const series_name[SERIES] = {"commit, io_uring", "commit, pwrite threads",
                                                "bare, same bytes", "bare, 4 KiB"};

struct side { /* one store */
    struct snap_io *io;
    struct snap_store *store;
    char path[4096];
};

struct bench {
    struct side side[BACK_ENDS];
    int bare;
    uint8_t *buffer;
    uint64_t bare_at;
    struct ph_rng rng;
    unsigned commits;
    uint64_t *value[SERIES];
    uint64_t commit_bytes; /* of the last one */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int side_open(struct side *side, const char *directory, unsigned back_end,
                     struct phantom_diag *diag)
{
    struct snap_recovery recovery;
    struct snap_store_params params = {.heap_base = HEAP_BASE,
                                       .heap_size = (uint64_t)HEAP_PAGES * PAGE,
                                       .uuid = {'b'},
                                       .retain_bytes = 8 << 20};
    snprintf(side->path, sizeof side->path, "%s/bench-commit-%ld-%u.store", directory,
             (long)getpid(), back_end);
    unsigned flags = HAL_FILE_CREATE | (back_end == THREADS ? HAL_FILE_NO_URING : 0);
    int rc = hal_file_open(side->path, flags, &side->io, diag);
    rc = rc != 0 ? rc : snap_store_create(side->io, &params, diag);
    return rc != 0 ? rc : snap_store_open(side->io, 0, &side->store, &recovery, diag);
}

static void side_close(struct side *side)
{
    snap_store_close(side->store);
    if (side->io != NULL) {
        side->io->ops->close(side->io);
        unlink(side->path);
    }
}

static int bare_open(struct bench *bench, const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bench-commit-%ld.bare", directory, (long)getpid());
    bench->bare = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (bench->bare < 0) {
        return -1;
    }
    unlink(path);
    bench->buffer = ph_alloc_aligned(PAGE, BARE_MOST);
    if (bench->buffer == NULL) {
        return -1;
    }
    memset(bench->buffer, 0x5a, BARE_MOST);
    for (off_t at = 0; at < BARE_BYTES; at += 1 << 20) {
        if (pwrite(bench->bare, bench->buffer, 1 << 20, at) != 1 << 20) {
            return -1;
        }
    }
    return fsync(bench->bare);
}

static int bare_write(struct bench *bench, uint64_t bytes, uint64_t *spent)
{
    if (bytes > BARE_MOST) {
        return -EFBIG;
    }
    if (bench->bare_at + bytes > BARE_BYTES) {
        bench->bare_at = 0;
    }
    uint64_t start = now_ns();
    bool good =
        pwrite(bench->bare, bench->buffer, bytes, (off_t)bench->bare_at) == (ssize_t)bytes &&
        fdatasync(bench->bare) == 0;
    *spent = now_ns() - start;
    bench->bare_at += bytes;
    return good ? 0 : -EIO;
}

static int commit(struct bench *bench, struct side *side, unsigned pages, uint64_t *spent,
                  struct phantom_diag *diag)
{
    struct snap_commit what = {.heap_pages = HEAP_PAGES};
    struct snap_generation out;
    struct snap_txn *txn = NULL;
    uint64_t start = now_ns();
    int rc = snap_txn_begin(side->store, SNAP_SMALL_COMMIT_PAGES, &txn, diag);
    for (unsigned i = 0; rc == 0 && i < pages; i++) {
        uint64_t *slot = snap_txn_stage(txn, ph_rng_below(&bench->rng, HEAP_PAGES));
        memset(slot, 0x33, PAGE);
        slot[i] = ph_rng_next(&bench->rng);
    }
    rc = rc != 0 ? rc : snap_txn_commit(txn, &what, &out, diag);
    *spent = now_ns() - start;
    bench->commit_bytes = out.bytes_written;
    return rc;
}

/* One round of each series, in turn. */
static int round_of(struct bench *bench, unsigned pages, uint64_t spent[SERIES],
                    struct phantom_diag *diag)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < BACK_ENDS; i++) {
        rc = commit(bench, &bench->side[i], pages, &spent[i], diag);
    }
    rc = rc != 0 ? rc : bare_write(bench, bench->commit_bytes, &spent[BARE]);
    return rc != 0 ? rc : bare_write(bench, PAGE, &spent[LEAST]);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_us(const struct bench *bench, enum series series, double percent)
{
    return (double)bench->value[series][(size_t)((bench->commits - 1) * percent / 100)] / 1000.0;
}

static json_t *measure(struct bench *bench, unsigned pages, struct phantom_diag *diag)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < WARM + bench->commits; i++) {
        uint64_t spent[SERIES];
        int rc = round_of(bench, pages, spent, diag);
        if (rc != 0) {
            fprintf(stderr, "bench_commit_disk: %s: %s\n", phantom_err_name(rc), diag->text);
            return NULL;
        }
        bytes += i >= WARM ? bench->commit_bytes : 0;
        for (unsigned s = 0; s < SERIES && i >= WARM; s++) {
            bench->value[s][i - WARM] = spent[s];
        }
    }
    for (unsigned s = 0; s < SERIES; s++) {
        qsort(bench->value[s], bench->commits, sizeof(uint64_t), by_value);
    }
    double mean_bytes = (double)bytes / bench->commits;
    printf("%u pages, %.0f bytes a commit\n", pages, mean_bytes);
    json_t *row = json_pack("{s:i, s:f}", "pages", (int)pages, "bytes", mean_bytes);
    for (unsigned s = 0; s < SERIES; s++) {
        double p50 = percentile_us(bench, s, 50), p99 = percentile_us(bench, s, 99);
        double p999 = percentile_us(bench, s, 99.9), most = percentile_us(bench, s, 100);
        double of_bare = percentile_us(bench, BARE, 50) / p50;
        double of_least = percentile_us(bench, LEAST, 50) / p50;
        printf(
            "  %-24s %8.1f us p50 %8.1f p99 %8.1f p99.9 %8.1f max  bare/it %.2f  4 KiB/it %.2f\n",
            series_name[s], p50, p99, p999, most, of_bare, of_least);
        json_object_set_new(row, series_name[s],
                            json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "p50_us", p50, "p99_us",
                                      p99, "p99_9_us", p999, "max_us", most, "bare_to_it", of_bare,
                                      "least_to_it", of_least));
    }
    return row;
}

static int run(struct bench *bench, const char *directory, json_t *rows, struct phantom_diag *diag)
{
    static const unsigned pages[] = {1, 10, 100};
    int rc = bare_open(bench, directory);
    if (rc != 0) {
        perror(directory);
        return rc;
    }
    for (unsigned i = 0; rc == 0 && i < BACK_ENDS; i++) {
        rc = side_open(&bench->side[i], directory, i, diag);
    }
    if (rc != 0) {
        fprintf(stderr, "bench_commit_disk: %s: %s\n", phantom_err_name(rc), diag->text);
        return rc;
    }
    for (unsigned i = 0; rc == 0 && i < sizeof pages / sizeof pages[0]; i++) {
        json_t *row = measure(bench, pages[i], diag);
        rc = row == NULL ? -EIO : json_array_append_new(rows, row);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.bare = -1, .commits = 1000};
    const char *directory = ".", *json_path = NULL;
    for (int option; (option = getopt(argc, argv, "d:n:j:")) != -1;) {
        if (option == 'd') {
            directory = optarg;
        } else if (option == 'n') {
            bench.commits = (unsigned)strtoul(optarg, NULL, 10);
        } else if (option == 'j') {
            json_path = optarg;
        } else {
            return 2;
        }
    }
    if (bench.commits == 0 || bench.commits > COMMITS_MOST) {
        fprintf(stderr, "bench_commit_disk: 1 to %d commits\n", COMMITS_MOST);
        return 2;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    ph_rng_init(&bench.rng, ph_rng_seed_from_environment(1));
    int rc = 0;
    for (unsigned s = 0; s < SERIES; s++) {
        bench.value[s] = calloc(bench.commits, sizeof(uint64_t));
        rc = bench.value[s] == NULL ? -ENOMEM : rc;
    }
    json_t *rows = json_array();
    rc = rc != 0 ? rc : run(&bench, directory, rows, &diag);
    for (unsigned i = 0; i < BACK_ENDS; i++) {
        side_close(&bench.side[i]);
    }
    for (unsigned s = 0; s < SERIES; s++) {
        free(bench.value[s]);
    }
    ph_free(bench.buffer);
    if (bench.bare >= 0) {
        close(bench.bare);
    }
    json_t *root = json_pack("{s:s, s:o}", "bench", "commit_disk", "commits", rows);
    if (rc == 0 && json_path != NULL) {
        rc = json_dump_file(root, json_path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    }
    json_decref(root);
    return rc == 0 ? 0 : 1;
}
