/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_denied.c - life in a container that denies io_uring, userfaultfd, fallocate, getrandom
 * and statx. Run by `deny
 * io_uring[=E],userfaultfd[=E],fallocate=EOPNOTSUPP,getrandom,statx[=E] -- test_hal_denied`; the
 * argument is the error that E stands for. Exit 77 when nothing is denied.
 */
#include "hal_posix.h"
#include "hal_scratch.h"
#include "ph_test.h"

#include <hal.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int expected_error;

static const struct hal_probe_item *item_of(const struct hal_probe *probe, const char *name)
{
    for (size_t i = 0; i < probe->item_count; i++) {
        if (strcmp(probe->items[i].name, name) == 0) {
            return &probe->items[i];
        }
    }
    fail_msg("no item %s", name);
    return NULL;
}

static void the_probe_says_what_is_denied(void **state)
{
    (void)state;
    struct hal_probe probe;
    hal_probe(scratch_folder(), &probe);
    for (size_t i = 0; i < probe.item_count; i++) {
        print_message("%-14s %-3s %s\n", probe.items[i].name, probe.items[i].works ? "yes" : "no",
                      probe.items[i].detail);
    }
    assert_false(probe.userfaultfd || probe.wp_async || probe.pagemap_scan || probe.io_uring);
    static const char *const refused[] = {"userfaultfd", "io_uring"};
    for (size_t i = 0; i < 2; i++) {
        const struct hal_probe_item *item = item_of(&probe, refused[i]);
        assert_false(item->works);
        assert_int_equal(item->error, expected_error);
        assert_non_null(strstr(item->detail, phantom_err_name(expected_error)));
        assert_non_null(strstr(item->detail, "seccomp"));
    }
    assert_false(item_of(&probe, "wp_async")->works);
    assert_false(item_of(&probe, "fallocate")->works);
    assert_int_equal(item_of(&probe, "fallocate")->error, -EOPNOTSUPP);
    assert_true(item_of(&probe, "locks")->works);
}

static void a_file_falls_back_to_threads_and_works(void **state)
{
    (void)state;
    struct snap_io *io;
    assert_int_equal(hal_file_open(scratch_path("file"), HAL_FILE_CREATE, &io, NULL), 0);
    assert_string_equal(io->ops->name, "pwrite threads");
    uint8_t *block = aligned_alloc(4096, 4096);
    assert_non_null(block);
    memset(block, 6, 4096);
    struct snap_io_request request = {.buffer = block, .length = 4096, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done;
    assert_int_equal(io->ops->submit(io, &request), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    assert_int_equal(done->result, 4096);
    assert_int_equal(io->ops->flush(io), 0);
    io->ops->close(io);
    free(block);
}

static void growth_without_fallocate_writes_zeros(void **state)
{
    (void)state;
    const char *path = scratch_path("growing");
    struct snap_io *io;
    assert_int_equal(hal_file_open(path, HAL_FILE_CREATE, &io, NULL), 0);
    uint8_t *block = aligned_alloc(4096, 4096);
    assert_non_null(block);
    memset(block, 6, 4096);
    assert_int_equal(io->ops->write(io, 0, block, 4096), 0);
    assert_int_equal(io->ops->allocate(io, 100 * 4096), 0);
    assert_int_equal(io->ops->allocate(io, 50 * 4096), 0);
    assert_int_equal(io->ops->allocate(io, 300 * 4096), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 300 * 4096);
    assert_int_equal(io->ops->read(io, 0, block, 4096), 0);
    assert_int_equal(block[0], 6);
    assert_int_equal(io->ops->read(io, 299 * 4096, block, 4096), 0);
    assert_int_equal(block[0], 0);
    io->ops->close(io);
    /* A file whose end lies inside a block, made by somebody else. */
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(hal_file_open(path, 0, &io, NULL), 0);
    assert_int_equal(io->ops->allocate(io, 4 * 4096), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 4 * 4096);
    assert_int_equal(io->ops->read(io, 0, block, 4096), 0);
    assert_int_equal(block[0], 6);
    io->ops->close(io);
    free(block);
}

static void length_and_names_are_known_without_statx(void **state)
{
    (void)state;
    const char *path = scratch_path("looked at");
    struct snap_io *io;
    assert_int_equal(hal_file_open(path, HAL_FILE_CREATE, &io, NULL), 0);
    struct statx status;
    assert_int_equal(syscall(SYS_statx, AT_FDCWD, path, 0, STATX_SIZE, &status), -1);
    uint64_t size = 1;
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(truncate(path, 3 * 4096), 0);
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 3 * 4096);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(io->ops->size(io, &size), -ESTALE);
    io->ops->close(io);
}

static void memory_refuses_to_track_and_works_untracked(void **state)
{
    (void)state;
    const uint64_t base = UINT64_C(0x7e8000000000), size = UINT64_C(1) << 30;
    struct snap_memory *memory = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(hal_memory_reserve(base, size, true, &memory, &diag), PHANTOM_EUNSUPPORTED);
    print_message("%s\n", diag.text);
    assert_non_null(strstr(diag.text, "userfaultfd"));
    assert_null(memory);
    assert_int_equal(hal_memory_reserve(base, size, false, &memory, &diag), 0);
    assert_false(memory->ops->tracks);
    memory->base[5 * 4096] = 1;
    struct snap_range range;
    uint64_t resume;
    assert_int_equal(memory->ops->resident(memory, 0, 100, &range, 1, &resume), 1);
    assert_int_equal(range.first, 5);
    assert_int_equal(range.count, 1);
    memory->ops->close(memory);
}

static void random_numbers_need_no_getrandom(void **state)
{
    (void)state;
    uint64_t previous = hal_random();
    for (int i = 0; i < 1000; i++) {
        uint64_t value = hal_random();
        assert_true(value != previous);
        previous = value;
    }
}

static int group_setup(void **state)
{
    (void)state;
    scratch_create();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(int argc, char **argv)
{
    expected_error = argc == 2 && strcmp(argv[1], "ENOSYS") == 0 ? -ENOSYS : -EPERM;
    char byte;
    if (syscall(SYS_getrandom, &byte, 1, 0) != -1) {
        printf("skipped: run it by `deny`, nothing is denied here\n");
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_probe_says_what_is_denied),
        cmocka_unit_test(a_file_falls_back_to_threads_and_works),
        cmocka_unit_test(growth_without_fallocate_writes_zeros),
        cmocka_unit_test(length_and_names_are_known_without_statx),
        cmocka_unit_test(memory_refuses_to_track_and_works_untracked),
        cmocka_unit_test(random_numbers_need_no_getrandom),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
