/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_hot.c - pages that strategy async leaves unprotected because they are written again
 * and again: which ones, for how long, and that nothing of them is ever lost: not when they cool
 * down, are discarded, when a snapshot is refused, or after a restart. And that a small commit asks
 * the memory once. Every generation is compared with the heap at its cut.
 */
#include "engine_kit.h"
#include "memory_fake.h"
#include "open_regions.h"
#include "ph_test.h"
#include "snapshot_internal.h"

#include <errno.h>

enum { PAGES = 4000, REGION = 512, HOT = 450, WRITTEN = 1000 };

static const struct kit_kind async_kind = {"async", "async", &kit_fake_memory, false};
static const struct kit_kind marked_kind = {"async with marks", "async", &kit_fake_memory, true};

static unsigned next_value;
static unsigned hot_pages = HOT;

static void store_into_hot_pages(struct kit *kit)
{
    kit_fill_range(kit, 0, hot_pages, ++next_value);
}

/** WRITTEN pages are written, and of them the hot ones again while the snapshot is taken. */
static void one_snapshot(struct kit *kit, bool hot)
{
    kit_fill_range(kit, 0, WRITTEN, ++next_value);
    kit->before_stop = hot ? store_into_hot_pages : NULL;
    kit_snapshot_ok(kit);
    kit->before_stop = NULL;
}

