/* SPDX-License-Identifier: Apache-2.0
 * The port's snapshot functions on a world: a compiled program that runs in its own threads.
 * Usage: kit_begin(). */
#include "../runtime/world_kit.h"

#include "deny_syscalls.h"

#include <console.h>
#include <errno.h>
#include <hal.h>
#include <init_routines.h>
#include <kernel/debug_graphical.h>
#include <kernel/snap_sync.h>
#include <kernel/vm.h>
#include <phantom_hal.h>
#include <phantom_persistence.h>
#include <setjmp.h>
#include <snap_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <vm_map.h>

static _Atomic int snapshots_said;

static void listen(void *context, const char *text, size_t length)
{
    (void)context;
    (void)length;
    snapshots_said += strstr(text, "Snapshot done") != NULL;
}

static int setup(void **state)
{
    struct kit_log *log = calloc(1, sizeof(*log));
    kit_log_init(log);
    phantom_console_set_sink(listen, NULL);
    snapshots_said = 0;
    *state = log;
    return 0;
}

static int teardown(void **state)
{
    phantom_port_bind_world(NULL);
    kit_log_finish(*state);
    free(*state);
    kit_clean();
    return 0;
}

/* The last snapshot that was committed. */
static struct phantom_generation last_of(struct kit_log *log)
{
    pthread_mutex_lock(&log->lock);
    struct phantom_generation last = log->last;
    pthread_mutex_unlock(&log->lock);
    return last;
}

/* Snapshots until one has other memory than the one before it: the program runs. */
static void snapshot_until_it_has_run(struct kit_log *log)
{
    struct phantom_generation before = last_of(log), now;
    do {
        do_snapshot();
        kit_assert_result(phantom_port_snapshot_result(), 0);
        now = last_of(log);
    } while (memcmp(now.hash, before.hash, sizeof(now.hash)) == 0);
}

static void a_world_goes_on_from_the_ports_snapshot(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.counter");
    struct phantom_world *world = kit_open("a.phantom", &options);
    phantom_port_bind_world(world);
    kit_assert_result(phantom_step(world, 30000), PHANTOM_ETIMEOUT);
    do_snapshot();
    kit_assert_result(phantom_port_snapshot_result(), 0);
    assert_int_equal(snapshots_said, 1);
    uint64_t taken = log->last.number;
    size_t at_snapshot = log->console_size;
    kit_assert_result(phantom_step(world, 30000), PHANTOM_ETIMEOUT);
    assert_true(log->console_size > at_snapshot);
    char *lost = strdup(log->console + at_snapshot);
    phantom_port_bind_world(NULL);
    phantom_abandon(world);
    assert_int_equal(kit_verify("a.phantom").number, taken);

    world = kit_open("a.phantom", &options);
    phantom_port_bind_world(world);
    struct phantom_recovery recovery;
    phantom_recovered(world, &recovery);
    assert_int_equal(recovery.opened, taken);
    kit_log_clear_console(log);
    kit_assert_result(phantom_step(world, 30000), PHANTOM_ETIMEOUT);
    assert_string_equal(log->console, lost); /* the same once more */
    free(lost);
    do_snapshot();
    assert_int_equal(log->last.number, taken + 1);
    phantom_port_bind_world(NULL);
    kit_assert_result(phantom_close(world), 0);
}

static void snapshots_are_asked_for_while_it_runs(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    unsigned at_first = log->commits; /* its birth */
    phantom_port_bind_world(world);
    kit_runner_start(&runner, world);
    vm_map_init(1000000); /* of a world nobody counts the pages */
    for (int i = 0; i < 5; i++) {
        request_snap();
        while (snapshots_said <= i) {
            hal_sleep_msec(0);
        }
        kit_assert_result(phantom_port_snapshot_result(), 0);
    }
    set_snap_interval(1);
    vm_enable_regular_snaps();
    unsigned before = log->commits;
    phantom_wait_4_snapshot_done(); /* nobody asks: it comes by itself */
    assert_true(log->commits > before);
    request_snap();
    phantom_wait_4_snapshot_snap();
    assert_true(log->commits > before + 1);
    vm_map_finish();
    vm_map_wait_for_finish();
    assert_int_equal(is_in_snapshot_process, 0);
    assert_int_equal(log->commits - at_first, snapshots_said);
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    phantom_port_bind_world(NULL);
    kit_assert_result(phantom_close(world), 0);
    assert_true(kit_verify("a.phantom").number >= log->last.number);
}

