/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_history.c - the catalog of generations, the retention policy, tags and
 * rollback: what is retained, that all of it can be read, and that it is the same after reopening.
 */
#include "ph_mutant.h"
#include "snap_transfer.h"
#include "store_fixture.h"

#include <stdio.h>

static const uint64_t LIMIT = UINT64_C(256) << 20;

static size_t retained(struct fixture *f, struct snap_generation **list)
{
    size_t count = snap_store_list(f->store, NULL, 0);
    *list = calloc(count + 1, sizeof **list);
    assert_non_null(*list);
    assert_int_equal(snap_store_list(f->store, *list, count), count);
    return count;
}

static bool is_retained(struct fixture *f, uint64_t number)
{
    struct snap_generation *list;
    size_t count = retained(f, &list);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || list[i].number == number;
    }
    free(list);
    return found;
}

static void commit_many(struct fixture *f, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        fixture_put(f, i * 7 % (f->pages - 5), 5, i);
    }
}

/* By fields: the bytes between them may differ in two copies of one generation. */
static void assert_same_generation(const struct snap_generation *a, const struct snap_generation *b)
{
    assert_memory_equal(a, b, offsetof(struct snap_generation, sealed));
    assert_int_equal(a->sealed, b->sealed);
}

static void reopen_and_check(struct fixture *f)
{
    struct snap_generation *before, *after;
    size_t count = retained(f, &before);
    fixture_reopen(f);
    assert_int_equal(retained(f, &after), count);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_same_generation(&before[i], &after[i]);
    }
    free(before);
    free(after);
    fixture_check(f);
}

/* ---- the catalog ----------------------------------------------------------------------------- */

static void generations_that_leave_the_ring_are_all_in_the_catalog(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(200000000);
    commit_many(f, 1, 250); /* five a second: all are to stay */
    assert_int_equal(snap_store_list(f->store, NULL, 0), 250);
    assert_true(store_ring_first(f->store) > 200);
    fixture_check(f);
    reopen_and_check(f);
    fixture_crash(f);
    fixture_open(f);
    fixture_check(f);
    assert_int_equal(snap_store_list(f->store, NULL, 0), 250);
    fixture_free(f);
}

static void catalog_is_written_once_in_many_commits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(200000000);
    unsigned changes = 0;
    uint64_t last = 0;
    for (uint32_t i = 1; i <= 200; i++) {
        fixture_put(f, i, 1, i);
        uint64_t root = store_catalog_root(f->store).block;
        changes += root != last;
        last = root;
    }
    assert_true(changes >= 20 && changes <= 200 / 6 + 1); /* half of the ring's 12 at a time */
    fixture_free(f);
}

/* Thousands of commits a second: what passes is dropped while it is still in the ring. */
static void fast_commits_leave_ten_generations_a_second(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    struct snap_store_params params = fixture_params();
    fixture_close(f);
    params.ring_slots = 256;
    assert_int_equal(snap_io_memory_assign(f->io->base, NULL, 0), 0);
    assert_int_equal(snap_store_create(&f->io->io, &params, &f->diag), 0);
    fixture_open(f);
    f->tick = INT64_C(2000000);
    commit_many(f, 1, 3000); /* six seconds */
    struct snap_generation *list;
    size_t count = retained(f, &list);
    assert_true(count >= 60 && count <= 60 + 34);
    for (size_t i = 1; i + 34 < count; i++) {
        assert_int_equal(list[i].time_ns / 100000000, list[i - 1].time_ns / 100000000 + 1);
    }
    free(list);
    assert_int_equal(store_catalog_root(f->store).block, 0);
    fixture_check(f);
    fixture_free(f);
}

