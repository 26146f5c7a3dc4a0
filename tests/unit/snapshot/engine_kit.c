/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_kit.c - see engine_kit.h. Lock order: kit.lock is a leaf. Mutators look at please_park
 * after every store and sleep on the condition while the world is stopped.
 */
#include "engine_kit.h"

#include "memory_fake.h"
#include "ph_test.h"
#include "snap_epoch.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = SNAP_PAGE_SIZE };

/* ---- fake memories ------------------------------------------------------------------------- */

static struct snap_memory *fake_create(void **handle, uint64_t pages)
{
    *handle = memory_fake_create(pages, true);
    return memory_fake_memory(*handle);
}

static struct snap_memory *fake_create_untracked(void **handle, uint64_t pages)
{
    *handle = memory_fake_create(pages, false);
    return memory_fake_memory(*handle);
}

static struct snap_memory *fake_create_without_barrier(void **handle, uint64_t pages)
{
    *handle = memory_fake_create(pages, true);
    memory_fake_without_barrier(*handle);
    return memory_fake_memory(*handle);
}

static struct snap_memory *fake_create_trapping(void **handle, uint64_t pages)
{
    *handle = memory_fake_create(pages, false);
    memory_fake_trap(*handle, 1);
    return memory_fake_memory(*handle);
}

static struct snap_memory *fake_create_trapping_blocks(void **handle, uint64_t pages)
{
    *handle = memory_fake_create(pages, false);
    memory_fake_trap(*handle, 16);
    return memory_fake_memory(*handle);
}

static struct snap_memory *fake_restart(void **handle, uint64_t pages)
{
    (void)pages;
    memory_fake_reset(*handle);
    return memory_fake_memory(*handle);
}

static void fake_write(void *handle, uint64_t offset, const void *data, size_t length)
{
    memory_fake_write(handle, offset, data, length);
}

static void fake_destroy(void *handle)
{
    memory_fake_destroy(handle);
}

const struct kit_memory kit_fake_memory = {"fake memory", fake_create, fake_restart, fake_write,
                                           fake_destroy};
const struct kit_memory kit_fake_untracked_memory = {
    "fake memory without tracking", fake_create_untracked, fake_restart, fake_write, fake_destroy};

const struct kit_memory kit_fake_memory_without_barrier = {"fake memory without a barrier",
                                                           fake_create_without_barrier,
                                                           fake_restart, fake_write, fake_destroy};

const struct kit_memory kit_fake_trapping_memory = {"fake memory that catches stores",
                                                    fake_create_trapping, fake_restart, fake_write,
                                                    fake_destroy};
const struct kit_memory kit_fake_trapping_blocks = {"fake memory that catches stores by blocks",
                                                    fake_create_trapping_blocks, fake_restart,
                                                    fake_write, fake_destroy};

/* ---- the oracle's bytes -------------------------------------------------------------------- */

/* Whole heaps are copied and compared at every cut, while all mutators sleep. ThreadSanitizer has
 * nothing to find in that, and looking at each word of it would be much of a test's time: so these
 * are no calls of the C library, and are not instrumented. */
#if defined(__SANITIZE_THREAD__)
#define UNSEEN                                                                                     \
    __attribute__((noinline, no_sanitize("thread"), optimize("no-tree-loop-distribute-patterns")))

UNSEEN static void oracle_copy(void *to, const void *from, uint64_t pages)
{
    for (uint64_t i = 0; i < pages * PAGE / 8; i++) {
        ((uint64_t *)to)[i] = ((const uint64_t *)from)[i];
    }
}

UNSEEN static void oracle_clear(void *to, uint64_t pages)
{
    for (uint64_t i = 0; i < pages * PAGE / 8; i++) {
        ((uint64_t *)to)[i] = 0;
    }
}

UNSEEN static bool oracle_same(const void *page, const void *expected)
{
    uint64_t difference = 0;
    for (uint64_t i = 0; i < PAGE / 8; i++) {
        difference |= ((const uint64_t *)page)[i] ^ ((const uint64_t *)expected)[i];
    }
    return difference == 0;
}
#else
static void oracle_copy(void *to, const void *from, uint64_t pages)
{
    memcpy(to, from, pages * PAGE);
}

