/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_uring_faults.c - what a busy kernel does to io_uring: system calls that answer EINTR,
 * EAGAIN or EBUSY, completions that carry EAGAIN or EINTR. The back end is compiled in here with
 * its system calls replaced by ones that fail now and then, by seed. Exit 77 where io_uring is
 * denied.
 */
#include "hal_posix.h"
#include "hal_scratch.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <liburing.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_rng faults;
static unsigned calls_failed, completions_failed;
static int always; /* not 0: every call fails with this */
static bool quiet; /* none fails */
static unsigned calls;

static int maybe_fail(void)
{
    static const int errors[] = {-EINTR, -EAGAIN, -EBUSY};
    calls++;
    if (quiet) {
        return 0;
    }
    if (always != 0) {
        return always;
    }
    if (ph_rng_below(&faults, 3) != 0) {
        return 0;
    }
    calls_failed++;
    return errors[ph_rng_below(&faults, 3)];
}

static int flaky_submit(struct io_uring *ring)
{
    int rc = maybe_fail();
    return rc != 0 ? rc : io_uring_submit(ring);
}

static int flaky_submit_and_wait(struct io_uring *ring, unsigned count)
{
    int rc = maybe_fail();
    return rc != 0 ? rc : io_uring_submit_and_wait(ring, count);
}

/* A completion that says "try again": the data is lost as far as the caller can know. */
static int flaky_peek(struct io_uring *ring, struct io_uring_cqe **cqe)
{
    int rc = io_uring_peek_cqe(ring, cqe);
    if (rc == 0 && *cqe != NULL && !quiet && ph_rng_below(&faults, 4) == 0) {
        completions_failed++;
        (*cqe)->res = ph_rng_below(&faults, 2) == 0 ? -EAGAIN : -EINTR;
    }
    return rc;
}

#define io_uring_submit          flaky_submit
#define io_uring_submit_and_wait flaky_submit_and_wait
#define io_uring_peek_cqe        flaky_peek
#define STALL_LIMIT_MS           20
#include "file_uring.c"

enum { BLOCK = 4096, COUNT = 64 };

static uint8_t *blocks(void)
{
    uint8_t *memory = aligned_alloc(BLOCK, COUNT * BLOCK);
    assert_non_null(memory);
    return memory;
}

static void transfer(struct snap_io *io, uint8_t *memory, enum snap_io_direction direction)
{
    struct snap_io_request requests[COUNT], *done;
    unsigned returned = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        requests[i] = (struct snap_io_request){.offset = (uint64_t)i * BLOCK,
                                               .buffer = memory + (size_t)i * BLOCK,
                                               .length = BLOCK,
                                               .direction = direction};
        assert_int_equal(io->ops->submit(io, &requests[i]), 0);
    }
    while (returned < COUNT) {
        int count = io->ops->reap(io, 1, &done);
        assert_true(count >= 1);
        for (; done != NULL; done = done->next) {
            assert_int_equal(done->result, BLOCK);
            returned++;
        }
    }
    assert_int_equal(io->ops->reap(io, 1, &done), 0);
}

static void a_busy_kernel_loses_no_request(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(11);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    ph_rng_init(&faults, seed);
    struct snap_io *io;
    assert_int_equal(hal_file_open(scratch_path("busy"), HAL_FILE_CREATE, &io, NULL), 0);
    assert_string_equal(io->ops->name, "io_uring");
    uint8_t *out = blocks(), *in = blocks();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT * BLOCK; i++) {
            out[i] = (uint8_t)(i / BLOCK + i + (size_t)round);
        }
        memset(in, 0xee, COUNT * BLOCK);
        transfer(io, out, SNAP_IO_WRITE);
        transfer(io, in, SNAP_IO_READ);
        assert_memory_equal(in, out, COUNT * BLOCK);
    }
    print_message("%u calls and %u completions failed\n", calls_failed, completions_failed);
    assert_true(calls_failed > 100 && completions_failed > 100);
    io->ops->close(io);
    free(out);
    free(in);
}

static void an_error_that_lasts_is_reported_and_nothing_is_lost(void **state)
{
    (void)state;
    struct snap_io *io;
    assert_int_equal(hal_file_open(scratch_path("broken"), HAL_FILE_CREATE, &io, NULL), 0);
    uint8_t *memory = blocks();
    memset(memory, 1, COUNT * BLOCK);
    struct snap_io_request request = {
        .buffer = memory, .length = BLOCK, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done = &request;
    always = -EAGAIN;
    assert_int_equal(io->ops->submit(io, &request), 0); /* taken; it waits in the ring */
    assert_int_equal(io->ops->reap(io, 1, &done), -EAGAIN);
    assert_null(done);
    always = -EBADF;
    assert_int_equal(io->ops->reap(io, 1, &done), -EBADF);
    always = 0;
    assert_int_equal(io->ops->reap(io, 1, &done), 1); /* it was still there */
    assert_true(done == &request);
    assert_int_equal(done->result, BLOCK);
    io->ops->close(io);
    free(memory);
}

/* The writes of a small commit cost one system call and one sleep. */
static void writes_that_follow_each_other_need_one_call(void **state)
{
    (void)state;
    enum { WRITES = 3 };
    struct snap_io *io;
    assert_int_equal(hal_file_open(scratch_path("together"), HAL_FILE_CREATE, &io, NULL), 0);
    uint8_t *memory = blocks();
    memset(memory, 1, COUNT * BLOCK);
    struct snap_io_request request[WRITES], *done;
    quiet = true;
    calls = 0;
    for (unsigned i = 0; i < WRITES; i++) {
        request[i] = (struct snap_io_request){.offset = (uint64_t)i * 8 * BLOCK,
                                              .buffer = memory + (size_t)i * BLOCK,
                                              .length = BLOCK,
                                              .direction = SNAP_IO_WRITE,
                                              .more = true};
        assert_int_equal(io->ops->submit(io, &request[i]), 0);
    }
    assert_int_equal(calls, 0);
    assert_int_equal(io->ops->reap(io, WRITES, &done), WRITES);
    assert_int_equal(calls, 1);
    quiet = false;
    io->ops->close(io);
    free(memory);
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

int main(void)
{
    struct io_uring ring;
    int rc = io_uring_queue_init(4, &ring, 0);
    if (rc < 0) {
        printf("skipped: io_uring: %s\n", strerror(-rc));
        return PH_TEST_SKIPPED;
    }
    io_uring_queue_exit(&ring);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_kernel_loses_no_request),
        cmocka_unit_test(an_error_that_lasts_is_reported_and_nothing_is_lost),
        cmocka_unit_test(writes_that_follow_each_other_need_one_call),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
