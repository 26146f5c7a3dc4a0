/* SPDX-License-Identifier: Apache-2.0
 *
 * store_accounting.c - who owns which block: derived from the retained generations, never stored.
 *
 * The oldest generation is walked whole, each later one beside the one before it: where both have
 * the same block in the same place nothing below differs and the walk stops. What only the older
 * one has goes to the dead list of the newer one; what only the newer one has was born in it. A
 * block that is found twice belongs to two owners: damage, since we never write that.
 *
 * The walk is for the generations that there were at open and for the blocks below the high water
 * of that moment. Commits meanwhile take only blocks beyond it, drop nothing and leave the catalog
 * alone (store_early.c), so neither what is walked nor what is counted ever changes under it.
 *
 * The blocks of a pack have an owner as long as a page of the generation is in it: so what leaves a
 * pack is noted page by page, and at the end of a generation the packs that have become empty are
 * its dead.
 */
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct pair { /* a place of the map in two generations; block 0: a hole there */
    uint64_t old_block, new_block;
    struct store_sum old_sum, new_sum;
};

enum { CHUNK_BLOCKS = 16, CHUNKS = 128 };

enum { PAUSED = 1 };

/* A walk may pause before a leaf and go on later, as long as none of its generations goes. */
struct store_walk {
    struct snap_store *store;
    unsigned end;             /* generations that are walked: the oldest so many */
    unsigned at;              /* index of the one that is walked now */
    uint64_t limit;           /* blocks that the file had when it began */
    bool catalog;             /* the blocks of the catalog are counted */
    bool begun;               /* of the one that is walked: its runs are read and counted */
    uint64_t leaf;            /* of it: where to go on */
    bool inside;              /* the nodes above that leaf are counted */
    uint64_t budget;          /* nodes to be visited before the next pause */
    uint8_t *chunks;          /* CHUNKS of CHUNK_BLOCKS blocks; place: chunk number % CHUNKS */
    uint64_t present[CHUNKS]; /* chunk number + 1; 0: nothing there */
    struct block_space *space;
    struct pack_slots *slots;  /* of the generation walked last, then of the one that is walked */
    uint8_t *sizes;            /* of packs, in blocks; NULL without compression */
    struct block_list emptied; /* packs (places) that lost their last page in this generation */
    struct block_list *dead;   /* NULL: do not collect */
    uint64_t *buried;          /* bit: in an older generation, not in the one walked last */
    struct comeback {
        uint64_t block;
        unsigned index; /* of the generation that has it again */
    } * comeback;       /* by a rollback */
    size_t comeback_count, comeback_capacity;
    unsigned index;
    uint64_t generation;
    struct store_node *nodes; /* two for each level */
    struct store_overlay old_over, new_over;
    struct store_chain old_chain, new_chain; /* refs only */
    struct phantom_diag *diag;
};

static int no_memory(const struct store_walk *walk)
{
    return ph_fail(walk->diag, -ENOMEM, "%s: no memory for accounting",
                   store_file_name(&walk->store->file));
}

/* A block that older generations had and the one before has not: a rollback brought it back. */
static int come_back(struct store_walk *walk, uint64_t block)
{
    walk->buried[block / 64] &= ~(UINT64_C(1) << block % 64);
    if (walk->comeback_count == walk->comeback_capacity) {
        size_t capacity = walk->comeback_capacity != 0 ? 2 * walk->comeback_capacity : 256;
        struct comeback *comeback = ph_realloc(walk->comeback, capacity * sizeof *comeback);
        if (comeback == NULL) {
            return no_memory(walk);
        }
        walk->comeback = comeback;
        walk->comeback_capacity = capacity;
    }
    walk->comeback[walk->comeback_count++] = (struct comeback){block, walk->index};
    return 0;
}

static int take(struct store_walk *walk, uint64_t block)
{
    const struct store_file *file = &walk->store->file;
    bool beyond = walk->store->high_water != 0 && walk->store->accounting != NULL &&
                  block >= walk->store->high_water;
    if (beyond || block >= walk->limit || !store_file_has_data_block(file, block)) {
        return ph_fail(walk->diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 ": block %" PRIu64 " is not in the data area",
                       store_file_name(file), walk->generation, block);
    }
    if (!block_space_take(walk->space, block, walk->generation)) {
        if ((walk->buried[block / 64] >> block % 64 & 1) != 0) {
            return come_back(walk, block);
        }
        return ph_fail(walk->diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 ": block %" PRIu64 " has two owners",
                       store_file_name(file), walk->generation, block);
    }
    return 0;
}

