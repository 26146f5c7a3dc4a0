/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_disk.c - disks of the port's HAL. usage: test_port_disk io_uring|threads
 *
 * The back end's pwrite and the flush go through functions of this file, so that a test can hold a
 * transfer up, and see what is on the disk when it is flushed.
 */
#include "port_fixture.h"
#ifdef TEST_ON_SIM
#include "port_on_sim.h"
#endif

#include <disk.h>
#include <fcntl.h>
#include <genode_disk.h>
#include <kernel/stats.h>
#include <pc/disk_partition.h>
#include <phantom_disk.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread_private.h>
#include <unistd.h>

enum { PAGES = 512, SECTORS = PAGES * 8 };

static const char *backend;
static unsigned backend_flag;
static char path[64];
static phantom_disk_partition_t *disk;

/* ---- in the way of the back end ------------------------------------------------------------- */

static atomic_bool gate_closed;  /* transfers that write block GATED wait */
static atomic_bool gate_for_one; /* only the first of them */
static atomic_int waiting_at_gate, flushes, flush_error;
static _Atomic uint32_t seen_at_flush; /* first word of block WATCHED */
enum { GATED = 5, WATCHED = 7 };

static void before_write(uint64_t offset)
{
    bool passes = atomic_load(&gate_for_one) && atomic_load(&waiting_at_gate) > 0;
    if (offset == (uint64_t)GATED * PAGE_SIZE && atomic_load(&gate_closed) && !passes) {
        atomic_fetch_add(&waiting_at_gate, 1);
        while (atomic_load(&gate_closed)) {
            phantom_scheduler_yield();
        }
        atomic_fetch_sub(&waiting_at_gate, 1);
    }
}

#ifdef TEST_ON_SIM
static int before_flush(int file)
{
    uint32_t word = 0;
    (void)file;
    if (port_on_sim_get(path, (uint64_t)WATCHED * PAGE_SIZE, &word, sizeof(word))) {
        atomic_store(&seen_at_flush, word);
    }
    atomic_fetch_add(&flushes, 1);
    return atomic_load(&flush_error);
}
#else
static atomic_int failing_write; /* the so many-th from now on; 0 or less: none */

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    before_write((uint64_t)offset);
    if (atomic_load(&failing_write) > 0 && atomic_fetch_sub(&failing_write, 1) == 1) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buffer, size, offset);
}