static void day_of_history_is_thinned_by_age(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 100);
    f->tick = INT64_C(10000000000);
    for (uint32_t i = 1; i <= 3 * 8640; i++) { /* each ten seconds, for three days */
        struct snap_txn *txn = fixture_begin(f);
        fixture_stage(f, txn, i % 90, i);
        f->clock += f->tick;
        struct snap_commit commit = {.heap_pages = f->pages, .time_ns = f->clock};
        assert_int_equal(snap_txn_commit(txn, &commit, NULL, &f->diag), 0);
    }
    struct snap_generation *list;
    size_t count = retained(f, &list), day = 0, minutes = 0, seconds = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t age = (f->clock - list[i].time_ns) / 1000000000;
        seconds += age < 3600;
        minutes += age >= 3600 && age < 24 * 3600;
        day += age >= 24 * 3600;
    }
    assert_int_equal(seconds, 360);
    assert_true(minutes >= 23 * 60 && minutes <= 23 * 60 + 70); /* thinned some time later */
    assert_true(day >= 1 && day <= 80);
    free(list);
    fixture_free(f);
}

static void clock_that_jumps_loses_no_history_at_once(void **state)
{
    (void)state;
    const int64_t year = INT64_C(31536000) * 1000000000;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->clock = year;
    f->tick = INT64_C(500000000);
    commit_many(f, 1, 100);
    f->clock += 10 * year; /* wrong */
    commit_many(f, 101, 5);
    f->clock -= 10 * year; /* and set right again */
    commit_many(f, 106, 100);
    size_t count = snap_store_list(f->store, NULL, 0);
    assert_true(count >= 100 / 120 + 100); /* what counts as an hour old: one a minute */
    assert_true(is_retained(f, 1));
    fixture_check(f);
    f->clock = -year; /* before 1970, and far back */
    commit_many(f, 206, 30);
    assert_true(snap_store_list(f->store, NULL, 0) >= 30);
    assert_true(is_retained(f, 1));
    fixture_check(f);
    reopen_and_check(f);
    f->clock = INT64_MIN + 1;
    f->tick = 0;
    commit_many(f, 240, 5);
    f->clock = INT64_MAX;
    commit_many(f, 250, 5);
    fixture_check(f);
    reopen_and_check(f);
    fixture_free(f);
}

static void budget_drops_the_oldest_of_the_catalog(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(1000000000);
    fixture_budget(f, 400 * SNAP_PAGE_SIZE);
    for (uint32_t i = 1; i <= 300; i++) {
        fixture_put(f, i * 7 % 290, 5, i);
        assert_true(f->store->history_blocks <= 400);
    }
    struct snap_generation *list;
    size_t count = retained(f, &list);
    assert_true(count >= 20 && count <= 80);
    assert_true(list[0].number > 200);
    free(list);
    fixture_check(f);
    reopen_and_check(f);
    fixture_free(f);
}

static void policy_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    const struct snap_retention bad[] = {{.all_s = 50, .per_second_s = 40},
                                         {.all_s = 5000, .per_minute_s = 2000},
                                         {.per_second_s = 100, .per_minute_s = 50},
                                         {.most_per_second = 1000000001}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(snap_store_set_retention(f->store, &bad[i]), PHANTOM_EINVALID);
    }
    /* Defaults give way to the one that was asked for. */
    const struct snap_retention good[] = {{.all_s = 7200},       {.all_s = 100000},
                                          {.per_second_s = 10},  {.per_second_s = 90000},
                                          {.per_minute_s = 30},  {.per_minute_s = 1800},
                                          {.all_s = UINT32_MAX}, {.most_per_second = 1000000000}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(snap_store_set_retention(f->store, &good[i]), 0);
    }
    fixture_free(f);
}

/* ---- tags ------------------------------------------------------------------------------------ */

static void tag_commit(struct fixture *f, uint64_t generation, const char *name)
{
    assert_int_equal(snap_store_tag(f->store, generation, name, &f->diag), 0);
    fixture_remember(f, snap_store_current(f->store)->number);
}

static void untag_commit(struct fixture *f, const char *name)
{
    assert_int_equal(snap_store_untag(f->store, name, &f->diag), 0);
    fixture_remember(f, snap_store_current(f->store)->number);
}

