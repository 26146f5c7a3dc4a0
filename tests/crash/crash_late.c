/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_late.c - mechanisms that no subset of lost writes can show, each with a scene of its own: a
 * store that is deleted or cut short under its writer, a reader's lock, room made on a full disk, a
 * superblock that is lost, numbers that come to their end.
 *
 * A scene runs on a disk of its own and returns false with a sentence when the store did wrong.
 */
#include "crash_check.h"
#include "crash_mutants.h"

#include "io_forward.h"
#include "ph_check.h"
#include "store_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 16 << 20 };

/** A disk whose locks and length the test decides. First member: the door. */
struct stage {
    struct io_forward forward;
    struct io_scratch *disk;
    struct crash_session *session;
    uint64_t reader;              /* generation that a reader has locked; 0: none */
    int size_error;               /* what size() says */
    uint64_t shorter;             /* bytes that are missing at the end */
    struct snap_io_request *late; /* requests, the last one first */
    char *why;
    size_t why_size;
};

static bool wrong(struct stage *stage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool wrong(struct stage *stage, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(stage->why, stage->why_size, format, args);
    va_end(args);
    return false;
}

static int op_size(struct snap_io *io, uint64_t *bytes)
{
    struct stage *stage = (struct stage *)io;
    if (stage->size_error != 0) {
        return stage->size_error;
    }
    int rc = stage->forward.inner->ops->size(stage->forward.inner, bytes);
    *bytes -= stage->shorter;
    return rc;
}

static int op_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    const struct stage *stage = (const struct stage *)io;
    bool held = stage->reader != 0 && byte == SNAP_LOCK_GENERATION(stage->reader);
    return held && kind == SNAP_IO_LOCK_EXCLUSIVE ? -EAGAIN : 0;
}

/** A disk that looks at the bytes of a write when its completion is asked for, the last one first.
 */
static int late_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct stage *stage = (struct stage *)io;
    request->next = stage->late;
    stage->late = request;
    return 0;
}

static int late_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct stage *stage = (struct stage *)io;
    struct snap_io *disk = stage->forward.inner;
    struct snap_io_request *request = minimum != 0 ? stage->late : NULL;
    *done = request;
    if (request == NULL) {
        return 0;
    }
    stage->late = request->next;
    request->next = NULL;
    bool read = request->direction == SNAP_IO_READ;
    int rc = read ? disk->ops->read(disk, request->offset, request->buffer, request->length)
                  : disk->ops->write(disk, request->offset, request->buffer, request->length);
    request->result = rc != 0 ? rc : (int32_t)request->length;
    return 1;
}

/** A store with a few generations, open. */
static bool stage_begin(struct stage *stage, uint64_t seed, uint64_t retain_bytes)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    stage->disk = io_scratch_create(CAPACITY);
    stage->session = calloc(1, sizeof(*stage->session));
    PH_CHECK(stage->disk != NULL && stage->session != NULL);
    io_forward_init(&stage->forward, "stage", io_scratch_io(stage->disk));
    stage->forward.ops.size = op_size;
    stage->forward.ops.lock = op_lock;
    stage->session->io = &stage->forward.io;
    crash_session_load(stage->session, NULL);
    if (crash_session_create(stage->session, retain_bytes, &rng) < 0 ||
        crash_session_open(stage->session) < 0) {
        return wrong(stage, "making a store: %s", stage->session->why);
    }
    return true;
}

static void stage_end(struct stage *stage)
{
    crash_session_close(stage->session);
    free(stage->session);
    io_scratch_destroy(stage->disk);
}

/** Commit `count` generations of one changed page each. 0 or the error of the first that failed. */
static int commit_some(struct stage *stage, unsigned count)
{
    int rc = 0;
    for (unsigned i = 0; i < count && rc >= 0; i++) {
        uint64_t number = 0;
        crash_session_set(stage->session, i % 8, UINT64_C(1000) * (i + 1) + 1);
        rc = crash_session_commit(stage->session, &number);
    }
    return rc;
}

/* ---- scenes -----------------------------------------------------------------------------------
 */

static bool a_deleted_or_shortened_store_is_not_acknowledged(struct stage *stage)
{
    if (commit_some(stage, 2) < 0) {
        return wrong(stage, "%s", stage->session->why);
    }
    for (unsigned kind = 0; kind < 2; kind++) {
        stage->size_error = kind == 0 ? -ESTALE : 0;
        stage->shorter = kind == 1 ? SNAP_PAGE_SIZE : 0;
        int rc = commit_some(stage, 1);
        stage->size_error = 0;
        stage->shorter = 0;
        if (rc != PHANTOM_EPOISONED || commit_some(stage, 1) != PHANTOM_EPOISONED) {
            return wrong(stage, "a commit to a store that was %s says %s",
                         kind == 0 ? "deleted" : "cut short", phantom_err_name(rc));
        }
        crash_session_close(stage->session);
        if (crash_session_open(stage->session) < 0) {
            return wrong(stage, "with the file back: %s", stage->session->why);
        }
    }
    return true;
}

static bool is_listed(const struct stage *stage, uint64_t generation)
{
    struct snap_generation list[STORE_RING_SLOTS];
    size_t count = snap_store_list(stage->session->store, list, STORE_RING_SLOTS);
    for (size_t i = 0; i < count && i < STORE_RING_SLOTS; i++) {
        if (list[i].number == generation) {
            return true;
        }
    }
    return false;
}

