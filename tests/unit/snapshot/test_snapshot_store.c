/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store.c - the store in good weather: what was committed is what is read, now, after
 * reopening, and in every generation that is still retained.
 */
#include "ph_killed.h"
#include "store_fixture.h"

#include <phantom/snapshot.h>

enum { LIMIT = 64 << 20 };

static void new_store_is_empty_and_stays_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 100);
    assert_int_equal(snap_store_current(f->store)->number, 0);
    assert_int_equal(f->recovery.opened, 0);
    assert_int_equal(f->recovery.next_generation, 1);
    fixture_reopen(f);
    assert_int_equal(snap_store_current(f->store)->number, 0);
    assert_int_equal(snap_store_probe(&f->io->io), 1);
    assert_int_equal(snap_store_list(f->store, NULL, 0), 0);
    fixture_check(f);
    fixture_free(f);
}

static void the_public_view_of_a_generation_has_every_member(void **state)
{
    (void)state;
    const struct snap_generation from = {.number = 1,
                                         .parent = 2,
                                         .heap_pages = 3,
                                         .live_pages = 4,
                                         .pages_written = 5,
                                         .bytes_written = 6,
                                         .time_ns = 7,
                                         .pause_ns = 8,
                                         .root_sum = {UINT64_C(9) << 40, UINT64_C(10) << 40},
                                         .sealed = true};
    struct phantom_generation to = {.hash = {0xFF, 0xFF}};
    snap_generation_view(&from, &to);
    assert_int_equal(to.number, 1);
    assert_int_equal(to.parent, 2);
    assert_int_equal(to.heap_pages, 3);
    assert_int_equal(to.live_pages, 4);
    assert_int_equal(to.pages_written, 5);
    assert_int_equal(to.bytes_written, 6);
    assert_int_equal(to.time_ns, 7);
    assert_int_equal(to.pause_ns, 8);
    assert_memory_equal(to.hash, &from.root_sum, sizeof(to.hash));
    assert_true(to.sealed);
}

static void committed_pages_are_read_back_after_reopen(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 20000);
    fixture_put(f, 0, 3, 1);
    fixture_put(f, 19999, 1, 2);
    fixture_put(f, 1, 1, 3);
    fixture_check(f);
    fixture_reopen(f);
    assert_int_equal(f->recovery.opened, 3);
    assert_int_equal(f->recovery.incomplete, 0);
    assert_int_equal(f->recovery.records_torn, 0);
    assert_int_equal(f->recovery.next_generation, 4);
    const struct snap_generation *g = snap_store_current(f->store);
    assert_int_equal(g->parent, 2);
    assert_int_equal(g->heap_pages, 20000);
    assert_int_equal(g->live_pages, 4);
    assert_int_equal(g->pages_written, 1);
    assert_int_equal(g->bytes_written, 3 * 4096); /* page, delta run, record */
    assert_int_equal(g->pause_ns, 77);
    assert_int_equal(g->version.heap_layout, 5);
    assert_int_equal(g->version.native_classes, 6);
    assert_true(g->sealed);
    fixture_check(f);
    uint8_t buffer[SNAP_PAGE_SIZE], want[SNAP_PAGE_SIZE];
    assert_int_equal(snap_store_read_page(f->store, 2, 1, buffer, &f->diag), 1);
    fill(1, 1, want);
    assert_memory_equal(buffer, want, sizeof want);
    assert_int_equal(snap_store_read_page(f->store, 3, 1, buffer, &f->diag), 1);
    fill(3, 1, want);
    assert_memory_equal(buffer, want, sizeof want);
    memset(want, 0, sizeof want);
    assert_int_equal(snap_store_read_page(f->store, 3, 500, buffer, &f->diag), 0);
    assert_memory_equal(buffer, want, sizeof want);
    assert_int_equal(snap_store_read_page(f->store, 9, 1, buffer, &f->diag), PHANTOM_ENOTFOUND);
    assert_int_equal(snap_store_read_page(f->store, 3, FIXTURE_PAGES, buffer, &f->diag),
                     PHANTOM_EINVALID);
    fixture_free(f);
}

