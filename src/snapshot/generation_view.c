/* SPDX-License-Identifier: Apache-2.0
 *
 * generation_view.c - the current generation of an open store through another file handle, for
 * another thread; and reading of many pages at once.
 *
 * A view is a read-only store that was not opened but copied: it knows one generation and the shape
 * of the file, keeps the reader's lock of that generation on its own handle, and shares nothing
 * with the store it came from. So making one reads nothing from the file.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int snap_store_open_view(struct snap_store *store, struct snap_io *io, struct snap_store **out,
                         struct phantom_diag *diag)
{
    const struct store_generation *current = store_current(store);
    if (current == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation yet",
                       store_file_name(&store->file));
    }
    struct snap_store *view = ph_zalloc(1, sizeof *view);
    if (view == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to read", store_file_name(&store->file));
    }
    view->io = io;
    view->read_only = true;
    view->file = store->file;
    view->file.io = io;
    view->file.output = NULL;
    view->params = store->params;
    int error = store_secret_copy(store->file.secret, &view->file.secret);
    error = error != 0
                ? ph_fail(diag, error, "%s: no memory to read", store_file_name(&store->file))
                : store_generations_reserve(view, 1, diag);
    if (error != 0) {
        snap_store_close(view);
        return error;
    }
    view->generation[0] = (struct store_generation){
        .info = current->info, .map = current->map, .memory_sum = current->memory_sum};
    view->generation_count = 1;
    view->next_generation = store->next_generation;
    view->blocks_used_hint = store->blocks_used_hint;
    view->block = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    uint64_t byte = SNAP_LOCK_GENERATION(current->info.number);
    error = view->block != NULL ? io->ops->lock(io, byte, SNAP_IO_LOCK_SHARED) : -ENOMEM;
    if (error != 0) {
        ph_fail(diag, error, "%s: cannot lock generation %" PRIu64 " for reading: %s",
                store_file_name(&view->file), current->info.number, phantom_strerror(error));
        snap_store_close(view);
        return error;
    }
    view->reader_lock = byte;
    *out = view;
    return 0;
}

int snap_store_next_page(struct snap_store *store, uint64_t generation, uint64_t from,
                         uint64_t *page, struct phantom_diag *diag)
{
    while (from < store->file.page_count) {
        struct store_place place;
        int error = store_find_page(store, generation, from, &place, diag);
        if (error != 0) {
            return error;
        }
        if (place.block != 0) {
            *page = from;
            return 1;
        }
        from = place.hole_end;
    }
    return 0;
}

int snap_store_read_pages(struct snap_store *store, uint64_t generation, const uint64_t *pages,
                          unsigned count, void *buffer, bool *data, struct phantom_diag *diag)
{
    PH_CHECK((uintptr_t)buffer % STORE_BLOCK_SIZE == 0 && count <= SNAP_READ_PAGES);
    struct store_page page[SNAP_READ_PAGES] = {0};
    for (unsigned i = 0; i < count; i++) {
        struct store_place place;
        int error = store_find_page(store, generation, pages[i], &place, diag);
        if (error != 0) {
            return error;
        }
        page[i] = (struct store_page){pages[i], place.block, place.sum};
        data[i] = place.block != 0;
    }
    int error = store_read_raw(&store->file, page, count, buffer, diag);
    for (unsigned i = 0; error == 0 && i < count; i++) {
        uint8_t *to = (uint8_t *)buffer + (size_t)i * SNAP_PAGE_SIZE;
        if (!data[i]) {
            memset(to, 0, SNAP_PAGE_SIZE);
        } else if (!store_place_is_packed(page[i].place) && !PH_MUTANT(RESTORED_UNVERIFIED)) {
            error = store_file_check_page(&store->file, generation, pages[i], page[i].place,
                                          page[i].sum, to, diag);
        }
    }
    return error != 0 ? error : store_read_packed(store, generation, page, count, buffer, diag);
}