static int take_catalog(void *walk, uint64_t block)
{
    return take(walk, block);
}

static int bury(struct store_walk *walk, uint64_t block)
{
    if (store_file_has_data_block(&walk->store->file, block) && block < walk->limit) {
        walk->buried[block / 64] |= UINT64_C(1) << block % 64;
    }
    return walk->dead == NULL || block_list_add(walk->dead, block) == 0 ? 0 : no_memory(walk);
}

/* ---- packs --------------------------------------------------------------------------------- */

static int wrong_slot(const struct store_walk *walk, uint64_t place, const char *what)
{
    return ph_fail(walk->diag, PHANTOM_ECORRUPT,
                   "%s: generation %" PRIu64 ": slot %u of the pack in block %" PRIu64 " %s",
                   store_file_name(&walk->store->file), walk->generation, store_place_slot(place),
                   store_place_block(place), what);
}

/* The generation that is walked has a page here. A pack that has become empty in it keeps its size:
 * its blocks are still taken. */
static int take_page(struct store_walk *walk, uint64_t place)
{
    uint64_t block = store_place_block(place);
    uint32_t blocks = store_place_blocks(place);
    if (!store_place_is_packed(place)) {
        return take(walk, place);
    }
    if (walk->sizes == NULL || !store_file_has_place(&walk->store->file, place)) {
        return wrong_slot(walk, place, "is not in the data area");
    }
    if (pack_slots_has(walk->slots, place)) {
        return wrong_slot(walk, place, "has two owners");
    }
    if (walk->sizes[block] != 0 && walk->sizes[block] != blocks) {
        return wrong_slot(walk, place, "is in a pack of two sizes");
    }
    int error = 0;
    for (uint32_t i = 0; error == 0 && walk->sizes[block] == 0 && i < blocks; i++) {
        error = take(walk, block + i);
    }
    if (error == 0) {
        walk->sizes[block] = (uint8_t)blocks;
        pack_slots_toggle(walk->slots, place);
    }
    return error;
}

/* The generation before had a page here. */
static int bury_page(struct store_walk *walk, uint64_t place)
{
    if (!store_place_is_packed(place)) {
        return bury(walk, place);
    }
    if (walk->sizes == NULL || !store_file_has_place(&walk->store->file, place) ||
        !pack_slots_has(walk->slots, place)) {
        return wrong_slot(walk, place, "has no owner");
    }
    pack_slots_toggle(walk->slots, place);
    bool empty = !pack_slots_any(walk->slots, place);
    return !empty || block_list_add(&walk->emptied, store_place_pack(place)) == 0 ? 0
                                                                                  : no_memory(walk);
}

/* All of a generation is walked: the packs of which it has no page any more leave it. */
static int bury_packs(struct store_walk *walk)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < walk->emptied.count; i++) {
        uint64_t place = walk->emptied.block[i], block = store_place_block(place);
        bool gone = walk->sizes[block] != 0 && !pack_slots_any(walk->slots, place);
        for (uint32_t k = 0; error == 0 && gone && k < store_place_blocks(place); k++) {
            error = bury(walk, block + k);
        }
        walk->sizes[block] = gone ? 0 : walk->sizes[block];
    }
    walk->emptied.count = 0;
    return error;
}

/* ---- blocks that came back ----------------------------------------------------------------- */

