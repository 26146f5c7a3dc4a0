/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_recovery.c - one test for each rule of docs/formats/store.md, "Recovery":
 * what a crash or damage can leave in the file, made by hand, and what open does with it.
 */
#include "ph_killed.h"
#include "store_fixture.h"

enum { LIMIT = 64 << 20, PAGES = 500 };

/* Three generations, closed as by a crash: the third is not sealed. */
static struct fixture *three_generations(void)
{
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 30, 1);
    fixture_put(f, 10, 30, 2);
    fixture_put(f, 20, 30, 3);
    fixture_crash(f);
    return f;
}

static void zero_sectors(struct store_record *record, unsigned first, unsigned count)
{
    memset((uint8_t *)record + first * STORE_SECTOR_SIZE, 0, count * STORE_SECTOR_SIZE);
}

/* The block of a page in the delta runs of a generation; 0: they do not say. */
static uint64_t block_in_runs(struct fixture *f, const struct store_record *record, uint64_t page)
{
    struct store_delta_ref ref[STORE_CHAIN_RUNS];
    unsigned runs = 0;
    if (record->delta.block != 0) {
        const struct store_delta_head *head =
            (const struct store_delta_head *)fixture_block(f, record->delta.block);
        memcpy(ref, head + 1, head->older * sizeof ref[0]);
        runs = head->older;
        ref[runs++] = record->delta;
    }
    while (runs-- > 0) {
        const struct store_delta_entry *entry =
            store_delta_entries(fixture_block(f, ref[runs].block));
        for (uint32_t i = 0; i < ref[runs].entries; i++) {
            if (entry[i].page == page) {
                return entry[i].block;
            }
        }
    }
    return 0;
}

/* The block of a page in a generation, found through the map in the file. */
static uint64_t block_of(struct fixture *f, uint64_t generation, uint64_t page)
{
    const struct store_record *record = fixture_record(f, generation);
    uint64_t found = block_in_runs(f, record, page);
    if (found != 0) {
        return found;
    }
    uint64_t block = record->root_block;
    for (uint32_t level = record->tree_height; level > 0 && block != 0; level--) {
        const struct store_node *node = (const struct store_node *)fixture_block(f, block);
        block = node->block[page >> store_level_shift(level - 1) & (STORE_FANOUT - 1)];
    }
    return block;
}

static void opens(struct fixture *f, uint64_t generation, uint64_t incomplete, uint32_t torn,
                  uint32_t retired, uint64_t next)
{
    fixture_open(f);
    assert_int_equal(f->recovery.opened, generation);
    assert_int_equal(f->recovery.incomplete, incomplete);
    assert_int_equal(f->recovery.records_torn, torn);
    assert_int_equal(f->recovery.records_retired, retired);
    assert_int_equal(f->recovery.next_generation, next);
    fixture_check(f);
}

/* The next commit must work, survive a crash and be what is opened. */
static void lives_on(struct fixture *f)
{
    uint64_t current = snap_store_current(f->store)->number;
    memcpy(f->now, fixture_tags(f, current), f->pages * sizeof *f->now);
    fixture_put(f, 3, 9, 1000);
    current = snap_store_current(f->store)->number;
    fixture_crash(f);
    fixture_open(f);
    assert_int_equal(f->recovery.opened, current);
    assert_int_equal(f->recovery.incomplete, 0);
    assert_int_equal(f->recovery.records_torn, 0);
    fixture_check(f);
}

static void unsealed_newest_is_opened_when_its_pages_are_there(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    opens(f, 3, 0, 0, 0, 4);
    assert_false(snap_store_current(f->store)->sealed);
    lives_on(f);
    fixture_free(f);
}

static void newest_without_its_pages_is_incomplete_and_its_parent_is_opened(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct fixture *f = three_generations();
        uint64_t block = what == 0   ? block_of(f, 3, 20)
                         : what == 1 ? block_of(f, 3, 49)
                                     : fixture_map_block(f, 3);
        if (what == 3) {
            memset(fixture_block(f, block), 0, STORE_BLOCK_SIZE);
        } else {
            fixture_block(f, block)[2000] ^= 1;
        }
        opens(f, 2, 3, 0, 1, 4);
        assert_true(snap_store_current(f->store)->sealed);
        lives_on(f);
        fixture_free(f);
    }
}

