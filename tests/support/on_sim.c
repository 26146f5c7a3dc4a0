/* SPDX-License-Identifier: Apache-2.0
 *
 * on_sim.c - on_machine.h on the simulated machine: each case is run with a number of seeds.
 */
#include "on_machine.h"

#include "hal_sim.h"
#include "ph_rng.h"
#include "ph_sanitizer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hal.h>

/* Under ThreadSanitizer few: the baton orders all that happens, there are no races to be seen. */
enum { USUAL_SEEDS = PH_UNDER_TSAN ? 3 : PH_UNDER_ASAN ? 8 : 16 };

static uint64_t first_seed;
static unsigned asked_seeds; /* 0: not said */
static const struct machine_hooks *all_hooks;
static struct hal_sim_disk *disk;
static uint64_t most_steps;     /* of a run of the case */
static enum ph_mutant expected; /* of the case that runs */

/* ---- on the machine ------------------------------------------------------------------------- */

_Noreturn void machine_failed(const char *file, int line, const char *what)
{
    const char *name = strrchr(file, '/');
    hal_sim_fail("%s:%d: %s", name != NULL ? name + 1 : file, line, what);
}

void machine_check_equal(uint64_t a, uint64_t b, bool equal, const char *what, const char *file,
                         int line)
{
    if ((a == b) != equal) {
        const char *name = strrchr(file, '/');
        hal_sim_fail("%s:%d: %s: %" PRId64 ", %" PRId64, name != NULL ? name + 1 : file, line, what,
                     (int64_t)a, (int64_t)b);
    }
}

void machine_expect_defect(enum ph_mutant mutant, bool (*fact)(void), int tries)
{
    expected = mutant;
    ph_active_mutant = mutant;
    for (int i = 0; i < tries; i++) {
        if (!fact()) {
            hal_sim_fail("the defect shows");
        }
    }
}

struct hal_sim_disk *machine_disk(void)
{
    return disk;
}

void machine_set_disk(struct hal_sim_disk *of_the_next)
{
    disk = of_the_next;
}

uint64_t machine_seed(void)
{
    return hal_random();
}

static void program(void *context)
{
    const struct machine_case *c = context;
    void *state = NULL;
    if (all_hooks != NULL && all_hooks->begin != NULL) {
        all_hooks->begin();
    }
    if (c->setup != NULL && c->setup(&state) != 0) {
        hal_sim_fail("setup");
    }
    c->run(&state);
    if (c->teardown != NULL && c->teardown(&state) != 0) {
        hal_sim_fail("teardown");
    }
    if (all_hooks != NULL && all_hooks->end != NULL) {
        all_hooks->end();
    }
}

/* ---- around it ------------------------------------------------------------------------------ */

/* One seed. True: as it should be, or a defect that was asked for shows. */
static bool run_seed(const struct machine_case *c, uint64_t seed, bool *found)
{
    static const unsigned spurious[] = {0, 30, 200};
    const struct hal_sim_disk_options disk_options = {.seed = seed, .file_bytes = 8u << 20};
    disk = hal_sim_disk_create(&disk_options);
    if (disk == NULL) {
        print_error("no memory for a disk\n");
        return false;
    }
    const struct hal_sim_options options = {.seed = seed,
                                            .policy = seed % 2 != 0 ? HAL_SIM_PRIORITIES
                                                                    : HAL_SIM_RANDOM_WALK,
                                            .change_points = 8,
                                            .change_steps = 400 << seed / 2 % 4 * 2,
                                            .spurious_permille = spurious[seed / 2 % 3],
                                            .steps_most = 12000000,
                                            .disk = disk};
    struct hal_sim_outcome outcome = {0};
    expected = PH_MUTANT_NONE;
    int rc = hal_sim_run(&options, program, (void *)(uintptr_t)c, &outcome);
    ph_active_mutant = PH_MUTANT_NONE;
    hal_sim_disk_destroy(disk);
    most_steps = outcome.steps > most_steps ? outcome.steps : most_steps;
    bool well = rc == 0 && outcome.end == HAL_SIM_ENDED && outcome.leftover_blocks == 0;
    if (expected != PH_MUTANT_NONE && rc == 0) {
        *found = outcome.end != HAL_SIM_ENDED;
        return true;
    }
    if (!well) {
        print_error("%s: %s: %s (%" PRIu64 " blocks left, %" PRIu64 " steps)\n", c->name,
                    rc != 0 ? strerror(-rc) : hal_sim_end_name(outcome.end), outcome.text,
                    outcome.leftover_blocks, outcome.steps);
        print_error("REPRO: PH_SEED=%" PRIu64 " PH_SIM_SEEDS=1 PH_CASE=%s %s\n", seed, c->name,
                    program_invocation_name);
    }
    return well;
}

static void run_case(void **state)
{
    const struct machine_case *c = *state;
    if (c->posix_only != NULL) {
        print_message("case %s: not on the simulated machine: %s\n", c->name, c->posix_only);
        skip();
    }
    unsigned seeds = asked_seeds != 0 ? asked_seeds : c->seeds != 0 ? c->seeds : USUAL_SEEDS;
    unsigned killed = 0;
    most_steps = 0;
    enum ph_mutant mutant = PH_MUTANT_NONE;
    for (unsigned i = 0; i < seeds; i++) {
        bool found = false;
        if (!run_seed(c, first_seed + i, &found)) {
            fail();
        }
        killed += found;
        mutant = expected != PH_MUTANT_NONE ? expected : mutant;
    }
    print_message("case %s: %u seeds, at most %" PRIu64 " steps\n", c->name, seeds, most_steps);
    if (mutant != PH_MUTANT_NONE) {
        print_message("%s: found with %u of %u seeds\n", ph_mutant_name(mutant), killed, seeds);
        if (killed == 0 && asked_seeds != 1) {
            fail();
        }
        printf("mutant %s killed\n", ph_mutant_name(mutant));
    }
}

int machine_main(const struct machine_case *cases, size_t count, const struct machine_hooks *hooks)
{
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    if (tests == NULL) {
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        tests[i] =
            (struct CMUnitTest){cases[i].name, run_case, NULL, NULL, (void *)(uintptr_t)&cases[i]};
    }
    all_hooks = hooks;
    const char *given = getenv("PH_SIM_SEEDS");
    asked_seeds = given != NULL ? (unsigned)strtoul(given, NULL, 0) : 0;
    first_seed = ph_rng_seed_from_environment(20261122);
    print_message("PH_SEED=%" PRIu64 "\n", first_seed);
    hal_sim_catch_checks();
    cmocka_set_test_filter(getenv("PH_CASE"));
    int failed = _cmocka_run_group_tests("simulated machine", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
