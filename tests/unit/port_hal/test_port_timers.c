/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_timers.c - timed calls, net timers, DPC, counters, soft interrupts and files of the
 * port's HAL. With the argument "long" timed_call runs at the port's own times.
 *
 * No assertion depends on how fast this machine is: that something was not too early is asserted,
 * that it comes at all is waited for.
 */
#include "port_fixture.h"

#include <fcntl.h>
#include <init_routines.h>
#include <kernel/dpc.h>
#include <kernel/init.h>
#include <kernel/interrupts.h>
#include <kernel/net_timer.h>
#include <kernel/profile.h>
#include <kernel/stats.h>
#include <kernel/timedcall.h>
#include <kunix.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

static bool at_full_length;

/* Wait a little, at random places of what others do. No yield on the real machine: where more
 * threads want to run than there are processors it costs a whole turn of all of them. */
static void let_pass(unsigned microseconds)
{
#ifdef TEST_ON_SIM
    for (unsigned i = 0; i < microseconds; i++) {
        phantom_scheduler_yield();
    }
#else
    bigtime_t until = hal_system_time() + microseconds;
    while (hal_system_time() < until) {
    }
#endif
}

/* ---- timed_call: the port's test ------------------------------------------------------------- */

static hal_sem_t fired;
static atomic_int calls, undone_calls;

static void count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&calls, 1);
    hal_sem_release(&fired);
}

static void count_undone(void *arg)
{
    (void)arg;
    atomic_fetch_add(&undone_calls, 1);
}

static void timed_call(void **state)
{
    (void)state;
    static const long full[] = {5, 100, 2000, 5000, 10000}, quick[] = {5, 20, 40, 60, 100};
    const long *times = ON_MACHINE(at_full_length, true) ? full : quick;
    timedcall_t entries[5], undone = {count_undone, 0, times[3], 0, 0, {0, 0}, 0};
    atomic_store(&calls, 0);
    atomic_store(&undone_calls, 0);
    assert_int_equal(hal_sem_init(&fired, "fired"), 0);
    bigtime_t begin = hal_system_time();
    for (int i = 4; i >= 0; i--) { /* the latest first */
        entries[i] = (timedcall_t){count_call, 0, times[i], 0, 0, {0, 0}, 0};
        phantom_request_timed_call(&entries[i], 0);
    }
    phantom_request_timed_call(&undone, 0);
    phantom_undo_timed_call(&undone);
    phantom_undo_timed_call(&undone); /* idempotent */
    for (int i = 0; i < 5; i++) {
        (void)hal_sem_acquire(&fired);
        assert_true(hal_system_time() - begin >= (bigtime_t)times[i] * 1000);
        assert_true(atomic_load(&calls) >= i + 1);
    }
    assert_int_equal(atomic_load(&calls), 5);
    assert_int_equal(atomic_load(&undone_calls), 0);
    hal_sem_destroy(&fired);
}

static void count_ticks(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    hal_sem_release(&fired);
}

static void a_periodic_call_comes_again_until_undone(void **state)
{
    (void)state;
    atomic_int ticks = 0;
    assert_int_equal(hal_sem_init(&fired, "fired"), 0);
    timedcall_t entry = {count_ticks, &ticks, 3, 0, 0, {0, 0}, 0};
    bigtime_t begin = hal_system_time();
    phantom_request_timed_call(&entry, TIMEDCALL_FLAG_PERIODIC);
    for (int i = 0; i < 10; i++) {
        (void)hal_sem_acquire(&fired);
    }
    assert_true(hal_system_time() - begin >= 10 * 3000);
    phantom_undo_timed_call(&entry);
    int before = atomic_load(&ticks);
    hal_sleep_msec(ON_MACHINE(20, 2000));
    assert_int_equal(atomic_load(&ticks), before);
    hal_sem_destroy(&fired);
}