static void live_rounds_leave_a_hot_region_alone_for_a_while(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    hot_pages = HOT;
    one_snapshot(&kit, true); /* the region qualifies */
    assert_int_equal(kit.report.pages_live, WRITTEN);
    assert_int_equal(kit.report.pages_stopped, HOT);
    for (unsigned i = 0; i < OPEN_SNAPSHOTS; i++) {
        one_snapshot(&kit, true);
        assert_int_equal(kit.report.pages_live, WRITTEN - REGION);
        assert_int_equal(kit.report.pages_stopped, REGION); /* all of them say: written */
    }
    one_snapshot(&kit, true); /* closed: it is protected, and its hot pages are left to the stop */
    assert_int_equal(kit.report.pages_live, WRITTEN - HOT);
    assert_int_equal(kit.report.pages_stopped, HOT);
    one_snapshot(&kit, true); /* which was reason enough to open it again */
    assert_int_equal(kit.report.pages_live, WRITTEN - REGION);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void a_region_that_cools_down_is_protected_again(void **state)
{
    (void)state;
    struct kit kit;
    struct snap_counters before, after;
    kit_begin(&kit, &async_kind, PAGES);
    hot_pages = HOT;
    one_snapshot(&kit, true);
    for (unsigned i = 0; i < OPEN_SNAPSHOTS + 2; i++) { /* opened by mistake, and closed */
        one_snapshot(&kit, false);
    }
    snap_engine_counters(kit.engine, &before);
    one_snapshot(&kit, false);
    snap_engine_counters(kit.engine, &after);
    assert_int_equal(kit.report.pages_live, WRITTEN);
    assert_int_equal(kit.report.pages_stopped, 0);
    assert_int_equal(after.pages_left_open, before.pages_left_open);
    kit_fill(&kit, 3, 1); /* and is no dearer than any other */
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 1);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void few_hot_pages_or_too_many_open_nothing_or_little(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    hot_pages = OPEN_PAGES_LEAST - 1;
    one_snapshot(&kit, true);
    one_snapshot(&kit, false);
    assert_int_equal(kit.report.pages_live, WRITTEN - hot_pages); /* single hot pages */
    for (unsigned i = 0; i < 3; i++) { /* all of the heap is hot: not all of it stays open */
        kit_fill_range(&kit, 0, PAGES, ++next_value);
        hot_pages = PAGES;
        kit.before_stop = store_into_hot_pages;
        kit_snapshot_ok(&kit);
        kit.before_stop = NULL;
    }
    hot_pages = HOT;
    kit_fill_range(&kit, 0, PAGES, ++next_value);
    kit_snapshot_ok(&kit);
    kit_fill_range(&kit, 0, PAGES, ++next_value);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.pages_stopped, OPEN_PAGES_MOST);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void hot_pages_survive_refusals_discards_and_restarts(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    hot_pages = HOT;
    one_snapshot(&kit, true);
    one_snapshot(&kit, true);
    kit.stop_result = PHANTOM_ETIMEOUT; /* the live round has taken what is not open */
    kit_fill_range(&kit, 0, WRITTEN, 5);
    assert_int_equal(kit_snapshot(&kit), PHANTOM_ETIMEOUT);
    kit.stop_result = 0;
    kit_fill(&kit, 2, 6);
    kit_snapshot_ok(&kit);
    assert_int_equal(snap_engine_discard(kit.engine, 100, 200), 0);
    kit_fill(&kit, 150, 7);
    one_snapshot(&kit, true);
    assert_int_equal(snap_engine_discard(kit.engine, 0, 300), 0);
    kit_fill_range(&kit, 400, 400, 8);
    kit_snapshot_ok(&kit);
    kit_reopen(&kit); /* nothing is open, everything is clean */
    kit_fill(&kit, 10, 9);
    kit_snapshot_ok(&kit);
    kit_expect_written(&kit, 1);
    one_snapshot(&kit, true);
    one_snapshot(&kit, true);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void where_marks_are_checked_the_memory_is_asked_about_everything(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &marked_kind, PAGES);
    hot_pages = HOT;
    one_snapshot(&kit, true);
    one_snapshot(&kit, true);
    kit_fill_range(&kit, 600, 400, 3);
    kit_write_unmarked(&kit, 20 * SNAP_PAGE_SIZE, "foreign", 7); /* says nothing, in a hot region */
    kit_snapshot_ok(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void an_open_region_ends_where_the_range_ends(void **state)
{
    (void)state;
    struct open_regions open;
    struct page_set taken, hot;
    enum { ODD = 3 * REGION + 100 };
    assert_int_equal(open_regions_init(&open, ODD), 0);
    assert_int_equal(page_set_init(&taken, ODD), 0);
    assert_int_equal(page_set_init(&hot, ODD), 0);
    assert_int_equal(open_regions_skip(&open, 0, ODD), 0);
    assert_int_equal(open_regions_next(&open, 0, ODD), ODD);
    page_set_add_range(&taken, 3 * REGION, 100);
    page_set_add_range(&hot, 3 * REGION, 70);
    page_set_add_range(&hot, 10, 50);
    open_regions_choose(&open, &taken, &hot);
    assert_int_equal(open.set.members, 1);
    assert_int_equal(open_regions_next(&open, 0, ODD), 3 * REGION);
    assert_int_equal(open_regions_next(&open, 3 * REGION + 5, ODD), 3 * REGION + 5);
    assert_int_equal(open_regions_next(&open, ODD, ODD), ODD);
    assert_int_equal(open_regions_next(&open, 0, 3 * REGION), 3 * REGION);
    assert_int_equal(open_regions_skip(&open, 3 * REGION, ODD), ODD);
    assert_int_equal(open_regions_skip(&open, 7, ODD), 7);
    open_regions_finish(&open);
    page_set_finish(&taken);
    page_set_finish(&hot);
}

/* ---- how much is dirty ---------------------------------------------------------------------- */

static unsigned scans;

static void count_scan(void *context, unsigned flags)
{
    (void)context;
    (void)flags;
    scans++;
}

static unsigned scans_of_one(struct kit *kit)
{
    scans = 0;
    memory_fake_on_scan(kit->handle, count_scan, kit);
    kit_snapshot_ok(kit);
    memory_fake_on_scan(kit->handle, NULL, NULL);
    return scans;
}

static void small_commits_scan_once(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &async_kind, PAGES);
    memory_fake_count_faults(kit.handle);
    kit_fill_range(&kit, 0, 100, 1);
    assert_int_equal(scans_of_one(&kit), 2); /* nothing is known before the first */
    for (unsigned i = 0; i < 3; i++) {
        kit_fill_range(&kit, 50, 100, i + 2);
        assert_int_equal(scans_of_one(&kit), 1);
        assert_int_equal(kit.report.live_rounds, 0);
        assert_int_equal(kit.report.pages_stopped, 100);
    }
    kit_fill_range(&kit, 0, WRITTEN, 9); /* more than can be small: counted, and copied live */
    assert_int_equal(scans_of_one(&kit), 3);
    assert_int_equal(kit.report.pages_live, WRITTEN);
    kit_fill_range(&kit, 0, 10, 1);
    memory_fake_fail_after(kit.handle, 0, EIO);
    assert_int_equal(kit_snapshot(&kit), -EIO);
    memory_fake_fail_after(kit.handle, -1, 0);
    kit_fill_range(&kit, 500, 10, 1);
    assert_int_equal(scans_of_one(&kit), 3); /* nor after one that failed: all may be written */
    assert_int_equal(kit.report.pages_live, WRITTEN);
    kit_reopen(&kit);
    kit_end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_rounds_leave_a_hot_region_alone_for_a_while),
        cmocka_unit_test(a_region_that_cools_down_is_protected_again),
        cmocka_unit_test(few_hot_pages_or_too_many_open_nothing_or_little),
        cmocka_unit_test(hot_pages_survive_refusals_discards_and_restarts),
        cmocka_unit_test(where_marks_are_checked_the_memory_is_asked_about_everything),
        cmocka_unit_test(an_open_region_ends_where_the_range_ends),
        cmocka_unit_test(small_commits_scan_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
