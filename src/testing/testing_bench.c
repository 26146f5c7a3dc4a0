/* SPDX-License-Identifier: Apache-2.0
 *
 * testing_bench.c - benches, runs and the calls of programs (include/phantom/testing.h), over the
 * simulated machine. A bench owns a disk and a log; one thread at a time uses it.
 */
#include <phantom/testing.h>

#include "hal_sim.h"
#include "ph_error.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <hal.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_S = 30 };

struct phantom_testing_bench {
    struct hal_sim_disk *disk;
    struct hal_sim_log *log;
    struct ph_rng rng;
    uint64_t seed, runs;
};

/* ---- bench ---------------------------------------------------------------------------------- */

int phantom_testing_open(uint64_t seed, struct phantom_testing_bench **out)
{
    struct phantom_testing_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL) {
        return -ENOMEM;
    }
    bench->seed = seed;
    ph_rng_init(&bench->rng, seed * UINT64_C(0x9E3779B97F4A7C15) + 1);
    const struct hal_sim_disk_options options = {.seed = ph_rng_next(&bench->rng)};
    bench->disk = hal_sim_disk_create(&options);
    bench->log = hal_sim_log_create(true);
    if (bench->disk == NULL || bench->log == NULL) {
        phantom_testing_close(bench);
        return -ENOMEM;
    }
    hal_sim_catch_checks();
    *out = bench;
    return 0;
}

void phantom_testing_close(struct phantom_testing_bench *bench)
{
    if (bench != NULL) {
        hal_sim_disk_destroy(bench->disk);
        hal_sim_log_destroy(bench->log);
        free(bench);
    }
}

const char *phantom_testing_log(struct phantom_testing_bench *bench)
{
    return hal_sim_log_text(bench->log);
}

const void *phantom_testing_file(struct phantom_testing_bench *bench, const char *path,
                                 uint64_t *size)
{
    return hal_sim_disk_file(bench->disk, path, size);
}

int phantom_testing_put_file(struct phantom_testing_bench *bench, const char *path,
                             const void *bytes, uint64_t size)
{
    return hal_sim_disk_put(bench->disk, path, bytes, size);
}

/* ---- run ------------------------------------------------------------------------------------ */

void phantom_testing_run_init(struct phantom_testing_run *run)
{
    memset(run, 0, sizeof(*run));
    run->size = sizeof(*run);
}

/** What the event means for the machine and its disk. */
static void prepare(struct phantom_testing_bench *bench, const struct phantom_testing_run *run,
                    struct hal_sim_options *options)
{
    static const enum hal_sim_fault_kind faults[] = {
        [PHANTOM_TESTING_WRITE_ERROR] = HAL_SIM_FAULT_WRITE_ERROR,
        [PHANTOM_TESTING_FLUSH_ERROR] = HAL_SIM_FAULT_FLUSH_ERROR,
        [PHANTOM_TESTING_READ_ERROR] = HAL_SIM_FAULT_READ_ERROR,
        [PHANTOM_TESTING_SHORT_WRITE] = HAL_SIM_FAULT_SHORT_WRITE,
        [PHANTOM_TESTING_DISK_FULL] = HAL_SIM_FAULT_NO_SPACE,
        [PHANTOM_TESTING_NO_MEMORY] = HAL_SIM_FAULT_NONE,
    };
    struct hal_sim_fault fault = {faults[run->event], run->at, 1};
    if (run->event == PHANTOM_TESTING_DISK_FULL) {
        fault.count = 3;
    }
    hal_sim_disk_set_fault(bench->disk, &fault);
    if (run->event == PHANTOM_TESTING_COMMIT_CUT) {
        options->kill_at_flush = run->at;
    } else if (run->event == PHANTOM_TESTING_KILL || run->event == PHANTOM_TESTING_POWER_CUT) {
        options->kill_at_transfer = run->at;
    } else if (run->event == PHANTOM_TESTING_NO_MEMORY && run->at > 0) {
        ph_memory_fail_after((int64_t)run->at - 1, false);
    }
}

static void report(struct phantom_testing_bench *bench, struct phantom_testing_run *run,
                   const struct hal_sim_outcome *outcome)
{
    static const enum phantom_testing_end ends[] = {
        [HAL_SIM_ENDED] = PHANTOM_TESTING_ENDED,
        [HAL_SIM_KILLED] = PHANTOM_TESTING_CRASHED,
        [HAL_SIM_DEADLOCK] = PHANTOM_TESTING_DEADLOCK,
        [HAL_SIM_TOO_LONG] = PHANTOM_TESTING_TOO_LONG,
        [HAL_SIM_FAILED] = PHANTOM_TESTING_FAILED,
    };
    run->end = ends[outcome->end];
    run->steps = outcome->steps;
    run->operations = outcome->transfers;
    run->flushes = outcome->flushes;
    run->threads = outcome->threads;
    run->leaked = outcome->end == HAL_SIM_ENDED ? outcome->leftover_blocks : 0;
    run->happened = hal_sim_disk_fired(bench->disk) + (outcome->end == HAL_SIM_KILLED);
    if (run->event == PHANTOM_TESTING_NO_MEMORY) {
        run->happened = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
    }
    bench->runs++;
    snprintf(run->text, sizeof(run->text), "%.960s", outcome->text);
    if (run->end > PHANTOM_TESTING_CRASHED) {
        size_t used = strlen(run->text);
        snprintf(run->text + used, sizeof(run->text) - used, " [seed %" PRIu64 ", run %" PRIu64 "]",
                 bench->seed, bench->runs);
    }
}

