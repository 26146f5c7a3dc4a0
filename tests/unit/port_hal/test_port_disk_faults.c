/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_disk_faults.c - disks of the port's HAL under faults and power cuts, on the simulated
 * machine: requests, trims and fences of three clients, while transfers fail, are short or
 * interrupted, flushes fail or lie, and the machine is killed; then the disk loses, tears and
 * reorders what was not flushed, and must hold what the model (disk_faults.c) says is possible.
 *
 * PH_SEED=n first seed; PH_SIM_SEEDS=n how many. A seed is two lives of a machine on one disk.
 */
#include "disk_faults.h"
#include "hal_sim.h"
#include "on_machine.h"
#include "ph_rng.h"
#include "ph_sanitizer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = PH_UNDER_TSAN ? 40 : PH_UNDER_ASAN ? 150 : 400, LIVES = 2, DEFECT_SEEDS = 300 };

static struct faults_totals totals;
static uint64_t kills, cuts, fired, shut_downs;

/* One fault a life, or none; how the machine is killed is chosen apart from it. */
static void make_plan(struct ph_rng *rng, struct faults_plan *plan, struct hal_sim_fault *fault,
                      struct hal_sim_options *options)
{
    static const enum hal_sim_fault_kind kinds[] = {
        HAL_SIM_FAULT_NONE,        HAL_SIM_FAULT_NONE,        HAL_SIM_FAULT_WRITE_ERROR,
        HAL_SIM_FAULT_SHORT_WRITE, HAL_SIM_FAULT_FLUSH_ERROR, HAL_SIM_FAULT_READ_ERROR};
    uint64_t kind = ph_rng_below(rng, 7), end = ph_rng_below(rng, 4);
    *plan = (struct faults_plan){.seed = ph_rng_next(rng)};
    *fault = (struct hal_sim_fault){HAL_SIM_FAULT_NONE, 0, 0};
    if (kind < 6 && kinds[kind] != HAL_SIM_FAULT_NONE) {
        bool flush = kinds[kind] == HAL_SIM_FAULT_FLUSH_ERROR;
        *fault = (struct hal_sim_fault){kinds[kind], 1 + ph_rng_below(rng, flush ? 4 : 40),
                                        1 + ph_rng_below(rng, 3)};
        /* the first read is of the machine that opens the disk */
        fault->at += kinds[kind] == HAL_SIM_FAULT_READ_ERROR ? 8 : 0;
        plan->writes_may_fail = !flush;
    } else if (kind == 6) {
        plan->shut_down_at = 1 + ph_rng_below(rng, 4);
        plan->writes_may_fail = true;
    }
    plan->short_permille = ph_rng_below(rng, 2) == 0 ? 200 : 0;
    options->kill_at_transfer = end == 0 ? 4 + ph_rng_below(rng, 90) : 0;
    options->kill_at_flush = end == 1 ? 1 + ph_rng_below(rng, 5) : 0;
    options->kill_at_step = end == 2 ? 200 + ph_rng_below(rng, 4000) : 0;
}

static bool live(struct hal_sim_disk *disk, struct ph_rng *rng, char *why, size_t size)
{
    struct faults_plan plan;
    struct hal_sim_fault fault;
    struct hal_sim_outcome outcome = {0};
    struct hal_sim_options options = {.seed = ph_rng_next(rng), .disk = disk};
    options.policy = options.seed % 2 != 0 ? HAL_SIM_PRIORITIES : HAL_SIM_RANDOM_WALK;
    options.spurious_permille = 20;
    make_plan(rng, &plan, &fault, &options);
    uint64_t bytes = 0;
    faults_begin(&plan, hal_sim_disk_file(disk, FAULTS_FILE, &bytes));
    hal_sim_disk_set_fault(disk, &fault);
    machine_set_disk(disk);
    if (hal_sim_run(&options, faults_life, NULL, &outcome) != 0 ||
        (outcome.end != HAL_SIM_ENDED && outcome.end != HAL_SIM_KILLED)) {
        (void)snprintf(why, size, "%s: %s", hal_sim_end_name(outcome.end), outcome.text);
        return false;
    }
    if (outcome.end == HAL_SIM_ENDED && outcome.leftover_blocks != 0) {
        (void)snprintf(why, size, "%" PRIu64 " blocks left", outcome.leftover_blocks);
        return false;
    }
    bool cut = ph_rng_below(rng, 4) != 0;
    hal_sim_disk_crash(disk, cut ? HAL_SIM_POWER_CUT : HAL_SIM_PROCESS_KILLED, NULL);
    kills += outcome.end == HAL_SIM_KILLED;
    cuts += cut;
    fired += hal_sim_disk_fired(disk);
    shut_downs += plan.shut_down_at != 0;
    faults_count(&totals);
    const uint8_t *content = hal_sim_disk_file(disk, FAULTS_FILE, &bytes);
    if (bytes != FAULTS_BYTES) {
        (void)snprintf(why, size, "the disk has %" PRIu64 " bytes", bytes);
        return false;
    }
    if (!faults_check(content, cut, why, size)) {
        return false;
    }
    /* What is in the cache when the process was killed gets to the disk before the next life. */
    static uint8_t copy[FAULTS_BYTES];
    memcpy(copy, content, sizeof(copy));
    return cut || hal_sim_disk_put(disk, FAULTS_FILE, copy, sizeof(copy)) == 0;
}

