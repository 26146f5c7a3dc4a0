/* SPDX-License-Identifier: Apache-2.0
 *
 * store_salvage.c - what can still be read from a store that does not open.
 *
 * It believes less than recovery does and asks for less: no record has to fit to any other. Every
 * slot of the ring whose record verifies is a candidate, newest first, retained or not; a candidate
 * is rescued if every node and page below its record verifies and they add up to it. The source is
 * only read and only through verified sums, so what is rescued was committed once, whatever else is
 * damaged. That it is the newest acknowledged state nobody can promise: that is why this is not
 * recovery.
 *
 * Owns nothing between calls. The shared locks it takes on what it reads go with the source's file.
 */
#include "ph_memory.h"
#include "ph_mutant.h"
#include "snap_transfer.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct salvage {
    struct snap_store *from;
    struct snap_salvage_report *report;
    void (*lost)(void *context, uint64_t first, uint64_t count, const char *why);
    void *context;
    const struct snap_progress *progress;
    struct phantom_diag *diag;
    /* while a generation is rescued in part */
    uint64_t generation;
    struct snap_store *to;
    struct snap_txn *txn;
    uint8_t *page; /* a block */
    uint64_t done, total;
    uint64_t run_first, run_count; /* lost pages not yet reported */
    char run_why[256];
};

/* ---- candidates ---------------------------------------------------------------------------- */

/* Forget what a catalog that cannot be read as a whole has brought. */
static void without_catalog(struct snap_store *store)
{
    unsigned kept = 0;
    store_catalog_finish(store);
    for (unsigned i = 0; i < store->generation_count; i++) {
        if (store->generation[i].slot == STORE_NO_SLOT) {
            store->generation[kept++] = store->generation[i];
        }
    }
    store->generation_count = kept;
}

/* Generations that have left the ring: in the newest catalog that can be read. 0 or -ENOMEM. */
static int add_catalog(struct salvage *s)
{
    struct snap_store *store = s->from;
    for (unsigned i = store->generation_count; i > 0; i--) {
        uint32_t slot = store_slot_of(&store->file, store->generation[i - 1].info.number);
        int error = store_file_read(&store->file, store->file.ring_start + slot, 1, s->page, NULL);
        if (error == 0) {
            unsigned before = store->generation_count;
            error = store_catalog_load(store, (const struct store_record *)s->page, NULL);
            if (error == 0) {
                s->report->records_found += store->generation_count - before;
                return 0;
            }
        }
        if (error == -ENOMEM) {
            return ph_fail(s->diag, error, "no memory to salvage");
        }
        without_catalog(store);
    }
    return 0;
}

/* A handle on the source that knows every generation whose record can be read. */
static int open_candidates(struct salvage *s, struct snap_io *source, const struct snap_key *key)
{
    struct snap_store *store = ph_zalloc(1, sizeof *store);
    if (store == NULL) {
        return ph_fail(s->diag, -ENOMEM, "no memory to salvage");
    }
    s->from = store;
    store->io = source;
    store->file.io = source;
    store->read_only = true;
    store->block = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    uint64_t size = 0;
    int error = store->block == NULL ? -ENOMEM : source->ops->size(source, &size);
    if (error != 0) {
        return ph_fail(s->diag, error, "%s: %s", store_file_name(&store->file),
                       phantom_strerror(error));
    }
    store->file.block_count = size / STORE_BLOCK_SIZE;
    error = store_superblock_load(store, key, s->diag);
    error = error != 0 ? error : store_generations_reserve(store, store->file.ring_slots, s->diag);
    for (uint32_t slot = 0; error == 0 && slot < store->file.ring_slots; slot++) {
        const struct store_record *record = (const struct store_record *)store->block;
        if (store_file_read(&store->file, store->file.ring_start + slot, 1, store->block, NULL) !=
                0 ||
            !store_file_record_holds(&store->file, slot, record) ||
            !store_record_is_possible(&store->file, slot, record)) {
            s->report->records_bad++;
        } else if (record->kind == STORE_RECORD_COMMIT) {
            store_add_generation(store, record);
            s->report->records_found++;
        }
    }
    s->report->newest_seen = snap_store_current(store)->number;
    return error != 0 ? error : add_catalog(s);
}

