/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_fake.c - see memory_fake.h. Owns the array and the two bitmaps (atomic words: mutators
 * mark while a scan clears). True between calls: a dirty page is resident; a hole reads as zeros.
 *
 * Bytes are stored with relaxed atomics, so that two mutators on one page are no data race for a
 * sanitizer; the engine reads them through capture_copy() or while the mutators are parked.
 */
#include "memory_fake.h"

#include "ph_check.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, BITS = 64 };

struct memory_fake {
    struct snap_memory memory; /* first: the engine holds its address */
    struct snap_memory_ops ops;
    _Atomic uint64_t *dirty;
    _Atomic uint64_t *resident;
    _Atomic uint64_t *open; /* trapping: pages that may be stored into */
    struct snap_page_guard guard;
    bool guarded;
    uint64_t words;
    memory_fake_hook hook;
    void *hook_context;
    void (*barrier_hook)(void *context);
    void *barrier_context;
    bool no_barrier;
    _Atomic uint64_t faults;
    int64_t fail_countdown;
    int fail_error;
};

static struct memory_fake *fake_of(struct snap_memory *memory)
{
    return (struct memory_fake *)memory;
}

static bool refused(struct memory_fake *fake)
{
    return fake->fail_countdown >= 0 && fake->fail_countdown-- == 0;
}

static bool bit_get(const _Atomic uint64_t *bits, uint64_t page)
{
    return (atomic_load_explicit(&bits[page / BITS], memory_order_acquire) >> (page % BITS) & 1) !=
           0;
}

/** True if it was set already. */
static bool bit_set(_Atomic uint64_t *bits, uint64_t page)
{
    uint64_t bit = UINT64_C(1) << (page % BITS);
    return (atomic_fetch_or_explicit(&bits[page / BITS], bit, memory_order_acq_rel) & bit) != 0;
}

/** Clears; true if it was set. What was stored before the mark is seen by whoever clears it. */
static bool bit_take(_Atomic uint64_t *bits, uint64_t page)
{
    uint64_t bit = UINT64_C(1) << (page % BITS);
    return (atomic_fetch_and_explicit(&bits[page / BITS], ~bit, memory_order_acq_rel) & bit) != 0;
}

/** Collect the pages for which `take` says yes, merged. */
static int collect(struct memory_fake *fake, uint64_t first, uint64_t count,
                   bool (*take)(struct memory_fake *fake, uint64_t page), struct snap_range *ranges,
                   size_t capacity, uint64_t *resume)
{
    size_t n = 0;
    uint64_t page = first;
    PH_CHECK(first + count <= fake->memory.page_count && capacity > 0);
    for (; page < first + count; page++) {
        bool extends = n > 0 && ranges[n - 1].first + ranges[n - 1].count == page;
        if (!extends && n == capacity) {
            break; /* before taking: what is taken must be reported */
        }
        if (!take(fake, page)) {
            continue;
        }
        if (extends) {
            ranges[n - 1].count++;
        } else {
            ranges[n++] = (struct snap_range){.first = page, .count = 1};
        }
    }
    *resume = page;
    return (int)n;
}

static bool take_dirty(struct memory_fake *fake, uint64_t page)
{
    return bit_take(fake->dirty, page);
}

static bool see_dirty(struct memory_fake *fake, uint64_t page)
{
    return bit_get(fake->dirty, page);
}

static bool see_resident(struct memory_fake *fake, uint64_t page)
{
    return bit_get(fake->resident, page);
}

static int fake_scan(struct snap_memory *memory, uint64_t first, uint64_t count, unsigned flags,
                     struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    struct memory_fake *fake = fake_of(memory);
    PH_CHECK(fake->ops.tracks);
    if (refused(fake)) { /* as the kernel may: what was protected is not reported */
        for (uint64_t page = first; (flags & SNAP_SCAN_PROTECT) != 0 && page < first + count;
             page++) {
            (void)bit_take(fake->dirty, page);
        }
        return -fake->fail_error;
    }
    if (fake->hook != NULL) {
        fake->hook(fake->hook_context, flags);
    }
    return collect(fake, first, count, (flags & SNAP_SCAN_PROTECT) != 0 ? take_dirty : see_dirty,
                   ranges, capacity, resume);
}