static void a_call_waits_for_its_lock(void **state)
{
    (void)state;
    atomic_int ticks = 0;
    hal_spinlock_t lock;
    hal_spin_init(&lock);
    assert_int_equal(hal_sem_init(&fired, "fired"), 0);
    hal_spin_lock(&lock);
    timedcall_t entry = {count_ticks, &ticks, 1, &lock, 0, {0, 0}, 0};
    phantom_request_timed_call(&entry, TIMEDCALL_FLAG_CHECKLOCK);
    assert_int_equal(hal_sem_acquire_etc(&fired, 1, SEM_FLAG_TIMEOUT, 20000), ETIMEDOUT);
    hal_spin_unlock(&lock);
    (void)hal_sem_acquire(&fired);
    assert_int_equal(atomic_load(&ticks), 1);
    hal_sem_destroy(&fired);
}

/* The fact: after the undo the call is not going on, so what it uses may go away. */
struct slow {
    atomic_bool inside;
    atomic_int over;
};

static void be_slow(void *arg)
{
    struct slow *slow = arg;
    atomic_store(&slow->inside, true);
    hal_sleep_msec(15);
    atomic_fetch_add(&slow->over, 1);
}

static bool undo_waits(void)
{
    struct slow slow = {false, 0};
    timedcall_t entry = {be_slow, &slow, 0, 0, 0, {0, 0}, 0};
    phantom_request_timed_call(&entry, 0);
    while (!atomic_load(&slow.inside)) {
        phantom_scheduler_yield();
    }
    phantom_undo_timed_call(&entry);
    bool waited = atomic_load(&slow.over) == 1;
    while (atomic_load(&slow.over) == 0) {
        phantom_scheduler_yield();
    }
    return waited;
}

static void an_undone_call_is_not_going_on(void **state)
{
    (void)state;
    assert_true(undo_waits());
    machine_expect_defect(PH_MUTANT_UNDO_NOT_WAITED, undo_waits, 20);
}

/* Many threads request and undo; a call that is made is made once, an undone one never later. */
struct toggler {
    timedcall_t entry;
    atomic_int made;
    atomic_bool forbidden, wrong;
    uint64_t seed;
    hal_sem_t *done;
};

static void toggled(void *arg)
{
    struct toggler *t = arg;
    atomic_fetch_add(&t->made, 1);
    if (atomic_load(&t->forbidden)) {
        atomic_store(&t->wrong, true);
    }
}

static void request_and_undo(void *arg)
{
    struct toggler *t = arg;
    struct ph_rng rng;
    ph_rng_init(&rng, t->seed);
    for (int i = 0; i < ON_MACHINE(400, 20); i++) {
        t->entry.msecLater = (long)ph_rng_below(&rng, 2);
        phantom_request_timed_call(&t->entry, 0);
        let_pass((unsigned)ph_rng_below(&rng, 30));
        phantom_undo_timed_call(&t->entry);
        atomic_store(&t->forbidden, true);
        let_pass(1);
        atomic_store(&t->forbidden, false);
    }
    hal_sem_release(t->done);
}

static void undo_races_with_the_call(void **state)
{
    (void)state;
    uint64_t seed = machine_seed();
    hal_sem_t done;
    assert_int_equal(hal_sem_init(&done, "toggled"), 0);
    static struct toggler ts[4];
    memset(ts, 0, sizeof(ts));
    for (int i = 0; i < 4; i++) {
        ts[i].entry = (timedcall_t){toggled, &ts[i], 0, 0, 0, {0, 0}, 0};
        ts[i].seed = seed + (uint64_t)i;
        ts[i].done = &done;
        assert_true(hal_start_kernel_thread_arg(request_and_undo, &ts[i]) >= 0);
    }
    assert_int_equal(hal_sem_acquire_etc(&done, 4, 0, 0), 0);
    for (int i = 0; i < 4; i++) {
        assert_false(atomic_load(&ts[i].wrong));
    }
    hal_sem_destroy(&done);
}

/* ---- net timers ------------------------------------------------------------------------------ */

struct net {
    net_timer_event event;
    hal_sem_t fired;
    atomic_int count;
    int again;
    bool was_pending;
};

