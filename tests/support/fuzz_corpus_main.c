/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_corpus_main.c - runs a libFuzzer harness without libFuzzer, so that any compiler can run the
 * corpus as a test: each file given (or each file of a directory given), then N seeded mutations of
 * each. Link it with a file that defines LLVMFuzzerTestOneInput().
 *
 *     harness [--mutations N] [--only M] [--save FILE] PATH...
 *
 * Mutation M of a file depends on PH_SEED, the file's contents and M alone. When the harness dies,
 * the message names file and M; `--only M FILE` with the same PH_SEED runs just that input again,
 * and
 * --save writes it to a file. An input that runs longer than 20 s counts as a hang and kills the
 * process. No input at all is a failure: an empty corpus must not look like a pass.
 */
#include "ph_rng.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the sanitizer runtime, when there is one: it ends the process without a signal. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { INPUT_SECONDS = 20, MAX_EDITS = 6, MAX_GROWTH = 256 };

struct options {
    uint64_t seed;
    uint64_t mutations;
    int64_t only; /* -1: all */
    const char *save;
};

struct input {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* What runs now, for the message of the signal handler: one line, ready to write. */
static char running[512];

static void say_what_ran(void)
{
    size_t size = strlen(running);
    if (write(STDERR_FILENO, running, size) < 0) {
        _exit(2);
    }
}

static void on_deadly_signal(int signal_number)
{
    say_what_ran();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run_input(const struct options *options, const char *name, int64_t mutation,
                      const uint8_t *data, size_t size)
{
    snprintf(running, sizeof running,
             "\nfuzz corpus: died or hung in %.300s, mutation %lld, PH_SEED=%llu\n", name,
             (long long)mutation, (unsigned long long)options->seed);
    if (options->save) {
        FILE *file = fopen(options->save, "wb");
        if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
            perror(options->save);
            exit(2);
        }
    }
    uint8_t *exact = malloc(size > 0 ? size : 1); /* no slack: ASan sees each byte too far */
    if (!exact) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    memcpy(exact, data, size);
    alarm(INPUT_SECONDS);
    LLVMFuzzerTestOneInput(exact, size);
    alarm(0);
    free(exact);
}

/* ---- mutations ---- */

static uint64_t hash_input(const struct input *input)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < input->size; i++) {
        hash = (hash ^ input->data[i]) * 1099511628211u;
    }
    return hash;
}

/* A number that sits on an edge, in 1, 2, 4 or 8 bytes and either byte order. */
static void put_edge(struct ph_rng *rng, uint8_t *data, size_t size)
{
    static const uint64_t edges[] = {0,          1,          2,          0x7f,      0x80,
                                     0xff,       0x7fff,     0x8000,     0xffff,    0x7fffffff,
                                     0x80000000, 0xffffffff, 0xfffffffe, UINT64_MAX};
    size_t width = (size_t)1 << ph_rng_below(rng, 4);
    uint64_t value = edges[ph_rng_below(rng, sizeof edges / sizeof edges[0])];
    bool big_endian = ph_rng_below(rng, 2);
    if (size < width) {
        return;
    }
    uint8_t *at = data + ph_rng_below(rng, size - width + 1);
    for (size_t i = 0; i < width; i++) {
        at[big_endian ? width - 1 - i : i] = (uint8_t)(value >> (8 * i));
    }
}

static void erase_range(struct ph_rng *rng, struct input *input)
{
    size_t from = ph_rng_below(rng, input->size);
    size_t count = 1 + ph_rng_below(rng, input->size - from);
    if (ph_rng_below(rng, 2) && count > 8) {
        count = 1 + ph_rng_below(rng, 8);
    }
    memmove(input->data + from, input->data + from + count, input->size - from - count);
    input->size -= count;
}

/* Insert a copy of another place, or random bytes. */
static void insert_range(struct ph_rng *rng, struct input *input)
{
    size_t at = ph_rng_below(rng, input->size + 1);
    size_t from = ph_rng_below(rng, input->size);
    size_t count = 1 + ph_rng_below(rng, MAX_GROWTH / MAX_EDITS);
    if (count > input->size - from) {
        count = input->size - from;
    }
    if (count > input->capacity - input->size) {
        return;
    }
    uint8_t piece[MAX_GROWTH];
    memcpy(piece, input->data + from, count);
    if (ph_rng_below(rng, 2)) {
        for (size_t i = 0; i < count; i++) {
            piece[i] = (uint8_t)ph_rng_next(rng);
        }
    }
    memmove(input->data + at + count, input->data + at, input->size - at);
    memcpy(input->data + at, piece, count);
    input->size += count;
}

