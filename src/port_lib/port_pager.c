/* SPDX-License-Identifier: Apache-2.0
 *
 * port_pager()->c - <pager.h>: the partition in use, requests, and which blocks are free.
 *
 * Owns an instance's pager, and pp. Between calls: no block is in two of free, freed, nodes and
 * deferred; a block in `free` is used by no superblock on disk, except as free.
 */
#include "port_pager_internal.h"

#include "kernel/stats.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "phantom_assert.h"
#include "port_state.h"

#include <errno.h>
#include <string.h>

phantom_disk_partition_t *pp;

/* ---- stacks -------------------------------------------------------------------------------- */

void port_stack_push(struct block_stack *stack, disk_page_no_t block)
{
    if (stack->count == stack->room) {
        size_t room = stack->room == 0 ? 256 : stack->room * 2;
        disk_page_no_t *blocks = ph_realloc(stack->blocks, room * sizeof(*blocks));
        if (blocks == NULL) {
            panic("pager: out of memory");
        }
        stack->blocks = blocks;
        stack->room = room;
    }
    stack->blocks[stack->count++] = block;
}

void port_stack_append(struct block_stack *to, struct block_stack *from)
{
    for (size_t i = 0; i < from->count; i++) {
        port_stack_push(to, from->blocks[i]);
    }
    from->count = 0;
}

static void empty_stack(struct block_stack *stack)
{
    ph_free(stack->blocks);
    memset(stack, 0, sizeof(*stack));
}

bool port_pager_owns(disk_page_no_t block)
{
    const phantom_disk_superblock *sb = &port_pager()->superblock;
    return block > sb->disk_start_page && block < sb->disk_page_count &&
           !port_is_superblock_slot(block);
}

/* ---- beginning and end --------------------------------------------------------------------- */

static void forget_blocks(struct pager *pager)
{
    empty_stack(&pager->free);
    empty_stack(&pager->freed);
    empty_stack(&pager->nodes);
    empty_stack(&pager->deferred);
    pager->freed_committed = 0;
}

int port_pager_open(struct port_lib_state *state)
{
    struct pager *pager = ph_zalloc(1, sizeof(*pager));
    if (pager == NULL || hal_mutex_init(&pager->lock, "pager") != 0) {
        ph_free(pager);
        return ENOMEM;
    }
    pager->partition = state->is_default ? &pp : &pager->own_partition;
    state->pager = pager;
    return 0;
}

void port_pager_close(struct port_lib_state *state)
{
    forget_blocks(state->pager);
    hal_mutex_destroy(&state->pager->lock);
    ph_free(state->pager);
}

struct pager *port_pager(void)
{
    return port_lib_state()->pager;
}

void partition_pager_init(phantom_disk_partition_t *p)
{
    struct pager *pager = port_pager();
    *pager->partition = p;
    forget_blocks(pager);
    pager_get_superblock();
    forget_blocks(pager);
    if (!pager_fast_fsck()) {
        panic("the free list is damaged");
    }
    pager_init_free_list();
    pager->superblock.fs_is_clean = 0;
    pager_update_superblock();
}

void pager_finish(void)
{
    struct pager *pager = port_pager();
    pager_commit_active_free_list();
    pager->superblock.fs_is_clean = 1;
    pager_update_superblock();
    forget_blocks(pager);
    *pager->partition = NULL;
}

/* ---- requests ------------------------------------------------------------------------------ */

static void enqueue(pager_io_request *rq, bool write, bool urgent)
{
    if (rq->flag_pagein || rq->flag_pageout) {
        panic("a request for block %u is under way already", rq->disk_page);
    }
    rq->flag_pagein = !write;
    rq->flag_pageout = write;
    rq->flag_urgent = urgent;
    rq->rc = 0;
    disk_enqueue(*port_pager()->partition, rq);
}

void pager_enqueue_for_pagein(pager_io_request *p)
{
    enqueue(p, false, false);
}

void pager_enqueue_for_pagein_fast(pager_io_request *p)
{
    enqueue(p, false, true);
}

void pager_enqueue_for_pageout(pager_io_request *p)
{
    enqueue(p, true, false);
}

void pager_enqueue_for_pageout_fast(pager_io_request *p)
{
    enqueue(p, true, true);
}

void pager_raise_request_priority(pager_io_request *p)
{
    p->flag_urgent = 1;
    disk_raise_priority(*port_pager()->partition, p);
}

