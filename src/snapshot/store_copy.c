/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy.c - generations of one store written into another: holding them against a running
 * writer, copying them page by page through ordinary transactions, checking the outcome.
 *
 * Owns nothing between calls. Lock order: the byte of a generation in the source, then everything
 * of the target, which nobody else has open. A copy is believed only if the sum over its memory is
 * that of the source (when the UUID, which keys the sums, is the same), and always page by page,
 * since no page is taken whose sum in the source does not hold.
 */
#include "ph_memory.h"
#include "ph_mutant.h"
#include "snap_transfer.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- holding ------------------------------------------------------------------------------- */

static bool is_held_anyway(const struct snap_store *store, uint64_t generation)
{
    return !store->read_only || store->reader_lock == SNAP_LOCK_GENERATION(generation) ||
           PH_MUTANT(COPY_WITHOUT_LOCK);
}

int snap_store_hold(struct snap_store *store, uint64_t generation, struct phantom_diag *diag)
{
    const struct store_generation *g = store_find(store, generation);
    if (g == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                       store_file_name(&store->file), generation);
    }
    if (is_held_anyway(store, generation)) {
        return 0;
    }
    uint64_t byte = SNAP_LOCK_GENERATION(generation);
    int error = store->io->ops->lock(store->io, byte, SNAP_IO_LOCK_SHARED);
    if (error != 0 && error != -EAGAIN) {
        return ph_fail(diag, error, "%s: cannot lock generation %" PRIu64 ": %s",
                       store_file_name(&store->file), generation, phantom_strerror(error));
    }
    int retained = error == 0 ? store_is_retained(store, g, diag) : 0;
    if (retained == 1) {
        return 0;
    }
    if (error == 0) {
        (void)store->io->ops->lock(store->io, byte, SNAP_IO_UNLOCK);
    }
    return retained < 0 ? retained
                        : ph_fail(diag, PHANTOM_ENOTFOUND,
                                  "%s: generation %" PRIu64 " has just been dropped by the writer",
                                  store_file_name(&store->file), generation);
}

void snap_store_unhold(struct snap_store *store, uint64_t generation)
{
    if (!is_held_anyway(store, generation)) {
        (void)store->io->ops->lock(store->io, SNAP_LOCK_GENERATION(generation), SNAP_IO_UNLOCK);
    }
}

/* ---- copying ------------------------------------------------------------------------------- */

enum { STAGING_PAGES = 2048, STEP_PAGES = 256 };

struct copy {
    struct snap_store *from, *to;
    struct snap_txn *txn;
    uint64_t generation; /* of the source, being copied */
    uint64_t done, total, next_step;
    const struct snap_progress *progress;
    struct phantom_diag *diag;
    uint8_t *page;
};

static int step(struct copy *copy)
{
    const struct snap_progress *progress = copy->progress;
    if (progress == NULL || progress->step == NULL || copy->done < copy->next_step) {
        return 0;
    }
    copy->next_step = copy->done + STEP_PAGES;
    return progress->step(progress->context, copy->done, copy->total) == 0
               ? 0
               : ph_fail(copy->diag, -ECANCELED, "%s: stopped on request",
                         store_file_name(&copy->from->file));
}

static int put_page(void *context, uint64_t page, const void *data)
{
    struct copy *copy = context;
    void *slot = snap_txn_stage(copy->txn, page);
    if (slot == NULL) {
        int error = snap_txn_write(copy->txn, copy->diag);
        if (error != 0) {
            return error;
        }
        slot = snap_txn_stage(copy->txn, page);
        if (slot == NULL) {
            return ph_fail(copy->diag, -ENOMEM, "%s: no staging slot after a write",
                           store_file_name(&copy->to->file));
        }
    }
    memcpy(slot, data, SNAP_PAGE_SIZE);
    copy->done++;
    return step(copy);
}

static int put_change(void *context, uint64_t page, enum snap_change change)
{
    struct copy *copy = context;
    if (change == SNAP_PAGE_REMOVED) {
        return snap_txn_hole(copy->txn, page);
    }
    int found = snap_store_read_page(copy->from, copy->generation, page, copy->page, copy->diag);
    return found < 0 ? found : put_page(copy, page, copy->page);
}

