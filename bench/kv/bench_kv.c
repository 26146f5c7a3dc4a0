/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_kv.c - durable single-key commits: clients that each put one random key of many, and wait
 * until it is safe, against a space of ours, SQLite, LMDB, Redis and a bare log. All in one run,
 * taking turns, so that a busy machine is busy for all.
 *
 *     bench_kv [--dir D] [--clients 1,16] [--seconds S] [--rounds R] [--keys N] [--only NAME,...]
 *              [--json FILE] [--quick]
 *
 * Values are 100 bytes and never repeat. Each client owns the keys that leave its number when
 * divided by the number of clients, so that what the newest acknowledged value of a key is, is
 * known without a lock; after each turn the store is opened again and a sample is compared.
 */
#include "kv_backend.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MOST = 64, ROUNDS_MOST = 64, CHECKED_KEYS = 1000 };

static const struct kv_backend *const all_backends[] = {
    &kv_space, &kv_sqlite, &kv_sqlite_shared, &kv_lmdb, &kv_redis, &kv_log,
};
enum { BACKENDS = sizeof(all_backends) / sizeof(all_backends[0]) };

struct settings {
    const char *directory, *only, *json;
    unsigned clients[8], clients_count;
    double seconds;
    unsigned rounds;
    uint32_t keys;
};

struct client {
    pthread_t thread;
    const struct kv_backend *backend;
    void *state;
    unsigned number, of;
    uint32_t keys;
    uint64_t random;
    _Atomic bool *stop;
    uint8_t (*newest)[KV_VALUE_BYTES];
    uint32_t *latency_us;
    size_t count, capacity;
    int error;
};

struct turn {
    double rate;
    uint32_t p50, p99, p999, most;
};

int kv_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return -1;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void make_value(uint8_t *value, uint64_t *random)
{
    for (size_t at = 0; at < KV_VALUE_BYTES; at += 4) {
        uint32_t word = (uint32_t)next_random(random);
        memcpy(value + at, &word, 4);
    }
}

static void *client_main(void *argument)
{
    struct client *c = argument;
    while (!atomic_load_explicit(c->stop, memory_order_relaxed) && c->count < c->capacity) {
        uint32_t key = (uint32_t)(next_random(&c->random) % (c->keys / c->of)) * c->of + c->number;
        uint8_t value[KV_VALUE_BYTES];
        make_value(value, &c->random);
        uint64_t begin = now_ns();
        if (c->backend->put(c->state, c->number, key, value) != 0) {
            c->error = -1;
            return NULL;
        }
        c->latency_us[c->count++] = (uint32_t)((now_ns() - begin) / 1000);
        memcpy(c->newest[key], value, KV_VALUE_BYTES);
    }
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/** Put all latencies of the clients together and sort them. */
static struct turn summarise(struct client *client, unsigned clients, double seconds)
{
    size_t total = 0;
    for (unsigned i = 0; i < clients; i++) {
        total += client[i].count;
    }
    uint32_t *all = malloc((total + 1) * sizeof(*all));
    struct turn turn = {.rate = (double)total / seconds};
    size_t at = 0;
    for (unsigned i = 0; all != NULL && i < clients; i++) {
        memcpy(all + at, client[i].latency_us, client[i].count * sizeof(*all));
        at += client[i].count;
    }
    if (all != NULL && total != 0) {
        qsort(all, total, sizeof(*all), ascending);
        turn.p50 = all[total / 2];
        turn.p99 = all[total - 1 - total / 100];
        turn.p999 = all[total - 1 - total / 1000];
        turn.most = all[total - 1];
    }
    free(all);
    return turn;
}

static int run_clients(const struct settings *set, const struct kv_backend *backend, void *state,
                       unsigned clients, uint64_t seed, uint8_t (*newest)[KV_VALUE_BYTES],
                       struct turn *out)
{
    static struct client client[CLIENTS_MOST];
    _Atomic bool stop = false;
    int rc = 0;
    size_t capacity = (size_t)(set->seconds * 200000) + 1000;
    unsigned started = 0;
    uint64_t begin = now_ns();
    for (; started < clients; started++) {
        client[started] = (struct client){.backend = backend,
                                          .state = state,
                                          .number = started,
                                          .of = clients,
                                          .keys = set->keys,
                                          .random = seed * 1000003 + started,
                                          .stop = &stop,
                                          .newest = newest,
                                          .capacity = capacity};
        client[started].latency_us = malloc(capacity * sizeof(uint32_t));
        if (client[started].latency_us == NULL ||
            pthread_create(&client[started].thread, NULL, client_main, &client[started]) != 0) {
            rc = kv_fail("cannot start client %u", started);
            break;
        }
    }
    struct timespec length = {(time_t)set->seconds,
                              (long)((set->seconds - (double)(time_t)set->seconds) * 1e9)};
    if (rc == 0) {
        nanosleep(&length, NULL);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(client[i].thread, NULL);
        rc = client[i].error != 0 ? client[i].error : rc;
    }
    *out = summarise(client, started, (double)(now_ns() - begin) / 1e9);
    for (unsigned i = 0; i < started; i++) {
        free(client[i].latency_us);
    }
    return rc;
}

/** Open again and compare a sample of keys with what was acknowledged last. */
static int check_again(const struct settings *set, const struct kv_backend *backend,
                       const char *folder, uint8_t (*newest)[KV_VALUE_BYTES], uint64_t seed)
{
    void *state;
    if (backend->get == NULL) {
        return 0;
    }
    if (backend->open(folder, 1, &state) != 0) {
        return -1;
    }
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < CHECKED_KEYS; i++) {
        uint32_t key = (uint32_t)(next_random(&seed) % set->keys);
        uint8_t value[KV_VALUE_BYTES];
        if (backend->get(state, key, value) != 0 ||
            memcmp(value, newest[key], KV_VALUE_BYTES) != 0) {
            rc = kv_fail("%s: key %u is not what was acknowledged", backend->name, key);
        }
    }
    backend->close(state);
    return rc;
}

