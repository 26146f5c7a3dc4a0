/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_overhead.c - what continuous snapshots cost a running program: a hash map in a space, four
 * reads to one write (80/20) of random keys, without snapshots, with one a second, with a hundred a
 * second. They take turns of a second or so in one process and one heap; a figure is the median
 * over the rounds of throughput / throughput without.
 *
 * The loop does nothing else, millions of times a second, so it writes more pages than any disk
 * takes. What must be lost to that is measured beside it, in turns of its own (overhead_floor.h):
 * a thread that finds, copies and sums the written pages and does nothing with them. bench_server
 * has the same load at the rate of a server.
 *
 *     bench_overhead [--dir D] [--keys N] [--turn-s S] [--rounds R] [--threads N] [--json FILE]
 *                    [--quick]
 *
 * Writes either replace 100-byte values anywhere (uniform), or nine times of ten among a hundredth
 * of the keys (skewed). Both are shown, tracked by the kernel (async) and announced (cards).
 * Beside the cost: snapshots a second, pages of one, page faults of the load for one, its pause.
 */
#include "examples/kvserver/kv_map.h"
#include "overhead_floor.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 100, ROUNDS_MOST = 64, THREADS_MOST = 16, BATCH = 64 };
enum { RATES = 3 };
static const unsigned rate_per_s[RATES] = {0, 1, 100};

struct settings {
    const char *directory, *json;
    uint32_t keys;
    double turn_s;
    unsigned rounds, threads;
};

