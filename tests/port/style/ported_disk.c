/* SPDX-License-Identifier: Apache-2.0
 * As a driver of the port uses a disk: many page-outs at once, a fence, page-ins, each with a
 * callback that finds its own structure behind the request. */
#include "ported.h"

#include <disk.h>
#include <hal.h>
#include <kernel/atomic.h>
#include <ph_string.h>
#include <phantom_hal.h>

enum { PAGES = 24, FIRST_BLOCK = 4 };

struct frame {
    pager_io_request req; /* first */
    void *va;
    int writes, reads;
};

static struct frame frames[PAGES];
static hal_sem_t all_done;
static volatile int wrong;

static void frame_done(pager_io_request *rq, int write)
{
    struct frame *f = (struct frame *)(void *)rq;
    if (rq->rc != 0 || rq->flag_pagein || rq->flag_pageout) {
        atomic_add(&wrong, 1);
    }
    f->writes += write != 0;
    f->reads += write == 0;
    hal_sem_release(&all_done);
}

static void go(phantom_disk_partition_t *p, bool out)
{
    for (int i = 0; i < PAGES; i++) {
        frames[i].req.flag_pageout = out;
        frames[i].req.flag_pagein = !out;
        frames[i].req.flag_urgent = i % 5 == 0;
        frames[i].req.rc = 0;
        disk_enqueue(p, &frames[i].req);
    }
    for (int i = 0; i < PAGES; i++) {
        hal_sem_acquire(&all_done);
    }
}

int ported_disk(const char *image)
{
    struct phantom_disk_partition *p = 0;
    if (phantom_hal_add_disk(image, 0, &p) != 0 || hal_sem_init(&all_done, "disk") != 0) {
        return 1;
    }
    for (int i = 0; i < PAGES; i++) {
        pager_io_request_init(&frames[i].req);
        hal_pv_alloc(&frames[i].req.phys_page, &frames[i].va, PAGE_SIZE);
        frames[i].req.disk_page = (disk_page_no_t)(FIRST_BLOCK + i);
        frames[i].req.pager_callback = frame_done;
        ph_memset(frames[i].va, 'a' + i, PAGE_SIZE);
    }
    go(p, true);
    if (disk_fence(p) != 0) {
        return 2;
    }
    for (int i = 0; i < PAGES; i++) {
        ph_memset(frames[i].va, 0, PAGE_SIZE);
    }
    go(p, false);
    int bad = wrong;
    for (int i = 0; i < PAGES; i++) {
        const char *bytes = frames[i].va;
        bad += bytes[0] != 'a' + i || bytes[PAGE_SIZE - 1] != 'a' + i;
        bad += frames[i].writes != 1 || frames[i].reads != 1;
        hal_pv_free(frames[i].req.phys_page, frames[i].va, PAGE_SIZE);
    }
    /* hal_sem_destroy() waits for nobody: the callbacks have given all they had to give. */
    hal_sem_destroy(&all_done);
    return bad == 0 ? 0 : 3;
}
