/* SPDX-License-Identifier: Apache-2.0
 * Queues, hash tables, pools and interval maps of the port. PH_SEED= replays. */
#include "ph_test.h"
#include "port_defect.h"

#include <errno.h>
#include <kernel/amap.h>
#include <kernel/khash.h>
#include <kernel/pool.h>
#include <queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct element {
    int value;
    queue_chain_t chain;
    void *next;
};

static void queue_keeps_its_order(void **state)
{
    (void)state;
    queue_head_t q;
    struct element e[5];
    queue_init(&q);
    assert_true(queue_empty(&q));
    for (int i = 0; i < 5; i++) {
        e[i].value = i;
    }
    queue_enter(&q, &e[1], struct element *, chain);
    queue_enter(&q, &e[2], struct element *, chain);
    queue_enter_first(&q, &e[0], struct element *, chain);
    queue_enter(&q, &e[3], struct element *, chain);
    int expected = 0;
    struct element *at;
    queue_iterate(&q, at, struct element *, chain)
    {
        assert_int_equal(at->value, expected++);
    }
    assert_int_equal(expected, 4);
    assert_ptr_equal(queue_first(&q), (queue_entry_t)&e[0]);
    assert_ptr_equal(queue_last(&q), (queue_entry_t)&e[3]);
    queue_remove(&q, &e[0], struct element *, chain); /* the first, one in the middle, the last */
    queue_remove(&q, &e[2], struct element *, chain);
    queue_remove(&q, &e[3], struct element *, chain);
    assert_ptr_equal(queue_first(&q), (queue_entry_t)&e[1]);
    assert_ptr_equal(queue_last(&q), (queue_entry_t)&e[1]);
    queue_remove_first(&q, at, struct element *, chain);
    assert_ptr_equal(at, &e[1]);
    assert_true(queue_empty(&q));
    queue_enter_first(&q, &e[4], struct element *, chain);
    assert_ptr_equal(queue_last(&q), (queue_entry_t)&e[4]);
}

static int compare(void *element, const void *key)
{
    return ((struct element *)element)->value - *(const int *)key;
}

static unsigned int hash(void *element, const void *key, unsigned int range)
{
    int value = element != NULL ? ((struct element *)element)->value : *(const int *)key;
    return (unsigned int)value % range;
}

static void hash_table_finds_what_is_in_it(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    static struct element e[COUNT];
    void *table = hash_init(7, offsetof(struct element, next), compare, hash);
    assert_non_null(table);
    assert_null(hash_init(0, 0, compare, hash));
    for (int i = 0; i < COUNT; i++) {
        e[i].value = i;
        assert_int_equal(hash_insert(table, &e[i]), 0);
    }
    for (int i = 0; i < COUNT; i += 3) {
        assert_int_equal(hash_remove(table, &e[i]), 0);
        assert_int_not_equal(hash_remove(table, &e[i]), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_ptr_equal(hash_lookup(table, &i), i % 3 == 0 ? NULL : &e[i]);
    }
    hash_uninit(table);
}

/* ---- pool ---------------------------------------------------------------------------------- */

static _Atomic int destroyed;

static void count_destroyed(void *element)
{
    (void)element;
    destroyed++;
}

static void *make_from_argument(void *arg)
{
    return arg;
}

static errno_t count_elements(pool_t *pool, void *el, pool_handle_t handle, void *arg)
{
    (void)el;
    assert_true(pool_el_refcount(pool, handle) >= 2); /* held meanwhile */
    return ++*(int *)arg == 3 ? 77 : 0;
}

static void pool_counts_references(void **state)
{
    (void)state;
    int thing = 5;
    destroyed = 0;
    pool_t *pool = create_pool();
    pool->destroy = count_destroyed;
    pool_handle_t h = pool_create_el(pool, &thing);
    assert_true(h >= 0);
    assert_int_equal(pool_el_refcount(pool, h), 1);
    assert_ptr_equal(pool_get_el(pool, h), &thing);
    assert_int_equal(pool_el_refcount(pool, h), 2);
    assert_int_equal(pool_destroy_el(pool, h), EBUSY);
    assert_int_equal(pool_release_el(pool, h), 0);
    assert_int_equal(pool_el_refcount(pool, h), 1);
    assert_int_equal(destroyed, 0);
    assert_int_equal(pool_release_el(pool, h), 0);
    assert_int_equal(destroyed, 1);
    assert_int_equal(pool_el_refcount(pool, h), -1);
    assert_null(pool_get_el(pool, h));
    assert_int_equal(pool_get_used(pool), 0);
    assert_int_equal(destroy_pool(pool), 0);
}

static void stale_handles_are_refused(void **state)
{
    (void)state;
    pool_t *pool = create_pool();
    pool_handle_t old = pool_create_el(pool, &destroyed);
    assert_int_equal(pool_destroy_el(pool, old), 0);
    pool_handle_t new = pool_create_el(pool, &destroyed); /* the same slot */
    assert_int_not_equal(old, new);
    assert_null(pool_get_el(pool, old));
    assert_int_equal(pool_release_el(pool, old), EINVAL);
    assert_int_equal(pool_destroy_el(pool, old), EINVAL);
    const pool_handle_t none[] = {-1, -77, 1 << 30, INT32_MAX, new + 1};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_null(pool_get_el(pool, none[i]));
    }
    assert_int_equal(pool_destroy_el(pool, new), 0);
    assert_int_equal(destroy_pool(pool), 0);
}