static void net_fired(void *args)
{
    struct net *n = args;
    n->was_pending = n->event.pending;
    atomic_fetch_add(&n->count, 1);
    if (n->again > 0) {
        n->again--;
        (void)set_net_timer(&n->event, 1, net_fired, n, 0);
    }
    hal_sem_release(&n->fired);
}

static void net_init(struct net *n)
{
    memset(n, 0, sizeof(*n));
    assert_int_equal(hal_sem_init(&n->fired, "net"), 0);
}

static void net_timers_fire_and_are_cancelled(void **state)
{
    (void)state;
    struct net n;
    net_init(&n);
    assert_int_equal(cancel_net_timer(&n.event), -1);
    bigtime_t begin = hal_system_time();
    assert_int_equal(set_net_timer(&n.event, 10, net_fired, &n, 0), 0);
    assert_true(n.event.pending);
    assert_int_equal(set_net_timer(&n.event, 10, net_fired, &n, NET_TIMER_PENDING_IGNORE), -1);
    (void)hal_sem_acquire(&n.fired);
    assert_true(hal_system_time() - begin >= 10000);
    assert_false(n.was_pending);
    assert_int_equal(set_net_timer(&n.event, 1000000, net_fired, &n, 0), 0);
    assert_int_equal(set_net_timer(&n.event, 2, net_fired, &n, 0), 0); /* anew */
    (void)hal_sem_acquire(&n.fired);
    n.again = 3; /* from its own callback */
    assert_int_equal(set_net_timer(&n.event, 0, net_fired, &n, 0), 0);
    assert_int_equal(hal_sem_acquire_etc(&n.fired, 4, 0, 0), 0);
    assert_int_equal(set_net_timer(&n.event, 1000000, net_fired, &n, 0), 0);
    assert_int_equal(cancel_net_timer(&n.event), 0);
    assert_int_equal(cancel_net_timer(&n.event), -1);
    assert_int_equal(atomic_load(&n.count), 6);
    hal_sem_destroy(&n.fired);
}

struct blocked {
    hal_sem_t inside, leave, left;
};

static void block(void *args)
{
    struct blocked *b = args;
    hal_sem_release(&b->inside);
    (void)hal_sem_acquire(&b->leave);
    hal_sem_release(&b->left); /* from here on it may be gone */
}

static void a_net_timer_that_blocks_stops_no_other(void **state)
{
    (void)state;
    struct blocked b;
    struct net n;
    static net_timer_event blocking[20];
    memset(blocking, 0, sizeof(blocking));
    net_init(&n);
    assert_int_equal(hal_sem_init(&b.inside, "inside"), 0);
    assert_int_equal(hal_sem_init(&b.leave, "leave"), 0);
    assert_int_equal(hal_sem_init(&b.left, "left"), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(set_net_timer(&blocking[i], 0, block, &b, 0), 0);
    }
    assert_int_equal(hal_sem_acquire_etc(&b.inside, 20, 0, 0), 0);
    assert_int_equal(set_net_timer(&n.event, 0, net_fired, &n, 0), 0);
    (void)hal_sem_acquire(&n.fired);
    for (int i = 0; i < 20; i++) {
        hal_sem_release(&b.leave);
    }
    hal_sem_destroy(&n.fired);
    assert_int_equal(hal_sem_acquire_etc(&b.left, 20, 0, 0), 0);
    hal_sem_destroy(&b.inside);
    hal_sem_destroy(&b.leave);
    hal_sem_destroy(&b.left);
}

/* What a late callback of the defect touches is there for ever: no semaphores, nothing cleared. */
struct race {
    net_timer_event event;
    atomic_int fired;
    int owed; /* times it was set and not cancelled */
};
static struct race races[8];

static void race_fired(void *args)
{
    atomic_fetch_add((atomic_int *)args, 1);
}

/* Set it, wait a little, cancel it; if that comes too late, wait until it has fired. */
static void set_and_cancel(unsigned microseconds)
{
    for (unsigned i = 0; i < 8; i++) {
        struct race *r = &races[i];
        assert_int_equal(set_net_timer(&r->event, i % 2, race_fired, &r->fired, 0), 0);
    }
    let_pass(microseconds);
    for (unsigned i = 0; i < 8; i++) {
        struct race *r = &races[i];
        if (cancel_net_timer(&r->event) != 0) {
            for (r->owed++; atomic_load(&r->fired) < r->owed;) {
                phantom_scheduler_yield();
            }
        }
    }
}

