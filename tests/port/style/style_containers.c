/* SPDX-License-Identifier: Apache-2.0
 * In the style of the port's own tests: formats, memory, interval maps, rectangles, pools. */
#define DEBUG_MSG_PREFIX "test"
#include <debug_ext.h>
#define debug_level_flow  0
#define debug_level_error 10
#define debug_level_info  10

#include <errno.h>
#include <kernel/amap.h>
#include <kernel/pool.h>
#include <ph_malloc.h>
#include <ph_string.h>
#include <queue.h>
#include <sys/cdefs.h>
#include <test.h>
#include <video/rect.h>

int do_test_misc(const char *test_parm)
{
    char buf[128];
    (void)test_parm;
    SHOW_FLOW(5, "parm '%s'", test_parm);
    ph_snprintf(buf, sizeof(buf), "%s %d %c %ld %b", "str", -7, 'c', 1234567890123L, 5u,
                "\10\1one\3three");
    test_check_eq(ph_strcmp(buf, "str -7 c 1234567890123 5<one,three>"), 0);
    test_check_eq(__countof(buf), 128);
    return 0;
}

int do_test_malloc(const char *test_parm)
{
    enum { COUNT = 200 };
    char *block[COUNT];
    (void)test_parm;
    for (int i = 0; i < COUNT; i++) {
        block[i] = ph_calloc(13, (size_t)(i + 1));
        test_check_true(block[i] != NULL);
        ph_memset(block[i], i & 0x7F, (size_t)(13 * (i + 1)));
    }
    for (int i = 0; i < COUNT; i += 2) {
        ph_free(block[i]);
    }
    for (int i = 1; i < COUNT; i += 2) {
        test_check_eq(block[i][0], i & 0x7F);
        test_check_eq(block[i][13 * i], i & 0x7F);
        ph_free(block[i]);
    }
    return 0;
}

static int ranges;

static void count(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    (void)from;
    (void)flags;
    ranges++;
    *(amap_elem_size_t *)arg += n;
}

int do_test_amap(const char *test_parm)
{
    amap_t map;
    int modified = 0;
    amap_elem_size_t total = 0;
    (void)test_parm;
    amap_init(&map, 10, 100, 0);
    test_check_eq(amap_check(&map, 10, 100, 0), 0);
    test_check_eq(amap_check_modify(&map, 20, 10, 1, &modified), 0);
    test_check_true(modified);
    test_check_eq(amap_check_modify(&map, 22, 5, 1, &modified), 0);
    test_check_false(modified);
    test_check_eq(amap_modify(&map, 25, 30, 2), 0);
    test_check_ne(amap_check(&map, 20, 10, 1), 0);
    test_check_eq(amap_check(&map, 20, 5, 1), 0);
    ranges = 0;
    amap_iterate_flags(&map, count, &total, 2);
    test_check_eq(ranges, 1);
    test_check_eq(total, 30);
    amap_destroy(&map);
    return 0;
}

int do_test_rectangles(const char *test_parm)
{
    rect_t old_place = {10, 10, 10, 10};
    rect_t new_place = {12, 13, 10, 10};
    rect_t a, b;
    (void)test_parm;
    test_check_true(rect_sub(&a, &b, &old_place, &new_place));
    test_check_eq(a.xsize, 2);
    test_check_eq(b.ysize, 3);
    test_check_true(rect_intersects(&old_place, &new_place));
    test_check_false(rect_includes(&old_place, &new_place));
    rect_t inner = {11, 11, 2, 2};
    test_check_true(rect_includes(&old_place, &inner));
    return 0;
}

static int destroyed;

static void destroy(void *el)
{
    (void)el;
    destroyed++;
}

static errno_t stop_at_second(pool_t *pool, void *el, pool_handle_t handle, void *arg)
{
    (void)pool;
    (void)el;
    (void)handle;
    return ++*(int *)arg == 2 ? EINVAL : 0;
}

int do_test_pool(const char *test_parm)
{
    int dummy = 0;
    int seen = 0;
    (void)test_parm;
    pool_t *pool = create_pool();
    test_check_true(pool != NULL);
    pool->destroy = destroy;
    pool->flag_autoclean = 1;
    pool_handle_t h = pool_create_el(pool, &dummy);
    test_check_ge(h, 0);
    test_check_eq(pool_el_refcount(pool, h), 1);
    test_check_true(pool_get_el(pool, h) == &dummy);
    test_check_eq(pool_el_refcount(pool, h), 2);
    pool_release_el(pool, h);
    pool_release_el(pool, h);
    test_check_eq(destroyed, 1);
    for (int i = 0; i < 500; i++) {
        test_check_ge(pool_create_el(pool, &dummy), 0);
    }
    test_check_eq(pool_foreach(pool, stop_at_second, &seen), EINVAL);
    test_check_eq(pool_get_used(pool), 500);
    test_check_eq(destroy_pool(pool), 0);
    test_check_eq(destroyed, 501);
    return 0;
}
