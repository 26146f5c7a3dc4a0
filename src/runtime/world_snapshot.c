/* SPDX-License-Identifier: Apache-2.0
 *
 * world_snapshot.c - who takes a snapshot when several want one.
 *
 * A caller needs a snapshot that begins after its call. If one is being written it waits; then the
 * first waiter takes the next one in its own thread and the others share the result.
 */
#include "world_internal.h"

#include "hal_files.h"

#include <stdio.h>

static uint64_t instructions_so_far(struct phantom_world *world)
{
    struct pvm_stats stats;
    pvm_stats(world->pvm, &stats);
    return stats.instructions;
}

bool world_is_unchanged(struct phantom_world *world, bool sleepers_matter)
{
    struct pvm_stats stats;
    pvm_stats(world->pvm, &stats);
    hal_mutex_lock(&world->lock);
    bool unchanged = world->snapshots_begun > 0 && world->last_result == 0 &&
                     world->instructions_at_last == stats.instructions;
    if (world->snapshots_begun == 0) { /* opened and nothing run yet: the store has it all */
        unchanged = stats.instructions == 0;
    }
    hal_mutex_unlock(&world->lock);
    return unchanged && (stats.sleepers == 0 || !sleepers_matter);
}

/** Tell the host about a refused snapshot: the first of a row, and the end of the row. */
static void report_outcome(struct phantom_world *world, int result, const struct phantom_diag *diag)
{
    bool refused = result < 0 && result != PHANTOM_EPOISONED; /* the next one may succeed */
    if (refused && !world->refusal_reported) {
        world_message(world, "%s: snapshot refused: %s", world->path, diag->text);
    } else if (result == 0 && world->refusal_reported) {
        world_message(world, "%s: snapshots go on", world->path);
    } else if (result == PHANTOM_EPOISONED) {
        world_message(world, "%s: snapshot failed: %s", world->path, diag->text);
    }
    world->refusal_reported = refused;
}

/** The snapshot itself; snapshot_busy is ours, lock is not held. */
static int take(struct phantom_world *world, struct phantom_generation *generation,
                struct phantom_diag *diag)
{
    struct snap_report report;
    int result = snap_engine_snapshot(world->engine, &report, diag);
    if (result == 0) {
        snap_generation_view(&report.generation, generation);
        if (world->options.committed != NULL) {
            world->options.committed(world->options.context, generation);
        }
    } else if (result == PHANTOM_EPOISONED) {
        atomic_store(&world->poisoned, true);
        pvm_request_stop(world->pvm); /* what runs now could never be kept */
    }
    report_outcome(world, result, diag);
    return result;
}

int world_snapshot(struct phantom_world *world, struct phantom_generation *out,
                   struct phantom_diag *diag)
{
    struct phantom_diag own = PHANTOM_DIAG_INIT;
    hal_mutex_lock(&world->lock);
    uint64_t needed = world->snapshots_begun + 1;
    while (world->snapshot_busy && world->last_done < needed) {
        hal_cond_wait(&world->changed, &world->lock);
    }
    int result;
    if (world->last_done >= needed) {
        snap_engine_count_coalesced(world->engine);
        result = world->last_result;
        snprintf(own.text, sizeof(own.text), "shared the snapshot of another thread: %s",
                 phantom_strerror(result));
    } else {
        world->snapshot_busy = true;
        uint64_t mine = ++world->snapshots_begun;
        uint64_t instructions = instructions_so_far(world);
        struct phantom_generation generation;
        hal_mutex_unlock(&world->lock);
        result = take(world, &generation, &own);
        hal_mutex_lock(&world->lock);
        world->snapshot_busy = false;
        world->last_done = mine;
        world->last_result = result;
        if (result == 0) {
            world->last_generation = generation;
            world->instructions_at_last = instructions;
        }
        hal_cond_broadcast(&world->changed);
    }
    if (result == 0 && out != NULL) {
        *out = world->last_generation;
    }
    hal_mutex_unlock(&world->lock);
    return result == 0 ? 0 : ph_fail(diag, result, "%s", own.text);
}

int phantom_snapshot(struct phantom_world *world, struct phantom_generation *out)
{
    if (world->owner_process != hal_process_id()) {
        return PHANTOM_EFORKED;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int result = world_snapshot(world, out, &diag);
    world_remember(world, &diag);
    return result;
}
