/* SPDX-License-Identifier: Apache-2.0
 *
 * vm_map.h - the object space and its snapshots. Stability: kept from the Genode port.
 *
 * Here the pages, what changed and what is on disk are the engine's business; these functions
 * start, ask for and end snapshots of the heap that is bound (phantom_persistence.h). struct
 * vm_page has the port's members for files that make such descriptors of their own; the library has
 * none.
 *
 * @threads any. Nothing here blocks, but vm_map_wait_for_finish().
 */
#ifndef PHANTOM_PORT_VM_MAP_H
#define PHANTOM_PORT_VM_MAP_H

#include "kernel/cond.h"
#include "kernel/mutex.h"
#include "kernel/sem.h"
#include "pager_io_req.h"
#include "phantom_disk.h"
#include "queue.h"

typedef struct vm_page {
    struct pager_io_request pager_io; /* first */
    void *virt_addr;
    physaddr_t phys_addr;
    void *squid_hash;
    unsigned char flag_pager_io_busy; /* pager_io is in use */
    unsigned char flag_phys_mem;      /* a frame is attached */
    unsigned char flag_phys_protect;  /* mapped read-only */
    unsigned char flag_phys_dirty;    /* the frame differs from the disk */
    unsigned char flag_have_curr;
    unsigned char flag_have_make;
    unsigned char flag_have_prev;
    disk_page_no_t curr_page; /* for ordinary page-out; 0: all zeros */
    disk_page_no_t make_page; /* of the snapshot that is being made */
    disk_page_no_t prev_page; /* of the last one */
    int access_count;
    int idle_count;
    int max_latency;
    hal_cond_t done;
    hal_mutex_t lock;
    queue_chain_t reclaim_q_chain;
    int wired_count;
    int exists;
} vm_page;

/** What files of the port call for a page; the library calls none. @threads theirs; it may block.
 */
typedef void (*vmem_page_func_t)(struct vm_page *);

/** Prepare a descriptor for the page at that address; it stays the caller's. Panics when out of
 *  memory. Never blocks. @threads one for each descriptor */
void vm_page_init(vm_page *me, void *my_vaddr);
/** There is something to write out: a snapshot is asked for, as by request_snap(). Never blocks. */
void vm_page_req_pageout(void);

/**
 * The object space has this many pages; its snapshot thread begins. Its content was restored when
 * the heap was opened. Panics if none is bound, it is smaller (of a world nobody counts), or the
 * snapshot thread of this instance runs already. @threads any; does not block
 */
void vm_map_init(unsigned long page_count);
/** Take a last snapshot and end the snapshot thread; does not wait: never blocks. */
void vm_map_finish(void);
/** Blocks until that is done; at once if vm_map_init() was not called. @pre the calling thread is
 *  not in the heap (vm_lock_persistent_memory()): the last snapshot may wait for it */
void vm_map_wait_for_finish(void);
/** Its base; NULL: none is bound, or it is a world's. Never blocks. */
void *vm_map_get_object_address_space_start(void);
/** From now on, a snapshot each set_snap_interval() seconds. vm_map_init() turns it off: to be
 *  called after. Never blocks. */
void vm_enable_regular_snaps(void);
/** Give memory back to the machine: which page is for the kernel to say, so nothing is done. Never
 *  blocks. */
void physmem_try_to_reclaim_page(void);

/** A snapshot is being taken. */
extern volatile int is_in_snapshot_process;

#endif /* PHANTOM_PORT_VM_MAP_H */