struct load {
    pthread_t thread;
    struct phantom_space *space;
    struct kv_map *map;
    pthread_rwlock_t *lock;
    const struct settings *set;
    bool skewed;
    uint64_t random, operations;
    uint64_t seen; /* so that reads are not optimised away */
    uint64_t faults;
    atomic_bool *stop;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t choose_key(struct load *load)
{
    uint32_t keys = load->set->keys;
    uint64_t random = next_random(&load->random);
    bool hot = load->skewed && random % 10 != 0;
    return (uint32_t)((random >> 8) % (hot ? keys / 100 + 1 : keys));
}

static void one_write(struct load *load)
{
    uint8_t value[VALUE_BYTES];
    uint32_t key = choose_key(load);
    for (unsigned i = 0; i < VALUE_BYTES; i += 4) {
        uint32_t word = (uint32_t)next_random(&load->random);
        memcpy(value + i, &word, 4);
    }
    pthread_rwlock_wrlock(load->lock);
    phantom_space_enter(load->space);
    (void)kv_map_put(load->space, load->map, &key, sizeof(key), value, sizeof(value));
    phantom_space_leave(load->space);
    pthread_rwlock_unlock(load->lock);
}

static uint64_t one_read(struct load *load)
{
    struct kv_value value;
    uint64_t word = 0;
    uint32_t key = choose_key(load);
    pthread_rwlock_rdlock(load->lock);
    if (kv_map_get(load->map, &key, sizeof(key), &value)) {
        memcpy(&word, value.bytes, sizeof(word));
    }
    pthread_rwlock_unlock(load->lock);
    return word;
}

static void *load_main(void *argument)
{
    struct load *load = argument;
    while (!atomic_load_explicit(load->stop, memory_order_relaxed)) {
        for (int i = 0; i < BATCH; i++) {
            if (next_random(&load->random) % 5 == 0) {
                one_write(load);
            } else {
                load->seen += one_read(load);
            }
        }
        load->operations += BATCH;
    }
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    load->faults = (uint64_t)usage.ru_minflt;
    return NULL;
}

/** What is taken at the turn's rate. */
struct subject {
    struct phantom_space *space;
    struct kv_map *map;
    struct overhead_floor *floor; /* NULL: snapshots */
    uint64_t floor_pages;         /* of one; 0: those that the kernel reports */
};

struct turn {
    double per_s, snapshots_per_s;
    double pages, faults, pause_us; /* of one snapshot */
};

static void take_one(const struct subject *subject, uint64_t *pages)
{
    if (subject->floor != NULL) {
        *pages += subject->floor_pages != 0 ? floor_take_pages(subject->floor, subject->floor_pages)
                                            : floor_take_written(subject->floor);
        return;
    }
    int rc = phantom_space_commit(subject->space);
    if (rc != 0) {
        fprintf(stderr, "bench_overhead: snapshot: %s\n", phantom_strerror(rc));
        exit(1);
    }
}

/** Until the turn ends; how many were taken. */
static unsigned take_all(const struct subject *subject, double begin, double end, unsigned rate,
                         uint64_t *pages)
{
    for (unsigned taken = 0;; taken++) {
        double next = rate != 0 ? begin + (taken + 0.5) / rate : end;
        double wait = (next < end ? next : end) - now_s();
        if (wait > 0) {
            nanosleep(&(struct timespec){(time_t)wait, (long)((wait - (time_t)wait) * 1e9)}, NULL);
        }
        if (next >= end || now_s() >= end) {
            return taken;
        }
        take_one(subject, pages);
    }
}

/** One turn with snapshots at this rate. */
static struct turn take_turn(const struct settings *set, const struct subject *subject, bool skewed,
                             unsigned rate, uint64_t seed)
{
    static struct load load[THREADS_MOST];
    struct phantom_space_counters before = {.size = sizeof(before)}, after = before;
    pthread_rwlock_t lock;
    atomic_bool stop = false;
    pthread_rwlock_init(&lock, NULL);
    phantom_space_counters(subject->space, &before);
    double begin = now_s();
    for (unsigned i = 0; i < set->threads; i++) {
        load[i] = (struct load){.space = subject->space,
                                .map = subject->map,
                                .lock = &lock,
                                .set = set,
                                .skewed = skewed,
                                .random = seed * 31 + i,
                                .stop = &stop};
        if (pthread_create(&load[i].thread, NULL, load_main, &load[i]) != 0) {
            perror("bench_overhead: thread");
            exit(1);
        }
    }
    uint64_t pages = 0, operations = 0, faults = 0;
    unsigned taken = take_all(subject, begin, begin + set->turn_s, rate, &pages);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < set->threads; i++) {
        pthread_join(load[i].thread, NULL);
        operations += load[i].operations;
        faults += load[i].faults;
    }
    double seconds = now_s() - begin, each = taken != 0 ? taken : 1;
    pthread_rwlock_destroy(&lock);
    phantom_space_counters(subject->space, &after);
    pages += after.pages - before.pages;
    return (struct turn){.per_s = (double)operations / seconds,
                         .snapshots_per_s = taken / seconds,
                         .pages = (double)pages / each,
                         .faults = (double)faults / each,
                         .pause_us = (double)(after.pause_ns - before.pause_ns) / 1e3 / each};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static struct phantom_space *open_space(const char *path, bool announced)
{
    struct phantom_space_options options;
    struct phantom_space *space;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_options_init(&options);
    options.all_stores_announced = announced;
    options.strategy = announced ? NULL : "async";
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    if (phantom_space_open(path, &options, &space, &diag) != 0) {
        fprintf(stderr, "bench_overhead: %s\n", diag.text);
        exit(1);
    }
    return space;
}

static struct kv_map *fill(struct phantom_space *space, uint32_t keys)
{
    uint8_t value[VALUE_BYTES] = {1};
    phantom_space_enter(space);
    struct kv_map *map = kv_map_create(space);
    for (uint32_t key = 0; map != NULL && key < keys; key++) {
        if (kv_map_put(space, map, &key, sizeof(key), value, sizeof(value)) != 0) {
            map = NULL;
        }
    }
    phantom_space_leave(space);
    if (map == NULL || phantom_space_commit(space) != 0) {
        fputs("bench_overhead: the space is full\n", stderr);
        exit(1);
    }
    return map;
}

/** All figures of the turns at one rate. */
struct figures {
    double cost[ROUNDS_MOST], reached[ROUNDS_MOST], pages[ROUNDS_MOST], faults[ROUNDS_MOST],
        pause_us[ROUNDS_MOST];
};

static double median(double *of, unsigned count)
{
    qsort(of, count, sizeof(double), ascending);
    return of[count / 2];
}

/** The rounds. Returns the throughput without anything. */
static double take_rounds(const struct settings *set, const struct subject subject[RATES],
                          bool skewed, struct figures figures[RATES])
{
    double base[ROUNDS_MOST];
    for (unsigned round = 0; round < set->rounds; round++) {
        /* Without snapshots before and after, so that a slow drift of the machine cancels. */
        double before = take_turn(set, &subject[0], skewed, 0, round).per_s;
        struct turn with[RATES];
        for (unsigned r = 1; r < RATES; r++) {
            with[r] = take_turn(set, &subject[r], skewed, rate_per_s[r], round + 1000 * r);
        }
        base[round] = (before + take_turn(set, &subject[0], skewed, 0, round + 77).per_s) / 2;
        for (unsigned r = 1; r < RATES; r++) {
            figures[r].cost[round] = 1 - with[r].per_s / base[round];
            figures[r].reached[round] = with[r].snapshots_per_s;
            figures[r].pages[round] = with[r].pages;
            figures[r].faults[round] = with[r].faults;
            figures[r].pause_us[round] = with[r].pause_us;
        }
    }
    return median(base, set->rounds);
}

static void compare(const struct settings *set, bool announced, bool skewed, json_t *report)
{
    static struct figures snapshots[RATES], floors[RATES];
    struct subject subject[RATES];
    char path[4096];
    snprintf(path, sizeof(path), "%s/overhead.phantom", set->directory);
    unlink(path);
    struct phantom_space *space = open_space(path, announced);
    struct kv_map *map = fill(space, set->keys);
    for (unsigned r = 0; r < RATES; r++) {
        subject[r] = (struct subject){.space = space, .map = map};
    }
    double without = take_rounds(set, subject, skewed, snapshots);
    struct overhead_floor *least = floor_open(space);
    for (unsigned r = 1; r < RATES; r++) {
        subject[r].floor = least;
        subject[r].floor_pages =
            announced ? (uint64_t)median(snapshots[r].pages, set->rounds) + 1 : 0;
    }
    (void)take_rounds(set, subject, skewed, floors);
    floor_close(least);
    printf("%-6s %-8s %9.0f", phantom_space_strategy(space), skewed ? "skewed" : "uniform",
           without);
    for (unsigned r = 1; r < RATES; r++) {
        struct figures *f = &snapshots[r];
        double cost = median(f->cost, set->rounds), reached = median(f->reached, set->rounds);
        double pages = median(f->pages, set->rounds), faults = median(f->faults, set->rounds);
        double pause_us = median(f->pause_us, set->rounds);
        double least_cost = median(floors[r].cost, set->rounds);
        printf(" | %5.1f %% %6.1f %% %6.1f %6.0f %6.0f %6.0f", cost * 100, least_cost * 100,
               reached, pages, faults, pause_us);
        json_array_append_new(
            report,
            json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "strategy",
                      phantom_space_strategy(space), "keys", skewed ? "skewed" : "uniform",
                      "snapshots_per_s", (int)rate_per_s[r], "operations_per_s_without", without,
                      "cost", cost, "floor_cost", least_cost, "snapshots_per_s_reached", reached,
                      "pages", pages, "faults", faults, "floor_faults",
                      median(floors[r].faults, set->rounds), "pause_us", pause_us));
    }
    printf("\n");
    fflush(stdout);
    phantom_space_abandon(space);
    unlink(path);
}

