/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_sim.h - a second implementation of <hal.h>, hal_posix.h and hal_files.h: a simulated machine
 * on which everything that depends on chance is decided by one number. Same seed, same log, byte
 * for byte.
 *
 * A machine has threads, one of which runs at a time; a clock that moves when nobody can run, and
 * by a small step at each switch point; random numbers; and a disk, which outlives it. Every call
 * of the HAL is a switch point: there the seed says who goes on. So the rooms are compiled once and
 * linked with hal_posix or with this room.
 *
 * A machine can be killed at any switch point: its threads end where they are, its memory is given
 * back, and the disk is left as a killed process or a power cut leaves it.
 *
 * What a thread of a machine calls (hal_*) acts on that machine. Several machines may exist in one
 * process; threads of different ones have nothing in common.
 */
#ifndef HAL_SIM_H
#define HAL_SIM_H

#include "hal_posix.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- log ----------------------------------------------------------------------------------- */

/** What happened, in order: one line each. Outlives machines; one machine at a time writes it. */
struct hal_sim_log;

/** keep: all lines can be had as a text; else only the sum over them and the last 64 are kept. */
struct hal_sim_log *hal_sim_log_create(bool keep);
void hal_sim_log_destroy(struct hal_sim_log *log);
/** A sum over all lines so far: equal for equal logs. */
uint64_t hal_sim_log_sum(const struct hal_sim_log *log);
/** All lines, if kept; else the last ones. Valid until the next line. */
const char *hal_sim_log_text(struct hal_sim_log *log);
/** A line of the program's own. */
void hal_sim_log_line(struct hal_sim_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- disk ---------------------------------------------------------------------------------- */

struct hal_sim_disk;

enum hal_sim_fault_kind {
    HAL_SIM_FAULT_NONE,
    HAL_SIM_FAULT_WRITE_ERROR, /* a write is -EIO and may have left some of its sectors */
    HAL_SIM_FAULT_SHORT_WRITE, /* a submitted write is short; a synchronous one is -EIO */
    HAL_SIM_FAULT_FLUSH_ERROR, /* a flush is -EIO; what it was for is lost or not */
    HAL_SIM_FAULT_NO_SPACE,    /* from then on no file grows, for `count` requests */
    HAL_SIM_FAULT_READ_ERROR
};

struct hal_sim_disk_options {
    uint64_t seed;
    uint64_t file_bytes;      /* a file can be that long; 0: 256 MiB */
    uint32_t latency_most_us; /* of one transfer; 0: 200 */
    uint32_t flush_most_us;   /* 0: 2000 */
};

struct hal_sim_fault {
    enum hal_sim_fault_kind kind;
    uint64_t at;    /* the so many-th operation of that kind from now on, 1: the next */
    uint64_t count; /* how many fail; 0: one */
};

enum hal_sim_crash {
    HAL_SIM_PROCESS_KILLED, /* what was written stays in the page cache, what was under way ends */
    HAL_SIM_POWER_CUT       /* each unflushed write is there, lost, or torn at 512-byte sectors */
};

/** NULL when out of memory. */
struct hal_sim_disk *hal_sim_disk_create(const struct hal_sim_disk_options *options);
void hal_sim_disk_destroy(struct hal_sim_disk *disk);
void hal_sim_disk_set_fault(struct hal_sim_disk *disk, const struct hal_sim_fault *fault);
/** Times the fault has fired since it was set. */
uint64_t hal_sim_disk_fired(const struct hal_sim_disk *disk);
/** No machine runs on it: what a crash leaves. `log`: NULL allowed. */
void hal_sim_disk_crash(struct hal_sim_disk *disk, enum hal_sim_crash how, struct hal_sim_log *log);
/** Operations on the disk so far, of all machines. */
uint64_t hal_sim_disk_operations(const struct hal_sim_disk *disk);
/** The content of a file as readers see it, or NULL. Valid until somebody writes. */
const uint8_t *hal_sim_disk_file(const struct hal_sim_disk *disk, const char *path, uint64_t *size);
/** Make a file of that content, durable; what had the name loses it. 0, -ENOMEM, or
 *  PHANTOM_EINVALID: too long. */
int hal_sim_disk_put(struct hal_sim_disk *disk, const char *path, const void *bytes, uint64_t size);
/** Change bytes of a file from outside. False: not that long, or no such file. */
bool hal_sim_disk_poke(struct hal_sim_disk *disk, const char *path, uint64_t offset,
                       const void *bytes, size_t size);
/** Number of files, for "no leftover files". */
unsigned hal_sim_disk_files(const struct hal_sim_disk *disk);

/* ---- machine ------------------------------------------------------------------------------- */

enum hal_sim_policy {
    /** At each switch point, with a chance of switch_percent, any thread that can run goes on. */
    HAL_SIM_RANDOM_WALK,
    /**
     * Each thread has a random priority and the first one runs; at change_points moments chosen
     * beforehand the running one becomes the last (Burckhardt and others, "A randomized scheduler
     * with probabilistic guarantees of finding bugs", 2010).
     */
    HAL_SIM_PRIORITIES
};

/** Which switches have been seen: from where in which thread to where in which thread. */
struct hal_sim_coverage {
    uint64_t pairs[4096]; /* bits; two kinds of switch may share one */
};
/** Kinds of switches seen. */
uint64_t hal_sim_coverage_count(const struct hal_sim_coverage *coverage);

struct hal_sim_options {
    uint64_t seed;
    enum hal_sim_policy policy;
    unsigned switch_percent;   /* 0: 20 */
    unsigned change_points;    /* 0: 3; at most 16 */
    uint64_t change_steps;     /* the change points lie in so many steps from the start; 0: 20000 */
    uint64_t steps_most;       /* calls, or 16 times as many steps with the points between them;
                                  then it ends as HAL_SIM_TOO_LONG; 0: 3 million */
    uint64_t step_most_ns;     /* the clock's small step; 0: 2000 */
    uint64_t kill_at_step;     /* of the steps that are calls; 0: never */
    uint64_t kill_at_transfer; /* the so many-th disk operation of this machine; 0: never */
    uint64_t kill_at_flush; /* during the so many-th flush: before it, in it or when it is done */
    unsigned spurious_permille; /* chance that a condition wakes for no reason */
    /** In rooms compiled with -DPH_POINTS (ph_points.h), one in so many points between two calls of
     *  the HAL is a switch point, too, on average; 0: none is. */
    unsigned point_every;
    bool vary; /* and sizes that can be chosen are, by the seed */

    int cpus; /* hal_cpu_count(); 0: 2 */
    /** When a thread keeps the baton for so many seconds of real time without a call of the HAL,
     *  hal_sim_run() says so on stderr, with its name, and waits on; 0: never. */
    unsigned patience_s;
    struct hal_sim_disk *disk;         /* borrowed; NULL: files cannot be opened */
    struct hal_sim_log *log;           /* borrowed; NULL: none */
    struct hal_sim_coverage *coverage; /* borrowed; NULL: none; added to */
};

enum hal_sim_end {
    HAL_SIM_ENDED,    /* all threads have ended */
    HAL_SIM_KILLED,   /* as asked for, or by hal_sim_kill() */
    HAL_SIM_DEADLOCK, /* nobody can run and no time will change that */
    HAL_SIM_TOO_LONG, /* steps_most */
    HAL_SIM_FAILED    /* a broken invariant (PH_CHECK), or hal_sim_fail() */
};

struct hal_sim_outcome {
    enum hal_sim_end end;
    uint64_t steps, switches, transfers, flushes, threads;
    uint64_t points;   /* steps that were none of the HAL's calls */
    uint64_t schedule; /* equal: the same threads had the baton in the same order and places */
    uint64_t clock_ns; /* how long it ran, by its own clock */
    uint64_t leftover_blocks; /* of ph_memory.h, neither freed nor the program's own
                                 (hal_sim_own_block); given back anyway */
    char text[1200];          /* DEADLOCK: who waits for what; FAILED: the sentence */
};

/**
 * Run `program` as the first thread of a new machine and return when all its threads have ended or
 * the machine has. What the machine's threads allocated (ph_memory.h), mapped and opened is given
 * back. Blocks the calling thread, which must not be of a machine itself. 0 or -ENOMEM.
 */
int hal_sim_run(const struct hal_sim_options *options, void (*program)(void *context),
                void *context, struct hal_sim_outcome *out);

const char *hal_sim_end_name(enum hal_sim_end end);

/* ---- for programs on a machine --------------------------------------------------------------- */

/** The calling thread belongs to a machine. */
bool hal_sim_inside(void);
/** End the machine here: power off. Does not return. */
_Noreturn void hal_sim_kill(void);
/** End the machine as failed. Does not return. */
_Noreturn void hal_sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Start a thread of the machine; its number, -ENOMEM or -EAGAIN. hal_start_thread() is this,
 * unless the program has a function of that name itself. */
int hal_sim_start_thread(void (*run)(void *argument), void *argument);
/** End the calling thread here, with the ends of its words (thread keys). */
_Noreturn void hal_sim_exit_thread(void);
/** The thread with this number (hal_start_thread()) has ended, its words' ends (thread keys)
 *  included. */
bool hal_sim_has_ended(int number);
/** Wait until it has. */
void hal_sim_join(int number);
/** A line in the machine's log. */
void hal_sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** A switch point that is no call of the HAL. Outside of machines nothing happens. */
void hal_sim_point(const char *what);
/** A lock for each address, not recursive; nobody touches what is there. */
void hal_sim_lock(const void *address);
void hal_sim_unlock(const void *address);
/** A random number below `bound` from the machine's stream. */
uint64_t hal_sim_random_below(uint64_t bound);
/** This block of ph_memory.h is the program's own from now on, which need not free it. */
void hal_sim_own_block(const void *block);
/** From now on a broken invariant (ph_check.h) on a machine ends that machine as FAILED instead of
 *  the process. */
void hal_sim_catch_checks(void);

#endif /* HAL_SIM_H */
