/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_user.c - everything works for an ordinary user. Started by root it becomes nobody first.
 */
#include "hal_posix.h"
#include "hal_scratch.h"
#include "ph_test.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct hal_probe probe;

static void the_probe_finds_the_same_as_its_user(void **state)
{
    (void)state;
    assert_true(geteuid() != 0 && getegid() != 0);
    print_message("%s\n", probe.kernel);
    for (size_t i = 0; i < probe.item_count; i++) {
        const struct hal_probe_item *item = &probe.items[i];
        print_message("%-14s %-3s %s\n", item->name, item->works ? "yes" : "no", item->detail);
        assert_true(item->works == (item->error == 0));
        assert_true(item->detail[0] != '\0');
    }
    assert_int_equal(strncmp(probe.kernel, "Linux ", 6), 0);
    assert_in_range(probe.item_count, 12, HAL_PROBE_ITEMS);
    /* Later steps need the earlier ones. */
    assert_true(probe.userfaultfd || !probe.wp_async);
    assert_true(probe.wp_async || !probe.pagemap_scan);
}

static void the_probe_leaves_nothing_behind(void **state)
{
    (void)state;
    struct hal_probe again;
    hal_probe(scratch_folder(), &again);
    assert_int_equal(rmdir(scratch_folder()), 0); /* only an empty folder goes */
    hal_probe(scratch_folder(), &again);          /* gone: answered, not crashed */
    assert_string_equal(again.items[again.item_count - 1].name, "directory");
    assert_false(again.items[again.item_count - 1].works);
    assert_int_equal(again.items[again.item_count - 1].error, -ENOENT);
    scratch_create();
}

static void a_store_file_works(void **state)
{
    (void)state;
    struct snap_io *io;
    assert_int_equal(hal_file_open(scratch_path("store"), HAL_FILE_CREATE, &io, NULL), 0);
    assert_string_equal(io->ops->name, probe.io_uring ? "io_uring" : "pwrite threads");
    uint8_t *block = aligned_alloc(4096, 4096);
    assert_non_null(block);
    memset(block, 6, 4096);
    assert_int_equal(io->ops->allocate(io, 1 << 20), 0);
    assert_int_equal(io->ops->lock(io, SNAP_LOCK_WRITER, SNAP_IO_LOCK_EXCLUSIVE), 0);
    struct snap_io_request request = {.buffer = block, .length = 4096, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done;
    assert_int_equal(io->ops->submit(io, &request), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    assert_int_equal(done->result, 4096);
    assert_int_equal(io->ops->flush(io), 0);
    io->ops->close(io);
    free(block);
}

static void a_large_heap_range_works(void **state)
{
    (void)state;
    struct snap_memory *memory;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    const uint64_t size = UINT64_C(64) << 30;
    int rc = hal_memory_reserve(UINT64_C(0x7e8000000000), size, probe.pagemap_scan, &memory, &diag);
    print_message("%s\n", diag.text);
    assert_int_equal(rc, 0);
    memory->base[size - 1] = 1;
    struct snap_range range;
    uint64_t resume, pages = size / 4096;
    if (probe.pagemap_scan) {
        assert_int_equal(memory->ops->scan(memory, 0, pages, 0, &range, 1, &resume), 1);
    } else {
        assert_int_equal(memory->ops->resident(memory, 0, pages, &range, 1, &resume), 1);
    }
    assert_int_equal(range.first, pages - 1);
    memory->ops->close(memory);
}

static int group_setup(void **state)
{
    (void)state;
    scratch_create();
    hal_probe(scratch_folder(), &probe);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(void)
{
    const unsigned nobody = 65534;
    if (geteuid() == 0) {
        /* Without exec the process would stay closed to itself: /proc/self owned by root. */
        if (setgroups(0, NULL) != 0 || setgid(nobody) != 0 || setuid(nobody) != 0 ||
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
            printf("skipped: root here cannot become another user: %s\n", strerror(errno));
            return PH_TEST_SKIPPED;
        }
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_probe_finds_the_same_as_its_user),
        cmocka_unit_test(the_probe_leaves_nothing_behind),
        cmocka_unit_test(a_store_file_works),
        cmocka_unit_test(a_large_heap_range_works),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