static int by_block_and_index(const void *a, const void *b)
{
    const struct comeback *x = a, *y = b;
    if (x->block != y->block) {
        return x->block < y->block ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

/* The index of the generation in which the block came back for the last time; 0: it never did. */
static unsigned last_comeback(const struct store_walk *walk, uint64_t block)
{
    size_t low = 0, high = walk->comeback_count; /* the first that is beyond */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        bool beyond = walk->comeback[middle].block > block;
        low = beyond ? low : middle + 1;
        high = beyond ? middle : high;
    }
    return low != 0 && walk->comeback[low - 1].block == block ? walk->comeback[low - 1].index : 0;
}

/* What came back was never dead: store_rollback.c. */
static int revive(struct store_walk *walk)
{
    struct snap_store *store = walk->store;
    if (walk->comeback_count == 0) {
        return 0;
    }
    qsort(walk->comeback, walk->comeback_count, sizeof *walk->comeback, by_block_and_index);
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct block_list *dead = &store->generation[i].dead;
        size_t kept = 0;
        for (size_t k = 0; k < dead->count; k++) {
            if (last_comeback(walk, dead->block[k]) < i) {
                dead->block[kept++] = dead->block[k];
            }
        }
        dead->count = kept;
    }
    struct block_list unique = {0};
    int error = 0;
    for (size_t i = 0; error == 0 && i < walk->comeback_count; i++) {
        if (i == 0 || walk->comeback[i].block != walk->comeback[i - 1].block) {
            error = block_list_add(&unique, walk->comeback[i].block);
        }
    }
    error = error != 0 ? error : store_revived_reserve(store, unique.count);
    if (error == 0) {
        store_revived_add(store, unique.block, unique.count);
    }
    block_list_finish(&unique);
    return error == 0 ? 0 : no_memory(walk);
}

/* ---- the cache ----------------------------------------------------------------------------- */

static uint8_t *chunk_data(const struct store_walk *walk, uint64_t chunk)
{
    return walk->chunks + chunk % CHUNKS * CHUNK_BLOCKS * STORE_BLOCK_SIZE;
}

static struct store_run chunk_run(const struct store_walk *walk, uint64_t chunk)
{
    uint64_t first = chunk * CHUNK_BLOCKS;
    uint64_t count = walk->store->file.block_count - first;
    return (struct store_run){first, count < CHUNK_BLOCKS ? (uint32_t)count : CHUNK_BLOCKS,
                              chunk_data(walk, chunk)};
}

/* Add the chunk of a block to those that are to be read, unless it is there or the place is taken.
 */
static unsigned want_chunk(struct store_walk *walk, uint64_t block, struct store_run *run,
                           unsigned runs)
{
    uint64_t chunk = block / CHUNK_BLOCKS;
    if (block == 0 || runs == STORE_READ_RUNS || walk->present[chunk % CHUNKS] == chunk + 1) {
        return runs;
    }
    for (unsigned k = 0; k < runs; k++) {
        if (run[k].buffer == chunk_data(walk, chunk)) {
            return runs;
        }
    }
    run[runs] = chunk_run(walk, chunk);
    return runs + 1;
}

/* Read, all at once, what comparing the children of two nodes will need. Only a help: what does not
 * fit is read when it is needed. */
static int prefetch(struct store_walk *walk, const struct store_node *old_node,
                    const struct store_node *new_node)
{
    struct store_run run[STORE_READ_RUNS];
    unsigned runs = 0;
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        uint64_t old_block = old_node != NULL ? old_node->block[i] : 0;
        uint64_t new_block = new_node != NULL ? new_node->block[i] : 0;
        if (old_block != new_block) {
            runs = want_chunk(walk, old_block, run, runs);
            runs = want_chunk(walk, new_block, run, runs);
        }
    }
    for (unsigned i = 0; i < runs; i++) {
        walk->present[run[i].block / CHUNK_BLOCKS % CHUNKS] = 0;
    }
    int error = store_file_read_runs(&walk->store->file, run, runs, walk->diag);
    for (unsigned i = 0; error == 0 && i < runs; i++) {
        uint64_t chunk = run[i].block / CHUNK_BLOCKS;
        walk->present[chunk % CHUNKS] = chunk + 1;
    }
    return error;
}

/* A verified node, copied out of the cache. */
static int read_node(struct store_walk *walk, uint32_t level, uint64_t index, uint64_t block,
                     struct store_sum sum, struct store_node *node)
{
    const struct store_file *file = &walk->store->file;
    if (!store_file_has_data_block(file, block)) {
        return ph_fail(walk->diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 ": block %" PRIu64 " is not in the data area",
                       store_file_name(file), walk->generation, block);
    }
    uint64_t chunk = block / CHUNK_BLOCKS;
    if (walk->present[chunk % CHUNKS] != chunk + 1) {
        struct store_run run = chunk_run(walk, chunk);
        walk->present[chunk % CHUNKS] = 0;
        int error = store_file_read(file, run.block, run.count, run.buffer, walk->diag);
        if (error != 0) {
            return error;
        }
        walk->present[chunk % CHUNKS] = chunk + 1;
    }
    memcpy(node, chunk_data(walk, chunk) + block % CHUNK_BLOCKS * STORE_BLOCK_SIZE, sizeof *node);
    return store_file_check_node(file, level, index, block, sum, node, walk->diag);
}

