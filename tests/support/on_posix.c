/* SPDX-License-Identifier: Apache-2.0
 *
 * on_posix.c - on_machine.h on the real machine: cases are cmocka tests.
 */
#include "on_machine.h"
#include "ph_sanitizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int machine_main(const struct machine_case *cases, size_t count, const struct machine_hooks *hooks)
{
    (void)hooks;
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    if (tests == NULL) {
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, cases[i].run, cases[i].setup,
                                       cases[i].teardown, NULL};
    }
    cmocka_set_test_filter(getenv("PH_CASE"));
    int failed = _cmocka_run_group_tests("posix", tests, count, NULL, NULL);
    free(tests);
    return failed;
}

void machine_expect_defect(enum ph_mutant mutant, bool (*fact)(void), int tries)
{
#if PH_UNDER_TSAN
    (void)mutant; /* the switch itself would be the race that is found */
    (void)fact;
    (void)tries;
#else
    ph_active_mutant = mutant;
    bool shows = false;
    for (int i = 0; i < tries && !shows; i++) {
        shows = !fact();
    }
    ph_active_mutant = PH_MUTANT_NONE;
    assert_true(shows);
    printf("mutant %s killed\n", ph_mutant_name(mutant));
#endif
}

uint64_t machine_seed(void)
{
    const char *given = getenv("PH_SEED");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec;
    printf("PH_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}
