/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_soak.c - campaigns on simulated machines. A seed is a run: the same log, byte for byte.
 *
 *     sim_soak --classes DIR [--seeds N] [--seed-base S] [--only world|bank] [--twice N] [--log
 * FILE] sim_mutants --classes DIR --mutants [--seeds N]    each seeded defect must be found
 *
 * Prints sums; a violation prints what happened, the end of the log and a line "REPRO: ...", and
 * ends with 1. Only without defects a check of the library ends the machine, not the process.
 */
#include "sim_case.h"

#include "ph_check.h"
#include "ph_mutant.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

const char *sim_class_folder;

static struct sim_campaign *const campaigns[] = {&sim_world_campaign, &sim_bank_campaign};
enum { CAMPAIGNS = 2, SECONDS_A_DEFECT = 400 };

struct settings {
    const char *program, *only, *log;
    uint64_t seeds, base, twice;
    bool mutants, schedules;
    enum ph_mutant mutant; /* one to run with, to look at what it does */
};

static bool wanted(const struct settings *s, const struct sim_campaign *campaign)
{
    return s->only == NULL || strcmp(s->only, campaign->name) == 0;
}

/** The length of an undisturbed life, from a fixed seed, so that a seed means the same every time.
 */
static bool measure(struct sim_campaign *campaign, char *why, size_t size)
{
    struct sim_totals ignored = {0};
    return campaign->steps != 1 || sim_case_run(campaign, 0, &ignored, false, NULL, why, size);
}

static bool run_seed(const struct settings *s, struct sim_campaign *campaign, uint64_t seed,
                     struct sim_totals *totals, char *why, size_t size)
{
    char *first = NULL, *second = NULL;
    bool twice = seed < s->base + s->twice;
    bool good = sim_case_run(campaign, seed, totals, twice || s->log != NULL,
                             twice || s->log != NULL ? &first : NULL, why, size);
    if (s->log != NULL) {
        FILE *file = fopen(s->log, "w");
        if (file != NULL) {
            (void)fputs(first, file);
            (void)fclose(file);
        }
    }
    if (good && twice) {
        struct sim_totals ignored = {0};
        good = sim_case_run(campaign, seed, &ignored, true, &second, why, size);
        if (good && strcmp(first, second) != 0) {
            size_t at = 0;
            while (first[at] == second[at]) {
                at++;
            }
            while (at > 0 && first[at - 1] != '\n') {
                at--;
            }
            snprintf(why, size, "two runs, two logs: \"%.80s\" and \"%.80s\"", first + at,
                     second + at);
            good = false;
        }
    }
    free(first);
    free(second);
    return good;
}

/** Those seen so far; with a few more of them than seeds two could share a place. */
struct schedules {
    uint64_t seen[1 << 15];
    uint64_t distinct;
};

static void add_schedule(struct schedules *schedules, uint64_t schedule)
{
    size_t at = (size_t)(schedule >> 20) % (1 << 15);
    for (size_t tries = 0; tries < 1 << 15; tries++, at = (at + 1) % (1 << 15)) {
        if (schedules->seen[at] == schedule) {
            return;
        }
        if (schedules->seen[at] == 0) {
            schedules->seen[at] = schedule;
            schedules->distinct++;
            return;
        }
    }
}

static int run_campaigns(const struct settings *s)
{
    struct sim_totals t = {0};
    struct schedules schedules = {0};
    char why[1600] = "";
    for (unsigned i = 0; i < CAMPAIGNS; i++) {
        bool good = !wanted(s, campaigns[i]) || measure(campaigns[i], why, sizeof(why));
        uint64_t seed = s->base;
        ph_active_mutant = s->mutant;
        for (; good && wanted(s, campaigns[i]) && seed < s->base + s->seeds; seed++) {
            good = run_seed(s, campaigns[i], seed, &t, why, sizeof(why));
            add_schedule(&schedules, t.schedule);
        }
        ph_active_mutant = PH_MUTANT_NONE;
        if (!good) {
            printf("%s seed %" PRIu64 ": %s\n", campaigns[i]->name, seed - 1, why);
            printf("REPRO: %s --classes %s --only %s --seeds 1 --seed-base %" PRIu64 "\n",
                   s->program, sim_class_folder, campaigns[i]->name, seed > 0 ? seed - 1 : 0);
            return 1;
        }
    }
    if (s->schedules) {
        printf("schedules=%" PRIu64 " kinds_of_switches=%" PRIu64 " switches=%" PRIu64 "\n",
               schedules.distinct, hal_sim_coverage_count(&t.coverage), t.switches);
    }
    printf("runs=%" PRIu64 " lives=%" PRIu64 " kills=%" PRIu64 " cuts=%" PRIu64 " faults=%" PRIu64
           " generations=%" PRIu64 " tags=%" PRIu64 " rollbacks=%" PRIu64 " readings=%" PRIu64
           " copies=%" PRIu64 " compared=%" PRIu64 " audits=%" PRIu64 " flips=%" PRIu64
           " flips_told=%" PRIu64 " steps=%" PRIu64 " points=%" PRIu64 " transfers=%" PRIu64
           " violations=0\n",
           t.runs, t.lives, t.kills, t.cuts, t.faults, t.generations, t.tags, t.rollbacks,
           t.readings, t.copies, t.compared, t.audits, t.flips, t.flips_told, t.steps, t.points,
           t.transfers);
    return 0;
}

/* ---- seeded defects ------------------------------------------------------------------------- */

