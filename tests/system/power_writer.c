/* SPDX-License-Identifier: Apache-2.0
 *
 * power_writer.c - a program whose whole memory is known, on the snapshot engine: what the power
 * tests cut.
 *
 *     power_writer write STORE --seed S [--steps N] [--no-uring] [--strategy X] [--mutant NAME]
 *     power_writer check STORE --seed S
 *
 * The memory is a function of the seed and of the number of steps taken, which its first word
 * holds. `write` creates the store if need be, goes on from what it finds, takes one snapshot after
 * each step and writes "ack GENERATION STEPS\n" to the standard output when it is durable. `check`
 * recovers, compares every page with what so many steps make, takes two more steps to see that life
 * goes on (P6), undoes nothing, and prints "opened GENERATION STEPS\n" first.
 *
 * Exit status: 0 done, 3 an operation failed (the power was cut), 1 the memory is wrong.
 */
#include "hal_posix.h"
#include "ph_mutant.h"
#include "ph_rng.h"
#include "snap_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGES = 1024, WORDS = SNAP_PAGE_SIZE / 8, FAILED = 3 };
static const uint64_t heap_base = UINT64_C(0x210000000000);

struct writer {
    const char *path, *strategy;
    uint64_t seed, steps;
    unsigned flags; /* of hal_file_open() */
    struct snap_io *io;
    struct snap_store *store;
    struct snap_memory *memory;
    struct snap_engine *engine;
};

static int say(const char *what, int rc, const struct phantom_diag *diag)
{
    fprintf(stderr, "power_writer: %s: %s: %s\n", what, phantom_err_name(rc), diag->text);
    return FAILED;
}

/* ---- the program ------------------------------------------------------------------------------
 */

/** Call `change(page, content)` for each page that step `step` (1, 2, ...) writes. */
static void each_change(uint64_t seed, uint64_t step,
                        void (*change)(void *context, uint64_t page, uint64_t content),
                        void *context)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed ^ (step * UINT64_C(0xD1342543DE82EF95)));
    uint64_t count = ph_rng_below(&rng, 8) == 0 ? 300 : 1 + ph_rng_below(&rng, 40);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = 1 + ph_rng_below(&rng, PAGES - 1);
        change(context, page, ph_rng_below(&rng, 12) == 0 ? 0 : ph_rng_next(&rng) | 1);
    }
}

static void fill(uint64_t *words, uint64_t content)
{
    for (uint64_t i = 0; i < WORDS; i++) {
        words[i] = content == 0 ? 0 : content + i;
    }
}

static void change_memory(void *context, uint64_t page, uint64_t content)
{
    const struct writer *writer = context;
    fill((uint64_t *)(void *)(writer->memory->base + page * SNAP_PAGE_SIZE), content);
}

static uint64_t *step_word(const struct writer *writer)
{
    return (uint64_t *)(void *)writer->memory->base;
}

static void take_step(struct writer *writer)
{
    uint64_t step = *step_word(writer) + 1;
    each_change(writer->seed, step, change_memory, writer);
    *step_word(writer) = step;
}

static void change_model(void *context, uint64_t page, uint64_t content)
{
    ((uint64_t *)context)[page] = content;
}

/** Is the memory what its number of steps makes? */
static bool memory_is_right(const struct writer *writer)
{
    static uint64_t model[PAGES];
    uint64_t steps = *step_word(writer), expected[WORDS];
    for (uint64_t step = 1; step <= steps; step++) {
        each_change(writer->seed, step, change_model, model);
    }
    for (uint64_t page = 0; page < PAGES; page++) {
        fill(expected, model[page]);
        expected[0] = page == 0 ? steps : expected[0];
        if (memcmp(expected, writer->memory->base + page * SNAP_PAGE_SIZE, SNAP_PAGE_SIZE) != 0) {
            fprintf(stderr, "power_writer: page %llu is not what %llu steps make\n",
                    (unsigned long long)page, (unsigned long long)steps);
            return false;
        }
    }
    return true;
}

/* ---- store and engine -------------------------------------------------------------------------
 */

static int world_stop(void *context, int timeout_ms)
{
    (void)context, (void)timeout_ms;
    return 0; /* the only mutator is who asks */
}

static void world_resume(void *context)
{
    (void)context;
}

static uint64_t world_pages(void *context)
{
    (void)context;
    return PAGES;
}

static int create(struct writer *writer)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store_params params = {.heap_base = heap_base,
                                       .heap_size = (uint64_t)PAGES * SNAP_PAGE_SIZE,
                                       .retain_bytes = 8 << 20,
                                       .segment_bytes = 1 << 20,
                                       .ring_slots = 64};
    memcpy(params.uuid, &writer->seed, sizeof(writer->seed));
    int rc = hal_file_open(writer->path, HAL_FILE_CREATE | writer->flags, &writer->io, &diag);
    rc = rc != 0 ? rc : snap_store_create(writer->io, &params, &diag);
    return rc != 0 ? say("create", rc, &diag) : 0;
}