int pager_dequeue_from_pageout(pager_io_request *p)
{
    return disk_dequeue(*port_pager()->partition, p) == 0;
}

errno_t pager_fence(void)
{
    if (PH_MUTANT(PAGER_NO_FENCE)) {
        return 0;
    }
    return disk_fence(*port_pager()->partition);
}

/* ---- free blocks --------------------------------------------------------------------------- */

int pager_alloc_page_locked(disk_page_no_t *out)
{
    struct pager *pager = port_pager();
    phantom_disk_superblock *sb = &pager->superblock;
    int found = 1;
    hal_mutex_lock(&pager->lock);
    if (pager->free.count > 0) {
        *out = pager->free.blocks[--pager->free.count];
    } else {
        while (sb->free_start < sb->disk_page_count && !port_pager_owns(sb->free_start)) {
            sb->free_start++;
        }
        found = sb->free_start < sb->disk_page_count;
        if (found) {
            *out = sb->free_start++;
        }
    }
    hal_mutex_unlock(&pager->lock);
    if (found) {
        STAT_INC_CNT(STAT_PAGER_DISK_ALLOC);
    }
    return found;
}

int pager_interrupt_alloc_page(disk_page_no_t *out)
{
    return pager_alloc_page_locked(out);
}

void pager_put_to_free_list_locked(disk_page_no_t block)
{
    struct pager *pager = port_pager();
    if (!port_pager_owns(block)) {
        panic("block %u cannot be freed", block);
    }
    hal_mutex_lock(&pager->lock);
    port_stack_push(PH_MUTANT(PAGER_FREED_AT_ONCE) ? &pager->free : &pager->freed, block);
    hal_mutex_unlock(&pager->lock);
    STAT_INC_CNT(STAT_PAGER_DISK_FREE);
}

void pager_free_page(disk_page_no_t block)
{
    pager_put_to_free_list_locked(block);
}

void pager_free_blocklist_page_locked(disk_page_no_t blk)
{
    struct pager *pager = port_pager();
    hal_mutex_lock(&pager->lock);
    port_stack_push(&pager->deferred, blk);
    hal_mutex_unlock(&pager->lock);
}

void pager_free_blocklist_pages(void)
{
    struct pager *pager = port_pager();
    struct block_stack taken;
    hal_mutex_lock(&pager->lock);
    taken = pager->deferred;
    memset(&pager->deferred, 0, sizeof(pager->deferred));
    hal_mutex_unlock(&pager->lock);
    for (size_t i = 0; i < taken.count; i++) {
        pager_free_page(taken.blocks[i]);
    }
    empty_stack(&taken);
}

/* The whole list is in memory: there is no part of it that could be fetched. */
void pager_refill_free(void)
{
}

/* ---- the free list on disk ----------------------------------------------------------------- */

static bool read_node(disk_page_io *io, disk_page_no_t block, struct phantom_disk_blocklist **node)
{
    if (!port_pager_owns(block) || disk_page_io_load_sync(io, block) != 0) {
        return false;
    }
    *node = disk_page_io_data(io);
    return (*node)->head.magic == DISK_STRUCT_MAGIC_FREEHEAD &&
           (*node)->head.used <= N_REF_PER_BLOCK;
}

int pager_fast_fsck(void)
{
    struct pager *pager = port_pager();
    struct phantom_disk_blocklist *node = NULL;
    disk_page_io io;
    if (pager->superblock.free_list == 0) {
        return 1;
    }
    disk_page_io_init(&io);
    bool good = read_node(&io, pager->superblock.free_list, &node);
    disk_page_io_finish(&io);
    return good;
}

/* Call for each node, and each entry, of the free list on disk; false: it is damaged. */
static bool walk_free_list(struct block_stack *entries, struct block_stack *nodes)
{
    const phantom_disk_superblock *sb = &port_pager()->superblock;
    disk_page_no_t at = sb->free_list;
    disk_page_io io;
    bool good = true;
    disk_page_io_init(&io);
    for (u_int32_t seen = 0; at != 0 && good; seen++) {
        struct phantom_disk_blocklist *node = NULL;
        good = seen < sb->disk_page_count && read_node(&io, at, &node);
        if (good) {
            port_stack_push(nodes, at);
            for (u_int32_t i = 0; i < node->head.used && good; i++) {
                good = port_pager_owns(node->list[i]);
                port_stack_push(entries, node->list[i]);
            }
            at = node->head.next;
        }
    }
    disk_page_io_finish(&io);
    return good;
}

