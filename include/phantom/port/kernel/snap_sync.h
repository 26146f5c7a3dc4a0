/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/snap_sync.h - who may be in the heap when. Stability: kept from the Genode port.
 *
 * A thread that touches the heap holds its lock, which is shared: what it does between lock and
 * unlock is in a snapshot as a whole or not at all. A stop waits until nobody holds it; who wants
 * it then waits. Locks nest in a thread. A thread that runs for long calls
 * phantom_thread_wait_4_snap() whenever phantom_virtual_machine_snap_request is not 0. Lock, stops
 * and snapshots are the HAL instance's; a stop in one lets the threads of others run.
 *
 * @threads any, unless said otherwise; a thread's place in the heap is its own
 */
#ifndef PHANTOM_PORT_KERNEL_SNAP_SYNC_H
#define PHANTOM_PORT_KERNEL_SNAP_SYNC_H

#include "../ph_io.h"
#include "../phantom_assert.h"
#include "atomic.h"
#include "net_timer.h"

/** Not 0: threads in the heap should come to phantom_thread_wait_4_snap() soon. It counts the stops
 *  and snapshots of all instances. Read only; changed atomically, so a plain read is stale at
 * worst.
 */
extern volatile int phantom_virtual_machine_snap_request;
/** Not 0: threads of the machine should end there. The host sets it. */
extern volatile int phantom_virtual_machine_stop_request;

/** Once, before threads use the heap; may be repeated, and left out. Never blocks. */
void phantom_snap_threads_interlock_init(void);

/** Enter and leave the heap; enter as often as left. Threads inside are kept apart from snapshots
 * and stops, not from each other: that needs a lock of their own. To enter blocks while there is a
 * stop (also one's own) or the instant of a snapshot, unless the thread is inside already; to leave
 * never blocks. Fatal: to leave without having entered; to enter when the space refuses (no memory
 * for the thread's first time, a forked child). */
void vm_lock_persistent_memory(void);
void vm_unlock_persistent_memory(void);
/** A place where the thread's data are consistent: leave, wait while there is a stop, enter again
 *  as deep as before. Blocks while there is a stop or the instant of a snapshot; outside of the
 *  heap it does not. Does not return if phantom_virtual_machine_stop_request: the thread leaves the
 *  heap and ends. */
void phantom_thread_wait_4_snap(void);

/** Stop: return when no other thread is in the heap; none enters before as many
 *  phantom_snapper_reenable_threads(). Nests, also of several threads. Blocks until the others have
 *  left. @pre of the threads inside, at most one calls it at a time: two would wait for each other
 */
void phantom_snapper_wait_4_threads(void);
/** End one stop; the last one lets the others enter. Never blocks. Fatal without a stop. */
void phantom_snapper_reenable_threads(void);

/** Ask the snapshot thread (vm_map_init()) for a snapshot; does not wait: never blocks. Several
 *  before it begins are one. */
void request_snap(void);
/** Seconds between regular snapshots, at least 1 (less counts as 1); 5 at first. Counts at once.
 *  Never blocks. */
void set_snap_interval(int interval_sec);
/** Until a snapshot that began after the call is durable: what was done before is in it. One that
 *  fails does not count. A thread in the heap leaves it meanwhile. Blocks. @threads any */
void phantom_wait_4_snapshot_done(void);
/** Until the instant of a snapshot that began after the call is past, whether it failed or not:
 *  what was done before is in it, what is done after is not. Otherwise as above: blocks. */
void phantom_wait_4_snapshot_snap(void);

#endif /* PHANTOM_PORT_KERNEL_SNAP_SYNC_H */