static int step(struct salvage *s, uint64_t pages)
{
    s->done += pages;
    if (s->progress == NULL || s->progress->step == NULL || s->done % 256 != 0) {
        return 0;
    }
    return s->progress->step(s->progress->context, s->done, s->total) == 0
               ? 0
               : ph_fail(s->diag, -ECANCELED, "%s: stopped on request",
                         store_file_name(&s->from->file));
}

/* ---- a whole generation -------------------------------------------------------------------- */

static int look_at(void *context, uint64_t page, const void *data)
{
    (void)page;
    (void)data;
    return step(context, 1);
}

struct content {
    uint64_t pages;
    struct store_sum sum;
};

static int add_leaf(void *context, const struct store_node *leaf)
{
    struct content *content = context;
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        if (leaf->block[i] != 0) {
            content->pages++;
            content->sum = store_sum_add(content->sum, leaf->sum[i]);
        }
    }
    return 0;
}

/* 0: its map has as many pages, of the sum, as its record says. Else a copy of it would not add up
 * to the original, and by then it is too late for the next candidate. */
static int adds_up(struct salvage *s, const struct store_generation *g)
{
    struct content content = {0};
    struct store_overlay overlay;
    int error = store_overlay_load(&s->from->file, &g->map, &overlay, s->diag);
    if (error != 0) {
        return error;
    }
    error = store_walk_leaves(&s->from->file, &g->map, &overlay, 0, UINT64_MAX, add_leaf, &content,
                              s->diag);
    store_overlay_finish(&overlay);
    bool same = content.pages == g->info.live_pages && store_sum_equal(content.sum, g->memory_sum);
    return error != 0 || same || PH_MUTANT(SALVAGE_COUNT_BELIEVED) ? error : PHANTOM_ECORRUPT;
}

/* 1 every byte of it verifies, 0 not, or an error that says nothing about this generation. */
static int is_whole(struct salvage *s, const struct store_generation *g)
{
    s->done = 0;
    s->total = g->info.live_pages;
    int error = adds_up(s, g);
    error =
        error != 0 ? error : snap_store_for_each_page(s->from, g->info.number, look_at, s, s->diag);
    return error == 0 ? 1 : error == -ENOMEM || error == -ECANCELED ? error : 0;
}

/* 1 rescued, 0 there is no whole generation, or an error. */
static int rescue_whole(struct salvage *s, struct snap_io *target)
{
    for (unsigned i = s->from->generation_count; i > 0; i--) {
        const struct store_generation *candidate = &s->from->generation[i - 1];
        const struct snap_generation g = candidate->info;
        uint64_t byte = SNAP_LOCK_GENERATION(g.number);
        /* There may be a writer after all: then it leaves this one alone, if it lets us. Whether
         * the newest record retains it does not matter: what verifies is as good as it ever was. */
        (void)s->from->io->ops->lock(s->from->io, byte, SNAP_IO_LOCK_SHARED);
        s->from->reader_lock = byte;
        int whole = is_whole(s, candidate);
        if (whole < 0) {
            return whole;
        }
        if (whole == 1) {
            int error = snap_store_copy(s->from, &g.number, 1, NULL, target, s->progress,
                                        &s->report->copied, s->diag);
            s->report->generation = g.number;
            s->report->pages = s->report->copied.pages;
            return error != 0 ? error : 1;
        }
    }
    return 0;
}

/* ---- a part of one ------------------------------------------------------------------------- */

static void report_run(struct salvage *s)
{
    if (s->run_count != 0 && s->lost != NULL) {
        s->lost(s->context, s->run_first, s->run_count, s->run_why);
    }
    s->run_count = 0;
}

static int lose(void *context, uint64_t first, uint64_t count, const char *why)
{
    struct salvage *s = context;
    if (s->run_count == 0 || s->run_first + s->run_count != first) {
        report_run(s);
        s->run_first = first;
        snprintf(s->run_why, sizeof s->run_why, "%.*s", (int)sizeof s->run_why - 1, why);
    }
    s->run_count += count;
    s->report->pages_lost += count;
    return 0;
}