int fdatasync(int fd)
{
    uint32_t word = 0;
    if (pread(fd, &word, sizeof(word), (off_t)WATCHED * PAGE_SIZE) == (ssize_t)sizeof(word)) {
        atomic_store(&seen_at_flush, word);
    }
    atomic_fetch_add(&flushes, 1);
    int error = atomic_load(&flush_error);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
#endif

/* ---- files, as somebody outside of the port has them ------------------------------------------
 */

/* A new file; `path` names it. */
static void make_file(uint64_t bytes)
{
#ifdef TEST_ON_SIM
    static unsigned number;
    (void)snprintf(path, sizeof(path), "port_disk_%u", ++number);
    assert_true(port_on_sim_make(path, bytes));
#else
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "%.40s/port_disk_XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(truncate(path, (off_t)bytes), 0);
#endif
}

static void put_into_file(const void *bytes, size_t size, uint64_t offset)
{
#ifdef TEST_ON_SIM
    assert_true(port_on_sim_put(path, offset, bytes, size));
#else
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    (void)close(fd);
#endif
}

static void cut_file(uint64_t bytes)
{
    assert_true(ON_MACHINE(truncate(path, (off_t)bytes) == 0, port_on_sim_cut(path, bytes)));
}

static void remove_file(void)
{
    (void)ON_MACHINE(unlink(path), (port_on_sim_remove(path), 0));
}

/* ---- a disk for each test ------------------------------------------------------------------- */

static int disk_setup(void **state)
{
    (void)port_setup(state);
    atomic_store(&gate_closed, false);
    atomic_store(&gate_for_one, false);
    atomic_store(&flushes, 0);
    atomic_store(&flush_error, 0);
#ifdef TEST_ON_SIM
    port_on_sim_hooks(before_write, before_flush);
#endif
    make_file((uint64_t)PAGES * PAGE_SIZE);
    assert_int_equal(phantom_hal_add_disk(path, backend_flag, &disk), 0);
    return 0;
}

static int disk_teardown(void **state)
{
    atomic_store(&gate_closed, false);
    atomic_store(&flush_error, 0);
    (void)port_teardown(state);
    remove_file();
    return 0;
}

#define disk_test(test)                                                                            \
    (struct machine_case)                                                                          \
    {                                                                                              \
        .name = #test, .run = (test), .setup = disk_setup, .teardown = disk_teardown               \
    }
#define disk_test_posix(test, because)                                                             \
    (struct machine_case)                                                                          \
    {                                                                                              \
#test, (test), disk_setup, disk_teardown, because, 0                                       \
    }

/* ---- requests ------------------------------------------------------------------------------- */

struct request {
    pager_io_request rq; /* first: the callback casts it back */
    void *va;
    hal_sem_t done;
    int calls, written, flags_in_callback, requeue;
    errno_t rc;
};

static void note_done(pager_io_request *rq, int write)
{
    struct request *r = (struct request *)rq;
    r->calls++;
    r->written = write;
    r->flags_in_callback = rq->flag_pagein | rq->flag_pageout;
    r->rc = rq->rc;
    if (r->requeue > 0 && r->flags_in_callback == 0) {
        r->requeue--;
        rq->flag_pageout = 1;
        disk_enqueue(disk, rq);
        return;
    }
    hal_sem_release(&r->done);
}

static void request_init(struct request *r, uint32_t fill)
{
    memset(r, 0, sizeof(*r));
    pager_io_request_init(&r->rq);
    hal_pv_alloc(&r->rq.phys_page, &r->va, PAGE_SIZE);
    for (size_t i = 0; i < PAGE_SIZE / sizeof(fill); i++) {
        ((uint32_t *)r->va)[i] = fill;
    }
    r->rq.pager_callback = note_done;
    assert_int_equal(hal_sem_init(&r->done, "done"), 0);
}

static void request_finish(struct request *r)
{
    hal_pv_free(r->rq.phys_page, r->va, PAGE_SIZE);
    hal_sem_destroy(&r->done);
}

static void queue_block(struct request *r, disk_page_no_t block, bool write)
{
    r->rq.disk_page = block;
    r->rq.rc = 0;
    r->rq.flag_pageout = write;
    r->rq.flag_pagein = !write;
    disk_enqueue(disk, &r->rq);
}

static errno_t wait_for(struct request *r)
{
    (void)hal_sem_acquire(&r->done);
    return r->rc;
}

static uint32_t first_word(const struct request *r)
{
    return *(const uint32_t *)r->va;
}

/* ---- the port's tests ----------------------------------------------------------------------- */

static void test_block_device_adapter(void **state)
{
    (void)state;
    physaddr_t from, to;
    void *from_va, *to_va;
    hal_pv_alloc(&from, &from_va, PAGE_SIZE);
    hal_pv_alloc(&to, &to_va, PAGE_SIZE);
    memset(from_va, 0x77, PAGE_SIZE);
    memset(to_va, 0, PAGE_SIZE);
    for (int write = 1; write >= 0; write--) {
        pager_io_request rq;
        pager_io_request_init(&rq);
        rq.phys_page = write ? from : to;
        rq.blockNo = 10;
        rq.nSect = 8;
        rq.flag_pageout = (unsigned char)write;
        rq.flag_pagein = (unsigned char)!write;
        hal_spin_lock(&rq.lock);
        assert_int_equal(driver_genode_disk_asyncIO(disk, &rq), 0);
        hal_spin_lock(&rq.lock); /* as the port waits: until the driver unlocks it */
        assert_int_equal(rq.flag_pagein, 0);
        assert_int_equal(rq.flag_pageout, 0);
        assert_int_equal(rq.rc, 0);
        hal_spin_unlock(&rq.lock);
        assert_int_equal(rq.lock.lock, 0);
        assert_int_equal(driver_genode_disk_fence(disk), 0);
    }
    assert_memory_equal(from_va, to_va, PAGE_SIZE);
    hal_pv_free(from, from_va, PAGE_SIZE);
    hal_pv_free(to, to_va, PAGE_SIZE);
}

static void test_block_alignment(void **state)
{
    (void)state;
    char out[512], in[512];
    memset(out, 'x', sizeof(out));
    assert_int_equal(phantom_sync_write_sector(disk, out, 33, 1), 0);
    assert_int_equal(phantom_sync_read_sector(disk, in, 33, 1), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(phantom_sync_read_sector(disk, in, 34, 1), 0);
    assert_int_equal(in[0], 0);
    assert_int_equal(phantom_sync_read_sector(disk, in, SECTORS, 1), EINVAL);
    assert_int_equal(phantom_sync_read_sector(disk, in, -1, 1), EINVAL);
    assert_int_equal(phantom_sync_read_sector(disk, in, 0, 0), EINVAL);
    static uint8_t big[100 * PAGE_SIZE], back[100 * PAGE_SIZE]; /* more than goes at once */
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 31 + i / PAGE_SIZE);
    }
    assert_int_equal(phantom_sync_write_block(disk, big, 20, 100), 0);
    assert_int_equal(phantom_sync_read_block(disk, back, 20, 100), 0);
    assert_memory_equal(big, back, sizeof(big));
    struct kernel_stats record;
    assert_int_equal(get_stats_record(STAT_CNT_BLOCK_SYNC_IO, &record), 0);
    assert_true(record.total > 10);
}

/* ---- completion ----------------------------------------------------------------------------- */

static bool flags_are_clear_in_the_callback(void)
{
    struct request r;
    request_init(&r, 1);
    r.requeue = 3; /* the callback may queue it again */
    queue_block(&r, 3, true);
    assert_int_equal(wait_for(&r), 0);
    bool right = r.flags_in_callback == 0 && r.calls == 4 && r.written == 1;
    while (__atomic_load_n(&r.rq.flag_pageout, __ATOMIC_ACQUIRE) != 0) { /* of the defect */
        phantom_scheduler_yield();
    }
    request_finish(&r);
    return right;
}

static void a_request_is_done_before_its_callback(void **state)
{
    (void)state;
    assert_true(flags_are_clear_in_the_callback());
    machine_expect_defect(PH_MUTANT_DONE_BEFORE_FLAGS, flags_are_clear_in_the_callback, 1);
}