struct found {
    volatile uint64_t seed;
    volatile unsigned campaign;
    volatile bool by_check;
    char why[600];
};

/** In a process of its own: a defect may damage memory. */
static void hunt(const struct settings *s, enum ph_mutant mutant, struct found *found)
{
    char why[1600] = "";
    (void)!freopen("/dev/null", "w", stderr);
    (void)alarm(SECONDS_A_DEFECT);
    for (unsigned i = 0; i < CAMPAIGNS; i++) {
        if (wanted(s, campaigns[i]) && !measure(campaigns[i], why, sizeof(why))) {
            _exit(3);
        }
    }
    ph_active_mutant = mutant;
    for (uint64_t seed = s->base; seed < s->base + s->seeds; seed++) {
        for (unsigned i = 0; i < CAMPAIGNS; i++) {
            found->seed = seed;
            found->campaign = i;
            struct sim_totals ignored = {0};
            if (wanted(s, campaigns[i]) &&
                !sim_case_run(campaigns[i], seed, &ignored, false, NULL, why, sizeof(why))) {
                found->by_check = true;
                snprintf(found->why, sizeof(found->why), "%s", why);
                _exit(1);
            }
        }
    }
    _exit(0);
}

static int try_mutants(const struct settings *s)
{
    static const struct {
        enum ph_mutant mutant;
        const char *campaign; /* where it is found soonest */
    } list[] = {
        /* lost wake-up */
        {PH_MUTANT_QUIET_WAKE_LOST, "world"},
        {PH_MUTANT_GROUP_WAKE_LOST, "bank"},
        {PH_MUTANT_GATE_WAKE_LOST, "bank"},
        /* a counter that is not atomic */
        {PH_MUTANT_COUNTER_NOT_ATOMIC, "world"},
        /* unlocked before it was published */
        {PH_MUTANT_QUEUED_AFTER_UNLOCK, "world"},
        /* missed park */
        {PH_MUTANT_PARK_MISSED, "world"},
        {PH_MUTANT_GATE_ENTERED_STOPPED, "bank"},
        /* early reuse: of blocks, of a staging slot while its write is under way */
        {PH_MUTANT_REUSE_TOO_EARLY, "bank"},
        {PH_MUTANT_STREAM_OVERTAKES, "bank"},
        /* order of copies, marks, protection */
        {PH_MUTANT_COPY_BEFORE_PROTECT, "bank"},
        {PH_MUTANT_MARKS_CLEARED_AFTER_COPY, "bank"},
        {PH_MUTANT_IMAGE_AFTER_STORE, "world"},
        /* promises */
        {PH_MUTANT_GROUP_CLOSED_LATE, "bank"},
        {PH_MUTANT_ACK_BEFORE_FLUSH, "bank"},
        {PH_MUTANT_FLUSH_BEFORE_REAP, "bank"},
    };
    struct found *found =
        mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int missed = 0;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        memset(found, 0, sizeof(*found));
        (void)fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            struct settings one = *s;
            one.only = s->only != NULL ? s->only : list[i].campaign;
            hunt(&one, list[i].mutant, found);
        }
        int status = 0;
        bool lost = child < 0 || waitpid(child, &status, 0) != child ||
                    (WIFEXITED(status) && WEXITSTATUS(status) != 1) ||
                    (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
        missed += lost;
        printf("mutant %s %s %s seed %" PRIu64 ": %s\n", ph_mutant_name(list[i].mutant),
               lost ? "SURVIVED," : "killed,", campaigns[found->campaign]->name, found->seed,
               lost              ? "the last one tried"
               : found->by_check ? found->why
                                 : "the process crashed");
    }
    (void)munmap(found, sizeof(*found));
    return missed != 0;
}

static enum ph_mutant mutant_called(const char *name)
{
    enum ph_mutant mutant = PH_MUTANT_NONE;
    while (++mutant < PH_MUTANT_COUNT && strcmp(ph_mutant_name(mutant), name) != 0) {
    }
    return mutant < PH_MUTANT_COUNT ? mutant : PH_MUTANT_NONE;
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s --classes DIR [--seeds N] [--seed-base S] [--only world|bank] [--twice N] "
            "[--log FILE] [--schedules] [--calls-only] [--mutants] [--mutant NAME]\n",
            program);
    return 2;
}

int main(int argc, char **argv)
{
    struct settings s = {.program = argv[0], .seeds = 100, .base = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--mutants") == 0) {
            s.mutants = true;
            continue;
        }
        if (strcmp(argv[i], "--schedules") == 0) {
            s.schedules = true;
            continue;
        }
        if (strcmp(argv[i], "--calls-only") == 0) {
            sim_with_points = false;
            continue;
        }
        if (value == NULL) {
            return usage(argv[0]);
        }
        i++;
        if (strcmp(argv[i - 1], "--classes") == 0) {
            sim_class_folder = value;
        } else if (strcmp(argv[i - 1], "--seeds") == 0) {
            s.seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seed-base") == 0) {
            s.base = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--twice") == 0) {
            s.twice = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--only") == 0) {
            s.only = value;
        } else if (strcmp(argv[i - 1], "--log") == 0) {
            s.log = value;
        } else if (strcmp(argv[i - 1], "--mutant") == 0) {
            s.mutant = mutant_called(value);
        } else {
            return usage(argv[0]);
        }
    }
    if (sim_class_folder == NULL) {
        return usage(argv[0]);
    }
    hal_sim_catch_checks();
    return s.mutants ? try_mutants(&s) : run_campaigns(&s);
}
