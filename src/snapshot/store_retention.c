/* SPDX-License-Identifier: Apache-2.0
 *
 * store_retention.c - which generations a commit stops retaining, what that frees, and which ones
 * leave the record ring for the catalog.
 *
 * Policy (struct snap_retention), from the oldest to the newest:
 *  - the newest generation, its parent, the newest DENSE (at most what the ring holds) and
 *    those that a tag names stay;
 *  - of the others the first in each stretch of wall-clock time stays: a stretch is a second
 * divided by most_per_second for the youngest, then a second, a minute, at last a day;
 *  - of what is left the oldest go, until the blocks that only history needs fit the budget;
 *  - a generation whose byte a reader has locked stays, whatever the policy says. While the commit
 *    is under way the writer holds the bytes of those it drops, so that no reader starts on them.
 * When the disk is full (snap_store_trim()) the budget is 0: live data goes before history.
 *
 * Age is reckoned in the store's own time (active_ns): the sum of the steps of the wall clock from
 * one generation to the next, where a step counts for an hour at most and a step back for nothing.
 * So neither a clock that was set wrong nor a store left alone for a year loses its history at
 * once.
 *
 * Cost: an ordinary commit looks at two generations only. All are looked at when a second has
 * passed, the ring has filled up or the budget is exceeded. Then so many leave at a time that the
 * next rewriting of the catalog is far away.
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
static const int64_t STEP_MOST = INT64_C(3600000000000);
static const uint64_t BUDGET_LEAST = UINT64_C(1) << 30;

/* ---- the policy ---------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t wanted, uint32_t by_default)
{
    return wanted != 0 ? wanted : by_default;
}

/* A default never contradicts what was asked for: it gives way to a finer step that is kept longer,
 * or a coarser one that is kept shorter. */
static struct snap_retention with_defaults(const struct snap_retention *wanted)
{
    uint32_t all = or_default(wanted->all_s, 60);
    uint32_t second = or_default(wanted->per_second_s, 3600);
    uint32_t minute = or_default(wanted->per_minute_s, 24 * 3600);
    if (wanted->per_second_s == 0) {
        second = wanted->per_minute_s != 0 && second > minute ? minute : second;
        second = wanted->all_s != 0 && second < all ? all : second;
    }
    if (wanted->per_minute_s == 0) {
        minute = minute < second ? second : minute;
    }
    if (wanted->all_s == 0) {
        all = all > second ? second : all;
    }
    return (struct snap_retention){
        .budget_bytes = wanted->budget_bytes,
        .all_s = all,
        .per_second_s = second,
        .per_minute_s = minute,
        .most_per_second = or_default(wanted->most_per_second, 10),
    };
}

int snap_store_set_retention(struct snap_store *store, const struct snap_retention *retention)
{
    struct snap_retention policy = with_defaults(retention);
    if (policy.all_s > policy.per_second_s || policy.per_second_s > policy.per_minute_s ||
        policy.most_per_second > SECOND) {
        return PHANTOM_EINVALID;
    }
    store->retention = policy;
    store->thinned_ns = INT64_MIN; /* the next commit looks at all */
    return 0;
}

int64_t store_active_ns(const struct store_generation *before, int64_t time_ns)
{
    int64_t step, sum;
    if (before == NULL) {
        return 0;
    }
    if (__builtin_sub_overflow(time_ns, before->info.time_ns, &step)) {
        step = time_ns < 0 ? 0 : STEP_MOST;
    }
    step = step < 0 ? 0 : step > STEP_MOST ? STEP_MOST : step;
    return __builtin_add_overflow(before->active_ns, step, &sum) ? INT64_MAX : sum;
}

void store_retention_init(struct snap_store *store)
{
    store->retention = with_defaults(&(struct snap_retention){0});
    store->thinned_ns = INT64_MIN;
    store->history_blocks = 0;
    store->drop_first = store->generation_count;
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct store_generation *g = &store->generation[i];
        g->active_ns = store_active_ns(i != 0 ? g - 1 : NULL, g->info.time_ns);
        store->history_blocks += g->dead.count;
    }
}

static uint64_t budget_blocks(const struct snap_store *store, uint64_t live_bytes)
{
    uint64_t budget = store->retention.budget_bytes;
    budget = budget != 0 ? budget : store->params.retain_bytes;
    if (budget == 0) {
        budget = 2 * live_bytes > BUDGET_LEAST ? 2 * live_bytes : BUDGET_LEAST;
    }
    return store->trimming && !PH_MUTANT(TRIM_KEEPS_HISTORY) ? 0 : budget / STORE_BLOCK_SIZE;
}

/* Of a generation so old, one in how much time stays? */
static int64_t stretch_for(const struct snap_retention *policy, int64_t age_ns)
{
    if (age_ns < policy->all_s * SECOND) {
        return SECOND / policy->most_per_second;
    }
    if (age_ns < policy->per_second_s * SECOND) {
        return SECOND;
    }
    return age_ns < policy->per_minute_s * SECOND ? 60 * SECOND : 24 * 3600 * SECOND;
}

