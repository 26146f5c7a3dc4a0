/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_restore.c - the eager restore: every page of the current generation is read, verified and
 * put into the memory before the engine is open. Owns nothing beyond the call.
 */
#include "ph_memory.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { RESTORE_RUN_PAGES = 256 }; /* pages given to populate() in one call, at most */

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

/** Put the current generation into the memory, which must be empty: the result is exactly it. */
int snap_engine_restore(struct snap_engine *engine, struct phantom_diag *diag)
{
    const struct snap_generation *current = snap_store_current(engine->store);
    if (current->number == 0) {
        return 0; /* what is in the memory is the beginning of the first generation */
    }
    int rc = snap_engine_each_resident(engine, engine->memory->page_count, refuse_data, engine);
    if (rc != 0) {
        return ph_fail(diag, rc, "the memory to restore generation %" PRIu64 " into is not empty",
                       current->number);
    }
    struct restore restore = {.engine = engine};
    restore.buffer = ph_alloc_aligned(SNAP_PAGE_SIZE, RESTORE_RUN_PAGES * SNAP_PAGE_SIZE);
    if (restore.buffer == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory to restore generation %" PRIu64, current->number);
    }
    rc = snap_store_for_each_page(engine->store, current->number, restore_page, &restore, diag);
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