static void tagged_generation_outlives_any_budget(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_budget(f, 1);
    commit_many(f, 1, 5);
    tag_commit(f, 4, "good");
    commit_many(f, 10, 100);
    assert_true(is_retained(f, 4));
    assert_true(store_find(f->store, 4)->slot != STORE_NO_SLOT ||
                snap_store_list(f->store, NULL, 0) < 12);
    assert_true(snap_store_trim(f->store, &f->diag) >= 0);
    fixture_remember(f, snap_store_current(f->store)->number);
    assert_true(is_retained(f, 4));
    fixture_check(f);
    reopen_and_check(f);
    struct snap_tag tag;
    assert_int_equal(snap_store_tags(f->store, &tag, 1), 1);
    assert_string_equal(tag.name, "good");
    assert_int_equal(tag.generation, 4);
    fixture_budget(f, 1);
    untag_commit(f, "good");
    commit_many(f, 200, 2);
    assert_false(is_retained(f, 4));
    assert_int_equal(snap_store_tags(f->store, NULL, 0), 0);
    assert_int_equal(store_catalog_root(f->store).block, 0);
    fixture_check(f);
    reopen_and_check(f);
    fixture_free(f);
}

static void tags_are_refused_for_a_reason(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    char longest[65];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    commit_many(f, 1, 3);
    static const char *const bad[] = {"", "a b", "a/b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(snap_store_tag(f->store, 2, bad[i], &f->diag), PHANTOM_EINVALID);
    }
    assert_int_equal(snap_store_tag(f->store, 2, longest, &f->diag), PHANTOM_EINVALID);
    assert_int_equal(snap_store_tag(f->store, 99, "x", &f->diag), PHANTOM_ENOTFOUND);
    assert_int_equal(snap_store_untag(f->store, "x", &f->diag), PHANTOM_ENOTFOUND);
    assert_int_equal(snap_store_current(f->store)->number, 3);
    longest[63] = '\0';
    tag_commit(f, 2, longest);
    assert_int_equal(snap_store_tag(f->store, 3, longest, &f->diag), -EEXIST);
    tag_commit(f, 2, "b.-_9");
    struct snap_tag tags[3];
    assert_int_equal(snap_store_tags(f->store, tags, 3), 2);
    assert_string_equal(tags[0].name, longest);
    assert_string_equal(tags[1].name, "b.-_9");
    reopen_and_check(f);
    struct snap_txn *txn = fixture_begin(f);
    assert_int_equal(snap_store_tag(f->store, 2, "c", &f->diag), PHANTOM_EINVALID);
    snap_txn_abort(txn);
    assert_int_equal(snap_store_tags(f->store, NULL, 0), 2);
    fixture_free(f);
}

static void failed_tag_is_no_tag(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 3, 1);
    fixture_put(f, 0, 3, 2);
    f->io->fail_write = f->io->writes + 1;
    assert_int_equal(snap_store_tag(f->store, 1, "t", &f->diag), PHANTOM_EPOISONED);
    assert_int_equal(snap_store_tags(f->store, NULL, 0), 0);
    f->io->fail_write = 0;
    fixture_reopen(f);
    assert_int_equal(snap_store_tags(f->store, NULL, 0), 0);
    fixture_check(f);
    fixture_free(f);
}

/* ---- rollback -------------------------------------------------------------------------------- */

static uint64_t roll_back(struct fixture *f, uint64_t generation)
{
    struct snap_generation made;
    int error = snap_store_rollback(f->store, generation, &made, &f->diag);
    if (error != 0) {
        print_error("%s\n", f->diag.text);
    }
    assert_int_equal(error, 0);
    memcpy(f->now, fixture_tags(f, generation), f->pages * sizeof *f->now);
    fixture_remember(f, made.number);
    assert_int_equal(made.number, snap_store_current(f->store)->number);
    return made.number;
}

static void rollback_brings_content_back_and_can_be_undone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 3000);
    fixture_put(f, 0, 1000, 1);
    fixture_put(f, 500, 1000, 2);
    fixture_put(f, 100, 50, 3);
    struct snap_txn *txn = fixture_begin(f);
    for (uint64_t page = 0; page < 200; page++) {
        assert_int_equal(snap_txn_hole(txn, page), 0);
        f->now[page] = 0;
    }
    fixture_commit(f, txn);
    assert_int_equal(roll_back(f, 2), 5);
    assert_int_equal(snap_store_current(f->store)->pages_written, 0);
    fixture_check(f);
    reopen_and_check(f);
    struct snap_tag tag;
    assert_int_equal(snap_store_tags(f->store, &tag, 1), 1);
    assert_string_equal(tag.name, "before-rollback-4");
    assert_int_equal(tag.generation, 4);
    assert_int_equal(roll_back(f, tag.generation), 6); /* undone */
    fixture_check(f);
    reopen_and_check(f);
    fixture_put(f, 0, 100, 9);
    fixture_check(f);
    assert_int_equal(snap_store_rollback(f->store, 77, NULL, &f->diag), PHANTOM_ENOTFOUND);
    fixture_free(f);
}

