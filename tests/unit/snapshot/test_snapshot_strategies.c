/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_strategies.c - the conformance suite over the fake memory: `async`, and `full` with
 * and without a memory that could track. The same suite over real memory is
 * test_snapshot_strategies_kernel.c.
 */
#include "strategy_suite.h"

int main(void)
{
    static const struct kit_kind kinds[] = {
        {"async over fake memory", "async", &kit_fake_memory, false},
        {"async into a compressed store", "async", &kit_fake_memory, false, true},
        {"async with marks over fake memory", "async", &kit_fake_memory, true},
        {"async with marks, no barrier", "async", &kit_fake_memory_without_barrier, true},
        {"cards over fake memory", "cards", &kit_fake_untracked_memory, true},
        {"epoch over fake memory without tracking", "epoch", &kit_fake_untracked_memory, false},
        {"sigbus over fake memory", "sigbus", &kit_fake_trapping_memory, false},
        {"mprotect over fake memory", "mprotect", &kit_fake_trapping_blocks, false},
        {"fork over fake memory", "fork", &kit_fake_untracked_memory, false},
        {"full over fake memory", "full", &kit_fake_memory, false},
        {"full over fake memory without tracking", "full", &kit_fake_untracked_memory, false},
    };
    int failed = 0;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        failed += strategy_suite_run(&kinds[i]);
    }
    return failed;
}
