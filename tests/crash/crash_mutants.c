/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_mutants.c - see crash_mutants.h. Each mutant runs in a forked process, so that a store that
 * dies or hangs under its defect takes nothing else with it; the child reports through a pipe.
 */
#include "crash_mutants.h"

#include "crash_workload.h"
#include "ph_mutant.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long long ull; /* for %llu */

enum {
    EXIT_CLEAN = 0,
    EXIT_CAUGHT = 10,
    HANG_SECONDS = 900,
    AGING_FAILED_STATES = 20000,
    AGING_FAILED_SECONDS = 30
};

static double now_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/** The i-th workload: three short sequences, in an order given by the seed, then a random one. */
static uint64_t pick_workload(uint64_t seed, uint64_t i, uint64_t *sequences)
{
    if (i % 4 == 3 || *sequences >= CRASH_EXHAUSTIVE) {
        struct ph_rng rng;
        ph_rng_init(&rng, seed ^ (i << 20));
        return CRASH_EXHAUSTIVE + ph_rng_below(&rng, 1000000);
    }
    uint64_t at = (*sequences)++;
    return (at * 1009 + seed * 31) % CRASH_EXHAUSTIVE; /* 1009: prime to CRASH_EXHAUSTIVE */
}

bool crash_campaign_run(struct crash_explorer *explorer, const struct crash_budget *budget,
                        struct crash_campaign *campaign)
{
    double start = now_seconds();
    struct crash_aged aged;
    struct crash_budget left = *budget;
    char aging[400] = "";
    explorer->density = budget->density;
    bool has_aged = crash_age(&aged, CRASH_CAPACITY, budget->seed, aging, sizeof(aging));
    if (!has_aged) { /* broken already without the explorer: see what it says on new stores */
        left.states_min = AGING_FAILED_STATES;
        left.seconds = left.seconds < AGING_FAILED_SECONDS ? left.seconds : AGING_FAILED_SECONDS;
    }
    bool good = true;
    while (good && now_seconds() - start < left.seconds &&
           (left.states_min == 0 || explorer->counts.distinct < left.states_min)) {
        uint64_t workload = pick_workload(budget->seed, campaign->workloads, &campaign->sequences);
        campaign->workloads++;
        if (has_aged || (workload & 1) == 0) {
            crash_workload_describe(workload, campaign->text, sizeof(campaign->text));
            good = crash_workload_run(explorer, &aged, workload, budget->seed, CRASH_CAPACITY);
        }
    }
    if (good && !has_aged) {
        snprintf(explorer->why, sizeof(explorer->why), "%s", aging);
        explorer->failed = true;
        good = false;
    }
    campaign->seconds = now_seconds() - start;
    crash_aged_finish(&aged);
    return good;
}

/* ---- detectors --------------------------------------------------------------------------------
 */

static bool explorer_detect(const struct crash_budget *budget, char *why, size_t why_size)
{
    struct crash_explorer explorer;
    struct crash_campaign campaign = {0};
    if (!crash_explorer_init(&explorer, CRASH_CAPACITY)) {
        snprintf(why, why_size, "out of memory");
        return true; /* nothing was detected */
    }
    bool clean = crash_campaign_run(&explorer, budget, &campaign);
    if (clean) {
        snprintf(why, why_size, "states=%llu distinct=%llu", (ull)explorer.counts.states,
                 (ull)explorer.counts.distinct);
    } else {
        snprintf(why, why_size, "at state %llu: %s: %s", (ull)explorer.counts.states, campaign.text,
                 explorer.why);
    }
    crash_explorer_finish(&explorer);
    return clean;
}

static const struct {
    const char *name;
    crash_detector run;
} detectors[] = {
    {"explorer", explorer_detect},     {"errors", crash_errors_detect},
    {"foreign", crash_foreign_detect}, {"late", crash_late_detect},
    {"history", crash_history_detect},
};
enum { EXPLORER, ERRORS, FOREIGN, LATE, HISTORY, DETECTORS };

/** The test that must see a mutant; -1: not a mutant of the store. */
static int detector_of(enum ph_mutant mutant)
{
    if (mutant == PH_MUTANT_NONE || mutant >= PH_MUTANT_COPY_BEFORE_PROTECT) {
        return -1; /* the engine's begin there (ph_mutant_list.h) and have tests of their own */
    }
    switch ((int)mutant) {
    case PH_MUTANT_SHORT_WRITE_IGNORED:
    case PH_MUTANT_WRITE_ERROR_IGNORED:
    case PH_MUTANT_POISONED_SEALS:
    case PH_MUTANT_FLUSH_RETRIED: return ERRORS;
    case PH_MUTANT_WRONG_STORE_ACCEPTED:
    case PH_MUTANT_INCARNATION_MISSING:
    case PH_MUTANT_PARENT_NOT_CHECKED: return FOREIGN;
    case PH_MUTANT_DELETED_STORE_ACKNOWLEDGED:
    case PH_MUTANT_READER_IGNORED:
    case PH_MUTANT_TRIM_KEEPS_HISTORY:
    case PH_MUTANT_SUPERBLOCK_COPY_IGNORED:
    case PH_MUTANT_STREAM_OVERTAKES:
    case PH_MUTANT_NUMBER_LIMIT_IGNORED: return LATE;
    case PH_MUTANT_CATALOG_NOT_CHECKED:
    case PH_MUTANT_TAG_IGNORED:
    case PH_MUTANT_EARLY_DEAD_FORGOTTEN:
    case PH_MUTANT_CHECKPOINT_FORGETS:
    case PH_MUTANT_ROLLBACK_NUMBER: return HISTORY;
    default: return EXPLORER;
    }
}