static void oracle_clear(void *to, uint64_t pages)
{
    memset(to, 0, pages * PAGE);
}

static bool oracle_same(const void *page, const void *expected)
{
    return memcmp(page, expected, PAGE) == 0;
}
#endif

/* ---- the world ----------------------------------------------------------------------------- */

static void park_while_stopped(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    if (kit->stopping) {
        kit->parked++;
        pthread_cond_broadcast(&kit->changed);
        while (kit->stopping) {
            pthread_cond_wait(&kit->changed, &kit->lock);
        }
        kit->parked--;
    }
    pthread_mutex_unlock(&kit->lock);
}

/** A page that only this mutator touches: written, or given back. */
static void use_own_page(struct kit_mutator *self)
{
    uint64_t page = self->own_first + ph_rng_below(&self->rng, self->own_pages);
    uint64_t value = ph_rng_next(&self->rng);
    if (value % 4 == 0) {
        assert_int_equal(snap_engine_discard(self->kit->engine, page, 1), 0);
    } else {
        kit_write(self->kit, page * PAGE + value % 500 * 8, &value, sizeof(value));
    }
}

static void *mutate(void *argument)
{
    struct kit_mutator *self = argument;
    struct kit *kit = self->kit;
    while (!atomic_load_explicit(&kit->quit, memory_order_relaxed)) {
        bool hot = self->hot_pages != 0 && ph_rng_below(&self->rng, 16) != 0;
        uint64_t page = ph_rng_below(&self->rng, hot ? self->hot_pages : self->pages);
        uint64_t line = ph_rng_below(&self->rng, PAGE / 128);
        uint64_t value = ph_rng_next(&self->rng);
        kit_write(kit, page * PAGE + line * 128 + self->slot * 8, &value, sizeof(value));
        if (self->own_pages != 0) {
            use_own_page(self);
        }
        atomic_fetch_add_explicit(&kit->stores, 1, memory_order_relaxed);
        if (atomic_load_explicit(&kit->please_park, memory_order_relaxed)) {
            park_while_stopped(kit);
        }
    }
    return NULL;
}

static int world_stop(void *context, int timeout_ms)
{
    struct kit *kit = context;
    kit->stops++;
    if (kit->before_stop != NULL) {
        kit->before_stop(kit);
    }
    if (kit->stop_result != 0) {
        return kit->stop_result;
    }
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60; /* a loaded machine is no finding; stop_result plays the timeout */
    (void)timeout_ms;
    int rc = 0;
    pthread_mutex_lock(&kit->lock);
    kit->stopping = true;
    atomic_store(&kit->please_park, true);
    while (rc == 0 && kit->parked < kit->mutator_count) {
        rc = pthread_cond_timedwait(&kit->changed, &kit->lock, &deadline);
    }
    if (rc != 0) {
        kit->stopping = false;
        atomic_store(&kit->please_park, false);
        pthread_cond_broadcast(&kit->changed);
    }
    pthread_mutex_unlock(&kit->lock);
    return rc == 0 ? 0 : PHANTOM_ETIMEOUT;
}

static void world_resume(void *context)
{
    struct kit *kit = context;
    kit->resumes++;
    oracle_copy(kit->at_cut, kit->memory->base, kit->heap_pages);
    oracle_clear(kit->at_cut + kit->heap_pages * PAGE, kit->pages - kit->heap_pages);
    if (kit->after_cut != NULL) {
        kit->after_cut(kit);
    }
    pthread_mutex_lock(&kit->lock);
    kit->stopping = false;
    atomic_store(&kit->please_park, false);
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
}

