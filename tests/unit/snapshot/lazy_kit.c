/* SPDX-License-Identifier: Apache-2.0
 *
 * lazy_kit.c - see lazy_kit.h. Lock order: lock and gate_lock are leaves. Two threads never write
 * the same word of heap or shadow, and the shadow is copied only while all are parked.
 */
#include "lazy_kit.h"

#include "hal_posix.h"
#include "io_forward.h"
#include "ph_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = SNAP_PAGE_SIZE };

bool lazy_compressed;

/* Free with and without the address and thread sanitizers. */
static const uint64_t BASE = UINT64_C(0x7e8000000000);

bool lazy_kit_possible(void)
{
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (probe.userfaultfd && probe.wp_async && probe.pagemap_scan) {
        return true;
    }
    printf("SKIP: this kernel (%s) does not track written pages for us\n", probe.kernel);
    return false;
}

/* ---- readers ------------------------------------------------------------------------------- */

struct kit_reader {
    struct io_forward forward;
    struct lazy_kit *kit;
    bool gated;
};

/** Wait at the gate, and fail if it is the turn. */
static int pass(struct kit_reader *reader)
{
    struct lazy_kit *kit = reader->kit;
    pthread_mutex_lock(&kit->gate_lock);
    while (reader->gated && kit->gate_closed && kit->passes_left == 0) {
        pthread_cond_wait(&kit->gate_changed, &kit->gate_lock);
    }
    kit->passes_left -= reader->gated && kit->passes_left > 0;
    pthread_mutex_unlock(&kit->gate_lock);
    int left = atomic_load(&kit->read_errors);
    while (left > 0 && !atomic_compare_exchange_weak(&kit->read_errors, &left, left - 1)) {
    }
    return left != 0 ? -EIO : 0;
}

static int reader_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct kit_reader *reader = (struct kit_reader *)io;
    int rc = pass(reader);
    struct snap_io *inner = reader->forward.inner;
    return rc != 0 ? rc : inner->ops->read(inner, offset, buffer, length);
}

static int reader_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct kit_reader *reader = (struct kit_reader *)io;
    int rc = pass(reader);
    struct snap_io *inner = reader->forward.inner;
    return rc != 0 ? rc : inner->ops->submit(inner, request);
}

static void reader_close(struct snap_io *io)
{
    struct kit_reader *reader = (struct kit_reader *)io;
    reader->forward.inner->ops->close(reader->forward.inner);
    free(reader);
}

static int open_reader(void *context, struct snap_io **out, struct phantom_diag *diag)
{
    struct lazy_kit *kit = context;
    struct snap_io *inner = NULL;
    int rc = hal_file_open(kit->path, HAL_FILE_READ_ONLY, &inner, diag);
    if (rc != 0) {
        return rc;
    }
    struct kit_reader *reader = calloc(1, sizeof(*reader));
    assert_non_null(reader);
    io_forward_init(&reader->forward, "reader", inner);
    reader->forward.ops.read = reader_read;
    reader->forward.ops.submit = reader_submit;
    reader->forward.ops.close = reader_close;
    reader->kit = kit;
    reader->gated = kit->readers_opened++ % LAZY_READERS == LAZY_BULK_READER;
    *out = &reader->forward.io;
    return 0;
}

void lazy_gate_after(struct lazy_kit *kit, int reads)
{
    pthread_mutex_lock(&kit->gate_lock);
    kit->passes_left = reads;
    pthread_cond_broadcast(&kit->gate_changed);
    pthread_mutex_unlock(&kit->gate_lock);
}

void lazy_gate(struct lazy_kit *kit, bool closed)
{
    pthread_mutex_lock(&kit->gate_lock);
    kit->gate_closed = closed;
    kit->passes_left = 0;
    pthread_cond_broadcast(&kit->gate_changed);
    pthread_mutex_unlock(&kit->gate_lock);
}

/* ---- the world ----------------------------------------------------------------------------- */

