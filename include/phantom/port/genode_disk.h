/* SPDX-License-Identifier: Apache-2.0
 *
 * genode_disk.h - the driver behind the disks of the HAL, names of the Genode port. Stability:
 * kept.
 *
 * @threads any, of the disk's instance
 */
#ifndef PHANTOM_PORT_GENODE_DISK_H
#define PHANTOM_PORT_GENODE_DISK_H

#include <disk.h>

/** The methods of the disks that phantom_hal_add_disk() opens, with the errors said at struct
 *  phantom_disk_partition (and EROFS, EINVAL: no such sectors or frames, ENOMEM). The first never
 *  blocks; the second blocks until all is on stable storage. Not for a slice. */
int driver_genode_disk_asyncIO(struct phantom_disk_partition *part, pager_io_request *rq);
errno_t driver_genode_disk_fence(struct phantom_disk_partition *part);

/** Open the disk that the instance was made with (phantom_hal_options.disk_path); once, later calls
 *  return 0. Blocks while it reads the tables. @return 0, ENODEV (there is none), or as
 *  phantom_hal_add_disk() */
errno_t driver_genode_disk_init(void);
/** The same, as the port's device list wants it: the first partition that is known, or NULL. Blocks
 *  as the other does. */
void *driver_genode_disk_probe(void);

#endif /* PHANTOM_PORT_GENODE_DISK_H */