/* ---- the lock of the port beside the stop of the world --------------------------------------- */

struct holder {
    pthread_t thread;
    _Atomic int entered, leave, left;
};

static void *hold(void *argument)
{
    struct holder *holder = argument;
    vm_lock_persistent_memory();
    holder->entered = 1;
    while (holder->leave == 0) {
        hal_sleep_msec(0);
    }
    holder->left = 1;
    vm_unlock_persistent_memory();
    return NULL;
}

static void *let_go_when_a_stop_is_wanted(void *argument)
{
    struct holder *holder = argument;
    while (__atomic_load_n(&phantom_virtual_machine_snap_request, __ATOMIC_SEQ_CST) == 0) {
        hal_sleep_msec(0);
    }
    holder->leave = 1;
    return NULL;
}

static void the_lock_delays_stops_of_the_port_and_no_snapshot(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.spinner");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct kit_runner runner;
    struct holder holder = {0};
    pthread_t helper;
    phantom_port_bind_world(world);
    kit_runner_start(&runner, world);
    assert_int_equal(pthread_create(&holder.thread, NULL, hold, &holder), 0);
    while (holder.entered == 0) {
        hal_sleep_msec(0);
    }
    do_snapshot(); /* would wait for ever if it waited for the holder */
    kit_assert_result(phantom_port_snapshot_result(), 0);
    vm_lock_persistent_memory(); /* shared; and asked for from inside */
    vm_lock_persistent_memory();
    do_snapshot();
    kit_assert_result(phantom_port_snapshot_result(), 0);
    vm_release_snap_lock(2);
    assert_int_equal(holder.left, 0);

    assert_int_equal(pthread_create(&helper, NULL, let_go_when_a_stop_is_wanted, &holder), 0);
    phantom_snapper_wait_4_threads();
    assert_int_equal(holder.left, 1); /* the stop waited for it */
    snapshot_until_it_has_run(log);   /* the world's threads are not the port's */
    phantom_snapper_reenable_threads();
    assert_int_equal(pthread_join(holder.thread, NULL), 0);
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_int_equal(phantom_virtual_machine_snap_request, 0);
    phantom_stop(world);
    kit_assert_result(kit_runner_join(&runner), PHANTOM_ESTOPPED);
    phantom_port_bind_world(NULL);
    kit_assert_result(phantom_close(world), 0);
}

static void a_world_is_no_object_space(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.counter");
    struct phantom_world *world = kit_open("a.phantom", &options);
    int number = 5;
    rgba_t pixels[8 * 2];
    drv_video_window_t w;
    rect_t all = {0, 0, 8, 2};
    phantom_port_bind_world(world);
    assert_null(vm_map_get_object_address_space_start());
    assert_int_equal(genode_pf_handler_wrapper((void *)(uintptr_t)5, 0, -1, NULL), EFAULT);
    wire_page_for_addr(&number, sizeof(number));
    unwire_page_for_addr(&number, sizeof(number));
    assert_int_equal(number, 5);
    drv_video_window_init(&w, pixels, 8, 2, 0, 0, COLOR_BLACK, 0, "map");
    paint_persistent_memory_map(&w, &all); /* nothing is known to be in use */
    assert_int_equal(pixels[0].b, COLOR_BLUE.b);
    drv_video_window_destroy(&w);
    phantom_port_bind_world(NULL);
    kit_assert_result(phantom_close(world), 0);
}

/* ---- errors -------------------------------------------------------------------------------- */

static void *snapshot_elsewhere(void *argument)
{
    assert_int_equal(phantom_hal_enter(argument), 0);
    do_snapshot();
    int rc = phantom_port_snapshot_result();
    phantom_hal_leave();
    return (void *)(intptr_t)rc;
}