/* Roll back when there is no room for it. Does the next commit have the memory of before? */
static bool commit_after_a_refused_rollback_is_right(enum ph_mutant mutant)
{
    struct fixture *f = fixture_new(LIMIT, 1000);
    fixture_put(f, 0, 1000, 1);
    fixture_put(f, 0, 1000, 2);
    fixture_reopen(f); /* the file is as long as it must be for what is in it */
    assert_int_equal(snap_store_account(f->store, UINT64_MAX, &f->diag), 0);
    uint64_t all = block_space_free_count(&f->store->space), first = 0;
    for (uint64_t left = all; left != 0;) { /* nothing is free, and the file cannot grow */
        left -= block_space_allocate(&f->store->space, left, 1, 99, &first);
    }
    f->io->fail_allocate = f->io->allocations + 1;
    f->io->sticky = true;
    f->io->error = -ENOSPC;
    ph_active_mutant = mutant;
    assert_int_equal(snap_store_rollback(f->store, 1, NULL, &f->diag), PHANTOM_ENOSPACE);
    ph_active_mutant = PH_MUTANT_NONE;
    f->io->fail_allocate = 0;
    f->io->sticky = false;
    struct snap_txn *txn = fixture_begin(f);
    assert_true(snap_txn_is_empty(txn));
    fixture_commit(f, txn); /* repeats the current generation */
    const struct snap_generation current = *snap_store_current(f->store);
    _Alignas(8) uint8_t page[SNAP_PAGE_SIZE], wanted[SNAP_PAGE_SIZE];
    fill(2, 7, wanted);
    assert_int_equal(snap_store_read_page(f->store, current.number, 7, page, &f->diag), 1);
    bool same = memcmp(page, wanted, sizeof page) == 0;
    if (mutant == PH_MUTANT_NONE) {
        check_generation(f->store, current.number, fixture_tags(f, 2), f->pages);
        fixture_crash(f);
        fixture_open(f);
        fixture_check(f);
    }
    fixture_free(f);
    return same;
}

static void rollback_without_room_leaves_the_memory_as_it_is(void **state)
{
    (void)state;
    assert_true(commit_after_a_refused_rollback_is_right(PH_MUTANT_NONE));
    assert_false(
        commit_after_a_refused_rollback_is_right(PH_MUTANT_ROLLBACK_UNTOUCHED)); /* killed */
    print_message("mutant ROLLBACK_UNTOUCHED: killed\n");
}

/* A heap that shrank leaves pages in the map behind its end; both ways over that. */
static void rollback_reaches_pages_behind_the_end_of_the_heap(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    uint64_t made[2];
    for (unsigned i = 0; i < 2; i++) {
        struct snap_txn *txn = fixture_begin(f);
        assert_int_equal(snap_txn_reserve(txn, 2, &f->diag), 0);
        memset(snap_txn_stage(txn, 0), 1 + (int)i, SNAP_PAGE_SIZE);
        memset(snap_txn_stage(txn, 250), 10 + (int)i, SNAP_PAGE_SIZE);
        struct snap_commit commit = {.heap_pages = 100};
        struct snap_generation out;
        assert_int_equal(snap_txn_commit(txn, &commit, &out, &f->diag), 0);
        made[i] = out.number;
    }
    uint8_t page[SNAP_PAGE_SIZE];
    for (unsigned i = 0; i < 2; i++) {
        struct snap_generation out;
        assert_int_equal(snap_store_rollback(f->store, made[i], &out, &f->diag), 0);
        assert_int_equal(snap_store_read_page(f->store, out.number, 250, page, &f->diag), 1);
        assert_int_equal(page[0], 10 + i);
    }
    assert_int_equal(snap_store_audit(f->store, &f->diag), 0);
    fixture_free(f);
}

