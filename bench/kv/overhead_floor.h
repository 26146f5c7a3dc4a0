/* SPDX-License-Identifier: Apache-2.0
 *
 * overhead_floor.h - the least that a snapshot must do: find the written pages, copy them, sum the
 * copies. No stop, so what is copied is no state that ever was; no store, no write. What a running
 * program loses beside this is the floor of what it loses beside snapshots.
 */
#ifndef OVERHEAD_FLOOR_H
#define OVERHEAD_FLOOR_H

#include <phantom/space.h>

struct overhead_floor;

/** Over the space's range; ends the process with a message if there is no memory. */
struct overhead_floor *floor_open(struct phantom_space *space);
void floor_close(struct overhead_floor *least);

/**
 * Ask the kernel what was written, protecting it again (each page costs its next writer a fault),
 * copy and sum. The space does not hear of these pages any more: no snapshot of it is whole after
 * this. Returns how many pages.
 */
uint64_t floor_take_written(struct overhead_floor *least);
/** Copy and sum this many pages, spread over what is in use: where the program itself says what it
 *  wrote, nothing else need be done. */
uint64_t floor_take_pages(struct overhead_floor *least, uint64_t pages);

#endif /* OVERHEAD_FLOOR_H */
