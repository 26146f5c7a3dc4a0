/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_threads.c - VM threads on several workers: mutexes, conditions, semaphores, sleep; stops
 * of the world under load; the machine thrown away and made again at any safepoint.
 *
 * The program `bank` is used throughout: four threads move money between accounts under a mutex;
 * each adds its share to a counter when done, and the last of them, told by a condition, prints the
 * total.
 */
#include "pvm_kit.h"

#include "ph_rng.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Statics of class .bank (via .internal.class 10 set, 11 get): 0 accounts, 1 mutex, 2 done, 3 cond,
 * 4 boot. Objects of .mover run method 8 in a thread of their own. */
#define STATIC(n) " summon_by_name '.bank' iconst_32bit " #n " i2o call_0B 1 "
#define SET_STATIC(n, value)                                                                       \
    " summon_by_name '.bank' iconst_32bit " #n " i2o " value " call_0A 2 os_drop "
#define START  " os_get32 0 summon_by_name '.mover' new call_12 1 os_drop "
#define LOCK   STATIC(1) " call_08 0 os_drop "
#define UNLOCK STATIC(1) " call_09 0 os_drop "

/* accounts[i] += n, with a value of int local i */
#define ADD(cell, n)                                                                               \
    STATIC(0)                                                                                      \
    STATIC(0)                                                                                      \
    " is_get32 " #cell " i2o call_0A 1 o2i iconst_32bit " #n " isum i2o is_get32 " #cell           \
    " i2o call_0B 2 os_drop "

static const char bank_text[] =
    "arg_count 1 stack_reserve 1 3" SET_STATIC(0, "summon_array_class new")
        SET_STATIC(1, "summon_by_name '.internal.mutex' new") SET_STATIC(2, "iconst_0 i2o")
            SET_STATIC(3, "summon_by_name '.internal.cond' new")
    /* ten accounts of 1000 */
    " iconst_32bit 10 is_set32 0"
    " fill: is_get32 0 iconst_32bit 1 isublu is_set32 0" STATIC(
        0) " iconst_32bit 1000 i2o is_get32 0 i2o call_0B 2 os_drop"
           " is_get32 0 jz filled jmp fill filled:" START START START START
               /* wait until all four are done */
               LOCK " wait:" STATIC(2) " o2i iconst_32bit 4 isublu jz all" STATIC(3)
                   STATIC(1) " call_08 1 os_drop jmp wait all:" UNLOCK
                             /* the total */
                             " iconst_32bit 10 is_set32 0 iconst_0 is_set32 1"
                             " sum: is_get32 0 iconst_32bit 1 isublu is_set32 0" STATIC(
                                 0) " is_get32 0 i2o call_0A 1 o2i is_get32 1 isum is_set32 1"
                                    " is_get32 0 jz summed jmp sum summed:" BOOT
                                    " is_get32 1 i2o " PRINT " ret";

static const char mover_text[] =
    "arg_count 1 stack_reserve 0 3 iconst_32bit ROUNDS is_set32 0"
    " round:" LOCK " is_get32 0 iconst_32bit 10 iremlu is_set32 1"
    " is_get32 0 iconst_32bit 7 imul iconst_32bit 3 isum iconst_32bit 10 iremlu is_set32 2" ADD(
        1, -5) ADD(2, 5) UNLOCK
    " is_get32 0 iconst_32bit 1 isublu is_dup is_set32 0 jz over jmp round over:" LOCK SET_STATIC(
        2, STATIC(2) " o2i iconst_1 isum i2o ") STATIC(3) " call_0B 0 os_drop" UNLOCK " ret";

static struct kit *open_bank(int rounds, unsigned workers)
{
    char text[4096];
    const char *at = strstr(mover_text, "ROUNDS");
    snprintf(text, sizeof(text), "%.*s%d%s", (int)(at - mover_text), mover_text, rounds, at + 6);
    struct kit *kit = kit_open();
    const struct kit_method bank = {8, 1, bank_text, NULL};
    const struct kit_method mover = {8, 1, text, NULL};
    kit_class(kit, ".bank", ".internal.object", 0, &bank, 1, NULL);
    kit_class(kit, ".mover", ".internal.object", 0, &mover, 1, NULL);
    kit->options.workers = workers;
    kit_boot(kit, ".bank");
    return kit;
}

