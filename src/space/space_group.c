/* SPDX-License-Identifier: Apache-2.0
 *
 * space_group.c - group commit (space_group.h says how).
 *
 * Lock: group->lock, a leaf. It is not held while anything is written, while anybody sleeps, or
 * while a callback runs.
 *
 * Why no wake-up is lost: who is going to sleep reads the futex word under the lock, after he saw
 * that his round is not done and that there is a leader; whoever changes either does so under the
 * lock and changes the word with it. A leader that ends with the next round not empty wakes one of
 * its sleepers; whoever wakes, or comes, and finds no leader becomes it.
 */
#include "space_group.h"

#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int space_group_init(struct space_group *group)
{
    group->open_round = 1;
    return hal_mutex_init(&group->lock, "space commit") == 0 ? 0 : -ENOMEM;
}

void space_group_finish(struct space_group *group)
{
    hal_mutex_destroy(&group->lock);
}

/* ---- joining ------------------------------------------------------------------------------------
 */

/** Lock held. */
static uint64_t join(struct space_group *group, bool waits)
{
    uint64_t round = group->open_round;
    atomic_fetch_add_explicit(&group->joined[round & 1], 1, memory_order_relaxed);
    if (!waits) {
        group->async_round = round;
    }
    return round;
}

/** Lock held: nobody writes, and somebody wants that who does not wait. */
static bool wants_help(const struct space_group *group)
{
    return group->help != NULL && !group->leading && !group->closing &&
           group->async_round > group->done_round;
}

/** Lock held on entry, not on return. From then on the group may be gone: its address may still be
 * given to the kernel, and that is all. */
static void end_waiting(struct space_group *group)
{
    group->waiting--;
    bool last = group->waiting == 0 && group->closing;
    if (last) {
        atomic_fetch_add(&group->quiet, 1);
    }
    hal_mutex_unlock(&group->lock);
    if (last) {
        hal_futex_wake(&group->quiet, INT_MAX);
    }
}

/** Lock held on entry, not on return: somebody may have come for whom nobody writes. Until whoever
 * is to help knows it, the end of the group waits for us, too. */
static void ask_for_help(struct space_group *group)
{
    bool help = wants_help(group);
    group->waiting += help && !PH_MUTANT(GROUP_ASKER_UNCOUNTED);
    hal_mutex_unlock(&group->lock);
    if (help) {
        group->help(group->context);
        if (!PH_MUTANT(GROUP_ASKER_UNCOUNTED)) {
            hal_mutex_lock(&group->lock);
            end_waiting(group);
        }
    }
}

int space_group_join(struct space_group *group, uint64_t *round)
{
    hal_mutex_lock(&group->lock);
    int rc = group->closing ? PHANTOM_ESTOPPED : 0;
    if (rc == 0) {
        *round = join(group, false);
    }
    ask_for_help(group);
    return rc;
}

int space_group_call(struct space_group *group, struct space_safe_call *call)
{
    hal_mutex_lock(&group->lock);
    if (group->closing) {
        hal_mutex_unlock(&group->lock);
        return PHANTOM_ESTOPPED;
    }
    call->round = join(group, false);
    call->next = NULL;
    if (group->last_call != NULL) {
        group->last_call->next = call;
    } else {
        group->first_call = call;
    }
    group->last_call = call;
    ask_for_help(group);
    return 0;
}

/* ---- leading ------------------------------------------------------------------------------------
 */

/** Lock held: what whoever asked for this round is told. */
static int outcome(const struct space_group *group, uint64_t round)
{
    return group->good_round >= round ? 0 : group->last_error;
}

void space_group_close_round(struct space_group *group)
{
    if (PH_MUTANT(GROUP_CLOSED_LATE)) {
        return;
    }
    hal_mutex_lock(&group->lock);
    if (group->open_round == group->led_round) {
        group->open_round++;
        atomic_store_explicit(&group->joined[group->open_round & 1], 0, memory_order_relaxed);
    }
    hal_mutex_unlock(&group->lock);
}

