/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_wait.c - how VM threads block and are woken: mutexes, conditions, semaphores, sleep,
 * monitors.
 *
 * All state is in the heap and changes under the VM lock, so a cut between any two natives is
 * whole. A thread that must wait queues itself (state BLOCKED, `waiting_on`, phase WAITING) and its
 * native is executed again after the wake-up. Whoever wakes it has by then *given* it what it waits
 * for (mutex ownership, a unit of the semaphore) and set the phase GRANTED. So:
 *
 *   - what a queued thread waits for cannot be snatched away by a third one;
 *   - no wake-up is lost, whenever the world is cut: it is part of the same state;
 *   - a thread is in at most one queue, and is BLOCKED exactly while it is in one or has a timer.
 *
 * A cond wait gives up the mutex, waits on the condition, and when signalled (or timed out) moves
 * to the mutex's queue (phase REACQUIRE) or gets the mutex at once; it runs again only as its
 * owner. Queues are first in, first out.
 */
#include "ph_mutant.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

static pvm_object_t object_of(struct data_area_4_thread *t)
{
    return pvm_da_to_object(t);
}

static struct data_area_4_thread *thread_of(pvm_object_t o)
{
    return pvm_object_da(o, thread);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static void enqueue(struct pvm *pvm, struct pvm_wait_queue *q, pvm_object_t owner,
                    struct data_area_4_thread *t)
{
    pvm_object_t me = object_of(t);
    PVM_BEFORE(pvm, t);
    PVM_BEFORE(pvm, q);
    t->waiting_on = owner;
    t->wait_next = NULL;
    t->wait_prev = q->last;
    if (q->last) {
        pvm_store_ref(pvm, &thread_of(q->last)->wait_next, me);
    } else {
        q->first = me;
    }
    q->last = me;
    q->nwaiting++;
    PVM_STORE(&t->state, PVM_THREAD_BLOCKED);
    PVM_AFTER(pvm, t);
    PVM_AFTER(pvm, q);
}

static void dequeue(struct pvm *pvm, struct pvm_wait_queue *q, struct data_area_4_thread *t)
{
    PVM_BEFORE(pvm, t);
    PVM_BEFORE(pvm, q);
    if (t->wait_prev) {
        pvm_store_ref(pvm, &thread_of(t->wait_prev)->wait_next, t->wait_next);
    } else {
        q->first = t->wait_next;
    }
    if (t->wait_next) {
        pvm_store_ref(pvm, &thread_of(t->wait_next)->wait_prev, t->wait_prev);
    } else {
        q->last = t->wait_prev;
    }
    t->wait_next = NULL;
    t->wait_prev = NULL;
    t->waiting_on = NULL;
    q->nwaiting--;
    PVM_AFTER(pvm, t);
    PVM_AFTER(pvm, q);
}

static void set_phase(struct pvm *pvm, struct data_area_4_thread *t, uint32_t phase)
{
    PVM_BEFORE(pvm, t);
    t->wait_phase = phase;
    PVM_AFTER(pvm, t);
}

/** The thread got what it waits for; it may run. */
static void grant(struct pvm *pvm, struct data_area_4_thread *t)
{
    set_phase(pvm, t, PVM_WAIT_GRANTED);
    pvm_make_runnable(pvm, object_of(t));
}

/** Re-execution of a native that was granted its wish? Then it is over. */
static bool was_granted(struct pvm *pvm, struct data_area_4_thread *t)
{
    if (t->wait_phase != PVM_WAIT_GRANTED) {
        return false;
    }
    set_phase(pvm, t, PVM_WAIT_NONE);
    return true;
}

/* ---- mutex ----------------------------------------------------------------------------------- */

static void mutex_set(struct pvm *pvm, struct data_area_4_mutex *m,
                      struct data_area_4_thread *owner, int32_t recursion)
{
    PVM_BEFORE(pvm, m);
    m->owner_thread = owner;
    m->recursion = recursion;
    PVM_AFTER(pvm, m);
}

static bool mutex_take(struct pvm *pvm, struct data_area_4_mutex *m, struct data_area_4_thread *t)
{
    if (m->owner_thread == NULL) {
        mutex_set(pvm, m, t, 1);
        return true;
    }
    if (m->owner_thread == t) {
        mutex_set(pvm, m, t, m->recursion + 1);
        return true;
    }
    return false;
}

/** Nobody owns it any more: hand it to the first in the queue. */
static void mutex_hand_over(struct pvm *pvm, struct data_area_4_mutex *m)
{
    mutex_set(pvm, m, NULL, 0);
    if (m->waiting.first == NULL) {
        return;
    }
    struct data_area_4_thread *t = thread_of(m->waiting.first);
    dequeue(pvm, &m->waiting, t);
    mutex_set(pvm, m, t, t->wait_phase == PVM_WAIT_REACQUIRE ? t->wait_recursion : 1);
    grant(pvm, t);
}

static int mutex_lock_locked(struct pvm *pvm, struct data_area_4_thread *tc, pvm_object_t mutex)
{
    struct data_area_4_mutex *m = pvm_object_da(mutex, mutex);
    if (was_granted(pvm, tc) || mutex_take(pvm, m, tc)) {
        return PVM_SYSCALL_RETURN;
    }
    set_phase(pvm, tc, PVM_WAIT_WAITING);
    enqueue(pvm, &m->waiting, mutex, tc);
    return PVM_SYSCALL_BLOCKED;
}

int pvm_wait_mutex(struct data_area_4_thread *tc, pvm_object_t mutex)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    int result = mutex_lock_locked(pvm, tc, mutex);
    (void)hal_mutex_unlock(&pvm->lock);
    return result;
}

