/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_persistence.h - which persistent heap the port's snapshot functions act on. Ours, not the
 * port's. Stability: experimental.
 *
 * The port has one object space, and functions without a parameter for it. Here that is a space
 * (phantom/space.h) or a world (phantom/runtime.h) that the host opened and bound. A space may be
 * used by several threads between vm_lock_persistent_memory() and vm_unlock_persistent_memory(); of
 * a world, which runs its own threads, snapshots can be taken.
 *
 * @threads bind and unbind: no other thread uses the port's snapshot functions meanwhile
 */
#ifndef PHANTOM_PORT_PHANTOM_PERSISTENCE_H
#define PHANTOM_PORT_PHANTOM_PERSISTENCE_H

struct phantom_space;
struct phantom_world;

/** The object space is this one from now on; NULL: none. It stays the caller's to close, after it
 *  was unbound, and after all threads that entered it (vm_lock_persistent_memory()) have ended. */
void phantom_port_bind_space(struct phantom_space *space);
void phantom_port_bind_world(struct phantom_world *world);
/** What the last snapshot of the port's functions came to: 0 or an error of phantom/error.h. */
int phantom_port_snapshot_result(void);

#endif /* PHANTOM_PORT_PHANTOM_PERSISTENCE_H */
