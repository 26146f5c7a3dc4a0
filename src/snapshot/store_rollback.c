/* SPDX-License-Identifier: Apache-2.0
 *
 * store_rollback.c - tags and rollback: commits that change what is kept or shown, not what is
 * written.
 *
 * A rollback is a transaction that enters, for every page that differs, the block that the old
 * generation has into the current map. No page is written. A block that comes back so was waiting
 * in a dead list; it leaves that list, and from then on counts as having been in every generation
 * since it was written (`revived`). That is more than the truth: when the generations that really
 * have it are gone it may stay in use until those between them go, or until the next open, which
 * finds out anew. No generation is dropped by the commit of a rollback itself.
 */
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int store_commit_again(struct snap_store *store, struct snap_generation *out,
                       struct phantom_diag *diag)
{
    struct snap_txn *txn = NULL;
    int error = snap_txn_begin(store, store_txn_staging(store), &txn, diag);
    if (error != 0) {
        store_catalog_cancel(store); /* forget the tags that it would have written */
        return error;
    }
    const struct snap_generation *current = snap_store_current(store);
    struct snap_commit commit = {.heap_pages = current->heap_pages,
                                 .time_ns = current->time_ns,
                                 .version = current->version};
    return snap_txn_commit(txn, &commit, out, diag);
}

/* ---- tags ---------------------------------------------------------------------------------- */

int snap_store_tag(struct snap_store *store, uint64_t generation, const char *name,
                   struct phantom_diag *diag)
{
    int error = store_may_write(store, diag);
    error = error != 0 ? error : store_tag_note_add(store, generation, name, diag);
    return error != 0 ? error : store_commit_again(store, NULL, diag);
}

int snap_store_untag(struct snap_store *store, const char *name, struct phantom_diag *diag)
{
    int error = store_may_write(store, diag);
    error = error != 0 ? error : store_tag_note_remove(store, name, diag);
    return error != 0 ? error : store_commit_again(store, NULL, diag);
}

/* ---- rollback ------------------------------------------------------------------------------ */

enum { WINDOW_PAGES = 4096 };

struct window { /* the pages [first, first + WINDOW_PAGES) of a generation */
    struct store_overlay overlay;
    uint64_t first; /* a multiple of WINDOW_PAGES: whole leaves */
    uint64_t block[WINDOW_PAGES];
    struct store_sum sum[WINDOW_PAGES];
};

static int enter_leaf(void *context, const struct store_node *leaf)
{
    struct window *window = context;
    uint64_t at = (leaf->index << STORE_FANOUT_BITS) - window->first;
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        window->block[at + i] = leaf->block[i];
        window->sum[at + i] = leaf->sum[i];
    }
    return 0;
}

static int fill_window(struct snap_store *store, const struct store_generation *g, uint64_t first,
                       struct window *window, struct phantom_diag *diag)
{
    memset(window->block, 0, sizeof window->block);
    memset(window->sum, 0, sizeof window->sum);
    window->first = first;
    return store_walk_leaves(&store->file, &g->map, &window->overlay, first, first + WINDOW_PAGES,
                             enter_leaf, window, diag);
}

/* Up to where pages may differ. A heap that shrank may have left pages behind its end. */
static int pages_of_both(struct snap_store *store, const struct store_generation *from,
                         const struct store_generation *to, uint64_t *pages,
                         struct phantom_diag *diag)
{
    const struct store_generation *both[] = {from, to};
    *pages =
        from->info.heap_pages > to->info.heap_pages ? from->info.heap_pages : to->info.heap_pages;
    for (int i = 0; i < 2; i++) {
        uint64_t page = 0;
        int rc = snap_store_next_page(store, both[i]->info.number, *pages, &page, diag);
        if (rc < 0) {
            return rc;
        }
        if (rc == 1) {
            *pages = store->file.page_count;
        }
    }
    return 0;
}