static void usage(void)
{
    fputs("usage: bench_overhead [--dir D] [--keys N] [--turn-s S] [--rounds R] [--threads N]\n"
          "                      [--json FILE] [--quick]\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    struct settings set = {
        .directory = ".", .keys = 1000000, .turn_s = 2, .rounds = 7, .threads = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            set.keys = 20000;
            set.turn_s = 0.1;
            set.rounds = 1;
        } else if (i + 1 == argc) {
            usage();
        } else if (strcmp(argv[i], "--dir") == 0) {
            set.directory = argv[++i];
        } else if (strcmp(argv[i], "--keys") == 0) {
            set.keys = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--turn-s") == 0) {
            set.turn_s = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            set.rounds = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--threads") == 0) {
            set.threads = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--json") == 0) {
            set.json = argv[++i];
        } else {
            usage();
        }
    }
    if (set.keys == 0 || !(set.turn_s > 0) || set.rounds == 0 || set.rounds > ROUNDS_MOST ||
        set.threads == 0 || set.threads > THREADS_MOST) {
        usage();
    }
    json_t *report = json_array();
    printf("%u keys, %u thread%s, %u rounds of %.1f s: operations/s without snapshots; how much "
           "less with, the floor of that, snapshots/s reached, of one: pages, faults, pause us\n"
           "%-6s %-8s %9s | %-42s | %s\n",
           set.keys, set.threads, set.threads == 1 ? "" : "s", set.rounds, set.turn_s, "", "keys",
           "without/s", "1/s: cost, floor, reached, pages, faults, p.", "100/s: the same");
    for (int announced = 0; announced < 2; announced++) {
        for (int skewed = 0; skewed < 2; skewed++) {
            compare(&set, announced, skewed, report);
        }
    }
    int rc = set.json == NULL || json_dump_file(report, set.json, JSON_INDENT(2)) == 0 ? 0 : 1;
    json_decref(report);
    return rc;
}
