/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_restore.c - how the current generation comes into memory when an engine is opened: all of
 * it before anything runs (eager), or while the world runs already (lazy_restore.h).
 *
 * Owns nothing. True when snap_engine_restore() has returned 0: a touch of any page of the range
 * gives what the generation holds, and none of them is dirty.
 */
#include "ph_memory.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { RESTORE_RUN_PAGES = 256 /* given to populate() in one call, at most */ };

/* ---- eager --------------------------------------------------------------------------------- */

/** Pages on their way from the store into the memory, collected into runs. */
struct restore {
    struct snap_engine *engine;
    uint8_t *buffer; /* RESTORE_RUN_PAGES pages */
    uint64_t first, count;
};

static int restore_flush(struct restore *restore)
{
    if (restore->count == 0) {
        return 0;
    }
    struct snap_memory *memory = restore->engine->memory;
    int rc = memory->ops->populate(memory, restore->first, restore->count, restore->buffer);
    if (rc == 0) {
        page_set_add_range(&restore->engine->restored, restore->first, restore->count);
        restore->count = 0;
    }
    return rc;
}

static int restore_page(void *context, uint64_t page, const void *data)
{
    struct restore *restore = context;
    if (page >= restore->engine->memory->page_count) {
        return PHANTOM_ECORRUPT;
    }
    if (restore->count == RESTORE_RUN_PAGES || page != restore->first + restore->count) {
        int rc = restore_flush(restore);
        if (rc != 0) {
            return rc;
        }
        restore->first = page;
    }
    memcpy(restore->buffer + restore->count * SNAP_PAGE_SIZE, data, SNAP_PAGE_SIZE);
    restore->count++;
    return 0;
}

static int refuse_data(void *context, struct snap_range range)
{
    const struct snap_engine *engine = context;
    for (uint64_t page = range.first; page < range.first + range.count; page++) {
        if (!page_sums_is_zero(snap_engine_page(engine, page))) {
            return PHANTOM_EINVALID;
        }
    }
    return 0;
}

/** Read, verify and install all of it; nothing runs before that is done. */
static int restore_eagerly(struct snap_engine *engine, struct phantom_diag *diag)
{
    const struct snap_generation *current = snap_store_current(engine->store);
    struct restore restore = {.engine = engine};
    restore.buffer = ph_alloc_aligned(SNAP_PAGE_SIZE, RESTORE_RUN_PAGES * SNAP_PAGE_SIZE);
    if (restore.buffer == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory to restore generation %" PRIu64, current->number);
    }
    int rc = snap_store_for_each_page(engine->store, current->number, restore_page, &restore, diag);
    if (rc == 0) {
        rc = restore_flush(&restore);
    }
    if (rc != 0 && diag != NULL && diag->text[0] == '\0') {
        ph_fail(diag, rc, "restoring generation %" PRIu64 ": %s", current->number,
                phantom_strerror(rc));
    }
    ph_free(restore.buffer);
    return rc;
}

/* ---- either way ---------------------------------------------------------------------------- */

static bool can_be_lazy(const struct snap_engine *engine)
{
    return engine->options.restore == SNAP_RESTORE_LAZY && engine->options.open_reader != NULL &&
           engine->strategy->loads_lazily && engine->memory->ops->serve != NULL;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int restore_lazily(struct snap_engine *engine, struct phantom_diag *diag)
{
    const struct lazy_source source = {
        .memory = engine->memory,
        .store = engine->store,
        .open_reader = engine->options.open_reader,
        .reader_context = engine->options.reader_context,
        .damaged = engine->world.damaged,
        .damaged_context = engine->world.context,
        .wanted_first = engine->working.old,
        .wanted_count = engine->working.old_count,
    };
    return lazy_restore_start(&source, &engine->lazy, diag);
}

int snap_engine_restore(struct snap_engine *engine, struct phantom_diag *diag)
{
    const struct snap_generation *current = snap_store_current(engine->store);
    if (engine->options.restore == SNAP_RESTORE_LAZY &&
        working_set_open(&engine->working, engine->store, now_ns()) != 0) {
        return ph_fail(diag, -ENOMEM, "no memory for the working set");
    }
    if (current->number == 0) {
        return 0; /* what is in the memory is the beginning of the first generation */
    }
    int rc = snap_engine_each_resident(engine, engine->memory->page_count, refuse_data, engine);
    if (rc != 0) {
        return ph_fail(diag, rc, "the memory to restore generation %" PRIu64 " into is not empty",
                       current->number);
    }
    if (can_be_lazy(engine)) {
        struct phantom_diag unwanted = PHANTOM_DIAG_INIT;
        if (restore_lazily(engine, &unwanted) == 0) {
            return 0;
        }
    }
    return restore_eagerly(engine, diag); /* whatever stood in the way: the slow way has the say */
}

int snap_engine_load(struct snap_engine *engine, uint64_t first, uint64_t count,
                     struct phantom_diag *diag)
{
    const struct snap_memory *memory = engine->memory;
    if (first > memory->page_count || count > memory->page_count - first) {
        return ph_fail(diag, PHANTOM_EINVALID, "pages %" PRIu64 " + %" PRIu64 " are out of range",
                       first, count);
    }
    return engine->lazy != NULL ? lazy_restore_load(engine->lazy, first, count, diag) : 0;
}

int snap_engine_load_list(struct snap_engine *engine, const uint64_t *pages, size_t count,
                          struct phantom_diag *diag)
{
    for (size_t i = 0; i < count; i++) {
        if (pages[i] >= engine->memory->page_count) {
            return ph_fail(diag, PHANTOM_EINVALID, "page %" PRIu64 " is out of range", pages[i]);
        }
    }
    return engine->lazy != NULL ? lazy_restore_load_list(engine->lazy, pages, count, diag) : 0;
}

void snap_engine_restore_progress(struct snap_engine *engine, struct snap_restore_progress *out)
{
    if (engine->lazy != NULL) {
        lazy_restore_progress(engine->lazy, out);
    } else {
        *out = (struct snap_restore_progress){.complete = true};
    }
}

/* ---- working set --------------------------------------------------------------------------- */

#define SAVE_AFTER_NS INT64_C(10000000000) /* between two savings, while snapshots are taken */

static void save_working_set(struct snap_engine *engine)
{
    struct page_set demanded = {0};
    bool known = engine->lazy != NULL && page_set_init(&demanded, engine->memory->page_count) == 0;
    if (known) {
        lazy_restore_demanded(engine->lazy, &demanded);
    }
    working_set_save(&engine->working, engine->store, known ? &demanded : NULL, now_ns());
    page_set_finish(&demanded);
}

void snap_engine_note_used(struct snap_engine *engine)
{
    if (engine->working.recording) {
        working_set_note(&engine->working, &engine->unwritten);
        if (now_ns() - engine->working.saved_ns > SAVE_AFTER_NS) {
            save_working_set(engine);
        }
    }
}

void snap_engine_end_restore(struct snap_engine *engine)
{
    if (engine->working.recording && !engine->poisoned && engine->memory->ops->install != NULL &&
        engine->memory->ops->install(engine->memory, 0, 0, NULL) == 0) { /* not in a forked child */
        save_working_set(engine);
    }
    lazy_restore_stop(engine->lazy);
    working_set_close(&engine->working);
}