/* The file is shorter than it was: what is beyond its end cannot be read. */
static bool errors_arrive(void)
{
    struct request r;
    request_init(&r, 1);
    queue_block(&r, PAGES - 1, false);
    bool arrived = wait_for(&r) == EIO && r.calls == 1;
    request_finish(&r);
    char block[PAGE_SIZE];
    return arrived && phantom_sync_read_block(disk, block, PAGES - 1, 1) == EIO;
}

static void io_errors_arrive_in_rc(void **state)
{
    (void)state;
    cut_file((uint64_t)(PAGES - 1) * PAGE_SIZE);
    assert_true(errors_arrive());
    machine_expect_defect(PH_MUTANT_IO_ERROR_LOST, errors_arrive, 1);
}

/* One write of many fails: its request says so, and only that one; queued again it succeeds. */
static void one_write_that_fails_spoils_no_other(void **state)
{
    (void)state;
    enum { MANY = 12 };
    static struct request all[MANY];
    if (backend_flag == 0) {
        return; /* its writes cannot be made to fail from here */
    }
    for (int i = 0; i < MANY; i++) {
        request_init(&all[i], 100 + (uint32_t)i);
    }
    int at = 1 + (int)(machine_seed() % MANY), failed = 0;
#ifdef TEST_ON_SIM
    port_on_sim_fail_write((uint64_t)at);
#else
    atomic_store(&failing_write, at);
#endif
    for (int i = 0; i < MANY; i++) {
        queue_block(&all[i], 20 + (disk_page_no_t)i, true);
    }
    for (int i = 0; i < MANY; i++) {
        errno_t rc = wait_for(&all[i]);
        assert_true(rc == 0 || rc == EIO);
        if (rc != 0) {
            failed++;
            queue_block(&all[i], 20 + (disk_page_no_t)i, true);
            assert_int_equal(wait_for(&all[i]), 0);
        }
    }
    assert_int_equal(failed, 1);
    assert_int_equal(disk_fence(disk), 0);
    for (int i = 0; i < MANY; i++) {
        memset(all[i].va, 0, PAGE_SIZE);
        queue_block(&all[i], 20 + (disk_page_no_t)i, false);
        assert_int_equal(wait_for(&all[i]), 0);
        assert_int_equal(first_word(&all[i]), 100 + i);
        request_finish(&all[i]);
    }
}

/* What is read next comes from the disk, as far as that can be asked for. */
static void forget_cache(void)
{
#ifndef TEST_ON_SIM
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)syscall(SYS_fdatasync, fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
#endif
}

enum { ORPHANS = 16, APART = PAGES / ORPHANS };

static void queue_and_end(void *requests)
{
    for (unsigned i = 0; i < ORPHANS; i++) {
        queue_block((struct request *)requests + i, i * APART, false);
    }
}

/* io_uring moves bytes in the context of the thread that submitted: see is_over(). */
static void requests_outlive_the_thread_that_queued_them(void **state)
{
    (void)state;
    static struct request requests[ORPHANS];
    uint32_t block[PAGE_SIZE / sizeof(uint32_t)] = {0};
    for (unsigned i = 0; i < PAGES; i++) {
        block[0] = 1000 + i;
        put_into_file(block, sizeof(block), (uint64_t)i * PAGE_SIZE);
    }
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < ORPHANS; i++) {
            request_init(&requests[i], 0);
        }
        forget_cache();
        assert_true(hal_start_thread(queue_and_end, requests, 0) > 0);
        for (unsigned i = 0; i < ORPHANS; i++) {
            assert_int_equal(wait_for(&requests[i]), 0);
            assert_int_equal(first_word(&requests[i]), 1000 + i * APART);
            request_finish(&requests[i]);
        }
    }
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    struct request r;
    request_init(&r, 1);
    r.rq.nSect = 8;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL); /* no direction */
    r.rq.flag_pagein = r.rq.flag_pageout = 1;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL);
    r.rq.flag_pageout = 0;
    r.rq.blockNo = SECTORS - 7;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL);
    r.rq.blockNo = UINT64_MAX - 2;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL);
    r.rq.blockNo = 0;
    r.rq.nSect = 0;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL);
    r.rq.nSect = -1;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL);
    physaddr_t good = r.rq.phys_page;
    r.rq.nSect = 8;
    r.rq.phys_page = UINT64_C(1) << 50;
    assert_int_equal(disk->asyncIo(disk, &r.rq), EINVAL);
    r.rq.phys_page = good;
    r.rq.flag_pagein = 0;
    queue_block(&r, PAGES, true); /* disk_enqueue says it in rc */
    assert_int_equal(wait_for(&r), EINVAL);
    phantom_disk_partition_t none = {0};
    assert_int_equal(disk_fence(&none), ENODEV);
    assert_int_equal(disk_dequeue(&none, &r.rq), ENODEV);
    assert_int_equal(disk_trim(&none, &r.rq), ENODEV);
    request_finish(&r);
}

/* ---- a request that is queued twice --------------------------------------------------------- */

/* How often the disk took it once more. */
static int taken_again(struct request *r)
{
    errno_t rc = disk->asyncIo(disk, &r->rq);
    assert_true(rc == 0 || rc == EALREADY);
    if (rc == 0) {
        return 1;
    }
    disk_enqueue(disk, &r->rq); /* by who is not told */
    return 0;
}

