/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_stores.c - what a heap stores by itself is told of (heap.h, struct heap_stores): whole
 * chunks that a huge object takes and gives back, blocks that are zeroed when they are used again,
 * bits and tables; and what is discarded reads as zeros without a word. All tests of this room run
 * under the watch; this one with the seeded defects.
 */
#include "heap_fixture.h"
#include "heap_layout.h"
#include "ph_killed.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

enum { OBJECTS = 9 };

/* Fill chunks with old bytes, free them, and let a huge object swallow them with their tables. */
static void take_and_give_back_bodies(bool discards)
{
    struct fixture f;
    fixture_open(&f, 3 * HEAP_CHUNK_BYTES, discards);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < OBJECTS; i++) { /* two chunks of blocks that will be dirty */
            pvm_object_t o = fixture_leaf(&f, 10 * MIB);
            assert_non_null(o);
            fixture_fill(&f, o->da + 5 * MIB, 0x5A, 100000);
            fixture_put(&f, &fixture_slots(f.root)[i], o);
        }
        for (int i = 0; i < OBJECTS; i++) {
            fixture_put(&f, &fixture_slots(f.root)[i], NULL);
        }
        uint64_t discarded = f.discarded_bytes;
        fixture_collect(&f); /* and looks */
        assert_true((f.discarded_bytes > discarded) == discards);

        pvm_object_t huge = fixture_leaf(&f, HEAP_CHUNK_BYTES + 20 * MIB);
        assert_non_null(huge);
        fixture_look(&f);
        for (uint64_t at = 0; at < huge->_da_size; at += 4096) {
            assert_int_equal(huge->da[at], 0);
        }
        fixture_fill(&f, huge->da + HEAP_CHUNK_BYTES - MIB, 0x77, 2 * MIB); /* over tables */
        fixture_look(&f);
        discarded = f.discarded_bytes;
        fixture_collect(&f); /* it is garbage: its chunks get their tables again */
        assert_false(heap_is_object(f.heap, huge));
        assert_true((f.discarded_bytes > discarded) == discards);
        fixture_audit(&f);
        if (round == 0) {
            fixture_reattach(&f);
        }
    }
    fixture_close(&f);
}

static void bodies_that_are_cleared_are_told(void **state)
{
    (void)state;
    take_and_give_back_bodies(false);
}

static void discarded_bodies_need_not_be_told(void **state)
{
    (void)state;
    take_and_give_back_bodies(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_are_cleared_are_told),
        cmocka_unit_test(discarded_bodies_need_not_be_told),
    };
    const struct ph_killing killings[] = {
        {PH_MUTANT_BODY_CLEARED_UNTOLD, tests[0], NULL, NULL},
        {PH_MUTANT_TABLES_CLEARED_UNTOLD, tests[0], NULL, NULL},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof killings / sizeof killings[0]);
}
