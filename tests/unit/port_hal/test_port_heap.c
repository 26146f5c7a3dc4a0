/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_heap.c - the port's lock of the heap, its stops and its snapshots, on a space of ours,
 * with threads of the port: on the real machine and on the simulated one, where the engine below
 * runs as well and a seed chooses who goes on. (More of it, on Linux only: test_port_snapshots.c.)
 */
#include "port_fixture.h"
#ifdef TEST_ON_SIM
#include "port_on_sim.h"
#endif

#include <console.h>
#include <hal.h>
#include <init_routines.h>
#include <kernel/snap_sync.h>
#include <kernel/vm.h>
#include <phantom/space.h>
#include <phantom_persistence.h>
#include <snap_internal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>
#include <vm_map.h>

enum { WRITERS = 4, CELLS = 32 };

struct shared {
    int cells[CELLS]; /* an operation adds one to all: in a snapshot they are equal */
};

static char folder[64], path[96];
static struct phantom_space *space;
static struct shared *shared;
static atomic_bool stop_writing;
static atomic_int operations;
static hal_mutex_t cells_lock;
static hal_sem_t ended;

static void swallow(void *context, const char *text, size_t length)
{
    (void)context;
    (void)text;
    (void)length;
}

static void open_space(void)
{
    struct phantom_space_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_options_init(&options);
    options.heap_size = 4u << 20;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    if (ON_MACHINE(false, true)) { /* what the simulated machine has nothing for */
        options.strategy = "full";
    }
    int rc = phantom_space_open(path, &options, &space, &diag);
    if (rc != 0) {
        printf("%s\n", diag.text);
    }
    assert_int_equal(rc, 0);
    phantom_port_bind_space(space);
}

static int heap_setup(void **state)
{
    (void)port_setup(state);
    (void)snprintf(folder, sizeof(folder), "port-heap-XXXXXX");
    assert_true(ON_MACHINE(mkdtemp(folder) != NULL, true));
    (void)snprintf(path, sizeof(path), ON_MACHINE("%s/s.phantom", "%s.phantom"), folder);
    phantom_console_set_sink(swallow, NULL);
    vm_map_pre_init();
    atomic_store(&stop_writing, false);
    atomic_store(&operations, 0);
    assert_int_equal(hal_mutex_init(&cells_lock, "cells"), 0);
    assert_int_equal(hal_sem_init(&ended, "ended"), 0);
    open_space();
    vm_lock_persistent_memory();
    shared = phantom_space_calloc(space, 1, sizeof(*shared));
    assert_non_null(shared);
    assert_int_equal(phantom_space_set_root(space, "shared", shared), 0);
    vm_unlock_persistent_memory();
    return 0;
}

static int heap_teardown(void **state)
{
    phantom_port_bind_space(NULL);
    phantom_space_abandon(space);
    space = NULL;
    hal_sem_destroy(&ended);
    (void)hal_mutex_destroy(&cells_lock);
    phantom_console_set_sink(NULL, NULL);
    (void)port_teardown(state);
    (void)ON_MACHINE(unlink(path), (port_on_sim_remove(path), 0));
    (void)ON_MACHINE(rmdir(folder), 0);
    return 0;
}

static void restart_without_a_last_snapshot(void)
{
    phantom_port_bind_space(NULL);
    phantom_space_abandon(space);
    space = NULL;
    open_space();
    shared = phantom_space_root(space, "shared");
    assert_non_null(shared);
}

static void a_heap_comes_back_as_of_its_snapshot(void **state)
{
    (void)state;
    vm_lock_persistent_memory();
    shared->cells[3] = 41;
    vm_unlock_persistent_memory();
    do_snapshot();
    assert_int_equal(phantom_port_snapshot_result(), 0);
    vm_lock_persistent_memory();
    vm_lock_persistent_memory(); /* nests */
    shared->cells[3] = 42;       /* in no snapshot */
    vm_unlock_persistent_memory();
    vm_unlock_persistent_memory();
    restart_without_a_last_snapshot();
    assert_int_equal(shared->cells[3], 41);
}

