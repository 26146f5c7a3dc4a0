/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_killed.h - how a test says that it has caught a seeded defect, and how a named test is run
 * once more with the defect switched on.
 *
 * docs/hazards.md declares one test for each defect of ph_mutant_list.h; tools/test_summary.py
 * looks for the line below in the output of that test and counts.
 */
#ifndef PH_KILLED_H
#define PH_KILLED_H

#include "ph_mutant.h"
#include "ph_test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/** After the test has seen that the defect is caught, and that nothing is caught without it. */
static inline void ph_mutant_killed(enum ph_mutant mutant)
{
    printf("mutant %s killed\n", ph_mutant_name(mutant));
    fflush(stdout);
}

/** A test that passes without the defect and must not with it. */
struct ph_killing {
    enum ph_mutant mutant;
    struct CMUnitTest test;
    CMFixtureFunction setup, teardown; /* of the group; NULL: none */
};

/** Does the test pass with this defect, in a process of its own, where it may hang or crash? */
static inline bool ph_test_passes_with(const struct ph_killing *killing, enum ph_mutant mutant)
{
    enum { PATIENCE_S = 60 };
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL ||
            freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        alarm(PATIENCE_S);
        ph_active_mutant = mutant;
        const struct CMUnitTest tests[] = {killing->test};
        _exit(cmocka_run_group_tests(tests, killing->setup, killing->teardown) != 0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/** After the tests themselves: their result, or 1 when a defect was not caught. */
static inline int ph_kill_all(int result, const struct ph_killing *killings, size_t count)
{
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct ph_killing *killing = &killings[i];
        if (!ph_test_passes_with(killing, PH_MUTANT_NONE) ||
            ph_test_passes_with(killing, killing->mutant)) {
            printf("mutant %s SURVIVED %s\n", ph_mutant_name(killing->mutant), killing->test.name);
            return 1;
        }
        ph_mutant_killed(killing->mutant);
    }
    return result;
}

#endif /* PH_KILLED_H */
