/* SPDX-License-Identifier: Apache-2.0
 * In the style of the port's own tests: semaphores, threads, "physical" memory, a disk. */
#define DEBUG_MSG_PREFIX "test"
#include <debug_ext.h>
#define debug_level_flow  0
#define debug_level_error 10
#define debug_level_info  10

#include <disk.h>
#include <errno.h>
#include <hal.h>
#include <kernel/atomic.h>
#include <ph_string.h>
#include <test.h>
#include <thread_private.h>
#include <threads.h>

/* ---- sem ----------------------------------------------------------------------------------- */

static hal_sem_t sem;
static volatile int released;

static void releaser(void *arg)
{
    (void)arg;
    hal_sleep_msec(30);
    atomic_add(&released, 1);
    hal_sem_release(&sem);
}

int do_test_sem(const char *test_parm)
{
    (void)test_parm;
    test_check_eq(hal_sem_init(&sem, "test"), 0);
    test_check_ge(hal_start_kernel_thread_arg(releaser, 0), 0);
    test_check_eq(hal_sem_acquire(&sem), 0);
    test_check_eq(atomic_add(&released, 0), 1); /* it did wait */
    test_check_eq(hal_sem_acquire_etc(&sem, 1, 2, 20000), ETIMEDOUT);
    hal_sem_destroy(&sem);
    return 0;
}

/* ---- threads ------------------------------------------------------------------------------- */

enum { THREADS = 100 };

static hal_mutex_t mutex;
static hal_cond_t all_done;
static int inside;
static int done;

static void enter_and_leave(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        hal_mutex_lock(&mutex);
        if (++inside != 1 || !hal_mutex_is_locked(&mutex)) {
            panic("two threads in one mutex");
        }
        inside--;
        hal_mutex_unlock(&mutex);
    }
    hal_mutex_lock(&mutex);
    done++;
    hal_cond_broadcast(&all_done);
    hal_mutex_unlock(&mutex);
}

int do_test_many_threads(const char *test_parm)
{
    (void)test_parm;
    test_check_eq(hal_mutex_init(&mutex, "test"), 0);
    test_check_eq(hal_cond_init(&all_done, "test"), 0);
    for (int i = 0; i < THREADS; i++) {
        test_check_ge(hal_start_thread(enter_and_leave, 0, THREAD_FLAG_KERNEL), 0);
    }
    hal_mutex_lock(&mutex);
    while (done < THREADS) {
        hal_cond_wait(&all_done, &mutex);
    }
    hal_mutex_unlock(&mutex);
    test_check_true(GET_CURRENT_THREAD() != NULL);
    test_check_ge(GET_CURRENT_THREAD()->tid, 0);
    return 0;
}

/* ---- physmem ------------------------------------------------------------------------------- */

int do_test_physmem(const char *test_parm)
{
    physaddr_t pa = 0;
    void *va = 0;
    char buf[16];
    char abc[] = "abc";
    char digits[] = "12345678";
    (void)test_parm;
    hal_pv_alloc(&pa, &va, 8192);
    test_check_true(pa != 0 && va != 0);
    char *bytes = va;
    ph_memset(bytes, 'x', 8192);
    memcpy_v2p(pa + 10, abc, 3);
    test_check_eq(ph_memcmp(bytes + 9, "xabcx", 5), 0);
    memcpy_v2p(pa + 4092, digits, 8); /* across the border of two pages */
    test_check_eq(ph_memcmp(bytes + 4091, "x12345678x", 10), 0);
    memcpy_p2v(buf, pa + 4096, 4);
    test_check_eq(ph_memcmp(buf, "5678", 4), 0);
    hal_pv_free(pa, va, 8192);
    return 0;
}

/* ---- a disk of our own --------------------------------------------------------------------- */

static char platter[64 * 512];
static int fences;

/* The interrupt of the disk, so to speak. */
static void transfer(void *arg)
{
    pager_io_request *rq = arg;
    char *place = platter + rq->blockNo * 512;
    if (rq->flag_pageout) {
        memcpy_p2v(place, rq->phys_page, (size_t)rq->nSect * 512);
    } else {
        memcpy_v2p(rq->phys_page, place, (size_t)rq->nSect * 512);
    }
    rq->rc = 0;
    pager_io_request_done(rq);
}

static errno_t platter_io(struct phantom_disk_partition *p, pager_io_request *rq)
{
    if ((long)rq->blockNo + rq->nSect > p->size) {
        return EINVAL;
    }
    return hal_start_kernel_thread_arg(transfer, rq) < 0 ? ENOMEM : 0;
}

static errno_t platter_fence(struct phantom_disk_partition *p)
{
    (void)p;
    fences++;
    return 0;
}

int do_test_hdir(const char *test_parm) /* the name of a test that needs nothing else */
{
    static phantom_disk_partition_t disk = {.block_size = 512,
                                            .size = 64,
                                            .name = "platter",
                                            .flags = PART_FLAG_IS_WHOLE_DISK,
                                            .specific = platter,
                                            .asyncIo = platter_io,
                                            .fence = platter_fence};
    char out[1024], in[1024];
    (void)test_parm;
    test_check_eq(phantom_register_disk_drive(&disk), 0);
    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = (char)i;
    }
    test_check_eq(phantom_sync_write_sector(&disk, out, 10, 2), 0);
    test_check_eq(platter[10 * 512 + 7], 7);
    test_check_eq(phantom_sync_read_sector(&disk, in, 10, 2), 0);
    test_check_eq(ph_memcmp(in, out, sizeof(in)), 0);
    test_check_ne(phantom_sync_read_sector(&disk, in, 63, 2), 0);
    test_check_eq(disk_fence(&disk), 0);
    test_check_eq(fences, 1);
    phantom_disk_partition_t *slice = phantom_create_partition_struct(&disk, 8, 8);
    test_check_true(slice != NULL);
    test_check_eq(phantom_sync_read_sector(slice, in, 2, 2), 0);
    test_check_eq(ph_memcmp(in, out, sizeof(in)), 0);
    return 0;
}