static void who_is_bound_to_nothing_gets_an_error(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.counter");
    struct phantom_world *world = kit_open("a.phantom", &options);
    struct phantom_hal *other = NULL;
    pthread_t thread;
    void *rc = NULL;
    phantom_port_bind_world(world);
    do_snapshot();
    unsigned commits = log->commits;

    assert_int_equal(phantom_hal_create(NULL, &other), 0); /* a thread of another instance */
    assert_int_equal(pthread_create(&thread, NULL, snapshot_elsewhere, other), 0);
    assert_int_equal(pthread_join(thread, &rc), 0);
    assert_int_equal((intptr_t)rc, PHANTOM_EINVALID);
    assert_int_equal(phantom_hal_destroy(other), 0);
    kit_assert_result(phantom_port_snapshot_result(), 0); /* ours is as it was */

    phantom_port_bind_world(NULL); /* as it must be before the world is closed */
    kit_assert_result(phantom_close(world), 0);
    assert_int_equal(log->commits, commits);
    do_snapshot();
    kit_assert_result(phantom_port_snapshot_result(), PHANTOM_EINVALID);
    assert_int_equal(log->commits, commits);
    assert_int_equal(snapshots_said, 1);
}

static jmp_buf out_of_panic;
static char panic_message[256];

static void on_panic(void *context, const char *message)
{
    (void)context;
    snprintf(panic_message, sizeof(panic_message), "%s", message);
    longjmp(out_of_panic, 1);
}

static void without_a_heap_there_is_no_snapshot_thread(void **state)
{
    struct phantom_hal_options options;
    struct phantom_hal *other = NULL;
    (void)state;
    phantom_hal_options_init(&options);
    options.on_panic = on_panic;
    assert_int_equal(phantom_hal_create(&options, &other), 0);
    assert_int_equal(phantom_hal_enter(other), 0);
    if (setjmp(out_of_panic) == 0) {
        vm_map_init(0);
        fail_msg("no panic");
    }
    assert_non_null(strstr(panic_message, "no heap is bound"));
    vm_map_wait_for_finish(); /* at once */
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(other), 0);
}

struct failing {
    struct kit_log log;
    int denied, good, bad, again, closed;
};

static void *snapshot_on_a_failing_disk(void *argument)
{
    struct failing *failing = argument;
    struct phantom_options options = kit_options(&failing->log, ".test.runtime.counter");
    struct phantom_world *world = kit_open("a.phantom", &options);
    phantom_port_bind_world(world);
    phantom_step(world, 10000);
    do_snapshot();
    failing->good = phantom_port_snapshot_result();
    failing->denied = deny_syscalls("fdatasync=EIO"); /* this thread's only */
    phantom_step(world, 10000);
    do_snapshot();
    failing->bad = phantom_port_snapshot_result();
    do_snapshot();
    failing->again = phantom_port_snapshot_result();
    phantom_port_bind_world(NULL);
    failing->closed = phantom_close(world);
    return NULL;
}

static void a_failing_disk_is_told(void **state)
{
    struct failing failing = {0};
    pthread_t thread;
    (void)state;
    kit_log_init(&failing.log);
    assert_int_equal(pthread_create(&thread, NULL, snapshot_on_a_failing_disk, &failing), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    kit_assert_result(failing.good, 0);
    uint64_t last = failing.log.last.number;
    kit_log_finish(&failing.log);
    if (failing.denied != 0) {
        print_message("SKIPPED: seccomp filters are not allowed here\n");
        skip();
    }
    kit_assert_result(failing.bad, PHANTOM_EPOISONED);
    kit_assert_result(failing.again, PHANTOM_EPOISONED);
    kit_assert_result(failing.closed, PHANTOM_EPOISONED);
    assert_int_equal(snapshots_said, 1);
    assert_true(kit_verify("a.phantom").number >= last);
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_world_goes_on_from_the_ports_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshots_are_asked_for_while_it_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(the_lock_delays_stops_of_the_port_and_no_snapshot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_world_is_no_object_space, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_bound_to_nothing_gets_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_heap_there_is_no_snapshot_thread, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failing_disk_is_told, setup, teardown),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