static int fake_resident(struct snap_memory *memory, uint64_t first, uint64_t count,
                         struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    struct memory_fake *fake = fake_of(memory);
    if (refused(fake)) {
        return -fake->fail_error;
    }
    return collect(fake, first, count, see_resident, ranges, capacity, resume);
}

static int fake_populate(struct snap_memory *memory, uint64_t first, uint64_t count,
                         const void *data)
{
    struct memory_fake *fake = fake_of(memory);
    PH_CHECK(first + count <= memory->page_count);
    memcpy(memory->base + first * PAGE, data, count * PAGE);
    for (uint64_t page = first; page < first + count; page++) {
        bit_set(fake->resident, page);
        bit_take(fake->dirty, page);
    }
    return 0;
}

static int fake_protect_all(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    for (uint64_t page = first; page < first + count; page++) {
        bit_take(fake_of(memory)->open, page);
        bit_take(fake_of(memory)->dirty, page);
    }
    return 0;
}

static int fake_discard(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    struct memory_fake *fake = fake_of(memory);
    if (refused(fake)) {
        return -fake->fail_error;
    }
    memset(memory->base + first * PAGE, 0, count * PAGE);
    for (uint64_t page = first; page < first + count; page++) {
        bit_take(fake->resident, page);
        bit_take(fake->dirty, page); /* as with MADV_DONTNEED: no trace is left */
        if (fake->ops.trap_pages == 1) {
            bit_take(fake->open, page);
        }
    }
    return 0;
}

/** memory_fake_write() drains its stores by itself; what is left to play is the moment. */
static int fake_barrier(struct snap_memory *memory)
{
    struct memory_fake *fake = fake_of(memory);
    if (fake->barrier_hook != NULL) {
        fake->barrier_hook(fake->barrier_context);
    }
    return fake->no_barrier ? -ENOSYS : 0;
}

static void fake_wait(struct snap_memory *memory, _Atomic uint32_t *word, uint32_t expected)
{
    (void)memory;
    if (atomic_load(word) == expected) {
        sched_yield();
    }
}

static void fake_wake(struct snap_memory *memory, _Atomic uint32_t *word)
{
    (void)memory;
    (void)word;
}

static int fake_guard(struct snap_memory *memory, const struct snap_page_guard *guard)
{
    struct memory_fake *fake = fake_of(memory);
    fake->guarded = guard != NULL;
    if (guard != NULL) {
        fake->guard = *guard;
    }
    return fake_protect_all(memory, 0, memory->page_count);
}

/** As a fault: the guard, then the pages that open together, then the store. */
static void announce_store(struct memory_fake *fake, uint64_t page)
{
    if (!fake->guarded || bit_get(fake->open, page)) {
        return;
    }
    uint64_t first = page / fake->ops.trap_pages * fake->ops.trap_pages;
    uint64_t end = first + fake->ops.trap_pages;
    end = end < fake->memory.page_count ? end : fake->memory.page_count;
    fake->guard.before_store(fake->guard.context, first, end - first);
    for (; first < end; first++) {
        bit_set(fake->open, first);
    }
}

void memory_fake_trap(struct memory_fake *fake, uint32_t trap_pages)
{
    fake->ops.trap = "any";
    fake->ops.trap_pages = trap_pages;
    fake->ops.guard = fake_guard;
}

static int fake_freeze(struct snap_memory *memory, void **frozen)
{
    if (refused(fake_of(memory))) {
        return -fake_of(memory)->fail_error;
    }
    *frozen = malloc(memory->page_count * PAGE);
    PH_CHECK(*frozen != NULL);
    memcpy(*frozen, memory->base, memory->page_count * PAGE);
    return 0;
}

static int fake_read_frozen(struct snap_memory *memory, void *frozen, uint64_t first,
                            uint64_t count, void *out)
{
    if (refused(fake_of(memory))) {
        return -fake_of(memory)->fail_error;
    }
    memcpy(out, (uint8_t *)frozen + first * PAGE, count * PAGE);
    return 0;
}

static void fake_thaw(struct snap_memory *memory, void *frozen)
{
    (void)memory;
    free(frozen);
}

static void fake_close(struct snap_memory *memory)
{
    (void)memory;
}

