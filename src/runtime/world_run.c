/* SPDX-License-Identifier: Apache-2.0
 *
 * world_run.c - run, step and stop a world, with a thread of its own for the periodic snapshots.
 */
#include "world_internal.h"

#include "hal_files.h"

enum {
    SEAL_AFTER_MS = 10,
    ACCOUNT_NODES = 512, /* at a time: a snapshot that is asked for meanwhile waits so long */
    SLEEPERS_MS = 10000  /* a world that only sleeps is saved this often: time slept is kept */
};

/** Sleep until `milliseconds` passed or somebody changed something; lock held. */
static void doze(struct phantom_world *world, uint64_t milliseconds)
{
    long wait = milliseconds > 1000000 ? 1000000 : (long)milliseconds;
    hal_cond_timedwait(&world->changed, &world->lock, wait > 0 ? wait : 1);
}

/** What the snapshotter does with the store when nobody else wants it. */
struct chores {
    bool seal;    /* say on disk that the newest generation is complete */
    bool account; /* derive which blocks are free, before the first snapshot needs to know */
};

/** Idle: a piece of the chores. Nobody else uses the store while snapshot_busy is ours. Lock held.
 */
static void do_chores(struct phantom_world *world, struct chores *chores)
{
    bool seal = chores->seal, account = chores->account;
    chores->seal = false;
    world->snapshot_busy = true;
    hal_mutex_unlock(&world->lock);
    if (seal) {
        snap_store_seal(world->store);
    }
    if (account) { /* an error comes again with the first snapshot, which reports it */
        chores->account = snap_store_account(world->store, ACCOUNT_NODES, NULL) > 0;
    }
    hal_mutex_lock(&world->lock);
    world->snapshot_busy = false;
    hal_cond_broadcast(&world->changed);
}

/** Wait for the next moment of a periodic snapshot. False: the snapshotter shall end. Lock held. */
static bool wait_for_turn(struct phantom_world *world, uint64_t *next_ms, struct chores *chores)
{
    while (world->snapshotter_wanted) {
        uint64_t now = hal_monotonic_ns() / 1000000;
        if (now >= *next_ms) {
            return true;
        }
        uint64_t wait = *next_ms - now;
        if ((chores->seal || chores->account) && wait > SEAL_AFTER_MS) {
            wait = SEAL_AFTER_MS;
        }
        uint64_t done_before = world->last_done;
        doze(world, wait);
        if (world->last_done != done_before) {
            chores->seal = true;
        } else if ((chores->seal || chores->account) && world->snapshotter_wanted &&
                   !world->snapshot_busy && !atomic_load(&world->poisoned)) {
            do_chores(world, chores);
        }
    }
    return false;
}

static void snapshotter(void *argument)
{
    struct phantom_world *world = argument;
    t_current_set_name("snapshotter");
    uint64_t interval = world->options.interval_ms;
    uint64_t next = hal_monotonic_ns() / 1000000 + interval;
    uint64_t last = next; /* when the last snapshot was taken, in ms */
    struct chores chores = {.account = true};
    hal_mutex_lock(&world->lock);
    while (wait_for_turn(world, &next, &chores)) {
        hal_mutex_unlock(&world->lock);
        int result = 0;
        uint64_t begin = hal_monotonic_ns() / 1000000;
        if (!world_is_unchanged(world, begin - last >= SLEEPERS_MS)) {
            last = begin;
            struct phantom_diag diag = PHANTOM_DIAG_INIT;
            result = world_snapshot(world, NULL, &diag);
            if (atomic_load(&world->poisoned)) {
                world_remember(world, &diag);
            }
        }
        chores.seal = chores.seal || result == 0;
        uint64_t now = hal_monotonic_ns() / 1000000;
        next = next + interval > now ? next + interval : now + interval;
        hal_mutex_lock(&world->lock);
        if (atomic_load(&world->poisoned)) {
            break;
        }
    }
    world->snapshotter_running = false;
    hal_cond_broadcast(&world->changed);
    hal_mutex_unlock(&world->lock);
}

static int start_snapshotter(struct phantom_world *world, struct phantom_diag *diag)
{
    if (world->options.interval_ms == PHANTOM_NO_INTERVAL) {
        return 0;
    }
    world->snapshotter_wanted = true;
    world->snapshotter_running = true;
    tid_t tid = hal_start_thread(snapshotter, world, THREAD_FLAG_KERNEL);
    if (tid < 0) {
        world->snapshotter_running = false;
        return ph_fail(diag, tid, "%s: cannot start the snapshot thread", world->path);
    }
    return 0;
}

static void stop_snapshotter(struct phantom_world *world)
{
    hal_mutex_lock(&world->lock);
    world->snapshotter_wanted = false;
    hal_cond_broadcast(&world->changed);
    while (world->snapshotter_running) {
        hal_cond_wait(&world->changed, &world->lock);
    }
    hal_mutex_unlock(&world->lock);
}

/** The checks that run and step share; on success the world is marked as running. */
static int begin_running(struct phantom_world *world)
{
    if (world->owner_process != hal_process_id()) {
        return PHANTOM_EFORKED;
    }
    if (atomic_load(&world->poisoned)) {
        return PHANTOM_EPOISONED;
    }
    if (atomic_exchange(&world->running, true)) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        ph_fail(&diag, PHANTOM_EINVALID, "%s: the world is already running", world->path);
        world_remember(world, &diag);
        return PHANTOM_EINVALID;
    }
    int damaged = atomic_load(&world->damaged); /* after `running` was set: see world_damaged() */
    if (damaged != 0) {
        atomic_store(&world->running, false);
        return damaged;
    }
    world->has_run = true;
    return 0;
}

/** The end of run and step: what they return and what phantom_message() will say. */
static int end_running(struct phantom_world *world, int result, const struct phantom_diag *diag)
{
    if (atomic_load(&world->poisoned)) {
        result = PHANTOM_EPOISONED; /* the failed snapshot has left its sentence already */
    } else if (atomic_load(&world->damaged) != 0) {
        result = atomic_load(&world->damaged); /* likewise */
    } else {
        world_remember(world, diag);
    }
    atomic_store(&world->running, false);
    return result;
}

int phantom_run(struct phantom_world *world)
{
    int result = begin_running(world);
    if (result != 0) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    result = start_snapshotter(world, &diag);
    if (result == 0) {
        result = pvm_run(world->pvm, &diag);
        stop_snapshotter(world);
    }
    return end_running(world, result, &diag);
}

int phantom_step(struct phantom_world *world, uint64_t instructions)
{
    int result = begin_running(world);
    if (result != 0) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    result = pvm_step(world->pvm, instructions, &diag);
    return end_running(world, result, &diag);
}

void phantom_stop(struct phantom_world *world)
{
    pvm_request_stop(world->pvm);
}