/* Rollbacks, tags and commits at random, with generations dropped all the time: what blocks are in
 * use must stay right, and the walk at open must agree. */
static void random_rollbacks_match_the_model(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261123);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct fixture *f = fixture_new(LIMIT, 600);
    f->tick = INT64_C(700000000);
    unsigned rollbacks = 0, tags = 0;
    for (uint32_t round = 1; round <= 500; round++) {
        fixture_budget(f, (uint64_t)(1 + ph_rng_below(&rng, 800)) * SNAP_PAGE_SIZE);
        struct snap_generation *list;
        size_t count = retained(f, &list);
        uint64_t any = count != 0 ? list[ph_rng_below(&rng, count)].number : 0;
        free(list);
        uint64_t what = ph_rng_below(&rng, 16);
        char name[32];
        snprintf(name, sizeof name, "t%" PRIu32, round);
        if (count != 0 && what == 0) {
            rollbacks++;
            (void)roll_back(f, any);
        } else if (count != 0 && what == 1) {
            tags++;
            tag_commit(f, any, name);
        } else if (what == 2 && snap_store_tags(f->store, NULL, 0) > 3) {
            struct snap_tag some[4];
            (void)snap_store_tags(f->store, some, 4);
            untag_commit(f, some[ph_rng_below(&rng, 4)].name);
        } else if (what == 3) {
            fixture_crash(f);
            fixture_open(f);
        } else {
            fixture_put(f, ph_rng_below(&rng, 500), 1 + ph_rng_below(&rng, 90), round);
        }
        if (round % 5 == 0) {
            fixture_check(f);
        }
    }
    assert_true(rollbacks >= 10 && tags >= 10);
    reopen_and_check(f);
    fixture_free(f);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void damaged_catalog_is_refused_by_writers_and_told_by_verify(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(200000000);
    commit_many(f, 1, 40);
    uint64_t blocks[3] = {f->store->catalog.now->root.block, f->store->catalog.now->node[0].block,
                          f->store->catalog.now->leaf[1].block};
    unsigned ring = snap_store_list(f->store, NULL, 0) - store_ring_first(f->store);
    fixture_close(f);
    for (unsigned i = 0; i < 3; i++) {
        fixture_block(f, blocks[i])[2000] ^= 0x40;
        assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
        struct snap_store *store = NULL;
        assert_int_equal(snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag),
                         0);
        assert_int_equal(snap_store_list(store, NULL, 0), ring);
        struct snap_lost lost;
        assert_int_equal(snap_store_lost(store, &lost, 1), 1);
        assert_true(lost.block == SNAP_NO_BLOCK && lost.generation == 0);
        struct snap_verify_report report;
        assert_int_equal(snap_store_verify(store, true, &report, NULL, NULL, &f->diag),
                         PHANTOM_ECORRUPT);
        assert_int_equal(report.damaged, 1);
        snap_store_close(store);
        fixture_block(f, blocks[i])[2000] ^= 0x40;
    }
    fixture_open(f);
    fixture_check(f);
    fixture_block(f, blocks[2])[2000] ^= 0x40; /* while it is open */
    struct snap_verify_report report;
    assert_int_equal(snap_store_verify(f->store, false, &report, NULL, NULL, &f->diag),
                     PHANTOM_ECORRUPT);
    fixture_free(f);
}

/* How many blocks with this content were ruined: 0 once it was. */
static unsigned ruin_page(struct fixture *f, uint64_t page, uint32_t tag)
{
    uint64_t size = 0, content[STORE_BLOCK_SIZE / 8];
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    unsigned count = 0;
    fill(tag, page, content);
    for (uint64_t at = 0; at + STORE_BLOCK_SIZE <= size; at += STORE_BLOCK_SIZE) {
        if (memcmp(bytes + at, content, STORE_BLOCK_SIZE) == 0) {
            bytes[at + 77] ^= 1;
            count++;
        }
    }
    return count;
}

/* Of every generation that has a record of its own, a page is ruined: what is left is in the
 * catalog, and salvage takes the newest of it, by the catalog that the newest record names. */
