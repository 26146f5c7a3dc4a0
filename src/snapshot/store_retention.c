/* SPDX-License-Identifier: Apache-2.0
 *
 * store_retention.c - which generations a commit stops retaining, and what that frees.
 *
 * Policy, from the oldest to the newest, decided anew at each commit:
 *  - the newest generation, its parent and the newest DENSE ones stay;
 *  - older ones stay if they are some time after the last older one that stays: 1 s while younger
 *    than a minute, 1 min within the hour, 1 h within the day, 1 day after that;
 *  - of what is left the oldest go, until their number fits the ring and the blocks that only
 *    history needs fit the budget;
 *  - a generation whose byte a reader has locked stays, whatever the policy says. While the commit
 *    is under way the writer holds the bytes of those it drops, so that no reader starts on them.
 * When the disk is full (snap_store_trim()) the budget is 0: live data goes before history.
 *
 * A dropped generation's blocks are free when no other retained one has them. With the dead lists
 * that is local: of the blocks that died in its successor, those born after its predecessor were
 * only its own; the others go on to wait in the successor's list.
 */
#include "ph_check.h"
#include "ph_mutant.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>

enum { DENSE = 32 };
static const int64_t SECOND = INT64_C(1000000000);
static const uint64_t BUDGET_LEAST = UINT64_C(1) << 30;

static int64_t spacing_for(int64_t age_ns)
{
    if (age_ns < 60 * SECOND) {
        return SECOND;
    }
    if (age_ns < 3600 * SECOND) {
        return 60 * SECOND;
    }
    return age_ns < 24 * 3600 * SECOND ? 3600 * SECOND : 24 * 3600 * SECOND;
}

/* Take a generation's reader lock, so that it can be dropped. 1 taken, 0 a reader has it, or an
 * error. */
static int lock_for_drop(struct snap_store *store, struct store_generation *generation,
                         struct phantom_diag *diag)
{
    if (generation->locked) {
        return 1;
    }
    int error = store->io->ops->lock(store->io, SNAP_LOCK_GENERATION(generation->info.number),
                                     SNAP_IO_LOCK_EXCLUSIVE);
    if (error == -EAGAIN && !PH_MUTANT(READER_IGNORED)) {
        return 0;
    }
    error = PH_MUTANT(READER_IGNORED) ? 0 : error;
    if (error != 0) {
        return ph_fail(diag, error, "%s: cannot lock generation %" PRIu64 ": %s",
                       store_file_name(&store->file), generation->info.number,
                       phantom_strerror(error));
    }
    generation->locked = true;
    return 1;
}

static int mark(struct snap_store *store, unsigned i, struct phantom_diag *diag)
{
    int locked = lock_for_drop(store, &store->generation[i], diag);
    if (locked == 1) {
        store->generation[i].drop = true;
    }
    return locked < 0 ? locked : 0;
}

static int thin(struct snap_store *store, int64_t now_ns, unsigned droppable,
                struct phantom_diag *diag)
{
    bool any = false;
    int64_t last = 0;
    unsigned sparse = store->generation_count + 1 > DENSE ? store->generation_count + 1 - DENSE : 0;
    for (unsigned i = 0; i < droppable && i < sparse; i++) {
        struct store_generation *generation = &store->generation[i];
        int64_t time = generation->info.time_ns, age, gap;
        if (__builtin_sub_overflow(now_ns, time, &age) ||
            __builtin_sub_overflow(time, last, &gap)) {
            continue; /* absurd clocks thin nothing out */
        }
        if (any && gap >= 0 && gap < spacing_for(age)) {
            int error = mark(store, i, diag);
            if (error != 0) {
                return error;
            }
        }
        if (!generation->drop) {
            any = true;
            last = time;
        }
    }
    return 0;
}

