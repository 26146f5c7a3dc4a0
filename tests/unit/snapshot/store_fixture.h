/* SPDX-License-Identifier: Apache-2.0
 *
 * store_fixture.h - what the tests of the store share: a small store in memory, commits with known
 * content, a model to compare with, and an I/O wrapper that fails, shortens, counts and locks.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "ph_memory.h"
#include "ph_rng.h"
#include "ph_test.h"
#include "snap_store.h"
#include "store_format.h"
#include "store_internal.h"
#include "store_sum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_PAGES = 40000, FIXTURE_SLOTS = 16, FIXTURE_SEGMENT = 256 << 10 };

/* ---- an I/O wrapper around the memory back end ---------------------------------------------- */

struct trick_io {
    struct snap_io io; /* first */
    struct snap_io *base;
    long writes, flushes, allocations, reads, submits;     /* counted */
    long fail_write, fail_flush, fail_allocate, fail_read; /* which one fails; 0: none */
    bool sticky;                                           /* and all that follow */
    int error;                                             /* with what */
    long short_write;                                      /* this one is cut to one block */
    uint64_t locked[16]; /* bytes that "another process" holds shared */
    uint64_t last_lock;
    long reaps, fail_reap, fail_submit; /* these fail once, having done nothing */
    bool disordered;                    /* completions come back in reverse order */
    uint32_t queue_limit;               /* submit says -EAGAIN beyond; 0: none */
    uint32_t in_flight;
    long shut_down; /* with this flush the file system is gone, and the flush says that all is well
                     */
    bool is_shut_down;
};

static inline bool trick_hits(struct trick_io *t, long count, long at)
{
    return at != 0 && (count == at || (t->sticky && count > at));
}

static inline int trick_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct trick_io *t = (struct trick_io *)io;
    if (trick_hits(t, ++t->reads, t->fail_read)) {
        return t->error;
    }
    return t->base->ops->read(t->base, offset, buffer, length);
}

static inline int trick_submit(struct snap_io *io, struct snap_io_request *request)
{
    struct trick_io *t = (struct trick_io *)io;
    if (t->queue_limit != 0 && t->in_flight >= t->queue_limit) {
        return -EAGAIN;
    }
    if (++t->submits == t->fail_submit) {
        return t->error;
    }
    t->in_flight++;
    return t->base->ops->submit(t->base, request);
}

static inline int trick_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct trick_io *t = (struct trick_io *)io;
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(t->base, &size);
    if (++t->reaps == t->fail_reap) {
        return t->error;
    }
    int count = t->base->ops->reap(t->base, minimum, done);
    t->in_flight -= count > 0 ? (uint32_t)count : 0;
    struct snap_io_request *reversed = NULL;
    for (struct snap_io_request *r = *done, *next; r != NULL; r = next) {
        next = r->next;
        if (r->direction == SNAP_IO_WRITE) {
            t->writes++;
            if (trick_hits(t, t->writes, t->fail_write)) {
                r->result = t->error;
            } else if (t->writes == t->short_write && r->length > STORE_BLOCK_SIZE) {
                /* what was "not written" must not be there */
                memset(bytes + r->offset + STORE_BLOCK_SIZE, 0xEE, r->length - STORE_BLOCK_SIZE);
                r->result = STORE_BLOCK_SIZE + 512;
            }
        } else if (trick_hits(t, ++t->reads, t->fail_read)) {
            r->result = t->error;
        }
        if (t->disordered) {
            r->next = reversed;
            reversed = r;
        }
    }
    if (t->disordered) {
        *done = reversed;
    }
    return count;
}

static inline int trick_flush(struct snap_io *io)
{
    struct trick_io *t = (struct trick_io *)io;
    if (trick_hits(t, ++t->flushes, t->fail_flush)) {
        return t->error;
    }
    if (t->flushes == t->shut_down) {
        t->is_shut_down = true;
        return 0;
    }
    return t->base->ops->flush(t->base);
}

static inline int trick_write(struct snap_io *io, uint64_t offset, const void *buffer,
                              uint32_t length)
{
    struct trick_io *t = (struct trick_io *)io;
    if (trick_hits(t, ++t->writes, t->fail_write)) {
        return t->error;
    }
    return t->base->ops->write(t->base, offset, buffer, length);
}