/* The fact: one that is under way, and one that waits for it, are not queued again; both are done
 * once, and can be queued again afterwards. */
static bool no_request_is_queued_twice(void)
{
    struct request first, second;
    request_init(&first, 1);
    request_init(&second, 2);
    atomic_store(&gate_closed, true);
    atomic_store(&gate_for_one, true);
    queue_block(&first, GATED, true);
    while (atomic_load(&waiting_at_gate) == 0) {
        phantom_scheduler_yield();
    }
    queue_block(&second, GATED, true);
    int again[] = {taken_again(&first), taken_again(&second)};
    bool right = again[0] + again[1] == 0 && first.rq.flag_pageout == 1 && first.rq.rc == 0;
    atomic_store(&gate_closed, false);
    assert_int_equal(wait_for(&first), 0);
    assert_int_equal(wait_for(&second), 0);
    for (int i = 0; i < 2; i++) { /* what a defect let in */
        for (; again[i] > 0; again[i]--) {
            (void)hal_sem_acquire(i == 0 ? &first.done : &second.done);
        }
    }
    if (right) {
        assert_int_equal(first.calls + second.calls, 2);
        assert_int_equal(first.written + second.written, 2);
        queue_block(&second, GATED, false);
        assert_int_equal(wait_for(&second), 0);
        assert_int_equal(first_word(&second), 2);
    }
    request_finish(&first);
    request_finish(&second);
    return right;
}

static void a_request_cannot_be_queued_twice(void **state)
{
    (void)state;
    if (backend_flag == 0) {
        return; /* its transfers cannot be held up from here; the queue is the same */
    }
    assert_true(no_request_is_queued_twice());
    machine_expect_defect(PH_MUTANT_QUEUED_TWICE, no_request_is_queued_twice, 1);
}

/* ---- order, removal, priority --------------------------------------------------------------- */

/* The fact: of writes to one block the last one stays. */
static bool last_write_stays(int writes)
{
    struct request *all = calloc((size_t)writes, sizeof(*all)), back;
    assert_non_null(all);
    request_init(&back, 0);
    for (int i = 0; i < writes; i++) {
        request_init(&all[i], (uint32_t)i + 1);
    }
    for (int i = 0; i < writes; i++) {
        queue_block(&all[i], 9, true);
    }
    queue_block(&back, 9, false);
    for (int i = 0; i < writes; i++) {
        assert_int_equal(wait_for(&all[i]), 0);
        request_finish(&all[i]);
    }
    assert_int_equal(wait_for(&back), 0);
    bool right = first_word(&back) == (uint32_t)writes;
    request_finish(&back);
    free(all);
    return right;
}

/* The first of two writes is held up: the second one must not be done meanwhile. patience_us: how
 * long to look for it, which decides only how surely a defect shows. */
static bool second_write_waits(long patience_us)
{
    struct request first, second, back;
    request_init(&first, 1);
    request_init(&second, 2);
    request_init(&back, 0);
    atomic_store(&gate_closed, true);
    atomic_store(&gate_for_one, true);
    queue_block(&first, GATED, true);
    while (atomic_load(&waiting_at_gate) == 0) {
        phantom_scheduler_yield();
    }
    queue_block(&second, GATED, true);
    bool early = hal_sem_acquire_etc(&second.done, 1, SEM_FLAG_TIMEOUT, patience_us) == 0;
    atomic_store(&gate_closed, false);
    assert_int_equal(wait_for(&first), 0);
    if (!early) {
        (void)hal_sem_acquire(&second.done);
    }
    queue_block(&back, GATED, false);
    assert_int_equal(wait_for(&back), 0);
    bool right = !early && first_word(&back) == 2;
    request_finish(&first);
    request_finish(&second);
    request_finish(&back);
    return right;
}

static bool second_write_waits_long(void)
{
    return second_write_waits(60000000);
}

static struct waiting_reader {
    hal_sem_t done;
    uint32_t word;
    errno_t rc;
} waiting_reader;

static void read_and_tell(void *argument)
{
    struct waiting_reader *reader = argument;
    char block[PAGE_SIZE];
    reader->rc = phantom_sync_read_block(disk, block, GATED, 1);
    memcpy(&reader->word, block, sizeof(reader->word));
    hal_sem_release(&reader->done);
}

/* The fact: a synchronous read, which the reading thread does itself, waits for the write of that
 * block that was queued before. */
static bool reader_waits_its_turn(long patience_us)
{
    static uint32_t last = 100;
    struct request write;
    request_init(&write, ++last);
    assert_int_equal(hal_sem_init(&waiting_reader.done, "reader"), 0);
    atomic_store(&gate_closed, true);
    queue_block(&write, GATED, true);
    while (atomic_load(&waiting_at_gate) == 0) {
        phantom_scheduler_yield();
    }
    assert_true(hal_start_thread(read_and_tell, &waiting_reader, THREAD_FLAG_KERNEL) >= 0);
    bool early = hal_sem_acquire_etc(&waiting_reader.done, 1, SEM_FLAG_TIMEOUT, patience_us) == 0;
    atomic_store(&gate_closed, false);
    assert_int_equal(wait_for(&write), 0);
    if (!early) {
        (void)hal_sem_acquire(&waiting_reader.done);
    }
    bool right = !early && waiting_reader.rc == 0 && waiting_reader.word == last;
    hal_sem_destroy(&waiting_reader.done);
    request_finish(&write);
    return right;
}

