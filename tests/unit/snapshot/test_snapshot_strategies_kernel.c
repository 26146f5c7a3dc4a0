/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_strategies_kernel.c - the conformance suite over real memory: `async` with the
 * kernel's own tracking, and `full` with and without. Skipped where the kernel cannot track.
 */
#include "hal_posix.h"
#include "kit_kernel_memory.h"
#include "ph_test.h"
#include "strategy_suite.h"

#include <stdio.h>

int main(void)
{
    static const struct kit_kind kinds[] = {
        {"async over kernel-tracked memory", "async", &kit_kernel_tracked, false},
        {"async with marks over kernel-tracked memory", "async", &kit_kernel_tracked, true},
        {"cards over untracked memory", "cards", &kit_kernel_untracked, true},
        {"epoch over untracked memory", "epoch", &kit_kernel_untracked, false},
        {"full over kernel-tracked memory", "full", &kit_kernel_tracked, false},
        {"full over untracked memory", "full", &kit_kernel_untracked, false},
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
