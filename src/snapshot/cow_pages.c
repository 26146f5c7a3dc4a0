/* SPDX-License-Identifier: Apache-2.0
 *
 * cow_pages.c - see cow_pages.h.
 *
 * Owns the page words, the two sets and the images. No locks. What orders things:
 *  - a page word is stored (at least with release) after the copy, or the bookkeeping, it vouches
 *    for, and loaded with acquire before the page is touched;
 *  - an image is published by setting its bit in `ready` (release) before the word opens;
 *  - a page enters the changed set before its word opens, so that an open page is always in it;
 *  - to sleep: count oneself in `waiting`, read `turn`, look again at what one waits for, sleep
 *    while `turn` is the same. To wake: change the thing, then look at `waiting`. All four are
 *    sequentially consistent operations, so that one of the two sees the other. (Fences between
 *    weaker ones would do as well; ThreadSanitizer does not know fences.)
 */
#include "cow_pages.h"

#include "capture.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"
#include "snap_store.h"

#include <errno.h>
#include <string.h>

enum { BITS = 64 };

#define NO_IMAGE UINT32_MAX

struct cow_images {
    uint8_t *bytes;
    uint64_t *page;          /* which page the image is of */
    _Atomic uint64_t *free;  /* one bit an image: not in use */
    _Atomic uint64_t *ready; /* one bit an image: filled, to be staged */
    _Atomic uint32_t ready_count;
    uint32_t words;
    _Atomic uint32_t hint; /* word where a free one was seen last */
};

/* ---- images -------------------------------------------------------------------------------- */

static void images_destroy(struct cow_images *images)
{
    if (images == NULL) {
        return;
    }
    ph_free(images->bytes);
    ph_free(images->page);
    ph_free((void *)images->free);
    ph_free((void *)images->ready);
    ph_free(images);
}

static struct cow_images *images_create(uint32_t count)
{
    struct cow_images *images = ph_zalloc(1, sizeof(*images));
    if (images == NULL) {
        return NULL;
    }
    images->words = (count + BITS - 1) / BITS;
    count = images->words * BITS;
    images->bytes = ph_alloc_aligned(SNAP_PAGE_SIZE, (size_t)count * SNAP_PAGE_SIZE);
    images->page = ph_zalloc(count, sizeof(*images->page));
    images->free = ph_zalloc(images->words, sizeof(*images->free));
    images->ready = ph_zalloc(images->words, sizeof(*images->ready));
    if (images->bytes == NULL || images->page == NULL || images->free == NULL ||
        images->ready == NULL) {
        images_destroy(images);
        return NULL;
    }
    for (uint32_t i = 0; i < images->words; i++) {
        atomic_init(&images->free[i], UINT64_MAX);
    }
    return images;
}

static uint8_t *image_bytes(const struct cow_images *images, uint32_t image)
{
    return images->bytes + (size_t)image * SNAP_PAGE_SIZE;
}

static uint32_t image_take(struct cow_images *images)
{
    uint32_t start = atomic_load_explicit(&images->hint, memory_order_relaxed);
    for (uint32_t i = 0; i < images->words; i++) {
        uint32_t word = (start + i) % images->words;
        uint64_t bits = atomic_load(&images->free[word]);
        while (bits != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(bits);
            if (atomic_compare_exchange_weak(&images->free[word], &bits,
                                             bits & ~(UINT64_C(1) << bit))) {
                atomic_store_explicit(&images->hint, word, memory_order_relaxed);
                return word * BITS + bit;
            }
        }
    }
    return NO_IMAGE;
}

static void image_give_back(struct cow_images *images, uint32_t image)
{
    atomic_fetch_or(&images->free[image / BITS], UINT64_C(1) << (image % BITS));
}

static bool images_any_free(const struct cow_images *images)
{
    for (uint32_t i = 0; i < images->words; i++) {
        if (atomic_load(&images->free[i]) != 0) {
            return true;
        }
    }
    return false;
}

