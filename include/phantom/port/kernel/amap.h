/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/amap.h - flags for ranges of numbers: an interval map. Stability: kept from the Genode
 * port.
 *
 * A map covers the numbers from start to start + n_elem - 1; each has a word of flags. Neighbours
 * with equal flags are one range, so the map is as large as there are changes. The struct is the
 * caller's. Time: logarithmic for looking, and the number of ranges behind the place for changing.
 *
 * @threads one for each map at a time: none of this locks, the caller serialises. Nothing here
 *   blocks, but what a caller's function does.
 */
#ifndef PHANTOM_PORT_KERNEL_AMAP_H
#define PHANTOM_PORT_KERNEL_AMAP_H

#include "../phantom_types.h"

typedef u_int64_t amap_elem_addr_t;
typedef u_int64_t amap_elem_size_t;

struct amap_range {
    amap_elem_addr_t from; /* up to the next one's, the last one to the end of the map */
    u_int32_t flags;
};

typedef struct amap {
    amap_elem_addr_t start;
    amap_elem_size_t n_elem;
    u_int32_t start_flags;     /* of all numbers, while there are no ranges */
    struct amap_range *ranges; /* by from; neighbours differ. NULL: all is start_flags */
    size_t count;
    size_t room;
} amap_t;

/** A map of which each number has these flags; needs no memory yet. The last number that a map can
 *  have is 2^64 - 2: what would reach further is left out. */
void amap_init(amap_t *map, amap_elem_addr_t start, amap_elem_size_t n_elem,
               u_int32_t start_state_flags);
/** Free what it holds; it can be used again after amap_init(). */
void amap_destroy(amap_t *map);

/** Set the flags of a range. @return 0; EINVAL: part of it is not in the map; ENOMEM. Then nothing
 *  was changed. n_elem 0 changes nothing */
errno_t amap_modify(amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags);
/** Have all numbers of the range these flags? @return 0: yes (n_elem 0, too); ENOENT: no; EINVAL as
 *  above */
errno_t amap_check(amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags);
/** As amap_modify(); *modified: whether any flags were others before, written on success only. */
errno_t amap_check_modify(amap_t *map, amap_elem_addr_t from, amap_elem_size_t n_elem,
                          u_int32_t flags, int *modified);

/** Call f for each range with exactly these flags, or for all, in order, on the calling thread. f
 *  must not change the map; it may block. */
void amap_iterate_flags(amap_t *map,
                        void (*f)(amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags,
                                  void *arg),
                        void *arg, u_int32_t flags);
void amap_iterate_all(amap_t *map,
                      void (*f)(amap_elem_addr_t from, amap_elem_size_t n_elem, u_int32_t flags,
                                void *arg),
                      void *arg);

#endif /* PHANTOM_PORT_KERNEL_AMAP_H */
