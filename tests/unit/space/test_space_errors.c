/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_errors.c - a space whose disk and memory fail: at each operation on the file, and at
 * each allocation. Whatever was acknowledged is there afterwards; a refusal can be tried again; a
 * failed write poisons the handle and nothing else.
 *
 * The linker sends the room's hal_file_open() here (--wrap), which puts a wrapper in between.
 */
#include "space_kit.h"

#include "hal_posix.h"
#include "io_faulty.h"
#include "ph_memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static struct snap_io *faulty; /* of the space that is open, if any */
static const struct io_fault no_fault = {0};

int __real_hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                         struct phantom_diag *diag);
int __wrap_hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                         struct phantom_diag *diag);

int __wrap_hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                         struct phantom_diag *diag)
{
    struct snap_io *inner;
    if ((flags & HAL_FILE_READ_ONLY) != 0) { /* the engine's readers: not what fails here */
        return __real_hal_file_open(path, flags, out, diag);
    }
    int rc = __real_hal_file_open(path, flags, &inner, diag);
    if (rc == 0) {
        faulty = io_faulty_create(inner);
        assert_non_null(faulty);
        *out = faulty;
    }
    return rc;
}

static void forget_wrapper(void)
{
    io_faulty_destroy(faulty);
    faulty = NULL;
}

/** One operation and its commit. The number is durable if this returns 0. */
static int store_number(struct phantom_space *space, uint64_t number)
{
    int rc = phantom_space_enter(space);
    if (rc != 0) {
        return rc;
    }
    uint64_t *cell = phantom_space_malloc(space, sizeof(*cell));
    if (cell != NULL) {
        *cell = number;
        phantom_space_wrote(space, cell, sizeof(*cell));
        phantom_space_free(space, phantom_space_root(space, "cell"));
        assert_int_equal(phantom_space_set_root(space, "cell", cell), 0);
    }
    phantom_space_leave(space);
    return cell != NULL ? phantom_space_commit(space) : -ENOMEM;
}

static uint64_t stored_number(struct phantom_space *space)
{
    const uint64_t *cell = phantom_space_root(space, "cell");
    return cell != NULL ? *cell : 0;
}

static void check_and_close(uint64_t least, uint64_t most)
{
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    kit_check(space);
    assert_true(stored_number(space) >= least && stored_number(space) <= most);
    assert_int_equal(kit_blocks(space), stored_number(space) != 0);
    phantom_space_abandon(space);
    forget_wrapper();
    kit_clean();
}

/** Commit 1..4 with this fault; says whether it fired. */
static bool run_with(const struct io_fault *fault)
{
    struct phantom_space_options options = kit_options();
    options.check_snapshots = false;
    options.all_stores_announced = fault->at % 2 == 0;
    struct phantom_space *space = kit_open("a.phantom", &options);
    io_faulty_set(faulty, fault);
    uint64_t acked = 0, tried = 0;
    bool poisoned = false;
    for (uint64_t number = 1; number <= 4; number++) {
        tried = number;
        int rc = store_number(space, number);
        if (rc == 0) {
            assert_false(poisoned);
            acked = number;
        } else {
            struct phantom_diag diag = PHANTOM_DIAG_INIT;
            phantom_space_message(space, &diag);
            assert_true(diag.text[0] != '\0');
            poisoned = poisoned || rc == PHANTOM_EPOISONED;
        }
    }
    bool fired = io_faulty_fired(faulty) != 0;
    assert_true(fired || acked == 4);
    io_faulty_set(faulty, &no_fault);
    phantom_space_abandon(space);
    forget_wrapper();
    check_and_close(acked, tried);
    return fired;
}

static void each_failing_operation_on_the_file_loses_nothing_acknowledged(void **state)
{
    (void)state;
    static const unsigned kinds[] = {IO_OP_WRITE, IO_OP_FLUSH, IO_OP_ALLOCATE, IO_OP_SUBMIT};
    unsigned visited = 0;
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        for (uint64_t at = 1; at < 40; at++) {
            struct io_fault fault = {.ops = kinds[kind], .at = at, .error = EIO};
            fault.sticky = at % 2 == 1;
            if (!run_with(&fault)) {
                break;
            }
            visited++;
        }
    }
    assert_true(visited >= 12);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

struct waiter {
    struct phantom_space *space;
    pthread_t thread;
    int result;
};

static void *commit_once(void *argument)
{
    struct waiter *waiter = argument;
    waiter->result = phantom_space_commit(waiter->space);
    return NULL;
}

