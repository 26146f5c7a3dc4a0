/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_internal.h - what the files of this room share and nobody else sees.
 */
#ifndef HAL_INTERNAL_H
#define HAL_INTERNAL_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

enum { HAL_PAGE_SIZE = 4096, HAL_THREAD_STACK = 1024 * 1024 };

/* ---- threads (hal_threads.c) ---------------------------------------------------------------- */

/**
 * Start a thread of ours: HAL_THREAD_STACK bytes of stack, all signals blocked except those that a
 * thread raises by its own instructions. out NULL: detached. 0 or a positive errno.
 */
int hal_thread_create(void *(*run)(void *), void *argument, pthread_t *out);

/* ---- fork (hal_fork.c) ---------------------------------------------------------------------- */

/**
 * Something that a forked child must let go of: open descriptors (a store's lock lives as long as
 * any copy of its descriptor does). in_child runs in the child, inside fork(): it may close
 * descriptors and set flags, nothing else.
 *
 * hal_fork_hold() .. hal_fork_release() keep fork() out while descriptors are opened or closed, so
 * that a child never inherits one that is not in the list. Enlist and delist between them.
 */
struct hal_fork_entry {
    void (*in_child)(struct hal_fork_entry *entry);
    struct hal_fork_entry *next, *previous;
};

int hal_fork_hold(void); /* 0, or -ENOMEM: then not held */
void hal_fork_release(void);
void hal_fork_enlist(struct hal_fork_entry *entry);
void hal_fork_delist(struct hal_fork_entry *entry);

/* ---- small system calls --------------------------------------------------------------------- */

/** close() that is not repeated on EINTR (Linux has closed it by then); -1 is ignored. */
void hal_close(int fd);
/** Short text of a small file below /proc, without the newline; empty on any failure. */
void hal_read_line(const char *path, char *out, size_t size);

#endif /* HAL_INTERNAL_H */