/* ---- the walk ------------------------------------------------------------------------------ */

static int compare(struct store_walk *walk, uint32_t level, uint64_t index, struct pair place);

/* Both nodes in memory, zeros for a hole; counted if this is the first look at them. */
static int fetch(struct store_walk *walk, uint32_t level, uint64_t index, struct pair place,
                 bool fresh)
{
    struct store_node *old_node = &walk->nodes[2 * level], *new_node = old_node + 1;
    bool same = place.old_block == place.new_block;
    int error = 0;
    memset(old_node, 0, 2 * sizeof *old_node);
    old_node->index = new_node->index = index;
    if (place.old_block != 0) {
        error = same || !fresh ? 0 : bury(walk, place.old_block);
        error = error != 0
                    ? error
                    : read_node(walk, level, index, place.old_block, place.old_sum, old_node);
    }
    if (error == 0 && same) {
        *new_node = *old_node;
    } else if (error == 0 && place.new_block != 0) {
        error = fresh ? take(walk, place.new_block) : 0;
        error = error != 0
                    ? error
                    : read_node(walk, level, index, place.new_block, place.new_sum, new_node);
    }
    return error;
}

static int compare_leaf(struct store_walk *walk, struct store_node *old_node,
                        struct store_node *new_node)
{
    int error = 0;
    (void)store_overlay_patch(&walk->old_over, old_node);
    (void)store_overlay_patch(&walk->new_over, new_node);
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t old_block = old_node->block[i], new_block = new_node->block[i];
        if (old_block != new_block) {
            error = old_block != 0 ? bury_page(walk, old_block) : 0;
            error = error == 0 && new_block != 0 ? take_page(walk, new_block) : error;
        }
    }
    return error;
}

/* Goes on where it paused: leaves before walk->leaf are done, and so are the nodes above it. */
static int compare(struct store_walk *walk, uint32_t level, uint64_t index, struct pair place)
{
    struct store_node *old_node = &walk->nodes[2 * level], *new_node = old_node + 1;
    uint64_t first_leaf = index << store_level_shift(level);
    uint64_t end_leaf = (index + 1) << store_level_shift(level);
    bool same = place.old_block == place.new_block &&
                store_overlay_same(&walk->old_over, &walk->new_over, level, index);
    if (same || end_leaf <= walk->leaf) {
        return 0;
    }
    if (level == 0 && walk->budget == 0) {
        walk->leaf = index;
        walk->inside = true;
        return PAUSED;
    }
    bool fresh = level == 0 || first_leaf > walk->leaf || !walk->inside;
    walk->budget -= fresh && walk->budget != 0; /* else a small budget would never get to a leaf */
    int error = fetch(walk, level, index, place, fresh);
    if (error != 0 || level == 0) {
        return error != 0 ? error : compare_leaf(walk, old_node, new_node);
    }
    error = prefetch(walk, old_node, new_node);
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        struct pair below = {old_node->block[i], new_node->block[i], old_node->sum[i],
                             new_node->sum[i]};
        error = compare(walk, level - 1, (index << STORE_FANOUT_BITS) + i, below);
    }
    return error;
}

static bool chain_has(const struct store_chain *chain, const struct store_delta_ref *ref)
{
    for (unsigned i = 0; i < chain->runs; i++) {
        if (chain->ref[i].block == ref->block && chain->ref[i].generation == ref->generation) {
            return true;
        }
    }
    return false;
}

/* The blocks of the delta runs themselves. */
static int compare_chains(struct store_walk *walk)
{
    int error = 0;
    for (unsigned i = 0; error == 0 && i < walk->old_chain.runs; i++) {
        const struct store_delta_ref *ref = &walk->old_chain.ref[i];
        for (uint32_t k = 0; error == 0 && k < ref->blocks && !chain_has(&walk->new_chain, ref);
             k++) {
            error = bury(walk, ref->block + k);
        }
    }
    for (unsigned i = 0; error == 0 && i < walk->new_chain.runs; i++) {
        const struct store_delta_ref *ref = &walk->new_chain.ref[i];
        for (uint32_t k = 0; error == 0 && k < ref->blocks && !chain_has(&walk->old_chain, ref);
             k++) {
            error = take(walk, ref->block + k);
        }
    }
    return error;
}