static uint64_t fake_faults(struct snap_memory *memory)
{
    return atomic_load_explicit(&fake_of(memory)->faults, memory_order_relaxed);
}

void memory_fake_count_faults(struct memory_fake *fake)
{
    fake->ops.faults = fake_faults;
}

struct memory_fake *memory_fake_create(uint64_t page_count, bool tracks)
{
    struct memory_fake *fake = calloc(1, sizeof(*fake));
    PH_CHECK(fake != NULL);
    fake->ops = (struct snap_memory_ops){
        .name = "fake memory",
        .tracks = tracks,
        .scan = fake_scan,
        .resident = fake_resident,
        .populate = fake_populate,
        .protect_all = fake_protect_all,
        .discard = fake_discard,
        .wait = fake_wait,
        .wake = fake_wake,
        .freeze = fake_freeze,
        .read_frozen = fake_read_frozen,
        .thaw = fake_thaw,
        .close = fake_close,
        .barrier = fake_barrier,
    };
    fake->words = (page_count + BITS - 1) / BITS;
    fake->dirty = calloc(fake->words, sizeof(*fake->dirty));
    fake->resident = calloc(fake->words, sizeof(*fake->resident));
    fake->open = calloc(fake->words, sizeof(*fake->open));
    fake->memory.ops = &fake->ops;
    fake->memory.page_count = page_count;
    fake->memory.base = aligned_alloc(PAGE, page_count * PAGE);
    PH_CHECK(fake->dirty != NULL && fake->resident != NULL && fake->open != NULL &&
             fake->memory.base != NULL);
    memset(fake->memory.base, 0, page_count * PAGE);
    fake->fail_countdown = -1;
    return fake;
}

void memory_fake_destroy(struct memory_fake *fake)
{
    if (fake != NULL) {
        free(fake->memory.base);
        free(fake->dirty);
        free(fake->resident);
        free(fake->open);
        free(fake);
    }
}

struct snap_memory *memory_fake_memory(struct memory_fake *fake)
{
    return &fake->memory;
}

void memory_fake_reset(struct memory_fake *fake)
{
    memset(fake->memory.base, 0, fake->memory.page_count * PAGE);
    for (uint64_t i = 0; i < fake->words; i++) {
        atomic_store(&fake->dirty[i], 0);
        atomic_store(&fake->resident[i], 0);
        atomic_store(&fake->open[i], 0);
    }
}

void memory_fake_write(struct memory_fake *fake, uint64_t offset, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    PH_CHECK(length > 0 && offset + length <= fake->memory.page_count * PAGE);
    for (uint64_t page = offset / PAGE; page <= (offset + length - 1) / PAGE; page++) {
        announce_store(fake, page);
        bit_set(fake->resident, page);
    }
    uint8_t *to = fake->memory.base + offset;
    size_t i = 0;
    for (; offset % 8 == 0 && i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        __atomic_store_n((uint64_t *)(void *)(to + i), word, __ATOMIC_RELAXED);
    }
    for (; i < length; i++) {
        __atomic_store_n(&to[i], bytes[i], __ATOMIC_RELAXED);
    }
    for (uint64_t page = offset / PAGE; page <= (offset + length - 1) / PAGE; page++) {
        if (!bit_set(fake->dirty, page)) {
            atomic_fetch_add_explicit(&fake->faults, 1, memory_order_relaxed);
        }
    }
}

void memory_fake_on_scan(struct memory_fake *fake, memory_fake_hook hook, void *context)
{
    fake->hook = hook;
    fake->hook_context = context;
}

void memory_fake_on_barrier(struct memory_fake *fake, void (*hook)(void *context), void *context)
{
    fake->barrier_hook = hook;
    fake->barrier_context = context;
}

void memory_fake_without_barrier(struct memory_fake *fake)
{
    fake->no_barrier = true;
}

void memory_fake_fail_after(struct memory_fake *fake, int64_t countdown, int error)
{
    fake->fail_countdown = countdown;
    fake->fail_error = error;
}

uint64_t memory_fake_dirty(const struct memory_fake *fake)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < fake->words; i++) {
        count += (uint64_t)__builtin_popcountll(atomic_load(&fake->dirty[i]));
    }
    return count;
}