/* The fact: a cancel that says 0 means that the callback is not called, even if it was due. */
static bool cancelled_never_fires(int rounds)
{
    bool right = true;
    for (unsigned i = 0; i < 8; i++) {
        races[i].owed = atomic_load(&races[i].fired);
    }
    for (int round = 0; round < rounds && right; round++) {
        set_and_cancel((unsigned)round % 50 * ON_MACHINE(4, 1));
        for (unsigned i = 0; i < 8; i++) {
            while (races[i].event.pending) { /* of the defect: it is not set again while it is */
                phantom_scheduler_yield();
            }
            right = right && atomic_load(&races[i].fired) == races[i].owed;
        }
    }
    return right;
}

static void cancel_races_with_fire(void **state)
{
    (void)state;
    assert_true(cancelled_never_fires(ON_MACHINE(300, 20)));
}

static bool cancelled_never_fires_soon(void)
{
    return cancelled_never_fires(ON_MACHINE(100, 30));
}

static void cancel_races_with_fire_defect(void **state)
{
    (void)state;
    machine_expect_defect(PH_MUTANT_CANCELLED_FIRES, cancelled_never_fires_soon, 50);
}

/* ---- dpc: the port's test ---------------------------------------------------------------------
 */

struct deferred {
    dpc_request request;
    hal_sem_t done;
    void *seen;
    atomic_int runs;
    struct blocked *blocks;
};

static void run_deferred(void *arg)
{
    struct deferred *d = arg;
    d->seen = arg;
    atomic_fetch_add(&d->runs, 1);
    if (d->blocks != NULL) {
        block(d->blocks);
    }
    hal_sem_release(&d->done);
}

static void deferred_init(struct deferred *d, struct blocked *blocks)
{
    memset(d, 0, sizeof(*d));
    d->blocks = blocks;
    dpc_request_init(&d->request, run_deferred);
    assert_int_equal(hal_sem_init(&d->done, "deferred"), 0);
}

/* The fact: the second one runs while the first ones block. */
static bool blocked_dpcs_stop_no_other(void)
{
    static struct deferred first[10], second;
    struct blocked b;
    assert_int_equal(hal_sem_init(&b.inside, "inside"), 0);
    assert_int_equal(hal_sem_init(&b.leave, "leave"), 0);
    assert_int_equal(hal_sem_init(&b.left, "left"), 0);
    dpc_init();
    for (int i = 0; i < 10; i++) {
        deferred_init(&first[i], &b);
        dpc_request_trigger(&first[i].request, &first[i]);
    }
    deferred_init(&second, NULL);
    dpc_request_trigger(&second.request, &second);
    bool ran = hal_sem_acquire_etc(&second.done, 1, SEM_FLAG_TIMEOUT,
                                   ph_active_mutant != PH_MUTANT_NONE ? 50000 : 60000000) == 0;
    for (int i = 0; i < 10; i++) {
        hal_sem_release(&b.leave);
    }
    for (int i = 0; i < 10; i++) {
        (void)hal_sem_acquire(&first[i].done);
        ran = ran && atomic_load(&first[i].runs) == 1 && first[i].seen == &first[i];
    }
    dpc_finish(); /* all are done then */
    ran = ran && atomic_load(&second.runs) == 1 && second.seen == &second;
    for (int i = 0; i < 10; i++) {
        hal_sem_destroy(&first[i].done);
    }
    hal_sem_destroy(&second.done);
    hal_sem_destroy(&b.inside);
    hal_sem_destroy(&b.leave);
    hal_sem_destroy(&b.left);
    return ran;
}

static void dpc(void **state)
{
    (void)state;
    assert_true(blocked_dpcs_stop_no_other());
    machine_expect_defect(PH_MUTANT_DPC_FIXED_WORKERS, blocked_dpcs_stop_no_other, 1);
}

