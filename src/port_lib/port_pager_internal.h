/* SPDX-License-Identifier: Apache-2.0
 *
 * port_pager_internal.h - what the files of the pager share. One pager an instance.
 *
 * Lock order: lock, then the disk's. lock is not held while lists are read or written, but by
 * pager_commit_active_free_list() and pager_init_free_list(), whose lists are the pager's own.
 */
#ifndef PORT_PAGER_INTERNAL_H
#define PORT_PAGER_INTERNAL_H

#include "kernel/mutex.h"
#include "pager.h"

/* A growing array of block numbers. */
struct block_stack {
    disk_page_no_t *blocks;
    size_t count;
    size_t room;
};

struct pager {
    phantom_disk_partition_t **partition; /* the default instance's global pp, or the next one */
    phantom_disk_partition_t *own_partition;
    hal_mutex_t lock;
    phantom_disk_superblock superblock;
    struct block_stack free;     /* may be given out */
    struct block_stack freed;    /* since the last commit: the disk still needs them */
    size_t freed_committed;      /* of freed: in the list that was written */
    struct block_stack nodes;    /* of the free list that the superblock on disk names */
    struct block_stack deferred; /* pager_free_blocklist_page_locked() */
};

/** Of the calling thread's instance. */
struct pager *port_pager(void);

void port_stack_push(struct block_stack *stack, disk_page_no_t block);
void port_stack_append(struct block_stack *to, struct block_stack *from); /* from is empty then */

/** May the pager give out this block? Not below the start, nor beyond the end, nor a superblock's.
 */
bool port_pager_owns(disk_page_no_t block);
/** A superblock's place. */
bool port_is_superblock_slot(disk_page_no_t block);
/** After a superblock was written: what it does not name any more may be given out. */
void port_pager_superblock_written(void);

#endif /* PORT_PAGER_INTERNAL_H */
