/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_threads.c - threads of the port's HAL: the port's own tests under their names, what the
 * port got wrong, and many threads.
 */
#include "port_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <thread_private.h>
#include <unistd.h>

/* ---- test_hal_thread_creation: ten threads with an argument, two without -------------------- */

struct crew {
    hal_mutex_t lock;
    hal_sem_t done;
    int counter;
};
static struct crew without_argument;

static void count_one(void *argument)
{
    struct crew *crew = argument;
    (void)hal_mutex_lock(&crew->lock);
    crew->counter++;
    (void)hal_mutex_unlock(&crew->lock);
    hal_sem_release(&crew->done);
}

static void count_one_more(void)
{
    count_one(&without_argument);
}

static void crew_init(struct crew *crew)
{
    crew->counter = 0;
    assert_int_equal(hal_mutex_init(&crew->lock, "crew"), 0);
    assert_int_equal(hal_sem_init(&crew->done, "crew done"), 0);
}

static void crew_finish(struct crew *crew)
{
    assert_int_equal(hal_mutex_destroy(&crew->lock), 0);
    hal_sem_destroy(&crew->done);
}

static void test_hal_thread_creation(void **state)
{
    (void)state;
    struct crew *crew = &without_argument;
    crew_init(crew);
    for (int i = 0; i < 10; i++) {
        assert_true(hal_start_kernel_thread_arg(count_one, crew) >= 0);
    }
    hal_start_kernel_thread(count_one_more);
    hal_start_kernel_thread(count_one_more);
    assert_int_equal(hal_sem_acquire_etc(&crew->done, 12, 0, 0), 0);
    assert_int_equal(crew->counter, 12);
    crew_finish(crew);
}

/* ---- threads: references counted by forty threads, until a flag stops them ------------------- */

struct traffic {
    hal_mutex_t lock;
    hal_cond_t changed;
    hal_sem_t sem, done;
    atomic_int references, inside;
    int rounds;
    atomic_bool stop, failed;
};

static void references_go_up_and_down(void *argument)
{
    struct traffic *t = argument;
    while (!atomic_load(&t->stop)) {
        atomic_fetch_add(&t->references, 1);
        (void)hal_mutex_lock(&t->lock);
        if (atomic_fetch_add(&t->inside, 1) != 0 || !hal_mutex_is_locked(&t->lock)) {
            atomic_store(&t->failed, true);
        }
        t->rounds++;
        (void)atomic_fetch_sub(&t->inside, 1);
        (void)hal_cond_broadcast(&t->changed);
        (void)hal_mutex_unlock(&t->lock);
        hal_sem_release(&t->sem);
        (void)hal_sem_acquire(&t->sem);
        atomic_fetch_sub(&t->references, 1);
        phantom_scheduler_yield(); /* so that those of low priority come to it, too */
    }
    hal_sem_release(&t->done);
}

static void threads(void **state)
{
    (void)state;
    struct traffic t = {.references = 1};
    assert_int_equal(hal_mutex_init(&t.lock, "traffic"), 0);
    assert_int_equal(hal_cond_init(&t.changed, "traffic"), 0);
    assert_int_equal(hal_sem_init(&t.sem, "traffic"), 0);
    assert_int_equal(hal_sem_init(&t.done, "traffic"), 0);
    for (int i = 0; i < 40; i++) {
        assert_true(hal_start_thread(references_go_up_and_down, &t, THREAD_FLAG_KERNEL) >= 0);
    }
    (void)hal_mutex_lock(&t.lock);
    while (t.rounds < ON_MACHINE(2000, 200)) {
        (void)hal_cond_wait(&t.changed, &t.lock);
    }
    (void)hal_mutex_unlock(&t.lock);
    atomic_store(&t.stop, true);
    assert_int_equal(hal_sem_acquire_etc(&t.done, 40, 0, 0), 0);
    assert_int_equal(atomic_load(&t.references), 1);
    assert_false(atomic_load(&t.failed));
    hal_sem_destroy(&t.sem);
    hal_sem_destroy(&t.done);
    assert_int_equal(hal_cond_destroy(&t.changed), 0);
    assert_int_equal(hal_mutex_destroy(&t.lock), 0);
}

