/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_scheduler.c - who runs: the baton, the clock, and the end of a machine.
 *
 * Each thread of a machine is a thread of the process that sleeps in its own semaphore unless it
 * has the baton. (Not taken: contexts that are switched in one thread. They are faster, but
 * thread-local variables and sanitizers know nothing of them.) At a switch point the thread with
 * the baton chooses the next one, posts its semaphore and waits in its own.
 *
 * Time stands still while somebody can run, but for a small step at each switch point, without
 * which loops that watch the clock would not end. When nobody can run it jumps to the first
 * deadline; when there is none, that is a deadlock and the machine ends with a list of who waits
 * for what.
 *
 * The end: whoever ends the machine sets `over` and wakes hal_sim_run(), which hands the baton to
 * each thread in turn; a thread that gets it then jumps to its first frame and is gone.
 *
 * Owns the threads of a machine. True between calls: exactly one thread of a machine that is not
 * over is neither in a semaphore nor ended; `running` is that one.
 */
#include "sim_internal.h"

#include "ph_check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FINE_STEP_NS = 50 };
#define START_NS UINT64_C(1000000000) /* the clock when a machine is switched on */

static _Thread_local struct sim_thread *self;

struct sim_thread *sim_self(void)
{
    return self;
}

bool hal_sim_inside(void)
{
    return self != NULL;
}

struct hal_sim *sim_here(void)
{
    if (self == NULL) {
        ph_check_failed(__FILE__, __LINE__,
                        "called from a thread that belongs to no simulated machine");
    }
    return self->sim;
}

uint64_t sim_random(struct hal_sim *sim)
{
    return ph_rng_next(&sim->rng);
}

uint64_t hal_sim_random_below(uint64_t bound)
{
    return ph_rng_below(&sim_here()->rng, bound);
}

static void post(sem_t *semaphore)
{
    int rc = sem_post(semaphore);
    PH_CHECK(rc == 0);
}

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
        PH_CHECK(errno == EINTR);
    }
}

void sim_log_event(struct hal_sim *sim, const char *what, const char *name, uint64_t value)
{
    if (sim->options.log != NULL) {
        hal_sim_log_line(sim->options.log, "%" PRIu64 " t%u %s %s %" PRIu64, sim->step,
                         sim->running != NULL ? sim->running->number : 0, what,
                         name != NULL ? name : "-", value);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

/** The machine is over; the calling thread is gone, too. What its disks have under way ends here,
 *  while each stack is whole: requests may lie on them, on the caller's as well. */
_Noreturn void sim_end(struct hal_sim *sim, enum hal_sim_end end)
{
    sim->outcome->end = end;
    sim->over = true;
    sim_log_event(sim, "end", hal_sim_end_name(end), sim->now_ns);
    sim_io_drop_all(sim);
    longjmp(self->end, 1);
}

_Noreturn void hal_sim_kill(void)
{
    sim_end(sim_here(), HAL_SIM_KILLED);
}

_Noreturn void hal_sim_fail(const char *format, ...)
{
    struct hal_sim *sim = sim_here();
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->outcome->text, sizeof(sim->outcome->text), format, arguments);
    va_end(arguments);
    sim_end(sim, HAL_SIM_FAILED);
}

void hal_sim_note(const char *format, ...)
{
    struct hal_sim *sim = sim_here();
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    sim_log_event(sim, "note", text, sim->now_ns);
}

static void failed_check(const char *file, int line, const char *what)
{
    if (self != NULL && !self->sim->over) {
        const char *name = strrchr(file, '/');
        hal_sim_fail("%s:%d: %s", name != NULL ? name + 1 : file, line, what);
    }
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, what);
    abort();
}

void hal_sim_catch_checks(void)
{
    (void)ph_set_fatal_hook(failed_check);
}

/* ---- choosing ------------------------------------------------------------------------------- */

/** "t1 (teller) waits for mutex accounts, which t2 (clerk) holds". */
static size_t report_thread(const struct sim_thread *t, const char *before, char *out, size_t room)
{
    char object[40] = "", holder[80] = "";
    if (t->state == SIM_WAITING && t->object_name != NULL) {
        snprintf(object, sizeof(object), " %.30s", t->object_name);
    } else if (t->state == SIM_WAITING) {
        snprintf(object, sizeof(object), " %p", t->object);
    }
    const struct sim_thread *owner = t->state == SIM_WAITING ? sim_owner_of(t) : NULL;
    if (owner != NULL) {
        snprintf(holder, sizeof(holder), ", which t%u (%s) holds", owner->number, owner->name);
    }
    int length = t->state == SIM_WAITING
                     ? snprintf(out, room, "%st%u (%s) waits for %s%s%s", before, t->number,
                                t->name, t->kind, object, holder)
                     : snprintf(out, room, "%st%u (%s) could run", before, t->number, t->name);
    return length > 0 ? (size_t)length : 0;
}

