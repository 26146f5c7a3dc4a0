/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_page_set.c - the page set against an array of bools, and the table of sums.
 */
#include "page_set.h"
#include "page_sums.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <errno.h>
#include <string.h>

enum { PAGES = 10000, STEPS = 20000 };

static void expect_same(const struct page_set *set, const bool *model, uint64_t pages)
{
    uint64_t members = 0;
    uint64_t next = page_set_next(set, 0, pages);
    for (uint64_t page = 0; page < pages; page++) {
        assert_int_equal(page_set_has(set, page), model[page]);
        if (model[page]) {
            members++;
            assert_int_equal(next, page);
            next = page_set_next(set, page + 1, pages);
        }
    }
    assert_true(next == PAGE_SET_END);
    assert_int_equal(set->members, members);
}

static void a_set_behaves_like_an_array_of_bools(void **state)
{
    (void)state;
    static bool model[PAGES];
    struct page_set set;
    struct ph_rng rng;
    ph_rng_init(&rng, ph_rng_seed_from_environment(1));
    assert_int_equal(page_set_init(&set, PAGES), 0);
    for (int step = 0; step < STEPS; step++) {
        uint64_t page = ph_rng_below(&rng, PAGES);
        uint64_t most = PAGES - page < 300 ? PAGES - page : 300;
        uint64_t count = ph_rng_below(&rng, most + 1);
        switch (ph_rng_below(&rng, 6)) {
        case 0:
            assert_int_equal(page_set_add(&set, page), !model[page]);
            model[page] = true;
            break;
        case 1:
            assert_int_equal(page_set_remove(&set, page), model[page]);
            model[page] = false;
            break;
        case 2:
            page_set_add_range(&set, page, count);
            memset(model + page, true, count);
            break;
        case 3:
        case 4:
            page_set_remove_range(&set, page, count);
            memset(model + page, false, count);
            break;
        default: {
            uint64_t expected = 0;
            for (uint64_t i = page; i < page + count; i++) {
                expected += model[i];
            }
            assert_int_equal(page_set_count(&set, page, page + count), expected);
        }
        }
        if (step % 1000 == 0) {
            expect_same(&set, model, PAGES);
        }
    }
    expect_same(&set, model, PAGES);
    assert_int_equal(page_set_count(&set, 0, PAGES), set.members);
    page_set_clear(&set);
    memset(model, false, sizeof(model));
    expect_same(&set, model, PAGES);
    page_set_finish(&set);
}

static void moving_unites_and_empties(void **state)
{
    (void)state;
    static bool model[PAGES];
    struct page_set a, b;
    assert_int_equal(page_set_init(&a, PAGES), 0);
    assert_int_equal(page_set_init(&b, PAGES), 0);
    for (uint64_t page = 0; page < PAGES; page += 3) {
        page_set_add(&a, page);
        model[page] = true;
    }
    for (uint64_t page = 0; page < PAGES; page += 701) {
        page_set_add(&b, page);
        model[page] = true;
    }
    page_set_move(&a, &b);
    expect_same(&a, model, PAGES);
    assert_int_equal(b.members, 0);
    assert_true(page_set_next(&b, 0, PAGES) == PAGE_SET_END);
    page_set_finish(&a);
    page_set_finish(&b);
}

static void the_end_of_a_range_is_not_in_it(void **state)
{
    (void)state;
    struct page_set set;
    assert_int_equal(page_set_init(&set, 129), 0);
    page_set_add(&set, 64);
    page_set_add(&set, 128);
    assert_true(page_set_next(&set, 0, 64) == PAGE_SET_END);
    assert_int_equal(page_set_next(&set, 0, 65), 64);
    assert_int_equal(page_set_next(&set, 65, 1000), 128);
    assert_true(page_set_next(&set, 129, 1000) == PAGE_SET_END);
    assert_int_equal(page_set_count(&set, 64, 128), 1);
    page_set_finish(&set);
}

static void an_allocation_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    for (int n = 0; n < 2; n++) {
        struct page_set set;
        ph_memory_fail_after(n, false);
        assert_int_equal(page_set_init(&set, 1000), -ENOMEM);
        ph_memory_fail_after(-1, false);
        page_set_finish(&set);
    }
    assert_int_equal(ph_memory_live_blocks(), before);
}

static void sums_are_kept_by_page_and_zero_pages_are_known(void **state)
{
    (void)state;
    struct page_sums sums;
    uint8_t page[SNAP_PAGE_SIZE] = {0};
    assert_int_equal(page_sums_init(&sums, 5000), 0);
    assert_true(page_sums_is_zero(page));
    struct snap_sum zero = page_sums_of(page);
    page[SNAP_PAGE_SIZE - 1] = 1;
    assert_false(page_sums_is_zero(page));
    struct snap_sum one = page_sums_of(page);
    assert_false(page_sums_equal(zero, one));
    assert_int_equal(page_sums_put(&sums, 4999, one), 0);
    assert_int_equal(page_sums_put(&sums, 4998, zero), 0);
    assert_true(page_sums_equal(page_sums_get(&sums, 4999), one));
    assert_true(page_sums_equal(page_sums_get(&sums, 4998), zero));
    assert_true(page_sums_equal(page_sums_get(&sums, 0), (struct snap_sum){0, 0}));
    page_sums_finish(&sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_behaves_like_an_array_of_bools),
        cmocka_unit_test(moving_unites_and_empties),
        cmocka_unit_test(the_end_of_a_range_is_not_in_it),
        cmocka_unit_test(an_allocation_that_fails_leaves_nothing_behind),
        cmocka_unit_test(sums_are_kept_by_page_and_zero_pages_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
