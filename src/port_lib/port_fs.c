/* SPDX-License-Identifier: Apache-2.0
 *
 * port_fs.c - <fs_map.h>: the file systems of the host, which partitions are offered to. Owns their
 * list, which is filled before other threads use it and then only read.
 */
#include "fs_map.h"

#include <errno.h>

#define MOST_FILE_SYSTEMS 16
static errno_t (*file_systems[MOST_FILE_SYSTEMS])(phantom_disk_partition_t *p);
static int file_system_count;

errno_t phantom_register_fs(errno_t (*probe)(phantom_disk_partition_t *p))
{
    if (file_system_count == MOST_FILE_SYSTEMS) {
        return ENOSPC;
    }
    file_systems[file_system_count++] = probe;
    return 0;
}

errno_t lookup_fs(phantom_disk_partition_t *p)
{
    for (int i = 0; i < file_system_count; i++) {
        if (file_systems[i](p) == 0) {
            return 0;
        }
    }
    return ENXIO;
}
