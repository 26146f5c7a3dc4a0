/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_transfer.h - what is done with whole generations: hold one, compare two, copy one or more
 * into another file, rescue what is left of a damaged store.
 *
 * Everything here reads its source only through verified sums, and writes its target through the
 * ordinary transactions of snap_store.h: a copy is a store like any other. The target file is the
 * caller's: it is empty before, and after an error it is rubbish.
 *
 * Threads: as snap_store.h, one thread at a time per store.
 */
#ifndef SNAP_TRANSFER_H
#define SNAP_TRANSFER_H

#include "snap_store.h"

/** Called now and then; anything but 0 stops the work, which then returns -ECANCELED. */
struct snap_progress {
    int (*step)(void *context, uint64_t pages_done, uint64_t pages_total);
    void *context;
};

/**
 * Keep a retained generation's blocks from being given out again by a running writer: a shared lock
 * on its byte, after which it is looked at again whether it is retained. A handle that is itself
 * the writer's, and the generation a read-only handle shows, are held already.
 * @return 0; PHANTOM_ENOTFOUND: no such generation, or the writer has dropped it; -errno
 */
int snap_store_hold(struct snap_store *store, uint64_t generation, struct phantom_diag *diag);
void snap_store_unhold(struct snap_store *store, uint64_t generation);

enum snap_change { SNAP_PAGE_ADDED = 1, SNAP_PAGE_REMOVED = 2, SNAP_PAGE_CHANGED = 3 };
typedef int (*snap_diff_visitor)(void *context, uint64_t page, enum snap_change change);

/**
 * Visit every page that differs between two retained generations, in ascending order. ADDED: a hole
 * in `from`; REMOVED: a hole in `to`. Equal subtrees of the two maps are not read, so the cost
 * follows the difference and not the size of the heap. No page is read. A non-zero visit stops and
 * is returned.
 */
int snap_store_diff(struct snap_store *store, uint64_t from, uint64_t to, snap_diff_visitor visit,
                    void *context, struct phantom_diag *diag);

/** Visits what a generation's map names, holes left out, whether or not it is whole. */
struct snap_map_visitor {
    void *context;
    /** A page with its place and sum; not read yet. */
    int (*page)(void *context, uint64_t page);
    /** A part of the map cannot be read: the pages [first, first + count) are unknown. */
    int (*lost)(void *context, uint64_t first, uint64_t count, const char *why);
};
int snap_store_walk(struct snap_store *store, uint64_t generation,
                    const struct snap_map_visitor *visitor, struct phantom_diag *diag);

struct snap_copied {
    uint64_t generations; /* in the target */
    uint64_t pages;       /* data pages written */
    uint64_t bytes;       /* of the target file that are in use: what lies behind may be cut off */
    struct snap_generation newest;
};

/**
 * Create a store in an empty file that has the content of `count` retained generations (ascending
 * numbers) of this one, under the same numbers, times and versions, the first as one commit and
 * each later one as its difference. Page sums are keyed by the UUID: with another `uuid` all are
 * computed anew.
 * @param uuid      of the new store; NULL: that of the source
 * @param progress  NULL allowed
 * @return 0; PHANTOM_ENOTFOUND (a generation is not or no longer retained), PHANTOM_ECORRUPT (the
 *         source is damaged), PHANTOM_ENOSPACE, -ECANCELED, -ENOMEM, -errno
 */
int snap_store_copy(struct snap_store *store, const uint64_t *generations, size_t count,
                    const uint8_t *uuid, struct snap_io *target,
                    const struct snap_progress *progress, struct snap_copied *out,
                    struct phantom_diag *diag);

/** The same, compressed or not whatever the source is. */
int snap_store_copy_as(struct snap_store *store, const uint64_t *generations, size_t count,
                       const uint8_t *uuid, enum snap_compression compression,
                       struct snap_io *target, const struct snap_progress *progress,
                       struct snap_copied *out, struct phantom_diag *diag);

/**
 * Give the generations of a copy, which nobody has open, the tags that they have in the source.
 * Commits one generation; none if there is no tag. Nothing is dropped.
 * @param[out] count  of tags
 * @return 0; PHANTOM_ENOTFOUND (a tagged generation was not copied), or as snap_store_tag()
 */
int snap_store_copy_tags(struct snap_store *store, struct snap_io *target, size_t *count,
                         struct phantom_diag *diag);

/** Bytes of the file up to the last block in use; the writer's handle only. */
uint64_t snap_store_bytes_in_use(const struct snap_store *store);

struct snap_salvage_report {
    uint64_t generation;    /* that was rescued; 0: none */
    uint64_t newest_seen;   /* highest number among the records found */
    uint64_t records_found; /* whole commit records */
    uint64_t records_bad;   /* slots whose record cannot be read */
    uint64_t pages;         /* rescued */
    uint64_t pages_lost;    /* pages that could not be, counting unknown parts of the map whole */
    struct snap_copied copied;
};
/**
 * Rescue from a damaged store, whose file is only read: the newest generation of which every node
 * and page verifies and which has the pages and the sum that its record says. With `partial`, if
 * there is none, the newest whose map can be read at all, with holes where a page does not verify;
 * `lost` (NULL allowed) is called for each range lost.
 * The key is that of both stores; NULL: they are not encrypted.
 * @return 0; PHANTOM_ECORRUPT nothing could be rescued, or neither superblock can be read;
 *         PHANTOM_EFORMAT, PHANTOM_EVERSION; as snap_store_copy()
 */
int snap_store_salvage(struct snap_io *source, const struct snap_key *key, bool partial,
                       struct snap_io *target,
                       void (*lost)(void *context, uint64_t first, uint64_t count, const char *why),
                       void *context, const struct snap_progress *progress,
                       struct snap_salvage_report *report, struct phantom_diag *diag);

#endif /* SNAP_TRANSFER_H */
