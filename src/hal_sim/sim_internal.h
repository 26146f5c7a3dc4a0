/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_internal.h - what the files of this room share.
 *
 * Who may touch what: of a machine's threads exactly one runs, the one that holds the baton
 * (sim_scheduler.c). It may use everything of its machine and of the disk without a lock; handing
 * over the baton orders all of it. The thread that called hal_sim_run() may do so before the first
 * thread is started and after the last one has ended.
 */
#ifndef SIM_INTERNAL_H
#define SIM_INTERNAL_H

#include "hal_sim.h"
#include "ph_rng.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>

enum {
    SIM_KEYS = 64,
    SIM_STACK = 1024 * 1024,
    SIM_CHANGE_POINTS = 16,
    SIM_PAGE = 4096,
    SIM_SECTOR = 512
};

#define SIM_NEVER UINT64_MAX

enum sim_state { SIM_READY, SIM_WAITING, SIM_GONE };

struct sim_thread {
    struct hal_sim *sim;
    unsigned number; /* in the order of their start, from 0 */
    char name[16];
    void (*run)(void *argument);
    void *argument;
    pthread_t thread;
    sem_t go; /* posted: the baton is handed to this thread */
    jmp_buf end;
    enum sim_state state;
    uint64_t priority; /* larger: first */
    /* While WAITING: */
    const void *object;
    const char *kind, *object_name;
    uint64_t wake_at; /* SIM_NEVER: no time */
    bool timed_out;
    const char *place; /* where it was when it gave the baton away */
    void *keys[SIM_KEYS];
    struct sim_thread *next;
};

/** A pthread mutex that a thread of the machine holds (sim_wrap.c). */
struct sim_held {
    const void *mutex;
    struct sim_thread *owner;
};

struct hal_sim {
    struct hal_sim_options options;
    struct hal_sim_outcome *outcome;
    struct ph_rng rng;
    uint64_t now_ns, step;
    uint64_t points, points_left; /* fine points that were steps; until the next one is */
    uint64_t schedule;            /* a sum over who gave the baton to whom, and where */
    struct sim_thread *threads;   /* ascending numbers; ended ones too, until they are joined */
    struct sim_thread **last_thread;
    struct sim_thread *running;
    unsigned thread_count;
    uint64_t change_at[SIM_CHANGE_POINTS];
    uint64_t lowest_priority; /* given out last by a change point */
    _Atomic uint64_t moves;   /* steps, for the thread that waits in hal_sim_run() */
    sem_t driver;             /* posted: all over, hal_sim_run() goes on */
    int cpu;                  /* all threads stay on it: handing over is then cheapest */
    bool over;                /* threads that get the baton now end */
    bool silent;              /* pthread locks are the process's now, no switch points */
    uint64_t transfers, flushes;
    struct {
        bool used;
        void (*at_end)(void *value);
    } keys[SIM_KEYS];
    struct sim_held *held;
    size_t held_count, held_capacity;
    struct sim_blocks *blocks;   /* sim_blocks.c */
    struct sim_memory *memories; /* sim_memory.c: ranges that are mapped */
    struct sim_io *handles;      /* sim_io.c: open files */
};

/* ---- scheduler (sim_scheduler.c) ------------------------------------------------------------ */

/** The machine of the calling thread, which must have one. */
struct hal_sim *sim_here(void);
/** The calling thread; NULL outside of machines. */
struct sim_thread *sim_self(void);
/** A switch point. */
void sim_point(const char *what, const char *name);
/** Who holds what a waiting thread waits for; NULL: nobody, or it is no lock. */
const struct sim_thread *sim_owner_of(const struct sim_thread *waiting);
/** The same for a pthread mutex (sim_wrap.c). */
const struct sim_thread *sim_holder(struct hal_sim *sim, const void *mutex);
/** The fine points of rooms that were compiled with -DPH_POINTS (sim_points.c). */
void sim_points_install(void);
/** The calling thread is at such a point. */
void sim_reached(const char *what);
/** As a switch point; the clock hardly moves, and it is none of the steps that kills count. */
void sim_fine_point(const char *what);
/** As above, and the calling thread wants others to go on. */
void sim_step_back(const char *what);
/** Sleep until sim_wake() or the time. True: the time came first. */
bool sim_sleep(const char *kind, const char *name, const void *object, uint64_t wake_at);
/** Wake at most `count` of those who sleep on the object, chosen by the seed. */
void sim_wake(const void *object, unsigned count);
/** Number, or -ENOMEM, -EAGAIN. */
int sim_start(void (*run)(void *argument), void *argument);
uint64_t sim_random(struct hal_sim *sim);
void sim_log_event(struct hal_sim *sim, const char *what, const char *name, uint64_t value);
/** One more operation of the disk: may be the one at which the machine is killed. */
void sim_count_transfer(struct hal_sim *sim);
_Noreturn void sim_end(struct hal_sim *sim, enum hal_sim_end end);

/* ---- memory of the program (sim_blocks.c) ---------------------------------------------------- */

struct sim_blocks *sim_blocks_create(void);
/** Free what the program has not freed; how many blocks that are not its own. */
uint64_t sim_blocks_finish(struct sim_blocks *blocks);

/* ---- what a machine leaves behind ------------------------------------------------------------ */

void sim_memory_unmap_all(struct hal_sim *sim);
void sim_io_drop_all(struct hal_sim *sim);

#endif /* SIM_INTERNAL_H */
