/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_abuse.c - the port's HAL in the hands of somebody who does everything wrong: callbacks
 * that end their thread, ends that come from within, shutdown with calls that never return, times
 * that cannot be counted, disks of other instances, partition tables that lie.
 */
#include "port_fixture.h"

#include "ph_killed.h"

#include <arch/arch_vmem_util.h>
#include <disk.h>
#include <genode_disk.h>
#include <init_routines.h>
#include <kernel/dpc.h>
#include <kernel/init.h>
#include <kernel/interrupts.h>
#include <kernel/net_timer.h>
#include <kernel/timedcall.h>
#include <limits.h>
#include <pc/disk_partition.h>
#include <ph_malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <thread_private.h>
#include <threads.h>
#include <unistd.h>

enum { SECTOR = 512, PATIENCE_S = 60 };

static atomic_int calls, deaths;

static void until(atomic_int *counter, int least)
{
    while (atomic_load(counter) < least) {
        hal_sleep_msec(1);
    }
}

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&calls, 1);
}

/* ---- threads that end in the middle of something ----------------------------------------------
 */

static void die_twice(phantom_thread_t *thread)
{
    (void)thread;
    atomic_fetch_add(&deaths, 1);
    hal_exit_kernel_thread();
}

static void sleep_when_dead(phantom_thread_t *thread)
{
    (void)thread;
    hal_sleep_msec(1);
    phantom_scheduler_yield();
    atomic_fetch_add(&deaths, 1);
}

static void live_briefly(void *arg)
{
    (void)arg;
    (void)t_current_set_death_handler(die_twice);
}

static void live_until_killed(void *arg)
{
    (void)arg;
    (void)t_current_set_death_handler(sleep_when_dead);
    atomic_fetch_add(&calls, 1);
    for (;;) {
        hal_sleep_msec(10000);
    }
}

static void a_death_handler_may_sleep_and_end(void **state)
{
    (void)state;
    atomic_store(&calls, 0);
    atomic_store(&deaths, 0);
    assert_true(hal_start_thread(live_briefly, NULL, 0) >= 0);
    until(&deaths, 1);
    tid_t tid = hal_start_thread(live_until_killed, NULL, 0);
    assert_true(tid >= 0);
    until(&calls, 1);
    assert_int_equal(t_kill_thread(tid), 0);
    until(&deaths, 2);
}

static void end_here(void *arg)
{
    (void)arg;
    (void)t_current_set_death_handler(die_twice);
    atomic_fetch_add(&calls, 1);
    hal_exit_kernel_thread();
}

/* Each kind of thread of the HAL, twice: it is there the second time, too. */
static void callbacks_end_their_thread(void)
{
    static dpc_request request;
    static net_timer_event event;
    int softirq = hal_alloc_softirq();
    atomic_store(&calls, 0);
    atomic_store(&deaths, 0);
    dpc_init();
    dpc_request_init(&request, end_here);
    hal_set_softirq_handler(softirq, end_here, NULL);
    for (int i = 0; i < 2; i++) {
        timedcall_t call = {end_here, 0, 1, 0, 0, {0, 0}, 0};
        phantom_request_timed_call(&call, 0);
        until(&calls, 4 * i + 1);
        phantom_undo_timed_call(&call);
        (void)set_net_timer(&event, 0, end_here, NULL, 0);
        until(&calls, 4 * i + 2);
        dpc_request_trigger(&request, NULL);
        until(&calls, 4 * i + 3);
        hal_request_softirq(softirq);
        until(&calls, 4 * i + 4);
    }
    dpc_finish();
    until(&deaths, 8);
}

static void the_end_in_a_callback_is_the_callbacks(void **state)
{
    (void)state;
    callbacks_end_their_thread();
}

static atomic_int worker_tid;

static void say_who(void *arg)
{
    (void)arg;
    atomic_store(&worker_tid, get_current_tid());
    atomic_fetch_add(&calls, 1);
}