static int open_all(struct writer *writer, bool may_create)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    static const struct snap_world world = {NULL, world_stop, world_resume, world_pages};
    struct snap_engine_options options = {.strategy = writer->strategy, .staging_pages = 256};
    int rc = 0;
    if (may_create && access(writer->path, F_OK) != 0) {
        rc = create(writer);
        if (rc != 0) {
            return rc;
        }
    } else {
        rc = hal_file_open(writer->path, writer->flags, &writer->io, &diag);
    }
    rc = rc != 0 ? rc : snap_store_open(writer->io, 0, &writer->store, NULL, &diag);
    if (rc == 0) {
        uint64_t size = (uint64_t)PAGES * SNAP_PAGE_SIZE;
        rc = hal_memory_reserve(heap_base, size, true, &writer->memory, &diag);
        if (rc == PHANTOM_EUNSUPPORTED) {
            rc = hal_memory_reserve(heap_base, size, false, &writer->memory, &diag);
        }
    }
    rc = rc != 0 ? rc
                 : snap_engine_open(writer->memory, writer->store, &world, &options,
                                    &writer->engine, &diag);
    return rc != 0 ? say("open", rc, &diag) : 0;
}

static void close_all(struct writer *writer)
{
    snap_engine_close(writer->engine);
    snap_store_close(writer->store);
    if (writer->memory != NULL) {
        writer->memory->ops->close(writer->memory);
    }
    if (writer->io != NULL) {
        writer->io->ops->close(writer->io);
    }
}

/** Steps, each with its snapshot. */
static int run(struct writer *writer, uint64_t count, const char *word)
{
    for (uint64_t i = 0; i < count; i++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        struct snap_report report;
        take_step(writer);
        int rc = snap_engine_snapshot(writer->engine, &report, &diag);
        if (rc != 0) {
            return say("snapshot", rc, &diag);
        }
        char line[80];
        int length = snprintf(line, sizeof(line), "%s %llu %llu\n", word,
                              (unsigned long long)report.generation.number,
                              (unsigned long long)*step_word(writer));
        if (write(STDOUT_FILENO, line, (size_t)length) != length) {
            return FAILED;
        }
    }
    return 0;
}

static int check(struct writer *writer)
{
    printf("opened %llu %llu\n", (unsigned long long)snap_store_current(writer->store)->number,
           (unsigned long long)*step_word(writer));
    fflush(stdout);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_verify_report report = {0};
    if (!memory_is_right(writer)) {
        return 1;
    }
    int rc = snap_store_verify(writer->store, true, &report, NULL, NULL, &diag);
    rc = rc != 0 ? rc : snap_store_audit(writer->store, &diag);
    if (rc != 0) {
        (void)say("verify", rc, &diag);
        return 1;
    }
    rc = run(writer, 2, "went-on");
    return rc != 0 ? 1 : memory_is_right(writer) ? 0 : 1;
}

static bool set_mutant(const char *name)
{
#ifdef PH_MUTANTS
    for (int m = 1; m < PH_MUTANT_COUNT; m++) {
        if (strcmp(ph_mutant_name((enum ph_mutant)m), name) == 0) {
            ph_active_mutant = (enum ph_mutant)m;
            return true;
        }
    }
#endif
    fprintf(stderr, "power_writer: no mutant %s in this build\n", name);
    return false;
}

static int usage(void)
{
    fprintf(stderr, "usage: power_writer write|check STORE --seed S [--steps N] [--no-uring] "
                    "[--strategy X] [--mutant NAME]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},     {"steps", required_argument, NULL, 'n'},
        {"no-uring", no_argument, NULL, 'u'},       {"mutant", required_argument, NULL, 'm'},
        {"strategy", required_argument, NULL, 'x'}, {NULL, 0, NULL, 0}};
    struct writer writer = {.seed = 1, .steps = UINT64_MAX};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 's': writer.seed = strtoull(optarg, NULL, 0); break;
        case 'n': writer.steps = strtoull(optarg, NULL, 0); break;
        case 'u': writer.flags = HAL_FILE_NO_URING; break;
        case 'x': writer.strategy = optarg; break;
        case 'm':
            if (!set_mutant(optarg)) {
                return 2;
            }
            break;
        default: return usage();
        }
    }
    if (argc - optind != 2) {
        return usage();
    }
    bool writes = strcmp(argv[optind], "write") == 0;
    writer.path = argv[optind + 1];
    int rc = open_all(&writer, writes);
    if (rc == 0) {
        rc = writes ? run(&writer, writer.steps, "ack") : check(&writer);
    }
    close_all(&writer);
    return rc;
}
