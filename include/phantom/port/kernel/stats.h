/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/stats.h - event counters, names of the Genode port. Stability: kept.
 *
 * @threads any. Never blocks. Counters are of the instance of the calling thread.
 */
#ifndef PHANTOM_PORT_KERNEL_STATS_H
#define PHANTOM_PORT_KERNEL_STATS_H

#include <errno.h>
#include <phantom_assert.h>
#include <phantom_types.h>

#define MAX_STAT_COUNTERS     128
#define KERNEL_STATS_MAX_NAME 64

#define STAT_CNT_REBOOT        0
#define STAT_CNT_SNAPSHOT      1
#define STAT_CNT_WIRE          20
#define STAT_CNT_WIRE_PAGEIN   21
#define STAT_CNT_DISK_Q_SIZE   22
#define STAT_CNT_BLOCK_SYNC_IO 23
#define STAT_PAGER_DISK_ALLOC  24
#define STAT_PAGER_DISK_FREE   25
#define STAT_CNT_BLOCK_IO      26
#define STAT_CNT_PAGEIN        27
#define STAT_CNT_PAGEOUT       28

/** One counter as others see it. Totals are of this run, of earlier ones, and of both; the average
 *  is over the seconds of this run. */
struct kernel_stats {
    char name[KERNEL_STATS_MAX_NAME];
    u_int32_t current_per_second; /* in the last complete second */
    u_int32_t average_per_second;
    u_int32_t total;
    u_int32_t total_prev_runs;
    u_int32_t total_prev_and_this_runs;
};

/** One counter in the object space: an array of MAX_STAT_COUNTERS. */
struct persistent_kernel_stats {
    u_int64_t total_prev_runs;
    u_int64_t total_prev_and_this_runs;
};

/** The events of the running second, of the default instance. Changed atomically; read it. */
extern int *stat_sec_counters;

/** Count an event, or delta of them; statements, n is evaluated more than once. Any thread, atomic,
 *  no lock, never blocks. Fatal out of range (no number from 0 to MAX_STAT_COUNTERS - 1). */
#define STAT_INC_CNT(n)                                                                            \
    do {                                                                                           \
        assert((n) >= 0 && (n) < MAX_STAT_COUNTERS);                                               \
        stat_increment_counter((n));                                                               \
    } while (0)
#define STAT_INC_CNT_N(n, delta)                                                                   \
    do {                                                                                           \
        assert((n) >= 0 && (n) < MAX_STAT_COUNTERS);                                               \
        stat_add_to_counter((n), (delta));                                                         \
    } while (0)
/** The same as functions. Fatal out of range. */
void stat_increment_counter(int nCounter);
void stat_add_to_counter(int nCounter, int delta);

/** Fill *out for one counter. Counts above 32 bits read as the largest number. @return 0, or
 *  EINVAL: no such counter, *out is untouched */
errno_t get_stats_record(int id, struct kernel_stats *out);
/** See init_routines.h. */
void phantom_dump_stats_buf(char *buf, int len);
/** A second is over. The timer thread does it; for machines whose tick comes from outside. Does not
 *  touch the object space, never blocks. */
void stat_update_second_stats(void);
/**
 * Keep the totals in the object space from now on, so that the next run can add to them: what is
 * there counts as earlier runs. Updated each second under vm_lock_persistent_memory().
 *
 * @param pdata  MAX_STAT_COUNTERS entries, read here and kept by reference; NULL: not any more
 */
void stat_set_persistent_storage(struct persistent_kernel_stats *pdata);

#endif /* PHANTOM_PORT_KERNEL_STATS_H */
