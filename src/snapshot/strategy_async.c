/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_async.c - tracking by the memory (userfaultfd WP_ASYNC + PAGEMAP_SCAN), capture by
 * copying: a live round while mutators run, then a short stop for the residue.
 *
 * The memory's bit is the truth; marks (snap_marks.h) only make the stop short. What the stop does:
 *
 *   by marks    every store is marked, marks can be cleared while writers run, and no unmarked
 *               writer ran since the last scan of everything: the marked pages are the set
 *   by regions  as above, but page bytes could not be cleared in the live round: the memory is
 *               asked, about touched regions only
 *   by scan     else: the memory is asked about everything
 *
 * A live round always asks the memory about everything. Order in it: clear the marks, barrier,
 * protect, then copy. A store before the protection is in the copy; one after it makes the page
 * dirty and marked again; one in between was drained by the barrier, or marks the page again. A
 * page that is told twice is staged twice; the store indexes the last version only.
 *
 * A stop that follows a live round does not protect what it takes: the page would cost its writer
 * one more fault now, and the next live round protects it in any case. Until then it is known
 * (`unprotected`), keeps being reported, and is copied once more. Without a live round the stop
 * protects, or a few pages would be copied again and again. Regions whose pages are mostly written
 * again before the stop are left out of live rounds for a while (open_regions.h), unless marks are
 * to be checked against the memory.
 *
 * Cross-check: a page that the memory reports, but that was neither marked before the round nor is
 * so at the stop, has an unmarked writer nobody spoke of. The stop then asks the memory about
 * everything. A page that a stop by marks has taken stays unprotected, so the memory reports it
 * once more: it is known (`unprotected`) and copied once more, because the memory is the truth.
 *
 * Owns the book of dirty pages (dirty_book.h), the sets of the cross-check and the open regions.
 */
#include "dirty_book.h"
#include "open_regions.h"
#include "ph_check.h"
#include "ph_log.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"

#include <errno.h>
#include <inttypes.h>

enum {
    /* Up to a small commit is copied in the stop: a live round would only make the commit later. */
    LIVE_ROUND_PAGES = SNAP_SMALL_COMMIT_PAGES,
    /* Protected and then copied in one go while mutators run: 64 MiB. More would only give them
     * more time to write the pages again. */
    LIVE_CHUNK_PAGES = 16384,
    /* Rounds do not shrink a hot set; a second one pays only after a long first one. */
    LIVE_ROUNDS = 2,
};

struct async_state {
    struct dirty_book book;
    struct page_set unprotected; /* taken in a stop, not protected since */
    struct page_set announced;   /* marks cleared by the live round under way */
    struct page_set suspects;    /* reported dirty without a mark, not judged yet */
    struct open_regions open;
    uint64_t dirty;     /* pages, when last counted */
    uint64_t left_open; /* pages that the stop under way has left unprotected */
    bool untold;        /* a scan failed: it may have protected what it did not report */
    uint64_t faults;    /* of the process before the last scan of everything began */
    bool faults_known;  /* and that scan ended well */
    struct snap_range ranges[SNAP_RANGES];
};

static void async_close(void *state)
{
    struct async_state *async = state;
    if (async == NULL) {
        return;
    }
    dirty_book_finish(&async->book);
    page_set_finish(&async->unprotected);
    page_set_finish(&async->announced);
    page_set_finish(&async->suspects);
    open_regions_finish(&async->open);
    ph_free(async);
}

static int async_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct async_state *async = ph_zalloc(1, sizeof(*async));
    if (async == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    struct page_set *sets[] = {&async->unprotected, &async->announced, &async->suspects};
    int rc = dirty_book_init(&async->book, engine);
    for (unsigned i = 0; rc == 0 && i < sizeof(sets) / sizeof(sets[0]); i++) {
        rc = page_set_init(sets[i], engine->memory->page_count);
    }
    rc = rc != 0 ? rc : open_regions_init(&async->open, engine->memory->page_count);
    if (rc != 0) {
        async_close(async);
        return ph_fail(diag, rc, "no memory for the page sets of the snapshot engine");
    }
    *state = async;
    return 0;
}

/* ---- which kind of stop -------------------------------------------------------------------- */

