/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_check.c - see crash_check.h. Every function leaves the disk as it found it unless it says
 * otherwise, by undoing to a mark.
 */
#include "crash_check.h"

#include "ph_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull; /* for %llu */

bool crash_violation(struct crash_explorer *explorer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(explorer->why, sizeof(explorer->why), format, args);
    va_end(args);
    explorer->failed = true;
    return false;
}

bool crash_expect_allows(const struct crash_expect *expect, uint64_t opened)
{
    if (opened == CRASH_UNBORN) {
        return expect->unborn;
    }
    return opened == expect->acked || (expect->attempt != 0 && opened == expect->attempt);
}

/** Content of a generation; number 0 is the empty memory. */
static const struct crash_content *content_of(const struct crash_explorer *explorer,
                                              uint64_t number)
{
    static const struct crash_content empty;
    if (explorer->branch != 0 && number == explorer->branch) {
        return &explorer->branch_content;
    }
    return number == 0 ? &empty : crash_oracle_get(&explorer->oracle, number);
}

/** P1 for the current generation of an open store. */
static bool check_current(struct crash_explorer *explorer, struct crash_session *session,
                          const struct crash_content *content)
{
    char why[400];
    uint64_t number = snap_store_current(session->store)->number;
    if (number == 0) {
        return true; /* nothing was ever committed, there is nothing to read */
    }
    if (snap_store_current(session->store)->heap_pages != content->heap_pages) {
        return crash_violation(explorer, "P1: generation %llu has %llu heap pages, not %llu",
                               (ull)number, (ull)snap_store_current(session->store)->heap_pages,
                               (ull)content->heap_pages);
    }
    if (crash_content_check(session->store, number, content, why, sizeof(why)) < 0) {
        return crash_violation(explorer, "P1: generation %llu is not what was committed: %s",
                               (ull)number, why);
    }
    return true;
}

/** Page by page: the other reading road must show the same. */
static bool check_by_page(struct crash_explorer *explorer, struct crash_session *session,
                          const struct crash_content *content)
{
    _Alignas(SNAP_PAGE_SIZE) uint8_t page[SNAP_PAGE_SIZE];
    uint64_t number = snap_store_current(session->store)->number;
    for (uint64_t p = 0; p < content->heap_pages && number != 0; p++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        int rc = snap_store_read_page(session->store, number, p, page, &diag);
        if (rc != (content->version[p] != 0) || !crash_page_is(content->version[p], page)) {
            return crash_violation(explorer, "P1: read_page(%llu, %llu) = %d (%s) or wrong content",
                                   (ull)number, (ull)p, rc, diag.text);
        }
    }
    return true;
}

/** Keep the first sentence about damage. */
static void note_damage(void *context, const char *what)
{
    char *text = context;
    if (text[0] == 0) {
        snprintf(text, 300, "%s", what);
    }
}

/** P3, P4: all retained generations verify and hold what was committed under their numbers. */
static bool check_retained(struct crash_explorer *explorer, struct crash_session *session)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_verify_report report = {0};
    char damage[300] = "";
    int rc = snap_store_verify(session->store, true, &report, note_damage, damage, &diag);
    if (rc < 0 || report.damaged != 0) {
        return crash_violation(explorer, "P4: deep verify after a crash: %s, %llu damaged: %s: %s",
                               phantom_err_name(rc), (ull)report.damaged, diag.text, damage);
    }
    size_t count = snap_store_list(session->store, NULL, 0);
    struct snap_generation *list = calloc(count + 1, sizeof(*list));
    bool good = list != NULL;
    count = good ? snap_store_list(session->store, list, count) : 0;
    for (size_t i = 0; i < count && good; i++) {
        char why[400];
        const struct crash_content *content = content_of(explorer, list[i].number);
        if (content == NULL) {
            good = crash_violation(explorer, "P3: retained generation %llu was never committed",
                                   (ull)list[i].number);
        } else if (crash_content_check(session->store, list[i].number, content, why, sizeof(why)) <
                   0) {
            good = crash_violation(explorer, "P3: retained generation %llu: %s",
                                   (ull)list[i].number, why);
        }
    }
    if (good && count > 0 && list[count - 1].number != snap_store_current(session->store)->number) {
        good = crash_violation(explorer, "the newest retained generation is not the current one");
    }
    free(list);
    return good;
}

