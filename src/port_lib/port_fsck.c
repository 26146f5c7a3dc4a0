/* SPDX-License-Identifier: Apache-2.0
 *
 * port_fsck.c - checks of the port's disk format, and freeing the oldest snapshot. State: the
 * pager's. What a block is used for is an interval map of the whole disk.
 */
#include "port_pager_internal.h"

#include "kernel/amap.h"
#include "ph_io.h"
#include "ph_memory.h"
#include "phantom_assert.h"

#include <string.h>

enum use { UNKNOWN = 0, FREE = 1, NODE = 2, USED = 3 };

/* Mark a block; false: out of range. */
static bool mark(amap_t *map, disk_page_no_t block, enum use use)
{
    if (!port_pager_owns(block)) {
        return false;
    }
    if (amap_modify(map, block, 1, use) == ENOMEM) {
        panic("fsck: out of memory");
    }
    return true;
}

/* Mark what a list holds and its own blocks. False: the list makes no sense. map NULL: only look.
 */
static bool walk_list(disk_page_no_t root, u_int32_t magic, amap_t *map, enum use entries,
                      enum use nodes)
{
    disk_page_io io;
    bool good = true;
    disk_page_io_init(&io);
    u_int32_t seen = 0;
    for (disk_page_no_t at = root; at != 0 && good; seen++) {
        good = seen < port_pager()->superblock.disk_page_count && port_pager_owns(at) &&
               disk_page_io_load_sync(&io, at) == 0;
        if (!good) {
            break;
        }
        const struct phantom_disk_blocklist *node = disk_page_io_data(&io);
        good = node->head.magic == magic && node->head.used <= N_REF_PER_BLOCK;
        if (good && map != NULL) {
            mark(map, at, nodes);
        }
        for (u_int32_t i = 0; good && i < node->head.used; i++) {
            disk_page_no_t block = node->list[i];
            good = block == 0 || port_pager_owns(block); /* 0: a page of zeros */
            if (good && block != 0 && map != NULL) {
                mark(map, block, entries);
            }
        }
        at = node->head.next;
    }
    disk_page_io_finish(&io);
    return good;
}

struct known_list {
    disk_page_no_t *root;
    u_int32_t magic;
    const char *name;
};

#define MOST_LISTS 36

/* All lists that the superblock names. */
static size_t known_lists(struct known_list *lists)
{
    phantom_disk_superblock *sb = &port_pager()->superblock;
    size_t n = 0;
    lists[n++] = (struct known_list){&sb->last_snap, DISK_STRUCT_MAGIC_SNAP_LIST, "last_snap"};
    lists[n++] = (struct known_list){&sb->prev_snap, DISK_STRUCT_MAGIC_SNAP_LIST, "prev_snap"};
    lists[n++] = (struct known_list){&sb->boot_list, DISK_STRUCT_MAGIC_CONST_LIST, "boot_list"};
    lists[n++] = (struct known_list){&sb->kernel_list, DISK_STRUCT_MAGIC_CONST_LIST, "kernel_list"};
    for (int i = 0; i < 30; i++) {
        lists[n++] =
            (struct known_list){&sb->boot_module[i], DISK_STRUCT_MAGIC_BOOT_MODULE, "boot_module"};
    }
    lists[n++] = (struct known_list){&sb->log_list, DISK_STRUCT_MAGIC_LOG_LIST, "log_list"};
    return n;
}

static void map_of_disk(amap_t *map)
{
    amap_init(map, 0, port_pager()->superblock.disk_page_count, UNKNOWN);
}

/* Mark what all lists use; how many make no sense. drop: they are taken out of the superblock. */
static int mark_lists(amap_t *map, bool drop)
{
    struct known_list lists[MOST_LISTS];
    int bad = 0;
    size_t n = known_lists(lists);
    for (size_t i = 0; i < n; i++) {
        if (*lists[i].root == 0) {
            continue;
        }
        if (!walk_list(*lists[i].root, lists[i].magic, NULL, UNKNOWN, UNKNOWN)) {
            ph_printf("fsck: list %s at block %u makes no sense\n", lists[i].name, *lists[i].root);
            bad++;
            if (drop) {
                *lists[i].root = 0;
            }
        } else {
            walk_list(*lists[i].root, lists[i].magic, map, USED, USED);
        }
    }
    return bad;
}

