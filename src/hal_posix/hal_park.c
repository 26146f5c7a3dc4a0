/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_park.c - the parts of <hal.h> from which stops of the world and group commits are made: a
 * fence on all CPUs, a word of each thread, a flag that a fork sets. (The futex: hal_futex.c.) Owns
 * nothing but the flags, which are in the fork list (hal_fork.c).
 */
#include "hal_internal.h"
#include "ph_check.h"
#include "ph_memory.h"

#include <hal.h>

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

errno_t hal_fence_all_prepare(void)
{
    long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    return rc == 0 ? 0 : ENOSYS;
}

void hal_fence_all(void)
{
    long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    PH_CHECK(rc == 0); /* prepared before: there is no other way to fail */
}

errno_t hal_thread_key_create(hal_thread_key_t *key, void (*at_end)(void *value))
{
    pthread_key_t made;
    int rc = pthread_key_create(&made, at_end);
    if (rc == 0) {
        *key = made;
    }
    return rc;
}

void hal_thread_key_delete(hal_thread_key_t key)
{
    (void)pthread_key_delete(key);
}

void *hal_thread_key_get(hal_thread_key_t key)
{
    return pthread_getspecific(key);
}

errno_t hal_thread_key_set(hal_thread_key_t key, void *value)
{
    return pthread_setspecific(key, value);
}

struct fork_flag {
    atomic_bool forked;
    struct hal_fork_entry entry;
};

static void flag_in_child(struct hal_fork_entry *entry)
{
    struct fork_flag *flag =
        (struct fork_flag *)((char *)entry - offsetof(struct fork_flag, entry));
    atomic_store(&flag->forked, true);
}

errno_t hal_fork_flag_create(const atomic_bool **out)
{
    struct fork_flag *flag = ph_zalloc(1, sizeof(*flag));
    if (flag == NULL || hal_fork_hold() != 0) {
        ph_free(flag);
        return ENOMEM;
    }
    flag->entry.in_child = flag_in_child;
    hal_fork_enlist(&flag->entry);
    hal_fork_release();
    *out = &flag->forked;
    return 0;
}

void hal_fork_flag_destroy(const atomic_bool *out)
{
    if (out == NULL) {
        return;
    }
    struct fork_flag *flag = (struct fork_flag *)(uintptr_t)out; /* the first member */
    bool held = hal_fork_hold() == 0; /* it was held once, so this succeeds */
    hal_fork_delist(&flag->entry);
    if (held) {
        hal_fork_release();
    }
    ph_free(flag);
}
