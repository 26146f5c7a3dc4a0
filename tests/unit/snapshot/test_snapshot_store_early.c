/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits before accounting is complete: they take only what is free without it, and when it is
 * complete nothing shows that they did not wait. Beside a fresh accounting of the same file.
 */
#include "store_fixture.h"

#include <stdio.h>

enum { LIMIT = 64 << 20, PAGES = 3000 };

/* A few generations, closed; opened again, nothing is accounted. */
static struct fixture *aged(uint64_t limit)
{
    struct fixture *f = fixture_new(limit, PAGES);
    for (uint32_t i = 0; i < 7; i++) {
        fixture_put(f, i * 200, 300, i + 1);
    }
    fixture_reopen(f);
    assert_false(f->store->accounted);
    return f;
}

static uint64_t on_the_file(struct fixture *f)
{
    uint64_t size = 0;
    snap_io_memory_bytes(f->io->base, &size);
    return size / STORE_BLOCK_SIZE;
}

/* The oldest retained generation that has a block born in `birth`: a fresh accounting knows no more
 * than that. */
static uint64_t seen_from(const struct snap_store *store, uint64_t birth)
{
    for (unsigned i = 0; birth != 0 && i < store->generation_count; i++) {
        if (store->generation[i].info.number >= birth) {
            return store->generation[i].info.number;
        }
    }
    return birth;
}

static int born_now(void *context, uint64_t block)
{
    uint64_t *birth = context;
    birth[block] = UINT64_MAX;
    return 0;
}

/* What this handle knows is what another one derives from the file. */
static void check_against_fresh(struct fixture *f)
{
    assert_int_equal(snap_store_account(f->store, UINT64_MAX, &f->diag), 0);
    fixture_check(f);
    struct block_space *space = &f->store->space;
    uint64_t used = space->used, history = f->store->history_blocks, count = space->block_count;
    uint64_t *birth = malloc(count * sizeof *birth);
    assert_non_null(birth);
    for (uint64_t b = 0; b < count; b++) {
        birth[b] = seen_from(f->store, space->birth[b]);
    }
    assert_int_equal(store_catalog_each_block(f->store, born_now, birth), 0);
    bool revived = f->store->revived_count != 0; /* counts otherwise: store_rollback.c */
    fixture_crash(f);
    fixture_open(f);
    assert_int_equal(snap_store_account(f->store, UINT64_MAX, &f->diag), 0);
    if (!revived) {
        assert_int_equal(f->store->space.used, used);
        assert_int_equal(f->store->history_blocks, history);
        for (uint64_t b = 0; b < count; b++) {
            if (birth[b] != UINT64_MAX) { /* a block of the catalog has no age */
                assert_int_equal(f->store->space.birth[b], birth[b]);
            }
        }
    }
    free(birth);
}

static void first_commit_does_not_wait(void **state)
{
    (void)state;
    struct fixture *f = aged(LIMIT);
    uint64_t high = f->store->high_water, generations = f->store->generation_count;
    long reads = f->io->reads + f->io->submits;
    fixture_put(f, 100, 3, 50);
    assert_false(f->store->accounted);
    assert_null(f->store->accounting);
    /* The map below the three pages; accounting would read all of it, seven times. */
    assert_in_range(f->io->reads + f->io->submits - reads, 1, 8);
    for (uint64_t b = f->store->file.data_start; b < f->store->file.block_count; b++) {
        assert_true(b >= high || !block_space_is_used(&f->store->space, b));
    }
    struct snap_store_usage usage;
    snap_store_usage(f->store, &usage);
    assert_true(usage.data_bytes_used >= f->store->opened_used * STORE_BLOCK_SIZE);
    fixture_crash(f); /* and it is there without ever having been accounted */
    fixture_open(f);
    assert_int_equal(f->store->generation_count, generations + 1);
    fixture_check(f);
    check_against_fresh(f);
    fixture_free(f);
}

/* A slice of accounting, by chance; also in the midst of a transaction. */
static void slice(struct fixture *f, struct ph_rng *rng)
{
    if (ph_rng_below(rng, 3) == 0) {
        int more = snap_store_account(f->store, 1 + ph_rng_below(rng, 30), &f->diag);
        assert_true(more == 0 || more == 1);
    }
}