/** Let others run until the group is as large as the last one. */
static void gather(struct space_group *group, uint64_t round)
{
    _Atomic uint32_t *joined = &group->joined[round & 1];
    if (group->gather_ns == 0 ||
        atomic_load_explicit(joined, memory_order_relaxed) >= group->last_group) {
        return;
    }
    uint64_t deadline = hal_monotonic_ns() + group->gather_ns;
    do {
        hal_yield();
    } while (atomic_load_explicit(joined, memory_order_relaxed) < group->last_group &&
             hal_monotonic_ns() < deadline);
}

/** Tell those whose round is done. Without the lock. */
static void make_calls(struct space_group *group)
{
    for (;;) {
        hal_mutex_lock(&group->lock);
        struct space_safe_call *call = group->first_call;
        if (call == NULL || call->round > group->done_round) {
            hal_mutex_unlock(&group->lock);
            return;
        }
        group->first_call = call->next;
        if (call->next == NULL) {
            group->last_call = NULL;
        }
        int result = outcome(group, call->round);
        group->acknowledged += result == 0;
        hal_mutex_unlock(&group->lock);
        call->safe(call->context, result);
        ph_free(call);
    }
}

/** Lock held on entry, not on return: there is no leader any more, who is to know? */
static void pass_on(struct space_group *group, bool all_done)
{
    unsigned done = group->done_round & 1, next = done ^ 1;
    bool wake_done = all_done && group->sleeping[done] != 0;
    bool wake_next = group->sleeping[next] != 0 && !PH_MUTANT(GROUP_WAKE_LOST);
    group->leading = false;
    if (wake_done) {
        atomic_fetch_add(&group->word[done], 1);
    }
    if (wake_next) {
        atomic_fetch_add(&group->word[next], 1);
    }
    bool help = wants_help(group) && !wake_next;
    hal_mutex_unlock(&group->lock);
    if (wake_done) {
        hal_futex_wake(&group->word[done], INT_MAX);
    }
    if (wake_next) {
        hal_futex_wake(&group->word[next], 1);
    }
    if (help) {
        group->help(group->context);
    }
}

/** Write for the open round; `leading` is ours, the lock is not held. */
static void lead(struct space_group *group)
{
    hal_mutex_lock(&group->lock);
    uint64_t round = group->led_round = group->open_round; /* nobody else closes it */
    hal_mutex_unlock(&group->lock);
    gather(group, round);
    int rc = group->commit(group->context);
    hal_mutex_lock(&group->lock);
    if (group->open_round == round) { /* refused before there was a cut */
        group->open_round++;
        atomic_store_explicit(&group->joined[group->open_round & 1], 0, memory_order_relaxed);
    }
    group->last_group = atomic_load_explicit(&group->joined[round & 1], memory_order_relaxed);
    group->done_round = round;
    if (rc == 0) {
        group->good_round = round;
    } else {
        group->last_error = rc;
    }
    pass_on(group, true);
    make_calls(group);
}