static void zero_pages_take_no_room(bool plain)
{
    fixture_plain = plain;
    struct fixture *f = fixture_new(LIMIT, 1000);
    struct snap_txn *txn = fixture_begin(f);
    fixture_stage(f, txn, 5, 0);
    fixture_stage(f, txn, 6, 1);
    fixture_commit(f, txn);
    assert_int_equal(snap_store_current(f->store)->live_pages, 1);
    assert_int_equal(snap_store_current(f->store)->pages_written, 1);
    txn = fixture_begin(f);
    assert_int_equal(snap_txn_hole(txn, 6), 0);
    assert_int_equal(snap_txn_hole(txn, 700), 0); /* is one already */
    assert_int_equal(snap_txn_hole(txn, FIXTURE_PAGES), PHANTOM_EINVALID);
    f->now[6] = 0;
    fixture_commit(f, txn);
    const struct snap_generation *g = snap_store_current(f->store);
    assert_int_equal(g->live_pages, 0);
    assert_int_equal(g->root_sum.low | g->root_sum.high, 0);
    /* The record: not even a root is left. Or a delta run that says so. */
    assert_int_equal(g->bytes_written, plain ? 4096 : 2 * 4096);
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
    fixture_plain = false;
}

static void zero_pages_and_holes_take_no_room(void **state)
{
    (void)state;
    zero_pages_take_no_room(false);
    zero_pages_take_no_room(true);
}

static void last_word_on_a_page_wins(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 1000);
    struct snap_txn *txn = fixture_begin(f);
    fixture_stage(f, txn, 1, 1);
    fixture_stage(f, txn, 1, 2); /* staged again */
    fixture_stage(f, txn, 2, 1);
    assert_int_equal(snap_txn_hole(txn, 2), 0); /* hole after page */
    f->now[2] = 0;
    assert_int_equal(snap_txn_hole(txn, 3), 0); /* page after hole */
    fixture_stage(f, txn, 3, 3);
    fixture_stage(f, txn, 4, 4);
    fixture_stage(f, txn, 5, 5);
    assert_int_equal(snap_txn_write(txn, &f->diag), 0);
    fixture_stage(f, txn, 4, 6); /* staged again after it was written */
    assert_int_equal(snap_txn_hole(txn, 5), 0);
    f->now[5] = 0;
    fixture_stage(f, txn, 2, 9); /* page, hole, page */
    fixture_commit(f, txn);
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

static void empty_commit_makes_a_generation_with_the_same_content(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 100);
    fixture_commit(f, fixture_begin(f)); /* nothing at all, not even a root */
    fixture_put(f, 0, 10, 1);
    struct snap_sum sum = snap_store_current(f->store)->root_sum;
    fixture_commit(f, fixture_begin(f));
    assert_int_equal(snap_store_current(f->store)->number, 3);
    assert_memory_equal(&snap_store_current(f->store)->root_sum, &sum, sizeof sum);
    fixture_put(f, 4, 1, 2);
    assert_memory_not_equal(&snap_store_current(f->store)->root_sum, &sum, sizeof sum);
    fixture_put(f, 4, 1, 1); /* other blocks, other map, the same memory */
    assert_memory_equal(&snap_store_current(f->store)->root_sum, &sum, sizeof sum);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

