/* SPDX-License-Identifier: Apache-2.0
 *
 * store_early.c - commits before accounting is complete.
 *
 * Who owns which block is derived by a walk that takes a second for a large heap
 * (store_accounting.c). A commit need not wait for it: every record says how far up the file
 * anything is in use (high water), so the blocks from there on are free without any walk, and so is
 * what the file grows by. An early commit takes blocks from there only, exactly as if all below
 * were in use:
 *
 *     data start          high water at open = space.known              end of the file
 *     |  the walk counts here, in slices  |  early commits take from here  |  and may grow it
 *
 * True while not accounted:
 *  - generation[0 .. opened_count) and the catalog are as they were found; nothing of them is
 *    dropped, so nothing below `known` becomes free. What early commits replace is in the dead
 *    lists of their generations, where it also belongs when accounting is complete.
 *  - from `known` on block_space is exact at any moment.
 * So the walk and the commits share nothing that changes, and to complete it is to forget `known`.
 *
 * Accounting must be complete first (store_early_decide()) when the commit is to drop or move
 * generations or changes the catalog: tags, rollback, trim, a full ring, a budget that is exceeded
 * by all we know. Otherwise a program that opens its store, commits twice and ends would never
 * drop anything. Likewise when there is no room (txn_blocks.c, txn_make_room()), and for a store
 * without high water or whose walk has met damage. A store with compression has no early commits:
 * only the walk tells whether a page that is replaced was the last of its pack (pack_slots.h).
 */
#include "ph_mutant.h"
#include "store_internal.h"

#include <errno.h>

void store_early_open(struct snap_store *store)
{
    const struct store_file *file = &store->file;
    store->opened_count = store->generation_count;
    store->opened_used = store->blocks_used_hint;
    store->early = store->generation_count != 0 && store->high_water >= file->data_start &&
                   store->high_water <= file->block_count && !file->has_packs;
}

int store_early_space(struct snap_store *store, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    if (store->space.birth != NULL) {
        return 0;
    }
    if (block_space_init(&store->space, file->data_start, file->block_count) != 0) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for accounting", store_file_name(file));
    }
    uint64_t known = store->early ? store->high_water : file->block_count;
    block_space_unknown_below(&store->space, PH_MUTANT(EARLY_ANYWHERE) ? file->data_start : known);
    return 0;
}

int store_early_decide(struct snap_store *store, struct phantom_diag *diag)
{
    if (store->accounted ||
        (store->early && (!store_retention_is_due(store) || PH_MUTANT(EARLY_DROPS)))) {
        return 0;
    }
    return snap_store_account(store, UINT64_MAX, diag);
}

uint64_t store_blocks_used(const struct snap_store *store)
{
    uint64_t all = store->file.block_count - store->file.data_start;
    uint64_t used = store->space.used;
    if (!store->accounted) {
        used = store->opened_used < all ? store->opened_used : all;
        used += store->space.used - store->space.counted;
    }
    return used < all ? used : all;
}
