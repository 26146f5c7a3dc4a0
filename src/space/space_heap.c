/* SPDX-License-Identifier: Apache-2.0
 *
 * space_heap.c - threads, operations, memory and roots of the public interface: each call is put
 * inside an operation and handed to the allocator or the table of roots.
 *
 * Always true: the allocator and the table are changed only inside an operation, so a cut finds
 * them whole.
 */
#include "space_internal.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <string.h>

static bool is_forked(const struct phantom_space *space)
{
    return atomic_load_explicit(space->forked, memory_order_relaxed);
}

/* ---- threads ------------------------------------------------------------------------------------
 */

static struct space_thread *make_thread(struct phantom_space *space)
{
    struct space_thread *thread = ph_alloc_aligned(_Alignof(struct space_thread), sizeof(*thread));
    if (thread == NULL) {
        return NULL;
    }
    memset(thread, 0, sizeof(*thread));
    thread->space = space;
    if (hal_thread_key_set(space->key, thread) != 0) {
        ph_free(thread);
        return NULL;
    }
    space_gate_add(&space->gate, &thread->slot);
    hal_mutex_lock(&space->lock);
    thread->next = space->threads;
    if (space->threads != NULL) {
        space->threads->previous = thread;
    }
    space->threads = thread;
    hal_mutex_unlock(&space->lock);
    return thread;
}

struct space_thread *space_thread_here(struct phantom_space *space)
{
    if (__builtin_expect(is_forked(space), 0)) {
        return NULL;
    }
    struct space_thread *thread = space_thread_known(space);
    return __builtin_expect(thread != NULL, 1) ? thread : make_thread(space);
}

void space_thread_end(void *context)
{
    struct space_thread *thread = context;
    struct phantom_space *space = thread->space;
    if (is_forked(space)) {
        return;
    }
    PH_CHECK(thread->slot.depth == 0 && "a thread ends inside an operation");
    space_gate_enter(&space->gate, &thread->slot);
    space_cache_flush(space->alloc, &thread->cache);
    thread->slot.depth = 0;
    atomic_store(&thread->slot.inside, 0); /* not space_gate_leave(): nothing persistent happened */
    space_gate_wake(&space->gate);
    space_gate_remove(&space->gate, &thread->slot);
    hal_mutex_lock(&space->lock);
    if (thread->previous != NULL) {
        thread->previous->next = thread->next;
    } else {
        space->threads = thread->next;
    }
    if (thread->next != NULL) {
        thread->next->previous = thread->previous;
    }
    hal_mutex_unlock(&space->lock);
    ph_free(thread);
}

void space_threads_free(struct phantom_space *space)
{
    while (space->threads != NULL) {
        struct space_thread *thread = space->threads;
        space->threads = thread->next;
        ph_free(thread);
    }
}

static int no_thread(const struct phantom_space *space)
{
    return is_forked(space) ? PHANTOM_EFORKED : -ENOMEM;
}

int phantom_space_register_thread(struct phantom_space *space)
{
    return space_thread_here(space) != NULL ? 0 : no_thread(space);
}

void phantom_space_unregister_thread(struct phantom_space *space)
{
    struct space_thread *thread = is_forked(space) ? NULL : space_thread_known(space);
    if (thread != NULL) {
        (void)hal_thread_key_set(space->key, NULL);
        space_thread_end(thread);
    }
}

/* ---- operations ---------------------------------------------------------------------------------
 */

int phantom_space_enter(struct phantom_space *space)
{
    struct space_thread *thread = space_thread_here(space);
    if (thread == NULL) {
        return no_thread(space);
    }
    space_gate_enter(&space->gate, &thread->slot);
    return 0;
}

void phantom_space_leave(struct phantom_space *space)
{
    struct space_thread *thread = is_forked(space) ? NULL : space_thread_known(space);
    if (thread != NULL) {
        PH_CHECK(thread->slot.depth > 0 && "phantom_space_leave() without enter");
        space_gate_leave(&space->gate, &thread->slot);
    }
}