static void incomplete_generation_never_comes_back(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    uint64_t block = block_of(f, 3, 20);
    uint8_t saved[STORE_BLOCK_SIZE];
    memcpy(saved, fixture_block(f, block), sizeof saved);
    memset(fixture_block(f, block), 0x55, sizeof saved);
    opens(f, 2, 3, 0, 1, 4);
    fixture_crash(f);
    memcpy(fixture_block(f, block), saved, sizeof saved); /* "the same bytes written again" */
    opens(f, 2, 0, 0, 0, 4);
    fixture_free(f);
}

static void incomplete_first_generation_leaves_an_empty_store(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 5, 1);
    fixture_crash(f);
    fixture_block(f, block_of(f, 1, 2))[0] ^= 1;
    fixture_open(f);
    assert_int_equal(f->recovery.opened, 0);
    assert_int_equal(f->recovery.incomplete, 1);
    assert_int_equal(f->recovery.next_generation, 2);
    memset(f->now, 0, f->pages * sizeof *f->now);
    fixture_put(f, 4, 4, 7);
    assert_int_equal(snap_store_current(f->store)->number, 2);
    assert_int_equal(snap_store_current(f->store)->parent, 0);
    fixture_reopen(f);
    assert_int_equal(f->recovery.opened, 2);
    fixture_check(f);
    fixture_free(f);
}

static void only_its_own_pages_are_verified_at_open(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    uint64_t block = block_of(f, 3, 5); /* written by generation 1, still in use */
    fixture_block(f, block)[7] ^= 0x80;
    fixture_open(f);
    assert_int_equal(f->recovery.opened, 3);
    uint8_t page[SNAP_PAGE_SIZE];
    assert_int_equal(snap_store_read_page(f->store, 3, 5, page, &f->diag), PHANTOM_ECORRUPT);
    assert_non_null(strstr(f->diag.text, "page 5 in block"));
    assert_non_null(strstr(f->diag.text, "generation 3"));
    struct snap_verify_report report;
    assert_int_equal(snap_store_verify(f->store, false, &report, NULL, NULL, &f->diag),
                     PHANTOM_ECORRUPT);
    assert_int_equal(report.damaged, 1);
    assert_int_equal(report.first_damaged_page, 5);
    fixture_free(f);
}

static void torn_record_is_recognised_whatever_sector_survived(void **state)
{
    (void)state;
    for (unsigned sector = 0; sector < STORE_SECTORS; sector++) {
        struct fixture *f = three_generations();
        struct store_record *record = fixture_record(f, 3);
        zero_sectors(record, 0, sector);
        zero_sectors(record, sector + 1, STORE_SECTORS - sector - 1);
        opens(f, 2, 0, 1, 1, 4);
        lives_on(f);
        fixture_free(f);
    }
}

static void garbage_in_the_expected_slot_is_a_torn_record(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    memset(fixture_record(f, 4), 0xA5, STORE_BLOCK_SIZE);
    opens(f, 3, 0, 1, 1, 5);
    /* The tombstone keeps the number: it is not used again, opening as often as one likes. */
    fixture_reopen(f);
    assert_int_equal(f->recovery.next_generation, 5);
    assert_int_equal(f->recovery.records_torn, 0);
    lives_on(f);
    assert_int_equal(snap_store_current(f->store)->number, 5);
    fixture_free(f);
}

static void torn_successor_seals_its_parent(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    zero_sectors(fixture_record(f, 4), 2, 1);
    /* Generation 4 was begun, so 3 was durable: a bad root of 3 is damage now, not a crash. */
    fixture_block(f, fixture_map_block(f, 3))[99] ^= 1;
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    fixture_free(f);
}

/* Opening overwrites the record from which it knew that a generation was durable. What is found
 * damaged from then on is damage as before, not a commit that was never finished. */
static void what_sealed_a_generation_may_be_retired(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct fixture *f = three_generations();
        zero_sectors(fixture_record(f, 4), 2, 1); /* its torn successor */
        opens(f, 3, 0, 1, 1, 5);
        closed != 0 ? fixture_close(f) : fixture_crash(f);
        fixture_block(f, fixture_map_block(f, 3))[99] ^= 1;
        assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
        fixture_free(f);

        f = three_generations();
        fixture_block(f, fixture_map_block(f, 3))[99] ^= 1; /* its child, incomplete */
        opens(f, 2, 3, 0, 1, 4);
        closed != 0 ? fixture_close(f) : fixture_crash(f);
        fixture_block(f, fixture_map_block(f, 2))[99] ^= 1;
        assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
        fixture_free(f);
    }
}

