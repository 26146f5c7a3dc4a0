/* SPDX-License-Identifier: Apache-2.0
 *
 * cow_pages.h - copy on write: who has changed a page since the last cut, and what was in the pages
 * of an unfinished snapshot before they changed. Used by `epoch` (the storing thread asks), and by
 * `sigbus` and `mprotect` (the storing thread is caught).
 *
 * At a cut the set of changed pages is frozen by exchanging two numbers. From then on its writer
 * copies the pages one after the other, while storing threads save the ones they come to first:
 *
 *                    writer: claim, copy to staging, CLEAN
 *     frozen page <
 *                    first store: claim, copy to an image, OPEN; the writer stages the image
 *
 * Each frozen page is settled exactly once, by whoever wins the claim. Nobody stores into a page
 * that is claimed, nobody reads a page that is open, so no copy is ever torn.
 *
 * Images are bounded. A thread that needs one when there is none waits until the writer has staged
 * some, or the snapshot is given up: it never goes on without.
 *
 * True between snapshots: no page is in the frozen state or claimed, no image is in use, and every
 * page that differs from the current generation is in the changed set or was discarded.
 */
#ifndef SNAPSHOT_COW_PAGES_H
#define SNAPSHOT_COW_PAGES_H

#include "atomic_page_set.h"
#include "snap_epoch.h"
#include "snap_memory.h"

#include <stdbool.h>

struct cow_images;

struct cow_pages {
    struct snap_epoch epoch; /* first: the barrier hands back its address */
    struct snap_memory *memory;
    struct atomic_page_set changed[2]; /* of the epoch now, and of the frozen one */
    struct cow_images *images;
    uint64_t frozen_left;     /* frozen pages that are not settled; writer's own */
    _Atomic uint32_t waiting; /* threads asleep or about to be */
    _Atomic uint32_t turn;    /* they sleep on this; changes when something was settled */
};

/** All pages clean. `image_count`: at most so many before-images at a time. 0 or -ENOMEM. */
int cow_pages_init(struct cow_pages *cow, struct snap_memory *memory, uint32_t image_count);
void cow_pages_finish(struct cow_pages *cow);

/* ---- storing threads: lock-free but for waiting, async-signal-safe -------------------------- */

/** The page is about to change. When this returns it may. */
void cow_pages_before_store(struct cow_pages *cow, uint64_t page);
/**
 * The page is about to be discarded, and nobody touches it meanwhile. What the unfinished snapshot
 * needs of it is saved. forget: the next store into it will be announced again, so that the page
 * leaves the changed set. @threads any, while the world is not stopped
 */
void cow_pages_before_discard(struct cow_pages *cow, uint64_t page, bool forget);

/* ---- the thread that takes the snapshot ----------------------------------------------------- */

/** Pages changed since the last cut. */
uint64_t cow_pages_changed(const struct cow_pages *cow);
/** The set frozen at the last cut. */
const struct atomic_page_set *cow_pages_frozen(const struct cow_pages *cow);
/** The page differs from the current generation, whatever its state: put it into the changed set.
 *  Also takes it out of a frozen set, without copying it. */
void cow_pages_reopen(struct cow_pages *cow, uint64_t page);

/** World stopped: the changed set becomes the frozen one. O(1). */
void cow_pages_freeze(struct cow_pages *cow);
/** Is this frozen page still to be copied by the writer? */
bool cow_pages_unsettled(const struct cow_pages *cow, uint64_t page);
/** Claim a frozen page, to copy it. False: somebody else has it. */
bool cow_pages_claim(struct cow_pages *cow, uint64_t page);
/** The claimed page was copied (then it is clean and settled), or not (then it is frozen again). */
void cow_pages_release(struct cow_pages *cow, uint64_t page, bool copied);
/** Some image may be ready. Cheap. */
bool cow_pages_have_images(const struct cow_pages *cow);
/** Visit all images that are ready; each is free again afterwards. Anything but 0 from `visit`
 *  stops, keeps the rest, and is returned. */
int cow_pages_take_images(struct cow_pages *cow,
                          int (*visit)(void *context, uint64_t page, const void *image),
                          void *context);
/** Wait until an image becomes ready: somebody has claimed a page and copies it now. */
void cow_pages_await_image(struct cow_pages *cow);
/** Every frozen page is settled, or all are given up: then they are changed pages again. */
void cow_pages_thaw(struct cow_pages *cow, bool settled);

#endif /* SNAPSHOT_COW_PAGES_H */
