/* SPDX-License-Identifier: Apache-2.0
 *
 * Large commits are staged, summed and written at the same time. The disk of these tests looks at
 * the bytes of a write as late as it may: when its completion is asked for, the last one first.
 */
#include "ph_killed.h"
#include "store_fixture.h"

#include <malloc.h>
#include <stdio.h>

enum { LIMIT = 512 << 20, PAGES = 6000, STAGING = 512 };

/* In front of the fixture's own wrapper. One at a time: there are no two in these tests. */
static struct late {
    struct snap_io_ops ops;
    struct snap_io_request *queue; /* the last one sent is the first */
    unsigned queued, queued_most;
    long writes, fail_write; /* this one fails */
    uint32_t most;           /* bytes that a write takes; 0: all of them */
    unsigned limit;          /* so many are taken at a time; 0: any number */
    unsigned short_every;    /* one in so many is cut short inside a block; 0: none */
    bool silent;             /* nothing comes back any more */
} late;

static int late_submit(struct snap_io *io, struct snap_io_request *request)
{
    (void)io;
    if (late.limit != 0 && late.queued == late.limit) {
        return -EAGAIN;
    }
    request->next = late.queue;
    late.queue = request;
    late.queued_most = ++late.queued > late.queued_most ? late.queued : late.queued_most;
    return 0;
}

static int late_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    struct snap_io_request *request = late.queue;
    *done = NULL;
    if (late.silent) {
        return -EIO;
    }
    if (request == NULL || minimum == 0) {
        return 0;
    }
    late.queue = request->next;
    late.queued--;
    int error;
    if (request->direction == SNAP_IO_READ) {
        error = io->ops->read(io, request->offset, request->buffer, request->length);
    } else {
        error = ++late.writes == late.fail_write
                    ? -EIO
                    : trick_write(io, request->offset, request->buffer, request->length);
    }
    request->result = error != 0 ? error : (int32_t)request->length;
    if (late.short_every != 0 && error == 0 && request->direction == SNAP_IO_WRITE &&
        late.writes % late.short_every == 0 && request->length > STORE_BLOCK_SIZE) {
        uint32_t whole = request->length / 2 / STORE_BLOCK_SIZE * STORE_BLOCK_SIZE;
        uint8_t *nonsense = malloc(request->length - whole - 512);
        assert_non_null(nonsense);
        memset(nonsense, 0xEE, request->length - whole - 512);
        uint64_t size = 0;
        uint8_t *bytes = snap_io_memory_bytes(((struct trick_io *)io)->base, &size);
        memcpy(bytes + request->offset + whole + 512, nonsense, request->length - whole - 512);
        free(nonsense);
        request->result = (int32_t)(whole + 512);
    }
    if (late.most != 0 && error == 0 && request->direction == SNAP_IO_WRITE) {
        assert_true(late.writes < 1000); /* or it goes on for ever */
        request->result = (int32_t)late.most;
    }
    request->next = NULL;
    *done = request;
    return 1;
}

static int late_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    return late.most != 0 ? -EFBIG : trick_write(io, offset, buffer, length);
}

static struct fixture *late_fixture(void)
{
    struct fixture *f = fixture_new(LIMIT, PAGES);
    late = (struct late){.ops = trick_ops};
    late.ops.submit = late_submit;
    late.ops.reap = late_reap;
    late.ops.write = late_write;
    f->io->io.ops = &late.ops;
    return f;
}

/* Pages [first, first + count), as many to a write as there is room for. Returns the writes. */
static unsigned stream(struct fixture *f, struct snap_txn *txn, uint64_t first, uint64_t count,
                       uint32_t tag)
{
    unsigned writes = 0;
    for (uint64_t i = 0; i < count; i++) {
        writes += snap_txn_is_full(txn);
        fixture_stage(f, txn, first + i, tag);
    }
    return writes;
}