static inline int trick_size(struct snap_io *io, uint64_t *bytes)
{
    struct trick_io *t = (struct trick_io *)io;
    if (t->is_shut_down) {
        return -EIO;
    }
    return t->base->ops->size(t->base, bytes);
}

static inline int trick_allocate(struct snap_io *io, uint64_t bytes)
{
    struct trick_io *t = (struct trick_io *)io;
    if (trick_hits(t, ++t->allocations, t->fail_allocate)) {
        return t->error;
    }
    return t->base->ops->allocate(t->base, bytes);
}

static inline int trick_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    struct trick_io *t = (struct trick_io *)io;
    t->last_lock = kind != SNAP_IO_UNLOCK ? byte : 0;
    for (size_t i = 0; kind == SNAP_IO_LOCK_EXCLUSIVE && i < 16; i++) {
        if (t->locked[i] == byte) {
            return -EAGAIN;
        }
    }
    return 0;
}

static inline void trick_close(struct snap_io *io)
{
    struct trick_io *t = (struct trick_io *)io;
    t->base->ops->close(t->base);
    free(t);
}

static const struct snap_io_ops trick_ops = {
    .name = "trick",
    .read = trick_read,
    .submit = trick_submit,
    .reap = trick_reap,
    .flush = trick_flush,
    .write = trick_write,
    .size = trick_size,
    .allocate = trick_allocate,
    .lock = trick_lock,
    .close = trick_close,
};

/* ---- a store, and what must be in it -------------------------------------------------------- */

enum { MODEL_GENERATIONS = 4096 };

/* The content of every generation, as one number for each page: what fill() made of it. */
struct fixture {
    struct trick_io *io;
    struct snap_store *store;
    struct snap_recovery recovery;
    struct phantom_diag diag;
    uint32_t pages; /* of the model: the first pages of the range */
    uint32_t *now;  /* tag of each page; 0: hole */
    int64_t clock;
    int64_t tick;
    struct {
        uint64_t number;
        uint32_t *tags;
    } past[MODEL_GENERATIONS];
    unsigned past_count;
};

static inline struct snap_store_params fixture_params(void)
{
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = (uint64_t)FIXTURE_PAGES * SNAP_PAGE_SIZE,
                                       .segment_bytes = FIXTURE_SEGMENT,
                                       .ring_slots = FIXTURE_SLOTS};
    for (unsigned i = 0; i < sizeof params.uuid; i++) {
        params.uuid[i] = (uint8_t)(i * 17 + 3);
    }
    return params;
}

/* True: stores are made with compression, and most pages have content that can be compressed. */
static bool fixture_compress;

/* The content that stands for a tag: every word differs, none is zero; with compression most words
 * of most pages are the tag, and one in 3, 6 or 12 differs. */
static inline void fill(uint32_t tag, uint64_t page, void *data)
{
    uint64_t *word = data;
    unsigned kind = (unsigned)((tag * UINT64_C(2654435761) + page) % 5);
    for (size_t i = 0; i < SNAP_PAGE_SIZE / sizeof *word; i++) {
        word[i] = ((uint64_t)tag << 32 | page << 9 | i) * UINT64_C(0x9E3779B97F4A7C15) + 1;
        if (fixture_compress && kind < 3 && i % (3U << kind) != 0) {
            word[i] = tag;
        }
    }
}

static inline struct trick_io *trick_create(uint64_t limit)
{
    struct trick_io *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->io.ops = &trick_ops;
    t->io.path = "test store";
    t->base = snap_io_memory_create(limit);
    assert_non_null(t->base);
    t->error = -EIO;
    return t;
}

/* The key with which stores are made and opened; NULL: they are not encrypted. */
static const struct snap_key *fixture_key;

static inline void fixture_open(struct fixture *f)
{
    f->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    int error =
        snap_store_open_keyed(&f->io->io, fixture_key, 0, &f->store, &f->recovery, &f->diag);
    if (error != 0) {
        print_error("%s: %s\n", phantom_err_name(error), f->diag.text);
    }
    assert_int_equal(error, 0);
}

/* True: stores are made without the feature "map runs", as the first writers made them. Such a
 * store never gets delta runs, so that tests of map nodes know where these are. */
static bool fixture_plain;