/* The runs of the next generation; what was new becomes old. */
static int next_chain(struct store_walk *walk, const struct store_map *map)
{
    store_overlay_finish(&walk->old_over);
    store_chain_finish(&walk->old_chain);
    walk->old_over = walk->new_over;
    walk->old_chain = walk->new_chain;
    walk->new_over = (struct store_overlay){0};
    int error = store_chain_load(&walk->store->file, map, &walk->new_chain, walk->diag);
    if (error == 0 && store_overlay_make(&walk->new_chain, 0, &walk->new_over) != 0) {
        error = ph_fail(walk->diag, -ENOMEM, "%s: no memory for accounting",
                        store_file_name(&walk->store->file));
    }
    return error;
}

static void walk_finish(struct store_walk *walk)
{
    store_overlay_finish(&walk->old_over);
    store_overlay_finish(&walk->new_over);
    store_chain_finish(&walk->old_chain);
    store_chain_finish(&walk->new_chain);
    block_list_finish(&walk->emptied);
    ph_free(walk->sizes);
    ph_free(walk->comeback);
    ph_free(walk->buried);
    ph_free(walk->chunks);
    ph_free(walk->nodes);
}

/* For the oldest `end` generations. */
static int walk_begin(struct store_walk *walk, struct snap_store *store, unsigned end,
                      struct block_space *space, struct pack_slots *slots,
                      struct phantom_diag *diag)
{
    *walk = (struct store_walk){.store = store,
                                .end = end,
                                .limit = store->file.block_count,
                                .space = space,
                                .slots = slots,
                                .diag = diag};
    walk->nodes = ph_alloc_aligned(STORE_BLOCK_SIZE,
                                   (size_t)2 * store->file.height * sizeof(struct store_node));
    walk->chunks =
        ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)CHUNKS * CHUNK_BLOCKS * STORE_BLOCK_SIZE);
    walk->buried = ph_zalloc((size_t)store->file.block_count / 64 + 1, sizeof *walk->buried);
    bool good = walk->nodes != NULL && walk->chunks != NULL && walk->buried != NULL;
    if (store->file.has_packs) {
        walk->sizes = ph_zalloc((size_t)store->file.block_count, sizeof *walk->sizes);
        good = good && walk->sizes != NULL && pack_slots_grow(slots, store->file.block_count) == 0;
    }
    return good ? 0 : no_memory(walk);
}

/* Walk its generations into walk->space for about walk->budget nodes; fill the dead lists
 * if `collect`. 0 all is done, PAUSED, or an error: the walk is then of no more use. */
static int walk_on(struct store_walk *walk, bool collect)
{
    struct snap_store *store = walk->store;
    int error = 0;
    if (!walk->catalog && walk->end != 0) {
        walk->generation = store_current(store)->info.number;
        error = store_catalog_each_block(store, take_catalog, walk);
        walk->catalog = true;
    }
    while (error == 0 && walk->at < walk->end) {
        struct store_generation *generation = &store->generation[walk->at];
        struct pair root = {.new_block = generation->map.root_block,
                            .new_sum = generation->map.root_sum};
        if (walk->at != 0) {
            root.old_block = generation[-1].map.root_block;
            root.old_sum = generation[-1].map.root_sum;
        }
        walk->generation = generation->info.number;
        walk->index = walk->at;
        walk->dead = collect ? &generation->dead : NULL;
        if (!walk->begun) {
            error = next_chain(walk, &generation->map);
            error = error != 0 ? error : compare_chains(walk);
            walk->begun = true;
            walk->leaf = 0;
            walk->inside = false;
        }
        error = error != 0 ? error : compare(walk, store->file.height - 1, 0, root);
        error = error != 0 ? error : bury_packs(walk);
        if (error == 0) {
            walk->begun = false;
            walk->at++;
        }
    }
    return error == 0 && collect ? revive(walk) : error;
}

/* ---- accounting ---------------------------------------------------------------------------- */

/* What was counted so far is forgotten; what commits have done meanwhile is not. */
static void start_again(struct snap_store *store)
{
    walk_finish(store->accounting);
    ph_free(store->accounting);
    store->accounting = NULL;
    block_space_forget(&store->space);
    pack_slots_finish(&store->slots);
    for (unsigned i = 0; i < store->opened_count; i++) {
        store->generation[i].dead.count = 0;
    }
}