static int take_turn(const struct settings *set, const struct kv_backend *backend, unsigned clients,
                     uint64_t seed, struct turn *out)
{
    char folder[4000], command[4096];
    snprintf(folder, sizeof(folder), "%s/kv-%s", set->directory, backend->name);
    uint8_t(*newest)[KV_VALUE_BYTES] = malloc((size_t)set->keys * KV_VALUE_BYTES);
    if (newest == NULL || mkdir(folder, 0700) != 0) {
        free(newest);
        return kv_fail("%s: %s", folder, strerror(errno));
    }
    for (uint32_t key = 0; key < set->keys; key++) {
        make_value(newest[key], &seed);
    }
    void *state;
    int rc = backend->open(folder, clients, &state);
    if (rc == 0) {
        rc = backend->load(state, set->keys, (const uint8_t(*)[KV_VALUE_BYTES])newest);
        rc = rc == 0 ? run_clients(set, backend, state, clients, seed, newest, out) : rc;
        backend->close(state);
        rc = rc == 0 ? check_again(set, backend, folder, newest, seed) : rc;
    }
    free(newest);
    snprintf(command, sizeof(command), "rm -rf -- '%s'", folder);
    return system(command) == 0 ? rc : -1;
}

static int by_rate(const void *a, const void *b)
{
    double x = ((const struct turn *)a)->rate, y = ((const struct turn *)b)->rate;
    return x < y ? -1 : x > y;
}