/* What the transaction will hold: all pages of the first generation, the changes of a later one. */
static int count_change(void *context, uint64_t page, enum snap_change change)
{
    (void)page;
    *(uint64_t *)context += change != SNAP_PAGE_REMOVED;
    return 0;
}

static int count_page(void *context, uint64_t page)
{
    return count_change(context, page, SNAP_PAGE_ADDED);
}

static int cannot_count(void *context, uint64_t first, uint64_t count, const char *why)
{
    (void)context;
    (void)first;
    (void)count;
    (void)why;
    return PHANTOM_ECORRUPT;
}

/* Counted in the map: what the record says is not believed when it comes to reserving space. */
static int count_pages(struct copy *copy, uint64_t number, uint64_t before, uint64_t *pages)
{
    const struct snap_map_visitor counter = {pages, count_page, cannot_count};
    *pages = 0;
    if (before != 0) {
        return snap_store_diff(copy->from, before, number, count_change, pages, copy->diag);
    }
    int error = snap_store_walk(copy->from, number, &counter, copy->diag);
    return error == PHANTOM_ECORRUPT
               ? ph_fail(copy->diag, error, "%s: the page map of generation %" PRIu64 " is damaged",
                         store_file_name(&copy->from->file), number)
               : error;
}

/*
 * Give the next commit of the target this number: nothing newer is in it. The number was free in
 * the source, but in the target an older generation, even the parent, may still have its slot of
 * the ring: that one and all before it go to the catalog.
 */
static void choose_number(struct snap_store *store, uint64_t number)
{
    uint32_t slot = store_slot_of(&store->file, number);
    store->next_generation = number;
    store->enter_through = 0;
    for (unsigned i = store_ring_first(store); i < store->generation_count; i++) {
        uint64_t older = store->generation[i].info.number;
        if (store_slot_of(&store->file, older) == slot && !PH_MUTANT(COPY_TAKES_SLOT)) {
            store->enter_through = older;
        }
    }
}

static int check_sum(const struct copy *copy, const struct snap_generation *source,
                     const struct snap_generation *made)
{
    bool same_key = memcmp(copy->from->params.uuid, copy->to->params.uuid, 16) == 0;
    if (made->live_pages == source->live_pages && made->number == source->number &&
        (!same_key || (made->root_sum.low == source->root_sum.low &&
                       made->root_sum.high == source->root_sum.high))) {
        return 0;
    }
    return ph_fail(copy->diag, PHANTOM_ECORRUPT,
                   "%s: the copy of generation %" PRIu64 " does not add up to the original",
                   store_file_name(&copy->from->file), source->number);
}

/* One generation as one commit; `before`: the one committed last, 0 for none. */
static int copy_generation(struct copy *copy, uint64_t number, uint64_t before,
                           struct snap_copied *out)
{
    const struct store_generation *g = store_find(copy->from, number);
    if (g == NULL) {
        return ph_fail(copy->diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                       store_file_name(&copy->from->file), number);
    }
    struct snap_generation source = g->info, made;
    uint64_t pages = 0;
    copy->generation = number;
    choose_number(copy->to, number);
    int error = count_pages(copy, number, before, &pages);
    error = error != 0 ? error : snap_txn_begin(copy->to, STAGING_PAGES, &copy->txn, copy->diag);
    if (error != 0) {
        return error;
    }
    error = snap_txn_reserve(copy->txn, pages, copy->diag);
    if (error == 0 && before == 0) {
        error = snap_store_for_each_page(copy->from, number, put_page, copy, copy->diag);
    } else if (error == 0) {
        error = snap_store_diff(copy->from, before, number, put_change, copy, copy->diag);
    }
    if (error != 0) {
        snap_txn_abort(copy->txn);
        return error;
    }
    struct snap_commit commit = {.heap_pages = source.heap_pages,
                                 .time_ns = source.time_ns,
                                 .pause_ns = source.pause_ns,
                                 .version = source.version};
    error = snap_txn_commit(copy->txn, &commit, &made, copy->diag);
    error = error != 0 ? error : check_sum(copy, &source, &made);
    if (error == 0) {
        out->generations++;
        out->pages += made.pages_written;
        out->newest = made;
    }
    return error;
}

