/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_fork.c - what belongs to this process only: in a child made by fork() a flag is true, and
 * whoever is in the list puts away what it has. See plain_internal.h for the lock order.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "plain_internal.h"

#include <hal.h>

#include <errno.h>
#include <pthread.h>

static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static struct plain_forkable *fork_first;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&fork_lock);
    plain_locks_hold();
    plain_futex_hold();
}

static void release_all(bool child)
{
    plain_futex_release();
    plain_locks_release(child);
    (void)pthread_mutex_unlock(&fork_lock);
}

static void after_fork_in_parent(void)
{
    release_all(false);
}

static void after_fork_in_child(void)
{
    for (struct plain_forkable *f = fork_first; f != NULL; f = f->next) {
        atomic_store(&f->forked, true);
        if (f->in_child != NULL) {
            f->in_child(f);
        }
    }
    release_all(true);
}

static void fork_prepare(void)
{
    PH_CHECK(pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0);
}

void plain_fork_enlist(struct plain_forkable *forkable)
{
    (void)pthread_once(&fork_once, fork_prepare);
    atomic_init(&forkable->forked, false);
    (void)pthread_mutex_lock(&fork_lock);
    forkable->previous = NULL;
    forkable->next = fork_first;
    if (fork_first != NULL) {
        fork_first->previous = forkable;
    }
    fork_first = forkable;
    (void)pthread_mutex_unlock(&fork_lock);
}

void plain_fork_delist(struct plain_forkable *forkable)
{
    (void)pthread_mutex_lock(&fork_lock);
    if (forkable->previous != NULL) {
        forkable->previous->next = forkable->next;
    } else {
        fork_first = forkable->next;
    }
    if (forkable->next != NULL) {
        forkable->next->previous = forkable->previous;
    }
    (void)pthread_mutex_unlock(&fork_lock);
}

bool plain_fork_each(void (*kind)(struct plain_forkable *),
                     bool (*visit)(struct plain_forkable *, void *context), void *context)
{
    bool found = false;
    (void)pthread_mutex_lock(&fork_lock);
    for (struct plain_forkable *f = fork_first; f != NULL && !found; f = f->next) {
        found = f->in_child == kind && visit(f, context);
    }
    (void)pthread_mutex_unlock(&fork_lock);
    return found;
}

errno_t hal_fork_flag_create(const atomic_bool **flag)
{
    struct plain_forkable *forkable = ph_zalloc(1, sizeof(*forkable));
    if (forkable == NULL) {
        return ENOMEM;
    }
    plain_fork_enlist(forkable);
    *flag = &forkable->forked;
    return 0;
}

void hal_fork_flag_destroy(const atomic_bool *flag)
{
    if (flag != NULL) {
        struct plain_forkable *forkable =
            (struct plain_forkable *)((uintptr_t)flag - offsetof(struct plain_forkable, forked));
        plain_fork_delist(forkable);
        ph_free(forkable);
    }
}
