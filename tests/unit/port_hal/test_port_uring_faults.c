/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_uring_faults.c - completions of io_uring as a busy kernel, or one whose submitting
 * thread has ended, gives them: EAGAIN, EINTR, EFAULT, ECANCELED, and fewer bytes than asked for.
 * The port's back end is compiled in here with its look at completions replaced by one that changes
 * some, by seed. Exit 77 where io_uring is denied.
 */
#include "port_disk.h"
#include "port_fixture.h"

#include <disk.h>
#include <liburing.h>
#include <phantom_disk.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ph_rng faults; /* of the thread that takes completions, while requests are out */
static atomic_bool quiet;
static atomic_int changed, orphaned;

/* What was moved is moved again, or its end is: that changes nothing. */
static int changed_result(const struct port_disk_op *op, int result)
{
    switch (ph_rng_below(&faults, 8)) {
    case 0: return -EAGAIN;
    case 1: return -EINTR;
    case 2:
    case 3:
        if (op->repeated) {
            return result;
        }
        atomic_fetch_add(&orphaned, 1);
        return ph_rng_below(&faults, 2) == 0 ? -EFAULT : -ECANCELED;
    case 4:
    case 5: return result > PORT_SECTOR ? result / 2 / PORT_SECTOR * PORT_SECTOR : result;
    default: return result;
    }
}

static int flaky_peek(struct io_uring *ring, struct io_uring_cqe **cqe)
{
    int rc = io_uring_peek_cqe(ring, cqe);
    const struct port_disk_op *op = rc == 0 ? io_uring_cqe_get_data(*cqe) : NULL;
    if (op != NULL && !atomic_load(&quiet) && (*cqe)->res > 0) {
        int result = changed_result(op, (*cqe)->res);
        atomic_fetch_add(&changed, result != (*cqe)->res);
        (*cqe)->res = result;
    }
    return rc;
}

#define io_uring_peek_cqe flaky_peek
#include "port_disk_uring.c"

enum { BLOCKS = 48 };

static char path[64];
static phantom_disk_partition_t *disk;

struct request {
    pager_io_request rq; /* first: the callback casts it back */
    void *va;
    hal_sem_t done;
};

static void on_done(pager_io_request *rq, int write)
{
    (void)write;
    hal_sem_release(&((struct request *)rq)->done);
}

/* All blocks at once. False: one of them failed. */
static bool transfer(struct request *all, bool write)
{
    bool right = true;
    for (unsigned i = 0; i < BLOCKS; i++) {
        all[i].rq.disk_page = i;
        all[i].rq.rc = 0;
        all[i].rq.flag_pageout = write;
        all[i].rq.flag_pagein = !write;
        disk_enqueue(disk, &all[i].rq);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        (void)hal_sem_acquire(&all[i].done);
        right = right && all[i].rq.rc == 0;
    }
    return right;
}

/* The fact: all requests succeed, and what is read is what was written. */
static bool nothing_is_lost(void)
{
    static struct request all[BLOCKS];
    static uint32_t stamp;
    bool right = true;
    stamp += BLOCKS;
    for (unsigned i = 0; i < BLOCKS; i++) {
        pager_io_request_init(&all[i].rq);
        all[i].rq.pager_callback = on_done;
        hal_pv_alloc(&all[i].rq.phys_page, &all[i].va, PAGE_SIZE);
        assert_int_equal(hal_sem_init(&all[i].done, "done"), 0);
        for (size_t w = 0; w < PAGE_SIZE / sizeof(uint32_t); w++) {
            ((uint32_t *)all[i].va)[w] = stamp + i;
        }
    }
    right = transfer(all, true);
    for (unsigned i = 0; i < BLOCKS; i++) {
        memset(all[i].va, 0, PAGE_SIZE);
    }
    right = transfer(all, false) && right;
    for (unsigned i = 0; i < BLOCKS; i++) {
        for (size_t w = 0; w < PAGE_SIZE / sizeof(uint32_t); w++) {
            right = right && ((uint32_t *)all[i].va)[w] == stamp + i;
        }
        hal_pv_free(all[i].rq.phys_page, all[i].va, PAGE_SIZE);
        hal_sem_destroy(&all[i].done);
    }
    return right;
}

static void what_the_kernel_did_not_do_is_done_again(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(nothing_is_lost());
    }
    assert_true(atomic_load(&changed) > 0 && atomic_load(&orphaned) > 0);
}

static void a_request_whose_thread_ended_fails(void **state)
{
    (void)state;
    machine_expect_defect(PH_MUTANT_ORPHANS_REQUEST_FAILS, nothing_is_lost, 5);
}

static int setup(void **state)
{
    (void)port_setup(state);
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "%.40s/port_uring_XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)BLOCKS * PAGE_SIZE), 0);
    (void)close(fd);
    atomic_store(&quiet, true);
    assert_int_equal(phantom_hal_add_disk(path, 0, &disk), 0);
    ph_rng_init(&faults, machine_seed());
    atomic_store(&quiet, false);
    return 0;
}

static int teardown(void **state)
{
    atomic_store(&quiet, true);
    (void)port_teardown(state);
    (void)unlink(path);
    return 0;
}

int main(void)
{
    void *probe = NULL;
    (void)setup(&probe);
    bool there = strcmp(phantom_hal_disk_backend(disk), "io_uring") == 0;
    (void)teardown(&probe);
    if (!there) {
        printf("io_uring does not work here\n");
        return PH_TEST_SKIPPED;
    }
    const struct machine_case cases[] = {
        {.name = "what_the_kernel_did_not_do_is_done_again",
         .run = what_the_kernel_did_not_do_is_done_again,
         .setup = setup,
         .teardown = teardown},
        {.name = "a_request_whose_thread_ended_fails",
         .run = a_request_whose_thread_ended_fails,
         .setup = setup,
         .teardown = teardown},
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