static void commit_by_chance(struct fixture *f, uint32_t tag, struct ph_rng *rng)
{
    struct snap_txn *txn = fixture_begin(f);
    uint64_t kind = ph_rng_below(rng, 8);
    uint64_t count = kind == 0 ? 600 + ph_rng_below(rng, 600) : ph_rng_below(rng, 40);
    uint64_t first = ph_rng_below(rng, PAGES - count);
    uint32_t *before = malloc(PAGES * sizeof *before);
    assert_non_null(before);
    memcpy(before, f->now, PAGES * sizeof *before);
    if (ph_rng_below(rng, 2) == 0) { /* else blocks are taken as they are needed */
        assert_int_equal(snap_txn_reserve(txn, count, &f->diag), 0);
    }
    for (uint64_t i = 0; i < count; i++) {
        fixture_stage(f, txn, first + i, ph_rng_below(rng, 10) == 0 ? 0 : tag);
    }
    slice(f, rng);
    if (ph_rng_below(rng, 3) == 0) { /* what is written now is superseded */
        assert_int_equal(snap_txn_write(txn, &f->diag), 0);
        slice(f, rng);
        for (uint64_t i = 0; i < count; i += 2) {
            fixture_stage(f, txn, first + i, tag + 1);
        }
    }
    if (ph_rng_below(rng, 6) == 0) {
        snap_txn_abort(txn);
        memcpy(f->now, before, PAGES * sizeof *before);
    } else {
        fixture_commit(f, txn);
    }
    free(before);
}

static void commits_among_slices_leave_exact_accounts(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261130);
    printf("PH_SEED=%" PRIu64 "\n", seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    unsigned early = 0, ended_within = 0;
    for (unsigned run = 0; run < 15; run++) {
        struct fixture *f = aged(LIMIT);
        for (unsigned opening = 0; opening < 4; opening++) {
            unsigned commits = 1 + (unsigned)ph_rng_below(&rng, 6);
            for (unsigned i = 0; i < commits; i++) {
                bool before = f->store->accounted;
                commit_by_chance(f, 100 * (opening + 1) + 10 * i, &rng);
                early += !f->store->accounted;
                ended_within += !before && f->store->accounted;
                slice(f, &rng);
            }
            if (ph_rng_below(&rng, 2) == 0) {
                check_against_fresh(f);
            }
            (ph_rng_below(&rng, 2) == 0 ? fixture_crash : fixture_close)(f);
            fixture_open(f);
        }
        fixture_check(f);
        fixture_free(f);
    }
    printf("early %u, accounting ended within %u\n", early, ended_within);
    assert_true(early > 40 && ended_within > 10);
}

static void what_drops_or_moves_generations_waits(void **state)
{
    (void)state;
    struct fixture *f = aged(LIMIT);
    assert_int_equal(snap_store_tag(f->store, 2, "keep", &f->diag), 0);
    assert_true(f->store->accounted);
    fixture_remember(f, snap_store_current(f->store)->number);
    check_against_fresh(f);

    fixture_reopen(f);
    fixture_put(f, 0, 10, 60);
    assert_false(f->store->accounted);
    assert_int_equal(snap_store_trim(f->store, &f->diag), 1);
    assert_true(f->store->accounted);
    fixture_remember(f, snap_store_current(f->store)->number);
    check_against_fresh(f);

    fixture_reopen(f);
    fixture_put(f, 5, 10, 61);
    assert_false(f->store->accounted);
    memcpy(f->now, fixture_tags(f, 2), PAGES * sizeof *f->now);
    assert_int_equal(snap_store_rollback(f->store, 2, NULL, &f->diag), 0);
    assert_true(f->store->accounted);
    fixture_remember(f, snap_store_current(f->store)->number);
    check_against_fresh(f);

    fixture_reopen(f); /* the ring fills up: at the latest then */
    unsigned commits = 0;
    for (; !f->store->accounted; commits++) {
        assert_in_range(commits, 0, FIXTURE_SLOTS);
        fixture_put(f, commits, 1, 70 + commits);
    }
    assert_in_range(commits, 2, FIXTURE_SLOTS);
    check_against_fresh(f);

    fixture_reopen(f);
    fixture_budget(f, STORE_BLOCK_SIZE); /* more history than that: some has to go */
    fixture_put(f, 0, 1, 90);
    assert_true(f->store->accounted);
    check_against_fresh(f);
    fixture_free(f);
}

