/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_verify.c - each kind of damage is found once, and the finding says what it is,
 * where it is and which pages it costs. Progress is told and can stop it.
 */
#include "snap_verify.h"
#include "store_fixture.h"

#include "ph_killed.h"
#include "store_catalog.h"

#include <stdio.h>

enum { PAGES = 1200, LIMIT = 64 << 20 };

struct seen {
    struct snap_finding last;
    unsigned count;
    char text[512];
    uint64_t steps, done, total;
    uint64_t stop_at; /* this step says stop; 0: none */
};

static void note(void *context, const struct snap_finding *finding)
{
    struct seen *seen = context;
    seen->last = *finding;
    seen->count++;
    snprintf(seen->text, sizeof seen->text, "%s", finding->text);
}

static int note_step(void *context, uint64_t done, uint64_t total)
{
    struct seen *seen = context;
    assert_true(done >= seen->done);
    seen->done = done;
    seen->total = total;
    return ++seen->steps == seen->stop_at;
}

static int examine(struct fixture *f, bool deep, struct seen *seen)
{
    uint64_t stop_at = seen->stop_at;
    *seen = (struct seen){.stop_at = stop_at};
    const struct snap_progress progress = {note_step, seen};
    const struct snap_verify_options options = {
        .deep = deep, .finding = note, .context = seen, .progress = &progress};
    struct snap_verify_report report;
    int error = snap_store_examine(f->store, &options, &report, &f->diag);
    assert_int_equal(report.damaged, seen->count);
    return error;
}

static struct store_generation *newest(struct fixture *f)
{
    return &f->store->generation[f->store->generation_count - 1];
}

/* A full first part, then a few pages again and again: history enough for a catalog. The map is
 * kept in delta runs; in a plain store in nodes only. */
static struct fixture *make(bool plain)
{
    fixture_plain = plain;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_plain = false;
    f->tick = INT64_C(200000000);
    struct snap_txn *txn = fixture_begin(f);
    for (uint64_t page = 0; page < PAGES; page++) {
        fixture_stage(f, txn, page, 1);
    }
    assert_int_equal(fixture_try_commit(f, txn), 0);
    for (uint32_t i = 0; i < 40; i++) {
        txn = fixture_begin(f);
        for (uint64_t page = 5; page < PAGES; page += 300) {
            fixture_stage(f, txn, page, 100 + i);
        }
        assert_int_equal(fixture_try_commit(f, txn), 0);
    }
    return f;
}

static uint64_t block_of(struct fixture *f, uint64_t page, uint32_t tag)
{
    uint64_t size = 0, content[STORE_BLOCK_SIZE / 8];
    const uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    fill(tag, page, content);
    for (uint64_t block = 0; block < size / STORE_BLOCK_SIZE; block++) {
        if (memcmp(bytes + block * STORE_BLOCK_SIZE, content, STORE_BLOCK_SIZE) == 0) {
            return block;
        }
    }
    fail_msg("page %" PRIu64 " is in no block", page);
    return 0;
}

/* Damage a block of the open store, expect one finding, mend it. */
static void expect(struct fixture *f, uint64_t block, const struct snap_finding *wanted)
{
    struct seen seen = {0};
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    bytes[block * STORE_BLOCK_SIZE + 1000] ^= 1;
    assert_int_equal(examine(f, false, &seen), PHANTOM_ECORRUPT);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.kind, wanted->kind);
    assert_int_equal(seen.last.block, wanted->block);
    assert_int_equal(seen.last.generation, wanted->generation);
    assert_int_equal(seen.last.first_page, wanted->first_page);
    assert_int_equal(seen.last.page_count, wanted->page_count);
    assert_non_null(strstr(seen.text, "test store"));
    bytes[block * STORE_BLOCK_SIZE + 1000] ^= 1;
    assert_int_equal(examine(f, false, &seen), 0);
    assert_int_equal(seen.count, 0);
}

static void every_finding_says_what_and_where(void **state)
{
    (void)state;
    struct fixture *f = make(false);
    uint64_t generation = newest(f)->info.number;
    uint64_t block = block_of(f, 700, 1);
    expect(f, block, &(struct snap_finding){SNAP_FINDING_PAGE, generation, 700, 1, block, NULL});
    assert_true(newest(f)->map.delta.block != 0);
    expect(f, newest(f)->map.delta.block,
           &(struct snap_finding){SNAP_FINDING_RUNS, generation, 0, FIXTURE_PAGES, SNAP_NO_BLOCK,
                                  NULL});
    for (block = STORE_SUPERBLOCK; block <= STORE_SUPERBLOCK_COPY; block++) {
        expect(f, block, &(struct snap_finding){SNAP_FINDING_SUPERBLOCK, 0, 0, 0, block, NULL});
    }
    block = STORE_RING_START + generation % FIXTURE_SLOTS;
    expect(f, block, &(struct snap_finding){SNAP_FINDING_RECORD, generation, 0, 0, block, NULL});
    block = f->store->catalog.now->leaf[0].block;
    assert_true(block != 0);
    expect(f, block, &(struct snap_finding){SNAP_FINDING_CATALOG, 0, 0, 0, block, NULL});
    fixture_free(f);
}