static int world_stop(void *context, int timeout_ms)
{
    struct lazy_kit *kit = context;
    (void)timeout_ms;
    pthread_mutex_lock(&kit->lock);
    kit->stopping = true;
    atomic_store(&kit->please_park, true);
    while (kit->parked < kit->mutator_count) {
        pthread_cond_wait(&kit->changed, &kit->lock);
    }
    pthread_mutex_unlock(&kit->lock);
    return 0;
}

static void world_resume(void *context)
{
    struct lazy_kit *kit = context;
    memcpy(kit->at_cut, kit->shadow, kit->heap_pages * PAGE);
    pthread_mutex_lock(&kit->lock);
    kit->stopping = false;
    atomic_store(&kit->please_park, false);
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
}

static uint64_t world_heap_pages(void *context)
{
    return ((struct lazy_kit *)context)->heap_pages;
}

static void world_damaged(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    struct lazy_kit *kit = context;
    if (kit->damaged != NULL) {
        kit->damaged(kit, error, diag, waiting);
    }
}

static void park(struct lazy_kit *kit)
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

static void put_word(struct lazy_kit *kit, uint64_t offset, uint64_t value)
{
    memcpy(kit->memory->base + offset, &value, sizeof(value));
    memcpy(kit->shadow + offset, &value, sizeof(value));
}

static void use_own_page(struct lazy_mutator *self)
{
    struct lazy_kit *kit = self->kit;
    uint64_t page = self->own_first + ph_rng_below(&self->rng, self->own_pages);
    uint64_t value = ph_rng_next(&self->rng);
    if (value % 4 == 0) {
        lazy_discard(kit, page, 1);
    } else {
        put_word(kit, page * PAGE + value % 500 * 8, value);
    }
}

static void *mutate(void *argument)
{
    struct lazy_mutator *self = argument;
    struct lazy_kit *kit = self->kit;
    uint64_t common = kit->heap_pages - kit->mutator_count * self->own_pages;
    while (!atomic_load_explicit(&kit->quit, memory_order_relaxed)) {
        uint64_t page = ph_rng_below(&self->rng, common);
        uint64_t line = ph_rng_below(&self->rng, PAGE / 64);
        put_word(kit, page * PAGE + line * 64 + self->slot * 8, ph_rng_next(&self->rng));
        if (self->own_pages != 0) {
            use_own_page(self);
        }
        atomic_fetch_add_explicit(&kit->stores, 1, memory_order_relaxed);
        if (atomic_load_explicit(&kit->please_park, memory_order_relaxed)) {
            park(kit);
        }
    }
    return NULL;
}

void lazy_start_mutators(struct lazy_kit *kit, unsigned count, uint64_t own_pages, uint64_t seed)
{
    assert_true(count <= LAZY_MUTATORS_MOST && kit->mutator_count == 0);
    atomic_store(&kit->quit, false);
    kit->mutator_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct lazy_mutator *mutator = &kit->mutators[i];
        *mutator = (struct lazy_mutator){.kit = kit,
                                         .slot = i,
                                         .own_first = kit->heap_pages - (i + 1) * own_pages,
                                         .own_pages = own_pages};
        ph_rng_init(&mutator->rng, seed + i);
    }
    for (unsigned i = 0; i < count; i++) {
        struct lazy_mutator *mutator = &kit->mutators[i];
        assert_int_equal(pthread_create(&mutator->thread, NULL, mutate, mutator), 0);
    }
}

void lazy_stop_mutators(struct lazy_kit *kit)
{
    atomic_store(&kit->quit, true);
    for (unsigned i = 0; i < kit->mutator_count; i++) {
        pthread_join(kit->mutators[i].thread, NULL);
    }
    kit->mutator_count = 0;
}

