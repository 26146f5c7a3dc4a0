/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_aged.c - is an old store as fast as a new one? On a real disk, two stores of the same live
 * size; one has gone through thousands of large random commits, so its free blocks lie in short
 * runs, and nothing ever tidied them up. Then both do the same work in turn:
 *   small   commits of 10 strewn pages
 *   large   commits of 1000 strewn pages
 *   full    all live pages in one commit: the bandwidth of a sequential snapshot
 * Printed for each: medians and 99th percentiles of both, and new / old of the times: 1.00 is
 * ageless, less is slower. ARCHITECTURE, "Short runs of free blocks are left alone", is judged by
 * this number.
 *
 *   bench_aged [--dir D] [--commits N] [--live PAGES] [--rounds N] [--json FILE]
 */
#include "hal_posix.h"
#include "ph_rng.h"
#include "snap_store.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STAGING = 4096, SMALL = 10, LARGE = 1000, ROUNDS_MOST = 10000, BUDGET = 64 << 20 };
enum { NEW, OLD, STORES };
enum { SMALL_WORK, LARGE_WORK, FULL_WORK, WORKS };

static const char *const work_name[WORKS] = {"commit of 10 pages", "commit of 1000 pages",
                                             "all live pages"};

struct settings {
    const char *directory, *json;
    uint64_t commits, live;
    unsigned rounds;
};

struct side {
    struct snap_io *io;
    struct snap_store *store;
    struct ph_rng rng;
    int64_t clock;
    char path[4096];
    uint64_t value[WORKS][ROUNDS_MOST]; /* nanoseconds */
    unsigned count[WORKS];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void must(int error, const struct phantom_diag *diag)
{
    if (error < 0) {
        fprintf(stderr, "bench_aged: %s: %s\n", phantom_err_name(error), diag->text);
        exit(1);
    }
}

/* Pages have content that differs in every commit; `pages` = live: all of them, in order. */
static uint64_t commit(struct side *side, uint64_t live, uint64_t pages)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_txn *txn = NULL;
    uint64_t start = now_ns();
    must(snap_txn_begin(side->store, STAGING, &txn, &diag), &diag);
    must(snap_txn_reserve(txn, pages, &diag), &diag);
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = pages == live ? i : ph_rng_below(&side->rng, live);
        uint64_t *slot = snap_txn_stage(txn, page);
        if (slot == NULL) {
            must(snap_txn_write(txn, &diag), &diag);
            slot = snap_txn_stage(txn, page);
        }
        memset(slot, 0x5a, SNAP_PAGE_SIZE);
        slot[0] = ph_rng_next(&side->rng);
    }
    side->clock += 50000000;
    struct snap_commit c = {.heap_pages = live, .time_ns = side->clock};
    must(snap_txn_commit(txn, &c, NULL, &diag), &diag);
    return now_ns() - start;
}

static void side_open(struct side *side, const struct settings *set, const char *name)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = set->live * SNAP_PAGE_SIZE,
                                       .uuid = {'a'},
                                       .retain_bytes = BUDGET};
    snprintf(side->path, sizeof side->path, "%s/bench-aged-%ld-%s.store", set->directory,
             (long)getpid(), name);
    ph_rng_init(&side->rng, ph_rng_seed_from_environment(1));
    must(hal_file_open(side->path, HAL_FILE_CREATE, &side->io, &diag), &diag);
    must(snap_store_create(side->io, &params, &diag), &diag);
    must(snap_store_open(side->io, 0, &side->store, NULL, &diag), &diag);
    (void)commit(side, set->live, set->live);
}

static void side_close(struct side *side)
{
    snap_store_close(side->store);
    side->io->ops->close(side->io);
    unlink(side->path);
}