bool pvm_mutex_try(struct data_area_4_thread *tc, pvm_object_t mutex)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    bool taken = mutex_take(pvm, pvm_object_da(mutex, mutex), tc);
    (void)hal_mutex_unlock(&pvm->lock);
    return taken;
}

static bool mutex_unlock_locked(struct pvm *pvm, struct data_area_4_thread *tc,
                                struct data_area_4_mutex *m)
{
    if (m->owner_thread != tc) {
        return false;
    }
    mutex_set(pvm, m, tc, m->recursion - 1);
    if (m->recursion == 0) {
        mutex_hand_over(pvm, m);
    }
    return true;
}

bool pvm_mutex_unlock(struct data_area_4_thread *tc, pvm_object_t mutex)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    bool unlocked = mutex_unlock_locked(pvm, tc, pvm_object_da(mutex, mutex));
    (void)hal_mutex_unlock(&pvm->lock);
    return unlocked;
}

/* ---- condition ------------------------------------------------------------------------------- */

int pvm_wait_cond(struct data_area_4_thread *tc, pvm_object_t cond, pvm_object_t mutex,
                  int64_t timeout_us, bool *timed_out, pvm_object_t *ret)
{
    struct pvm *pvm = pvm_current();
    struct data_area_4_mutex *m = pvm_object_da(mutex, mutex);
    struct data_area_4_cond *c = pvm_object_da(cond, cond);
    int result = PVM_SYSCALL_BLOCKED;
    (void)hal_mutex_lock(&pvm->lock);
    if (was_granted(pvm, tc)) {
        *timed_out = tc->wait_timed_out != 0;
        pvm_store_ref(pvm, &tc->cond_mutex, NULL);
        result = PVM_SYSCALL_RETURN;
    } else if (m->owner_thread != tc) {
        result = PVM_SYSCALL_THROW;
    } else {
        PVM_BEFORE(pvm, tc);
        tc->wait_phase = PVM_WAIT_WAITING;
        tc->wait_timed_out = 0;
        tc->wait_recursion = m->recursion;
        tc->cond_mutex = mutex;
        PVM_AFTER(pvm, tc);
        enqueue(pvm, &c->waiting, cond, tc);
        if (timeout_us >= 0) {
            pvm_timer_arm(pvm, object_of(tc), (uint64_t)timeout_us);
        }
        mutex_hand_over(pvm, m);
    }
    (void)hal_mutex_unlock(&pvm->lock);
    if (result == PVM_SYSCALL_THROW) {
        *ret = pvm_create_string_object("cond wait - mutex is not owned");
    }
    return result;
}