static void threads_of_the_hal_are_not_killed(void **state)
{
    (void)state;
    static net_timer_event event;
    atomic_store(&calls, 0);
    assert_int_equal(set_net_timer(&event, 0, say_who, NULL, 0), 0);
    until(&calls, 1);
    assert_int_equal(t_kill_thread(atomic_load(&worker_tid)), EPERM);
}

static struct phantom_hal *destroyed;
static atomic_int refused;

static void destroy_it(void *arg)
{
    (void)arg;
    atomic_store(&refused, phantom_hal_destroy(destroyed));
    atomic_fetch_add(&calls, 1);
}

static void an_instance_is_not_destroyed_from_within(void **state)
{
    destroyed = *state;
    atomic_store(&calls, 0);
    assert_int_equal(phantom_hal_destroy(destroyed), EBUSY);
    assert_true(hal_start_thread(destroy_it, NULL, 0) >= 0);
    until(&calls, 1);
    assert_int_equal(atomic_load(&refused), EBUSY);
}

/* ---- the end of an instance while callbacks go on ---------------------------------------------
 */

static struct {
    atomic_int begun, over, threads;
    int thread_rc;
    dpc_request request, late;
    net_timer_event event;
    timedcall_t call;
    int softirq;
} busy;

static void count_thread(void *arg)
{
    (void)arg;
    atomic_fetch_add(&busy.threads, 1);
}

/* A deferred call that is still there when everything else has ended, and asks for all of it. */
static void ask_for_everything(void *arg)
{
    (void)arg;
    atomic_fetch_add(&busy.begun, 1);
    do { /* refused once everything has stopped but us */
        hal_sleep_msec(1);
    } while (set_net_timer(&busy.event, 0, count_thread, NULL, 0) == 0);
    busy.thread_rc = hal_start_thread(count_thread, NULL, 0);
    phantom_request_timed_call(&busy.call, 0);
    timedcall_t *freed = ph_calloc(1, sizeof(*freed));
    *freed = (timedcall_t){count_thread, 0, 0, 0, 0, {0, 0}, 0};
    phantom_request_timed_call(freed, TIMEDCALL_FLAG_AUTOFREE);
    dpc_request_trigger(&busy.late, NULL);
    hal_set_softirq_handler(busy.softirq, count_thread, NULL);
    hal_request_softirq(busy.softirq);
    atomic_fetch_add(&busy.over, 1);
}

/* Destroy an instance in the middle of that: nothing new begins, nothing that is used is gone. */
static bool the_end_is_whole(void)
{
    struct phantom_hal *instance = NULL, *back = phantom_hal_current();
    memset(&busy, 0, sizeof(busy));
    busy.call = (timedcall_t){count_thread, 0, 0, 0, 0, {0, 0}, 0};
    assert_int_equal(phantom_hal_create(NULL, &instance), 0);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_enter(instance), 0);
    dpc_init();
    phantom_init_stat_counters2(); /* the timers' thread is there */
    busy.softirq = hal_alloc_softirq();
    dpc_request_init(&busy.request, ask_for_everything);
    dpc_request_init(&busy.late, count_thread);
    dpc_request_trigger(&busy.request, NULL);
    until(&busy.begun, 1);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(instance), 0);
    assert_int_equal(atomic_load(&busy.over), 1);
    assert_int_equal(phantom_hal_enter(back), 0);
    return busy.thread_rc < 0;
}

static void callbacks_may_use_an_instance_that_ends(void **state)
{
    (void)state;
    assert_true(the_end_is_whole());
    machine_expect_defect(PH_MUTANT_THREADS_AT_THE_END, the_end_is_whole, 1);
}

/* ---- timers and deferred calls ----------------------------------------------------------------
 */

static atomic_int made_by, processed;

static void end_the_caller(void *arg)
{
    (void)arg;
    atomic_store(&made_by, get_current_tid());
    hal_exit_kernel_thread();
}

