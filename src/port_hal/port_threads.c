/* SPDX-License-Identifier: Apache-2.0
 *
 * port_threads.c - threads of the port: the table of an instance, descriptors, start and end.
 *
 * Owns the table and all descriptors. A tid is slot | generation << 16: a slot is used again in the
 * order in which slots became free, with the next generation, so a stale tid is refused until its
 * slot was used 32768 times more.
 *
 * The lock of a table is a leaf. Always true between calls: a descriptor is in the table from
 * before its thread runs until after its death handler returned; then it is freed. So whoever holds
 * the lock and found a descriptor may use it until it lets go of the lock.
 */
#include "port_internal.h"
#include "port_machine.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { POSTED_SHIFT = 16 };
enum { SLOT_BITS = 16, MAX_SLOTS = 1 << SLOT_BITS, GENERATIONS = 1 << 15, FIRST_SLOTS = 64 };

struct slot {
    struct port_thread *thread; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* of a free one; the last one names itself */
};

struct port_table {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a thread left */
    struct slot *slots;
    uint32_t slot_count;
    uint32_t free_first, free_last, free_count;
    size_t ours, service, guests; /* started by users; by the HAL itself; threads of the host */
    bool closed;                  /* the instance ends: users start no thread any more */
    bool cpus_saved;
    cpu_set_t cpus; /* before t_smp_enable(0) */
};

/* ---- the current thread --------------------------------------------------------------------- */

static __thread struct port_thread *current;
static __thread struct port_thread *outer; /* the default instance's, while inside another one */
static void thread_end(struct port_thread *thread);

void port_threads_leave(void)
{
    if (current != NULL) {
        thread_end(current);
    }
    current = outer;
    outer = NULL;
    if (current != NULL) {
        thread_end(current);
        current = NULL;
    }
}

static void become(struct port_thread *thread)
{
    current = thread;
    atomic_store(&thread->os_tid, (int)gettid());
    port_machine_at_thread_end(port_threads_leave);
}

struct port_thread *port_thread_if_any(void)
{
    return current;
}

/* ---- table ---------------------------------------------------------------------------------- */