static void image_publish(struct cow_images *images, uint32_t image)
{
    atomic_fetch_or(&images->ready[image / BITS], UINT64_C(1) << (image % BITS));
    atomic_fetch_add(&images->ready_count, 1);
}

/* ---- waiting ------------------------------------------------------------------------------- */

/** What was changed before was changed by a sequentially consistent operation. */
static void wake(struct cow_pages *cow)
{
    if (atomic_load(&cow->waiting) != 0) {
        atomic_fetch_add(&cow->turn, 1);
        cow->memory->ops->wake(cow->memory, &cow->turn);
    }
}

/** Sleep until something was settled, unless `ready` says that there is nothing to wait for; it
 *  looks with sequentially consistent loads. */
static void wait_until(struct cow_pages *cow,
                       bool (*ready)(const struct cow_pages *cow, uint64_t page), uint64_t page)
{
    atomic_fetch_add(&cow->waiting, 1);
    uint32_t turn = atomic_load(&cow->turn);
    if (!ready(cow, page)) {
        cow->memory->ops->wait(cow->memory, &cow->turn, turn);
    }
    atomic_fetch_sub(&cow->waiting, 1);
}

/* ---- words --------------------------------------------------------------------------------- */

static uint8_t now_of(const struct cow_pages *cow)
{
    return atomic_load_explicit(&cow->epoch.now, memory_order_relaxed);
}

static uint8_t before_of(const struct cow_pages *cow)
{
    return (uint8_t)(SNAP_PAGE_OPEN_EVEN + SNAP_PAGE_OPEN_ODD - now_of(cow));
}

static uint8_t word_of(const struct cow_pages *cow, uint64_t page)
{
    return atomic_load_explicit(&cow->epoch.word[page], memory_order_acquire);
}

static void set_word(struct cow_pages *cow, uint64_t page, uint8_t word)
{
    atomic_store(&cow->epoch.word[page], word);
    wake(cow);
}

static bool exchange_word(struct cow_pages *cow, uint64_t page, uint8_t expected, uint8_t word)
{
    return atomic_compare_exchange_strong(&cow->epoch.word[page], &expected, word);
}

static struct atomic_page_set *set_of(struct cow_pages *cow, uint8_t open)
{
    return &cow->changed[open - SNAP_PAGE_OPEN_EVEN];
}

static bool may_go_on(const struct cow_pages *cow, uint64_t page)
{
    uint8_t word = atomic_load(&cow->epoch.word[page]);
    return word != SNAP_PAGE_CLAIMED && (word != before_of(cow) || images_any_free(cow->images));
}

static bool is_ready(const struct cow_pages *cow, uint64_t page)
{
    (void)page;
    return cow_pages_have_images(cow);
}

/* ---- init and finish ----------------------------------------------------------------------- */

int cow_pages_init(struct cow_pages *cow, struct snap_memory *memory, uint32_t image_count)
{
    memset(cow, 0, sizeof(*cow));
    cow->memory = memory;
    atomic_init(&cow->epoch.now, SNAP_PAGE_OPEN_EVEN);
    cow->epoch.word = ph_zalloc(memory->page_count, sizeof(*cow->epoch.word));
    cow->images = images_create(image_count);
    int rc = atomic_page_set_init(&cow->changed[0], memory->page_count);
    int rc2 = atomic_page_set_init(&cow->changed[1], memory->page_count);
    if (cow->epoch.word == NULL || cow->images == NULL || rc != 0 || rc2 != 0) {
        cow_pages_finish(cow);
        return -ENOMEM;
    }
    return 0;
}

void cow_pages_finish(struct cow_pages *cow)
{
    ph_free((void *)cow->epoch.word);
    cow->epoch.word = NULL;
    images_destroy(cow->images);
    cow->images = NULL;
    atomic_page_set_finish(&cow->changed[0]);
    atomic_page_set_finish(&cow->changed[1]);
}

