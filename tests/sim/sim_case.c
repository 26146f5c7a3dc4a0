/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_case.c - lives, deaths and the oracle of a simulated case. What each promise P1 to P8 means
 * is in docs/hazards.md and docs/formats/store.md.
 *
 * Everything here is of one thread at a time: that which runs the cases, or a machine's.
 */
#include "sim_case.h"

#include "hal_files.h"
#include "ph_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_violation(struct sim_case *c, const char *format, ...)
{
    if (c->why[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(c->why, sizeof(c->why), format, arguments);
        va_end(arguments);
    }
}

/* ---- oracle --------------------------------------------------------------------------------- */

static const struct phantom_generation *find_known(const struct sim_case *c, uint64_t number)
{
    for (size_t i = 0; i < c->known_count; i++) {
        if (c->known[i].number == number) {
            return &c->known[i];
        }
    }
    return NULL;
}

static void know(struct sim_case *c, const struct phantom_generation *generation)
{
    SIM_EXPECT(c->known_count < SIM_GENERATIONS);
    c->known[c->known_count++] = *generation;
    c->base = generation->number;
    c->totals->generations++;
}

/** A writer has opened what a reader had seen: opening makes it durable. */
static void adopt_seen(struct sim_case *c)
{
    if (c->seen.number > c->base) {
        know(c, &c->seen);
    }
}

void sim_committed(struct sim_case *c, const struct phantom_generation *generation)
{
    if (generation->parent == c->seen.number) {
        adopt_seen(c); /* a thread of the library was faster than sim_check_opened() */
    }
    if (c->poisoned) {
        hal_sim_fail("P7: generation %" PRIu64 " is acknowledged after a failed write or flush",
                     generation->number);
    }
    if (generation->parent != c->base || generation->number <= c->base) {
        hal_sim_fail("P3: generation %" PRIu64 " on %" PRIu64 " is acknowledged, but %" PRIu64
                     " was the last one",
                     generation->number, generation->parent, c->base);
    }
    hal_sim_note("ack %" PRIu64, generation->number);
    know(c, generation);
}

void sim_check_error(struct sim_case *c, int error, const char *text)
{
    if (hal_sim_disk_fired(c->disk) == 0) {
        hal_sim_fail("P4: %s: %s, and the disk did nothing wrong", phantom_err_name(error), text);
    }
    hal_sim_note("%s: %s", phantom_err_name(error), text);
}

/** The newest generation in a store. */
static int keep_newest(void *context, const struct phantom_generation *generation)
{
    *(struct phantom_generation *)context = *generation;
    return 0;
}

struct retained {
    struct sim_case *c;
    uint64_t newest; /* not known yet, and allowed to be */
};

/** P3: what is retained was committed, with this content. */
static int check_retained(void *context, const struct phantom_generation *generation)
{
    const struct retained *retained = context;
    const struct phantom_generation *known = find_known(retained->c, generation->number);
    if (known == NULL && generation->number == retained->c->maybe.number) {
        known = &retained->c->maybe;
    }
    if (known == NULL && generation->number != retained->newest) {
        hal_sim_fail("P3: generation %" PRIu64 " was never committed", generation->number);
    }
    if (known != NULL && memcmp(known->hash, generation->hash, sizeof(known->hash)) != 0) {
        hal_sim_fail("P1: generation %" PRIu64 " is not what was committed under this number",
                     generation->number);
    }
    return 0;
}

static void damage_found(void *context, const char *what)
{
    (void)context;
    hal_sim_note("damage: %s", what);
}

static uint64_t sum_of_file(const struct sim_case *c, const char *path)
{
    uint64_t size = 0, sum = UINT64_C(0xcbf29ce484222325);
    const uint8_t *bytes = hal_sim_disk_file(c->disk, path, &size);
    for (uint64_t i = 0; bytes != NULL && i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        sum = (sum ^ word) * UINT64_C(0x100000001b3);
    }
    return sum ^ size;
}

static bool look_at_store(struct sim_case *c, const char *path)
{
    c->seen = (struct phantom_generation){0};
    if (hal_file_exists(path) != 1) {
        if (c->base != 0) {
            hal_sim_fail("P2: the store is gone; generation %" PRIu64 " was acknowledged", c->base);
        }
        return false;
    }
    uint64_t tries = 0;
    bool look = ph_rng_below(&c->rng, 4) == 0;
    uint64_t before = look ? sum_of_file(c, path) : 0;
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc;
    while ((rc = phantom_store_open(path, &store, &recovery, &diag)) != 0) {
        sim_check_error(c, rc, diag.text); /* ends when the disk has failed often enough */
        SIM_EXPECT(tries++ < 4);
    }
    struct phantom_generation newest = {0};
    (void)phantom_store_log(store, keep_newest, &newest);
    SIM_EXPECT(newest.number == recovery.opened && newest.number != 0);
    bool in_flight =
        newest.number > c->base &&
        (newest.parent == c->base || (c->maybe.number != 0 && newest.parent == c->maybe.number));
    if (newest.number != c->base && !in_flight) {
        hal_sim_fail("P2: generation %" PRIu64 " (on %" PRIu64 ") is the newest, %" PRIu64
                     " was acknowledged",
                     newest.number, newest.parent, c->base);
    }
    (void)phantom_store_log(store, check_retained, &(struct retained){c, newest.number});
    sim_check_tags(c, store);
    if (in_flight && newest.parent == c->maybe.number) {
        know(c, &c->maybe); /* it was durable before anybody built on it */
    }
    c->seen = newest;
    c->rolled = c->rolled || (c->rolling.number != 0 && newest.number > c->rolling.number &&
                              memcmp(newest.hash, c->rolling.hash, sizeof(newest.hash)) == 0);
    struct phantom_verify_report report = {0};
    rc = phantom_store_verify(store, true, &report, damage_found, NULL, &diag);
    if (rc != 0 || report.damaged != 0) {
        if (hal_sim_disk_fired(c->disk) == 0) {
            hal_sim_fail("P4: verify after a crash: %s: %s, %" PRIu64 " damaged",
                         phantom_err_name(rc), diag.text, report.damaged);
        }
    }
    phantom_store_close(store);
    if (look && sum_of_file(c, path) != before) {
        hal_sim_fail("P5: a reader has written");
    }
    return true;
}

bool sim_check_store(struct sim_case *c, const char *path)
{
    bool exists = look_at_store(c, path);
    if (exists) {
        c->maybe = c->seen.number > c->base ? c->seen : (struct phantom_generation){0};
        if (sim_administer(c, path)) {
            exists = look_at_store(c, path);
            c->maybe = (struct phantom_generation){0};
        }
    }
    return exists;
}

void sim_check_opened(struct sim_case *c, uint64_t opened)
{
    if (opened != c->seen.number) {
        hal_sim_fail("P5: a reader saw generation %" PRIu64 ", the writer opened %" PRIu64,
                     c->seen.number, opened);
    }
    adopt_seen(c);
    c->rolling = c->maybe = (struct phantom_generation){0};
}

/* ---- lives ---------------------------------------------------------------------------------- */

bool sim_with_points = true;

static struct hal_sim_options machine(struct sim_case *c, const struct sim_campaign *campaign)
{
    const unsigned every[] = {0, campaign->points[0], campaign->points[1], campaign->points[2]};
    static const uint64_t steps_ns[] = {1000, 10000, 60000};
    static const unsigned percent[] = {3, 20, 50}, spurious[] = {0, 20, 300};
    return (struct hal_sim_options){
        .seed = ph_rng_next(&c->rng),
        .policy = ph_rng_below(&c->rng, 3) == 0 ? HAL_SIM_PRIORITIES : HAL_SIM_RANDOM_WALK,
        .switch_percent = percent[ph_rng_below(&c->rng, 3)],
        .change_points = 1 + (unsigned)ph_rng_below(&c->rng, 8),
        .step_most_ns = steps_ns[ph_rng_below(&c->rng, 3)],
        .spurious_permille = spurious[ph_rng_below(&c->rng, 3)],
        .cpus = 1 + (int)ph_rng_below(&c->rng, 3),
        .point_every = sim_with_points ? every[ph_rng_below(&c->rng, 4)] : 0,
        .vary = sim_with_points && ph_rng_below(&c->rng, 4) != 0,
        .disk = c->disk,
        .log = c->log,
        .coverage = &c->totals->coverage,
    };
}

static struct hal_sim_fault some_fault(struct sim_case *c, const struct sim_campaign *campaign)
{
    static const enum hal_sim_fault_kind kinds[] = {
        HAL_SIM_FAULT_WRITE_ERROR, HAL_SIM_FAULT_SHORT_WRITE, HAL_SIM_FAULT_FLUSH_ERROR,
        HAL_SIM_FAULT_NO_SPACE, HAL_SIM_FAULT_READ_ERROR};
    return (struct hal_sim_fault){.kind = kinds[ph_rng_below(&c->rng, 5)],
                                  .at = 1 + ph_rng_below(&c->rng, campaign->transfers / 2 + 2),
                                  .count = 1 + ph_rng_below(&c->rng, 3)};
}

/** One life. True: the program has come to its end, or there was a violation. */
static bool live(struct sim_campaign *campaign, struct sim_case *c, void *context)
{
    struct hal_sim_options options = machine(c, campaign);
    struct hal_sim_fault fault = {HAL_SIM_FAULT_NONE, 0, 0};
    uint64_t how = c->last ? 4 : ph_rng_below(&c->rng, 4);
    options.change_steps = campaign->steps + 1;
    options.steps_most = campaign->steps * 30 + 200000;
    if (how == 0) {
        options.kill_at_transfer = 1 + ph_rng_below(&c->rng, campaign->transfers + 1);
    } else if (how < 3) {
        options.kill_at_step = 1 + ph_rng_below(&c->rng, campaign->steps + 1);
    } else if (how == 3) {
        fault = some_fault(c, campaign);
        options.kill_at_step = 1 + ph_rng_below(&c->rng, campaign->steps * 3 + 1);
    }
    hal_sim_disk_set_fault(c->disk, &fault);
    c->finished = c->poisoned = false;
    c->fault_is_final =
        fault.kind == HAL_SIM_FAULT_WRITE_ERROR || fault.kind == HAL_SIM_FAULT_FLUSH_ERROR;
    hal_sim_log_line(c->log, "life %u", c->life);
    struct hal_sim_outcome outcome;
    if (hal_sim_run(&options, campaign->live, context, &outcome) != 0) {
        sim_violation(c, "no memory for a machine");
        return true;
    }
    c->totals->lives++;
    c->totals->steps += outcome.steps;
    c->totals->points += outcome.points;
    c->totals->switches += outcome.switches;
    c->totals->schedule = c->totals->schedule * 31 + outcome.schedule;
    c->totals->transfers += outcome.transfers;
    c->totals->kills += outcome.end == HAL_SIM_KILLED;
    c->totals->faults += hal_sim_disk_fired(c->disk);
    if (outcome.end != HAL_SIM_ENDED && outcome.end != HAL_SIM_KILLED) {
        sim_violation(c, "life %u: %s: %s", c->life, hal_sim_end_name(outcome.end), outcome.text);
        return true;
    }
    if (outcome.end == HAL_SIM_ENDED && outcome.leftover_blocks != 0) {
        sim_violation(c, "life %u: %" PRIu64 " blocks of memory leaked", c->life,
                      outcome.leftover_blocks);
        return true;
    }
    if (campaign->steps == 1) {
        campaign->steps = outcome.steps - outcome.points;
        campaign->transfers = outcome.transfers;
    }
    campaign->judge(context, c->finished);
    return c->finished || c->why[0] != '\0';
}

static void run_lives(struct sim_campaign *campaign, struct sim_case *c, void *context)
{
    unsigned lives = campaign->steps == 1 ? 1 : 1 + (unsigned)ph_rng_below(&c->rng, 5);
    for (c->life = 1;; c->life++) {
        c->last = c->life >= lives;
        if (live(campaign, c, context)) {
            return;
        }
        if (c->last) {
            sim_violation(c, "P6: life %u was not disturbed and has not come to its end", c->life);
            return;
        }
        bool power = ph_rng_below(&c->rng, 3) != 0;
        c->totals->cuts += power;
        hal_sim_disk_crash(c->disk, power ? HAL_SIM_POWER_CUT : HAL_SIM_PROCESS_KILLED, c->log);
        sim_flip_bytes(c, campaign->path);
        if (c->why[0] != '\0') {
            return;
        }
    }
}

bool sim_case_run(struct sim_campaign *campaign, uint64_t seed, struct sim_totals *totals,
                  bool keep_log, char **log_text, char *why, size_t why_size)
{
    struct sim_case *c = calloc(1, sizeof(*c));
    PH_CHECK(c != NULL);
    ph_rng_init(&c->rng, seed * UINT64_C(0x9E3779B97F4A7C15) + 1);
    c->seed = seed;
    c->totals = totals;
    c->reader = -1;
    totals->schedule = 0;
    c->log = hal_sim_log_create(keep_log);
    const struct hal_sim_disk_options options = {
        .seed = ph_rng_next(&c->rng),
        .file_bytes = UINT64_C(64) << 20,
        .latency_most_us = 20u << ph_rng_below(&c->rng, 8),
        .flush_most_us = 100u << ph_rng_below(&c->rng, 5),
    };
    c->disk = hal_sim_disk_create(&options);
    PH_CHECK(c->log != NULL && c->disk != NULL);
    void *context = campaign->begin(c);
    run_lives(campaign, c, context);
    totals->runs++;
    campaign->end(context);
    bool good = c->why[0] == '\0';
    snprintf(why, why_size, "%s", c->why);
    if (!good && !keep_log) {
        fprintf(stderr, "last lines of the log:\n%.3000s\n",
                hal_sim_log_text(c->log) + (strlen(hal_sim_log_text(c->log)) > 3000
                                                ? strlen(hal_sim_log_text(c->log)) - 3000
                                                : 0));
    }
    if (log_text != NULL) {
        *log_text = strdup(hal_sim_log_text(c->log));
    }
    hal_sim_disk_destroy(c->disk);
    hal_sim_log_destroy(c->log);
    free(c);
    return good;
}