/* ---- 01_threads: what a thread has in its registers survives 2000 switches ------------------- */

struct keeper {
    hal_sem_t *done;
    uint64_t number;
    atomic_bool failed;
};

static void keep_numbers(void *argument)
{
    struct keeper *keeper = argument;
    uint64_t a = keeper->number, b = ~a, c = a * 3, d = a << 7;
    double e = (double)a / 7;
    for (int i = 0; i < ON_MACHINE(2000, 200); i++) {
        phantom_scheduler_yield();
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+x"(e));
    }
    if (a != keeper->number || b != ~a || c != a * 3 || d != a << 7 || e != (double)a / 7) {
        atomic_store(&keeper->failed, true);
    }
    hal_sem_release(keeper->done);
}

static void do_01_threads(void **state)
{
    (void)state;
    hal_sem_t done;
    assert_int_equal(hal_sem_init(&done, "keepers"), 0);
    struct keeper keepers[4];
    for (uint64_t i = 0; i < 4; i++) {
        keepers[i] = (struct keeper){&done, (i + 1) * UINT64_C(0x123456789abcdef), false};
        assert_true(hal_start_kernel_thread_arg(keep_numbers, &keepers[i]) >= 0);
    }
    assert_int_equal(hal_sem_acquire_etc(&done, 4, 0, 0), 0);
    for (int i = 0; i < 4; i++) {
        assert_false(atomic_load(&keepers[i].failed));
    }
    hal_sem_destroy(&done);
}

/* ---- many_threads, and ten thousand ---------------------------------------------------------- */

static void many(int count, int at_once)
{
    struct crew crew;
    crew_init(&crew);
    tid_t last = -1;
    for (int started = 0; started < count;) {
        int batch = 0;
        for (; batch < at_once && started < count; batch++, started++) {
            tid_t tid = hal_start_kernel_thread_arg(count_one, &crew);
            assert_true(tid >= 0);
            last = tid;
        }
        assert_int_equal(hal_sem_acquire_etc(&crew.done, batch, 0, 0), 0);
    }
    assert_int_equal(crew.counter, count);
    assert_true(last >= 0);
    crew_finish(&crew);
}

static void many_threads(void **state)
{
    (void)state;
    many(100, 100);
}

static void ten_thousand_threads_start_and_end(void **state)
{
    struct phantom_hal *instance = *state;
    many(10000, 50);
    /* The table went round: it holds what lives at once, not what ever lived. */
    phantom_hal_leave();
    assert_int_equal(phantom_hal_enter(instance), 0);
    assert_true((get_current_tid() & 0xffff) < 256);
}

/* ---- owner, name, priority, current thread -------------------------------------------------- */

struct sleeper {
    hal_sem_t started, leave;
    _Atomic(phantom_thread_t *) descriptor;
    void *owner_seen;
};

static void wait_for_leave(void *argument)
{
    struct sleeper *s = argument;
    atomic_store(&s->descriptor, get_current_thread());
    hal_sem_release(&s->started);
    (void)hal_sem_acquire(&s->leave);
    s->owner_seen = GET_CURRENT_THREAD()->owner;
    hal_sem_release(&s->started);
}

/* The fact: t_set_owner() is about the thread that it names. */
static bool owner_belongs_to_tid(void)
{
    struct sleeper s = {0};
    int mine = 1, its = 2;
    void *seen = NULL;
    assert_int_equal(hal_sem_init(&s.started, "started"), 0);
    assert_int_equal(hal_sem_init(&s.leave, "leave"), 0);
    assert_int_equal(t_set_owner(get_current_tid(), &mine), 0);
    tid_t tid = hal_start_thread(wait_for_leave, &s, THREAD_FLAG_VM);
    assert_true(tid >= 0);
    (void)hal_sem_acquire(&s.started);
    assert_int_equal(t_set_owner(tid, &its), 0);
    assert_int_equal(t_get_owner(tid, &seen), 0);
    bool right = seen == &its && get_thread_owner(atomic_load(&s.descriptor)) == &its;
    assert_int_equal(t_get_owner(get_current_tid(), &seen), 0);
    right = right && seen == &mine;
    hal_sem_release(&s.leave);
    (void)hal_sem_acquire(&s.started);
    right = right && s.owner_seen == &its;
    hal_sem_destroy(&s.started);
    hal_sem_destroy(&s.leave);
    return right;
}