static void check_audit(struct kit *kit)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = pvm_audit(kit->pvm, &diag);
    if (rc != 0) {
        fail_msg("audit: %d %s", rc, diag.text);
    }
}

static void threads_share_a_mutex_and_a_condition(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct kit *kit = open_bank(2000, workers);
        int rc = kit_run(kit);
        assert_string_equal(kit->failure, "");
        assert_int_equal(rc, 0);
        assert_string_equal(kit_console(kit), "10000");
        struct pvm_stats stats;
        pvm_stats(kit->pvm, &stats);
        assert_int_equal(stats.threads_started, 5);
        assert_int_equal(stats.threads_live, 0);
        kit_close(kit);
    }
}

static void *run_in_thread(void *argument)
{
    struct kit *kit = argument;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    return (void *)(intptr_t)pvm_run(kit->pvm, &diag);
}

static void world_stops_and_resumes_under_load(void **state)
{
    (void)state;
    struct kit *kit = open_bank(60000, 3);
    kit->pvm->options.gc_threshold_bytes = 1 << 20; /* collections at the same time */
    pthread_t runner;
    assert_int_equal(pthread_create(&runner, NULL, run_in_thread, kit), 0);
    int stops = 0;
    for (int i = 0; i < 3000; i++) {
        int rc = pvm_stop_world(kit->pvm, i % 50 == 0 ? 0 : 2000);
        if (rc == PHANTOM_ETIMEOUT) {
            assert_true(i % 50 == 0);
            continue;
        }
        assert_int_equal(rc, 0);
        stops++;
        if (i % 30 == 0) {
            check_audit(kit);
        }
        uint64_t before = heap_allocated_since_collect(kit->heap);
        assert_int_equal(before, heap_allocated_since_collect(kit->heap));
        pvm_resume_world(kit->pvm);
        struct timespec pause = {0, 20000};
        nanosleep(&pause, NULL);
    }
    void *result;
    assert_int_equal(pthread_join(runner, &result), 0);
    assert_int_equal((intptr_t)result, 0);
    assert_true(stops > 2000);
    assert_string_equal(kit_console(kit), "10000");
    check_audit(kit);
    kit_close(kit);
}

static void request_to_stop_ends_the_run_and_it_can_go_on(void **state)
{
    (void)state;
    struct kit *kit = open_bank(3000, 2);
    pvm_request_stop(kit->pvm);
    assert_int_equal(kit_run(kit), PHANTOM_ESTOPPED);
    pthread_t runner;
    assert_int_equal(pthread_create(&runner, NULL, run_in_thread, kit), 0);
    pvm_request_stop(kit->pvm);
    void *result;
    assert_int_equal(pthread_join(runner, &result), 0);
    assert_true((intptr_t)result == PHANTOM_ESTOPPED || (intptr_t)result == 0);
    int rc = kit_run(kit);
    if (rc == PHANTOM_ESTOPPED) { /* the run was over before the request came */
        rc = kit_run(kit);
    }
    assert_int_equal(rc, 0);
    assert_string_equal(kit_console(kit), "10000");
    kit_close(kit);
}

static void machine_made_again_at_any_safepoint_gives_the_same_answer(void **state)
{
    (void)state;
    struct ph_rng rng;
    uint64_t seed = ph_rng_seed_from_environment(20261122);
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    ph_rng_init(&rng, seed);
    for (int world = 0; world < 4; world++) {
        struct kit *kit = open_bank(60, 1 + (unsigned)world % 2);
        int restarts = 0;
        for (;;) {
            struct phantom_diag diag = PHANTOM_DIAG_INIT;
            int rc = pvm_step(kit->pvm, 1 + ph_rng_below(&rng, 300), &diag);
            if (rc == 0) {
                break;
            }
            assert_int_equal(rc, PHANTOM_ETIMEOUT);
            check_audit(kit);
            kit_reattach(kit);
            restarts++;
        }
        assert_string_equal(kit->failure, "");
        assert_string_equal(kit_console(kit), "10000");
        assert_true(restarts > 50);
        kit_close(kit);
    }
}

/* ---- sync objects one by one ----------------------------------------------------------------- */