/** Region bytes say where writers have been: they are cleared only in the stop. */
static bool regions_are_valid(const struct snap_engine *engine)
{
    if (PH_MUTANT(MARKS_TRUSTED_BLINDLY)) {
        return engine->options.all_stores_marked;
    }
    return SNAP_STORES_IN_ORDER && engine->options.all_stores_marked &&
           !atomic_load(&engine->unmarked_writer);
}

static bool marks_are_valid(const struct snap_engine *engine)
{
    return regions_are_valid(engine) && engine->live_marks;
}

/* ---- scanning ------------------------------------------------------------------------------ */

/** What is dirty in the whole range, without changing it. */
static int count_by_scan(struct async_state *async)
{
    struct snap_memory *memory = async->book.engine->memory;
    async->dirty = 0;
    for (uint64_t at = 0; at < memory->page_count;) {
        uint64_t resume = at;
        int n = memory->ops->scan(memory, at, memory->page_count - at, 0, async->ranges,
                                  SNAP_RANGES, &resume);
        if (n < 0) {
            return n;
        }
        for (int i = 0; i < n; i++) {
            async->dirty += async->ranges[i].count;
        }
        PH_CHECK(resume > at);
        at = resume;
    }
    return 0;
}

static void count_marked_page(void *context, uint64_t page)
{
    struct async_state *async = context;
    (void)page;
    async->dirty++;
}

/** Everything is about to be asked about. */
static void note_faults(struct async_state *async)
{
    struct snap_memory *memory = async->book.engine->memory;
    async->faults_known = false;
    async->faults = memory->ops->faults != NULL ? memory->ops->faults(memory) : 0;
}

/** A scan costs more than a small commit does beside it. What is protected cannot become dirty
 *  without a fault: if there were only few, they are what is dirty, at most, with what was left
 *  open. False: there is no telling. */
static bool count_by_faults(struct async_state *async)
{
    struct snap_memory *memory = async->book.engine->memory;
    if (!async->faults_known || memory->ops->faults == NULL) {
        return false;
    }
    async->dirty = async->unprotected.members + memory->ops->faults(memory) - async->faults;
    return async->dirty <= LIVE_ROUND_PAGES;
}

static int count_dirty(struct async_state *async)
{
    struct snap_engine *engine = async->book.engine;
    if (!marks_are_valid(engine)) {
        return count_by_faults(async) ? 0 : count_by_scan(async);
    }
    async->dirty = 0;
    snap_marks_look(&engine->marks, count_marked_page, async);
    return 0;
}

/** In a live round: these pages were dirty and are protected now. Under discard_lock. */
static void note_protected(struct async_state *async, struct snap_range range)
{
    if (PH_MUTANT(OPEN_PAGE_FORGOTTEN) && page_set_has(&async->unprotected, range.first)) {
        return;
    }
    dirty_book_tell(&async->book, range);
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        if (!page_set_has(&async->announced, page) && !page_set_has(&async->unprotected, page)) {
            page_set_add(&async->suspects, page);
        }
    }
    page_set_remove_range(&async->unprotected, range.first, range.count);
}

/** In the stop: these pages are dirty. */
static void note_stopped(struct async_state *async, struct snap_range range, bool protected)
{
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        dirty_book_tell_stopped(&async->book, page);
    }
    if (protected) {
        page_set_remove_range(&async->unprotected, range.first, range.count);
    } else {
        page_set_add_range(&async->unprotected, range.first, range.count);
        async->left_open += range.count;
    }
}

/** Scan [first, end); what is dirty becomes pending. In a live round under discard_lock, and always
 *  protecting. */
static int take_range(struct async_state *async, uint64_t first, uint64_t end, unsigned flags,
                      struct phantom_diag *diag)
{
    struct snap_engine *engine = async->book.engine;
    struct snap_memory *memory = engine->memory;
    while (first < end) {
        uint64_t resume = first;
        int n = memory->ops->scan(memory, first, end - first, flags, async->ranges, SNAP_RANGES,
                                  &resume);
        if (n < 0) {
            async->untold = !PH_MUTANT(FAILED_SCAN_TRUSTED);
            return ph_fail(diag, n, "scanning the heap for written pages: %s", phantom_strerror(n));
        }
        for (int i = 0; i < n; i++) {
            if (engine->round.stopped) {
                note_stopped(async, async->ranges[i], (flags & SNAP_SCAN_PROTECT) != 0);
            } else {
                note_protected(async, async->ranges[i]);
            }
        }
        PH_CHECK(resume > first);
        PH_POINT("protected, not copied");
        first = resume;
    }
    return 0;
}

