/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_cards.c - the writers say what they wrote (snap_marks.h), and nothing else is asked: no
 * fault on a first store, no scan, no interrupt to other CPUs. Only where every store is marked;
 * the fastest durable commits there are, since the cost of a commit is the cost of its pages.
 *
 * A small set is copied in the stop. A larger one is copied by a live round first: clear the marks,
 * make every running writer pass a barrier, copy. A store that the copy missed, or saw half of, has
 * marked its page again (snap_marks.h), so the page is copied again in the stop.
 *
 * Owns the book of dirty pages (dirty_book.h); the marks are the engine's. What is in a memory that
 * was not restored from the store, when the engine opens, is dirty.
 */
#include "dirty_book.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"

#include <errno.h>

enum {
    LIVE_ROUND_PAGES = SNAP_SMALL_COMMIT_PAGES, /* up to here no live round: it only delays */
    LIVE_ROUNDS = 2,
};

struct cards_state {
    struct dirty_book book;
    uint64_t dirty; /* pages, when last counted */
};

static void cards_close(void *state)
{
    struct cards_state *cards = state;
    if (cards != NULL) {
        dirty_book_finish(&cards->book);
        ph_free(cards);
    }
}

static int tell_resident(void *context, struct snap_range range)
{
    struct cards_state *cards = context;
    dirty_book_tell(&cards->book, range);
    return 0;
}

static int cards_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct cards_state *cards = ph_zalloc(1, sizeof(*cards));
    if (cards == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    int rc = dirty_book_init(&cards->book, engine);
    if (rc == 0 && snap_store_current(engine->store)->number == 0) {
        rc = snap_engine_each_resident(engine, engine->memory->page_count, tell_resident, cards);
    }
    if (rc != 0) {
        cards_close(cards);
        return ph_fail(diag, rc, "noting what is in the memory already: %s", phantom_strerror(rc));
    }
    atomic_store(&engine->unmarked_writer, false); /* what came before is in the book */
    *state = cards;
    return 0;
}

static void count_page(void *context, uint64_t page)
{
    struct cards_state *cards = context;
    (void)page;
    cards->dirty++;
}

static void count_marked(struct cards_state *cards)
{
    cards->dirty = 0;
    snap_marks_look(&cards->book.engine->marks, count_page, cards);
}

static int cards_estimate(void *state, uint64_t *pages, uint64_t *holes)
{
    struct cards_state *cards = state;
    count_marked(cards);
    cards->dirty += dirty_book_size(&cards->book, holes);
    *pages = cards->dirty;
    return 0;
}

static void tell_marked(void *context, uint64_t page)
{
    dirty_book_tell(context, (struct snap_range){page, 1});
}

static void tell_marked_stopped(void *context, uint64_t page)
{
    dirty_book_tell_stopped(context, page);
}

static int stage_all(struct cards_state *cards, struct snap_txn *txn, struct phantom_diag *diag)
{
    return dirty_book_stage_live(&cards->book, 0, cards->book.pending.page_count, txn, diag);
}

static void nothing(void *context, uint64_t page)
{
    (void)context;
    (void)page;
}

/** The wrong order, for a mutant: a store between copy and clearing is lost. */
static int copy_before_clearing(struct cards_state *cards, struct snap_txn *txn,
                                struct phantom_diag *diag)
{
    struct snap_engine *engine = cards->book.engine;
    pthread_mutex_lock(&engine->discard_lock);
    snap_marks_look(&engine->marks, tell_marked, &cards->book);
    pthread_mutex_unlock(&engine->discard_lock);
    int rc = stage_all(cards, txn, diag);
    (void)engine->memory->ops->barrier(engine->memory);
    snap_marks_take(&engine->marks, SNAP_WRITERS_RUN, nothing, NULL);
    return rc;
}

static int live_round(struct cards_state *cards, struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_engine *engine = cards->book.engine;
    if (PH_MUTANT(MARKS_CLEARED_AFTER_COPY)) {
        return copy_before_clearing(cards, txn, diag);
    }
    pthread_mutex_lock(&engine->discard_lock);
    snap_marks_take(&engine->marks, SNAP_WRITERS_RUN, tell_marked, &cards->book);
    pthread_mutex_unlock(&engine->discard_lock);
    int rc = PH_MUTANT(MARKS_WITHOUT_BARRIER) ? 0 : engine->memory->ops->barrier(engine->memory);
    if (rc != 0) {
        return ph_fail(diag, rc, "waiting for the stores of running threads: %s",
                       phantom_strerror(rc));
    }
    return stage_all(cards, txn, diag);
}

static int cards_precopy(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct cards_state *cards = state;
    struct snap_engine *engine = cards->book.engine;
    bool possible = engine->live_marks;
    uint64_t least = PH_CHOICE("live round", LIVE_ROUND_PAGES, 0);
    int rc = 0;
    for (int round = 0; possible && round < LIVE_ROUNDS && cards->dirty > least; round++) {
        uint64_t before = cards->dirty;
        rc = live_round(cards, txn, diag);
        report->live_rounds++;
        if (rc != 0) {
            break;
        }
        count_marked(cards);
        if (cards->dirty > before / 2 && cards->dirty <= engine->options.staging_pages) {
            break; /* a hot set: going round again would only copy it once more */
        }
    }
    report->pages_live = engine->round.staged;
    if (rc == 0) {
        rc = snap_engine_expect(engine, txn, cards->dirty + cards->book.pending.members, diag);
    }
    return rc;
}

static int cards_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag)
{
    struct cards_state *cards = state;
    struct snap_engine *engine = cards->book.engine;
    if (atomic_load(&engine->unmarked_writer) && !PH_MUTANT(MARKS_TRUSTED_BLINDLY)) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED, "a writer that does not mark its stores ran");
    }
    report->by_marks = true;
    snap_marks_take(&engine->marks, SNAP_WRITERS_PARKED, tell_marked_stopped, &cards->book);
    return dirty_book_cut(&cards->book, txn, diag);
}

static int cards_capture(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct cards_state *cards = state;
    return dirty_book_capture(&cards->book, txn, report, diag);
}

static void cards_retire(void *state, bool committed)
{
    struct cards_state *cards = state;
    dirty_book_retire(&cards->book, committed);
}

static const char *cards_why_not(const struct snap_conditions *conditions)
{
    return conditions->all_stores_marked ? NULL : "not every store into the memory is marked";
}

const struct snap_strategy snap_strategy_cards = {
    .name = "cards",
    .why_not = cards_why_not,
    .needs = "a host that marks every store",
    .marks_only = true,
    .loads_lazily = true,
    .open = cards_open,
    .close = cards_close,
    .estimate = cards_estimate,
    .precopy = cards_precopy,
    .cut = cards_cut,
    .capture = cards_capture,
    .drain = dirty_book_drain,
    .retire = cards_retire,
};