static void report_deadlock(struct hal_sim *sim)
{
    char *out = sim->outcome->text;
    size_t room = sizeof(sim->outcome->text), used = 0;
    for (struct sim_thread *t = sim->threads; t != NULL && used < room; t = t->next) {
        if (t->state == SIM_WAITING) {
            used += report_thread(t, used == 0 ? "" : "; ", out + used, room - used);
        }
    }
}

static void report_too_long(struct hal_sim *sim)
{
    char *out = sim->outcome->text;
    size_t room = sizeof(sim->outcome->text);
    size_t used = (size_t)snprintf(
        out, room,
        "not ended after %" PRIu64 " steps (%" PRIu64 " ms of its own time); t%u (%s) runs",
        sim->step, (sim->now_ns - START_NS) / 1000000, self->number, self->name);
    for (struct sim_thread *t = sim->threads; t != NULL && used < room; t = t->next) {
        if (t != self && t->state != SIM_GONE) {
            used += report_thread(t, "; ", out + used, room - used);
        }
    }
}

/** Make those ready whose time has come. */
static void expire(struct hal_sim *sim)
{
    for (struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
        if (t->state == SIM_WAITING && t->wake_at <= sim->now_ns) {
            t->state = SIM_READY;
            t->timed_out = true;
        }
    }
}

static unsigned count_ready(const struct hal_sim *sim)
{
    unsigned ready = 0;
    for (const struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
        ready += t->state == SIM_READY;
    }
    return ready;
}

/** Nobody can run: the time of the first deadline comes. False: there is none. */
static bool jump(struct hal_sim *sim)
{
    uint64_t first = SIM_NEVER;
    for (const struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
        if (t->state == SIM_WAITING && t->wake_at < first) {
            first = t->wake_at;
        }
    }
    if (first == SIM_NEVER) {
        return false;
    }
    sim->now_ns = first;
    expire(sim);
    return true;
}

static struct sim_thread *nth_ready(struct hal_sim *sim, uint64_t n)
{
    struct sim_thread *t = sim->threads;
    for (;; t = t->next) {
        PH_CHECK(t != NULL);
        if (t->state == SIM_READY && n-- == 0) {
            return t;
        }
    }
}

static struct sim_thread *first_ready(struct hal_sim *sim)
{
    struct sim_thread *best = NULL;
    for (struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
        if (t->state == SIM_READY && (best == NULL || t->priority > best->priority)) {
            best = t;
        }
    }
    return best;
}

/** Somebody is ready. `stay`: the running thread is, and does not ask for others. */
static struct sim_thread *choose(struct hal_sim *sim, bool stay)
{
    if (sim->options.policy == HAL_SIM_PRIORITIES) {
        for (unsigned i = 0; i < sim->options.change_points; i++) {
            if (sim->change_at[i] == sim->step) {
                sim->running->priority = --sim->lowest_priority;
            }
        }
        return first_ready(sim);
    }
    if (stay && ph_rng_below(&sim->rng, 100) >= sim->options.switch_percent) {
        return sim->running;
    }
    return nth_ready(sim, ph_rng_below(&sim->rng, count_ready(sim)));
}

/** Without digits: threads with the same task are the same kind of thread. */
static uint64_t add_text(uint64_t sum, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if (*text >= '0' && *text <= '9') {
            continue;
        }
        sum = (sum ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    }
    return (sum ^ 0xFF) * UINT64_C(0x100000001b3);
}

static void note_switch(struct hal_sim *sim, const struct sim_thread *next)
{
    sim->outcome->switches++;
    uint64_t kind = UINT64_C(0xcbf29ce484222325);
    const char *const texts[] = {self->name, self->place, next->name, next->place};
    for (int i = 0; i < 4; i++) {
        kind = add_text(kind, texts[i]);
    }
    sim->schedule =
        (sim->schedule ^ kind ^ ((uint64_t)next->number << 32)) * UINT64_C(0x9E3779B97F4A7C15);
    struct hal_sim_coverage *coverage = sim->options.coverage;
    if (coverage != NULL) {
        kind ^= kind >> 32;
        coverage->pairs[kind / 64 % (sizeof(coverage->pairs) / 8)] |= UINT64_C(1) << (kind % 64);
    }
}

