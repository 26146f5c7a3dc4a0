/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_own.c - the port's own tests that are no stress of one primitive, under their own
 * names: memory blocks, formats, containers, the selector of tests, and the boot that only tests
 * (pages faulted in and written through the hook, a snapshot, a restart that finds them).
 */
#include "port_fixture.h"
#ifdef TEST_ON_SIM
#include "port_on_sim.h"
#endif

#include <arch/arch_vmem_util.h>
#include <disk.h>
#include <fcntl.h>
#include <hal.h>
#include <kernel/amap.h>
#include <kernel/init.h>
#include <kernel/khash.h>
#include <kernel/pool.h>
#include <ph_io.h>
#include <ph_malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <video/rect.h>
#include <vm_map.h>

#undef test_malloc /* a macro of cmocka, a test of the port */

/* ---- malloc, test_malloc --------------------------------------------------------------------- */

static void test_malloc(void **state)
{
    (void)state;
    static const char text[] = "allocate, copy, compare";
    char *copy = ph_malloc(sizeof(text));
    assert_non_null(copy);
    assert_int_equal((uintptr_t)copy % 16, 0); /* in the port: 8 */
    memcpy(copy, text, sizeof(text));
    assert_string_equal(copy, text);
    ph_free(copy);
}

static void do_malloc(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    unsigned char *block[COUNT];
    for (int i = 0; i < COUNT; i++) {
        block[i] = ph_malloc(13 * (size_t)(i + 1));
        assert_non_null(block[i]);
        memset(block[i], i, 13 * (size_t)(i + 1));
    }
    for (int i = 0; i < COUNT; i += 2) {
        ph_free(block[i]);
    }
    for (int i = 1; i < COUNT; i += 2) {
        for (int j = 0; j < 13 * (i + 1); j++) {
            assert_int_equal(block[i][j], i);
        }
        ph_free(block[i]);
    }
}

/* ---- misc ------------------------------------------------------------------------------------ */

static void misc(void **state)
{
    (void)state;
    char text[80];
    int length = ph_snprintf(text, sizeof(text), "%s %d %c %ld", "string", -7, 'c', 1234567890123L);
    assert_string_equal(text, "string -7 c 1234567890123");
    assert_int_equal(length, strlen(text));
}

/* ---- amap ------------------------------------------------------------------------------------ */

struct ranges {
    int count;
    amap_elem_size_t total;
};

static void count_range(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    struct ranges *r = arg;
    (void)from;
    (void)flags;
    r->count++;
    r->total += n;
}

static void amap(void **state)
{
    (void)state;
    amap_t map;
    int modified = 0;
    amap_init(&map, 10, 100, 0);
    assert_int_equal(amap_check(&map, 10, 100, 0), 0);
    assert_int_equal(amap_check_modify(&map, 20, 10, 1, &modified), 0);
    assert_true(modified);
    assert_int_equal(amap_check_modify(&map, 22, 5, 1, &modified), 0);
    assert_false(modified);
    assert_int_equal(amap_modify(&map, 25, 30, 2), 0); /* over a part of it */
    assert_int_equal(amap_check(&map, 20, 5, 1), 0);
    assert_int_not_equal(amap_check(&map, 20, 10, 1), 0);
    struct ranges r = {0, 0};
    amap_iterate_flags(&map, count_range, &r, 2);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.total, 30);
    r = (struct ranges){0, 0};
    amap_iterate_all(&map, count_range, &r);
    assert_int_equal(r.count, 4); /* 10-19, 20-24, 25-54, 55-109 */
    assert_int_equal(r.total, 100);
    amap_destroy(&map);
}

/* ---- rectangles ------------------------------------------------------------------------------ */

static void rectangles(void **state)
{
    (void)state;
    rect_t before = {10, 10, 10, 10}, after = {12, 13, 10, 10}, inner = {11, 11, 2, 2}, a, b;
    rect_t far = {100, 100, 5, 5};
    assert_true(rect_sub(&a, &b, &before, &after));
    assert_int_equal(a.xsize, 2);
    assert_int_equal(b.ysize, 3);
    assert_true(rect_includes(&before, &inner));
    assert_false(rect_includes(&inner, &before));
    assert_true(rect_intersects(&before, &after));
    assert_false(rect_intersects(&before, &far));
}

/* ---- pool ------------------------------------------------------------------------------------ */

static atomic_int destroyed;

static void destroy(void *element)
{
    (void)element;
    atomic_fetch_add(&destroyed, 1);
}

static errno_t stop_at_second(pool_t *pool, void *el, pool_handle_t handle, void *arg)
{
    (void)pool;
    (void)el;
    (void)handle;
    return ++*(int *)arg == 2 ? EINVAL : 0;
}

