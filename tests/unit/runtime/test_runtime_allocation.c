/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_allocation.c - every allocation of open, snapshot and close fails once, alone and
 * with all that follow. What then must hold: an error comes back or the call did without; nothing
 * is leaked, nothing is left in the folder, and the store goes on. Links the rooms, because the
 * hook that makes allocations fail is not public. Usage: kit_begin().
 */
#include "world_kit.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POSITIONS_MAX = 20000 };

/** Arm the hook for position n; every position comes twice, single and sticky. */
static void arm(unsigned round)
{
    ph_memory_fail_after(round / 2, round % 2 != 0);
}

static bool disarm(void)
{
    bool failed = ph_memory_has_failed();
    ph_memory_fail_after(-1, false);
    return failed;
}

/** One worker, no message callback: the number of allocations depends on the call alone. */
static struct phantom_options quiet_options(struct kit_log *log)
{
    struct phantom_options options = kit_options(log, ".test.runtime.sum");
    options.workers = 1;
    options.check_snapshots = false;
    options.heap_size = UINT64_C(64) << 20;
    return options;
}

/** While a new heap is filled, no memory for the machine's own books is reported as a full heap. */
static void expect_memory_error(int result, unsigned round, const struct phantom_diag *diag)
{
    if (result == PHANTOM_EHEAPFULL) {
        result = -ENOMEM;
    }
    if (result != -ENOMEM) {
        print_error("allocation %u%s: %s: %s\n", round / 2, round % 2 != 0 ? " and all after" : "",
                    phantom_err_name(result), diag->text);
    }
    assert_int_equal(result, -ENOMEM);
    assert_true(diag->text[0] != '\0');
}

static int live_again(struct kit_log *log, const char *total)
{
    struct phantom_options options = quiet_options(log);
    kit_log_clear_console(log);
    kit_run_to_end("a.phantom", &options, 0);
    return strstr(log->console, total) != NULL ? 0 : -1;
}

/** The last line that the program prints. */
static void find_total(struct kit_log *log, char *total, size_t size)
{
    struct phantom_options options = quiet_options(log);
    kit_run_to_end("total.phantom", &options, 0);
    const char *line = strstr(log->console, "total ");
    assert_non_null(line);
    snprintf(total, size, "%s", line);
    kit_clean();
}

static void birth_survives_every_failing_allocation(void **state)
{
    (void)state;
    struct kit_log log;
    kit_log_init(&log);
    struct phantom_options options = quiet_options(&log);
    options.environment = (const char *const[]){"key=value", NULL};
    int64_t blocks = ph_memory_live_blocks();
    unsigned refused = 0;
    bool failed = true;
    for (unsigned round = 0; failed && round < POSITIONS_MAX; round++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        struct phantom_world *world = NULL;
        arm(round);
        int result = phantom_open(kit_path("a.phantom"), &options, &world, &diag);
        failed = disarm();
        if (result != 0) {
            assert_true(failed);
            assert_null(world);
            expect_memory_error(result, round, &diag);
            assert_int_equal(kit_files(), 0);
            refused++;
        } else {
            phantom_abandon(world);
            kit_verify_current("a.phantom");
            kit_clean();
        }
        assert_int_equal(ph_memory_live_blocks(), blocks);
    }
    assert_false(failed);
    assert_true(refused > 10);
    printf("%u births refused\n", refused);
    kit_log_finish(&log);
}