static void owner_is_of_the_thread_that_is_named(void **state)
{
    (void)state;
    assert_true(owner_belongs_to_tid());
    machine_expect_defect(PH_MUTANT_OWNER_OF_CALLER, owner_belongs_to_tid, 1);
}

static void end_at_once(void *argument)
{
    hal_sem_release(argument);
}

/* The fact: a tid whose thread ended names nobody, also when its slot has another thread. */
static bool stale_tids_are_refused(void)
{
    hal_sem_t done;
    assert_int_equal(hal_sem_init(&done, "done"), 0);
    bool refused = true;
    tid_t old[200];
    for (int i = 0; i < 200; i++) { /* more than the table has slots */
        old[i] = hal_start_kernel_thread_arg(end_at_once, &done);
        assert_true(old[i] >= 0);
        (void)hal_sem_acquire(&done);
        struct phantom_hal_usage usage;
        do { /* it leaves the table a moment after its function */
            phantom_scheduler_yield();
            phantom_hal_usage(&usage);
        } while (usage.threads > 1);
    }
    void *owner;
    for (int i = 0; i < 200; i++) {
        for (int j = 0; j < i; j++) {
            refused = refused && old[i] != old[j];
        }
        refused = refused && t_get_owner(old[i], &owner) == ESRCH &&
                  t_set_owner(old[i], NULL) == ESRCH && t_kill_thread(old[i]) == ESRCH;
    }
    hal_sem_destroy(&done);
    return refused;
}

static void a_stale_tid_names_nobody(void **state)
{
    (void)state;
    assert_true(stale_tids_are_refused());
    void *owner;
    struct wtty *tty;
    assert_int_equal(t_get_owner(-1, &owner), ESRCH);
    assert_int_equal(t_get_owner(0x7fffffff, &owner), ESRCH);
    assert_int_equal(t_get_ctty(-1, &tty), ESRCH);
    assert_int_equal(t_get_ctty(get_current_tid(), &tty), ENOTTY);
    machine_expect_defect(PH_MUTANT_TID_REUSED, stale_tids_are_refused, 1);
}

/* Numbers of threads that ended are used against whoever has their slot now, while threads come and
 * go: none may be hit. */
struct victims {
    hal_sem_t born, die, done;
    atomic_int alive, ended;
};

static void be_victim(void *argument)
{
    struct victims *v = argument;
    hal_sem_release(&v->born);
    hal_sleep_msec(0); /* where a kill would end it */
    phantom_scheduler_yield();
    (void)hal_sem_acquire(&v->die);
    phantom_scheduler_yield();
    atomic_fetch_add(&v->ended, 1);
    hal_sem_release(&v->done);
}

static bool stale_numbers_hit_nobody(void)
{
    enum { AT_ONCE = 8, STALE = 64 };
    struct victims v = {.alive = 0};
    tid_t stale[STALE];
    size_t count = 0;
    assert_int_equal(hal_sem_init(&v.born, "born"), 0);
    assert_int_equal(hal_sem_init(&v.die, "die"), 0);
    assert_int_equal(hal_sem_init(&v.done, "done"), 0);
    int rounds = ON_MACHINE(60, 10);
    for (int round = 0; round < rounds; round++) {
        tid_t now[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) {
            now[i] = hal_start_kernel_thread_arg(be_victim, &v);
            assert_true(now[i] >= 0);
        }
        for (size_t i = 0; i < count; i++) { /* the slots have others now */
            (void)t_kill_thread(stale[i]);
            (void)t_set_owner(stale[i], &v);
        }
        for (int i = 0; i < AT_ONCE; i++) {
            hal_sem_release(&v.die);
        }
        struct phantom_hal_usage usage;
        do { /* all have left, on whatever way */
            phantom_scheduler_yield();
            phantom_hal_usage(&usage);
        } while (usage.threads > 1);
        for (int i = 0; i < AT_ONCE; i++) {
            stale[count < STALE ? count++ : (size_t)(round * AT_ONCE + i) % STALE] = now[i];
        }
    }
    bool all = atomic_load(&v.ended) == rounds * AT_ONCE;
    hal_sem_destroy(&v.born);
    hal_sem_destroy(&v.die);
    hal_sem_destroy(&v.done);
    return all;
}

