/* SPDX-License-Identifier: Apache-2.0
 * Two HAL instances in one process, each with a thread of the host inside, at the same time: heap,
 * lock, snapshots, console, screen, commands, file systems and pager of one are not the other's. */
#include "ph_test.h"

#include <console.h>
#include <disk.h>
#include <errno.h>
#include <fs_map.h>
#include <hal.h>
#include <init_routines.h>
#include <kernel/debug.h>
#include <kernel/net.h>
#include <kernel/snap_sync.h>
#include <pager.h>
#include <phantom/space.h>
#include <phantom_hal.h>
#include <phantom_persistence.h>
#include <pthread.h>
#include <snap_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <video/screen.h>
#include <video/window.h>
#include <vm_map.h>

enum { ROUNDS = 20, BLOCKS = 0x700 };

struct side {
    const char *name;
    int number; /* 1 or 2 */
    struct side *other;
    struct phantom_hal *hal;
    struct phantom_space *space;
    char path[96];
    pthread_t thread;
    void (*body)(struct side *side);
    _Atomic int done;           /* of whatever the body counts */
    _Atomic int said;           /* lines "Snapshot done" */
    _Atomic bool foreign;       /* text of the other side was on this console */
    const char *_Atomic broken; /* the first fact that did not hold */
    unsigned char *image;       /* of a disk */
    int commands_run, probed;
};

static char folder[64];
static struct side sides[2];

/* As assert_true(), but in any thread. */
#define HOLDS(side, fact)                                                                          \
    do {                                                                                           \
        if (!(fact) && (side)->broken == NULL) {                                                   \
            (side)->broken = #fact;                                                                \
        }                                                                                          \
    } while (0)

static void listen(void *context, const char *text, size_t length)
{
    struct side *side = context;
    (void)length;
    side->said += strstr(text, "Snapshot done") != NULL;
    if (strstr(text, side->other->name) != NULL) {
        side->foreign = true;
    }
}

static void open_space(struct side *side)
{
    struct phantom_space_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_options_init(&options);
    options.heap_size = 4u << 20;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    int rc = phantom_space_open(side->path, &options, &side->space, &diag);
    if (rc != 0) {
        print_error("%s\n", diag.text);
    }
    HOLDS(side, rc == 0);
    phantom_port_bind_space(side->space);
}

static void close_space(struct side *side)
{
    phantom_port_bind_space(NULL);
    phantom_space_abandon(side->space);
    side->space = NULL;
}

static void *inside(void *argument)
{
    struct side *side = argument;
    HOLDS(side, phantom_hal_enter(side->hal) == 0);
    phantom_console_set_sink(listen, side);
    phantom_console_set_colours(false);
    side->body(side);
    phantom_hal_leave();
    return NULL;
}

