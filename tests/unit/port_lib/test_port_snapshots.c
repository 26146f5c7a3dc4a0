/* SPDX-License-Identifier: Apache-2.0
 * The port's snapshot functions on a space of ours: locks, stops, the snapshot thread, and what is
 * there after a restart. */
#include "ph_test.h"
#include "port_defect.h"

#include <console.h>
#include <errno.h>
#include <hal.h>
#include <init_routines.h>
#include <kernel/debug_graphical.h>
#include <kernel/snap_sync.h>
#include <kernel/vm.h>
#include <phantom/space.h>
#include <phantom_persistence.h>
#include <pthread.h>
#include <snap_internal.h>
#include <squidlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>
#include <vm_map.h>

static char folder[64];
static char path[96];
static struct phantom_space *space;

static void swallow(void *context, const char *text, size_t length)
{
    (void)length;
    if (strstr(text, "Snapshot done") != NULL) {
        (*(_Atomic int *)context)++;
    }
}

static _Atomic int snapshots_said;

static void open_space(void)
{
    struct phantom_space_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_options_init(&options);
    options.heap_size = 16u << 20;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    int rc = phantom_space_open(path, &options, &space, &diag);
    if (rc != 0) {
        fail_msg("%s", diag.text);
    }
    phantom_port_bind_space(space);
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "port-snapshots-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s.phantom", folder);
    phantom_console_set_sink(swallow, &snapshots_said);
    vm_map_pre_init();
    return 0;
}

static int end(void **state)
{
    (void)state;
    phantom_port_bind_space(NULL);
    phantom_space_abandon(space);
    space = NULL;
    unlink(path);
    return rmdir(folder);
}

static void restart_without_a_last_snapshot(void)
{
    phantom_port_bind_space(NULL);
    phantom_space_abandon(space);
    space = NULL;
    open_space();
}

static void a_snapshot_is_what_comes_back(void **state)
{
    (void)state;
    open_space();
    vm_lock_persistent_memory();
    int *number = phantom_space_malloc(space, sizeof(*number));
    *number = 41;
    assert_int_equal(phantom_space_set_root(space, "number", number), 0);
    vm_unlock_persistent_memory();
    int before = snapshots_said;
    do_snapshot();
    assert_int_equal(phantom_port_snapshot_result(), 0);
    assert_int_equal(snapshots_said, before + 1);
    vm_lock_persistent_memory();
    *number = 42; /* in no snapshot */
    vm_unlock_persistent_memory();
    restart_without_a_last_snapshot();
    number = phantom_space_root(space, "number");
    assert_int_equal(*number, 41);
    assert_ptr_equal(vm_map_get_object_address_space_start(), phantom_space_base(space));
}

static void locks_nest_and_a_snapshot_from_inside_works(void **state)
{
    (void)state;
    int *number = phantom_space_root(space, "number");
    vm_lock_persistent_memory();
    vm_lock_persistent_memory();
    *number = 50;
    do_snapshot(); /* lets go of both, and takes them again */
    assert_int_equal(phantom_port_snapshot_result(), 0);
    *number = 51;
    vm_unlock_persistent_memory();
    vm_release_snap_lock(7); /* as many as there are */
    restart_without_a_last_snapshot();
    assert_int_equal(*(int *)phantom_space_root(space, "number"), 50);
}

static void without_a_heap_a_snapshot_fails_and_says_so(void **state)
{
    (void)state;
    phantom_port_bind_space(NULL);
    do_snapshot();
    assert_int_equal(phantom_port_snapshot_result(), PHANTOM_EINVALID);
    assert_null(vm_map_get_object_address_space_start());
    assert_int_not_equal(genode_pf_handler_wrapper(0, 0, -1, NULL), 0);
    phantom_port_bind_space(space);
}

static void pages_can_be_asked_for(void **state)
{
    (void)state;
    char *base = vm_map_get_object_address_space_start();
    assert_int_equal(genode_pf_handler_wrapper((void *)(uintptr_t)5, 0, -1, NULL), 0);
    assert_int_equal(genode_pf_handler_wrapper((void *)(uintptr_t)(16u << 20), 0, -1, NULL),
                     EFAULT);
    vm_lock_persistent_memory();
    assert_int_equal(genode_pf_handler_wrapper((void *)(uintptr_t)5, 1, -1, NULL), 0);
    vm_unlock_persistent_memory();
    wire_page_for_addr(base, 10);
    unwire_page_for_addr(base, 10);
    vm_page page;
    vm_page_init(&page, base);
    assert_ptr_equal(page.virt_addr, base);
    assert_int_equal(hal_mutex_lock(&page.lock), 0);
    assert_int_equal(hal_mutex_unlock(&page.lock), 0);
    hal_mutex_destroy(&page.lock);
    hal_cond_destroy(&page.done);
    rgba_t pixels[64 * 4];
    drv_video_window_t w;
    rect_t all = {0, 0, 64, 4};
    drv_video_window_init(&w, pixels, 64, 4, 0, 0, COLOR_BLACK, 0, "map");
    paint_persistent_memory_map(&w, &all);
    assert_int_equal(pixels[0].g, COLOR_LIGHTGREEN.g);
    assert_int_equal(pixels[63].b, COLOR_BLUE.b);
    drv_video_window_destroy(&w);
    assert_int_equal(squid_write(NULL, NULL, 0), SQUID_WRITE);
}

/* ---- threads ------------------------------------------------------------------------------- */

enum { WRITERS = 6, CELLS = 64 };

struct shared {
    int cells[CELLS]; /* an operation adds one to all: in a snapshot they are equal */
};

static struct shared *shared;
static _Atomic bool stop_writing;
static pthread_t writers[WRITERS];
static _Atomic int operations;
static hal_mutex_t cells_lock;

