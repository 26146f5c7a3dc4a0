/* SPDX-License-Identifier: Apache-2.0
 *
 * test_io_wrappers.c - the disks of the crash tests do what they say: a scratch disk comes back
 * byte for byte, a recording knows what is durable, a faulty disk fails exactly where it was told.
 */
#include "ph_test.h"

#include "io_faulty.h"
#include "io_lossy.h"
#include "io_record.h"
#include "io_scratch.h"
#include "ph_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096, CAPACITY = 1 << 20 };

static _Alignas(BLOCK) uint8_t buffer[8 * BLOCK];

static void fill(uint8_t value)
{
    memset(buffer, value, sizeof(buffer));
}

static void scratch_comes_back_byte_for_byte_with_its_hash(void **state)
{
    (void)state;
    struct ph_rng rng;
    ph_rng_init(&rng, ph_rng_seed_from_environment(3));
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *io = io_scratch_io(disk);
    io_scratch_set_hashing(disk, true);
    assert_int_equal(io->ops->allocate(io, 16 * BLOCK), 0);
    fill(7);
    assert_int_equal(io->ops->write(io, BLOCK, buffer, 4 * BLOCK), 0);
    uint64_t size = 0;
    const uint8_t *bytes = io_scratch_bytes(disk, &size);
    uint8_t *before = malloc(size);
    assert_non_null(before);
    memcpy(before, bytes, size);
    struct io_scratch_mark mark = io_scratch_mark(disk);
    uint64_t hash = io_scratch_hash(disk);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t word = ph_rng_next(&rng);
        io_scratch_poke(disk, ph_rng_below(&rng, 16 * BLOCK), &word, sizeof(word));
        if (i % 50 == 49) {
            io_scratch_resize(disk, (8 + ph_rng_below(&rng, 40)) * BLOCK);
        }
    }
    assert_int_not_equal(io_scratch_hash(disk), hash);
    io_scratch_undo(disk, mark);
    uint64_t after = 0;
    assert_memory_equal(io_scratch_bytes(disk, &after), before, size);
    assert_int_equal(after, size);
    assert_int_equal(io_scratch_hash(disk), hash);
    free(before);
    io_scratch_destroy(disk);
}

static void equal_images_have_equal_hashes_whatever_led_to_them(void **state)
{
    (void)state;
    struct io_scratch *a = io_scratch_create(CAPACITY), *b = io_scratch_create(CAPACITY);
    struct snap_io *io = io_scratch_io(a);
    io_scratch_set_hashing(a, true);
    io_scratch_set_hashing(b, true);
    fill(9);
    assert_int_equal(io->ops->write(io, 2 * BLOCK, buffer, BLOCK), 0);
    io_scratch_poke(a, 2 * BLOCK + 700, "another", 7);
    uint64_t size = 0;
    const uint8_t *bytes = io_scratch_bytes(a, &size);
    assert_int_equal(io_scratch_assign(b, bytes, size), 0);
    assert_int_equal(io_scratch_hash(a), io_scratch_hash(b));
    io_scratch_resize(b, size + BLOCK); /* longer, with zeros: another image */
    assert_int_not_equal(io_scratch_hash(a), io_scratch_hash(b));
    io_scratch_destroy(a);
    io_scratch_destroy(b);
}

static void cut_off_bytes_are_zero_when_the_file_grows_again(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *io = io_scratch_io(disk);
    fill(5);
    assert_int_equal(io->ops->write(io, 0, buffer, 2 * BLOCK), 0);
    io_scratch_resize(disk, BLOCK);
    assert_int_equal(io->ops->read(io, BLOCK, buffer, BLOCK), -EIO);
    assert_int_equal(io->ops->allocate(io, 2 * BLOCK), 0);
    assert_int_equal(io->ops->read(io, BLOCK, buffer, BLOCK), 0);
    assert_int_equal(buffer[17], 0);
    io_scratch_set_limit(disk, 3 * BLOCK);
    assert_int_equal(io->ops->allocate(io, 4 * BLOCK), -ENOSPC);
    io_scratch_destroy(disk);
}