static bool check_audit(struct crash_explorer *explorer, struct crash_session *session)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = snap_store_audit(session->store, &diag);
    if (rc < 0) {
        return crash_violation(explorer, "P8: audit: %s: %s", phantom_err_name(rc), diag.text);
    }
    return true;
}

/** P2, P3 and what recovery says about itself. */
static bool check_recovery(struct crash_explorer *explorer, const struct snap_recovery *recovery)
{
    const struct crash_expect *expect = &explorer->expect;
    if (!crash_expect_allows(expect, recovery->opened)) {
        return crash_violation(
            explorer,
            "P2: opened generation %llu, but %llu was acknowledged and %llu is in "
            "flight (incomplete %llu, torn %u, retired %u)",
            (ull)recovery->opened, (ull)expect->acked, (ull)expect->attempt,
            (ull)recovery->incomplete, recovery->records_torn, recovery->records_retired);
    }
    if (recovery->next_generation <= recovery->opened ||
        recovery->next_generation <= recovery->incomplete) {
        return crash_violation(explorer, "number %llu is used again: opened %llu, incomplete %llu",
                               (ull)recovery->next_generation, (ull)recovery->opened,
                               (ull)recovery->incomplete);
    }
    if (content_of(explorer, recovery->opened) == NULL) {
        return crash_violation(explorer, "P3: generation %llu was never committed",
                               (ull)recovery->opened);
    }
    return true;
}

/** Open read-only: nothing may be written; returns false on violation. */
static bool check_read_only(struct crash_explorer *explorer, uint64_t *opened)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store *store = NULL;
    struct snap_recovery recovery = {0};
    uint64_t before = io_scratch_writes(explorer->disk);
    int rc = snap_store_open_keyed(explorer->io, crash_key, SNAP_OPEN_READ_ONLY, &store, &recovery,
                                   &diag);
    if (rc < 0) {
        *opened = CRASH_UNBORN;
        if (!explorer->expect.unborn) {
            return crash_violation(explorer, "read-only open after a crash: %s: %s",
                                   phantom_err_name(rc), diag.text);
        }
        return true;
    }
    *opened = recovery.opened;
    snap_store_close(store);
    if (io_scratch_writes(explorer->disk) != before) {
        return crash_violation(explorer, "P5: a read-only open wrote to the file");
    }
    return true;
}

/** Close, or lose power instead: then nothing that close writes reaches the disk. */
static void end_session(struct crash_explorer *explorer, struct crash_session *session, bool clean)
{
    struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
    crash_session_close(session);
    if (!clean) {
        io_scratch_undo(explorer->disk, mark);
    }
}

/** Open again what was open a moment ago; it must be generation `number` with `content`. */
static bool check_again(struct crash_explorer *explorer, struct crash_session *session,
                        uint64_t number, const struct crash_content *content, bool audit,
                        const char *promise)
{
    if (crash_session_open(session) < 0) {
        return crash_violation(explorer, "%s: second %s", promise, session->why);
    }
    if (session->recovery.opened != number) {
        return crash_violation(explorer, "%s: second open shows generation %llu, not %llu", promise,
                               (ull)session->recovery.opened, (ull)number);
    }
    return check_current(explorer, session, content) && (!audit || check_audit(explorer, session));
}