static bool what_a_reader_has_locked_stays_readable(struct stage *stage)
{
    if (commit_some(stage, 3) < 0) {
        return wrong(stage, "%s", stage->session->why);
    }
    struct crash_content content = stage->session->now;
    stage->reader = snap_store_current(stage->session->store)->number;
    if (commit_some(stage, 60) < 0) {
        return wrong(stage, "%s", stage->session->why);
    }
    char text[400];
    if (!is_listed(stage, stage->reader) ||
        crash_content_check(stage->session->store, stage->reader, &content, text, sizeof(text)) <
            0) {
        return wrong(stage, "generation %llu is gone or overwritten although a reader holds it",
                     (unsigned long long)stage->reader);
    }
    uint64_t held = stage->reader;
    stage->reader = 0;
    if (commit_some(stage, 60) < 0 || is_listed(stage, held)) {
        return wrong(stage, "a generation stays for ever although its reader has left");
    }
    return true;
}

static bool a_full_disk_gives_history_up(struct stage *stage)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (commit_some(stage, 8) < 0) {
        return wrong(stage, "%s", stage->session->why);
    }
    size_t before = snap_store_list(stage->session->store, NULL, 0);
    int rc = snap_store_trim(stage->session->store, &diag);
    size_t after = snap_store_list(stage->session->store, NULL, 0);
    if (rc != 1 || after >= before || after > 2) {
        return wrong(stage, "trim says %d, %zu generations of %zu are left: %s", rc, after, before,
                     diag.text);
    }
    return true;
}

static bool either_superblock_is_enough(struct stage *stage)
{
    static const uint8_t zeros[STORE_BLOCK_SIZE];
    if (commit_some(stage, 2) < 0) {
        return wrong(stage, "%s", stage->session->why);
    }
    struct crash_content content = stage->session->now;
    uint64_t number = snap_store_current(stage->session->store)->number;
    crash_session_close(stage->session);
    for (unsigned lost = 0; lost < 3; lost++) {
        struct io_scratch_mark mark = io_scratch_mark(stage->disk);
        io_scratch_poke(stage->disk, lost == 1 ? STORE_BLOCK_SIZE : 0, zeros, sizeof(zeros));
        if (lost == 2) {
            io_scratch_poke(stage->disk, STORE_BLOCK_SIZE, zeros, sizeof(zeros));
        }
        char text[400] = "";
        bool opens = crash_session_open(stage->session) >= 0;
        bool right = opens && crash_content_check(stage->session->store, number, &content, text,
                                                  sizeof(text)) >= 0;
        crash_session_close(stage->session);
        io_scratch_undo(stage->disk, mark);
        if (lost == 2 ? opens : !right) {
            return wrong(stage, "superblock %u lost: %s %s", lost, stage->session->why, text);
        }
    }
    return true;
}

static bool numbers_end_before_they_wrap(struct stage *stage)
{
    if (commit_some(stage, 2) < 0) {
        return wrong(stage, "%s", stage->session->why);
    }
    uint64_t before = snap_store_current(stage->session->store)->number;
    stage->session->store->next_generation = STORE_GENERATION_LIMIT - STORE_RING_SLOTS;
    int rc = commit_some(stage, 1);
    if (rc != PHANTOM_EINVALID) {
        return wrong(stage, "a number at the limit is used: %s", phantom_err_name(rc));
    }
    crash_session_close(stage->session);
    if (crash_session_open(stage->session) < 0 || stage->session->recovery.opened != before) {
        return wrong(stage, "after the last number: %s", stage->session->why);
    }
    return true;
}

static bool a_page_on_its_way_does_not_change(struct stage *stage)
{
    struct crash_session *session = stage->session;
    uint64_t number = 0;
    stage->forward.ops.submit = late_submit;
    stage->forward.ops.reap = late_reap;
    session->staging_pages = 2 * SNAP_SMALL_COMMIT_PAGES;
    session->now.heap_pages = CRASH_PAGES; /* more than that: the staging area is used twice */
    for (unsigned page = 0; page < CRASH_PAGES; page++) {
        crash_session_set(session, page, page + 1);
    }
    if (crash_session_commit(session, &number) < 0) {
        return wrong(stage, "%s", session->why);
    }
    return crash_content_check(session->store, number, &session->now, stage->why,
                               stage->why_size) == 0;
}

bool crash_late_detect(const struct crash_budget *budget, char *why, size_t why_size)
{
    static const struct {
        bool (*run)(struct stage *stage);
        uint64_t retain_bytes;
    } scenes[] = {
        {a_deleted_or_shortened_store_is_not_acknowledged, 1 << 20},
        {what_a_reader_has_locked_stays_readable, 1 << 16},
        {a_full_disk_gives_history_up, 64 << 20},
        {either_superblock_is_enough, 1 << 20},
        {numbers_end_before_they_wrap, 1 << 20},
        {a_page_on_its_way_does_not_change, 1 << 20},
    };
    why[0] = 0;
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        struct stage stage = {.why = why, .why_size = why_size};
        bool good =
            stage_begin(&stage, budget->seed + i, scenes[i].retain_bytes) && scenes[i].run(&stage);
        stage_end(&stage);
        if (!good) {
            return false;
        }
    }
    return true;
}
