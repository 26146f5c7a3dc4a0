/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_mutants.h - campaigns of the explorer, and the run that proves that the crash tests see:
 * each seeded defect of the store (ph_mutant_list.h) is switched on in a process of its own and
 * must be reported by the test that is named for it.
 */
#ifndef CRASH_MUTANTS_H
#define CRASH_MUTANTS_H

#include "crash_explore.h"

#define CRASH_CAPACITY (UINT64_C(96) << 20)
enum { CRASH_DENSITY = 4 }; /* of 16, see struct crash_explorer */

struct crash_budget {
    uint64_t seed;
    uint64_t states_min; /* stop at so many distinct states; 0: when the time is over */
    double seconds;
    unsigned density;
};

struct crash_campaign {
    uint64_t workloads, sequences;
    double seconds;
    char text[300]; /* the workload that ran last */
};

/** Workloads in an order given by the seed, within the budget. False on a violation. */
bool crash_campaign_run(struct crash_explorer *explorer, const struct crash_budget *budget,
                        struct crash_campaign *campaign);

/** Switch on a defect by name; false when there is none or this build has no mutants. */
bool crash_mutant_set(const char *name);

/**
 * First the healthy store with every detector, then each mutant (or only `name`). Prints a line for
 * each and the closing line; returns the exit status.
 */
int crash_mutants_run(const struct crash_budget *budget, const char *name);

/** A detector: false with a sentence in `why` when it saw a defect. */
typedef bool (*crash_detector)(const struct crash_budget *budget, char *why, size_t why_size);
bool crash_errors_detect(const struct crash_budget *budget, char *why, size_t why_size);
/** Some of the faults of crash_errors_detect(), each once, on one store. */
bool crash_errors_detect_few(const struct crash_budget *budget, char *why, size_t why_size);
bool crash_foreign_detect(const struct crash_budget *budget, char *why, size_t why_size);
bool crash_late_detect(const struct crash_budget *budget, char *why, size_t why_size);
bool crash_history_detect(const struct crash_budget *budget, char *why, size_t why_size);

#endif /* CRASH_MUTANTS_H */
