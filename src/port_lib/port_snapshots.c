/* SPDX-License-Identifier: Apache-2.0
 *
 * port_snapshots.c - <vm_map.h>, <snap_internal.h>, <kernel/vm.h>: snapshots of the bound heap, and
 * the thread that takes them.
 *
 * Owns the snapshot thread's wishes. Lock order: snap_lock is a leaf; it is not held while a
 * snapshot is taken. Between calls: generation counts the snapshots that were tried; running is
 * true from vm_map_init() until the thread has ended.
 */
#include "snap_internal.h"

#include "hal.h"
#include "init_routines.h"
#include "kernel/debug_graphical.h"
#include "kernel/snap_sync.h"
#include "kernel/stats.h"
#include "kernel/vm.h"
#include "phantom_persistence.h"
#include "port_heap.h"
#include "port_interlock.h"
#include "spinlock.h"
#include "squidlib.h"
#include "threads.h"
#include "vm_map.h"

#include <phantom/error.h>

#include <string.h>

volatile int is_in_snapshot_process;

static hal_spinlock_t init_lock;
static _Atomic bool ready;
static hal_mutex_t snap_lock;
static hal_cond_t snap_changed; /* a wish, or what came of one */
static bool running;
static bool wanted;
static bool finish;
static bool regular;
static int interval_s = 5;
static unsigned long generation;
static _Atomic int last_result;

void vm_map_pre_init(void)
{
    phantom_snap_threads_interlock_init();
    hal_spin_lock(&init_lock);
    if (!ready) {
        if (hal_mutex_init(&snap_lock, "snapshots") != 0 ||
            hal_cond_init(&snap_changed, "snapshots") != 0) {
            panic("snapshots: out of memory");
        }
        ready = true;
    }
    hal_spin_unlock(&init_lock);
}

int phantom_port_snapshot_result(void)
{
    return last_result;
}

void do_snapshot(void)
{
    if (!ready) {
        vm_map_pre_init();
    }
    int depth = port_interlock_let_go();
    __atomic_fetch_add(&is_in_snapshot_process, 1, __ATOMIC_SEQ_CST);
    port_interlock_hint(1);
    int rc = port_heap_snapshot();
    port_interlock_hint(-1);
    __atomic_fetch_sub(&is_in_snapshot_process, 1, __ATOMIC_SEQ_CST);
    last_result = rc;
    if (rc == 0) {
        STAT_INC_CNT(STAT_CNT_SNAPSHOT);
        ph_printf("Snapshot done\n");
    } else {
        ph_printf("snapshot failed: %s\n", phantom_strerror(rc));
    }
    hal_mutex_lock(&snap_lock);
    generation += rc == 0;
    hal_cond_broadcast(&snap_changed);
    hal_mutex_unlock(&snap_lock);
    port_interlock_take_again(depth);
}

/* Until somebody wants a snapshot, or it is time. Lock held. */
static void wait_for_a_wish(void)
{
    bigtime_t begin = hal_system_time();
    while (!wanted && !finish) {
        long left = 1000L * interval_s - (long)((hal_system_time() - begin) / 1000);
        if (!regular) {
            hal_cond_wait(&snap_changed, &snap_lock);
        } else if (left > 0) {
            hal_cond_timedwait(&snap_changed, &snap_lock, left);
        } else {
            return;
        }
    }
}

static void snapshot_thread(void *arg)
{
    (void)arg;
    t_current_set_name("SnapShot");
    t_set_snapper_flag();
    bool last = false;
    while (!last) {
        hal_mutex_lock(&snap_lock);
        wait_for_a_wish();
        wanted = false;
        last = finish;
        hal_mutex_unlock(&snap_lock);
        do_snapshot();
    }
    hal_mutex_lock(&snap_lock);
    running = false;
    hal_cond_broadcast(&snap_changed);
    hal_mutex_unlock(&snap_lock);
}

void vm_map_init(unsigned long page_count)
{
    vm_map_pre_init();
    if (port_heap_base() == NULL || page_count > port_heap_size() / __MEM_PAGE) {
        panic("vm_map_init: %lu pages, and a heap of %llu bytes is bound", page_count,
              (unsigned long long)port_heap_size());
    }
    hal_mutex_lock(&snap_lock);
    bool was_running = running;
    running = true;
    finish = false;
    wanted = false;
    regular = false;
    hal_mutex_unlock(&snap_lock);
    if (was_running) {
        panic("vm_map_init: it was called already");
    }
    tid_t tid = hal_start_thread(snapshot_thread, NULL, THREAD_FLAG_KERNEL);
    if (tid < 0) {
        panic("vm_map_init: no thread: %d", tid);
    }
}