static bool reader_waits_its_turn_long(void)
{
    return reader_waits_its_turn(60000000);
}

static void overlapping_requests_keep_their_order(void **state)
{
    (void)state;
    for (int i = 0; i < ON_MACHINE(20, 2); i++) {
        assert_true(last_write_stays(ON_MACHINE(40, 10)));
    }
    if (backend_flag != 0) { /* transfers of the other one cannot be held up from here */
        assert_true(second_write_waits(20000));
        machine_expect_defect(PH_MUTANT_OVERLAP_UNORDERED, second_write_waits_long, 1);
        assert_true(reader_waits_its_turn(20000));
        machine_expect_defect(PH_MUTANT_TURN_NOT_AWAITED, reader_waits_its_turn_long, 1);
    }
}

static void waiting_requests_can_be_taken_out_and_raised(void **state)
{
    (void)state;
    if (backend_flag == 0) {
        return; /* its transfers cannot be held up from here; the queue is the same */
    }
    struct request held, same, other, urgent, behind;
    request_init(&held, 1);
    request_init(&same, 2);
    request_init(&other, 3);
    request_init(&urgent, 4);
    request_init(&behind, 5);
    atomic_store(&gate_closed, true);
    queue_block(&held, GATED, true);
    queue_block(&same, GATED, true); /* waits for the first, and the others behind it */
    queue_block(&other, 11, true);
    queue_block(&behind, 11, true);
    while (atomic_load(&waiting_at_gate) == 0) {
        phantom_scheduler_yield();
    }
    urgent.rq.flag_urgent = 1;
    queue_block(&urgent, 12, true); /* goes in front */
    assert_int_equal(wait_for(&urgent), 0);
    assert_int_equal(disk_dequeue(disk, &held.rq), EBUSY);
    assert_int_equal(disk_raise_priority(disk, &behind.rq), 0); /* not past the one it overlaps */
    assert_int_equal(disk_raise_priority(disk, &other.rq), 0);
    assert_int_equal(wait_for(&other), 0); /* although the first one still stands there */
    assert_int_equal(disk_dequeue(disk, &same.rq), 0);
    assert_int_equal(same.rq.flag_pageout, 0);
    assert_int_equal(wait_for(&behind), 0);
    assert_int_equal(disk_dequeue(disk, &same.rq), EBUSY);
    atomic_store(&gate_closed, false);
    assert_int_equal(wait_for(&held), 0);
    assert_int_equal(same.calls, 0);
    char block[PAGE_SIZE];
    uint32_t word;
    assert_int_equal(phantom_sync_read_block(disk, block, GATED, 1), 0);
    memcpy(&word, block, sizeof(word));
    assert_int_equal(word, 1);
    assert_int_equal(phantom_sync_read_block(disk, block, 11, 1), 0);
    memcpy(&word, block, sizeof(word));
    assert_int_equal(word, 5);
    request_finish(&held);
    request_finish(&same);
    request_finish(&other);
    request_finish(&urgent);
    request_finish(&behind);
}

/* ---- fence ---------------------------------------------------------------------------------- */

/* The fact: when the device is flushed, all that was queued before is written. Many writes of one
 * block take their time, because they are done one by one. */
static bool fence_flushes_all(void)
{
    enum { WRITES = ON_MACHINE(60, 10) };
    static struct request all[WRITES];
    int before = atomic_load(&flushes);
    static uint32_t last;
    for (int i = 0; i < WRITES; i++) {
        request_init(&all[i], ++last);
    }
    for (int i = 0; i < WRITES; i++) {
        queue_block(&all[i], WATCHED, true);
    }
    assert_int_equal(disk_fence(disk), 0);
    bool right = atomic_load(&flushes) == before + 1 && atomic_load(&seen_at_flush) == last;
    for (int i = 0; i < WRITES; i++) {
        assert_int_equal(wait_for(&all[i]), 0);
        request_finish(&all[i]);
    }
    return right;
}

static void a_fence_is_a_flush_of_all_that_was_queued(void **state)
{
    (void)state;
    for (int i = 0; i < ON_MACHINE(10, 1); i++) {
        assert_true(fence_flushes_all());
    }
    machine_expect_defect(PH_MUTANT_FENCE_WITHOUT_FLUSH, fence_flushes_all, 1);
}

static void a_fence_waits_for_all_that_was_queued(void **state)
{
    (void)state;
    machine_expect_defect(PH_MUTANT_FENCE_NOT_WAITED, fence_flushes_all, 500);
}

static void a_failed_flush_is_not_believed_again(void **state)
{
    (void)state;
    assert_int_equal(disk_fence(disk), 0);
    atomic_store(&flush_error, EIO);
    assert_int_equal(disk_fence(disk), EIO);
    atomic_store(&flush_error, 0);
    assert_int_equal(disk_fence(disk), EIO);
    atomic_store(&flush_error, EIO);
}