static void salvage_finds_generations_of_the_catalog(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(200000000);
    commit_many(f, 1, 40);
    unsigned ring = store_ring_first(f->store), count = f->past_count;
    struct snap_generation *list;
    size_t retained_count = retained(f, &list);
    assert_true(ring > 0 && ring < retained_count);
    uint64_t newest = list[ring - 1].number;
    /* The page that this generation does not have yet, but all younger ones. */
    uint32_t *old = NULL, *young = NULL;
    for (unsigned i = 0; i < count; i++) {
        old = f->past[i].number == newest ? f->past[i].tags : old;
        young = f->past[i].number == list[ring].number ? f->past[i].tags : young;
    }
    fixture_close(f);
    unsigned ruined = 0;
    for (unsigned i = 0; i < count; i++) {
        for (uint64_t page = 0; f->past[i].number > newest && page < f->pages; page++) {
            if (f->past[i].tags[page] != 0 && f->past[i].tags[page] != old[page]) {
                ruined += ruin_page(f, page, f->past[i].tags[page]);
            }
        }
    }
    assert_true(young != NULL && ruined != 0);
    struct snap_io *target = snap_io_memory_create(LIMIT);
    struct snap_salvage_report report;
    int error =
        snap_store_salvage(&f->io->io, NULL, false, target, NULL, NULL, NULL, &report, &f->diag);
    if (error != 0) {
        fail_msg("%s", f->diag.text);
    }
    assert_int_equal(report.generation, newest);
    assert_int_equal(report.pages_lost, 0);
    struct snap_store *store = NULL;
    assert_int_equal(snap_store_open(target, 0, &store, NULL, &f->diag), 0);
    assert_memory_equal(&snap_store_current(store)->time_ns, &list[ring - 1].time_ns, 8);
    assert_int_equal(snap_store_verify(store, true, NULL, NULL, NULL, &f->diag), 0);
    for (uint64_t page = 0; page < f->pages; page++) {
        uint64_t got[SNAP_PAGE_SIZE / 8] = {0}, wanted[SNAP_PAGE_SIZE / 8] = {0};
        int found = snap_store_read_page(store, newest, page, got, &f->diag);
        assert_int_equal(found, old[page] != 0);
        if (found == 1) {
            fill(old[page], page, wanted);
            assert_memory_equal(got, wanted, sizeof got);
        }
    }
    snap_store_close(store);
    target->ops->close(target);
    free(list);
    fixture_free(f);
}

/* A hostile catalog has good sums and bad content; every field is ruined in turn. */
static void reseal_catalog(struct fixture *f, uint64_t root, uint64_t node, uint64_t leaf,
                           struct store_record *record)
{
    struct snap_store_params params = fixture_params();
    struct store_catalog_node *n = (struct store_catalog_node *)fixture_block(f, node);
    struct store_catalog_node *r = (struct store_catalog_node *)fixture_block(f, root);
    n->sum[0] = store_sum_block(params.uuid, STORE_SUM_CATALOG, 0, fixture_block(f, leaf));
    r->sum[0] = store_sum_block(params.uuid, STORE_SUM_CATALOG + 1, 0, n);
    record->catalog_sum = store_sum_block(params.uuid, STORE_SUM_CATALOG + 2, 0, r);
    fixture_reseal(f, record);
}

