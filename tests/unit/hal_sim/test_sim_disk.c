/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sim_disk.c - the disk and the memory of the simulated machine: what completes when, what a
 * crash leaves, which faults come back as which errors, and that first stores are noticed.
 */
#include "ph_test.h"

#include "hal_files.h"
#include "hal_sim.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <hal.h>

#include <errno.h>
#include <string.h>

enum { PAGE = 4096 };

#define EXPECT(e)                                                                                  \
    do {                                                                                           \
        if (!(e)) {                                                                                \
            hal_sim_fail("line %d: %s", __LINE__, #e);                                             \
        }                                                                                          \
    } while (0)

static uint64_t first_seed;

static struct hal_sim_outcome run_on(struct hal_sim_disk *disk, uint64_t seed,
                                     uint64_t kill_at_transfer, void (*program)(void *))
{
    struct hal_sim_outcome outcome;
    const struct hal_sim_options options = {
        .seed = first_seed + seed, .disk = disk, .kill_at_transfer = kill_at_transfer};
    assert_int_equal(hal_sim_run(&options, program, NULL, &outcome), 0);
    return outcome;
}

static struct hal_sim_disk *make_disk(uint64_t seed)
{
    const struct hal_sim_disk_options options = {.seed = first_seed + seed, .file_bytes = 1 << 20};
    struct hal_sim_disk *disk = hal_sim_disk_create(&options);
    assert_non_null(disk);
    return disk;
}

static void must_end(struct hal_sim_disk *disk, uint64_t seed, void (*program)(void *))
{
    struct hal_sim_outcome outcome = run_on(disk, seed, 0, program);
    if (outcome.end != HAL_SIM_ENDED) {
        print_error("PH_SEED=%llu seed %llu: %s: %s\n", (unsigned long long)first_seed,
                    (unsigned long long)seed, hal_sim_end_name(outcome.end), outcome.text);
        fail();
    }
}

static struct snap_io *open_file(unsigned flags)
{
    struct snap_io *io = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (hal_file_open("store", flags, &io, &diag) != 0) {
        hal_sim_fail("%s", diag.text);
    }
    return io;
}

static uint8_t *page_of(int value, uint32_t pages)
{
    uint8_t *page = ph_alloc_aligned(PAGE, pages * PAGE);
    EXPECT(page != NULL);
    memset(page, value, pages * PAGE);
    return page;
}

/* ---- programs ------------------------------------------------------------------------------- */

/** Page 0 durable with 1; page 1 and then page 0 written with 2, not flushed. */
static void half_flushed(void *context)
{
    (void)context;
    struct snap_io *io = open_file(HAL_FILE_CREATE);
    uint8_t *one = page_of(1, 1), *two = page_of(2, 1);
    EXPECT(io->ops->allocate(io, 4 * PAGE) == 0);
    EXPECT(io->ops->write(io, 0, one, PAGE) == 0);
    EXPECT(io->ops->flush(io) == 0);
    EXPECT(io->ops->write(io, PAGE, two, PAGE) == 0);
    EXPECT(io->ops->write(io, 0, two, PAGE) == 0);
    io->ops->close(io);
    ph_free(one);
    ph_free(two);
}

static void many_transfers(void *context)
{
    (void)context;
    enum { COUNT = 40 };
    struct snap_io *io = open_file(HAL_FILE_CREATE);
    struct snap_io_request requests[COUNT], *done;
    bool seen[COUNT] = {false};
    bool reordered = false;
    unsigned left = COUNT, last = 0;
    EXPECT(io->ops->allocate(io, COUNT * PAGE) == 0);
    for (unsigned i = 0; i < COUNT; i++) {
        requests[i] = (struct snap_io_request){.offset = i * PAGE,
                                               .buffer = page_of((int)i, 1),
                                               .length = PAGE,
                                               .direction = SNAP_IO_WRITE};
        EXPECT(io->ops->submit(io, &requests[i]) == 0);
    }
    while (left > 0) {
        int n = io->ops->reap(io, 1, &done);
        EXPECT(n >= 1 && (unsigned)n <= left);
        left -= (unsigned)n;
        for (; done != NULL; done = done->next) {
            unsigned i = (unsigned)(done - requests);
            EXPECT(done->result == PAGE && !seen[i]);
            seen[i] = true;
            reordered = reordered || i < last;
            last = i;
        }
    }
    EXPECT(reordered);
    uint8_t *back = page_of(99, COUNT);
    EXPECT(io->ops->read(io, 0, back, COUNT * PAGE) == 0);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT(back[i * PAGE] == i && back[i * PAGE + PAGE - 1] == i);
        ph_free(requests[i].buffer);
    }
    EXPECT(io->ops->read(io, COUNT * PAGE, back, PAGE) == -EIO); /* past the end */
    ph_free(back);
    io->ops->close(io);
}

