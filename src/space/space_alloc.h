/* SPDX-License-Identifier: Apache-2.0
 *
 * space_alloc.h - the persistent allocator. Works on any memory that begins zeroed or holds a space
 * (space_layout.h); knows neither snapshots nor threads, but may be called by many at once.
 *
 * A thread takes slots from blocks that it owns, one for each size class, without a lock: ownership
 * is volatile, only the bits of the slots are in the space. Any thread frees by clearing the bit.
 * What no thread owns is in volatile lists, made again after a restart, a piece at a time, from the
 * descriptors.
 *
 * True at each cut (no call is under way then): the bits are exactly the slots that were given out
 * and not given back, every other descriptor member agrees with them, and what lies in free blocks
 * reads as zeros.
 */
#ifndef SPACE_ALLOC_H
#define SPACE_ALLOC_H

#include "ph_error.h"
#include "space_layout.h"

#include <stdbool.h>

struct space_alloc;

/** What the allocator asks of its host. */
struct space_alloc_host {
    void *context;
    /** Whole pages that are not needed: they must read as zeros afterwards. */
    void (*discard)(void *context, void *start, uint64_t bytes);
    /** These bytes of the allocator's own are about to be written. NULL: nobody wants to know. */
    void (*will_write)(void *context, const void *start, size_t bytes);
    /** These bytes of the allocator's own were just written. NULL: nobody wants to know. */
    void (*wrote)(void *context, const void *start, size_t bytes);
};

/** The blocks a thread owns. Zeroed at first; given back by space_cache_flush(). */
struct space_cache {
    uint32_t owned[SPACE_CLASSES]; /* block number plus 1, or 0 */
    uint8_t cursor[SPACE_CLASSES]; /* word in which the last slot was found */
    void *spare;                   /* for a mutant: a slot that is only counted as allocated */
    uint32_t spare_class;
};

/** Write the header of an empty space into zeroed memory. @return 0 or PHANTOM_EINVALID (size) */
int space_format(void *base, uint64_t size, struct phantom_diag *diag);

/**
 * Begin to allocate in memory that holds a space. Reads the header only.
 * @return 0, PHANTOM_ECORRUPT, -ENOMEM
 */
int space_alloc_open(void *base, uint64_t size, const struct space_alloc_host *host,
                     struct space_alloc **out, struct phantom_diag *diag);
void space_alloc_close(struct space_alloc *alloc);

/** Pages of the range that may hold anything. A damaged header is fatal: nothing of it may be
 * committed. */
uint64_t space_alloc_pages(const struct space_alloc *alloc);

/* As the functions of <stdlib.h>; alignment a power of two. NULL: full. Wrong pointers are fatal.
 */
void *space_malloc(struct space_alloc *alloc, struct space_cache *cache, size_t size);
void *space_aligned(struct space_alloc *alloc, struct space_cache *cache, size_t alignment,
                    size_t size);
void *space_calloc(struct space_alloc *alloc, struct space_cache *cache, size_t count, size_t size);
void *space_realloc(struct space_alloc *alloc, struct space_cache *cache, void *block, size_t size);
void space_free(struct space_alloc *alloc, void *block);
size_t space_usable(const struct space_alloc *alloc, const void *block);

/** The thread ends: others may use what it owned. */
void space_cache_flush(struct space_alloc *alloc, struct space_cache *cache);

/** Fill everything but size and roots. Calls of others may run. */
void space_count(struct space_alloc *alloc, struct phantom_space_usage *out);
/** Check everything against everything. No other call may run. 0 or PHANTOM_ECORRUPT */
int space_audit(struct space_alloc *alloc, struct phantom_diag *diag);

/* ---- roots (space_roots.c): the caller serialises ------------------------------------------- */

uint64_t space_root_get(const struct space_header *header, const char *name);
/** 0, PHANTOM_EINVALID, PHANTOM_EQUOTA */
int space_root_put(struct space_header *header, const struct space_alloc_host *host,
                   const char *name, uint64_t value);
int space_root_each(const struct space_header *header,
                    int (*visit)(void *context, const char *name, void *value), void *context);
int space_root_audit(const struct space_header *header, struct phantom_diag *diag);

#endif /* SPACE_ALLOC_H */