static void torn_record_elsewhere_is_damage(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    zero_sectors(fixture_record(f, 2), 3, 1); /* the retained parent */
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    fixture_free(f);

    f = three_generations();
    fixture_record(f, 3)->stamp1.generation += FIXTURE_SLOTS; /* a number nobody was to use */
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    fixture_free(f);
}

static void torn_record_that_nobody_needs_is_only_retired(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    memset(fixture_record(f, 9), 0, STORE_BLOCK_SIZE);
    opens(f, 3, 0, 1, 1, 4);
    lives_on(f);
    fixture_free(f);
}

static void lost_ring_is_damage_not_an_empty_store(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    for (uint64_t i = 0; i < FIXTURE_SLOTS; i++) {
        memset(fixture_record(f, i), 0, STORE_BLOCK_SIZE);
    }
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    assert_int_equal(fixture_refused(f, SNAP_OPEN_READ_ONLY), PHANTOM_ECORRUPT);
    fixture_free(f);
}

static void sealed_generation_is_never_taken_for_incomplete(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 30, 1);
    fixture_put(f, 10, 30, 2);
    assert_int_equal(snap_store_seal(f->store), 0);
    assert_true(snap_store_current(f->store)->sealed);
    fixture_close(f);
    fixture_block(f, fixture_map_block(f, 2))[99] ^= 1;
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    assert_non_null(strstr(f->diag.text, fixture_plain ? "map node" : "delta run"));
    fixture_free(f);
}

static void sealed_generation_whose_record_is_lost_is_damage(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 30, 1);
    fixture_put(f, 10, 30, 2);
    fixture_close(f);
    struct store_record *record = fixture_record(f, 2);
    zero_sectors(record, 0, STORE_SECTORS);
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    assert_non_null(strstr(f->diag.text, "sealed"));
    store_tombstone_make(&(struct store_file){.uuid = {0}}, 2, 2, record);
    memcpy(record->uuid, fixture_params().uuid, 16);
    fixture_reseal(f, record);
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    fixture_free(f);
}

static void torn_seal_is_no_seal(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 30, 1);
    fixture_put(f, 10, 30, 2);
    fixture_close(f);
    fixture_block(f, STORE_SEAL)[20] ^= 1;
    opens(f, 2, 0, 0, 0, 3);
    fixture_crash(f);
    fixture_block(f, block_of(f, 2, 10))[99] ^= 1;
    opens(f, 1, 2, 0, 1, 3);
    fixture_free(f);
}

static void flushed_first_generation_is_not_verified_at_open(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 30, 1);
    fixture_put(f, 0, 300, 2);
    fixture_crash(f);
    assert_int_equal(fixture_record(f, 2)->flags, STORE_RECORD_FLUSHED_FIRST);
    long reads = f->io->reads;
    fixture_open(f);
    assert_true(f->io->reads - reads < 40); /* nodes, not pages */
    assert_int_equal(f->recovery.opened, 2);
    fixture_crash(f);
    fixture_block(f, fixture_map_block(f, 2))[5] ^= 1;
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT); /* damage: it was durable */
    fixture_free(f);
}

static void incomplete_generation_needs_an_intact_parent(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    fixture_block(f, block_of(f, 3, 20))[0] ^= 1;
    fixture_record(f, 2)->pause_ns++;
    fixture_reseal(f, fixture_record(f, 2)); /* a good record, but not the one 3 was made after */
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    assert_non_null(strstr(f->diag.text, "parent"));
    fixture_free(f);
}

static void record_that_does_not_follow_its_parent_is_damage(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    fixture_record(f, 2)->pause_ns++;
    fixture_reseal(f, fixture_record(f, 2));
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    assert_non_null(strstr(f->diag.text, "parent"));
    fixture_free(f);
}

static void crash_while_retiring_is_recovered_like_the_first(void **state)
{
    (void)state;
    /* The tombstone of incomplete generation 3 is itself torn after each sector. */
    for (unsigned sectors = 1; sectors < STORE_SECTORS; sectors++) {
        struct fixture *f = three_generations();
        fixture_block(f, block_of(f, 3, 20))[0] ^= 1;
        struct store_record tombstone;
        struct store_file file = {.ring_slots = FIXTURE_SLOTS};
        memcpy(file.uuid, fixture_params().uuid, sizeof file.uuid);
        store_tombstone_make(&file, 3, 3, &tombstone);
        memcpy(fixture_record(f, 3), &tombstone, sectors * STORE_SECTOR_SIZE);
        /* From some sector on the rest is equal in both, and the tombstone is whole. */
        bool whole = memcmp(fixture_record(f, 3), &tombstone, sizeof tombstone) == 0;
        opens(f, 2, 0, whole ? 0 : 1, whole ? 0 : 1, 4);
        lives_on(f);
        fixture_free(f);
    }
}