static void aborted_transaction_leaves_no_trace(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 1000);
    fixture_put(f, 0, 20, 1);
    struct snap_store_usage before, after;
    snap_store_usage(f->store, &before);
    struct snap_txn *txn = NULL, *second = NULL;
    assert_int_equal(snap_txn_begin(f->store, 512, &txn, &f->diag), 0);
    assert_int_equal(snap_txn_begin(f->store, 512, &second, &f->diag), PHANTOM_EINVALID);
    for (uint64_t page = 0; page < 100; page++) {
        fill(9, page, snap_txn_stage(txn, page));
    }
    assert_int_equal(snap_txn_write(txn, &f->diag), 0);
    fill(9, 500, snap_txn_stage(txn, 500));
    snap_txn_abort(txn);
    snap_txn_abort(NULL);
    txn = fixture_begin(f); /* holes alone take no block, but the map has them */
    assert_int_equal(snap_txn_hole(txn, 5), 0);
    assert_int_equal(snap_txn_write(txn, &f->diag), 0);
    assert_false(snap_txn_is_empty(txn));
    snap_txn_abort(txn);
    snap_store_usage(f->store, &after);
    assert_int_equal(after.data_bytes_used, before.data_bytes_used);
    fixture_check(f);
    fixture_put(f, 7, 2, 3);
    fixture_check(f);
    fixture_reopen(f);
    assert_int_equal(f->recovery.opened, 2);
    fixture_check(f);
    fixture_free(f);
}

static void staging_is_bounded_and_refuses_by_null(void **state)
{
    (void)state;
    enum { SLOTS = SNAP_SMALL_COMMIT_PAGES + 44 };
    struct fixture *f = fixture_new(LIMIT, 1000);
    struct snap_txn *txn = NULL;
    assert_int_equal(snap_txn_begin(f->store, 1, &txn, &f->diag),
                     0);                         /* raised to the least, which */
    for (uint64_t page = 0; page < 16; page++) { /* is 16 in rooms compiled with -DPH_POINTS */
        assert_non_null(snap_txn_stage(txn, page));
    }
    snap_txn_abort(txn);
    assert_int_equal(snap_txn_begin(f->store, SLOTS, &txn, &f->diag), 0);
    for (uint64_t page = 0; page < SLOTS; page++) {
        void *slot = snap_txn_stage(txn, page);
        assert_non_null(slot);
        assert_int_equal((uintptr_t)slot % SNAP_PAGE_SIZE, 0);
        fill(1, page, slot);
        f->now[page] = 1;
    }
    assert_null(snap_txn_stage(txn, 999));
    assert_non_null(snap_txn_stage(txn, 0)); /* has its slot already */
    assert_int_equal(snap_txn_write(txn, &f->diag), 0);
    assert_non_null(snap_txn_stage(txn, 999));
    fill(2, 999, snap_txn_stage(txn, 999));
    f->now[999] = 2;
    fixture_commit(f, txn);
    fixture_check(f);
    fixture_free(f);
}

static void small_commit_flushes_once_and_large_one_twice(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 2000);
    fixture_put(f, 0, 1000, 9); /* the file is long enough from here on */
    fixture_put(f, 0, 1, 9);
    long flushes = f->io->flushes, writes = f->io->writes, submits = f->io->submits;
    long reaps = f->io->reaps;
    fixture_put(f, 0, SNAP_SMALL_COMMIT_PAGES, 1);
    assert_int_equal(f->io->flushes - flushes, 1);
    assert_int_equal(f->io->writes - writes, 3); /* 260 neighbouring blocks in two, the record */
    assert_int_equal(f->io->submits - submits, 3);
    assert_int_equal(f->io->reaps - reaps, 1); /* all of them in flight at once */
    flushes = f->io->flushes;
    fixture_put(f, 0, SNAP_SMALL_COMMIT_PAGES + 1, 2);
    assert_int_equal(f->io->flushes - flushes, 2);
    fixture_check(f);
    fixture_reopen(f);
    assert_int_equal(f->recovery.opened, 4);
    fixture_check(f);
    fixture_free(f);
}

static void large_commits_pass_through_a_small_staging_area(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 6000);
    f->io->disordered = true;
    f->io->queue_limit = 3;
    struct snap_txn *txn = fixture_begin(f);
    assert_int_equal(snap_txn_reserve(txn, 6000, &f->diag), 0);
    long allocations = f->io->allocations;
    for (uint64_t i = 0; i < 6000; i++) {
        fixture_stage(f, txn, i * 4001 % 6000, (uint32_t)i + 1);
    }
    fixture_commit(f, txn);
    assert_int_equal(f->io->allocations, allocations); /* reserve() had provided */
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