static void pool_survives_many_cycles_and_cleans_up(void **state)
{
    (void)state;
    destroyed = 0;
    pool_t *pool = create_pool();
    pool->init = make_from_argument;
    pool->destroy = count_destroyed;
    pool->flag_autoclean = 1;
    assert_int_equal(pool_create_el(pool, NULL), -1); /* init gave nothing */
    for (int i = 0; i < 500; i++) {
        pool_handle_t h = pool_create_el(pool, &destroyed);
        assert_true(h >= 0);
        if (i % 2 == 0) {
            assert_int_equal(pool_release_el(pool, h), 0);
        }
    }
    assert_int_equal(destroyed, 250);
    assert_int_equal(pool_get_used(pool), 250);
    assert_true(pool_get_free(pool) >= 0);
    int seen = 0;
    assert_int_equal(pool_foreach(pool, count_elements, &seen), 77);
    assert_int_equal(seen, 3);
    assert_int_equal(destroy_pool(pool), 0);
    assert_int_equal(destroyed, 500);
    pool = create_pool();
    assert_true(pool_create_el(pool, &seen) >= 0);
    assert_int_equal(destroy_pool(pool), EBUSY);
    pool->flag_autoclean = 1;
    assert_int_equal(destroy_pool(pool), 0);
}

/* ---- interval maps ------------------------------------------------------------------------- */

enum { MAP_START = 1000, MAP_SIZE = 64 };

struct walk {
    uint64_t next;
    int ranges;
    u_int32_t last_flags;
    u_int32_t model[MAP_SIZE];
};

static void check_range(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    struct walk *walk = arg;
    assert_int_equal(from, walk->next);
    assert_true(n > 0);
    assert_true(walk->ranges == 0 || flags != walk->last_flags); /* neighbours differ */
    for (uint64_t i = from; i < from + n; i++) {
        assert_int_equal(walk->model[i - MAP_START], flags);
    }
    walk->next = from + n;
    walk->last_flags = flags;
    walk->ranges++;
}

static void count_range(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    (void)from;
    (void)flags;
    *(uint64_t *)arg += n;
}

static void interval_map_agrees_with_an_array(void **state)
{
    (void)state;
    const char *given = getenv("PH_SEED");
    unsigned int seed = given != NULL ? (unsigned int)strtoul(given, NULL, 0) : 20261122u;
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 200; round++) {
        amap_t map;
        struct walk walk = {0};
        amap_init(&map, MAP_START, MAP_SIZE, 0);
        for (int step = 0; step < 60; step++) {
            int from = rand() % MAP_SIZE;
            int n = rand() % (MAP_SIZE - from + 1);
            u_int32_t flags = (u_int32_t)(rand() % 3);
            int modified = -1;
            bool differs = false;
            for (int i = from; i < from + n; i++) {
                differs |= walk.model[i] != flags;
            }
            assert_int_equal(amap_check(&map, MAP_START + (uint64_t)from, (uint64_t)n, flags),
                             differs ? ENOENT : 0);
            assert_int_equal(
                amap_check_modify(&map, MAP_START + (uint64_t)from, (uint64_t)n, flags, &modified),
                0);
            assert_int_equal(modified, differs);
            for (int i = from; i < from + n; i++) {
                walk.model[i] = flags;
            }
            walk.next = MAP_START;
            walk.ranges = 0;
            amap_iterate_all(&map, check_range, &walk);
            assert_int_equal(walk.next, MAP_START + MAP_SIZE);
        }
        uint64_t counted = 0;
        uint64_t expected = 0;
        amap_iterate_flags(&map, count_range, &counted, 2);
        for (int i = 0; i < MAP_SIZE; i++) {
            expected += walk.model[i] == 2;
        }
        assert_int_equal(counted, expected);
        amap_destroy(&map);
    }
}

static void interval_map_refuses_what_is_outside(void **state)
{
    (void)state;
    amap_t map;
    int modified = 9;
    amap_init(&map, 100, 10, 1);
    assert_int_equal(amap_modify(&map, 99, 2, 0), EINVAL);
    assert_int_equal(amap_modify(&map, 109, 2, 0), EINVAL);
    assert_int_equal(amap_modify(&map, 105, UINT64_MAX, 0), EINVAL);
    assert_int_equal(amap_check(&map, 111, 0, 1), EINVAL);
    assert_int_equal(amap_check_modify(&map, 0, 1, 0, &modified), EINVAL);
    assert_int_equal(modified, 9);
    assert_int_equal(amap_check(&map, 100, 10, 1), 0);
    amap_destroy(&map);
    amap_init(&map, UINT64_MAX - 5, 100, 7); /* cut at the end of the numbers */
    assert_int_equal(amap_check(&map, UINT64_MAX - 5, 5, 7), 0);
    amap_destroy(&map);
}

int main(int argc, char **argv)
{
    port_defect(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_keeps_its_order),
        cmocka_unit_test(hash_table_finds_what_is_in_it),
        cmocka_unit_test(pool_counts_references),
        cmocka_unit_test(stale_handles_are_refused),
        cmocka_unit_test(pool_survives_many_cycles_and_cleans_up),
        cmocka_unit_test(interval_map_agrees_with_an_array),
        cmocka_unit_test(interval_map_refuses_what_is_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
