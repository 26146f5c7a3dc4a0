/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_open.c - makes an engine and takes it apart. The order of open: check that memory and
 * store belong together, choose the strategy, allocate everything, restore, open the strategy.
 * Whatever fails, close() undoes what was done.
 */
#include "ph_memory.h"
#include "ph_points.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>

enum {
    DEFAULT_STAGING_PAGES = 16384,
    DEFAULT_STOP_TIMEOUT_MS = 1000,
};

/** The store was made for one range and for no other. */
static int check_range(const struct snap_engine *engine, struct phantom_diag *diag)
{
    const struct snap_store_params *params = snap_store_params(engine->store);
    uint64_t base = (uint64_t)(uintptr_t)engine->memory->base;
    uint64_t size = engine->memory->page_count * SNAP_PAGE_SIZE;
    if (params->heap_base == base && params->heap_size == size) {
        return 0;
    }
    return ph_fail(diag, PHANTOM_EINVALID,
                   "the store's heap is 0x%" PRIx64 " + 0x%" PRIx64 ", the memory is 0x%" PRIx64
                   " + 0x%" PRIx64,
                   params->heap_base, params->heap_size, base, size);
}

static void fill_in_defaults(struct snap_engine_options *options)
{
    if (options->staging_pages == 0) {
        options->staging_pages = DEFAULT_STAGING_PAGES;
    }
    if (options->staging_pages < SNAP_SMALL_COMMIT_PAGES) {
        options->staging_pages = SNAP_SMALL_COMMIT_PAGES;
    }
    options->staging_pages =
        (uint32_t)PH_CHOICE("staging", options->staging_pages, SNAP_STAGING_LEAST);
    if (options->stop_timeout_ms == 0) {
        options->stop_timeout_ms = DEFAULT_STOP_TIMEOUT_MS;
    }
}

static int allocate_sets(struct snap_engine *engine)
{
    uint64_t pages = engine->memory->page_count;
    int rc = snap_marks_init(&engine->marks, pages);
    if (rc == 0) {
        rc = page_set_init(&engine->discarded, pages);
    }
    if (rc == 0) {
        rc = page_set_init(&engine->restored, pages);
    }
    if (rc == 0) {
        rc = page_set_init(&engine->unwritten, pages);
    }
    if (rc == 0 && engine->options.check_against_heap) {
        rc = page_set_init(&engine->witness.pages, pages);
    }
    if (rc == 0 && engine->options.check_against_heap) {
        rc = page_sums_init(&engine->witness.sums, pages);
    }
    return rc;
}

static int open_parts(struct snap_engine *engine, struct phantom_diag *diag)
{
    struct snap_memory *memory = engine->memory;
    int rc = check_range(engine, diag);
    if (rc == 0) {
        engine->live_marks = SNAP_STORES_IN_ORDER && memory->ops->barrier != NULL &&
                             memory->ops->barrier(memory) == 0;
        rc = snap_strategy_choose(engine, diag);
    }
    if (rc != 0) {
        return rc;
    }
    rc = allocate_sets(engine);
    if (rc != 0) {
        return ph_fail(diag, rc, "no memory for the page sets of the snapshot engine");
    }
    /* What is in a memory that was not restored was stored before anybody could mark. */
    atomic_store(&engine->unmarked_writer, snap_store_current(engine->store)->number == 0);
    rc = snap_engine_restore(engine, diag);
    if (rc == 0) {
        rc = snap_engine_open_staging(engine, diag);
    }
    if (rc == 0) {
        rc = engine->strategy->open(engine, &engine->state, diag);
    }
    page_set_finish(&engine->restored);
    return rc;
}

int snap_engine_open(struct snap_memory *memory, struct snap_store *store,
                     const struct snap_world *world, const struct snap_engine_options *options,
                     struct snap_engine **out, struct phantom_diag *diag)
{
    if (world->stop == NULL || world->resume == NULL || world->heap_pages == NULL) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "the world has no way to stop, resume or be measured");
    }
    struct snap_engine *engine = ph_zalloc(1, sizeof(*engine));
    if (engine == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    engine->memory = memory;
    engine->store = store;
    engine->world = *world;
    engine->options = options != NULL ? *options : (struct snap_engine_options){0};
    fill_in_defaults(&engine->options);
    int rc = pthread_mutex_init(&engine->discard_lock, NULL);
    if (rc != 0) {
        ph_free(engine);
        return ph_fail(diag, -rc, "no lock for the snapshot engine");
    }
    rc = open_parts(engine, diag);
    if (rc != 0) {
        snap_engine_close(engine);
        return rc;
    }
    *out = engine;
    return 0;
}

void snap_engine_close(struct snap_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    snap_engine_end_restore(engine);
    if (engine->state != NULL) {
        engine->strategy->close(engine->state);
    }
    page_set_finish(&engine->discarded);
    page_set_finish(&engine->restored);
    page_set_finish(&engine->unwritten);
    page_set_finish(&engine->witness.pages);
    page_sums_finish(&engine->witness.sums);
    snap_marks_finish(&engine->marks);
    pthread_mutex_destroy(&engine->discard_lock);
    ph_free(engine);
}
