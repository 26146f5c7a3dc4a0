/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_table.c - the ladder of strategies: the order of preference, the automatic choice, and
 * the reasons why not. Each strategy states its own conditions (why_not); only the order is here.
 * Owns nothing.
 */
#include "snapshot_internal.h"

#include <stdio.h>
#include <string.h>

/* Best first. `full` is always usable; what comes after it is never chosen without being asked for.
 */
static const struct snap_strategy *const ladder[] = {
    &snap_strategy_async,    &snap_strategy_cards, &snap_strategy_epoch, &snap_strategy_sigbus,
    &snap_strategy_mprotect, &snap_strategy_full,  &snap_strategy_fork,
};

enum { LADDER = sizeof(ladder) / sizeof(ladder[0]) };

size_t snap_strategy_list(const struct snap_conditions *conditions, struct snap_choice *out,
                          size_t capacity)
{
    bool chosen = false;
    for (size_t i = 0; i < LADDER && i < capacity; i++) {
        const char *why_not = ladder[i]->why_not(conditions);
        out[i] = (struct snap_choice){.name = ladder[i]->name,
                                      .needs = ladder[i]->needs,
                                      .why_not = why_not,
                                      .chosen = !chosen && why_not == NULL};
        chosen = chosen || why_not == NULL;
    }
    return LADDER;
}

static int no_such_strategy(const char *name, struct phantom_diag *diag)
{
    char names[120] = "";
    size_t used = 0;
    for (size_t i = 0; i < LADDER && used < sizeof(names); i++) {
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "",
                                 ladder[i]->name);
    }
    return ph_fail(diag, PHANTOM_EINVALID, "no snapshot strategy is called '%s'; there are: %s",
                   name, names);
}

int snap_strategy_choose(struct snap_engine *engine, struct phantom_diag *diag)
{
    const char *name = engine->options.strategy;
    bool automatic = name == NULL || strcmp(name, "auto") == 0;
    const struct snap_conditions conditions = {
        .tracks = engine->memory->ops->tracks,
        .barrier = engine->live_marks,
        .all_stores_marked = engine->options.all_stores_marked,
        .all_stores_announced = engine->options.all_stores_announced,
        .waits = engine->memory->ops->wait != NULL && engine->memory->ops->wake != NULL,
        .trap = engine->memory->ops->trap,
        .freezes = engine->memory->ops->freeze != NULL,
    };
    for (size_t i = 0; i < LADDER; i++) {
        if (!automatic && strcmp(name, ladder[i]->name) != 0) {
            continue;
        }
        const char *why_not = ladder[i]->why_not(&conditions);
        if (why_not == NULL) {
            engine->strategy = ladder[i];
            return 0;
        }
        if (!automatic) {
            return ph_fail(diag, PHANTOM_EUNSUPPORTED, "strategy %s cannot be used over %s: %s",
                           name, engine->memory->ops->name, why_not);
        }
    }
    return no_such_strategy(automatic ? "auto" : name, diag);
}
