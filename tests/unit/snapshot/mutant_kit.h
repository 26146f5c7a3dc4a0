/* SPDX-License-Identifier: Apache-2.0
 *
 * mutant_kit.h - a scenario of the engine in a child process, with a seeded defect or without: the
 * loss must be seen, both by the comparison with the heap at the cut (check_against_heap) and, with
 * that off, by a restart. For programs that are linked with a copy of the room compiled with
 * -DPH_MUTANTS.
 */
#ifndef MUTANT_KIT_H
#define MUTANT_KIT_H

#include "engine_kit.h"
#include "ph_mutant.h"

typedef void (*mutant_scenario)(struct kit *kit);

enum { MUTANT_PAGES = 2000, MUTANT_CHECK_FAILED = 42, MUTANT_HEAP_DIFFERS = 43 };

/** In a child: run the scenario, restart, compare. Returns the child's exit status: 0 or above. */
int mutant_outcome(const struct kit_kind *kind, mutant_scenario run, enum ph_mutant mutant,
                   bool check_against_heap);

/** The test fails unless the scenario passes without the mutant and is caught with it. */
void mutant_expect_killed(const struct kit_kind *kind, mutant_scenario run, enum ph_mutant mutant);

#endif /* MUTANT_KIT_H */
