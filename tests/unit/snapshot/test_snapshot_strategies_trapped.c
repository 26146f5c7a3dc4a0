/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_strategies_trapped.c - the conformance suite over real memory that catches first
 * stores, or of which a frozen copy can be made. usage:
 *     test_snapshot_strategies_trapped sigbus|mprotect|fork
 * Skipped where the kernel cannot.
 */
#include "hal_posix.h"
#include "ph_sanitizer.h"
#include "ph_test.h"
#include "strategy_suite.h"

#include <stdio.h>
#include <string.h>

/* Free with and without the address and thread sanitizers. */
static const uint64_t BASE = UINT64_C(0x7e8000000000);

static enum hal_tracking tracking;

static struct snap_memory *create(void **handle, uint64_t pages)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_memory *memory = NULL;
    int rc = hal_memory_reserve(BASE, pages * SNAP_PAGE_SIZE, tracking, &memory, &diag);
    if (rc != 0) {
        print_message("no memory: %s: %s\n", phantom_err_name(rc), diag.text);
        return NULL;
    }
    *handle = memory;
    return memory;
}

static void destroy(void *handle)
{
    struct snap_memory *memory = handle;
    memory->ops->close(memory);
}

static struct snap_memory *restart(void **handle, uint64_t pages)
{
    destroy(*handle);
    return create(handle, pages);
}

static void write_plainly(void *handle, uint64_t offset, const void *data, size_t length)
{
    struct snap_memory *memory = handle;
    memcpy(memory->base + offset, data, length);
}

static const struct kit_memory trapped = {"real memory", create, restart, write_plainly, destroy};

/** Four threads over hundreds of snapshots, each generation compared with the heap at its cut. */
static void no_generation_of_hundreds_differs_from_its_cut(void **state)
{
    struct kit kit;
    uint64_t seed = kit_seed(815);
    kit_begin(&kit, *state, 700);
    kit_let_discard(&kit, 50);
    kit_start_mutators(&kit, 4, 500, 60, seed);
    for (int i = 0; i < 200; i++) {
        kit_let_run(&kit, 100);
        kit_snapshot_ok(&kit);
    }
    kit_stop_mutators(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "mprotect";
    tracking = strcmp(name, "sigbus") == 0     ? HAL_TRACK_SIGBUS
               : strcmp(name, "mprotect") == 0 ? HAL_TRACK_MPROTECT
                                               : HAL_TRACK_NONE;
#if PH_UNDER_TSAN || PH_UNDER_ASAN
    if (strcmp(name, "fork") == 0) {
        printf("SKIP: each fork copies the page tables of a sanitizer's shadow: minutes\n");
        return PH_TEST_SKIPPED;
    }
#endif
    void *handle;
    struct snap_memory *memory = create(&handle, 16);
    if (memory == NULL) {
        printf("SKIP: this kernel does not allow strategy %s for us\n", name);
        return PH_TEST_SKIPPED;
    }
    destroy(handle);
    struct kit_kind kind = {name, name, &trapped, false};
    const struct CMUnitTest stress[] = {
        cmocka_unit_test_prestate(no_generation_of_hundreds_differs_from_its_cut, &kind),
    };
    int failed = strategy_suite_run(&kind);
    return failed + cmocka_run_group_tests(stress, NULL, NULL);
}