enum { CHAIN = ON_MACHINE(500, 50) };
static atomic_int chain_runs;
static dpc_request chained;
static hal_sem_t chain_done;

static void trigger_again(void *arg)
{
    int left = atomic_fetch_add(&chain_runs, 1);
    if (left < CHAIN) {
        dpc_request_trigger(&chained, arg);
    } else {
        hal_sem_release(&chain_done);
    }
}

static void a_dpc_may_trigger_itself(void **state)
{
    (void)state;
    assert_int_equal(hal_sem_init(&chain_done, "chain"), 0);
    atomic_store(&chain_runs, 0);
    dpc_init();
    dpc_init();
    dpc_request_init(&chained, trigger_again);
    dpc_request_trigger(&chained, &chain_done);
    (void)hal_sem_acquire(&chain_done);
    dpc_finish();
    dpc_finish();
    assert_int_equal(atomic_load(&chain_runs), CHAIN + 1);
    hal_sem_destroy(&chain_done);
}

/* ---- counters -------------------------------------------------------------------------------- */

enum { EVENTS = ON_MACHINE(20000, 50), DEFECT_EVENTS = 50 };

/* The defect yields between its load and its store, so few are enough, and many are slow. */
static int events(void)
{
    return ph_active_mutant != PH_MUTANT_NONE ? DEFECT_EVENTS : EVENTS;
}

static void count_events(void *arg)
{
    for (int i = events(); i > 0; i--) {
        STAT_INC_CNT(STAT_CNT_WIRE);
        STAT_INC_CNT_N(STAT_CNT_PAGEIN, 2);
    }
    hal_sem_release(arg);
}

/* The fact: no event is lost, although seconds go by meanwhile. */
static bool no_event_is_lost(void)
{
    hal_sem_t done;
    struct kernel_stats before, after;
    assert_int_equal(hal_sem_init(&done, "counted"), 0);
    assert_int_equal(get_stats_record(STAT_CNT_WIRE, &before), 0);
    for (int i = 0; i < 4; i++) {
        assert_true(hal_start_kernel_thread_arg(count_events, &done) >= 0);
    }
    for (int i = 0; i < ON_MACHINE(200, 20); i++) {
        stat_update_second_stats();
        phantom_scheduler_yield();
    }
    assert_int_equal(hal_sem_acquire_etc(&done, 4, 0, 0), 0);
    assert_int_equal(get_stats_record(STAT_CNT_WIRE, &after), 0);
    hal_sem_destroy(&done);
    return after.total - before.total == 4 * (u_int64_t)events();
}

static void counters_lose_nothing(void **state)
{
    (void)state;
    assert_true(no_event_is_lost());
    struct kernel_stats record;
    assert_int_equal(get_stats_record(STAT_CNT_PAGEIN, &record), 0);
    assert_int_equal(record.total, 8 * EVENTS);
    machine_expect_defect(PH_MUTANT_STAT_NOT_ATOMIC, no_event_is_lost, 50);
}

static void counters_turn_over_each_second(void **state)
{
    (void)state;
    struct kernel_stats record;
    phantom_init_stat_counters();
    assert_int_equal(get_stats_record(128, &record), EINVAL);
    assert_int_equal(get_stats_record(-1, &record), EINVAL);
    assert_int_equal(get_stats_record(50, &record), 0); /* before the first second: no division */
    assert_int_equal(record.average_per_second, 0);
    STAT_INC_CNT_N(50, 30);
    stat_update_second_stats();
    STAT_INC_CNT_N(50, 10);
    assert_int_equal(get_stats_record(50, &record), 0);
    assert_int_equal(record.current_per_second, 30);
    assert_int_equal(record.total, 40);
    stat_update_second_stats();
    assert_int_equal(get_stats_record(50, &record), 0);
    assert_int_equal(record.current_per_second, 10);
    assert_int_equal(record.average_per_second, 20);
    assert_string_equal(record.name, "counter 50");
    char text[1000], small[10];
    phantom_dump_stats_buf(text, sizeof(text));
    assert_non_null(strstr(text, "counter 50"));
    phantom_dump_stats_buf(small, sizeof(small));
    assert_true(strlen(small) == sizeof(small) - 1);
}

