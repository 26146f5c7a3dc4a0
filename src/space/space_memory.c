/* SPDX-License-Identifier: Apache-2.0
 *
 * space_memory.c - which strategy a space gets, and which kind of memory that needs. Owns nothing:
 * the range belongs to the space. Used at opening only.
 */
#include "space_internal.h"

#include <string.h>

/** What a named strategy needs; one that nobody knows is for the engine to refuse. */
static const struct {
    const char *strategy;
    enum hal_tracking tracking;
    bool untracked_too; /* tracked memory only serves to load pages on demand */
} needs[] = {
    {"async", HAL_TRACK_ASYNC, false},   {"cards", HAL_TRACK_ASYNC, true},
    {"sigbus", HAL_TRACK_SIGBUS, false}, {"mprotect", HAL_TRACK_MPROTECT, false},
    {"epoch", HAL_TRACK_NONE, false},    {"fork", HAL_TRACK_NONE, false},
    {"full", HAL_TRACK_NONE, false},
};

const char *space_strategy(const struct phantom_space *space)
{
    const char *strategy = space->options.strategy;
    if (strategy != NULL && strcmp(strategy, "auto") != 0) {
        return strategy;
    }
    /* cards needs no kernel, and is the fastest for small commits */
    return space->options.all_stores_announced ? "cards" : NULL;
}

static int reserve_best(struct phantom_space *space, uint64_t base, uint64_t size,
                        struct phantom_diag *diag)
{
    int rc = hal_memory_reserve(base, size, HAL_TRACK_ASYNC, &space->memory, diag);
    if (rc == PHANTOM_EUNSUPPORTED) {
        space_message(space,
                      "%s: the kernel does not track written pages here (%s); each snapshot reads "
                      "the whole heap",
                      space->path, diag->text);
        rc = hal_memory_reserve(base, size, HAL_TRACK_NONE, &space->memory, diag);
    }
    return rc;
}

int space_reserve_memory(struct phantom_space *space, uint64_t base, uint64_t size,
                         struct phantom_diag *diag)
{
    const char *strategy = space_strategy(space);
    if (strategy == NULL) {
        return reserve_best(space, base, size, diag);
    }
    enum hal_tracking tracking = HAL_TRACK_NONE;
    bool untracked_too = false;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (strcmp(strategy, needs[i].strategy) == 0) {
            tracking = needs[i].tracking;
            untracked_too = needs[i].untracked_too;
        }
    }
    if ((tracking == HAL_TRACK_SIGBUS || tracking == HAL_TRACK_MPROTECT) &&
        !space->options.allow_signal_handlers) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                       "%s: strategy %s installs a signal handler, and "
                       "options.allow_signal_handlers does not allow that",
                       space->path, strategy);
    }
    int rc = hal_memory_reserve(base, size, tracking, &space->memory, diag);
    if (rc == PHANTOM_EUNSUPPORTED && untracked_too) {
        rc = hal_memory_reserve(base, size, HAL_TRACK_NONE, &space->memory, diag);
    }
    return rc;
}