static const char *what_is_wrong(const struct phantom_testing_run *run,
                                 void (*program)(void *context))
{
    return run->size != sizeof(*run)                ? "call phantom_testing_run_init() first"
           : program == NULL                        ? "there is no program"
           : hal_sim_inside()                       ? "called by a thread of a machine"
           : run->event > PHANTOM_TESTING_NO_MEMORY ? "no such event"
           : run->event != PHANTOM_TESTING_NOTHING && run->at == 0
               ? "an event needs a point: run.at is 0"
               : NULL;
}

int phantom_testing_run(struct phantom_testing_bench *bench, struct phantom_testing_run *run,
                        void (*program)(void *context), void *context)
{
    const char *wrong = what_is_wrong(run, program);
    if (wrong != NULL) {
        if (run->size == sizeof(*run)) {
            snprintf(run->text, sizeof(run->text), "%s", wrong);
        }
        return PHANTOM_EINVALID;
    }
    static const unsigned percent[] = {3, 20, 50}, every[] = {0, 1, 4, 40};
    struct hal_sim_options options = {
        .seed = ph_rng_next(&bench->rng),
        .policy = ph_rng_below(&bench->rng, 3) == 0 ? HAL_SIM_PRIORITIES : HAL_SIM_RANDOM_WALK,
        .switch_percent = percent[ph_rng_below(&bench->rng, 3)],
        .point_every = every[ph_rng_below(&bench->rng, 4)],
        .vary = ph_rng_below(&bench->rng, 2) == 0,
        .steps_most = run->steps_most,
        .patience_s = PATIENCE_S,
        .disk = bench->disk,
        .log = bench->log,
    };
    struct hal_sim_outcome outcome;
    prepare(bench, run, &options);
    int rc = hal_sim_run(&options, program, context, &outcome);
    if (rc != 0) {
        ph_memory_fail_after(-1, false);
        return rc;
    }
    report(bench, run, &outcome);
    if (run->end == PHANTOM_TESTING_CRASHED) {
        bool power = run->event != PHANTOM_TESTING_KILL;
        hal_sim_disk_crash(bench->disk, power ? HAL_SIM_POWER_CUT : HAL_SIM_PROCESS_KILLED,
                           bench->log);
    }
    return 0;
}

/* ---- on a machine --------------------------------------------------------------------------- */

void phantom_testing_fail(const char *format, ...)
{
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    hal_sim_fail("%s", text);
}

void phantom_testing_note(const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    hal_sim_note("%s", text);
}

void phantom_testing_point(void)
{
    hal_sim_point("point");
}

uint64_t phantom_testing_random(uint64_t bound)
{
    return hal_sim_random_below(bound);
}

void phantom_testing_sleep(uint32_t milliseconds)
{
    hal_sleep_msec(milliseconds < INT32_MAX ? (int)milliseconds : INT32_MAX);
}

void *phantom_testing_alloc(size_t size)
{
    void *block = ph_alloc(size);
    hal_sim_own_block(block);
    return block;
}

void phantom_testing_free(void *block)
{
    ph_free(block);
}

int phantom_testing_thread(void (*run)(void *argument), void *argument)
{
    return hal_start_thread(run, argument, THREAD_FLAG_NATIVE);
}

void phantom_testing_name(const char *name)
{
    (void)t_current_set_name(name);
}

void phantom_testing_join(int thread)
{
    hal_sim_join(thread);
}

void phantom_testing_lock(const void *address)
{
    hal_sim_lock(address);
}

void phantom_testing_unlock(const void *address)
{
    hal_sim_unlock(address);
}

static int count_pages(void *context, const struct phantom_page_range *range)
{
    *(uint64_t *)context += range->count;
    return 0;
}

int phantom_testing_compare(const char *path, uint64_t from, uint64_t to, uint64_t *pages,
                            struct phantom_diag *diag)
{
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    struct phantom_verify_report verified = {0};
    uint64_t different = 0;
    int rc = phantom_store_open(path, &store, &recovery, diag);
    if (rc != 0) {
        return rc;
    }
    rc = phantom_store_verify(store, true, &verified, NULL, NULL, diag);
    if (rc == 0 && verified.damaged != 0) {
        rc = ph_fail(diag, PHANTOM_ECORRUPT, "%s: %llu damaged pages", path,
                     (unsigned long long)verified.damaged);
    }
    if (rc == 0) {
        rc = phantom_store_diff(store, from, to, count_pages, &different, diag);
    }
    phantom_store_close(store);
    if (rc == 0 && pages != NULL) {
        *pages = different;
    }
    return rc != 0 ? rc : different != 0;
}