uint64_t hal_sim_coverage_count(const struct hal_sim_coverage *coverage)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof(coverage->pairs) / sizeof(coverage->pairs[0]); i++) {
        count += (uint64_t)__builtin_popcountll(coverage->pairs[i]);
    }
    return count;
}

/** Hand the baton to whoever is next, and return when it comes back. The caller's state is set. */
static void switch_thread(struct hal_sim *sim, bool stay)
{
    if (count_ready(sim) == 0 && !jump(sim)) {
        report_deadlock(sim);
        sim_end(sim, HAL_SIM_DEADLOCK);
    }
    struct sim_thread *next = choose(sim, stay);
    if (next == self) {
        return;
    }
    note_switch(sim, next);
    sim->running = next;
    post(&next->go);
    await(&self->go);
    if (sim->over) {
        longjmp(self->end, 1);
    }
}

static void count_step(struct hal_sim *sim, const char *what, const char *name, uint64_t most_ns)
{
    if (sim->over) {
        longjmp(self->end, 1);
    }
    self->place = what;
    sim->step++;
    atomic_store_explicit(&sim->moves, sim->step, memory_order_relaxed);
    sim->now_ns += 1 + ph_rng_below(&sim->rng, most_ns);
    sim_log_event(sim, what, name, sim->now_ns);
    if (sim->step - sim->points >= sim->options.steps_most ||
        sim->step / 16 >= sim->options.steps_most) {
        report_too_long(sim);
        sim_end(sim, HAL_SIM_TOO_LONG);
    }
    expire(sim);
}

/** The clock's small step and the ends that are asked for. */
static void begin_step(struct hal_sim *sim, const char *what, const char *name)
{
    count_step(sim, what, name, sim->options.step_most_ns);
    if (sim->step - sim->points == sim->options.kill_at_step) {
        sim_end(sim, HAL_SIM_KILLED);
    }
}

void sim_fine_point(const char *what)
{
    struct hal_sim *sim = sim_here();
    sim->points++;
    count_step(sim, what, NULL, FINE_STEP_NS);
    switch_thread(sim, true);
}

void sim_point(const char *what, const char *name)
{
    struct hal_sim *sim = sim_here();
    begin_step(sim, what, name);
    switch_thread(sim, true);
}

void hal_sim_point(const char *what)
{
    if (self != NULL) {
        sim_point(what, NULL);
    }
}

void sim_step_back(const char *what)
{
    struct hal_sim *sim = sim_here();
    begin_step(sim, what, NULL);
    if (sim->options.policy == HAL_SIM_PRIORITIES) {
        self->priority = --sim->lowest_priority;
    }
    switch_thread(sim, false);
}

bool sim_sleep(const char *kind, const char *name, const void *object, uint64_t wake_at)
{
    struct hal_sim *sim = sim_here();
    self->kind = kind;
    self->object_name = name;
    self->object = object;
    self->wake_at = wake_at;
    self->timed_out = false;
    self->state = SIM_WAITING;
    begin_step(sim, kind, name);
    switch_thread(sim, false);
    return self->timed_out;
}

void sim_wake(const void *object, unsigned count)
{
    struct hal_sim *sim = sim_here();
    unsigned waiting = 0;
    for (struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
        waiting += t->state == SIM_WAITING && t->object == object;
    }
    for (; count > 0 && waiting > 0; count--, waiting--) {
        uint64_t n = waiting > 1 ? ph_rng_below(&sim->rng, waiting) : 0;
        struct sim_thread *t = sim->threads;
        while (t->state != SIM_WAITING || t->object != object || n-- != 0) {
            t = t->next;
        }
        t->state = SIM_READY;
        t->timed_out = false;
    }
}

void sim_count_transfer(struct hal_sim *sim)
{
    if (++sim->transfers == sim->options.kill_at_transfer) {
        sim_end(sim, HAL_SIM_KILLED);
    }
}

/* ---- threads -------------------------------------------------------------------------------- */

/** As pthreads do it: repeated while destructors set words again. */
static void end_keys(struct sim_thread *thread)
{
    struct hal_sim *sim = thread->sim;
    bool again = true;
    for (int round = 0; again && round < 4; round++) {
        again = false;
        for (unsigned k = 0; k < SIM_KEYS; k++) {
            void *value = thread->keys[k];
            if (sim->keys[k].used && sim->keys[k].at_end != NULL && value != NULL) {
                thread->keys[k] = NULL;
                sim->keys[k].at_end(value);
                again = true;
            }
        }
    }
}

