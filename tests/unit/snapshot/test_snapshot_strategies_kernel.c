/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_strategies_kernel.c - the conformance suite over real memory: `async` with the
 * kernel's own tracking, and `full` with and without. Skipped where the kernel cannot track.
 */
#include "hal_posix.h"
#include "ph_test.h"
#include "strategy_suite.h"

#include <stdio.h>
#include <string.h>

/* Free with and without the address and thread sanitizers. */
static const uint64_t BASE = UINT64_C(0x7e8000000000);

static struct snap_memory *reserve(void **handle, uint64_t pages, bool track)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_memory *memory = NULL;
    int rc = hal_memory_reserve(BASE, pages * SNAP_PAGE_SIZE, track, &memory, &diag);
    if (rc != 0) {
        print_message("no memory: %s: %s\n", phantom_err_name(rc), diag.text);
        return NULL;
    }
    *handle = memory;
    return memory;
}

static struct snap_memory *create_tracked(void **handle, uint64_t pages)
{
    return reserve(handle, pages, true);
}

static struct snap_memory *create_untracked(void **handle, uint64_t pages)
{
    return reserve(handle, pages, false);
}

static void destroy(void *handle)
{
    struct snap_memory *memory = handle;
    memory->ops->close(memory);
}

static struct snap_memory *restart_tracked(void **handle, uint64_t pages)
{
    destroy(*handle);
    return create_tracked(handle, pages);
}

static struct snap_memory *restart_untracked(void **handle, uint64_t pages)
{
    destroy(*handle);
    return create_untracked(handle, pages);
}

static void write_plainly(void *handle, uint64_t offset, const void *data, size_t length)
{
    struct snap_memory *memory = handle;
    memcpy(memory->base + offset, data, length);
}

static const struct kit_memory tracked = {"kernel-tracked memory", create_tracked, restart_tracked,
                                          write_plainly, destroy};
static const struct kit_memory untracked = {"untracked memory", create_untracked, restart_untracked,
                                            write_plainly, destroy};

int main(void)
{
    static const struct kit_kind kinds[] = {
        {"async over kernel-tracked memory", "async", &tracked, false},
        {"async with marks over kernel-tracked memory", "async", &tracked, true},
        {"cards over untracked memory", "cards", &untracked, true},
        {"full over kernel-tracked memory", "full", &tracked, false},
        {"full over untracked memory", "full", &untracked, false},
    };
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (!probe.userfaultfd || !probe.wp_async || !probe.pagemap_scan) {
        printf("SKIP: this kernel (%s) does not track written pages for us\n", probe.kernel);
        return PH_TEST_SKIPPED;
    }
    int failed = 0;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        failed += strategy_suite_run(&kinds[i]);
    }
    return failed;
}