static void measure(struct side *side, const struct settings *set, unsigned work, uint64_t pages)
{
    side->value[work][side->count[work]++] = commit(side, set->live, pages);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(const struct side *side, unsigned work, unsigned percent)
{
    return (double)side->value[work][(side->count[work] - 1) * percent / 100] / 1e6;
}

static json_t *report(struct side *side, const struct settings *set)
{
    json_t *rows = json_array();
    printf("%-22s %10s %10s %10s %10s %9s %9s\n", "milliseconds", "new p50", "new p99", "old p50",
           "old p99", "new/old", "at p99");
    for (unsigned work = 0; work < WORKS; work++) {
        double value[STORES][2];
        for (unsigned s = 0; s < STORES; s++) {
            qsort(side[s].value[work], side[s].count[work], sizeof(uint64_t), by_value);
            value[s][0] = percentile_ms(&side[s], work, 50);
            value[s][1] = percentile_ms(&side[s], work, 99);
        }
        printf("%-22s %10.3f %10.3f %10.3f %10.3f %9.2f %9.2f\n", work_name[work], value[NEW][0],
               value[NEW][1], value[OLD][0], value[OLD][1], value[NEW][0] / value[OLD][0],
               value[NEW][1] / value[OLD][1]);
        json_array_append_new(rows, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "work",
                                              work_name[work], "new_ms_p50", value[NEW][0],
                                              "new_ms_p99", value[NEW][1], "old_ms_p50",
                                              value[OLD][0], "old_ms_p99", value[OLD][1],
                                              "new_to_old_p50", value[NEW][0] / value[OLD][0],
                                              "new_to_old_p99", value[NEW][1] / value[OLD][1]));
    }
    double mib = (double)set->live * SNAP_PAGE_SIZE / (1 << 20);
    printf("all live pages: new %.0f MiB/s, old %.0f MiB/s\n",
           mib / percentile_ms(&side[NEW], FULL_WORK, 50) * 1e3,
           mib / percentile_ms(&side[OLD], FULL_WORK, 50) * 1e3);
    return json_pack("{s:s, s:I, s:I, s:o}", "bench", "aged", "commits", (json_int_t)set->commits,
                     "live_pages", (json_int_t)set->live, "rows", rows);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},  {"commits", required_argument, NULL, 'c'},
        {"live", required_argument, NULL, 'l'}, {"rounds", required_argument, NULL, 'r'},
        {"json", required_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    struct settings set = {.directory = ".", .commits = 10000, .live = 65536, .rounds = 10};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        switch (option) {
        case 'd': set.directory = optarg; break;
        case 'c': set.commits = strtoull(optarg, NULL, 0); break;
        case 'l': set.live = strtoull(optarg, NULL, 0); break;
        case 'r': set.rounds = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'j': set.json = optarg; break;
        default:
            fputs("usage: bench_aged [--dir D] [--commits N] [--live PAGES] [--rounds N] "
                  "[--json FILE]\n",
                  stderr);
            return 2;
        }
    }
    if (set.live < LARGE || set.rounds == 0 || set.rounds > ROUNDS_MOST / 100) {
        fprintf(stderr, "bench_aged: at least %d live pages, 1 to %d rounds\n", LARGE,
                ROUNDS_MOST / 100);
        return 2;
    }
    static struct side side[STORES];
    side_open(&side[OLD], &set, "old");
    for (uint64_t i = 0; i < set.commits; i++) {
        (void)commit(&side[OLD], set.live, LARGE);
    }
    side_open(&side[NEW], &set, "new");
    for (unsigned round = 0; round < set.rounds; round++) {
        for (unsigned s = 0; s < STORES; s++) {
            for (unsigned i = 0; i < 100; i++) {
                measure(&side[s], &set, SMALL_WORK, SMALL);
            }
            for (unsigned i = 0; i < 20; i++) {
                measure(&side[s], &set, LARGE_WORK, LARGE);
            }
            measure(&side[s], &set, FULL_WORK, set.live);
        }
    }
    json_t *root = report(side, &set);
    side_close(&side[NEW]);
    side_close(&side[OLD]);
    int rc = set.json != NULL
                 ? json_dump_file(root, set.json, JSON_INDENT(2) | JSON_REAL_PRECISION(6))
                 : 0;
    json_decref(root);
    return rc == 0 ? 0 : 1;
}
