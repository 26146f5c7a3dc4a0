/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_view.c - the ladder of snapshot strategies as the host sees it: which of them this
 * machine allows, and which would be taken. The table itself is the snapshot room's.
 *
 * The engine's reasons are about the memory that it is given; a host has no memory yet and wants to
 * know what it could ask for. So each strategy is asked twice: with the memory that it would get
 * unasked, and with the one that it would get if it was asked for by name.
 */
#include <phantom/snapshot.h>

#include "hal_posix.h"
#include "snap_engine.h"

#include <string.h>

enum { STRATEGIES_MOST = 16 };

/** Usable if it is asked for, with the host's consent to a handler. */
static bool works_on_request(const struct snap_choice *choice, const struct hal_probe *probe)
{
    const struct {
        const char *name;
        bool works;
    } asked_for[] = {
        {"sigbus", probe->sigbus}, {"mprotect", probe->mprotect}, {"fork", probe->freezes}};
    for (size_t i = 0; i < sizeof(asked_for) / sizeof(asked_for[0]); i++) {
        if (strcmp(choice->name, asked_for[i].name) == 0 && !asked_for[i].works) {
            return false;
        }
    }
    return choice->why_not == NULL;
}

void phantom_probe_strategies(enum phantom_probed_for kind,
                              void (*visit)(void *context, const struct phantom_strategy *strategy),
                              void *context)
{
    bool stores_marked = kind == PHANTOM_FOR_MARKED_SPACES;
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    struct snap_conditions conditions = {
        .tracks = probe.userfaultfd && probe.wp_async && probe.pagemap_scan,
        .barrier = probe.membarrier,
        .all_stores_marked = stores_marked,
        .waits = true,
    };
    struct snap_choice unasked[STRATEGIES_MOST], asked[STRATEGIES_MOST];
    size_t count = snap_strategy_list(&conditions, unasked, STRATEGIES_MOST);
    conditions.trap = "any";
    conditions.freezes = true;
    if (kind == PHANTOM_FOR_WORLDS) {
        conditions.all_stores_marked = true;
        conditions.all_stores_announced = true;
    }
    (void)snap_strategy_list(&conditions, asked, STRATEGIES_MOST);
    count = count < STRATEGIES_MOST ? count : STRATEGIES_MOST;
    /* A space that announces its stores takes cards, which needs no kernel: space_memory.c. */
    for (int cards = 1; cards >= 0; cards--) {
        for (size_t i = 0; i < count; i++) {
            bool first = stores_marked && strcmp(unasked[i].name, "cards") == 0;
            if (first != (cards == 1)) {
                continue;
            }
            bool on_request = unasked[i].why_not != NULL && works_on_request(&asked[i], &probe);
            const char *why_not = on_request ? NULL : unasked[i].why_not;
            const struct phantom_strategy strategy = {
                .name = unasked[i].name,
                .needs = unasked[i].needs,
                .why_not = why_not != NULL && asked[i].why_not == NULL
                               ? "this kernel or container does not allow it"
                               : why_not,
                .chosen = stores_marked ? first : unasked[i].chosen,
                .on_request = on_request};
            visit(context, &strategy);
        }
    }
}