/* A flush says nothing of it, but what is read or written there afterwards is not there. */
static void a_fence_of_a_file_that_became_shorter_fails(void **state)
{
    (void)state;
    assert_int_equal(disk_fence(disk), 0);
    cut_file((uint64_t)(PAGES - 1) * PAGE_SIZE);
    assert_int_equal(disk_fence(disk), EIO);
    assert_int_equal(disk_fence(disk), EIO);
}

/* ---- many requests -------------------------------------------------------------------------- */

struct client {
    hal_sem_t *done;
    uint64_t seed;
    disk_page_no_t first;
    atomic_int wrong;
};
enum { CLIENTS = 4, CLIENT_BLOCKS = 32, CLIENT_ROUNDS = ON_MACHINE(600, 10) };

/* Writes and reads blocks of its own, several at once, and knows what must be there. */
static void be_client(void *argument)
{
    struct client *c = argument;
    struct ph_rng rng;
    ph_rng_init(&rng, c->seed);
    uint32_t known[CLIENT_BLOCKS] = {0};
    struct request rs[4];
    for (int i = 0; i < 4; i++) {
        request_init(&rs[i], 0);
    }
    for (int round = 0; round < CLIENT_ROUNDS; round++) {
        uint32_t expected[4];
        bool write[4];
        for (int i = 0; i < 4; i++) { /* may hit the same block: then the order counts */
            disk_page_no_t b = (disk_page_no_t)ph_rng_below(&rng, CLIENT_BLOCKS);
            write[i] = ph_rng_below(&rng, 2) == 0;
            if (write[i]) {
                known[b] = (uint32_t)ph_rng_next(&rng);
                *(uint32_t *)rs[i].va = known[b];
            }
            expected[i] = known[b];
            queue_block(&rs[i], c->first + b, write[i]);
        }
        for (int i = 0; i < 4; i++) {
            if (wait_for(&rs[i]) != 0 || first_word(&rs[i]) != expected[i]) {
                atomic_fetch_add(&c->wrong, 1);
            }
        }
        if (ph_rng_below(&rng, 200) == 0 && disk_fence(disk) != 0) {
            atomic_fetch_add(&c->wrong, 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        request_finish(&rs[i]);
    }
    hal_sem_release(c->done);
}

static void many_clients_see_what_they_wrote(void **state)
{
    (void)state;
    uint64_t seed = machine_seed();
    hal_sem_t done;
    assert_int_equal(hal_sem_init(&done, "clients"), 0);
    static struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){&done, seed + (uint64_t)i,
                                     (disk_page_no_t)(100 + i * CLIENT_BLOCKS), 0};
        assert_true(hal_start_kernel_thread_arg(be_client, &clients[i]) >= 0);
    }
    assert_int_equal(hal_sem_acquire_etc(&done, CLIENTS, 0, 0), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(atomic_load(&clients[i].wrong), 0);
    }
    hal_sem_destroy(&done);
}

static void a_burst_is_longer_than_the_ring(void **state)
{
    (void)state;
    enum { BURST = ON_MACHINE(300, 80) };
    static struct request all[BURST];
    for (int i = 0; i < BURST; i++) {
        request_init(&all[i], (uint32_t)i);
        queue_block(&all[i], (disk_page_no_t)(i + 50), true);
    }
    for (int i = 0; i < BURST; i++) {
        assert_int_equal(wait_for(&all[i]), 0);
        assert_int_equal(all[i].calls, 1);
        *(uint32_t *)all[i].va = 9999;
        queue_block(&all[i], (disk_page_no_t)(i + 50), false);
    }
    for (int i = 0; i < BURST; i++) {
        assert_int_equal(wait_for(&all[i]), 0);
        assert_int_equal(first_word(&all[i]), i);
        request_finish(&all[i]);
    }
}

/* ---- partitions ----------------------------------------------------------------------------- */

static void put_entry(uint8_t *sector, int n, struct pc_partition entry)
{
    memcpy(sector + 446 + n * 16, &entry, sizeof(entry));
}

static void put_superblock(uint64_t at)
{
    struct phantom_disk_superblock sb = {.magic = DISK_STRUCT_MAGIC_SUPERBLOCK,
                                         .magic2 = DISK_STRUCT_MAGIC_SUPER_2,
                                         .blocksize = PAGE_SIZE,
                                         .disk_page_count = 77};
    for (size_t i = 0; i < sizeof(sb); i++) {
        sb.checksum += i < 8 || i >= 12 ? ((uint8_t *)&sb)[i] : 0;
    }
    put_into_file(&sb, sizeof(sb), at);
}