/* Make a call that ends its thread on a thread of the user's, not on the timers'. */
static void process_until_the_end(void *arg)
{
    timedcall_t call = {end_the_caller, 0, 0, 0, 0, {0, 0}, 0};
    (void)arg;
    (void)t_current_set_death_handler(die_twice);
    for (;;) {
        phantom_request_timed_call(&call, 0);
        phantom_process_timed_calls(); /* does not come back if it makes the call */
        phantom_undo_timed_call(&call);
        atomic_fetch_add(&processed, 1);
    }
}

static void a_call_that_ends_a_thread_of_the_users_ends_no_other_call(void **state)
{
    (void)state;
    timedcall_t near = {count, 0, 1, 0, 0, {0, 0}, 0};
    atomic_store(&calls, 0);
    atomic_store(&deaths, 0);
    tid_t tid = hal_start_thread(process_until_the_end, NULL, 0);
    until(&deaths, 1);
    assert_int_equal(atomic_load(&made_by), tid);
    phantom_request_timed_call(&near, 0);
    until(&calls, 1);
}

static hal_sem_t go_on;

static void release_it(void *arg)
{
    (void)arg;
    hal_sem_release(&go_on);
}

static void wait_for_it(void *arg)
{
    (void)arg;
    atomic_fetch_add(&calls, 1);
    (void)hal_sem_acquire(&go_on);
}

static bool the_tick_goes_on(void)
{
    dpc_request request;
    timedcall_t later = {release_it, 0, 1300, 0, 0, {0, 0}, 0}; /* behind a second tick */
    atomic_store(&calls, 0);
    assert_int_equal(hal_sem_init(&go_on, "go on"), 0);
    dpc_init();
    dpc_request_init(&request, wait_for_it);
    dpc_request_trigger(&request, NULL);
    until(&calls, 1);
    phantom_request_timed_call(&later, 0);
    dpc_finish(); /* waits for the call, which waits for the timer */
    hal_sem_destroy(&go_on);
    return true;
}

static void timers_go_on_while_deferred_calls_are_waited_for(void **state)
{
    (void)state;
    assert_true(the_tick_goes_on());
#ifdef TEST_ON_SIM /* elsewhere it would wait for ever */
    machine_expect_defect(PH_MUTANT_DPC_TICK_WAITS, the_tick_goes_on, 1);
#endif
}

static void arm_again(void *arg)
{
    atomic_fetch_add(&calls, 1);
    (void)set_net_timer(arg, 0, arm_again, arg, 0);
}

static void request_again(void *arg)
{
    atomic_fetch_add(&deaths, 1);
    phantom_request_timed_call(arg, 0);
}

/* The teardown destroys the instance meanwhile. */
static void what_asks_for_itself_keeps_nobody(void **state)
{
    (void)state;
    static net_timer_event event;
    static timedcall_t call;
    event = (net_timer_event){0};
    call = (timedcall_t){request_again, &call, 0, 0, 0, {0, 0}, 0};
    atomic_store(&calls, 0);
    atomic_store(&deaths, 0);
    phantom_request_timed_call(&call, 0);
    until(&deaths, 10);
    assert_int_equal(set_net_timer(&event, 0, arm_again, &event, 0), 0);
    until(&calls, 10);
}

static atomic_int far_calls;

static void count_far(void *arg)
{
    (void)arg;
    atomic_fetch_add(&far_calls, 1);
}

static bool far_is_never(void)
{
    static const long times[] = {LONG_MAX, LONG_MAX / 1000 + 1, LONG_MAX / 1000};
    timedcall_t far[6], near = {count, 0, 5, 0, 0, {0, 0}, 0};
    atomic_store(&far_calls, 0);
    atomic_store(&calls, 0);
    for (int i = 0; i < 6; i++) {
        far[i] = (timedcall_t){count_far, 0, times[i / 2], 0, 0, {0, 0}, 0};
        phantom_request_timed_call(&far[i], i % 2 != 0 ? TIMEDCALL_FLAG_PERIODIC : 0);
    }
    phantom_request_timed_call(&near, 0);
    until(&calls, 1); /* what was due before it was made before it */
    for (int i = 0; i < 6; i++) {
        phantom_undo_timed_call(&far[i]);
    }
    return atomic_load(&far_calls) == 0;
}

