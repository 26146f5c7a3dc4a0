/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_persistence.h - which persistent heap the port's snapshot functions act on. Ours, not the
 * port's. Stability: experimental.
 *
 * The port has one object space, and functions without a parameter for it. Here that is a space
 * (phantom/space.h) or a world (phantom/runtime.h) that the host opened and bound to the HAL
 * instance of the calling thread (phantom_hal.h); each instance has its own, with its own lock and
 * snapshot thread. A space may be used by several threads of the instance between
 * vm_lock_persistent_memory() and vm_unlock_persistent_memory(). A world runs its own threads, and
 * nobody else touches its memory: snapshots of it can be taken and asked for, and stop only its own
 * threads; the lock keeps out phantom_snapper_wait_4_threads(), and a snapshot does not wait for
 * it; functions that name addresses see no object space.
 *
 * @threads bind and unbind: no other thread of the instance uses the port's snapshot functions
 *          meanwhile. One space or world may be bound to several instances.
 */
#ifndef PHANTOM_PORT_PHANTOM_PERSISTENCE_H
#define PHANTOM_PORT_PHANTOM_PERSISTENCE_H

struct phantom_space;
struct phantom_world;

/** The object space of the instance is this one from now on; NULL: none. It stays the caller's to
 *  close, after it was unbound, and after all threads that entered it
 *  (vm_lock_persistent_memory()) have ended. Does not block. */
void phantom_port_bind_space(struct phantom_space *space);
void phantom_port_bind_world(struct phantom_world *world);
/** What the last snapshot of the instance by the port's functions came to: 0 or an error of
 *  phantom/error.h; PHANTOM_EINVALID: nothing was bound. @threads any; does not block */
int phantom_port_snapshot_result(void);

#endif /* PHANTOM_PORT_PHANTOM_PERSISTENCE_H */
