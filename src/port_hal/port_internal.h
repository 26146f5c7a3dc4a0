/* SPDX-License-Identifier: Apache-2.0
 *
 * port_internal.h - what the files of room port_hal share and nobody else sees: the instance, its
 * parts, and the descriptor of a thread.
 *
 * Each part belongs to one file, which makes it (port_X_open) and ends it (port_X_close), and locks
 * it itself. Lock order over the parts: none holds its lock while it calls another one, except that
 * each may call port_threads (current thread, look a tid up), whose lock is a leaf.
 */
#ifndef PORT_INTERNAL_H
#define PORT_INTERNAL_H

#include "../hal/hal_ours.h" /* clocks, random numbers */
#include "hal_internal.h"    /* hal_thread_create */
#include "ph_check.h"
#include "ph_log.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "port_state.h"

#include <disk.h>
#include <hal.h>
#include <kernel/physalloc.h>
#include <phantom_hal.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <thread_private.h>

struct port_thread {
    struct phantom_thread public; /* first: the port knows this part */
    struct phantom_hal *hal;
    void (*body)(void *argument);
    void *argument;
    void (*death_handler)(phantom_thread_t *thread);
    atomic_int os_tid;
    bool ours;    /* started by the instance; else a thread of the host */
    bool service; /* one of ours that the HAL started for itself */
    bool snapper, no_paged_mem, masked;
    int preemption_disabled;
    bool ending;     /* its death handler runs, and nothing ends it once more */
    int panics;      /* how often on_panic() was called on it */
    bool moves_data; /* completes requests of a disk: must not wait for one */
    const struct port_workers *worker_of; /* NULL: of no pool */
    jmp_buf *leave; /* where hal_exit_kernel_thread() goes; NULL: it ends the thread */
    atomic_bool killed;
    _Atomic uint32_t asleep; /* reasons for which it sleeps in thread_block(), and << 16 posted
                                ones; a futex */
    _Atomic uint32_t nudged; /* futex: changes to end a sleep */
    char name[32];
};

struct phantom_hal {
    struct phantom_hal_options options;
    char *disk_path;
    bool is_default;
    _Atomic(struct port_thread *) ended_by;   /* phantom_shutdown() was called */
    struct hardware_abstraction_level *space; /* object space; the default's is the global `hal` */
    struct hardware_abstraction_level own_space;
    struct port_table *threads; /* port_threads.c */
    struct port_memory *memory; /* port_memory.c */
    struct port_disks *disks;   /* port_registry.c */
    struct port_timers *timers; /* port_timers.c */
    struct port_dpc *dpc;       /* port_dpc.c */
    struct port_stats *stats;   /* port_stats.c */
    struct port_softirqs *softirqs;
    struct port_files *files; /* port_kunix.c */
    struct port_lib_state lib;
    atomic_bool net_allowed; /* port_net.c */
};

/** The instance of the calling thread. */
struct phantom_hal *port_hal(void);
/** The descriptor of the calling thread, made if necessary. */
struct port_thread *port_thread(void);
/** The same without making one; NULL. */
struct port_thread *port_thread_if_any(void);
/**
 * Call a function of the user's on the calling thread. It comes back here even when the function
 * ends its thread (hal_exit_kernel_thread, a kill): for a thread of the HAL itself that is the end
 * of the call only; of another one it is true then, and the caller has to end the thread by
 * hal_exit_kernel_thread() as soon as its own state is in order.
 */
bool port_call_back(void (*function)(void *argument), void *argument);
/** End a thread's thread_block(flag), also one that it has not reached yet: it will be its next. */
void port_thread_post(tid_t tid, int sleep_flag);
/** The process's default instance, made if necessary. */
struct phantom_hal *port_default(void);
/** End the default instance, if there is one, as if nobody had needed it: for tests whose machine
 *  ends before the process does. No thread but the calling one is inside. */
void port_default_end(void);

/* ---- parts ---------------------------------------------------------------------------------- */

