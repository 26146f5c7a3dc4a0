/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_map.h - offer partitions to file systems. Stability: kept from the Genode port.
 *
 * File systems are of the instance of the calling thread.
 */
#ifndef PHANTOM_PORT_FS_MAP_H
#define PHANTOM_PORT_FS_MAP_H

#include "disk.h"

/** Offer a partition to each file system that the host has registered in this instance, oldest
 *  first. Blocks as their probes do, which are called on the calling thread. @return 0: one took
 *  it; ENXIO: none did. @threads any */
errno_t lookup_fs(phantom_disk_partition_t *p);
/** A host's file system: probe returns 0 if it takes the partition; it may block. It is called when
 *  a disk is registered and by lookup_fs(), perhaps by several threads. At most 16. Never blocks
 *  itself. @return 0, or ENOSPC. @threads one, before others use the instance's disks */
errno_t phantom_register_fs(errno_t (*probe)(phantom_disk_partition_t *p));

#endif /* PHANTOM_PORT_FS_MAP_H */
