/* SPDX-License-Identifier: Apache-2.0
 *
 * port_pagelist.c - <pagelist.h>: blocks in memory and chained lists of block numbers. No state of
 * its own. Between calls of a list: curr is the block in curr_p, 0 <= curr_displ <= its `used`.
 */
#include "pagelist.h"

#include "hal.h"
#include "pager.h"
#include "phantom_assert.h"

#include <string.h>

/* ---- one block ----------------------------------------------------------------------------- */

void disk_page_io_init(disk_page_io *me)
{
    memset(me, 0, sizeof(*me));
    pager_io_request_init(&me->req);
    if (hal_sem_init(&me->done, "disk_page_io") != 0) {
        panic("disk_page_io: out of memory");
    }
}

void disk_page_io_allocate(disk_page_io *me)
{
    if (!me->mem_allocated) {
        hal_pv_alloc(&me->req.phys_page, &me->mem, DISK_STRUCT_BS);
        me->mem_allocated = 1;
    }
}

void disk_page_io_release(disk_page_io *me)
{
    if (me->mem_allocated) {
        hal_pv_free(me->req.phys_page, me->mem, DISK_STRUCT_BS);
        me->mem_allocated = 0;
        me->mem = NULL;
    }
}

void disk_page_io_finish(disk_page_io *me)
{
    disk_page_io_release(me);
    hal_sem_destroy(&me->done);
}

void *disk_page_io_data(disk_page_io *me)
{
    disk_page_io_allocate(me);
    return me->mem;
}

void disk_page_io_callback(disk_page_io *me)
{
    hal_sem_release(&me->done);
}

static void request_done(pager_io_request *rq, int write)
{
    (void)write;
    disk_page_io_callback((disk_page_io *)(void *)rq);
}

void disk_page_io_load_me_async(disk_page_io *me)
{
    disk_page_io_allocate(me);
    me->req.pager_callback = request_done;
    pager_enqueue_for_pagein(&me->req);
}

void disk_page_io_save_me_async(disk_page_io *me)
{
    disk_page_io_allocate(me);
    me->req.pager_callback = request_done;
    pager_enqueue_for_pageout(&me->req);
}

errno_t disk_page_io_wait(disk_page_io *me)
{
    hal_sem_acquire(&me->done);
    return me->req.rc;
}

errno_t disk_page_io_load_sync(disk_page_io *me, disk_page_no_t dpage)
{
    me->req.disk_page = dpage;
    disk_page_io_load_me_async(me);
    return disk_page_io_wait(me);
}

errno_t disk_page_io_save_sync(disk_page_io *me, disk_page_no_t dpage)
{
    me->req.disk_page = dpage;
    disk_page_io_save_me_async(me);
    return disk_page_io_wait(me);
}

/* ---- a block that is written back ---------------------------------------------------------- */

void disk_page_cache_init(disk_page_cache *me)
{
    disk_page_io_init(&me->io);
    me->dirty = 0;
    me->loading = 0;
}

static void wait_until_loaded(disk_page_cache *me)
{
    if (me->loading) {
        me->loading = 0;
        errno_t rc = disk_page_io_wait(&me->io);
        if (rc != 0) {
            panic("block %u cannot be read: %s", me->io.req.disk_page, strerror(rc));
        }
    }
}

void disk_page_cache_flush(disk_page_cache *me)
{
    wait_until_loaded(me);
    if (me->dirty) {
        errno_t rc = disk_page_io_save_sync(&me->io, me->io.req.disk_page);
        if (rc != 0) {
            panic("block %u cannot be written: %s", me->io.req.disk_page, strerror(rc));
        }
        me->dirty = 0;
    }
}

void disk_page_cache_finish(disk_page_cache *me)
{
    disk_page_cache_flush(me);
    disk_page_io_finish(&me->io);
}

void *disk_page_cache_data(disk_page_cache *me)
{
    wait_until_loaded(me);
    return disk_page_io_data(&me->io);
}

void disk_page_cache_modified(disk_page_cache *me)
{
    me->dirty = 1;
}

void disk_page_cache_seek_async(disk_page_cache *me, disk_page_no_t dpage)
{
    disk_page_cache_flush(me);
    me->io.req.disk_page = dpage;
    me->loading = 1;
    disk_page_io_load_me_async(&me->io);
}