static void a_call_too_far_away_never_comes(void **state)
{
    (void)state;
    assert_true(far_is_never());
    machine_expect_defect(PH_MUTANT_FAR_TIMER_FIRES, far_is_never, 1);
}

static void deferred_calls_without_threads_are_made_at_the_end(void **state)
{
    (void)state;
    dpc_request requests[5];
    atomic_store(&calls, 0);
    dpc_init();
    ph_memory_fail_after(0, true);
    for (int i = 0; i < 5; i++) {
        dpc_request_init(&requests[i], count);
        dpc_request_trigger(&requests[i], NULL);
    }
    ph_memory_fail_after(-1, false);
    dpc_finish();
    assert_int_equal(atomic_load(&calls), 5);
}

static void every_handler_of_an_interrupt_is_called(void **state)
{
    (void)state;
    enum { HANDLERS = 40 };
    static char of[HANDLERS];
    atomic_store(&calls, 0);
    for (int i = 0; i < HANDLERS; i++) {
        assert_int_equal(hal_irq_alloc(3, count, &of[i], 1), 0);
    }
    phantom_hal_raise_irq(3);
    assert_int_equal(atomic_load(&calls), HANDLERS);
    hal_irq_free(3, count, &of[7]);
    phantom_hal_raise_irq(3);
    assert_int_equal(atomic_load(&calls), 2 * HANDLERS - 1);
}

static void sizes_that_cannot_be_counted_are_refused(void **state)
{
    (void)state;
    struct phantom_hal_options options;
    struct phantom_hal *instance = NULL;
    phantom_hal_options_init(&options);
    options.phys_bytes = (size_t)1 << 44;
    assert_int_equal(phantom_hal_create(&options, &instance), EINVAL);
    options.phys_bytes = 0;
    options.window_bytes = (size_t)1 << 44;
    assert_int_equal(phantom_hal_create(&options, &instance), EINVAL);
}

/* ---- disks ------------------------------------------------------------------------------------
 */

static char path[64];

static void make_disk(long bytes, const void *first_sector)
{
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "%.40s/port_abuse_XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    if (first_sector != NULL) {
        assert_int_equal(pwrite(fd, first_sector, SECTOR, 0), SECTOR);
    }
    (void)close(fd);
}

static void remove_disk(void)
{
    (void)unlink(path);
}

static phantom_disk_partition_t *strange_disk;

static bool a_strange_disk_refuses(void)
{
    pager_io_request rq;
    pager_io_request_init(&rq);
    if (hal_alloc_phys_page(&rq.phys_page) != 0) {
        return false;
    }
    rq.nSect = 1;
    rq.flag_pagein = 1;
    errno_t rc = strange_disk->asyncIo(strange_disk, &rq);
    while (rc == 0 && __atomic_load_n(&rq.flag_pagein, __ATOMIC_ACQUIRE) != 0) {
        phantom_scheduler_yield();
    }
    hal_free_phys_page(rq.phys_page);
    return rc == EXDEV;
}

static void a_disk_serves_its_instance_only(void **state)
{
    struct phantom_hal *other = NULL;
    make_disk(1 << 20, NULL);
    assert_int_equal(phantom_hal_create(NULL, &other), 0);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_enter(other), 0);
    assert_int_equal(phantom_hal_add_disk(path, 0, &strange_disk), 0);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_enter(*state), 0);
    char sector[SECTOR];
    assert_int_equal(phantom_sync_read_sector(strange_disk, sector, 0, 1), EXDEV);
    assert_true(a_strange_disk_refuses());
    machine_expect_defect(PH_MUTANT_STRANGERS_DISK, a_strange_disk_refuses, 1);
    ph_active_mutant = PH_MUTANT_NONE;
    struct phantom_hal_usage usage;
    phantom_hal_leave();
    assert_int_equal(phantom_hal_enter(other), 0);
    do {
        phantom_scheduler_yield();
        phantom_hal_usage(&usage);
    } while (usage.disk_requests > 0);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(other), 0);
    assert_int_equal(phantom_hal_enter(*state), 0);
    remove_disk();
}

