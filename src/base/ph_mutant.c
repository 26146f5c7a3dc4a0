/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_mutant.h"

enum ph_mutant ph_active_mutant = PH_MUTANT_NONE;

static const char *const names[PH_MUTANT_COUNT] = {"NONE",
#define MUTANT_ROW(name, text) #name,
                                                   PH_MUTANT_LIST(MUTANT_ROW)
#undef MUTANT_ROW
};

const char *ph_mutant_name(enum ph_mutant mutant)
{
    return names[mutant];
}
