/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_malloc.h - volatile memory, never the object space. Stability: kept from the Genode port.
 * Results are aligned for every type. @threads any. Never blocks.
 */
#ifndef PHANTOM_PORT_PH_MALLOC_H
#define PHANTOM_PORT_PH_MALLOC_H

#include "phantom_types.h"

/** As malloc, calloc, realloc and free; what is returned is the caller's until ph_free(), from
 *  whatever thread. NULL: out of memory, or the product overflows; then realloc leaves the old
 *  block. */
void *ph_malloc(size_t size);
void *ph_calloc(size_t n_elem, size_t elem_size);
void *ph_realloc(void *old, size_t size);
void ph_free(void *);

/** Bytes of the whole process that are in use, the allocator's own share included. */
int64_t phantom_heap_bytes_consumed(void);

#endif /* PHANTOM_PORT_PH_MALLOC_H */
