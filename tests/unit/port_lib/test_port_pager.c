/* SPDX-License-Identifier: Apache-2.0
 * The port's disk format on a disk in memory that remembers each write: formatting, free blocks,
 * page lists, repair, hostile contents, and what a crash after each write leaves. */
#include "ph_test.h"
#include "port_defect.h"

#include <disk.h>
#include <errno.h>
#include <hal.h>
#include <pagelist.h>
#include <pager.h>
#include <phantom_hal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 0x700, BLOCK = DISK_STRUCT_BS, NO_FENCE = 0 };

struct written {
    long block; /* NO_FENCE - 1: a fence */
    unsigned char *data;
};

static unsigned char *image;
static struct written *history;
static size_t history_length;
static int failing_writes; /* from now on, when positive and counted down to 1 */

static void remember(long block, const void *data)
{
    history = realloc(history, (history_length + 1) * sizeof(*history));
    history[history_length].block = block;
    history[history_length].data = NULL;
    if (data != NULL) {
        history[history_length].data = malloc(BLOCK);
        memcpy(history[history_length].data, data, BLOCK);
    }
    history_length++;
}

static void forget_history(void)
{
    for (size_t i = 0; i < history_length; i++) {
        free(history[i].data);
    }
    history_length = 0;
}

static errno_t memory_io(struct phantom_disk_partition *p, pager_io_request *rq)
{
    unsigned char bounce[BLOCK];
    (void)p;
    long block = (long)(rq->blockNo / 8);
    assert_int_equal(rq->blockNo % 8, 0);
    assert_int_equal(rq->nSect, 8);
    if (block >= BLOCKS) {
        rq->rc = EINVAL;
    } else if (rq->flag_pageout) {
        memcpy_p2v(bounce, rq->phys_page, BLOCK);
        memcpy(image + block * BLOCK, bounce, BLOCK);
        remember(block, bounce);
        rq->rc = failing_writes == 1 ? EIO : 0;
        failing_writes -= failing_writes > 1;
    } else {
        memcpy_v2p(rq->phys_page, image + block * BLOCK, BLOCK);
        rq->rc = 0;
    }
    pager_io_request_done(rq);
    return 0;
}

static errno_t memory_fence(struct phantom_disk_partition *p)
{
    (void)p;
    remember(NO_FENCE - 1, NULL);
    return 0;
}

static phantom_disk_partition_t disk = {
    .block_size = 512, .size = BLOCKS * 8, .asyncIo = memory_io, .fence = memory_fence};

/* ---- panics -------------------------------------------------------------------------------- */

static jmp_buf out_of_panic;
static bool expecting_panic;
static char panic_message[256];

static void on_panic(void *context, const char *message)
{
    (void)context;
    snprintf(panic_message, sizeof(panic_message), "%s", message);
    if (expecting_panic) {
        longjmp(out_of_panic, 1);
    }
    fail_msg("panic: %s", message);
}