static void a_number_that_comes_again_is_another_one(void **state)
{
    (void)state;
    assert_true(stale_numbers_hit_nobody());
    machine_expect_defect(PH_MUTANT_TID_REUSED, stale_numbers_hit_nobody, 20);
}

static void *foreign_thread(void *argument)
{
    phantom_thread_t *descriptor = get_current_thread();
    phantom_thread_t **out = argument;
    if (descriptor != NULL && descriptor == get_current_thread() && descriptor->tid >= 0 &&
        descriptor->tid == get_current_tid() && descriptor->owner == NULL) {
        *out = descriptor;
    }
    return NULL;
}

static void the_hosts_threads_have_descriptors_too(void **state)
{
    (void)state;
    pthread_t thread;
    phantom_thread_t *seen = NULL;
    assert_int_equal(pthread_create(&thread, NULL, foreign_thread, &seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(seen);
    assert_non_null(get_current_thread());
    assert_ptr_equal(get_current_thread(), get_current_thread());
}

static void names_and_priorities_are_kept(void **state)
{
    (void)state;
    assert_int_equal(t_current_set_name("a name of more than thirty-one characters"), 0);
    assert_int_equal(t_current_set_name(NULL), EINVAL);
    int prio = 0;
    assert_int_equal(t_current_get_priority(&prio), 0);
    assert_int_equal(prio, THREAD_PRIO_NORM);
    assert_int_equal(t_current_set_priority(THREAD_PRIO_HIGH | THREAD_PRIO_MOD_REALTIME), 0);
    assert_int_equal(t_current_get_priority(&prio), 0);
    assert_int_equal(prio, 0x1C);
    assert_int_equal(t_current_set_priority(0x20), EINVAL);
    assert_int_equal(t_current_set_priority(-1), EINVAL);
    assert_int_equal(t_current_set_priority(THREAD_PRIO_NORM), 0);
    assert_int_equal(t_set_snapper_flag(), 0);
    t_set_paged_mem(false);
    assert_int_equal(arch_is_object_land_access_enabled(), 0);
    t_set_paged_mem(true);
    assert_int_equal(arch_is_object_land_access_enabled(), 1);
    t_smp_enable(0);
    t_smp_enable(0);
    t_smp_enable(1);
    t_migrate_to_boot_CPU();
}

/* ---- death ---------------------------------------------------------------------------------- */

struct death {
    hal_sem_t started, died;
    atomic_int handled;
    atomic_bool right_descriptor, ran_on;
    int way; /* 0 return, 1 exit, 2 killed while asleep, 3 pthread_exit */
};

static void note_death(phantom_thread_t *thread)
{
    struct death *death = thread->owner;
    atomic_store(&death->right_descriptor, thread == get_current_thread());
    atomic_fetch_add(&death->handled, 1);
    hal_sem_release(&death->died);
}

static void die(void *argument)
{
    struct death *death = argument;
    get_current_thread()->owner = death;
    assert_int_equal(t_current_set_death_handler(note_death), 0);
    hal_sem_release(&death->started);
    switch (death->way) {
    case 1: hal_exit_kernel_thread();
    case 2: hal_sleep_msec(1000 * 1000); break;
    case 3: pthread_exit(NULL);
    default: return;
    }
    atomic_store(&death->ran_on, true);
}

static void the_death_handler_runs_once_however_a_thread_ends(void **state)
{
    (void)state;
    for (int way = 0; way < ON_MACHINE(4, 3); way++) { /* pthread_exit() is no call of the HAL */
        struct death death = {.way = way};
        assert_int_equal(hal_sem_init(&death.started, "started"), 0);
        assert_int_equal(hal_sem_init(&death.died, "died"), 0);
        tid_t tid = hal_start_kernel_thread_arg(die, &death);
        assert_true(tid >= 0);
        (void)hal_sem_acquire(&death.started);
        if (way == 2) {
            assert_int_equal(t_kill_thread(tid), 0);
        }
        (void)hal_sem_acquire(&death.died);
        struct phantom_hal_usage usage;
        do {
            phantom_scheduler_yield();
            phantom_hal_usage(&usage);
        } while (usage.threads > 1);
        assert_int_equal(atomic_load(&death.handled), 1);
        assert_true(atomic_load(&death.right_descriptor));
        assert_false(atomic_load(&death.ran_on));
        hal_sem_destroy(&death.started);
        hal_sem_destroy(&death.died);
    }
}

static void sleep_long(void *argument)
{
    hal_sem_release(argument);
    hal_sleep_msec(1000 * 1000);
    hal_sem_release(argument); /* must not be reached */
}

static void a_kill_meets_a_sleep_at_any_moment(void **state)
{
    (void)state;
    hal_sem_t sem;
    assert_int_equal(hal_sem_init(&sem, "sleepers"), 0);
    for (int i = 0; i < ON_MACHINE(300, 20); i++) {
        tid_t tid = hal_start_kernel_thread_arg(sleep_long, &sem);
        assert_true(tid >= 0);
        if (i % 2 == 0) {
            (void)hal_sem_acquire(&sem);
        }
        assert_int_equal(t_kill_thread(tid), 0);
        if (i % 2 != 0) {
            (void)hal_sem_acquire(&sem);
        }
    }
    struct phantom_hal_usage usage;
    do { /* they end without having slept */
        phantom_scheduler_yield();
        phantom_hal_usage(&usage);
    } while (usage.threads > 1);
    int count = -1;
    assert_int_equal(sem_get_count(&sem, &count), 0);
    assert_int_equal(count, 0);
    hal_sem_destroy(&sem);
}

/* ---- thread_block --------------------------------------------------------------------------- */

struct blocker {
    hal_spinlock_t lock;
    hal_sem_t go, back;
    tid_t tid;
    int rounds;
};

static void block_again_and_again(void *argument)
{
    struct blocker *b = argument;
    for (int i = b->rounds; i > 0; i--) { /* after the last release it may be gone */
        hal_spin_lock(&b->lock);
        hal_sem_release(&b->go);
        thread_block(THREAD_SLEEP_IO, &b->lock);
        hal_sem_release(&b->back);
    }
}

/* The fact: a wake-up that follows the release of the lock is not lost. A lost one shows as a
 * sleeper that does not come back, and is woken again. */
static bool no_wake_up_is_lost(int rounds, long patience_us)
{
    struct blocker b = {.rounds = rounds};
    hal_spin_init(&b.lock);
    assert_int_equal(hal_sem_init(&b.go, "go"), 0);
    assert_int_equal(hal_sem_init(&b.back, "back"), 0);
    tid_t tid = hal_start_kernel_thread_arg(block_again_and_again, &b);
    assert_true(tid >= 0);
    bool lost = false;
    for (int i = 0; i < rounds; i++) {
        (void)hal_sem_acquire(&b.go);
        hal_spin_lock(&b.lock); /* free: it sleeps, as far as we can see */
        hal_spin_unlock(&b.lock);
        (void)phantom_thread_wake_up(tid, THREAD_SLEEP_IO);
        while (hal_sem_acquire_etc(&b.back, 1, SEM_FLAG_TIMEOUT, lost ? 1000 : patience_us) != 0) {
            lost = true;
            (void)phantom_thread_wake_up(tid, THREAD_SLEEP_IO);
        }
    }
    hal_sem_destroy(&b.go);
    hal_sem_destroy(&b.back);
    return !lost;
}

static bool no_wake_up_is_lost_soon(void)
{
    return no_wake_up_is_lost(ON_MACHINE(1000, 20), 50000);
}

static void thread_block_loses_no_wake_up(void **state)
{
    (void)state;
    assert_true(no_wake_up_is_lost(ON_MACHINE(3000, 50), 30 * 1000000L));
    machine_expect_defect(PH_MUTANT_UNLOCK_BEFORE_SLEEP, no_wake_up_is_lost_soon, 50);
}

/* ---- instances ------------------------------------------------------------------------------ */

static void instances_know_nothing_of_each_other(void **state)
{
    struct phantom_hal *first = *state, *second = NULL;
    assert_ptr_equal(phantom_hal_current(), first);
    assert_int_equal(phantom_hal_enter(first), EBUSY);
    tid_t here = get_current_tid();
    physaddr_t frame;
    assert_int_equal(hal_alloc_phys_page(&frame), 0);
    struct phantom_hal_options options;
    phantom_hal_options_init(&options);
    options.phys_bytes = 32 * PAGE_SIZE;
    assert_int_equal(phantom_hal_create(&options, &second), 0);
    phantom_hal_leave();
    assert_ptr_not_equal(phantom_hal_current(), first);
    assert_int_equal(phantom_hal_enter(second), 0);
    assert_int_equal(here, get_current_tid()); /* another table, numbered from 0, too */
    struct phantom_hal_usage usage;
    phantom_hal_usage(&usage);
    assert_int_equal(usage.phys_pages_used, 0);
    assert_int_equal(usage.phys_pages_total, 16);
    assert_int_equal(usage.threads, 1);
    assert_int_equal(phantom_hal_destroy(second), EBUSY); /* we are inside */
    phantom_hal_leave();
    assert_int_equal(phantom_hal_destroy(second), 0);
    assert_int_equal(phantom_hal_enter(first), 0);
    hal_free_phys_page(frame);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct phantom_hal_options options;
    struct phantom_hal *instance = NULL;
    phantom_hal_options_init(&options);
    options.size--;
    assert_int_equal(phantom_hal_create(&options, &instance), EINVAL);
    phantom_hal_options_init(&options);
    options.phys_bytes = 100;
    assert_int_equal(phantom_hal_create(&options, &instance), EINVAL);
    assert_null(instance);
    assert_int_equal(phantom_hal_destroy(NULL), 0);
}

static void an_instance_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    bool refused = true;
    for (int64_t n = 0; refused; n++) {
        struct phantom_hal *instance = NULL;
        ph_memory_fail_after(n, false);
        int rc = phantom_hal_create(NULL, &instance);
        refused = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(rc, refused ? ENOMEM : 0);
        assert_int_equal(phantom_hal_destroy(instance), 0);
        assert_int_equal(ph_memory_live_blocks(), before);
    }
}

int main(void)
{
    const struct machine_case cases[] = {
        port_test(test_hal_thread_creation),
        port_test(threads),
        {.name = "01_threads",
         .run = do_01_threads,
         .setup = port_setup,
         .teardown = port_teardown},
        port_test(many_threads),
        port_test_seeds(ten_thousand_threads_start_and_end, 1),
        port_test(owner_is_of_the_thread_that_is_named),
        port_test(a_stale_tid_names_nobody),
        port_test(a_number_that_comes_again_is_another_one),
        port_test_posix(the_hosts_threads_have_descriptors_too,
                        "a thread that pthread_create() made"),
        port_test(names_and_priorities_are_kept),
        port_test(the_death_handler_runs_once_however_a_thread_ends),
        port_test(a_kill_meets_a_sleep_at_any_moment),
        port_test(thread_block_loses_no_wake_up),
        port_test(instances_know_nothing_of_each_other),
        port_test(options_are_checked),
        port_test(an_instance_is_made_whole_or_not_at_all),
    };
    return machine_main(cases, sizeof(cases) / sizeof(cases[0]), &port_hooks);
}
