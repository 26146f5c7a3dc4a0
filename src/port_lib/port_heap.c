/* SPDX-License-Identifier: Apache-2.0
 *
 * port_heap.c - binds a space or a world to the port's functions. Owns an instance's binding, which
 * changes only while nobody else uses it; the heap is the host's.
 */
#include "port_heap.h"

#include "ph_memory.h"
#include "phantom_persistence.h"
#include "port_state.h"

#include <errno.h>
#include <phantom/phantom.h>
#include <phantom/runtime.h>
#include <phantom/space.h>

/* At most one of them. */
struct port_heap {
    struct phantom_space *space;
    struct phantom_world *world;
};

int port_heap_open(struct port_lib_state *state)
{
    state->heap = ph_zalloc(1, sizeof(*state->heap));
    return state->heap != NULL ? 0 : ENOMEM;
}

void port_heap_close(struct port_lib_state *state)
{
    ph_free(state->heap);
}

static struct phantom_space *bound_space(void)
{
    return port_lib_state()->heap->space;
}

void phantom_port_bind_space(struct phantom_space *space)
{
    *port_lib_state()->heap = (struct port_heap){.space = space};
}

void phantom_port_bind_world(struct phantom_world *world)
{
    *port_lib_state()->heap = (struct port_heap){.world = world};
}

bool port_heap_bound(void)
{
    const struct port_heap *heap = port_lib_state()->heap;
    return heap->space != NULL || heap->world != NULL;
}

int port_heap_enter(void)
{
    struct phantom_space *space = bound_space();
    return space != NULL ? phantom_space_enter(space) : 0;
}

void port_heap_leave(void)
{
    struct phantom_space *space = bound_space();
    if (space != NULL) {
        phantom_space_leave(space);
    }
}

void port_heap_safepoint(void)
{
    struct phantom_space *space = bound_space();
    if (space != NULL) {
        phantom_space_safepoint(space);
    }
}

int port_heap_load(const void *address, size_t length)
{
    struct phantom_space *space = bound_space();
    return space != NULL ? phantom_space_load(space, address, length) : 0;
}

void port_heap_wrote(const void *address, size_t length)
{
    struct phantom_space *space = bound_space();
    if (space != NULL) {
        phantom_space_wrote(space, address, length);
    }
}

int port_heap_snapshot(void)
{
    const struct port_heap *heap = port_lib_state()->heap;
    if (heap->space != NULL) {
        return phantom_space_snapshot(heap->space, NULL);
    }
    return heap->world != NULL ? phantom_snapshot(heap->world, NULL) : PHANTOM_EINVALID;
}

void *port_heap_base(void)
{
    struct phantom_space *space = bound_space();
    return space != NULL ? phantom_space_base(space) : NULL;
}

uint64_t port_heap_size(void)
{
    struct phantom_space *space = bound_space();
    return space != NULL ? phantom_space_size(space) : 0;
}

bool port_heap_usage(uint64_t *used, uint64_t *reserved, uint64_t *all)
{
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    struct phantom_space *space = bound_space();
    if (space == NULL || phantom_space_usage(space, &usage) != 0) {
        return false;
    }
    *used = usage.block_bytes;
    *reserved = usage.reserved_bytes;
    *all = phantom_space_size(space);
    return true;
}
