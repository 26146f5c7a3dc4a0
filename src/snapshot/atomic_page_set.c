/* SPDX-License-Identifier: Apache-2.0
 *
 * atomic_page_set.c - see atomic_page_set.h. Relaxed order everywhere: whoever walks the set has
 * stopped, or waited for, those who add to it, and that is what orders the two.
 */
#include "atomic_page_set.h"

#include "ph_memory.h"

#include <errno.h>

enum { BITS = 64 };

int atomic_page_set_init(struct atomic_page_set *set, uint64_t page_count)
{
    uint64_t words = (page_count + BITS - 1) / BITS;
    set->page_count = page_count;
    atomic_init(&set->members, 0);
    set->words = ph_zalloc(words + 1, sizeof(*set->words));
    set->summary = ph_zalloc(words / BITS + 1, sizeof(*set->summary));
    return set->words != NULL && set->summary != NULL ? 0 : -ENOMEM;
}

void atomic_page_set_finish(struct atomic_page_set *set)
{
    ph_free((void *)set->words);
    ph_free((void *)set->summary);
    *set = (struct atomic_page_set){0};
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

bool atomic_page_set_has(const struct atomic_page_set *set, uint64_t page)
{
    return (load(&set->words[page / BITS]) >> (page % BITS) & 1) != 0;
}

void atomic_page_set_add(struct atomic_page_set *set, uint64_t page)
{
    uint64_t word = page / BITS;
    uint64_t bit = UINT64_C(1) << (page % BITS);
    uint64_t before = atomic_fetch_or_explicit(&set->words[word], bit, memory_order_relaxed);
    if ((before & bit) != 0) {
        return;
    }
    atomic_fetch_add_explicit(&set->members, 1, memory_order_relaxed);
    uint64_t summary_bit = UINT64_C(1) << (word % BITS);
    if ((load(&set->summary[word / BITS]) & summary_bit) == 0) {
        atomic_fetch_or_explicit(&set->summary[word / BITS], summary_bit, memory_order_relaxed);
    }
}

void atomic_page_set_remove(struct atomic_page_set *set, uint64_t page)
{
    uint64_t bit = UINT64_C(1) << (page % BITS);
    uint64_t before =
        atomic_fetch_and_explicit(&set->words[page / BITS], ~bit, memory_order_relaxed);
    if ((before & bit) != 0) {
        atomic_fetch_sub_explicit(&set->members, 1, memory_order_relaxed);
    }
}

/** First bit of `bits` at or above `from`, or BITS. */
static unsigned first_bit(uint64_t bits, unsigned from)
{
    bits = from < BITS ? bits & (UINT64_MAX << from) : 0;
    return bits != 0 ? (unsigned)__builtin_ctzll(bits) : BITS;
}

uint64_t atomic_page_set_next(const struct atomic_page_set *set, uint64_t from)
{
    uint64_t words = (set->page_count + BITS - 1) / BITS;
    uint64_t word = from / BITS;
    unsigned bit = (unsigned)(from % BITS);
    while (word < words) {
        bit = first_bit(load(&set->words[word]), bit);
        if (bit < BITS) {
            return word * BITS + bit;
        }
        /* The next word that may have a member, by the summary. */
        bit = 0;
        word++;
        while (word < words) {
            unsigned in_summary =
                first_bit(load(&set->summary[word / BITS]), (unsigned)(word % BITS));
            word = word / BITS * BITS + in_summary;
            if (in_summary < BITS) {
                break;
            }
        }
    }
    return UINT64_MAX;
}

void atomic_page_set_clear(struct atomic_page_set *set)
{
    uint64_t words = (set->page_count + BITS - 1) / BITS;
    for (uint64_t at = 0; at < words; at += BITS) {
        uint64_t bits = load(&set->summary[at / BITS]);
        if (bits == 0) {
            continue;
        }
        for (; bits != 0; bits &= bits - 1) {
            atomic_store_explicit(&set->words[at + (unsigned)__builtin_ctzll(bits)], 0,
                                  memory_order_relaxed);
        }
        atomic_store_explicit(&set->summary[at / BITS], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&set->members, 0, memory_order_relaxed);
}