static void pages_on_their_way_do_not_change(void **state)
{
    (void)state;
    struct fixture *f = late_fixture();
    struct snap_txn *txn = fixture_begin(f);
    /* All of the area, then halves of it. */
    assert_int_equal(stream(f, txn, 0, 5000, 1), 1 + (5000 - 1 - STAGING) / (STAGING / 2));
    assert_in_range(late.queued, 1, 8); /* this is what it is about */
    fixture_commit(f, txn);
    assert_int_equal(late.queued, 0);
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

/* Whatever happens between two writes, and whatever is staged twice. */
static void anything_happens(uint32_t rounds, unsigned limit, unsigned short_every)
{
    uint64_t seed = ph_rng_seed_from_environment(20261201);
    printf("PH_SEED=%" PRIu64 "\n", seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct fixture *f = late_fixture();
    late.limit = limit;
    late.short_every = short_every;
    unsigned in_flight = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        struct snap_txn *txn = fixture_begin(f);
        uint32_t *before = malloc(PAGES * sizeof *before);
        assert_non_null(before);
        memcpy(before, f->now, PAGES * sizeof *before);
        for (unsigned part = 0; part < 4; part++) {
            uint64_t count = ph_rng_below(&rng, 1200), first = ph_rng_below(&rng, PAGES - count);
            (void)stream(f, txn, first, count,
                         ph_rng_below(&rng, 8) == 0 ? 0 : 10 * round + part + 1);
            in_flight += late.queued != 0;
            uint64_t page = ph_rng_below(&rng, PAGES);
            uint8_t content[SNAP_PAGE_SIZE];
            switch (ph_rng_below(&rng, 7)) {
            case 0: assert_int_equal(snap_txn_settle(txn, &f->diag), 0); break;
            case 1: assert_int_equal(snap_txn_write(txn, &f->diag), 0); break;
            case 2:
                assert_int_equal(snap_txn_hole(txn, page), 0);
                f->now[page] = 0;
                break;
            case 3: assert_in_range(snap_store_account(f->store, 5, &f->diag), 0, 1); break;
            case 4:
                if (f->store->generation_count != 0) { /* what is committed, with the same disk */
                    uint64_t number = snap_store_current(f->store)->number;
                    assert_int_equal(
                        snap_store_read_page(f->store, number, page, content, &f->diag),
                        before[page] != 0);
                    check_generation(f->store, number, before, PAGES);
                }
                break;
            default: break;
            }
        }
        if (ph_rng_below(&rng, 5) == 0) {
            snap_txn_abort(txn);
            assert_int_equal(late.queued, 0);
            memcpy(f->now, before, PAGES * sizeof *before);
        } else {
            fixture_commit(f, txn);
        }
        free(before);
        if (round % 8 == 7) {
            fixture_check(f);
            (ph_rng_below(&rng, 2) == 0 ? fixture_crash : fixture_close)(f);
            fixture_open(f);
        }
    }
    assert_true(in_flight > rounds / 2);
    fixture_check(f);
    fixture_free(f);
}

static void anything_may_happen_meanwhile(void **state)
{
    (void)state;
    anything_happens(40, 0, 0);
}

/* A short queue and short writes, also of what is encrypted or compressed in its slot. */
static void whatever_the_store_is_like(void **state)
{
    (void)state;
    anything_happens(9, 2, 3);
    fixture_compress = true;
    anything_happens(9, 0, 4);
#if PH_SODIUM
    static const struct snap_key key = {"thirty-two bytes that are a key!", SNAP_KEY_SIZE};
    fixture_key = &key;
    anything_happens(9, 3, 5);
    fixture_compress = false;
    anything_happens(9, 0, 2);
    fixture_key = NULL;
#endif
    fixture_compress = false;
}

/* The write that fails was sent by a call that said yes: the next ones say no, no record is there.
 */
static void failure_behind_the_back_is_told(void **state)
{
    (void)state;
    bool late_told = false;
    for (long at = 1; at < 14; at++) {
        for (int give_up = 0; give_up < 2; give_up++) {
            struct fixture *f = late_fixture();
            fixture_put(f, 0, 100, 1);
            uint64_t number = snap_store_current(f->store)->number;
            struct snap_txn *txn = fixture_begin(f);
            late.writes = 0;
            late.fail_write = at;
            int error = 0;
            for (uint64_t page = 0; error == 0 && page < 3000; page++) {
                void *slot = snap_txn_stage(txn, page);
                if (slot == NULL) {
                    error = snap_txn_write(txn, &f->diag);
                    slot = error == 0 ? snap_txn_stage(txn, page) : NULL;
                }
                if (slot != NULL) {
                    fill(9, page, slot);
                }
            }
            late_told = late_told || error == 0;
            assert_true(error == 0 || error == PHANTOM_EPOISONED);
            if (give_up != 0) {
                snap_txn_abort(txn);
            } else {
                struct snap_commit commit = {.heap_pages = PAGES, .time_ns = 5};
                assert_int_equal(snap_txn_commit(txn, &commit, NULL, &f->diag), PHANTOM_EPOISONED);
            }
            if (late.writes >= at) {
                assert_int_equal(snap_txn_begin(f->store, STAGING, &txn, &f->diag),
                                 PHANTOM_EPOISONED);
            }
            assert_int_equal(late.queued, 0);
            late.fail_write = 0;
            fixture_crash(f);
            fixture_open(f);
            assert_int_equal(snap_store_current(f->store)->number, number);
            fixture_check(f);
            fixture_free(f);
        }
    }
    assert_true(late_told);
}

/* As at a limit of the file's size inside a block: each try ends at the same place. */
static void writes_that_never_get_a_block_further_end(void **state)
{
    (void)state;
    struct fixture *f = late_fixture();
    fixture_put(f, 0, 100, 1);
    uint64_t number = snap_store_current(f->store)->number;
    struct snap_txn *txn = fixture_begin(f);
    void *slot = snap_txn_stage(txn, 7);
    fill(9, 7, slot);
    slot = snap_txn_stage(txn, 9);
    fill(9, 9, slot);
    late.writes = 0;
    late.most = 512;
    struct snap_commit commit = {.heap_pages = PAGES, .time_ns = 5};
    assert_int_equal(snap_txn_commit(txn, &commit, NULL, &f->diag), PHANTOM_EPOISONED);
    late.most = 0;
    fixture_crash(f);
    fixture_open(f);
    assert_true(snap_store_current(f->store)->number >= number);
    fixture_free(f);
}

/* ---- writes that never come back ------------------------------------------------------------- */

static struct lost {
    struct snap_io_request *queue; /* the sanitizer is to see that they can be reached */
    const uint8_t *buffer[16];
    uint8_t content[16][STORE_BLOCK_SIZE];
    unsigned count, freed;
} lost;

static void made_nothing(void *block)
{
    (void)block;
}

static void look_for_lost(void *block)
{
    const uint8_t *from = block, *to = from + malloc_usable_size(block);
    for (unsigned i = 0; i < lost.count; i++) {
        lost.freed += lost.buffer[i] >= from && lost.buffer[i] < to;
    }
}

static void remember_what_is_lost(void)
{
    lost = (struct lost){.queue = late.queue};
    for (struct snap_io_request *r = late.queue; r != NULL; r = r->next) {
        assert_in_range(lost.count, 0, 15);
        lost.buffer[lost.count] = r->buffer;
        memcpy(lost.content[lost.count++], r->buffer, STORE_BLOCK_SIZE);
    }
}

/* The kernel may still read from them: neither the pages nor the record may change or go, whatever
 * is done with the store. And if they come back after all, nobody takes them for his own. */
static void writes_that_never_come_back_keep_their_buffers(void **state)
{
    (void)state;
    static const struct ph_memory_observer observer = {.made = made_nothing, .gone = look_for_lost};
    struct fixture *f = late_fixture();
    fixture_put(f, 0, 100, 1);
    uint64_t number = snap_store_current(f->store)->number;
    struct snap_txn *txn = fixture_begin(f);
    fill(9, 7, snap_txn_stage(txn, 7));
    late.silent = true;
    struct snap_commit commit = {.heap_pages = PAGES, .time_ns = 5};
    assert_int_equal(snap_txn_commit(txn, &commit, NULL, &f->diag), PHANTOM_EPOISONED);
    late.silent = false;
    remember_what_is_lost();
    assert_true(lost.count >= 2); /* pages and the record */
    check_generation(f->store, number, fixture_tags(f, number), PAGES);
    assert_int_equal(late.queued, lost.count);
    ph_memory_observe(&observer);
    fixture_crash(f);
    ph_memory_observe(NULL);
    assert_int_equal(lost.freed, 0);
    for (unsigned i = 0; i < lost.count; i++) {
        assert_memory_equal(lost.buffer[i], lost.content[i], STORE_BLOCK_SIZE);
    }
    late.queue = NULL;
    late.queued = 0;
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_on_their_way_do_not_change),
        cmocka_unit_test(anything_may_happen_meanwhile),
        cmocka_unit_test(whatever_the_store_is_like),
        cmocka_unit_test(failure_behind_the_back_is_told),
        cmocka_unit_test(writes_that_never_get_a_block_further_end),
        cmocka_unit_test(writes_that_never_come_back_keep_their_buffers),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_LOST_BUFFERS_FREED,
         cmocka_unit_test(writes_that_never_come_back_keep_their_buffers)},
        {PH_MUTANT_STUCK_WRITE_RESENT, cmocka_unit_test(writes_that_never_get_a_block_further_end)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
