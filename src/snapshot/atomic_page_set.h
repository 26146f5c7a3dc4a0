/* SPDX-License-Identifier: Apache-2.0
 *
 * atomic_page_set.h - a set of page numbers that several threads add to at once, some of them from
 * inside a signal handler: a bitmap with a summary, like page_set.h, in atomic words.
 *
 * Adding, removing and asking are lock-free and async-signal-safe, from any thread. Walking and
 * clearing are for one thread, while nobody adds. A summary bit may be set for a word that has
 * become zero again, never the other way round.
 */
#ifndef SNAPSHOT_ATOMIC_PAGE_SET_H
#define SNAPSHOT_ATOMIC_PAGE_SET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct atomic_page_set {
    _Atomic uint64_t *words;   /* one bit a page */
    _Atomic uint64_t *summary; /* one bit a word */
    uint64_t page_count;
    _Atomic uint64_t members;
};

/** An empty set of pages [0, page_count). 0 or -ENOMEM (then the set is safe to finish). */
int atomic_page_set_init(struct atomic_page_set *set, uint64_t page_count);
void atomic_page_set_finish(struct atomic_page_set *set);

bool atomic_page_set_has(const struct atomic_page_set *set, uint64_t page);
void atomic_page_set_add(struct atomic_page_set *set, uint64_t page);
void atomic_page_set_remove(struct atomic_page_set *set, uint64_t page);
/** Smallest member in [from, page_count), or UINT64_MAX. */
uint64_t atomic_page_set_next(const struct atomic_page_set *set, uint64_t from);
void atomic_page_set_clear(struct atomic_page_set *set);

#endif /* SNAPSHOT_ATOMIC_PAGE_SET_H */