static bool ruin(struct store_catalog_leaf *leaf, struct store_catalog_node *node,
                 struct store_catalog_node *root, unsigned how)
{
    struct store_catalog_slot *g = &leaf->slot[0], *tag = &leaf->slot[1];
    switch (how) {
    case 0: g->generation = 0; return true;
    case 1: g->generation = STORE_GENERATION_LIMIT; return true;
    case 2: g->u.entry.parent = g->generation; return true;
    case 3: g->u.entry.delta.generation = g->generation + 1; return true;
    case 4: g->u.entry.heap_pages = UINT64_MAX; return true;
    case 5: g->u.entry.live_pages = FIXTURE_PAGES + 1; return true;
    case 6: g->u.entry.blocks_written = UINT64_MAX; return true;
    case 7: g->kind = 77; return true;
    case 8: *tag = *g; return true;          /* twice */
    case 9: g->generation = 39; return true; /* its record is in the ring */
    case 10: tag->generation = 12345; return true;
    case 11: memset(tag->u.name, 'x', sizeof tag->u.name); return true;
    case 12: tag->u.name[0] = ' '; return true;
    case 13: leaf->slot[3] = *tag; return true; /* the same name twice */
    case 14: g->u.entry.root_block = 3; return true;
    case 15: node->block[0] = UINT64_MAX; return true;
    case 16: node->block[1] = node->block[0]; return true;
    case 17: root->block[STORE_CATALOG_NODES] = root->block[0]; return true;
    case 18: root->block[0] = 1; return true;
    case 19: memset(&g->u, 0, sizeof g->u); return true; /* a hole in the middle of history */
    default: return false;
    }
}

static void hostile_catalog_is_refused_or_harmless(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(200000000);
    fixture_put(f, 1, 3, 1);
    commit_many(f, 2, 13); /* generation 1 takes slot 1 */
    tag_commit(f, 1, "one");
    /* move the tag next to it */
    commit_many(f, 20, 25);
    uint64_t root = f->store->catalog.now->root.block, node = f->store->catalog.now->node[0].block,
             leaf = f->store->catalog.now->leaf[0].block;
    uint64_t current = snap_store_current(f->store)->number;
    fixture_close(f);
    struct store_catalog_leaf *l = (struct store_catalog_leaf *)fixture_block(f, leaf);
    assert_int_equal(l->slot[0].generation, 1);
    for (unsigned i = 1; i < STORE_CATALOG_LEAF_SLOTS; i++) {
        if (l->slot[i].kind == STORE_CATALOG_TAG) { /* the table may be in any order */
            struct store_catalog_slot swap = l->slot[1];
            l->slot[1] = l->slot[i];
            l->slot[i] = swap;
        }
    }
    assert_int_equal(l->slot[1].kind, STORE_CATALOG_TAG);
    struct store_record *record = fixture_record(f, current);
    reseal_catalog(f, root, node, leaf, record);
    fixture_block(f, STORE_SEAL)[0] ^= 1;
    fixture_open(f);
    fixture_check(f);
    fixture_close(f);
    fixture_block(f, STORE_SEAL)[0] ^= 1;
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    memset(fixture_block(f, STORE_SEAL), 0, STORE_BLOCK_SIZE);
    for (unsigned how = 0;; how++) {
        assert_int_equal(snap_io_memory_assign(f->io->base, copy, size), 0);
        memset(fixture_block(f, STORE_SEAL), 0, STORE_BLOCK_SIZE);
        if (!ruin((struct store_catalog_leaf *)fixture_block(f, leaf),
                  (struct store_catalog_node *)fixture_block(f, node),
                  (struct store_catalog_node *)fixture_block(f, root), how)) {
            break;
        }
        reseal_catalog(f, root, node, leaf, fixture_record(f, current));
        if (how != 19) {
            assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
        }
        struct snap_store *store = NULL;
        if (snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag) == 0) {
            check_generation(store, current, fixture_tags(f, current), f->pages);
            (void)snap_store_verify(store, true, NULL, NULL, NULL, &f->diag);
            (void)snap_store_audit(store, &f->diag);
            snap_store_close(store);
        }
    }
    free(copy);
    assert_int_equal(snap_io_memory_assign(f->io->base, NULL, 0), 0);
    fixture_free(f);
}

/* One page, all else as it was; not in the model, which is too small for so many. */
static void put_one(struct fixture *f, uint32_t tag)
{
    struct snap_txn *txn = fixture_begin(f);
    fixture_stage(f, txn, tag % f->pages, tag);
    f->clock += 1000;
    struct snap_commit commit = {.heap_pages = f->pages, .time_ns = f->clock};
    assert_int_equal(snap_txn_commit(txn, &commit, NULL, &f->diag), 0);
}