static int64_t stretch_of(int64_t time_ns, int64_t stretch)
{
    return time_ns / stretch - (time_ns % stretch < 0);
}

/* ---- choosing ------------------------------------------------------------------------------ */

/* Take a generation's reader lock, so that it can be dropped. 1 taken, 0 a reader has it, or an
 * error. */
static int lock_for_drop(struct snap_store *store, struct store_generation *generation,
                         struct phantom_diag *diag)
{
    if (generation->locked || PH_MUTANT(READER_IGNORED)) {
        return 1;
    }
    int error = store->io->ops->lock(store->io, SNAP_LOCK_GENERATION(generation->info.number),
                                     SNAP_IO_LOCK_EXCLUSIVE);
    if (error == -EAGAIN) {
        return 0;
    }
    if (error != 0) {
        return ph_fail(diag, error, "%s: cannot lock generation %" PRIu64 ": %s",
                       store_file_name(&store->file), generation->info.number,
                       phantom_strerror(error));
    }
    generation->locked = true;
    return 1;
}

static bool is_pinned(const struct store_generation *generation)
{
    return generation->tags != 0 && !PH_MUTANT(TAG_IGNORED);
}

/* Drop generation[i] with the commit under way, unless a tag or a reader holds it. */
static int mark(struct snap_store *store, unsigned i, struct phantom_diag *diag)
{
    struct store_generation *generation = &store->generation[i];
    if (generation->drop || is_pinned(generation)) {
        return 0;
    }
    int locked = lock_for_drop(store, generation, diag);
    if (locked == 1) {
        generation->drop = true;
        store->drop_first = i < store->drop_first ? i : store->drop_first;
        store->catalog_drops += generation->slot != STORE_NO_SLOT;
    }
    return locked < 0 ? locked : 0;
}

/* Thin out generation[from] to generation[to - 1]. */
static int thin(struct snap_store *store, unsigned from, unsigned to, int64_t active_ns,
                struct phantom_diag *diag)
{
    const struct store_generation *kept = NULL;
    for (unsigned i = from; i < to; i++) {
        struct store_generation *generation = &store->generation[i];
        int64_t stretch = stretch_for(&store->retention, active_ns - generation->active_ns);
        /* A stretch of a nanosecond keeps everything, generations of one moment (tags) as well. */
        if (kept != NULL && stretch > 1 &&
            stretch_of(kept->info.time_ns, stretch) ==
                stretch_of(generation->info.time_ns, stretch)) {
            int error = mark(store, i, diag);
            if (error != 0) {
                return error;
            }
        }
        kept = generation->drop ? kept : generation;
    }
    return 0;
}

/* Blocks that become free when generation[i] goes; `before`: the retained one before it. */
static uint64_t frees(const struct snap_store *store, unsigned i, uint64_t before)
{
    const struct block_list *dead = &store->generation[i + 1].dead;
    uint64_t count = 0;
    for (size_t k = 0; k < dead->count; k++) {
        count += store->space.birth[dead->block[k]] > before;
    }
    return count;
}

/* Over the budget: the oldest go. Those of the catalog go by the eighth of the budget, so that it
 * need not be written again each time. */
static int fit_budget(struct snap_store *store, unsigned droppable, uint64_t history,
                      uint64_t budget, struct phantom_diag *diag)
{
    uint64_t before = 0, freed = 0;
    uint64_t least = history - budget;         /* to free */
    for (unsigned i = 0; i < droppable; i++) { /* what is gone already */
        struct store_generation *generation = &store->generation[i];
        freed += generation->drop ? frees(store, i, before) : 0;
        before = generation->drop ? before : generation->info.number;
    }
    before = 0;
    for (unsigned i = 0; i < droppable && freed < least; i++) {
        struct store_generation *generation = &store->generation[i];
        if (!generation->drop) {
            int error = mark(store, i, diag);
            if (error != 0) {
                return error;
            }
            if (generation->drop && generation->slot != STORE_NO_SLOT &&
                least == history - budget) {
                least += budget / 8;
            }
            freed += generation->drop ? frees(store, i, before) : 0;
        }
        before = generation->drop ? before : generation->info.number;
    }
    return 0;
}

/* The records that stay in the ring, the new one included. */
static unsigned ring_count(const struct snap_store *store)
{
    unsigned count = 1;
    for (unsigned i = store_ring_first(store); i < store->generation_count; i++) {
        count += !store->generation[i].drop;
    }
    return count;
}