/* ---- storing threads ----------------------------------------------------------------------- */

/** Save the before-image of a frozen page, which ends with the word `then`. False: nothing was
 *  done, look at the word again. */
static bool save_image(struct cow_pages *cow, uint64_t page, uint8_t then)
{
    uint32_t image = image_take(cow->images);
    if (image == NO_IMAGE) {
        wait_until(cow, may_go_on, page);
        return false;
    }
    if (!exchange_word(cow, page, before_of(cow), SNAP_PAGE_CLAIMED)) {
        image_give_back(cow->images, image);
        wake(cow);
        return false;
    }
    PH_POINT("page claimed");
    if (!PH_MUTANT(IMAGE_AFTER_STORE)) {
        capture_copy(image_bytes(cow->images, image), cow->memory->base + page * SNAP_PAGE_SIZE);
    }
    cow->images->page[image] = page;
    if (then != SNAP_PAGE_CLEAN) {
        atomic_page_set_add(set_of(cow, then), page);
    }
    PH_POINT("image not published");
    image_publish(cow->images, image);
    PH_POINT("word not opened");
    set_word(cow, page, then);
    return true;
}

void cow_pages_before_store(struct cow_pages *cow, uint64_t page)
{
    uint8_t now = now_of(cow);
    for (;;) {
        uint8_t word = word_of(cow, page);
        if (word == now) {
            return;
        }
        if (word == SNAP_PAGE_CLEAN) {
            atomic_page_set_add(set_of(cow, now), page);
            PH_POINT("in the set, not open");
            (void)exchange_word(cow, page, SNAP_PAGE_CLEAN, now);
        } else if (word == SNAP_PAGE_CLAIMED) {
            wait_until(cow, may_go_on, page);
        } else {
            (void)save_image(cow, page, now);
        }
    }
}

void snap_epoch_first_store(struct snap_epoch *epoch, uint64_t page)
{
    cow_pages_before_store((struct cow_pages *)epoch, page);
}

void cow_pages_before_discard(struct cow_pages *cow, uint64_t page, bool forget)
{
    uint8_t now = now_of(cow);
    for (;;) {
        uint8_t word = word_of(cow, page);
        if (word == SNAP_PAGE_CLEAN) {
            return;
        }
        if (word == SNAP_PAGE_CLAIMED) {
            wait_until(cow, may_go_on, page);
        } else if (word != now) {
            (void)save_image(cow, page, SNAP_PAGE_CLEAN);
        } else if (!forget) {
            return;
        } else if (PH_MUTANT(DISCARD_UNCLAIMED) ||
                   exchange_word(cow, page, now, SNAP_PAGE_CLAIMED)) {
            /* Claimed meanwhile: cow_pages_reopen() must not find it open and out of the set. */
            PH_POINT("discard claimed");
            atomic_page_set_remove(set_of(cow, now), page);
            if (PH_MUTANT(DISCARD_UNCLAIMED)) {
                cow_pages_reopen(cow, page); /* the thread that ends a snapshot, at the moment */
            }
            if (PH_MUTANT(DISCARD_NOT_REARMED)) {
                set_word(cow, page, now);
                return;
            }
            set_word(cow, page, SNAP_PAGE_CLEAN);
        }
    }
}

/* ---- the thread that takes the snapshot ----------------------------------------------------- */

uint64_t cow_pages_changed(const struct cow_pages *cow)
{
    return atomic_load_explicit(&cow->changed[now_of(cow) - SNAP_PAGE_OPEN_EVEN].members,
                                memory_order_relaxed);
}

const struct atomic_page_set *cow_pages_frozen(const struct cow_pages *cow)
{
    return &cow->changed[before_of(cow) - SNAP_PAGE_OPEN_EVEN];
}

