/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_cow_mutants.c - each safety mechanism of copy on write broken on purpose, over the
 * fake memory (mutant_kit.h).
 */
#include "cow_pages.h"
#include "memory_fake.h"
#include "mutant_kit.h"
#include "ph_killed.h"

#include <errno.h>
#include <sched.h>

static const struct kit_kind epoch_kind = {"epoch", "epoch", &kit_fake_untracked_memory};
static const struct kit_kind sigbus_kind = {"sigbus", "sigbus", &kit_fake_trapping_memory};

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

/** A page that cannot be given back (it is locked into memory) is written by hand, and then again.
 */
static void write_into_a_kept_page(struct kit *kit)
{
    kit_fill_range(kit, 0, 100, 1);
    kit_snapshot_ok(kit);
    kit_fill(kit, 5, 2);
    memory_fake_fail_after(kit->handle, 0, EINVAL);
    assert_int_equal(snap_engine_discard(kit->engine, 5, 1), -EINVAL);
    memory_fake_fail_after(kit->handle, -1, 0);
    kit_snapshot_ok(kit);
    kit_fill(kit, 5, 3);
    memory_fake_fail_after(kit->handle, 0, EINVAL);
    assert_int_equal(snap_engine_discard(kit->engine, 5, 1), -EINVAL);
    memory_fake_fail_after(kit->handle, -1, 0);
    kit_fill(kit, 5, 4);
    kit_snapshot_ok(kit);
}

static void a_page_that_was_not_given_back_is_still_caught(void **state)
{
    (void)state;
    mutant_expect_killed(&sigbus_kind, write_into_a_kept_page, PH_MUTANT_KEPT_PAGE_FORGOTTEN);
}

/* ---- discard against the end of a snapshot --------------------------------------------------- */

enum { ROUNDS = 20000 };

struct race {
    struct cow_pages cow;
    _Atomic uint32_t round; /* both do their part of it */
    _Atomic uint32_t done;
    uint32_t rounds;
};

static void *discard_in_each_round(void *argument)
{
    struct race *race = argument;
    for (uint32_t i = 1; i <= race->rounds; i++) {
        while (atomic_load(&race->round) < i) {
            sched_yield();
        }
        if (atomic_load(&race->round) == UINT32_MAX) {
            break;
        }
        cow_pages_before_discard(&race->cow, 1, true);
        atomic_store(&race->done, i);
    }
    return NULL;
}

/** Rounds in which a page ended clean and in the changed set: the next snapshot waits for it for
 *  ever. Stops at the first. */
static unsigned rounds_that_break(uint32_t rounds)
{
    struct race race = {.rounds = rounds};
    struct memory_fake *fake = memory_fake_create(2, false);
    pthread_t thread;
    unsigned wrong = 0;
    assert_int_equal(cow_pages_init(&race.cow, memory_fake_memory(fake), 64), 0);
    assert_int_equal(pthread_create(&thread, NULL, discard_in_each_round, &race), 0);
    for (uint32_t i = 1; i <= rounds && wrong == 0; i++) {
        cow_pages_before_store(&race.cow, 1);
        atomic_store(&race.round, i);
        for (uint32_t k = 0; k < i % 64; k++) {
            atomic_signal_fence(memory_order_seq_cst); /* come a little later each time */
        }
        cow_pages_reopen(&race.cow, 1);
        while (atomic_load(&race.done) < i) {
            sched_yield();
        }
        bool open = atomic_load(&race.cow.epoch.word[1]) != SNAP_PAGE_CLEAN;
        wrong += open != (cow_pages_changed(&race.cow) == 1);
    }
    atomic_store(&race.round, UINT32_MAX);
    pthread_join(thread, NULL);
    cow_pages_finish(&race.cow);
    memory_fake_destroy(fake);
    return wrong;
}

static void a_discard_beside_the_end_of_a_snapshot_leaves_no_page_in_between(void **state)
{
    (void)state;
    assert_int_equal(rounds_that_break(ROUNDS), 0);
    ph_active_mutant = PH_MUTANT_DISCARD_UNCLAIMED;
    unsigned broken = rounds_that_break(1);
    ph_active_mutant = PH_MUTANT_NONE;
    assert_int_equal(broken, 1);
    ph_mutant_killed(PH_MUTANT_DISCARD_UNCLAIMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_before_image_taken_after_the_store_is_noticed),
        cmocka_unit_test(a_writer_that_ignores_a_claim_is_noticed),
        cmocka_unit_test(a_discarded_page_that_is_not_rearmed_is_noticed),
        cmocka_unit_test(a_frozen_set_that_is_forgotten_is_noticed),
        cmocka_unit_test(a_page_that_was_not_given_back_is_still_caught),
        cmocka_unit_test(a_discard_beside_the_end_of_a_snapshot_leaves_no_page_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