static void pool(void **state)
{
    (void)state;
    int element = 0, seen = 0;
    atomic_store(&destroyed, 0);
    pool_t *p = create_pool();
    assert_non_null(p);
    p->destroy = destroy;
    p->flag_autoclean = 1;
    pool_handle_t h = pool_create_el(p, &element);
    assert_true(h >= 0);
    assert_int_equal(pool_el_refcount(p, h), 1);
    assert_ptr_equal(pool_get_el(p, h), &element);
    assert_int_equal(pool_el_refcount(p, h), 2);
    assert_int_equal(pool_release_el(p, h), 0);
    assert_int_equal(pool_el_refcount(p, h), 1);
    assert_int_equal(pool_release_el(p, h), 0);
    assert_int_equal(atomic_load(&destroyed), 1);
    assert_null(pool_get_el(p, h));
    for (int i = 0; i < 500; i++) {
        h = pool_create_el(p, &element);
        assert_true(h >= 0);
        assert_int_equal(pool_release_el(p, h), 0);
    }
    assert_int_equal(atomic_load(&destroyed), 501);
    for (int i = 0; i < 5; i++) {
        assert_true(pool_create_el(p, &element) >= 0);
    }
    assert_int_equal(pool_foreach(p, stop_at_second, &seen), EINVAL);
    assert_int_equal(seen, 2);
    assert_int_equal(pool_get_used(p), 5);
    assert_int_equal(destroy_pool(p), 0);
    assert_int_equal(atomic_load(&destroyed), 506);
}

/* ---- hdir, ps2_mouse, vm_map: the selector finds them, and they do nothing but succeed --------
 */

int do_test_hdir(const char *test_parm);
int do_test_ps2_mouse(const char *test_parm);
int do_test_vm_map(const char *test_parm);

static atomic_int hdir_runs;

int do_test_hdir(const char *test_parm)
{
    (void)test_parm;
    atomic_fetch_add(&hdir_runs, 1);
    return 0;
}

static void hdir(void **state)
{
    (void)state;
    atomic_store(&hdir_runs, 0);
    run_test("hdir", "");
    assert_int_equal(atomic_load(&hdir_runs), 1);
}

static void ps2_mouse(void **state)
{
    (void)state;
    assert_int_equal(do_test_ps2_mouse(""), 0);
}

static void vm_map(void **state)
{
    (void)state;
    assert_int_equal(do_test_vm_map(""), 0);
}

/* ---- test-vm_hash_map: a table of page descriptors --------------------------------------------
 */

struct entry {
    void *next; /* the table's */
    vm_page page;
};

static int compare_pages(void *element, const void *key)
{
    return ((struct entry *)element)->page.virt_addr == key ? 0 : 1;
}

static unsigned int hash_page(void *element, const void *key, unsigned int range)
{
    const void *address = element != NULL ? ((struct entry *)element)->page.virt_addr : key;
    return (unsigned int)((uintptr_t)address / PAGE_SIZE % range);
}

static void vm_hash_map(void **state)
{
    (void)state;
    enum { ENTRIES = 64, LOOKUPS = 128 };
    void *table = hash_init(16, offsetof(struct entry, next), compare_pages, hash_page);
    assert_non_null(table);
    struct entry *entries = ph_calloc(ENTRIES, sizeof(*entries));
    assert_non_null(entries);
    for (size_t i = 0; i < ENTRIES; i++) {
        vm_page page = {0};                       /* what is put in is a copy of this one */
        page.virt_addr = (void *)(i * PAGE_SIZE); // NOLINT
        page.phys_addr = (physaddr_t)i * 3;
        entries[i].page = page;
        assert_int_equal(hash_insert(table, &entries[i]), 0);
        struct entry *got = hash_lookup(table, page.virt_addr);
        assert_non_null(got);
        assert_ptr_not_equal(&got->page, &page); /* equal, not the same */
        assert_int_equal(got->page.phys_addr, page.phys_addr);
    }
    int hits = 0;
    for (size_t i = 0; i < LOOKUPS; i++) {
        struct entry *got = hash_lookup(table, (void *)(i * PAGE_SIZE)); // NOLINT
        hits += got != NULL && got->page.phys_addr == (physaddr_t)i * 3;
    }
    assert_int_equal(hits, ENTRIES); /* one half of what was asked for */
    (void)hash_uninit(table);
    ph_free(entries);
}

/* ---- the boot that only tests (PHANTOM_TESTS_ONLY) ---------------------------------------------
 */

enum { BOOT_PAGES = 200 };
#define BOOT_SPACE ((uint8_t *)UINT64_C(0x7e9000000000))
static const char marker[] = "this store was written by an earlier run";

struct boot {
    phantom_disk_partition_t *disk;
    physaddr_t frames;
    uint8_t dirty[BOOT_PAGES];
    int faults;
    bool failed;
};
static struct boot boot;
static char boot_path[64];