/** P6: a commit works, and is there after the next clean or unclean end. */
static bool check_life_goes_on(struct crash_explorer *explorer, struct crash_session *session)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 3; i++) {
        crash_session_set(session, ph_rng_below(&explorer->rng, session->now.heap_pages),
                          i == 2 ? 0 : ph_rng_next(&explorer->rng) | 1);
    }
    if (crash_session_commit(session, &number) < 0) {
        return crash_violation(explorer, "P6: commit after recovery: %s", session->why);
    }
    end_session(explorer, session, ph_rng_below(&explorer->rng, 2) == 0);
    return check_again(explorer, session, number, &session->now, true, "P6");
}

static bool check_open_store(struct crash_explorer *explorer, struct crash_session *session,
                             const struct crash_thorough *thorough)
{
    const struct crash_content *content = content_of(explorer, session->recovery.opened);
    /* Life goes on before anybody knows which blocks are free, or after the audit that needs it. */
    bool early = thorough->after && ph_rng_below(&explorer->rng, 2) == 0;
    if (!check_current(explorer, session, content) || (!early && !check_audit(explorer, session))) {
        return false;
    }
    if (thorough->by_page && !check_by_page(explorer, session, content)) {
        return false;
    }
    /* A crash inside creation may have torn one of the two superblocks, which verify then reports.
     */
    if (thorough->retained && !explorer->expect.unborn && !check_retained(explorer, session)) {
        return false;
    }
    uint64_t opened = session->recovery.opened;
    if (thorough->twice) {
        end_session(explorer, session, ph_rng_below(&explorer->rng, 2) == 0);
        if (!check_again(explorer, session, opened, content, !early, "P5")) {
            return false;
        }
    }
    if (thorough->after) {
        crash_session_load(session, opened != 0 ? content : NULL);
        return check_life_goes_on(explorer, session);
    }
    return true;
}

static bool check_image(struct crash_explorer *explorer, const struct crash_thorough *thorough,
                        struct crash_session *session, struct crash_outcome *outcome)
{
    uint64_t shown = 0;
    if (thorough->read_only && !check_read_only(explorer, &shown)) {
        return false;
    }
    uint64_t before = io_scratch_writes(explorer->disk);
    int rc = crash_session_open(session);
    outcome->wrote = io_scratch_writes(explorer->disk) != before;
    if (rc < 0) {
        outcome->opened = CRASH_UNBORN;
        return explorer->expect.unborn ||
               crash_violation(explorer, "a crash is no damage, but %s", session->why);
    }
    const struct snap_recovery *recovery = &session->recovery;
    *outcome = (struct crash_outcome){.opened = recovery->opened,
                                      .incomplete = recovery->incomplete,
                                      .torn = recovery->records_torn,
                                      .retired = recovery->records_retired,
                                      .wrote = outcome->wrote};
    if (!check_recovery(explorer, recovery)) {
        return false;
    }
    if (thorough->read_only && shown != recovery->opened) {
        return crash_violation(explorer, "read-only open shows %llu, writing open %llu", (ull)shown,
                               (ull)recovery->opened);
    }
    return check_open_store(explorer, session, thorough);
}

bool crash_check_image(struct crash_explorer *explorer, const struct crash_thorough *thorough,
                       struct crash_outcome *outcome)
{
    struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
    struct crash_session session = {.io = explorer->io,
                                    .budget_bytes = ph_rng_below(&explorer->rng, 2) << 26};
    int64_t blocks = ph_memory_live_blocks();
    io_scratch_set_hashing(explorer->disk, false);
    bool good = check_image(explorer, thorough, &session, outcome);
    crash_session_close(&session);
    explorer->counts.commits += session.commits;
    explorer->counts.early += session.early_commits;
    io_scratch_undo(explorer->disk, mark);
    io_scratch_set_hashing(explorer->disk, true);
    if (good && ph_memory_live_blocks() != blocks) {
        return crash_violation(explorer, "%lld blocks of memory leaked",
                               (long long)(ph_memory_live_blocks() - blocks));
    }
    return good;
}
