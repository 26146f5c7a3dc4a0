/* SPDX-License-Identifier: Apache-2.0
 *
 * test_crash_detectors.c - the store against a failing disk, failing memory and foreign blocks, as
 * tests with names. The same detectors must see the seeded defects (crash_mutants.c).
 */
#include "ph_test.h"

#include "crash_mutants.h"
#include "crash_workload.h"
#include "store_format.h"

#include <stdlib.h>
#include <string.h>

static void detect(crash_detector detector)
{
    char why[1500] = "";
    struct crash_budget budget = {.seed = ph_rng_seed_from_environment(1)};
    bool clean = detector(&budget, why, sizeof(why));
    print_message("%s\n", why);
    if (!clean) {
        fail_msg("seed %llu: %s", (unsigned long long)budget.seed, why);
    }
}

static void every_failing_operation_and_allocation_leaves_a_good_store(void **state)
{
    (void)state;
    detect(crash_errors_detect);
}

static void failing_writes_and_flushes_leave_a_good_store(void **state)
{
    (void)state;
    detect(crash_errors_detect_few);
}

static void whole_blocks_in_the_wrong_place_are_never_believed(void **state)
{
    (void)state;
    detect(crash_foreign_detect);
}

static void what_lost_writes_cannot_show_holds_as_well(void **state)
{
    (void)state;
    detect(crash_late_detect);
}

static void tags_and_readers_pin_and_rollback_is_new(void **state)
{
    (void)state;
    detect(crash_history_detect);
}

/**
 * A drive left garbage in the first sector of a record that was torn, then recovery's tombstone got
 * as far as the magic: the number in the stamp is noise. Found by the explorer.
 */
static void noise_in_the_stamp_of_a_torn_record_is_no_damage(void **state)
{
    (void)state;
    struct crash_aged aged;
    char why[1200];
    assert_true(crash_age(&aged, CRASH_CAPACITY, 1, why, sizeof(why)));
    struct io_scratch *disk = io_scratch_create(CRASH_CAPACITY);
    struct crash_session *session = calloc(1, sizeof(*session));
    assert_non_null(disk);
    assert_non_null(session);
    assert_int_equal(
        io_scratch_assign(disk, aged.image[CRASH_AGED_TORN], aged.size[CRASH_AGED_TORN]), 0);
    uint64_t size = 0;
    const struct store_superblock *s =
        (const struct store_superblock *)io_scratch_bytes(disk, &size);
    uint64_t slot = aged.torn % s->ring_slots;
    struct store_stamp stamp = {STORE_RECORD_MAGIC,
                                slot + (uint64_t)s->ring_slots * 0x123456789abc};
    io_scratch_poke(disk, (s->ring_start + slot) * STORE_BLOCK_SIZE, &stamp, sizeof(stamp));
    session->io = io_scratch_io(disk);
    if (crash_session_open(session) < 0) {
        fail_msg("%s", session->why);
    }
    assert_int_equal(session->recovery.opened, aged.current);
    assert_in_range(session->recovery.next_generation, aged.torn + 1,
                    aged.torn + 2 * (uint64_t)s->ring_slots);
    crash_session_close(session);
    free(session);
    io_scratch_destroy(disk);
    crash_aged_finish(&aged);
}

/* Encrypted stores: the commit takes another way through the staging area. */
static int run_encrypted(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_writes_and_flushes_leave_a_good_store),
        cmocka_unit_test(noise_in_the_stamp_of_a_torn_record_is_no_damage),
    };
    crash_key = &crash_test_key;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Compressed stores: commits, accounting and rollback take other ways. */
static int run_compressed(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_writes_and_flushes_leave_a_good_store),
        cmocka_unit_test(whole_blocks_in_the_wrong_place_are_never_believed),
        cmocka_unit_test(tags_and_readers_pin_and_rollback_is_new),
    };
    crash_compress = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_operation_and_allocation_leaves_a_good_store),
        cmocka_unit_test(whole_blocks_in_the_wrong_place_are_never_believed),
        cmocka_unit_test(what_lost_writes_cannot_show_holds_as_well),
        cmocka_unit_test(tags_and_readers_pin_and_rollback_is_new),
        cmocka_unit_test(noise_in_the_stamp_of_a_torn_record_is_no_damage),
    };
    crash_keep_memory();
    if (argc > 1 && strcmp(argv[1], "--encrypted") == 0) {
        return run_encrypted();
    }
    if (argc > 1 && strcmp(argv[1], "--compressed") == 0) {
        return run_compressed();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
