/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_blocks.c - what the program of a machine has allocated and not freed (ph_memory.h), so that a
 * machine that is killed leaks nothing. Owns an open hash table of addresses, the lowest bit of
 * which says that the block is the program's own, which may leave it behind. The thread with the
 * baton. True between calls: count < capacity / 2; capacity is a power of two.
 */
#include "sim_internal.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <stdlib.h>

#define GONE ((void *)2)
#define OWN  ((uintptr_t)1)

struct sim_blocks {
    void **slots;
    size_t capacity, count, used; /* used: with those that are gone */
};

static size_t slot_of(const struct sim_blocks *blocks, const void *block)
{
    uint64_t hash = (uint64_t)(uintptr_t)block * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash >> 20) & (blocks->capacity - 1);
}

static void *block_in(const void *entry)
{
    return (void *)((uintptr_t)entry & ~OWN); // NOLINT
}

static void put(struct sim_blocks *blocks, void *block)
{
    size_t slot = slot_of(blocks, block_in(block));
    while (blocks->slots[slot] != NULL) {
        slot = (slot + 1) & (blocks->capacity - 1);
    }
    blocks->slots[slot] = block;
    blocks->count++;
    blocks->used++;
}

static void grow(struct sim_blocks *blocks)
{
    struct sim_blocks old = *blocks;
    blocks->capacity = old.count * 4 > old.capacity ? old.capacity * 2 : old.capacity;
    blocks->slots = calloc(blocks->capacity, sizeof(void *));
    PH_CHECK(blocks->slots != NULL);
    blocks->count = blocks->used = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i] != NULL && old.slots[i] != GONE) {
            put(blocks, old.slots[i]);
        }
    }
    free(old.slots);
}

static void block_made(void *block)
{
    struct sim_thread *thread = sim_self();
    if (thread != NULL) {
        struct sim_blocks *blocks = thread->sim->blocks;
        if (blocks->used * 2 >= blocks->capacity) {
            grow(blocks);
        }
        put(blocks, block);
    }
}

/** Where it is in the table of the calling thread's machine; NULL: it is not. */
static void **find(const void *block)
{
    struct sim_thread *thread = sim_self();
    struct sim_blocks *blocks = thread != NULL ? thread->sim->blocks : NULL;
    if (blocks == NULL || block == NULL) {
        return NULL;
    }
    for (size_t slot = slot_of(blocks, block); blocks->slots[slot] != NULL;
         slot = (slot + 1) & (blocks->capacity - 1)) {
        if (block_in(blocks->slots[slot]) == block) {
            return &blocks->slots[slot];
        }
    }
    return NULL;
}

static void block_gone(void *block)
{
    void **entry = find(block);
    if (entry != NULL) {
        *entry = GONE;
        sim_self()->sim->blocks->count--;
    }
}

void hal_sim_own_block(const void *block)
{
    void **entry = find(block);
    if (entry != NULL) {
        *entry = (void *)((uintptr_t)block | OWN); // NOLINT
    }
}

struct sim_blocks *sim_blocks_create(void)
{
    static const struct ph_memory_observer observer = {block_made, block_gone};
    struct sim_blocks *blocks = calloc(1, sizeof(*blocks));
    if (blocks == NULL) {
        return NULL;
    }
    blocks->capacity = 1024;
    blocks->slots = calloc(blocks->capacity, sizeof(void *));
    if (blocks->slots == NULL) {
        free(blocks);
        return NULL;
    }
    ph_memory_observe(&observer);
    return blocks;
}

uint64_t sim_blocks_finish(struct sim_blocks *blocks)
{
    if (blocks == NULL) {
        return 0;
    }
    uint64_t left = 0;
    for (size_t i = 0; i < blocks->capacity; i++) {
        if (blocks->slots[i] != NULL && blocks->slots[i] != GONE) {
            left += ((uintptr_t)blocks->slots[i] & OWN) == 0;
            ph_free(block_in(blocks->slots[i]));
        }
    }
    free(blocks->slots);
    free(blocks);
    return left;
}
