/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store.c - the store in good weather: what was committed is what is read, now, after
 * reopening, and in every generation that is still retained.
 */
#include "store_fixture.h"

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
    assert_int_equal(g->bytes_written, 5 * 4096); /* page, three nodes, record */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_store_is_empty_and_stays_so),
        cmocka_unit_test(committed_pages_are_read_back_after_reopen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