static inline void fixture_make_plain(struct snap_io *memory)
{
    uint64_t size = 0;
    struct store_superblock *s = (struct store_superblock *)snap_io_memory_bytes(memory, &size);
    for (int copy = 0; copy < 2; copy++) {
        s[copy].features_incompatible &= ~STORE_FEATURE_MAP_RUNS;
        store_superblock_seal(&s[copy]);
    }
}

static inline struct fixture *fixture_new(uint64_t limit, uint32_t pages)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    f->io = trick_create(limit);
    f->pages = pages;
    f->now = calloc(pages, sizeof *f->now);
    f->tick = INT64_C(10000000);
    assert_non_null(f->now);
    struct snap_store_params params = fixture_params();
    params.compression = fixture_compress ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE;
    if (fixture_key != NULL) {
        params.key = *fixture_key;
    }
    assert_int_equal(snap_store_create(&f->io->io, &params, &f->diag), 0);
    if (fixture_plain) {
        fixture_make_plain(f->io->base);
    }
    fixture_open(f);
    return f;
}

static inline void fixture_close(struct fixture *f)
{
    snap_store_close(f->store);
    f->store = NULL;
}

static inline void fixture_free(struct fixture *f)
{
    fixture_close(f);
    for (unsigned i = 0; i < f->past_count; i++) {
        free(f->past[i].tags);
    }
    f->io->io.ops->close(&f->io->io);
    free(f->now);
    free(f);
}

static inline void fixture_stage(struct fixture *f, struct snap_txn *txn, uint64_t page,
                                 uint32_t tag)
{
    void *slot = snap_txn_stage(txn, page);
    if (slot == NULL) {
        assert_int_equal(snap_txn_write(txn, &f->diag), 0);
        slot = snap_txn_stage(txn, page);
        assert_non_null(slot);
    }
    if (tag != 0) {
        fill(tag, page, slot);
    } else {
        memset(slot, 0, SNAP_PAGE_SIZE);
    }
    f->now[page] = tag;
}

static inline struct snap_txn *fixture_begin(struct fixture *f)
{
    struct snap_txn *txn = NULL;
    assert_int_equal(snap_txn_begin(f->store, 512, &txn, &f->diag), 0);
    return txn;
}

static inline void fixture_remember(struct fixture *f, uint64_t number)
{
    assert_true(f->past_count < MODEL_GENERATIONS);
    uint32_t *tags = malloc(f->pages * sizeof *tags);
    assert_non_null(tags);
    memcpy(tags, f->now, f->pages * sizeof *tags);
    f->past[f->past_count].number = number;
    f->past[f->past_count++].tags = tags;
}

static inline int fixture_try_commit(struct fixture *f, struct snap_txn *txn)
{
    struct snap_generation made;
    f->clock += f->tick;
    struct snap_commit commit = {
        .heap_pages = f->pages, .time_ns = f->clock, .pause_ns = 77, .version = {5, 6}};
    int error = snap_txn_commit(txn, &commit, &made, &f->diag);
    if (error == 0) {
        fixture_remember(f, made.number);
    }
    return error;
}

static inline void fixture_commit(struct fixture *f, struct snap_txn *txn)
{
    int error = fixture_try_commit(f, txn);
    if (error != 0) {
        print_error("%s: %s\n", phantom_err_name(error), f->diag.text);
    }
    assert_int_equal(error, 0);
}

/* One commit that gives `count` pages from `first` the tag. */
static inline void fixture_put(struct fixture *f, uint64_t first, uint64_t count, uint32_t tag)
{
    struct snap_txn *txn = fixture_begin(f);
    for (uint64_t i = 0; i < count; i++) {
        fixture_stage(f, txn, first + i, tag);
    }
    fixture_commit(f, txn);
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

/* As after a crash: no seal, no farewell. */
static inline void fixture_crash(struct fixture *f)
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    fixture_close(f);
    assert_int_equal(snap_io_memory_assign(f->io->base, copy, size), 0);
    free(copy);
}

/* ---- the file's bytes ------------------------------------------------------------------------ */

static inline uint8_t *fixture_block(struct fixture *f, uint64_t block)
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    assert_true((block + 1) * STORE_BLOCK_SIZE <= size);
    return bytes + block * STORE_BLOCK_SIZE;
}

static inline struct store_record *fixture_record(struct fixture *f, uint64_t generation)
{
    return (struct store_record *)fixture_block(f, STORE_RING_START + generation % FIXTURE_SLOTS);
}