uint64_t snap_store_bytes_in_use(const struct snap_store *store)
{
    uint64_t block = store->file.block_count;
    if (!store->accounted) {
        return block * STORE_BLOCK_SIZE;
    }
    while (block > store->file.data_start + 1 && !block_space_is_used(&store->space, block - 1)) {
        block--;
    }
    return block * STORE_BLOCK_SIZE;
}

static int copy_all(struct copy *copy, const uint64_t *generations, size_t count,
                    struct snap_copied *out)
{
    uint64_t before = 0;
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++) {
        error = snap_store_hold(copy->from, generations[i], copy->diag);
        if (error == 0) {
            error = copy_generation(copy, generations[i], before, out);
            if (before != 0) {
                snap_store_unhold(copy->from, before);
            }
            before = generations[i]; /* stays held: the next one is compared with it */
        }
    }
    if (before != 0) {
        snap_store_unhold(copy->from, before);
    }
    return error;
}

int snap_store_copy_tags(struct snap_store *from, struct snap_io *target, size_t *count,
                         struct phantom_diag *diag)
{
    const struct store_catalog *catalog = &from->catalog;
    struct snap_store *store = NULL;
    const struct snap_key key = store_secret_key(from->file.secret);
    *count = catalog->tag_count;
    int error = *count != 0 ? snap_store_open_keyed(target, &key, 0, &store, NULL, diag) : 0;
    for (unsigned i = 0; error == 0 && i < *count; i++) {
        error = store_tag_note_add(store, catalog->tag[i].tag.generation, catalog->tag[i].tag.name,
                                   diag);
    }
    if (error == 0 && *count != 0) {
        store->keep_all = true;
        error = store_commit_again(store, NULL, diag);
    }
    snap_store_close(store);
    return error;
}

int snap_store_copy(struct snap_store *store, const uint64_t *generations, size_t count,
                    const uint8_t *uuid, struct snap_io *target,
                    const struct snap_progress *progress, struct snap_copied *out,
                    struct phantom_diag *diag)
{
    return snap_store_copy_as(store, generations, count, uuid, store->params.compression, target,
                              progress, out, diag);
}

int snap_store_copy_as(struct snap_store *store, const uint64_t *generations, size_t count,
                       const uint8_t *uuid, enum snap_compression compression,
                       struct snap_io *target, const struct snap_progress *progress,
                       struct snap_copied *out, struct phantom_diag *diag)
{
    struct snap_store_params params = store->params;
    struct snap_key key = store_secret_key(store->file.secret);
    struct snap_copied unwanted;
    struct copy copy = {.from = store, .progress = progress, .diag = diag};
    out = out != NULL ? out : &unwanted;
    *out = (struct snap_copied){0};
    params.key = key;
    params.compression = compression;
    if (uuid != NULL && !PH_MUTANT(CLONE_KEEPS_UUID)) {
        memcpy(params.uuid, uuid, sizeof params.uuid);
    }
    for (size_t i = 0; i < count; i++) {
        const struct store_generation *g = store_find(store, generations[i]);
        copy.total += g == NULL ? 0 : i == 0 ? g->info.live_pages : g->info.pages_written;
    }
    copy.page = ph_alloc_aligned(STORE_BLOCK_SIZE, SNAP_PAGE_SIZE);
    int error = copy.page != NULL ? 0 : ph_fail(diag, -ENOMEM, "no memory to copy");
    error = error != 0 ? error : snap_store_create(target, &params, diag);
    error = error != 0 ? error : snap_store_open_keyed(target, &key, 0, &copy.to, NULL, diag);
    if (error == 0) {
        copy.to->keep_all = true; /* the tags, which pin, are not there yet */
    }
    error = error != 0 ? error : copy_all(&copy, generations, count, out);
    if (error == 0) {
        out->bytes = snap_store_bytes_in_use(copy.to);
        error = snap_store_seal(copy.to);
        error = error != 0 ? error : store_flush(copy.to);
        error = error == 0 ? 0
                           : ph_fail(diag, error, "%s: cannot finish the copy: %s",
                                     store_file_name(&copy.to->file), phantom_strerror(error));
    }
    snap_store_close(copy.to);
    ph_free(copy.page);
    return error;
}