/** t waits on a condition no more: it needs its mutex now. */
static void cond_reacquire(struct pvm *pvm, struct data_area_4_thread *t)
{
    struct data_area_4_mutex *m = pvm_object_da(t->cond_mutex, mutex);
    PVM_STORE_TOLD(pvm, &t->deadline_us, 0);
    if (m->owner_thread == NULL) {
        mutex_set(pvm, m, t, t->wait_recursion);
        grant(pvm, t);
    } else {
        set_phase(pvm, t, PVM_WAIT_REACQUIRE);
        enqueue(pvm, &m->waiting, t->cond_mutex, t);
    }
}

static bool cond_wake_first(struct pvm *pvm, struct data_area_4_cond *c)
{
    if (c->waiting.first == NULL) {
        return false;
    }
    struct data_area_4_thread *t = thread_of(c->waiting.first);
    dequeue(pvm, &c->waiting, t);
    cond_reacquire(pvm, t);
    return true;
}

void pvm_cond_signal(pvm_object_t cond)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    (void)cond_wake_first(pvm, pvm_object_da(cond, cond));
    (void)hal_mutex_unlock(&pvm->lock);
}

void pvm_cond_broadcast(pvm_object_t cond)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    while (cond_wake_first(pvm, pvm_object_da(cond, cond))) {
    }
    (void)hal_mutex_unlock(&pvm->lock);
}

/* ---- semaphore ------------------------------------------------------------------------------- */

int pvm_wait_sema(struct data_area_4_thread *tc, pvm_object_t sema, int64_t timeout_us,
                  bool *timed_out)
{
    struct pvm *pvm = pvm_current();
    struct data_area_4_sema *s = pvm_object_da(sema, sema);
    int result = PVM_SYSCALL_RETURN;
    *timed_out = false;
    (void)hal_mutex_lock(&pvm->lock);
    if (was_granted(pvm, tc)) {
        *timed_out = tc->wait_timed_out != 0;
    } else if (s->sem_value > 0) {
        PVM_STORE_TOLD(pvm, &s->sem_value, s->sem_value - 1);
    } else {
        if (PH_MUTANT(QUEUED_AFTER_UNLOCK)) { /* what is released in between is not seen */
            (void)hal_mutex_unlock(&pvm->lock);
            (void)hal_mutex_lock(&pvm->lock);
        }
        PVM_BEFORE(pvm, tc);
        tc->wait_phase = PVM_WAIT_WAITING;
        tc->wait_timed_out = 0;
        PVM_AFTER(pvm, tc);
        enqueue(pvm, &s->waiting, sema, tc);
        if (timeout_us >= 0) {
            pvm_timer_arm(pvm, object_of(tc), (uint64_t)timeout_us);
        }
        result = PVM_SYSCALL_BLOCKED;
    }
    (void)hal_mutex_unlock(&pvm->lock);
    return result;
}

void pvm_sema_release(pvm_object_t sema)
{
    struct pvm *pvm = pvm_current();
    struct data_area_4_sema *s = pvm_object_da(sema, sema);
    (void)hal_mutex_lock(&pvm->lock);
    if (s->waiting.first) {
        struct data_area_4_thread *t = thread_of(s->waiting.first);
        dequeue(pvm, &s->waiting, t);
        PVM_STORE_TOLD(pvm, &t->deadline_us, 0);
        grant(pvm, t);
    } else if (s->sem_value < INT32_MAX) {
        PVM_STORE_TOLD(pvm, &s->sem_value, s->sem_value + 1);
    }
    (void)hal_mutex_unlock(&pvm->lock);
}

void pvm_sema_zero(pvm_object_t sema)
{
    struct pvm *pvm = pvm_current();
    struct data_area_4_sema *s = pvm_object_da(sema, sema);
    (void)hal_mutex_lock(&pvm->lock);
    if (s->sem_value > 0) {
        PVM_STORE_TOLD(pvm, &s->sem_value, 0);
    }
    (void)hal_mutex_unlock(&pvm->lock);
}

/* ---- sleep and timers ------------------------------------------------------------------------ */

