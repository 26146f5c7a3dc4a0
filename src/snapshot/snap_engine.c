/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_engine.c - the snapshot pipeline: reserve -> (live rounds) -> cut -> capture -> resume ->
 * write -> commit -> retire, each a function phase_*() below. What is tracked and how it is copied
 * is the strategy's; what a generation is and how it becomes durable is the store's. This file owns
 * the order between them, the stop, the log of discards, and the promise that no phase that fails
 * loses a change: whatever happens, retire() is called, and the strategy keeps what was not
 * committed.
 *
 * Lock order: discard_lock, a leaf (snapshot_internal.h). It is taken only after the world has
 * stopped, and released before it resumes: so a mutator that waits in snap_engine_discard() can
 * always finish and reach its safepoint.
 *
 * True between calls: no transaction is open, the world is running as far as this engine goes, and
 * round describes the last snapshot.
 */
#include "snap_engine.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_probe.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/** One snapshot on its way through the phases. */
struct passage {
    struct snap_engine *engine;
    struct snap_txn *txn; /* NULL: not begun, or gone */
    struct snap_report *report;
    struct phantom_diag *diag;
    int64_t wall_ns; /* wall clock at the cut */
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    PH_CHECK(rc == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t since_ns(int64_t start)
{
    return (uint64_t)(clock_ns(CLOCK_MONOTONIC) - start);
}

/* ---- phases -------------------------------------------------------------------------------- */

static int begin_and_reserve(struct passage *p, uint64_t pages, uint64_t holes)
{
    struct snap_engine *engine = p->engine;
    engine->round.reserved = engine->round.reserved_holes = 0;
    int rc = snap_txn_begin(engine->store, engine->options.staging_pages, &p->txn, p->diag);
    if (rc != 0) {
        p->txn = NULL;
        return rc;
    }
    return snap_engine_reserve(engine, p->txn, pages, holes, p->diag);
}

/** Room in the store for what is dirty now. History gives way to it if need be. A refusal leaves
 *  the world untouched. */
static int phase_reserve(struct passage *p)
{
    struct snap_engine *engine = p->engine;
    uint64_t pages = 0, holes = 0;
    int rc = engine->strategy->estimate(engine->state, &pages, &holes);
    if (rc != 0) {
        return ph_fail(p->diag, rc, "estimating the size of the snapshot: %s",
                       phantom_strerror(rc));
    }
    /* At least one page, so that even an empty generation is refused while nothing is stopped. */
    pages = pages != 0 ? pages : 1;
    rc = begin_and_reserve(p, pages, holes);
    if (rc == PHANTOM_ENOSPACE) {
        snap_txn_abort(p->txn);
        p->txn = NULL;
        struct phantom_diag diag = PHANTOM_DIAG_INIT; /* the refusal is what the host shall read */
        int trimmed = snap_store_trim(engine->store, &diag);
        if (trimmed > 0) {
            rc = begin_and_reserve(p, pages, holes);
        } else if (trimmed == PHANTOM_EPOISONED) {
            rc = ph_fail(p->diag, trimmed, "%s", diag.text);
        }
    }
    return rc;
}

/** Live rounds: mutators run. */
static int phase_precopy(struct passage *p)
{
    return p->engine->strategy->precopy(p->engine->state, p->txn, p->report, p->diag);
}

/** World stopped: decide the set, and make sure that it fits. */
static int phase_cut(struct passage *p)
{
    struct snap_engine *engine = p->engine;
    struct snap_round *round = &engine->round;
    p->wall_ns = clock_ns(CLOCK_REALTIME);
    round->heap_pages = engine->world.heap_pages(engine->world.context);
    if (round->heap_pages > engine->memory->page_count) {
        return ph_fail(p->diag, PHANTOM_EINVALID,
                       "the host says that %" PRIu64 " pages of a range of %" PRIu64 " are in use",
                       round->heap_pages, engine->memory->page_count);
    }
    if (PH_MUTANT(UNLOADED_IS_HOLE) && engine->lazy != NULL) {
        lazy_restore_mistake(engine->lazy, &engine->discarded);
    }
    int rc = engine->strategy->cut(engine->state, p->txn, p->report, p->diag);
    if (rc != 0) {
        return rc;
    }
    /* More than was estimated: ask for more room while stopped, rather than go round again. */
    return snap_engine_reserve(engine, p->txn, round->used + round->cut_room, round->cut_holes,
                               p->diag);
}

/** World stopped: make the set immutable. */
static int phase_capture(struct passage *p)
{
    struct snap_engine *engine = p->engine;
    int rc = engine->strategy->capture(engine->state, p->txn, p->report, p->diag);
    return rc != 0 ? rc : snap_witness_take(engine, p->diag);
}

/** Stop, cut, capture, resume. The world runs when this returns, whatever it returns. */
static int phase_stop(struct passage *p)
{
    struct snap_engine *engine = p->engine;
    int timeout_ms = engine->options.stop_timeout_ms;
    int64_t start = clock_ns(CLOCK_MONOTONIC);
    int rc = engine->world.stop(engine->world.context, timeout_ms);
    p->report->stop_wait_ns = since_ns(start);
    if (rc != 0) {
        return ph_fail(p->diag, rc, "the world did not stop within %d ms: %s", timeout_ms,
                       phantom_strerror(rc));
    }
    PH_PROBE1(cut, p->report->stop_wait_ns);
    start = clock_ns(CLOCK_MONOTONIC);
    pthread_mutex_lock(&engine->discard_lock);
    engine->round.stopped = true;
    rc = phase_cut(p);
    if (rc == 0) {
        rc = phase_capture(p);
    }
    engine->round.stopped = false;
    pthread_mutex_unlock(&engine->discard_lock);
    p->report->pause_ns = since_ns(start);
    engine->world.resume(engine->world.context);
    PH_PROBE1(resume, p->report->pause_ns);
    return rc;
}

/** World running again: what capture froze but did not stage. */
static int phase_write(struct passage *p)
{
    return p->engine->strategy->drain(p->engine->state, p->txn, p->report, p->diag);
}

/** Nothing is staged or discarded, and the last generation is as long: it is this one. */
static bool is_unchanged(const struct passage *p)
{
    const struct snap_engine *engine = p->engine;
    const struct snap_generation *current = snap_store_current(engine->store);
    return engine->options.skip_unchanged && current->number != 0 &&
           current->heap_pages == engine->round.heap_pages && snap_txn_is_empty(p->txn);
}

static int phase_commit(struct passage *p)
{
    struct snap_engine *engine = p->engine;
    struct snap_commit commit = {
        .heap_pages = engine->round.heap_pages,
        .time_ns = p->wall_ns,
        .pause_ns = p->report->pause_ns,
        .version = engine->options.version,
    };
    int lost = engine->lazy != NULL ? lazy_restore_failure(engine->lazy, p->diag) : 0;
    if (lost != 0) {
        return lost;
    }
    if (is_unchanged(p)) {
        p->report->unchanged = true;
        p->report->generation = *snap_store_current(engine->store);
        return 0; /* phase_retire() ends the transaction */
    }
    struct snap_txn *txn = p->txn;
    p->txn = NULL; /* gone in either case */
    return snap_txn_commit(txn, &commit, &p->report->generation, p->diag);
}

/** The strategy forgets the set, or keeps it for the next cut. */
static void phase_retire(struct passage *p, bool committed)
{
    snap_txn_abort(p->txn);
    p->txn = NULL;
    p->engine->strategy->retire(p->engine->state, committed);
}

static int take_snapshot(struct passage *p)
{
    int (*const phases[])(struct passage *) = {phase_reserve, phase_precopy, phase_stop,
                                               phase_write, phase_commit};
    uint64_t *phase_ns = p->engine->counters.phase_ns;
    int rc = 0;
    int64_t start = clock_ns(CLOCK_MONOTONIC);
    for (size_t i = 0; rc == 0 && i < sizeof(phases) / sizeof(phases[0]); i++) {
        rc = phases[i](p);
        int64_t end = clock_ns(CLOCK_MONOTONIC);
        snap_engine_count(&phase_ns[i], (uint64_t)(end - start));
        start = end;
    }
    phase_retire(p, rc == 0);
    snap_engine_count(&phase_ns[SNAP_PHASE_RETIRE], since_ns(start));
    return rc;
}

int snap_engine_snapshot(struct snap_engine *engine, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct snap_report scratch;
    if (report == NULL) {
        report = &scratch;
    }
    *report = (struct snap_report){0};
    if (atomic_exchange(&engine->busy, true)) {
        return ph_fail(diag, PHANTOM_EINVALID, "a snapshot is being taken already");
    }
    int64_t start = clock_ns(CLOCK_MONOTONIC);
    struct passage passage = {.engine = engine, .report = report, .diag = diag};
    int rc;
    engine->round = (struct snap_round){0};
    if (engine->poisoned) {
        rc = ph_fail(diag, PHANTOM_EPOISONED, "%s", phantom_strerror(PHANTOM_EPOISONED));
    } else if (engine->strategy->marks_only && atomic_load(&engine->unmarked_writer)) {
        rc = ph_fail(diag, PHANTOM_EUNSUPPORTED,
                     "strategy %s knows only marked stores, and a writer that does not mark ran",
                     engine->strategy->name);
    } else if (engine->lazy != NULL && lazy_restore_failure(engine->lazy, diag) != 0) {
        rc = lazy_restore_failure(engine->lazy, diag);
    } else {
        page_set_clear(&engine->unwritten);
        PH_PROBE0(snapshot_begin);
        rc = take_snapshot(&passage);
    }
    report->total_ns = since_ns(start);
    report->writes_stopped = engine->round.writes_stopped;
    snap_engine_count_snapshot(engine, rc, report);
    if (rc == 0 && !report->unchanged) {
        PH_PROBE2(commit, report->generation.number, report->total_ns);
    } else if (rc != 0) {
        PH_PROBE1(refused, rc);
    }
    if (rc == PHANTOM_EPOISONED) {
        engine->poisoned = true;
    }
    if (rc == 0) {
        snap_engine_note_used(engine);
        snap_witness_compare(engine);
    }
    atomic_store(&engine->busy, false);
    return rc;
}

int snap_engine_discard(struct snap_engine *engine, uint64_t first, uint64_t count)
{
    struct snap_memory *memory = engine->memory;
    if (first > memory->page_count || count > memory->page_count - first) {
        return PHANTOM_EINVALID;
    }
    if (count == 0) {
        return 0;
    }
    pthread_mutex_lock(&engine->discard_lock);
    if (engine->strategy->before_discard != NULL) {
        engine->strategy->before_discard(engine->state, first, count);
    }
    /* Logged first: dropping a page leaves no trace that a scan could find. A mark from here on
     * means a store after the discard. */
    page_set_add_range(&engine->discarded, first, count);
    snap_marks_forget(&engine->marks, first, count);
    if (engine->lazy != NULL) {
        lazy_restore_forget(engine->lazy, first, count);
    }
    int rc = memory->ops->discard(memory, first, count);
    if (rc != 0 && rc != PHANTOM_EFORKED) { /* a forked child does not have the range at all */
        /* Not given back. The promise that they read as zeros is kept by hand, and the stores make
         * them dirty, so that memory and store agree. */
        if (engine->strategy->before_store != NULL && !PH_MUTANT(KEPT_PAGE_FORGOTTEN)) {
            engine->strategy->before_store(engine->state, first, count);
        }
        memset(snap_engine_page(engine, first), 0, (size_t)count * SNAP_PAGE_SIZE);
        for (uint64_t page = first; page < first + count; page++) {
            snap_mark(&engine->marks, page);
        }
    }
    pthread_mutex_unlock(&engine->discard_lock);
    return rc;
}

const struct snap_marks *snap_engine_marks(struct snap_engine *engine)
{
    return &engine->marks;
}

void snap_engine_unmarked_writer(struct snap_engine *engine)
{
    atomic_store(&engine->unmarked_writer, true);
}

const char *snap_engine_strategy(const struct snap_engine *engine)
{
    return engine->strategy->name;
}
