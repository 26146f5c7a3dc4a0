/* SPDX-License-Identifier: Apache-2.0
 *
 * store_change.c - what changes a store without running it: tags and rollback. Each call opens the
 * store as its only writer, makes one commit and closes it; nothing is kept between calls.
 */
#include "store_view.h"

#include "hal_files.h"
#include "ph_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void store_close_both(struct snap_io *io, struct snap_store *store)
{
    snap_store_close(store);
    if (io != NULL) {
        io->ops->close(io);
    }
}

int store_open_for_change(const char *path, const struct phantom_key *key, struct snap_io **io,
                          struct snap_store **store, struct phantom_diag *diag)
{
    const struct snap_key secret = store_key(key);
    *io = NULL;
    *store = NULL;
    if (path == NULL || path[0] == '\0') {
        return ph_fail(diag, PHANTOM_EINVALID, "no path given");
    }
    int result = store_check_key(key, diag);
    result = result == 0 ? hal_file_open(path, 0, io, diag) : result;
    if (result == 0) {
        int waited_ms = 0;
        do {
            result = snap_store_open_keyed(*io, &secret, 0, store, NULL, diag);
        } while (hal_file_open_again(result, &waited_ms));
    }
    if (result != 0) {
        store_close_both(*io, *store);
        *io = NULL;
        *store = NULL;
    }
    return result;
}

/* A name that phantom_store_find() would read as something else. */
static bool is_ambiguous(const char *name)
{
    return strcmp(name, "newest") == 0 || strspn(name, "0123456789") == strlen(name);
}

int phantom_store_tag(const char *path, uint64_t generation, const char *name,
                      struct phantom_diag *diag)
{
    return phantom_store_tag_keyed(path, NULL, generation, name, diag);
}

int phantom_store_tag_keyed(const char *path, const struct phantom_key *key, uint64_t generation,
                            const char *name, struct phantom_diag *diag)
{
    struct snap_io *io;
    struct snap_store *store;
    if (name == NULL || is_ambiguous(name)) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "'%s' cannot be a tag: it would be read as a generation's number",
                       name != NULL ? name : "");
    }
    int result = store_open_for_change(path, key, &io, &store, diag);
    if (result == 0) {
        result = snap_store_tag(store, generation, name, diag);
        store_close_both(io, store);
    }
    return result;
}

int phantom_store_untag(const char *path, const char *name, struct phantom_diag *diag)
{
    return phantom_store_untag_keyed(path, NULL, name, diag);
}

int phantom_store_untag_keyed(const char *path, const struct phantom_key *key, const char *name,
                              struct phantom_diag *diag)
{
    struct snap_io *io;
    struct snap_store *store;
    if (name == NULL) {
        return ph_fail(diag, PHANTOM_EINVALID, "no tag given");
    }
    int result = store_open_for_change(path, key, &io, &store, diag);
    if (result == 0) {
        result = snap_store_untag(store, name, diag);
        store_close_both(io, store);
    }
    return result;
}

int phantom_store_rollback(const char *path, uint64_t generation, struct phantom_rollback *out,
                           struct phantom_diag *diag)
{
    return phantom_store_rollback_keyed(path, NULL, generation, out, diag);
}

int phantom_store_rollback_keyed(const char *path, const struct phantom_key *key,
                                 uint64_t generation, struct phantom_rollback *out,
                                 struct phantom_diag *diag)
{
    struct snap_io *io;
    struct snap_store *store;
    int result = store_open_for_change(path, key, &io, &store, diag);
    if (result != 0) {
        return result;
    }
    uint64_t before = snap_store_current(store)->number;
    struct snap_generation made;
    result = snap_store_rollback(store, generation, &made, diag);
    size_t count = 0;
    struct snap_tag *tags = result == 0 && out != NULL ? store_tags(store, &count) : NULL;
    if (result == 0 && out != NULL) {
        *out = (struct phantom_rollback){.undo = before};
        snap_generation_view(&made, &out->made);
        for (size_t i = 0; tags != NULL && i < count; i++) {
            if (tags[i].generation == before && out->undo_tag[0] == '\0') {
                memcpy(out->undo_tag, tags[i].name, sizeof(out->undo_tag));
            }
        }
    }
    ph_free(tags);
    store_close_both(io, store);
    return result;
}