#define PANICS(call)                                                                               \
    do {                                                                                           \
        expecting_panic = true;                                                                    \
        if (setjmp(out_of_panic) == 0) {                                                           \
            call;                                                                                  \
            fail_msg("no panic: " #call);                                                          \
        }                                                                                          \
        expecting_panic = false;                                                                   \
    } while (0)

/* ---- images -------------------------------------------------------------------------------- */

static void write_minimal_image(void)
{
    phantom_disk_superblock sb = {
        .magic = DISK_STRUCT_MAGIC_SUPERBLOCK,
        .magic2 = DISK_STRUCT_MAGIC_SUPER_2,
        .version = DISK_STRUCT_VERSION_MAJOR << 16 | DISK_STRUCT_VERSION_MINOR,
        .blocksize = BLOCK,
        .disk_start_page = 0x10,
        .disk_page_count = BLOCKS,
        .free_start = 1,
        .fs_is_clean = (char)0xFF,
        .sys_name = "Unnamed Phantom System",
    };
    phantom_calc_sb_checksum(&sb);
    memset(image, 0, (size_t)BLOCKS * BLOCK);
    memcpy(image + 0x10 * BLOCK, &sb, sizeof(sb));
    forget_history();
    failing_writes = 0;
}

static int make_disk(void **state)
{
    (void)state;
    write_minimal_image();
    partition_pager_init(&disk);
    return 0;
}

static phantom_disk_superblock *on_disk(disk_page_no_t block)
{
    return (phantom_disk_superblock *)(void *)(image + (size_t)block * BLOCK);
}

static void checksums_are_sums_of_all_bytes(void **state)
{
    (void)state;
    phantom_disk_superblock sb = {.magic = DISK_STRUCT_MAGIC_SUPERBLOCK,
                                  .magic2 = DISK_STRUCT_MAGIC_SUPER_2};
    assert_int_equal(phantom_calc_sb_checksum(&sb), 0); /* it was not right; now it is stored */
    assert_int_equal(sb.checksum, 0x1D + 0xAC + 0x01 + 0xC0 + 0xAD + 0xAD + 0xB0 + 0xB0);
    assert_int_not_equal(phantom_calc_sb_checksum(&sb), 0);
    phantom_disk_superblock other = sb;
    memcpy(other.sys_name, "other", 6);
    other.boot_module[3] = 7;
    other.last_long_journal_root = 5;
    assert_int_not_equal(superblocks_are_equal(&sb, &other), 0);
    other.last_snap = 1;
    assert_int_equal(superblocks_are_equal(&sb, &other), 0);
    sb.magic2++;
    phantom_calc_sb_checksum(&sb);
    assert_int_equal(phantom_calc_sb_checksum(&sb), 0); /* the sum is right, the magic is not */
}

static void a_minimal_image_becomes_a_full_layout(void **state)
{
    (void)state;
    const phantom_disk_superblock *sb = pager_superblock_ptr();
    assert_int_equal(sb->free_start, 0x667);
    assert_int_equal(sb->fs_is_clean, 0);
    assert_string_equal(sb->sys_name, "Unnamed Phantom System");
    assert_int_equal(pager_calculate_free_block_count(), 1615 + BLOCKS - 0x667); /* two nodes */
    assert_true(superblocks_are_equal(on_disk(0x10), on_disk(0x333)));
    assert_true(superblocks_are_equal(on_disk(0x10), on_disk(sb->sb2_addr)));
    assert_true(superblocks_are_equal(on_disk(0x10), on_disk(sb->sb3_addr)));
    pager_finish();
    assert_int_not_equal(on_disk(0x10)->fs_is_clean, 0);
    partition_pager_init(&disk);
    pager_finish();
    int64_t before = 0;
    for (int i = 0; i < 20; i++) { /* opening and closing loses no block */
        partition_pager_init(&disk);
        if (i > 0) {
            assert_int_equal(pager_calculate_free_block_count(), before);
        }
        before = pager_calculate_free_block_count();
        assert_true(pager_long_fsck());
        pager_finish();
    }
}

static void a_disk_that_is_too_small_is_refused(void **state)
{
    (void)state;
    write_minimal_image();
    on_disk(0x10)->disk_page_count = 0x600;
    phantom_calc_sb_checksum(on_disk(0x10));
    PANICS(partition_pager_init(&disk));
    assert_non_null(strstr(panic_message, "too small"));
}

static bool is_slot(disk_page_no_t block)
{
    static const disk_page_no_t slots[] = DISK_STRUCT_SB_OFFSET_LIST;
    for (size_t i = 0; i < 6; i++) {
        if (slots[i] == block) {
            return true;
        }
    }
    return false;
}

static void each_block_is_given_out_once(void **state)
{
    (void)state;
    static unsigned char given[BLOCKS];
    disk_page_no_t block = 0;
    int count = 0;
    memset(given, 0, sizeof(given));
    while (pager_alloc_page_locked(&block)) {
        assert_true(block > 0x10 && block < BLOCKS && !is_slot(block));
        assert_int_equal(given[block]++, 0);
        count++;
    }
    assert_int_equal(count, 1615 + BLOCKS - 0x667);
    assert_int_equal(pager_interrupt_alloc_page(&block), 0);
    for (disk_page_no_t i = 0; i < BLOCKS; i++) {
        if (given[i]) {
            pager_free_page(i);
        }
    }
    /* the disk still says that all was used before: nothing is given out before that changed */
    assert_int_equal(pager_alloc_page_locked(&block), 0);
}

static void freed_blocks_come_back_after_the_commit(void **state)
{
    (void)state;
    disk_page_no_t block = 0;
    disk_page_no_t again = 0;
    assert_int_equal(pager_alloc_page_locked(&block), 1);
    pager_free_page(block);
    pager_commit_active_free_list();
    assert_int_equal(pager_alloc_page_locked(&again), 1);
    assert_int_not_equal(again, block); /* the list is written, but no superblock names it */
    pager_update_superblock();
    bool found = false;
    while (pager_alloc_page_locked(&again)) {
        found |= again == block;
    }
    assert_true(found);
    PANICS(pager_free_page(0x10));
    PANICS(pager_free_page(0x333));
    PANICS(pager_free_page(5));
    PANICS(pager_free_page(BLOCKS));
}

/* ---- lists --------------------------------------------------------------------------------- */

static disk_page_no_t new_block(void)
{
    disk_page_no_t block = 0;
    assert_int_equal(pager_alloc_page_locked(&block), 1);
    return block;
}

static void a_long_list_is_read_as_it_was_written(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    pagelist list;
    disk_page_no_t root = new_block();
    disk_page_no_t value = 77;
    pagelist_init(&list, root, 1, (int)DISK_STRUCT_MAGIC_SNAP_LIST);
    assert_int_equal(pagelist_read_seq(&list, &value), 0);
    for (disk_page_no_t i = 0; i < COUNT; i++) {
        pagelist_write_seq(&list, i);
    }
    pagelist_flush(&list);
    pagelist_seek(&list);
    for (disk_page_no_t i = 0; i < COUNT; i++) {
        assert_int_equal(pagelist_read_seq(&list, &value), 1);
        assert_int_equal(value, i);
    }
    assert_int_equal(pagelist_read_seq(&list, &value), 0);
    assert_int_equal(list.pos, COUNT);
    pagelist_write_seq(&list, 4242); /* and on at the end */
    pagelist_finish(&list);
    pagelist_init(&list, root, 0, (int)DISK_STRUCT_MAGIC_SNAP_LIST);
    int count = 0;
    while (pagelist_read_seq(&list, &value)) {
        count++;
    }
    assert_int_equal(count, COUNT + 1);
    assert_int_equal(value, 4242);
    pagelist_clear(&list);
    assert_int_equal(pagelist_read_seq(&list, &value), 0);
    pagelist_finish(&list);
    pager_commit_active_free_list();
    pager_update_superblock();
    assert_true(pager_long_fsck());
}

static void blocks_are_moved_one_by_one_or_in_passing(void **state)
{
    (void)state;
    disk_page_no_t a = new_block();
    disk_page_no_t b = new_block();
    disk_page_cache cache;
    disk_page_cache_init(&cache);
    disk_page_cache_seek_noread(&cache, a);
    memset(disk_page_cache_data(&cache), 'a', BLOCK);
    disk_page_cache_modified(&cache);
    disk_page_cache_seek_noread(&cache, b); /* writes a */
    assert_int_equal(image[(size_t)a * BLOCK], 'a');
    memset(disk_page_cache_data(&cache), 'b', BLOCK); /* not modified: stays here */
    disk_page_cache_seek_async(&cache, a);
    assert_int_equal(*(char *)disk_page_cache_data(&cache), 'a');
    disk_page_cache_seek_sync(&cache, b);
    assert_int_equal(*(char *)disk_page_cache_data(&cache), 0);
    disk_page_cache_finish(&cache);
    disk_page_io io;
    disk_page_io_init(&io);
    memset(disk_page_io_data(&io), 'c', BLOCK);
    assert_int_equal(disk_page_io_save_sync(&io, b), 0);
    assert_int_equal(image[(size_t)b * BLOCK + BLOCK - 1], 'c');
    io.req.disk_page = a;
    disk_page_io_load_me_async(&io);
    assert_int_equal(disk_page_io_wait(&io), 0);
    assert_int_equal(*(char *)disk_page_io_data(&io), 'a');
    assert_int_not_equal(disk_page_io_load_sync(&io, BLOCKS + 5), 0); /* an error is told */
    failing_writes = 1;
    assert_int_equal(disk_page_io_save_sync(&io, a), EIO);
    failing_writes = 0;
    io.req.flag_pagein = 1;
    PANICS(pager_enqueue_for_pageout(&io.req));
    io.req.flag_pagein = 0;
    disk_page_io_release(&io);
    assert_null(io.mem);
    disk_page_io_finish(&io);
}

static void hostile_lists_are_refused(void **state)
{
    (void)state;
    pagelist list;
    disk_page_no_t value = 0;
    disk_page_no_t root = new_block();
    struct phantom_disk_blocklist *node = (void *)(image + (size_t)root * BLOCK);
    memset(node, 0, BLOCK);
    PANICS(pagelist_init(&list, root, 0, (int)DISK_STRUCT_MAGIC_SNAP_LIST)); /* no magic */
    pagelist_finish(&list); /* the panic was left: nobody else frees it */
    node->head.magic = DISK_STRUCT_MAGIC_SNAP_LIST;
    node->head.used = N_REF_PER_BLOCK + 1;
    PANICS(pagelist_init(&list, root, 0, (int)DISK_STRUCT_MAGIC_SNAP_LIST));
    pagelist_finish(&list);
    node->head.used = 0;
    node->head.next = root; /* bites its tail, empty and not */
    pagelist_init(&list, root, 0, (int)DISK_STRUCT_MAGIC_SNAP_LIST);
    PANICS(pagelist_read_seq(&list, &value));
    PANICS(pagelist_clear(&list));
    node->head.used = 1;
    pagelist_seek(&list);
    PANICS(while (pagelist_read_seq(&list, &value)){});
    node->head.next = 0;
    node->head.used = 0;
    pagelist_seek(&list);
    pagelist_finish(&list);
}

/* ---- snapshots ----------------------------------------------------------------------------- */

/* A page list of these blocks. */
static disk_page_no_t make_list(const disk_page_no_t *blocks, size_t count)
{
    pagelist list;
    disk_page_no_t root = new_block();
    pagelist_init(&list, root, 1, (int)DISK_STRUCT_MAGIC_SNAP_LIST);
    for (size_t i = 0; i < count; i++) {
        pagelist_write_seq(&list, blocks[i]);
    }
    pagelist_finish(&list);
    return root;
}

static void freeing_a_snapshot_frees_what_only_it_uses(void **state)
{
    (void)state;
    disk_page_no_t b[6];
    for (int i = 0; i < 6; i++) {
        b[i] = new_block();
    }
    const disk_page_no_t old_blocks[] = {b[0], b[1], 0, b[2]};
    const disk_page_no_t curr_blocks[] = {b[0], b[3], 0, b[4]};
    const disk_page_no_t new_blocks[] = {b[5], b[1], 0, b[4]};
    disk_page_no_t old_list = make_list(old_blocks, 4);
    disk_page_no_t curr_list = make_list(curr_blocks, 4);
    disk_page_no_t new_list = make_list(new_blocks, 4);
    phantom_free_snap(old_list, curr_list, new_list);
    pager_superblock_ptr()->last_snap = new_list;
    pager_superblock_ptr()->prev_snap = curr_list;
    pager_commit_active_free_list();
    pager_update_superblock();
    assert_true(pager_long_fsck());
    bool freed[BLOCKS] = {false};
    disk_page_no_t block = 0;
    while (pager_alloc_page_locked(&block)) {
        freed[block] = true;
    }
    assert_true(freed[b[2]] && freed[old_list]);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(freed[b[i]], i == 2);
    }
    assert_false(freed[curr_list] || freed[new_list]);
}