static void mutate_once(struct ph_rng *rng, struct input *input)
{
    if (input->size == 0) {
        input->data[input->size++] = (uint8_t)ph_rng_next(rng);
        return;
    }
    size_t at = ph_rng_below(rng, input->size);
    switch (ph_rng_below(rng, 8)) {
    case 0: input->data[at] ^= (uint8_t)(1u << ph_rng_below(rng, 8)); break;
    case 1: input->data[at] = (uint8_t)ph_rng_next(rng); break;
    case 2: input->data[at] = (uint8_t)(input->data[at] + 1 - 2 * (int)ph_rng_below(rng, 2)); break;
    case 3: input->size = at; break;
    case 4: erase_range(rng, input); break;
    case 5: insert_range(rng, input); break;
    default: put_edge(rng, input->data, input->size); break;
    }
}

static void run_mutation(const struct options *options, const char *name,
                         const struct input *original, uint64_t hash, uint64_t mutation,
                         struct input *scratch)
{
    struct ph_rng rng;
    ph_rng_init(&rng, options->seed ^ hash ^ (mutation * 0x9e3779b97f4a7c15u));
    memcpy(scratch->data, original->data, original->size);
    scratch->size = original->size;
    uint64_t edits = 1 + ph_rng_below(&rng, MAX_EDITS);
    for (uint64_t i = 0; i < edits; i++) {
        mutate_once(&rng, scratch);
    }
    run_input(options, name, (int64_t)mutation, scratch->data, scratch->size);
}

/* ---- files ---- */

static bool read_input(const char *path, struct input *out)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) != 0) {
        perror(path);
        if (file) {
            fclose(file);
        }
        return false;
    }
    out->size = (size_t)info.st_size;
    out->data = malloc(out->size + 1);
    bool ok = out->data && fread(out->data, 1, out->size, file) == out->size;
    if (!ok) {
        fprintf(stderr, "%s: cannot be read completely\n", path);
    }
    fclose(file);
    return ok;
}

static bool run_file(const struct options *options, const char *path, uint64_t *inputs)
{
    struct input original = {0};
    struct input scratch = {0};
    bool ok = read_input(path, &original);
    if (ok) {
        scratch.capacity = original.size + MAX_GROWTH;
        scratch.data = malloc(scratch.capacity);
        ok = scratch.data != NULL;
    }
    if (ok && options->only >= 0) {
        run_mutation(options, path, &original, hash_input(&original), (uint64_t)options->only,
                     &scratch);
        (*inputs)++;
    } else if (ok) {
        uint64_t hash = hash_input(&original);
        run_input(options, path, -1, original.data, original.size);
        for (uint64_t i = 0; i < options->mutations; i++) {
            run_mutation(options, path, &original, hash, i, &scratch);
        }
        *inputs += 1 + options->mutations;
    }
    free(original.data);
    free(scratch.data);
    return ok;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool run_path(const struct options *options, const char *path, uint64_t *inputs)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        perror(path);
        return false;
    }
    if (!S_ISDIR(info.st_mode)) {
        return run_file(options, path, inputs);
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    bool ok = count > 0;
    if (!ok) {
        fprintf(stderr, "%s: no files\n", path);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        ok = ok && length > 0 && (size_t)length < sizeof name && run_file(options, name, inputs);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

static void watch_for_death(void)
{
    static const int deadly[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    size_t count = sizeof deadly / sizeof deadly[0];
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(say_what_ran);
        count = 2; /* the sanitizer reports the others itself */
    }
    for (size_t i = 0; i < count; i++) {
        signal(deadly[i], on_deadly_signal);
    }
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--mutations N] [--only M] [--save FILE] PATH...\n", program);
    return 2;
}

int main(int count, char **arguments)
{
    struct options options = {.seed = ph_rng_seed_from_environment(1), .only = -1};
    uint64_t inputs = 0;
    int at = 1;
    for (; at + 1 < count && strncmp(arguments[at], "--", 2) == 0; at += 2) {
        if (strcmp(arguments[at], "--mutations") == 0) {
            options.mutations = strtoull(arguments[at + 1], NULL, 10);
        } else if (strcmp(arguments[at], "--only") == 0) {
            options.only = strtoll(arguments[at + 1], NULL, 10);
        } else if (strcmp(arguments[at], "--save") == 0) {
            options.save = arguments[at + 1];
        } else {
            return usage(arguments[0]);
        }
    }
    if (at >= count) {
        return usage(arguments[0]);
    }
    watch_for_death();
    for (; at < count; at++) {
        if (!run_path(&options, arguments[at], &inputs)) {
            return 1;
        }
    }
    printf("%llu inputs, PH_SEED=%llu\n", (unsigned long long)inputs,
           (unsigned long long)options.seed);
    return 0;
}
