/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_epoch.c - tracking and capture by a software store barrier (snap_epoch.h). Needs nothing
 * of the kernel. The cut exchanges two numbers while all are stopped, whatever the size of the heap
 * and of the set; first stores into pages of the unfinished snapshot save what was there.
 *
 * Everything rests on every store being announced *before* it happens. A writer that is not known
 * to do that makes the strategy refuse: at open, unless the host vouches for all of them
 * (all_stores_announced), and for good once snap_engine_unmarked_writer() was called. A store that
 * was not announced may have hit a page of the snapshot being written, so that one is refused as
 * well, if the call comes before it is staged: who calls must do so before the writer's first
 * store. Refusing is chosen over writing every resident page once, because the page that such a
 * writer has overwritten during a snapshot cannot be had back, and nobody can tell when it is done.
 */
#include "cow_snapshot.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "snap_epoch.h"

#include <errno.h>

static void epoch_close(void *state)
{
    struct cow_snapshot *cow = state;
    if (cow != NULL) {
        cow_snapshot_finish(cow);
        ph_free(cow);
    }
}

static const char *epoch_why_not(const struct snap_conditions *conditions)
{
    return !conditions->all_stores_announced
               ? "not every store is announced by its writer before it happens"
           : !conditions->waits ? "its threads have no way to wait for a before-image"
                                : NULL;
}

static int epoch_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct cow_snapshot *cow = ph_zalloc(1, sizeof(*cow));
    if (cow == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    cow->stores_are_noticed = true;
    int rc = cow_snapshot_init(cow, engine, diag);
    if (rc != 0) {
        epoch_close(cow);
        return rc;
    }
    atomic_store(&engine->unmarked_writer, false); /* what came before counts as changed */
    *state = cow;
    return 0;
}

static int refuse_unmarked(struct cow_snapshot *cow, struct phantom_diag *diag)
{
    if (!atomic_load(&cow->engine->unmarked_writer) || PH_MUTANT(EPOCH_GUESSES)) {
        return 0;
    }
    return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                   "a writer has stored without announcing it: strategy epoch cannot know what "
                   "changed; open again with another strategy");
}

static int epoch_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag)
{
    int rc = refuse_unmarked(state, diag);
    return rc != 0 ? rc : cow_snapshot_cut(state, txn, report, diag);
}

static int epoch_drain(void *state, struct snap_txn *txn, struct snap_report *report,
                       struct phantom_diag *diag)
{
    int rc = cow_snapshot_drain(state, txn, report, diag);
    return rc != 0 ? rc : refuse_unmarked(state, diag);
}

struct snap_epoch *snap_engine_epoch(struct snap_engine *engine)
{
    if (engine->strategy != &snap_strategy_epoch || engine->state == NULL) {
        return NULL;
    }
    struct cow_snapshot *cow = engine->state;
    return &cow->pages.epoch;
}

const struct snap_strategy snap_strategy_epoch = {
    .name = "epoch",
    .why_not = epoch_why_not,
    .needs = "every store announced before it happens; any kernel",
    .open = epoch_open,
    .close = epoch_close,
    .estimate = cow_snapshot_estimate,
    .precopy = cow_snapshot_precopy,
    .cut = epoch_cut,
    .capture = cow_snapshot_nothing,
    .drain = epoch_drain,
    .retire = cow_snapshot_retire,
    .before_discard = cow_snapshot_before_discard,
    .before_store = cow_snapshot_before_store,
};
