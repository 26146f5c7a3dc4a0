/* SPDX-License-Identifier: Apache-2.0
 *
 * port_superblock.c - superblocks of the port's disk format: sums, reading with repair, writing in
 * an order that a crash cannot spoil. State: the pager's superblock.
 */
#include "port_pager_internal.h"

#include "ph_io.h"
#include "ph_string.h"
#include "phantom_assert.h"

#include <stddef.h>
#include <string.h>

enum { ROOT = 0x10, SECONDARY = 0x333, SMALLEST_DISK = 0x667, SECTORS = DISK_STRUCT_BS / 512 };

static const disk_page_no_t slots[] = DISK_STRUCT_SB_OFFSET_LIST;

bool port_is_superblock_slot(disk_page_no_t block)
{
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (slots[i] == block) {
            return true;
        }
    }
    return false;
}

int phantom_calc_sb_checksum(struct phantom_disk_superblock *sb)
{
    u_int32_t was = sb->checksum;
    u_int32_t sum = 0;
    const unsigned char *bytes = (const unsigned char *)sb;
    sb->checksum = 0;
    for (size_t i = 0; i < sizeof(*sb); i++) {
        sum += bytes[i];
    }
    sb->checksum = sum;
    return was == sum && sb->magic == DISK_STRUCT_MAGIC_SUPERBLOCK &&
           sb->magic2 == DISK_STRUCT_MAGIC_SUPER_2;
}

int superblocks_are_equal(const struct phantom_disk_superblock *a,
                          const struct phantom_disk_superblock *b)
{
    struct phantom_disk_superblock one = *a;
    struct phantom_disk_superblock two = *b;
    struct phantom_disk_superblock *both[] = {&one, &two};
    for (int i = 0; i < 2; i++) { /* what does not count is made equal */
        memset(both[i]->boot_module, 0, sizeof(one.boot_module));
        memset(both[i]->sys_name, 0, sizeof(one.sys_name));
        both[i]->checksum = 0;
        size_t journals = offsetof(struct phantom_disk_superblock, last_short_journal_blocks);
        memset((char *)both[i] + journals, 0, sizeof(one) - journals);
    }
    return memcmp(&one, &two, sizeof(one)) == 0;
}

static bool read_superblock(disk_page_no_t block, phantom_disk_superblock *out)
{
    disk_page_io io;
    disk_page_io_init(&io);
    bool good = block != 0 && disk_page_io_load_sync(&io, block) == 0;
    if (good) {
        memcpy(out, disk_page_io_data(&io), sizeof(*out));
        /* A sum is no proof: what it says must fit the disk that it is on. */
        const phantom_disk_partition_t *disk = *port_pager()->partition;
        good = phantom_calc_sb_checksum(out) && out->blocksize == DISK_STRUCT_BS &&
               out->disk_page_count <= (u_int64_t)disk->size / SECTORS &&
               out->disk_start_page < out->disk_page_count;
    }
    disk_page_io_finish(&io);
    return good;
}

static void write_superblock(disk_page_no_t block)
{
    struct pager *pager = port_pager();
    disk_page_io io;
    disk_page_io_init(&io);
    memset(disk_page_io_data(&io), 0, DISK_STRUCT_BS);
    memcpy(disk_page_io_data(&io), &pager->superblock, sizeof(pager->superblock));
    errno_t rc = disk_page_io_save_sync(&io, block);
    if (rc == 0) {
        rc = pager_fence();
    }
    disk_page_io_finish(&io);
    if (rc != 0) {
        panic("superblock at block %u cannot be written: %s", block, strerror(rc));
    }
}

phantom_disk_superblock *pager_superblock_ptr(void)
{
    return &port_pager()->superblock;
}

/* One block, copies not yet made, no free list: what an installer writes. */
static bool is_minimal_image(const phantom_disk_superblock *sb)
{
    return sb->sb2_addr == 0 && sb->sb3_addr == 0 && sb->free_start != 0 && sb->free_list == 0 &&
           sb->fs_is_clean != 0;
}

int pager_try_get_superblock_from(disk_page_no_t root_block)
{
    struct pager *pager = port_pager();
    phantom_disk_superblock root;
    phantom_disk_superblock copy;
    if (!read_superblock(root_block, &root)) {
        return 0;
    }
    if (is_minimal_image(&root)) {
        pager->superblock = root;
        pager_fix_incomplete_format();
        return 1;
    }
    if (!read_superblock(root.sb2_addr, &copy) || !superblocks_are_equal(&root, &copy) ||
        !read_superblock(root.sb3_addr, &copy) || !superblocks_are_equal(&root, &copy)) {
        return 0;
    }
    pager->superblock = root;
    return 1;
}

void pager_get_superblock(void)
{
    if (pager_try_get_superblock_from(ROOT)) {
        return;
    }
    if (!pager_try_get_superblock_from(SECONDARY)) {
        panic("there is no good superblock on the disk");
    }
    ph_printf("superblock: the root was not good, the secondary is\n");
    write_superblock(ROOT);
}

void pager_fix_incomplete_format(void)
{
    struct pager *pager = port_pager();
    phantom_disk_superblock *sb = &pager->superblock;
    if (sb->disk_page_count < SMALLEST_DISK) {
        panic("a disk of %u blocks is too small for the format", sb->disk_page_count);
    }
    sb->sb2_addr = 0x100;
    sb->sb3_addr = 0x220;
    sb->free_start = SMALLEST_DISK;
    for (disk_page_no_t block = ROOT + 1; block < SMALLEST_DISK; block++) {
        if (!port_is_superblock_slot(block)) {
            port_stack_push(&pager->free, block);
        }
    }
    pager_commit_active_free_list();
    pager_update_superblock();
}

void pager_update_superblock(void)
{
    phantom_disk_superblock *sb = &port_pager()->superblock;
    bool first_pair = sb->sb2_addr == 0x100;
    sb->sb2_addr = first_pair ? 0x500 : 0x100;
    sb->sb3_addr = first_pair ? 0x666 : 0x220;
    phantom_calc_sb_checksum(sb);
    errno_t rc = pager_fence(); /* what it names is there before it is */
    if (rc != 0) {
        panic("the disk cannot be flushed: %s", strerror(rc));
    }
    write_superblock(sb->sb2_addr);
    write_superblock(sb->sb3_addr);
    write_superblock(SECONDARY);
    write_superblock(ROOT);
    port_pager_superblock_written();
}