/* ---- live rounds --------------------------------------------------------------------------- */

/** The wrong order, for a mutant: what mutators write between copy and protection is lost. */
static int copy_before_protect(struct async_state *async, uint64_t first, uint64_t end,
                               struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_memory *memory = async->book.engine->memory;
    for (uint64_t at = first; at < end;) {
        uint64_t resume = at;
        int n = memory->ops->scan(memory, at, end - at, 0, async->ranges, SNAP_RANGES, &resume);
        if (n < 0) {
            return n;
        }
        for (int i = 0; i < n; i++) {
            note_protected(async, async->ranges[i]);
        }
        at = resume;
    }
    int rc = dirty_book_stage_live(&async->book, first, end, txn, diag);
    if (rc == 0) {
        rc = take_range(async, first, end, SNAP_SCAN_PROTECT, diag);
        page_set_remove_range(&async->book.pending, first, end - first);
    }
    return rc;
}

static void announce(void *context, uint64_t page)
{
    struct async_state *async = context;
    page_set_add(&async->announced, page);
    page_set_remove(&async->suspects, page);
}

/** The memory is about to be asked about everything: what marks said until here is not needed. */
static int clear_marks(struct async_state *async, struct phantom_diag *diag)
{
    struct snap_engine *engine = async->book.engine;
    struct snap_memory *memory = engine->memory;
    page_set_clear(&async->announced);
    if (!engine->options.all_stores_marked || !engine->live_marks) {
        return 0;
    }
    pthread_mutex_lock(&engine->discard_lock);
    snap_marks_take(&engine->marks, SNAP_WRITERS_RUN, announce, async);
    pthread_mutex_unlock(&engine->discard_lock);
    int rc = PH_MUTANT(MARKS_WITHOUT_BARRIER) ? 0 : memory->ops->barrier(memory);
    return rc == 0 ? 0
                   : ph_fail(diag, rc, "waiting for the stores of running threads: %s",
                             phantom_strerror(rc));
}

/** Where the memory checks the marks it is asked about everything. */
static bool may_leave_open(const struct async_state *async)
{
    return !async->book.engine->options.all_stores_marked;
}

/** take_range(), but for the open regions. */
static int take_closed(struct async_state *async, uint64_t first, uint64_t end, unsigned flags,
                       struct phantom_diag *diag)
{
    int rc = 0;
    for (uint64_t at = open_regions_skip(&async->open, first, end), stop; rc == 0 && at < end;
         at = open_regions_skip(&async->open, stop, end)) {
        stop = open_regions_next(&async->open, at, end);
        rc = take_range(async, at, stop, flags, diag);
    }
    return rc;
}

/** Protect, then copy, one chunk after the other, while mutators run. */
static int copy_chunks(struct async_state *async, struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_engine *engine = async->book.engine;
    uint64_t pages = engine->memory->page_count;
    /* Each chunk takes steps of a simulated machine: not many thousands, however large the heap. */
    uint64_t chunk = PH_CHOICE("live chunk", LIVE_CHUNK_PAGES, pages >> 10 > 64 ? pages >> 10 : 64);
    int rc = 0;
    for (uint64_t first = 0; rc == 0 && first < pages; first += chunk) {
        uint64_t end = first + chunk < pages ? first + chunk : pages;
        if (PH_MUTANT(COPY_BEFORE_PROTECT)) {
            rc = copy_before_protect(async, first, end, txn, diag);
            continue;
        }
        pthread_mutex_lock(&engine->discard_lock);
        rc = take_closed(async, first, end, SNAP_SCAN_PROTECT, diag);
        pthread_mutex_unlock(&engine->discard_lock);
        if (rc == 0) {
            rc = dirty_book_stage_live(&async->book, first, end, txn, diag);
        }
    }
    return rc;
}