/* The hook: a page comes from the disk, read-only; a store makes it dirty. */
static int page_in(void *address, int write, int ip, struct trap_state *trap)
{
    (void)ip;
    (void)trap;
    size_t page = (uintptr_t)address / PAGE_SIZE;
    physaddr_t frame = boot.frames + page * PAGE_SIZE;
    uint8_t block[PAGE_SIZE];
    if (page >= BOOT_PAGES) {
        return 1;
    }
    boot.faults++;
    if (!boot.dirty[page] && phantom_sync_read_block(boot.disk, block, (long)page, 1) != 0) {
        boot.failed = true;
        return 1;
    }
    if (!boot.dirty[page]) {
        memcpy_v2p(frame, block, PAGE_SIZE);
    }
    boot.dirty[page] |= write != 0;
    hal_page_control(frame, BOOT_SPACE + page * PAGE_SIZE, page_map, write ? page_rw : page_ro);
    return 0;
}

/* Everything that was written is on stable storage. */
static void boot_snapshot(void)
{
    uint8_t block[PAGE_SIZE];
    for (size_t page = 0; page < BOOT_PAGES; page++) {
        if (boot.dirty[page]) {
            memcpy_p2v(block, boot.frames + page * PAGE_SIZE, PAGE_SIZE);
            assert_int_equal(phantom_sync_write_block(boot.disk, block, (long)page, 1), 0);
        }
    }
    assert_int_equal(disk_fence(boot.disk), 0);
}

static void boot_begin(void)
{
    memset(&boot, 0, sizeof(boot));
    assert_int_equal(phantom_hal_add_disk(boot_path, 0, &boot.disk), 0);
    hal_init(BOOT_SPACE, (long)BOOT_PAGES * PAGE_SIZE);
    assert_int_equal(hal_alloc_phys_pages(&boot.frames, BOOT_PAGES), 0);
    assert_int_equal(genode_register_page_fault_handler(page_in), 0);
}

static void boot_end(void)
{
    assert_false(boot.failed);
    hal_pages_control(0, BOOT_SPACE, BOOT_PAGES, page_unmap, page_noaccess);
    hal_free_phys_pages(boot.frames, BOOT_PAGES);
}

static uint32_t word_of(size_t page, size_t i)
{
    return (uint32_t)(page * 1000003 + i * 7);
}

/* One run of the system. True: it found what an earlier one left. */
static bool boot_once(void)
{
    boot_begin();
    volatile uint32_t *words;
    bool again = memcmp(BOOT_SPACE, marker, sizeof(marker)) == 0;
    for (size_t page = 1; page < BOOT_PAGES; page++) {
        words = (volatile uint32_t *)(void *)(BOOT_SPACE + page * PAGE_SIZE);
        for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i += 61) {
            if (again) {
                assert_int_equal(words[i], word_of(page, i));
            } else {
                words[i] = word_of(page, i);
            }
        }
    }
    if (!again) {
        memcpy(BOOT_SPACE, marker, sizeof(marker));
        assert_true(boot.faults >= BOOT_PAGES);
        boot_snapshot();
    }
    boot_end();
    return again;
}

static void make_boot_disk(void)
{
#ifdef TEST_ON_SIM
    strcpy(boot_path, "boot");
    assert_true(port_on_sim_make(boot_path, (uint64_t)BOOT_PAGES * PAGE_SIZE));
#else
    const char *folder = getenv("TMPDIR");
    (void)snprintf(boot_path, sizeof(boot_path), "%.40s/port_boot_XXXXXX",
                   folder != NULL ? folder : "/tmp");
    int fd = mkstemp(boot_path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(truncate(boot_path, (off_t)BOOT_PAGES * PAGE_SIZE), 0);
#endif
}

static void tests_only_boot(void **state)
{
    (void)state;
    make_boot_disk();
    for (int run = 0; run < 3; run++) {
        phantom_hal_leave();
        struct phantom_hal *instance = port_begin(NULL);
        assert_int_equal(boot_once(), run > 0);
        port_end(instance);
        assert_int_equal(phantom_hal_enter(*state), 0);
    }
    (void)ON_MACHINE(unlink(boot_path), (port_on_sim_remove(boot_path), 0));
}

int main(void)
{
    const struct machine_case cases[] = {
        port_test(test_malloc),
        {.name = "malloc", .run = do_malloc, .setup = port_setup, .teardown = port_teardown},
        port_test(misc),
        port_test(amap),
        port_test(rectangles),
        port_test(pool),
        port_test(hdir),
        port_test(ps2_mouse),
        port_test(vm_map),
        port_test(vm_hash_map),
        port_test_seeds(tests_only_boot, 4),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
