/* SPDX-License-Identifier: Apache-2.0
 *
 * space_helper.c - the space's own thread: periodic snapshots, rounds for which nobody waits, and,
 * when nothing was committed for a while, the seal and a piece of the store's accounting.
 *
 * It sleeps in a futex with a timeout and takes part in commits like any other thread. It owns
 * nothing; helper_alive says that it runs.
 */
#include "space_internal.h"

#include <limits.h>

enum {
    SEAL_AFTER_MS = 10,
    ACCOUNT_NODES = 512 /* at a time: a commit that begins meanwhile waits so long */
};

struct helper {
    struct phantom_space *space;
    uint64_t interval_ns;      /* 0: no periodic snapshots */
    uint64_t next_ns;          /* when the next one is due */
    uint64_t seen_generations; /* when it last looked */
    bool account;              /* the store has yet to derive which blocks are free */
};

static uint64_t generations(struct phantom_space *space)
{
    hal_mutex_lock(&space->lock);
    uint64_t count = space->counters.generations;
    hal_mutex_unlock(&space->lock);
    return count;
}

static void commit_if_changed(struct phantom_space *space)
{
    if (space_changed(space) && !atomic_load(&space->poisoned)) {
        (void)space_group_commit(&space->group);
    }
}

/** Nobody commits meanwhile. */
static void do_chores(void *context)
{
    struct helper *helper = context;
    struct phantom_space *space = helper->space;
    if (atomic_exchange(&space->unsealed, false) && !atomic_load(&space->poisoned)) {
        (void)snap_store_seal(space->store); /* poisons the store; the next commit says so */
    }
    if (helper->account) { /* an error comes again with the next commit */
        helper->account = !atomic_load(&space->poisoned) &&
                          snap_store_account(space->store, ACCOUNT_NODES, NULL) > 0;
    }
}

static bool has_chores(const struct helper *helper)
{
    return helper->account || atomic_load(&helper->space->unsealed);
}

static void take_turn(struct helper *helper)
{
    struct phantom_space *space = helper->space;
    space_group_help(&space->group);
    uint64_t now = hal_monotonic_ns();
    if (helper->interval_ns != 0 && now >= helper->next_ns) {
        commit_if_changed(space);
        now = hal_monotonic_ns();
        helper->next_ns += helper->interval_ns;
        if (helper->next_ns < now) {
            helper->next_ns = now + helper->interval_ns;
        }
    }
    uint64_t count = generations(space);
    if (count == helper->seen_generations && has_chores(helper)) {
        (void)space_group_alone(&space->group, do_chores, helper);
    }
    helper->seen_generations = count;
}

/** Nanoseconds to sleep; negative: until somebody pokes. */
static int64_t sleep_ns(const struct helper *helper)
{
    int64_t seal_in = SEAL_AFTER_MS * 1000000;
    uint64_t now = hal_monotonic_ns();
    int64_t next = helper->interval_ns == 0 ? -1
                   : helper->next_ns > now  ? (int64_t)(helper->next_ns - now)
                                            : 0;
    return has_chores(helper) && (next < 0 || next > seal_in) ? seal_in : next;
}

static void run(void *argument)
{
    struct phantom_space *space = argument;
    t_current_set_name("space");
    struct helper helper = {.space = space, .account = true};
    if (space->options.interval_ms != PHANTOM_SPACE_NO_INTERVAL) {
        helper.interval_ns = (uint64_t)space->options.interval_ms * 1000000;
    }
    helper.next_ns = hal_monotonic_ns() + helper.interval_ns;
    while (atomic_load(&space->helper_wanted)) {
        uint32_t seen = atomic_load(&space->helper_word);
        take_turn(&helper);
        if (atomic_load(&space->helper_wanted)) {
            (void)hal_futex_wait(&space->helper_word, seen, sleep_ns(&helper));
        }
    }
    atomic_store(&space->helper_alive, 0);
    hal_futex_wake(&space->helper_alive, INT_MAX);
}

int space_helper_start(struct phantom_space *space, struct phantom_diag *diag)
{
    atomic_store(&space->helper_wanted, true);
    atomic_store(&space->helper_alive, 1);
    tid_t tid = hal_start_thread(run, space, THREAD_FLAG_KERNEL);
    if (tid < 0) {
        atomic_store(&space->helper_alive, 0);
        return ph_fail(diag, tid, "%s: cannot start the thread of the space", space->path);
    }
    return 0;
}

void space_helper_poke(void *context)
{
    struct phantom_space *space = context;
    atomic_fetch_add(&space->helper_word, 1);
    hal_futex_wake(&space->helper_word, 1);
}

void space_helper_stop(struct phantom_space *space)
{
    atomic_store(&space->helper_wanted, false);
    space_helper_poke(space);
    while (atomic_load(&space->helper_alive) != 0) {
        (void)hal_futex_wait(&space->helper_alive, 1, -1);
    }
}