int pvm_wait_sleep(struct data_area_4_thread *tc, pvm_object_t me, uint64_t microseconds)
{
    struct pvm *pvm = pvm_current();
    int result = PVM_SYSCALL_RETURN;
    (void)hal_mutex_lock(&pvm->lock);
    if (!was_granted(pvm, tc)) {
        PVM_BEFORE(pvm, tc);
        tc->wait_phase = PVM_WAIT_WAITING;
        tc->waiting_on = me; /* for those who look; there is no queue */
        PVM_STORE(&tc->state, PVM_THREAD_BLOCKED);
        PVM_AFTER(pvm, tc);
        pvm_timer_arm(pvm, object_of(tc), microseconds);
        result = PVM_SYSCALL_BLOCKED;
    }
    (void)hal_mutex_unlock(&pvm->lock);
    return result;
}

void pvm_wait_timed_out(struct pvm *pvm, pvm_object_t thread)
{
    struct data_area_4_thread *t = thread_of(thread);
    PVM_BEFORE(pvm, t);
    t->deadline_us = 0;
    t->wait_timed_out = 1;
    PVM_AFTER(pvm, t);
    pvm_object_t on = t->waiting_on;
    if (on && on->_class == pvm->classes[PVM_ROOT_OBJECT_COND_CLASS]) {
        dequeue(pvm, &pvm_object_da(on, cond)->waiting, t);
        cond_reacquire(pvm, t);
        return;
    }
    if (on && on->_class == pvm->classes[PVM_ROOT_OBJECT_SEMA_CLASS]) {
        dequeue(pvm, &pvm_object_da(on, sema)->waiting, t);
    }
    pvm_store_ref(pvm, &t->waiting_on, NULL);
    grant(pvm, t);
}

/* ---- monitors: general_lock on any object -------------------------------------------------------
 *
 * A monitor is a mutex in the list that starts in root slot MONITORS, made when an object is locked
 * and taken out when its last owner leaves and nobody waits. So objects need no lock word. */

static pvm_object_t *find_monitor(struct pvm *pvm, pvm_object_t o)
{
    pvm_object_t *link = &pvm_slots(pvm->root)[PVM_ROOT_OBJECT_MONITORS];
    while (*link && pvm_object_da(*link, mutex)->monitor_object != o) {
        link = &pvm_object_da(*link, mutex)->monitor_next;
    }
    return link;
}

int pvm_wait_monitor(struct data_area_4_thread *tc, pvm_object_t o)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    pvm_object_t *link = find_monitor(pvm, o);
    if (*link == NULL) {
        /* Only now is there something to allocate: a thread that was granted the monitor while it
         * waited must not fail for lack of memory. */
        (void)hal_mutex_unlock(&pvm->lock);
        pvm_object_t fresh = pvm_create_object(pvm->classes[PVM_ROOT_OBJECT_MUTEX_CLASS]);
        if (fresh == NULL) {
            return PVM_SYSCALL_THROW; /* out of memory is noted */
        }
        (void)hal_mutex_lock(&pvm->lock);
        link = find_monitor(pvm, o);
        if (*link == NULL) {
            pvm_store_ref(pvm, &pvm_object_da(fresh, mutex)->monitor_object, o);
            pvm_store_ref(pvm, link, fresh);
        }
    }
    int result = mutex_lock_locked(pvm, tc, *link);
    (void)hal_mutex_unlock(&pvm->lock);
    return result;
}

bool pvm_monitor_unlock(struct data_area_4_thread *tc, pvm_object_t o)
{
    struct pvm *pvm = pvm_current();
    (void)hal_mutex_lock(&pvm->lock);
    pvm_object_t *link = find_monitor(pvm, o);
    struct data_area_4_mutex *m = *link ? pvm_object_da(*link, mutex) : NULL;
    bool unlocked = m && mutex_unlock_locked(pvm, tc, m);
    if (unlocked && m->owner_thread == NULL) {
        pvm_store_ref(pvm, link, m->monitor_next);
    }
    (void)hal_mutex_unlock(&pvm->lock);
    return unlocked;
}