static void resume_survives_every_failing_allocation(void **state)
{
    (void)state;
    struct kit_log log;
    char total[64];
    kit_log_init(&log);
    find_total(&log, total, sizeof(total));
    struct phantom_options options = quiet_options(&log);
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_step(world, 50000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_close(world), 0);
    uint64_t number = kit_verify("a.phantom").number;
    int64_t blocks = ph_memory_live_blocks();
    unsigned refused = 0;
    bool failed = true;
    for (unsigned round = 0; failed && round < POSITIONS_MAX; round++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        world = NULL;
        arm(round);
        int result = phantom_open(kit_path("a.phantom"), &options, &world, &diag);
        failed = disarm();
        if (result != 0) {
            assert_true(failed);
            assert_null(world);
            expect_memory_error(result, round, &diag);
            refused++;
        } else {
            phantom_abandon(world);
        }
        assert_int_equal(ph_memory_live_blocks(), blocks);
        assert_int_equal(kit_files(), 1);
    }
    assert_false(failed);
    assert_true(refused > 10);
    printf("%u resumptions refused\n", refused);
    assert_int_equal(kit_verify("a.phantom").number, number);
    assert_int_equal(live_again(&log, total), 0);
    kit_clean();
    kit_log_finish(&log);
}

static void a_snapshot_without_memory_is_refused_and_the_next_succeeds(void **state)
{
    (void)state;
    struct kit_log log;
    char total[64];
    kit_log_init(&log);
    find_total(&log, total, sizeof(total));
    log.last.number = 0;
    struct phantom_options options = quiet_options(&log);
    struct phantom_world *world = kit_open("a.phantom", &options);
    unsigned refused = 0;
    bool failed = true;
    for (unsigned round = 0; failed && round < POSITIONS_MAX; round++) {
        kit_assert_result(phantom_step(world, 500), PHANTOM_ETIMEOUT);
        struct phantom_generation generation;
        arm(round);
        int result = phantom_snapshot(world, &generation);
        failed = disarm();
        if (result != 0) {
            assert_true(failed);
            struct phantom_diag diag = PHANTOM_DIAG_INIT;
            snprintf(diag.text, sizeof(diag.text), "%s", phantom_message(world));
            expect_memory_error(result, round, &diag);
            refused++;
            kit_assert_result(phantom_snapshot(world, &generation), 0);
        }
        assert_int_equal(log.last.number, generation.number);
        assert_string_equal(phantom_message(world), "");
    }
    assert_false(failed);
    assert_true(refused > 0 && log.messages > 0);
    printf("%u snapshots refused\n", refused);
    assert_true(log.numbers_increased);
    phantom_abandon(world);
    kit_verify("a.phantom");
    assert_int_equal(live_again(&log, total), 0);
    kit_clean();
    kit_log_finish(&log);
}

static void close_without_memory_frees_all_and_says_so(void **state)
{
    (void)state;
    struct kit_log log;
    char total[64];
    kit_log_init(&log);
    find_total(&log, total, sizeof(total));
    log.last.number = 0;
    struct phantom_options options = quiet_options(&log);
    kit_assert_result(phantom_close(kit_open("a.phantom", &options)), 0);
    int64_t blocks = ph_memory_live_blocks();
    unsigned refused = 0;
    bool failed = true;
    for (unsigned round = 0; failed && round < POSITIONS_MAX; round++) {
        struct phantom_world *world = kit_open("a.phantom", &options);
        uint64_t before = log.last.number;
        kit_assert_result(phantom_step(world, 500), PHANTOM_ETIMEOUT);
        arm(round);
        int result = phantom_close(world);
        failed = disarm();
        assert_int_equal(ph_memory_live_blocks(), blocks);
        if (result != 0) {
            assert_true(failed);
            kit_assert_result(result, -ENOMEM);
            assert_int_equal(kit_verify_current("a.phantom").number, before);
            refused++;
        } else {
            assert_true(kit_verify_current("a.phantom").number > before);
        }
    }
    assert_false(failed);
    assert_true(refused > 0);
    printf("%u last snapshots refused\n", refused);
    kit_verify("a.phantom");
    assert_int_equal(live_again(&log, total), 0);
    kit_clean();
    kit_log_finish(&log);
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(birth_survives_every_failing_allocation),
        cmocka_unit_test(resume_survives_every_failing_allocation),
        cmocka_unit_test(a_snapshot_without_memory_is_refused_and_the_next_succeeds),
        cmocka_unit_test(close_without_memory_frees_all_and_says_so),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
