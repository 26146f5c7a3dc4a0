/* SPDX-License-Identifier: Apache-2.0
 *
 * store_watch.c - see store_watch.h. Owns two images of the memory: `before`, as it was at the last
 * look, and `told`, that with all bytes that were told of since. The lock guards the page flags;
 * a page's flag is set before any of its bytes may be stored, so whoever finds it unset reads a
 * page that nobody stores into.
 */
#include "store_watch.h"

#include <ph_test.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

struct store_watch {
    struct heap_stores stores;
    enum store_watch_detail detail;
    uint8_t *base, *before, *told;
    uint64_t bytes;
    pthread_mutex_t lock;
    uint8_t *announced, *followed; /* of each page, since the last look */
    uint64_t too_late;
    unsigned char *resident; /* scratch of a look */
};

static void tell_before(void *context, const void *start, uint64_t bytes)
{
    struct store_watch *watch = context;
    uint64_t at = (uint64_t)((const uint8_t *)start - watch->base);
    if (bytes == 0) {
        return;
    }
    pthread_mutex_lock(&watch->lock);
    assert_true(at + bytes <= watch->bytes);
    for (uint64_t page = at / PAGE; page <= (at + bytes - 1) / PAGE; page++) {
        if (!watch->announced[page]) {
            watch->announced[page] = 1;
            watch->too_late +=
                memcmp(watch->base + page * PAGE, watch->before + page * PAGE, PAGE) != 0;
        }
    }
    pthread_mutex_unlock(&watch->lock);
}

static void tell_after(void *context, const void *start, uint64_t bytes)
{
    struct store_watch *watch = context;
    uint64_t at = (uint64_t)((const uint8_t *)start - watch->base);
    if (bytes == 0) {
        return;
    }
    pthread_mutex_lock(&watch->lock);
    assert_true(at + bytes <= watch->bytes);
    for (uint64_t page = at / PAGE; page <= (at + bytes - 1) / PAGE; page++) {
        watch->followed[page] = 1;
    }
    if (watch->detail == STORE_WATCH_BYTES) {
        memcpy(watch->told + at, start, bytes);
    }
    pthread_mutex_unlock(&watch->lock);
}

static uint8_t *image(uint64_t bytes)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/** The page is as it is now. */
static void accept_page(struct store_watch *watch, uint64_t page)
{
    watch->announced[page] = 0;
    watch->followed[page] = 0;
    memcpy(watch->before + page * PAGE, watch->base + page * PAGE, PAGE);
    memcpy(watch->told + page * PAGE, watch->base + page * PAGE, PAGE);
}

static bool is_as_before(const struct store_watch *watch, uint64_t page)
{
    return memcmp(watch->base + page * PAGE, watch->before + page * PAGE, PAGE) == 0;
}

/** All is as it is now. Pages that always were as they are, zeros above all, take no memory. */
static void accept(struct store_watch *watch)
{
    assert_int_equal(mincore(watch->base, watch->bytes, watch->resident), 0);
    for (uint64_t page = 0; page < watch->bytes / PAGE; page++) {
        if ((watch->resident[page] & 1) != 0 && !is_as_before(watch, page)) {
            accept_page(watch, page);
        }
    }
}

struct store_watch *store_watch_open(void *base, uint64_t bytes, enum store_watch_detail detail)
{
    struct store_watch *watch = calloc(1, sizeof(*watch));
    assert_non_null(watch);
    watch->stores =
        (struct heap_stores){.context = watch, .before = tell_before, .after = tell_after};
    watch->base = base;
    watch->bytes = bytes;
    watch->detail = detail;
    watch->before = image(bytes);
    watch->told = image(bytes);
    watch->announced = calloc(bytes / PAGE, 1);
    watch->followed = calloc(bytes / PAGE, 1);
    watch->resident = calloc(bytes / PAGE, 1);
    assert_true(watch->announced != NULL && watch->followed != NULL && watch->resident != NULL);
    pthread_mutex_init(&watch->lock, NULL);
    accept(watch);
    return watch;
}

void store_watch_only_pages(struct store_watch *watch)
{
    watch->detail = STORE_WATCH_PAGES;
}

void store_watch_close(struct store_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    munmap(watch->before, watch->bytes);
    munmap(watch->told, watch->bytes);
    free(watch->announced);
    free(watch->followed);
    free(watch->resident);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

const struct heap_stores *store_watch_stores(struct store_watch *watch)
{
    return &watch->stores;
}

void store_watch_discarded(struct store_watch *watch, const void *start, uint64_t bytes)
{
    uint64_t at = (uint64_t)((const uint8_t *)start - watch->base);
    pthread_mutex_lock(&watch->lock);
    assert_true(at % PAGE == 0 && bytes % PAGE == 0 && at + bytes <= watch->bytes);
    assert_int_equal(madvise(watch->before + at, bytes, MADV_DONTNEED), 0);
    assert_int_equal(madvise(watch->told + at, bytes, MADV_DONTNEED), 0);
    for (uint64_t page = at / PAGE; page < (at + bytes) / PAGE; page++) {
        watch->announced[page] = 0;
        watch->followed[page] = 0;
    }
    pthread_mutex_unlock(&watch->lock);
}

/** A page that is not as before. */
static void check_page(const struct store_watch *watch, uint64_t page)
{
    const uint8_t *now = watch->base + page * PAGE;
    if (!watch->announced[page] || !watch->followed[page]) {
        fail_msg("page %llu of the heap changed and was not told of%s", (unsigned long long)page,
                 watch->announced[page] ? " afterwards" : "");
    }
    for (uint64_t i = 0; watch->detail == STORE_WATCH_BYTES && i < PAGE; i++) {
        if (now[i] != watch->told[page * PAGE + i]) {
            fail_msg("byte %llu of page %llu of the heap was stored after it was told of, or never "
                     "told of",
                     (unsigned long long)i, (unsigned long long)page);
        }
    }
}

void store_watch_look(struct store_watch *watch)
{
    if (watch->too_late != 0) {
        fail_msg("%llu pages of the heap changed before they were told of",
                 (unsigned long long)watch->too_late);
    }
    assert_int_equal(mincore(watch->base, watch->bytes, watch->resident), 0);
    for (uint64_t page = 0; page < watch->bytes / PAGE; page++) {
        bool changed = (watch->resident[page] & 1) != 0 && /* else it was never stored into */
                       !is_as_before(watch, page);
        if (changed) {
            check_page(watch, page);
        }
        if (changed || watch->announced[page] || watch->followed[page]) {
            accept_page(watch, page);
        }
    }
}