static atomic_int rc_in_callback;

static void read_in_callback(pager_io_request *rq, int write)
{
    char sector[SECTOR];
    phantom_disk_partition_t *disk = (phantom_disk_partition_t *)(void *)rq->next_page;
    (void)write;
    atomic_store(&rc_in_callback, phantom_sync_read_sector(disk, sector, 0, 1));
    atomic_fetch_add(&calls, 1);
    hal_exit_kernel_thread(); /* and this is the end of the callback only */
}

static void use_from_callbacks(unsigned flags)
{
    phantom_disk_partition_t *disk = NULL;
    pager_io_request rq;
    make_disk(1 << 20, NULL);
    assert_int_equal(phantom_hal_add_disk(path, flags, &disk), 0);
    atomic_store(&calls, 0);
    for (int i = 0; i < 6; i++) { /* more than there are workers */
        pager_io_request_init(&rq);
        assert_int_equal(hal_alloc_phys_page(&rq.phys_page), 0);
        rq.nSect = 1;
        rq.flag_pagein = 1;
        rq.pager_callback = read_in_callback;
        rq.next_page = (pager_io_request *)(void *)disk;
        assert_int_equal(disk->asyncIo(disk, &rq), 0);
        until(&calls, i + 1);
        assert_int_equal(atomic_load(&rc_in_callback), EDEADLK);
        struct phantom_hal_usage usage;
        do {
            phantom_scheduler_yield();
            phantom_hal_usage(&usage);
        } while (usage.disk_requests > 0);
        hal_free_phys_page(rq.phys_page);
    }
    remove_disk();
}

static void callbacks_of_disks_do_not_wait_for_them(void **state)
{
    (void)state;
    use_from_callbacks(0);
    use_from_callbacks(PHANTOM_HAL_DISK_THREADS);
}

static void put_entry(uint8_t *sector, int n, uint8_t type, uint32_t start, uint32_t size)
{
    struct pc_partition entry = {.type = type, .start = start, .size = size};
    memcpy(sector + 446 + n * 16, &entry, sizeof(entry));
    sector[SECTOR - 2] = 0x55;
    sector[SECTOR - 1] = 0xAA;
}

static int partitions(void)
{
    int count_of = 0;
    while (phantom_disk_partition_number(count_of) != NULL) {
        count_of++;
    }
    return count_of;
}

static void partition_tables_may_lie(void **state)
{
    (void)state;
    uint8_t overlapping[SECTOR] = {0}, beyond[SECTOR] = {0}, extended[SECTOR] = {0};
    put_entry(overlapping, 0, 0xD3, 10, 100);
    put_entry(overlapping, 1, 0xD3, 109, 10);  /* its first sector is in the one before */
    put_entry(overlapping, 2, 0xD3, 5, 2000);  /* around it */
    put_entry(overlapping, 3, 0xD3, 110, 10);  /* beside it */
    put_entry(beyond, 0, 0xD3, 1, UINT32_MAX); /* the sum is 0 in 32 bits */
    put_entry(beyond, 1, 0xD3, UINT32_MAX, 1);
    put_entry(beyond, 2, 0xD3, 2048, 1);   /* the first sector behind the end */
    put_entry(beyond, 3, 0xD3, 2047, 1);   /* the last one */
    put_entry(extended, 0, 0x05, 1, 1000); /* a chain of tables that ends in itself */
    put_entry(extended, 1, 0x0F, 1001, 1000);
    make_disk(2048 * SECTOR, overlapping);
    assert_int_equal(phantom_hal_add_disk(path, 0, NULL), 0);
    remove_disk();
    assert_int_equal(partitions(), 3);
    assert_int_equal(phantom_disk_partition_number(2)->shift, 110);
    make_disk(2048 * SECTOR, beyond);
    assert_int_equal(phantom_hal_add_disk(path, 0, NULL), 0);
    remove_disk();
    assert_int_equal(partitions(), 5);
    assert_int_equal(phantom_disk_partition_number(4)->shift, 2047);
    make_disk(2048 * SECTOR, extended);
    assert_int_equal(phantom_hal_add_disk(path, 0, NULL), 0);
    assert_int_equal(partitions(), 8);
    remove_disk();
}