static bool grow(struct port_table *table)
{
    uint32_t count = table->slot_count == 0 ? FIRST_SLOTS : table->slot_count * 2;
    if (count > MAX_SLOTS) {
        return false;
    }
    struct slot *slots = ph_realloc(table->slots, count * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    table->slots = slots;
    for (uint32_t i = table->slot_count; i < count; i++) {
        slots[i] = (struct slot){NULL, 0, i + 1 < count ? i + 1 : i};
    }
    table->free_first = table->slot_count;
    table->free_last = count - 1;
    table->free_count = count - table->slot_count;
    table->slot_count = count;
    return true;
}

static size_t *counter_of(struct port_table *table, const struct port_thread *thread)
{
    if (!thread->ours) {
        return &table->guests;
    }
    return thread->service ? &table->service : &table->ours;
}

/* 0, or -EAGAIN: the table is full, no memory, or the instance ends. */
static int enlist(struct port_table *table, struct port_thread *thread)
{
    (void)pthread_mutex_lock(&table->lock);
    bool closed = table->closed && !thread->service && !PH_MUTANT(THREADS_AT_THE_END);
    bool room = !closed && (table->free_count > 0 || grow(table));
    if (room) {
        uint32_t index = table->free_first;
        struct slot *slot = &table->slots[index];
        table->free_first = slot->next_free;
        table->free_count--;
        slot->thread = thread;
        thread->public.tid = (long)(slot->generation << SLOT_BITS | index);
        ++*counter_of(table, thread);
    }
    (void)pthread_mutex_unlock(&table->lock);
    return room ? 0 : -EAGAIN;
}

/* The instance may be gone when this returns: somebody waits for the last thread. */
static void delist(struct port_table *table, struct port_thread *thread)
{
    (void)pthread_mutex_lock(&table->lock);
    uint32_t index = (uint32_t)thread->public.tid % MAX_SLOTS;
    struct slot *slot = &table->slots[index];
    slot->thread = NULL;
    if (!PH_MUTANT(TID_REUSED)) {
        slot->generation = (slot->generation + 1) % GENERATIONS;
    }
    slot->next_free = index;
    if (table->free_count == 0) {
        table->free_first = index;
    } else {
        table->slots[table->free_last].next_free = index;
    }
    table->free_last = index;
    table->free_count++;
    --*counter_of(table, thread);
    (void)pthread_cond_broadcast(&table->changed);
    (void)pthread_mutex_unlock(&table->lock);
}

/* The descriptor of a tid, or NULL; the lock is held. */
static struct port_thread *find(struct port_table *table, tid_t tid)
{
    uint32_t index = (uint32_t)tid % MAX_SLOTS;
    if (tid < 0 || index >= table->slot_count) {
        return NULL;
    }
    struct slot *slot = &table->slots[index];
    return slot->generation == (uint32_t)tid >> SLOT_BITS ? slot->thread : NULL;
}

int port_threads_open(struct phantom_hal *instance)
{
    struct port_table *table = ph_zalloc(1, sizeof(*table));
    if (table == NULL) {
        return ENOMEM;
    }
    (void)pthread_mutex_init(&table->lock, NULL);
    (void)pthread_cond_init(&table->changed, NULL);
    instance->threads = table;
    return 0;
}

int port_threads_drain(struct phantom_hal *instance)
{
    struct port_table *table = instance->threads;
    (void)pthread_mutex_lock(&table->lock);
    while (table->guests == 0 && table->ours > 0) {
        (void)pthread_cond_wait(&table->changed, &table->lock);
    }
    int rc = table->guests == 0 ? 0 : EBUSY;
    table->closed = rc == 0;
    (void)pthread_mutex_unlock(&table->lock);
    return rc;
}

void port_threads_close(struct phantom_hal *instance)
{
    struct port_table *table = instance->threads;
    (void)pthread_mutex_lock(&table->lock);
    while (table->service + table->ours > 0) { /* told to end by the parts that had them */
        (void)pthread_cond_wait(&table->changed, &table->lock);
    }
    (void)pthread_mutex_unlock(&table->lock);
    (void)pthread_cond_destroy(&table->changed);
    (void)pthread_mutex_destroy(&table->lock);
    ph_free(table->slots);
    ph_free(table);
}

size_t port_threads_count(struct phantom_hal *instance)
{
    struct port_table *table = instance->threads;
    (void)pthread_mutex_lock(&table->lock);
    size_t count = table->ours + table->service + table->guests;
    (void)pthread_mutex_unlock(&table->lock);
    return count;
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static struct port_thread *new_thread(struct phantom_hal *instance)
{
    struct port_thread *thread = ph_zalloc(1, sizeof(*thread));
    if (thread != NULL) {
        thread->hal = instance;
        thread->public.prio = THREAD_PRIO_NORM;
        thread->public.ctty_h = -1;
    }
    return thread;
}

/* Once; a handler that ends its thread ends itself only. */
static void run_death_handler(struct port_thread *thread)
{
    void (*handler)(phantom_thread_t *) = thread->death_handler;
    jmp_buf place;
    jmp_buf *outer_place = thread->leave;
    thread->death_handler = NULL;
    if (handler != NULL) {
        thread->leave = &place;
        if (setjmp(place) == 0) {
            handler(&thread->public);
        }
        thread->leave = outer_place;
    }
}

static void thread_end(struct port_thread *thread)
{
    thread->ending = true;
    run_death_handler(thread);
    delist(thread->hal->threads, thread);
    ph_free(thread);
}

/* A descriptor for a thread of the host. NULL: no memory, or the table is full. */
static struct port_thread *adopt(struct phantom_hal *instance)
{
    struct port_thread *thread = new_thread(instance);
    if (thread != NULL && enlist(instance->threads, thread) != 0) {
        ph_free(thread);
        thread = NULL;
    }
    return thread;
}

struct port_thread *port_thread(void)
{
    if (__builtin_expect(current == NULL, 0)) {
        struct port_thread *thread = adopt(port_default());
        if (thread == NULL) {
            panic("no memory for a thread's descriptor");
        }
        become(thread);
    }
    return current;
}

struct phantom_hal *port_hal(void)
{
    return port_thread()->hal;
}

phantom_thread_t *get_current_thread(void)
{
    return &port_thread()->public;
}

tid_t get_current_tid(void)
{
    return (tid_t)port_thread()->public.tid;
}

int phantom_hal_enter(struct phantom_hal *instance)
{
    if (current != NULL && (current->ours || outer != NULL || !current->hal->is_default)) {
        return EBUSY;
    }
    struct port_thread *thread = adopt(instance);
    if (thread == NULL) {
        return ENOMEM;
    }
    outer = current;
    become(thread);
    return 0;
}

void phantom_hal_leave(void)
{
    if (current != NULL && !current->ours && !current->hal->is_default) {
        struct port_thread *left = current;
        thread_end(left);
        current = outer;
        outer = NULL;
    }
}

struct phantom_hal *phantom_hal_current(void)
{
    return port_hal();
}

/* ---- start and end -------------------------------------------------------------------------- */

static void *run_thread(void *argument)
{
    struct port_thread *thread = argument;
    become(thread);
    thread->body(thread->argument);
    return NULL; /* port_threads_leave() follows */
}

static tid_t start(struct phantom_hal *instance, void (*body)(void *), void *argument, bool service,
                   struct port_thread **out)
{
    if (body == NULL) {
        return -EINVAL;
    }
    struct port_thread *thread = new_thread(instance);
    if (thread == NULL) {
        return -ENOMEM;
    }
    thread->ours = true;
    thread->argument = argument;
    thread->service = service;
    thread->body = body;
    if (enlist(instance->threads, thread) != 0) {
        ph_free(thread);
        return -EAGAIN;
    }
    tid_t tid = (tid_t)thread->public.tid; /* the thread may be over before we look again */
    int rc = port_machine_start(run_thread, thread);
    if (rc != 0) {
        delist(instance->threads, thread);
        ph_free(thread);
        return -rc;
    }
    if (out != NULL) {
        *out = thread;
    }
    return tid;
}

tid_t port_threads_start(struct phantom_hal *instance, void (*body)(void *), void *argument)
{
    return start(instance, body, argument, true, NULL);
}

tid_t hal_start_thread(void (*thread)(void *), void *arg, int flags)
{
    (void)flags; /* what kind of thread it is changes nothing on this system */
    return start(port_hal(), thread, arg, false, NULL);
}

tid_t hal_start_kernel_thread_arg(void (*thread)(void *), void *arg)
{
    return start(port_hal(), thread, arg, false, NULL);
}

static void run_without_argument(void *argument)
{
    void (*body)(void) = (void (*)(void))(uintptr_t)argument;
    body();
}

void hal_start_kernel_thread(void (*thread)(void))
{
    tid_t tid = thread == NULL ? -EINVAL
                               : start(port_hal(), run_without_argument, (void *)(uintptr_t)thread,
                                       false, NULL);
    if (tid < 0) {
        ph_log(PH_LOG_ERROR, "hal_start_kernel_thread: %s", strerror(-tid));
    }
}

phantom_thread_t *phantom_create_thread(void (*func)(void *), void *arg, int flags)
{
    (void)flags;
    struct port_thread *thread = NULL;
    (void)start(port_hal(), func, arg, false, &thread);
    return thread != NULL ? &thread->public : NULL;
}

void hal_exit_kernel_thread(void)
{
    struct port_thread *thread = port_thread(); /* so that a thread of the host ends like ours */
    if (thread->leave != NULL) {
        if (!thread->ending) {
            run_death_handler(thread);
        }
        longjmp(*thread->leave, 1);
    }
    port_machine_exit_thread();
}

bool port_call_back(void (*function)(void *), void *argument)
{
    struct port_thread *thread = port_thread();
    if (PH_MUTANT(CALLBACK_ENDS_THREAD)) {
        function(argument);
        return false;
    }
    jmp_buf place;
    jmp_buf *outer_place = thread->leave;
    thread->leave = &place;
    if (setjmp(place) == 0) {
        function(argument);
        thread->leave = outer_place;
        return false;
    }
    thread->leave = outer_place;
    return !thread->service;
}

errno_t t_current_set_death_handler(void (*handler)(phantom_thread_t *))
{
    port_thread()->death_handler = handler;
    return 0;
}

/* ---- sleep, wake, kill ---------------------------------------------------------------------- */

static void futex_wake_all(_Atomic uint32_t *word)
{
    hal_futex_wake(word, INT_MAX);
}

static bool is_to_die(struct port_thread *thread)
{
    return atomic_load(&thread->killed) && !thread->ending;
}

static void die_if_killed(struct port_thread *thread)
{
    if (is_to_die(thread)) {
        hal_exit_kernel_thread();
    }
}

void hal_sleep_msec(int miliseconds)
{
    struct port_thread *thread = port_thread();
    int64_t left = miliseconds > 0 ? (int64_t)miliseconds * 1000000 : 0;
    uint64_t until = hal_monotonic_ns() + (uint64_t)left;
    while (left > 0 && !is_to_die(thread)) {
        /* The word is read before `killed` is looked at again: a kill changes both, in that order
         */
        uint32_t seen = atomic_load(&thread->nudged);
        if (!is_to_die(thread)) {
            (void)hal_futex_wait(&thread->nudged, seen, left);
        }
        left = (int64_t)(until - hal_monotonic_ns());
    }
    die_if_killed(thread);
}

void phantom_scheduler_yield(void)
{
    hal_yield();
    die_if_killed(port_thread());
}

errno_t t_kill_thread(tid_t tid)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    struct port_thread *thread = find(table, tid);
    errno_t rc = thread == NULL ? ESRCH : thread->service ? EPERM : 0;
    if (rc == 0) {
        atomic_store(&thread->killed, true);
        (void)atomic_fetch_add(&thread->nudged, 1);
        futex_wake_all(&thread->nudged);
    }
    (void)pthread_mutex_unlock(&table->lock);
    return rc;
}

void thread_block(int sleep_flag, hal_spinlock_t *lock_to_be_unlocked)
{
    struct port_thread *thread = port_thread();
    uint32_t flag = (uint32_t)sleep_flag;
    /* Asleep as far as others can see, before the lock is free: whoever wants to wake us takes the
     * lock first. */
    if (!PH_MUTANT(UNLOCK_BEFORE_SLEEP)) {
        (void)atomic_fetch_or(&thread->asleep, flag);
    }
    if (lock_to_be_unlocked != NULL) {
        hal_spin_unlock(lock_to_be_unlocked);
    }
    if (PH_MUTANT(UNLOCK_BEFORE_SLEEP)) {
        hal_yield();
        (void)atomic_fetch_or(&thread->asleep, flag);
    }
    for (;;) {
        uint32_t seen = atomic_load(&thread->asleep);
        if ((seen & flag) == 0 || (seen & flag << POSTED_SHIFT) != 0) {
            (void)atomic_fetch_and(&thread->asleep, ~(flag | flag << POSTED_SHIFT));
            return;
        }
        (void)hal_futex_wait(&thread->asleep, seen, -1);
    }
}

static void wake(struct port_thread *thread, uint32_t flags)
{
    (void)atomic_fetch_and(&thread->asleep, ~flags);
    futex_wake_all(&thread->asleep);
}

errno_t phantom_thread_wake_up(tid_t tid, int sleep_flag)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    struct port_thread *thread = find(table, tid);
    if (thread != NULL) {
        wake(thread, (uint32_t)sleep_flag);
    }
    (void)pthread_mutex_unlock(&table->lock);
    return thread != NULL ? 0 : ESRCH;
}