bool space_group_alone(struct space_group *group, void (*work)(void *context), void *context)
{
    hal_mutex_lock(&group->lock);
    bool mine = !group->leading;
    group->leading = true;
    hal_mutex_unlock(&group->lock);
    if (mine) {
        work(context);
        hal_mutex_lock(&group->lock);
        pass_on(group, false);
    }
    return mine;
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

/** Sleep until something changed for this round. Lock held, given up meanwhile. False: time is up.
 */
static bool sleep_for(struct space_group *group, uint64_t round, uint64_t deadline)
{
    unsigned parity = round & 1;
    uint32_t seen = atomic_load(&group->word[parity]);
    group->sleeping[parity]++;
    hal_mutex_unlock(&group->lock);
    errno_t rc = 0;
    uint64_t now = deadline != UINT64_MAX ? hal_monotonic_ns() : 0;
    if (now < deadline) {
        rc = hal_futex_wait(&group->word[parity], seen,
                            deadline != UINT64_MAX ? (int64_t)(deadline - now) : -1);
    } else {
        rc = ETIMEDOUT;
    }
    hal_mutex_lock(&group->lock);
    group->sleeping[parity]--;
    return rc != ETIMEDOUT;
}

/** Lock held. */
static int wait_locked(struct space_group *group, uint64_t round, int timeout_ms)
{
    uint64_t deadline =
        timeout_ms < 0 ? UINT64_MAX : hal_monotonic_ns() + (uint64_t)timeout_ms * UINT64_C(1000000);
    bool in_time = timeout_ms != 0;
    for (;;) {
        if (group->done_round >= round) {
            int rc = outcome(group, round);
            group->acknowledged += rc == 0;
            return rc;
        }
        if (timeout_ms != 0 && !group->leading) { /* also late: the wake-up may have been for us */
            group->leading = true;
            hal_mutex_unlock(&group->lock);
            lead(group);
            hal_mutex_lock(&group->lock);
        } else if (!in_time) {
            return PHANTOM_ETIMEOUT;
        } else {
            in_time = sleep_for(group, round, deadline);
        }
    }
}

int space_group_wait(struct space_group *group, uint64_t round, int timeout_ms)
{
    hal_mutex_lock(&group->lock);
    if (round == 0 || round > group->open_round) {
        hal_mutex_unlock(&group->lock);
        return PHANTOM_EINVALID; /* not one of ours */
    }
    if (group->closing && timeout_ms != 0 && group->done_round < round &&
        !PH_MUTANT(GROUP_ENDED_WRITES)) {
        hal_mutex_unlock(&group->lock);
        return PHANTOM_ESTOPPED; /* who ends the group writes alone from here on */
    }
    group->waiting++;
    int rc = wait_locked(group, round, timeout_ms);
    end_waiting(group);
    return rc;
}

int space_group_commit(struct space_group *group)
{
    hal_mutex_lock(&group->lock);
    if (group->closing) {
        hal_mutex_unlock(&group->lock);
        return PHANTOM_ESTOPPED;
    }
    group->waiting++;
    int rc = wait_locked(group, join(group, true), -1);
    end_waiting(group);
    return rc;
}

int space_group_hold(struct space_group *group)
{
    hal_mutex_lock(&group->lock);
    int rc = group->closing ? PHANTOM_ESTOPPED : 0;
    group->waiting += rc == 0;
    hal_mutex_unlock(&group->lock);
    return rc;
}

void space_group_let_go(struct space_group *group)
{
    hal_mutex_lock(&group->lock);
    end_waiting(group);
}

void space_group_help(struct space_group *group)
{
    hal_mutex_lock(&group->lock);
    uint64_t round = group->async_round > group->done_round ? group->async_round : 0;
    hal_mutex_unlock(&group->lock);
    if (round != 0) {
        (void)space_group_wait(group, round, -1);
    }
}

/* ---- the end ------------------------------------------------------------------------------------
 */

void space_group_end(struct space_group *group)
{
    hal_mutex_lock(&group->lock);
    group->closing = true;
    while ((group->waiting != 0 && !PH_MUTANT(GROUP_END_EARLY)) || group->leading) {
        uint32_t seen = atomic_load(&group->quiet);
        hal_mutex_unlock(&group->lock);
        (void)hal_futex_wait(&group->quiet, seen, 1000000);
        hal_mutex_lock(&group->lock);
    }
    hal_mutex_unlock(&group->lock);
}

void space_group_tell_all(struct space_group *group, int result)
{
    while (group->first_call != NULL) {
        struct space_safe_call *call = group->first_call;
        group->first_call = call->next;
        call->safe(call->context, result);
        ph_free(call);
    }
    group->last_call = NULL;
}