static uint64_t world_heap_pages(void *context)
{
    struct kit *kit = context;
    return kit->claimed_pages != 0 ? kit->claimed_pages : kit->heap_pages;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void open_store(struct kit *kit)
{
    struct snap_recovery recovery;
    int rc = snap_store_open(kit->faulty, 0, &kit->store, &recovery, &kit->diag);
    if (rc != 0) {
        fail_msg("store does not open: %s: %s", phantom_err_name(rc), kit->diag.text);
    }
}

int kit_open_engine(struct kit *kit)
{
    struct snap_world world = {kit, world_stop, world_resume, world_heap_pages};
    return snap_engine_open(kit->memory, kit->store, &world, &kit->options, &kit->engine,
                            &kit->diag);
}

void kit_begin_with(struct kit *kit, const struct kit_kind *kind, uint64_t pages,
                    const struct snap_engine_options *options)
{
    *kit = (struct kit){.kind = kind, .pages = pages, .heap_pages = pages, .options = *options};
    kit->options.strategy = kind->strategy;
    kit->options.all_stores_marked = kind->marked;
    /* kit_write() announces; but what is chosen automatically depends on the memory alone. */
    kit->options.all_stores_announced =
        kind->strategy != NULL && strcmp(kind->strategy, "epoch") == 0;
    kit->diag.size = sizeof(kit->diag);
    kit->memory = kind->memory->create(&kit->handle, pages);
    assert_non_null(kit->memory);
    kit->at_cut = calloc(pages, PAGE);
    kit->committed = calloc(pages, PAGE);
    assert_true(kit->at_cut != NULL && kit->committed != NULL);
    pthread_mutex_init(&kit->lock, NULL);
    pthread_cond_init(&kit->changed, NULL);
    kit->disk = snap_io_memory_create(UINT64_C(4) << 30);
    assert_non_null(kit->disk);
    kit->faulty = io_faulty_create(kit->disk);
    assert_non_null(kit->faulty);
    struct snap_store_params params = {
        .compression = kind->compressed ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE,
        .heap_base = (uint64_t)(uintptr_t)kit->memory->base,
        .heap_size = pages * PAGE,
        .uuid = {1, 2, 3, 4},
        .retain_bytes = 1, /* keep as little as possible */
        .segment_bytes = 1 << 20,
    };
    assert_int_equal(snap_store_create(kit->faulty, &params, &kit->diag), 0);
    open_store(kit);
    int rc = kit_open_engine(kit);
    if (rc != 0) {
        fail_msg("engine does not open: %s: %s", phantom_err_name(rc), kit->diag.text);
    }
}

void kit_begin(struct kit *kit, const struct kit_kind *kind, uint64_t pages)
{
    struct snap_engine_options options = {.staging_pages = 256, .check_against_heap = true};
    kit_begin_with(kit, kind, pages, &options);
}

void kit_end(struct kit *kit)
{
    snap_engine_close(kit->engine);
    snap_store_close(kit->store);
    io_faulty_destroy(kit->faulty);
    kit->disk->ops->close(kit->disk);
    kit->kind->memory->destroy(kit->handle);
    pthread_cond_destroy(&kit->changed);
    pthread_mutex_destroy(&kit->lock);
    free(kit->at_cut);
    free(kit->committed);
}

int kit_try_reopen(struct kit *kit)
{
    snap_engine_close(kit->engine);
    kit->engine = NULL;
    snap_store_close(kit->store);
    kit->store = NULL;
    kit->memory = kit->kind->memory->restart(&kit->handle, kit->pages);
    assert_non_null(kit->memory);
    open_store(kit);
    return kit_open_engine(kit);
}

void kit_reopen(struct kit *kit)
{
    int rc = kit_try_reopen(kit);
    if (rc != 0) {
        fail_msg("engine does not open: %s: %s", phantom_err_name(rc), kit->diag.text);
    }
    kit_expect_heap(kit, kit->committed);
}

void kit_expect_heap(struct kit *kit, const uint8_t *expected)
{
    for (uint64_t page = 0; page < kit->pages; page++) {
        if (!oracle_same(kit->memory->base + page * PAGE, expected + page * PAGE)) {
            fail_msg("%s: page %llu of the heap is not what was committed", kit->kind->name,
                     (unsigned long long)page);
        }
    }
}

void kit_expect_written(struct kit *kit, uint64_t pages)
{
    uint64_t together = kit->memory->ops->trap_pages > 1 ? kit->memory->ops->trap_pages : 1;
    assert_in_range(kit->report.generation.pages_written, pages, pages * together);
}

/* ---- use ----------------------------------------------------------------------------------- */

void kit_write(struct kit *kit, uint64_t offset, const void *data, size_t length)
{
    struct snap_epoch *epoch = kit->engine != NULL ? snap_engine_epoch(kit->engine) : NULL;
    for (uint64_t page = offset / PAGE; epoch != NULL && page <= (offset + length - 1) / PAGE;
         page++) {
        snap_before_store(epoch, page);
    }
    kit->kind->memory->write(kit->handle, offset, data, length);
    if (kit->kind->marked) {
        snap_mark_bytes(snap_engine_marks(kit->engine), offset, length);
    }
}

void kit_write_unmarked(struct kit *kit, uint64_t offset, const void *data, size_t length)
{
    kit->kind->memory->write(kit->handle, offset, data, length);
}

void kit_fill(struct kit *kit, uint64_t page, uint64_t value)
{
    uint64_t words[PAGE / sizeof(uint64_t)];
    struct ph_rng rng;
    ph_rng_init(&rng, page * 0x9e3779b97f4a7c15 + value);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        words[i] = ph_rng_next(&rng) | 1;
    }
    kit_write(kit, page * PAGE, words, sizeof(words));
}

