/* SPDX-License-Identifier: Apache-2.0
 *
 * testing_sweep.c - the same event at every point of a program. Each point has a bench of its own.
 * Owns nothing between calls.
 */
#include <phantom/testing.h>

#include "hal_sim.h"
#include "ph_rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void phantom_testing_sweep_init(struct phantom_testing_sweep *sweep)
{
    memset(sweep, 0, sizeof(*sweep));
    sweep->size = sizeof(*sweep);
    sweep->event = PHANTOM_TESTING_POWER_CUT;
    sweep->seed = ph_rng_seed_from_environment(1);
    sweep->seeds = sweep->first = sweep->step = 1;
    sweep->last = UINT64_MAX;
}

/** "" or what is wrong with how a run ended. Without the seed of the bench, which is made of that
 * of the sweep and the point: a sweep is repeated by its own. */
static void judge(const struct phantom_testing_run *run, const char *which, char *why, size_t size)
{
    static const char *const ends[] = {"", "crashed", "deadlock", "too long", "failed"};
    if (run->end > PHANTOM_TESTING_CRASHED) {
        const char *seed = NULL;
        for (const char *at = run->text; (at = strstr(at, " [seed ")) != NULL; at++) {
            seed = at;
        }
        int length = seed != NULL ? (int)(seed - run->text) : (int)strlen(run->text);
        snprintf(why, size, "%s: %s: %.*s", which, ends[run->end], length < 900 ? length : 900,
                 run->text);
    } else if (run->leaked != 0) {
        snprintf(why, size,
                 "%s: %" PRIu64 " blocks of the library are left: is something not closed?", which,
                 run->leaked);
    }
}

static const char *event_name(enum phantom_testing_event event)
{
    static const char *const names[] = {"NOTHING",     "KILL",        "POWER_CUT",  "COMMIT_CUT",
                                        "WRITE_ERROR", "FLUSH_ERROR", "READ_ERROR", "SHORT_WRITE",
                                        "DISK_FULL",   "NO_MEMORY"};
    return names[event];
}

/** One point with one seed: the program, the event, the look at it. */
static int try_point(const struct phantom_testing_sweep *sweep, uint64_t seed, uint64_t point,
                     bool *happened, char *why, size_t size)
{
    struct phantom_testing_bench *bench = NULL;
    struct phantom_testing_run program, verify;
    phantom_testing_run_init(&program);
    phantom_testing_run_init(&verify);
    program.event = sweep->event;
    program.at = point;
    if (sweep->begin != NULL) {
        sweep->begin(sweep->context);
    }
    int rc = phantom_testing_open(seed * 1000003 + point, &bench);
    if (rc == 0) {
        rc = phantom_testing_run(bench, &program, sweep->program, sweep->context);
    }
    if (rc == 0) {
        *happened = program.happened != 0;
        judge(&program, "program", why, size);
    }
    if (rc == 0 && why[0] == '\0' && sweep->verify != NULL) {
        rc = phantom_testing_run(bench, &verify, sweep->verify, sweep->context);
        if (rc == 0) {
            judge(&verify, "verify", why, size);
        }
    }
    phantom_testing_close(bench);
    return rc;
}

/** NULL: nothing. */
static const char *what_is_wrong(const struct phantom_testing_sweep *sweep,
                                 const struct phantom_testing_report *report)
{
    bool no_event =
        sweep->event == PHANTOM_TESTING_NOTHING || sweep->event > PHANTOM_TESTING_NO_MEMORY;
    if (report != NULL && report->size != sizeof(*report)) {
        return "report.size is not sizeof(struct phantom_testing_report)";
    }
    return sweep->size != sizeof(*sweep)           ? "call phantom_testing_sweep_init() first"
           : sweep->program == NULL                ? "there is no program"
           : hal_sim_inside()                      ? "called by a thread of a machine"
           : no_event                              ? "no such event"
           : sweep->seeds == 0                     ? "seeds is 0"
           : sweep->first == 0 || sweep->step == 0 ? "first or step is 0"
                                                   : NULL;
}

static int refuse(struct phantom_testing_report *report, const char *wrong)
{
    if (report != NULL && report->size == sizeof(*report)) {
        snprintf(report->text, sizeof(report->text), "sweep: %s", wrong);
    } else {
        fprintf(stderr, "phantom_testing_sweep: %s\n", wrong);
    }
    return PHANTOM_EINVALID;
}

int phantom_testing_sweep(const struct phantom_testing_sweep *sweep,
                          struct phantom_testing_report *report)
{
    const char *wrong = what_is_wrong(sweep, report);
    if (wrong != NULL) {
        return refuse(report, wrong);
    }
    struct phantom_testing_report own = {.size = sizeof(own)};
    bool any = true;
    for (uint64_t point = sweep->first; any && point <= sweep->last; point += sweep->step) {
        any = false;
        own.points++;
        for (uint64_t i = 0; i < sweep->seeds; i++) {
            char why[1100] = "";
            bool happened = false;
            int rc = try_point(sweep, sweep->seed + i, point, &happened, why, sizeof(why));
            if (rc != 0) {
                return rc;
            }
            any = any || happened;
            own.runs++;
            if (why[0] != '\0') {
                own.seed = sweep->seed + i;
                own.point = point;
                snprintf(own.text, sizeof(own.text),
                         "%s\nREPRO: seed=%" PRIu64 " point=%" PRIu64 " event=PHANTOM_TESTING_%s",
                         why, own.seed, point, event_name(sweep->event));
                break;
            }
        }
        if (own.text[0] != '\0' || point > UINT64_MAX - sweep->step) {
            break;
        }
    }
    if (report != NULL) {
        *report = own;
    } else if (own.text[0] != '\0') {
        fprintf(stderr, "%s\n", own.text);
    }
    return own.text[0] != '\0';
}