/** The thread is gone: the baton goes on. */
static void leave(struct hal_sim *sim)
{
    self->state = SIM_GONE;
    if (!sim->over) {
        sim->step++;
        sim_log_event(sim, "gone", self->name, sim->now_ns);
        sim_wake(self, UINT_MAX);
        bool any = false;
        for (struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
            any = any || t->state != SIM_GONE;
        }
        if (any && (count_ready(sim) > 0 || jump(sim))) {
            sim->running = choose(sim, false);
            post(&sim->running->go);
            return;
        }
        if (any) {
            report_deadlock(sim);
        }
        sim->outcome->end = any ? HAL_SIM_DEADLOCK : HAL_SIM_ENDED;
        sim->over = true;
        sim_log_event(sim, "end", hal_sim_end_name(sim->outcome->end), sim->now_ns);
    }
    post(&sim->driver);
}

/** The program has left by pthread_exit() or pthread_cancel(), past our frame: nobody could join
 * it, or hand the baton on. */
static void left_by_itself(void *argument)
{
    struct sim_thread *thread = argument;
    if (!thread->sim->over) {
        snprintf(thread->sim->outcome->text, sizeof(thread->sim->outcome->text),
                 "t%u (%s) left by pthread_exit(): a thread of a machine returns from its function",
                 thread->number, thread->name);
        thread->sim->outcome->end = HAL_SIM_FAILED;
        thread->sim->over = true;
        sim_log_event(thread->sim, "end", hal_sim_end_name(HAL_SIM_FAILED), thread->sim->now_ns);
    }
    leave(thread->sim);
}

static void *thread_main(void *argument)
{
    struct sim_thread *thread = argument;
    self = thread;
    await(&thread->go);
    pthread_cleanup_push(left_by_itself, thread);
    if (setjmp(thread->end) == 0 && !thread->sim->over) {
        thread->run(thread->argument);
        end_keys(thread);
    }
    pthread_cleanup_pop(0);
    leave(thread->sim);
    return NULL;
}

/** Threads that have ended need not stay. */
static void join_ended(struct hal_sim *sim)
{
    struct sim_thread **link = &sim->threads;
    while (*link != NULL) {
        struct sim_thread *t = *link;
        if (t->state != SIM_GONE || t == self) {
            link = &t->next;
            continue;
        }
        (void)pthread_join(t->thread, NULL);
        (void)sem_destroy(&t->go);
        *link = t->next;
        if (sim->last_thread == &t->next) {
            sim->last_thread = link;
        }
        free(t);
    }
}

static int start_in(struct hal_sim *sim, void (*run)(void *argument), void *argument)
{
    join_ended(sim);
    struct sim_thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL || sem_init(&thread->go, 0, 0) != 0) {
        free(thread);
        return -ENOMEM;
    }
    thread->sim = sim;
    thread->number = sim->thread_count;
    snprintf(thread->name, sizeof(thread->name), "thread %u", thread->number);
    thread->run = run;
    thread->argument = argument;
    thread->state = SIM_READY;
    thread->priority = (UINT64_C(1) << 40) + ph_rng_below(&sim->rng, UINT64_C(1) << 40);
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc == 0) {
        rc = pthread_attr_setstacksize(&attributes, SIM_STACK);
        if (sim->cpu >= 0) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(sim->cpu, &set);
            (void)pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
        }
        rc = rc == 0 ? pthread_create(&thread->thread, &attributes, thread_main, thread) : rc;
        (void)pthread_attr_destroy(&attributes);
    }
    if (rc != 0) {
        (void)sem_destroy(&thread->go);
        free(thread);
        return -rc;
    }
    sim->thread_count++;
    *sim->last_thread = thread;
    sim->last_thread = &thread->next;
    return (int)thread->number;
}

_Noreturn void hal_sim_exit_thread(void)
{
    (void)sim_here();
    end_keys(self);
    longjmp(self->end, 1);
}

bool hal_sim_has_ended(int number)
{
    for (const struct sim_thread *t = sim_here()->threads; t != NULL; t = t->next) {
        if (t->number == (unsigned)number) {
            return t->state == SIM_GONE;
        }
    }
    return true;
}

void hal_sim_join(int number)
{
    sim_point("join", NULL);
    while (!hal_sim_has_ended(number)) {
        struct sim_thread *t = sim_here()->threads;
        while (t->number != (unsigned)number) {
            t = t->next;
        }
        (void)sim_sleep("end of", t->name, t, SIM_NEVER);
    }
}

