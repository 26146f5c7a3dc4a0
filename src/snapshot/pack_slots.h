/* SPDX-License-Identifier: Apache-2.0
 *
 * pack_slots.h - which slots of each pack the current map names.
 *
 * A pack's blocks belong to a generation as long as one page of it is in that pack; this tells the
 * commit that replaces the last one. Like the space of the store it is derived by the walk over the
 * retained generations (store_accounting.c), kept by commits, and taken back when one fails. Only
 * in stores with compression. True between calls: bit s of slots[b] is set <=> the current map, as
 * the transaction under way has changed it, names slot s of the pack that begins in block b.
 */
#ifndef SNAP_PACK_SLOTS_H
#define SNAP_PACK_SLOTS_H

#include "ph_memory.h"
#include "store_format.h"

#include <errno.h>
#include <string.h>

struct pack_slots {
    uint32_t *slots;
    uint64_t block_count;
};

_Static_assert((int)STORE_PACK_SLOTS == 32, "one bit for each");

static inline void pack_slots_finish(struct pack_slots *packs)
{
    ph_free(packs->slots);
    *packs = (struct pack_slots){0};
}

/** Also for the first time. 0 or -ENOMEM (nothing changed). */
static inline int pack_slots_grow(struct pack_slots *packs, uint64_t block_count)
{
    if (block_count <= packs->block_count) {
        return 0;
    }
    uint32_t *slots = ph_realloc(packs->slots, (size_t)block_count * sizeof *slots);
    if (slots == NULL) {
        return -ENOMEM;
    }
    memset(slots + packs->block_count, 0,
           (size_t)(block_count - packs->block_count) * sizeof *slots);
    packs->slots = slots;
    packs->block_count = block_count;
    return 0;
}

/** Does the map name any page of this pack? */
static inline bool pack_slots_any(const struct pack_slots *packs, uint64_t place)
{
    return packs->slots[store_place_block(place)] != 0;
}

static inline bool pack_slots_has(const struct pack_slots *packs, uint64_t place)
{
    return (packs->slots[store_place_block(place)] >> store_place_slot(place) & 1) != 0;
}

static inline void pack_slots_toggle(struct pack_slots *packs, uint64_t place)
{
    packs->slots[store_place_block(place)] ^= UINT32_C(1) << store_place_slot(place);
}

#endif /* SNAP_PACK_SLOTS_H */