void disk_page_cache_seek_sync(disk_page_cache *me, disk_page_no_t dpage)
{
    disk_page_cache_seek_async(me, dpage);
    wait_until_loaded(me);
}

void disk_page_cache_seek_noread(disk_page_cache *me, disk_page_no_t dpage)
{
    disk_page_cache_flush(me);
    me->io.req.disk_page = dpage;
    memset(disk_page_io_data(&me->io), 0, DISK_STRUCT_BS);
}

/* ---- lists --------------------------------------------------------------------------------- */

/* The list goes on in this block, which is there. */
static void open_block(pagelist *me, disk_page_no_t block)
{
    disk_page_cache_seek_sync(&me->curr_p, block);
    me->curr = disk_page_cache_data(&me->curr_p);
    me->curr_displ = 0;
    if (me->curr->head.magic != (u_int32_t)me->magic || me->curr->head.used > N_REF_PER_BLOCK) {
        panic("block %u is no block of list %u: magic %x, %u entries", block, me->root_page,
              me->curr->head.magic, me->curr->head.used);
    }
}

/* An empty one. */
static void make_block(pagelist *me, disk_page_no_t block)
{
    disk_page_cache_seek_noread(&me->curr_p, block);
    me->curr = disk_page_cache_data(&me->curr_p);
    me->curr->head.magic = (u_int32_t)me->magic;
    me->curr_displ = 0;
    disk_page_cache_modified(&me->curr_p);
}

void pagelist_init(pagelist *me, disk_page_no_t root_page, int init, int magic)
{
    memset(me, 0, sizeof(*me));
    me->magic = magic;
    me->root_page = root_page;
    disk_page_cache_init(&me->curr_p);
    if (init) {
        make_block(me, root_page);
    } else {
        open_block(me, root_page);
    }
}

void pagelist_flush(pagelist *me)
{
    disk_page_cache_flush(&me->curr_p);
}

void pagelist_finish(pagelist *me)
{
    disk_page_cache_finish(&me->curr_p);
}

void pagelist_seek(pagelist *me)
{
    open_block(me, me->root_page);
    me->pos = 0;
}

/* Each list has fewer blocks than the disk: more is a chain that bites its tail. */
static void check_length(const pagelist *me)
{
    if ((u_int32_t)me->pos / N_REF_PER_BLOCK > pager_superblock_ptr()->disk_page_count) {
        panic("the list at block %u has no end", me->root_page);
    }
}

void pagelist_clear(pagelist *me)
{
    pagelist_seek(me);
    disk_page_no_t next = me->curr->head.next;
    u_int32_t blocks = 0;
    while (next != 0) {
        open_block(me, next);
        disk_page_no_t after = me->curr->head.next;
        pager_free_page(next);
        next = after;
        if (++blocks > pager_superblock_ptr()->disk_page_count) {
            panic("the list at block %u has no end", me->root_page);
        }
    }
    make_block(me, me->root_page);
    me->pos = 0;
}

int pagelist_read_seq(pagelist *me, disk_page_no_t *out)
{
    u_int32_t empty = 0;
    while ((u_int32_t)me->curr_displ >= me->curr->head.used) {
        if (me->curr->head.next == 0) {
            return 0;
        }
        check_length(me);
        if (++empty > pager_superblock_ptr()->disk_page_count) {
            panic("the list at block %u has no end", me->root_page);
        }
        open_block(me, me->curr->head.next);
    }
    *out = me->curr->list[me->curr_displ++];
    me->pos++;
    return 1;
}

void pagelist_write_seq(pagelist *me, disk_page_no_t block)
{
    if (me->curr_displ == N_REF_PER_BLOCK) {
        disk_page_no_t next = 0;
        if (!pager_alloc_page_locked(&next)) {
            panic("the disk is full: the list at block %u cannot grow", me->root_page);
        }
        me->curr->head.next = next;
        disk_page_cache_modified(&me->curr_p);
        make_block(me, next);
    }
    me->curr->list[me->curr_displ++] = block;
    me->curr->head.used = (u_int32_t)me->curr_displ;
    me->pos++;
    disk_page_cache_modified(&me->curr_p);
}
