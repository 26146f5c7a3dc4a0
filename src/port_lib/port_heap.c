/* SPDX-License-Identifier: Apache-2.0
 *
 * port_heap.c - binds a space or a world to the port's functions. Owns the binding, which changes
 * only while nobody else uses it; the heap is the host's.
 */
#include "port_heap.h"

#include "phantom_persistence.h"

#include <phantom/phantom.h>
#include <phantom/runtime.h>
#include <phantom/space.h>

static struct phantom_space *bound_space;
static struct phantom_world *bound_world;

void phantom_port_bind_space(struct phantom_space *space)
{
    bound_space = space;
    bound_world = NULL;
}

void phantom_port_bind_world(struct phantom_world *world)
{
    bound_world = world;
    bound_space = NULL;
}

int port_heap_enter(void)
{
    return bound_space != NULL ? phantom_space_enter(bound_space) : 0;
}

void port_heap_leave(void)
{
    if (bound_space != NULL) {
        phantom_space_leave(bound_space);
    }
}

void port_heap_safepoint(void)
{
    if (bound_space != NULL) {
        phantom_space_safepoint(bound_space);
    }
}

int port_heap_load(const void *address, size_t length)
{
    return bound_space != NULL ? phantom_space_load(bound_space, address, length) : 0;
}

void port_heap_wrote(const void *address, size_t length)
{
    if (bound_space != NULL) {
        phantom_space_wrote(bound_space, address, length);
    }
}

int port_heap_snapshot(void)
{
    if (bound_space != NULL) {
        return phantom_space_snapshot(bound_space, NULL);
    }
    return bound_world != NULL ? phantom_snapshot(bound_world, NULL) : PHANTOM_EINVALID;
}

void *port_heap_base(void)
{
    return bound_space != NULL ? phantom_space_base(bound_space) : NULL;
}

uint64_t port_heap_size(void)
{
    return bound_space != NULL ? phantom_space_size(bound_space) : 0;
}

bool port_heap_usage(uint64_t *used, uint64_t *reserved, uint64_t *all)
{
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    if (bound_space == NULL || phantom_space_usage(bound_space, &usage) != 0) {
        return false;
    }
    *used = usage.block_bytes;
    *reserved = usage.reserved_bytes;
    *all = phantom_space_size(bound_space);
    return true;
}