static void the_disk_of_the_options_can_be_tried_again(void **state)
{
    (void)state;
    struct phantom_hal *instance = NULL, *back = phantom_hal_current();
    struct phantom_hal_options options;
    make_disk(64 * 4096, NULL);
    phantom_hal_options_init(&options);
    options.disk_path = path;
    assert_int_equal(phantom_hal_create(&options, &instance), 0);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_enter(instance), 0);
    char hidden[sizeof(path) + 2];
    (void)snprintf(hidden, sizeof(hidden), "%s~", path);
    assert_int_equal(rename(path, hidden), 0);
    assert_int_equal(driver_genode_disk_init(), ENOENT);
    assert_int_equal(driver_genode_disk_init(), ENOENT); /* and not: it is open already */
    assert_int_equal(rename(hidden, path), 0);
    assert_int_equal(driver_genode_disk_init(), 0);
    assert_int_equal(driver_genode_disk_init(), 0);
    assert_non_null(phantom_disk_partition_number(0));
    assert_null(phantom_disk_partition_number(1)); /* once only */
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(instance), 0);
    assert_int_equal(phantom_hal_enter(back), 0);
    remove_disk();
}

static void a_disk_that_is_not_taken_is_left_alone(void **state)
{
    (void)state;
    make_disk(1 << 20, NULL);
    for (int64_t i = 0;; i++) {
        phantom_disk_partition_t *disk = NULL;
        ph_memory_fail_after(i, true);
        int rc = phantom_hal_add_disk(path, PHANTOM_HAL_DISK_THREADS, &disk);
        ph_memory_fail_after(-1, false);
        if (rc == 0) {
            assert_non_null(disk);
            break;
        }
        assert_true(rc == ENOMEM || rc == EAGAIN);
        assert_int_equal(partitions(), 0);
    }
    assert_int_equal(phantom_hal_add_disk(path, 0, NULL), EWOULDBLOCK); /* it is ours */
    remove_disk();
}

static void a_file_that_shrank_is_an_error(void **state)
{
    (void)state;
    static uint8_t block[PAGE_SIZE];
    phantom_disk_partition_t *disk = NULL;
    make_disk(1 << 20, NULL);
    assert_int_equal(phantom_hal_add_disk(path, 0, &disk), 0);
    assert_int_equal(truncate(path, 1000), 0);
    assert_int_equal(phantom_sync_read_sector(disk, block, 100, 1), EIO);
    assert_int_equal(phantom_sync_read_sector(disk, block, 0, 8), EIO);
    assert_int_equal(phantom_sync_write_sector(disk, block, 1000, 8), 0);
    assert_int_equal(phantom_sync_read_sector(disk, block, 1000, 8), 0);
    remove_disk();
}

/* ---- the fault handler ------------------------------------------------------------------------
 */

static int refuse_fault(void *address, int write, int ip, struct trap_state *ts)
{
    (void)address;
    (void)write;
    (void)ip;
    (void)ts;
    return 1;
}

static void *register_it(void *instance)
{
    if (phantom_hal_enter(instance) == 0) {
        if (genode_register_page_fault_handler(refuse_fault) == 0) {
            atomic_fetch_add(&calls, 1);
        }
        phantom_hal_leave();
    }
    return NULL;
}