/* A page's old place is to be in the map again: note the blocks that come back with it. */
static int bring_back(struct snap_txn *txn, struct snap_store *store,
                      const struct store_generation *to, uint64_t page, uint64_t place,
                      struct block_list *back, struct phantom_diag *diag)
{
    bool packed = store_place_is_packed(place);
    uint64_t block = packed ? store_place_block(place) : place;
    uint32_t blocks = packed ? store_place_blocks(place) : 1;
    bool owned = store_file_has_place(&store->file, place);
    for (uint32_t i = 0; owned && i < blocks; i++) {
        owned = block_space_is_used(&store->space, block + i);
    }
    if (!owned) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: generation %" PRIu64 " has page %" PRIu64 " in block %" PRIu64
                       ", which nobody owns",
                       store_file_name(&store->file), to->info.number, page, block);
    }
    int error = 0;
    bool there = packed && pack_slots_any(&store->slots, place); /* with another of its pages */
    for (uint32_t i = 0; error == 0 && !there && i < blocks; i++) {
        error = block_list_add(back, block + i);
    }
    if (error != 0) {
        return ph_fail(diag, error, "%s: no memory to roll back", store_file_name(&store->file));
    }
    return packed && !PH_MUTANT(PACK_SLOTS_FORGOTTEN) ? store_txn_enter_slot(txn, place, diag) : 0;
}

/* Enter the pages of `to` that differ from the current generation's; collect the blocks that come
 * back. */
static int enter_differences(struct snap_txn *txn, struct snap_store *store,
                             const struct store_generation *to, struct block_list *back,
                             struct phantom_diag *diag)
{
    const struct store_generation *from = store_current(store);
    uint64_t pages = 0;
    int error = pages_of_both(store, from, to, &pages, diag);
    if (error != 0) {
        return error;
    }
    struct window *window = ph_zalloc(2, sizeof *window);
    if (window == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to roll back", store_file_name(&store->file));
    }
    error = store_overlay_load(&store->file, &from->map, &window[0].overlay, diag);
    error =
        error != 0 ? error : store_overlay_load(&store->file, &to->map, &window[1].overlay, diag);
    for (uint64_t first = 0; error == 0 && first < pages; first += WINDOW_PAGES) {
        error = fill_window(store, from, first, &window[0], diag);
        error = error != 0 ? error : fill_window(store, to, first, &window[1], diag);
        for (uint64_t i = 0; error == 0 && i < WINDOW_PAGES; i++) {
            uint64_t block = window[1].block[i];
            if (block == window[0].block[i]) {
                continue;
            }
            error = block != 0 ? bring_back(txn, store, to, first + i, block, back, diag) : 0;
            error = error != 0
                        ? error
                        : page_map_set(&store->map, first + i, block, window[1].sum[i], diag);
        }
    }
    store_overlay_finish(&window[0].overlay);
    store_overlay_finish(&window[1].overlay);
    ph_free(window);
    if (error == 0 && (store->map.live_pages != to->info.live_pages ||
                       !store_sum_equal(store->map.memory_sum, to->memory_sum))) {
        error = ph_fail(diag, PHANTOM_ECORRUPT,
                        "%s: the pages of generation %" PRIu64 " do not add up to it",
                        store_file_name(&store->file), to->info.number);
    }
    return error;
}

static int by_block(const void *a, const void *b)
{
    uint64_t x = ((const struct revived *)a)->block, y = ((const struct revived *)b)->block;
    return x < y ? -1 : x > y;
}

int store_revived_reserve(struct snap_store *store, size_t more)
{
    size_t capacity = store->revived_count + more;
    if (capacity <= store->revived_capacity) {
        return 0;
    }
    struct revived *revived = ph_realloc(store->revived, capacity * sizeof *revived);
    if (revived == NULL) {
        return -ENOMEM;
    }
    store->revived = revived;
    store->revived_capacity = capacity;
    return 0;
}