static void *writer(void *arg)
{
    while (!stop_writing) {
        vm_lock_persistent_memory();
        hal_mutex_lock(&cells_lock);
        for (int i = 0; i < CELLS; i++) {
            shared->cells[i]++;
        }
        hal_mutex_unlock(&cells_lock);
        operations++;
        if (__atomic_load_n(&phantom_virtual_machine_snap_request, __ATOMIC_RELAXED) != 0) {
            phantom_thread_wait_4_snap();
        }
        vm_unlock_persistent_memory();
    }
    return arg;
}

static void start_writers(void)
{
    stop_writing = false;
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, writer, NULL), 0);
    }
}

static void end_writers(void)
{
    stop_writing = true;
    for (int i = 0; i < WRITERS; i++) { /* really gone: the space may be closed then */
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    }
}

static void operations_are_whole_in_every_snapshot(void **state)
{
    (void)state;
    assert_int_equal(hal_mutex_init(&cells_lock, "cells"), 0);
    vm_lock_persistent_memory();
    shared = phantom_space_calloc(space, 1, sizeof(*shared));
    phantom_space_set_root(space, "shared", shared);
    vm_unlock_persistent_memory();
    start_writers();
    for (int i = 0; i < 20; i++) {
        do_snapshot();
        assert_int_equal(phantom_port_snapshot_result(), 0);
    }
    end_writers();
    restart_without_a_last_snapshot();
    shared = phantom_space_root(space, "shared");
    for (int i = 1; i < CELLS; i++) {
        assert_int_equal(shared->cells[i], shared->cells[0]);
    }
}

static void a_stop_lets_nobody_in(void **state)
{
    (void)state;
    start_writers();
    for (int i = 0; i < 200; i++) {
        int wanted = operations + 3;
        phantom_snapper_wait_4_threads();
        int at_stop = operations;
        int first = shared->cells[0];     /* nobody else is inside: no lock is needed */
        phantom_snapper_wait_4_threads(); /* nests */
        phantom_snapper_reenable_threads();
        for (int k = 0; k < CELLS; k++) {
            assert_int_equal(shared->cells[k], first);
        }
        assert_int_equal(operations, at_stop);
        assert_true(__atomic_load_n(&phantom_virtual_machine_snap_request, __ATOMIC_RELAXED) > 0);
        phantom_snapper_reenable_threads();
        while (operations < wanted) { /* they go on */
            hal_sleep_msec(0);
        }
    }
    assert_int_equal(phantom_virtual_machine_snap_request, 0);
    end_writers();
}

static void who_holds_the_lock_may_stop_the_others(void **state)
{
    (void)state;
    start_writers();
    vm_lock_persistent_memory();
    phantom_snapper_wait_4_threads();
    int at_stop = operations;
    vm_lock_persistent_memory(); /* does not wait for itself */
    vm_unlock_persistent_memory();
    assert_int_equal(operations, at_stop);
    phantom_snapper_reenable_threads();
    vm_unlock_persistent_memory();
    end_writers();
}

static _Atomic int ended;

static void runs_until_it_must_stop(void *arg)
{
    (void)arg;
    vm_lock_persistent_memory();
    for (;;) {
        phantom_thread_wait_4_snap();
        hal_sleep_msec(0);
    }
}

static void note_end(phantom_thread_t *thread)
{
    (void)thread;
    ended++;
}

static void *runs_with_a_handler(void *arg)
{
    t_current_set_death_handler(note_end);
    runs_until_it_must_stop(arg);
    return NULL;
}

static void threads_end_when_the_machine_stops(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, runs_with_a_handler, NULL), 0);
    __atomic_store_n(&phantom_virtual_machine_stop_request, 1, __ATOMIC_SEQ_CST);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ended, 1);
    __atomic_store_n(&phantom_virtual_machine_stop_request, 0, __ATOMIC_SEQ_CST);
    phantom_snapper_wait_4_threads(); /* it left the heap before it ended */
    phantom_snapper_reenable_threads();
}

static void the_snapshot_thread_takes_what_is_asked_for_and_a_last_one(void **state)
{
    (void)state;
    int *number = phantom_space_root(space, "number");
    int before = snapshots_said;
    set_snap_interval(0); /* counts as one second */
    vm_map_init(100);
    request_snap();
    while (snapshots_said == before) {
        hal_sleep_msec(1);
    }
    vm_lock_persistent_memory();
    *number = 60;
    vm_unlock_persistent_memory();
    before = snapshots_said;
    vm_enable_regular_snaps(); /* nobody asks: the first one comes by itself */
    phantom_wait_4_snapshot_done();
    assert_true(snapshots_said > before);
    vm_lock_persistent_memory();
    *number = 61;
    vm_unlock_persistent_memory();
    vm_map_finish();
    vm_map_wait_for_finish();
    vm_map_wait_for_finish();
    restart_without_a_last_snapshot();
    assert_int_equal(*(int *)phantom_space_root(space, "number"), 61);
    hal_mutex_destroy(&cells_lock);
}

int main(int argc, char **argv)
{
    port_defect(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_what_comes_back),
        cmocka_unit_test(locks_nest_and_a_snapshot_from_inside_works),
        cmocka_unit_test(without_a_heap_a_snapshot_fails_and_says_so),
        cmocka_unit_test(pages_can_be_asked_for),
        cmocka_unit_test(operations_are_whole_in_every_snapshot),
        cmocka_unit_test(a_stop_lets_nobody_in),
        cmocka_unit_test(who_holds_the_lock_may_stop_the_others),
        cmocka_unit_test(threads_end_when_the_machine_stops),
        cmocka_unit_test(the_snapshot_thread_takes_what_is_asked_for_and_a_last_one),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
