/* SPDX-License-Identifier: Apache-2.0
 *
 * port_heap.h - the heap that is bound to the port's functions, as what they need of one.
 */
#ifndef PORT_HEAP_H
#define PORT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A space or a world is bound. */
bool port_heap_bound(void);
/** Operations of the bound heap; without one, or for a world, they do nothing and succeed. */
int port_heap_enter(void); /* 0, or an error: not entered */
void port_heap_leave(void);
void port_heap_safepoint(void);
/** The pages of the range are there. 0 or an error. */
int port_heap_load(const void *address, size_t length);
/** The range was or will be changed inside this operation. */
void port_heap_wrote(const void *address, size_t length);
/** A snapshot, durable on return; not inside an operation. PHANTOM_EINVALID: nothing is bound. */
int port_heap_snapshot(void);
void *port_heap_base(void); /* NULL: no space is bound */
uint64_t port_heap_size(void);
/** Bytes in use, reserved, and all; false: no space is bound. */
bool port_heap_usage(uint64_t *used, uint64_t *reserved, uint64_t *all);

#endif /* PORT_HEAP_H */
