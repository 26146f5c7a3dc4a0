/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_full.c - a full file system: one of 1 MiB in memory, mounted in a namespace of this
 * process only. Exit 77 where such namespaces are not allowed.
 */
#include "hal_posix.h"
#include "hal_scratch.h"
#include "ph_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return done;
}

/* An ordinary user becomes root of a namespace in which nobody else exists. */
static bool enter_namespace(void)
{
    char users[32], groups[32];
    (void)snprintf(users, sizeof(users), "0 %u 1", geteuid());
    (void)snprintf(groups, sizeof(groups), "0 %u 1", getegid());
    if (geteuid() == 0) {
        return unshare(CLONE_NEWNS) == 0;
    }
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put("/proc/self/setgroups", "deny") &&
           put("/proc/self/uid_map", users) && put("/proc/self/gid_map", groups);
}

static bool mount_small_file_system(void)
{
    return enter_namespace() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("phantom-test", scratch_folder(), "tmpfs", 0, "size=1m,mode=1777") == 0;
}

static uint64_t size_of(struct snap_io *io)
{
    uint64_t size = UINT64_MAX;
    assert_int_equal(io->ops->size(io, &size), 0);
    return size;
}

static void a_refused_allocation_changes_nothing_and_a_later_one_works(void **state)
{
    (void)state;
    struct snap_io *io, *other;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(hal_file_open(scratch_path("store"), HAL_FILE_CREATE, &io, &diag), 0);
    assert_int_equal(hal_file_open(scratch_path("other"), HAL_FILE_CREATE, &other, &diag), 0);
    print_message("%s, %s\n", io->ops->name, hal_file_is_direct(io) ? "O_DIRECT" : "buffered");
    assert_int_equal(io->ops->allocate(io, 64 * 4096), 0);
    assert_int_equal(other->ops->allocate(other, 128 * 4096), 0);
    assert_int_equal(io->ops->allocate(io, 200 * 4096), -ENOSPC);
    assert_int_equal(size_of(io), 64 * 4096);
    /* What the refused call took on its way is given back. */
    assert_int_equal(other->ops->allocate(other, 180 * 4096), 0);
    assert_int_equal(io->ops->allocate(io, 100 * 4096), -ENOSPC);
    other->ops->close(other);
    assert_int_equal(unlink(scratch_path("other")), 0);
    assert_int_equal(io->ops->allocate(io, 200 * 4096), 0);
    assert_int_equal(size_of(io), 200 * 4096);
    io->ops->close(io);
    assert_int_equal(unlink(scratch_path("store")), 0);
}

static void a_write_without_room_says_so(void **state)
{
    (void)state;
    struct snap_io *io;
    enum { LENGTH = 2 << 20 };
    uint8_t *memory = aligned_alloc(4096, LENGTH);
    assert_non_null(memory);
    memset(memory, 1, LENGTH);
    for (unsigned flags = 0; flags <= HAL_FILE_NO_URING; flags += HAL_FILE_NO_URING) {
        const char *path = scratch_path("overfull");
        assert_int_equal(hal_file_open(path, HAL_FILE_CREATE | flags, &io, NULL), 0);
        assert_int_equal(io->ops->write(io, 0, memory, LENGTH), -ENOSPC);
        struct snap_io_request *done,
            request = {
                .offset = LENGTH, .buffer = memory, .length = LENGTH, .direction = SNAP_IO_WRITE};
        assert_int_equal(io->ops->submit(io, &request), 0);
        assert_int_equal(io->ops->reap(io, 1, &done), 1);
        assert_int_equal(done->result, -ENOSPC);
        io->ops->close(io);
        assert_int_equal(unlink(path), 0);
    }
    free(memory);
}

#ifndef TEST_PORTABLE /* which cannot ask what kind of file system it is */
static void the_probe_says_that_it_is_in_memory_and_how_much_is_free(void **state)
{
    (void)state;
    struct hal_probe probe;
    hal_probe(scratch_folder(), &probe);
    bool in_memory = false, one_mebibyte = false;
    for (size_t i = 0; i < probe.item_count; i++) {
        const struct hal_probe_item *item = &probe.items[i];
        in_memory |= strcmp(item->name, "directory") == 0 && strstr(item->detail, "tmpfs") != NULL;
        one_mebibyte |= strcmp(item->name, "free_space") == 0 && item->works &&
                        strncmp(item->detail, "0 MiB", 5) == 0;
    }
    assert_true(in_memory &&
                one_mebibyte); /* the probe's own file takes a block: not quite 1 MiB */
}
#endif

int main(void)
{
    scratch_create();
    if (!mount_small_file_system()) {
        printf("skipped: no mount namespaces here: %s\n", strerror(errno));
        scratch_remove();
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_allocation_changes_nothing_and_a_later_one_works),
        cmocka_unit_test(a_write_without_room_says_so),
#ifndef TEST_PORTABLE
        cmocka_unit_test(the_probe_says_that_it_is_in_memory_and_how_much_is_free),
#endif
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)umount(scratch_folder());
    scratch_remove();
    return failed;
}