static void totals_survive_in_the_object_space(void **state)
{
    (void)state;
    static struct persistent_kernel_stats kept[MAX_STAT_COUNTERS];
    memset(kept, 0, sizeof(kept));
    kept[50].total_prev_runs = 100;
    kept[50].total_prev_and_this_runs = 1000;
    stat_set_persistent_storage(kept);
    STAT_INC_CNT_N(50, 7);
    struct kernel_stats record;
    assert_int_equal(get_stats_record(50, &record), 0);
    assert_int_equal(record.total_prev_runs, 1000);
    assert_int_equal(record.total_prev_and_this_runs, 1007);
    phantom_init_stat_counters2(); /* the tick begins, and writes the storage */
    while (__atomic_load_n(&kept[50].total_prev_and_this_runs, __ATOMIC_RELAXED) != 1007) {
        hal_sleep_msec(5);
    }
    stat_set_persistent_storage(NULL);
    assert_int_equal(kept[50].total_prev_runs, 1000);
}

/* ---- soft interrupts --------------------------------------------------------------------------
 */

static void soft(void *arg)
{
    hal_sem_release(arg);
}

static void soft_interrupts_are_dispatched(void **state)
{
    (void)state;
    hal_sem_t sem;
    assert_int_equal(hal_sem_init(&sem, "soft"), 0);
    int irqs[31];
    for (int i = 0; i < 31; i++) {
        irqs[i] = hal_alloc_softirq();
        assert_int_equal(irqs[i], i + 1);
    }
    assert_int_equal(hal_alloc_softirq(), -1);
    hal_set_softirq_handler(irqs[3], soft, &sem);
    hal_disable_softirq();
    hal_request_softirq(irqs[3]);
    hal_request_softirq(irqs[3]); /* one with the first */
    assert_int_equal(hal_sem_acquire_etc(&sem, 1, SEM_FLAG_TIMEOUT, 10000), ETIMEDOUT);
    hal_enable_softirq();
    (void)hal_sem_acquire(&sem);
    assert_int_equal(hal_sem_acquire_etc(&sem, 1, SEM_FLAG_TIMEOUT, 10000), ETIMEDOUT);
    assert_int_equal(hal_irq_alloc(5, soft, &sem, 1), 0);
    assert_int_equal(hal_irq_alloc(5, soft, &sem, 0), EBUSY);
    assert_int_equal(hal_irq_alloc(5, soft, &sem, 1), 0);
    assert_int_equal(hal_irq_alloc(64, soft, &sem, 1), EINVAL);
    phantom_hal_raise_irq(5);
    assert_int_equal(hal_sem_acquire_etc(&sem, 2, 0, 0), 0);
    hal_irq_free(5, soft, &sem);
    phantom_hal_raise_irq(5);
    assert_int_equal(hal_sem_acquire_etc(&sem, 1, 0, 0), 0);
    hal_set_softirq_handler(irqs[3], NULL, NULL);
    hal_sem_destroy(&sem);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void files_can_be_written_and_read(void **state)
{
    (void)state;
    char path[64];
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "%.40s/port_kunix_XXXXXX", folder != NULL ? folder : "/tmp");
    int made = mkstemp(path);
    assert_true(made >= 0);
    (void)close(made);
    int fd = -1, n = -1;
    unsigned int size = 77;
    char text[8] = "";
    assert_int_equal(k_open(&fd, path, O_RDWR, 0), 0);
    assert_int_equal(fd, 0);
    assert_int_equal(k_write(&n, fd, "phantom", 7), 0);
    assert_int_equal(n, 7);
    assert_int_equal(k_seek(&n, fd, -5, SEEK_END), 0);
    assert_int_equal(n, 2);
    assert_int_equal(k_read(&n, fd, text, 7), 0);
    assert_int_equal(n, 5);
    assert_string_equal(text, "antom");
    assert_int_equal(k_seek(&n, fd, -50, SEEK_SET), EINVAL);
    assert_int_equal(k_stat_size(path, &size), 0);
    assert_int_equal(size, 7);
    assert_int_equal(k_close(fd), 0);
    assert_int_equal(k_close(fd), EBADF);
    assert_int_equal(k_read(&n, fd, text, 1), EBADF);
    assert_int_equal(k_read(&n, -1, text, 1), EBADF);
    (void)unlink(path);
    assert_int_equal(k_open(&fd, path, O_RDONLY, 0), ENOENT);
    assert_int_equal(k_stat_size(path, &size), ENOENT);
}

