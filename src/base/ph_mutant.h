/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_mutant.h - seeded defects. A crash test that never failed proves nothing, so each safety
 * mechanism has a mutant that breaks it and a test that must catch the mutant.
 *
 * Code under test writes `if (PH_MUTANT(SEAL_BEFORE_FLUSH)) { wrong way } else { right way }`.
 * In the product PH_MUTANT() is the constant 0 and the wrong way is not compiled in; in libraries
 * built with -DPH_MUTANTS it asks a process-wide switch that only the tests set.
 */
#ifndef PH_MUTANT_H
#define PH_MUTANT_H

/* X(NAME, "what it breaks") */
#include "ph_mutant_list.h"

enum ph_mutant {
    PH_MUTANT_NONE,
#define PH_MUTANT_ENUM(name, text) PH_MUTANT_##name,
    PH_MUTANT_LIST(PH_MUTANT_ENUM)
#undef PH_MUTANT_ENUM
        PH_MUTANT_COUNT
};

extern enum ph_mutant ph_active_mutant;
const char *ph_mutant_name(enum ph_mutant mutant);

#ifdef PH_MUTANTS
#define PH_MUTANT(name) (ph_active_mutant == PH_MUTANT_##name)
#else
#define PH_MUTANT(name) 0
#endif

#endif /* PH_MUTANT_H */