static void partitions_of_a_disk_are_found(void **state)
{
    (void)state;
    char first_path[64];
    memcpy(first_path, path, sizeof(path));
    make_file((uint64_t)PAGES * PAGE_SIZE);
    uint8_t sector[512] = {0};
    put_entry(sector, 0, (struct pc_partition){.type = 0x83, .start = 8, .size = 80});
    put_entry(sector, 1,
              (struct pc_partition){
                  .type = PHANTOM_PARTITION_TYPE_ID, .boot = 0x80, .start = 400, .size = 1600});
    put_entry(sector, 2, (struct pc_partition){.type = 0x83, .start = 4000, .size = 4000});
    put_entry(sector, 3, (struct pc_partition){.type = 0x83, .start = 2000, .size = 1000});
    sector[510] = 0x55;
    sector[511] = 0xAA;
    put_into_file(sector, sizeof(sector), 0);
    put_superblock(2000 * 512 + 0x10 * PAGE_SIZE); /* in the last one */
    phantom_disk_partition_t *whole;
    assert_int_equal(phantom_hal_add_disk(path, backend_flag, &whole), 0);
    assert_int_equal(whole->flags, PART_FLAG_IS_WHOLE_DISK | PART_FLAG_IS_DIVIDED);
    assert_string_equal(whole->name, "disk1");
    phantom_disk_partition_t *p[3];
    for (int i = 0; i < 3; i++) {
        p[i] = phantom_disk_partition_number(whole->self.h + 1 + i);
        assert_non_null(p[i]);
        assert_ptr_equal(p[i]->base, whole);
        print_partition(p[i]);
    }
    assert_null(phantom_disk_partition_number(whole->self.h + 4)); /* one was beyond the end */
    assert_int_equal(p[0]->flags, 0);
    assert_int_equal(p[1]->flags, PART_FLAG_IS_PHANTOM_TYPE | PART_FLAG_IS_BOOTABLE);
    assert_int_equal(p[2]->flags, PART_FLAG_IS_PHANTOM_FSSB);
    assert_ptr_equal(select_phantom_partition(), p[1]);
    char name[20];
    assert_int_equal(partGetName(p[1], name, sizeof(name)), 0);
    assert_string_equal(name, "disk1p2");
    assert_int_equal(partGetName(p[1], name, 5), EINVAL);
    dump_partition(p[1]);

    /* A slice of a slice: its sectors are where they should be, and the request stays as it is. */
    phantom_disk_partition_t *inner = phantom_create_partition_struct(p[1], 100, 16);
    assert_non_null(inner);
    assert_null(phantom_create_partition_struct(p[1], 1595, 6));
    char out[512], in[512];
    memset(out, 'q', sizeof(out));
    assert_int_equal(phantom_sync_write_sector(inner, out, 3, 1), 0);
    assert_int_equal(phantom_sync_read_sector(whole, in, 503, 1), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(phantom_sync_read_sector(inner, in, 16, 1), EINVAL);
    assert_int_equal(phantom_sync_read_sector(inner, in, 15, 2), EINVAL);
    struct request r;
    request_init(&r, 6);
    r.rq.blockNo = 8;
    r.rq.nSect = 8;
    r.rq.flag_pageout = 1;
    assert_int_equal(inner->asyncIo(inner, &r.rq), 0);
    assert_int_equal(wait_for(&r), 0);
    assert_int_equal(r.rq.blockNo, 8);
    assert_int_equal(disk_fence(inner), 0);
    assert_int_equal(disk_trim(inner, &r.rq), 0);
    assert_int_equal(phantom_sync_read_sector(whole, in, 508, 1), 0);
    assert_int_equal(in[0], 0);
    assert_string_equal(phantom_hal_disk_backend(inner), backend);
    request_finish(&r);
    remove_file();
    memcpy(path, first_path, sizeof(path));
}

/* A driver that is done before asyncIo returns; sectors hold their number. */
static errno_t at_once(struct phantom_disk_partition *p, pager_io_request *rq)
{
    (void)p;
    uint32_t number = (uint32_t)rq->blockNo;
    memcpy_v2p(rq->phys_page, &number, sizeof(number));
    rq->rc = number == 13 ? EIO : 0;
    pager_io_request_done(rq);
    return 0;
}

static void a_driver_may_be_done_at_once(void **state)
{
    (void)state;
    uint32_t sector[128] = {0};
    phantom_disk_partition_t p = {.block_size = 512, .size = 800, .asyncIo = at_once};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(phantom_sync_read_sector(&p, sector, 7, 1), 0);
        assert_int_equal(sector[0], 7);
        assert_int_equal(phantom_sync_read_sector(&p, sector, 13, 1), EIO);
        assert_int_equal(phantom_sync_read_sector(disk, sector, 7, 1), 0); /* sleeps as always */
    }
}

static errno_t refuse(struct phantom_disk_partition *p, pager_io_request *rq)
{
    (void)p;
    (void)rq;
    return ENXIO;
}

static void a_driver_of_somebody_else_is_asked(void **state)
{
    (void)state;
    int its = 0;
    phantom_disk_partition_t foreign = {.block_size = 512,
                                        .size = 800,
                                        .specific = &its,
                                        .flags = PART_FLAG_IS_WHOLE_DISK,
                                        .asyncIo = refuse};
    assert_int_equal(phantom_register_disk_drive(&foreign), ENXIO);
    phantom_disk_partition_t slice = {
        .block_size = 512, .shift = 8, .size = 16, .base = &foreign, .asyncIo = partAsyncIo};
    pager_io_request rq;
    pager_io_request_init(&rq);
    rq.nSect = 8;
    rq.flag_pagein = 1;
    assert_int_equal(partAsyncIo(&slice, &rq), ENXIO); /* in the port: 0 */
    assert_int_equal(rq.blockNo, 0);
    assert_int_equal(partTrim(&slice, &rq), ENODEV);
    slice.base = NULL;
    assert_int_equal(partAsyncIo(&slice, &rq), ENODEV);
}

/* ---- opening -------------------------------------------------------------------------------- */