/* Generations dropped later on free what died in the window, each block once. */
static void what_died_before_accounting_is_freed_once(void **state)
{
    (void)state;
    struct fixture *f = aged(LIMIT);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_put(f, 0, 200, 80 + i); /* what the last one wrote, and what was there at open */
    }
    assert_false(f->store->accounted);
    assert_int_equal(snap_store_trim(f->store, &f->diag), 1);
    fixture_remember(f, snap_store_current(f->store)->number);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_put(f, 0, 1, 90 + i);
        assert_int_equal(snap_store_trim(f->store, &f->diag), 1);
        fixture_remember(f, snap_store_current(f->store)->number);
    }
    assert_in_range(f->store->history_blocks, 0, 20);
    check_against_fresh(f);
    fixture_free(f);
}

/* The file may not grow: what is free further down is used, after accounting. */
static void no_room_beyond_ends_the_wait(void **state)
{
    (void)state;
    for (int reserve = 0; reserve < 2; reserve++) {
        struct fixture *f = fixture_new(8 << 20, PAGES);
        fixture_budget(f, STORE_BLOCK_SIZE);
        fixture_put(f, 0, 1500, 1);
        fixture_put(f, 1500, 10, 1);
        fixture_put(f, 0, 1500, 0); /* holes: much is free below the high water of the last */
        for (uint32_t i = 0; i < 4; i++) {
            fixture_put(f, 1500, 10, i + 2);
        }
        fixture_reopen(f);
        assert_false(f->store->accounted);
        uint64_t blocks = f->store->file.block_count - f->store->high_water;
        struct snap_txn *txn = fixture_begin(f);
        assert_false(f->store->accounted);
        f->io->fail_allocate = f->io->allocations + 1;
        f->io->sticky = true;
        f->io->error = -ENOSPC;
        if (reserve != 0) {
            assert_int_equal(snap_txn_reserve(txn, 400, &f->diag), 0);
            assert_true(f->store->accounted);
        }
        for (uint64_t page = 0; page < blocks + 200; page++) {
            fixture_stage(f, txn, page, 99);
        }
        fixture_commit(f, txn);
        assert_true(f->store->accounted);
        f->io->fail_allocate = 0;
        f->io->sticky = false;
        fixture_check(f);
        check_against_fresh(f);
        fixture_free(f);
    }
}

static void file_grows_by_little_and_not_without_end(void **state)
{
    (void)state;
    struct fixture *f = aged(LIMIT);
    uint64_t before = on_the_file(f);
    uint64_t room = f->store->file.block_count - f->store->high_water;
    struct snap_txn *txn = fixture_begin(f);
    for (uint64_t page = 0; page < room + 1; page++) {
        fixture_stage(f, txn, page, 50);
    }
    fixture_commit(f, txn);
    assert_false(f->store->accounted);
    assert_in_range(on_the_file(f) - before, 1, FIXTURE_SEGMENT / STORE_BLOCK_SIZE);
    check_against_fresh(f);

    /* Openings that each commit once, and never anything else. */
    unsigned early = 0;
    for (uint32_t i = 0; i < 100; i++) {
        fixture_crash(f);
        fixture_open(f);
        fixture_budget(f, 64 * STORE_BLOCK_SIZE);
        fixture_put(f, 0, 20, 100 + i);
        early += !f->store->accounted;
    }
    assert_int_equal(snap_store_account(f->store, UINT64_MAX, &f->diag), 0);
    assert_in_range(early, 30, 100);
    assert_in_range(f->store->history_blocks, 0, 4 * 64);
    assert_in_range(on_the_file(f), 0, 4 * f->store->space.used);
    fixture_check(f);
    fixture_free(f);
}

/* A node of an old generation that is bad: found in idle time, no commit from then on. */
static void damage_is_found_and_stops_commits(void **state)
{
    (void)state;
    fixture_plain = false;
    struct fixture *f = aged(LIMIT);
    fixture_block(f, fixture_map_block(f, 3))[100] ^= 1;
    fixture_crash(f);
    fixture_open(f);
    fixture_put(f, 0, 3, 50);
    uint64_t last = snap_store_current(f->store)->number;
    int error;
    while ((error = snap_store_account(f->store, 1, &f->diag)) == 1) {
    }
    assert_int_equal(error, PHANTOM_ECORRUPT);
    struct snap_txn *txn = NULL;
    assert_int_equal(snap_txn_begin(f->store, 512, &txn, &f->diag), PHANTOM_ECORRUPT);
    assert_int_equal(snap_store_tag(f->store, last, "no", &f->diag), PHANTOM_ECORRUPT);
    check_generation(f->store, last, fixture_tags(f, last), PAGES);
    fixture_free(f);
}

