/* SPDX-License-Identifier: Apache-2.0
 *
 * init_routines.h - boot steps, names of the Genode port. Stability: kept. Each may be repeated.
 *
 * @threads any. Nothing here blocks.
 */
#ifndef PHANTOM_PORT_INIT_ROUTINES_H
#define PHANTOM_PORT_INIT_ROUTINES_H

/** The persistence layer's queues and locks, before threads use paging. */
void vm_map_pre_init(void);
/** Counters can be used (they always can), before threads. */
void phantom_init_stat_counters(void);
/** With threads: the second tick begins (the timer thread of the instance; a failure is logged). */
void phantom_init_stat_counters2(void);
/** All counters that are not zero as text, a line each, NUL-terminated, cut at len bytes; len < 1:
 *  nothing. */
void phantom_dump_stats_buf(char *buf, int len);

#endif /* PHANTOM_PORT_INIT_ROUTINES_H */
