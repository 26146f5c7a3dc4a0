/* SPDX-License-Identifier: Apache-2.0
 *
 * world_memory.c - which tracking the heap's range gets, by the strategy that was asked for. Owns
 * nothing: the range belongs to the world.
 */
#include "world_internal.h"

#include <string.h>

/** What a named strategy needs; one that nobody knows is for the engine to refuse. */
static const struct {
    const char *strategy;
    enum hal_tracking tracking;
} needs[] = {
    {"async", HAL_TRACK_ASYNC},   {"cards", HAL_TRACK_NONE},        {"epoch", HAL_TRACK_NONE},
    {"sigbus", HAL_TRACK_SIGBUS}, {"mprotect", HAL_TRACK_MPROTECT}, {"fork", HAL_TRACK_NONE},
    {"full", HAL_TRACK_NONE},
};

static bool catches(enum hal_tracking tracking)
{
    return tracking == HAL_TRACK_SIGBUS || tracking == HAL_TRACK_MPROTECT;
}

static int reserve_for(struct phantom_world *world, uint64_t base, uint64_t size,
                       const char *strategy, struct phantom_diag *diag)
{
    enum hal_tracking tracking = HAL_TRACK_NONE;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (strcmp(strategy, needs[i].strategy) != 0) {
            continue;
        }
        tracking = needs[i].tracking;
    }
    if (catches(tracking) && !world->options.allow_signal_handlers) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                       "strategy %s installs a signal handler, and the host has not allowed that",
                       strategy);
    }
    return hal_memory_reserve(base, size, tracking, &world->memory, diag);
}

int world_reserve_memory(struct phantom_world *world, uint64_t base, uint64_t size,
                         struct phantom_diag *diag)
{
    const char *strategy = world->options.strategy;
    if (strategy != NULL && strcmp(strategy, "auto") != 0) {
        return reserve_for(world, base, size, strategy, diag);
    }
    int result = hal_memory_reserve(base, size, HAL_TRACK_ASYNC, &world->memory, diag);
    if (result == PHANTOM_EUNSUPPORTED) {
        world_message(world,
                      "%s: strategy async is not available (%s); using full: each snapshot reads "
                      "the whole heap",
                      world->path, diag->text);
        result = hal_memory_reserve(base, size, HAL_TRACK_NONE, &world->memory, diag);
    }
    return result;
}
