/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_internal.h - one snapshot, and the entry of page faults. Stability: kept from the Genode
 * port.
 */
#ifndef PHANTOM_PORT_SNAP_INTERNAL_H
#define PHANTOM_PORT_SNAP_INTERNAL_H

#include "kernel/trap.h"

/**
 * One snapshot of the bound heap, durable on return: blocks; "Snapshot done" on the console. If it
 * fails, the console says why and phantom_port_snapshot_result() tells. A thread that holds the
 * heap's lock lets go of it meanwhile: its data must be consistent.
 * @threads any, several at once
 */
void do_snapshot(void);

/**
 * The page at this offset in the object space is needed: it is loaded, and, with write, counts as
 * changed. The engine serves the faults of programs itself; this is for who wants a page
 * beforehand. May block: it reads the store.
 * @threads any
 * @pre write: the heap's lock is held
 * @return 0, or nonzero: not in the object space, or it cannot be loaded
 */
int genode_pf_handler_wrapper(void *address, int write, int ip, struct trap_state *ts);

#endif /* PHANTOM_PORT_SNAP_INTERNAL_H */
