/* SPDX-License-Identifier: Apache-2.0
 *
 * store_accounting.c - who owns which block: derived from the retained generations, never stored.
 *
 * The oldest generation is walked whole, each later one beside the one before it: where both have
 * the same block in the same place nothing below differs and the walk stops. What only the older
 * one has goes to the dead list of the newer one; what only the newer one has was born in it. A
 * block that is found twice belongs to two owners: damage, since we never write that.
 */
#include "ph_memory.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct pair { /* a place of the map in two generations; block 0: a hole there */
    uint64_t old_block, new_block;
    struct store_sum old_sum, new_sum;
};

struct walk {
    struct snap_store *store;
    struct block_space *space;
    struct block_list *dead; /* NULL: do not collect */
    uint64_t generation;
    struct store_node *nodes; /* two for each level */
    struct phantom_diag *diag;
};

static int take(struct walk *walk, uint64_t block)
{
    const struct store_file *file = &walk->store->file;
    if (!store_file_has_data_block(file, block)) {
        return ph_fail(walk->diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 ": block %" PRIu64 " is not in the data area",
                       store_file_name(file), walk->generation, block);
    }
    if (!block_space_take(walk->space, block, walk->generation)) {
        return ph_fail(walk->diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 ": block %" PRIu64 " has two owners",
                       store_file_name(file), walk->generation, block);
    }
    return 0;
}

static int bury(struct walk *walk, uint64_t block)
{
    if (walk->dead == NULL) {
        return 0;
    }
    int error = block_list_add(walk->dead, block);
    return error == 0 ? 0
                      : ph_fail(walk->diag, error, "%s: no memory for accounting",
                                store_file_name(&walk->store->file));
}

static int compare(struct walk *walk, uint32_t level, uint64_t index, struct pair place)
{
    const struct store_file *file = &walk->store->file;
    if (place.old_block == place.new_block) {
        return 0;
    }
    struct store_node *old_node = &walk->nodes[2 * level], *new_node = old_node + 1;
    int error = 0;
    if (place.old_block != 0) {
        error = bury(walk, place.old_block);
        error = error != 0 ? error
                           : store_file_read_node(file, level, index, place.old_block,
                                                  place.old_sum, old_node, walk->diag);
    }
    if (error == 0 && place.new_block != 0) {
        error = take(walk, place.new_block);
        error = error != 0 ? error
                           : store_file_read_node(file, level, index, place.new_block,
                                                  place.new_sum, new_node, walk->diag);
    }
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        struct pair below = {0};
        if (place.old_block != 0) {
            below.old_block = old_node->block[i];
            below.old_sum = old_node->sum[i];
        }
        if (place.new_block != 0) {
            below.new_block = new_node->block[i];
            below.new_sum = new_node->sum[i];
        }
        if (level != 0) {
            error = compare(walk, level - 1, (index << STORE_FANOUT_BITS) + i, below);
        } else if (below.old_block != below.new_block) {
            error = below.old_block != 0 ? bury(walk, below.old_block) : 0;
            error = error == 0 && below.new_block != 0 ? take(walk, below.new_block) : error;
        }
    }
    return error;
}

/* Walk all retained generations into `space`; fill the dead lists if `collect`. */
static int derive(struct snap_store *store, struct block_space *space, bool collect,
                  struct phantom_diag *diag)
{
    struct walk walk = {.store = store, .space = space, .diag = diag};
    walk.nodes = ph_alloc_aligned(STORE_BLOCK_SIZE,
                                  (size_t)2 * store->file.height * sizeof(struct store_node));
    if (walk.nodes == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for accounting",
                       store_file_name(&store->file));
    }
    int error = 0;
    struct pair root = {0};
    for (unsigned i = 0; error == 0 && i < store->generation_count; i++) {
        struct store_generation *generation = &store->generation[i];
        root.new_block = generation->root_block;
        root.new_sum = generation->root_sum;
        walk.generation = generation->info.number;
        walk.dead = collect ? &generation->dead : NULL;
        error = compare(&walk, store->file.height - 1, 0, root);
        root.old_block = root.new_block;
        root.old_sum = root.new_sum;
    }
    ph_free(walk.nodes);
    return error;
}

int store_account(struct snap_store *store, struct phantom_diag *diag)
{
    int error = block_space_init(&store->space, store->file.data_start, store->file.block_count);
    if (error != 0) {
        return ph_fail(diag, error, "%s: no memory for accounting", store_file_name(&store->file));
    }
    return derive(store, &store->space, true, diag);
}

int snap_store_audit(struct snap_store *store, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    struct block_space fresh;
    int error = block_space_init(&fresh, file->data_start, file->block_count);
    if (error != 0) {
        return ph_fail(diag, error, "%s: no memory for the audit", store_file_name(file));
    }
    error = derive(store, &fresh, false, diag);
    if (error == 0 && !store->read_only && !store->txn_active) {
        for (uint64_t b = file->data_start; error == 0 && b < file->block_count; b++) {
            bool used = block_space_is_used(&store->space, b);
            if (used != block_space_is_used(&fresh, b)) {
                error = ph_fail(diag, PHANTOM_ECORRUPT,
                                "%s: block %" PRIu64 " is %s, but the walk says otherwise",
                                store_file_name(file), b, used ? "in use" : "free");
            }
        }
        if (error == 0 && fresh.used != store->space.used) {
            error =
                ph_fail(diag, PHANTOM_ECORRUPT, "%s: %" PRIu64 " blocks counted, %" PRIu64 " found",
                        store_file_name(file), store->space.used, fresh.used);
        }
    }
    block_space_finish(&fresh);
    return error;
}
