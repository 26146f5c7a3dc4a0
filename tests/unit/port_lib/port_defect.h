/* SPDX-License-Identifier: Apache-2.0
 *
 * port_defect.h - a test program that can be asked to find a seeded defect: with the defect's name
 * as its argument it switches it on and succeeds if a test fails. Only where the library is
 * compiled in with its defects (-DPH_MUTANTS).
 */
#ifndef PORT_DEFECT_H
#define PORT_DEFECT_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef PH_MUTANTS
#include "ph_mutant.h"

static inline int port_defect_remove(const char *name, const struct stat *status, int kind,
                                     struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(name);
}

/** Switch the defect on that the argument names. The tests then run in a child, which the first
 * that fails ends: it may leave threads running that end the program in any way, or never. A defect
 * that makes a test hang is found, too, by the alarm. The child's files are in a folder that is
 * removed. Returns without an argument, or in the child. */
static inline void port_defect(int argc, char **argv)
{
    if (argc == 1) {
        return;
    }
    for (int i = 1; i < PH_MUTANT_COUNT; i++) {
        if (strcmp(argv[1], ph_mutant_name((enum ph_mutant)i)) != 0) {
            continue;
        }
        int status = 0;
        char folder[] = "defect-XXXXXX";
        bool made = mkdtemp(folder) != NULL;
        pid_t child = made ? fork() : -1;
        if (child == 0) {
            if (chdir(folder) != 0) {
                _exit(0);
            }
            ph_active_mutant = (enum ph_mutant)i;
            (void)setenv("CMOCKA_TEST_ABORT", "1", 1);
            alarm(40);
            return;
        }
        bool found = child > 0 && waitpid(child, &status, 0) == child && status != 0;
        if (made) {
            (void)nftw(folder, port_defect_remove, 8, FTW_DEPTH | FTW_PHYS);
        }
        printf("\nmutant %s %s\n", argv[1], found ? "killed" : "SURVIVED");
        exit(found ? 0 : 1);
    }
    printf("no such defect\n");
    exit(1);
}
#else
static inline void port_defect(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        printf("built without defects\n");
        exit(1);
    }
}
#endif

#endif /* PORT_DEFECT_H */
