/* SPDX-License-Identifier: Apache-2.0
 *
 * port_fs.c - <fs_map.h>: the file systems of the host, which partitions are offered to. Owns the
 * instance's list of them, which is filled before other threads use it and then only read.
 */
#include "fs_map.h"

#include "ph_memory.h"
#include "port_state.h"

#include <errno.h>

#define MOST_FILE_SYSTEMS 16

struct port_file_systems {
    errno_t (*probe[MOST_FILE_SYSTEMS])(phantom_disk_partition_t *p);
    int count;
};

int port_file_systems_open(struct port_lib_state *state)
{
    state->file_systems = ph_zalloc(1, sizeof(*state->file_systems));
    return state->file_systems != NULL ? 0 : ENOMEM;
}

void port_file_systems_close(struct port_lib_state *state)
{
    ph_free(state->file_systems);
}

errno_t phantom_register_fs(errno_t (*probe)(phantom_disk_partition_t *p))
{
    struct port_file_systems *known = port_lib_state()->file_systems;
    if (known->count == MOST_FILE_SYSTEMS) {
        return ENOSPC;
    }
    known->probe[known->count++] = probe;
    return 0;
}

errno_t lookup_fs(phantom_disk_partition_t *p)
{
    const struct port_file_systems *known = port_lib_state()->file_systems;
    for (int i = 0; i < known->count; i++) {
        if (known->probe[i](p) == 0) {
            return 0;
        }
    }
    return ENXIO;
}
