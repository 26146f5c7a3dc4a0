/* SPDX-License-Identifier: Apache-2.0
 *
 * on_machine.h - test cases that run on the real machine and, from the same source, on the
 * simulated one (compiled with TEST_ON_SIM).
 *
 * On the real machine a case is a cmocka test. On the simulated machine it is a cmocka test that
 * runs the case as the program of a machine once for each of a number of seeds; an assertion ends
 * the machine, a deadlock, a broken invariant, a leaked block or too many steps fail the case, and
 * a line REPRO: says how to see it again. So assertions may be made on any thread there.
 *
 * A case that means nothing on a simulated machine is a machine_test_posix(): it says why, and is
 * skipped there, visibly.
 *
 * PH_SEED=n first seed; PH_SIM_SEEDS=n how many; PH_CASE=name only that one.
 */
#ifndef ON_MACHINE_H
#define ON_MACHINE_H

#include "ph_mutant.h"
#include "ph_test.h"

#include <stdbool.h>

struct machine_case {
    const char *name;
    void (*run)(void **state);
    int (*setup)(void **state); /* NULL allowed, on the machine, too */
    int (*teardown)(void **state);
    const char *posix_only; /* why it does not run on the simulated machine; NULL: it does */
    unsigned seeds;         /* 0: the usual number */
};

/** What happens on a simulated machine before and after a case; NULL: nothing. */
struct machine_hooks {
    void (*begin)(void);
    void (*end)(void);
};

#define machine_test(test)                                                                         \
    (struct machine_case)                                                                          \
    {                                                                                              \
        .name = #test, .run = (test)                                                               \
    }
#define machine_test_posix(test, because)                                                          \
    (struct machine_case)                                                                          \
    {                                                                                              \
#test, (test), NULL, NULL, because, 0                                                      \
    }

/** All of them, as main() returns it. */
int machine_main(const struct machine_case *cases, size_t count, const struct machine_hooks *hooks);

/** A seeded defect must show: on the real machine `fact` is asked up to `tries` times with the
 *  mutant on, until it is false; on the simulated one at least one of the seeds must make it false,
 *  or end the machine badly. Nothing may follow in the case that
 *  relies on what the defect spoilt. Says "mutant NAME killed". */
void machine_expect_defect(enum ph_mutant mutant, bool (*fact)(void), int tries);
/** A number for seeds of the case's own: PH_SEED or the clock, printed; or from the machine. */
uint64_t machine_seed(void);

#ifdef TEST_ON_SIM
#define ON_MACHINE(posix, sim) (sim)

/** The disk of the machine that runs. */
struct hal_sim_disk *machine_disk(void);
/** For tests that run machines themselves: the disk of the next one. */
void machine_set_disk(struct hal_sim_disk *of_the_next);

_Noreturn void machine_failed(const char *file, int line, const char *what);
void machine_check_equal(uint64_t a, uint64_t b, bool equal, const char *what, const char *file,
                         int line);

#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#undef assert_int_not_equal
#undef assert_ptr_equal
#undef assert_ptr_not_equal
#undef assert_string_equal
#undef assert_memory_equal
#undef assert_in_range
#undef fail_msg
#define MACHINE_CHECK(e, what) ((e) ? (void)0 : machine_failed(__FILE__, __LINE__, what))
#define assert_true(e)         MACHINE_CHECK(e, #e)
#define assert_false(e)        MACHINE_CHECK(!(e), "not " #e)
#define assert_null(p)         MACHINE_CHECK((p) == NULL, #p " is NULL")
#define assert_non_null(p)     MACHINE_CHECK((p) != NULL, #p " is not NULL")
#define assert_int_equal(a, b)                                                                     \
    machine_check_equal((uint64_t)(a), (uint64_t)(b), true, #a " == " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b)                                                                 \
    machine_check_equal((uint64_t)(a), (uint64_t)(b), false, #a " != " #b, __FILE__, __LINE__)
#define assert_ptr_equal(a, b)           MACHINE_CHECK((a) == (b), #a " is " #b)
#define assert_ptr_not_equal(a, b)       MACHINE_CHECK((a) != (b), #a " is not " #b)
#define assert_string_equal(a, b)        MACHINE_CHECK(strcmp(a, b) == 0, #a " is " #b)
#define assert_memory_equal(a, b, bytes) MACHINE_CHECK(memcmp(a, b, bytes) == 0, #a " is " #b)
#define assert_in_range(value, least, most)                                                        \
    MACHINE_CHECK((value) >= (least) && (value) <= (most), #value " in range")
#define fail_msg(...) machine_failed(__FILE__, __LINE__, "failed")
#else
#define ON_MACHINE(posix, sim) (posix)
#endif

#endif /* ON_MACHINE_H */