static void short_writes_are_completed(void **state)
{
    (void)state;
    for (long which = 1; which <= 6; which++) {
        struct fixture *f = fixture_new(LIMIT, 3000);
        fixture_put(f, 0, 10, 1);
        f->io->short_write = f->io->writes + which;
        fixture_put(f, 3, 700, 2);
        fixture_check(f);
        fixture_reopen(f);
        fixture_check(f);
        fixture_free(f);
    }
}

/* Random commits, aborts, crashes and reopenings beside a model. */
static void random_history_matches_the_model(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261122);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct fixture *f = fixture_new(LIMIT, 3000);
    f->tick = INT64_C(300000000);
    for (uint32_t round = 1; round <= 400; round++) {
        fixture_budget(f, 16 << 20);
        struct snap_txn *txn = fixture_begin(f);
        uint64_t count = ph_rng_below(&rng, 8) == 0 ? 600 : ph_rng_below(&rng, 12);
        uint64_t near = ph_rng_below(&rng, 2700);
        uint32_t *saved = malloc(f->pages * sizeof *saved);
        assert_non_null(saved);
        memcpy(saved, f->now, f->pages * sizeof *saved);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t page =
                round % 2 != 0 ? near + ph_rng_below(&rng, 300) : ph_rng_below(&rng, f->pages);
            uint64_t what = ph_rng_below(&rng, 10);
            if (what == 0) {
                assert_int_equal(snap_txn_hole(txn, page), 0);
                f->now[page] = 0;
            } else {
                fixture_stage(f, txn, page, what == 1 ? 0 : round);
            }
            if (ph_rng_below(&rng, 50) == 0) {
                assert_int_equal(snap_txn_write(txn, &f->diag), 0);
            }
        }
        if (ph_rng_below(&rng, 10) == 0) {
            snap_txn_abort(txn);
            memcpy(f->now, saved, f->pages * sizeof *saved);
        } else {
            fixture_commit(f, txn);
        }
        free(saved);
        if (ph_rng_below(&rng, 10) == 0) {
            fixture_crash(f);
            fixture_open(f);
        }
        if (round % 80 == 0) {
            fixture_check(f);
        }
    }
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

/* ---- retention ------------------------------------------------------------------------------ */

static void store_of_constant_size_keeps_a_constant_file(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 1000);
    uint64_t size_at_100 = 0, size = 0, used_at_100 = 0;
    struct snap_store_usage usage;
    fixture_budget(f, 1000 * SNAP_PAGE_SIZE);
    for (uint32_t i = 1; i <= 1000; i++) {
        fixture_put(f, i * 7 % 900, 5, i);
        if (i == 100) {
            snap_io_memory_bytes(f->io->base, &size_at_100);
            snap_store_usage(f->store, &usage);
            used_at_100 = usage.data_bytes_used;
        }
    }
    snap_io_memory_bytes(f->io->base, &size);
    snap_store_usage(f->store, &usage);
    assert_true(usage.data_bytes_used <= 20 * used_at_100);
    assert_true(size <= 2 * size_at_100 + (16 << 20));
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

static struct fixture *fixture_with(struct snap_store_params params, uint32_t pages)
{
    struct fixture *f = fixture_new(LIMIT, pages);
    fixture_close(f);
    assert_int_equal(snap_io_memory_assign(f->io->base, NULL, 0), 0);
    assert_int_equal(snap_store_create(&f->io->io, &params, &f->diag), 0);
    fixture_open(f);
    return f;
}