void phantom_space_safepoint(struct phantom_space *space)
{
    struct space_thread *thread = is_forked(space) ? NULL : space_thread_known(space);
    if (thread != NULL && thread->slot.depth > 0) {
        space_gate_safepoint(&space->gate, &thread->slot);
    }
}

void space_announce(void *context, const void *start, size_t bytes)
{
    struct phantom_space *space = context;
    if (space->marks != NULL && bytes > 0) {
        snap_mark_bytes(space->marks, (uint64_t)((const uint8_t *)start - space->memory->base),
                        bytes);
    }
}

/** The part of [address, address + length) that is in the range, as offsets. False: none. */
static bool clip(const struct phantom_space *space, const void *address, size_t length,
                 uint64_t *from, uint64_t *to)
{
    uint64_t base = (uint64_t)(uintptr_t)space->memory->base;
    uint64_t size = space->memory->page_count * SNAP_PAGE_SIZE;
    uint64_t begin = (uint64_t)(uintptr_t)address;
    uint64_t end = begin + length < begin ? UINT64_MAX : begin + length;
    begin = begin < base ? base : begin;
    end = end > base + size ? base + size : end;
    *from = begin - base;
    *to = end - base;
    return begin < end;
}

static void before_store(struct phantom_space *space, uint64_t from, uint64_t to)
{
    for (uint64_t page = from / SNAP_PAGE_SIZE; page <= (to - 1) / SNAP_PAGE_SIZE; page++) {
        snap_before_store(space->epoch, page);
    }
}

void space_announce_before(void *context, const void *start, size_t bytes)
{
    struct phantom_space *space = context;
    uint64_t from = (uint64_t)((const uint8_t *)start - space->memory->base);
    if (space->epoch != NULL && bytes > 0 && !PH_MUTANT(ALLOCATOR_STORES_SILENTLY)) {
        before_store(space, from, from + bytes);
    }
}

void phantom_space_will_write(struct phantom_space *space, const void *address, size_t length)
{
    uint64_t from, to;
    if (!is_forked(space) && space->epoch != NULL && clip(space, address, length, &from, &to)) {
        before_store(space, from, to);
    }
}

void phantom_space_wrote(struct phantom_space *space, const void *address, size_t length)
{
    uint64_t from, to;
    if (space->marks != NULL && !is_forked(space) && clip(space, address, length, &from, &to)) {
        snap_mark_bytes(space->marks, from, to - from);
    }
}

int phantom_space_load(struct phantom_space *space, const void *address, size_t length)
{
    uint64_t from, to;
    if (is_forked(space)) {
        return PHANTOM_EFORKED;
    }
    if (length == 0) {
        return 0;
    }
    if (!clip(space, address, length, &from, &to) || to - from != length) {
        return PHANTOM_EINVALID;
    }
    uint64_t first = from / SNAP_PAGE_SIZE, last = (to - 1) / SNAP_PAGE_SIZE;
    return snap_engine_load(space->engine, first, last - first + 1, NULL);
}

/* ---- memory -------------------------------------------------------------------------------------
 */

/** Begin an operation for one call of the allocator. NULL: not possible. */
static struct space_thread *begin(struct phantom_space *space)
{
    struct space_thread *thread = space_thread_here(space);
    if (thread != NULL) {
        space_gate_enter(&space->gate, &thread->slot);
    }
    return thread;
}

static void *end(struct space_thread *thread, void *result)
{
    space_gate_leave(&thread->space->gate, &thread->slot);
    return result;
}

void *phantom_space_malloc(struct phantom_space *space, size_t size)
{
    struct space_thread *thread = begin(space);
    return thread != NULL ? end(thread, space_malloc(space->alloc, &thread->cache, size)) : NULL;
}

void *phantom_space_calloc(struct phantom_space *space, size_t count, size_t size)
{
    struct space_thread *thread = begin(space);
    return thread != NULL ? end(thread, space_calloc(space->alloc, &thread->cache, count, size))
                          : NULL;
}

