/* SPDX-License-Identifier: Apache-2.0
 *
 * page_sums.c - see page_sums.h. Owns the chunks; true between calls: a chunk is NULL or whole.
 */
#include "page_sums.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

enum { PAGES_PER_CHUNK = 512 };

struct page_sums_chunk {
    struct snap_sum sums[PAGES_PER_CHUNK];
};

int page_sums_init(struct page_sums *sums, uint64_t page_count)
{
    sums->chunk_count = (page_count + PAGES_PER_CHUNK - 1) / PAGES_PER_CHUNK;
    sums->chunks = ph_zalloc(sums->chunk_count, sizeof(struct page_sums_chunk *));
    return sums->chunks != NULL ? 0 : -ENOMEM;
}

void page_sums_finish(struct page_sums *sums)
{
    for (uint64_t i = 0; sums->chunks != NULL && i < sums->chunk_count; i++) {
        ph_free(sums->chunks[i]);
    }
    ph_free(sums->chunks);
    *sums = (struct page_sums){0};
}

int page_sums_prepare(struct page_sums *sums, uint64_t page)
{
    uint64_t index = page / PAGES_PER_CHUNK;
    PH_CHECK(index < sums->chunk_count);
    if (sums->chunks[index] == NULL) {
        sums->chunks[index] = ph_zalloc(1, sizeof(struct page_sums_chunk));
    }
    return sums->chunks[index] != NULL ? 0 : -ENOMEM;
}

int page_sums_put(struct page_sums *sums, uint64_t page, struct snap_sum sum)
{
    int rc = page_sums_prepare(sums, page);
    if (rc == 0) {
        sums->chunks[page / PAGES_PER_CHUNK]->sums[page % PAGES_PER_CHUNK] = sum;
    }
    return rc;
}

struct snap_sum page_sums_get(const struct page_sums *sums, uint64_t page)
{
    const struct page_sums_chunk *chunk = sums->chunks[page / PAGES_PER_CHUNK];
    return chunk != NULL ? chunk->sums[page % PAGES_PER_CHUNK] : (struct snap_sum){0, 0};
}

struct snap_sum page_sums_of(const void *page)
{
    XXH128_hash_t hash = XXH3_128bits(page, SNAP_PAGE_SIZE);
    return (struct snap_sum){.low = hash.low64, .high = hash.high64};
}

bool page_sums_equal(struct snap_sum a, struct snap_sum b)
{
    return a.low == b.low && a.high == b.high;
}

bool page_sums_is_zero(const void *page)
{
    const uint64_t *word = page;
    return word[0] == 0 &&
           memcmp(page, (const uint8_t *)page + sizeof(*word), SNAP_PAGE_SIZE - sizeof(*word)) == 0;
}