void pager_init_free_list(void)
{
    struct pager *pager = port_pager();
    hal_mutex_lock(&pager->lock);
    pager->free.count = 0;
    pager->nodes.count = 0;
    bool good = walk_free_list(&pager->free, &pager->nodes);
    hal_mutex_unlock(&pager->lock);
    if (!good) {
        panic("the free list at block %u is damaged", pager->superblock.free_list);
    }
}

int64_t pager_calculate_free_block_count(void)
{
    struct block_stack entries = {0};
    struct block_stack nodes = {0};
    const phantom_disk_superblock *sb = &port_pager()->superblock;
    int64_t count = -1;
    if (walk_free_list(&entries, &nodes)) {
        count = (int64_t)entries.count;
        count += sb->disk_page_count > sb->free_start ? sb->disk_page_count - sb->free_start : 0;
    }
    empty_stack(&entries);
    empty_stack(&nodes);
    return count;
}

/* One node with the entries [first, first + used) of free and then freed. */
static void write_node(disk_page_io *io, disk_page_no_t block, size_t first, size_t used,
                       disk_page_no_t next)
{
    struct pager *pager = port_pager();
    struct phantom_disk_blocklist *node = disk_page_io_data(io);
    memset(node, 0, DISK_STRUCT_BS);
    node->head.magic = DISK_STRUCT_MAGIC_FREEHEAD;
    node->head.used = (u_int32_t)used;
    node->head.next = next;
    for (size_t i = 0; i < used; i++) {
        size_t at = first + i;
        node->list[i] = at < pager->free.count ? pager->free.blocks[at]
                                               : pager->freed.blocks[at - pager->free.count];
    }
    errno_t rc = disk_page_io_save_sync(io, block);
    if (rc != 0) {
        panic("block %u of the free list cannot be written: %s", block, strerror(rc));
    }
}

/* The nodes come out of `free`, whose blocks the disk does not need; lock held. */
static size_t take_nodes(struct block_stack *nodes)
{
    struct pager *pager = port_pager();
    phantom_disk_superblock *sb = &pager->superblock;
    for (;;) {
        size_t entries = pager->free.count + pager->freed.count;
        if (nodes->count * N_REF_PER_BLOCK >= entries && nodes->count > 0) {
            return entries;
        }
        if (pager->free.count > 0) {
            port_stack_push(nodes, pager->free.blocks[--pager->free.count]);
        } else if (sb->free_start < sb->disk_page_count) {
            port_stack_push(nodes, sb->free_start++);
        } else {
            return nodes->count * N_REF_PER_BLOCK; /* full: what does not fit is lost until fsck */
        }
    }
}

void pager_commit_active_free_list(void)
{
    struct pager *pager = port_pager();
    struct block_stack nodes = {0};
    disk_page_io io;
    disk_page_io_init(&io);
    hal_mutex_lock(&pager->lock);
    /* The list before this one is free as soon as this one is named, so its blocks are in it. */
    port_stack_append(&pager->freed, &pager->nodes);
    size_t entries = take_nodes(&nodes);
    size_t have = pager->free.count + pager->freed.count;
    entries = entries < have ? entries : have;
    disk_page_no_t next = 0;
    for (size_t i = nodes.count; i-- > 0;) {
        size_t first = i * N_REF_PER_BLOCK;
        size_t left = entries > first ? entries - first : 0;
        size_t used = left < N_REF_PER_BLOCK ? left : N_REF_PER_BLOCK;
        write_node(&io, nodes.blocks[i], first, used, next);
        next = nodes.blocks[i];
    }
    empty_stack(&pager->nodes);
    pager->nodes = nodes;
    pager->superblock.free_list = next;
    pager->freed_committed = pager->freed.count;
    hal_mutex_unlock(&pager->lock);
    disk_page_io_finish(&io);
}

void port_pager_superblock_written(void)
{
    struct pager *pager = port_pager();
    hal_mutex_lock(&pager->lock);
    for (size_t i = 0; i < pager->freed_committed; i++) {
        port_stack_push(&pager->free, pager->freed.blocks[i]);
    }
    pager->freed.count -= pager->freed_committed;
    if (pager->freed.count > 0) {
        memmove(pager->freed.blocks, pager->freed.blocks + pager->freed_committed,
                pager->freed.count * sizeof(*pager->freed.blocks));
    }
    pager->freed_committed = 0;
    hal_mutex_unlock(&pager->lock);
}