void lazy_let_run(struct lazy_kit *kit, uint64_t stores)
{
    uint64_t goal = atomic_load(&kit->stores) + stores;
    while (atomic_load(&kit->stores) < goal) {
        sched_yield();
    }
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void must(struct lazy_kit *kit, int rc, const char *what)
{
    if (rc != 0) {
        fail_msg("%s: %s: %s", what, phantom_err_name(rc), kit->diag.text);
    }
}

static void reserve(struct lazy_kit *kit)
{
    must(kit,
         hal_memory_reserve(BASE, kit->pages * PAGE, HAL_TRACK_ASYNC, &kit->memory, &kit->diag),
         "memory");
}

static int open_engine(struct lazy_kit *kit)
{
    const struct snap_world world = {.context = kit,
                                     .stop = world_stop,
                                     .resume = world_resume,
                                     .heap_pages = world_heap_pages,
                                     .damaged = world_damaged};
    return snap_engine_open(kit->memory, kit->store, &world, &kit->options, &kit->engine,
                            &kit->diag);
}

void lazy_begin(struct lazy_kit *kit, uint64_t pages)
{
    *kit = (struct lazy_kit){.pages = pages, .heap_pages = pages};
    kit->diag.size = sizeof(kit->diag);
    const char *folder = getenv("TMPDIR");
    (void)snprintf(kit->path, sizeof(kit->path), "%s/lazy-XXXXXX",
                   folder != NULL ? folder : "/tmp");
    int fd = mkstemp(kit->path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(unlink(kit->path), 0);
    kit->shadow = calloc(pages, PAGE);
    kit->at_cut = calloc(pages, PAGE);
    kit->committed = calloc(pages, PAGE);
    assert_true(kit->shadow != NULL && kit->at_cut != NULL && kit->committed != NULL);
    pthread_mutex_init(&kit->lock, NULL);
    pthread_cond_init(&kit->changed, NULL);
    pthread_mutex_init(&kit->gate_lock, NULL);
    pthread_cond_init(&kit->gate_changed, NULL);
    kit->options = (struct snap_engine_options){.strategy = "async",
                                                .staging_pages = 256,
                                                .check_against_heap = true,
                                                .open_reader = open_reader,
                                                .reader_context = kit};
    reserve(kit);
    must(kit, hal_file_open(kit->path, HAL_FILE_CREATE, &kit->io, &kit->diag), "file");
    const struct snap_store_params params = {
        .heap_base = BASE,
        .heap_size = pages * PAGE,
        .uuid = {1, 2, 3, 4},
        .retain_bytes = 1,
        .segment_bytes = 1 << 20,
        .compression = lazy_compressed ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE};
    must(kit, snap_store_create(kit->io, &params, &kit->diag), "create");
    must(kit, snap_store_open(kit->io, 0, &kit->store, NULL, &kit->diag), "store");
    must(kit, open_engine(kit), "engine");
}

void lazy_close(struct lazy_kit *kit)
{
    bool closed = kit->gate_closed;
    lazy_gate(kit, false); /* or the background reader could not be joined */
    snap_engine_close(kit->engine);
    kit->engine = NULL;
    if (kit->memory != NULL) {
        kit->memory->ops->close(kit->memory);
        kit->memory = NULL;
    }
    snap_store_close(kit->store);
    kit->store = NULL;
    if (kit->io != NULL) {
        kit->io->ops->close(kit->io);
        kit->io = NULL;
    }
    lazy_gate(kit, closed);
    memcpy(kit->shadow, kit->committed, kit->heap_pages * PAGE);
}

int lazy_open(struct lazy_kit *kit, enum snap_restore_mode mode)
{
    kit->options.restore = mode;
    kit->readers_opened = 0;
    reserve(kit);
    must(kit, hal_file_open(kit->path, 0, &kit->io, &kit->diag), "file");
    must(kit, snap_store_open(kit->io, 0, &kit->store, NULL, &kit->diag), "store");
    return open_engine(kit);
}

void lazy_reopen(struct lazy_kit *kit, enum snap_restore_mode mode)
{
    lazy_close(kit);
    must(kit, lazy_open(kit, mode), "engine");
}

void lazy_end(struct lazy_kit *kit)
{
    lazy_close(kit);
    (void)unlink(kit->path);
    pthread_mutex_destroy(&kit->lock);
    pthread_cond_destroy(&kit->changed);
    pthread_mutex_destroy(&kit->gate_lock);
    pthread_cond_destroy(&kit->gate_changed);
    free(kit->shadow);
    free(kit->at_cut);
    free(kit->committed);
}

/* ---- use ----------------------------------------------------------------------------------- */

void lazy_fill(struct lazy_kit *kit, uint64_t first, uint64_t count, uint64_t value)
{
    for (uint64_t page = first; page < first + count; page++) {
        struct ph_rng rng;
        ph_rng_init(&rng, page * 0x9e3779b97f4a7c15 + value);
        for (uint64_t offset = 0; offset < PAGE; offset += 8) {
            bool same = lazy_compressed && offset % 64 != 0;
            put_word(kit, page * PAGE + offset, (same ? value : ph_rng_next(&rng)) | 1);
        }
    }
}

void lazy_discard(struct lazy_kit *kit, uint64_t first, uint64_t count)
{
    memset(kit->shadow + first * PAGE, 0, count * PAGE);
    assert_int_equal(snap_engine_discard(kit->engine, first, count), 0);
}

int lazy_snapshot(struct lazy_kit *kit)
{
    kit->diag.text[0] = '\0';
    int rc = snap_engine_snapshot(kit->engine, &kit->report, &kit->diag);
    if (rc == 0) {
        memcpy(kit->committed, kit->at_cut, kit->heap_pages * PAGE);
    }
    return rc;
}

void lazy_snapshot_ok(struct lazy_kit *kit)
{
    must(kit, lazy_snapshot(kit), "snapshot");
}

void lazy_wait_complete(struct lazy_kit *kit)
{
    struct snap_restore_progress progress;
    do {
        sched_yield();
        snap_engine_restore_progress(kit->engine, &progress);
    } while (!progress.complete);
}

void lazy_expect_heap(struct lazy_kit *kit, uint64_t seed)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    uint64_t *order = calloc(kit->heap_pages, sizeof(*order));
    assert_non_null(order);
    for (uint64_t i = 0; i < kit->heap_pages; i++) {
        uint64_t j = ph_rng_below(&rng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint64_t i = 0; i < kit->heap_pages; i++) {
        uint64_t at = order[i] * PAGE;
        if (memcmp(kit->memory->base + at, kit->shadow + at, PAGE) != 0) {
            fail_msg("page %llu of the heap is not what was committed",
                     (unsigned long long)order[i]);
        }
    }
    free(order);
}

struct comparison {
    const uint8_t *expected;
    uint8_t *seen; /* one byte a page */
    int64_t wrong;
};

static int compare_page(void *context, uint64_t page, const void *data)
{
    struct comparison *comparison = context;
    comparison->seen[page] = 1;
    if (memcmp(comparison->expected + page * PAGE, data, PAGE) != 0) {
        comparison->wrong = (int64_t)page;
        return 1;
    }
    return 0;
}

int64_t lazy_generation_differs(struct lazy_kit *kit, const uint8_t *expected)
{
    static const uint8_t zeros[PAGE];
    struct comparison comparison = {expected, calloc(kit->pages, 1), -1};
    assert_non_null(comparison.seen);
    int rc = snap_store_for_each_page(kit->store, snap_store_current(kit->store)->number,
                                      compare_page, &comparison, &kit->diag);
    assert_true(rc >= 0);
    for (uint64_t page = 0; comparison.wrong < 0 && page < kit->heap_pages; page++) {
        if (comparison.seen[page] == 0 && memcmp(expected + page * PAGE, zeros, PAGE) != 0) {
            comparison.wrong = (int64_t)page;
        }
    }
    free(comparison.seen);
    return comparison.wrong;
}

void lazy_damage_page(struct lazy_kit *kit, uint64_t page)
{
    const uint8_t *wanted = kit->committed + page * PAGE;
    int fd = open(kit->path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t block[PAGE];
    off_t at = 0;
    bool found = false;
    for (; pread(fd, block, PAGE, at) == PAGE; at += PAGE) {
        if (memcmp(block, wanted, PAGE) == 0) {
            block[1234] ^= 16;
            assert_int_equal(pwrite(fd, block, PAGE, at), PAGE);
            found = true;
        }
    }
    assert_true(found);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}