static void handlers_are_registered_by_several_threads(void **state)
{
    enum { REGISTRARS = 8 };
    pthread_t threads[REGISTRARS];
    atomic_store(&calls, 0);
    hal_init((void *)0x7e8000000000, 1 << 20); // NOLINT
    for (int i = 0; i < REGISTRARS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, register_it, *state), 0);
    }
    for (int i = 0; i < REGISTRARS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&calls), REGISTRARS);
}

/* ---- ends of a process ------------------------------------------------------------------------
 */

/* How a child ends that does this; -1: by a signal, also that of its alarm. */
static int end_of(void (*scenario)(void), unsigned patience_s)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        (void)alarm(patience_s);
        scenario();
        _exit(99);
    }
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void shut_down(void *arg)
{
    (void)arg;
    phantom_shutdown(0);
}

static void enter_new(struct phantom_hal_options *options)
{
    struct phantom_hal *instance = NULL;
    phantom_hal_leave();
    if (phantom_hal_create(options, &instance) != 0 || phantom_hal_enter(instance) != 0) {
        _exit(98);
    }
    dpc_init();
}

static void wait_for_the_end(void)
{
    for (;;) {
        (void)pause();
    }
}

static void from_dpc(void)
{
    static dpc_request request;
    enter_new(NULL);
    dpc_request_init(&request, shut_down);
    dpc_request_trigger(&request, NULL);
    wait_for_the_end();
}

static void from_net_timer(void)
{
    static net_timer_event event;
    enter_new(NULL);
    (void)set_net_timer(&event, 0, shut_down, NULL, 0);
    wait_for_the_end();
}

static void from_timed_call(void)
{
    static timedcall_t call = {shut_down, 0, 0, 0, 0, {0, 0}, 0};
    enter_new(NULL);
    phantom_request_timed_call(&call, 0);
    wait_for_the_end();
}

static void from_soft_interrupt(void)
{
    enter_new(NULL);
    int softirq = hal_alloc_softirq();
    hal_set_softirq_handler(softirq, shut_down, NULL);
    hal_request_softirq(softirq);
    wait_for_the_end();
}

static void stay(void *arg)
{
    (void)arg;
    atomic_fetch_add(&calls, 1);
    wait_for_the_end();
}

static void beside_a_blocked_dpc(void)
{
    static dpc_request request;
    enter_new(NULL);
    atomic_store(&calls, 0);
    dpc_request_init(&request, stay);
    dpc_request_trigger(&request, NULL);
    until(&calls, 1);
    phantom_shutdown(0);
}

static void trigger_again(void *arg)
{
    atomic_fetch_add(&calls, 1);
    dpc_request_trigger(arg, arg);
}

static void beside_a_busy_dpc(void)
{
    static dpc_request request;
    enter_new(NULL);
    atomic_store(&calls, 0);
    dpc_request_init(&request, trigger_again);
    dpc_request_trigger(&request, &request);
    until(&calls, 3);
    phantom_shutdown(0);
}

static void four_at_once(void)
{
    enter_new(NULL);
    for (int i = 0; i < 4; i++) {
        (void)hal_start_thread(shut_down, NULL, 0);
    }
    wait_for_the_end();
}

static void sync_that_shuts_down(void *context)
{
    (void)context;
    phantom_shutdown(PHANTOM_SHUTDOWN_FLAG_NOSYNC);
}

static void within_on_sync(void)
{
    struct phantom_hal_options options;
    phantom_hal_options_init(&options);
    options.on_sync = sync_that_shuts_down;
    enter_new(&options);
    phantom_shutdown(0);
}

static void panic_again(void *context, const char *message)
{
    (void)context;
    (void)message;
    panic("again");
}

static void panic_in_on_panic(void)
{
    struct phantom_hal_options options;
    phantom_hal_options_init(&options);
    options.on_panic = panic_again;
    (void)signal(SIGABRT, SIG_DFL);
    enter_new(&options);
    panic("first");
}

static void finish_it(void *arg)
{
    (void)arg;
    dpc_finish();
}

