/* SPDX-License-Identifier: Apache-2.0
 *
 * port_stats.c - event counters: of the running second, per second, in total, over several runs.
 *
 * Counting is one atomic addition to the running second. Once a second (the timer thread) its
 * numbers are moved to the totals, under the lock; so a total is the sum of what was moved and of
 * the running second. The lock also keeps the storage in the object space, which is written under
 * vm_lock_persistent_memory() as all of the object space; that lock is taken first.
 */
#include "port_internal.h"

#include <init_routines.h>
#include <kernel/profile.h>
#include <kernel/stats.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The persistence layer's; without one there is nothing to lock. */
void vm_lock_persistent_memory(void) __attribute__((weak));
void vm_unlock_persistent_memory(void) __attribute__((weak));

struct port_stats {
    int *second; /* MAX_STAT_COUNTERS; the default instance's can be seen by all */
    pthread_mutex_t lock;
    u_int64_t seconds;                 /* of this run */
    u_int32_t last[MAX_STAT_COUNTERS]; /* the last complete second */
    u_int64_t total[MAX_STAT_COUNTERS];
    u_int64_t before[MAX_STAT_COUNTERS]; /* in earlier runs */
    struct persistent_kernel_stats *storage;
    uint64_t wall_ns, cpu_ns; /* at the last second, for the load */
};

static int default_second[MAX_STAT_COUNTERS];
int *stat_sec_counters = default_second;
int percpu_cpu_load[MAX_CPUS];

static const char *const names[MAX_STAT_COUNTERS] = {
    [STAT_CNT_REBOOT] = "starts",
    [STAT_CNT_SNAPSHOT] = "snapshots",
    [STAT_CNT_WIRE] = "pages wired",
    [STAT_CNT_WIRE_PAGEIN] = "pages loaded to be wired",
    [STAT_CNT_DISK_Q_SIZE] = "disk requests queued",
    [STAT_CNT_BLOCK_SYNC_IO] = "synchronous transfers",
    [STAT_PAGER_DISK_ALLOC] = "disk blocks allocated",
    [STAT_PAGER_DISK_FREE] = "disk blocks freed",
    [STAT_CNT_BLOCK_IO] = "block transfers",
    [STAT_CNT_PAGEIN] = "pages loaded",
    [STAT_CNT_PAGEOUT] = "pages written",
};

int port_stats_open(struct phantom_hal *instance)
{
    struct port_stats *stats = ph_zalloc(1, sizeof(*stats));
    int *second = instance->is_default ? default_second : ph_zalloc(MAX_STAT_COUNTERS, sizeof(int));
    if (stats == NULL || second == NULL) {
        ph_free(stats);
        if (!instance->is_default) {
            ph_free(second);
        }
        return ENOMEM;
    }
    stats->second = second;
    (void)pthread_mutex_init(&stats->lock, NULL);
    instance->stats = stats;
    port_stats_add(instance, STAT_CNT_REBOOT, 1);
    return 0;
}

void port_stats_close(struct phantom_hal *instance)
{
    struct port_stats *stats = instance->stats;
    if (!instance->is_default) {
        ph_free(stats->second);
    }
    (void)pthread_mutex_destroy(&stats->lock);
    ph_free(stats);
}

/* ---- counting ------------------------------------------------------------------------------- */

void port_stats_add(struct phantom_hal *instance, int counter, int delta)
{
    int *word = &instance->stats->second[counter];
    if (PH_MUTANT(STAT_NOT_ATOMIC)) {
        int value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        phantom_scheduler_yield();
        __atomic_store_n(word, value + delta, __ATOMIC_SEQ_CST);
    } else {
        (void)__atomic_fetch_add(word, delta, __ATOMIC_RELAXED);
    }
}

void stat_add_to_counter(int nCounter, int delta)
{
    if (nCounter < 0 || nCounter >= MAX_STAT_COUNTERS) {
        panic("counter %d", nCounter);
    }
    port_stats_add(port_hal(), nCounter, delta);
}

void stat_increment_counter(int nCounter)
{
    stat_add_to_counter(nCounter, 1);
}

/* ---- each second ---------------------------------------------------------------------------- */