static void files_are_opened_with_care(void **state)
{
    (void)state;
    assert_int_equal(phantom_hal_add_disk(path, 0, NULL), EWOULDBLOCK); /* it is in use */
    assert_int_equal(phantom_hal_add_disk("/nowhere/at/all", 0, NULL), ENOENT);
    assert_int_equal(phantom_hal_add_disk("/dev/null", 0, NULL), ON_MACHINE(EINVAL, ENOENT));
    char first_path[64];
    memcpy(first_path, path, sizeof(path));
    make_file(100);
    assert_int_equal(phantom_hal_add_disk(path, 0, NULL), EINVAL);
    remove_file();
    make_file((uint64_t)4 * PAGE_SIZE);
    phantom_disk_partition_t *p;
    assert_int_equal(phantom_hal_add_disk(path, PHANTOM_HAL_DISK_READ_ONLY | backend_flag, &p), 0);
    char sector[512] = {0};
    assert_int_equal(phantom_sync_read_sector(p, sector, 0, 1), 0);
    assert_int_equal(phantom_sync_write_sector(p, sector, 0, 1), EROFS);
    assert_int_equal(disk_fence(p), 0);
    remove_file();
    memcpy(path, first_path, sizeof(path));
    assert_int_equal(driver_genode_disk_init(), ENODEV);
    assert_null(driver_genode_disk_probe());
}

static void the_instances_own_disk_is_opened_once(void **state)
{
    struct phantom_hal *outer = *state;
    char first_path[64];
    memcpy(first_path, path, sizeof(path));
    make_file((uint64_t)16 * PAGE_SIZE);
    struct phantom_hal_options options;
    phantom_hal_options_init(&options);
    options.disk_path = path;
    options.disk_flags = backend_flag;
    phantom_hal_leave();
    struct phantom_hal *inner = port_begin(&options);
    phantom_disk_partition_t *p = driver_genode_disk_probe();
    assert_non_null(p);
    assert_int_equal(p->size, 16 * 8); /* the real size */
    assert_int_equal(driver_genode_disk_init(), 0);
    assert_null(phantom_disk_partition_number(1));
    port_end(inner);
    remove_file();
    memcpy(path, first_path, sizeof(path));
    assert_int_equal(phantom_hal_enter(outer), 0);
}

/* 32 bits for a sector number were two terabytes. */
static void blocks_beyond_two_terabytes_are_themselves(void **state)
{
    (void)state;
    char first_path[64];
    memcpy(first_path, path, sizeof(path));
    make_file((uint64_t)4 * PAGE_SIZE);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    disk_page_no_t far = UINT32_C(0x20000003);
    phantom_disk_partition_t *small = disk;
    if (ftruncate(fd, ((off_t)far + 2) * PAGE_SIZE) == 0) { /* holes; not on every file system */
        assert_int_equal(phantom_hal_add_disk(path, backend_flag, &disk), 0);
        struct request r;
        request_init(&r, 4711);
        queue_block(&r, far, true);
        assert_int_equal(wait_for(&r), 0);
        uint32_t word = 0;
        assert_int_equal(pread(fd, &word, sizeof(word), (off_t)far * PAGE_SIZE), sizeof(word));
        assert_int_equal(word, 4711);
        request_finish(&r);
        disk = small;
    }
    (void)close(fd);
    remove_file();
    memcpy(path, first_path, sizeof(path));
}

int main(int argc, char **argv)
{
    backend = argc > 1 ? argv[1] : "threads";
    backend_flag = strcmp(backend, "threads") == 0 ? PHANTOM_HAL_DISK_THREADS : 0;
#ifndef TEST_ON_SIM
    void *probe = NULL;
    (void)disk_setup(&probe);
    bool there = strcmp(phantom_hal_disk_backend(disk), backend) == 0;
    (void)disk_teardown(&probe);
    if (!there) {
        printf("io_uring does not work here\n");
        return PH_TEST_SKIPPED;
    }
#endif
    const struct machine_case cases[] = {
        disk_test(test_block_device_adapter),
        disk_test(test_block_alignment),
        disk_test(a_request_is_done_before_its_callback),
        disk_test(io_errors_arrive_in_rc),
        disk_test(one_write_that_fails_spoils_no_other),
        disk_test(requests_outlive_the_thread_that_queued_them),
        disk_test(wrong_requests_are_refused),
        disk_test(a_request_cannot_be_queued_twice),
        disk_test(overlapping_requests_keep_their_order),
        disk_test(waiting_requests_can_be_taken_out_and_raised),
        disk_test(a_fence_is_a_flush_of_all_that_was_queued),
        disk_test(a_fence_waits_for_all_that_was_queued),
        disk_test(a_failed_flush_is_not_believed_again),
        disk_test(a_fence_of_a_file_that_became_shorter_fails),
        disk_test(many_clients_see_what_they_wrote),
        disk_test(a_burst_is_longer_than_the_ring),
        disk_test(partitions_of_a_disk_are_found),
        disk_test(a_driver_of_somebody_else_is_asked),
        disk_test(a_driver_may_be_done_at_once),
        disk_test(files_are_opened_with_care),
        disk_test(the_instances_own_disk_is_opened_once),
        disk_test_posix(blocks_beyond_two_terabytes_are_themselves,
                        "a simulated file is not that long"),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