struct clash {
    amap_t *used;
    int found;
};

static void look_for_clash(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    struct clash *clash = arg;
    (void)flags;
    for (amap_elem_addr_t block = from; block < from + n; block++) {
        clash->found += amap_check(clash->used, block, 1, USED) == 0;
    }
}

int pager_long_fsck(void)
{
    amap_t used;
    amap_t free_blocks;
    map_of_disk(&used);
    map_of_disk(&free_blocks);
    int bad = mark_lists(&used, false);
    if (!walk_list(port_pager()->superblock.free_list, DISK_STRUCT_MAGIC_FREEHEAD, &free_blocks,
                   FREE, FREE)) {
        bad++;
    }
    struct clash clash = {.used = &used};
    amap_iterate_flags(&free_blocks, look_for_clash, &clash, FREE);
    if (clash.found > 0) {
        ph_printf("fsck: %d blocks are free and in use\n", clash.found);
    }
    amap_destroy(&used);
    amap_destroy(&free_blocks);
    return bad == 0 && clash.found == 0;
}

static void free_unused(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    (void)flags;
    for (amap_elem_addr_t block = from; block < from + n; block++) {
        if (block < port_pager()->superblock.free_start && port_pager_owns((disk_page_no_t)block)) {
            port_stack_push(arg, (disk_page_no_t)block);
        }
    }
}

void phantom_fsck(int do_rebuild)
{
    struct pager *pager = port_pager();
    amap_t map;
    map_of_disk(&map);
    int bad = mark_lists(&map, true);
    if (do_rebuild) {
        struct block_stack unused = {0};
        if (pager->superblock.snap_to_free != 0) { /* half freed: now it is unused as a whole */
            pager->superblock.snap_to_free = 0;
        }
        amap_iterate_flags(&map, free_unused, &unused, UNKNOWN);
        hal_mutex_lock(&pager->lock);
        /* The old list's own blocks are unused, too, but the disk needs them until the superblock
         * is written: all goes to `freed`, nodes are taken from the end that was never used. */
        pager->free.count = 0;
        pager->freed.count = 0;
        pager->nodes.count = 0;
        port_stack_append(&pager->freed, &unused);
        hal_mutex_unlock(&pager->lock);
        ph_free(unused.blocks);
    }
    amap_destroy(&map);
    if (bad > 0 || do_rebuild) {
        pager_commit_active_free_list(); /* a superblock and its free list belong together */
        pager_update_superblock();
    }
}

static void free_blocks(amap_elem_addr_t from, amap_elem_size_t n, u_int32_t flags, void *arg)
{
    (void)arg;
    for (amap_elem_addr_t block = from; block < from + n; block++) {
        if (flags == NODE) {
            pager_free_blocklist_page_locked((disk_page_no_t)block);
        } else {
            pager_free_page((disk_page_no_t)block);
        }
    }
}

void phantom_free_snap(disk_page_no_t old_snap_start, disk_page_no_t curr_snap_start,
                       disk_page_no_t new_snap_start)
{
    const disk_page_no_t others[] = {curr_snap_start, new_snap_start};
    amap_t map;
    map_of_disk(&map);
    if (!walk_list(old_snap_start, DISK_STRUCT_MAGIC_SNAP_LIST, &map, FREE, NODE)) {
        panic("the page list at block %u makes no sense", old_snap_start);
    }
    for (size_t i = 0; i < 2; i++) {
        if (!walk_list(others[i], DISK_STRUCT_MAGIC_SNAP_LIST, &map, USED, USED)) {
            panic("the page list at block %u makes no sense", others[i]);
        }
    }
    amap_iterate_flags(&map, free_blocks, NULL, FREE);
    amap_iterate_flags(&map, free_blocks, NULL, NODE);
    pager_free_blocklist_pages();
    amap_destroy(&map);
}