void port_thread_post(tid_t tid, int sleep_flag)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    struct port_thread *thread = find(table, tid);
    if (thread != NULL) {
        (void)atomic_fetch_or(&thread->asleep, (uint32_t)sleep_flag << POSTED_SHIFT);
        futex_wake_all(&thread->asleep);
    }
    (void)pthread_mutex_unlock(&table->lock);
}

void wake_sleeping_thread(void *thread)
{
    wake(thread, (UINT32_C(1) << POSTED_SHIFT) - 1);
}

/* ---- what is known of a thread -------------------------------------------------------------- */

errno_t t_set_owner(tid_t tid, void *owner)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    struct port_thread *thread = find(table, tid);
    if (PH_MUTANT(OWNER_OF_CALLER)) {
        thread = port_thread();
    }
    if (thread != NULL) {
        thread->public.owner = owner;
    }
    (void)pthread_mutex_unlock(&table->lock);
    return thread != NULL ? 0 : ESRCH;
}

errno_t t_get_owner(tid_t tid, void **owner)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    struct port_thread *thread = find(table, tid);
    if (thread != NULL) {
        *owner = thread->public.owner;
    }
    (void)pthread_mutex_unlock(&table->lock);
    return thread != NULL ? 0 : ESRCH;
}

void *get_thread_owner(phantom_thread_t *thread)
{
    return thread->owner;
}

