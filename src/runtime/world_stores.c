/* SPDX-License-Identifier: Apache-2.0
 *
 * world_stores.c - the stores of heap and machine, passed on to strategies that live on being told
 * of them: `epoch` before, `cards` after. Owns nothing; the engine owns its words and marks.
 *
 * Called by every worker for every store, with any of their locks held. before_store() may sleep
 * until the snapshot's writer gives an image back, and with it whoever waits for those locks; the
 * writer takes none of them.
 */
#include "snap_epoch.h"
#include "snap_marks.h"
#include "world_internal.h"

#include <string.h>

static uint64_t page_of(const struct phantom_world *world, const uint8_t *place)
{
    return (uint64_t)(place - world->memory->base) / SNAP_PAGE_SIZE;
}

static void before_store(void *context, const void *start, uint64_t bytes)
{
    const struct phantom_world *world = context;
    const uint8_t *first = start;
    if (world->epoch == NULL || bytes == 0) {
        return;
    }
    uint64_t last = page_of(world, first + bytes - 1);
    for (uint64_t page = page_of(world, first); page <= last; page++) {
        snap_before_store(world->epoch, page);
    }
}

static void after_store(void *context, const void *start, uint64_t bytes)
{
    const struct phantom_world *world = context;
    if (world->marks != NULL && bytes != 0) {
        uint64_t offset = (uint64_t)((const uint8_t *)start - world->memory->base);
        snap_mark_bytes(world->marks, offset, bytes);
    }
}

bool world_tells_stores(const struct phantom_world *world)
{
    const char *strategy = world->options.strategy;
    return strategy != NULL && (strcmp(strategy, "epoch") == 0 || strcmp(strategy, "cards") == 0);
}

const struct heap_stores *world_stores(struct phantom_world *world)
{
    if (!world_tells_stores(world)) {
        return NULL;
    }
    world->epoch = snap_engine_epoch(world->engine);
    world->marks = world->epoch == NULL ? snap_engine_marks(world->engine) : NULL;
    world->stores =
        (struct heap_stores){.context = world, .before = before_store, .after = after_store};
    return &world->stores;
}