static void run_two(const char *boot, const char *other, unsigned workers, int expected_result,
                    const char *expected)
{
    struct kit *kit = kit_open();
    const struct kit_method first = {8, 1, boot, NULL};
    const struct kit_method second = {8, 1, other, NULL};
    kit_class(kit, ".bank", ".internal.object", 0, &first, 1, NULL);
    kit_class(kit, ".mover", ".internal.object", 0, &second, 1, NULL);
    kit->options.workers = workers;
    kit_boot(kit, ".bank");
    int rc = kit_run(kit);
    if (rc != expected_result || strcmp(kit_console(kit), expected) != 0) {
        fail_msg("result %d, console '%s', %s", rc, kit_console(kit), kit->failure);
    }
    kit_close(kit);
}

static void mutexes_are_recursive_and_checked(void **state)
{
    (void)state;
    kit_expect("stack_reserve 1 0 summon_by_name '.internal.mutex' new os_set32 1"
               " os_get32 1 call_08 0 os_drop os_get32 1 call_08 0 os_drop" BOOT
               "os_get32 1 call_0A 0" PRINT "os_get32 1 call_09 0 os_drop os_get32 1 call_09 0"
               " os_drop os_get32 1 call_09 0 os_drop" SAY("end") "ret",
               "1end");
    kit_expect_throw("summon_by_name '.internal.mutex' new call_09 0 ret", "not owner");
    kit_expect_throw("summon_by_name '.internal.cond' new summon_by_name '.internal.mutex' new"
                     " call_08 1 ret",
                     "not owned");
    kit_expect_throw("summon_by_name '.internal.cond' new summon_this call_08 1 ret",
                     "wrong class");
}

static void semaphores_count_and_hand_over(void **state)
{
    (void)state;
    run_two("arg_count 1" SET_STATIC(0, "summon_by_name '.internal.sema' new") START START STATIC(
                0) "call_08 0 os_drop" STATIC(0) "call_08 0 os_drop" SAY("got two") "ret",
            STATIC(0) "call_0B 0 ret", 2, 0, "got two");
    kit_expect("stack_reserve 1 0 summon_by_name '.internal.sema' new os_set32 1"
               " os_get32 1 call_0B 0 os_drop os_get32 1 call_0B 0 os_drop os_get32 1 call_0A 0"
               " os_drop" BOOT "os_get32 1" INT(1) "i2o call_09 1" PRINT "ret",
               "1"); /* zeroed, so it times out */
}

static void deadlock_is_reported(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method method = {
        8, 1, "summon_by_name '.internal.sema' new call_08 0 os_drop ret", NULL};
    kit_class(kit, ".boot", ".internal.object", 0, &method, 1, NULL);
    kit->options.workers = 2;
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), PHANTOM_EINVALID);
    kit_reattach(kit);
    assert_int_equal(kit_run(kit), PHANTOM_EINVALID);
    kit_close(kit);
}

static void sleepers_wake_in_order_also_after_a_restart(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method boot = {8, 1,
                                    BOOT "summon_by_name '.late' new call_12 1 os_drop" BOOT INT(
                                        40) "i2o call_15 1 os_drop" SAY("first ") "ret",
                                    NULL};
    const struct kit_method late = {8, 1, BOOT INT(120) "i2o call_15 1 os_drop" SAY("second") "ret",
                                    NULL};
    kit_class(kit, ".boot", ".internal.object", 0, &boot, 1, NULL);
    kit_class(kit, ".late", ".internal.object", 0, &late, 1, NULL);
    kit_boot(kit, ".boot");
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    for (int i = 0; i < 3; i++) {
        int rc = pvm_step(kit->pvm, 1, &diag);
        if (rc == 0) {
            break;
        }
        assert_int_equal(rc, PHANTOM_ETIMEOUT);
        kit_reattach(kit);
    }
    assert_int_equal(kit_run(kit), 0);
    assert_string_equal(kit_console(kit), "first second");
    kit_close(kit);
}

static void conditions_time_out(void **state)
{
    (void)state;
    kit_expect("stack_reserve 2 0 summon_by_name '.internal.mutex' new os_set32 1"
               " summon_by_name '.internal.cond' new os_set32 2 os_get32 1 call_08 0 os_drop" BOOT
               "os_get32 2 os_get32 1" INT(5) "i2o call_09 2" PRINT
                                              "os_get32 1 call_09 0 os_drop ret",
               "1");
}