/* ---- one mutant -------------------------------------------------------------------------------
 */

/** In the child: run the detector, report, end. */
static _Noreturn void child(enum ph_mutant mutant, int detector, const struct crash_budget *budget,
                            int pipe_fd)
{
    char why[1500] = "";
    ph_active_mutant = mutant;
    alarm(HANG_SECONDS);
    bool clean = detectors[detector].run(budget, why, sizeof(why));
    ssize_t written = write(pipe_fd, why, strlen(why));
    _exit(written < 0 ? EXIT_FAILURE : clean ? EXIT_CLEAN : EXIT_CAUGHT);
}

/** Exit status or signal of the child, its sentence in `why`. */
static int run_in_child(enum ph_mutant mutant, int detector, const struct crash_budget *budget,
                        char *why, size_t why_size)
{
    int fd[2];
    if (pipe(fd) < 0) {
        return -1;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child(mutant, detector, budget, fd[1]);
    }
    close(fd[1]);
    size_t used = 0;
    ssize_t got;
    while (pid > 0 && used < why_size - 1 &&
           (got = read(fd[0], why + used, why_size - 1 - used)) > 0) {
        used += (size_t)got;
    }
    why[used] = 0;
    close(fd[0]);
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/** True when the defect was seen. */
static bool run_mutant(enum ph_mutant mutant, const struct crash_budget *budget)
{
    char why[1500];
    int detector = detector_of(mutant);
    double start = now_seconds();
    int status = run_in_child(mutant, detector, budget, why, sizeof(why));
    double seconds = now_seconds() - start;
    bool died = status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    bool caught = died || (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CAUGHT);
    if (died) {
        snprintf(why, sizeof(why), "a broken invariant stopped the store");
    }
    printf("mutant %-26s %s by %s in %.1f s: %.300s\n", ph_mutant_name(mutant),
           caught ? "killed" : "SURVIVED (status not caught)", detectors[detector].name, seconds,
           why);
    return caught;
}

/** Without any defect no detector may report one. */
static bool run_healthy(const struct crash_budget *budget, char *counts, size_t counts_size)
{
    bool good = true;
    for (int d = 0; d < DETECTORS; d++) {
        char why[1500];
        int status = run_in_child(PH_MUTANT_NONE, d, budget, why, sizeof(why));
        bool clean = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CLEAN;
        printf("%-26s %s by %s: %.300s\n", "no mutant", clean ? "clean" : "REPORTED",
               detectors[d].name, why);
        if (d == EXPLORER) {
            snprintf(counts, counts_size, "%.200s", clean ? why : "states=0 distinct=0");
        }
        good &= clean;
    }
    return good;
}

static bool mutants_are_built_in(void)
{
#ifdef PH_MUTANTS
    return true;
#else
    return false;
#endif
}

bool crash_mutant_set(const char *name)
{
    for (int m = 1; m < PH_MUTANT_COUNT && mutants_are_built_in(); m++) {
        if (strcmp(ph_mutant_name((enum ph_mutant)m), name) == 0) {
            ph_active_mutant = (enum ph_mutant)m;
            return true;
        }
    }
    return false;
}

int crash_mutants_run(const struct crash_budget *budget, const char *name)
{
    if (!mutants_are_built_in()) {
        fprintf(stderr, "crash_explorer: this build has no mutants\n");
        return 2;
    }
    char counts[256] = "";
    struct crash_budget healthy = *budget;
    healthy.states_min = 5000;
    bool good = name != NULL || run_healthy(&healthy, counts, sizeof(counts));
    unsigned total = 0, caught = 0;
    struct crash_budget each = *budget;
    each.states_min = 200000; /* a mutant that the explorer does not see by then has survived */
    for (int m = 1; m < PH_MUTANT_COUNT; m++) {
        bool wanted = name == NULL || strcmp(ph_mutant_name((enum ph_mutant)m), name) == 0;
        if (detector_of((enum ph_mutant)m) >= 0 && wanted) {
            total++;
            caught += run_mutant((enum ph_mutant)m, &each);
        }
    }
    printf("%s mutants=%u/%u\n", counts, caught, total);
    return good && total > 0 && caught == total ? 0 : 1;
}
