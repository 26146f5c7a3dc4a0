/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_view.c - the ladder of snapshot strategies as the host sees it: which of them this
 * machine allows, and which would be taken. The table itself is the snapshot room's.
 */
#include <phantom/snapshot.h>

#include "hal_posix.h"
#include "snap_engine.h"

enum { STRATEGIES_MOST = 16 };

void phantom_probe_strategies(bool stores_marked,
                              void (*visit)(void *context, const struct phantom_strategy *strategy),
                              void *context)
{
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    const struct snap_conditions conditions = {
        .tracks = probe.userfaultfd && probe.wp_async && probe.pagemap_scan,
        .barrier = probe.membarrier,
        .all_stores_marked = stores_marked,
        .waits = true,
    };
    struct snap_choice choices[STRATEGIES_MOST];
    size_t count = snap_strategy_list(&conditions, choices, STRATEGIES_MOST);
    for (size_t i = 0; i < count && i < STRATEGIES_MOST; i++) {
        const struct phantom_strategy strategy = {.name = choices[i].name,
                                                  .needs = choices[i].needs,
                                                  .why_not = choices[i].why_not,
                                                  .chosen = choices[i].chosen};
        visit(context, &strategy);
    }
}
