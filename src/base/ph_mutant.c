/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_mutant.h"

enum ph_mutant ph_active_mutant = PH_MUTANT_NONE;

static const struct {
    const char *name;
    const char *text;
} mutants[PH_MUTANT_COUNT] = {{"NONE", "the product as it is"},
#define MUTANT_ROW(name, text) {#name, text},
                              PH_MUTANT_LIST(MUTANT_ROW)
#undef MUTANT_ROW
};

const char *ph_mutant_name(enum ph_mutant mutant)
{
    return mutants[mutant].name;
}

const char *ph_mutant_text(enum ph_mutant mutant)
{
    return mutants[mutant].text;
}
