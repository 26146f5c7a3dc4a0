/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_world.c - the campaign with a Phantom program: four VM threads with mutex, condition,
 * semaphore and timers, on several workers, with snapshots. What is checked besides sim_case.c:
 * the console (what a life prints continues what was printed, from a point that is not later than
 * where that ended; the whole is the right answer), no cut gives up, the heap by pvm_audit(), the
 * free-space accounting.
 */
#include "sim_case.h"

#include "ph_check.h"
#include "world_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char *sim_class_folder;

enum { ROUNDS = 20, WORKERS = 3, CONSOLE = 8192 };

struct world_case {
    struct sim_case *c;
    char expected[CONSOLE];
    char printed[CONSOLE]; /* by the life that runs */
    size_t printed_size;
    size_t reached; /* bytes of `expected` that have been printed so far */
    /* Options, the same for all lives of the case. */
    uint32_t interval_ms;
    const char *strategy;
    bool check, eager;
    unsigned workers;
};

static void console(void *context, const char *bytes, size_t size)
{
    struct world_case *w = context;
    SIM_EXPECT(w->printed_size + size < CONSOLE);
    memcpy(w->printed + w->printed_size, bytes, size);
    w->printed_size += size;
    w->printed[w->printed_size] = '\0';
}

static void committed(void *context, const struct phantom_generation *generation)
{
    struct world_case *w = context;
    sim_committed(w->c, generation);
}

static void message(void *context, const char *text)
{
    (void)context;
    hal_sim_note("message: %s", text);
}

static void thread_failed(void *context, const char *text)
{
    (void)context;
    hal_sim_fail("a thread of the program failed: %s", text);
}

static struct phantom_options world_options(struct world_case *w, const char *const *paths)
{
    struct phantom_options options;
    phantom_options_init(&options);
    options.boot_class = ".test.sim.mill";
    options.class_paths = paths;
    options.heap_size = UINT64_C(64) << 20;
    options.interval_ms = w->interval_ms;
    options.check_snapshots = w->check;
    options.eager = w->eager;
    options.strategy = w->strategy;
    options.allow_signal_handlers = true;
    options.workers = w->workers;
    options.context = w;
    options.console = console;
    options.committed = committed;
    options.message = message;
    options.thread_failed = thread_failed;
    return options;
}

/** With the program at its end or stopped: P8, and the heap. */
static void audit(struct world_case *w, struct phantom_world *world)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (pvm_audit(world->pvm, &diag) != 0) {
        hal_sim_fail("P1: the heap: %s", diag.text);
    }
    int rc = snap_store_audit(world->store, &diag);
    w->c->totals->audits += rc == 0;
    if (rc != 0 && rc != -EIO) {
        hal_sim_fail("P8: accounting: %s: %s", phantom_err_name(rc), diag.text);
    }
}

/** No cut may give up: the machine's time moves on only when all its threads wait. */
static void check_counters(struct world_case *w, struct phantom_world *world)
{
    struct phantom_counters counters = {.size = sizeof(counters)};
    SIM_EXPECT(phantom_counters(world, &counters) == 0);
    if (counters.refused_timeout != 0 || counters.stop_wait_most_ns > 500000000) {
        hal_sim_fail("the world did not stop in time: a wake-up is lost");
    }
    if (counters.refused_space + counters.refused_other + counters.failed != 0 &&
        hal_sim_disk_fired(w->c->disk) == 0) {
        hal_sim_fail("a snapshot was refused: %s", phantom_message(world));
    }
}

static void live_world(void *context)
{
    struct world_case *w = context;
    struct sim_case *c = w->c;
    const char *paths[] = {sim_class_folder, NULL};
    struct phantom_options options = world_options(w, paths);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_world *world = NULL;
    bool exists = sim_check_store(c, "world.phantom");
    int rc = phantom_open("world.phantom", &options, &world, &diag);
    if (rc != 0) {
        sim_check_error(c, rc, diag.text);
        return;
    }
    struct phantom_recovery recovery;
    phantom_recovered(world, &recovery);
    if (exists) {
        sim_check_opened(c, recovery.opened);
    }
    if (exists && ph_rng_below(&c->rng, 3) == 0) { /* perhaps beside the loading */
        rc = phantom_step(world, 500);
        SIM_EXPECT(rc == PHANTOM_ETIMEOUT || rc == 0 || rc == -EIO);
        rc = phantom_snapshot(world, NULL);
        SIM_EXPECT(rc == 0 || hal_sim_disk_fired(c->disk) != 0);
    }
    sim_start_reader(c, "world.phantom");
    rc = phantom_run(world);
    sim_end_reader(c);
    check_counters(w, world);
    if (rc == PHANTOM_EPOISONED || rc == -EIO) {
        sim_check_error(c, rc, phantom_message(world));
        c->poisoned = true;
        SIM_EXPECT(rc == -EIO || phantom_snapshot(world, NULL) == PHANTOM_EPOISONED);
        phantom_abandon(world);
        return;
    }
    if (rc != 0) {
        hal_sim_fail("the program ended with %s: %s", phantom_err_name(rc), phantom_message(world));
    }
    audit(w, world);
    rc = phantom_close(world);
    if (rc != 0) {
        sim_check_error(c, rc, "closing");
        return;
    }
    c->finished = true;
}

/** What was printed continues what had been printed; several places may fit. */
static void judge_world(void *context, bool finished)
{
    struct world_case *w = context;
    size_t size = w->printed_size, length = strlen(w->expected), best = SIZE_MAX;
    for (size_t at = 0; at <= w->reached && at + size <= length; at++) {
        if (memcmp(w->expected + at, w->printed, size) == 0) {
            best = at; /* the last one that fits */
        }
    }
    if (best == SIZE_MAX) {
        sim_violation(w->c, "console: after %zu bytes this life printed \"%s\"", w->reached,
                      w->printed);
        return;
    }
    if (best + size > w->reached) {
        w->reached = best + size;
    }
    if (finished && w->reached != length) {
        sim_violation(w->c, "console: the program ended after %zu of %zu bytes", w->reached,
                      length);
    }
    w->printed_size = 0;
    w->printed[0] = '\0';
}

static void *begin_world(struct sim_case *c)
{
    static const uint32_t intervals[] = {1, 2, 5, 20};
    static const char *const strategies[] = {NULL,   "epoch", "cards",  "async",
                                             "full", "fork",  "sigbus", "mprotect"};
    struct world_case *w = calloc(1, sizeof(*w));
    PH_CHECK(w != NULL);
    w->c = c;
    w->interval_ms = intervals[ph_rng_below(&c->rng, 4)];
    w->check = ph_rng_below(&c->rng, 2) == 0;
    w->strategy = strategies[ph_rng_below(&c->rng, SIM_STRATEGIES)];
    w->eager = ph_rng_below(&c->rng, 3) == 0;
    w->workers = 1 + (unsigned)ph_rng_below(&c->rng, 4);
    size_t used = 0;
    for (int round = 1, total = 0; round <= ROUNDS; round++) {
        total += WORKERS * round;
        used += (size_t)snprintf(w->expected + used, CONSOLE - used, "round %d total %d\n", round,
                                 total);
    }
    snprintf(w->expected + used, CONSOLE - used, "end\n");
    return w;
}

struct sim_campaign sim_world_campaign = {
    .name = "world",
    .path = "world.phantom",
    .live = live_world,
    .begin = begin_world,
    .judge = judge_world,
    .end = free,
    .points = {3, 30, 300},
    .steps = 1,
};