static void thread_limit_throws(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method boot = {
        8, 1,
        "stack_reserve 1 0 summon_string_class push_catcher c loop:" BOOT
        "summon_by_name '.late' new call_12 1 os_drop jmp loop c: os_set32 1" BOOT
        "os_get32 1" PRINT "ret",
        NULL};
    const struct kit_method late = {8, 1, "ret", NULL};
    kit_class(kit, ".boot", ".internal.object", 0, &boot, 1, NULL);
    kit_class(kit, ".late", ".internal.object", 0, &late, 1, NULL);
    kit->options.max_threads = 100;
    kit_boot(kit, ".boot");
    assert_int_equal(kit_run(kit), 0);
    assert_string_equal(kit_console(kit), "too many threads");
    kit_close(kit);
}

static void monitors_exclude_each_other(void **state)
{
    (void)state;
    run_two(
        "arg_count 1 stack_reserve 0 1" SET_STATIC(0, "summon_array_class new")
            STATIC(0) "iconst_0 i2o iconst_0 i2o call_0B 2 os_drop" SET_STATIC(
                1, "summon_by_name '.internal.sema' new") START START START
        " iconst_32bit 3 is_set32 0 wait:" STATIC(
            1) "call_08 0 os_drop"
               " is_get32 0 iconst_1 isublu is_dup is_set32 0 jz done jmp wait done:" BOOT STATIC(
                   0) "iconst_0 i2o call_0A 1" PRINT "ret",
        "arg_count 1 stack_reserve 0 1 iconst_32bit 1000 is_set32 0 loop:" STATIC(
            0) "general_lock" STATIC(0)
            STATIC(0) "iconst_0 i2o call_0A 1 o2i iconst_1 isum i2o"
                      " iconst_0 i2o call_0B 2 os_drop" STATIC(
                          0) "general_unlock"
                             " is_get32 0 iconst_1 isublu is_dup is_set32 0 jz done jmp loop "
                             "done:" STATIC(1) "call_0B 0 ret",
        3, 0, "3000");
}

/* Threads that grow one array and one directory without any lock: contents may be anything, memory
 * must stay whole. */
static void unlocked_sharing_stays_memory_safe(void **state)
{
    (void)state;
    struct kit *kit = kit_open();
    const struct kit_method boot = {
        8, 1, "arg_count 1" SET_STATIC(0, "summon_array_class new") START START START START "ret",
        NULL};
    const struct kit_method other = {8, 1,
                                     "arg_count 1 stack_reserve 0 1 loop:" STATIC(
                                         0) " is_get32 0 i2o is_get32 0 i2o call_0B 2 "
                                            "os_drop" STATIC(0) " is_get32 0 i2o call_0A 1 os_drop"
                                                                " is_get32 0 iconst_1 isum is_dup "
                                                                "is_set32 0 iconst_32bit 5000 ilt "
                                                                "jz done jmp loop"
                                                                " done: ret",
                                     NULL};
    kit_class(kit, ".bank", ".internal.object", 0, &boot, 1, NULL);
    kit_class(kit, ".mover", ".internal.object", 0, &other, 1, NULL);
    kit->options.workers = 4;
    kit->options.gc_threshold_bytes = 1 << 18;
    kit_boot(kit, ".bank");
    assert_int_equal(kit_run(kit), 0);
    kit_close(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_mutex_and_a_condition),
        cmocka_unit_test(world_stops_and_resumes_under_load),
        cmocka_unit_test(request_to_stop_ends_the_run_and_it_can_go_on),
        cmocka_unit_test(machine_made_again_at_any_safepoint_gives_the_same_answer),
        cmocka_unit_test(mutexes_are_recursive_and_checked),
        cmocka_unit_test(semaphores_count_and_hand_over),
        cmocka_unit_test(deadlock_is_reported),
        cmocka_unit_test(sleepers_wake_in_order_also_after_a_restart),
        cmocka_unit_test(conditions_time_out),
        cmocka_unit_test(thread_limit_throws),
        cmocka_unit_test(monitors_exclude_each_other),
        cmocka_unit_test(unlocked_sharing_stays_memory_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