/*
 * The end of an instance has two phases. First each part that calls the user stops (port_X_stop):
 * nothing begins any more, what goes on is waited for, and what is asked of it is refused or
 * ignored. Only then are they freed (port_X_close): a callback may still ask any part for
 * something.
 */

int port_threads_open(struct phantom_hal *hal);
/** The calling thread gives its descriptors back, death handlers first, as at its end. */
void port_threads_leave(void);
void port_threads_close(struct phantom_hal *hal);
/** Wait until no thread of ours is left; from then on no other one is started, but those of the HAL
 *  itself. 0, or EBUSY: one of the host is inside. */
int port_threads_drain(struct phantom_hal *hal);
size_t port_threads_count(struct phantom_hal *hal);
/** Start a thread of the HAL itself: it has a descriptor, and the drain waits for it. */
tid_t port_threads_start(struct phantom_hal *hal, void (*body)(void *argument), void *argument);

int port_memory_open(struct phantom_hal *hal);
void port_memory_close(struct phantom_hal *hal);
/** Where frames [pa, pa + size) are for the CPU, or NULL: not within the arena. */
void *port_memory_at(struct phantom_hal *hal, physaddr_t pa, size_t size);
void port_memory_usage(struct phantom_hal *hal, struct phantom_hal_usage *out);

int port_disks_open(struct phantom_hal *hal);
void port_disks_stop(struct phantom_hal *hal);
void port_disks_close(struct phantom_hal *hal);
size_t port_disks_requests(struct phantom_hal *hal);
/** Fence all disks. 0, or the first error. */
errno_t port_disks_fence(struct phantom_hal *hal);

int port_timers_open(struct phantom_hal *hal);
void port_timers_stop(struct phantom_hal *hal);
void port_timers_close(struct phantom_hal *hal);
/** Begin the second tick, if it has not begun. 0, or an errno. */
int port_timers_start(struct phantom_hal *hal);
size_t port_timers_workers(struct phantom_hal *hal);
/** For good: no timed call and no net timer begins any more. Waits for nothing. */
void port_timers_halt(struct phantom_hal *hal);

int port_dpc_open(struct phantom_hal *hal);
void port_dpc_stop(struct phantom_hal *hal);
void port_dpc_close(struct phantom_hal *hal);
void port_dpc_second(struct phantom_hal *hal); /* the watchdog's tick */
size_t port_dpc_workers(struct phantom_hal *hal);
/** For good: requests are ignored. Wait at most so long for those that were made. False: one is
 *  still going on. */
bool port_dpc_halt(struct phantom_hal *hal, long milliseconds);

int port_stats_open(struct phantom_hal *hal);
void port_stats_close(struct phantom_hal *hal);
void port_stats_second(struct phantom_hal *hal);
/** Bring the storage in the object space up to date; waits for its lock. */
void port_stats_store(struct phantom_hal *hal);
void port_stats_add(struct phantom_hal *hal, int counter, int delta);

int port_softirqs_open(struct phantom_hal *hal);
void port_softirqs_stop(struct phantom_hal *hal);
void port_softirqs_close(struct phantom_hal *hal);

int port_files_open(struct phantom_hal *hal);
void port_files_close(struct phantom_hal *hal);

/* ---- pages of a range (port_pages.c) -------------------------------------------------------- */

/** An allocator over [first, total) pages; pieces: what was allocated at once may be freed in
 *  pieces. 0 or ENOMEM. */
int port_pages_open(physalloc_t *pages, u_int32_t total, u_int32_t first, bool pieces);
void port_pages_close(physalloc_t *pages);
errno_t port_pages_take(physalloc_t *pages, u_int32_t count, u_int32_t *out); /* 0, ENOMEM */
/** 0, or EINVAL: that is not what was allocated; nothing is done. */
errno_t port_pages_give(physalloc_t *pages, u_int32_t first, u_int32_t count);
/** All of [first, first + count) is in use. */
bool port_pages_used(physalloc_t *pages, u_int32_t first, u_int32_t count);

#endif /* PORT_INTERNAL_H */