static void old_generations_are_thinned_to_one_a_second(void **state)
{
    (void)state;
    struct snap_store_params params = fixture_params();
    params.ring_slots = 256;
    struct fixture *f = fixture_with(params, 500);
    const struct snap_retention retention = {.all_s = 10};
    assert_int_equal(snap_store_set_retention(f->store, &retention), 0);
    for (uint32_t i = 1; i <= 600; i++) { /* ten a second, for a minute */
        f->tick = INT64_C(100000000);
        fixture_put(f, i % 300, 1, i);
    }
    struct snap_generation list[STORE_RING_SLOTS];
    size_t count = snap_store_list(f->store, list, STORE_RING_SLOTS);
    assert_true(count >= 100 + 50 && count <= 100 + 61);
    for (size_t i = 1; i < count; i++) {
        int64_t gap = list[i].time_ns - list[i - 1].time_ns;
        if (i >= count - 99) {
            assert_int_equal(gap, 100000000); /* the newest ten seconds are all there */
        } else if (i < count - 110) {
            assert_true(gap == 1000000000 || i == 1);
        }
    }
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

static void history_stays_within_its_byte_budget(void **state)
{
    (void)state;
    struct snap_store_params params = fixture_params();
    params.ring_slots = 256;
    params.retain_bytes = 100 * SNAP_PAGE_SIZE;
    struct fixture *f = fixture_with(params, 500);
    for (uint32_t i = 1; i <= 200; i++) {
        fixture_put(f, i % 300, 10, i);
        struct snap_store_usage usage;
        snap_store_usage(f->store, &usage);
        const struct snap_generation *g = snap_store_current(f->store);
        uint64_t nodes = 8; /* at most, for 310 pages in one corner */
        assert_true(usage.data_bytes_used <=
                    params.retain_bytes + (g->live_pages + nodes + 16) * SNAP_PAGE_SIZE);
    }
    assert_true(snap_store_list(f->store, NULL, 0) >= 5);
    fixture_check(f);
    fixture_free(f);
}

static void file_grows_by_less_than_a_segment_when_that_is_all_there_is(void **state)
{
    (void)state;
    /* metadata, one segment, and a third of another one */
    uint64_t limit = (16 + FIXTURE_SLOTS) * SNAP_PAGE_SIZE + FIXTURE_SEGMENT + FIXTURE_SEGMENT / 3;
    struct fixture *f = fixture_new(limit, 200);
    fixture_put(f, 0, 60, 1); /* 64 blocks are in a segment */
    struct snap_txn *txn = fixture_begin(f);
    assert_int_equal(snap_txn_reserve(txn, 5, &f->diag), 0);
    snap_txn_abort(txn);
    fixture_check(f);
    fixture_free(f);
}

static void history_gives_way_when_the_file_cannot_grow(void **state)
{
    (void)state;
    uint64_t limit = (16 + FIXTURE_SLOTS) * SNAP_PAGE_SIZE + FIXTURE_SEGMENT;
    struct fixture *f = fixture_new(limit, 200);
    int refused = 0;
    for (uint32_t i = 1; i <= 40; i++) { /* live data is 12 pages, each commit rewrites 10 */
        struct snap_txn *txn = fixture_begin(f);
        int error = snap_txn_reserve(txn, 10, &f->diag);
        if (error == PHANTOM_ENOSPACE) {
            refused++;
            snap_txn_abort(txn);
            assert_int_equal(snap_store_trim(f->store, &f->diag), 1);
            fixture_remember(f, snap_store_current(f->store)->number);
            assert_int_equal(snap_store_list(f->store, NULL, 0), 2);
            assert_int_equal(snap_store_audit(f->store, &f->diag), 0);
            assert_int_equal(snap_store_trim(f->store, &f->diag), 0); /* nothing more to give */
            txn = fixture_begin(f);
            assert_int_equal(snap_txn_reserve(txn, 10, &f->diag), 0);
        }
        for (uint64_t page = 0; page < 10; page++) {
            fixture_stage(f, txn, page + i % 3, i);
        }
        fixture_commit(f, txn);
    }
    assert_true(refused >= 5);
    fixture_check(f);
    fixture_close(f);
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

static void generation_that_a_reader_uses_is_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 500);
    fixture_put(f, 0, 50, 1);
    fixture_put(f, 0, 50, 2);
    fixture_put(f, 0, 50, 3);
    f->io->locked[0] = SNAP_LOCK_GENERATION(2);
    fixture_budget(f, 1);
    for (uint32_t i = 4; i <= 100; i++) {
        fixture_put(f, i % 100, 5, i);
    }
    struct snap_generation list[STORE_RING_SLOTS];
    size_t count = snap_store_list(f->store, list, STORE_RING_SLOTS);
    assert_int_equal(list[0].number, 2);
    assert_true(list[1].number > 80);
    fixture_check(f);
    /* No record was ever written over that of generation 2: its slot's numbers were skipped. */
    for (unsigned i = 0; i < f->past_count; i++) {
        assert_true(f->past[i].number == 2 || f->past[i].number % FIXTURE_SLOTS != 2);
    }
    fixture_reopen(f);
    fixture_check(f);
    fixture_budget(f, 1);
    f->io->locked[0] = 0;
    fixture_put(f, 0, 1, 200);
    count = snap_store_list(f->store, list, STORE_RING_SLOTS);
    assert_true(list[0].number > 80);
    assert_true(count > 1);
    fixture_check(f);
    fixture_free(f);
}