static void finish_in_dpc(void)
{
    static dpc_request request;
    enter_new(NULL);
    dpc_request_init(&request, finish_it);
    dpc_request_trigger(&request, NULL);
    wait_for_the_end();
}

static void end_in_callbacks(void)
{
    struct phantom_hal *instance = NULL;
    if (phantom_hal_create(NULL, &instance) != 0) {
        _exit(98);
    }
    phantom_hal_leave();
    (void)phantom_hal_enter(instance);
    callbacks_end_their_thread();
    phantom_hal_leave();
    _exit(phantom_hal_destroy(instance) == 0 ? 0 : 97);
}

static void shutdown_comes_to_its_end(void **state)
{
    (void)state;
    assert_int_equal(end_of(from_dpc, PATIENCE_S), 0);
    assert_int_equal(end_of(from_net_timer, PATIENCE_S), 0);
    assert_int_equal(end_of(from_timed_call, PATIENCE_S), 0);
    assert_int_equal(end_of(from_soft_interrupt, PATIENCE_S), 0);
    assert_int_equal(end_of(beside_a_blocked_dpc, PATIENCE_S), 0);
    assert_int_equal(end_of(beside_a_busy_dpc, PATIENCE_S), 0);
    assert_int_equal(end_of(four_at_once, PATIENCE_S), 0);
    assert_int_equal(end_of(within_on_sync, PATIENCE_S), 0);
}

static void what_cannot_end_well_says_so(void **state)
{
    (void)state;
    assert_int_equal(end_of(panic_in_on_panic, PATIENCE_S), -1);
    assert_int_equal(end_of(finish_in_dpc, PATIENCE_S), -1);
}

/* In a process of its own: with the defect, a thread of the HAL is gone and nobody comes. */
static void the_end_in_a_callback_defect(void **state)
{
    (void)state;
    assert_int_equal(end_of(end_in_callbacks, PATIENCE_S), 0);
#ifndef TEST_ON_SIM
    ph_active_mutant = PH_MUTANT_CALLBACK_ENDS_THREAD;
    int end = end_of(end_in_callbacks, 1);
    ph_active_mutant = PH_MUTANT_NONE;
    assert_int_equal(end, -1);
    ph_mutant_killed(PH_MUTANT_CALLBACK_ENDS_THREAD);
#endif
}

int main(void)
{
    const char *children = "ends of a process, in children", *files = "files of the host";
    const struct machine_case cases[] = {
        port_test_posix(shutdown_comes_to_its_end, children),
        port_test_posix(what_cannot_end_well_says_so, children),
        port_test_posix(the_end_in_a_callback_defect, children),
        port_test(a_death_handler_may_sleep_and_end),
        port_test(the_end_in_a_callback_is_the_callbacks),
        port_test(threads_of_the_hal_are_not_killed),
        port_test(an_instance_is_not_destroyed_from_within),
        port_test(callbacks_may_use_an_instance_that_ends),
        port_test(a_call_that_ends_a_thread_of_the_users_ends_no_other_call),
        port_test(timers_go_on_while_deferred_calls_are_waited_for),
        port_test_posix(what_asks_for_itself_keeps_nobody, "keeps a thread busy until the end"),
        port_test(a_call_too_far_away_never_comes),
        port_test(deferred_calls_without_threads_are_made_at_the_end),
        port_test(every_handler_of_an_interrupt_is_called),
        port_test(sizes_that_cannot_be_counted_are_refused),
        port_test_posix(a_disk_serves_its_instance_only, files),
        port_test_posix(callbacks_of_disks_do_not_wait_for_them, files),
        port_test_posix(partition_tables_may_lie, files),
        port_test_posix(a_disk_that_is_not_taken_is_left_alone, files),
        port_test_posix(the_disk_of_the_options_can_be_tried_again, files),
        port_test_posix(a_file_that_shrank_is_an_error, files),
        port_test_posix(handlers_are_registered_by_several_threads, "signals of the host"),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
