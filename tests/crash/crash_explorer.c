/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_explorer.c - the crash-state explorer as a program.
 *
 *     crash_explorer [--seed S] [--states-min N] [--recoveries-min N] [--seconds S] [--density D]
 *                    [--encrypted] [--compressed] [--verbose]
 *     crash_explorer --seed S --workload W [--state N]      replay one workload, up to a state
 *     crash_explorer --mutants | --mutant NAME              only in the build with mutants
 *
 * Without --workload it goes through the workloads until N distinct images were checked (or,
 * without
 * --states-min, until the time is over). Exit status: 0 all promises kept, 1 one was broken (or a
 * mutant survived, or too few states in the time), 2 usage.
 */
#include "crash_explore.h"
#include "crash_mutants.h"
#include "crash_workload.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull; /* for %llu */

struct options {
    struct crash_budget budget;
    bool one_workload, all_mutants;
    uint64_t workload, state;
    uint64_t recoveries_min; /* states of a crash inside recovery that must have been seen */
    const char *mutant;
    bool verbose;
};

static int usage(const char *problem)
{
    fprintf(stderr,
            "crash_explorer: %s\nusage: crash_explorer [--seed S] [--workload W] [--state N] "
            "[--states-min N] [--recoveries-min N] [--seconds S] [--density 1..16] [--mutants | "
            "--mutant NAME] "
            "[--encrypted] [--compressed] [--verbose]\n",
            problem);
    return 2;
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"workload", required_argument, NULL, 'w'},
        {"state", required_argument, NULL, 'n'},
        {"states-min", required_argument, NULL, 'm'},
        {"seconds", required_argument, NULL, 't'},
        {"density", required_argument, NULL, 'd'},
        {"mutant", required_argument, NULL, 'u'},
        {"mutants", no_argument, NULL, 'a'},
        {"encrypted", no_argument, NULL, 'e'},
        {"compressed", no_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"recoveries-min", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 0) : 0;
        switch (c) {
        case 's': options->budget.seed = number; break;
        case 'w': options->workload = number, options->one_workload = true; break;
        case 'n': options->state = number; break;
        case 'm': options->budget.states_min = number; break;
        case 'r': options->recoveries_min = number; break;
        case 't': options->budget.seconds = (double)number; break;
        case 'd': options->budget.density = (unsigned)number; break;
        case 'u': options->mutant = optarg; break;
        case 'a': options->all_mutants = true; break;
        case 'c': crash_compress = true; break;
        case 'e': crash_key = &crash_test_key; break;
        case 'v': options->verbose = true; break;
        default: return false;
        }
    }
    if (options->budget.seconds <= 0) { /* without a number of states to reach: a minute */
        options->budget.seconds = options->budget.states_min != 0 ? 1e9 : 60;
    }
    return optind == argc && options->budget.density >= 1 && options->budget.density <= 16;
}

static int replay(struct crash_explorer *explorer, const struct options *options)
{
    struct crash_aged aged;
    if (!crash_age(&aged, CRASH_CAPACITY, options->budget.seed, explorer->why,
                   sizeof(explorer->why))) {
        printf("%s\n", explorer->why);
        if ((options->workload & 1) != 0) { /* it needs the aged store */
            return 1;
        }
    }
    explorer->stop_after_state = options->state;
    explorer->verbose = options->verbose;
    explorer->density = options->budget.density;
    (void)crash_workload_run(explorer, &aged, options->workload, options->budget.seed,
                             CRASH_CAPACITY);
    crash_aged_finish(&aged);
    char text[300];
    crash_workload_describe(options->workload, text, sizeof(text));
    printf("workload %llu: %s\nlast state %llu: %s\n", (ull)options->workload, text,
           (ull)explorer->state, explorer->image);
    if (explorer->failed) {
        printf("VIOLATION: %s\n", explorer->why);
    }
    return explorer->failed ? 1 : 0;
}

static int explore(struct crash_explorer *explorer, const struct options *options)
{
    struct crash_campaign campaign = {0};
    explorer->verbose = options->verbose;
    bool good = crash_campaign_run(explorer, &options->budget, &campaign);
    const struct crash_counts *counts = &explorer->counts;
    printf("workloads=%llu of which short sequences %llu of %llu; epochs=%llu, with all subsets "
           "%llu\n",
           (ull)campaign.workloads, (ull)campaign.sequences, (ull)CRASH_EXHAUSTIVE,
           (ull)counts->epochs, (ull)counts->all_subsets);
    printf("in recovery %llu, in the recovery after that %llu, re-executions %llu, kills %llu, "
           "recoveries that reported an incomplete "
           "generation %llu, that retired a record %llu; commits %llu, before accounting was "
           "complete %llu\n",
           (ull)counts->in_recovery, (ull)counts->in_second, (ull)counts->reexecutions,
           (ull)counts->kills, (ull)counts->incomplete, (ull)counts->retired, (ull)counts->commits,
           (ull)counts->early);
    printf("%.1f s, %.0f states/s\n", campaign.seconds,
           (double)counts->states / (campaign.seconds > 0 ? campaign.seconds : 1));
    if (!good) {
        printf("VIOLATION in workload %llu (%s), state %llu (%s):\n  %s\n", (ull)explorer->workload,
               campaign.text, (ull)explorer->state, explorer->image, explorer->why);
        printf("REPRO: crash_explorer%s%s --seed %llu --density %u --workload %llu --state %llu\n",
               crash_key != NULL ? " --encrypted" : "", crash_compress ? " --compressed" : "",
               (ull)options->budget.seed, options->budget.density, (ull)explorer->workload,
               (ull)explorer->state);
    }
    bool enough = counts->distinct >= options->budget.states_min;
    if (good && !enough) {
        printf("only %llu distinct states of %llu in the time\n", (ull)counts->distinct,
               (ull)options->budget.states_min);
    }
    if (counts->in_recovery < options->recoveries_min) {
        printf("only %llu states of a crash inside recovery of %llu\n", (ull)counts->in_recovery,
               (ull)options->recoveries_min);
        enough = false;
    }
    printf("states=%llu distinct=%llu recovery=%llu second=%llu seed=%llu\n", (ull)counts->states,
           (ull)counts->distinct, (ull)counts->in_recovery, (ull)counts->in_second,
           (ull)options->budget.seed);
    return good && enough ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.budget = {.density = CRASH_DENSITY}};
    options.budget.seed = ph_rng_seed_from_environment(1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    crash_keep_memory();
    if (!parse(argc, argv, &options)) {
        return usage("bad option");
    }
    if (options.all_mutants || (options.mutant != NULL && !options.one_workload)) {
        return crash_mutants_run(&options.budget, options.mutant);
    }
    if (options.mutant != NULL && !crash_mutant_set(options.mutant)) {
        return usage("no such mutant in this build");
    }
    struct crash_explorer explorer;
    if (!crash_explorer_init(&explorer, CRASH_CAPACITY)) {
        fprintf(stderr, "crash_explorer: out of memory\n");
        return 1;
    }
    int rc = options.one_workload ? replay(&explorer, &options) : explore(&explorer, &options);
    crash_explorer_finish(&explorer);
    return rc;
}