static void a_recording_knows_which_writes_a_flush_covers(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *io = io_record_create(io_scratch_io(disk));
    struct snap_io_request reaped = {.buffer = buffer, .length = BLOCK, .direction = SNAP_IO_WRITE};
    struct snap_io_request late = reaped;
    late.offset = BLOCK;
    struct snap_io_request *done = NULL;
    assert_int_equal(io->ops->submit(io, &reaped), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    assert_int_equal(io->ops->submit(io, &late), 0);
    assert_int_equal(io->ops->flush(io), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    io_record_mark(io, IO_MARK_ACK, 5);
    const struct io_log *log = io_record_log(io);
    assert_int_equal(log->count, 4);
    const struct io_event *flush = &log->events[2];
    assert_int_equal(flush->kind, IO_EVENT_FLUSH);
    assert_true(log->events[0].end < flush->begin);
    assert_true(log->events[1].begin < flush->begin && log->events[1].end > flush->end);
    assert_int_equal(log->events[3].value, 5);
    io_record_destroy(io);
    io_scratch_destroy(disk);
}

static void a_fault_strikes_the_nth_operation_once_or_from_then_on(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *io = io_faulty_create(io_scratch_io(disk));
    for (int sticky = 0; sticky <= 1; sticky++) {
        struct io_fault fault = {.ops = IO_OP_WRITE, .at = 2, .sticky = sticky, .error = ENOSPC};
        io_faulty_set(io, &fault);
        assert_int_equal(io->ops->write(io, 0, buffer, BLOCK), 0);
        assert_int_equal(io->ops->flush(io), 0);
        assert_int_equal(io->ops->write(io, 0, buffer, BLOCK), -ENOSPC);
        assert_int_equal(io->ops->write(io, 0, buffer, BLOCK), sticky ? -ENOSPC : 0);
        assert_int_equal(io_faulty_seen(io), 3);
        assert_int_equal(io_faulty_fired(io), sticky ? 2 : 1);
    }
    io_faulty_destroy(io);
    io_scratch_destroy(disk);
}

static void a_short_write_transfers_half_and_a_short_queue_says_again(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *io = io_faulty_create(io_scratch_io(disk));
    struct io_fault fault = {.ops = IO_OP_WRITE, .at = 1, .kind = IO_FAULT_SHORT, .error = EIO};
    io_faulty_set(io, &fault);
    io_faulty_set_depth(io, 1);
    struct snap_io_request first = {
        .buffer = buffer, .length = 4 * BLOCK, .direction = SNAP_IO_WRITE};
    struct snap_io_request second = first;
    struct snap_io_request *done = NULL;
    assert_int_equal(io->ops->submit(io, &first), 0);
    assert_int_equal(io->ops->submit(io, &second), -EAGAIN);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    assert_ptr_equal(done, &first);
    assert_int_equal(first.result, 2 * BLOCK);
    io_faulty_destroy(io);
    io_scratch_destroy(disk);
}

static void completions_come_in_the_order_that_was_asked_for(void **state)
{
    (void)state;
    for (int order = IO_ORDER_FORWARD; order <= IO_ORDER_LATE; order++) {
        struct io_scratch *disk = io_scratch_create(CAPACITY);
        struct snap_io *io = io_faulty_create(io_scratch_io(disk));
        io_faulty_set_order(io, (enum io_order)order);
        struct snap_io_request request[3];
        for (unsigned i = 0; i < 3; i++) {
            request[i] = (struct snap_io_request){.offset = i * (uint64_t)BLOCK,
                                                  .buffer = buffer,
                                                  .length = BLOCK,
                                                  .direction = SNAP_IO_WRITE};
            assert_int_equal(io->ops->submit(io, &request[i]), 0);
        }
        unsigned at = 0;
        while (at < 3) {
            struct snap_io_request *done = NULL;
            int count = io->ops->reap(io, 1, &done);
            assert_int_equal(count, order == IO_ORDER_LATE ? 1 : 3);
            for (; done != NULL; done = done->next) {
                assert_ptr_equal(done, &request[order == IO_ORDER_FORWARD ? at : 2 - at]);
                assert_int_equal(done->result, BLOCK);
                at++;
            }
        }
        io_faulty_destroy(io);
        io_scratch_destroy(disk);
    }
}

static void a_power_cut_loses_what_was_not_flushed_and_nothing_else(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *inner = io_scratch_io(disk);
    struct snap_io *io = io_lossy_create(inner);
    fill(1);
    assert_int_equal(io->ops->write(io, 0, buffer, 2 * BLOCK), 0);
    assert_int_equal(io->ops->flush(io), 0);
    fill(2);
    struct snap_io_request request = {
        .offset = BLOCK, .buffer = buffer, .length = BLOCK, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done = NULL;
    assert_int_equal(io->ops->submit(io, &request), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    fill(0);
    assert_int_equal(io->ops->read(io, 0, buffer, 2 * BLOCK), 0);
    assert_int_equal(buffer[0], 1);
    assert_int_equal(buffer[BLOCK], 2); /* seen through the cache */
    assert_int_equal(io_lossy_power_cut(io), 1);
    assert_int_equal(io->ops->read(io, 0, buffer, BLOCK), -EIO);
    assert_int_equal(io->ops->flush(io), -EIO);
    assert_int_equal(inner->ops->read(inner, BLOCK, buffer, BLOCK), 0);
    assert_int_equal(buffer[0], 1);
    io_lossy_destroy(io);
    io_scratch_destroy(disk);
}

static void random_numbers_come_from_the_seed_through_every_wrapper(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io *lossy = io_lossy_create(io_scratch_io(disk));
    struct snap_io *faulty = io_faulty_create(lossy);
    struct snap_io *io = io_record_create(faulty);
    uint64_t drawn[3];
    assert_non_null(io->ops->random);
    for (unsigned i = 0; i < 3; i++) {
        io_scratch_seed(disk, i == 1 ? 12 : 11);
        assert_int_equal(io->ops->random(io, &drawn[i], sizeof(drawn[i])), 0);
    }
    assert_true(drawn[0] == drawn[2] && drawn[0] != drawn[1]);
    uint64_t next = 0; /* the stream goes on: two openings are two incarnations */
    assert_int_equal(io->ops->random(io, &next, sizeof(next)), 0);
    assert_true(next != drawn[2]);
    io_record_destroy(io);
    io_faulty_destroy(faulty);
    io_lossy_destroy(lossy);
    io_scratch_destroy(disk);
}

static void a_wrapper_over_an_io_without_random_numbers_has_none(void **state)
{
    (void)state;
    struct io_scratch *disk = io_scratch_create(CAPACITY);
    struct snap_io_ops ops = *io_scratch_io(disk)->ops;
    ops.random = NULL;
    io_scratch_io(disk)->ops = &ops;
    struct snap_io *io = io_record_create(io_scratch_io(disk));
    assert_null(io->ops->random);
    io_record_destroy(io);
    io_scratch_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scratch_comes_back_byte_for_byte_with_its_hash),
        cmocka_unit_test(equal_images_have_equal_hashes_whatever_led_to_them),
        cmocka_unit_test(cut_off_bytes_are_zero_when_the_file_grows_again),
        cmocka_unit_test(a_recording_knows_which_writes_a_flush_covers),
        cmocka_unit_test(a_fault_strikes_the_nth_operation_once_or_from_then_on),
        cmocka_unit_test(a_short_write_transfers_half_and_a_short_queue_says_again),
        cmocka_unit_test(completions_come_in_the_order_that_was_asked_for),
        cmocka_unit_test(a_power_cut_loses_what_was_not_flushed_and_nothing_else),
        cmocka_unit_test(random_numbers_come_from_the_seed_through_every_wrapper),
        cmocka_unit_test(a_wrapper_over_an_io_without_random_numbers_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