static bool wanted(const struct settings *set, const char *name)
{
    if (set->only == NULL) {
        return true;
    }
    size_t length = strlen(name);
    for (const char *at = set->only; (at = strstr(at, name)) != NULL; at++) {
        bool starts = at == set->only || at[-1] == ',';
        if (starts && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/** All backends with this many clients; the middle one of the rounds counts. */
static int compare(const struct settings *set, unsigned clients, json_t *report)
{
    static struct turn turn[BACKENDS][ROUNDS_MOST];
    for (unsigned round = 0; round < set->rounds; round++) {
        for (unsigned b = 0; b < BACKENDS; b++) {
            if (wanted(set, all_backends[b]->name) &&
                take_turn(set, all_backends[b], clients, round * 7919 + clients, &turn[b][round]) !=
                    0) {
                return -1;
            }
        }
    }
    double ours = 0;
    printf("\n%u client%s: commits/s, latency in us (median of %u turns of %.1f s)\n", clients,
           clients == 1 ? "" : "s", set->rounds, set->seconds);
    printf("  %-14s %10s %8s %8s %8s %9s %8s\n", "", "commits/s", "p50", "p99", "p99.9", "max",
           "ours/it");
    for (unsigned b = 0; b < BACKENDS; b++) {
        if (!wanted(set, all_backends[b]->name)) {
            continue;
        }
        qsort(turn[b], set->rounds, sizeof(struct turn), by_rate);
        struct turn *middle = &turn[b][set->rounds / 2];
        ours = b == 0 ? middle->rate : ours;
        printf("  %-14s %10.0f %8u %8u %8u %9u %8.2f   %s\n", all_backends[b]->name, middle->rate,
               middle->p50, middle->p99, middle->p999, middle->most, ours / middle->rate,
               all_backends[b]->settings);
        json_array_append_new(
            report,
            json_pack("{s:s, s:i, s:f, s:i, s:i, s:i, s:i, s:f}", "backend", all_backends[b]->name,
                      "clients", (int)clients, "commits_per_s", middle->rate, "p50_us",
                      (int)middle->p50, "p99_us", (int)middle->p99, "p99_9_us", (int)middle->p999,
                      "max_us", (int)middle->most, "ours_over_it", ours / middle->rate));
    }
    fflush(stdout);
    return 0;
}

static void usage(void)
{
    fputs("usage: bench_kv [--dir D] [--clients 1,16] [--seconds S] [--rounds R] [--keys N]\n"
          "                [--only NAME,...] [--json FILE] [--quick]\n",
          stderr);
    exit(2);
}

static void read_clients(struct settings *set, const char *text)
{
    set->clients_count = 0;
    for (char *end; *text != '\0'; text = *end == ',' ? end + 1 : end) {
        unsigned long n = strtoul(text, &end, 10);
        if (end == text || n == 0 || n > CLIENTS_MOST || set->clients_count == 8) {
            usage();
        }
        set->clients[set->clients_count++] = (unsigned)n;
    }
}

static struct settings read_settings(int argc, char **argv)
{
    struct settings set = {.directory = ".",
                           .clients = {1, 16},
                           .clients_count = 2,
                           .seconds = 5,
                           .rounds = 3,
                           .keys = 100000};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--quick") == 0) {
            set.seconds = 0.2;
            set.rounds = 1;
            set.keys = 2000;
            continue;
        }
        if (i + 1 == argc) {
            usage();
        }
        const char *value = argv[++i];
        if (strcmp(name, "--dir") == 0) {
            set.directory = value;
        } else if (strcmp(name, "--clients") == 0) {
            read_clients(&set, value);
        } else if (strcmp(name, "--seconds") == 0) {
            set.seconds = strtod(value, NULL);
        } else if (strcmp(name, "--rounds") == 0) {
            set.rounds = (unsigned)strtoul(value, NULL, 10);
        } else if (strcmp(name, "--keys") == 0) {
            set.keys = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(name, "--only") == 0) {
            set.only = value;
        } else if (strcmp(name, "--json") == 0) {
            set.json = value;
        } else {
            usage();
        }
    }
    if (set.seconds <= 0 || set.rounds == 0 || set.rounds > ROUNDS_MOST ||
        set.keys < CLIENTS_MOST) {
        usage();
    }
    return set;
}

int main(int argc, char **argv)
{
    struct settings set = read_settings(argc, argv);
    json_t *report = json_array();
    for (unsigned i = 0; i < set.clients_count; i++) {
        if (compare(&set, set.clients[i], report) != 0) {
            return 1;
        }
    }
    int rc = set.json == NULL || json_dump_file(report, set.json, JSON_INDENT(2)) == 0
                 ? 0
                 : kv_fail("cannot write %s", set.json);
    json_decref(report);
    return rc == 0 ? 0 : 1;
}