/* Drop the oldest while there are too many, or their blocks are over the budget. */
static int cap(struct snap_store *store, unsigned droppable, size_t dead_blocks,
               uint64_t live_bytes, struct phantom_diag *diag)
{
    uint64_t budget = store->params.retain_bytes;
    if (budget == 0) {
        budget = 2 * live_bytes > BUDGET_LEAST ? 2 * live_bytes : BUDGET_LEAST;
    }
    budget = store->trimming && !PH_MUTANT(TRIM_KEEPS_HISTORY) ? 0 : budget;
    uint64_t history = dead_blocks;
    unsigned kept = 1; /* the one under way */
    for (unsigned i = 0; i < store->generation_count; i++) {
        history += store->generation[i].dead.count;
        kept += !store->generation[i].drop;
    }
    for (unsigned i = 0; i < droppable; i++) {
        bool full = kept > store_retained_most(&store->file);
        if (!full && history * STORE_BLOCK_SIZE <= budget) {
            return 0;
        }
        struct store_generation *generation = &store->generation[i];
        bool dropped = generation->drop;
        int error = dropped ? 0 : mark(store, i, diag);
        if (error != 0) {
            return error;
        }
        if (generation->drop) {
            kept -= !dropped;
            /* What the oldest leave behind: an estimate, exact while only the oldest go. */
            uint64_t freed = store->generation[i + 1].dead.count;
            history -= freed < history ? freed : history;
        }
    }
    if (kept > store_retained_most(&store->file)) {
        return ph_fail(diag, PHANTOM_EBUSY,
                       "%s: readers hold so many old generations that no new one has room",
                       store_file_name(&store->file));
    }
    return 0;
}

/* A chain of dropped generations merges into the list of its first; make that list long enough. */
static int make_room(struct snap_store *store)
{
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct store_generation *first = &store->generation[i];
        size_t need = first->dead.count;
        unsigned next = i;
        while (store->generation[next].drop) {
            PH_CHECK(next + 1 < store->generation_count);
            next++;
            need += store->generation[next].dead.count;
        }
        int error = next != i ? block_list_reserve(&first->dead, need) : 0;
        if (error != 0) {
            return error;
        }
        i = next;
    }
    return 0;
}

int store_retention_plan(struct snap_store *store, int64_t now_ns, size_t dead_blocks,
                         uint64_t live_bytes, struct phantom_diag *diag)
{
    if (store->generation_count == 0) {
        return 0;
    }
    unsigned droppable = store->generation_count - 1; /* the parent stays */
    int error = thin(store, now_ns, droppable, diag);
    if (error == 0) {
        error = cap(store, droppable, dead_blocks, live_bytes, diag);
    }
    if (error == 0 && make_room(store) != 0) {
        error =
            ph_fail(diag, -ENOMEM, "%s: no memory for retention", store_file_name(&store->file));
    }
    if (error != 0) {
        store_retention_cancel(store);
    }
    return error;
}

static void unlock(struct snap_store *store, struct store_generation *generation)
{
    if (generation->locked) {
        /* Failing to unlock keeps readers away from a generation that is gone: no harm. */
        (void)store->io->ops->lock(store->io, SNAP_LOCK_GENERATION(generation->info.number),
                                   SNAP_IO_UNLOCK);
        generation->locked = false;
    }
}

void store_retention_cancel(struct snap_store *store)
{
    for (unsigned i = 0; i < store->generation_count; i++) {
        store->generation[i].drop = false;
        unlock(store, &store->generation[i]);
    }
}

/* Drop generation[i]; `before` is the number of the retained one before it, 0: none. */
static void drop(struct snap_store *store, unsigned i, uint64_t before)
{
    struct store_generation *gone = &store->generation[i], *next = gone + 1;
    struct block_list waiting = gone->dead; /* died in `gone`: some older one may have them */
    for (size_t k = 0; k < next->dead.count; k++) {
        uint64_t block = next->dead.block[k];
        if (store->space.birth[block] > before) {
            block_space_release(&store->space, block);
        } else {
            PH_CHECK(waiting.count < waiting.capacity);
            waiting.block[waiting.count++] = block;
        }
    }
    block_list_finish(&next->dead);
    next->dead = waiting;
    gone->dead = (struct block_list){0};
    unlock(store, gone);
}

void store_retention_apply(struct snap_store *store)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < store->generation_count; i++) {
        if (store->generation[i].drop) {
            drop(store, i, kept != 0 ? store->generation[kept - 1].info.number : 0);
        } else {
            store->generation[kept] = store->generation[i];
            unlock(store, &store->generation[kept]);
            kept++;
        }
    }
    store->generation_count = kept;
}
