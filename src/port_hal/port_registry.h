/* SPDX-License-Identifier: Apache-2.0
 *
 * port_registry.h - the disks and partitions of an instance, shared by port_registry.c and
 * port_partition.c.
 */
#ifndef PORT_REGISTRY_H
#define PORT_REGISTRY_H

#include "port_disk.h"

struct port_disks {
    pthread_mutex_t lock;
    phantom_disk_partition_t *known[MAX_DISK_PARTITIONS]; /* never changed, never taken back */
    int count;
    int drives;
    struct port_disk *files[MAX_DISK_PARTITIONS]; /* those that are ours */
    int file_count;
    bool own_disk_opened;
};

/** The methods of a slice, all of them. */
void port_partition_methods(phantom_disk_partition_t *p);
/** Our disk under a partition, and where the partition begins on it; NULL: not ours. */
struct port_disk *port_partition_file(struct phantom_disk_partition *p, long *shift);

#endif /* PORT_REGISTRY_H */