static int take_page(void *context, uint64_t page)
{
    struct salvage *s = context;
    struct phantom_diag why = PHANTOM_DIAG_INIT;
    int found = snap_store_read_page(s->from, s->generation, page, s->page, &why);
    if (found == -ENOMEM) {
        return ph_fail(s->diag, found, "no memory to salvage");
    }
    if (found < 0 && !PH_MUTANT(SALVAGE_UNVERIFIED)) {
        return lose(s, page, 1, why.text);
    }
    void *slot = snap_txn_stage(s->txn, page);
    if (slot == NULL) {
        int error = snap_txn_write(s->txn, s->diag);
        slot = error == 0 ? snap_txn_stage(s->txn, page) : NULL;
        if (slot == NULL) {
            return error != 0 ? error : ph_fail(s->diag, -ENOMEM, "no staging slot");
        }
    }
    memcpy(slot, s->page, SNAP_PAGE_SIZE);
    s->report->pages++;
    return step(s, 1);
}

static int count_page(void *context, uint64_t page)
{
    (void)page;
    ++*(uint64_t *)context;
    return 0;
}

static int count_nothing(void *context, uint64_t first, uint64_t count, const char *why)
{
    (void)context;
    (void)first;
    (void)count;
    (void)why;
    return 0;
}

static int write_part(struct salvage *s, const struct snap_generation *g)
{
    const struct snap_map_visitor visitor = {s, take_page, lose};
    int error = snap_txn_begin(s->to, 2048, &s->txn, s->diag);
    if (error != 0) {
        return error;
    }
    error = snap_txn_reserve(s->txn, s->total, s->diag);
    error = error != 0 ? error : snap_store_walk(s->from, g->number, &visitor, s->diag);
    if (error != 0) {
        snap_txn_abort(s->txn);
        return error;
    }
    report_run(s);
    struct snap_commit commit = {.heap_pages = g->heap_pages,
                                 .time_ns = g->time_ns,
                                 .pause_ns = g->pause_ns,
                                 .version = g->version};
    return snap_txn_commit(s->txn, &commit, &s->report->copied.newest, s->diag);
}

static int rescue_part(struct salvage *s, const struct snap_generation *g, struct snap_io *target)
{
    struct snap_store_params params = s->from->params;
    struct snap_key key = store_secret_key(s->from->file.secret);
    params.key = key;
    s->generation = g->number;
    s->done = 0;
    int error = snap_store_create(target, &params, s->diag);
    error = error != 0 ? error : snap_store_open_keyed(target, &key, 0, &s->to, NULL, s->diag);
    if (error == 0) {
        s->to->next_generation = g->number;
        error = write_part(s, g);
    }
    if (error == 0) {
        s->report->generation = g->number;
        s->report->copied.generations = 1;
        s->report->copied.pages = s->report->pages;
        s->report->copied.bytes = snap_store_bytes_in_use(s->to);
    }
    snap_store_close(s->to);
    return error;
}

/* The newest generation of which at least a page, or an empty map, can be read. */
static int rescue_some(struct salvage *s, struct snap_io *target)
{
    for (unsigned i = s->from->generation_count; i > 0; i--) {
        struct snap_generation g = s->from->generation[i - 1].info;
        uint64_t pages = 0;
        const struct snap_map_visitor counter = {&pages, count_page, count_nothing};
        int error = snap_store_walk(s->from, g.number, &counter, s->diag);
        if (error != 0) {
            return error;
        }
        if (pages != 0 || g.live_pages == 0) {
            s->total = pages;
            error = rescue_part(s, &g, target);
            return error != 0 ? error : 1;
        }
    }
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

int snap_store_salvage(struct snap_io *source, const struct snap_key *key, bool partial,
                       struct snap_io *target,
                       void (*lost)(void *context, uint64_t first, uint64_t count, const char *why),
                       void *context, const struct snap_progress *progress,
                       struct snap_salvage_report *report, struct phantom_diag *diag)
{
    struct salvage s = {
        .report = report, .lost = lost, .context = context, .progress = progress, .diag = diag};
    *report = (struct snap_salvage_report){0};
    s.page = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    int result = s.page != NULL ? open_candidates(&s, source, key)
                                : ph_fail(diag, -ENOMEM, "no memory to salvage");
    if (result == 0) {
        result = rescue_whole(&s, target);
    }
    if (result == 0 && partial) {
        result = rescue_some(&s, target);
    }
    if (result == 0) {
        result = ph_fail(diag, PHANTOM_ECORRUPT,
                         "%s: %" PRIu64 " commit records found, and no generation %s",
                         source->path != NULL ? source->path : "(store)", report->records_found,
                         partial ? "of which anything can be read" : "is whole");
    } else if (result == 1) {
        result = 0;
    }
    snap_store_close(s.from);
    ph_free(s.page);
    return result;
}