static void a_node_costs_the_pages_below_it(void **state)
{
    (void)state;
    struct fixture *f = make(true);
    uint64_t generation = newest(f)->info.number, block = newest(f)->map.root_block;
    expect(f, block,
           &(struct snap_finding){SNAP_FINDING_NODE, generation, 0, FIXTURE_PAGES, block, NULL});
    struct store_node *root = (struct store_node *)fixture_block(f, block);
    uint64_t below = UINT64_C(1) << store_level_shift(f->store->file.height - 1);
    block = root->block[0];
    expect(f, block, &(struct snap_finding){SNAP_FINDING_NODE, generation, 0, below, block, NULL});
    fixture_free(f);
}

static void totals_that_do_not_add_up_are_a_finding(void **state)
{
    (void)state;
    struct fixture *f = make(false);
    struct seen seen = {0};
    newest(f)->info.live_pages++;
    assert_int_equal(examine(f, false, &seen), PHANTOM_ECORRUPT);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.kind, SNAP_FINDING_TOTALS);
    assert_int_equal(seen.last.block, SNAP_NO_BLOCK);
    assert_int_equal(seen.last.page_count, 0);
    fixture_free(f);
}

static void progress_is_told_and_stops(void **state)
{
    (void)state;
    struct fixture *f = make(false);
    struct seen seen = {0};
    assert_int_equal(examine(f, false, &seen), 0);
    assert_true(seen.steps >= 3);
    assert_int_equal(seen.done, PAGES);
    assert_int_equal(seen.total, PAGES);
    assert_int_equal(examine(f, true, &seen), 0);
    assert_true(seen.total >= PAGES + 10); /* and what older generations have of their own */
    assert_true(seen.done >= PAGES + 10);
    seen.stop_at = 2;
    assert_int_equal(examine(f, true, &seen), -ECANCELED);
    assert_int_equal(seen.steps, 2);
    assert_true(seen.done < PAGES);
    fixture_free(f);
}

/* A read-only opening shows the generations that it can read, and counts the others. */
static void a_record_that_opening_could_not_read_is_a_finding(void **state)
{
    (void)state;
    for (int zeroed = 0; zeroed < 2; zeroed++) {
        struct fixture *f = make(false);
        struct seen seen = {0};
        unsigned listed = f->store->generation_count;
        uint64_t number = f->store->generation[listed - 3].info.number; /* not the parent */
        uint64_t block = STORE_RING_START + number % FIXTURE_SLOTS;
        fixture_close(f);
        uint8_t *bytes = fixture_block(f, block);
        if (zeroed) {
            memset(bytes, 0, STORE_BLOCK_SIZE);
        } else {
            bytes[100] ^= 1;
        }
        assert_int_equal(snap_store_open_keyed(&f->io->io, fixture_key, SNAP_OPEN_READ_ONLY,
                                               &f->store, &f->recovery, &f->diag),
                         0);
        assert_int_equal(f->store->generation_count, listed - 1);
        struct snap_lost lost;
        assert_int_equal(snap_store_lost(f->store, NULL, 0), 1);
        assert_int_equal(snap_store_lost(f->store, &lost, 1), 1);
        assert_int_equal(lost.block, block);
        assert_int_equal(lost.generation, zeroed ? 0 : number);
        assert_int_equal(examine(f, false, &seen), PHANTOM_ECORRUPT);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.last.kind, SNAP_FINDING_RECORD);
        assert_int_equal(seen.last.block, block);
        assert_non_null(strstr(seen.text, "slot"));
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_finding_says_what_and_where),
        cmocka_unit_test(a_node_costs_the_pages_below_it),
        cmocka_unit_test(totals_that_do_not_add_up_are_a_finding),
        cmocka_unit_test(progress_is_told_and_stops),
        cmocka_unit_test(a_record_that_opening_could_not_read_is_a_finding),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_UNLISTED_RECORD_IGNORED,
         cmocka_unit_test(a_record_that_opening_could_not_read_is_a_finding)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
