/* SPDX-License-Identifier: Apache-2.0
 *
 * page_set.h - a set of page numbers of one heap range: a bitmap with two summaries.
 *
 * The range may be 64 GiB with a few hundred members in it. Walking the set and clearing it must
 * cost what its members cost, because both happen while the world is stopped: so every word of the
 * bitmap has one bit in the summary, set if and only if the word is not zero, and every word of the
 * summary one bit in `top`: 64 words for 64 GiB. Memory that was never
 * touched is never brought in. Adding and removing allocate nothing and cannot fail.
 *
 * Not synchronised: whoever owns a set says which lock covers it.
 */
#ifndef SNAPSHOT_PAGE_SET_H
#define SNAPSHOT_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

struct page_set {
    uint64_t *words;   /* one bit a page */
    uint64_t *summary; /* one bit a word */
    uint64_t *top;     /* one bit a word of the summary */
    uint64_t page_count;
    uint64_t members;
};

/** No page: returned by page_set_next() at the end. */
#define PAGE_SET_END UINT64_MAX

/** An empty set of pages [0, page_count). 0 or -ENOMEM (then the set is safe to finish). */
int page_set_init(struct page_set *set, uint64_t page_count);
void page_set_finish(struct page_set *set);

bool page_set_has(const struct page_set *set, uint64_t page);
/** @return true if the page was not a member before */
bool page_set_add(struct page_set *set, uint64_t page);
/** @return true if the page was a member */
bool page_set_remove(struct page_set *set, uint64_t page);
void page_set_add_range(struct page_set *set, uint64_t first, uint64_t count);
void page_set_remove_range(struct page_set *set, uint64_t first, uint64_t count);
/** Smallest member in [from, end), or PAGE_SET_END. */
uint64_t page_set_next(const struct page_set *set, uint64_t from, uint64_t end);
/** Members in [first, end). */
uint64_t page_set_count(const struct page_set *set, uint64_t first, uint64_t end);
/** All members of `from` are moved into `to`; the sets have the same size. */
void page_set_move(struct page_set *to, struct page_set *from);
void page_set_clear(struct page_set *set);

#endif /* SNAPSHOT_PAGE_SET_H */