/* The body in both instances at once. */
static void on_both_sides(void (*body)(struct side *side))
{
    for (int i = 0; i < 2; i++) {
        struct side *side = &sides[i];
        *side = (struct side){.name = i == 0 ? "left" : "right",
                              .number = i + 1,
                              .other = &sides[1 - i],
                              .body = body};
        snprintf(side->path, sizeof(side->path), "%s/%s.phantom", folder, side->name);
        assert_int_equal(phantom_hal_create(NULL, &side->hal), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&sides[i].thread, NULL, inside, &sides[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(phantom_hal_destroy(sides[i].hal), 0);
        unlink(sides[i].path);
        if (sides[i].broken != NULL) {
            fail_msg("%s: %s", sides[i].name, sides[i].broken);
        }
    }
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "port-instances-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* ---- heaps --------------------------------------------------------------------------------- */

static void count_and_snapshot(struct side *side)
{
    open_space(side);
    HOLDS(side, vm_map_get_object_address_space_start() == phantom_space_base(side->space));
    vm_lock_persistent_memory();
    int *number = phantom_space_malloc(side->space, sizeof(*number));
    *number = 1000 * side->number;
    HOLDS(side, phantom_space_set_root(side->space, "number", number) == 0);
    vm_unlock_persistent_memory();
    for (int i = 0; i < ROUNDS; i++) {
        vm_lock_persistent_memory();
        (*number)++;
        vm_unlock_persistent_memory();
        do_snapshot();
        HOLDS(side, phantom_port_snapshot_result() == 0);
    }
    HOLDS(side, side->said == ROUNDS);
    vm_lock_persistent_memory();
    *number += 100; /* in no snapshot */
    vm_unlock_persistent_memory();
    close_space(side);
    do_snapshot();
    HOLDS(side, phantom_port_snapshot_result() == PHANTOM_EINVALID);
    open_space(side);
    number = phantom_space_root(side->space, "number");
    HOLDS(side, number != NULL && *number == 1000 * side->number + ROUNDS);
    close_space(side);
}

static void each_has_its_heap_and_its_snapshots(void **state)
{
    (void)state;
    on_both_sides(count_and_snapshot);
    assert_null(vm_map_get_object_address_space_start()); /* the default instance has none */
    assert_int_equal(is_in_snapshot_process, 0);
    assert_int_equal(phantom_virtual_machine_snap_request, 0);
}

static void use_the_snapshot_thread(struct side *side)
{
    open_space(side);
    vm_map_init(10);
    for (int i = 0; i < 3; i++) {
        request_snap();
        while (side->said <= i) {
            hal_sleep_msec(1);
        }
    }
    set_snap_interval(1);
    if (side->number == 1) { /* regular ones on one side only */
        vm_enable_regular_snaps();
        phantom_wait_4_snapshot_done();
        HOLDS(side, side->said > 3);
        side->other->done = 1;
    } else {
        while (side->done == 0) {
            hal_sleep_msec(1);
        }
        HOLDS(side, side->said == 3);
    }
    vm_map_finish();
    vm_map_wait_for_finish();
    close_space(side);
}

static void each_has_its_snapshot_thread(void **state)
{
    (void)state;
    on_both_sides(use_the_snapshot_thread);
}

static void stop_or_run(struct side *side)
{
    open_space(side);
    if (side->number == 1) {
        for (int i = 0; i < 50; i++) {
            phantom_snapper_wait_4_threads();
            int wanted = side->other->done + 2;
            while (side->other->done < wanted && side->other->broken == NULL) {
                hal_sleep_msec(0); /* the other side goes in and out during this stop */
            }
            phantom_snapper_reenable_threads();
        }
        side->done = -1;
    } else {
        while (side->other->done == 0) {
            vm_lock_persistent_memory();
            side->done++;
            phantom_thread_wait_4_snap();
            vm_unlock_persistent_memory();
        }
    }
    close_space(side);
}

static void a_stop_of_one_lets_the_other_run(void **state)
{
    (void)state;
    on_both_sides(stop_or_run);
}

static void one_heap(struct side *side)
{
    if (side->number == 1) { /* opened here, bound on both sides */
        open_space(side);
        side->other->space = side->space;
        side->other->done = 1;
        while (side->done == 0) {
            hal_sleep_msec(1);
        }
        phantom_port_bind_space(NULL);
        return;
    }
    while (side->done == 0) {
        hal_sleep_msec(1);
    }
    HOLDS(side, vm_map_get_object_address_space_start() == NULL);
    phantom_port_bind_space(side->space);
    vm_lock_persistent_memory();
    HOLDS(side, phantom_space_malloc(side->space, 10) != NULL);
    vm_unlock_persistent_memory();
    do_snapshot();
    HOLDS(side, phantom_port_snapshot_result() == 0);
    phantom_port_bind_space(NULL);
    side->other->done = 1;
}

static void one_heap_can_be_bound_to_two(void **state)
{
    (void)state;
    on_both_sides(one_heap);
    phantom_space_abandon(sides[0].space); /* after all threads that entered it have ended */
}

/* ---- console, screen, commands, file systems, permission ------------------------------------- */

static _Thread_local struct side *this_side; /* of callbacks, which have no context */

static void run_command(int argc, char **argv)
{
    (void)argv;
    this_side->commands_run += argc;
}

static errno_t probe(phantom_disk_partition_t *p)
{
    this_side->probed++;
    return p->type == this_side->number ? 0 : ENODEV;
}

static void say_and_draw(struct side *side)
{
    char text[64];
    phantom_disk_partition_t p = {.type = 2};
    this_side = side;
    HOLDS(side, dbg_add_command(run_command, "same", NULL) == 0);
    HOLDS(side, dbg_add_command(run_command, "same", NULL) == -EEXIST);
    HOLDS(side, phantom_dbg_run("same name twice") == 0 && side->commands_run == 3);
    HOLDS(side, lookup_fs(&p) == ENXIO && side->probed == 0);
    HOLDS(side, phantom_register_fs(probe) == 0);
    HOLDS(side, (lookup_fs(&p) == 0) == (side->number == 2) && side->probed == 1);
    HOLDS(side, phantom_screen_resize(100 * side->number, 10) == 0);
    drv_video_window_t *w = drv_video_window_create(4, 4, 0, 0, COLOR_BLACK, side->name, 0);
    HOLDS(side, w != NULL && w_get_bg_window() != NULL);
    for (int i = 0; i < 500; i++) {
        ph_printf("%s %d\n", side->name, i);
        for (const char *at = side->name; *at != '\0'; at++) {
            ph_putchar(*at); /* collected in a line of this instance */
        }
        ph_putchar('\n');
        w_fill(w, side->number == 1 ? COLOR_BLUE : COLOR_LIGHTGREEN);
        w_to_top(w);
        rgba_t pixel;
        phantom_screen_read(&(rect_t){1, 1, 1, 1}, &pixel);
        HOLDS(side, pixel.b == (side->number == 1 ? 128 : 0));
        HOLDS(side, pixel.g == (side->number == 1 ? 0 : 255));
    }
    HOLDS(side, scr_get_xsize() == 100 * side->number);
    HOLDS(side, !side->foreign);
    phantom_net_allow(side->number == 1);
    side->done = 1;
    while (side->other->done == 0) {
        hal_sleep_msec(1);
    }
    errno_t rc = net_curl("no url", text, sizeof(text), NULL);
    HOLDS(side, rc == (side->number == 1 ? EINVAL : EACCES));
    drv_video_window_free(w);
}

static void each_has_its_console_screen_and_lists(void **state)
{
    (void)state;
    on_both_sides(say_and_draw);
    assert_int_equal(scr_get_xsize(), 1024);
    assert_int_equal(phantom_dbg_run("same"), -ENOENT);
}

static void a_window_stays_where_it_was_attached(void **state)
{
    struct phantom_hal *other = NULL;
    rgba_t pixels[4], pixel = {0};
    drv_video_window_t w;
    (void)state;
    assert_int_equal(phantom_hal_create(NULL, &other), 0);
    assert_int_equal(phantom_hal_enter(other), 0);
    drv_video_window_init(&w, pixels, 2, 2, 0, 0, COLOR_BLACK, 0, "w");
    phantom_hal_leave();
    w_fill(&w, COLOR_WHITE); /* by a thread of the default instance */
    w_update(&w);
    phantom_screen_read(&(rect_t){0, 0, 1, 1}, &pixel);
    assert_int_equal(pixel.r, 0);
    assert_int_equal(phantom_hal_enter(other), 0);
    phantom_screen_read(&(rect_t){0, 0, 1, 1}, &pixel);
    assert_int_equal(pixel.r, 255);
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(other), 0);
    assert_int_equal(w.attached, 0); /* taken off; now it may go elsewhere */
    w_restart_attach(&w);
    phantom_screen_read(&(rect_t){0, 0, 1, 1}, &pixel);
    assert_int_equal(pixel.r, 255);
    drv_video_window_destroy(&w);
}

static int heard;

static void hear(void *context, const char *text, size_t length)
{
    (void)context;
    heard += length == 4 && memcmp(text, "rest", 4) == 0;
}

static void an_unfinished_line_is_said_when_its_console_ends(void **state)
{
    struct phantom_hal *other = NULL;
    (void)state;
    assert_int_equal(phantom_hal_create(NULL, &other), 0);
    assert_int_equal(phantom_hal_enter(other), 0);
    phantom_console_set_sink(hear, NULL);
    for (const char *at = "rest"; *at != '\0'; at++) {
        ph_putchar(*at);
    }
    phantom_hal_leave();
    assert_int_equal(heard, 0);
    assert_int_equal(phantom_hal_destroy(other), 0);
    assert_int_equal(heard, 1);
}

/* ---- pagers -------------------------------------------------------------------------------- */

static errno_t memory_io(struct phantom_disk_partition *p, pager_io_request *rq)
{
    unsigned char *image = p->specific;
    rq->rc = rq->blockNo / 8 < BLOCKS ? 0 : EINVAL;
    if (rq->rc == 0 && rq->flag_pageout) {
        memcpy_p2v(image + rq->blockNo * 512, rq->phys_page, DISK_STRUCT_BS);
    } else if (rq->rc == 0) {
        memcpy_v2p(rq->phys_page, image + rq->blockNo * 512, DISK_STRUCT_BS);
    }
    pager_io_request_done(rq);
    return 0;
}

static errno_t no_fence(struct phantom_disk_partition *p)
{
    (void)p;
    return 0;
}

static void use_a_disk(struct side *side)
{
    phantom_disk_superblock sb = {
        .magic = DISK_STRUCT_MAGIC_SUPERBLOCK,
        .magic2 = DISK_STRUCT_MAGIC_SUPER_2,
        .blocksize = DISK_STRUCT_BS,
        .disk_start_page = 0x10,
        .disk_page_count = BLOCKS,
        .free_start = 1,
        .fs_is_clean = (char)0xFF,
    };
    phantom_calc_sb_checksum(&sb);
    side->image = calloc(BLOCKS, DISK_STRUCT_BS);
    HOLDS(side, side->image != NULL);
    memcpy(side->image + (size_t)0x10 * DISK_STRUCT_BS, &sb, sizeof(sb));
    phantom_disk_partition_t disk = {.block_size = 512,
                                     .size = BLOCKS * 8,
                                     .specific = side->image,
                                     .asyncIo = memory_io,
                                     .fence = no_fence};
    partition_pager_init(&disk);
    int64_t free_blocks = pager_calculate_free_block_count();
    for (int i = 0; i < 100 * side->number; i++) {
        disk_page_no_t block = 0;
        HOLDS(side, pager_alloc_page_locked(&block) && block != 0);
    }
    pager_commit_active_free_list();
    pager_update_superblock();
    int64_t left = pager_calculate_free_block_count();
    HOLDS(side, left <= free_blocks - 100 * side->number);
    HOLDS(side, left > free_blocks - 100 * side->number - 10); /* blocks of the list itself */
    HOLDS(side, pager_long_fsck());
    pager_finish();
    memcpy(&sb, side->image + (size_t)0x10 * DISK_STRUCT_BS, sizeof(sb));
    HOLDS(side, sb.fs_is_clean == 1);
    free(side->image);
}

static void each_has_its_pager(void **state)
{
    (void)state;
    on_both_sides(use_a_disk);
    assert_null(pp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_heap_and_its_snapshots),
        cmocka_unit_test(each_has_its_snapshot_thread),
        cmocka_unit_test(a_stop_of_one_lets_the_other_run),
        cmocka_unit_test(one_heap_can_be_bound_to_two),
        cmocka_unit_test(each_has_its_console_screen_and_lists),
        cmocka_unit_test(a_window_stays_where_it_was_attached),
        cmocka_unit_test(an_unfinished_line_is_said_when_its_console_ends),
        cmocka_unit_test(each_has_its_pager),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
