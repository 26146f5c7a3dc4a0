/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_memory.c - every allocation of volatile memory fails once: the machine returns an error
 * or the program gets an exception; nothing crashes, leaks or damages the heap, and the world can
 * be attached and run to its end afterwards.
 */
#include "pvm_kit.h"

#include "ph_memory.h"

#include <string.h>

static struct kit *prepare(void)
{
    struct kit *kit = kit_open_sized(UINT64_C(64) << 20);
    const struct kit_method boot = {
        8, 1,
        "stack_reserve 1 1" INT(
            200) "is_set32 1 loop: summon_by_name '.other' new call_10 0 os_drop"
                 " is_get32 1 iconst_1 isublu is_dup is_set32 1 jz end jmp loop end:" BOOT
                 "summon_by_name '.other' new call_12 1 os_drop" SAY("boot ") "ret",
        NULL};
    const struct kit_method other[] = {
        {8, 1, SAY("thread ") "ret", NULL},
        {16, 0,
         "stack_reserve 0 1 summon_array_class new iconst_0 i2o iconst_32bit 300 i2o call_0B 2 ret",
         NULL},
    };
    kit_class(kit, ".boot", ".internal.object", 0, &boot, 1, NULL);
    kit_class(kit, ".other", ".internal.object", 0, other, 2, NULL);
    kit->options.gc_threshold_bytes = 128 * 1024;
    return kit;
}

/** One attempt with allocation `n` failing; true if nothing failed any more. */
static bool attempt(int64_t n, bool sticky)
{
    struct kit *kit = prepare();
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    kit_make_heap(kit);
    ph_memory_fail_after(n, sticky);
    int rc = kit_try_machine(kit, &diag);
    bool born = false;
    if (rc == 0) {
        rc = pvm_boot(kit->pvm, ".boot", &diag);
        born = rc == 0;
    }
    if (born) {
        rc = pvm_run(kit->pvm, &diag);
        assert_true(rc == 0 || rc == PHANTOM_EPROGRAM || rc == -12);
    } else {
        assert_true(rc < 0);
    }
    bool failed = ph_memory_has_failed();
    ph_memory_fail_after(-1, false);
    if (born) { /* the world itself is whole: a machine with memory goes on with it */
        assert_int_equal(pvm_audit(kit->pvm, &diag), 0);
        kit_reattach(kit);
        rc = kit_run(kit);
        assert_true(rc == 0 || rc == PHANTOM_EPROGRAM);
        assert_true(kit->failures > 0 || strcmp(kit_console(kit), "boot thread ") == 0);
        assert_true(failed || kit->failures == 0);
    }
    kit_close(kit);
    return !failed;
}

static void each_failing_allocation_is_survived(void **state)
{
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        int64_t n = 0;
        while (!attempt(n, sticky != 0)) {
            n++;
            assert_true(n < 2000);
        }
        assert_true(n > 20);
    }
}

static void nothing_is_leaked(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    (void)attempt(-1, false);
    for (int64_t n = 0; n < 40; n++) {
        (void)attempt(n, true);
    }
    assert_int_equal(ph_memory_live_blocks(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failing_allocation_is_survived),
        cmocka_unit_test(nothing_is_leaked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