/** The device takes the bytes when the transfer completes. */
static void early_reuse(void *context)
{
    (void)context;
    struct snap_io *io = open_file(HAL_FILE_CREATE);
    uint8_t *page = page_of(1, 1), *back = page_of(0, 1);
    struct snap_io_request request = {
        .offset = 0, .buffer = page, .length = PAGE, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done;
    EXPECT(io->ops->allocate(io, PAGE) == 0);
    EXPECT(io->ops->submit(io, &request) == 0);
    memset(page, 2, PAGE);
    EXPECT(io->ops->reap(io, 1, &done) == 1);
    EXPECT(io->ops->read(io, 0, back, PAGE) == 0);
    EXPECT(back[0] == 2);
    ph_free(page);
    ph_free(back);
    io->ops->close(io);
}

static void names_and_locks(void *context)
{
    (void)context;
    struct snap_io *a = open_file(HAL_FILE_CREATE), *b = open_file(0), *c = NULL;
    uint64_t size = 0;
    EXPECT(hal_file_open("store", HAL_FILE_CREATE, &c, NULL) == -EEXIST);
    EXPECT(hal_file_open("other", 0, &c, NULL) == PHANTOM_ENOTFOUND);
    EXPECT(a->ops->lock(a, 7, SNAP_IO_LOCK_EXCLUSIVE) == 0);
    EXPECT(a->ops->lock(a, 7, SNAP_IO_LOCK_EXCLUSIVE) == 0);
    EXPECT(b->ops->lock(b, 7, SNAP_IO_LOCK_SHARED) == -EAGAIN);
    EXPECT(b->ops->lock(b, 8, SNAP_IO_LOCK_SHARED) == 0);
    EXPECT(a->ops->lock(a, 8, SNAP_IO_LOCK_SHARED) == 0);
    EXPECT(a->ops->lock(a, 8, SNAP_IO_LOCK_EXCLUSIVE) == -EAGAIN);
    a->ops->close(a);
    EXPECT(b->ops->lock(b, 7, SNAP_IO_LOCK_EXCLUSIVE) == 0);
    EXPECT(hal_file_publish("store", "published", NULL) == 0);
    EXPECT(!hal_file_exists("store") && hal_file_exists("published") == 1);
    EXPECT(b->ops->size(b, &size) == 0 && size == 0);
    hal_file_discard("published");
    EXPECT(b->ops->size(b, &size) == -ESTALE);
    b->ops->close(b);
}

static void tracked_memory(void *context)
{
    (void)context;
    struct snap_memory *memory = NULL;
    struct snap_range ranges[4];
    uint64_t resume = 0;
    const uint8_t uuid[16] = {1, 2, 3};
    uint64_t size = UINT64_C(1) << 30, pages = size / PAGE;
    EXPECT(hal_memory_reserve(hal_heap_base(uuid, size, 0), size, HAL_TRACK_ASYNC, &memory, NULL) ==
           0);
    uint8_t *base = memory->base;
    EXPECT(base[5 * PAGE] == 0); /* reading makes no page */
    EXPECT(memory->ops->resident(memory, 0, pages, ranges, 4, &resume) == 0 && resume == pages);
    base[7 * PAGE] = 1;
    base[8 * PAGE + 1] = 1;
    base[100 * PAGE] = 1;
    EXPECT(memory->ops->scan(memory, 0, pages, SNAP_SCAN_PROTECT, ranges, 4, &resume) == 2);
    EXPECT(ranges[0].first == 7 && ranges[0].count == 2 && ranges[1].first == 100);
    EXPECT(memory->ops->scan(memory, 0, pages, 0, ranges, 4, &resume) == 0);
    base[8 * PAGE + 1] = 1; /* the same byte counts */
    EXPECT(memory->ops->scan(memory, 0, pages, 0, ranges, 4, &resume) == 1 && ranges[0].first == 8);
    EXPECT(memory->ops->discard(memory, 8, 1) == 0);
    EXPECT(base[8 * PAGE + 1] == 0);
    EXPECT(memory->ops->scan(memory, 0, pages, 0, ranges, 4, &resume) == 0);
    EXPECT(memory->ops->resident(memory, 0, pages, ranges, 4, &resume) == 2);
    uint8_t *page = page_of(3, 1);
    EXPECT(memory->ops->populate(memory, 200, 1, page) == 0 && base[200 * PAGE] == 3);
    EXPECT(memory->ops->scan(memory, 0, pages, 0, ranges, 4, &resume) == 0);
    base[200 * PAGE] = 4;
    EXPECT(memory->ops->protect_all(memory, 0, pages) == 0);
    EXPECT(memory->ops->scan(memory, 0, pages, 0, ranges, 4, &resume) == 0);
    ph_free(page);
    memory->ops->close(memory);
}

struct supply {
    struct snap_memory *memory;
    unsigned demanded, ahead;
};

/** Page n holds n, and every third is a hole. */
static void supply_page(struct supply *supply, uint64_t page)
{
    uint8_t *content = page_of((int)page, 1);
    const void *data = page % 3 == 0 ? NULL : content;
    EXPECT(supply->memory->ops->install(supply->memory, page, 1, data) == 0);
    ph_free(content);
}

static void demand(void *context, uint64_t page)
{
    struct supply *supply = context;
    supply->demanded++;
    hal_yield();
    supply_page(supply, page);
}

static bool work_ahead(void *context)
{
    struct supply *supply = context;
    supply_page(supply, 20 + supply->ahead++);
    hal_sleep_msec(1);
    return supply->ahead < 10;
}

static void served_memory(void *context)
{
    (void)context;
    struct supply supply = {NULL, 0, 0};
    struct snap_range ranges[4];
    uint64_t resume = 0;
    const uint8_t uuid[16] = {9};
    uint64_t size = UINT64_C(1) << 26, pages = size / PAGE;
    EXPECT(hal_memory_reserve(hal_heap_base(uuid, size, 0), size, HAL_TRACK_ASYNC, &supply.memory,
                              NULL) == 0);
    struct snap_memory *memory = supply.memory;
    if (memory->ops->serve != NULL) { /* not under ThreadSanitizer */
        const struct snap_page_source source = {&supply, demand, work_ahead};
        EXPECT(memory->ops->serve(memory, 40, &source) == 0);
        EXPECT(memory->base[4 * PAGE] == 4 && memory->base[3 * PAGE] == 0);
        memory->base[5 * PAGE] = 77;
        EXPECT(memory->base[5 * PAGE + 1] == 5);
        EXPECT(supply.demanded == 3);
        EXPECT(memory->ops->scan(memory, 0, pages, 0, ranges, 4, &resume) == 1);
        EXPECT(ranges[0].first == 5 && ranges[0].count == 1);
        EXPECT(memory->ops->discard(memory, 4, 1) == 0);
        EXPECT(memory->base[4 * PAGE] == 4 && supply.demanded == 4); /* the source said so again */
        hal_sleep_msec(50);
        EXPECT(supply.ahead == 10 && memory->base[22 * PAGE] == 22 && supply.demanded == 4);
        EXPECT(memory->base[50 * PAGE] == 0 && supply.demanded == 4); /* not served */
        memory->ops->stop_serving(memory);
    }
    memory->ops->close(memory);
}

static int fault_result;
static enum { BY_WRITE, BY_SUBMIT, BY_FLUSH, BY_ALLOCATE } fault_through;

static void faulty(void *context)
{
    (void)context;
    struct snap_io *io = open_file(HAL_FILE_CREATE);
    uint8_t *page = page_of(1, 8);
    struct snap_io_request request = {
        .offset = 0, .buffer = page, .length = 8 * PAGE, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done;
    switch (fault_through) {
    case BY_WRITE: fault_result = io->ops->write(io, 0, page, 8 * PAGE); break;
    case BY_SUBMIT:
        EXPECT(io->ops->submit(io, &request) == 0 && io->ops->reap(io, 1, &done) == 1);
        fault_result = request.result;
        break;
    case BY_FLUSH: fault_result = io->ops->flush(io); break;
    case BY_ALLOCATE: fault_result = io->ops->allocate(io, PAGE); break;
    }
    ph_free(page);
    io->ops->close(io);
}

/* ---- facts ---------------------------------------------------------------------------------- */

static void a_power_cut_leaves_what_was_flushed_and_pieces_of_the_rest(void **state)
{
    (void)state;
    unsigned old = 0, new = 0, torn = 0, second_only = 0, shorter = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct hal_sim_disk *disk = make_disk(seed);
        must_end(disk, seed, half_flushed);
        hal_sim_disk_crash(disk, HAL_SIM_POWER_CUT, NULL);
        uint64_t size = 0;
        const uint8_t *file = hal_sim_disk_file(disk, "store", &size);
        assert_non_null(file);
        assert_true(size >= PAGE);
        unsigned twos = 0;
        for (unsigned sector = 0; sector < 8; sector++) {
            const uint8_t *bytes = file + sector * 512;
            assert_true(bytes[0] == 1 || bytes[0] == 2);
            assert_memory_equal(bytes, bytes + 1, 511); /* a sector is whole */
            twos += bytes[0] == 2;
        }
        old += twos == 0;
        new += twos == 8;
        torn += twos != 0 && twos != 8;
        second_only += twos == 8 && size > PAGE && file[PAGE] == 0; /* out of order */
        shorter += size == PAGE;
        hal_sim_disk_destroy(disk);
    }
    assert_true(old > 0 && new > 0 && torn > 0 && second_only > 0);
    assert_int_equal(shorter, 0); /* the size was durable before */
}

static void a_killed_process_loses_nothing_that_it_wrote(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct hal_sim_disk *disk = make_disk(seed);
        must_end(disk, seed, half_flushed);
        hal_sim_disk_crash(disk, HAL_SIM_PROCESS_KILLED, NULL);
        uint64_t size = 0;
        const uint8_t *file = hal_sim_disk_file(disk, "store", &size);
        assert_int_equal(size, 4 * PAGE);
        assert_true(file[0] == 2 && file[PAGE] == 2);
        hal_sim_disk_destroy(disk);
    }
}

