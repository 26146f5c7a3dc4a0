/* SPDX-License-Identifier: Apache-2.0
 *
 * space_group.h - group commit: many threads want to be durable, one of them writes for all.
 *
 * Time is cut into rounds. Who asks joins the round that is open; at its cut a round is closed and
 * the next one opens; a round is done when its snapshot has been written, or refused. So whoever is
 * in a round asked before its cut, and what he did before he asked is in its generation.
 *
 * The first who waits becomes the leader and writes, in his own thread. Those who come while he
 * does join the next round and sleep. When he is done he wakes all of his round, and one of the
 * next as its leader. Before the cut he lets others run until as many are in as were in the last
 * group, for a bounded time: threads that were just woken come back together.
 */
#ifndef SPACE_GROUP_H
#define SPACE_GROUP_H

#include <phantom/space.h>

#include <hal.h>

struct space_safe_call { /* a phantom_space_when_safe() */
    uint64_t round;
    void (*safe)(void *context, int result);
    void *context;
    struct space_safe_call *next;
};

struct space_group {
    /** Take a snapshot; call space_group_close_round() at its cut. Only the leader calls it. */
    int (*commit)(void *context);
    /** A round is wanted for which nobody waits: somebody shall call space_group_help(). NULL: the
     *  users see to that. Called without the lock. */
    void (*help)(void *context);
    void *context;
    uint64_t gather_ns;

    hal_mutex_t lock;     /* a leaf; guards everything below that is not atomic */
    uint64_t open_round;  /* the one that is joined now; from 1 on */
    uint64_t led_round;   /* the one that a leader writes or wrote last; 0: none yet */
    uint64_t done_round;  /* the last one that was written or refused */
    uint64_t good_round;  /* the last one that was written: all up to it are durable */
    int last_error;       /* of the last one that was refused */
    uint64_t async_round; /* the last one that somebody joined without waiting */
    bool leading;         /* somebody is the leader, or uses the store alone */
    bool closing;
    unsigned waiting; /* threads in here that the end waits for */
    unsigned sleeping[2];
    _Atomic uint32_t joined[2]; /* by parity of the round; only the open one and the one before */
    uint32_t last_group;
    struct space_safe_call *first_call, *last_call; /* in the order of rounds */
    _Atomic uint32_t word[2]; /* futexes, by parity of the round that is waited for */
    _Atomic uint32_t quiet;   /* a futex for close */
    uint64_t acknowledged;
};

int space_group_init(struct space_group *group); /* 0 or -ENOMEM; callbacks are filled in before */
void space_group_finish(struct space_group *group);

/** Join the open round without waiting for it. 0, or PHANTOM_ESTOPPED */
int space_group_join(struct space_group *group, uint64_t *round);
/** Join the open round and wait until it is done: one step for the end of the group, which waits
 * for whoever has joined this way. As space_group_wait(). */
int space_group_commit(struct space_group *group);
/** The end of the group waits for let_go(). 0, or PHANTOM_ESTOPPED */
int space_group_hold(struct space_group *group);
void space_group_let_go(struct space_group *group);
/** Join and be called. Takes over `call`, which ph_free can free. 0, PHANTOM_ESTOPPED */
int space_group_call(struct space_group *group, struct space_safe_call *call);
/** Until the round is done. timeout_ms 0: only ask; -1: for ever. 0, PHANTOM_ETIMEOUT,
 * PHANTOM_ESTOPPED or what the commit said */
int space_group_wait(struct space_group *group, uint64_t round, int timeout_ms);
/** By the leader, at the cut. A snapshot that no leader takes (birth, close) closes nothing. */
void space_group_close_round(struct space_group *group);
/** Write for rounds that nobody waits for, if there are any. */
void space_group_help(struct space_group *group);
/** Run `work` while nobody commits. False: somebody does; nothing was done. */
bool space_group_alone(struct space_group *group, void (*work)(void *context), void *context);
/** No more joins; returns when nobody waits any more. Not from a thread that waits or leads. */
void space_group_end(struct space_group *group);
/** After the end: tell all calls that were not made yet. */
void space_group_tell_all(struct space_group *group, int result);

#endif /* SPACE_GROUP_H */