void store_revived_add(struct snap_store *store, const uint64_t *block, size_t count)
{
    size_t kept = 0; /* those that have been given up meanwhile are forgotten */
    for (size_t i = 0; i < store->revived_count; i++) {
        const struct revived *r = &store->revived[i];
        if (store->space.birth[r->block] == r->birth) {
            store->revived[kept++] = *r;
        }
    }
    for (size_t i = 0; i < count; i++) {
        store->revived[kept++] = (struct revived){block[i], store->space.birth[block[i]]};
    }
    store->revived_count = kept;
    if (kept != 0) {
        qsort(store->revived, kept, sizeof *store->revived, by_block);
    }
}

bool store_is_revived(const struct snap_store *store, uint64_t block)
{
    struct revived wanted = {.block = block, .birth = store->space.birth[block]};
    const struct revived *found = store->revived_count != 0
                                      ? bsearch(&wanted, store->revived, store->revived_count,
                                                sizeof *store->revived, by_block)
                                      : NULL;
    return found != NULL && found->birth == wanted.birth;
}

/* They are in the current map again: no dead list has them any more. Cannot fail. */
static void revive(struct snap_store *store, const struct block_list *back, uint64_t *is_back)
{
    for (size_t i = 0; i < back->count; i++) {
        is_back[back->block[i] / 64] |= UINT64_C(1) << back->block[i] % 64;
    }
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct block_list *dead = &store->generation[i].dead;
        size_t kept = 0;
        for (size_t k = 0; k < dead->count; k++) {
            uint64_t block = dead->block[k];
            if ((is_back[block / 64] >> block % 64 & 1) == 0) {
                dead->block[kept++] = block;
            }
        }
        store->history_blocks -= dead->count - kept;
        dead->count = kept;
    }
    store_revived_add(store, back->block, back->count);
}

static int commit_rollback(struct snap_store *store, const struct store_generation *to,
                           struct block_list *back, struct snap_generation *out,
                           struct phantom_diag *diag)
{
    const struct snap_generation target = to->info;
    struct snap_txn *txn = NULL;
    if (PH_MUTANT(ROLLBACK_NUMBER)) {
        store->next_generation = target.number;
    }
    int error = snap_store_account(store, UINT64_MAX, diag); /* who owns what comes back? */
    error = error != 0 ? error : snap_txn_begin(store, store_txn_staging(store), &txn, diag);
    if (error != 0) {
        store_catalog_cancel(store);
        return error;
    }
    uint64_t *is_back = NULL;
    if (!PH_MUTANT(ROLLBACK_UNTOUCHED)) {
        store_txn_touch(txn);
    }
    error = enter_differences(txn, store, to, back, diag);
    error = error != 0 ? error : snap_txn_reserve(txn, back->count, diag);
    if (error == 0) {
        is_back = ph_zalloc((size_t)store->file.block_count / 64 + 1, sizeof *is_back);
        if (is_back == NULL || store_revived_reserve(store, back->count) != 0) {
            error =
                ph_fail(diag, -ENOMEM, "%s: no memory to roll back", store_file_name(&store->file));
        }
    }
    if (error != 0) {
        snap_txn_abort(txn);
        ph_free(is_back);
        return error;
    }
    struct snap_commit commit = {.heap_pages = target.heap_pages,
                                 .time_ns = snap_store_current(store)->time_ns,
                                 .version = target.version};
    store->keep_all = true;
    error = snap_txn_commit(txn, &commit, out, diag);
    store->keep_all = false;
    if (error == 0) {
        revive(store, back, is_back);
    }
    ph_free(is_back);
    return error;
}

int snap_store_rollback(struct snap_store *store, uint64_t generation, struct snap_generation *out,
                        struct phantom_diag *diag)
{
    int error = store_may_write(store, diag);
    if (error != 0) {
        return error;
    }
    const struct store_generation *to = store_find(store, generation);
    if (to == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                       store_file_name(&store->file), generation);
    }
    char name[64];
    uint64_t current = snap_store_current(store)->number;
    snprintf(name, sizeof name, "before-rollback-%" PRIu64, current);
    error = store_tag_note_add(store, current, name, diag);
    if (error != 0) {
        return error;
    }
    struct block_list back = {0};
    error = commit_rollback(store, to, &back, out, diag);
    block_list_finish(&back);
    return error;
}