static void write_cells(void *argument)
{
    (void)argument;
    while (!atomic_load(&stop_writing)) {
        vm_lock_persistent_memory();
        (void)hal_mutex_lock(&cells_lock);
        for (int i = 0; i < CELLS; i++) {
            shared->cells[i]++;
            if (ON_MACHINE(false, i == CELLS / 2)) {
                phantom_scheduler_yield(); /* a thread may be stopped anywhere */
            }
        }
        (void)hal_mutex_unlock(&cells_lock);
        atomic_fetch_add(&operations, 1);
        if (__atomic_load_n(&phantom_virtual_machine_snap_request, __ATOMIC_RELAXED) != 0) {
            phantom_thread_wait_4_snap();
        }
        vm_unlock_persistent_memory();
        phantom_scheduler_yield();
    }
    phantom_space_unregister_thread(space); /* it may end later than the space */
    hal_sem_release(&ended);
}

static void start_writers(void)
{
    for (int i = 0; i < WRITERS; i++) {
        assert_true(hal_start_kernel_thread_arg(write_cells, NULL) >= 0);
    }
}

static void end_writers(void)
{
    atomic_store(&stop_writing, true);
    assert_int_equal(hal_sem_acquire_etc(&ended, WRITERS, 0, 0), 0);
}

static void snapshots_hold_whole_operations(void **state)
{
    (void)state;
    start_writers();
    for (int i = 0; i < ON_MACHINE(10, 3); i++) {
        do_snapshot();
        assert_int_equal(phantom_port_snapshot_result(), 0);
    }
    end_writers();
    restart_without_a_last_snapshot();
    for (int i = 1; i < CELLS; i++) {
        assert_int_equal(shared->cells[i], shared->cells[0]);
    }
}

static bool nobody_is_inside_during_a_stop(void)
{
    bool right = true;
    atomic_store(&stop_writing, false);
    start_writers();
    for (int i = 0; i < ON_MACHINE(50, 5); i++) {
        int wanted = atomic_load(&operations) + 3;
        phantom_snapper_wait_4_threads();
        int at_stop = atomic_load(&operations);
        for (int k = 0; k < 5; k++) {
            phantom_scheduler_yield();
        }
        int first = __atomic_load_n(&shared->cells[0], __ATOMIC_RELAXED);
        int last = __atomic_load_n(&shared->cells[CELLS - 1], __ATOMIC_RELAXED);
        right = right && atomic_load(&operations) == at_stop && first == last;
        phantom_snapper_reenable_threads();
        while (atomic_load(&operations) < wanted) { /* they go on */
            phantom_scheduler_yield();
        }
    }
    end_writers();
    return right;
}

static void enter_once(void *argument)
{
    (void)argument;
    vm_lock_persistent_memory();
    atomic_fetch_add(&operations, 1);
    vm_unlock_persistent_memory();
    phantom_space_unregister_thread(space);
    hal_sem_release(&ended);
}

/* Who comes while the heap is stopped, and does not come again: so that a stop that lets in ends.
 */
static bool who_comes_during_a_stop_waits(void)
{
    atomic_store(&operations, 0);
    phantom_snapper_wait_4_threads();
    for (int i = 0; i < WRITERS; i++) {
        assert_true(hal_start_kernel_thread_arg(enter_once, NULL) >= 0);
    }
    hal_sleep_msec(5); /* of the simulated machine: what can go on, does */
    bool right = atomic_load(&operations) == 0;
    phantom_snapper_reenable_threads();
    assert_int_equal(hal_sem_acquire_etc(&ended, WRITERS, 0, 0), 0);
    return right && atomic_load(&operations) == WRITERS;
}

static void nobody_is_in_a_heap_that_is_stopped(void **state)
{
    (void)state;
    assert_true(nobody_is_inside_during_a_stop());
    assert_true(who_comes_during_a_stop_waits());
    if (ON_MACHINE(false, true)) { /* on Linux: port_snapshots_finds_STOP_LETS_IN */
        machine_expect_defect(PH_MUTANT_STOP_LETS_IN, who_comes_during_a_stop_waits, 1);
    }
}

#define heap_test(test, count)                                                                     \
    {                                                                                              \
#test, (test), heap_setup, heap_teardown, NULL, count                                      \
    }

int main(void)
{
    const struct machine_case cases[] = {
        heap_test(a_heap_comes_back_as_of_its_snapshot, 8),
        heap_test(snapshots_hold_whole_operations, 8),
        heap_test(nobody_is_in_a_heap_that_is_stopped, 8),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
