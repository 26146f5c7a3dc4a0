/* SPDX-License-Identifier: Apache-2.0
 *
 * port_defect.h - a test program that can be asked to find a seeded defect: with the defect's name
 * as its argument it switches it on and succeeds if a test fails. Only where the library is
 * compiled in with its defects (-DPH_MUTANTS).
 */
#ifndef PORT_DEFECT_H
#define PORT_DEFECT_H

#include <stdio.h>
#include <string.h>

#ifdef PH_MUTANTS
#include "ph_mutant.h"

/** Switch the defect on that the argument names; 0: none, -1: there is no such. */
static inline int port_defect(int argc, char **argv)
{
    for (int i = 1; argc > 1 && i < PH_MUTANT_COUNT; i++) {
        if (strcmp(argv[1], ph_mutant_name((enum ph_mutant)i)) == 0) {
            ph_active_mutant = (enum ph_mutant)i;
            return i;
        }
    }
    return argc > 1 ? -1 : 0;
}
#else
static inline int port_defect(int argc, char **argv)
{
    (void)argv;
    return argc > 1 ? -1 : 0;
}
#endif

/** The exit status of the program. */
static inline int port_defect_result(int defect, int failures)
{
    if (defect == 0) {
        return failures;
    }
    printf("%s\n", defect < 0 ? "no such defect" : failures > 0 ? "found" : "NOT found");
    return defect > 0 && failures > 0 ? 0 : 1;
}

#endif /* PORT_DEFECT_H */