static void transfers_complete_once_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct hal_sim_disk *disk = make_disk(seed);
        must_end(disk, seed, many_transfers);
        hal_sim_disk_destroy(disk);
    }
}

static void a_buffer_that_is_used_again_too_early_spoils_the_write(void **state)
{
    (void)state;
    struct hal_sim_disk *disk = make_disk(1);
    must_end(disk, 1, early_reuse);
    hal_sim_disk_destroy(disk);
}

static void names_and_locks_are_as_on_a_real_disk(void **state)
{
    (void)state;
    struct hal_sim_disk *disk = make_disk(1);
    must_end(disk, 1, names_and_locks);
    assert_int_equal(hal_sim_disk_files(disk), 0);
    hal_sim_disk_destroy(disk);
}

static void a_machine_is_killed_at_each_operation_of_its_disk(void **state)
{
    (void)state;
    uint64_t at = 1;
    for (;; at++) {
        struct hal_sim_disk *disk = make_disk(at);
        struct hal_sim_outcome outcome = run_on(disk, at, at, many_transfers);
        hal_sim_disk_crash(disk, HAL_SIM_POWER_CUT, NULL);
        hal_sim_disk_destroy(disk);
        if (outcome.end == HAL_SIM_ENDED) {
            break;
        }
        assert_int_equal(outcome.end, HAL_SIM_KILLED);
    }
    assert_int_equal(at, 44); /* allocate, 40 submits, 2 reads, one more than there are */
}