/* The block that the record names as its own part of the map: delta run or root. */
static inline uint64_t fixture_map_block(struct fixture *f, uint64_t generation)
{
    const struct store_record *record = fixture_record(f, generation);
    return record->delta.block != 0 ? record->delta.block : record->root_block;
}

/* Make the sum of a changed record right again. */
static inline void fixture_reseal(struct fixture *f, struct store_record *record)
{
    struct snap_store_params params = fixture_params();
    uint8_t *start = fixture_block(f, STORE_RING_START);
    store_record_seal(params.uuid, (uint32_t)(((uint8_t *)record - start) / STORE_BLOCK_SIZE),
                      record);
}

/* Open, or the accounting that a writer must do before it writes, that must fail; returns the
 * error. */
static inline int fixture_refused(struct fixture *f, unsigned flags)
{
    struct snap_store *store = NULL;
    f->diag.text[0] = '\0';
    int error =
        snap_store_open_keyed(&f->io->io, fixture_key, flags, &store, &f->recovery, &f->diag);
    if (error == 0) {
        struct snap_txn *txn = NULL;
        error = snap_store_account(store, UINT64_MAX, &f->diag);
        assert_int_not_equal(error, 0);
        assert_int_equal(snap_txn_begin(store, 512, &txn, &f->diag), error); /* and again */
        snap_store_close(store);
        store = NULL;
    }
    assert_null(store);
    assert_int_not_equal(f->diag.text[0], '\0');
    return error;
}

struct expected {
    const uint32_t *tags;
    uint32_t pages;
    uint64_t next;
    uint64_t seen;
};

static inline int compare_page(void *context, uint64_t page, const void *data)
{
    struct expected *e = context;
    _Alignas(8) uint8_t want[SNAP_PAGE_SIZE];
    assert_true(page >= e->next && page < e->pages);
    for (; e->next < page; e->next++) {
        assert_int_equal(e->tags[e->next], 0);
    }
    e->next = page + 1;
    e->seen++;
    assert_int_not_equal(e->tags[page], 0);
    fill(e->tags[page], page, want);
    assert_memory_equal(data, want, SNAP_PAGE_SIZE);
    return 0;
}

static inline void check_generation(struct snap_store *store, uint64_t number, const uint32_t *tags,
                                    uint32_t pages)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct expected e = {.tags = tags, .pages = pages};
    int error = snap_store_for_each_page(store, number, compare_page, &e, &diag);
    if (error != 0) {
        print_error("%s: %s\n", phantom_err_name(error), diag.text);
    }
    assert_int_equal(error, 0);
    for (; e.next < pages; e.next++) {
        assert_int_equal(tags[e.next], 0);
    }
}

static inline const uint32_t *fixture_tags(const struct fixture *f, uint64_t number)
{
    for (unsigned i = f->past_count; i > 0; i--) {
        if (f->past[i - 1].number == number) {
            return f->past[i - 1].tags;
        }
    }
    fail_msg("generation %" PRIu64 " was never committed", number);
    return NULL;
}

/* History of at most so many bytes. */
static inline void fixture_budget(struct fixture *f, uint64_t bytes)
{
    const struct snap_retention retention = {.budget_bytes = bytes};
    assert_int_equal(snap_store_set_retention(f->store, &retention), 0);
}

/* Every retained generation has the content it was committed with, and the accounts balance. */
static inline void fixture_check(struct fixture *f)
{
    size_t count = snap_store_list(f->store, NULL, 0);
    struct snap_generation *list = calloc(count + 1, sizeof *list);
    assert_non_null(list);
    assert_int_equal(snap_store_list(f->store, list, count), count);
    for (size_t i = 0; i < count; i++) {
        check_generation(f->store, list[i].number, fixture_tags(f, list[i].number), f->pages);
    }
    free(list);
    struct snap_verify_report report;
    int error = snap_store_verify(f->store, true, &report, NULL, NULL, &f->diag);
    if (error == 0) {
        error = snap_store_audit(f->store, &f->diag);
    }
    if (error != 0) {
        print_error("%s: %s\n", phantom_err_name(error), f->diag.text);
    }
    assert_int_equal(error, 0);
    assert_int_equal(report.damaged, 0);
    assert_int_equal(report.generations, count);
}

#endif /* STORE_FIXTURE_H */