errno_t t_get_ctty(tid_t tid, struct wtty **wtty)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    struct port_thread *thread = find(table, tid);
    struct wtty *found = thread != NULL ? thread->public.ctty_w : NULL;
    (void)pthread_mutex_unlock(&table->lock);
    if (found != NULL) {
        *wtty = found;
        return 0;
    }
    return thread != NULL ? ENOTTY : ESRCH;
}

errno_t t_current_set_name(const char *name)
{
    if (name == NULL) {
        return EINVAL;
    }
    struct port_thread *thread = port_thread();
    size_t length = strnlen(name, sizeof(thread->name) - 1);
    memcpy(thread->name, name, length);
    thread->name[length] = '\0';
    char shortened[16] = {0}; /* all that the kernel keeps */
    memcpy(shortened, name, length < 15 ? length : 15);
    (void)pthread_setname_np(pthread_self(), shortened);
    return 0;
}

errno_t t_current_set_priority(int prio)
{
    if (prio < 0 || prio > (THREAD_PRIO_MOD_REALTIME | THREAD_PRIO_HIGHEST)) {
        return EINVAL;
    }
    struct port_thread *thread = port_thread();
    thread->public.prio = prio;
    /* A nice value for the thread. A real-time class could starve the host: the modifier is stored
     * only. Not allowed to be less nice: so be it. */
    int nice_value = THREAD_PRIO_NORM - (prio & ~THREAD_PRIO_MOD_REALTIME);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice_value);
    return 0;
}