static void crashes_again_and_again_never_reach_a_retained_slot(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    for (uint32_t i = 1; i <= 12; i++) {
        fixture_put(f, i, 3, i);
    }
    fixture_crash(f);
    uint64_t last = 12;
    for (int i = 0; i < 60; i++) { /* each attempt to commit dies with a torn record */
        fixture_open(f);
        uint64_t next = f->recovery.next_generation;
        assert_true(next > last);
        last = next;
        assert_int_equal(f->recovery.opened, 12);
        assert_int_equal(snap_store_list(f->store, NULL, 0), 12);
        fixture_close(f);
        memset(fixture_record(f, next), 0x33, STORE_BLOCK_SIZE);
    }
    fixture_open(f);
    fixture_check(f);
    lives_on(f);
    fixture_free(f);
}

static void opening_twice_gives_the_same(void **state)
{
    (void)state;
    struct fixture *f = three_generations();
    fixture_block(f, block_of(f, 3, 20))[0] ^= 1;
    opens(f, 2, 3, 0, 1, 4);
    fixture_crash(f);
    opens(f, 2, 0, 0, 0, 4);
    fixture_crash(f);
    opens(f, 2, 0, 0, 0, 4);
    fixture_free(f);
}

static void file_shorter_than_an_unflushed_commit_says_is_incomplete(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 10, 1);
    uint64_t before = 0, after = 0;
    snap_io_memory_bytes(f->io->base, &before);
    uint32_t i = 2;
    do { /* until a commit makes the file longer */
        fixture_put(f, 0, 20, i++);
        snap_io_memory_bytes(f->io->base, &after);
    } while (after == before);
    uint64_t current = snap_store_current(f->store)->number;
    fixture_crash(f);
    uint8_t *copy = malloc(before);
    assert_non_null(copy);
    memcpy(copy, snap_io_memory_bytes(f->io->base, &after), before);
    assert_int_equal(snap_io_memory_assign(f->io->base, copy, before), 0);
    free(copy);
    fixture_open(f);
    assert_int_equal(f->recovery.opened, current - 1);
    assert_int_equal(f->recovery.incomplete, current);
    fixture_check(f);
    lives_on(f);
    fixture_free(f);
}

/* One of the copies is damaged: whichever write or flush of an open fails, the next one mends it
 * and it stays mended. */
static void writer_mends_superblock(struct fixture *f, uint64_t block)
{
    uint8_t whole[STORE_BLOCK_SIZE];
    memcpy(whole, fixture_block(f, 1 - block), sizeof whole);
    struct snap_store *store = NULL;
    f->io->fail_write = f->io->writes + 1;
    assert_int_equal(snap_store_open(&f->io->io, 0, &store, NULL, &f->diag), -EIO);
    assert_non_null(strstr(f->diag.text, "superblock"));
    f->io->fail_write = 0;
    f->io->fail_flush = f->io->flushes + 2; /* the first one is that of every open */
    assert_int_equal(snap_store_open(&f->io->io, 0, &store, NULL, &f->diag), -EIO);
    f->io->fail_flush = 0;
    memset(fixture_block(f, block), 0, STORE_BLOCK_SIZE); /* the failed flush lost it */
    long flushes = f->io->flushes;
    fixture_open(f);
    assert_true(f->recovery.superblock_mended);
    assert_int_equal(f->io->flushes - flushes, 2);
    assert_memory_equal(fixture_block(f, block), whole, sizeof whole);
    struct snap_verify_report report;
    assert_int_equal(snap_store_verify(f->store, true, &report, NULL, NULL, &f->diag), 0);
    fixture_reopen(f);
    assert_false(f->recovery.superblock_mended);
    fixture_put(f, 3, 2, 8);
    fixture_check(f);
}

/* Accounting in the smallest pieces finds what accounting at once finds, and a crash between two
 * pieces leaves nothing behind. */