static uint64_t process_cpu_ns(void)
{
    struct timespec used = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void measure_load(struct port_stats *stats)
{
    uint64_t wall = hal_monotonic_ns(), cpu = process_cpu_ns();
    if (stats->wall_ns != 0 && wall > stats->wall_ns) {
        uint64_t possible = (wall - stats->wall_ns) * (uint64_t)hal_cpu_count();
        uint64_t load = (cpu - stats->cpu_ns) * 100 / possible;
        __atomic_store_n(&percpu_cpu_load[0], load > 100 ? 100 : (int)load, __ATOMIC_RELAXED);
    }
    stats->wall_ns = wall;
    stats->cpu_ns = cpu;
}

/* The running second of a counter becomes the last one; the lock is held. */
static void rotate(struct port_stats *stats, int counter)
{
    int events = __atomic_exchange_n(&stats->second[counter], 0, __ATOMIC_RELAXED);
    stats->last[counter] = events > 0 ? (u_int32_t)events : 0;
    stats->total[counter] += (u_int64_t)(int64_t)events;
}

void port_stats_second(struct phantom_hal *instance)
{
    struct port_stats *stats = instance->stats;
    (void)pthread_mutex_lock(&stats->lock);
    stats->seconds++;
    for (int i = 0; i < MAX_STAT_COUNTERS; i++) {
        rotate(stats, i);
    }
    if (instance->is_default) {
        measure_load(stats);
    }
    (void)pthread_mutex_unlock(&stats->lock);
}

void stat_update_second_stats(void)
{
    port_stats_second(port_hal());
}

/* ---- the object space ----------------------------------------------------------------------- */

/* The lock of the object space and ours are held. */
static void write_storage(struct port_stats *stats)
{
    for (int i = 0; i < MAX_STAT_COUNTERS; i++) {
        u_int64_t now = stats->before[i] + stats->total[i] +
                        (u_int64_t)(int64_t)__atomic_load_n(&stats->second[i], __ATOMIC_RELAXED);
        /* Whole numbers for whoever reads them meanwhile. */
        __atomic_store_n(&stats->storage[i].total_prev_runs, stats->before[i], __ATOMIC_RELAXED);
        __atomic_store_n(&stats->storage[i].total_prev_and_this_runs, now, __ATOMIC_RELAXED);
    }
}

void port_stats_store(struct phantom_hal *instance)
{
    struct port_stats *stats = instance->stats;
    (void)pthread_mutex_lock(&stats->lock);
    bool wanted = stats->storage != NULL;
    (void)pthread_mutex_unlock(&stats->lock);
    if (wanted) {
        if (vm_lock_persistent_memory != NULL) {
            vm_lock_persistent_memory();
        }
        (void)pthread_mutex_lock(&stats->lock);
        if (stats->storage != NULL) {
            write_storage(stats);
        }
        (void)pthread_mutex_unlock(&stats->lock);
        if (vm_unlock_persistent_memory != NULL) {
            vm_unlock_persistent_memory();
        }
    }
}

void stat_set_persistent_storage(struct persistent_kernel_stats *pdata)
{
    struct port_stats *stats = port_hal()->stats;
    (void)pthread_mutex_lock(&stats->lock);
    stats->storage = pdata;
    for (int i = 0; pdata != NULL && i < MAX_STAT_COUNTERS; i++) {
        stats->before[i] = pdata[i].total_prev_and_this_runs;
    }
    (void)pthread_mutex_unlock(&stats->lock);
}

/* ---- reading -------------------------------------------------------------------------------- */

static u_int32_t in_32_bits(u_int64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (u_int32_t)value;
}

errno_t get_stats_record(int id, struct kernel_stats *out)
{
    if (id < 0 || id >= MAX_STAT_COUNTERS) {
        return EINVAL;
    }
    struct port_stats *stats = port_hal()->stats;
    memset(out, 0, sizeof(*out));
    if (names[id] != NULL) {
        memcpy(out->name, names[id], strlen(names[id]) + 1);
    } else {
        (void)snprintf(out->name, sizeof(out->name), "counter %d", id);
    }
    (void)pthread_mutex_lock(&stats->lock);
    u_int64_t running = (u_int64_t)(int64_t)__atomic_load_n(&stats->second[id], __ATOMIC_RELAXED);
    u_int64_t total = stats->total[id] + running;
    u_int64_t seconds = stats->seconds > 0 ? stats->seconds : 1; /* the first one is not over */
    out->current_per_second = stats->last[id];
    out->average_per_second = in_32_bits(total / seconds);
    out->total = in_32_bits(total);
    out->total_prev_runs = in_32_bits(stats->before[id]);
    out->total_prev_and_this_runs = in_32_bits(stats->before[id] + total);
    (void)pthread_mutex_unlock(&stats->lock);
    return 0;
}

void phantom_dump_stats_buf(char *buf, int len)
{
    if (len < 1) {
        return;
    }
    buf[0] = '\0';
    size_t used = 0;
    for (int i = 0; i < MAX_STAT_COUNTERS && used + 1 < (size_t)len; i++) {
        struct kernel_stats record;
        (void)get_stats_record(i, &record);
        if (record.total_prev_and_this_runs == 0) {
            continue;
        }
        int printed = snprintf(buf + used, (size_t)len - used,
                               "%-26s %8u /s %8u /s on average %10u in this run %10u in all\n",
                               record.name, record.current_per_second, record.average_per_second,
                               record.total, record.total_prev_and_this_runs);
        used += printed > 0 ? (size_t)printed : 0;
    }
}

void phantom_init_stat_counters(void)
{
}
