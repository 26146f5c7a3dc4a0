/* SPDX-License-Identifier: Apache-2.0
 *
 * port_snapshots.c - <vm_map.h>, <snap_internal.h>, <kernel/vm.h>: snapshots of the bound heap, and
 * the thread that takes them.
 *
 * Owns the wishes to the snapshot thread of an instance. Lock order: the lock is a leaf; it is not
 * held while a snapshot is taken. Between calls: durable <= past <= begun, numbers of snapshots;
 * running is true from vm_map_init() until the thread has ended. is_in_snapshot_process counts the
 * snapshots that are taken now, of all instances.
 */
#include "snap_internal.h"

#include "hal.h"
#include "init_routines.h"
#include "kernel/debug_graphical.h"
#include "kernel/snap_sync.h"
#include "kernel/stats.h"
#include "kernel/vm.h"
#include "ph_memory.h"
#include "phantom_persistence.h"
#include "port_heap.h"
#include "port_interlock.h"
#include "port_state.h"
#include "spinlock.h"
#include "squidlib.h"
#include "threads.h"
#include "vm_map.h"

#include <phantom/error.h>

#include <string.h>

volatile int is_in_snapshot_process;

struct port_snapshots {
    hal_mutex_t lock;
    hal_cond_t changed; /* a wish, or what came of one */
    bool running;
    bool wanted;
    bool finish;
    bool regular;
    int interval_s;
    unsigned long begun;   /* so many were begun: the newest one's number */
    unsigned long past;    /* the highest number of one that has ended */
    unsigned long durable; /* likewise, and succeeded */
    _Atomic int last_result;
};

int port_snapshots_open(struct port_lib_state *state)
{
    struct port_snapshots *snaps = ph_zalloc(1, sizeof(*snaps));
    if (snaps == NULL) {
        return ENOMEM;
    }
    snaps->interval_s = 5;
    state->snapshots = snaps;
    if (hal_mutex_init(&snaps->lock, "snapshots") != 0 ||
        hal_cond_init(&snaps->changed, "snapshots") != 0) {
        port_snapshots_close(state);
        return ENOMEM;
    }
    return 0;
}

void port_snapshots_close(struct port_lib_state *state)
{
    hal_cond_destroy(&state->snapshots->changed);
    hal_mutex_destroy(&state->snapshots->lock);
    ph_free(state->snapshots);
}

static struct port_snapshots *my_snapshots(void)
{
    return port_lib_state()->snapshots;
}

void vm_map_pre_init(void)
{
    (void)my_snapshots(); /* the instance is there from now on */
}

int phantom_port_snapshot_result(void)
{
    return my_snapshots()->last_result;
}

void do_snapshot(void)
{
    struct port_snapshots *snaps = my_snapshots();
    int depth = port_interlock_let_go();
    hal_mutex_lock(&snaps->lock);
    unsigned long number = ++snaps->begun;
    hal_mutex_unlock(&snaps->lock);
    __atomic_fetch_add(&is_in_snapshot_process, 1, __ATOMIC_SEQ_CST);
    port_interlock_hint(1);
    int rc = port_heap_snapshot();
    port_interlock_hint(-1);
    __atomic_fetch_sub(&is_in_snapshot_process, 1, __ATOMIC_SEQ_CST);
    snaps->last_result = rc;
    if (rc == 0) {
        STAT_INC_CNT(STAT_CNT_SNAPSHOT);
        ph_printf("Snapshot done\n");
    } else {
        ph_printf("snapshot failed: %s\n", phantom_strerror(rc));
    }
    hal_mutex_lock(&snaps->lock);
    snaps->past = number > snaps->past ? number : snaps->past;
    snaps->durable = rc == 0 && number > snaps->durable ? number : snaps->durable;
    hal_cond_broadcast(&snaps->changed);
    hal_mutex_unlock(&snaps->lock);
    port_interlock_take_again(depth);
}

/* Until somebody wants a snapshot, or it is time. Lock held. */
static void wait_for_a_wish(struct port_snapshots *snaps)
{
    bigtime_t begin = hal_system_time();
    while (!snaps->wanted && !snaps->finish) {
        long left = 1000L * snaps->interval_s - (long)((hal_system_time() - begin) / 1000);
        if (!snaps->regular) {
            hal_cond_wait(&snaps->changed, &snaps->lock);
        } else if (left > 0) {
            hal_cond_timedwait(&snaps->changed, &snaps->lock, left);
        } else {
            return;
        }
    }
}

