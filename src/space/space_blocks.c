/* SPDX-License-Identifier: Apache-2.0
 *
 * space_blocks.c - which blocks of a space are free, and who takes slots from the others.
 *
 * Owns the descriptors except the bits of slots, header->top, and the volatile lists. Lock:
 * alloc->lock, a leaf (the host's discard() is called under it and must not call back).
 *
 * True whenever the lock is free: a block below `scanned` is unused in the bitmap if and only if
 * its descriptor is zero and it is in no run; blocks between `scanned` and `scan_end` count as used
 * unless they were freed since; blocks from header->top on are unused. The pages of unused blocks
 * read as zeros, because who frees a block discards it first.
 */
#include "space_blocks.h"

#include "ph_check.h"
#include "ph_points.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SCAN_PIECE = 256 };

_Noreturn void space_fatal(const struct space_alloc *alloc, const void *where, const char *what)
{
    char text[160];
    snprintf(text, sizeof(text), "space at %p: block %p: %s", (void *)alloc->base, where, what);
    ph_check_failed(__FILE__, __LINE__, text);
}

uint32_t space_head(uint64_t number, enum space_kind kind, unsigned class)
{
    uint64_t mix = (number * 256 + kind) * 256 + class;
    mix = (mix ^ (mix >> 29)) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)kind | class << 8 | (uint32_t)(mix >> 48) << 16;
}

bool space_head_valid(uint64_t number, uint32_t head)
{
    enum space_kind kind = space_head_kind(head);
    unsigned class = space_head_class(head);
    bool known =
        (kind == SPACE_SMALL && class < SPACE_CLASSES) || (kind == SPACE_LARGE && class == 0);
    return known && head == space_head(number, kind, class);
}

uint64_t space_valid_bits(const struct space_class *class, uint32_t word)
{
    uint64_t valid = UINT64_MAX;
    uint32_t begin = word * 64;
    if (class->slots < begin + 64) {
        valid = class->slots > begin ? (UINT64_C(1) << (class->slots - begin)) - 1 : 0;
    }
    if (class->first > begin) {
        valid &= class->first >= begin + 64 ? 0 : UINT64_MAX << (class->first - begin);
    }
    return valid;
}

bool space_block_has_free(const struct space_alloc *alloc, uint64_t number, unsigned class)
{
    const struct space_class *c = &alloc->class[class];
    _Atomic uint64_t *bits = space_bits(alloc, number, class);
    for (uint32_t word = 0; word < c->words; word++) {
        if ((~atomic_load(&bits[word]) & space_valid_bits(c, word)) != 0) {
            return true;
        }
    }
    return false;
}

