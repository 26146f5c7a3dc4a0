/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_internal.h - what the files of the plain HAL share: who is told of a fork, and descriptors
 * of files that may be locked.
 *
 * Lock order: fork list, then lock table, then the futex's buckets. fork() takes all three.
 */
#ifndef PLAIN_INTERNAL_H
#define PLAIN_INTERNAL_H

#include "snap_io.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/** Something that does not exist in a child made by fork(). */
struct plain_forkable {
    void (*in_child)(struct plain_forkable *self); /* NULL: only the flag */
    struct plain_forkable *next, *previous;
    atomic_bool forked; /* this is the child */
};
void plain_fork_enlist(struct plain_forkable *forkable);
void plain_fork_delist(struct plain_forkable *forkable);
/** Call `visit` for all with this in_child, until it returns true. */
bool plain_fork_each(void (*kind)(struct plain_forkable *),
                     bool (*visit)(struct plain_forkable *, void *context), void *context);

/* The three places that must stand still while the process is copied. */
void plain_locks_hold(void);
void plain_locks_release(bool child);
void plain_futex_hold(void);
void plain_futex_release(void);

/**
 * Locks of POSIX belong to the process, and closing any descriptor of a file drops them all. So
 * every descriptor that this room opens on a file that may be a store is kept in a table.
 */
struct plain_descriptor;
/** Takes the descriptor, also when it fails: 0, -ENOMEM or -errno. */
int plain_descriptor_keep(int fd, struct plain_descriptor **out);
int plain_descriptor_fd(const struct plain_descriptor *descriptor);
/** Drops its locks, and closes it when that costs nobody else his. */
void plain_descriptor_drop(struct plain_descriptor *descriptor);
/** 0, -EAGAIN (another descriptor or process has it), -ENOMEM or -errno. */
int plain_descriptor_lock(struct plain_descriptor *descriptor, uint64_t byte,
                          enum snap_io_lock kind);
/** 1: somebody else, here or in another process, has a lock from this byte on; *byte: the lowest.
 * 0, or -errno. */
int plain_descriptor_locked(struct plain_descriptor *descriptor, uint64_t from, uint64_t *byte);

/** Make the directory entry of this path durable. 0 or -errno. */
int plain_sync_directory(const char *path);

#endif /* PLAIN_INTERNAL_H */
