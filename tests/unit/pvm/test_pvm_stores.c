/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_stores.c - a program that stores in every way: fields, arrays, directories, strings,
 * frames, locks, threads, exceptions, collections. Every test of this room runs under the watch
 * (store_watch.h); this one in slices of a few instructions, so that stores fall before and after a
 * look, and with the seeded defects.
 */
#include "ph_killed.h"
#include "ph_rng.h"
#include "pvm_kit.h"

/* Slot 0: the first of a list of nodes, whose slot 0 is the next one; 1: an array; 2: a directory;
 * 3: the newest node while it is made. */
static const char run_text[] = "arg_count 1 stack_reserve 0 1"
                               " summon_by_name '.internal.container.array' new os_save8 1"
                               " summon_by_name '.internal.directory' new os_save8 2"
                               " iconst_32bit 300 is_set32 0"
                               " again: summon_this call_11 0 os_drop"
                               " os_load8 1 is_get32 0 i2o is_get32 0 i2o call_0B 2 os_drop"
                               " os_load8 2 sconst_bin 'key' summon_this call_08 2 os_drop"
                               " is_get32 0 iconst_32bit 1 isublu is_dup is_set32 0 jz over"
                               " jmp again over:" SAY("done") " ret";

static const char grow_text[] = "arg_count 0 summon_by_name '.node' new os_save8 3"
                                " os_load8 3 os_load8 0 call_11 1 os_drop"
                                " os_load8 3 os_save8 0 summon_null ret";

static const char link_text[] = "arg_count 1 os_get32 0 os_save8 0 summon_null ret";

static struct kit *open_program(void)
{
    struct kit *kit = kit_open();
    const struct kit_method boot[] = {{8, 1, run_text, NULL}, {17, 0, grow_text, NULL}};
    const struct kit_method node[] = {{17, 1, link_text, NULL}};
    kit_class(kit, ".boot", ".internal.object", 6, boot, 2, NULL);
    kit_class(kit, ".node", ".internal.object", 2, node, 1, NULL);
    kit->options.gc_threshold_bytes = 64 * 1024;
    kit_boot(kit, ".boot");
    return kit;
}

static void every_store_is_told_of(void **state)
{
    (void)state;
    struct kit *kit = open_program();
    uint64_t seed = ph_rng_seed_from_environment(3);
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc;
    unsigned looks = 0;
    do {
        rc = pvm_step(kit->pvm, 1 + ph_rng_below(&rng, 40), &diag);
        store_watch_look(kit->watch);
        looks++;
    } while (rc == PHANTOM_ETIMEOUT);
    assert_int_equal(rc, 0);
    assert_string_equal(kit_console(kit), "done");
    assert_true(looks > 50);
    kit_close(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_store_is_told_of)};
    const struct CMUnitTest test = cmocka_unit_test(every_store_is_told_of);
    const struct ph_killing killings[] = {{PH_MUTANT_STORE_TOLD_LATE, test, NULL, NULL},
                                          {PH_MUTANT_STORE_TOLD_EARLY, test, NULL, NULL},
                                          {PH_MUTANT_FRAME_UNTOLD, test, NULL, NULL},
                                          {PH_MUTANT_THREAD_UNTOLD, test, NULL, NULL},
                                          {PH_MUTANT_BITS_UNTOLD, test, NULL, NULL}};
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(result, killings, sizeof(killings) / sizeof(killings[0]));
}