static bool run_seed(uint64_t seed, char *why, size_t size)
{
    static const uint8_t zeros[FAULTS_BYTES];
    const struct hal_sim_disk_options options = {.seed = seed, .file_bytes = FAULTS_BYTES};
    struct hal_sim_disk *disk = hal_sim_disk_create(&options);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    bool right = disk != NULL && hal_sim_disk_put(disk, FAULTS_FILE, zeros, sizeof(zeros)) == 0;
    for (unsigned i = 0; i < LIVES && right; i++) {
        right = live(disk, &rng, why, size);
    }
    hal_sim_disk_destroy(disk);
    return right;
}

static uint64_t first_seed(void)
{
    return ph_rng_seed_from_environment(20261122);
}

static unsigned seeds_asked(unsigned usual)
{
    const char *given = getenv("PH_SIM_SEEDS");
    return given != NULL ? (unsigned)strtoul(given, NULL, 0) : usual;
}

/* Outside of machines, where the assertions of on_machine.h end nothing. */
static void must(bool right)
{
    if (!right) {
        fail();
    }
}

static void a_disk_holds_what_its_fences_promised(void **state)
{
    (void)state;
    char why[1400] = "";
    unsigned seeds = seeds_asked(SEEDS);
    for (unsigned i = 0; i < seeds; i++) {
        uint64_t seed = first_seed() + i;
        if (!run_seed(seed, why, sizeof(why))) {
            print_error("%s\nREPRO: PH_SEED=%" PRIu64 " PH_SIM_SEEDS=1 %s\n", why, seed,
                        program_invocation_name);
            fail();
        }
    }
    const struct faults_totals *t = &totals;
    print_message("%u seeds from %" PRIu64 ": %" PRIu64 " kills, %" PRIu64 " power cuts, %" PRIu64
                  " faults fired, %" PRIu64 " shut downs\n",
                  seeds, first_seed(), kills, cuts, fired, shut_downs);
    print_message("%" PRIu64 " requests (%" PRIu64 " failed, %" PRIu64 " taken out, %" PRIu64
                  " raised, %" PRIu64 " reads), %" PRIu64 " trims, %" PRIu64 " fences (%" PRIu64
                  " failed), %" PRIu64 " writes fenced, %" PRIu64 " not\n",
                  t->requests, t->failed, t->dequeued, t->raised, t->reads, t->trims, t->fences,
                  t->failed_fences, t->fenced, t->open);
    if (seeds >= 40) { /* it did what it is for */
        must(kills > 0 && cuts > 0 && fired > 0 && shut_downs > 0);
        must(t->failed > 0 && t->dequeued > 0 && t->raised > 0 && t->trims > 0);
        must(t->fences > t->failed_fences && t->failed_fences > 0);
        must(t->fenced > 0 && t->open > 0);
    }
}

static void each_defect_is_found(void **state)
{
    (void)state;
#if PH_UNDER_TSAN
    skip(); /* a defect may be a race */
#else
    static const enum ph_mutant defects[] = {
        PH_MUTANT_FENCE_WITHOUT_FLUSH,    PH_MUTANT_FENCE_NOT_WAITED,
        PH_MUTANT_OVERLAP_UNORDERED,      PH_MUTANT_TURN_NOT_AWAITED,
        PH_MUTANT_IO_ERROR_LOST,          PH_MUTANT_FENCE_BELIEVES_FLUSH,
        PH_MUTANT_FAILED_FENCE_FORGOTTEN, PH_MUTANT_SHORT_TRANSFER_DONE,
        PH_MUTANT_DEQUEUED_WRITES,        PH_MUTANT_RAISED_OVERTAKES};
    for (size_t i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
        char why[1400] = "";
        bool found = false;
        uint64_t seed = first_seed();
        ph_active_mutant = defects[i];
        for (unsigned tries = 0; tries < DEFECT_SEEDS && !found; tries++) {
            found = !run_seed(seed++, why, sizeof(why));
        }
        ph_active_mutant = PH_MUTANT_NONE;
        print_message("%s: %s after %" PRIu64 " seeds: %s\n", ph_mutant_name(defects[i]),
                      found ? "found" : "not found", seed - first_seed(), why);
        must(found);
        printf("mutant %s killed\n", ph_mutant_name(defects[i]));
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_holds_what_its_fences_promised),
        cmocka_unit_test(each_defect_is_found),
    };
    hal_sim_catch_checks();
    cmocka_set_test_filter(getenv("PH_CASE"));
    return cmocka_run_group_tests_name("disks of the port, faults", tests, NULL, NULL);
}
