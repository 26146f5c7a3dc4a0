/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_fork.c - what a forked child lets go of.
 *
 * A world belongs to the process that opened it. Its child by fork() would inherit copies of the
 * store's descriptor, and with them the writer lock: a store could then stay locked after its
 * process died. So the child closes every descriptor of this room inside fork(), and the objects
 * are marked: each operation on them returns PHANTOM_EFORKED, and close returns at once and frees
 * nothing (ARCHITECTURE.md, "A forked child lets go without freeing"). The heap range itself is
 * not inherited (MADV_DONTFORK). Children made by raw clone() or vfork() skip fork
 * handlers: O_CLOEXEC covers those that exec, and others are outside the contract.
 *
 * Owns: the list of living objects. It is process-wide because fork() is; there is no way to give a
 * fork handler a context.
 * Locks: registry_lock is taken after any lock of an object, and by fork() itself. The list holds
 * every object of this room that has a descriptor open, whenever registry_lock is free.
 */
#include "hal_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hal_fork_entry *registry;
static bool handlers_installed;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&registry_lock);
}

static void after_fork_in_parent(void)
{
    (void)pthread_mutex_unlock(&registry_lock);
}

static void after_fork_in_child(void)
{
    for (struct hal_fork_entry *entry = registry; entry != NULL; entry = entry->next) {
        entry->in_child(entry);
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

int hal_fork_hold(void)
{
    (void)pthread_mutex_lock(&registry_lock);
    if (!handlers_installed) {
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
            (void)pthread_mutex_unlock(&registry_lock);
            return -ENOMEM;
        }
        handlers_installed = true;
    }
    return 0;
}

void hal_fork_release(void)
{
    (void)pthread_mutex_unlock(&registry_lock);
}

void hal_fork_enlist(struct hal_fork_entry *entry)
{
    entry->previous = NULL;
    entry->next = registry;
    if (registry != NULL) {
        registry->previous = entry;
    }
    registry = entry;
}

void hal_fork_delist(struct hal_fork_entry *entry)
{
    if (entry->previous != NULL) {
        entry->previous->next = entry->next;
    } else {
        registry = entry->next;
    }
    if (entry->next != NULL) {
        entry->next->previous = entry->previous;
    }
    entry->next = entry->previous = NULL;
}