void cow_pages_reopen(struct cow_pages *cow, uint64_t page)
{
    uint8_t now = now_of(cow);
    uint8_t before = before_of(cow);
    for (;;) {
        uint8_t word = word_of(cow, page);
        if (word == SNAP_PAGE_CLAIMED) {
            wait_until(cow, may_go_on, page);
            continue;
        }
        /* First into the set: a discard that comes in between must find the page open to take it
         * out again. */
        atomic_page_set_add(set_of(cow, now), page);
        PH_POINT("reopened in the set");
        if (word == now && word_of(cow, page) == now) {
            return;
        }
        if (word != now && exchange_word(cow, page, word, now)) {
            cow->frozen_left -= word == before;
            wake(cow);
            return;
        }
    }
}

void cow_pages_freeze(struct cow_pages *cow)
{
    PH_CHECK(cow->frozen_left == 0);
    uint8_t now = before_of(cow);
    PH_CHECK(atomic_load_explicit(&set_of(cow, now)->members, memory_order_relaxed) == 0);
    cow->frozen_left = cow_pages_changed(cow);
    atomic_store(&cow->epoch.now, now);
}

bool cow_pages_unsettled(const struct cow_pages *cow, uint64_t page)
{
    return word_of(cow, page) == before_of(cow);
}

bool cow_pages_claim(struct cow_pages *cow, uint64_t page)
{
    return exchange_word(cow, page, before_of(cow), SNAP_PAGE_CLAIMED);
}

void cow_pages_release(struct cow_pages *cow, uint64_t page, bool copied)
{
    cow->frozen_left -= copied;
    set_word(cow, page, copied ? (uint8_t)SNAP_PAGE_CLEAN : before_of(cow));
}

bool cow_pages_have_images(const struct cow_pages *cow)
{
    return atomic_load(&cow->images->ready_count) != 0;
}

int cow_pages_take_images(struct cow_pages *cow,
                          int (*visit)(void *context, uint64_t page, const void *image),
                          void *context)
{
    struct cow_images *images = cow->images;
    int rc = 0;
    for (uint32_t word = 0; rc == 0 && word < images->words; word++) {
        uint64_t bits = atomic_exchange(&images->ready[word], 0);
        PH_POINT("images taken");
        while (rc == 0 && bits != 0) {
            uint32_t image = word * BITS + (uint32_t)__builtin_ctzll(bits);
            if (PH_MUTANT(IMAGE_AFTER_STORE)) {
                capture_copy(image_bytes(images, image),
                             cow->memory->base + images->page[image] * SNAP_PAGE_SIZE);
            }
            rc = visit(context, images->page[image], image_bytes(images, image));
            if (rc == 0) {
                bits &= bits - 1;
                cow->frozen_left--;
                atomic_fetch_sub(&images->ready_count, 1);
                image_give_back(images, image);
                wake(cow);
            }
        }
        if (bits != 0) {
            atomic_fetch_or(&images->ready[word], bits);
        }
    }
    return rc;
}

void cow_pages_await_image(struct cow_pages *cow)
{
    wait_until(cow, is_ready, 0);
}

static int drop_image(void *context, uint64_t page, const void *image)
{
    (void)context;
    (void)page;
    (void)image;
    return 0;
}

void cow_pages_thaw(struct cow_pages *cow, bool settled)
{
    struct atomic_page_set *frozen = set_of(cow, before_of(cow));
    if (!settled && PH_MUTANT(FROZEN_SET_FORGOTTEN)) {
        (void)cow_pages_take_images(cow, drop_image, NULL);
        cow->frozen_left = 0;
    } else if (!settled) {
        for (uint64_t page = atomic_page_set_next(frozen, 0); page != UINT64_MAX;
             page = atomic_page_set_next(frozen, page + 1)) {
            cow_pages_reopen(cow, page);
        }
        (void)cow_pages_take_images(cow, drop_image, NULL);
        cow->frozen_left = 0; /* what was staged before it failed had been counted already */
    }
    PH_CHECK(cow->frozen_left == 0);
    atomic_page_set_clear(frozen);
}