void store_account_finish(struct snap_store *store)
{
    if (store->accounting != NULL) {
        start_again(store);
    }
}

static int begin(struct snap_store *store, struct phantom_diag *diag)
{
    int error = store_early_space(store, diag);
    if (error != 0) {
        return error;
    }
    store->accounting = ph_zalloc(1, sizeof *store->accounting);
    if (store->accounting == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for accounting",
                       store_file_name(&store->file));
    }
    error = walk_begin(store->accounting, store, store->opened_count, &store->space, &store->slots,
                       diag);
    if (error != 0) {
        start_again(store);
    }
    return error;
}

/* All is counted: what commits have done meanwhile is in place already. */
static void complete(struct snap_store *store)
{
    walk_finish(store->accounting);
    ph_free(store->accounting);
    store->accounting = NULL;
    store->accounted = true;
    block_space_complete(&store->space);
    store->history_blocks = 0;
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct block_list *dead = &store->generation[i].dead;
        if (i >= store->opened_count && PH_MUTANT(EARLY_DEAD_FORGOTTEN)) {
            dead->count = 0;
        }
        store->history_blocks += dead->count;
    }
}

int snap_store_account(struct snap_store *store, uint64_t budget, struct phantom_diag *diag)
{
    if (store->accounted || store->read_only) {
        return 0;
    }
    int error = store->accounting == NULL ? begin(store, diag) : 0;
    if (error != 0) {
        return error;
    }
    store->accounting->diag = diag;
    store->accounting->budget = budget != 0 ? budget : 1;
    error = PH_MUTANT(REUSED_UNACCOUNTED) ? 0 : walk_on(store->accounting, true);
    if (error < 0) {
        start_again(store);
        store->early = store->early && error != PHANTOM_ECORRUPT;
    } else if (error == 0) {
        complete(store);
    }
    return error;
}

static int audit_walk(struct snap_store *store, struct block_space *space, struct pack_slots *slots,
                      struct phantom_diag *diag)
{
    struct store_walk walk;
    int error = walk_begin(&walk, store, store->generation_count, space, slots, diag);
    walk.budget = UINT64_MAX;
    error = error != 0 ? error : walk_on(&walk, false);
    walk_finish(&walk);
    return error;
}

/* Which pages of each pack the current map has: as the walk says? */
static int compare_slots(const struct snap_store *store, const struct pack_slots *fresh,
                         struct phantom_diag *diag)
{
    for (uint64_t b = 0; b < fresh->block_count; b++) {
        if (store->slots.slots[b] != fresh->slots[b]) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "%s: of the pack in block %" PRIu64 " the slots %#" PRIx32
                           " are in use, but the walk says %#" PRIx32,
                           store_file_name(&store->file), b, store->slots.slots[b],
                           fresh->slots[b]);
        }
    }
    return 0;
}

int snap_store_audit(struct snap_store *store, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    struct block_space fresh;
    struct pack_slots fresh_slots = {0};
    uint64_t late = 0; /* blocks that a rollback keeps longer than need be */
    int error = snap_store_account(store, UINT64_MAX, diag);
    if (error != 0) {
        return error;
    }
    error = block_space_init(&fresh, file->data_start, file->block_count);
    if (error != 0) {
        return ph_fail(diag, error, "%s: no memory for the audit", store_file_name(file));
    }
    error = audit_walk(store, &fresh, &fresh_slots, diag);
    if (error == 0 && !store->read_only && !store->txn_active) {
        error = compare_slots(store, &fresh_slots, diag);
        for (uint64_t b = file->data_start; error == 0 && b < file->block_count; b++) {
            bool used = block_space_is_used(&store->space, b);
            if (used && !block_space_is_used(&fresh, b) && store_is_revived(store, b)) {
                late++;
            } else if (used != block_space_is_used(&fresh, b)) {
                error = ph_fail(diag, PHANTOM_ECORRUPT,
                                "%s: block %" PRIu64 " is %s, but the walk says otherwise",
                                store_file_name(file), b, used ? "in use" : "free");
            }
        }
        if (error == 0 && fresh.used + late != store->space.used) {
            error =
                ph_fail(diag, PHANTOM_ECORRUPT, "%s: %" PRIu64 " blocks counted, %" PRIu64 " found",
                        store_file_name(file), store->space.used, fresh.used);
        }
    }
    pack_slots_finish(&fresh_slots);
    block_space_finish(&fresh);
    return error;
}