int sim_start(void (*run)(void *argument), void *argument)
{
    struct hal_sim *sim = sim_here();
    int number = start_in(sim, run, argument);
    sim_point("start", NULL);
    return number;
}

int hal_sim_start_thread(void (*run)(void *argument), void *argument)
{
    return sim_start(run, argument);
}

/* ---- a machine ------------------------------------------------------------------------------ */

static void set_defaults(struct hal_sim_options *o)
{
    o->switch_percent = o->switch_percent != 0 ? o->switch_percent : 20;
    o->change_points = o->change_points != 0 ? o->change_points : 3;
    o->change_points = o->change_points < SIM_CHANGE_POINTS ? o->change_points : SIM_CHANGE_POINTS;
    o->change_steps = o->change_steps != 0 ? o->change_steps : 20000;
    o->steps_most = o->steps_most != 0 ? o->steps_most : 3000000;
    o->step_most_ns = o->step_most_ns != 0 ? o->step_most_ns : 2000;
    o->cpus = o->cpus != 0 ? o->cpus : 2;
}

/** A thread that waits for another one by means of its own keeps the baton for ever: nobody can end
 *  it, but somebody can say so. */
static void await_end(struct hal_sim *sim)
{
    if (sim->options.patience_s == 0) {
        await(&sim->driver);
        return;
    }
    struct timespec until;
    uint64_t before = UINT64_MAX;
    for (;;) {
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += sim->options.patience_s;
        int rc;
        while ((rc = sem_timedwait(&sim->driver, &until)) != 0 && errno == EINTR) {
        }
        if (rc == 0) {
            return;
        }
        uint64_t moves = atomic_load_explicit(&sim->moves, memory_order_relaxed);
        if (moves == before) {
            fprintf(stderr,
                    "simulated machine (seed %" PRIu64 "): t%u (%s) has called nothing of the "
                    "library for %u s and keeps all others waiting: does it loop, or wait in a "
                    "mutex, a socket or a sleep of its own?\n",
                    sim->options.seed, sim->running->number, sim->running->name,
                    sim->options.patience_s);
        }
        before = moves;
    }
}

/** Every thread that is left gets the baton once more and ends. */
static void end_threads(struct hal_sim *sim)
{
    for (struct sim_thread *t = sim->threads; t != NULL; t = t->next) {
        if (t->state != SIM_GONE) {
            post(&t->go);
            await(&sim->driver);
        }
    }
    join_ended(sim);
}

int hal_sim_run(const struct hal_sim_options *options, void (*program)(void *context),
                void *context, struct hal_sim_outcome *out)
{
    PH_CHECK(self == NULL);
    *out = (struct hal_sim_outcome){0};
    struct hal_sim *sim = calloc(1, sizeof(*sim));
    struct sim_blocks *blocks = sim_blocks_create();
    if (sim == NULL || blocks == NULL || sem_init(&sim->driver, 0, 0) != 0) {
        (void)sim_blocks_finish(blocks);
        free(sim);
        return -ENOMEM;
    }
    sim->options = *options;
    set_defaults(&sim->options);
    sim->outcome = out;
    sim->blocks = blocks;
    sim->cpu = sched_getcpu();
    if (sim->cpu >= CPU_SETSIZE) {
        sim->cpu = -1;
    }
    sim->last_thread = &sim->threads;
    sim_points_install();
    sim->lowest_priority = UINT64_C(1) << 40;
    sim->now_ns = START_NS;
    ph_rng_init(&sim->rng, options->seed);
    for (unsigned i = 0; i < sim->options.change_points; i++) {
        sim->change_at[i] = 1 + ph_rng_below(&sim->rng, sim->options.change_steps);
    }
    int rc = start_in(sim, program, context);
    if (rc >= 0) {
        sim->running = sim->threads;
        post(&sim->running->go);
        await_end(sim);
        sim_io_drop_all(sim); /* of a deadlock: the stacks of who waits are there */
        end_threads(sim);
        rc = 0;
    }
    out->steps = sim->step;
    out->transfers = sim->transfers;
    out->flushes = sim->flushes;
    out->threads = sim->thread_count;
    out->clock_ns = sim->now_ns - START_NS;
    out->points = sim->points;
    out->schedule = sim->schedule;
    sim_memory_unmap_all(sim);
    out->leftover_blocks = sim_blocks_finish(sim->blocks);
    (void)sem_destroy(&sim->driver);
    free(sim->held);
    free(sim);
    return rc;
}

const char *hal_sim_end_name(enum hal_sim_end end)
{
    static const char *const names[] = {"ended", "killed", "deadlock", "too long", "failed"};
    return names[end];
}
