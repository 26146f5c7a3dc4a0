/* SPDX-License-Identifier: Apache-2.0 - see block_space.h */
#include "block_space.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>

enum { WORD_BITS = 64 };

static size_t words_for(uint64_t block_count)
{
    return (size_t)((block_count + WORD_BITS - 1) / WORD_BITS);
}

int block_space_init(struct block_space *space, uint64_t data_start, uint64_t block_count)
{
    *space = (struct block_space){.data_start = data_start,
                                  .known = data_start,
                                  .cursor = data_start,
                                  .high = data_start,
                                  .none_of = UINT64_MAX};
    space->bitmap = ph_zalloc(words_for(block_count), sizeof *space->bitmap);
    space->birth = ph_zalloc((size_t)block_count, sizeof *space->birth);
    if (space->bitmap == NULL || space->birth == NULL) {
        block_space_finish(space);
        return -ENOMEM;
    }
    space->block_count = block_count;
    return 0;
}

void block_space_finish(struct block_space *space)
{
    ph_free(space->bitmap);
    ph_free(space->birth);
    *space = (struct block_space){0};
}

void block_space_unknown_below(struct block_space *space, uint64_t known)
{
    PH_CHECK(space->used == 0 && known >= space->data_start && known <= space->block_count);
    space->known = space->cursor = space->high = known;
}

void block_space_forget(struct block_space *space)
{
    for (uint64_t b = space->data_start; b < space->known; b++) {
        if (space->birth[b] != 0) {
            space->birth[b] = 0;
            space->bitmap[b / WORD_BITS] &= ~(UINT64_C(1) << (b % WORD_BITS));
        }
    }
    space->used -= space->counted;
    space->counted = 0;
}

void block_space_complete(struct block_space *space)
{
    space->known = space->cursor = space->data_start;
    space->counted = 0;
    space->none_of = UINT64_MAX;
}

int block_space_grow(struct block_space *space, uint64_t block_count)
{
    PH_CHECK(block_count >= space->block_count);
    size_t old_words = words_for(space->block_count), words = words_for(block_count);
    uint64_t *bitmap = ph_realloc(space->bitmap, words * sizeof *bitmap);
    if (bitmap == NULL) {
        return -ENOMEM;
    }
    space->bitmap = bitmap;
    uint64_t *birth = ph_realloc(space->birth, (size_t)block_count * sizeof *birth);
    if (birth == NULL) {
        return -ENOMEM; /* a longer bitmap is harmless */
    }
    space->birth = birth;
    memset(bitmap + old_words, 0, (words - old_words) * sizeof *bitmap);
    memset(birth + space->block_count, 0,
           (size_t)(block_count - space->block_count) * sizeof *birth);
    space->block_count = block_count;
    space->none_of = UINT64_MAX;
    return 0;
}

bool block_space_take(struct block_space *space, uint64_t block, uint64_t generation)
{
    PH_CHECK(block >= space->data_start && block < space->block_count && generation != 0);
    if (space->birth[block] != 0) {
        return false;
    }
    space->birth[block] = generation;
    space->bitmap[block / WORD_BITS] |= UINT64_C(1) << (block % WORD_BITS);
    space->used++;
    space->counted += block < space->known;
    space->high = block >= space->high ? block + 1 : space->high;
    return true;
}

void block_space_release(struct block_space *space, uint64_t block)
{
    PH_CHECK(block >= space->known && block < space->block_count);
    PH_CHECK(space->birth[block] != 0);
    space->birth[block] = 0;
    space->none_of = UINT64_MAX;
    space->bitmap[block / WORD_BITS] &= ~(UINT64_C(1) << (block % WORD_BITS));
    space->used--;
}

uint64_t block_space_high_water(struct block_space *space)
{
    while (space->high > space->known && !block_space_is_used(space, space->high - 1)) {
        bool word = space->high % WORD_BITS == 0 && space->high - space->known >= WORD_BITS &&
                    space->bitmap[space->high / WORD_BITS - 1] == 0;
        space->high -= word ? WORD_BITS : 1;
    }
    return space->high;
}

/* The first block >= from whose bit is `bit`, or limit. */
static uint64_t find_bit(const struct block_space *space, uint64_t from, uint64_t limit, bool bit)
{
    while (from < limit) {
        uint64_t word = space->bitmap[from / WORD_BITS];
        word = (bit ? word : ~word) >> (from % WORD_BITS);
        if (word != 0) {
            from += (uint64_t)__builtin_ctzll(word);
            return from < limit ? from : limit;
        }
        from = (from / WORD_BITS + 1) * WORD_BITS;
    }
    return limit;
}

/* The first free run of at least `least` blocks that begins in [from, limit); as far as `want`. */
static uint64_t search(const struct block_space *space, uint64_t from, uint64_t limit,
                       uint64_t want, uint64_t least, uint64_t *first)
{
    while (from < limit) {
        uint64_t start = find_bit(space, from, limit, false);
        uint64_t left = space->block_count - start;
        uint64_t end = find_bit(space, start, start + (left < want ? left : want), true);
        if (start < limit && end - start >= least) {
            *first = start;
            return end - start;
        }
        from = end + 1;
    }
    return 0;
}

uint64_t block_space_allocate(struct block_space *space, uint64_t want, uint64_t least,
                              uint64_t generation, uint64_t *first)
{
    PH_CHECK(least != 0 && want >= least && generation != 0);
    if (least >= space->none_of) {
        return 0;
    }
    uint64_t start = 0;
    uint64_t count = search(space, space->cursor, space->block_count, want, least, &start);
    if (count == 0) {
        count = search(space, space->known, space->cursor, want, least, &start);
    }
    if (count == 0) {
        space->none_of = least;
        return 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        PH_CHECK(block_space_take(space, start + i, generation));
    }
    *first = start;
    space->cursor = start + count;
    return count;
}

int block_list_reserve(struct block_list *list, size_t capacity)
{
    if (capacity <= list->capacity) {
        return 0;
    }
    size_t larger = list->capacity * 2 > capacity ? list->capacity * 2 : capacity;
    uint64_t *block = ph_realloc(list->block, larger * sizeof *block);
    if (block == NULL) {
        return -ENOMEM;
    }
    list->block = block;
    list->capacity = larger;
    return 0;
}

int block_list_add(struct block_list *list, uint64_t block)
{
    int error = block_list_reserve(list, list->count + 1);
    if (error == 0) {
        list->block[list->count++] = block;
    }
    return error;
}

void block_list_finish(struct block_list *list)
{
    ph_free(list->block);
    *list = (struct block_list){0};
}