static int live_round(struct async_state *async, struct snap_txn *txn, struct phantom_diag *diag)
{
    struct snap_engine *engine = async->book.engine;
    note_faults(async);
    /* Whoever stores without a mark from here on says so again, after its store. */
    bool unmarked = atomic_exchange(&engine->unmarked_writer, false);
    int rc = clear_marks(async, diag);
    if (rc == 0) {
        rc = copy_chunks(async, txn, diag);
    }
    if (rc != 0) { /* marks are gone, and not all of the memory was asked */
        atomic_store(&engine->unmarked_writer, true);
    }
    async->faults_known = rc == 0;
    if (unmarked) { /* what the memory reported need not have been marked */
        page_set_clear(&async->suspects);
    }
    return rc;
}

/* ---- phases -------------------------------------------------------------------------------- */

static int tell_resident(void *context, struct snap_range range)
{
    struct async_state *async = context;
    dirty_book_tell(&async->book, range);
    return 0;
}

/** After a scan that failed: whatever is there may have been written. */
static int tell_everything(struct async_state *async)
{
    struct snap_engine *engine = async->book.engine;
    pthread_mutex_lock(&engine->discard_lock);
    int rc = snap_engine_each_resident(engine, engine->memory->page_count, tell_resident, async);
    pthread_mutex_unlock(&engine->discard_lock);
    async->untold = rc != 0;
    return rc;
}

static int async_estimate(void *state, uint64_t *pages, uint64_t *holes)
{
    struct async_state *async = state;
    int rc = async->untold ? tell_everything(async) : 0;
    rc = rc != 0 ? rc : count_dirty(async);
    if (rc != 0) {
        return rc;
    }
    async->dirty += dirty_book_size(&async->book, holes);
    *pages = async->dirty;
    return 0;
}

static int async_precopy(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct async_state *async = state;
    struct snap_engine *engine = async->book.engine;
    uint64_t least = PH_CHOICE("live round", LIVE_ROUND_PAGES, 0);
    int rc = 0;
    for (int round = 0; rc == 0 && round < LIVE_ROUNDS && async->dirty > least; round++) {
        uint64_t before = async->dirty;
        rc = live_round(async, txn, diag);
        report->live_rounds++;
        if (rc == 0) {
            rc = count_dirty(async);
        }
        if (async->dirty > before / 2 && async->dirty <= engine->options.staging_pages) {
            break; /* a hot set: going round again would only copy it once more */
        }
    }
    report->pages_live = engine->round.staged;
    if (rc == 0) {
        rc = snap_engine_expect(engine, txn, async->dirty + async->book.pending.members, diag);
    }
    return rc;
}

/** All writers are parked, so all marks are made: a suspect without one was not marked at all. */
static void judge_suspects(struct async_state *async)
{
    struct snap_engine *engine = async->book.engine;
    uint64_t end = async->suspects.page_count;
    uint64_t found = 0;
    for (uint64_t page = page_set_next(&async->suspects, 0, end); page != PAGE_SET_END;
         page = page_set_next(&async->suspects, page + 1, end)) {
        found += !page_set_has(&engine->discarded, page) &&
                 atomic_load_explicit(&engine->marks.page[page], memory_order_relaxed) == 0;
    }
    page_set_clear(&async->suspects);
    if (found != 0 && !PH_MUTANT(SILENT_WRITER_IGNORED)) {
        snap_engine_count(&engine->counters.unmarked_found, found);
        atomic_store(&engine->unmarked_writer, true);
    }
}

static void take_marked_page(void *context, uint64_t page)
{
    struct async_state *async = context;
    dirty_book_tell_stopped(&async->book, page);
    page_set_add(&async->unprotected, page);
}

static void nothing(void *context, uint64_t page)
{
    (void)context;
    (void)page;
}

struct region_scan {
    struct async_state *async;
    unsigned flags;
    struct phantom_diag *diag;
};

static int scan_region(void *context, uint64_t region)
{
    struct region_scan *scan = context;
    uint64_t pages = scan->async->book.pending.page_count;
    uint64_t first = region << SNAP_REGION_SHIFT;
    uint64_t end = (region + 1) << SNAP_REGION_SHIFT;
    return take_range(scan->async, first, end < pages ? end : pages, scan->flags, scan->diag);
}

