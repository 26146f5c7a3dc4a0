/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_cow_mutants.c - each safety mechanism of copy on write broken on purpose, over the
 * fake memory (mutant_kit.h).
 */
#include "mutant_kit.h"
#include "ph_test.h"

static const struct kit_kind epoch_kind = {"epoch", "epoch", &kit_fake_untracked_memory};

static void store_again(struct kit *kit)
{
    kit->after_cut = NULL;
    kit_fill_range(kit, 0, 100, 2);
}

/** Stores into pages of the snapshot between its cut and its writer. */
static void store_into_the_unfinished_snapshot(struct kit *kit)
{
    kit_fill_range(kit, 0, 1000, 1);
    kit->after_cut = store_again;
    kit_snapshot_ok(kit);
}

static void a_before_image_taken_after_the_store_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&epoch_kind, store_into_the_unfinished_snapshot,
                         PH_MUTANT_IMAGE_AFTER_STORE);
}

static void a_writer_that_ignores_a_claim_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&epoch_kind, store_into_the_unfinished_snapshot, PH_MUTANT_CLAIM_IGNORED);
}

/** Written, given back, written again, all between two cuts. */
static void write_discard_write(struct kit *kit)
{
    kit_fill_range(kit, 0, 100, 1);
    kit_snapshot_ok(kit);
    kit_fill(kit, 5, 2);
    assert_int_equal(snap_engine_discard(kit->engine, 5, 1), 0);
    kit_fill(kit, 5, 3);
    kit_snapshot_ok(kit);
}

static void a_discarded_page_that_is_not_rearmed_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&epoch_kind, write_discard_write, PH_MUTANT_DISCARD_NOT_REARMED);
}

static void fill_more_and_the_disk(struct kit *kit)
{
    kit->before_stop = NULL;
    kit_fill_range(kit, 100, MUTANT_PAGES - 100, 2);
    kit_disk_full(kit, true);
}

/** Refused at the cut, when the set is frozen already; then taken. */
static void refused_at_the_cut(struct kit *kit)
{
    kit_fill_range(kit, 0, 10, 1);
    kit_snapshot_ok(kit);
    kit_fill(kit, 1, 2);
    kit->before_stop = fill_more_and_the_disk;
    assert_int_equal(kit_snapshot(kit), PHANTOM_ENOSPACE);
    kit_disk_full(kit, false);
    kit_snapshot_ok(kit);
}

static void a_frozen_set_that_is_forgotten_is_noticed(void **state)
{
    (void)state;
    mutant_expect_killed(&epoch_kind, refused_at_the_cut, PH_MUTANT_FROZEN_SET_FORGOTTEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_before_image_taken_after_the_store_is_noticed),
        cmocka_unit_test(a_writer_that_ignores_a_claim_is_noticed),
        cmocka_unit_test(a_discarded_page_that_is_not_rearmed_is_noticed),
        cmocka_unit_test(a_frozen_set_that_is_forgotten_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