static void wish(bool *which)
{
    if (!ready) {
        vm_map_pre_init();
    }
    hal_mutex_lock(&snap_lock);
    *which = true;
    hal_cond_broadcast(&snap_changed);
    hal_mutex_unlock(&snap_lock);
}

void request_snap(void)
{
    wish(&wanted);
}

void vm_page_req_pageout(void)
{
    request_snap();
}

void vm_enable_regular_snaps(void)
{
    wish(&regular);
}

void vm_map_finish(void)
{
    wish(&finish);
}

void set_snap_interval(int interval_sec)
{
    if (!ready) {
        vm_map_pre_init();
    }
    hal_mutex_lock(&snap_lock);
    interval_s = interval_sec < 1 ? 1 : interval_sec;
    hal_cond_broadcast(&snap_changed);
    hal_mutex_unlock(&snap_lock);
}

void vm_map_wait_for_finish(void)
{
    if (!ready) {
        return;
    }
    hal_mutex_lock(&snap_lock);
    while (running) {
        hal_cond_wait(&snap_changed, &snap_lock);
    }
    hal_mutex_unlock(&snap_lock);
}

void phantom_wait_4_snapshot_done(void)
{
    if (!ready) {
        vm_map_pre_init();
    }
    hal_mutex_lock(&snap_lock);
    unsigned long before = generation;
    while (generation == before) {
        hal_cond_wait(&snap_changed, &snap_lock);
    }
    hal_mutex_unlock(&snap_lock);
}

void *vm_map_get_object_address_space_start(void)
{
    return port_heap_base();
}

/* ---- pages --------------------------------------------------------------------------------- */

void vm_page_init(vm_page *me, void *my_vaddr)
{
    memset(me, 0, sizeof(*me));
    pager_io_request_init(&me->pager_io);
    me->virt_addr = my_vaddr;
    if (hal_mutex_init(&me->lock, "vm_page") != 0 || hal_cond_init(&me->done, "vm_page") != 0) {
        panic("vm_page: out of memory");
    }
}

int genode_pf_handler_wrapper(void *address, int write, int ip, struct trap_state *ts)
{
    uintptr_t offset = (uintptr_t)address;
    (void)ip;
    (void)ts;
    if (port_heap_base() == NULL || offset >= port_heap_size()) {
        return EFAULT;
    }
    char *page = (char *)port_heap_base() + offset / __MEM_PAGE * __MEM_PAGE;
    if (port_heap_load(page, __MEM_PAGE) != 0) {
        return EIO;
    }
    if (write) {
        port_heap_wrote(page, __MEM_PAGE);
    }
    return 0;
}

int vm_map_page_fault_trap_handler(struct trap_state *st)
{
    (void)st;
    return 0;
}

void wire_page_for_addr(void *addr, size_t count)
{
    int rc = port_heap_load(addr, count);
    if (rc != 0) {
        panic("pages at %p cannot be loaded: %s", addr, phantom_strerror(rc));
    }
    STAT_INC_CNT(STAT_CNT_WIRE);
}

void unwire_page_for_addr(void *addr, size_t count)
{
    (void)addr;
    (void)count;
}

void vm_map_page_mark_unused(addr_t page_start)
{
    (void)page_start;
}

void physmem_try_to_reclaim_page(void)
{
}

void paint_persistent_memory_map(window_handle_t w, rect_t *r)
{
    uint64_t used = 0;
    uint64_t reserved = 0;
    uint64_t all = 1;
    port_heap_usage(&used, &reserved, &all);
    int green = (int)((double)r->xsize * (double)used / (double)all);
    int yellow = (int)((double)r->xsize * (double)reserved / (double)all);
    if (used > 0 && green == 0 && r->xsize > 0) {
        green = 1; /* something is there */
    }
    w_fill_box(w, r->x, r->y, r->xsize, r->ysize, COLOR_BLUE);
    w_fill_box(w, r->x, r->y, yellow, r->ysize, COLOR_YELLOW);
    w_fill_box(w, r->x, r->y, green, r->ysize, COLOR_LIGHTGREEN);
}

/* ---- names that are kept ------------------------------------------------------------------- */

void squid_hash(void *hash)
{
    (void)hash;
}

enum SquidError squid_write(void *hash, void *payload, unsigned long long size)
{
    (void)hash;
    (void)payload;
    (void)size;
    return SQUID_WRITE;
}

enum SquidError squid_test(void)
{
    return SQUID_CREATE;
}