static void fsck_drops_what_makes_no_sense_and_finds_lost_blocks(void **state)
{
    (void)state;
    disk_page_no_t data = new_block();
    disk_page_no_t good = make_list(&data, 1);
    disk_page_no_t lost = new_block();
    pager_superblock_ptr()->last_snap = good;
    pager_superblock_ptr()->prev_snap = lost; /* no list is there */
    pager_superblock_ptr()->boot_module[5] = 0x333;
    assert_false(pager_long_fsck());
    phantom_fsck(0);
    assert_int_equal(pager_superblock_ptr()->last_snap, good);
    assert_int_equal(pager_superblock_ptr()->prev_snap, 0);
    assert_int_equal(pager_superblock_ptr()->boot_module[5], 0);
    assert_true(pager_long_fsck());
    phantom_fsck(1);
    assert_true(pager_long_fsck());
    bool freed[BLOCKS] = {false};
    disk_page_no_t block = 0;
    while (pager_alloc_page_locked(&block)) {
        assert_false(freed[block]);
        freed[block] = true;
    }
    assert_true(freed[lost]);
    assert_false(freed[good] || freed[data]);
}

/* ---- damage and crashes -------------------------------------------------------------------- */

static void a_damaged_superblock_is_mended_from_another(void **state)
{
    (void)state;
    unsigned char *saved = malloc((size_t)BLOCKS * BLOCK);
    pager_finish();
    memcpy(saved, image, (size_t)BLOCKS * BLOCK);
    disk_page_no_t copy_a = on_disk(0x10)->sb2_addr;
    disk_page_no_t copy_b = on_disk(0x10)->sb3_addr;
    const struct {
        disk_page_no_t damaged[2];
        bool good;
    } cases[] = {
        {{0x10, 0x10}, true},      {{0x333, 0x333}, true},    {{0x10, 0x333}, false},
        {{copy_a, copy_a}, false}, {{copy_b, copy_b}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(image, saved, (size_t)BLOCKS * BLOCK);
        image[(size_t)cases[i].damaged[0] * BLOCK + 200] ^= 4;
        if (cases[i].damaged[1] != cases[i].damaged[0]) {
            image[(size_t)cases[i].damaged[1] * BLOCK + 300] ^= 1;
        }
        if (cases[i].good) {
            partition_pager_init(&disk);
            assert_true(superblocks_are_equal(on_disk(0x10), on_disk(0x333)));
            pager_finish();
        } else {
            PANICS(partition_pager_init(&disk));
        }
    }
    memcpy(image, saved, (size_t)BLOCKS * BLOCK);
    memset(image + (size_t)on_disk(0x10)->free_list * BLOCK, 0x5A, BLOCK);
    PANICS(partition_pager_init(&disk));
    assert_non_null(strstr(panic_message, "free list"));
    free(saved);
}

/* What a program does: a snapshot after the other, each of three new blocks and one that stays. */
static void take_snapshots(int count, disk_page_no_t *roots)
{
    disk_page_no_t kept = new_block();
    for (int i = 0; i < count; i++) {
        phantom_disk_superblock *sb = pager_superblock_ptr();
        const disk_page_no_t blocks[] = {kept, new_block(), new_block(), 0};
        disk_page_io io;
        disk_page_io_init(&io);
        memset(disk_page_io_data(&io), 'A' + i, BLOCK);
        assert_int_equal(disk_page_io_save_sync(&io, blocks[1]), 0);
        disk_page_io_finish(&io);
        roots[i] = make_list(blocks, 4);
        sb->snap_to_free = sb->prev_snap;
        sb->prev_snap = sb->last_snap;
        sb->last_snap = roots[i];
        sb->last_snap_time = (u_int32_t)i + 1;
        pager_commit_active_free_list();
        pager_update_superblock();
        if (sb->snap_to_free != 0) {
            phantom_free_snap(sb->snap_to_free, sb->prev_snap, sb->last_snap);
            sb->snap_to_free = 0;
            pager_commit_active_free_list();
            pager_update_superblock();
        }
    }
}

/* The disk after a crash: writes up to `last`, without number `lost` if that was not flushed. */
static void crash(const unsigned char *before, size_t last, size_t lost)
{
    memcpy(image, before, (size_t)BLOCKS * BLOCK);
    for (size_t i = 0; i < last; i++) {
        if (i != lost && history[i].data != NULL) {
            memcpy(image + (size_t)history[i].block * BLOCK, history[i].data, BLOCK);
        }
    }
}

/* Is the page list whole, and is its data that of its snapshot? */
static void check_snapshot(disk_page_no_t root, int number)
{
    pagelist list;
    disk_page_no_t block = 0;
    int entries = 0;
    pagelist_init(&list, root, 0, (int)DISK_STRUCT_MAGIC_SNAP_LIST);
    while (pagelist_read_seq(&list, &block)) {
        if (entries++ == 1) {
            assert_int_equal(image[(size_t)block * BLOCK + 17], 'A' + number);
        }
    }
    assert_int_equal(entries, 4);
    pagelist_finish(&list);
}

static void after_any_crash_the_disk_is_one_that_was_committed(void **state)
{
    (void)state;
    enum { SNAPSHOTS = 6 };
    disk_page_no_t roots[SNAPSHOTS];
    unsigned char *before = malloc((size_t)BLOCKS * BLOCK);
    memcpy(before, image, (size_t)BLOCKS * BLOCK);
    forget_history();
    take_snapshots(SNAPSHOTS, roots);
    struct written *writes = history; /* what opening writes is not to be mixed with it */
    size_t length = history_length;
    int states = 0;
    int newest_seen = 0;
    for (size_t last = 0; last <= length; last++) {
        size_t flushed = last; /* writes after the last fence may be lost, one of them here */
        while (flushed > 0 && writes[flushed - 1].data != NULL) {
            flushed--;
        }
        for (size_t lost = flushed; lost <= last; lost++) {
            history = writes;
            crash(before, last, lost);
            history = NULL;
            history_length = 0;
            partition_pager_init(&disk);
            const phantom_disk_superblock *sb = pager_superblock_ptr();
            int number = (int)sb->last_snap_time - 1;
            assert_true(number >= newest_seen - 1 && number < SNAPSHOTS);
            if (lost == last && number > newest_seen) {
                newest_seen = number;
            }
            if (number >= 0) {
                assert_int_equal(sb->last_snap, roots[number]);
                check_snapshot(sb->last_snap, number);
            }
            if (sb->prev_snap != 0) {
                check_snapshot(sb->prev_snap, number - 1);
            }
            assert_true(pager_long_fsck());
            pager_finish();
            forget_history();
            free(history);
            states++;
        }
    }
    history = writes;
    history_length = length;
    printf("%d crash states\n", states);
    assert_int_equal(newest_seen, SNAPSHOTS - 1);
    assert_true(states > 100);
    forget_history();
    free(before);
}

static int begin(void **state)
{
    struct phantom_hal_options options;
    struct phantom_hal *hal_instance = NULL;
    phantom_hal_options_init(&options);
    options.on_panic = on_panic;
    assert_int_equal(phantom_hal_create(&options, &hal_instance), 0);
    assert_int_equal(phantom_hal_enter(hal_instance), 0);
    *state = hal_instance;
    image = malloc((size_t)BLOCKS * BLOCK);
    return 0;
}

static int end(void **state)
{
    forget_history();
    free(history);
    history = NULL;
    free(image);
    phantom_hal_leave();
    return phantom_hal_destroy(*state);
}

int main(int argc, char **argv)
{
    port_defect(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_sums_of_all_bytes),
        cmocka_unit_test_setup(a_minimal_image_becomes_a_full_layout, make_disk),
        cmocka_unit_test(a_disk_that_is_too_small_is_refused),
        cmocka_unit_test_setup(each_block_is_given_out_once, make_disk),
        cmocka_unit_test_setup(freed_blocks_come_back_after_the_commit, make_disk),
        cmocka_unit_test_setup(a_long_list_is_read_as_it_was_written, make_disk),
        cmocka_unit_test_setup(blocks_are_moved_one_by_one_or_in_passing, make_disk),
        cmocka_unit_test_setup(hostile_lists_are_refused, make_disk),
        cmocka_unit_test_setup(freeing_a_snapshot_frees_what_only_it_uses, make_disk),
        cmocka_unit_test_setup(fsck_drops_what_makes_no_sense_and_finds_lost_blocks, make_disk),
        cmocka_unit_test_setup(a_damaged_superblock_is_mended_from_another, make_disk),
        cmocka_unit_test_setup(after_any_crash_the_disk_is_one_that_was_committed, make_disk),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