static void snapshot_thread(void *arg)
{
    struct port_snapshots *snaps = arg;
    t_current_set_name("SnapShot");
    t_set_snapper_flag();
    bool last = false;
    while (!last) {
        hal_mutex_lock(&snaps->lock);
        wait_for_a_wish(snaps);
        snaps->wanted = false;
        last = snaps->finish;
        hal_mutex_unlock(&snaps->lock);
        do_snapshot();
    }
    hal_mutex_lock(&snaps->lock);
    snaps->running = false;
    hal_cond_broadcast(&snaps->changed);
    hal_mutex_unlock(&snaps->lock);
}

void vm_map_init(unsigned long page_count)
{
    struct port_snapshots *snaps = my_snapshots();
    if (!port_heap_bound()) {
        panic("vm_map_init: no heap is bound");
    }
    if (port_heap_base() != NULL && page_count > port_heap_size() / __MEM_PAGE) {
        panic("vm_map_init: %lu pages, and a heap of %llu bytes is bound", page_count,
              (unsigned long long)port_heap_size());
    }
    hal_mutex_lock(&snaps->lock);
    bool was_running = snaps->running;
    snaps->running = true;
    snaps->finish = false;
    snaps->wanted = false;
    snaps->regular = false;
    hal_mutex_unlock(&snaps->lock);
    if (was_running) {
        panic("vm_map_init: it was called already");
    }
    tid_t tid = hal_start_thread(snapshot_thread, snaps, THREAD_FLAG_KERNEL);
    if (tid < 0) {
        panic("vm_map_init: no thread: %d", tid);
    }
}

static void wish(struct port_snapshots *snaps, bool *which)
{
    hal_mutex_lock(&snaps->lock);
    *which = true;
    hal_cond_broadcast(&snaps->changed);
    hal_mutex_unlock(&snaps->lock);
}

void request_snap(void)
{
    struct port_snapshots *snaps = my_snapshots();
    wish(snaps, &snaps->wanted);
}

void vm_page_req_pageout(void)
{
    request_snap();
}

void vm_enable_regular_snaps(void)
{
    struct port_snapshots *snaps = my_snapshots();
    wish(snaps, &snaps->regular);
}

void vm_map_finish(void)
{
    struct port_snapshots *snaps = my_snapshots();
    wish(snaps, &snaps->finish);
}

void set_snap_interval(int interval_sec)
{
    struct port_snapshots *snaps = my_snapshots();
    hal_mutex_lock(&snaps->lock);
    snaps->interval_s = interval_sec < 1 ? 1 : interval_sec;
    hal_cond_broadcast(&snaps->changed);
    hal_mutex_unlock(&snaps->lock);
}

void vm_map_wait_for_finish(void)
{
    struct port_snapshots *snaps = my_snapshots();
    hal_mutex_lock(&snaps->lock);
    while (snaps->running) {
        hal_cond_wait(&snaps->changed, &snaps->lock);
    }
    hal_mutex_unlock(&snaps->lock);
}

/* Until the number is that of a snapshot which began after the call. Outside the heap, where a
 * snapshot would wait for us. */
int port_last_snapshot(void)
{
    struct port_snapshots *snaps = my_snapshots();
    if (!port_heap_bound()) {
        return 0;
    }
    hal_mutex_lock(&snaps->lock);
    bool by_thread = snaps->running;
    hal_mutex_unlock(&snaps->lock);
    if (by_thread) {
        int depth = port_interlock_let_go(); /* or it would wait for us */
        vm_map_finish();
        vm_map_wait_for_finish();
        port_interlock_take_again(depth);
    } else {
        do_snapshot();
    }
    return phantom_port_snapshot_result();
}

static void wait_for_new(struct port_snapshots *snaps, const unsigned long *number)
{
    hal_mutex_lock(&snaps->lock);
    unsigned long before = snaps->begun;
    hal_mutex_unlock(&snaps->lock);
    int depth = port_interlock_let_go();
    hal_mutex_lock(&snaps->lock);
    while (*number <= before) {
        hal_cond_wait(&snaps->changed, &snaps->lock);
    }
    hal_mutex_unlock(&snaps->lock);
    port_interlock_take_again(depth);
}

void phantom_wait_4_snapshot_done(void)
{
    struct port_snapshots *snaps = my_snapshots();
    wait_for_new(snaps, &snaps->durable);
}

void phantom_wait_4_snapshot_snap(void)
{
    struct port_snapshots *snaps = my_snapshots();
    wait_for_new(snaps, &snaps->past);
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
