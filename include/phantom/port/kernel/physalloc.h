/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/physalloc.h - which pages of a range are in use, names of the Genode port. Stability:
 * kept.
 */
#ifndef PHANTOM_PORT_KERNEL_PHYSALLOC_H
#define PHANTOM_PORT_KERNEL_PHYSALLOC_H

#include <hal.h>
#include <phantom_types.h>

typedef u_int32_t map_elem_t;

/** One allocator. The fields are for reading. */
struct physalloc {
    hal_mutex_t mutex;
    map_elem_t *map;          /* of each page: 0 free, else see the implementation */
    u_int32_t total_size;     /* pages */
    u_int32_t allocable_size; /* pages that were ever free */
    u_int32_t n_used_pages;   /* of those */
    u_int32_t last_used;      /* where the next search begins */
    int pieces;               /* regions may be freed in pieces */
};
typedef struct physalloc physalloc_t;

#endif /* PHANTOM_PORT_KERNEL_PHYSALLOC_H */