void kit_fill_range(struct kit *kit, uint64_t first, uint64_t count, uint64_t value)
{
    for (uint64_t page = first; page < first + count; page++) {
        kit_fill(kit, page, value);
    }
}

int kit_snapshot(struct kit *kit)
{
    kit->diag.text[0] = '\0';
    int rc = snap_engine_snapshot(kit->engine, &kit->report, &kit->diag);
    if (rc == 0) {
        oracle_copy(kit->committed, kit->at_cut, kit->pages);
    }
    return rc;
}

void kit_snapshot_ok(struct kit *kit)
{
    int rc = kit_snapshot(kit);
    if (rc != 0) {
        fail_msg("%s: snapshot failed: %s: %s", kit->kind->name, phantom_err_name(rc),
                 kit->diag.text);
    }
}

void kit_start_mutators(struct kit *kit, unsigned count, uint64_t pages, uint64_t hot_pages,
                        uint64_t seed)
{
    assert_true(count <= KIT_MUTATORS_MOST && kit->mutator_count == 0);
    atomic_store(&kit->quit, false);
    kit->mutator_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct kit_mutator *mutator = &kit->mutators[i];
        *mutator = (struct kit_mutator){.kit = kit,
                                        .pages = pages,
                                        .hot_pages = hot_pages,
                                        .slot = i,
                                        .own_first = pages + i * kit->own_pages,
                                        .own_pages = kit->own_pages};
        assert_true(mutator->own_first + mutator->own_pages <= kit->pages);
        ph_rng_init(&mutator->rng, seed + i);
        assert_int_equal(pthread_create(&mutator->thread, NULL, mutate, mutator), 0);
    }
}

uint64_t kit_seed(uint64_t fallback)
{
    uint64_t seed = ph_rng_seed_from_environment(fallback);
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

void kit_let_discard(struct kit *kit, uint64_t own_pages)
{
    kit->own_pages = own_pages;
}

void kit_stop_mutators(struct kit *kit)
{
    atomic_store(&kit->quit, true);
    for (unsigned i = 0; i < kit->mutator_count; i++) {
        pthread_join(kit->mutators[i].thread, NULL);
    }
    kit->mutator_count = 0;
}

void kit_let_run(struct kit *kit, uint64_t stores)
{
    uint64_t goal = atomic_load(&kit->stores) + stores;
    while (atomic_load(&kit->stores) < goal) {
        sched_yield();
    }
}

void kit_disk_full(struct kit *kit, bool full)
{
    struct io_fault fault = {.ops = IO_OP_ALLOCATE,
                             .at = full ? 1 : 0,
                             .sticky = true,
                             .kind = IO_FAULT_ERROR,
                             .error = ENOSPC};
    io_faulty_set(kit->faulty, &fault);
}
