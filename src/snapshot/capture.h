/* SPDX-License-Identifier: Apache-2.0
 *
 * capture.h - the one sanctioned data race of the library: reading a heap page while a mutator may
 * be writing into it.
 *
 * A live round copies pages of running mutators. What such a copy holds may be torn. That is
 * harmless, because the page was protected *before* it is copied: a store that the copy missed, or
 * saw half of, has made the page dirty again, and a later copy replaces this one before anything is
 * committed. Whoever calls capture_copy() on a page of a running world owes that order.
 *
 * All reads of live pages go through here, so that no sanitizer suppression file is needed.
 */
#ifndef SNAPSHOT_CAPTURE_H
#define SNAPSHOT_CAPTURE_H

/** Copy one page of SNAP_PAGE_SIZE bytes; both addresses are aligned to it, or at least to 16. */
void capture_copy(void *to, const void *live_page);

#endif /* SNAPSHOT_CAPTURE_H */
