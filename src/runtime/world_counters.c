/* SPDX-License-Identifier: Apache-2.0
 *
 * world_counters.c - the engine's counters of a world as the host sees them. Owns nothing.
 */
#include "world_internal.h"

#include "hal_files.h"

#include <string.h>

int phantom_counters(const struct phantom_world *world, struct phantom_counters *out)
{
    struct snap_counters counters;
    struct phantom_counters all;
    if (out->size < sizeof(out->size) || out->size > sizeof(all)) {
        return PHANTOM_EINVALID;
    }
    if (world->owner_process != hal_process_id()) {
        return PHANTOM_EFORKED;
    }
    snap_engine_counters(world->engine, &counters);
    snap_counters_view(&counters, &all);
    all.size = out->size;
    memcpy(out, &all, out->size); /* a host that was built earlier knows fewer members */
    return 0;
}

uint64_t phantom_pause_bucket_most(unsigned bucket)
{
    return snap_pause_bucket_most(bucket);
}