void *phantom_space_realloc(struct phantom_space *space, void *block, size_t size)
{
    struct space_thread *thread = begin(space);
    return thread != NULL ? end(thread, space_realloc(space->alloc, &thread->cache, block, size))
                          : NULL;
}

void *phantom_space_aligned_alloc(struct phantom_space *space, size_t alignment, size_t size)
{
    struct space_thread *thread = begin(space);
    return thread != NULL
               ? end(thread, space_aligned(space->alloc, &thread->cache, alignment, size))
               : NULL;
}

void phantom_space_free(struct phantom_space *space, void *block)
{
    struct space_thread *thread = block != NULL ? begin(space) : NULL;
    if (thread != NULL) {
        space_free(space->alloc, block);
        (void)end(thread, NULL);
    } else {
        /* A block exists, so the space had memory for it; only a thread's very first call can meet
         * this, and freeing nothing would be a leak that persists. */
        PH_CHECK((block == NULL || is_forked(space)) && "no memory to register a thread");
    }
}

size_t phantom_space_usable_size(struct phantom_space *space, const void *block)
{
    return is_forked(space) ? 0 : space_usable(space->alloc, block);
}

int phantom_space_usage(struct phantom_space *space, struct phantom_space_usage *out)
{
    if (is_forked(space)) {
        return PHANTOM_EFORKED;
    }
    if (out->size < sizeof(out->size) || out->size > sizeof(*out)) {
        return PHANTOM_EINVALID;
    }
    struct phantom_space_usage usage = {.size = out->size};
    space_count(space->alloc, &usage);
    memcpy(out, &usage, out->size);
    return 0;
}

int phantom_space_check(struct phantom_space *space, struct phantom_diag *diag)
{
    if (is_forked(space)) {
        return PHANTOM_EFORKED;
    }
    if (space_is_inside(space)) {
        return ph_fail(diag, PHANTOM_EINVALID, "called inside an operation");
    }
    int rc = space_gate_stop(&space->gate, (int)space->options.stop_timeout_ms);
    if (rc != 0) {
        return ph_fail(diag, rc, "an operation did not end in %u ms",
                       space->options.stop_timeout_ms);
    }
    struct phantom_diag found = PHANTOM_DIAG_INIT;
    rc = space_audit(space->alloc, &found);
    space_gate_resume(&space->gate);
    return rc == 0 ? 0 : ph_fail(diag, rc, "%s: %s", space->path, found.text);
}

/* ---- roots --------------------------------------------------------------------------------------
 */

void *phantom_space_root(struct phantom_space *space, const char *name)
{
    if (is_forked(space) || name == NULL) {
        return NULL;
    }
    hal_mutex_lock(&space->roots_lock);
    uint64_t value = space_root_get((const struct space_header *)(void *)space->memory->base, name);
    hal_mutex_unlock(&space->roots_lock);
    return (void *)(uintptr_t)value;
}

int phantom_space_set_root(struct phantom_space *space, const char *name, void *value)
{
    struct space_thread *thread = begin(space);
    if (thread == NULL) {
        return no_thread(space);
    }
    const struct space_alloc_host host = {
        .context = space, .will_write = space_announce_before, .wrote = space_announce};
    hal_mutex_lock(&space->roots_lock);
    int rc = space_root_put((struct space_header *)(void *)space->memory->base, &host, name,
                            (uint64_t)(uintptr_t)value);
    hal_mutex_unlock(&space->roots_lock);
    (void)end(thread, NULL);
    return rc;
}

int phantom_space_roots(struct phantom_space *space,
                        int (*visit)(void *context, const char *name, void *value), void *context)
{
    if (is_forked(space)) {
        return PHANTOM_EFORKED;
    }
    hal_mutex_lock(&space->roots_lock);
    int rc =
        space_root_each((const struct space_header *)(void *)space->memory->base, visit, context);
    hal_mutex_unlock(&space->roots_lock);
    return rc;
}