/* A record that lies about its high water, with a good sum: contradiction, and nothing worse. */
static void forged_high_water_is_damage(void **state)
{
    (void)state;
    struct fixture *f = aged(LIMIT);
    uint64_t data_start = f->store->file.data_start;
    uint64_t number = snap_store_current(f->store)->number, end = f->store->file.block_count;
    const uint64_t lie[] = {data_start, data_start + 40, 1, end + 1, UINT64_MAX, 0};
    fixture_close(f);
    for (unsigned i = 0; i < sizeof lie / sizeof lie[0]; i++) {
        struct store_record *record = fixture_record(f, number);
        record->high_water = lie[i];
        fixture_reseal(f, record);
        uint64_t size = 0;
        uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size), *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        int error = snap_store_open(&f->io->io, 0, &f->store, NULL, &f->diag);
        struct snap_txn *txn = NULL;
        for (unsigned k = 0; error == 0 && k < 4; k++) {
            error = snap_txn_begin(f->store, 512, &txn, &f->diag);
            for (uint64_t page = 0; error == 0 && page < 300; page++) {
                fill(7 + k, page, snap_txn_stage(txn, page));
            }
            struct snap_commit commit = {.heap_pages = PAGES, .time_ns = 1 + k};
            error = error != 0 ? error : snap_txn_commit(txn, &commit, NULL, &f->diag);
        }
        error = error != 0 ? error : snap_store_account(f->store, UINT64_MAX, &f->diag);
        bool harmless = lie[i] == 0 || lie[i] > end; /* it is not used then, or is not too low */
        assert_true(error == PHANTOM_ECORRUPT || (harmless && error == 0));
        fixture_close(f);
        assert_int_equal(snap_io_memory_assign(f->io->base, copy, size), 0);
        free(copy);
    }
    fixture_free(f);
}

/* A read or an allocation that fails in the walk loses nothing that commits did meanwhile. */
static void accounting_that_fails_is_begun_again(void **state)
{
    (void)state;
    for (long at = 1; at < 40; at += 3) {
        struct fixture *f = aged(LIMIT);
        fixture_put(f, 0, 30, 50);
        assert_int_equal(snap_store_account(f->store, 2, &f->diag), 1);
        fixture_put(f, 10, 30, 51);
        assert_false(f->store->accounted);
        f->io->fail_read = f->io->reads + at;
        ph_memory_fail_after(at % 2 == 0 ? at / 4 : -1, false);
        int error;
        while ((error = snap_store_account(f->store, 3, &f->diag)) == 1) {
        }
        ph_memory_fail_after(-1, false);
        f->io->fail_read = 0;
        assert_true(error == 0 || error == -EIO || error == -ENOMEM);
        if (error != 0) {
            fixture_put(f, 5, 30, 52); /* still possible */
            assert_false(f->store->accounted);
        }
        check_against_fresh(f);
        fixture_free(f);
    }
}

/* The first writers of such stores did not say how far up the file anything is in use. */
static void store_without_high_water_waits(void **state)
{
    (void)state;
    fixture_plain = true;
    struct fixture *f = aged(LIMIT);
    fixture_put(f, 100, 3, 50);
    assert_true(f->store->accounted);
    check_against_fresh(f);
    fixture_free(f);
    fixture_plain = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_commit_does_not_wait),
        cmocka_unit_test(commits_among_slices_leave_exact_accounts),
        cmocka_unit_test(what_drops_or_moves_generations_waits),
        cmocka_unit_test(what_died_before_accounting_is_freed_once),
        cmocka_unit_test(no_room_beyond_ends_the_wait),
        cmocka_unit_test(file_grows_by_little_and_not_without_end),
        cmocka_unit_test(damage_is_found_and_stops_commits),
        cmocka_unit_test(forged_high_water_is_damage),
        cmocka_unit_test(accounting_that_fails_is_begun_again),
        cmocka_unit_test(store_without_high_water_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
