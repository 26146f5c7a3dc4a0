/* SPDX-License-Identifier: Apache-2.0
 *
 * store_rollback.c - tags and rollback: commits that change what is kept, not what is in memory.
 */
#include "store_internal.h"

static int not_yet(const struct snap_store *store, struct phantom_diag *diag)
{
    return ph_fail(diag, PHANTOM_EUNSUPPORTED, "%s: this version cannot do that yet",
                   store_file_name(&store->file));
}

int snap_store_tag(struct snap_store *store, uint64_t generation, const char *name,
                   struct phantom_diag *diag)
{
    (void)generation;
    (void)name;
    return not_yet(store, diag);
}

int snap_store_untag(struct snap_store *store, const char *name, struct phantom_diag *diag)
{
    (void)name;
    return not_yet(store, diag);
}

size_t snap_store_tags(const struct snap_store *store, struct snap_tag *out, size_t capacity)
{
    (void)store;
    (void)out;
    (void)capacity;
    return 0;
}

int snap_store_rollback(struct snap_store *store, uint64_t generation, struct snap_generation *out,
                        struct phantom_diag *diag)
{
    (void)generation;
    (void)out;
    return not_yet(store, diag);
}

int snap_store_set_retention(struct snap_store *store, const struct snap_retention *retention)
{
    (void)store;
    (void)retention;
    return PHANTOM_EUNSUPPORTED;
}