/* ---- begin and end of a process ----------------------------------------------------------------
 */

static int level_1, level_2;
static void on_level_1(void)
{
    level_1++;
}
static void on_level_2(void)
{
    level_2++;
}
INIT_ME(on_level_1, on_level_2, 0)

static void init_functions_run_once(void **state)
{
    (void)state;
    run_init_functions(INIT_LEVEL_PREPARE);
    assert_int_equal(level_1, 1);
    assert_int_equal(level_2, 0);
    run_init_functions(INIT_LEVEL_INIT);
    run_init_functions(INIT_LEVEL_LATE);
    run_init_functions(INIT_LEVEL_PREPARE);
    assert_int_equal(level_1, 1);
    assert_int_equal(level_2, 1);
}

static void leave_44(void *context, const char *message)
{
    (void)context;
    _exit(strcmp(message, "number 7") == 0 ? 44 : 1);
}

static atomic_int synced;
static void note_sync(void *context)
{
    (void)context;
    atomic_fetch_add(&synced, 1);
}

static void leave_with_facts(void *context, int restart)
{
    (void)context;
    _exit(50 + atomic_load(&synced) * 2 + restart);
}

/* The child makes an instance of its own: it has no thread of ours but itself. */
static int status_of_child(int way)
{
    pid_t child = fork();
    if (child == 0) {
        struct phantom_hal_options options;
        struct phantom_hal *instance;
        phantom_hal_options_init(&options);
        options.on_panic = leave_44;
        options.on_sync = note_sync;
        options.on_exit = leave_with_facts;
        phantom_hal_leave();
        if (phantom_hal_create(&options, &instance) == 0 && phantom_hal_enter(instance) == 0) {
            (void)freopen("/dev/null", "w", stderr);
            switch (way) {
            case 0: panic("number %d", 7);
            case 1: phantom_shutdown(0);
            case 2: phantom_shutdown(PHANTOM_SHUTDOWN_FLAG_REBOOT | PHANTOM_SHUTDOWN_FLAG_NOSYNC);
            default: hal_cpu_reset_real();
            }
        }
        _exit(99);
    }
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void panic_and_shutdown_do_not_return(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(0), 44);
    assert_int_equal(status_of_child(1), 52);
    assert_int_equal(status_of_child(2), 51);
    assert_int_equal(status_of_child(3), 51);
}

int main(int argc, char **argv)
{
    at_full_length = argc > 1 && strcmp(argv[1], "long") == 0;
    const struct machine_case cases[] = {
        port_test_posix(panic_and_shutdown_do_not_return, "ends of a process, in children"),
        port_test_posix(init_functions_run_once, "constructors, once in a process"),
        port_test(timed_call),
        port_test(a_periodic_call_comes_again_until_undone),
        port_test(a_call_waits_for_its_lock),
        port_test(an_undone_call_is_not_going_on),
        port_test(undo_races_with_the_call),
        port_test(net_timers_fire_and_are_cancelled),
        port_test(a_net_timer_that_blocks_stops_no_other),
        port_test(cancel_races_with_fire),
        port_test(cancel_races_with_fire_defect),
        port_test(dpc),
        port_test(a_dpc_may_trigger_itself),
        port_test(counters_lose_nothing),
        port_test(counters_turn_over_each_second),
        port_test(totals_survive_in_the_object_space),
        port_test(soft_interrupts_are_dispatched),
        port_test_posix(files_can_be_written_and_read, "files of the host"),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