static void locked_generations_leave_a_full_ring_for_the_catalog(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 500);
    fixture_budget(f, 1);
    for (uint32_t i = 1; i <= 11; i++) {
        f->io->locked[i - 1] = SNAP_LOCK_GENERATION(i);
    }
    for (uint32_t i = 1; i <= 12; i++) {
        fixture_put(f, i, 5, i);
    }
    assert_int_equal(snap_store_list(f->store, NULL, 0), 12);
    for (uint32_t i = 13; i <= 100; i++) {
        fixture_put(f, i % 20, 5, i);
    }
    fixture_reopen(f);
    struct snap_generation list[STORE_RING_SLOTS];
    assert_int_equal(snap_store_list(f->store, list, STORE_RING_SLOTS), 11 + 2);
    assert_int_equal(list[10].number, 11);
    fixture_check(f);
    fixture_budget(f, 1);
    f->io->locked[4] = 0; /* one reader leaves */
    fixture_put(f, 7, 1, 100);
    assert_int_equal(snap_store_list(f->store, list, STORE_RING_SLOTS), 10 + 2);
    assert_int_equal(list[4].number, 6);
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_store_is_empty_and_stays_so),
        cmocka_unit_test(the_public_view_of_a_generation_has_every_member),
        cmocka_unit_test(committed_pages_are_read_back_after_reopen),
        cmocka_unit_test(zero_pages_and_holes_take_no_room),
        cmocka_unit_test(last_word_on_a_page_wins),
        cmocka_unit_test(empty_commit_makes_a_generation_with_the_same_content),
        cmocka_unit_test(aborted_transaction_leaves_no_trace),
        cmocka_unit_test(staging_is_bounded_and_refuses_by_null),
        cmocka_unit_test(small_commit_flushes_once_and_large_one_twice),
        cmocka_unit_test(large_commits_pass_through_a_small_staging_area),
        cmocka_unit_test(short_writes_are_completed),
        cmocka_unit_test(random_history_matches_the_model),
        cmocka_unit_test(store_of_constant_size_keeps_a_constant_file),
        cmocka_unit_test(old_generations_are_thinned_to_one_a_second),
        cmocka_unit_test(history_stays_within_its_byte_budget),
        cmocka_unit_test(file_grows_by_less_than_a_segment_when_that_is_all_there_is),
        cmocka_unit_test(history_gives_way_when_the_file_cannot_grow),
        cmocka_unit_test(generation_that_a_reader_uses_is_kept),
        cmocka_unit_test(locked_generations_leave_a_full_ring_for_the_catalog),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_FIRST_WORD_WINS, cmocka_unit_test(last_word_on_a_page_wins)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
