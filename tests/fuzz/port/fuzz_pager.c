/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_pager.c - a disk in the port's format with patches from the input: superblocks, free lists,
 * page lists. Nothing may be read or written outside of the disk, nothing may go on for ever, and
 * what phantom_fsck() mended must be whole. A panic is allowed where pager.h says so.
 *
 *     input: u8 what to do, u8 flags, then patches (u16 block, u16 offset, u8 length, bytes)
 */
#include "fuzz_port.h"

#include <disk.h>
#include <errno.h>
#include <hal.h>
#include <pagelist.h>
#include <pager.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCKS = 0x6A0, BLOCK = DISK_STRUCT_BS, SUM_IS_RIGHT = 1, MINIMAL = 2, LISTED = 40 };

static uint8_t *image;
static uint8_t *minimal;
static uint8_t *formatted;
static bool touched[BLOCKS];
static unsigned long requests;

static errno_t memory_io(struct phantom_disk_partition *p, pager_io_request *rq)
{
    u_int64_t block = rq->blockNo / 8;
    (void)p;
    FUZZ_FACT(rq->blockNo % 8 == 0 && rq->nSect == 8);
    FUZZ_FACT(++requests < 200000); /* each list is read a few times: bounded by the disk */
    if (block >= BLOCKS) {
        rq->rc = EINVAL;
    } else if (rq->flag_pageout) {
        memcpy_p2v(image + block * BLOCK, rq->phys_page, BLOCK);
        touched[block] = true;
        rq->rc = 0;
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
    return 0;
}

static phantom_disk_partition_t disk = {
    .block_size = 512, .size = BLOCKS * 8, .asyncIo = memory_io, .fence = memory_fence};

static void write_minimal_image(uint8_t *to)
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
        .sys_name = "fuzz",
    };
    phantom_calc_sb_checksum(&sb);
    memset(to, 0, (size_t)BLOCKS * BLOCK);
    memcpy(to + (size_t)0x10 * BLOCK, &sb, sizeof(sb));
}

/* A page list of some blocks; its root. */
static disk_page_no_t make_list(disk_page_no_t also)
{
    disk_page_no_t root = 0, block = 0;
    pagelist list;
    FUZZ_FACT(pager_alloc_page_locked(&root));
    pagelist_init(&list, root, 1, DISK_STRUCT_MAGIC_SNAP_LIST);
    pagelist_clear(&list);
    for (int i = 0; i < LISTED; i++) {
        FUZZ_FACT(pager_alloc_page_locked(&block));
        pagelist_write_seq(&list, i % 3 == 2 && also != 0 ? also : block);
    }
    pagelist_flush(&list);
    pagelist_finish(&list);
    return root;
}

static void format(void *context)
{
    (void)context;
    partition_pager_init(&disk);
    phantom_disk_superblock *sb = pager_superblock_ptr();
    sb->prev_snap = make_list(0);
    sb->last_snap = make_list(sb->prev_snap + 1);
    disk_page_no_t block;
    for (int i = 0; i < LISTED; i++) {
        FUZZ_FACT(pager_alloc_page_locked(&block));
        pager_free_page(block);
    }
    pager_finish();
}

static void make_images(void)
{
    image = malloc((size_t)BLOCKS * BLOCK);
    minimal = malloc((size_t)BLOCKS * BLOCK);
    formatted = malloc((size_t)BLOCKS * BLOCK);
    FUZZ_FACT(image != NULL && minimal != NULL && formatted != NULL);
    write_minimal_image(minimal);
    memcpy(image, minimal, (size_t)BLOCKS * BLOCK);
    FUZZ_FACT(fuzz_inside(format, NULL));
    memcpy(formatted, image, (size_t)BLOCKS * BLOCK);
    memset(touched, 0, sizeof(touched));
}

static void restore(const uint8_t *from)
{
    static const uint8_t *before;
    for (size_t i = 0; i < BLOCKS; i++) {
        if (touched[i] || before != from) {
            memcpy(image + i * BLOCK, from + i * BLOCK, BLOCK);
            touched[i] = false;
        }
    }
    before = from;
    requests = 0;
}

static void patch(struct fuzz_bytes *bytes, bool sum_is_right)
{
    static const disk_page_no_t places[] = DISK_STRUCT_SB_OFFSET_LIST;
    while (bytes->size > 0) {
        unsigned block = fuzz_u16(bytes), offset = fuzz_u16(bytes) % BLOCK;
        size_t length = fuzz_u8(bytes);
        if (block >= 0xFFF0) { /* all superblocks alike */
            uint8_t new_bytes[256];
            length = fuzz_copy(bytes, new_bytes, length);
            for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && places[i] != 0; i++) {
                size_t most = BLOCK - offset;
                memcpy(image + (size_t)places[i] * BLOCK + offset, new_bytes,
                       length < most ? length : most);
                touched[places[i]] = true;
            }
            continue;
        }
        block %= BLOCKS;
        size_t most = BLOCK - offset;
        (void)fuzz_copy(bytes, image + (size_t)block * BLOCK + offset,
                        length < most ? length : most);
        touched[block] = true;
    }
    for (size_t i = 0; sum_is_right && i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i] != 0) {
            phantom_disk_superblock sb;
            memcpy(&sb, image + (size_t)places[i] * BLOCK, sizeof(sb));
            phantom_calc_sb_checksum(&sb);
            memcpy(image + (size_t)places[i] * BLOCK, &sb, sizeof(sb));
            touched[places[i]] = true;
        }
    }
}

static void read_list(disk_page_no_t root)
{
    pagelist list;
    disk_page_no_t block;
    if (root == 0 || root >= BLOCKS) {
        return;
    }
    pagelist_init(&list, root, 0, DISK_STRUCT_MAGIC_SNAP_LIST);
    pagelist_seek(&list);
    for (int i = 0; i < 5000 && pagelist_read_seq(&list, &block); i++) {
    }
    pagelist_finish(&list);
}

static void use(void *context)
{
    uint8_t what = *(uint8_t *)context;
    disk_page_no_t block;
    partition_pager_init(&disk);
    phantom_disk_superblock *sb = pager_superblock_ptr();
    FUZZ_FACT(sb->disk_page_count <= BLOCKS);
    switch (what % 5) {
    case 0:
        (void)pager_long_fsck();
        FUZZ_FACT(pager_calculate_free_block_count() <= BLOCKS * 2);
        break;
    case 1:
        for (int i = 0; i < 100 && pager_alloc_page_locked(&block); i++) {
            FUZZ_FACT(block < BLOCKS);
            if (i % 2 == 0) {
                pager_free_page(block);
            }
        }
        pager_finish();
        return;
    case 2:
        phantom_fsck(1);
        FUZZ_FACT(pager_long_fsck());
        break;
    case 3: phantom_free_snap(sb->prev_snap, sb->last_snap, 0); break;
    default:
        read_list(sb->last_snap);
        read_list(sb->prev_snap);
        break;
    }
    pager_finish();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    if (image == NULL) {
        make_images();
    }
    uint8_t what = fuzz_u8(&bytes), flags = fuzz_u8(&bytes);
    restore((flags & MINIMAL) != 0 ? minimal : formatted);
    patch(&bytes, (flags & SUM_IS_RIGHT) != 0);
    (void)fuzz_inside(use, &what);
    return 0;
}
