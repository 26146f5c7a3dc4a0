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
        {"async over fake memory", "async", &kit_fake_memory},
        {"full over fake memory", "full", &kit_fake_memory},
        {"full over fake memory without tracking", "full", &kit_fake_untracked_memory},
    };
    int failed = 0;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        failed += strategy_suite_run(&kinds[i]);
    }
    return failed;
}
