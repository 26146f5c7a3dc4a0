/* SPDX-License-Identifier: Apache-2.0
 *
 * page_set.c - see page_set.h. Owns the three bitmaps of each set. True between calls: a summary
 * bit is set if and only if its word is not zero, a bit of top if and only if its summary word is
 * not zero; `members` is the number of bits set in the words.
 */
#include "page_set.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>

enum { BITS = 64 };

static uint64_t words_for(uint64_t bits)
{
    return (bits + BITS - 1) / BITS;
}

/** Bits [first, last] of one word, first <= last < 64. */
static uint64_t mask_between(unsigned first, unsigned last)
{
    return (UINT64_MAX << first) & (UINT64_MAX >> (BITS - 1 - last));
}

int page_set_init(struct page_set *set, uint64_t page_count)
{
    uint64_t words = words_for(page_count);
    *set = (struct page_set){.page_count = page_count};
    set->words = ph_zalloc(words, sizeof(uint64_t));
    set->summary = ph_zalloc(words_for(words), sizeof(uint64_t));
    set->top = ph_zalloc(words_for(words_for(words)), sizeof(uint64_t));
    if (set->words == NULL || set->summary == NULL || set->top == NULL) {
        page_set_finish(set);
        return -ENOMEM;
    }
    return 0;
}

void page_set_finish(struct page_set *set)
{
    ph_free(set->words);
    ph_free(set->summary);
    ph_free(set->top);
    *set = (struct page_set){0};
}

/** Replace a word and keep its summary bit and the count true. */
static void put_word(struct page_set *set, uint64_t index, uint64_t word)
{
    uint64_t old = set->words[index];
    set->words[index] = word;
    set->members += (uint64_t)__builtin_popcountll(word);
    set->members -= (uint64_t)__builtin_popcountll(old);
    if ((old != 0) == (word != 0)) {
        return;
    }
    uint64_t above = index / BITS;
    set->summary[above] ^= UINT64_C(1) << (index % BITS);
    uint64_t bit = UINT64_C(1) << (above % BITS);
    if (set->summary[above] != 0) {
        set->top[above / BITS] |= bit;
    } else {
        set->top[above / BITS] &= ~bit;
    }
}

bool page_set_has(const struct page_set *set, uint64_t page)
{
    PH_DCHECK(page < set->page_count);
    return (set->words[page / BITS] >> (page % BITS) & 1) != 0;
}

bool page_set_add(struct page_set *set, uint64_t page)
{
    if (page_set_has(set, page)) {
        return false;
    }
    put_word(set, page / BITS, set->words[page / BITS] | UINT64_C(1) << (page % BITS));
    return true;
}

bool page_set_remove(struct page_set *set, uint64_t page)
{
    if (set->members == 0 || !page_set_has(set, page)) {
        return false;
    }
    put_word(set, page / BITS, set->words[page / BITS] & ~(UINT64_C(1) << (page % BITS)));
    return true;
}

static void change_range(struct page_set *set, uint64_t first, uint64_t count, bool add)
{
    PH_CHECK(first <= set->page_count && count <= set->page_count - first);
    uint64_t end = first + count;
    while (first < end) {
        uint64_t index = first / BITS;
        uint64_t word_end = (index + 1) * BITS < end ? (index + 1) * BITS : end;
        uint64_t mask = mask_between(first % BITS, (word_end - 1) % BITS);
        uint64_t old = set->words[index];
        put_word(set, index, add ? old | mask : old & ~mask);
        first = word_end;
    }
}

void page_set_add_range(struct page_set *set, uint64_t first, uint64_t count)
{
    change_range(set, first, count, true);
}

void page_set_remove_range(struct page_set *set, uint64_t first, uint64_t count)
{
    if (set->members != 0) {
        change_range(set, first, count, false);
    }
}

/** Index of the first bit >= from that is set in `count` words of `map`, or UINT64_MAX. */
static uint64_t next_bit(const uint64_t *map, uint64_t from, uint64_t count)
{
    uint64_t index = from / BITS;
    if (index >= count) {
        return UINT64_MAX;
    }
    uint64_t bits = map[index] & (UINT64_MAX << (from % BITS));
    while (bits == 0) {
        if (++index == count) {
            return UINT64_MAX;
        }
        bits = map[index];
    }
    return index * BITS + (uint64_t)__builtin_ctzll(bits);
}

/** Index of the first word >= from that is not zero, or words. */
static uint64_t next_word(const struct page_set *set, uint64_t from, uint64_t words)
{
    if (from >= words) {
        return words;
    }
    uint64_t above = from / BITS;
    uint64_t bits = set->summary[above] & (UINT64_MAX << (from % BITS));
    if (bits == 0) { /* nothing near: ask the level above for the next summary word */
        uint64_t summaries = words_for(words_for(set->page_count));
        above = next_bit(set->top, above + 1, words_for(summaries));
        if (above == UINT64_MAX) {
            return words;
        }
        bits = set->summary[above];
    }
    uint64_t word = above * BITS + (uint64_t)__builtin_ctzll(bits);
    return word < words ? word : words;
}

uint64_t page_set_next(const struct page_set *set, uint64_t from, uint64_t end)
{
    if (end > set->page_count) {
        end = set->page_count;
    }
    if (from >= end || set->members == 0) {
        return PAGE_SET_END;
    }
    uint64_t words = words_for(end);
    uint64_t index = from / BITS;
    uint64_t bits = set->words[index] & (UINT64_MAX << (from % BITS));
    if (bits == 0) {
        index = next_word(set, index + 1, words);
        if (index >= words) {
            return PAGE_SET_END;
        }
        bits = set->words[index];
    }
    uint64_t page = index * BITS + (uint64_t)__builtin_ctzll(bits);
    return page < end ? page : PAGE_SET_END;
}

uint64_t page_set_count(const struct page_set *set, uint64_t first, uint64_t end)
{
    if (end > set->page_count) {
        end = set->page_count;
    }
    if (first == 0 && end == set->page_count) {
        return set->members;
    }
    uint64_t count = 0;
    for (uint64_t page = page_set_next(set, first, end); page != PAGE_SET_END;) {
        uint64_t index = page / BITS;
        uint64_t word_end = (index + 1) * BITS < end ? (index + 1) * BITS : end;
        uint64_t mask = mask_between(page % BITS, (word_end - 1) % BITS);
        count += (uint64_t)__builtin_popcountll(set->words[index] & mask);
        page = page_set_next(set, word_end, end);
    }
    return count;
}

void page_set_move(struct page_set *to, struct page_set *from)
{
    PH_CHECK(to->page_count == from->page_count);
    uint64_t words = words_for(from->page_count);
    for (uint64_t i = next_word(from, 0, words); i < words; i = next_word(from, i + 1, words)) {
        put_word(to, i, to->words[i] | from->words[i]);
        put_word(from, i, 0);
    }
}

void page_set_clear(struct page_set *set)
{
    if (set->members == 0) {
        return;
    }
    uint64_t words = words_for(set->page_count);
    for (uint64_t i = next_word(set, 0, words); i < words; i = next_word(set, i + 1, words)) {
        put_word(set, i, 0);
    }
}