static void accounting_in_pieces_is_accounting(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        fixture_plain = plain != 0;
        struct fixture *f = fixture_new(64 << 20, 3000);
        for (uint32_t i = 0; i < 12; i++) {
            fixture_put(f, i * 200, 300, i + 1);
        }
        fixture_crash(f);
        fixture_open(f);
        assert_int_equal(snap_store_account(f->store, UINT64_MAX, &f->diag), 0);
        uint64_t used = f->store->space.used, history = f->store->history_blocks;
        assert_true(history != 0);
        for (unsigned stop = 1; stop < 8; stop++) {
            fixture_crash(f);
            fixture_open(f);
            assert_false(f->store->accounted);
            for (unsigned i = 0; i < stop; i++) {
                assert_int_equal(snap_store_account(f->store, 1, &f->diag), 1);
            }
        }
        unsigned pieces = 1;
        for (int more; (more = snap_store_account(f->store, 1, &f->diag)) != 0; pieces++) {
            assert_int_equal(more, 1);
        }
        assert_in_range(pieces, 12, 100000);
        assert_int_equal(f->store->space.used, used);
        assert_int_equal(f->store->history_blocks, history);
        assert_int_equal(snap_store_audit(f->store, &f->diag), 0);
        fixture_put(f, 7, 300, 77);
        fixture_check(f);
        fixture_free(f);
    }
    fixture_plain = false;
}

static void superblock_copy_stands_in(void **state)
{
    (void)state;
    for (uint64_t block = 0; block < 2; block++) {
        struct fixture *f = three_generations();
        memset(fixture_block(f, block), 0, STORE_BLOCK_SIZE);
        assert_int_equal(snap_store_probe(&f->io->io), 1);
        struct snap_store *reader = NULL;
        struct snap_verify_report report;
        assert_int_equal(snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &reader, NULL, &f->diag),
                         0);
        assert_int_equal(snap_store_verify(reader, true, &report, NULL, NULL, &f->diag),
                         PHANTOM_ECORRUPT);
        assert_int_equal(report.damaged, 1);
        check_generation(reader, 3, fixture_tags(f, 3), f->pages);
        snap_store_close(reader);
        writer_mends_superblock(f, block);
        fixture_free(f);
    }
    struct fixture *f = three_generations();
    fixture_block(f, 0)[60] ^= 1;
    fixture_block(f, 1)[60] ^= 1;
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    memset(fixture_block(f, 0), 'x', 2 * STORE_BLOCK_SIZE);
    assert_int_equal(fixture_refused(f, 0), PHANTOM_EFORMAT);
    assert_int_equal(snap_store_probe(&f->io->io), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounting_in_pieces_is_accounting),
        cmocka_unit_test(unsealed_newest_is_opened_when_its_pages_are_there),
        cmocka_unit_test(newest_without_its_pages_is_incomplete_and_its_parent_is_opened),
        cmocka_unit_test(incomplete_generation_never_comes_back),
        cmocka_unit_test(incomplete_first_generation_leaves_an_empty_store),
        cmocka_unit_test(only_its_own_pages_are_verified_at_open),
        cmocka_unit_test(torn_record_is_recognised_whatever_sector_survived),
        cmocka_unit_test(garbage_in_the_expected_slot_is_a_torn_record),
        cmocka_unit_test(torn_successor_seals_its_parent),
        cmocka_unit_test(what_sealed_a_generation_may_be_retired),
        cmocka_unit_test(torn_record_elsewhere_is_damage),
        cmocka_unit_test(torn_record_that_nobody_needs_is_only_retired),
        cmocka_unit_test(lost_ring_is_damage_not_an_empty_store),
        cmocka_unit_test(sealed_generation_is_never_taken_for_incomplete),
        cmocka_unit_test(sealed_generation_whose_record_is_lost_is_damage),
        cmocka_unit_test(torn_seal_is_no_seal),
        cmocka_unit_test(flushed_first_generation_is_not_verified_at_open),
        cmocka_unit_test(incomplete_generation_needs_an_intact_parent),
        cmocka_unit_test(record_that_does_not_follow_its_parent_is_damage),
        cmocka_unit_test(crash_while_retiring_is_recovered_like_the_first),
        cmocka_unit_test(crashes_again_and_again_never_reach_a_retained_slot),
        cmocka_unit_test(opening_twice_gives_the_same),
        cmocka_unit_test(file_shorter_than_an_unflushed_commit_says_is_incomplete),
        cmocka_unit_test(superblock_copy_stands_in),
    };
    int failed = cmocka_run_group_tests_name("delta runs", tests, NULL, NULL);
    fixture_plain = true;
    failed += cmocka_run_group_tests_name("map nodes", tests, NULL, NULL);
    static const struct ph_killing killings[] = {
        {PH_MUTANT_SEAL_NOT_BELIEVED,
         cmocka_unit_test(sealed_generation_is_never_taken_for_incomplete)},
        {PH_MUTANT_EVIDENCE_RETIRED, cmocka_unit_test(what_sealed_a_generation_may_be_retired)},
    };
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