static void commit_together(struct phantom_space *space, int expected)
{
    enum { WAITERS = 8 };
    struct waiter waiter[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        waiter[i] = (struct waiter){.space = space};
        assert_int_equal(pthread_create(&waiter[i].thread, NULL, commit_once, &waiter[i]), 0);
    }
    for (int i = 0; i < WAITERS; i++) {
        pthread_join(waiter[i].thread, NULL);
        kit_assert_result(waiter[i].result, expected);
    }
}

static void a_full_disk_refuses_all_and_all_may_ask_again(void **state)
{
    (void)state;
    enum { BYTES = 40 << 20 };
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    const struct io_fault full = {.ops = IO_OP_ALLOCATE, .at = 1, .sticky = true, .error = ENOSPC};
    io_faulty_set(faulty, &full);
    void *large = phantom_space_malloc(space, BYTES);
    phantom_space_enter(space);
    memset(large, 1, BYTES); /* more than a new file has room for */
    phantom_space_set_root(space, "large", large);
    phantom_space_leave(space);
    commit_together(space, PHANTOM_ENOSPACE);
    io_faulty_set(faulty, &no_fault); /* somebody made room */
    commit_together(space, 0);
    phantom_space_free(space, large);
    phantom_space_set_root(space, "large", NULL);
    kit_assert_result(store_number(space, 1), 0);
    phantom_space_abandon(space);
    forget_wrapper();
    check_and_close(1, 1);
}

/** `committed`: the block that is freed is in a generation already. */
static void leave_a_full_disk_by_freeing(bool announced, bool committed)
{
    enum { BYTES = 20 << 20 };
    struct phantom_space_options options = kit_options();
    options.all_stores_announced = announced;
    struct phantom_space *space = kit_open("a.phantom", &options);
    const struct io_fault full = {.ops = IO_OP_ALLOCATE, .at = 1, .sticky = true, .error = ENOSPC};
    void *first = phantom_space_malloc(space, BYTES);
    memset(first, 1, BYTES);
    phantom_space_wrote(space, first, BYTES);
    if (committed) {
        kit_assert_result(phantom_space_commit(space), 0);
    }
    io_faulty_set(faulty, &full);
    void *second = phantom_space_malloc(space, BYTES);
    memset(first, 2, BYTES);
    memset(second, 2, BYTES);
    phantom_space_wrote(space, first, BYTES);
    phantom_space_wrote(space, second, BYTES);
    kit_assert_result(store_number(space, 1), PHANTOM_ENOSPACE);
    phantom_space_free(space, second);
    phantom_space_free(space, first);
    kit_assert_result(store_number(space, 2), 0);
    kit_assert_result(store_number(space, 3), 0);
    io_faulty_set(faulty, &no_fault);
    phantom_space_abandon(space);
    forget_wrapper();
    check_and_close(3, 3);
}

static void memory_that_is_freed_needs_no_room_on_a_full_disk(void **state)
{
    (void)state;
    leave_a_full_disk_by_freeing(false, false);
    leave_a_full_disk_by_freeing(false, true);
    leave_a_full_disk_by_freeing(true, false);
    leave_a_full_disk_by_freeing(true, true);
}

/* ---- no memory ------------------------------------------------------------------------------- */

static void each_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    options.check_snapshots = false;
    options.without_io_uring = true;
    unsigned failures = 0;
    for (int64_t n = 0;; n++) {
        struct phantom_space *space = NULL;
        uint64_t acked = 0;
        ph_memory_fail_after(n, false);
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        int rc = phantom_space_open(kit_path("a.phantom"), &options, &space, &diag);
        if (rc == 0 && store_number(space, 1) == 0) {
            acked = 1;
        }
        bool failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        if (rc == 0) {
            kit_assert_result(store_number(space, 2), 0);
            acked = 2;
            kit_close(space);
        } else {
            assert_true(diag.text[0] != '\0');
            assert_true(failed);
        }
        if (faulty != NULL) {
            forget_wrapper();
        }
        if (rc == 0) {
            check_and_close(acked, 2);
        }
        kit_clean();
        if (!failed) {
            break;
        }
        failures++;
    }
    assert_true(failures > 20);
}

int main(void)
{
    kit_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failing_operation_on_the_file_loses_nothing_acknowledged),
        cmocka_unit_test(a_full_disk_refuses_all_and_all_may_ask_again),
        cmocka_unit_test(memory_that_is_freed_needs_no_room_on_a_full_disk),
        cmocka_unit_test(each_failing_allocation_is_reported),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