static void keep_everything(struct fixture *f)
{
    const struct snap_retention all = {.budget_bytes = UINT64_MAX,
                                       .all_s = UINT32_MAX,
                                       .per_second_s = UINT32_MAX,
                                       .per_minute_s = UINT32_MAX,
                                       .most_per_second = 1000000000};
    assert_int_equal(snap_store_set_retention(f->store, &all), 0);
}

/* Nothing is to be dropped, but the catalog has room for so many generations and tags only: then
 * the oldest without a tag go, and a tag too many is refused. */
static void full_catalog_gives_up_the_oldest(void **state)
{
    (void)state;
    enum { MOST = STORE_CATALOG_GENERATIONS + FIXTURE_SLOTS };
    struct fixture *f = fixture_new(UINT64_C(1) << 30, 16);
    keep_everything(f);
    uint32_t tag = 1;
    put_one(f, tag++);
    uint64_t first = snap_store_current(f->store)->number;
    assert_int_equal(snap_store_tag(f->store, first, "first", &f->diag), 0);
    while (tag < STORE_CATALOG_GENERATIONS + 4 * FIXTURE_SLOTS) {
        put_one(f, tag++);
        assert_in_range(f->store->generation_count, 1, MOST);
    }
    assert_in_range(f->store->generation_count, STORE_CATALOG_GENERATIONS, MOST);
    assert_true(is_retained(f, first)); /* it has a tag */
    assert_false(is_retained(f, first + 2));
    char name[32];
    for (unsigned i = 1; i < STORE_CATALOG_TAGS; i++) {
        snprintf(name, sizeof name, "tag-%u", i);
        uint64_t number = f->store->generation[(size_t)i * 7].info.number;
        assert_int_equal(snap_store_tag(f->store, number, name, &f->diag), 0);
    }
    assert_int_equal(snap_store_tag(f->store, first, "one-more", &f->diag), PHANTOM_EINVALID);
    assert_int_equal(snap_store_tags(f->store, NULL, 0), STORE_CATALOG_TAGS);
    for (unsigned i = 0; i < 2 * FIXTURE_SLOTS; i++) {
        put_one(f, tag++);
    }
    uint64_t current = snap_store_current(f->store)->number;
    assert_int_equal(snap_store_audit(f->store, &f->diag), 0);
    fixture_reopen(f);
    assert_int_equal(f->recovery.opened, current);
    check_generation(f->store, current, f->now, f->pages);
    assert_int_equal(snap_store_tags(f->store, NULL, 0), STORE_CATALOG_TAGS);
    assert_in_range(f->store->generation_count, STORE_CATALOG_GENERATIONS - FIXTURE_SLOTS, MOST);
    keep_everything(f);
    assert_int_equal(snap_store_untag(f->store, "first", &f->diag), 0);
    assert_int_equal(snap_store_tag(f->store, current, "one-more", &f->diag), 0);
    put_one(f, tag++);
    assert_int_equal(snap_store_audit(f->store, &f->diag), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(salvage_finds_generations_of_the_catalog),
        cmocka_unit_test(generations_that_leave_the_ring_are_all_in_the_catalog),
        cmocka_unit_test(catalog_is_written_once_in_many_commits),
        cmocka_unit_test(fast_commits_leave_ten_generations_a_second),
        cmocka_unit_test(day_of_history_is_thinned_by_age),
        cmocka_unit_test(clock_that_jumps_loses_no_history_at_once),
        cmocka_unit_test(budget_drops_the_oldest_of_the_catalog),
        cmocka_unit_test(policy_that_makes_no_sense_is_refused),
        cmocka_unit_test(tagged_generation_outlives_any_budget),
        cmocka_unit_test(tags_are_refused_for_a_reason),
        cmocka_unit_test(failed_tag_is_no_tag),
        cmocka_unit_test(rollback_brings_content_back_and_can_be_undone),
        cmocka_unit_test(rollback_without_room_leaves_the_memory_as_it_is),
        cmocka_unit_test(rollback_reaches_pages_behind_the_end_of_the_heap),
        cmocka_unit_test(random_rollbacks_match_the_model),
        cmocka_unit_test(damaged_catalog_is_refused_by_writers_and_told_by_verify),
        cmocka_unit_test(hostile_catalog_is_refused_or_harmless),
        cmocka_unit_test(full_catalog_gives_up_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