errno_t t_current_get_priority(int *prio)
{
    *prio = port_thread()->public.prio;
    return 0;
}

/* Runs with the lock held. */
static void set_cpus_of_all(struct port_table *table, const cpu_set_t *cpus)
{
    for (uint32_t i = 0; i < table->slot_count; i++) {
        struct port_thread *thread = table->slots[i].thread;
        int os_tid = thread != NULL ? atomic_load(&thread->os_tid) : 0;
        if (os_tid != 0) {
            (void)sched_setaffinity(os_tid, sizeof(*cpus), cpus);
        }
    }
}

void t_smp_enable(int yn)
{
    struct port_table *table = port_hal()->threads;
    (void)pthread_mutex_lock(&table->lock);
    if (yn != 0 && table->cpus_saved) {
        set_cpus_of_all(table, &table->cpus);
        table->cpus_saved = false;
    } else if (yn == 0 && !table->cpus_saved) {
        int cpu = sched_getcpu();
        if (cpu >= 0 && sched_getaffinity(0, sizeof(table->cpus), &table->cpus) == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET((size_t)cpu, &one);
            set_cpus_of_all(table, &one);
            table->cpus_saved = true;
        }
    }
    (void)pthread_mutex_unlock(&table->lock);
}

void t_migrate_to_boot_CPU(void)
{
    /* All CPUs are the same here, and to be pinned to one would only be slower. */
}

errno_t t_set_snapper_flag(void)
{
    port_thread()->snapper = true;
    return 0;
}

void t_set_paged_mem(bool enable)
{
    port_thread()->no_paged_mem = !enable;
}

int arch_is_object_land_access_enabled(void)
{
    return port_thread()->no_paged_mem ? 0 : 1;
}