/* The ring has filled up: the older half of it goes to the catalog. */
static int enter_catalog(struct snap_store *store, unsigned droppable, struct phantom_diag *diag)
{
    unsigned most = store_retained_most(&store->file), first = store_ring_first(store);
    unsigned in_ring = ring_count(store), kept = 0;
    for (unsigned i = 0; i < first; i++) {
        kept += !store->generation[i].drop;
    }
    for (unsigned i = 0; i < first && !store->keep_all && kept + most > STORE_CATALOG_GENERATIONS;
         i++) {
        bool dropped = store->generation[i].drop;
        int error = mark(store, i, diag);
        if (error != 0) {
            return error;
        }
        kept -= store->generation[i].drop && !dropped;
    }
    bool must = false; /* its place in the ring is needed, even if it is the parent */
    for (unsigned i = first; i < store->generation_count; i++) {
        must = store->generation[i].info.number <= store->enter_through;
        if (!must && (i >= droppable || in_ring <= most / 2)) {
            break;
        }
        if (!store->generation[i].drop && kept < STORE_CATALOG_GENERATIONS) {
            store->generation[i].enter = true;
            store->catalog_enters++;
            in_ring--;
            kept++;
            must = false;
        }
        if (must) {
            break;
        }
    }
    return in_ring <= most && !must
               ? 0
               : ph_fail(diag, PHANTOM_EBUSY,
                         "%s: readers and tags hold so many old generations that no "
                         "new one has room",
                         store_file_name(&store->file));
}

/* A chain of dropped generations merges into the list of its first; make that list long enough. */
static int make_room(struct snap_store *store)
{
    for (unsigned i = store->drop_first; i < store->generation_count; i++) {
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

bool store_retention_is_due(const struct snap_store *store)
{
    uint64_t live = store->map.live_pages, used = store_blocks_used(store);
    uint64_t history = used > live ? used - live : 0; /* and the map, a hundredth of it */
    return store->trimming || store->keep_all || store->enter_through != 0 ||
           store_catalog_changes(store) || ring_count(store) > store_retained_most(&store->file) ||
           history > budget_blocks(store, live * SNAP_PAGE_SIZE) + store->file.segment_blocks;
}

static int choose(struct snap_store *store, int64_t now_ns, size_t dead_blocks, uint64_t live_bytes,
                  struct phantom_diag *diag)
{
    const struct store_generation *parent = store_current(store);
    unsigned droppable = store->generation_count - 1; /* the parent stays */
    unsigned dense = store_retained_most(&store->file);
    dense = dense < DENSE ? dense : DENSE;
    unsigned sparse = store->generation_count + 1 > dense ? store->generation_count + 1 - dense : 0;
    sparse = sparse < droppable ? sparse : droppable;
    int64_t active_ns = store_active_ns(parent, now_ns);
    uint64_t history = store->history_blocks + dead_blocks;
    uint64_t budget = budget_blocks(store, live_bytes);
    bool second = store->thinned_ns == INT64_MIN || active_ns - store->thinned_ns >= SECOND;
    bool full = ring_count(store) > store_retained_most(&store->file);
    if (store->keep_all) {
        return full || store->enter_through != 0 ? enter_catalog(store, droppable, diag) : 0;
    }
    unsigned from = second || full || history > budget ? 0 : sparse > 2 ? sparse - 2 : 0;
    if (from == 0) {
        store->thinned_ns = active_ns;
    }
    int error = thin(store, from, sparse, active_ns, diag);
    if (error == 0 && history > budget) {
        error = fit_budget(store, droppable, history, budget, diag);
    }
    if (error == 0 && full && ring_count(store) > store_retained_most(&store->file)) {
        error = enter_catalog(store, droppable, diag);
    }
    return error;
}

int store_retention_plan(struct snap_store *store, int64_t now_ns, size_t dead_blocks,
                         uint64_t live_bytes, struct phantom_diag *diag)
{
    int error = store_generations_reserve(store, store->generation_count + 1, diag);
    store->drop_first = store->generation_count;
    error = error != 0 ? error : store_early_decide(store, diag);
    if (error == 0 && (store->accounted || PH_MUTANT(EARLY_DROPS)) &&
        store->generation_count != 0) {
        error = choose(store, now_ns, dead_blocks, live_bytes, diag);
    }
    if (error == 0 && make_room(store) != 0) {
        error =
            ph_fail(diag, -ENOMEM, "%s: no memory for retention", store_file_name(&store->file));
    }
    return error; /* the transaction's abort cancels */
}

/* ---- applying ------------------------------------------------------------------------------ */

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
    for (unsigned i = store->drop_first; i < store->generation_count; i++) {
        store->generation[i].drop = false;
        unlock(store, &store->generation[i]);
    }
    store->drop_first = store->generation_count;
    store_catalog_cancel(store);
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
            store->history_blocks--;
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
    store_catalog_apply(store);
    unsigned kept = store->drop_first;
    for (unsigned i = kept; i < store->generation_count; i++) {
        if (store->generation[i].drop) {
            drop(store, i, kept != 0 ? store->generation[kept - 1].info.number : 0);
        } else {
            if (kept != i) {
                store->generation[kept] = store->generation[i];
            }
            unlock(store, &store->generation[kept]);
            kept++;
        }
    }
    store->generation_count = kept;
    store->drop_first = kept;
}

/* ---- making room --------------------------------------------------------------------------- */

int snap_store_trim(struct snap_store *store, struct phantom_diag *diag)
{
    if (store->generation_count < 3) {
        return 0; /* the current generation and its parent always stay */
    }
    unsigned before = store->generation_count;
    store->trimming = true;
    int error = store_commit_again(store, NULL, diag);
    store->trimming = false;
    return error != 0 ? error : store->generation_count <= before;
}