/** Everything below `end` is protected, or was discarded. */
static void forget_unprotected(struct async_state *async, uint64_t end)
{
    for (uint64_t page = page_set_next(&async->unprotected, 0, end); page != PAGE_SET_END;
         page = page_set_next(&async->unprotected, page + 1, end)) {
        page_set_remove(&async->unprotected, page);
    }
}

/** Ask the memory, about touched regions or about everything; the marks begin anew. */
static int take_by_scan(struct async_state *async, unsigned flags, struct phantom_diag *diag)
{
    struct snap_engine *engine = async->book.engine;
    int rc;
    if (regions_are_valid(engine)) {
        struct region_scan scan = {.async = async, .flags = flags, .diag = diag};
        rc = snap_marks_each_region(&engine->marks, scan_region, &scan);
    } else {
        note_faults(async);
        /* Without marks what lies beyond the heap keeps; with them it will not be asked again. */
        uint64_t end = engine->options.all_stores_marked ? engine->memory->page_count
                                                         : engine->round.heap_pages;
        rc = PH_MUTANT(HOT_REGION_FORGOTTEN) ? take_closed(async, 0, end, flags, diag)
                                             : take_range(async, 0, end, flags, diag);
        async->faults_known = rc == 0;
        if (rc == 0) {
            atomic_store(&engine->unmarked_writer, false);
        }
        if (rc == 0 && (flags & SNAP_SCAN_PROTECT) != 0) {
            forget_unprotected(async, end);
        }
    }
    if (rc == 0) {
        snap_marks_take(&engine->marks, SNAP_WRITERS_PARKED, nothing, NULL);
    } else {
        atomic_store(&engine->unmarked_writer, true);
    }
    return rc;
}

static int async_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                     struct phantom_diag *diag)
{
    struct async_state *async = state;
    struct snap_engine *engine = async->book.engine;
    if (engine->options.all_stores_marked) {
        judge_suspects(async);
    }
    report->by_marks = marks_are_valid(engine);
    if (report->by_marks) {
        snap_marks_take(&engine->marks, SNAP_WRITERS_PARKED, take_marked_page, async);
    } else {
        bool protect = report->live_rounds == 0;
        int rc = take_by_scan(async, protect ? SNAP_SCAN_PROTECT : 0, diag);
        if (rc != 0) {
            return rc;
        }
    }
    return dirty_book_cut(&async->book, txn, diag);
}

static int async_capture(void *state, struct snap_txn *txn, struct snap_report *report,
                         struct phantom_diag *diag)
{
    struct async_state *async = state;
    return dirty_book_capture(&async->book, txn, report, diag);
}

/** For a mutant: the world runs, and what was stored meanwhile is not copied. */
static void protect_quietly(struct async_state *async)
{
    struct snap_memory *memory = async->book.engine->memory;
    for (uint64_t at = 0, resume = 0; at < memory->page_count; at = resume) {
        (void)memory->ops->scan(memory, at, memory->page_count - at, SNAP_SCAN_PROTECT,
                                async->ranges, SNAP_RANGES, &resume);
    }
}

static void async_retire(void *state, bool committed)
{
    struct async_state *async = state;
    struct dirty_book *book = &async->book;
    if (may_leave_open(async) && committed && async->left_open != 0) {
        open_regions_choose(&async->open, &book->staged, &book->hot);
    }
    if (PH_MUTANT(PROTECTED_AFTER_RESUME) && async->left_open != 0) {
        protect_quietly(async);
    }
    snap_engine_count(&book->engine->counters.pages_left_open, async->left_open);
    async->left_open = 0;
    page_set_clear(&async->announced);
    dirty_book_retire(book, committed);
}

static const char *async_why_not(const struct snap_conditions *conditions)
{
    return conditions->tracks ? NULL : "this memory does not track writes";
}

const struct snap_strategy snap_strategy_async = {
    .name = "async",
    .why_not = async_why_not,
    .needs = "a kernel that tracks written pages (Linux 6.7)",
    .loads_lazily = true,
    .open = async_open,
    .close = async_close,
    .estimate = async_estimate,
    .precopy = async_precopy,
    .cut = async_cut,
    .capture = async_capture,
    .drain = dirty_book_drain,
    .retire = async_retire,
};