static bool block_is_empty(const struct space_alloc *alloc, uint64_t number, unsigned class)
{
    _Atomic uint64_t *bits = space_bits(alloc, number, class);
    for (uint32_t word = 0; word < alloc->class[class].words; word++) {
        if (atomic_load(&bits[word]) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- the bitmap of used blocks; lock held --------------------------------------------------- */

static bool is_used(const struct space_alloc *alloc, uint64_t number)
{
    return (alloc->used[number / 64] >> (number % 64) & 1) != 0;
}

static void set_used(struct space_alloc *alloc, uint64_t number, uint64_t count, bool used)
{
    for (uint64_t i = number; i < number + count; i++) {
        if (used) {
            alloc->used[i / 64] |= UINT64_C(1) << (i % 64);
        } else {
            alloc->used[i / 64] &= ~(UINT64_C(1) << (i % 64));
        }
    }
    if (!used && number < alloc->lowest_free) {
        alloc->lowest_free = number;
    }
}

/** First unused block from `from` on, or block_count. */
static uint64_t next_unused(const struct space_alloc *alloc, uint64_t from)
{
    while (from < alloc->block_count) {
        uint64_t word = ~alloc->used[from / 64] >> (from % 64);
        if (word != 0) {
            from += (uint64_t)__builtin_ctzll(word);
            return from < alloc->block_count ? from : alloc->block_count;
        }
        from = (from / 64 + 1) * 64;
    }
    return alloc->block_count;
}

/** A run of unused blocks whose address is so aligned; lowest first. */
static uint64_t find_run(struct space_alloc *alloc, uint64_t count, uint64_t alignment)
{
    uint64_t at = next_unused(alloc, alloc->lowest_free);
    alloc->lowest_free = at;
    while (at < alloc->block_count) {
        uint64_t address = (uint64_t)(uintptr_t)space_block_start(alloc, at);
        uint64_t over = address & (alignment - 1);
        if (over != 0) {
            uint64_t skip = (alignment - over) / SPACE_BLOCK;
            if (skip >= alloc->block_count - at) {
                return SPACE_NO_BLOCK;
            }
            at += skip;
        }
        if (count > alloc->block_count - at) {
            return SPACE_NO_BLOCK;
        }
        uint64_t have = 0;
        while (have < count && !is_used(alloc, at + have)) {
            have++;
        }
        if (have == count) {
            return at;
        }
        at = next_unused(alloc, at + have);
    }
    return SPACE_NO_BLOCK;
}

/* ---- lists of blocks with free slots; lock held ---------------------------------------------- */

static void push(struct space_alloc *alloc, uint64_t number, unsigned class)
{
    uint32_t head = alloc->partial[class];
    alloc->next[number] = head;
    alloc->previous[number] = 0;
    if (head != 0) {
        alloc->previous[head - 1] = (uint32_t)number + 1;
    }
    alloc->partial[class] = (uint32_t)number + 1;
    alloc->partial_count[class]++;
}

static void unlink_block(struct space_alloc *alloc, uint64_t number, unsigned class)
{
    uint32_t next = alloc->next[number], previous = alloc->previous[number];
    if (previous != 0) {
        alloc->next[previous - 1] = next;
    } else {
        alloc->partial[class] = next;
    }
    if (next != 0) {
        alloc->previous[next - 1] = previous;
    }
    alloc->partial_count[class]--;
}

/** FULL becomes PARTIAL if it still is FULL and a slot is free. */
static void list_if_free(struct space_alloc *alloc, uint64_t number, unsigned class)
{
    uint8_t expected = SPACE_FULL;
    if (space_block_has_free(alloc, number, class) &&
        atomic_compare_exchange_strong(&alloc->state[number], &expected, SPACE_PARTIAL)) {
        push(alloc, number, class);
    }
}

/* ---- looking at what a restart left -----------------------------------------------------------
 */

/** One block that is not known. Returns how many blocks it speaks for. */
static uint64_t scan_block(struct space_alloc *alloc, uint64_t number)
{
    uint32_t head = atomic_load(&alloc->block[number].head);
    if (atomic_load(&alloc->state[number]) != SPACE_UNKNOWN) {
        return 1; /* freed, and perhaps taken again, since the space was opened */
    }
    if (head == 0) {
        atomic_store(&alloc->state[number], SPACE_UNUSED);
        set_used(alloc, number, 1, false);
        return 1;
    }
    if (!space_head_valid(number, head)) {
        space_fatal(alloc, space_block_start(alloc, number), "damaged descriptor");
    }
    if (space_head_kind(head) == SPACE_SMALL) {
        atomic_store(&alloc->state[number], SPACE_FULL);
        list_if_free(alloc, number, space_head_class(head));
        return 1;
    }
    uint64_t run = alloc->block[number].run;
    if (run == 0 || run > alloc->header->top - number) {
        space_fatal(alloc, space_block_start(alloc, number), "damaged run of blocks");
    }
    for (uint64_t i = 0; i < run; i++) {
        atomic_store_explicit(&alloc->state[number + i], SPACE_RUN, memory_order_relaxed);
    }
    return run;
}

/** Get to know some more blocks. False: all are known. */
static bool scan_some(struct space_alloc *alloc)
{
    for (int i = 0; i < SCAN_PIECE && alloc->scanned < alloc->scan_end; i++) {
        alloc->scanned += scan_block(alloc, alloc->scanned);
    }
    return alloc->scanned < alloc->scan_end;
}

/* ---- small blocks ------------------------------------------------------------------------------
 */

static void raise_top(struct space_alloc *alloc, uint64_t top)
{
    if (top > alloc->header->top) {
        space_will_write(alloc, alloc->header, sizeof(*alloc->header));
        alloc->header->top = top;
        space_wrote(alloc, alloc->header, sizeof(*alloc->header));
    }
}

static uint64_t find_run_scanning(struct space_alloc *alloc, uint64_t count, uint64_t alignment)
{
    uint64_t number = find_run(alloc, count, alignment);
    while (number == SPACE_NO_BLOCK && alloc->scanned < alloc->scan_end) {
        scan_some(alloc);
        number = find_run(alloc, count, alignment);
    }
    return number;
}

static uint64_t take_block(struct space_alloc *alloc, unsigned class)
{
    /* A bounded look at what is not known yet: a restart costs no pause, and a space that is not
     * known completely grows by a few blocks at most. */
    if (alloc->partial[class] == 0 && alloc->scanned < alloc->scan_end) {
        scan_some(alloc);
    }
    if (alloc->partial[class] != 0) {
        uint64_t number = alloc->partial[class] - 1;
        unlink_block(alloc, number, class);
        atomic_store(&alloc->state[number], SPACE_OWNED);
        return number;
    }
    uint64_t number = find_run_scanning(alloc, 1, 1);
    if (alloc->partial[class] != 0) { /* found while looking for an unused one */
        return take_block(alloc, class);
    }
    if (number == SPACE_NO_BLOCK) {
        return number;
    }
    set_used(alloc, number, 1, true);
    raise_top(alloc, number + 1);
    struct space_block *block = &alloc->block[number];
    space_will_write(alloc, block, sizeof(*block));
    atomic_store(&block->head, space_head(number, SPACE_SMALL, class));
    space_wrote(alloc, block, sizeof(*block));
    atomic_store(&alloc->state[number], SPACE_OWNED);
    return number;
}

uint64_t space_take_block(struct space_alloc *alloc, unsigned class)
{
    hal_mutex_lock(&alloc->lock);
    uint64_t number = take_block(alloc, class);
    hal_mutex_unlock(&alloc->lock);
    return number;
}

bool space_drop_full(struct space_alloc *alloc, uint64_t number, unsigned class)
{
    atomic_store(&alloc->state[number], SPACE_FULL);
    PH_POINT("given up as full");
    uint8_t expected = SPACE_FULL;
    /* A slot freed before the store above was not reported to anybody: look again. */
    return space_block_has_free(alloc, number, class) &&
           atomic_compare_exchange_strong(&alloc->state[number], &expected, SPACE_OWNED);
}

void space_drop_owned(struct space_alloc *alloc, uint64_t number, unsigned class)
{
    hal_mutex_lock(&alloc->lock);
    atomic_store(&alloc->state[number], SPACE_FULL);
    list_if_free(alloc, number, class);
    hal_mutex_unlock(&alloc->lock);
}

void space_list_block(struct space_alloc *alloc, uint64_t number)
{
    hal_mutex_lock(&alloc->lock);
    if (atomic_load(&alloc->state[number]) == SPACE_FULL) {
        list_if_free(alloc, number, space_head_class(atomic_load(&alloc->block[number].head)));
    }
    hal_mutex_unlock(&alloc->lock);
}

/** Lock held: these blocks hold nothing. */
static void release_blocks(struct space_alloc *alloc, uint64_t number, uint64_t count)
{
    alloc->host.discard(alloc->host.context, space_block_start(alloc, number), count * SPACE_BLOCK);
    for (uint64_t i = number; i < number + count; i++) {
        atomic_store(&alloc->state[i], SPACE_UNUSED);
    }
    set_used(alloc, number, count, false);
}

void space_maybe_release(struct space_alloc *alloc, uint64_t number, unsigned class)
{
    if (!block_is_empty(alloc, number, class)) {
        return;
    }
    PH_POINT("found empty");
    hal_mutex_lock(&alloc->lock);
    /* While the lock was not ours others may have done all this, and more. */
    struct space_block *block = &alloc->block[number];
    if (atomic_load(&alloc->state[number]) == SPACE_PARTIAL &&
        space_head_class(atomic_load(&block->head)) == class && alloc->partial_count[class] > 1 &&
        block_is_empty(alloc, number, class)) {
        unlink_block(alloc, number, class);
        space_will_write(alloc, block, sizeof(*block));
        atomic_store(&block->head, 0);
        space_wrote(alloc, block, sizeof(*block));
        release_blocks(alloc, number, 1);
    }
    hal_mutex_unlock(&alloc->lock);
}

/* ---- runs ---------------------------------------------------------------------------------------
 */

static uint64_t blocks_for(uint64_t bytes)
{
    return (bytes + SPACE_BLOCK - 1) / SPACE_BLOCK;
}

static void claim_run(struct space_alloc *alloc, uint64_t number, uint64_t count)
{
    set_used(alloc, number, count, true);
    raise_top(alloc, number + count);
    for (uint64_t i = number; i < number + count; i++) {
        atomic_store(&alloc->state[i], SPACE_RUN);
    }
}

static void describe_run(struct space_alloc *alloc, uint64_t number, uint64_t bytes)
{
    struct space_block *block = &alloc->block[number];
    space_will_write(alloc, block, sizeof(*block));
    block->run = (uint32_t)blocks_for(bytes);
    block->bytes = bytes;
    atomic_store(&block->head, space_head(number, SPACE_LARGE, 0));
    space_wrote(alloc, block, sizeof(*block));
}

uint64_t space_take_run(struct space_alloc *alloc, uint64_t bytes, uint64_t alignment)
{
    hal_mutex_lock(&alloc->lock);
    uint64_t number = find_run_scanning(alloc, blocks_for(bytes), alignment);
    if (number != SPACE_NO_BLOCK) {
        claim_run(alloc, number, blocks_for(bytes));
        describe_run(alloc, number, bytes);
    }
    hal_mutex_unlock(&alloc->lock);
    return number;
}

void space_free_run(struct space_alloc *alloc, uint64_t number)
{
    hal_mutex_lock(&alloc->lock);
    struct space_block *block = &alloc->block[number];
    uint32_t head = atomic_load(&block->head);
    if (!space_head_valid(number, head) || space_head_kind(head) != SPACE_LARGE) {
        space_fatal(alloc, space_block_start(alloc, number), "freed twice");
    }
    uint64_t count = block->run;
    if (count == 0 || count > alloc->header->top - number) {
        space_fatal(alloc, space_block_start(alloc, number), "damaged run of blocks");
    }
    space_will_write(alloc, block, sizeof(*block));
    atomic_store(&block->head, 0);
    block->run = 0;
    block->bytes = 0;
    space_wrote(alloc, block, sizeof(*block));
    release_blocks(alloc, number, count);
    hal_mutex_unlock(&alloc->lock);
}

bool space_resize_run(struct space_alloc *alloc, uint64_t number, uint64_t bytes)
{
    hal_mutex_lock(&alloc->lock);
    uint64_t old = alloc->block[number].bytes;
    uint64_t had = alloc->block[number].run, count = blocks_for(bytes);
    bool fits = true;
    for (uint64_t i = had; fits && i < count; i++) {
        fits = number + i < alloc->block_count && !is_used(alloc, number + i);
    }
    if (fits) {
        if (count > had) {
            claim_run(alloc, number + had, count - had);
        } else if (count < had) {
            release_blocks(alloc, number + count, had - count);
        }
        uint64_t kept = count * SPACE_BLOCK < old ? count * SPACE_BLOCK : old;
        if (bytes < kept) {
            alloc->host.discard(alloc->host.context, space_block_start(alloc, number) + bytes,
                                kept - bytes);
        }
        describe_run(alloc, number, bytes);
    }
    hal_mutex_unlock(&alloc->lock);
    return fits;
}
