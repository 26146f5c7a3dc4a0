/* SPDX-License-Identifier: Apache-2.0
 *
 * store_view.h - a store that is looked at, as the files that implement <phantom/snapshot.h> see
 * it. Used inside the runtime room only.
 */
#ifndef STORE_VIEW_H
#define STORE_VIEW_H

#include "world_internal.h"

#include "snap_transfer.h"

struct phantom_store {
    struct snap_io *io;
    struct snap_store *store;
};

/** 36 characters and the terminator. */
void store_uuid_text(const uint8_t uuid[16], char text[37]);
/** A random UUID (version 4). */
void store_uuid_random(uint8_t uuid[16]);

/** A list that the caller ph_frees; NULL: no memory. *count may be 0. */
struct snap_generation *store_generations(const struct snap_store *store, size_t *count);
struct snap_tag *store_tags(const struct snap_store *store, size_t *count);

/** Open for writing, with a second of patience for what a killed writer left running. */
int store_open_for_change(const char *path, const struct phantom_key *key, struct snap_io **io,
                          struct snap_store **store, struct phantom_diag *diag);
/** NULL: no key. */
static inline struct snap_key store_key(const struct phantom_key *key)
{
    return key != NULL ? (struct snap_key){key->bytes, key->size} : (struct snap_key){0};
}
/** 0 or PHANTOM_EINVALID: a key that is given must have bytes. */
int store_check_key(const struct phantom_key *key, struct phantom_diag *diag);
/** Keep two generations (which may be the same) while they are read. */
int store_hold_both(struct phantom_store *store, uint64_t from, uint64_t to,
                    struct phantom_diag *diag);
void store_unhold_both(struct phantom_store *store, uint64_t from, uint64_t to);
/**
 * Hold a file that is to be replaced, so that no writer can open it until the handle is closed.
 * @return 0; PHANTOM_EBUSY: somebody has it open, diag says who holds which lock; or why it cannot
 *         be opened or locked
 */
int store_replaced_hold(const char *path, struct snap_io **out, struct phantom_diag *diag);
/** Just before it is replaced: still nobody reads it, and it still has its name. As above. */
int store_replaced_check(struct snap_io *io, struct phantom_diag *diag);
/** Close both; NULLs allowed. */
void store_close_both(struct snap_io *io, struct snap_store *store);

#endif /* STORE_VIEW_H */