static void faults_come_back_as_errors(void **state)
{
    (void)state;
    static const struct {
        enum hal_sim_fault_kind kind;
        int through, result;
    } cases[] = {
        {HAL_SIM_FAULT_WRITE_ERROR, BY_WRITE, -EIO}, {HAL_SIM_FAULT_WRITE_ERROR, BY_SUBMIT, -EIO},
        {HAL_SIM_FAULT_FLUSH_ERROR, BY_FLUSH, -EIO}, {HAL_SIM_FAULT_NO_SPACE, BY_ALLOCATE, -ENOSPC},
        {HAL_SIM_FAULT_SHORT_WRITE, BY_WRITE, -EIO}, {HAL_SIM_FAULT_NONE, BY_SUBMIT, 8 * PAGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hal_sim_disk *disk = make_disk(i);
        hal_sim_disk_set_fault(disk, &(struct hal_sim_fault){.kind = cases[i].kind, .at = 1});
        fault_through = cases[i].through;
        must_end(disk, i, faulty);
        assert_int_equal(fault_result, cases[i].result);
        assert_int_equal(hal_sim_disk_fired(disk), cases[i].kind != HAL_SIM_FAULT_NONE);
        hal_sim_disk_destroy(disk);
    }
}

static void first_stores_are_noticed(void **state)
{
    (void)state;
    must_end(NULL, 1, tracked_memory);
}

static void pages_come_when_they_are_touched(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        must_end(NULL, seed, served_memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_what_was_flushed_and_pieces_of_the_rest),
        cmocka_unit_test(a_killed_process_loses_nothing_that_it_wrote),
        cmocka_unit_test(transfers_complete_once_in_any_order),
        cmocka_unit_test(a_buffer_that_is_used_again_too_early_spoils_the_write),
        cmocka_unit_test(names_and_locks_are_as_on_a_real_disk),
        cmocka_unit_test(a_machine_is_killed_at_each_operation_of_its_disk),
        cmocka_unit_test(faults_come_back_as_errors),
        cmocka_unit_test(first_stores_are_noticed),
        cmocka_unit_test(pages_come_when_they_are_touched),
    };
    first_seed = ph_rng_seed_from_environment(20261122);
    print_message("PH_SEED=%llu\n", (unsigned long long)first_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
