/* SPDX-License-Identifier: Apache-2.0
 *
 * genode_disk.h - the driver behind the disks of the HAL, names of the Genode port. Stability:
 * kept.
 */
#ifndef PHANTOM_PORT_GENODE_DISK_H
#define PHANTOM_PORT_GENODE_DISK_H

#include <disk.h>

/** The methods of the disks that phantom_hal_add_disk() opens: see struct phantom_disk_partition.
 */
int driver_genode_disk_asyncIO(struct phantom_disk_partition *part, pager_io_request *rq);
errno_t driver_genode_disk_fence(struct phantom_disk_partition *part);

/** Open the disk that the instance was made with (phantom_hal_options.disk_path); once. 0, ENODEV
 *  (there is none), or as phantom_hal_add_disk(). */
errno_t driver_genode_disk_init(void);
/** The same, as the port's device list wants it: the disk, or NULL. */
void *driver_genode_disk_probe(void);

#endif /* PHANTOM_PORT_GENODE_DISK_H */
